// SPDX-License-Identifier: GPL-2.0
/*
 * May a file become the parent of a child? It may if it has the unique id that the child
 * names: then it is the parent, at another place. Else it must hold the same as the parent
 * does wherever that shows through the child, as after a merge of the file between them.
 */
#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

#include "differ.h"
#include "relink.h"

static int refuse_cycle(const struct chain *parents, const struct options *o)
{
	struct image_how how = { .named = true, .beneath = -1 };
	struct image child;
	int ret = image_open(&child, o->args[0], &how);

	if (ret) {
		ret = image_report(&child, 0, ret);
	} else if (chain_has(parents, &child)) {
		msg_error("%s: %s", o->parents[0], vhd_fault_str(VHD_FAULT_CYCLE));
		msg_hint("%s is itself below it, or is the same file", o->args[0]);
		ret = exit_of_fault(VHD_FAULT_CYCLE);
	}
	image_close(&child);
	return ret;
}

/* The first of the files that were named is the new parent; the others are for chains. */
static struct options for_chains(const struct options *o)
{
	struct options rest = *o;

	rest.parents++;
	rest.nr_parents--;
	rest.ignore_id_mismatch = false;
	return rest;
}

/**
 * new_parent_has_id() - can children name it
 * @parent:	loaded
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int new_parent_has_id(const struct image *parent)
{
	if (!uuid_is_null(parent->footer.uuid))
		return VHDCTL_OK;
	msg_error("%s: has no unique id, so no child can name it", parent->path);
	return VHDCTL_UNSUPPORTED;
}

/**
 * new_parent_open() - open and lock the new parent, and its parents
 * @parents:	empty; filled, to be closed in any case
 * @o:		the first of its parents, of the file that will be its child
 *
 * Comes before the child is locked, which could be one of them.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int new_parent_open(struct chain *parents, const struct options *o)
{
	struct options rest = for_chains(o);
	int ret = chain_open(parents, o->parents[0], &rest, false);

	if (!ret)
		ret = refuse_cycle(parents, o);
	return ret ? ret : new_parent_has_id(parents->layer[0]);
}

struct comparison {
	struct chain child;
	u64 at;			/* sector where what shows through differs */
};

/* What the child itself holds hides the difference. */
static int shows_through(void *ctx, const struct diff_run *run)
{
	struct comparison *k = ctx;
	u64 pos = run->start, end = run->start + run->sects;
	struct owner_run own;
	int ret;

	for (; pos < end; pos += own.sects) {
		ret = walk_step(&k->child, pos, end, &own);
		if (ret)
			return ret;
		if (own.answer == VHD_DATA)
			continue;
		k->at = pos;
		return VHDCTL_ID_MISMATCH;
	}
	return VHDCTL_OK;
}

/**
 * new_parent_compare() - do two parents hold the same wherever that shows through
 * @child:	after image_load_bat()
 * @old:	chain of one, after chain_load_bats()
 * @parents:	of the other, too
 * @end:	virtual sector to stop before
 * @at:		result: first byte that differs
 *
 * Return: VHDCTL_OK; VHDCTL_ID_MISMATCH if they differ; or another exit code after a message.
 */
int new_parent_compare(struct image *child, struct chain *old, struct chain *parents, u64 end,
		       u64 *at)
{
	struct comparison k = { .child = { .layer = { child }, .nr = 1 } };
	int ret = diff_disks(old, parents, end, shows_through, &k, false);

	*at = k.at << VHD_SECTOR_SHIFT;
	return ret;
}

static int hint_insist(const struct image *img, int ret)
{
	msg_hint("if you know that it holds what %s was made for: --ignore-id-mismatch",
		 img->path);
	return ret;
}

static int compare(struct chain *c, struct chain *parents)
{
	struct image *img = c->layer[0];
	struct chain old = { .nr = c->nr - 1 };
	u64 at = 0;
	int ret;

	memcpy(old.layer, c->layer + 1, old.nr * sizeof(*old.layer));
	ret = chain_load_bats(parents);
	if (!ret)
		ret = chain_load_bats(&old);
	if (!ret)
		ret = new_parent_compare(img, &old, parents, img->layout.capacity, &at);
	if (ret != VHDCTL_ID_MISMATCH)
		return ret;
	msg_error("%s: differs from %s, the parent of %s, at byte %llu of the disk",
		  parents->layer[0]->path, old.layer[0]->path, img->path, at);
	return hint_insist(img, ret);
}

/* The parent that it has now, to compare with. */
static int compare_with_old(struct chain *c, struct chain *parents, const struct options *o)
{
	struct options rest = for_chains(o);
	int ret = chain_resolve(c, &rest);

	if (!ret)
		return compare(c, parents);
	msg_error("%s: %s, and the parent that could be compared with it cannot be opened",
		  parents->layer[0]->path, vhd_fault_str(VHD_FAULT_PARENT_ID));
	return hint_insist(c->layer[0], VHDCTL_ID_MISMATCH);
}

/**
 * new_parent_check() - may a file become the parent
 * @c:		the child, from edit_open(); its present parents are added if they are
 *		needed
 * @parents:	from new_parent_open()
 * @o:		command line
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int new_parent_check(struct chain *c, struct chain *parents, const struct options *o)
{
	const struct image *img = c->layer[0], *parent = parents->layer[0];

	if (img->layout.type != VHD_TYPE_DIFFERENCING) {
		msg_error("%s: %s", img->path, vhd_fault_str(VHD_FAULT_NOT_DIFFERENCING));
		return VHDCTL_UNSUPPORTED;
	}
	if (parents->nr >= o->max_depth) {
		msg_error("%s: %s (limit %u)", img->path, vhd_fault_str(VHD_FAULT_TOO_DEEP),
			  o->max_depth);
		return VHDCTL_UNSUPPORTED;
	}
	if (o->ignore_id_mismatch ||
	    !memcmp(parent->footer.uuid, img->header.parent_uuid, sizeof(uuid_t)))
		return VHDCTL_OK;
	return compare_with_old(c, parents, o);
}
