// SPDX-License-Identifier: GPL-2.0
/* vhdctl list: one line for each device, or for each file of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "columns.h"
#include "netlink.h"
#include "print.h"

enum column {
	COL_INDEX, COL_DEVICE, COL_NAME, COL_SIZE, COL_TYPE, COL_DEPTH, COL_READ_ONLY,
	COL_FILE, COL_ID, NR_COLUMNS
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

static const unsigned int text_columns[] = {
	COL_DEVICE, COL_NAME, COL_SIZE, COL_TYPE, COL_DEPTH, COL_READ_ONLY, COL_FILE,
};

static const unsigned int json_columns[] = {
	COL_INDEX, COL_DEVICE, COL_NAME, COL_SIZE, COL_TYPE, COL_DEPTH, COL_READ_ONLY, COL_FILE,
};

struct lister {
	const struct options *o;
	struct libscols_table *table;
	struct columns columns;
};

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
		return columns_bytes(l->o, i ? layer->capacity : d->capacity, text);
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
		uuid_unparse_lower(layer->uuid, text);
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
		for (c = 0; line && c < l->columns.nr; c++) {
			value = cell(l, d, i, l->columns.chosen[c], text);
			if (!l->o->json && l->columns.chosen[c] == COL_READ_ONLY)
				value = *value == '1' ? "yes" : "no";
			if (value)
				scols_line_set_data(line, c, value);
		}
	}
}

static int print_list(const struct options *o, const struct device_list *list)
{
	struct lister l = {
		.o = o,
		.table = scols_new_table(),
		.columns = { .command = "list", .desc = descs, .nr_desc = NR_COLUMNS },
	};
	unsigned int nr = o->json ? ARRAY_SIZE(json_columns) : ARRAY_SIZE(text_columns);
	int ret = columns_choose(&l.columns, o->columns, o->json ? json_columns : text_columns,
				 nr);
	unsigned int i;

	if (!ret)
		ret = columns_add(&l.columns, l.table, o);
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
