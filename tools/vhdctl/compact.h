/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of "vhdctl compact". */
#ifndef VHDCTL_COMPACT_H
#define VHDCTL_COMPACT_H

#include "chain.h"
#include "findings.h"

/* Blocks that change behind one pair of barriers. */
#define DROP_BATCH	1024u
#define MOVE_BATCH	64u

/* redundant.c */
int block_is_redundant(struct chain *c, u32 block, bool *redundant);

/* place.c */

/**
 * struct places - where blocks could go, from the start of the file up
 * @img:	the image
 * @e:		what lies in it
 * @next:	the first extent that may lie behind @pos
 * @pos:	first sector that has not been looked at
 * @slot:	sectors of a block with its bitmap
 */
struct places {
	struct image *img;
	struct extents e;
	size_t next;
	u64 pos;
	u64 slot;
};

int places_init(struct places *p, struct image *img);
int places_next(struct places *p, u32 from, u32 *to);
void places_free(struct places *p);

#endif /* VHDCTL_COMPACT_H */
