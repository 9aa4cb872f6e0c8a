// SPDX-License-Identifier: GPL-2.0
/* An arbitrary BAT and bitmaps under a sound header: every sector gets one answer. */
#include "fuzz.h"

#define BLOCKS	16

struct image {
	struct vhd_layout l;
	u32 bat[BLOCKS];
	u8 bitmap[65536];	/* of a block of 256 MiB */
};

static bool make_layout(struct fuzz_input *in, struct vhd_layout *l)
{
	static const u8 uuid[16] = { 1 };
	u8 shape = fuzz_u8(in);
	struct vhd_footer_args fargs = {
		.type = shape & 1 ? VHD_TYPE_DIFFERENCING : VHD_TYPE_DYNAMIC, .uuid = uuid
	};
	struct vhd_header_args hargs = {
		.block_size = 4096U << (shape >> 1) % 17, .entries = BLOCKS,
		.table_offset = (u64)fuzz_u8(in) << VHD_SECTOR_SHIFT,
	};
	struct vhd_footer f;
	struct vhd_header h;

	fargs.size = fuzz_u32(in) % (16ULL * hargs.block_size) + VHD_SECTOR_SIZE;
	vhd_footer_init(&f, &fargs);
	vhd_header_init(&h, &hargs);
	return !vhd_layout_init(l, &f, &h, fuzz_u32(in), VHD_SIZE_AUTO);
}

static void check_entries(const struct image *im)
{
	const struct vhd_layout *l = &im->l;
	u64 end = vhd_bat_used_end(l, im->bat, BLOCKS);
	enum vhd_fault fault;
	u32 i;

	MUST(end >= l->meta_end);
	for (i = 0; i < BLOCKS; i++) {
		fault = vhd_bat_entry_check(l, im->bat[i]);
		if (fault == VHD_FAULT_BAT_RANGE || im->bat[i] == VHD_BAT_UNUSED)
			continue;
		MUST(vhd_bat_data_sect(l, im->bat[i]) + l->block_sects <= end);
		MUST(vhd_bat_data_sect(l, im->bat[i]) < l->end);
		MUST((fault == VHD_OK) == (vhd_bat_entry_sects(l, im->bat[i]) == l->block_sects));
	}
}

static int compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static void check_overlap(const struct image *im)
{
	u64 slot = (u64)im->l.bitmap_sects + im->l.block_sects;
	u32 sorted[BLOCKS], i, j, at;
	bool overlap = false;

	memcpy(sorted, im->bat, sizeof(sorted));
	qsort(sorted, BLOCKS, sizeof(sorted[0]), compare);
	for (i = 0; i < BLOCKS; i++)
		for (j = 0; j < i; j++)
			overlap |= sorted[i] != VHD_BAT_UNUSED && sorted[i] < sorted[j] + slot;
	MUST(overlap == !!vhd_bat_overlap(&im->l, sorted, BLOCKS, &at));
}

static void check_run(const struct vhd_layout *l, const struct vhd_run *run, u64 sector)
{
	if (run->answer == VHD_DATA) {
		MUST(run->file_sect + run->sects <= l->end);
		MUST(!vhd_layout_hits_metadata(l, run->file_sect, run->sects));
	}
	if (run->answer == VHD_HOLE)
		MUST(l->type == VHD_TYPE_DIFFERENCING);
	if (run->answer != VHD_ZERO)
		MUST(sector + run->sects <= l->capacity && run->sects <= l->block_sects);
}

static void walk(const struct image *im, u64 sector, u64 nr)
{
	const struct vhd_layout *l = &im->l;
	struct vhd_run run;
	u32 entry, steps = 0;

	/* Alternating bits make one run a sector: bound the time, not the range. */
	while (nr && steps++ < 512) {
		entry = sector < l->capacity ? im->bat[sector >> l->block_shift] : 0;
		vhd_map_step(l, sector, nr, entry, NULL, &run);
		MUST(run.answer != VHD_DATA);
		if (run.answer == VHD_NEED_BITMAP) {
			MUST(run.file_sect + l->bitmap_sects < l->end);
			vhd_map_step(l, sector, nr, entry, im->bitmap, &run);
			MUST(run.answer != VHD_NEED_BITMAP && run.answer != VHD_BAD);
		}
		MUST(run.sects && run.sects <= nr);
		check_run(l, &run, sector);
		sector += run.sects;
		nr -= run.sects;
	}
}

int fuzz_one(const u8 *data, size_t size)
{
	static struct image image;
	struct image *im = &image;
	struct fuzz_input in = { data, size };
	u64 sector;
	u32 i;

	if (!make_layout(&in, &im->l))
		return 0;
	for (i = 0; i < BLOCKS; i++)
		im->bat[i] = fuzz_u32(&in);
	sector = fuzz_u32(&in);
	/* Few inputs are that long: repeat what there is. */
	for (i = 0; i < im->l.bitmap_sects * VHD_SECTOR_SIZE; i++)
		im->bitmap[i] = in.left ? in.data[i % in.left] : 0;
	check_entries(im);
	check_overlap(im);
	walk(im, sector, 1ULL << 40);
	walk(im, 0, im->l.capacity + 5);
	return 0;
}
