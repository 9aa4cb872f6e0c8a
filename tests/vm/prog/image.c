// SPDX-License-Identifier: GPL-2.0
/* See image.h. The same seed makes the same file, whatever the machine. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "image.h"

/* Most data are holes: only so much of a block is written. */
#define PIECE	4096u
/* A table longer than this is left a hole behind the entries that count. */
#define BAT_WRITTEN	(1u << 20)

/* splitmix64 */
u64 rng_next(struct rng *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 rng_below(struct rng *r, u64 limit)
{
	return rng_next(r) % limit;
}

bool rng_chance(struct rng *r, unsigned int percent)
{
	return rng_below(r, 100) < percent;
}

void rng_fill(struct rng *r, void *buf, size_t len)
{
	u8 *p = buf;
	u64 v = 0;
	size_t i;

	for (i = 0; i < len; i++, v >>= 8) {
		if (i % 8 == 0)
			v = rng_next(r);
		p[i] = v;
	}
}

static u32 random_block_size(struct rng *r)
{
	static const u8 shift[] = { 12, 12, 12, 13, 14, 16, 16, 17, 19, 19, 21, 21, 24, 28 };

	return 1u << shift[rng_below(r, ARRAY_SIZE(shift))];
}

static void random_uuid(struct rng *r, u8 *uuid)
{
	rng_fill(r, uuid, 16);
	uuid[0] |= 1;
}

static void make_fixed(struct image *im, struct rng *r)
{
	struct vhd_footer_args args = { .type = VHD_TYPE_FIXED };
	u8 uuid[16];

	random_uuid(r, uuid);
	im->size = (1 + rng_below(r, 4096)) * VHD_SECTOR_SIZE;
	im->end_sect = im->size / VHD_SECTOR_SIZE;
	args.size = im->size;
	args.uuid = uuid;
	vhd_footer_init(&im->end, &args);
	im->end_bytes = im->type ? sizeof(im->end) : 0;
}

static u64 random_size(struct image *im, struct rng *r, u32 *blocks)
{
	u64 bytes = (u64)im->block_sects * VHD_SECTOR_SIZE, most;

	*blocks = 1 + rng_below(r, 40);
	if (rng_chance(r, 3)) {
		most = min_t(u64, VHD_MAX_BLOCKS, VHD_MAX_DYNAMIC_SIZE / bytes);
		*blocks = 1 + rng_below(r, most);
	}
	/* The last block need not be whole. */
	return *blocks * bytes - rng_below(r, im->block_sects) * VHD_SECTOR_SIZE;
}

/* Up to three texts behind each other; what they say is none of the kernel's business. */
static u64 put_locators(struct image *im, struct rng *r, u64 sect)
{
	struct vhd_locator_ref ref = { .code = VHD_PLATFORM_W2RU, .length = 40, .space = 512 };
	u32 nr = rng_below(r, 4);

	while (nr--) {
		ref.offset = sect++ * VHD_SECTOR_SIZE;
		vhd_locator_set(&im->header, rng_below(r, VHD_LOCATORS), &ref);
	}
	return sect;
}

/* Blocks in any order, next to each other or with gaps. */
static u64 put_blocks(struct image *im, struct rng *r, u64 sect)
{
	u32 gap = rng_chance(r, 50) ? 0 : rng_below(r, 16), percent = rng_below(r, 101);
	u32 order[IMAGE_BAT], i, j, swap;

	for (i = 0; i < im->nr_bat; i++)
		order[i] = i;
	for (i = im->nr_bat; i > 1 && gap % 2; i--) {
		j = rng_below(r, i);
		swap = order[i - 1];
		order[i - 1] = order[j];
		order[j] = swap;
	}
	for (i = 0; i < im->nr_bat; i++) {
		im->bat[order[i]] = VHD_BAT_UNUSED;
		if (!rng_chance(r, percent))
			continue;
		im->bat[order[i]] = sect;
		sect += im->bitmap_sects + im->block_sects + gap;
	}
	return sect;
}

static void put_batmap(struct image *im, u64 sect)
{
	memset(&im->batmap, 0, sizeof(im->batmap));
	memcpy(im->batmap.cookie, VHD_BATMAP_COOKIE, sizeof(im->batmap.cookie));
	im->batmap.version = cpu_to_be32(0x00010002);
	im->batmap.offset = cpu_to_be64((sect + 1) * VHD_SECTOR_SIZE);
	im->batmap.sectors = cpu_to_be32(1);
	im->has_batmap = true;
}

static void make_sparse(struct image *im, struct rng *r, const struct image *parent)
{
	struct vhd_header_args hargs = { .block_size = random_block_size(r) };
	struct vhd_footer_args fargs = { .type = im->type, .timestamp = 1 };
	u64 header = rng_chance(r, 85) ? 1 : 1 + rng_below(r, 64), sect, bat_sects;
	u8 uuid[16];
	u32 blocks;

	random_uuid(r, uuid);
	im->header_sect = header;
	im->block_sects = hargs.block_size / VHD_SECTOR_SIZE;
	im->bitmap_sects = vhd_bitmap_sects(hargs.block_size);
	im->size = random_size(im, r, &blocks);
	hargs.entries = blocks + (rng_chance(r, 30) ? rng_below(r, 10) : 0);
	hargs.parent_uuid = parent ? parent->end.uuid : NULL;
	bat_sects = DIV_ROUND_UP((u64)hargs.entries, 128);
	/* The table may lie before the header, if there is room. */
	im->bat_sect = header + 2 + rng_below(r, 12);
	if (header > 1 + bat_sects && rng_chance(r, 50))
		im->bat_sect = 1;
	hargs.table_offset = im->bat_sect * VHD_SECTOR_SIZE;
	vhd_header_init(&im->header, &hargs);
	sect = max_t(u64, header + 2, im->bat_sect + bat_sects);
	if (rng_chance(r, 10))
		put_batmap(im, im->bat_sect + bat_sects);
	if (im->has_batmap)
		sect = max_t(u64, sect, im->bat_sect + bat_sects + 2);
	if (parent)
		sect = put_locators(im, r, sect);
	/* Half of them with data on 4 KiB. */
	if (rng_chance(r, 50))
		sect = DIV_ROUND_UP(sect + im->bitmap_sects, 8) * 8 - im->bitmap_sects;
	im->nr_bat = min_t(u32, hargs.entries, IMAGE_BAT);
	im->end_sect = put_blocks(im, r, sect) + rng_below(r, 9);
	fargs.size = im->size;
	fargs.uuid = uuid;
	vhd_footer_init(&im->end, &fargs);
	im->end.data_offset = cpu_to_be64(header * VHD_SECTOR_SIZE);
	vhd_footer_seal(&im->end);
}

/**
 * image_random() - an image that every program should open
 * @im:		filled
 * @r:		random numbers
 * @parent:	makes it a child of that one; NULL for a base
 */
void image_random(struct image *im, struct rng *r, const struct image *parent)
{
	memset(im, 0, sizeof(*im));
	im->seed = rng_next(r);
	im->cut = ~0ULL;
	im->end_bytes = sizeof(im->end);
	im->type = parent ? VHD_TYPE_DIFFERENCING : VHD_TYPE_DYNAMIC;
	if (!parent && rng_chance(r, 15)) {
		im->type = rng_chance(r, 70) ? VHD_TYPE_FIXED : 0;
		make_fixed(im, r);
	} else {
		make_sparse(im, r, parent);
	}
	im->copy = im->end;
}

static int put(int fd, const void *data, size_t len, u64 pos)
{
	ssize_t n = pwrite(fd, data, len, pos);

	/* What the file system cannot hold is not in the file. */
	if (n == (ssize_t)len || (n < 0 && (errno == EFBIG || errno == EINVAL)))
		return 0;
	return n < 0 ? -errno : -ENOSPC;
}

static int write_bat(const struct image *im, int fd)
{
	static u8 filler[BAT_WRITTEN];
	u64 bytes = min_t(u64, be32_to_cpu(im->header.max_entries) * 4ULL, BAT_WRITTEN);
	__be32 table[IMAGE_BAT];
	u32 i;
	int err;

	if (im->bat_hole)
		return 0;
	if (filler[0] != 0xff)
		memset(filler, 0xff, sizeof(filler));
	for (i = 0; i < im->nr_bat; i++)
		table[i] = cpu_to_be32(im->bat[i]);
	err = put(fd, filler, DIV_ROUND_UP(bytes, 512) * 512, im->bat_sect * VHD_SECTOR_SIZE);
	return err ? err : put(fd, table, im->nr_bat * 4, im->bat_sect * VHD_SECTOR_SIZE);
}

static int write_block(const struct image *im, int fd, struct rng *r, u32 entry)
{
	static u8 buf[256 * VHD_SECTOR_SIZE];
	u32 bits = min_t(u32, im->bitmap_sects * VHD_SECTOR_SIZE, sizeof(buf));
	u32 bytes = im->block_sects * VHD_SECTOR_SIZE, len = min_t(u32, bytes, PIECE);
	u64 data = ((u64)entry + im->bitmap_sects) * VHD_SECTOR_SIZE;
	int err;

	switch (rng_below(r, 3)) {
	case 0:
		memset(buf, 0xff, bits);
		break;
	case 1:
		memset(buf, 0, bits);
		break;
	default:
		rng_fill(r, buf, bits);
	}
	err = put(fd, buf, bits, (u64)entry * VHD_SECTOR_SIZE);
	rng_fill(r, buf, len);
	if (!err)
		err = put(fd, buf, len, data);
	return err ? err : put(fd, buf, 512, data + rng_below(r, bytes / 512) * 512);
}

static int write_data(const struct image *im, int fd, struct rng *r)
{
	static u8 batmap[VHD_SECTOR_SIZE];
	u64 at = (im->bat_sect + DIV_ROUND_UP((u64)be32_to_cpu(im->header.max_entries), 128)) *
		 VHD_SECTOR_SIZE;
	struct vhd_batmap b = im->batmap;
	int err = 0;
	u32 i;

	for (i = 0; i < im->nr_bat && !err; i++)
		if (im->bat[i] && im->bat[i] < im->end_sect)
			err = write_block(im, fd, r, im->bat[i]);
	if (err || !im->has_batmap)
		return err;
	memset(batmap, 0xff, sizeof(batmap));
	if (!im->unsealed)
		b.checksum = cpu_to_be32(vhd_batmap_map_checksum(batmap, sizeof(batmap)));
	err = put(fd, &b, sizeof(b), at);
	return err ? err : put(fd, batmap, sizeof(batmap), at + sizeof(b));
}

/* Footers last: a structure that lies on another one must not hide them. */
static int write_footers(const struct image *im, int fd)
{
	struct vhd_footer end = im->end, copy = im->copy;
	int err = 0;

	if (!im->unsealed) {
		vhd_footer_seal(&end);
		vhd_footer_seal(&copy);
	}
	if (im->type == VHD_TYPE_DYNAMIC || im->type == VHD_TYPE_DIFFERENCING)
		err = put(fd, &copy, sizeof(copy), 0);
	if (!err && im->end_bytes)
		err = put(fd, &end, im->end_bytes, im->end_sect * VHD_SECTOR_SIZE);
	return err;
}

static int write_header(const struct image *im, int fd)
{
	struct vhd_header header = im->header;

	if (!im->unsealed)
		vhd_header_seal(&header);
	return put(fd, &header, sizeof(header), im->header_sect * VHD_SECTOR_SIZE);
}

/**
 * image_write() - make the file
 * @im:	what it shall be
 * @fd:	an empty file
 *
 * Return: 0 or a negative errno.
 */
int image_write(const struct image *im, int fd)
{
	struct rng r = { im->seed };
	u64 size = im->end_sect * VHD_SECTOR_SIZE + im->end_bytes + im->tail;
	u8 data[PIECE];
	u32 i;
	int err;

	rng_fill(&r, data, sizeof(data));
	if (im->header_sect) {
		err = write_data(im, fd, &r);
		if (!err)
			err = write_bat(im, fd);
		if (!err)
			err = write_header(im, fd);
	} else {
		err = put(fd, data, min_t(u64, im->size, sizeof(data)), 0);
	}
	if (!err)
		err = write_footers(im, fd);
	for (i = 0; i < im->nr_noise && !err; i++)
		err = put(fd, im->noise[i].data, im->noise[i].len, im->noise[i].pos);
	if (im->cut != ~0ULL)
		size = im->cut;
	/* Too large for this file system: it stays as it is. */
	if (!err && ftruncate(fd, size) && errno != EFBIG && errno != EINVAL)
		err = -errno;
	return err;
}
