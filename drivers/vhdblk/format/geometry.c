// SPDX-License-Identifier: GPL-2.0
/* Sizes and places: CHS geometry and the layout of one image. */
#include "vhd_format.h"

/* 4 KiB in sectors: the unit that data and end of file are aligned to. */
#define VHD_ALIGN_SECTS		8u
#define VHD_ENTRIES_PER_SECT	(VHD_SECTOR_SIZE / sizeof(__be32))

static u64 vhd_align(u64 sect)
{
	return (sect + VHD_ALIGN_SECTS - 1) & ~(u64)(VHD_ALIGN_SECTS - 1);
}

/**
 * vhd_geometry_of() - geometry for a disk size
 * @sectors: size of the disk
 *
 * Specification, appendix "CHS Calculation".
 *
 * Context: Any.
 * Return: A geometry of at most @sectors, except that disks of fewer than 68
 * sectors have 0 cylinders.
 */
struct vhd_geometry vhd_geometry_of(u64 sectors)
{
	const u64 max = (u64)VHD_MAX_CYLINDERS * VHD_MAX_HEADS * VHD_MAX_SPT;
	u32 total = sectors > max ? max : sectors;
	u32 spt = 17, heads, tracks = total / spt;

	heads = (tracks + 1023) / 1024;
	if (heads < 4)
		heads = 4;
	if (tracks >= heads * 1024 || heads > VHD_MAX_HEADS) {
		spt = 31;
		heads = VHD_MAX_HEADS;
		tracks = total / spt;
	}
	if (tracks >= heads * 1024) {
		spt = 63;
		tracks = total / spt;
	}
	if (total >= VHD_MAX_CYLINDERS * VHD_MAX_HEADS * 63) {
		spt = VHD_MAX_SPT;
		tracks = total / spt;
	}
	return (struct vhd_geometry){ tracks / heads, heads, spt };
}

/**
 * vhd_bitmap_sects() - sectors of the bitmap before a block's data
 * @block_size: bytes, a power of two
 *
 * Specification, "Data Blocks": one bit a sector, padded to whole sectors.
 *
 * Context: Any.
 * Return: Sectors, at least 1.
 */
u32 vhd_bitmap_sects(u32 block_size)
{
	u32 bits = block_size >> VHD_SECTOR_SHIFT;

	return DIV_ROUND_UP(bits, 8 * VHD_SECTOR_SIZE);
}

/**
 * vhd_blocks_needed() - blocks that a disk size needs
 * @capacity_sects:	size of the disk
 * @block_shift:	log2 of the sectors of a block
 *
 * Context: Any.
 * Return: Blocks, the last one counted whole; saturates.
 */
u32 vhd_blocks_needed(u64 capacity_sects, u32 block_shift)
{
	u64 blocks = capacity_sects >> block_shift;

	if (blocks << block_shift != capacity_sects)
		blocks++;
	return min_t(u64, blocks, ~0U);
}

static bool vhd_meets(u64 a, u64 a_sects, u64 b, u64 b_sects)
{
	return a < b + b_sects && b < a + a_sects;
}

/**
 * vhd_layout_hits_metadata() - does a range touch a structure of the image
 * @l:		layout of a dynamic or differencing image
 * @sect:	first sector
 * @nr:		sectors
 *
 * Structures may lie anywhere and in any order, also between blocks. Of a
 * parent locator only its text counts: writers disagree on the unit of its
 * space, and a wrong guess must not condemn a sound image.
 *
 * Context: Any.
 * Return: true if it shares a sector with the footer copy, the dynamic header,
 * the BAT, the batmap or the text of a parent locator.
 */
bool vhd_layout_hits_metadata(const struct vhd_layout *l, u64 sect, u64 nr)
{
	unsigned int i;

	if (!sect || vhd_meets(sect, nr, l->header_sect, VHD_HEADER_SECTS) ||
	    vhd_meets(sect, nr, l->bat_sect, l->bat_sects) ||
	    (l->batmap_sects && vhd_meets(sect, nr, l->batmap_sect, l->batmap_sects)))
		return true;
	for (i = 0; i < VHD_LOCATORS; i++)
		if (l->locator[i].sects &&
		    vhd_meets(sect, nr, l->locator[i].sect, l->locator[i].sects))
			return true;
	return false;
}

