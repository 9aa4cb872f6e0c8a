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

/**
 * struct adopt - children that get another parent when all else is done
 * @o:		names them
 * @c:		chain of the merge
 * @n:		the last of its layers whose children they may be
 * @out:	a new file takes over, instead of that layer
 * @made:	that file, if an earlier run has made it; its children may be named too
 * @v:		they
 * @nr:		how many
 */
struct adopt {
	const struct options *o;
	struct chain *c;
	unsigned int n;
	bool out;
	const struct image *made;
	struct adopted {
		struct image *img;
		unsigned int layer;	/* whose child it is */
	} *v;
	unsigned int nr;
};

/* adopt.c */
int adopt_open(struct adopt *a);
int adopt_check(struct adopt *a);
bool adopt_has(const struct adopt *a, dev_t dev, ino_t ino);
int adopt_all(struct adopt *a, struct image *parent);
void adopt_close(struct adopt *a);

/* children.c */
int children_check(const struct adopt *kin);

/* merge.c */
int merge_check_sound(struct image *img, unsigned int layer, enum vhd_size_rule rule);

#endif /* VHDCTL_MERGE_H */
