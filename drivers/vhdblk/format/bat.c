// SPDX-License-Identifier: GPL-2.0
/* The block allocation table and libvhd's batmap behind it. */
#include "vhd_format.h"

#define VHD_BATMAP_VERSION	0x00010002u

static u64 vhd_slot_sects(const struct vhd_layout *l)
{
	return (u64)l->bitmap_sects + l->block_sects;
}

/**
 * vhd_bat_data_sect() - where the data of a block begin
 * @l:		layout of the image
 * @entry:	its BAT entry in host order, not VHD_BAT_UNUSED
 *
 * Specification, "Block Allocation Table": an entry is the absolute sector of
 * the block, which begins with its sector bitmap.
 *
 * Context: Any.
 * Return: Sector in the file.
 */
u64 vhd_bat_data_sect(const struct vhd_layout *l, u32 entry)
{
	return (u64)entry + l->bitmap_sects;
}

/**
 * vhd_bat_entry_sects() - data sectors of a block that the file holds
 * @l:		layout of the image
 * @entry:	its BAT entry in host order
 *
 * Context: Any.
 * Return: The sectors of a block, fewer if the end cuts it, 0 if the entry is
 * unused or the data begin behind the end.
 */
u32 vhd_bat_entry_sects(const struct vhd_layout *l, u32 entry)
{
	u64 data = vhd_bat_data_sect(l, entry);

	if (entry == VHD_BAT_UNUSED || data >= l->end)
		return 0;
	return min_t(u64, l->end - data, l->block_sects);
}

/**
 * vhd_bat_entry_check() - does an entry point at a place fit for a block
 * @l:		layout of the image, with its batmap if it has one
 * @entry:	in host order
 *
 * Any sector will do: libvhd leaves gaps between blocks, others do not.
 *
 * Context: Any.
 * Return: VHD_OK, also for an unused entry; VHD_FAULT_BAT_RANGE if no data sector
 * lies before the end or the block touches metadata; VHD_FAULT_BLOCK_CUT if
 * the end cuts its data.
 */
enum vhd_fault vhd_bat_entry_check(const struct vhd_layout *l, u32 entry)
{
	u32 present = vhd_bat_entry_sects(l, entry);

	if (entry == VHD_BAT_UNUSED)
		return VHD_OK;
	if (!present || vhd_layout_hits_metadata(l, entry, l->bitmap_sects + present))
		return VHD_FAULT_BAT_RANGE;
	return present < l->block_sects ? VHD_FAULT_BLOCK_CUT : VHD_OK;
}

/**
 * vhd_bat_overlap() - do two blocks share sectors
 * @l:		layout of the image
 * @sorted:	entries in host order, ascending; unused ones may follow
 * @nr:		their number
 * @at:		index of the later one of the first pair that overlaps
 *
 * Context: Any.
 * Return: VHD_OK or VHD_FAULT_BAT_OVERLAP; only then is @at written.
 */
enum vhd_fault vhd_bat_overlap(const struct vhd_layout *l, const u32 *sorted,
			       u32 nr, u32 *at)
{
	u32 i;

	for (i = 1; i < nr && sorted[i] != VHD_BAT_UNUSED; i++) {
		if (sorted[i] < sorted[i - 1] + vhd_slot_sects(l)) {
			*at = i;
			return VHD_FAULT_BAT_OVERLAP;
		}
	}
	return VHD_OK;
}

/**
 * vhd_bat_used_end() - first sector behind every known structure
 * @l:		layout of the image, with its batmap if it has one
 * @entries:	BAT entries in host order and any order
 * @nr:		their number
 *
 * Entries without a fault count, and cut blocks whole; bad ones have no place.
 *
 * Context: Any.
 * Return: Sector; new blocks go here or behind. Above @l->end if the end cuts a
 * block.
 */
u64 vhd_bat_used_end(const struct vhd_layout *l, const u32 *entries, u32 nr)
{
	u64 end = l->meta_end;
	u32 i;

	for (i = 0; i < nr; i++)
		if (entries[i] != VHD_BAT_UNUSED && entries[i] + vhd_slot_sects(l) > end &&
		    vhd_bat_entry_check(l, entries[i]) != VHD_FAULT_BAT_RANGE)
			end = entries[i] + vhd_slot_sects(l);
	return end;
}

/**
 * vhd_batmap_map_bytes() - bytes of the map that its checksum covers
 * @l: layout of the image
 *
 * libvhd takes this from the disk size with blocks of 2 MiB, never from the
 * header, and pads it to sectors.
 *
 * Context: Any.
 * Return: Bytes, a multiple of 512.
 */
size_t vhd_batmap_map_bytes(const struct vhd_layout *l)
{
	u64 bytes = l->capacity >> (24 - VHD_SECTOR_SHIFT);

	if (!bytes)
		bytes = 1;
	return (size_t)DIV_ROUND_UP(bytes, VHD_SECTOR_SIZE) * VHD_SECTOR_SIZE;
}

/**
 * vhd_batmap_check() - is there a batmap header behind the BAT
 * @b:		the sector behind the padded BAT
 * @l:		layout of the image
 * @file_size:	bytes
 *
 * The format is libvhd's, version 1.2. Whether the map itself is sound only
 * vhd_batmap_map_checksum() over vhd_batmap_map_bytes() at the sector behind @b
 * tells; until both agree the place may hold anything.
 *
 * Context: Any.
 * Return: true if the header is sound and its map lies in the file, before the end.
 */
bool vhd_batmap_check(const struct vhd_batmap *b, const struct vhd_layout *l, u64 file_size)
{
	u64 map = l->bat_sect + l->bat_sects + 1;
	u64 sects = be32_to_cpu(b->sectors);

	return !memcmp(b->cookie, VHD_BATMAP_COOKIE, sizeof(b->cookie)) &&
	       be32_to_cpu(b->version) == VHD_BATMAP_VERSION &&
	       be64_to_cpu(b->offset) == map << VHD_SECTOR_SHIFT &&
	       sects >= vhd_batmap_map_bytes(l) >> VHD_SECTOR_SHIFT &&
	       /* With its header it must still be a number of 32 bits. */
	       sects < VHD_MAX_SECTOR &&
	       map + sects <= min_t(u64, l->end, file_size >> VHD_SECTOR_SHIFT);
}

/**
 * vhd_batmap_map_checksum() - checksum over the map of a batmap
 * @map: the map
 * @len: bytes, see vhd_batmap_map_bytes()
 *
 * Context: Any.
 * Return: What the batmap header must say, in host order.
 */
u32 vhd_batmap_map_checksum(const void *map, size_t len)
{
	return vhd_checksum(map, len, len);
}
