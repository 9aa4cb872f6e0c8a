// SPDX-License-Identifier: GPL-2.0
/* vhdctl check: look for faults in an image, and mend them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "mend.h"
#include "print.h"

struct checker {
	const struct options *o;
	struct chain c;		/* the image, then its parent if there is one */
	struct findings *f;
	struct mend m;
	const char *azure;	/* why Azure would not take it */
	int parent_exit;	/* exit code of the search for the parent */
};

static int own_exit(const struct checker *k)
{
	const struct image *img = k->c.layer[0];

	if (img->fault)
		return exit_of_fault(img->fault);
	if (k->f->worst > VHD_SEV_NOTE)
		return VHDCTL_CORRUPT;
	return k->f->leaked ? VHDCTL_LEAKS : VHDCTL_OK;
}

static const char *result_name(const struct checker *k)
{
	switch (own_exit(k)) {
	case VHDCTL_OK:
		return "clean";
	case VHDCTL_LEAKS:
		return "leaks";
	case VHDCTL_UNSUPPORTED:
		return "unsupported";
	}
	return "corrupt";
}

static void show_finding(struct out *o, const struct finding *f)
{
	out_begin(o, NULL, NULL);
	out_string(o, "fault", NULL, finding_name(f->kind));
	out_string(o, "text", NULL, finding_text(f->kind));
	out_string(o, "severity", NULL, severity_name(finding_severity(f->kind)));
	if (f->block != NO_BLOCK)
		out_number(o, "block", NULL, f->block);
	out_end(o);
}

static void show_parts(struct out *o, const struct mend *m)
{
	unsigned int part;

	out_begin_array(o, "mended", NULL);
	for (part = 0; part < NR_MEND_PARTS; part++)
		if (m->did & 1u << part)
			out_string(o, NULL, NULL, mend_part_name(part));
	out_end_array(o);
	out_number(o, "dropped_blocks", NULL, m->dropped);
	out_number(o, "freed_bytes", NULL, m->freed);
	out_string(o, "saved", NULL, m->saved);
}

static void print_json(const struct checker *k)
{
	struct out o = { .json = true };
	unsigned int i;

	out_begin(&o, NULL, NULL);
	out_string(&o, "file", NULL, k->c.layer[0]->path);
	out_string(&o, "result", NULL, result_name(k));
	out_string(&o, "severity", NULL, severity_name(k->f->worst));
	out_begin_array(&o, "faults", NULL);
	for (i = 0; i < k->f->nr; i++)
		show_finding(&o, &k->f->v[i]);
	out_end_array(&o);
	out_number(&o, "faults_total", NULL, k->f->total);
	out_number(&o, "leaked_bytes", NULL, k->f->leaked);
	out_bool(&o, "repairable", NULL, mend_helps(k->c.layer[0], k->f, k->o));
	out_bool(&o, "repaired", NULL, k->m.did);
	if (k->o->repair)
		show_parts(&o, &k->m);
	if (k->o->azure)
		out_string(&o, "azure", NULL, k->azure);
	out_end(&o);
}

static void print_finding(const char *path, const struct finding *f)
{
	printf("%s: ", path);
	if (f->block != NO_BLOCK)
		printf("block %u: ", f->block);
	printf("%s [%s, %s]\n", finding_text(f->kind), finding_name(f->kind),
	       severity_name(finding_severity(f->kind)));
}

static void print_repair(const char *path, const struct mend *m)
{
	char size[32], *saved = m->saved ? strdup(m->saved) : NULL;
	unsigned int part;

	for (part = 0; part < NR_MEND_PARTS; part++)
		if (m->did & 1u << part && part != MEND_DROP && part != MEND_LEAKS)
			printf("%s: %s repaired\n", path, mend_part_name(part));
	if (m->dropped)
		printf("%s: %u blocks dropped\n", path, m->dropped);
	if (m->freed)
		printf("%s: %s given back\n", path, human_size(m->freed, size));
	if (saved) {
		printable(saved);
		printf("%s: the old metadata are kept in %s\n", path, saved);
	}
	free(saved);
}

/* What would help, and what only the user may decide. */
static void print_hints(const char *path, const struct checker *k)
{
	const u64 *nr_of = k->f->nr_of;

	if (!k->o->repair && mend_helps(k->c.layer[0], k->f, k->o))
		printf("%s: 'vhdctl check --repair' mends it, or a part of it\n", path);
	if (nr_of[VHD_FAULT_BAT_RANGE])
		printf("%s: 'vhdctl check --repair --drop bad' gives up what is out of range\n",
		       path);
	if (nr_of[VHD_FAULT_BAT_OVERLAP])
		printf("%s: 'vhdctl check --repair --drop N' gives up block N for another\n",
		       path);
}

