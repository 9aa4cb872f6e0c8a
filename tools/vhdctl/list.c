// SPDX-License-Identifier: GPL-2.0
/* vhdctl list: one line for each device, or for each file of it. */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"
#include "print.h"

enum column {
	COL_INDEX, COL_DEVICE, COL_NAME, COL_SIZE, COL_TYPE, COL_DEPTH, COL_READ_ONLY,
	COL_FILE, COL_ID, NR_COLUMNS
};

struct column_desc {
	const char *name;	/* lower case: JSON and -o; upper case: heading */
	int flags;
	int json_type;
};

static const struct column_desc descs[NR_COLUMNS] = {
	[COL_INDEX] = { "index", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_DEVICE] = { "device", SCOLS_FL_TREE, SCOLS_JSON_STRING },
	[COL_NAME] = { "name", 0, SCOLS_JSON_STRING },
	[COL_SIZE] = { "size", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_TYPE] = { "type", 0, SCOLS_JSON_STRING },
	[COL_DEPTH] = { "depth", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_READ_ONLY] = { "read_only", 0, SCOLS_JSON_BOOLEAN },
	[COL_FILE] = { "file", 0, SCOLS_JSON_STRING },
	[COL_ID] = { "id", 0, SCOLS_JSON_STRING },
};

static const enum column text_columns[] = {
	COL_DEVICE, COL_NAME, COL_SIZE, COL_TYPE, COL_DEPTH, COL_READ_ONLY, COL_FILE,
};

static const enum column json_columns[] = {
	COL_INDEX, COL_DEVICE, COL_NAME, COL_SIZE, COL_TYPE, COL_DEPTH, COL_READ_ONLY, COL_FILE,
};

struct lister {
	const struct options *o;
	struct libscols_table *table;
	enum column column[NR_COLUMNS];
	unsigned int nr;
};

static bool choose(struct lister *l, enum column column)
{
	if (l->nr == NR_COLUMNS)
		return false;
	l->column[l->nr++] = column;
	return true;
}

static int choose_named(struct lister *l)
{
	char *names = strdup(l->o->columns), *save, *name;
	int ret = names ? VHDCTL_OK : VHDCTL_ERROR;
	unsigned int i;

	for (name = names ? strtok_r(names, ",", &save) : NULL; name && !ret;
	     name = strtok_r(NULL, ",", &save)) {
		for (i = 0; i < NR_COLUMNS; i++)
			if (!strcasecmp(descs[i].name, name))
				break;
		if (i < NR_COLUMNS && choose(l, i))
			continue;
		msg_error("list: no column '%s'", name);
		msg_hint("there are index, device, name, size, type, depth, read_only, file, id");
		ret = VHDCTL_ERROR;
	}
	free(names);
	return ret;
}

static int choose_columns(struct lister *l)
{
	unsigned int i;

	if (l->o->columns)
		return choose_named(l);
	for (i = 0; l->o->json && i < ARRAY_SIZE(json_columns); i++)
		choose(l, json_columns[i]);
	for (i = 0; !l->o->json && i < ARRAY_SIZE(text_columns); i++)
		choose(l, text_columns[i]);
	return VHDCTL_OK;
}

static void make_heading(char *heading, const char *name)
{
	for (; *name; name++)
		*heading++ = *name == '_' ? '-' : *name & ~0x20;
	*heading = 0;
}

static int add_columns(struct lister *l)
{
	struct libscols_column *c;
	char heading[16];
	unsigned int i;
	int flags;

	for (i = 0; i < l->nr; i++) {
		const struct column_desc *d = &descs[l->column[i]];

		make_heading(heading, d->name);
		flags = d->flags & ~(l->o->tree ? 0 : SCOLS_FL_TREE);
		c = scols_table_new_column(l->table, l->o->json ? d->name : heading, 0, flags);
		if (!c)
			return VHDCTL_ERROR;
		scols_column_set_json_type(c, d->json_type);
	}
	return VHDCTL_OK;
}

static void format_size(const struct lister *l, u64 size, char *text, size_t room)
{
	if (l->o->json || l->o->raw)
		snprintf(text, room, "%llu", size);
	else
		human_size(size, text);
}

static void format_id(const struct device_layer *layer, char *text, size_t room)
{
	const u8 *u = layer->uuid;

	snprintf(text, room, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
}

/* What layer @i of a device shows; layer 0 stands for the device itself. */
static const char *cell(const struct lister *l, const struct device *d, unsigned int i,
			enum column column, char text[64])
{
	const struct device_layer *layer = &d->layer[i];

	text[0] = 0;
	switch (column) {
	case COL_INDEX:
		snprintf(text, 64, "%u", d->index);
		break;
	case COL_DEVICE:
		return i ? NULL : d->path;
	case COL_NAME:
		return i || !d->name[0] ? NULL : d->name;
	case COL_SIZE:
		format_size(l, i ? layer->capacity : d->capacity, text, 64);
		break;
	case COL_TYPE:
		return type_name((enum vhd_type)layer->type);
	case COL_DEPTH:
		snprintf(text, 64, "%u", d->nr_layers - i);
		break;
	case COL_READ_ONLY:
		return i || d->flags & VHDBLK_DEVICE_READ_ONLY ? "1" : "0";
	case COL_FILE:
		return layer->path;
	case COL_ID:
		format_id(layer, text, 64);
		break;
	default:
		return NULL;
	}
	return text;
}

static void add_device(struct lister *l, const struct device *d)
{
	unsigned int i, c, layers = l->o->tree ? d->nr_layers : !!d->nr_layers;
	struct libscols_line *line = NULL;
	const char *value;
	char text[64];

	for (i = 0; i < layers; i++) {
		line = scols_table_new_line(l->table, line);
		for (c = 0; line && c < l->nr; c++) {
			value = cell(l, d, i, l->column[c], text);
			if (!l->o->json && l->column[c] == COL_READ_ONLY)
				value = *value == '1' ? "yes" : "no";
			if (value)
				scols_line_set_data(line, c, value);
		}
	}
}

static int print_list(const struct options *o, const struct device_list *list)
{
	struct lister l = { .o = o, .table = scols_new_table() };
	int ret = l.table ? choose_columns(&l) : VHDCTL_ERROR;
	unsigned int i;

	if (!ret)
		ret = add_columns(&l);
	if (!ret) {
		scols_table_set_name(l.table, "devices");
		scols_table_enable_json(l.table, o->json);
		scols_table_enable_raw(l.table, o->raw);
		for (i = 0; i < list->nr; i++)
			add_device(&l, list->v[i]);
		scols_print_table(l.table);
	}
	scols_unref_table(l.table);
	return ret;
}

/**
 * list_main() - list the devices, or the images below directories
 * @o:	command line
 *
 * Where the driver is not loaded there are none.
 *
 * Return: &enum vhdctl_exit.
 */
int list_main(const struct options *o)
{
	struct device_list list = { 0 };
	int ret = VHDCTL_OK;
	struct nl *nl = NULL;

	if (o->nr_args)
		return scan_main(o);
	nl = nl_open(false, &ret);
	if (nl)
		ret = device_list_get(nl, &list);
	if (!ret)
		ret = print_list(o, &list);
	device_list_free(&list);
	nl_close(nl);
	return ret;
}
