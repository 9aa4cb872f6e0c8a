// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

struct chs_case {
	u64 sectors;
	u16 cylinders;
	u8 heads, spt;
};

/*
 * From footers of real programs, and both sides of each edge of the algorithm in
 * the specification.
 */
static const struct chs_case chs_cases[] = {
	{ 266338304, 65278, 16, 255 },		/* Virtual PC and Hyper-V, 127 GiB */
	{ 8228, 121, 4, 17 },			/* qemu-img */
	{ 32768, 481, 4, 17 },			/* libvhd, 16 MiB */
	{ 8192, 120, 4, 17 },			/* Windows 10, 4 MiB */
	{ 0, 0, 4, 17 },
	{ 67, 0, 4, 17 },
	{ 68, 1, 4, 17 },
	{ 40000, 588, 4, 17 },
	{ 69631, 1023, 4, 17 },
	{ 69632, 140, 16, 31 },
	{ 69649, 819, 5, 17 },
	{ 87040, 175, 16, 31 },
	{ 278527, 1023, 16, 17 },
	{ 278528, 561, 16, 31 },
	{ 507903, 1023, 16, 31 },
	{ 507904, 503, 16, 63 },
	{ 1032192, 1024, 16, 63 },
	{ 66059279, 65534, 16, 63 },
	{ 66059280, 16191, 16, 255 },
	{ 267382799, 65534, 16, 255 },
	{ 267382800, 65535, 16, 255 },
	{ 267382801, 65535, 16, 255 },
	{ 1ULL << 32, 65535, 16, 255 },
	{ 1ULL << 54, 65535, 16, 255 },
};

static void chs_desc(const struct chs_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%llu sectors", c->sectors);
}

KUNIT_ARRAY_PARAM(chs, chs_cases, chs_desc);

static void geometry_follows_specification(struct kunit *test)
{
	const struct chs_case *c = test->param_value;
	struct vhd_geometry g = vhd_geometry_of(c->sectors);

	KUNIT_EXPECT_EQ(test, g.cylinders, c->cylinders);
	KUNIT_EXPECT_EQ(test, g.heads, c->heads);
	KUNIT_EXPECT_EQ(test, g.spt, c->spt);
}

/* A program that believes the geometry must not run past the disk. */
static void geometry_never_exceeds_disk(struct kunit *test)
{
	u64 sectors;

	for (sectors = 1; sectors < 1ULL << 33; sectors += sectors / 64 + 1) {
		struct vhd_geometry g = vhd_geometry_of(sectors);

		KUNIT_EXPECT_LE(test, (u64)g.cylinders * g.heads * g.spt, sectors);
	}
}

static void real_geometry_is_reproduced(struct kunit *test)
{
	struct vhd_geometry g;
	struct vhd_footer f;
	int v;

	for (v = 0; v < VHD_NR_VECTORS; v++) {
		vhd_vector_footer(v, &f);
		g = vhd_geometry_of(be64_to_cpu(f.current_size) >> VHD_SECTOR_SHIFT);
		KUNIT_EXPECT_EQ(test, g.cylinders, be16_to_cpu(f.cylinders));
		KUNIT_EXPECT_EQ(test, g.heads, f.heads);
		KUNIT_EXPECT_EQ(test, g.spt, f.spt);
	}
}

struct block_case {
	u32 block_size, bitmap_sects;
	u64 max_size;
};

#define GIB	(1024ULL << 20)

/* Sizes at a stride of bitmap and data rounded to 4 KiB, below sector 2^32 - 1. */
static const struct block_case block_cases[] = {
	{ 4096, 1, 16 * GIB },
	{ 32768, 1, 128 * GIB },
	{ 512 << 10, 1, 4161757ULL << 19 },
	{ 1 << 20, 1, 2040 * GIB },
	{ 2 << 20, 1, 2040 * GIB },
	{ 4 << 20, 2, 2040 * GIB },
	{ 256 << 20, 128, 2040 * GIB },
};

static void block_desc(const struct block_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bytes", c->block_size);
}

KUNIT_ARRAY_PARAM(block, block_cases, block_desc);

static void block_size_gives_bitmap_and_limit(struct kunit *test)
{
	const struct block_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, vhd_bitmap_sects(c->block_size), c->bitmap_sects);
	KUNIT_EXPECT_EQ(test, vhd_max_size(c->block_size), c->max_size);
}

