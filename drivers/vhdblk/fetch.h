/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_FETCH_H
#define _VHD_FETCH_H

#include <linux/atomic.h>
#include <linux/completion.h>

#include "chain.h"

struct vhd_fetch_span;
struct vhd_fetch_read;

/* Of one layer: spans that the walk has not passed yet. */
struct vhd_fetch_range {
	u32 next;
	u32 end;
};

/**
 * struct vhd_fetch - bitmaps of all layers for a stretch of one block of the leaf
 * @chain:	whose
 * @block:	of the leaf
 * @entry:	of that block in the leaf's BAT
 * @room:	length of @bits in sectors, of @span and of @read
 * @kept:	sectors of @bits that hold the leaf's bitmap, for the whole block
 * @used:	sectors of @bits that are planned
 * @bits:	what was read, leaf first
 * @nr_spans:	how many of @span are planned
 * @nr_reads:	how many of @read were started
 * @span:	what to read, or NULL: only count
 * @read:	reads under way
 * @pending:	how many, and one for who starts them
 * @all_read:	none is left
 * @layer:	for each of @chain
 */
struct vhd_fetch {
	struct vhd_chain *chain;
	u32 block;
	u32 entry;
	u32 room;
	u32 kept;
	u32 used;
	u8 *bits;
	u32 nr_spans;
	u32 nr_reads;
	struct vhd_fetch_span *span;
	struct vhd_fetch_read *read;
	atomic_t pending;
	struct completion all_read;
	struct vhd_fetch_range layer[];
};

struct vhd_fetch *vhd_fetch_alloc(struct vhd_chain *c, u32 room, gfp_t gfp);
void vhd_fetch_free(struct vhd_fetch *f);
size_t vhd_fetch_bytes(const struct vhd_fetch *f);
u32 vhd_fetch_room(struct vhd_chain *c, u32 block, u32 entry);
void vhd_fetch_begin(struct vhd_fetch *f, u32 block, u32 entry);
u64 vhd_fetch_window(struct vhd_fetch *f, u64 sector, u64 nr);
int vhd_fetch_read(struct vhd_fetch *f);
int vhd_fetch_bitmap(struct vhd_fetch *f, struct vhd_layer *l, u32 block, const u8 **bitmap);

/* Enough for any block, window by window. */
static inline u32 vhd_fetch_min_room(struct vhd_chain *c)
{
	return vhd_chain_leaf(c)->layout.bitmap_sects + c->depth - 1;
}

#endif /* _VHD_FETCH_H */
