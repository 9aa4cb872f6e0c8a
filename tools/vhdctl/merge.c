// SPDX-License-Identifier: GPL-2.0
/* vhdctl merge: what a child holds goes into one of its parents, or into a new file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "differ.h"
#include "edit.h"
#include "findings.h"
#include "merge.h"
#include "print.h"
#include "walk.h"

struct merge {
	const struct options *o;
	struct chain c;
	unsigned int n;		/* the layer that all above it go into */
	struct absorb a;
	struct adopt kin;
	struct chain made;	/* the new file, if children shall get it */
	u64 size_before, size_after;
};

static struct image *target(const struct merge *m)
{
	return m->c.layer[m->n];
}

static int find_ancestor(struct merge *m)
{
	struct image_how how = { .named = true, .beneath = -1 };
	struct image img;
	int ret;

	m->n = m->o->out ? m->c.nr - 1 : 1;
	if (!m->o->into)
		return VHDCTL_OK;
	m->n = 1;
	ret = image_open(&img, m->o->into, &how);
	if (ret) {
		ret = image_report(&img, 0, ret);
	} else {
		while (m->n < m->c.nr && !image_same_file(&img, m->c.layer[m->n]))
			m->n++;
	}
	image_close(&img);
	if (ret || m->n < m->c.nr)
		return ret;
	msg_error("%s: is no parent of %s", m->o->into, m->c.layer[0]->path);
	msg_hint("see 'vhdctl info --chain %s'", m->c.layer[0]->path);
	return VHDCTL_NO_PARENT;
}

static int open_chain(struct merge *m)
{
	int ret = chain_open(&m->c, m->o->args[0], m->o, false);

	if (ret)
		return ret;
	if (m->c.nr > 1)
		return find_ancestor(m);
	msg_error("%s: has no parent that it could be merged into", m->c.layer[0]->path);
	return VHDCTL_UNSUPPORTED;
}

/**
 * merge_check_sound() - refuse a file with faults
 * @img:	loaded and locked
 * @layer:	for messages
 * @rule:	which field gives the size
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int merge_check_sound(struct image *img, unsigned int layer, enum vhd_size_rule rule)
{
	struct findings *f;
	int ret;

	if (img->raw)
		return VHDCTL_OK;
	f = calloc(1, sizeof(*f));
	ret = f ? findings_collect(f, img, rule) : -ENOMEM;
	if (!ret && img->fault)
		ret = vhd_fault_errno(img->fault);
	if (ret) {
		ret = image_report(img, layer, ret);
	} else if (f->worst > VHD_SEV_NOTE) {
		msg_error("%s (layer %u): %s", img->path, layer, findings_worst(f));
		msg_hint("see 'vhdctl check %s'; nothing was changed", img->path);
		ret = VHDCTL_CORRUPT;
	}
	free(f);
	return ret;
}

/* What is lost already must not become lost in the parent too. */
static int check_sources(struct merge *m, unsigned int nr)
{
	unsigned int i;
	int ret = VHDCTL_OK;

	for (i = 0; !ret && i < nr; i++)
		ret = merge_check_sound(m->c.layer[i], i, m->o->size_rule);
	return ret;
}

static int check_sizes(const struct merge *m)
{
	u64 from = m->c.layer[0]->layout.capacity << VHD_SECTOR_SHIFT;
	u64 to = target(m)->layout.capacity << VHD_SECTOR_SHIFT;

	if (from <= to)
		return VHDCTL_OK;
	msg_error("%s: its disk has %llu bytes, and that of %s %llu", target(m)->path, to,
		  m->c.layer[0]->path, from);
	msg_hint("merge into a new file with --out");
	if (!target(m)->raw)
		msg_hint("or make it larger: vhdctl resize %s %llu", target(m)->path, from);
	return VHDCTL_UNSUPPORTED;
}

static void warn_larger(const struct merge *m)
{
	u64 from = m->c.layer[0]->layout.capacity << VHD_SECTOR_SHIFT;
	u64 to = target(m)->layout.capacity << VHD_SECTOR_SHIFT;

	if (from < to)
		msg_warning("%s: its disk is larger than that of %s by %llu bytes, which stay",
			    target(m)->path, m->c.layer[0]->path, to - from);
}

static int check_target(const struct merge *m)
{
	const struct image *img = target(m);

	if (img->raw && img->block_device) {
		msg_error("%s: is a raw block device, into which nothing is merged", img->path);
		msg_hint("merge into a new file with --out");
		return VHDCTL_UNSUPPORTED;
	}
	if (!img->raw && img->layout.type != VHD_TYPE_FIXED && img->size % VHD_SECTOR_SIZE) {
		msg_error("%s: its footer does not begin on a sector boundary", img->path);
		return VHDCTL_UNSUPPORTED;
	}
	return check_sizes(m);
}

