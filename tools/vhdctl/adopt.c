// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl merge --relink: children of the files that are merged get the result as their
 * parent. Of the first file that is right for each of them, as the result shows the same
 * disk. Others take it if their disk stays the same: where what they read from their
 * parent differs from that, they must have data of their own.
 */
#include <stdlib.h>

#include "edit.h"
#include "merge.h"
#include "relink.h"

/* This command has locked these itself, so nobody else is to blame. */
static int refuse_known(const struct adopt *a, const char *path)
{
	struct image_how how = { .named = true, .beneath = -1 };
	struct image img;
	int ret = image_open(&img, path, &how);

	if (ret) {
		ret = image_report(&img, 0, ret);
	} else if (chain_has(a->c, &img)) {
		msg_error("%s: is itself one of the chain, so it is no child to relink", path);
		ret = VHDCTL_NO_PARENT;
	} else if (adopt_has(a, img.dev, img.ino)) {
		msg_error("%s: was named twice", path);
		ret = VHDCTL_ERROR;
	}
	image_close(&img);
	return ret;
}

/* A footer that an interrupted run has left must be mended before its locators count. */
static int open_child(struct chain *kin, const char *path, const struct options *o)
{
	int ret;

	if (!o->dry_run)
		return edit_open(kin, path, o->size_rule);
	ret = chain_open_leaf(kin, path, o, false);
	if (ret)
		return kin->nr ? image_report(kin->layer[0], 0, ret) : VHDCTL_ERROR;
	return merge_check_sound(kin->layer[0], 0, o->size_rule);
}

static int lock_child(struct image *img, bool write)
{
	int ret = image_lock(img, write);

	return ret ? image_report(img, 0, ret) : VHDCTL_OK;
}

static bool is_layer(const struct adopt *a, const struct image *parent, unsigned int *layer)
{
	if (a->made && image_same_file(parent, a->made)) {
		*layer = 0;
		return true;
	}
	for (*layer = 0; *layer <= a->n; (*layer)++)
		if (image_same_file(parent, a->c->layer[*layer]))
			return true;
	return false;
}

/* Its own word counts: what is said of the chain must not make it another's child. */
static int find_layer(const struct adopt *a, struct adopted *one)
{
	bool child = one->img->layout.type == VHD_TYPE_DIFFERENCING;
	struct chain kin = { .layer = { one->img }, .nr = 1 };
	struct options o = *a->o;
	int ret = VHDCTL_OK;

	o.ignore_id_mismatch = false;
	if (child)
		ret = search_parent(&kin, &o);
	if (!ret && (!child || !is_layer(a, kin.layer[1], &one->layer))) {
		msg_error("%s: is no child of a file that is merged, so it would show another disk",
			  one->img->path);
		ret = VHDCTL_NO_PARENT;
	}
	kin.layer[0] = kin.layer[kin.nr - 1];
	kin.nr--;
	chain_close(&kin);
	return ret;
}

static int add_child(struct adopt *a, const char *path)
{
	struct chain kin = { .nr = 0 };
	int ret = refuse_known(a, path);

	if (!ret)
		ret = open_child(&kin, path, a->o);
	if (ret)
		chain_close(&kin);
	else
		a->v[a->nr++].img = kin.layer[0];
	return ret;
}

/* Of one that is another's parent, the search must be able to say so. */
static int find_layers(struct adopt *a)
{
	unsigned int i;
	int ret = VHDCTL_OK;

	for (i = 0; !ret && i < a->nr; i++)
		ret = lock_child(a->v[i].img, false);
	for (i = 0; !ret && i < a->nr; i++)
		ret = find_layer(a, &a->v[i]);
	for (i = 0; !ret && !a->o->dry_run && i < a->nr; i++)
		ret = lock_child(a->v[i].img, true);
	return ret;
}

