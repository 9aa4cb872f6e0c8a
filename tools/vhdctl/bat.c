// SPDX-License-Identifier: GPL-2.0
/* The block allocation table and the sector bitmaps of one image. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

/* Entries read at a time. */
#define BAT_CHUNK	16384u
/* Blocks whose bitmaps are on their way before they are wanted. */
#define BITMAPS_AHEAD	64u

struct bat_scan {
	struct image *img;
	bat_fault_fn report;
	void *ctx;
};

static void report(const struct bat_scan *s, enum vhd_fault fault, u32 block)
{
	if (s->report)
		s->report(s->ctx, fault, block);
}

static void scan_entry(struct bat_scan *s, u32 block, u32 entry)
{
	struct image *img = s->img;
	enum vhd_fault fault;

	if (entry == VHD_BAT_UNUSED)
		return;
	fault = vhd_bat_entry_check(&img->layout, entry);
	if (fault)
		report(s, fault, block);
	if (fault && fault != VHD_FAULT_BLOCK_CUT) {
		img->bat[block] = ~0u;
		return;
	}
	img->bat[block] = ~entry;
	img->allocated++;
	if (vhd_bat_data_sect(&img->layout, entry) % 8)
		img->misaligned++;
}

static int scan_bat(struct bat_scan *s)
{
	struct image *img = s->img;
	u64 pos = img->layout.bat_sect << VHD_SECTOR_SHIFT;
	u32 first, nr, i;
	__be32 *chunk = malloc(BAT_CHUNK * sizeof(*chunk));
	int ret = chunk ? 0 : -ENOMEM;

	for (first = 0; !ret && first < img->layout.entries; first += nr) {
		nr = min_t(u32, BAT_CHUNK, img->layout.entries - first);
		ret = image_read(img, chunk, nr * sizeof(*chunk), pos + first * 4ULL);
		for (i = 0; !ret && i < nr; i++)
			scan_entry(s, first + i, be32_to_cpu(chunk[i]));
	}
	free(chunk);
	return ret;
}

static int compare_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* Keep of the sorted entries those that share sectors with a neighbour. */
static u32 keep_overlapping(u32 *sorted, u32 nr, u32 span)
{
	u32 i, kept = 0, prev = 0;
	bool before, behind;

	for (i = 0; i < nr; i++) {
		before = i && sorted[i] - prev < span;
		behind = i + 1 < nr && sorted[i + 1] - sorted[i] < span;
		prev = sorted[i];
		if (before || behind)
			sorted[kept++] = sorted[i];
	}
	return kept;
}

static u32 *sorted_entries(const struct image *img, u32 *nr)
{
	u32 *sorted = malloc((img->allocated + 1ULL) * sizeof(*sorted));
	u32 block, entry;

	*nr = 0;
	if (!sorted)
		return NULL;
	for (block = 0; block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (entry && entry != VHD_BAT_UNUSED)
			sorted[(*nr)++] = entry;
	}
	qsort(sorted, *nr, sizeof(*sorted), compare_u32);
	return sorted;
}

/* All users of shared sectors are at fault: whichever is read may tell lies. */
static int check_overlap(struct bat_scan *s)
{
	struct image *img = s->img;
	u32 nr, block, entry, *sorted = sorted_entries(img, &nr);

	if (!sorted)
		return -ENOMEM;
	nr = keep_overlapping(sorted, nr, img->layout.bitmap_sects + img->layout.block_sects);
	for (block = 0; nr && block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (!bsearch(&entry, sorted, nr, sizeof(*sorted), compare_u32))
			continue;
		report(s, VHD_FAULT_BAT_OVERLAP, block);
		img->bat[block] = ~0u;
		img->allocated--;
	}
	free(sorted);
	return 0;
}

/**
 * image_load_bat() - read the BAT and check every entry
 * @img:	a loaded image; nothing happens to a fixed one
 * @report:	called for each faulty entry, in no particular order; may be NULL
 * @ctx:	for @report
 *
 * Return: 0, also if entries are faulty; a negative errno if the table cannot
 * be read.
 */
