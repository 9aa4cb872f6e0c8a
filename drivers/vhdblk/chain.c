// SPDX-License-Identifier: GPL-2.0
/*
 * The files of one disk, leaf first, and whether each child really names the
 * file behind it. Paths are user space's business; every link is checked here
 * again, on what this module has read itself.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "chain.h"
#include "registry.h"

static enum vhd_fault check_raw_link(const struct vhd_layer *child, bool ignore_id)
{
	if (vhd_link_is_raw(&child->footer, child->header) || ignore_id)
		return VHD_OK;
	return VHD_FAULT_PARENT_ID;
}

static enum vhd_fault check_link(const struct vhd_layer *child, const struct vhd_layer *parent,
				 bool ignore_id)
{
	enum vhd_fault fault;

	if (child->raw || child->layout.type != VHD_TYPE_DIFFERENCING)
		return VHD_FAULT_NOT_DIFFERENCING;
	if (parent->raw)
		return check_raw_link(child, ignore_id);
	if (vhd_link_is_raw(&child->footer, child->header))
		return ignore_id ? VHD_OK : VHD_FAULT_RAW_PARENT;
	fault = vhd_link_check(&child->footer, child->header, &parent->footer);
	return fault == VHD_FAULT_PARENT_ID && ignore_id ? VHD_OK : fault;
}

/* Errors of a link are those of the child: its header is what is wrong. */
static int check_links(struct vhd_chain *c, bool ignore_id, struct vhd_error *error)
{
	struct vhd_layer *base = &c->layer[c->depth - 1];
	enum vhd_fault fault;
	u32 i;

	for (i = 0; i + 1 < c->depth; i++) {
		error->layer = i;
		fault = check_link(&c->layer[i], &c->layer[i + 1], ignore_id);
		if (fault)
			return vhd_error_fault(error, fault);
	}
	error->layer = i;
	if (base->raw && c->depth == 1)
		return vhd_error_fault(error, VHD_FAULT_NO_FOOTER);
	if (!base->raw && base->layout.type == VHD_TYPE_DIFFERENCING)
		return vhd_error_fault(error, VHD_FAULT_NO_PARENT);
	return 0;
}

static bool seen_before(const struct vhd_layer_spec *spec, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (file_inode(spec[i].file) == file_inode(spec[nr].file))
			return true;
	return false;
}

static int open_layer(struct vhd_chain *c, const struct vhd_layer_spec *spec, u32 i,
		      const struct vhd_open_args *args, struct vhd_error *error)
{
	struct vhd_open_args mine = *args;
	int ret;

	error->layer = i;
	if (i) {
		/* Any other size of a parent is what the child does with it. */
		mine.write = false;
		mine.size_rule = VHD_SIZE_AUTO;
	}
	if (seen_before(spec, i))
		return vhd_error_fault(error, VHD_FAULT_CYCLE);
	c->layer[i].id = i + 1;
	ret = vhd_layer_open(&c->layer[i], &spec[i], &mine, error);
	if (ret)
		return ret;
	c->depth = i + 1;
	c->level = max(c->level, vhd_registry_level(&c->layer[i].f));
	return 0;
}

/**
 * vhd_chain_open() - open the files of a disk and check every link
 * @spec: one for each file, leaf first
 * @depth: how many
 * @args: how
 * @error: says which layer failed and why
 *
 * Context: sleeps, for as long as the slowest file takes.
 * Return: the chain, or an ERR_PTR with the errno of @error.
 */
struct vhd_chain *vhd_chain_open(const struct vhd_layer_spec *spec, u32 depth,
				 const struct vhd_open_args *args,
				 struct vhd_error *error)
{
	struct vhd_chain *c;
	int ret = 0;
	u32 i;

	memset(error, 0, sizeof(*error));
	if (!depth)
		return ERR_PTR(vhd_error_errno(error, -EINVAL, "no file was given"));
	if (depth > VHD_MAX_DEPTH)
		return ERR_PTR(vhd_error_fault(error, VHD_FAULT_TOO_DEEP));
	c = kvzalloc(struct_size(c, layer, depth), GFP_KERNEL);
	if (!c)
		return ERR_PTR(vhd_error_errno(error, -ENOMEM, NULL));
	for (i = 0; i < depth && !ret; i++)
		ret = open_layer(c, spec, i, args, error);
	if (!ret)
		ret = check_links(c, args->ignore_id, error);
	if (!ret) {
		/* Whatever goes wrong from here on is not the last one's fault. */
		error->layer = 0;
		return c;
	}
	vhd_chain_close(c);
	return ERR_PTR(ret);
}

/**
 * vhd_chain_close() - close all files
 * @c: the chain
 *
 * Context: sleeps; no locks held.
 */
void vhd_chain_close(struct vhd_chain *c)
{
	u32 i;

	for (i = 0; i < c->depth; i++)
		vhd_layer_close(&c->layer[i]);
	kvfree(c);
}

/**
 * vhd_chain_memory() - bytes that the BATs of a chain occupy
 * @c: the chain
 */
u64 vhd_chain_memory(const struct vhd_chain *c)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < c->depth; i++)
		sum += vhd_layer_memory(&c->layer[i]);
	return sum;
}
