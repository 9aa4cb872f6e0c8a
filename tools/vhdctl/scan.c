// SPDX-License-Identifier: GPL-2.0
/* vhdctl scan: the images below directories, as a list or as the tree of their links. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "columns.h"
#include "print.h"
#include "scan.h"

enum column {
	COL_FILE, COL_TYPE, COL_SIZE, COL_FILE_SIZE, COL_STORED, COL_DEPTH, COL_ID, COL_PARENT_ID,
	COL_PARENT, COL_IN_USE, COL_STATE, COL_FAULT, COL_DETAIL, NR_COLUMNS
};

static const struct column_desc descs[NR_COLUMNS] = {
	[COL_FILE] = { "file", SCOLS_FL_TREE, SCOLS_JSON_STRING },
	[COL_TYPE] = { "type", 0, SCOLS_JSON_STRING },
	[COL_SIZE] = { "size", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_FILE_SIZE] = { "file_size", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_STORED] = { "stored", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_DEPTH] = { "depth", SCOLS_FL_RIGHT, SCOLS_JSON_NUMBER },
	[COL_ID] = { "id", 0, SCOLS_JSON_STRING },
	[COL_PARENT_ID] = { "parent_id", 0, SCOLS_JSON_STRING },
	[COL_PARENT] = { "parent", 0, SCOLS_JSON_STRING },
	[COL_IN_USE] = { "in_use", 0, SCOLS_JSON_BOOLEAN },
	[COL_STATE] = { "state", 0, SCOLS_JSON_STRING },
	[COL_FAULT] = { "fault", 0, SCOLS_JSON_STRING },
	[COL_DETAIL] = { "detail", 0, SCOLS_JSON_STRING },
};

static const unsigned int tree_columns[] = {
	COL_FILE, COL_TYPE, COL_SIZE, COL_STORED, COL_STATE, COL_DETAIL
};

static const unsigned int list_columns[] = {
	COL_FILE, COL_TYPE, COL_SIZE, COL_STORED, COL_PARENT, COL_STATE, COL_DETAIL
};

/* What JSON and -o say, and the exit code that the state gives. */
static const struct {
	const char *name;
	int code;
} states[] = {
	[LINK_OK] = { "ok", VHDCTL_OK },
	[LINK_BY_ID] = { "by-id", VHDCTL_OK },
	[LINK_TIME] = { "time-differs", VHDCTL_OK },
	[LINK_SEVERAL] = { "several", VHDCTL_OK },
	[LINK_RAW] = { "raw-parent", VHDCTL_OK },
	[LINK_MISSING] = { "missing", VHDCTL_NO_PARENT },
	[LINK_WRONG_ID] = { "wrong-id", VHDCTL_ID_MISMATCH },
	[LINK_LOOP] = { "loop", VHDCTL_CORRUPT },
	[LINK_TOO_DEEP] = { "too-deep", VHDCTL_UNSUPPORTED },
	[LINK_DAMAGED] = { "damaged", VHDCTL_CORRUPT },
	[LINK_UNREADABLE] = { "unreadable", VHDCTL_ERROR },
};

struct lister {
	const struct options *o;
	const struct scan *s;
	struct libscols_table *table;
	struct columns columns;
	struct libscols_line **line;	/* of each image */
};

/* JSON has them all. */
static int choose_columns(struct lister *l)
{
	unsigned int all[NR_COLUMNS], i;

	for (i = 0; i < NR_COLUMNS; i++)
		all[i] = i;
	if (l->o->json)
		return columns_choose(&l->columns, l->o->columns, all, NR_COLUMNS);
	if (l->o->tree)
		return columns_choose(&l->columns, l->o->columns, tree_columns,
				      ARRAY_SIZE(tree_columns));
	return columns_choose(&l->columns, l->o->columns, list_columns, ARRAY_SIZE(list_columns));
}

static const char *id_text(const u8 *id, bool known, char *text)
{
	if (!known)
		return NULL;
	uuid_unparse_lower(id, text);
	return text;
}

static const char *parent_path(const struct lister *l, const struct found *f)
{
	return f->parent == NO_PARENT ? NULL : l->s->v[f->parent].path;
}

/* Of those in a sound state only what deserves a word. */
static const char *detail(const struct lister *l, const struct found *f, char *text, size_t room)
{
	switch (f->state) {
	case LINK_BY_ID:
		snprintf(text, room, "no place that it names is the one of its parent");
		break;
	case LINK_TIME:
		snprintf(text, room, "its parent was changed or copied since it was made");
		break;
	case LINK_SEVERAL:
		snprintf(text, room, "several files have the id of its parent");
		break;
	case LINK_RAW:
		snprintf(text, room, "its parent is a raw disk, to be named with --parent");
		break;
	case LINK_MISSING:
		snprintf(text, room, "no file here is its parent '%s'", f->name ? f->name : "");
		break;
	case LINK_WRONG_ID:
		snprintf(text, room, "%s has another unique id", parent_path(l, f));
		break;
	case LINK_LOOP:
		return vhd_fault_str(VHD_FAULT_CYCLE);
	case LINK_TOO_DEEP:
		return vhd_fault_str(VHD_FAULT_TOO_DEEP);
	case LINK_UNREADABLE:
		return f->why;
	default:
		return f->fault ? vhd_fault_str(f->fault) : NULL;
	}
	return text;
}

