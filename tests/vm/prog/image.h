/* SPDX-License-Identifier: GPL-2.0 */
/* Random images with their structures intact, and ways to break them. */
#ifndef _VM_IMAGE_H
#define _VM_IMAGE_H

#include <stdbool.h>
#include <vhd_format.h>

/* BAT entries that are chosen one by one; behind them a table is empty. */
#define IMAGE_BAT	256u
#define IMAGE_NOISE	8u

struct rng {
	u64 state;
};

u64 rng_next(struct rng *r);
u64 rng_below(struct rng *r, u64 limit);
bool rng_chance(struct rng *r, unsigned int percent);
void rng_fill(struct rng *r, void *buf, size_t len);

/* Bytes that go over everything else, last. */
struct image_noise {
	u64 pos;
	u32 len;
	u8 data[32];
};

/**
 * struct image - what will be in a file
 * @type:	&enum vhd_type, or 0 for a raw disk
 * @end, @copy, @header, @batmap: sealed when the file is written, unless @unsealed
 * @end_bytes:	of the end footer: 512, 511, or 0 for none
 * @has_batmap:	its header is written behind the BAT, with a map of ones
 * @header_sect, @bat_sect: where they are written; what names them may say
 *		something else
 * @bat_hole:	it is not written at all
 * @bat:	entries in host order
 * @nr_bat:	how many count
 * @tail:	bytes behind the end footer
 * @cut:	size of the file in the end, ~0 to leave it
 * @size:	virtual size in bytes
 * @end_sect:	of the end footer
 */
struct image {
	u32 type;
	struct vhd_footer end;
	struct vhd_footer copy;
	struct vhd_header header;
	struct vhd_batmap batmap;
	u32 end_bytes;
	bool has_batmap;
	bool bat_hole;
	bool unsealed;
	u64 header_sect;
	u64 bat_sect;
	u32 bat[IMAGE_BAT];
	u32 nr_bat;
	u32 block_sects;
	u32 bitmap_sects;
	u64 size;
	u64 end_sect;
	u64 tail;
	u64 cut;
	struct image_noise noise[IMAGE_NOISE];
	u32 nr_noise;
	u64 seed;
};

void image_random(struct image *im, struct rng *r, const struct image *parent);
int image_write(const struct image *im, int fd);

/* mutate.c */
void image_mutate(struct image *im, struct rng *r);

#endif /* _VM_IMAGE_H */
