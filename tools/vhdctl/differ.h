/* SPDX-License-Identifier: GPL-2.0 */
/* Where two disks differ. */
#ifndef VHDCTL_DIFFER_H
#define VHDCTL_DIFFER_H

#include "walk.h"

/**
 * struct diff_run - a stretch in which each sector differs
 * @start:	first virtual sector
 * @sects:	length
 * @a, @b:	VHD_DATA, or VHD_ZERO where the map alone says zeros
 * @data:	what B holds there; valid until the function returns
 */
struct diff_run {
	u64 start;
	u32 sects;
	enum vhd_answer a;
	enum vhd_answer b;
	const u8 *data;
};

/* Returns VHDCTL_OK, or an exit code after a message, which ends the comparison. */
typedef int (*diff_fn)(void *ctx, const struct diff_run *run);

int diff_disks(struct chain *a, struct chain *b, u64 end, diff_fn differ, void *ctx,
	       bool progress);

#endif /* VHDCTL_DIFFER_H */