/**
 * adopt_open() - open and lock the files of --relink
 * @a:	empty but for what the caller says; filled
 *
 * Comes before the file that they shall be children of is locked for writing. They
 * themselves are until the end, so that nobody can use them in between.
 *
 * Return: VHDCTL_OK, or another exit code after a message; adopt_close() in both cases.
 */
int adopt_open(struct adopt *a)
{
	unsigned int i;
	int ret = VHDCTL_OK;

	a->v = calloc(a->o->nr_relinks + 1ULL, sizeof(*a->v));
	if (!a->v) {
		msg_error("out of memory");
		return VHDCTL_ERROR;
	}
	for (i = 0; !ret && i < a->o->nr_relinks; i++)
		ret = add_child(a, a->o->relinks[i]);
	return ret ? ret : find_layers(a);
}

/* Behind the end of the merged disk it sees zeros, and would see what lies there. */
static int check_end(const struct image *child, const struct image *from,
		     const struct image *to)
{
	if (child->layout.capacity <= from->layout.capacity ||
	    to->layout.capacity <= from->layout.capacity)
		return VHDCTL_OK;
	msg_error("%s: is larger than %s, and %s has something else there", child->path,
		  from->path, to->path);
	return VHDCTL_UNSUPPORTED;
}

static int check_disk(const struct adopt *a, const struct adopted *one)
{
	struct image *child = one->img, *from = a->c->layer[0];
	struct chain old = { .nr = 0 };
	u64 end = child->layout.capacity, at = 0;
	unsigned int i;
	int ret;

	if (!one->layer)
		return VHDCTL_OK;
	if (one->layer == a->n && !a->out)
		end = min_t(u64, end, from->layout.capacity);
	for (i = one->layer; i < a->c->nr; i++)
		old.layer[old.nr++] = a->c->layer[i];
	ret = new_parent_compare(child, &old, a->c, end, &at);
	if (ret != VHDCTL_ID_MISMATCH)
		return ret;
	msg_error("%s: would show another disk at byte %llu, where %s differs from %s",
		  child->path, at, from->path, old.layer[0]->path);
	msg_hint("nothing was changed; make it independent first with 'vhdctl convert'");
	return VHDCTL_BUSY;
}

/**
 * adopt_check() - do they show the same disk afterwards
 * @a:	from adopt_open(), and its chain after chain_load_bats()
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int adopt_check(struct adopt *a)
{
	const struct image *to = a->c->layer[a->n];
	unsigned int i;
	int ret = VHDCTL_OK;

	if (a->nr && !a->out)
		ret = new_parent_has_id(to);
	for (i = 0; !ret && i < a->nr; i++) {
		const struct adopted *one = &a->v[i];

		if (!a->out && one->layer != a->n)
			ret = check_end(one->img, a->c->layer[0], to);
		if (!ret)
			ret = check_disk(a, one);
	}
	return ret;
}

/**
 * adopt_has() - was a file named with --relink
 * @a:		from adopt_open()
 * @dev:	of it
 * @ino:	of it
 */
bool adopt_has(const struct adopt *a, dev_t dev, ino_t ino)
{
	unsigned int i;

	for (i = 0; i < a->nr; i++)
		if (a->v[i].img->dev == dev && a->v[i].img->ino == ino)
			return true;
	return false;
}

/**
 * adopt_all() - give them their new parent
 * @a:		after adopt_check()
 * @parent:	durable, and locked
 *
 * Return: VHDCTL_OK when that is durable, or another exit code after a message.
 */
int adopt_all(struct adopt *a, struct image *parent)
{
	unsigned int i;
	int ret = image_refresh_size(parent);

	if (ret)
		return image_report(parent, a->n, ret);
	for (i = 0; !ret && i < a->nr; i++)
		ret = relink_image(a->v[i].img, parent);
	return ret;
}

/**
 * adopt_close() - drop their locks
 * @a:	any, empty afterwards
 */
void adopt_close(struct adopt *a)
{
	while (a->nr) {
		image_close(a->v[--a->nr].img);
		free(a->v[a->nr].img);
	}
	free(a->v);
	a->v = NULL;
}
