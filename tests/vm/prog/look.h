/* SPDX-License-Identifier: GPL-2.0 */
/* Parts of a disk that are read, written at random, and must keep what they were given. */
#ifndef _VM_LOOK_H
#define _VM_LOOK_H

#include "image.h"

#define LOOK_WINDOWS	16u
#define LOOK_BYTES	65536u
#define LOOK_SECTS	(LOOK_BYTES / VHD_SECTOR_SIZE)

enum look_state {
	LOOK_KNOWN,	/* reads as in @want */
	LOOK_BAD,	/* could not be read */
	LOOK_DISCARDED,	/* reads as in @want or as zeros */
	LOOK_ANY,	/* a write has failed */
};

struct look_window {
	u64 pos;
	u32 sects;
	u8 *want;
	u8 state[LOOK_SECTS];
};

/**
 * struct look_tally - what has been done to all disks
 * @strange:	errors that no disk should give
 * @wrong:	sectors that read as something else than was written
 */
struct look_tally {
	u64 reads, read_errors;
	u64 writes, write_errors;
	u64 zeroed, discards, flushes;
	u64 strange, wrong;
};

struct look {
	int fd;
	u64 sects;
	u32 nr;
	struct look_window window[LOOK_WINDOWS];
	u8 *buf;
	struct look_tally *tally;
};

int look_init(struct look *l, struct look_tally *tally);
int look_open(struct look *l, const char *path, bool writable);
void look_choose(struct look *l, struct rng *r, u32 block_sects);
void look_read(struct look *l);
void look_change(struct look *l, struct rng *r, u32 nr);
u32 look_compare(struct look *l);

#endif /* _VM_LOOK_H */
