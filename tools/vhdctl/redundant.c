// SPDX-License-Identifier: GPL-2.0
/* Blocks without which the disk reads the same. */
#include <stdlib.h>
#include <string.h>

#include "compact.h"
#include "sparse.h"
#include "walk.h"

struct comparison {
	struct chain *c;
	struct chain parents;	/* the same files but the first */
	u8 *own, *theirs;	/* PIECE_BYTES each */
	bool differs;
};

/* What the parents hold; zeros if there are none. */
static int read_parents(struct comparison *k, u64 sector, u64 nr)
{
	u64 end = sector + nr;
	u8 *buf = k->theirs;
	struct owner_run run;
	int ret = VHDCTL_OK;

	memset(buf, 0, nr << VHD_SECTOR_SHIFT);
	for (; !ret && k->parents.nr && sector < end; sector += run.sects) {
		struct image *img;

		ret = walk_step(&k->parents, sector, end, &run);
		if (ret)
			return ret;
		img = k->parents.layer[run.layer];
		k->differs |= run.answer == VHD_BAD;
		if (run.answer == VHD_DATA)
			ret = image_read(img, buf, run.sects << VHD_SECTOR_SHIFT,
					 run.file_sect << VHD_SECTOR_SHIFT);
		if (ret)
			return image_report(img, run.layer + 1, ret);
		buf += run.sects << VHD_SECTOR_SHIFT;
	}
	return ret;
}

static bool is_hole(const struct image *img, u64 pos, u64 len)
{
	u64 data_end;

	return next_data(img, pos, pos + len, &data_end) == pos + len;
}

static int compare_piece(struct comparison *k, const struct owner_run *run)
{
	u64 pos = run->file_sect << VHD_SECTOR_SHIFT, len = run->sects << VHD_SECTOR_SHIFT;
	const struct image *img = k->c->layer[0];
	int ret;

	if (!k->parents.nr && is_hole(img, pos, len))
		return VHDCTL_OK;
	ret = image_read(img, k->own, len, pos);
	if (ret)
		return image_report(img, 0, ret);
	ret = read_parents(k, run->start, run->sects);
	k->differs |= memcmp(k->own, k->theirs, len);
	return ret;
}

static int compare_block(struct comparison *k, u32 block)
{
	const struct vhd_layout *l = &k->c->layer[0]->layout;
	u64 sector = (u64)block << l->block_shift, end, limit;
	struct owner_run run;
	int ret = VHDCTL_OK;

	end = min_t(u64, sector + l->block_sects, l->capacity);
	for (; !ret && !k->differs && sector < end; sector += run.sects) {
		limit = min_t(u64, end, sector + (PIECE_BYTES >> VHD_SECTOR_SHIFT));
		ret = walk_step(k->c, sector, limit, &run);
		if (!ret && run.answer == VHD_DATA && !run.layer)
			ret = compare_piece(k, &run);
		else if (!ret && run.answer == VHD_BAD && !run.layer)
			k->differs = true;
	}
	return ret;
}

/**
 * block_is_redundant() - does the disk read the same without a block of the leaf
 * @c:		chain after chain_load_bats()
 * @block:	an allocated block of its first file
 * @redundant:	result: what its set bits show are zeros, or what the parents hold
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int block_is_redundant(struct chain *c, u32 block, bool *redundant)
{
	struct comparison k = { .c = c };
	int ret = VHDCTL_ERROR;

	k.parents.nr = c->nr - 1;
	memcpy(k.parents.layer, c->layer + 1, k.parents.nr * sizeof(*c->layer));
	k.own = malloc(2 * PIECE_BYTES);
	if (k.own) {
		k.theirs = k.own + PIECE_BYTES;
		ret = compare_block(&k, block);
	} else {
		msg_error("out of memory");
	}
	*redundant = !ret && !k.differs;
	free(k.own);
	return ret;
}
