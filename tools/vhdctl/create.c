// SPDX-License-Identifier: GPL-2.0
/* vhdctl create: a new fixed, dynamic or differencing image. */
#include <string.h>

#include "build.h"

static int create_child(const struct options *o)
{
	/* The first --parent is the one meant; the others are for its own chain. */
	struct options rest = *o;
	struct chain parents = { .nr = 0 };
	struct new_image n = {
		.path = o->args[0],
		.size = o->size,
		.block_size = o->block_size,
		.replace = o->force,
	};
	int ret;

	if (o->type) {
		msg_error("create: a child of a parent is differencing; leave out --type");
		return VHDCTL_ERROR;
	}
	rest.parents++;
	rest.nr_parents--;
	ret = child_build(&n, &parents, &rest, o->parents[0]);
	chain_close(&parents);
	return ret;
}

static int create_base(const struct options *o)
{
	bool fixed = o->type && !strcmp(o->type, "fixed");
	struct new_image n = {
		.path = o->args[0],
		.type = fixed ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC,
		.size = o->size,
		.block_size = o->block_size ? o->block_size : VHD_BLOCK_SIZE_DEFAULT,
		.replace = o->force,
	};

	if (!o->size) {
		msg_error("create: which size? give it with -s, for example -s 10G");
		return VHDCTL_ERROR;
	}
	if (fixed && o->block_size) {
		msg_error("create: a fixed image has no blocks; leave out --block-size");
		return VHDCTL_ERROR;
	}
	return image_build(&n);
}

/**
 * create_main() - make a new image
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int create_main(const struct options *o)
{
	return o->nr_parents ? create_child(o) : create_base(o);
}
