// SPDX-License-Identifier: GPL-2.0
/* vhdctl map: the runs of a disk and the files that own them. */
#include <errno.h>
#include <fcntl.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netlink.h"
#include "print.h"
#include "walk.h"

/*
 * Lines that are kept to make their columns fit: each takes half a KiB, and in an
 * image each byte of a sector bitmap can make eight.
 */
#define MOST_LINES	8192u

struct mapper {
	struct chain *c;
	struct out out;
	struct libscols_table *table;
	unsigned int lines;
};

static const char *answer_name(enum vhd_answer answer)
{
	switch (answer) {
	case VHD_DATA:
		return "data";
	case VHD_BAD:
		return "bad";
	default:
		return "zero";
	}
}

static void emit_json(struct mapper *m, const struct owner_run *r)
{
	struct out *o = &m->out;

	out_begin(o, NULL, NULL);
	out_number(o, "start", NULL, r->start << VHD_SECTOR_SHIFT);
	out_number(o, "length", NULL, r->sects << VHD_SECTOR_SHIFT);
	out_string(o, "type", NULL, answer_name(r->answer));
	if (r->answer != VHD_ZERO) {
		out_number(o, "layer", NULL, r->layer);
		out_string(o, "file", NULL, m->c->layer[r->layer]->path);
	}
	if (r->answer == VHD_DATA)
		out_number(o, "offset", NULL, r->file_sect << VHD_SECTOR_SHIFT);
	out_end(o);
}

static void set_number(struct libscols_line *line, unsigned int column, u64 n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", n);
	scols_line_set_data(line, column, text);
}

static void print_lines(struct mapper *m)
{
	scols_print_table(m->table);
	scols_table_remove_lines(m->table);
	scols_table_enable_noheadings(m->table, 1);
	m->lines = 0;
}

static void emit_line(struct mapper *m, const struct owner_run *r)
{
	struct libscols_line *line;

	if (m->lines++ == MOST_LINES)
		print_lines(m);
	line = scols_table_new_line(m->table, NULL);
	if (!line)
		return;
	set_number(line, 0, r->start << VHD_SECTOR_SHIFT);
	set_number(line, 1, r->sects << VHD_SECTOR_SHIFT);
	scols_line_set_data(line, 2, answer_name(r->answer));
	if (r->answer != VHD_ZERO) {
		set_number(line, 3, r->layer);
		scols_line_set_data(line, 5, m->c->layer[r->layer]->path);
	}
	if (r->answer == VHD_DATA)
		set_number(line, 4, r->file_sect << VHD_SECTOR_SHIFT);
}

static void emit(struct mapper *m, const struct owner_run *r)
{
	if (m->out.json)
		emit_json(m, r);
	else
		emit_line(m, r);
}

static int walk(struct mapper *m, bool contiguous)
{
	u64 pos = 0, end = m->c->layer[0]->layout.capacity;
	struct owner_run run = { .sects = 0 }, next;
	int ret;

	for (; pos < end; pos += next.sects) {
		ret = walk_step(m->c, pos, end, &next);
		if (ret)
			return ret;
		if (run.sects && walk_merge(&run, &next, contiguous))
			continue;
		if (run.sects)
			emit(m, &run);
		run = next;
	}
	if (run.sects)
		emit(m, &run);
	return VHDCTL_OK;
}

static struct libscols_table *new_table(void)
{
	static const char * const names[] = {
		"START", "LENGTH", "TYPE", "LAYER", "OFFSET", "FILE"
	};
	struct libscols_table *table = scols_new_table();
	unsigned int i;

	for (i = 0; table && i < ARRAY_SIZE(names); i++)
		if (!scols_table_new_column(table, names[i], 0,
					    i < 2 || i == 3 || i == 4 ? SCOLS_FL_RIGHT : 0)) {
			scols_unref_table(table);
			return NULL;
		}
	return table;
}

static int print_map(struct chain *c, const struct options *o)
{
	struct mapper m = { .c = c, .out = { .json = o->json }, .table = new_table() };
	int ret = chain_load_bats(c);

	if (ret || !m.table) {
		scols_unref_table(m.table);
		return ret ? ret : VHDCTL_ERROR;
	}
	out_begin(&m.out, NULL, NULL);
	out_number(&m.out, "size", NULL, c->layer[0]->layout.capacity << VHD_SECTOR_SHIFT);
	out_begin_array(&m.out, "runs", NULL);
	ret = walk(&m, o->extents);
	if (!o->json && !ret)
		print_lines(&m);
	out_end_array(&m.out);
	out_end(&m.out);
	scols_unref_table(m.table);
	return ret;
}

/* What the driver still has in memory must be in the files before we read them. */
static int sync_device(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 || fsync(fd) ? errno : 0;

	if (fd >= 0)
		close(fd);
	if (!ret)
		return VHDCTL_OK;
	msg_error("%s: %s", path, strerror(ret));
	return exit_of_errno(ret);
}

/* By the rule that was chosen at attach: the one that gives the kernel's size. */
static int load_layer(struct image *img, const struct device_layer *l)
{
	static const enum vhd_size_rule rules[] = {
		VHD_SIZE_AUTO, VHD_SIZE_CURRENT, VHD_SIZE_CHS
	};
	unsigned int i;
	int ret = 0;

	if (!l->type) {
		image_set_raw(img);
		return 0;
	}
	for (i = 0; !ret && i < ARRAY_SIZE(rules); i++) {
		ret = image_load(img, rules[i]);
		if (img->layout.capacity << VHD_SECTOR_SHIFT == l->capacity)
			break;
	}
	return ret;
}

/* The kernel holds the locks of these files, and it has checked their links. */
static int open_layer(struct chain *c, const struct device_layer *l)
{
	struct image_how how = { .named = true, .beneath = -1 };
	struct image *img = calloc(1, sizeof(*img));
	int ret;

	if (!img)
		return VHDCTL_ERROR;
	ret = image_open(img, l->path, &how);
	if (!ret)
		ret = load_layer(img, l);
	if (!ret)
		return chain_add(c, img);
	ret = image_report(img, c->nr, ret);
	image_close(img);
	free(img);
	return ret;
}

static int map_device(const struct options *o)
{
	struct chain c = { .nr = 0 };
	struct device *d;
	unsigned int i;
	int ret;

	ret = device_find(o->args[0], &d);
	if (ret)
		return ret;
	ret = sync_device(d->path);
	for (i = 0; !ret && i < d->nr_layers; i++)
		ret = open_layer(&c, &d->layer[i]);
	if (!ret)
		ret = print_map(&c, o);
	chain_close(&c);
	device_free(d);
	return ret;
}

static int map_file(const struct options *o)
{
	struct chain c = { .nr = 0 };
	int ret = chain_open(&c, o->args[0], o, false);

	if (!ret)
		ret = print_map(&c, o);
	chain_close(&c);
	return ret;
}

/**
 * map_main() - print which file of a chain holds what
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int map_main(const struct options *o)
{
	return is_vhd_device(o->args[0]) ? map_device(o) : map_file(o);
}