int image_load_bat(struct image *img, bat_fault_fn report, void *ctx)
{
	struct bat_scan s = { .img = img, .report = report, .ctx = ctx };
	int ret;

	if (img->layout.type == VHD_TYPE_FIXED)
		return 0;
	free(img->bat);
	img->allocated = 0;
	img->misaligned = 0;
	img->bat = calloc(img->layout.entries + 1ULL, sizeof(*img->bat));
	if (!img->bat)
		return -ENOMEM;
	ret = scan_bat(&s);
	return ret ? ret : check_overlap(&s);
}

/**
 * image_used_by_all() - first sector behind every structure and every block
 * @img:	a loaded image
 * @end:	result
 *
 * Other than image_used_end() it knows blocks that share sectors: which of them is the
 * wrong one nobody can tell, so all of them may hold data.
 *
 * Return: 0 or a negative errno.
 */
int image_used_by_all(const struct image *img, u64 *end)
{
	u64 pos = img->layout.bat_sect << VHD_SECTOR_SHIFT;
	__be32 *chunk = malloc(BAT_CHUNK * sizeof(*chunk));
	u32 first, nr, i, entry;
	int ret = chunk ? 0 : -ENOMEM;

	*end = img->layout.meta_end;
	for (first = 0; !ret && first < img->layout.entries; first += nr) {
		nr = min_t(u32, BAT_CHUNK, img->layout.entries - first);
		ret = image_read(img, chunk, nr * sizeof(*chunk), pos + first * 4ULL);
		for (i = 0; !ret && i < nr; i++) {
			entry = be32_to_cpu(chunk[i]);
			*end = max_t(u64, *end, vhd_bat_used_end(&img->layout, &entry, 1));
		}
	}
	free(chunk);
	return ret;
}

/**
 * image_bat_entry() - where a block lies
 * @img:	an image after image_load_bat()
 * @block:	its number
 *
 * Return: The entry; VHD_BAT_UNUSED; or 0, which no good entry is, for a
 * faulty one.
 */
u32 image_bat_entry(const struct image *img, u32 block)
{
	if (!img->bat || block >= img->layout.entries)
		return VHD_BAT_UNUSED;
	return ~img->bat[block];
}

/*
 * Whoever wants one bitmap wants those of the next blocks too, and each is a read of
 * its own that all else would wait for.
 */
static void prefetch_bitmaps(struct image *img, u32 block)
{
	u64 end = min_t(u64, img->layout.entries, block + 1ULL + BITMAPS_AHEAD);
	u32 entry;

	if (block + BITMAPS_AHEAD / 2 < img->ahead)
		return;
	for (img->ahead = max_t(u32, img->ahead, block + 1); img->ahead < end; img->ahead++) {
		entry = image_bat_entry(img, img->ahead);
		if (entry && entry != VHD_BAT_UNUSED)
			posix_fadvise(img->fd, (off_t)entry << VHD_SECTOR_SHIFT,
				      (off_t)img->layout.bitmap_sects << VHD_SECTOR_SHIFT,
				      POSIX_FADV_WILLNEED);
	}
}

/**
 * image_bitmap() - the sector bitmap of an allocated block
 * @img:	an image after image_load_bat()
 * @block:	a block with a good entry
 *
 * Return: The bitmap, valid until the next call, or NULL with errno set.
 */
const u8 *image_bitmap(struct image *img, u32 block)
{
	size_t len = (size_t)img->layout.bitmap_sects << VHD_SECTOR_SHIFT;
	int ret;

	if (img->bitmap_block == block)
		return img->bitmap;
	if (!img->bitmap)
		img->bitmap = malloc(len);
	if (!img->bitmap)
		return NULL;
	img->bitmap_block = ~0u;
	prefetch_bitmaps(img, block);
	ret = image_read(img, img->bitmap, len,
			 (u64)image_bat_entry(img, block) << VHD_SECTOR_SHIFT);
	if (ret) {
		errno = -ret;
		return NULL;
	}
	img->bitmap_block = block;
	return img->bitmap;
}