static enum vhd_fault vhd_layout_fixed(struct vhd_layout *l)
{
	return l->capacity > l->end ? VHD_FAULT_FOOTER_SIZE : VHD_OK;
}

static void vhd_layout_blocks(struct vhd_layout *l, const struct vhd_header *h)
{
	u32 block_size = be32_to_cpu(h->block_size);

	l->max_entries = be32_to_cpu(h->max_entries);
	l->block_sects = block_size >> VHD_SECTOR_SHIFT;
	l->block_shift = __builtin_ctz(l->block_sects);
	l->bitmap_sects = vhd_bitmap_sects(block_size);
	l->bat_sect = be64_to_cpu(h->table_offset) >> VHD_SECTOR_SHIFT;
	l->bat_sects = DIV_ROUND_UP((u64)l->max_entries, VHD_ENTRIES_PER_SECT);
}

static enum vhd_fault vhd_layout_places(struct vhd_layout *l)
{
	u64 header_end = l->header_sect + VHD_HEADER_SECTS;
	u64 bat_end = l->bat_sect + l->bat_sects;

	if (header_end > l->end)
		return VHD_FAULT_FOOTER_DATA_OFFSET;
	if (l->bat_sect >= l->end)
		return VHD_FAULT_HEADER_TABLE_OFFSET;
	if (bat_end > l->end)
		return VHD_FAULT_BAT_TRUNCATED;
	if (vhd_meets(l->header_sect, VHD_HEADER_SECTS, l->bat_sect, l->bat_sects))
		return VHD_FAULT_METADATA_OVERLAP;
	l->meta_end = max_t(u64, header_end, bat_end);
	return VHD_OK;
}

static enum vhd_fault vhd_layout_entries(struct vhd_layout *l)
{
	u64 room = (u64)l->max_entries << l->block_shift;

	if (l->capacity > VHD_MAX_DYNAMIC_SIZE >> VHD_SECTOR_SHIFT)
		return VHD_FAULT_TOO_LARGE;
	/* libvhd has no entry for a last block that the size does not fill. */
	if (l->max_entries < l->capacity >> l->block_shift)
		return VHD_FAULT_HEADER_ENTRIES;
	l->capacity = min_t(u64, l->capacity, room);
	l->entries = vhd_blocks_needed(l->capacity, l->block_shift);
	return l->entries > VHD_MAX_BLOCKS ? VHD_FAULT_TOO_MANY_BLOCKS : VHD_OK;
}

static void vhd_layout_locators(struct vhd_layout *l, const struct vhd_header *h)
{
	u64 size = l->end << VHD_SECTOR_SHIFT, text_end, space_end;
	struct vhd_locator_ref ref;
	unsigned int i;

	for (i = 0; i < VHD_LOCATORS; i++) {
		if (vhd_locator_get(h, i, size, &ref) == VHD_FAULT_LOCATOR_RANGE || !ref.length)
			continue;
		text_end = DIV_ROUND_UP(ref.offset + ref.length, VHD_SECTOR_SIZE);
		space_end = DIV_ROUND_UP(ref.offset + ref.space, VHD_SECTOR_SIZE);
		l->locator[i].sect = ref.offset >> VHD_SECTOR_SHIFT;
		l->locator[i].sects = text_end - l->locator[i].sect;
		l->meta_end = max_t(u64, l->meta_end, min_t(u64, space_end, l->end));
	}
}

static enum vhd_fault vhd_layout_sparse(struct vhd_layout *l, const struct vhd_footer *f,
					const struct vhd_header *h)
{
	enum vhd_fault fault = vhd_header_check(h);

	if (fault)
		return fault;
	l->header_sect = be64_to_cpu(f->data_offset) >> VHD_SECTOR_SHIFT;
	vhd_layout_blocks(l, h);
	fault = vhd_layout_places(l);
	if (!fault)
		fault = vhd_layout_entries(l);
	if (!fault && l->type == VHD_TYPE_DIFFERENCING)
		vhd_layout_locators(l, h);
	return fault;
}

