// SPDX-License-Identifier: GPL-2.0
/*
 * DISCARD and WRITE_ZEROES. Neither is split at blocks by the block layer, so
 * both walk over the blocks of their range here.
 *
 * Without a parent a whole block is freed and part of one is punched. With a
 * parent nothing may be freed: the parent's data would come back. There
 * WRITE_ZEROES gives the leaf whatever a parent owns, as zeros; DISCARD punches
 * what the leaf owns and leaves the rest as it is, which a discard may.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/sched.h>

#include "zero.h"

static bool is_discard(struct vhdblk_cmd *cmd)
{
	return req_op(vhdblk_cmd_rq(cmd)) == REQ_OP_DISCARD;
}

static bool may_unmap(struct vhdblk_cmd *cmd)
{
	return !(vhdblk_cmd_rq(cmd)->cmd_flags & REQ_NOUNMAP);
}

static void advance(struct vhdblk_cmd *cmd, u32 sects)
{
	cmd->sector += sects;
	cmd->left -= sects;
}

static int zero_file(struct vhdblk_cmd *cmd, u64 sect, u32 sects)
{
	struct vhd_file *f = &vhd_chain_leaf(cmd->q->chain)->f;
	u64 pos = sect << VHD_SECTOR_SHIFT, len = (u64)sects << VHD_SECTOR_SHIFT;

	if (!is_discard(cmd))
		return vhd_io_zero(f, pos, len, may_unmap(cmd));
	vhd_io_discard(f, pos, len);
	return 0;
}

/* Does the rest of the command cover all of the block that it stands in? */
static bool covers_block(struct vhdblk_cmd *cmd)
{
	struct vhd_layout *l = &vhd_chain_leaf(cmd->q->chain)->layout;
	u64 first = cmd->place.first;
	u64 sects = min_t(u64, l->block_sects, l->capacity - cmd->sector);

	return !first && cmd->left >= sects;
}

static bool may_free(struct vhdblk_cmd *cmd)
{
	struct vhd_layer *leaf = vhd_chain_leaf(cmd->q->chain);

	/* A stale bit of a batmap would say that all of the block is there. */
	return may_unmap(cmd) && !leaf->batmap && cmd->place.block != leaf->cut_block;
}

/* No parent: nobody's data can come back. */
static int zero_alone(struct vhdblk_cmd *cmd)
{
	struct vhd_place *e = &cmd->place;
	enum vhd_lookup what = vhd_map_write(&cmd->q->map, cmd->sector, cmd->left, e);
	u32 sects = e->sects;
	int ret;

	if (what == VHD_LOOKUP_RESOLVE)
		return vhdblk_cmd_prepare(cmd, what);
	if (what != VHD_LOOKUP_OK) {
		/* Not there, or cut off: reads as zeros already. */
		sects = vhd_chain_leaf(cmd->q->chain)->layout.block_sects - e->first;
		advance(cmd, min(sects, cmd->left));
		return 0;
	}
	ret = zero_file(cmd, e->sect, sects);
	vhdblk_cmd_wrote(cmd, e, 0);
	if (!ret && covers_block(cmd) && may_free(cmd))
		ret = vhdblk_cmd_allocator(cmd, vhd_alloc_free_block, e->block);
	if (!ret)
		advance(cmd, sects);
	return ret;
}

/* Sectors of which a parent says something else than zero. */
static int take_over(struct vhdblk_cmd *cmd, u32 sects)
{
	struct vhd_place *e = &cmd->place;
	enum vhd_lookup what = vhd_map_write(&cmd->q->map, cmd->sector, sects, e);
	int ret;

	if (what != VHD_LOOKUP_OK)
		return vhdblk_cmd_prepare(cmd, what);
	sects = e->sects;
	ret = zero_file(cmd, e->sect, sects);
	cmd->commit |= !ret && (vhdblk_cmd_rq(cmd)->cmd_flags & REQ_FUA);
	vhdblk_cmd_wrote(cmd, e, ret ? 0 : sects);
	if (!ret)
		advance(cmd, sects);
	return ret;
}

static int zero_child(struct vhdblk_cmd *cmd)
{
	struct vhd_place *e = &cmd->place;
	enum vhd_lookup what = vhd_map_read(&cmd->q->map, cmd->sector, cmd->left, e);
	u32 sects = e->sects;
	int ret = 0;

	if (what != VHD_LOOKUP_OK)
		return vhdblk_cmd_prepare(cmd, what);
	if (e->layer == vhd_chain_leaf(cmd->q->chain)->id)
		ret = zero_file(cmd, e->sect, sects);
	else if (e->layer && !is_discard(cmd))
		return take_over(cmd, sects);
	if (!ret)
		advance(cmd, sects);
	return ret;
}

static int zero_fixed(struct vhdblk_cmd *cmd)
{
	int ret = zero_file(cmd, cmd->sector, cmd->left);

	if (!ret)
		advance(cmd, cmd->left);
	return ret;
}

static int zero_next(struct vhdblk_cmd *cmd)
{
	if (!cmd->q->map.nr_blocks)
		return zero_fixed(cmd);
	return cmd->q->chain->depth > 1 ? zero_child(cmd) : zero_alone(cmd);
}

/**
 * vhdblk_zero() - serve DISCARD or WRITE_ZEROES
 * @cmd: command; goes on where it stopped when it was parked
 *
 * Context: slow work.
 */
void vhdblk_zero(struct vhdblk_cmd *cmd)
{
	int ret = 0;

	if (vhdblk_cmd_rq(cmd)->cmd_flags & REQ_FUA)
		cmd->commit = true;
	while (cmd->left && !ret) {
		ret = zero_next(cmd);
		/* As for reads and writes: not the end of it. */
		if (ret == -ENOMEM) {
			msleep(20);
			ret = 0;
		}
		cond_resched();
	}
	if (ret != -EINPROGRESS)
		vhdblk_cmd_finish(cmd, ret);
}
