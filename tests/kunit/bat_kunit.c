// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define END	100000ULL
#define SLOT	4097			/* bitmap and data of a 2 MiB block */
#define UNUSED	VHD_BAT_UNUSED

/* Header 1-2, BAT 100-103, batmap 104-106, a locator at 5000, all else free. */
static const struct vhd_layout layout = {
	.type = VHD_TYPE_DIFFERENCING, .capacity = 1 << 20, .end = END,
	.header_sect = 1, .bat_sect = 100, .bat_sects = 4, .entries = 256, .max_entries = 512,
	.block_sects = 4096, .block_shift = 12, .bitmap_sects = 1,
	.batmap_sect = 104, .batmap_sects = 3, .locator = { [6] = { 5000, 2 } },
	.meta_end = 5002,
};

struct entry_case {
	const char *name;
	u32 entry;
	enum vhd_fault fault;
	u32 sects;
};

static const struct entry_case entry_cases[] = {
	{ "unused", UNUSED, VHD_OK, 0 },
	{ "zero", 0, VHD_FAULT_BAT_RANGE, 4096 },
	{ "on header", 2, VHD_FAULT_BAT_RANGE, 4096 },
	{ "over BAT", 3, VHD_FAULT_BAT_RANGE, 4096 },
	{ "last of BAT", 103, VHD_FAULT_BAT_RANGE, 4096 },
	{ "last of batmap", 106, VHD_FAULT_BAT_RANGE, 4096 },
	{ "first behind batmap", 107, VHD_OK, 4096 },
	{ "up to locator", 5000 - SLOT, VHD_OK, 4096 },
	{ "into locator", 5001 - SLOT, VHD_FAULT_BAT_RANGE, 4096 },
	{ "last of locator", 5001, VHD_FAULT_BAT_RANGE, 4096 },
	{ "behind locator", 5002, VHD_OK, 4096 },
	{ "up to the end", END - SLOT, VHD_OK, 4096 },
	{ "cut by one", END - SLOT + 1, VHD_FAULT_BLOCK_CUT, 4095 },
	{ "one sector left", END - 2, VHD_FAULT_BLOCK_CUT, 1 },
	{ "bitmap only", END - 1, VHD_FAULT_BAT_RANGE, 0 },
	{ "at the end", END, VHD_FAULT_BAT_RANGE, 0 },
	{ "largest", UNUSED - 1, VHD_FAULT_BAT_RANGE, 0 },
};

static void entry_desc(const struct entry_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(entry, entry_cases, entry_desc);

static void entry_is_judged(struct kunit *test)
{
	const struct entry_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, vhd_bat_entry_check(&layout, c->entry), c->fault);
	KUNIT_EXPECT_EQ(test, vhd_bat_entry_sects(&layout, c->entry), c->sects);
	KUNIT_EXPECT_EQ(test, vhd_bat_data_sect(&layout, c->entry), (u64)c->entry + 1);
}

/* A block of 256 MiB near the last sector number must not wrap. */
static void far_entry_does_not_wrap(struct kunit *test)
{
	struct vhd_layout l = layout;

	l.block_sects = 524288;
	l.bitmap_sects = 128;
	l.end = 1ULL << 33;
	KUNIT_EXPECT_EQ(test, vhd_bat_entry_check(&l, UNUSED - 1), VHD_OK);
	KUNIT_EXPECT_EQ(test, vhd_bat_data_sect(&l, UNUSED - 1), 0x10000007eULL);
	l.end = 1ULL << 32;
	KUNIT_EXPECT_EQ(test, vhd_bat_entry_check(&l, UNUSED - 1), VHD_FAULT_BAT_RANGE);
}

struct overlap_case {
	const char *name;
	u32 nr, entry[5];
	enum vhd_fault fault;
	u32 at;
};