/**
 * vhd_layout_init() - where everything of an image lies
 * @l:		filled; usable only if the result is VHD_OK
 * @f:		the chosen footer, checked
 * @h:		the dynamic header; NULL for a fixed image
 * @end_sect:	sector of the end footer, or EOF / 512 rounded down if the
 *		footer came from the copy at 0
 * @rule:	which field gives the size
 *
 * A batmap is not looked for: see vhd_layout_set_batmap(). Locators out of range
 * are left out: see vhd_locator_check().
 *
 * Surplus BAT entries are legal (libvhd leaves room to grow, QEMU before 5.1 has
 * one more). A missing entry for a last block that the size fills only in part
 * shortens the disk; any other lack is a fault.
 *
 * Context: Any.
 * Return: VHD_OK, a fault of vhd_header_check(), or the first fault found in
 * places and sizes.
 */
enum vhd_fault vhd_layout_init(struct vhd_layout *l, const struct vhd_footer *f,
			       const struct vhd_header *h, u64 end_sect,
			       enum vhd_size_rule rule)
{
	memset(l, 0, sizeof(*l));
	l->type = vhd_footer_type(f);
	l->end = end_sect;
	l->capacity = vhd_footer_size(f, rule) >> VHD_SECTOR_SHIFT;
	if (l->type == VHD_TYPE_FIXED)
		return vhd_layout_fixed(l);
	return vhd_layout_sparse(l, f, h);
}

/**
 * vhd_layout_set_batmap() - protect the place of a batmap
 * @l:	layout of the image
 * @b:	its batmap header, for which vhd_batmap_check() said true and whose map
 *	has the right checksum
 *
 * Context: Any.
 */
void vhd_layout_set_batmap(struct vhd_layout *l, const struct vhd_batmap *b)
{
	l->batmap_sect = l->bat_sect + l->bat_sects;
	l->batmap_sects = 1 + be32_to_cpu(b->sectors);
	l->meta_end = max_t(u64, l->meta_end, l->batmap_sect + l->batmap_sects);
}

static u64 vhd_stride(u32 bitmap_sects, u32 block_sects)
{
	return vhd_align((u64)bitmap_sects + block_sects);
}

/**
 * vhd_max_size() - largest new dynamic or differencing image
 * @block_size: bytes, a power of two that we support
 *
 * Every block must fit below sector 0xffffffff at the stride that aligned data
 * have, behind half a MiB of other structures and the largest BAT.
 *
 * Context: Any.
 * Return: Bytes, a multiple of @block_size or VHD_MAX_DYNAMIC_SIZE.
 */
u64 vhd_max_size(u32 block_size)
{
	u32 metadata = 1024 + VHD_MAX_BLOCKS / VHD_ENTRIES_PER_SECT;
	u32 stride = vhd_stride(vhd_bitmap_sects(block_size),
				block_size >> VHD_SECTOR_SHIFT);
	u32 slots = ((u32)VHD_MAX_SECTOR - metadata) / stride;

	return min_t(u64, (u64)min_t(u32, slots, VHD_MAX_BLOCKS) * block_size,
		     VHD_MAX_DYNAMIC_SIZE);
}

/**
 * vhd_slot_stride() - distance of neighbouring new blocks
 * @l: layout of a dynamic or differencing image
 *
 * Context: Any.
 * Return: Sectors of bitmap and data, rounded up so that the data of each block
 * start on 4 KiB if those of the first do.
 */
u64 vhd_slot_stride(const struct vhd_layout *l)
{
	return vhd_stride(l->bitmap_sects, l->block_sects);
}

/**
 * vhd_slot_align() - first good place for a new block
 * @l:		layout of a dynamic or differencing image
 * @sect:	first sector that is free
 *
 * Context: Any.
 * Return: The lowest BAT entry not below @sect whose data start on 4 KiB.
 */
u64 vhd_slot_align(const struct vhd_layout *l, u64 sect)
{
	return vhd_align(sect + l->bitmap_sects) - l->bitmap_sects;
}

/**
 * vhd_layout_end_aligned() - end of file behind the used sectors
 * @used_end_sect: first sector that nothing uses, see vhd_bat_used_end()
 *
 * Context: Any.
 * Return: EOF in sectors, a multiple of 4 KiB; the footer is its last sector.
 */
u64 vhd_layout_end_aligned(u64 used_end_sect)
{
	return vhd_align(used_end_sect + 1);
}
