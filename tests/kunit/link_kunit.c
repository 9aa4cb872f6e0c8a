// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

/* Which parent a child is offered. */
enum offer { NOTHING, RIGHT, WRONG };

struct link_case {
	const char *name;
	enum vhd_type type;
	bool zero_id;
	enum offer offer;
	enum vhd_fault fault;
	bool raw;
};

#define CHILD	VHD_TYPE_DIFFERENCING

static const struct link_case link_cases[] = {
	{ "right parent", CHILD, false, RIGHT, VHD_OK, false },
	{ "wrong parent", CHILD, false, WRONG, VHD_FAULT_PARENT_ID, false },
	{ "no parent", CHILD, false, NOTHING, VHD_FAULT_NO_PARENT, false },
	{ "raw parent", CHILD, true, NOTHING, VHD_FAULT_RAW_PARENT, true },
	{ "raw parent named, image given", CHILD, true, WRONG, VHD_FAULT_RAW_PARENT, true },
	{ "base", VHD_TYPE_DYNAMIC, false, NOTHING, VHD_OK, false },
	{ "base without ids", VHD_TYPE_DYNAMIC, true, NOTHING, VHD_OK, false },
	{ "parent of a base", VHD_TYPE_DYNAMIC, false, RIGHT, VHD_FAULT_NOT_DIFFERENCING, false },
	{ "parent of a fixed", VHD_TYPE_FIXED, false, RIGHT, VHD_FAULT_NOT_DIFFERENCING, false },
};

static void link_desc(const struct link_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(link, link_cases, link_desc);

static void link_is_judged(struct kunit *test)
{
	const struct link_case *c = test->param_value;
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct vhd_footer *f = kunit_kzalloc(test, 2 * sizeof(*f), GFP_KERNEL);
	struct vhd_footer *child = f, *parent = f + 1;

	KUNIT_ASSERT_NOT_NULL(test, h);
	KUNIT_ASSERT_NOT_NULL(test, f);
	vhd_vector_footer(VHD_VECTOR_WINDOWS, child);
	vhd_vector_header(VHD_VECTOR_WINDOWS, h);
	vhd_vector_footer(VHD_VECTOR_HYPERV, parent);
	child->type = cpu_to_be32(c->type);
	if (c->zero_id)
		memset(h->parent_uuid, 0, sizeof(h->parent_uuid));
	if (c->offer == RIGHT)
		memcpy(parent->uuid, h->parent_uuid, sizeof(parent->uuid));
	KUNIT_EXPECT_EQ(test, vhd_link_check(child, h, c->offer == NOTHING ? NULL : parent),
			c->fault);
	KUNIT_EXPECT_EQ(test, vhd_link_is_raw(child, h), c->raw);
}

/* 5fa21a55-f394-aa4d-9958-1951a67d5540, the id that this child is known to name. */
static void real_child_names_its_parent(struct kunit *test)
{
	static const u8 id[16] = {
		0x5f, 0xa2, 0x1a, 0x55, 0xf3, 0x94, 0xaa, 0x4d,
		0x99, 0x58, 0x19, 0x51, 0xa6, 0x7d, 0x55, 0x40,
	};
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct vhd_footer child, parent;

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_vector_footer(VHD_VECTOR_WINDOWS, &child);
	vhd_vector_header(VHD_VECTOR_WINDOWS, h);
	parent = child;
	memcpy(parent.uuid, id, sizeof(id));
	KUNIT_EXPECT_EQ(test, vhd_link_check(&child, h, &parent), VHD_OK);
	parent.uuid[15] ^= 1;
	KUNIT_EXPECT_EQ(test, vhd_link_check(&child, h, &parent), VHD_FAULT_PARENT_ID);
}

static void time_is_compared_if_recorded(struct kunit *test)
{
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, h);
	KUNIT_EXPECT_FALSE(test, vhd_link_time_differs(h, 5));
	h->parent_timestamp = cpu_to_be32(0x01020304);
	KUNIT_EXPECT_FALSE(test, vhd_link_time_differs(h, 0x01020304));
	KUNIT_EXPECT_TRUE(test, vhd_link_time_differs(h, 0x01020305));
}

static struct kunit_case link_kunit_cases[] = {
	KUNIT_CASE_PARAM(link_is_judged, link_gen_params),
	KUNIT_CASE(real_child_names_its_parent),
	KUNIT_CASE(time_is_compared_if_recorded),
	{}
};

struct kunit_suite vhdblk_link_suite = {
	.name = "vhdblk_link",
	.test_cases = link_kunit_cases,
};
