// SPDX-License-Identifier: GPL-2.0
/* Sizes, strides and geometries of any number. */
#include "fuzz.h"

static void check_geometry(u64 sectors)
{
	struct vhd_geometry g = vhd_geometry_of(sectors);
	u64 chs = (u64)g.cylinders * g.heads * g.spt;

	MUST(g.heads >= 4 && g.heads <= VHD_MAX_HEADS && g.spt >= 17 && g.spt <= VHD_MAX_SPT);
	MUST(chs <= sectors);
	MUST(g.cylinders || sectors < 68);
	/* Less than a cylinder is lost, unless the disk is beyond any geometry. */
	if (sectors <= (u64)VHD_MAX_CYLINDERS * VHD_MAX_HEADS * VHD_MAX_SPT)
		MUST(sectors - chs < (u64)g.heads * g.spt);
}

static void check_blocks(u64 capacity, u32 shift)
{
	u32 blocks = vhd_blocks_needed(capacity, shift);

	if (blocks == ~0U) {
		MUST(capacity >> shift >= ~0U - 1ULL);
		return;
	}
	MUST((u64)blocks << shift >= capacity);
	MUST(!blocks || (u64)(blocks - 1) << shift < capacity);
}

static void check_max_size(u32 block_size)
{
	u64 size = vhd_max_size(block_size);

	MUST(size && size <= VHD_MAX_DYNAMIC_SIZE);
	MUST(size % block_size == 0 || size == VHD_MAX_DYNAMIC_SIZE);
	MUST(vhd_blocks_needed(size >> VHD_SECTOR_SHIFT,
			       __builtin_ctz(block_size) - VHD_SECTOR_SHIFT) <= VHD_MAX_BLOCKS);
}

static void check_slots(u32 block_size, u64 sect)
{
	struct vhd_layout l = {
		.block_sects = block_size >> VHD_SECTOR_SHIFT,
		.bitmap_sects = vhd_bitmap_sects(block_size),
	};
	u64 slot = vhd_slot_align(&l, sect), stride = vhd_slot_stride(&l);
	u64 end = vhd_layout_end_aligned(sect);

	MUST(l.bitmap_sects && l.bitmap_sects * 4096ULL >= l.block_sects);
	MUST(slot >= sect && slot - sect < 8 && (slot + l.bitmap_sects) % 8 == 0);
	MUST(stride % 8 == 0 && stride >= l.block_sects + l.bitmap_sects &&
	     stride < l.block_sects + l.bitmap_sects + 8ULL);
	MUST(end > sect && end % 8 == 0 && end - sect <= 8);
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u64 sectors = fuzz_u64(&in);
	u32 block_size = VHD_BLOCK_SIZE_MIN << fuzz_u8(&in) % 17;
	u8 less = fuzz_u8(&in) % 64;

	check_geometry(sectors);
	check_geometry(sectors >> less);
	check_blocks(sectors >> less, __builtin_ctz(block_size) - VHD_SECTOR_SHIFT);
	check_max_size(block_size);
	/* File positions are signed. */
	check_slots(block_size, sectors >> 10);
	return 0;
}
