// SPDX-License-Identifier: GPL-2.0
/* vhdctl check: look for faults in an image, and mend its footers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "findings.h"
#include "print.h"

struct checker {
	const struct options *o;
	struct chain c;		/* the image, then its parent if there is one */
	struct findings *f;
	bool repaired;
	const char *azure;	/* why Azure would not take it */
	int parent_exit;	/* exit code of the search for the parent */
};

static const char *severity_name(enum vhd_severity severity)
{
	static const char * const names[] = {
		[VHD_SEV_NONE] = "none", [VHD_SEV_NOTE] = "note",
		[VHD_SEV_REPAIRABLE] = "repairable", [VHD_SEV_BLOCK] = "block",
		[VHD_SEV_FATAL] = "fatal",
	};

	return (unsigned int)severity < ARRAY_SIZE(names) ? names[severity] : "fatal";
}

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
	char label[64];

	snprintf(label, sizeof(label), "%s", vhd_fault_name(f->fault));
	out_begin(o, NULL, NULL);
	out_string(o, "fault", NULL, vhd_fault_name(f->fault));
	out_string(o, "text", NULL, vhd_fault_str(f->fault));
	out_string(o, "severity", NULL, severity_name(vhd_fault_severity(f->fault)));
	if (f->block != NO_BLOCK)
		out_number(o, "block", NULL, f->block);
	out_end(o);
}

static void print_json(const struct checker *k)
{
	struct out o = { .json = true };
	unsigned int i;

	out_begin(&o, NULL, NULL);
	out_string(&o, "file", NULL, k->c.layer[0]->path);
	out_string(&o, "result", NULL, result_name(k));
	out_begin_array(&o, "faults", NULL);
	for (i = 0; i < k->f->nr; i++)
		show_finding(&o, &k->f->v[i]);
	out_end_array(&o);
	out_number(&o, "faults_total", NULL, k->f->total);
	out_number(&o, "leaked_bytes", NULL, k->f->leaked);
	out_bool(&o, "repaired", NULL, k->repaired);
	if (k->o->azure)
		out_string(&o, "azure", NULL, k->azure);
	out_end(&o);
}

static void print_finding(const char *path, const struct finding *f)
{
	enum vhd_severity severity = vhd_fault_severity(f->fault);

	printf("%s: ", path);
	if (f->block != NO_BLOCK)
		printf("block %u: ", f->block);
	printf("%s [%s, %s]\n", vhd_fault_str(f->fault), vhd_fault_name(f->fault),
	       severity_name(severity));
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
	if (k->repaired)
		printf("%s: footers repaired\n", path);
	if (k->azure)
		printf("%s: not fit for Azure: %s\n", path, k->azure);
	if (repair_wanted(k->f, img))
		printf("%s: 'vhdctl check --repair' mends the footers\n", path);
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

/* Two rounds: a missing footer first, then one that lies on a block. */
static int repair(struct checker *k, struct image *img)
{
	int round, ret = 0;

	for (round = 0; !ret && round < 2 && repair_wanted(k->f, img); round++) {
		ret = repair_footers(img, k->f);
		if (!ret)
			ret = image_refresh_size(img);
		if (!ret)
			ret = findings_collect(k->f, img, k->o->size_rule);
		k->repaired = !ret;
	}
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
		return image_report(img, 0, ret);
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
	free(k.f);
	return ret;
}
