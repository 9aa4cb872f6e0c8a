// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

struct real_case {
	const char *name;
	enum vhd_vector vector;
	u64 table_offset;
	u32 entries;
};

static const struct real_case real_cases[] = {
	{ "hyperv", VHD_VECTOR_HYPERV, 1536, 65024 },
	{ "virtualpc", VHD_VECTOR_VIRTUALPC, 1536, 65024 },
	{ "qemu", VHD_VECTOR_QEMU, 1536, 3 },
	{ "tapdisk", VHD_VECTOR_TAPDISK, 1536, 8 },
	{ "windows", VHD_VECTOR_WINDOWS, 8192, 2 },
};

static void real_desc(const struct real_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(real, real_cases, real_desc);

static void real_header_is_understood(struct kunit *test)
{
	const struct real_case *c = test->param_value;
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_vector_header(c->vector, h);
	KUNIT_EXPECT_EQ(test, vhd_header_check(h), VHD_OK);
	KUNIT_EXPECT_EQ(test, be64_to_cpu(h->table_offset), c->table_offset);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(h->max_entries), c->entries);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(h->block_size), 2 << 20);
}

static void flipped_byte_is_seen(struct kunit *test)
{
	const u32 cookie = offsetof(struct vhd_header, data_offset);
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	u8 *byte = (u8 *)h;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_vector_header(VHD_VECTOR_WINDOWS, h);
	for (i = 0; i < sizeof(*h); i++) {
		byte[i] ^= 1 << (i & 7);
		KUNIT_EXPECT_EQ_MSG(test, vhd_header_check(h), i < cookie ?
				    VHD_FAULT_HEADER_COOKIE : VHD_FAULT_HEADER_CHECKSUM,
				    "byte %u", i);
		byte[i] ^= 1 << (i & 7);
	}
}

struct field_case {
	const char *name;
	u32 offset, bytes;
	u64 value;
	enum vhd_fault fault;
};

#define FIELD(NAME, FIELD_, BYTES, VALUE, FAULT) \
	{ NAME, offsetof(struct vhd_header, FIELD_), BYTES, VALUE, FAULT }

static const struct field_case field_cases[] = {
	FIELD("data offset 0", data_offset, 8, 0, VHD_OK),
	FIELD("table offset 0", table_offset, 8, 0, VHD_FAULT_HEADER_TABLE_OFFSET),
	FIELD("table offset odd", table_offset, 8, 1537, VHD_FAULT_HEADER_TABLE_OFFSET),
	FIELD("table offset none", table_offset, 8, VHD_NO_OFFSET, VHD_FAULT_HEADER_TABLE_OFFSET),
	FIELD("table offset far", table_offset, 8, 1ULL << 62, VHD_OK),
	FIELD("minor version", version, 4, 0x0001ffff, VHD_OK),
	FIELD("version 0", version, 4, 0, VHD_FAULT_HEADER_VERSION),
	FIELD("version 2", version, 4, 0x00020000, VHD_FAULT_HEADER_VERSION),
	FIELD("no entries", max_entries, 4, 0, VHD_FAULT_HEADER_ENTRIES),
	FIELD("all entries", max_entries, 4, 0xffffffff, VHD_OK),
	FIELD("block size 0", block_size, 4, 0, VHD_FAULT_HEADER_BLOCK_SIZE),
	FIELD("block size 2 MiB + 1", block_size, 4, 0x200001, VHD_FAULT_HEADER_BLOCK_SIZE),
	FIELD("block size 3 MiB", block_size, 4, 3 << 20, VHD_FAULT_HEADER_BLOCK_SIZE),
	FIELD("block size all ones", block_size, 4, 0xffffffff, VHD_FAULT_HEADER_BLOCK_SIZE),
	FIELD("block size 1", block_size, 4, 1, VHD_FAULT_BLOCK_SIZE_RANGE),
	FIELD("block size 512", block_size, 4, 512, VHD_FAULT_BLOCK_SIZE_RANGE),
	FIELD("block size 2 KiB", block_size, 4, 2048, VHD_FAULT_BLOCK_SIZE_RANGE),
	FIELD("block size 4 KiB", block_size, 4, 4096, VHD_OK),
	FIELD("block size 32 KiB", block_size, 4, 32768, VHD_OK),
	FIELD("block size 512 KiB", block_size, 4, 512 << 10, VHD_OK),
	FIELD("block size 256 MiB", block_size, 4, 256 << 20, VHD_OK),
	FIELD("block size 512 MiB", block_size, 4, 512 << 20, VHD_FAULT_BLOCK_SIZE_RANGE),
	FIELD("block size 2 GiB", block_size, 4, 1ULL << 31, VHD_FAULT_BLOCK_SIZE_RANGE),
	FIELD("parent id", parent_uuid[15], 1, 0xff, VHD_OK),
	FIELD("parent time stamp", parent_timestamp, 4, 0xffffffff, VHD_OK),
	FIELD("reserved word", reserved1, 4, 0xffffffff, VHD_OK),
	FIELD("parent name", parent_name[255], 2, 0xd800, VHD_OK),
	FIELD("locator code", locator[3].code, 4, 0x61626364, VHD_OK),
	FIELD("reserved byte", reserved2[255], 1, 0xff, VHD_OK),
};

