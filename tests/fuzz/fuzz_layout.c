// SPDX-License-Identifier: GPL-2.0
/* An arbitrary footer and dynamic header: what a layout promises its users. */
#include "fuzz.h"

static void check_sparse(const struct vhd_layout *l)
{
	u64 slot = vhd_slot_align(l, l->meta_end);

	MUST(l->entries >= 1 && l->entries <= l->max_entries && l->entries <= VHD_MAX_BLOCKS);
	MUST(l->capacity <= (u64)l->entries << l->block_shift);
	MUST(l->block_sects == 1U << l->block_shift);
	MUST(l->bitmap_sects * VHD_SECTOR_SIZE * 8ULL >= l->block_sects);
	MUST(l->header_sect && l->header_sect + VHD_HEADER_SECTS <= l->end);
	MUST(l->bat_sect && l->bat_sect + l->bat_sects <= l->end);
	MUST((u64)l->bat_sects * VHD_SECTOR_SIZE / 4 >= l->max_entries);
	MUST(l->meta_end <= l->end);
	MUST(!vhd_layout_hits_metadata(l, l->meta_end, 1ULL << 40));
	MUST(slot >= l->meta_end && slot < l->meta_end + 8);
	MUST(vhd_slot_stride(l) % 8 == 0 && (slot + l->bitmap_sects) % 8 == 0);
}

static void check_locators(const struct vhd_header *h, const struct vhd_layout *l)
{
	u64 size = l->end << VHD_SECTOR_SHIFT;
	struct vhd_locator_ref ref;
	enum vhd_fault fault;
	unsigned int i;

	for (i = 0; i < VHD_LOCATORS; i++) {
		fault = vhd_locator_get(h, i, size, &ref);
		if (fault == VHD_FAULT_LOCATOR_RANGE)
			MUST(!ref.length && (l->type == VHD_TYPE_DYNAMIC ||
					     vhd_locator_check(h, l, size)));
		else
			MUST(ref.offset <= size && ref.length <= size - ref.offset &&
			     ref.space >= ref.length);
	}
}

static void check_name(const struct vhd_header *h)
{
	u16 name[VHD_NAME_UNITS], back[VHD_NAME_UNITS];
	char text[VHD_NAME_UNITS * 3 + 1];
	size_t units = vhd_header_name(h, name);

	MUST(units <= VHD_NAME_UNITS);
	if (vhd_utf16_to_utf8(name, units, text, sizeof(text)))
		MUST(vhd_utf8_to_utf16(text, back, VHD_NAME_UNITS) == units &&
		     !memcmp(name, back, units * 2));
}

static void check_batmap(struct vhd_layout *l, const struct vhd_batmap *b)
{
	if (!vhd_batmap_check(b, l, l->end << VHD_SECTOR_SHIFT))
		return;
	vhd_layout_set_batmap(l, b);
	MUST(l->meta_end <= l->end && l->batmap_sects >= 2);
	MUST((u64)(l->batmap_sects - 1) * VHD_SECTOR_SIZE >= vhd_batmap_map_bytes(l));
	MUST(vhd_layout_hits_metadata(l, l->batmap_sect, 1));
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u64 end_sect = fuzz_u64(&in) >> 9;
	u8 rule = fuzz_u8(&in) % 3;
	struct vhd_footer f;
	struct vhd_header h;
	struct vhd_batmap b;
	struct vhd_layout l;

	fuzz_take(&in, &f, sizeof(f));
	fuzz_take(&in, &h, sizeof(h));
	fuzz_take(&in, &b, sizeof(b));
	vhd_footer_seal(&f);
	vhd_header_seal(&h);
	check_name(&h);
	vhd_link_check(&f, &h, &f);
	if (vhd_footer_check(&f) || vhd_layout_init(&l, &f, &h, end_sect, rule))
		return 0;
	MUST(l.capacity);
	if (l.type == VHD_TYPE_FIXED) {
		MUST(l.capacity <= l.end);
		return 0;
	}
	check_sparse(&l);
	check_locators(&h, &l);
	check_batmap(&l, &b);
	return 0;
}
