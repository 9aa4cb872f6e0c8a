// SPDX-License-Identifier: GPL-2.0
/*
 * What can be wrong with an image, or strange. Checksums are computed afterwards,
 * as a rule: what fails at the first check tells nothing about the second.
 */
#include "image.h"

/* Numbers that lie next to something: sizes and places, in bytes. */
static u64 near_something(const struct image *im, struct rng *r)
{
	const u64 places[] = {
		0, 512, 1024, 4096, im->header_sect * 512, im->bat_sect * 512,
		im->end_sect * 512, (im->end_sect + 1) * 512, im->size, 1ULL << 32, 1ULL << 41,
		1ULL << 63, ~0ULL, 0x7fffffffffffffffULL, VHD_MAX_DYNAMIC_SIZE,
		(u64)im->block_sects * 512, im->end_sect * 256,
	};
	const s64 off[] = { 0, 0, 0, 512, -512, 1, -1, 1024, -1024, 4096, -4096, 511 };
	u64 place = places[rng_below(r, ARRAY_SIZE(places))];

	return place + off[rng_below(r, ARRAY_SIZE(off))];
}

static u64 any_place(const struct image *im, struct rng *r)
{
	switch (rng_below(r, 4)) {
	case 0:
		return rng_below(r, im->end_sect + 2) * 512;
	case 1:
		return rng_next(r) >> rng_below(r, 64);
	default:
		return near_something(im, r);
	}
}

static u32 any_number(struct rng *r)
{
	static const u32 numbers[] = {
		0, 1, 2, 3, 127, 128, 129, 511, 512, 513, 1024, 4095, 4096, 65536, 1 << 20,
		VHD_MAX_BLOCKS, VHD_MAX_BLOCKS + 1, 1u << 28, 1u << 31, 0x7fffffff, 0xffffff80,
		0xfffffffe, 0xffffffff,
	};

	if (rng_chance(r, 30))
		return rng_next(r) >> rng_below(r, 32);
	return numbers[rng_below(r, ARRAY_SIZE(numbers))];
}

/* Both footers say it; see footers_differ(). */
static void same_footers(struct image *im)
{
	im->copy = im->end;
}

static void footer_size(struct image *im, struct rng *r)
{
	im->end.current_size = cpu_to_be64(any_place(im, r));
	same_footers(im);
}

static void footer_type(struct image *im, struct rng *r)
{
	im->end.type = cpu_to_be32(rng_below(r, 7));
	same_footers(im);
}

static void footer_data_offset(struct image *im, struct rng *r)
{
	im->end.data_offset = cpu_to_be64(any_place(im, r));
	same_footers(im);
	if (rng_chance(r, 50))
		im->header_sect = be64_to_cpu(im->end.data_offset) / 512 + 1;
}

/* Some creators make the geometry the size of the disk. */
static void footer_geometry(struct image *im, struct rng *r)
{
	memcpy(im->end.creator_app, rng_chance(r, 50) ? "vpc " : "qemu", 4);
	im->end.cylinders = cpu_to_be16(rng_next(r) >> rng_below(r, 16));
	im->end.heads = rng_next(r);
	im->end.spt = rng_next(r);
	same_footers(im);
}

static void footer_noise(struct image *im, struct rng *r)
{
	u8 *byte = (u8 *)&im->end + rng_below(r, 96);

	*byte ^= 1 << rng_below(r, 8);
	same_footers(im);
}

static void footers_differ(struct image *im, struct rng *r)
{
	u8 *byte = (u8 *)(rng_chance(r, 50) ? &im->copy : &im->end);

	if (rng_chance(r, 40))
		im->copy.current_size = cpu_to_be64(any_place(im, r));
	else
		byte[rng_below(r, 512)] ^= 1 << rng_below(r, 8);
}

static void footer_end(struct image *im, struct rng *r)
{
	static const u32 bytes[] = { 0, 0, 511, 511, 510, 1 };

	im->end_bytes = bytes[rng_below(r, ARRAY_SIZE(bytes))];
	if (rng_chance(r, 40))
		im->tail = any_number(r) & 0xffff;
}

static void file_size(struct image *im, struct rng *r)
{
	if (rng_chance(r, 30))
		im->tail = any_number(r) & 0xfff;
	else
		im->cut = any_place(im, r);
}

/* Exabytes that are a hole; a fixed disk may well be that large. */
static void far_end(struct image *im, struct rng *r)
{
	im->end_sect = any_place(im, r) / 512 >> 1;
	if (rng_chance(r, 60))
		im->end.current_size = cpu_to_be64(im->end_sect * 512);
	same_footers(im);
}

static void header_table(struct image *im, struct rng *r)
{
	im->header.table_offset = cpu_to_be64(any_place(im, r));
	if (rng_chance(r, 50))
		im->bat_sect = be64_to_cpu(im->header.table_offset) / 512;
}

static void header_entries(struct image *im, struct rng *r)
{
	u32 nr = be32_to_cpu(im->header.max_entries);

	im->header.max_entries = cpu_to_be32(rng_chance(r, 50) ? nr + rng_below(r, 5) - 2 :
					     any_number(r));
}

static void header_block_size(struct image *im, struct rng *r)
{
	u32 size = 1u << rng_below(r, 32);

	im->header.block_size = cpu_to_be32(rng_chance(r, 80) ? size : any_number(r));
}

static void header_noise(struct image *im, struct rng *r)
{
	u8 *byte = (u8 *)&im->header + rng_below(r, rng_chance(r, 50) ? 64 : 1024);

	*byte ^= 1 << rng_below(r, 8);
}

