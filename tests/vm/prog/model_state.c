// SPDX-License-Identifier: GPL-2.0
/* See model.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* One write in that many is all zeros: data like any other to the driver. */
#define ZERO_WRITES 16

static const u8 zero_sector[MODEL_SECTOR];

static int model_alloc(struct model *m, u64 sectors)
{
	m->sectors = sectors;
	m->data = malloc(sectors * MODEL_SECTOR);
	m->discarded = calloc(sectors, 1);
	return m->data && m->discarded ? 0 : -1;
}

static long file_size(FILE *f)
{
	long size;

	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	return size;
}

static int read_image(struct model *m, const char *path, unsigned int per_sector)
{
	FILE *f = fopen(path, "rb");
	long size;
	int err = 0;

	if (!f) {
		perror(path);
		return -1;
	}
	size = file_size(f);
	if (size <= 0 || size % per_sector || model_alloc(m, size / per_sector) ||
	    fread(m->data, MODEL_SECTOR, m->sectors, f) != m->sectors)
		err = -1;
	if (!err && per_sector > MODEL_SECTOR &&
	    fread(m->discarded, 1, m->sectors, f) != m->sectors)
		err = -1;
	if (err)
		fprintf(stderr, "model: cannot load %s\n", path);
	fclose(f);
	return err;
}

int model_load_raw(struct model *m, const char *path)
{
	return read_image(m, path, MODEL_SECTOR);
}

int model_load(struct model *m, const char *path)
{
	return read_image(m, path, MODEL_SECTOR + 1);
}

int model_save(const struct model *m, const char *path)
{
	FILE *f = fopen(path, "wb");
	int err = 0;

	if (!f || fwrite(m->data, MODEL_SECTOR, m->sectors, f) != m->sectors ||
	    fwrite(m->discarded, 1, m->sectors, f) != m->sectors)
		err = -1;
	if (f && fclose(f))
		err = -1;
	if (err)
		perror(path);
	return err;
}

bool model_accepts(const struct model *m, u64 sector, const u8 *got)
{
	if (!memcmp(got, model_sector(m, sector), MODEL_SECTOR))
		return true;
	return m->discarded[sector] && !memcmp(got, zero_sector, MODEL_SECTOR);
}

/* Each sector names itself, and no two writes of one run are alike. */
static void fill_sector(u8 *p, u64 seed, unsigned long number,
			u64 sector)
{
	u64 word = seed ^ (number << 40) ^ sector;
	size_t i;

	memset(p, 0, 64);
	snprintf((char *)p, 64, "op %lu sector %llu seed %llu",
		 number, sector, seed);
	for (i = 64; i < MODEL_SECTOR; i += sizeof(word)) {
		word = word * 6364136223846793005ULL + 1442695040888963407ULL;
		memcpy(p + i, &word, sizeof(word));
	}
}

void model_fill(const struct op *op, u64 seed, void *buf)
{
	u64 i;

	if (op->number % ZERO_WRITES == 7) {
		memset(buf, 0, op->nr * MODEL_SECTOR);
		return;
	}
	for (i = 0; i < op->nr; i++)
		fill_sector((u8 *)buf + i * MODEL_SECTOR, seed, op->number,
			    op->first + i);
}

/**
 * model_apply() - what a request that succeeded did to the disk
 * @m:		model
 * @op:		the request; reads and flushes change nothing
 * @buf:	what it wrote, if it wrote data
 */
void model_apply(struct model *m, const struct op *op, const void *buf)
{
	switch (op->kind) {
	case OP_READ:
	case OP_FLUSH:
		return;
	case OP_DISCARD:
		memset(m->discarded + op->first, 1, op->nr);
		return;
	case OP_WRITE:
	case OP_FUA:
		memcpy(model_sector(m, op->first), buf, op->nr * MODEL_SECTOR);
		break;
	default:
		memset(model_sector(m, op->first), 0, op->nr * MODEL_SECTOR);
		break;
	}
	memset(m->discarded + op->first, 0, op->nr);
}

static u64 next_random(struct generator *g)
{
	u64 z = g->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static u64 below(struct generator *g, u64 limit)
{
	return limit ? next_random(g) % limit : 0;
}

void generator_init(struct generator *g, u64 seed, u64 sectors,
		    u64 block)
{
	memset(g, 0, sizeof(*g));
	g->state = seed;
	g->sectors = sectors;
	g->block = block;
}

static enum op_kind random_kind(struct generator *g)
{
	/* out of 64 */
	static const u8 weight[OP_KINDS] = {
		[OP_READ] = 20, [OP_WRITE] = 24, [OP_FUA] = 4, [OP_FLUSH] = 3,
		[OP_DISCARD] = 5, [OP_ZEROOUT] = 3, [OP_PUNCH] = 3,
		[OP_ZERO_RANGE] = 2,
	};
	unsigned int pick = below(g, 64), kind = 0;

	while (pick >= weight[kind])
		pick -= weight[kind++];
	return kind;
}

/* Mostly small; sometimes a quarter of a block; rarely whatever fits. */
static u64 random_length(struct generator *g)
{
	switch (below(g, 8)) {
	case 0:
		return 1 + below(g, MODEL_MAX_BYTES / MODEL_SECTOR);
	case 1:
	case 2:
		return 1 + below(g, g->block / 4);
	case 3:
		return 8;
	default:
		return 1 + below(g, 32);
	}
}

static bool is_range(enum op_kind kind)
{
	return kind >= OP_DISCARD;
}

static void clip(const struct generator *g, struct op *op)
{
	if (op->nr > g->sectors - op->first)
		op->nr = g->sectors - op->first;
	if (!is_range(op->kind) && op->nr > MODEL_MAX_BYTES / MODEL_SECTOR)
		op->nr = MODEL_MAX_BYTES / MODEL_SECTOR;
}

/* Neighbours of the last request in the hot block, so that they meet there. */
static void place_hot(struct generator *g, struct op *op)
{
	if (!g->rest) {
		g->hot = below(g, (g->sectors + g->block - 1) / g->block) *
			 g->block;
		g->walk = below(g, g->block);
		g->rest = 24 + below(g, 24);
	}
	g->rest--;
	op->nr = 1 + below(g, 8);
	if (g->hot + g->walk >= g->sectors)
		g->walk = 0;
	op->first = g->hot + g->walk;
	if (g->walk + op->nr > g->block)
		op->nr = g->block - g->walk;
	g->walk = (g->walk + op->nr) % g->block;
}

static void place_anywhere(struct generator *g, struct op *op)
{
	op->first = below(g, g->sectors);
	op->nr = random_length(g);
	/* Whole blocks can be freed, so ranges are often exactly those. */
	if (is_range(op->kind) && below(g, 2)) {
		op->first -= op->first % g->block;
		op->nr = g->block * (1 + below(g, 2));
	}
}

void generator_next(struct generator *g, struct op *op)
{
	op->kind = random_kind(g);
	op->number = g->number++;
	op->first = 0;
	op->nr = 0;
	if (op->kind == OP_FLUSH)
		return;
	if (below(g, 2))
		place_hot(g, op);
	else
		place_anywhere(g, op);
	clip(g, op);
}
