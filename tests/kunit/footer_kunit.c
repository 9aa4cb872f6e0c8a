// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define CHS_VIRTUALPC	136363130880ULL		/* 65278 * 16 * 255 sectors */
#define CURRENT_127G	136365211648ULL
#define CHS_16M		(481ULL * 4 * 17 * 512)
#define CHS_MAX		(65535ULL * 16 * 255 * 512)

static const u8 test_uuid[16] = { 0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

struct real_case {
	const char *name;
	enum vhd_vector vector;
	enum vhd_type type;
	u64 size_auto, size_chs, size_current;
};

static const struct real_case real_cases[] = {
	{ "hyperv", VHD_VECTOR_HYPERV, VHD_TYPE_DYNAMIC,
	  CURRENT_127G, CHS_VIRTUALPC, CURRENT_127G },
	{ "virtualpc", VHD_VECTOR_VIRTUALPC, VHD_TYPE_DYNAMIC,
	  CHS_VIRTUALPC, CHS_VIRTUALPC, CURRENT_127G },
	{ "qemu", VHD_VECTOR_QEMU, VHD_TYPE_DYNAMIC, 4212736, 4212736, 4212736 },
	{ "tapdisk", VHD_VECTOR_TAPDISK, VHD_TYPE_DIFFERENCING, 16777216, CHS_16M, 16777216 },
	{ "windows", VHD_VECTOR_WINDOWS, VHD_TYPE_DIFFERENCING,
	  4194304, 120 * 4 * 17 * 512, 4194304 },
};

static void real_desc(const struct real_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(real, real_cases, real_desc);

static void real_footer_is_understood(struct kunit *test)
{
	const struct real_case *c = test->param_value;
	struct vhd_footer f;

	vhd_vector_footer(c->vector, &f);
	KUNIT_EXPECT_EQ(test, vhd_footer_check(&f), VHD_OK);
	KUNIT_EXPECT_EQ(test, vhd_footer_type(&f), c->type);
	KUNIT_EXPECT_EQ(test, vhd_footer_size(&f, VHD_SIZE_AUTO), c->size_auto);
	KUNIT_EXPECT_EQ(test, vhd_footer_size(&f, VHD_SIZE_CHS), c->size_chs);
	KUNIT_EXPECT_EQ(test, vhd_footer_size(&f, VHD_SIZE_CURRENT), c->size_current);
}

static void real_footer_seals_to_itself(struct kunit *test)
{
	const struct real_case *c = test->param_value;
	struct vhd_footer f, again;

	vhd_vector_footer(c->vector, &f);
	again = f;
	again.checksum = 0;
	vhd_footer_seal(&again);
	KUNIT_EXPECT_EQ(test, memcmp(&f, &again, sizeof(f)), 0);
}

/* The checksum sees every change of one byte, and the cookie is looked at first. */
static void flipped_byte_is_seen(struct kunit *test)
{
	const u8 cookie = offsetof(struct vhd_footer, features);
	struct vhd_footer f;
	u8 *byte = (u8 *)&f;
	u32 i;

	vhd_vector_footer(VHD_VECTOR_WINDOWS, &f);
	for (i = 0; i < sizeof(f); i++) {
		byte[i] ^= 1 << (i & 7);
		KUNIT_EXPECT_EQ_MSG(test, vhd_footer_check(&f), i < cookie ?
				    VHD_FAULT_NO_FOOTER : VHD_FAULT_FOOTER_CHECKSUM,
				    "byte %u", i);
		byte[i] ^= 1 << (i & 7);
	}
	KUNIT_EXPECT_EQ(test, vhd_footer_check(&f), VHD_OK);
}

struct field_case {
	const char *name;
	u32 offset, bytes;
	u64 value;
	enum vhd_fault fault;
	bool fixed_has_none;
};

#define FIELD(NAME, FIELD_, BYTES, VALUE, FAULT, FIXED)				\
	{ NAME, offsetof(struct vhd_footer, FIELD_), BYTES, VALUE, FAULT, FIXED }
#define FAULTY(NAME, FIELD_, BYTES, VALUE, FAULT) \
	FIELD(NAME, FIELD_, BYTES, VALUE, FAULT, false)
#define LEGAL(NAME, FIELD_, BYTES, VALUE) FAULTY(NAME, FIELD_, BYTES, VALUE, VHD_OK)
#define DATA_OFFSET(NAME, VALUE) \
	FIELD(NAME, data_offset, 8, VALUE, VHD_FAULT_FOOTER_DATA_OFFSET, true)

static const struct field_case field_cases[] = {
	LEGAL("features none", features, 4, 0),
	LEGAL("features all", features, 4, 0xffffffff),
	LEGAL("minor version", version, 4, 0x00010005),
	FAULTY("version 0", version, 4, 0, VHD_FAULT_FOOTER_VERSION),
	FAULTY("version 2", version, 4, 0x00020000, VHD_FAULT_FOOTER_VERSION),
	FAULTY("version all ones", version, 4, 0xffffffff, VHD_FAULT_FOOTER_VERSION),
	DATA_OFFSET("data offset 0", 0),
	DATA_OFFSET("data offset 511", 511),
	DATA_OFFSET("data offset 513", 513),
	DATA_OFFSET("data offset none", VHD_NO_OFFSET),
	LEGAL("data offset far", data_offset, 8, 1ULL << 62),
	LEGAL("time stamp 0", timestamp, 4, 0),
	LEGAL("time stamp in the future", timestamp, 4, 0xffffffff),
	LEGAL("creator unknown", creator_app, 4, 0x61626364),
	LEGAL("creator version", creator_version, 4, 0xffffffff),
	LEGAL("host system", creator_os, 4, 0),
	LEGAL("original size 0", original_size, 8, 0),
	LEGAL("original size huge", original_size, 8, ~0ULL),
	FAULTY("size 0", current_size, 8, 0, VHD_FAULT_FOOTER_SIZE),
	FAULTY("size 511", current_size, 8, 511, VHD_FAULT_FOOTER_SIZE),
	LEGAL("size 512", current_size, 8, 512),
	LEGAL("size odd", current_size, 8, 1000001),
	LEGAL("geometry 0", cylinders, 2, 0),
	LEGAL("geometry max", cylinders, 2, 0xffff),
	FAULTY("type 0", type, 4, 0, VHD_FAULT_FOOTER_TYPE),
	FAULTY("type 1", type, 4, 1, VHD_FAULT_FOOTER_TYPE),
	FAULTY("type 5", type, 4, 5, VHD_FAULT_FOOTER_TYPE),
	FAULTY("type 6", type, 4, 6, VHD_FAULT_FOOTER_TYPE),
	FAULTY("type all ones", type, 4, 0xffffffff, VHD_FAULT_FOOTER_TYPE),
	LEGAL("saved state", saved_state, 1, 1),
	LEGAL("saved state all ones", saved_state, 1, 0xff),
	LEGAL("hidden flag of libvhd", reserved[0], 1, 1),
	LEGAL("last reserved byte", reserved[426], 1, 0xff),
};

static void field_desc(const struct field_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(field, field_cases, field_desc);

static enum vhd_fault check_with_field(const struct field_case *c, enum vhd_type type)
{
	struct vhd_footer_args args = { type, 64 << 20, test_uuid, 7 };
	struct vhd_footer f;
	u32 i;

	vhd_footer_init(&f, &args);
	for (i = 0; i < c->bytes; i++)
		((u8 *)&f)[c->offset + i] = c->value >> 8 * (c->bytes - 1 - i);
	vhd_footer_seal(&f);
	return vhd_footer_check(&f);
}

static void field_is_judged(struct kunit *test)
{
	const struct field_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, check_with_field(c, VHD_TYPE_DYNAMIC), c->fault);
	KUNIT_EXPECT_EQ(test, check_with_field(c, VHD_TYPE_DIFFERENCING), c->fault);
	KUNIT_EXPECT_EQ(test, check_with_field(c, VHD_TYPE_FIXED),
			c->fixed_has_none ? VHD_OK : c->fault);
}

static void new_footer_has_documented_bytes(struct kunit *test)
{
	static const u8 expected[64] = {
		'c', 'o', 'n', 'e', 'c', 't', 'i', 'x', 0, 0, 0, 2, 0, 1, 0, 0,
		0, 0, 0, 0, 0, 0, 2, 0, 0x12, 0x34, 0x56, 0x78, 'w', 'i', 'n', ' ',
		0, 10, 0, 0, 'W', 'i', '2', 'k', 0, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 1, 0, 0, 0, 0x01, 0xe1, 4, 17, 0, 0, 0, 3,
	};
	struct vhd_footer_args args = { VHD_TYPE_DYNAMIC, 16 << 20, test_uuid, 0x12345678 };
	struct vhd_footer f;

	vhd_footer_init(&f, &args);
	KUNIT_EXPECT_EQ(test, memcmp(&f, expected, sizeof(expected)), 0);
	KUNIT_EXPECT_EQ(test, memcmp(f.uuid, test_uuid, 16), 0);
	KUNIT_EXPECT_EQ(test, vhd_footer_check(&f), VHD_OK);
	args.type = VHD_TYPE_FIXED;
	vhd_footer_init(&f, &args);
	KUNIT_EXPECT_EQ(test, be64_to_cpu(f.data_offset), VHD_NO_OFFSET);
	KUNIT_EXPECT_EQ(test, vhd_footer_check(&f), VHD_OK);
}

struct size_case {
	const char *name;
	char creator[5];
	u16 cylinders;
	u8 heads, spt;
	u64 current_size;
	enum vhd_size_rule rule;
	u64 size;
};

#define SIZE_100M	104857600ULL
#define CHS_100M	(3011ULL * 4 * 17 * 512)

static const struct size_case size_cases[] = {
	{ "win", "win ", 3011, 4, 17, SIZE_100M, VHD_SIZE_AUTO, SIZE_100M },
	{ "vpc", "vpc ", 3011, 4, 17, SIZE_100M, VHD_SIZE_AUTO, CHS_100M },
	{ "qemu", "qemu", 3011, 4, 17, SIZE_100M, VHD_SIZE_AUTO, CHS_100M },
	{ "qem2", "qem2", 3011, 4, 17, SIZE_100M, VHD_SIZE_AUTO, SIZE_100M },
	{ "virtual server", "vs  ", 3011, 4, 17, SIZE_100M, VHD_SIZE_AUTO, SIZE_100M },
	{ "vbox", "vbox", 3011, 4, 17, SIZE_100M, VHD_SIZE_AUTO, SIZE_100M },
	{ "qemu, current", "qemu", 3011, 4, 17, SIZE_100M, VHD_SIZE_CURRENT, SIZE_100M },
	{ "win, chs", "win ", 3011, 4, 17, SIZE_100M, VHD_SIZE_CHS, CHS_100M },
	{ "max geometry", "vpc ", 65535, 16, 255, 200ULL << 30, VHD_SIZE_AUTO, 200ULL << 30 },
	{ "max geometry, chs", "vpc ", 65535, 16, 255, 200ULL << 30, VHD_SIZE_CHS, CHS_MAX },
	{ "below max", "vpc ", 65534, 16, 255, 200ULL << 30, VHD_SIZE_AUTO,
	  65534ULL * 16 * 255 * 512 },
	{ "no geometry", "vpc ", 0, 16, 255, SIZE_100M, VHD_SIZE_AUTO, SIZE_100M },
	{ "no geometry, chs", "vpc ", 3011, 4, 0, SIZE_100M, VHD_SIZE_CHS, SIZE_100M },
	{ "geometry too big", "vpc ", 4000, 4, 17, SIZE_100M, VHD_SIZE_AUTO, SIZE_100M },
	{ "geometry too big, chs", "vpc ", 4000, 4, 17, SIZE_100M, VHD_SIZE_CHS,
	  4000ULL * 4 * 17 * 512 },
};

static void size_desc(const struct size_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(size, size_cases, size_desc);

static void size_follows_rule(struct kunit *test)
{
	const struct size_case *c = test->param_value;
	struct vhd_footer f;

	vhd_vector_footer(VHD_VECTOR_HYPERV, &f);
	memcpy(f.creator_app, c->creator, sizeof(f.creator_app));
	f.cylinders = cpu_to_be16(c->cylinders);
	f.heads = c->heads;
	f.spt = c->spt;
	f.current_size = cpu_to_be64(c->current_size);
	KUNIT_EXPECT_EQ(test, vhd_footer_size(&f, c->rule), c->size);
	KUNIT_EXPECT_EQ(test, vhd_footer_size_is_chs(&f, c->rule), c->size != c->current_size);
}

/* What may lie at either place. */
enum find { NONE, NOISE, GOOD, OTHER, BADSUM, POISON, FIXED, VERSION2 };

struct choose_case {
	const char *name;
	enum find end, copy;
	u32 end_bytes;
	enum vhd_fault fault;
	enum vhd_footer_place place;
	bool differ;
};

static const struct choose_case choose_cases[] = {
	{ "both", GOOD, GOOD, 512, VHD_OK, VHD_FOOTER_END, false },
	{ "end wins", GOOD, OTHER, 512, VHD_OK, VHD_FOOTER_END, true },
	{ "copy bad", GOOD, BADSUM, 512, VHD_OK, VHD_FOOTER_END, true },
	{ "copy missing", GOOD, NOISE, 512, VHD_OK, VHD_FOOTER_END, true },
	{ "copy unreadable", GOOD, NONE, 512, VHD_OK, VHD_FOOTER_END, true },
	{ "copy fixed", GOOD, FIXED, 512, VHD_OK, VHD_FOOTER_END, true },
	{ "copy poisoned", GOOD, POISON, 512, VHD_FAULT_POISON },
	{ "end missing", NOISE, GOOD, 512, VHD_OK, VHD_FOOTER_COPY, true },
	{ "end bad", BADSUM, GOOD, 512, VHD_OK, VHD_FOOTER_COPY, true },
	{ "end unreadable", NONE, GOOD, 512, VHD_OK, VHD_FOOTER_COPY, true },
	{ "end poisoned", POISON, GOOD, 512, VHD_FAULT_POISON },
	{ "end unsupported", VERSION2, GOOD, 512, VHD_FAULT_FOOTER_VERSION,
	  VHD_FOOTER_END, true },
	{ "short", GOOD, GOOD, 511, VHD_OK, VHD_FOOTER_SHORT, false },
	{ "short differs", GOOD, OTHER, 511, VHD_OK, VHD_FOOTER_SHORT, true },
	{ "fixed", FIXED, NOISE, 512, VHD_OK, VHD_FOOTER_END, false },
	{ "fixed, guest forges a copy", FIXED, GOOD, 512, VHD_OK, VHD_FOOTER_END, false },
	{ "fixed, guest forges poison", FIXED, POISON, 512, VHD_OK, VHD_FOOTER_END, false },
	{ "fixed footer at 0 only", NOISE, FIXED, 512, VHD_FAULT_NO_FOOTER },
	{ "both bad", BADSUM, BADSUM, 512, VHD_FAULT_FOOTER_CHECKSUM },
	{ "end bad, no copy", BADSUM, NOISE, 512, VHD_FAULT_FOOTER_CHECKSUM },
	{ "copy bad, no end", NOISE, BADSUM, 512, VHD_FAULT_FOOTER_CHECKSUM },
	{ "none", NOISE, NOISE, 512, VHD_FAULT_NO_FOOTER },
	{ "unreadable", NONE, NONE, 512, VHD_FAULT_NO_FOOTER },
};

static void choose_desc(const struct choose_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(choose, choose_cases, choose_desc);

static const struct vhd_footer *make_find(struct vhd_footer *f, enum find find)
{
	struct vhd_footer_args args = { VHD_TYPE_DYNAMIC, 64 << 20, test_uuid, 7 };

	if (find == FIXED)
		args.type = VHD_TYPE_FIXED;
	if (find == OTHER)
		args.timestamp = 8;
	vhd_footer_init(f, &args);
	if (find == VERSION2)
		f->version = cpu_to_be32(0x00020000);
	if (find == POISON)
		memcpy(f->cookie, VHD_POISON_COOKIE, sizeof(f->cookie));
	if (find == NOISE)
		memset(f, 0x5a, sizeof(*f));
	vhd_footer_seal(f);
	if (find == BADSUM)
		f->checksum ^= cpu_to_be32(1);
	return find == NONE ? NULL : f;
}

static void right_footer_is_chosen(struct kunit *test)
{
	const struct choose_case *c = test->param_value;
	struct vhd_footer_choice choice = { 0 };
	struct vhd_footer end, copy;
	enum vhd_fault fault;

	fault = vhd_footer_choose(make_find(&end, c->end), make_find(&copy, c->copy),
				  c->end_bytes, &choice);
	KUNIT_EXPECT_EQ(test, fault, c->fault);
	KUNIT_EXPECT_EQ(test, choice.place, c->place);
	KUNIT_EXPECT_EQ(test, choice.differ, c->differ);
}

static struct kunit_case footer_cases[] = {
	KUNIT_CASE_PARAM(real_footer_is_understood, real_gen_params),
	KUNIT_CASE_PARAM(real_footer_seals_to_itself, real_gen_params),
	KUNIT_CASE(flipped_byte_is_seen),
	KUNIT_CASE_PARAM(field_is_judged, field_gen_params),
	KUNIT_CASE(new_footer_has_documented_bytes),
	KUNIT_CASE_PARAM(size_follows_rule, size_gen_params),
	KUNIT_CASE_PARAM(right_footer_is_chosen, choose_gen_params),
	{}
};

struct kunit_suite vhdblk_footer_suite = {
	.name = "vhdblk_footer",
	.test_cases = footer_cases,
};
