// SPDX-License-Identifier: GPL-2.0
/*
 * Where a block may move to: gaps that read as zeros, since unknown structures do
 * live in gaps. A place that an interrupted run has begun to fill counts too: there
 * each sector is zero or already what the block would write. So whatever else lies in
 * a gap, no byte of it changes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compact.h"
#include "exec.h"
#include "sparse.h"

/**
 * places_init() - begin to look
 * @p:		result
 * @img:	an image with its BAT loaded, without faults
 *
 * Return: 0 or a negative errno.
 */
int places_init(struct places *p, struct image *img)
{
	memset(p, 0, sizeof(*p));
	p->img = img;
	p->slot = (u64)img->layout.bitmap_sects + img->layout.block_sects;
	return extents_collect(&p->e, img);
}

/**
 * places_free() - end of the search
 * @p:	from places_init(), whatever that returned
 */
void places_free(struct places *p)
{
	free(p->e.v);
}

/* Ends of the next gap that is large enough. */
static bool next_gap(struct places *p, u64 *end)
{
	const struct extent *x;

	for (; p->next < p->e.nr; p->next++) {
		x = &p->e.v[p->next];
		if (x->sect >= p->pos + p->slot) {
			*end = x->sect;
			return true;
		}
		p->pos = max_t(u64, p->pos, x->sect + x->nr);
	}
	return false;
}

/* Data on 4 KiB, unless that costs a block's place. */
static u64 best_place(const struct places *p, u64 end)
{
	u64 aligned = vhd_slot_align(&p->img->layout, p->pos);

	if (aligned + p->slot <= end &&
	    (end - aligned) / p->slot == (end - p->pos) / p->slot)
		return aligned;
	return p->pos;
}

/* Bytes before the first sector that would change without being zero. */
static size_t common(const u8 *there, const u8 *block, size_t len)
{
	size_t at;

	for (at = 0; at < len; at += VHD_SECTOR_SIZE)
		if (!is_zero(there + at, VHD_SECTOR_SIZE) &&
		    memcmp(there + at, block + at, VHD_SECTOR_SIZE))
			break;
	return at;
}

/* Small pieces first: most often what is in the way begins at once. */
static int look(const struct places *p, u32 from, u64 to, u64 *good)
{
	u64 src = (u64)from << VHD_SECTOR_SHIFT, dst = to << VHD_SECTOR_SHIFT;
	u64 bytes = p->slot << VHD_SECTOR_SHIFT, at = 0, len, same, data_end;
	u64 piece = PAGE_BYTES;
	u8 *buf = malloc(2 * PIECE_BYTES);
	int ret = buf ? 0 : -ENOMEM;

	for (same = 0; !ret && at == same && at < bytes; same += len) {
		len = min_t(u64, bytes - at, piece);
		piece = min_t(u64, 2 * piece, PIECE_BYTES);
		at += len;
		if (next_data(p->img, dst + same, dst + at, &data_end) == dst + at)
			continue;
		ret = image_read(p->img, buf, len, dst + same);
		if (!ret)
			ret = image_read(p->img, buf + PIECE_BYTES, len, src + same);
		if (!ret)
			len = common(buf, buf + PIECE_BYTES, len);
	}
	free(buf);
	*good = same >> VHD_SECTOR_SHIFT;
	return ret;
}

/**
 * places_next() - the lowest place for a block
 * @p:		the search; what it gives is given once
 * @from:	where the block lies
 * @to:		its place below that, VHD_BAT_UNUSED if there is none
 *
 * Return: 0 or a negative errno.
 */
int places_next(struct places *p, u32 from, u32 *to)
{
	u64 end, place, good;
	int ret;

	*to = VHD_BAT_UNUSED;
	while (next_gap(p, &end) && end <= from) {
		place = best_place(p, end);
		ret = look(p, from, place, &good);
		if (ret)
			return ret;
		if (good == p->slot) {
			p->pos = place + p->slot;
			*to = place;
			return 0;
		}
		/*
		 * No further: behind it may lie the place that an interrupted run took
		 * for this block.
		 */
		p->pos = place + good + 1;
	}
	return 0;
}