static void locator(struct image *im, struct rng *r)
{
	static const u32 codes[] = { VHD_PLATFORM_W2RU, VHD_PLATFORM_MACX, VHD_PLATFORM_MAC, 77 };
	struct vhd_locator *l = &im->header.locator[rng_below(r, VHD_LOCATORS)];

	l->code = cpu_to_be32(codes[rng_below(r, ARRAY_SIZE(codes))]);
	l->data_space = cpu_to_be32(any_number(r));
	l->data_length = cpu_to_be32(any_number(r));
	l->data_offset = cpu_to_be64(any_place(im, r));
}

/* The table grows, the file does not, or it is a hole. */
static void huge(struct image *im, struct rng *r)
{
	u32 nr = 1u << rng_below(r, 23);
	u64 size = (u64)nr * be32_to_cpu(im->header.block_size);

	im->header.max_entries = cpu_to_be32(nr + rng_below(r, 3) - 1);
	im->end.current_size = cpu_to_be64(min_t(u64, size, VHD_MAX_DYNAMIC_SIZE));
	same_footers(im);
	if (rng_chance(r, 70))
		im->end_sect += nr / 128 + rng_below(r, 3);
	im->bat_hole = rng_chance(r, 50);
}

static u32 any_entry(const struct image *im, struct rng *r)
{
	u32 other = im->bat[rng_below(r, IMAGE_BAT)];

	switch (rng_below(r, 6)) {
	case 0:
		return any_number(r);
	case 1:
		return other;
	case 2:
		return other + rng_below(r, 2 * im->block_sects) - im->block_sects;
	case 3:
		return im->end_sect - rng_below(r, im->block_sects + im->bitmap_sects + 2);
	case 4:
		return any_place(im, r) / 512;
	default:
		return rng_below(r, im->end_sect + 1);
	}
}

static void bat_entries(struct image *im, struct rng *r)
{
	u32 nr = 1 + rng_below(r, 4);

	while (nr-- && im->nr_bat)
		im->bat[rng_below(r, im->nr_bat)] = any_entry(im, r);
}

/* Legal as long as nobody finds two of them in the same place. */
static void bat_permuted(struct image *im, struct rng *r)
{
	u32 i, j, swap;

	for (i = im->nr_bat; i > 1; i--) {
		j = rng_below(r, i);
		swap = im->bat[i - 1];
		im->bat[i - 1] = im->bat[j];
		im->bat[j] = swap;
	}
}

static void bat_hole(struct image *im, struct rng *r)
{
	im->bat_hole = true;
}

static void last_block_cut(struct image *im, struct rng *r)
{
	u32 back = rng_below(r, im->block_sects + im->bitmap_sects + 4);

	im->end_sect -= min_t(u64, back, im->end_sect / 2);
}

static void batmap(struct image *im, struct rng *r)
{
	u64 sect = im->bat_sect + DIV_ROUND_UP((u64)be32_to_cpu(im->header.max_entries), 128);

	memcpy(im->batmap.cookie, VHD_BATMAP_COOKIE, sizeof(im->batmap.cookie));
	im->batmap.version = cpu_to_be32(0x00010002);
	im->batmap.offset = cpu_to_be64(rng_chance(r, 80) ? (sect + 1) * 512 : any_place(im, r));
	im->batmap.sectors = cpu_to_be32(rng_chance(r, 50) ? 1 : any_number(r));
	im->has_batmap = true;
}

static void noise(struct image *im, struct rng *r)
{
	struct image_noise *n = &im->noise[im->nr_noise % IMAGE_NOISE];

	im->nr_noise = min_t(u32, im->nr_noise + 1, IMAGE_NOISE);
	n->len = 1 + rng_below(r, sizeof(n->data));
	n->pos = rng_below(r, (im->end_sect + 1) * 512 - n->len);
	/* Rather where the structures are. */
	if (rng_chance(r, 70))
		n->pos %= 8192;
	rng_fill(r, n->data, n->len);
}

static void unsealed(struct image *im, struct rng *r)
{
	im->unsealed = true;
}

typedef void (*mutation)(struct image *im, struct rng *r);

static const mutation any_image[] = {
	footer_size, footer_type, footer_geometry, footer_noise, footer_end, file_size, noise,
	far_end,
};

static const mutation sparse_image[] = {
	footer_size, footer_type, footer_data_offset, footer_geometry, footer_noise,
	footers_differ, footers_differ, footer_end, footer_end, file_size, file_size,
	header_table, header_entries, header_entries, header_block_size, header_noise,
	locator, locator, locator, huge, huge, bat_entries, bat_entries, bat_entries,
	bat_permuted, bat_permuted, bat_hole, last_block_cut, last_block_cut, batmap, batmap,
	noise, unsealed, far_end,
};

/**
 * image_mutate() - change up to four things, as a rule one
 * @im:	an image
 * @r:	random numbers
 */
void image_mutate(struct image *im, struct rng *r)
{
	static const u8 how_many[] = { 0, 1, 1, 1, 1, 2, 2, 3, 4 };
	u32 nr = how_many[rng_below(r, ARRAY_SIZE(how_many))];

	while (nr--) {
		if (im->header_sect)
			sparse_image[rng_below(r, ARRAY_SIZE(sparse_image))](im, r);
		else
			any_image[rng_below(r, ARRAY_SIZE(any_image))](im, r);
	}
}