static int check_link(const struct merge *m)
{
	const struct image *child = m->c.layer[m->n - 1], *img = target(m);
	enum vhd_fault fault;

	if (img->raw)
		return VHDCTL_OK;
	fault = vhd_link_check(&child->footer, &child->header, &img->footer);
	if (!fault || (fault == VHD_FAULT_PARENT_ID && m->o->ignore_id_mismatch))
		return VHDCTL_OK;
	msg_error("%s (layer %u): %s", img->path, m->n, vhd_fault_str(fault));
	return exit_of_fault(fault);
}

/*
 * The file that was found, opened again through its descriptor: whatever may have
 * got its name in the meantime is not it.
 */
static int take_target(struct merge *m)
{
	struct image_how how = { .write = true, .named = true, .beneath = -1 };
	struct image *old = target(m), *img = calloc(1, sizeof(*img));
	bool raw = old->raw;
	int ret;

	if (!img)
		return image_report(old, m->n, -ENOMEM);
	ret = image_open_found(img, old->path, old->fd, &how);
	image_close(old);
	free(old);
	m->c.layer[m->n] = img;
	if (ret)
		return image_report(img, m->n, ret);
	if (!raw)
		return edit_take(img, m->o->size_rule);
	image_set_raw(img);
	ret = image_lock(img, true);
	return ret ? image_report(img, m->n, ret) : VHDCTL_OK;
}

static int prepare(struct merge *m)
{
	int ret = check_target(m);

	if (!ret)
		ret = check_sources(m, m->n);
	if (!ret)
		ret = adopt_open(&m->kin);
	if (!ret && m->o->dry_run)
		ret = merge_check_sound(target(m), m->n, m->o->size_rule);
	else if (!ret)
		ret = take_target(m);
	if (!ret)
		ret = check_target(m) ?: check_link(m);
	if (!ret)
		ret = chain_load_bats(&m->c);
	if (!ret)
		ret = adopt_check(&m->kin);
	return ret ? ret : children_check(&m->kin);
}

static int merge_into(struct merge *m)
{
	int ret = prepare(m);

	if (ret)
		return ret;
	warn_larger(m);
	m->a.c = &m->c;
	m->a.n = m->n;
	m->a.dry = m->o->dry_run;
	m->a.progress = m->o->progress;
	m->size_before = target(m)->size;
	ret = absorb(&m->a);
	m->size_after = target(m)->size;
	if (!ret && !m->o->dry_run)
		ret = adopt_all(&m->kin, target(m));
	return ret;
}

/* As it is in the maps; what is written may be less, as zeros stay holes. */
static int count_data(struct merge *m)
{
	u64 end = m->c.layer[0]->layout.capacity, pos;
	struct owner_run run;
	int ret = VHDCTL_OK;

	for (pos = 0; !ret && pos < end; pos += run.sects) {
		ret = walk_step(&m->c, pos, end, &run);
		if (!ret && run.answer == VHD_DATA && run.layer <= m->n)
			m->a.written += run.sects << VHD_SECTOR_SHIFT;
	}
	return ret;
}

static int write_file(struct merge *m)
{
	struct options o = *m->o;
	char *args[2];

	args[0] = m->o->args[0];
	args[1] = (char *)m->o->out;
	o.args = args;
	o.nr_args = ARRAY_SIZE(args);
	o.json = false;
	if (m->n + 1 < m->c.nr) {
		o.since = m->c.layer[m->n + 1]->path;
		return export_main(&o);
	}
	o.from = "vhd";
	o.to = "dynamic";
	o.block_size = m->c.layer[0]->layout.block_sects << VHD_SECTOR_SHIFT;
	return convert_main(&o);
}

static int stop_at_once(void *ctx, const struct diff_run *run)
{
	(void)ctx;
	(void)run;
	return VHDCTL_DIFFER;
}

static bool has_same_parent(const struct merge *m, const struct image *img)
{
	bool child = img->layout.type == VHD_TYPE_DIFFERENCING;

	if (m->n + 1 == m->c.nr)
		return !child;
	return child && !memcmp(img->header.parent_uuid, m->c.layer[m->n + 1]->footer.uuid,
				sizeof(img->header.parent_uuid));
}

