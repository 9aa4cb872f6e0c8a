// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define UNUSED	VHD_BAT_UNUSED
#define CUT	(END - 10)		/* a block here has nine data sectors */
#define END	1000ULL

/* Blocks of 64 sectors; the disk ends in the middle of its fourth block. */
static const struct vhd_layout layout = {
	.type = VHD_TYPE_DYNAMIC, .capacity = 200, .end = END,
	.header_sect = 1, .bat_sect = 3, .bat_sects = 1, .entries = 4, .max_entries = 4,
	.block_sects = 64, .block_shift = 6, .bitmap_sects = 1, .meta_end = 4,
};

/* Sectors 8 to 15 and 63 of the block. */
static const u8 some[8] = { 0x00, 0xff, 0, 0, 0, 0, 0, 0x01 };
static const u8 all[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

struct map_case {
	const char *name;
	enum vhd_type type;
	u64 sector, nr;
	u32 entry;
	const u8 *bitmap;
	enum vhd_answer answer;
	u64 sects, file_sect;
};

#define DYN	VHD_TYPE_DYNAMIC
#define DIFF	VHD_TYPE_DIFFERENCING
#define FIX	VHD_TYPE_FIXED

static const struct map_case map_cases[] = {
	{ "fixed", FIX, 5, 10, 0, NULL, VHD_DATA, 10, 5 },
	{ "fixed up to the end", FIX, 190, 50, 0, NULL, VHD_DATA, 10, 190 },
	{ "fixed behind the end", FIX, 200, 50, 0, NULL, VHD_ZERO, 50, 0 },
	{ "dynamic hole", DYN, 70, 10, UNUSED, NULL, VHD_ZERO, 10, 0 },
	{ "differencing hole", DIFF, 70, 10, UNUSED, NULL, VHD_HOLE, 10, 0 },
	{ "hole ends with its block", DIFF, 70, 500, UNUSED, NULL, VHD_HOLE, 58, 0 },
	{ "hole ends with the disk", DIFF, 195, 500, UNUSED, NULL, VHD_HOLE, 5, 0 },
	{ "behind the end", DIFF, 200, 500, UNUSED, NULL, VHD_ZERO, 500, 0 },
	{ "far behind the end", DIFF, ~0ULL - 8, 8, 71, NULL, VHD_ZERO, 8, 0 },
	{ "bitmap wanted", DYN, 70, 500, 71, NULL, VHD_NEED_BITMAP, 58, 71 },
	{ "data", DYN, 64 + 8, 4, 71, some, VHD_DATA, 4, 80 },
	{ "data to the end of a run", DYN, 64 + 10, 500, 71, some, VHD_DATA, 6, 82 },
	{ "clear bits, dynamic", DYN, 64, 500, 71, some, VHD_ZERO, 8, 0 },
	{ "clear bits, differencing", DIFF, 64, 500, 71, some, VHD_HOLE, 8, 0 },
	{ "clear bits between", DIFF, 64 + 16, 500, 71, some, VHD_HOLE, 47, 0 },
	{ "last sector", DIFF, 64 + 63, 500, 71, some, VHD_DATA, 1, 135 },
	{ "full block", DIFF, 64, 500, 71, all, VHD_DATA, 64, 72 },
	{ "full block in part", DIFF, 65, 3, 71, all, VHD_DATA, 3, 73 },
	{ "end of disk in a block", DIFF, 193, 500, 71, all, VHD_DATA, 7, 73 },
	{ "cut block", DIFF, 64, 500, CUT, all, VHD_DATA, 9, END - 9 },
	{ "last sector before the cut", DIFF, 64 + 8, 500, CUT, all, VHD_DATA, 1, END - 1 },
	{ "behind the cut", DIFF, 64 + 9, 500, CUT, all, VHD_ZERO, 55, 0 },
	{ "behind the cut, clear", DIFF, 64 + 20, 3, CUT, some, VHD_HOLE, 3, 0 },
	{ "behind the cut, no parent", DYN, 64 + 20, 3, CUT, some, VHD_ZERO, 3, 0 },
	{ "behind the cut, set", DIFF, 64 + 63, 3, CUT, some, VHD_ZERO, 1, 0 },
	{ "clear before the cut", DIFF, 64, 500, CUT, some, VHD_HOLE, 8, 0 },
	{ "cut block, bitmap wanted", DIFF, 64, 9, CUT, NULL, VHD_NEED_BITMAP, 9, CUT },
	{ "bad entry", DYN, 70, 500, END, NULL, VHD_BAD, 58, 0 },
	{ "entry on the BAT", DYN, 70, 5, 3, all, VHD_BAD, 5, 0 },
	{ "entry on the footer copy", DIFF, 70, 5, 0, all, VHD_BAD, 5, 0 },
};

static void map_desc(const struct map_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(map, map_cases, map_desc);

static void step_answers(struct kunit *test)
{
	const struct map_case *c = test->param_value;
	struct vhd_layout l = layout;
	struct vhd_run run;

	l.type = c->type;
	vhd_map_step(&l, c->sector, c->nr, c->entry, c->bitmap, &run);
	KUNIT_EXPECT_EQ(test, run.answer, c->answer);
	KUNIT_EXPECT_EQ(test, run.sects, c->sects);
	KUNIT_EXPECT_EQ(test, run.file_sect, c->file_sect);
	if (c->type != FIX && c->sector < l.capacity)
		KUNIT_EXPECT_EQ(test, run.block, c->sector / 64);
}

/*
 * The answer for a range is the answers for its sectors: every start and length
 * over a disk with an absent, a partial, a full and a cut block.
 */
static void runs_agree_with_single_sectors(struct kunit *test)
{
	static const u32 bat[4] = { UNUSED, 71, 207, CUT };
	static const u8 *const bitmap[4] = { NULL, some, all, all };
	struct vhd_layout l = layout;
	struct vhd_run run, one;
	u64 first, nr, i;

	l.type = DIFF;
	for (first = 0; first < 210; first++) {
		for (nr = 1; nr < 140; nr += 1 + nr / 8) {
			u64 block = first < 200 ? first / 64 : 0;
			bool wrong = false;

			vhd_map_step(&l, first, nr, bat[block], bitmap[block], &run);
			KUNIT_ASSERT_TRUE(test, run.sects >= 1 && run.sects <= nr);
			for (i = 0; i < run.sects; i++) {
				vhd_map_step(&l, first + i, 1, bat[block], bitmap[block], &one);
				wrong |= one.answer != run.answer || one.block != run.block ||
					 (run.answer == VHD_DATA &&
					  one.file_sect != run.file_sect + i);
			}
			KUNIT_EXPECT_FALSE(test, wrong);
		}
	}
}

/* Blocks of 8 MiB, whose bitmaps have four sectors. */
static const struct vhd_layout large = {
	.type = VHD_TYPE_DIFFERENCING, .capacity = 60000, .end = 100000,
	.header_sect = 1, .bat_sect = 3, .bat_sects = 1, .entries = 4, .max_entries = 4,
	.block_sects = 16384, .block_shift = 14, .bitmap_sects = 4, .meta_end = 4,
};

/*
 * The step function must not look at any other sector of the bitmap: they are
 * one way, then the other, and the answer is the same.
 */
static void span_is_all_that_is_looked_at(struct kunit *test)
{
	static const u64 edges[] = { 0, 1, 7, 8, 4095, 4096, 4097, 8191, 8192, 12287, 12288,
				     16383, 16384, 20479, 20480, 32767, 59999 };
	u8 *bitmap = kunit_kzalloc(test, 2048, GFP_KERNEL);
	struct vhd_run run[2];
	u32 i, j, k, first, nr;

	KUNIT_ASSERT_TRUE(test, bitmap);
	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		for (j = i + 1; j < ARRAY_SIZE(edges); j++) {
			nr = vhd_bitmap_span(&large, edges[i], edges[j] - edges[i], &first);
			KUNIT_ASSERT_TRUE(test, nr >= 1 && first + nr <= 4);
			for (k = 0; k < 2; k++) {
				memset(bitmap, k ? 0xff : 0, 2048);
				memset(bitmap + first * 512, 0xff, nr * 512);
				vhd_map_step(&large, edges[i], edges[j] - edges[i], 71, bitmap,
					     &run[k]);
			}
			KUNIT_EXPECT_EQ(test, run[0].answer, run[1].answer);
			KUNIT_EXPECT_EQ(test, run[0].sects, run[1].sects);
		}
	}
}

/* And it is no more than that. */
static void span_is_no_larger(struct kunit *test)
{
	u32 first;

	KUNIT_EXPECT_EQ(test, vhd_bitmap_span(&large, 0, 4096, &first), 1);
	KUNIT_EXPECT_EQ(test, first, 0);
	KUNIT_EXPECT_EQ(test, vhd_bitmap_span(&large, 4095, 2, &first), 2);
	KUNIT_EXPECT_EQ(test, first, 0);
	KUNIT_EXPECT_EQ(test, vhd_bitmap_span(&large, 16384 + 12288, ~0U, &first), 1);
	KUNIT_EXPECT_EQ(test, first, 3);
	KUNIT_EXPECT_EQ(test, vhd_bitmap_span(&large, 16384, 16384, &first), 4);
	KUNIT_EXPECT_EQ(test, first, 0);
	KUNIT_EXPECT_EQ(test, vhd_bitmap_span(&layout, 63, 500, &first), 1);
	KUNIT_EXPECT_EQ(test, first, 0);
}

static struct kunit_case map_kunit_cases[] = {
	KUNIT_CASE_PARAM(step_answers, map_gen_params),
	KUNIT_CASE(runs_agree_with_single_sectors),
	KUNIT_CASE(span_is_all_that_is_looked_at),
	KUNIT_CASE(span_is_no_larger),
	{}
};

struct kunit_suite vhdblk_map_suite = {
	.name = "vhdblk_map",
	.test_cases = map_kunit_cases,
};
