// SPDX-License-Identifier: GPL-2.0
/* A chain of image files, opened and locked leaf first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"

/**
 * chain_add() - append a file
 * @c:		the chain
 * @img:	allocated; belongs to the chain afterwards
 *
 * Return: VHDCTL_OK; VHDCTL_UNSUPPORTED after a message if there are too many.
 */
int chain_add(struct chain *c, struct image *img)
{
	if (c->nr < ARRAY_SIZE(c->layer)) {
		c->layer[c->nr++] = img;
		return VHDCTL_OK;
	}
	msg_error("%s: %s", c->layer[0]->path, vhd_fault_str(VHD_FAULT_TOO_DEEP));
	image_close(img);
	free(img);
	return VHDCTL_UNSUPPORTED;
}

/**
 * chain_has() - is a file already part of the chain
 * @c:		the chain
 * @img:	an open file
 */
bool chain_has(const struct chain *c, const struct image *img)
{
	unsigned int i;

	for (i = 0; i < c->nr; i++)
		if (image_same_file(c->layer[i], img))
			return true;
	return false;
}

/**
 * chain_open_leaf() - start a chain: open, lock and load its leaf
 * @c:		empty chain
 * @path:	the file
 * @o:		size rule
 * @write:	open for writing and lock exclusively
 *
 * Return: 0, or a negative errno; c->layer[0] is there in any case but
 * -ENOMEM, for image_report().
 */
int chain_open_leaf(struct chain *c, const char *path, const struct options *o, bool write)
{
	struct image_how how = { .write = write, .named = true, .beneath = -1 };
	struct image *img = calloc(1, sizeof(*img));
	int ret;

	if (!img)
		return -ENOMEM;
	c->layer[0] = img;
	c->nr = 1;
	ret = image_open(img, path, &how);
	if (!ret)
		ret = image_lock(img, write);
	if (!ret)
		ret = image_load(img, o->size_rule);
	return ret;
}

/**
 * chain_resolve() - find all parents of the leaf
 * @c:		chain with its leaf
 * @o:		says where parents may be, and how many files a chain may have
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int chain_resolve(struct chain *c, const struct options *o)
{
	const struct image *last;
	int ret = VHDCTL_OK;

	while (!ret) {
		last = c->layer[c->nr - 1];
		if (last->raw || last->layout.type != VHD_TYPE_DIFFERENCING)
			return VHDCTL_OK;
		if (c->nr >= o->max_depth) {
			msg_error("%s: %s (limit %u)", c->layer[0]->path,
				  vhd_fault_str(VHD_FAULT_TOO_DEEP), o->max_depth);
			return VHDCTL_UNSUPPORTED;
		}
		ret = search_parent(c, o);
	}
	return ret;
}

/**
 * chain_open() - open a leaf and all its parents
 * @c:		empty chain
 * @path:	leaf
 * @o:		see chain_resolve()
 * @write:	the leaf for writing
 *
 * Return: VHDCTL_OK, or another exit code after a message; chain_close() in
 * both cases.
 */
int chain_open(struct chain *c, const char *path, const struct options *o, bool write)
{
	int ret = chain_open_leaf(c, path, o, write);

	if (ret && !c->nr) {
		msg_error("%s: %s", path, strerror(-ret));
		return VHDCTL_ERROR;
	}
	if (ret)
		return image_report(c->layer[0], 0, ret);
	return chain_resolve(c, o);
}

/**
 * chain_load_bats() - read the BATs of all files
 * @c:		complete chain
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int chain_load_bats(struct chain *c)
{
	unsigned int i;
	int ret;

	for (i = 0; i < c->nr; i++) {
		ret = image_load_bat(c->layer[i], NULL, NULL);
		if (ret)
			return image_report(c->layer[i], i, ret);
	}
	return VHDCTL_OK;
}

/**
 * chain_warn_times() - warn of parents changed after their children were made
 * @c:		complete chain
 */
void chain_warn_times(const struct chain *c)
{
	unsigned int i;

	for (i = 0; i + 1 < c->nr; i++) {
		const struct image *child = c->layer[i], *parent = c->layer[i + 1];

		if (!parent->block_device &&
		    vhd_link_time_differs(&child->header, parent->mtime))
			msg_warning("%s (layer %u): its time stamp is not the one that %s remembers; was it changed or copied?",
				    parent->path, i + 1, child->path);
	}
}

/**
 * chain_close() - close all files, which drops their locks
 * @c:		any chain, empty afterwards
 */
void chain_close(struct chain *c)
{
	while (c->nr) {
		struct image *img = c->layer[--c->nr];

		image_close(img);
		free(img);
	}
}
