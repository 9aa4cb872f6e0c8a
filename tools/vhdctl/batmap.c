// SPDX-License-Identifier: GPL-2.0
/*
 * The batmap of libvhd: a bit for each block whose sectors are all there. It is a hint
 * for us, but libvhd refuses its own images without a good one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "findings.h"
#include "sparse.h"

#define TAP_WITH_BATMAP	0x00010002u
#define BATMAP_VERSION	0x00010002u

/**
 * struct batmap - one in memory
 * @head:	as it is in the file
 * @map:	its bits
 * @len:	bytes of @map that the checksum covers
 * @pos:	of @head in the file, bytes
 */
struct batmap {
	struct vhd_batmap head;
	u8 *map;
	size_t len;
	u64 pos;
};

static bool demanded(const struct image *img)
{
	return !memcmp(img->footer.creator_app, "tap", 4) &&
	       be32_to_cpu(img->footer.creator_version) >= TAP_WITH_BATMAP;
}

static bool in_file(const struct batmap *b, const struct image *img)
{
	return b->pos + sizeof(b->head) + b->len <= img->layout.end << VHD_SECTOR_SHIFT;
}

/* Return: 0 with b->map NULL where the file has no room for one. */
static int load(struct batmap *b, const struct image *img)
{
	int ret;

	memset(b, 0, sizeof(*b));
	b->pos = (img->layout.bat_sect + img->layout.bat_sects) << VHD_SECTOR_SHIFT;
	b->len = vhd_batmap_map_bytes(&img->layout);
	if (!in_file(b, img))
		return 0;
	b->map = malloc(b->len);
	if (!b->map)
		return -ENOMEM;
	ret = image_read(img, &b->head, sizeof(b->head), b->pos);
	return ret ? ret : image_read(img, b->map, b->len, b->pos + sizeof(b->head));
}

static bool is_used(const struct image *img, u32 block)
{
	u32 entry = image_bat_entry(img, block);

	return entry && entry != VHD_BAT_UNUSED;
}

/* A block without a place that is said to be full: libvhd would read anything. */
static bool tells_lies(const struct batmap *b, const struct image *img)
{
	u32 bit, nr = min_t(u64, b->len * 8, img->layout.entries);

	for (bit = 0; bit < nr; bit++)
		if (vhd_bitmap_test(b->map, bit) && !is_used(img, bit))
			return true;
	return false;
}

/* Is it, or was it, one? Else the place may hold anything. */
static bool is_trace(const struct batmap *b, const struct image *img)
{
	if (!memcmp(b->head.cookie, VHD_BATMAP_COOKIE, sizeof(b->head.cookie)))
		return true;
	if (be64_to_cpu(b->head.offset) == b->pos + sizeof(b->head) &&
	    be32_to_cpu(b->head.version) == BATMAP_VERSION)
		return true;
	return demanded(img) && is_zero(&b->head, sizeof(b->head)) && is_zero(b->map, b->len);
}

/* A block with a faulty entry may lie anywhere. */
static bool meets_block(const struct image *img, u64 first, u64 end)
{
	u64 slot = (u64)img->layout.bitmap_sects + img->layout.block_sects;
	u32 block, entry;

	for (block = 0; block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (!entry || (entry != VHD_BAT_UNUSED && entry < end && first < entry + slot))
			return true;
	}
	return false;
}

static bool is_free(const struct batmap *b, const struct image *img)
{
	u64 first = b->pos >> VHD_SECTOR_SHIFT;
	u64 nr = (sizeof(b->head) + b->len) >> VHD_SECTOR_SHIFT;
	struct vhd_layout others = img->layout;

	others.batmap_sects = 0;
	return !meets_block(img, first, first + nr) &&
	       !vhd_layout_hits_metadata(&others, first, nr);
}

/**
 * batmap_is_bad() - does an image lack the batmap that it should have
 * @img:	an image after image_load_bat()
 * @bad:	result; not where the place of a batmap is taken by something else, and
 *		nothing demands one
 *
 * Return: 0 or a negative errno.
 */
int batmap_is_bad(struct image *img, bool *bad)
{
	struct batmap b;
	int ret = load(&b, img);

	if (!ret && img->layout.batmap_sects)
		*bad = tells_lies(&b, img);
	else if (!ret)
		*bad = demanded(img) || (b.map && is_trace(&b, img) && is_free(&b, img));
	free(b.map);
	return ret;
}

/**
 * batmap_can_be_mended() - is its place free, or does it hold the bad one
 * @img:	an image after image_load_bat()
 */
bool batmap_can_be_mended(struct image *img)
{
	struct batmap b;
	bool can = !load(&b, img) && b.map && is_trace(&b, img) && is_free(&b, img);

	free(b.map);
	return can;
}

static int fill(struct batmap *b, struct image *img)
{
	u32 block, nr = min_t(u64, b->len * 8, img->layout.entries);
	const u8 *bits;

	memset(b->map, 0, b->len);
	for (block = 0; block < nr; block++) {
		if (!is_used(img, block))
			continue;
		bits = image_bitmap(img, block);
		if (!bits)
			return -errno;
		if (vhd_bitmap_all_set(bits, 0, img->layout.block_sects))
			vhd_bitmap_set(b->map, block, 1);
	}
	return 0;
}

/* The marker and the hash of a key, behind the checksum, stay. */
static void seal(struct batmap *b)
{
	u32 need = b->len >> VHD_SECTOR_SHIFT;

	memcpy(b->head.cookie, VHD_BATMAP_COOKIE, sizeof(b->head.cookie));
	b->head.offset = cpu_to_be64(b->pos + sizeof(b->head));
	b->head.sectors = cpu_to_be32(need);
	b->head.version = cpu_to_be32(BATMAP_VERSION);
	b->head.checksum = cpu_to_be32(vhd_batmap_map_checksum(b->map, b->len));
}

/**
 * batmap_mend() - make a batmap from the bitmaps
 * @img:	an image open for writing and exclusively locked, of which
 *		batmap_can_be_mended()
 *
 * The bits are durable before the header that gives their checksum.
 *
 * Return: 0 or a negative errno.
 */
int batmap_mend(struct image *img)
{
	struct batmap b;
	int ret = load(&b, img);

	if (!ret)
		ret = b.map ? fill(&b, img) : -ENOSPC;
	if (!ret)
		ret = exec_write(img, b.map, b.len, b.pos + sizeof(b.head));
	if (ret)
		goto out;
	seal(&b);
	ret = exec_write(img, &b.head, sizeof(b.head), b.pos);
out:
	free(b.map);
	return ret;
}
