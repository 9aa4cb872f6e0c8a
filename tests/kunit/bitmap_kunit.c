// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define BITS	64

static void first_bit_is_most_significant(struct kunit *test)
{
	u8 bitmap[2] = { 0 };

	vhd_bitmap_set(bitmap, 0, 1);
	KUNIT_EXPECT_EQ(test, bitmap[0], 0x80);
	vhd_bitmap_set(bitmap, 9, 2);
	KUNIT_EXPECT_EQ(test, bitmap[1], 0x60);
	KUNIT_EXPECT_TRUE(test, vhd_bitmap_test(bitmap, 9));
	KUNIT_EXPECT_FALSE(test, vhd_bitmap_test(bitmap, 8));
}

/* Every range of 64 bits, against one bit at a time. */
static void every_range_is_set_and_cleared(struct kunit *test)
{
	u8 set[BITS / 8], clear[BITS / 8];
	u32 first, nr, i;

	for (first = 0; first < BITS; first++) {
		for (nr = 0; first + nr <= BITS; nr++) {
			bool wrong = false;

			memset(set, 0, sizeof(set));
			memset(clear, 0xff, sizeof(clear));
			vhd_bitmap_set(set, first, nr);
			vhd_bitmap_clear(clear, first, nr);
			for (i = 0; i < BITS; i++) {
				bool in = i >= first && i < first + nr;

				wrong |= vhd_bitmap_test(set, i) != in ||
					 vhd_bitmap_test(clear, i) == in;
			}
			KUNIT_EXPECT_FALSE(test, wrong);
			KUNIT_EXPECT_TRUE(test, vhd_bitmap_all_set(set, first, nr));
			if (nr) {
				vhd_bitmap_clear(set, first + nr / 2, 1);
				KUNIT_EXPECT_FALSE(test, vhd_bitmap_all_set(set, first, nr));
			}
		}
	}
}

/* Every run in a few patterns, against one bit at a time. */
static void every_run_is_measured(struct kunit *test)
{
	static const u8 patterns[][BITS / 8] = {
		{ 0 },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		{ 0xff, 0xff, 0x00, 0x00, 0xf0, 0x0f, 0xff, 0x01 },
		{ 0x80, 0x00, 0x00, 0x01, 0x7f, 0xff, 0xff, 0xfe },
		{ 0xaa, 0x55, 0x33, 0xcc, 0x18, 0xe7, 0x00, 0xff },
	};
	u32 p, first, end, n;
	bool set;

	for (p = 0; p < ARRAY_SIZE(patterns); p++) {
		for (first = 0; first < BITS; first++) {
			for (end = first + 1; end <= BITS; end++) {
				n = 1;
				while (first + n < end && vhd_bitmap_test(patterns[p], first + n) ==
				       vhd_bitmap_test(patterns[p], first))
					n++;
				KUNIT_EXPECT_EQ(test, vhd_bitmap_run(patterns[p], first, end, &set),
						n);
				KUNIT_EXPECT_EQ(test, set, vhd_bitmap_test(patterns[p], first));
			}
		}
	}
}

static struct kunit_case bitmap_cases[] = {
	KUNIT_CASE(first_bit_is_most_significant),
	KUNIT_CASE(every_range_is_set_and_cleared),
	KUNIT_CASE(every_run_is_measured),
	{}
};

struct kunit_suite vhdblk_bitmap_suite = {
	.name = "vhdblk_bitmap",
	.test_cases = bitmap_cases,
};
