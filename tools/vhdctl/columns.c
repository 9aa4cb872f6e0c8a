// SPDX-License-Identifier: GPL-2.0
/* Columns of tables: which ones are wanted, and their headings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "print.h"

static int bad_column(const struct columns *c, const char *name)
{
	unsigned int i;

	msg_error("%s: no column '%s', or too many", c->command, name);
	msg_hint("there are:");
	for (i = 0; i < c->nr_desc; i++)
		msg_hint("  %s", c->desc[i].name);
	return VHDCTL_ERROR;
}

static int choose_named(struct columns *c, char *names)
{
	char *save, *name;
	unsigned int i;

	for (name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		for (i = 0; i < c->nr_desc; i++)
			if (!strcasecmp(c->desc[i].name, name))
				break;
		if (i == c->nr_desc || c->nr == COLUMNS_MAX)
			return bad_column(c, name);
		c->chosen[c->nr++] = i;
	}
	return VHDCTL_OK;
}

/**
 * columns_choose() - which columns a table has
 * @c:		its ->chosen and ->nr are set
 * @names:	what the user wants, separated by commas, or NULL
 * @usual:	indices of the columns if the user wants none
 * @nr:		how many
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int columns_choose(struct columns *c, const char *names, const unsigned int *usual,
		   unsigned int nr)
{
	char *copy;
	int ret;

	c->nr = 0;
	if (!names) {
		memcpy(c->chosen, usual, nr * sizeof(*usual));
		c->nr = nr;
		return VHDCTL_OK;
	}
	copy = strdup(names);
	if (!copy) {
		msg_error("out of memory");
		return VHDCTL_ERROR;
	}
	ret = choose_named(c, copy);
	free(copy);
	return ret;
}

static void make_heading(char *heading, const char *name)
{
	for (; *name; name++)
		*heading++ = *name == '_' ? '-' : *name & ~0x20;
	*heading = 0;
}

/**
 * columns_add() - give a table its columns
 * @c:		after columns_choose()
 * @table:	without columns, or NULL if there was no memory for it
 * @o:		command line
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int columns_add(const struct columns *c, struct libscols_table *table, const struct options *o)
{
	struct libscols_column *column;
	char heading[16];
	unsigned int i;
	int flags;

	for (i = 0; i < c->nr; i++) {
		const struct column_desc *d = &c->desc[c->chosen[i]];

		make_heading(heading, d->name);
		flags = d->flags & ~(o->tree ? 0 : SCOLS_FL_TREE);
		column = table ? scols_table_new_column(table, o->json ? d->name : heading, 0,
							flags) : NULL;
		if (!column) {
			msg_error("out of memory");
			return VHDCTL_ERROR;
		}
		scols_column_set_json_type(column, d->json_type);
	}
	return VHDCTL_OK;
}

/**
 * columns_bytes() - what a cell says of a size
 * @o:		command line
 * @n:		bytes
 * @text:	32 bytes of room
 *
 * Return: @text.
 */
const char *columns_bytes(const struct options *o, u64 n, char *text)
{
	if (!o->json && !o->raw)
		return human_size(n, text);
	snprintf(text, 32, "%llu", n);
	return text;
}
