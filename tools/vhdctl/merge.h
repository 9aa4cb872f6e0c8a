/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of "vhdctl merge". */
#ifndef VHDCTL_MERGE_H
#define VHDCTL_MERGE_H

#include "chain.h"
#include "convert.h"

/* Blocks that change behind one pair of barriers. */
#define ABSORB_BATCH	64u

/**
 * struct absorb - a file of a chain takes over what the files above it hold
 * @c:		the chain, after chain_load_bats()
 * @n:		the layer that takes over; open for writing unless @dry
 * @dry:	only count
 * @once:	stop at the first difference
 * @progress:	say how far it is
 * @differs:	result: something changed, or would
 * @written:	result: bytes of the disk for which that is so
 * @new_blocks:	result: how many it got, or would get
 * @to:		that file
 * @buf:	PIECE_BYTES for what it shall hold, and as many for what it holds
 * @block:	its block under way
 * @entry:	of that block
 * @bitmap:	of that block, if it has an entry
 * @flags:	of its change so far
 * @next:	first sector behind everything in the file
 * @change:	what becomes durable next
 * @changed:	its bitmaps
 * @nr:		number of changes
 * @lost:	they did not become durable
 */
struct absorb {
	struct chain *c;
	unsigned int n;
	bool dry;
	bool once;
	bool progress;
	bool differs;
	u64 written;
	u64 new_blocks;

	struct image *to;
	u8 *buf;
	u32 block;
	u32 entry;
	u8 *bitmap;
	u32 flags;
	u64 next;
	struct vhd_change change[ABSORB_BATCH];
	u8 *changed[ABSORB_BATCH];
	u32 nr;
	bool lost;
};

/* absorb.c */
int absorb(struct absorb *a);

/* children.c */
int children_check(struct chain *c, unsigned int n, const struct options *o);

#endif /* VHDCTL_MERGE_H */