static const char *cell(const struct lister *l, const struct found *f, enum column which,
			char *text, size_t room)
{
	switch (which) {
	case COL_FILE:
		return f->path;
	case COL_TYPE:
		return f->type ? type_name(f->type) : NULL;
	case COL_SIZE:
		return f->size ? columns_bytes(l->o, f->size, text) : NULL;
	case COL_FILE_SIZE:
		return columns_bytes(l->o, f->file_size, text);
	case COL_STORED:
		return columns_bytes(l->o, f->stored, text);
	case COL_DEPTH:
		snprintf(text, room, "%u", f->depth);
		return text;
	case COL_ID:
		return id_text(f->id, f->has_id, text);
	case COL_PARENT_ID:
		return id_text(f->header.parent_uuid, scan_is_child(f), text);
	case COL_PARENT:
		return parent_path(l, f);
	case COL_IN_USE:
		return f->in_use ? "1" : "0";
	case COL_STATE:
		return states[f->state].name;
	case COL_FAULT:
		return f->fault ? vhd_fault_name(f->fault) : NULL;
	case COL_DETAIL:
		return detail(l, f, text, room);
	default:
		return NULL;
	}
}

static void fill_line(const struct lister *l, const struct found *f, struct libscols_line *line)
{
	char text[1200];
	const char *value;
	unsigned int c;

	for (c = 0; c < l->columns.nr; c++) {
		value = cell(l, f, l->columns.chosen[c], text, sizeof(text));
		if (!l->o->json && l->columns.chosen[c] == COL_IN_USE)
			value = f->in_use ? "yes" : "no";
		if (value)
			scols_line_set_data(line, c, value);
	}
}

static bool hangs_below(const struct lister *l, const struct found *f)
{
	return l->o->tree && f->depth > 1;
}

/* Parents may come later in the order of the names than their children. */
static int fill_table(struct lister *l)
{
	unsigned int i;

	l->line = calloc(l->s->nr + 1ULL, sizeof(*l->line));
	if (!l->line)
		return VHDCTL_ERROR;
	for (i = 0; i < l->s->nr; i++) {
		l->line[i] = scols_table_new_line(l->table, NULL);
		if (!l->line[i])
			return VHDCTL_ERROR;
		fill_line(l, &l->s->v[i], l->line[i]);
	}
	for (i = 0; i < l->s->nr; i++)
		if (hangs_below(l, &l->s->v[i]))
			scols_line_add_child(l->line[l->s->v[i].parent], l->line[i]);
	return VHDCTL_OK;
}

static int print_scan(const struct options *o, const struct scan *s)
{
	struct lister l = {
		.o = o,
		.s = s,
		.table = scols_new_table(),
		.columns = { .command = "scan", .desc = descs, .nr_desc = NR_COLUMNS },
	};
	int ret = choose_columns(&l);

	if (!ret)
		ret = columns_add(&l.columns, l.table, o);
	if (!ret)
		ret = fill_table(&l);
	if (!ret) {
		scols_table_set_name(l.table, "images");
		scols_table_enable_json(l.table, o->json);
		scols_table_enable_raw(l.table, o->raw);
		scols_print_table(l.table);
	}
	free(l.line);
	scols_unref_table(l.table);
	return ret;
}

/* Of several codes the one that is hardest to live with. */
static int worst(const struct scan *s)
{
	static const int order[] = {
		VHDCTL_CORRUPT, VHDCTL_ERROR, VHDCTL_ID_MISMATCH, VHDCTL_NO_PARENT,
		VHDCTL_UNSUPPORTED
	};
	unsigned int i, k, has = s->failed ? 1u << VHDCTL_ERROR : 0;

	for (i = 0; i < s->nr; i++) {
		int code = states[s->v[i].state].code;

		if (s->v[i].state == LINK_DAMAGED)
			code = exit_of_fault(s->v[i].fault);
		has |= 1u << code;
	}
	for (k = 0; k < ARRAY_SIZE(order); k++)
		if (has & 1u << order[k])
			return order[k];
	return VHDCTL_OK;
}

/**
 * scan_main() - list the images below directories, and what is wrong with their links
 * @o:	command line
 *
 * Return: &enum vhdctl_exit: of the worst that was found.
 */
int scan_main(const struct options *o)
{
	struct scan s = { .nr = 0 };
	int ret = VHDCTL_OK;
	int i;

	for (i = 0; !ret && i < o->nr_args; i++)
		ret = scan_directory(&s, o->args[i], o->size_rule);
	if (!ret)
		ret = scan_link(&s);
	if (!ret)
		ret = print_scan(o, &s);
	if (!ret)
		ret = worst(&s);
	scan_free(&s);
	return ret;
}
