// SPDX-License-Identifier: GPL-2.0
/*
 * Writes seeds for the fuzz targets, made with the library itself.
 *
 * Usage: seeds DIR	fills DIR/TARGET for those targets that need a start
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "vhd_format.h"

static const u8 uuid[16] = { 0xaa, 1, 2, 3 };
static const char *root;

static void put(const char *target, const char *name, const void *data, size_t size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, target);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%s", root, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f)) {
		perror(path);
		exit(1);
	}
}

static struct vhd_footer footer(enum vhd_type type)
{
	struct vhd_footer_args args = { type, 16 << 20, uuid, 1000 };
	struct vhd_footer f;

	vhd_footer_init(&f, &args);
	return f;
}

static void footer_seeds(void)
{
	static const char *const names[] = { "plain", "sealed", "no-end", "no-copy", "short" };
	static const u8 flags[] = { 0, 3, 7, 11, 19 };
	u8 input[1 + 2 * sizeof(struct vhd_footer)];
	struct vhd_footer end = footer(VHD_TYPE_DYNAMIC), copy = end;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		input[0] = flags[i];
		memcpy(input + 1, &end, sizeof(end));
		memcpy(input + 1 + sizeof(end), &copy, sizeof(copy));
		put("footer", names[i], input, sizeof(input));
	}
	end = footer(VHD_TYPE_FIXED);
	memcpy(input + 1, &end, sizeof(end));
	put("footer", "fixed", input, sizeof(input));
}

static struct vhd_header header(bool child)
{
	struct vhd_header_args args = { 2 << 20, 8, 8192, child ? uuid : NULL, 5 };
	struct vhd_locator_ref ref = { VHD_PLATFORM_W2RU, 1536, 26, 512 };
	static const u16 name[] = { 'b', 'a', 's', 'e' };
	struct vhd_header h;

	vhd_header_init(&h, &args);
	if (child) {
		vhd_header_set_name(&h, name, ARRAY_SIZE(name));
		vhd_locator_set(&h, 0, &ref);
	}
	vhd_header_seal(&h);
	return h;
}

static void layout_seed(const char *name, enum vhd_type type, bool batmap)
{
	u8 input[9 + sizeof(struct vhd_footer) + sizeof(struct vhd_header) +
		 sizeof(struct vhd_batmap)] = { 0 };
	struct vhd_footer f = footer(type);
	struct vhd_header h = header(type == VHD_TYPE_DIFFERENCING);
	struct vhd_batmap b = {
		.cookie = "tdbatma", .offset = cpu_to_be64(18 * 512),
		.sectors = cpu_to_be32(1), .version = cpu_to_be32(0x00010002),
	};
	u64 end = 40000 << 9;
	u8 *p = input;

	b.cookie[7] = 'p';
	memcpy(p, &end, sizeof(end));
	memcpy(p += 9, &f, sizeof(f));
	memcpy(p += sizeof(f), &h, sizeof(h));
	if (batmap)
		memcpy(p + sizeof(h), &b, sizeof(b));
	put("layout", name, input, sizeof(input));
}

static void map_seeds(void)
{
	struct {
		u8 shape, table;
		u32 size, end, bat[16], sector;
		u8 bitmap[16];
	} __packed input = {
		.table = 3, .size = 30000, .end = 200, .sector = 4,
		.bat = { 7, 23, 0xffffffff, 39, 5, 195, 0xffffffff, 55 },
		.bitmap = { 0xff, 0, 0xaa, 0x80, 1 },
	};

	put("map", "dynamic", &input, sizeof(input));
	input.shape = 1;
	put("map", "differencing", &input, sizeof(input));
	input.shape = 2 * 9 + 1;
	input.end = 100000;
	put("map", "2-MiB-blocks", &input, sizeof(input));
}

static void locator_seed(const char *name, u8 which, enum vhd_platform_code code,
			 const char *path)
{
	u8 input[256] = { which, 255 };
	size_t n = vhd_locator_encode(code, path, input + 5, sizeof(input) - 5);

	if (!n || n > sizeof(input) - 5)
		abort();
	put("locator", name, input, 5 + n);
}

struct chain_file {
	u8 shape, flags, id, parent, timestamp, locators, name, code, text, slot;
	u8 bat[8], bitmap[5], patches;
} __packed;

/* See fuzz_files_make(): a child and what one of its texts leads to. */
static void chain_seed(const char *name, u8 shape, u8 text, u8 options)
{
	struct {
		u8 nr;
		struct chain_file leaf, parent;
		u8 options, write;
	} __packed input = {
		.nr = 1, .options = options,
		.leaf = { .shape = 2, .parent = 1, .locators = 1, .name = text, .text = text,
			  .bat = { 0, 255, 1 }, .bitmap = { 0xaa, 0xff } },
		.parent = { .shape = shape, .id = 1, .parent = 0, .locators = 1, .name = 0,
			    .bat = { 0, 1, 2, 3, 4 }, .bitmap = { 1, 2, 3, 4, 5 } },
	};

	put("chain", name, &input, sizeof(input));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 1;
	root = argv[1];
	footer_seeds();
	layout_seed("fixed", VHD_TYPE_FIXED, false);
	layout_seed("dynamic", VHD_TYPE_DYNAMIC, false);
	layout_seed("child", VHD_TYPE_DIFFERENCING, false);
	layout_seed("batmap", VHD_TYPE_DIFFERENCING, true);
	map_seeds();
	locator_seed("relative", 0, VHD_PLATFORM_W2RU, "../d/\xc3\xa9.vhd");
	locator_seed("absolute", 1, VHD_PLATFORM_W2KU, "C:/d/\xf0\x9f\x98\x80.vhd");
	locator_seed("url", 2, VHD_PLATFORM_MACX, "/srv/a b.vhd");
	chain_seed("dynamic-parent", 1, 1, 0);
	chain_seed("cycle", 2, 1, 0);
	chain_seed("outside", 0x41, 9, 0);
	chain_seed("kept-inside", 0x41, 9, 32);
	chain_seed("named", 1, 13, 64);
	chain_seed("fifo", 0x80, 1, 0);
	return 0;
}
