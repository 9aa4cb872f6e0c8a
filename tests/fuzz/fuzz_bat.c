// SPDX-License-Identifier: GPL-2.0
/* An arbitrary BAT and batmap among arbitrary structures, against plain intervals. */
#include "fuzz.h"

#define BLOCKS	24
#define PLACES	(VHD_LOCATORS + 4)

struct place {
	u64 sect;
	u64 nr;
};

struct image {
	struct vhd_layout l;
	struct place place[PLACES];
	u32 nr_places;
	u32 bat[BLOCKS];
};

static bool make_layout(struct fuzz_input *in, struct vhd_layout *l)
{
	static const u8 uuid[16] = { 1 };
	struct vhd_footer_args fargs = { .type = VHD_TYPE_DIFFERENCING, .uuid = uuid };
	struct vhd_header_args hargs = { .entries = BLOCKS, .parent_uuid = uuid };
	struct vhd_locator_ref ref = { .code = VHD_PLATFORM_W2RU };
	struct vhd_footer f;
	struct vhd_header h;
	u64 end = fuzz_u64(in) >> 10;
	u8 nr = fuzz_u8(in) % (VHD_LOCATORS + 1);

	hargs.block_size = VHD_BLOCK_SIZE_MIN << fuzz_u8(in) % 17;
	hargs.table_offset = (u64)fuzz_u32(in) << VHD_SECTOR_SHIFT;
	fargs.size = fuzz_u32(in) % ((u64)BLOCKS * hargs.block_size) + VHD_SECTOR_SIZE;
	vhd_footer_init(&f, &fargs);
	vhd_header_init(&h, &hargs);
	while (nr--) {
		ref.offset = fuzz_u32(in);
		ref.length = fuzz_u32(in) % (VHD_LOCATOR_MAX + 2);
		ref.space = fuzz_u32(in);
		vhd_locator_set(&h, nr, &ref);
	}
	vhd_header_seal(&h);
	return !vhd_layout_init(l, &f, &h, end, VHD_SIZE_AUTO);
}

static void add_place(struct image *im, u64 sect, u64 nr)
{
	if (nr)
		im->place[im->nr_places++] = (struct place){ sect, nr };
}

static void take_batmap(struct fuzz_input *in, struct image *im)
{
	struct vhd_layout *l = &im->l;
	u64 sect = l->bat_sect + l->bat_sects;
	struct vhd_batmap b = { .version = cpu_to_be32(0x00010002) };
	u8 how = fuzz_u8(in);

	memcpy(b.cookie, VHD_BATMAP_COOKIE, sizeof(b.cookie));
	b.offset = cpu_to_be64(how & 1 ? fuzz_u64(in) : (sect + 1) << VHD_SECTOR_SHIFT);
	b.sectors = cpu_to_be32(fuzz_u32(in) >> how % 32);
	if (!vhd_batmap_check(&b, l, ~0ULL >> 1))
		return;
	vhd_layout_set_batmap(l, &b);
	MUST(l->batmap_sects == 1ULL + be32_to_cpu(b.sectors));
	MUST(l->meta_end >= l->batmap_sect + l->batmap_sects && l->meta_end <= l->end);
	add_place(im, sect, 1ULL + be32_to_cpu(b.sectors));
}

static void list_places(struct image *im)
{
	u32 i;

	im->nr_places = 0;
	add_place(im, 0, 1);
	add_place(im, im->l.header_sect, VHD_HEADER_SECTS);
	add_place(im, im->l.bat_sect, im->l.bat_sects);
	for (i = 0; i < VHD_LOCATORS; i++)
		add_place(im, im->l.locator[i].sect, im->l.locator[i].sects);
}

static bool hits(const struct image *im, u64 sect, u64 end)
{
	u32 i;

	for (i = 0; i < im->nr_places; i++)
		if (sect < im->place[i].sect + im->place[i].nr && im->place[i].sect < end)
			return true;
	return false;
}

static enum vhd_fault wanted(const struct image *im, u32 entry)
{
	u64 data = (u64)entry + im->l.bitmap_sects, end = data + im->l.block_sects;

	if (entry == VHD_BAT_UNUSED)
		return VHD_OK;
	if (data >= im->l.end || hits(im, entry, end < im->l.end ? end : im->l.end))
		return VHD_FAULT_BAT_RANGE;
	return end > im->l.end ? VHD_FAULT_BLOCK_CUT : VHD_OK;
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	static struct image im;
	u64 used;
	u32 i;

	if (!make_layout(&in, &im.l))
		return 0;
	list_places(&im);
	take_batmap(&in, &im);
	for (i = 0; i < BLOCKS; i++) {
		im.bat[i] = fuzz_u32(&in);
		MUST(vhd_bat_entry_check(&im.l, im.bat[i]) == wanted(&im, im.bat[i]));
	}
	used = vhd_bat_used_end(&im.l, im.bat, BLOCKS);
	MUST(used >= im.l.meta_end);
	for (i = 0; i < BLOCKS; i++)
		if (im.bat[i] != VHD_BAT_UNUSED && wanted(&im, im.bat[i]) != VHD_FAULT_BAT_RANGE)
			MUST(used >= (u64)im.bat[i] + im.l.bitmap_sects + im.l.block_sects);
	return 0;
}