static int shows_same(struct merge *m, struct image *img, bool *same)
{
	struct chain disk = { .layer = { img }, .nr = 1 };
	u64 end = m->c.layer[0]->layout.capacity;
	unsigned int i;
	int ret;

	*same = false;
	if (!has_same_parent(m, img) || img->layout.capacity != end)
		return VHDCTL_OK;
	for (i = m->n + 1; i < m->c.nr; i++)
		disk.layer[disk.nr++] = m->c.layer[i];
	ret = chain_load_bats(&disk);
	if (!ret)
		ret = diff_disks(&disk, &m->c, end, stop_at_once, NULL, false);
	*same = !ret;
	return ret == VHDCTL_DIFFER ? VHDCTL_OK : ret;
}

/* A run that was interrupted among the children has made the new file already. */
static int find_made(struct merge *m)
{
	bool same = false;
	int ret = VHDCTL_OK;

	if (!m->o->nr_relinks)
		return VHDCTL_OK;
	if (!chain_open_leaf(&m->made, m->o->out, m->o, false))
		ret = shows_same(m, m->made.layer[0], &same);
	if (same)
		m->kin.made = m->made.layer[0];
	else
		chain_close(&m->made);
	return ret;
}

static int write_new(struct merge *m)
{
	int ret = m->kin.made ? VHDCTL_OK : write_file(m);

	if (ret || !m->kin.nr)
		return ret;
	if (!m->kin.made)
		ret = chain_open_leaf(&m->made, m->o->out, m->o, false);
	if (ret)
		return m->made.nr ? image_report(m->made.layer[0], 0, ret) : VHDCTL_ERROR;
	return adopt_all(&m->kin, m->made.layer[0]);
}

static int prepare_out(struct merge *m)
{
	int ret = check_sources(m, m->n + 1);

	m->kin.out = true;
	if (!ret)
		ret = chain_load_bats(&m->c);
	if (!ret)
		ret = find_made(m);
	if (!ret)
		ret = adopt_open(&m->kin);
	return ret ? ret : adopt_check(&m->kin);
}

/* What the last one would become, with its parent, if it has one. */
static int merge_out(struct merge *m)
{
	struct stat st;
	int ret = prepare_out(m);

	if (!ret)
		ret = count_data(m);
	if (ret || m->o->dry_run)
		return ret;
	ret = write_new(m);
	if (!ret && !stat(m->o->out, &st))
		m->size_after = st.st_size;
	return ret;
}

/* Files that the result takes over. */
static unsigned int nr_sources(const struct merge *m)
{
	return m->n + !!m->o->out;
}

static const char *result_path(const struct merge *m)
{
	return m->o->out ? m->o->out : target(m)->path;
}

static void print_json(const struct merge *m)
{
	struct out o = { .json = true };
	unsigned int i;

	out_begin(&o, NULL, NULL);
	out_string(&o, "file", NULL, m->c.layer[0]->path);
	out_string(&o, "into", NULL, result_path(m));
	out_number(&o, "files", NULL, nr_sources(m));
	out_bool(&o, "dry_run", NULL, m->o->dry_run);
	out_number(&o, "written_bytes", NULL, m->a.written);
	out_number(&o, "new_blocks", NULL, m->a.new_blocks);
	out_number(&o, "size_before", NULL, m->size_before);
	out_number(&o, "size_after", NULL, m->size_after);
	out_begin_array(&o, "relinked", NULL);
	for (i = 0; i < m->kin.nr; i++)
		out_string(&o, NULL, NULL, m->kin.v[i].img->path);
	out_end_array(&o);
	out_end(&o);
}

static void print_text(const struct merge *m)
{
	char *path = strdup(result_path(m)), text[32];
	unsigned int nr = nr_sources(m);

	if (!path)
		return;
	printable(path);
	printf("%s: %s%s of %u %s", path, m->o->dry_run ? "would get " : "",
	       human_size(m->a.written, text), nr, nr == 1 ? "file" : "files");
	if (!m->o->out)
		printf(", %llu new blocks", m->a.new_blocks);
	if (m->kin.nr)
		printf(", %u %s relinked", m->kin.nr, m->kin.nr == 1 ? "child" : "children");
	putchar('\n');
	free(path);
}

/**
 * merge_main() - put what a child holds into one of its parents or into a new file
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int merge_main(const struct options *o)
{
	struct merge *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return VHDCTL_ERROR;
	m->o = o;
	ret = open_chain(m);
	m->kin.o = o;
	m->kin.c = &m->c;
	m->kin.n = m->n;
	if (!ret)
		ret = o->out ? merge_out(m) : merge_into(m);
	if (!ret && o->json)
		print_json(m);
	else if (!ret)
		print_text(m);
	adopt_close(&m->kin);
	chain_close(&m->made);
	chain_close(&m->c);
	free(m);
	return ret;
}