static void print_text(const struct checker *k)
{
	const struct image *img = k->c.layer[0];
	char size[32], *path = strdup(img->path);
	unsigned int i;

	if (!path)
		return;
	printable(path);
	for (i = 0; i < k->f->nr; i++)
		print_finding(path, &k->f->v[i]);
	if (k->f->total > k->f->nr)
		printf("%s: and %llu more\n", path, k->f->total - k->f->nr);
	if (k->f->leaked)
		printf("%s: %s used by nothing\n", path, human_size(k->f->leaked, size));
	print_repair(path, &k->m);
	if (k->azure)
		printf("%s: not fit for Azure: %s\n", path, k->azure);
	print_hints(path, k);
	printf("%s: %s\n", path, result_name(k));
	free(path);
}

/* Azure's rules for uploads: fixed, whole MiB, at least 20 MiB. */
static const char *azure_fault(const struct image *img)
{
	u64 size = img->layout.capacity << VHD_SECTOR_SHIFT;

	if (img->fault)
		return "it is no usable VHD";
	if (img->layout.type != VHD_TYPE_FIXED)
		return "it is not fixed";
	if (size % (1u << 20))
		return "its size is not a whole number of MiB";
	if (size < 20u << 20)
		return "it is smaller than 20 MiB";
	if (memcmp(img->footer.creator_os, "Wi2k", 4))
		return "its creator system is not Wi2k";
	return NULL;
}

/* A footer copy may be forged by a guest: it does not lead to host files. */
static void verify_parent(struct checker *k)
{
	const struct image *img = k->c.layer[0];

	if (img->fault || img->layout.type != VHD_TYPE_DIFFERENCING)
		return;
	/* First things first: what it says of its parent may be wrong too. */
	if (k->f->worst > VHD_SEV_NOTE && !k->o->repair)
		return;
	if (img->choice.place == VHD_FOOTER_COPY && !k->o->nr_parents)
		return;
	k->parent_exit = search_parent(&k->c, k->o);
	if (!k->parent_exit)
		chain_warn_times(&k->c);
}

static int repair(struct checker *k, struct image *img)
{
	int ret;

	k->m = (struct mend){ .o = k->o, .img = img, .f = k->f };
	ret = mend_all(&k->m);
	if (ret && k->m.saved)
		msg_warning("%s: the old metadata are kept in %s", img->path, k->m.saved);
	return ret;
}

static int examine(struct checker *k)
{
	struct image_how how = { .write = k->o->repair, .named = true, .beneath = -1 };
	struct image *img = calloc(1, sizeof(*img));
	int ret;

	if (!img)
		return VHDCTL_ERROR;
	k->c.layer[k->c.nr++] = img;
	ret = image_open(img, k->o->args[0], &how);
	if (!ret)
		ret = image_lock(img, k->o->repair);
	if (!ret)
		ret = findings_collect(k->f, img, k->o->size_rule);
	if (!ret && k->o->repair)
		ret = repair(k, img);
	if (ret)
		return ret == -ECANCELED ? VHDCTL_ERROR : image_report(img, 0, ret);
	verify_parent(k);
	if (k->o->azure)
		k->azure = azure_fault(img);
	return VHDCTL_OK;
}

static int final_exit(const struct checker *k)
{
	int ret = own_exit(k);

	if (ret == VHDCTL_OK || ret == VHDCTL_LEAKS)
		ret = k->parent_exit ? k->parent_exit : ret;
	if (ret == VHDCTL_OK && k->azure)
		ret = VHDCTL_UNSUPPORTED;
	return ret;
}

/**
 * check_main() - check an image
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int check_main(const struct options *o)
{
	struct checker k = { .o = o };
	int ret = VHDCTL_ERROR;

	if (!o->repair && (o->nr_drops || o->backup || o->no_backup)) {
		msg_error("check: --drop and --backup go with --repair");
		return VHDCTL_ERROR;
	}
	if (o->restore && o->repair) {
		msg_error("check: --repair or --restore?");
		return VHDCTL_ERROR;
	}
	if (o->restore)
		return restore_main(o);
	k.f = calloc(1, sizeof(*k.f));
	if (k.f)
		ret = examine(&k);
	if (k.f && !ret) {
		if (o->json)
			print_json(&k);
		else
			print_text(&k);
		ret = final_exit(&k);
	}
	chain_close(&k.c);
	free(k.m.saved);
	free(k.f);
	return ret;
}