/* The largest image of each block size, laid out and filled, stays addressable. */
static void largest_image_fits(struct kunit *test)
{
	const struct block_case *c = test->param_value;
	const u32 locators[3] = { 65536, 65536, 65536 };
	struct vhd_create_layout create;
	struct vhd_layout l = { 0 };
	u64 blocks, first;

	l.block_sects = c->block_size >> VHD_SECTOR_SHIFT;
	l.block_shift = __builtin_ctz(l.block_sects);
	l.bitmap_sects = c->bitmap_sects;
	blocks = vhd_blocks_needed(c->max_size >> VHD_SECTOR_SHIFT, l.block_shift);
	KUNIT_EXPECT_LE(test, blocks, VHD_MAX_BLOCKS);
	vhd_create_layout(&create, blocks, locators, 3);
	first = vhd_slot_align(&l, create.footer >> VHD_SECTOR_SHIFT);
	KUNIT_EXPECT_LE(test, first + blocks * vhd_slot_stride(&l), VHD_MAX_SECTOR);
}

struct slot_case {
	u32 bitmap_sects, block_sects;
	u64 sect, slot, stride;
};

static const struct slot_case slot_cases[] = {
	{ 1, 4096, 0, 7, 4104 },
	{ 1, 4096, 7, 7, 4104 },
	{ 1, 4096, 8, 15, 4104 },
	{ 1, 1024, 100, 103, 1032 },
	{ 1, 64, 4111, 4111, 72 },
	{ 2, 8192, 0, 6, 8200 },
	{ 2, 8192, 7, 14, 8200 },
	{ 8, 32768, 1, 8, 32776 },
	{ 128, 524288, 17, 24, 524416 },
};

static void slot_desc(const struct slot_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "bitmap %u at %llu", c->bitmap_sects, c->sect);
}

KUNIT_ARRAY_PARAM(slot, slot_cases, slot_desc);

static void slot_aligns_data(struct kunit *test)
{
	const struct slot_case *c = test->param_value;
	struct vhd_layout l = {
		.bitmap_sects = c->bitmap_sects, .block_sects = c->block_sects
	};

	KUNIT_EXPECT_EQ(test, vhd_slot_align(&l, c->sect), c->slot);
	KUNIT_EXPECT_EQ(test, vhd_slot_stride(&l), c->stride);
	KUNIT_EXPECT_EQ(test, (c->slot + c->bitmap_sects) % 8, 0);
}

static void end_of_file_is_aligned(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, vhd_layout_end_aligned(0), 8);
	KUNIT_EXPECT_EQ(test, vhd_layout_end_aligned(7), 8);
	KUNIT_EXPECT_EQ(test, vhd_layout_end_aligned(8), 16);
	KUNIT_EXPECT_EQ(test, vhd_layout_end_aligned(VHD_MAX_SECTOR), 1ULL << 32);
}

static void blocks_count_the_last_one_whole(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, vhd_blocks_needed(0, 12), 0);
	KUNIT_EXPECT_EQ(test, vhd_blocks_needed(1, 12), 1);
	KUNIT_EXPECT_EQ(test, vhd_blocks_needed(4096, 12), 1);
	KUNIT_EXPECT_EQ(test, vhd_blocks_needed(4097, 12), 2);
	KUNIT_EXPECT_EQ(test, vhd_blocks_needed(266338304, 12), 65024);
	KUNIT_EXPECT_EQ(test, vhd_blocks_needed(1ULL << 54, 3), 0xffffffffU);
}

static struct kunit_case geometry_cases[] = {
	KUNIT_CASE_PARAM(geometry_follows_specification, chs_gen_params),
	KUNIT_CASE(geometry_never_exceeds_disk),
	KUNIT_CASE(real_geometry_is_reproduced),
	KUNIT_CASE_PARAM(block_size_gives_bitmap_and_limit, block_gen_params),
	KUNIT_CASE_PARAM(largest_image_fits, block_gen_params),
	KUNIT_CASE_PARAM(slot_aligns_data, slot_gen_params),
	KUNIT_CASE(end_of_file_is_aligned),
	KUNIT_CASE(blocks_count_the_last_one_whole),
	{}
};

struct kunit_suite vhdblk_geometry_suite = {
	.name = "vhdblk_geometry",
	.test_cases = geometry_cases,
};
