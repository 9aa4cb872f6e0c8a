// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define MAX_STEPS	12

static const struct vhd_layout layout = { .bat_sect = 100, .bat_sects = 4 };

static void expect_steps(struct kunit *test, struct vhd_plan *plan,
			 const struct vhd_step *step, u32 nr)
{
	struct vhd_step got;
	u32 i = 0;

	while (vhd_plan_next(plan, &got)) {
		KUNIT_ASSERT_LT(test, i, nr);
		KUNIT_EXPECT_EQ_MSG(test, got.kind, step[i].kind, "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.first, step[i].first, "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.nr, step[i].nr, "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.sect, step[i].sect, "step %u", i);
		i++;
	}
	KUNIT_EXPECT_EQ(test, i, nr);
	KUNIT_EXPECT_FALSE(test, vhd_plan_next(plan, &got));
}

struct commit_case {
	const char *name;
	u32 nr_changes;
	struct vhd_change change[6];
	u32 nr_steps;
	struct vhd_step step[MAX_STEPS];
};

#define B	VHD_CHANGE_BITMAP
#define NEW	(VHD_CHANGE_BAT | VHD_CHANGE_BITMAP | VHD_CHANGE_NEW)
#define FREED	VHD_CHANGE_BAT
#define UNUSED	VHD_BAT_UNUSED
#define BITMAP(FIRST, SECT, NR) { VHD_STEP_BITMAP, FIRST, NR, SECT }
#define BAT(FIRST, NR, SECT) { VHD_STEP_BAT, FIRST, NR, SECT }
#define BARRIER { VHD_STEP_BARRIER, 0, 0, 0 }

static const struct commit_case commit_cases[] = {
	{ "nothing", 0, { { 0 } }, 1, { BARRIER } },
	{ "new block", 1, { { 5, 1007, NEW, 0, 1 } }, 4,
	  { BITMAP(0, 1007, 1), BARRIER, BAT(0, 1, 100), BARRIER } },
	{ "bits of an old block", 1, { { 5, 1007, B, 2, 3 } }, 3,
	  { BARRIER, BITMAP(0, 1009, 3), BARRIER } },
	{ "freed block", 1, { { 5, UNUSED, FREED, 0, 0 } }, 3,
	  { BARRIER, BAT(0, 1, 100), BARRIER } },
	{ "new block, entry already there", 1,
	  { { 5, 1007, B | VHD_CHANGE_NEW, 0, 1 } }, 2,
	  { BITMAP(0, 1007, 1), BARRIER } },
	{ "entries share a sector", 3,
	  { { 0, 7, NEW, 0, 1 }, { 126, 15, NEW, 0, 1 }, { 127, 23, NEW, 0, 1 } }, 6,
	  { BITMAP(0, 7, 1), BITMAP(1, 15, 1), BITMAP(2, 23, 1), BARRIER,
	    BAT(0, 3, 100), BARRIER } },
	{ "entries in two sectors", 2, { { 127, 7, NEW, 0, 1 }, { 128, 15, NEW, 0, 1 } }, 6,
	  { BITMAP(0, 7, 1), BITMAP(1, 15, 1), BARRIER,
	    BAT(0, 1, 100), BAT(1, 1, 101), BARRIER } },
	{ "last BAT sector", 1, { { 511, 7, NEW, 0, 1 } }, 4,
	  { BITMAP(0, 7, 1), BARRIER, BAT(0, 1, 103), BARRIER } },
	{ "all kinds", 6,
	  { { 1, 100, B, 0, 1 }, { 2, 200, NEW, 0, 2 }, { 3, UNUSED, FREED, 0, 0 },
	    { 200, 300, B, 1, 1 }, { 300, 400, NEW, 0, 2 }, { 301, 500, B, 0, 2 } }, 9,
	  { BITMAP(1, 200, 2), BITMAP(4, 400, 2), BARRIER,
	    BAT(1, 2, 100), BAT(4, 2, 102),
	    BITMAP(0, 100, 1), BITMAP(3, 301, 1), BITMAP(5, 500, 2), BARRIER } },
};

static void commit_desc(const struct commit_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(commit, commit_cases, commit_desc);

static void commit_has_these_steps(struct kunit *test)
{
	const struct commit_case *c = test->param_value;
	struct vhd_plan plan;

	vhd_plan_commit(&plan, &layout, c->change, c->nr_changes);
	expect_steps(test, &plan, c->step, c->nr_steps);
}

static void extension_puts_footer_first(struct kunit *test)
{
	static const struct vhd_step step[] = {
		{ VHD_STEP_RESERVE, 0, 900, 100 },
		{ VHD_STEP_FOOTER, 0, 1, 999 },
		BARRIER,
		{ VHD_STEP_ZERO, 0, 1, 99 },
	};
	struct vhd_plan plan;

	vhd_plan_extend(&plan, 100, 1000);
	expect_steps(test, &plan, step, ARRAY_SIZE(step));
}

static void huge_extension_saturates(struct kunit *test)
{
	struct vhd_plan plan;
	struct vhd_step step;

	vhd_plan_extend(&plan, 100, 1ULL << 40);
	KUNIT_ASSERT_TRUE(test, vhd_plan_next(&plan, &step));
	KUNIT_EXPECT_EQ(test, step.nr, 0xffffffffU);
}

static void trim_cuts_behind_a_durable_footer(struct kunit *test)
{
	static const struct vhd_step step[] = {
		{ VHD_STEP_FOOTER, 0, 1, 99 },
		BARRIER,
		{ VHD_STEP_TRUNCATE, 0, 0, 100 },
		BARRIER,
	};
	struct vhd_plan plan;

	vhd_plan_trim(&plan, 1000, 100);
	expect_steps(test, &plan, step, ARRAY_SIZE(step));
	vhd_plan_trim(&plan, 100, 100);
	expect_steps(test, &plan, step, 2);
}

static void footers_are_written_apart(struct kunit *test)
{
	static const struct vhd_step step[] = {
		{ VHD_STEP_FOOTER, 0, 1, 99 },
		BARRIER,
		{ VHD_STEP_FOOTER_COPY, 0, 1, 0 },
		BARRIER,
	};
	struct vhd_plan plan;

	vhd_plan_footers(&plan, 99, true, true);
	expect_steps(test, &plan, step, 4);
	vhd_plan_footers(&plan, 99, true, false);
	expect_steps(test, &plan, step, 2);
	vhd_plan_footers(&plan, 99, false, true);
	expect_steps(test, &plan, step + 2, 2);
	vhd_plan_footers(&plan, 99, false, false);
	expect_steps(test, &plan, step, 0);
}

static void footer_moves_when_its_place_is_clean(struct kunit *test)
{
	static const struct vhd_step step[] = {
		{ VHD_STEP_ZERO, 0, 1, 99 },
		BARRIER,
		{ VHD_STEP_FOOTER, 0, 1, 119 },
		BARRIER,
	};
	struct vhd_plan plan;

	vhd_plan_move_footer(&plan, 100, 120);
	expect_steps(test, &plan, step, ARRAY_SIZE(step));
}

static struct kunit_case plan_cases[] = {
	KUNIT_CASE_PARAM(commit_has_these_steps, commit_gen_params),
	KUNIT_CASE(extension_puts_footer_first),
	KUNIT_CASE(huge_extension_saturates),
	KUNIT_CASE(trim_cuts_behind_a_durable_footer),
	KUNIT_CASE(footers_are_written_apart),
	KUNIT_CASE(footer_moves_when_its_place_is_clean),
	{}
};

struct kunit_suite vhdblk_plan_suite = {
	.name = "vhdblk_plan",
	.test_cases = plan_cases,
};