static void field_desc(const struct field_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(field, field_cases, field_desc);

static void field_is_judged(struct kunit *test)
{
	const struct field_case *c = test->param_value;
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_vector_header(VHD_VECTOR_WINDOWS, h);
	for (i = 0; i < c->bytes; i++)
		((u8 *)h)[c->offset + i] = c->value >> 8 * (c->bytes - 1 - i);
	vhd_header_seal(h);
	KUNIT_EXPECT_EQ(test, vhd_header_check(h), c->fault);
}

static void new_header_has_documented_bytes(struct kunit *test)
{
	static const u8 expected[36] = {
		'c', 'x', 's', 'p', 'a', 'r', 's', 'e',
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0, 0x20, 0, 0,
	};
	static const u8 uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	struct vhd_header_args args = { 2 << 20, 8, 4096, uuid, 0x01020304 };
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_header_init(h, &args);
	KUNIT_EXPECT_EQ(test, memcmp(h, expected, sizeof(expected)), 0);
	KUNIT_EXPECT_EQ(test, memcmp(h->parent_uuid, uuid, sizeof(uuid)), 0);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(h->parent_timestamp), 0x01020304);
	KUNIT_EXPECT_EQ(test, vhd_header_check(h), VHD_OK);
	args.parent_uuid = NULL;
	vhd_header_init(h, &args);
	KUNIT_EXPECT_EQ(test, h->parent_uuid[0], 0);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(h->parent_timestamp), 0);
}

static void name_is_big_endian_and_bounded(struct kunit *test)
{
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	u16 *name = kunit_kzalloc(test, 300 * sizeof(*name), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, h);
	KUNIT_ASSERT_NOT_NULL(test, name);
	for (i = 0; i < 300; i++)
		name[i] = 0x0100 + i;
	vhd_header_set_name(h, name, 300);
	KUNIT_EXPECT_EQ(test, ((u8 *)h->parent_name)[2], 0x01);
	KUNIT_EXPECT_EQ(test, ((u8 *)h->parent_name)[3], 0x01);
	KUNIT_EXPECT_EQ(test, vhd_header_name(h, name), 256);
	KUNIT_EXPECT_EQ(test, name[255], 0x01ff);
	/* The first half of a pair may not stay alone at the end. */
	name[255] = 0xd83d;
	vhd_header_set_name(h, name, 300);
	KUNIT_EXPECT_EQ(test, vhd_header_name(h, name), 255);
	vhd_header_set_name(h, name, 3);
	KUNIT_EXPECT_EQ(test, vhd_header_name(h, name), 3);
}

struct create_case {
	const char *name;
	u32 entries, nr, locator_bytes[4];
	u64 locator[4], bat, bat_bytes, file_size;
};

static const struct create_case create_cases[] = {
	{ "dynamic", 8, 0, { 0 }, { 0 }, 4096, 4096, 12288 },
	{ "full page of entries", 1024, 0, { 0 }, { 0 }, 4096, 4096, 12288 },
	{ "one entry more", 1025, 0, { 0 }, { 0 }, 4096, 8192, 16384 },
	{ "child", 8, 3, { 26, 26, 20 }, { 1536, 2048, 2560 }, 4096, 4096, 12288 },
	{ "empty slot", 8, 4, { 512, 0, 513, 1 }, { 1536, 0, 2048, 3072 }, 4096, 4096, 12288 },
	{ "long locators", 8, 2, { 65536, 65536 }, { 1536, 67072 }, 135168, 4096, 143360 },
	{ "largest BAT", VHD_MAX_BLOCKS, 0, { 0 }, { 0 }, 4096, 16 << 20, (16 << 20) + 8192 },
};

static void create_desc(const struct create_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(create, create_cases, create_desc);

static void new_image_is_laid_out(struct kunit *test)
{
	const struct create_case *c = test->param_value;
	struct vhd_create_layout create;
	u32 i;

	vhd_create_layout(&create, c->entries, c->locator_bytes, c->nr);
	KUNIT_EXPECT_EQ(test, create.header, 512);
	for (i = 0; i < VHD_LOCATORS; i++)
		KUNIT_EXPECT_EQ(test, create.locator[i], i < 4 ? c->locator[i] : 0);
	KUNIT_EXPECT_EQ(test, create.bat, c->bat);
	KUNIT_EXPECT_EQ(test, create.bat_bytes, c->bat_bytes);
	KUNIT_EXPECT_EQ(test, create.file_size, c->file_size);
	KUNIT_EXPECT_EQ(test, create.footer, c->file_size - 512);
}

static struct kunit_case header_cases[] = {
	KUNIT_CASE_PARAM(real_header_is_understood, real_gen_params),
	KUNIT_CASE(flipped_byte_is_seen),
	KUNIT_CASE_PARAM(field_is_judged, field_gen_params),
	KUNIT_CASE(new_header_has_documented_bytes),
	KUNIT_CASE(name_is_big_endian_and_bounded),
	KUNIT_CASE_PARAM(new_image_is_laid_out, create_gen_params),
	{}
};

struct kunit_suite vhdblk_header_suite = {
	.name = "vhdblk_header",
	.test_cases = header_cases,
};
