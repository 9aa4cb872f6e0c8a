// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define MIB	(1024ULL << 10)
#define GIB	(1024 * MIB)

struct real_case {
	const char *name;
	enum vhd_vector vector;
	u64 end, capacity, bat_sect, meta_end;
	u32 bat_sects, entries;
};

/* Places as a hex dump of the files shows them. */
static const struct real_case real_cases[] = {
	{ "hyperv", VHD_VECTOR_HYPERV, 519, 266338304, 3, 511, 508, 65024 },
	{ "virtualpc", VHD_VECTOR_VIRTUALPC, 512, 266334240, 3, 511, 508, 65024 },
	{ "qemu", VHD_VECTOR_QEMU, 4101, 8228, 3, 4, 1, 3 },
	{ "tapdisk", VHD_VECTOR_TAPDISK, 24632, 32768, 3, 9, 1, 8 },
	{ "windows", VHD_VECTOR_WINDOWS, 4263, 8192, 16, 152, 1, 2 },
};

static void real_desc(const struct real_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(real, real_cases, real_desc);

/* All that a layout needs, off the kernel's stack. */
struct image {
	struct vhd_footer footer;
	struct vhd_header header;
	struct vhd_layout layout;
};

static struct image *real_image(struct kunit *test, enum vhd_vector v)
{
	struct image *im = kunit_kzalloc(test, sizeof(*im), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, im);
	vhd_vector_footer(v, &im->footer);
	vhd_vector_header(v, &im->header);
	return im;
}

static void real_image_is_laid_out(struct kunit *test)
{
	const struct real_case *c = test->param_value;
	struct image *im = real_image(test, c->vector);
	struct vhd_layout *l = &im->layout;

	KUNIT_ASSERT_EQ(test, vhd_layout_init(l, &im->footer, &im->header, c->end,
					      VHD_SIZE_AUTO), VHD_OK);
	KUNIT_EXPECT_EQ(test, l->capacity, c->capacity);
	KUNIT_EXPECT_EQ(test, l->end, c->end);
	KUNIT_EXPECT_EQ(test, l->header_sect, 1);
	KUNIT_EXPECT_EQ(test, l->bat_sect, c->bat_sect);
	KUNIT_EXPECT_EQ(test, l->bat_sects, c->bat_sects);
	KUNIT_EXPECT_EQ(test, l->entries, c->entries);
	KUNIT_EXPECT_EQ(test, l->block_sects, 4096);
	KUNIT_EXPECT_EQ(test, l->block_shift, 12);
	KUNIT_EXPECT_EQ(test, l->bitmap_sects, 1);
	KUNIT_EXPECT_EQ(test, l->meta_end, c->meta_end);
	KUNIT_EXPECT_EQ(test, vhd_locator_check(&im->header, l, c->end * 512), VHD_OK);
}

struct place_case {
	const char *name;
	enum vhd_type type;
	u64 size;
	u32 block_size, entries;
	u64 header, table;	/* bytes */
	u64 end;		/* sector of the footer */
	enum vhd_fault fault;
	u64 capacity;		/* sectors, if no fault */
};

#define DYNAMIC	VHD_TYPE_DYNAMIC
#define FIXED	VHD_TYPE_FIXED
#define B2M	(2 << 20)
#define NO	VHD_NO_OFFSET

static const struct place_case place_cases[] = {
	{ "smallest", DYNAMIC, 512, 4096, 1, 512, 1536, 4, VHD_OK, 1 },
	{ "header last", DYNAMIC, 8 * MIB, B2M, 4, 1024, 512, 4, VHD_OK, 16384 },
	{ "gaps", DYNAMIC, 8 * MIB, B2M, 4, 65536, 512 * 77, 200, VHD_OK, 16384 },
	{ "header cut", DYNAMIC, 8 * MIB, B2M, 4, 1536, 512, 4, VHD_FAULT_FOOTER_DATA_OFFSET },
	{ "header at end", DYNAMIC, 8 * MIB, B2M, 4, 2048, 512, 4, VHD_FAULT_FOOTER_DATA_OFFSET },
	{ "header far", DYNAMIC, 8 * MIB, B2M, 4, ~511ULL, 512, 4, VHD_FAULT_FOOTER_DATA_OFFSET },
	{ "BAT at end", DYNAMIC, 8 * MIB, B2M, 4, 512, 2048, 4, VHD_FAULT_HEADER_TABLE_OFFSET },
	{ "BAT far", DYNAMIC, 8 * MIB, B2M, 4, 512, ~511ULL, 4, VHD_FAULT_HEADER_TABLE_OFFSET },
	{ "BAT cut", DYNAMIC, 8 * MIB, B2M, 129, 512, 1536, 4, VHD_FAULT_BAT_TRUNCATED },
	{ "BAT whole", DYNAMIC, 8 * MIB, B2M, 128, 512, 1536, 4, VHD_OK, 16384 },
	{ "most entries", DYNAMIC, 8 * MIB, B2M, 0xffffffff, 512, 1536, 4,
	  VHD_FAULT_BAT_TRUNCATED },
	{ "BAT on header", DYNAMIC, 8 * MIB, B2M, 4, 512, 1024, 4, VHD_FAULT_METADATA_OVERLAP },
	{ "BAT runs into header", DYNAMIC, 8 * MIB, B2M, 129, 1024, 512, 9,
	  VHD_FAULT_METADATA_OVERLAP },
	{ "surplus entries", DYNAMIC, 8 * MIB, B2M, 1024, 512, 1536, 99, VHD_OK, 16384 },
	{ "one entry short", DYNAMIC, 8 * MIB, B2M, 3, 512, 1536, 9, VHD_FAULT_HEADER_ENTRIES },
	{ "no entry for a part", DYNAMIC, 9 * MIB, B2M, 4, 512, 1536, 9, VHD_OK, 16384 },
	{ "entry for a part", DYNAMIC, 9 * MIB, B2M, 5, 512, 1536, 9, VHD_OK, 18432 },
	{ "odd size", DYNAMIC, 8 * MIB + 513, B2M, 5, 512, 1536, 9, VHD_OK, 16385 },
	{ "largest", DYNAMIC, 2040 * GIB, B2M, 1044480, 512, 1536, 9000, VHD_OK, 4278190080ULL },
	{ "too large", DYNAMIC, 2040 * GIB + 512, B2M, 1044481, 512, 1536, 9000,
	  VHD_FAULT_TOO_LARGE },
	{ "absurd", DYNAMIC, ~0ULL, B2M, 4, 512, 1536, 9, VHD_FAULT_TOO_LARGE },
	{ "most blocks", DYNAMIC, 16 * GIB, 4096, 4 << 20, 512, 1536, 40000, VHD_OK, 33554432 },
	{ "too many blocks", DYNAMIC, 16 * GIB + 512, 4096, (4 << 20) + 1, 512, 1536, 40000,
	  VHD_FAULT_TOO_MANY_BLOCKS },
	{ "bad block size", DYNAMIC, 8 * MIB, 3 << 20, 4, 512, 1536, 9,
	  VHD_FAULT_HEADER_BLOCK_SIZE },
	{ "fixed", FIXED, 8 * MIB, 0, 0, NO, 0, 16384, VHD_OK, 16384 },
	{ "fixed, room behind", FIXED, 8 * MIB, 0, 0, NO, 0, 16392, VHD_OK, 16384 },
	{ "fixed, cut", FIXED, 8 * MIB, 0, 0, NO, 0, 16383, VHD_FAULT_FOOTER_SIZE },
	{ "fixed, absurd", FIXED, ~0ULL, 0, 0, NO, 0, 16383, VHD_FAULT_FOOTER_SIZE },
	{ "fixed, huge", FIXED, 4096 * GIB, 0, 0, NO, 0, 1ULL << 33, VHD_OK, 1ULL << 33 },
};

static void place_desc(const struct place_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(place, place_cases, place_desc);

static void places_are_judged(struct kunit *test)
{
	const struct place_case *c = test->param_value;
	static const u8 uuid[16] = { 1 };
	struct vhd_footer_args fargs = { c->type, c->size, uuid, 0 };
	struct vhd_header_args hargs = { c->block_size, c->entries, c->table, NULL, 0 };
	struct image *im = real_image(test, VHD_VECTOR_QEMU);
	enum vhd_fault fault;

	vhd_footer_init(&im->footer, &fargs);
	im->footer.data_offset = cpu_to_be64(c->header);
	vhd_header_init(&im->header, &hargs);
	fault = vhd_layout_init(&im->layout, &im->footer,
				c->type == FIXED ? NULL : &im->header, c->end, VHD_SIZE_AUTO);
	KUNIT_EXPECT_EQ(test, fault, c->fault);
	if (!fault)
		KUNIT_EXPECT_EQ(test, im->layout.capacity, c->capacity);
}

/* The header is checked before anything is taken from it. */
static void bad_header_is_not_used(struct kunit *test)
{
	struct image *im = real_image(test, VHD_VECTOR_TAPDISK);

	im->header.checksum ^= cpu_to_be32(1);
	KUNIT_EXPECT_EQ(test, vhd_layout_init(&im->layout, &im->footer, &im->header, 24632,
					      VHD_SIZE_AUTO), VHD_FAULT_HEADER_CHECKSUM);
}

static void size_rule_reaches_capacity(struct kunit *test)
{
	struct image *im = real_image(test, VHD_VECTOR_VIRTUALPC);

	KUNIT_ASSERT_EQ(test, vhd_layout_init(&im->layout, &im->footer, &im->header, 512,
					      VHD_SIZE_CURRENT), VHD_OK);
	KUNIT_EXPECT_EQ(test, im->layout.capacity, 266338304);
}

static void batmap_is_protected(struct kunit *test)
{
	struct image *im = real_image(test, VHD_VECTOR_TAPDISK);
	struct vhd_batmap *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct vhd_layout *l = &im->layout;

	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_EQ(test, vhd_layout_init(l, &im->footer, &im->header, 24632,
					      VHD_SIZE_AUTO), VHD_OK);
	KUNIT_EXPECT_FALSE(test, vhd_layout_hits_metadata(l, 5, 1));
	b->sectors = cpu_to_be32(8);
	vhd_layout_set_batmap(l, b);
	KUNIT_EXPECT_EQ(test, l->batmap_sect, 4);
	KUNIT_EXPECT_EQ(test, l->batmap_sects, 9);
	KUNIT_EXPECT_EQ(test, l->meta_end, 13);
	KUNIT_EXPECT_TRUE(test, vhd_layout_hits_metadata(l, 5, 1));
	KUNIT_EXPECT_TRUE(test, vhd_layout_hits_metadata(l, 12, 1));
	KUNIT_EXPECT_FALSE(test, vhd_layout_hits_metadata(l, 13, 1000));
}

struct hit_case {
	u64 sect, nr;
	bool hit;
};

/* windows10: header 1-2, W2ku 8, BAT 16, W2ru 24 (its space goes on to 151). */
static const struct hit_case hit_cases[] = {
	{ 0, 1, true }, { 1, 1, true }, { 2, 1, true }, { 3, 5, false }, { 3, 6, true },
	{ 8, 1, true }, { 9, 7, false }, { 9, 8, true }, { 16, 1, true }, { 17, 7, false },
	{ 17, 8, true }, { 24, 1, true }, { 25, 4000, false }, { 5, 100, true },
	{ 1ULL << 40, 1, false },
};

static void hit_desc(const struct hit_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%llu + %llu", c->sect, c->nr);
}

KUNIT_ARRAY_PARAM(hit, hit_cases, hit_desc);

static void metadata_is_recognised(struct kunit *test)
{
	const struct hit_case *c = test->param_value;
	struct image *im = real_image(test, VHD_VECTOR_WINDOWS);

	KUNIT_ASSERT_EQ(test, vhd_layout_init(&im->layout, &im->footer, &im->header, 4263,
					      VHD_SIZE_AUTO), VHD_OK);
	KUNIT_EXPECT_EQ(test, vhd_layout_hits_metadata(&im->layout, c->sect, c->nr), c->hit);
}

/* A dynamic image has no parent, so whatever its locators say is not there. */
static void locators_of_dynamic_image_mean_nothing(struct kunit *test)
{
	struct image *im = real_image(test, VHD_VECTOR_WINDOWS);

	im->footer.type = cpu_to_be32(VHD_TYPE_DYNAMIC);
	KUNIT_ASSERT_EQ(test, vhd_layout_init(&im->layout, &im->footer, &im->header, 4263,
					      VHD_SIZE_AUTO), VHD_OK);
	KUNIT_EXPECT_EQ(test, im->layout.meta_end, 17);
	KUNIT_EXPECT_FALSE(test, vhd_layout_hits_metadata(&im->layout, 8, 1));
}

static struct kunit_case layout_cases[] = {
	KUNIT_CASE_PARAM(real_image_is_laid_out, real_gen_params),
	KUNIT_CASE_PARAM(places_are_judged, place_gen_params),
	KUNIT_CASE(bad_header_is_not_used),
	KUNIT_CASE(size_rule_reaches_capacity),
	KUNIT_CASE(batmap_is_protected),
	KUNIT_CASE_PARAM(metadata_is_recognised, hit_gen_params),
	KUNIT_CASE(locators_of_dynamic_image_mean_nothing),
	{}
};

struct kunit_suite vhdblk_layout_suite = {
	.name = "vhdblk_layout",
	.test_cases = layout_cases,
};
