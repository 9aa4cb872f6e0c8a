/* SPDX-License-Identifier: GPL-2.0 */
/* Which file of a chain answers for which part of the disk. */
#ifndef VHDCTL_WALK_H
#define VHDCTL_WALK_H

#include "chain.h"

/**
 * struct owner_run - a stretch of the disk with one owner
 * @answer:	VHD_DATA, VHD_ZERO or VHD_BAD
 * @layer:	owner; the layer with the bad entry if VHD_BAD
 * @start:	first virtual sector
 * @sects:	length
 * @file_sect:	where its first sector lies, if VHD_DATA
 */
struct owner_run {
	enum vhd_answer answer;
	unsigned int layer;
	u64 start;
	u64 sects;
	u64 file_sect;
};

int walk_step(struct chain *c, u64 sector, u64 end, struct owner_run *run);
bool walk_merge(struct owner_run *run, const struct owner_run *next, bool contiguous);

#endif /* VHDCTL_WALK_H */
