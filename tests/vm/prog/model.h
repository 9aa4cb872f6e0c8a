/* SPDX-License-Identifier: GPL-2.0 */
/* The model of a disk, and the generator of requests to it. */
#ifndef _VM_MODEL_H
#define _VM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <vhd_platform.h>

#define MODEL_SECTOR 512u
#define MODEL_MAX_BYTES 1048576u

enum op_kind {
	OP_READ, OP_WRITE, OP_FUA, OP_FLUSH,
	OP_DISCARD, OP_ZEROOUT, OP_PUNCH, OP_ZERO_RANGE,
	OP_KINDS
};

struct op {
	enum op_kind kind;
	unsigned long number;
	u64 first;
	u64 nr;
};

static inline bool op_writes_data(enum op_kind kind)
{
	return kind == OP_WRITE || kind == OP_FUA;
}

/**
 * struct model - what the disk must read as
 * @sectors:	its size
 * @data:	the sectors
 * @discarded:	for each sector, 1 if zeros are as good as @data
 */
struct model {
	u64 sectors;
	u8 *data;
	u8 *discarded;
};

static inline u8 *model_sector(const struct model *m, u64 sector)
{
	return m->data + sector * MODEL_SECTOR;
}

int model_load_raw(struct model *m, const char *path);
int model_load(struct model *m, const char *path);
int model_save(const struct model *m, const char *path);
bool model_accepts(const struct model *m, u64 sector, const u8 *got);
void model_fill(const struct op *op, u64 seed, void *buf);
void model_apply(struct model *m, const struct op *op, const void *buf);

/**
 * struct generator - an endless sequence of requests
 * @state:	of the pseudo-random numbers
 * @sectors:	size of the disk
 * @block:	sectors of a block, a hint
 * @number:	requests so far
 * @hot:	first sector of the block that half of the requests are in
 * @walk:	where the next of those starts, counted from @hot
 * @rest:	requests until another block becomes hot
 */
struct generator {
	u64 state;
	u64 sectors;
	u64 block;
	unsigned long number;
	u64 hot;
	u64 walk;
	unsigned int rest;
};

void generator_init(struct generator *g, u64 seed, u64 sectors,
		    u64 block);
void generator_next(struct generator *g, struct op *op);

#endif /* _VM_MODEL_H */