static const struct overlap_case overlap_cases[] = {
	{ "none", 0, { 0 }, VHD_OK, 99 },
	{ "one", 1, { 7 }, VHD_OK, 99 },
	{ "touching", 3, { 7, 7 + SLOT, 7 + 2 * SLOT }, VHD_OK, 99 },
	{ "gap", 2, { 7, 8 + SLOT }, VHD_OK, 99 },
	{ "by one", 3, { 7, 7 + SLOT, 6 + 2 * SLOT }, VHD_FAULT_BAT_OVERLAP, 2 },
	{ "duplicate", 3, { 7, 7, 7 + 2 * SLOT }, VHD_FAULT_BAT_OVERLAP, 1 },
	{ "first of two", 4, { 7, 8, 9, 10 }, VHD_FAULT_BAT_OVERLAP, 1 },
	{ "unused behind", 4, { 7, 7 + SLOT, UNUSED, UNUSED }, VHD_OK, 99 },
	{ "largest", 3, { 7, UNUSED - 1, UNUSED }, VHD_OK, 99 },
	{ "largest twice", 3, { UNUSED - 2, UNUSED - 1, UNUSED }, VHD_FAULT_BAT_OVERLAP, 1 },
};

static void overlap_desc(const struct overlap_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(overlap, overlap_cases, overlap_desc);

static void overlap_is_found(struct kunit *test)
{
	const struct overlap_case *c = test->param_value;
	u32 at = 99;

	KUNIT_EXPECT_EQ(test, vhd_bat_overlap(&layout, c->entry, c->nr, &at), c->fault);
	KUNIT_EXPECT_EQ(test, at, c->at);
}

struct used_case {
	const char *name;
	u32 nr, entry[3];
	u64 end;
};

static const struct used_case used_cases[] = {
	{ "empty", 0, { 0 }, 5002 },
	{ "all unused", 3, { UNUSED, UNUSED, UNUSED }, 5002 },
	{ "block before the metadata's end", 1, { 107 }, 5002 },
	{ "any order", 3, { 20000, 30000, 10000 }, 30000 + SLOT },
	{ "cut block", 2, { 10000, END - 2 }, END - 2 + SLOT },
	{ "bad entries do not count", 3, { 10000, UNUSED - 1, 103 }, 10000 + SLOT },
};

static void used_desc(const struct used_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(used, used_cases, used_desc);

static void end_of_use_is_found(struct kunit *test)
{
	const struct used_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, vhd_bat_used_end(&layout, c->entry, c->nr), c->end);
}

/* As in an image of libvhd: map right behind the header, 16 MiB disk. */
static void make_batmap(struct vhd_batmap *b)
{
	memset(b, 0, sizeof(*b));
	memcpy(b->cookie, VHD_BATMAP_COOKIE, sizeof(b->cookie));
	b->offset = cpu_to_be64(5 * 512);
	b->sectors = cpu_to_be32(1);
	b->version = cpu_to_be32(0x00010002);
}

struct batmap_case {
	const char *name;
	u32 offset, bytes;
	u64 value;
	bool sound;
};

#define BATMAP(NAME, FIELD_, BYTES, VALUE, SOUND) \
	{ NAME, offsetof(struct vhd_batmap, FIELD_), BYTES, VALUE, SOUND }

static const struct batmap_case batmap_cases[] = {
	BATMAP("as it is", marker, 1, 0, true),
	BATMAP("marker", marker, 1, 0xff, true),
	BATMAP("key hash", reserved[0], 1, 1, true),
	BATMAP("cookie", cookie, 8, 0x7464626174000000ULL, false),
	BATMAP("version 1.1", version, 4, 0x00010001, false),
	BATMAP("offset elsewhere", offset, 8, 6 * 512, false),
	BATMAP("offset wraps", offset, 8, ~0ULL, false),
	BATMAP("no map", sectors, 4, 0, false),
	BATMAP("room to grow", sectors, 4, 4, true),
	BATMAP("up to the end", sectors, 4, 24632 - 5, true),
	BATMAP("past the end", sectors, 4, 24632 - 4, false),
	BATMAP("absurd", sectors, 4, 0xffffffff, false),
};

static void batmap_desc(const struct batmap_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(batmap, batmap_cases, batmap_desc);

static void batmap_is_judged(struct kunit *test)
{
	const struct batmap_case *c = test->param_value;
	struct vhd_layout l = {
		.type = VHD_TYPE_DIFFERENCING, .capacity = 32768, .end = 24632,
		.header_sect = 1, .bat_sect = 3, .bat_sects = 1,
	};
	struct vhd_batmap b;
	u32 i;

	make_batmap(&b);
	for (i = 0; i < c->bytes; i++)
		((u8 *)&b)[c->offset + i] = c->value >> 8 * (c->bytes - 1 - i);
	KUNIT_EXPECT_EQ(test, vhd_batmap_check(&b, &l, 24633 * 512), c->sound);
}

/* In a file of terabytes a map of terabytes fits; one more sector is its header. */
static void batmap_of_terabytes_keeps_its_place(struct kunit *test)
{
	struct vhd_layout l = {
		.type = VHD_TYPE_DIFFERENCING, .capacity = 32768, .end = 1ULL << 40,
		.bat_sect = 3, .bat_sects = 1,
	};
	struct vhd_batmap b;

	make_batmap(&b);
	b.sectors = cpu_to_be32(0xffffffff);
	KUNIT_EXPECT_FALSE(test, vhd_batmap_check(&b, &l, 1ULL << 49));
	b.sectors = cpu_to_be32(0xfffffffe);
	KUNIT_EXPECT_TRUE(test, vhd_batmap_check(&b, &l, 1ULL << 49));
	vhd_layout_set_batmap(&l, &b);
	KUNIT_EXPECT_TRUE(test, vhd_layout_hits_metadata(&l, 1000000, 1));
}

static void batmap_covers_blocks_of_2_mib(struct kunit *test)
{
	struct vhd_layout l = { .capacity = 8 };

	KUNIT_EXPECT_EQ(test, vhd_batmap_map_bytes(&l), 512);
	l.capacity = 8ULL << (30 - 9);			/* 8 GiB: 4096 blocks, 512 bytes */
	KUNIT_EXPECT_EQ(test, vhd_batmap_map_bytes(&l), 512);
	l.capacity += (16 << 20) / 512;
	KUNIT_EXPECT_EQ(test, vhd_batmap_map_bytes(&l), 1024);
}

static void batmap_checksum_is_of_bytes(struct kunit *test)
{
	static const u8 map[4] = { 0xff, 0x80, 0x01, 0x00 };

	KUNIT_EXPECT_EQ(test, vhd_batmap_map_checksum(map, 4), ~0x180U);
	KUNIT_EXPECT_EQ(test, vhd_batmap_map_checksum(map, 1), ~0xffU);
	KUNIT_EXPECT_EQ(test, vhd_batmap_map_checksum(map, 0), ~0U);
}

static struct kunit_case bat_cases[] = {
	KUNIT_CASE_PARAM(entry_is_judged, entry_gen_params),
	KUNIT_CASE(far_entry_does_not_wrap),
	KUNIT_CASE_PARAM(overlap_is_found, overlap_gen_params),
	KUNIT_CASE_PARAM(end_of_use_is_found, used_gen_params),
	KUNIT_CASE_PARAM(batmap_is_judged, batmap_gen_params),
	KUNIT_CASE(batmap_of_terabytes_keeps_its_place),
	KUNIT_CASE(batmap_covers_blocks_of_2_mib),
	KUNIT_CASE(batmap_checksum_is_of_bytes),
	{}
};

struct kunit_suite vhdblk_bat_suite = {
	.name = "vhdblk_bat",
	.test_cases = bat_cases,
};
