// SPDX-License-Identifier: GPL-2.0
/* Which sectors of one image answer for a virtual sector. */
#include "vhd_format.h"

/* What a sector reads as that this image allocates nothing for. */
static enum vhd_answer vhd_absent(const struct vhd_layout *l)
{
	return l->type == VHD_TYPE_DIFFERENCING ? VHD_HOLE : VHD_ZERO;
}

/* The bitmap decides, also where the block is cut off: there set bits are zeros. */
static void vhd_map_bits(const struct vhd_layout *l, u32 offset, u32 entry,
			 const u8 *bitmap, struct vhd_run *run)
{
	u32 present = vhd_bat_entry_sects(l, entry);
	bool set;

	run->sects = vhd_bitmap_run(bitmap, offset, offset + run->sects, &set);
	if (!set) {
		run->answer = vhd_absent(l);
	} else if (offset < present) {
		run->answer = VHD_DATA;
		run->sects = min_t(u64, run->sects, present - offset);
		run->file_sect = vhd_bat_data_sect(l, entry) + offset;
	}
}

static void vhd_map_block(const struct vhd_layout *l, u64 sector, u32 entry,
			  const u8 *bitmap, struct vhd_run *run)
{
	u32 offset = sector & (l->block_sects - 1);

	run->block = sector >> l->block_shift;
	run->sects = min_t(u64, run->sects, l->block_sects - offset);
	if (entry == VHD_BAT_UNUSED) {
		run->answer = vhd_absent(l);
	} else if (vhd_bat_entry_check(l, entry) == VHD_FAULT_BAT_RANGE) {
		run->answer = VHD_BAD;
	} else if (!bitmap) {
		run->answer = VHD_NEED_BITMAP;
		run->file_sect = entry;
	} else {
		vhd_map_bits(l, offset, entry, bitmap, run);
	}
}

/**
 * vhd_map_step() - the first run of a range of virtual sectors
 * @l:		layout of the image, with its batmap if it has one
 * @sector:	first virtual sector
 * @nr:		sectors asked for, at least 1
 * @entry:	BAT entry of the block of @sector in host order, VHD_BAT_UNUSED if
 *		it has none; ignored for fixed images and behind the capacity
 * @bitmap:	sector bitmap of that block, or NULL if not at hand
 * @run:	filled
 *
 * A run ends at @nr, at the end of its block, and at the end of the disk. Behind
 * the latter all is zeros. A clear bit means the parent in a differencing image
 * and zeros in a dynamic one, whatever the block holds there (tapdisk leaves stale
 * bytes). A set bit means zeros where the end of the file cuts the block: what was
 * there is lost, but what the parent holds was never there.
 *
 * Overlapping blocks are not seen here: see vhd_bat_overlap().
 *
 * Context: Any; fetches nothing.
 */
void vhd_map_step(const struct vhd_layout *l, u64 sector, u64 nr, u32 entry,
		  const u8 *bitmap, struct vhd_run *run)
{
	*run = (struct vhd_run){ .answer = VHD_ZERO, .sects = nr };
	if (sector >= l->capacity)
		return;
	run->sects = min_t(u64, nr, l->capacity - sector);
	if (l->type == VHD_TYPE_FIXED) {
		run->answer = VHD_DATA;
		run->file_sect = sector;
	} else {
		vhd_map_block(l, sector, entry, bitmap, run);
	}
}

/**
 * vhd_bitmap_span() - which sectors of a sector bitmap decide about a stretch
 * @l:		layout of the image
 * @sector:	first virtual sector
 * @nr:		sectors, at least 1
 * @first:	first sector of the bitmap of the block of @sector
 *
 * vhd_map_step() looks at no others for these sectors, of which it takes those
 * that lie in the block.
 *
 * Context: Any.
 * Return: Sectors of the bitmap, at least 1.
 */
u32 vhd_bitmap_span(const struct vhd_layout *l, u64 sector, u64 nr, u32 *first)
{
	u32 offset = sector & (l->block_sects - 1);
	u32 last = min_t(u64, offset + nr, l->block_sects) - 1;

	*first = offset / (8 * VHD_SECTOR_SIZE);
	return last / (8 * VHD_SECTOR_SIZE) - *first + 1;
}
