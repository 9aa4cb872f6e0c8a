/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of "vhdctl resize". */
#ifndef VHDCTL_RESIZE_H
#define VHDCTL_RESIZE_H

#include "chain.h"

/**
 * struct resize - a disk that gets another size
 * @o:		command line
 * @c:		the image, and its parents if it has some
 * @before:	size of the disk in bytes
 * @after:	as it shall be
 * @footer:	that says so, sealed
 */
struct resize {
	const struct options *o;
	struct chain c;
	u64 before;
	u64 after;
	struct vhd_footer footer;
};

/* blank.c */
int disk_blank_until(struct chain *c, u64 sector, u64 end, u64 *blank);
int file_blank_until(const struct image *img, u64 pos, u64 end, u64 *blank);

/* resize_blocks.c */
int resize_blocks(struct resize *r);

#endif /* VHDCTL_RESIZE_H */
