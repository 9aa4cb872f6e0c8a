// SPDX-License-Identifier: GPL-2.0
/*
 * Sector bitmaps. Bit 0 is the most significant bit of byte 0 (every known
 * implementation; the specification says only "bit"). Sector numbers count from
 * the start of the block.
 */
#include "vhd_format.h"

static u8 vhd_bit(u32 sector)
{
	return 0x80 >> (sector & 7);
}

/**
 * vhd_bitmap_test() - is a sector's bit set
 * @bitmap: a sector bitmap
 * @sector: which one
 *
 * Context: Any; the caller keeps writers of the bitmap away.
 * Return: true if set.
 */
bool vhd_bitmap_test(const u8 *bitmap, u32 sector)
{
	return bitmap[sector >> 3] & vhd_bit(sector);
}

/* The bits of [first, end) that lie in the byte of first. */
static u8 vhd_byte_mask(u32 first, u32 end)
{
	u8 mask = 0xff >> (first & 7);

	if (end >> 3 == first >> 3)
		mask &= ~(0xff >> (end & 7));
	return mask;
}

/**
 * vhd_bitmap_set() - set the bits of a range
 * @bitmap:	a sector bitmap
 * @first:	first sector
 * @nr:		sectors, may be 0
 *
 * Context: Any; the caller keeps all others away.
 */
void vhd_bitmap_set(u8 *bitmap, u32 first, u32 nr)
{
	u32 end = first + nr;

	for (; first < end; first = (first | 7) + 1)
		bitmap[first >> 3] |= vhd_byte_mask(first, end);
}

/**
 * vhd_bitmap_clear() - clear the bits of a range
 * @bitmap:	a sector bitmap
 * @first:	first sector
 * @nr:		sectors, may be 0
 *
 * Context: Any; the caller keeps all others away.
 */
void vhd_bitmap_clear(u8 *bitmap, u32 first, u32 nr)
{
	u32 end = first + nr;

	for (; first < end; first = (first | 7) + 1)
		bitmap[first >> 3] &= ~vhd_byte_mask(first, end);
}

/**
 * vhd_bitmap_run() - length of a run of equal bits
 * @bitmap:	a sector bitmap
 * @first:	where the run begins
 * @end:	where to stop at the latest, above @first
 * @set:	value of the bits
 *
 * Context: Any; the caller keeps writers of the bitmap away.
 * Return: Sectors, at least 1.
 */
u32 vhd_bitmap_run(const u8 *bitmap, u32 first, u32 end, bool *set)
{
	u32 at = first;
	u8 same;

	*set = vhd_bitmap_test(bitmap, first);
	same = *set ? 0xff : 0;
	while (at < end) {
		if (!(at & 7) && bitmap[at >> 3] == same)
			at += 8;
		else if (vhd_bitmap_test(bitmap, at) == *set)
			at++;
		else
			break;
	}
	return min_t(u32, at, end) - first;
}

/**
 * vhd_bitmap_all_set() - are all bits of a range set
 * @bitmap:	a sector bitmap
 * @first:	first sector
 * @nr:		sectors
 *
 * Context: Any; the caller keeps writers of the bitmap away.
 * Return: true if so, also for an empty range.
 */
bool vhd_bitmap_all_set(const u8 *bitmap, u32 first, u32 nr)
{
	bool set;

	return !nr || (vhd_bitmap_run(bitmap, first, first + nr, &set) == nr && set);
}
