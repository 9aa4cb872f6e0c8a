// SPDX-License-Identifier: GPL-2.0
/*
 * Who else reads through a file that a merge changes. What such a child does not hold
 * itself would be another disk's, without a word; so it is looked for.
 */
#include <stdlib.h>
#include <string.h>

#include "merge.h"
#include "scan.h"

#define NO_LAYER	(~0u)

/**
 * struct children - what is known of the files of some directories
 * @c:	chain of the merge
 * @n:	its layer that changes
 * @kin: those that get another parent
 * @s:	what was found
 */
struct children {
	struct chain *c;
	unsigned int n;
	const struct adopt *kin;
	struct scan s;
};

static unsigned int layer_of(const struct children *k, const struct found *f)
{
	unsigned int i;

	for (i = 0; i < k->c->nr; i++)
		if (!k->c->layer[i]->block_device && k->c->layer[i]->dev == f->dev &&
		    k->c->layer[i]->ino == f->ino)
			return i;
	return NO_LAYER;
}

/* Its parent is not below the directories, so the id is all there is. */
static unsigned int layer_by_id(const struct children *k, const u8 *id)
{
	static const u8 none[16];
	unsigned int i;

	for (i = 0; i < k->c->nr; i++) {
		const struct image *img = k->c->layer[i];

		if (!memcmp(id, img->raw ? none : img->footer.uuid, sizeof(none)))
			return i;
	}
	return NO_LAYER;
}

/* Where several have the id, or another one is in its place, any may be meant. */
static const struct found *parent_found(const struct children *k, const struct found *f)
{
	if (f->parent == NO_PARENT || f->state == LINK_WRONG_ID || f->state == LINK_SEVERAL)
		return NULL;
	return &k->s.v[f->parent];
}

/*
 * The first file of the chain on the way up from @f; its own layer is none. Those that
 * get another parent, and all below them, show the same disk afterwards.
 */
static unsigned int enters_at(const struct children *k, const struct found *f)
{
	const struct found *parent;
	unsigned int layer, steps;

	for (steps = 0; steps <= VHD_MAX_DEPTH && scan_is_child(f); steps++) {
		if (adopt_has(k->kin, f->dev, f->ino))
			return NO_LAYER;
		parent = parent_found(k, f);
		layer = parent ? layer_of(k, parent) : layer_by_id(k, f->header.parent_uuid);
		if (!parent || layer != NO_LAYER)
			return layer;
		f = parent;
	}
	return NO_LAYER;
}

static bool would_change(const struct children *k, const struct found *f)
{
	unsigned int layer = layer_of(k, f) == NO_LAYER ? enters_at(k, f) : NO_LAYER;

	return layer != NO_LAYER && layer > 0 && layer <= k->n;
}

/*
 * Below the first file of the chain all is as before, as it hides what changes; but who
 * has merged it, and the files between, will remove them.
 */
static bool loses_parent(const struct children *k, const struct found *f)
{
	const struct found *parent = parent_found(k, f);

	return layer_of(k, f) == NO_LAYER && enters_at(k, f) < k->n &&
	       (!parent || layer_of(k, parent) != NO_LAYER);
}

/* A child whose header is damaged may be mended one day, and then reads something else. */
static const char *why_unknown(const struct found *f)
{
	if (f->state == LINK_DAMAGED && f->type == VHD_TYPE_DIFFERENCING)
		return vhd_fault_str(f->fault);
	return f->state == LINK_UNREADABLE ? f->why : NULL;
}

static int find_children(struct children *k, const struct options *o)
{
	const char *why;
	unsigned int i;
	int ret = VHDCTL_OK;

	for (i = 0; !ret && i < o->nr_scan_dirs; i++)
		ret = scan_directory(&k->s, o->scan_dirs[i], o->size_rule);
	if (!ret)
		ret = scan_link(&k->s);
	for (i = 0; !ret && i < k->s.nr; i++) {
		why = layer_of(k, &k->s.v[i]) == NO_LAYER ? why_unknown(&k->s.v[i]) : NULL;
		if (!why)
			continue;
		msg_error("%s: %s", k->s.v[i].path, why);
		k->s.failed = true;
	}
	if (ret || !k->s.failed)
		return ret;
	msg_hint("nobody knows whose child it is, so nothing was changed");
	return VHDCTL_ERROR;
}

/* A merge that has been made already changes nothing any more. */
static int is_done(const struct children *k, bool *done)
{
	struct absorb *a = calloc(1, sizeof(*a));
	int ret;

	if (!a) {
		msg_error("out of memory");
		return VHDCTL_ERROR;
	}
	*a = (struct absorb){ .c = k->c, .n = k->n, .dry = true, .once = true };
	ret = absorb(a);
	*done = !a->differs;
	free(a);
	return ret;
}

static int refuse_changes(const struct children *k)
{
	unsigned int i;

	for (i = 0; i < k->s.nr; i++)
		if (would_change(k, &k->s.v[i]))
			msg_error("%s: reads through %s too, and would show another disk",
				  k->s.v[i].path, k->c->layer[k->n]->path);
	msg_hint("nothing was changed; merge into a new file with --out, or make these");
	msg_hint("independent first with 'vhdctl convert'");
	return VHDCTL_BUSY;
}

static int refuse_orphans(const struct children *k)
{
	unsigned int i, nr = 0;

	for (i = 0; i < k->s.nr; i++) {
		if (!loses_parent(k, &k->s.v[i]))
			continue;
		msg_error("%s: is a child of a file that is merged", k->s.v[i].path);
		nr++;
	}
	if (!nr)
		return VHDCTL_OK;
	msg_hint("nothing was changed; name it with --relink to make it a child of %s",
		 k->c->layer[k->n]->path);
	return VHDCTL_BUSY;
}

/**
 * children_check() - refuse a merge that would change other disks, or take their parent
 * @kin:	the merge, after chain_load_bats(), and who gets another parent
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int children_check(const struct adopt *kin)
{
	struct children k = { .c = kin->c, .n = kin->n, .kin = kin };
	int ret = find_children(&k, kin->o);
	bool done = true;
	unsigned int i;

	for (i = 0; !ret && done && i < k.s.nr; i++)
		if (would_change(&k, &k.s.v[i])) {
			ret = is_done(&k, &done);
			break;
		}
	if (!ret)
		ret = done ? refuse_orphans(&k) : refuse_changes(&k);
	scan_free(&k.s);
	return ret;
}
