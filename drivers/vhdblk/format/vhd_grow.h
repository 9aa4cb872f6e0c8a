/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The plan that changes the size of an image: see grow.c. The driver has no use for it.
 */
#ifndef _VHD_GROW_H
#define _VHD_GROW_H

#include "vhd_format.h"

/**
 * struct vhd_size_change - what it takes to change the size; in sectors
 * @shrink:	the disk gets smaller
 * @footer_sect: the footer at the end
 * @tail:	of the last block's data what the disk has not had yet
 * @table:	where the part of the BAT goes that changes: entries that the old
 *		size does not need, or all of it at a place that nothing uses
 * @table_first: where @table begins in the new BAT
 * @header_sect: the header's place if that changes, else 0
 * @old_table:	the BAT that the new header does not name any more
 * @dropped:	BAT entries of blocks that the new size does not need
 * @nr_dropped:	how many
 * @slot_sects:	a block with its bitmap
 *
 * Parts of 0 sectors do not change.
 */
struct vhd_size_change {
	bool shrink;
	u64 footer_sect;
	struct vhd_extent tail;
	struct vhd_extent table;
	u32 table_first;
	u64 header_sect;
	struct vhd_extent old_table;
	const u32 *dropped;
	u32 nr_dropped;
	u32 slot_sects;
};

/* A plan like &struct vhd_plan, for the offline commands. */
struct vhd_resize {
	const struct vhd_size_change *change;
	u32 phase;
	u32 pos;
	bool dirty;
};

void vhd_resize_init(struct vhd_resize *p, const struct vhd_size_change *change);
bool vhd_resize_next(struct vhd_resize *p, struct vhd_step *step);

#endif /* _VHD_GROW_H */
