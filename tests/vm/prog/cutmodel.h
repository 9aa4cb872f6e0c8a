/* SPDX-License-Identifier: GPL-2.0 */
/* What is written to a disk whose power is going to be cut, and what may be left. */
#ifndef _VM_CUTMODEL_H
#define _VM_CUTMODEL_H

#include <stdbool.h>
#include <vhd_platform.h>

#define CUT_SECTOR 512u
#define CUT_THREADS 2u
/* Of each disk: 64 KiB, and 512 of them. */
#define CUT_BLOCK_SECTS 128u
#define CUT_BLOCKS 512u
#define CUT_SECTS (CUT_BLOCKS * CUT_BLOCK_SECTS)
#define CUT_MAX_FUA 4096u

/**
 * enum cut_disk - the disks there are
 * @CUT_DYNAMIC:	zeros at first
 * @CUT_CHILD:		most of each second block is in a parent at first
 * @CUT_LINE:		zeros at first; whole blocks are written, one behind the other
 */
enum cut_disk { CUT_DYNAMIC, CUT_CHILD, CUT_LINE, CUT_DISKS };

enum cut_kind { CUT_WRITE, CUT_FUA, CUT_FLUSH, CUT_DISCARD, CUT_ZERO };

struct cut_op {
	enum cut_kind kind;
	u64 first;
	u64 nr;
};

/**
 * struct cut_known - what is known about a moment
 * @durable:	for each thread: this number and all before it are durable
 * @begun:	for each thread: nothing behind this number was ever begun
 * @again:	so many numbers behind @begun were written after the cut, and are durable
 * @fua:	numbers that are durable by themselves
 * @nr_fua:	how many
 */
struct cut_known {
	u64 durable[CUT_THREADS];
	u64 begun[CUT_THREADS];
	u64 again;
	struct cut_fua {
		unsigned int thread;
		u64 number;
	} fua[CUT_MAX_FUA];
	unsigned int nr_fua;
};

/**
 * struct cut_state - what each sector may hold
 * @least:	the last number that is durable there, 0 for what was there at first
 * @flags:	CUT_*_ZERO
 * @touched:	for each block: anything was ever written to it
 */
struct cut_state {
	u32 least[CUT_SECTS];
	u8 flags[CUT_SECTS];
	u8 touched[CUT_BLOCKS];
};

/* The number in @least was zeros; zeros are as good as what it wrote. */
#define CUT_IS_ZERO 1u
#define CUT_MAY_BE_ZERO 2u

u64 cut_hash(u64 z);
unsigned int cut_owner(enum cut_disk disk, u64 sector);
void cut_op_get(enum cut_disk disk, unsigned int thread, u64 number, struct cut_op *op);
void cut_fill(enum cut_disk disk, u64 sector, u64 number, void *buf);
bool cut_initial(enum cut_disk disk, u64 sector);
void cut_state_get(enum cut_disk disk, const struct cut_known *known, struct cut_state *s);
bool cut_accepts(enum cut_disk disk, const struct cut_known *known,
		 const struct cut_state *s, u64 sector, const void *got);
const char *cut_describe(const void *got);

#endif /* _VM_CUTMODEL_H */
