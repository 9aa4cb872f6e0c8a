// SPDX-License-Identifier: GPL-2.0
/*
 * Every crash state of the plans, on an image of four blocks: between two
 * barriers any subset of the sectors under way may be on the disk.
 */
#include <kunit/test.h>

#include "crash_model.h"
#include "suites.h"

/* Few, for a kernel with all checkers on; the runner on the host asks for more. */
#ifndef CM_SEEDS
#define CM_SEEDS	8
#endif
#define ROUNDS		8
/* A mutant that so many workloads do not reveal has escaped. */
#define MUTANT_SEEDS	60

static void run_workload(struct cm *m)
{
	u32 round, n;

	for (round = 0; round < ROUNDS && !m->bad; round++) {
		for (n = 1 + cm_random(m, 3); n && !m->bad; n--)
			cm_guest(m);
		cm_commit(m);
		if (!cm_random(m, 3) && !m->bad)
			cm_commit(m);
		if (!cm_random(m, 2) && !m->bad)
			cm_trim(m);
	}
}

static struct cm *new_model(struct kunit *test)
{
	struct cm *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	return m;
}

static void survive(struct kunit *test, enum vhd_type type)
{
	struct cm *m = new_model(test);
	u64 states = 0;
	u32 seed;

	for (seed = 1; seed <= CM_SEEDS; seed++) {
		cm_init(m, type, seed, NULL);
		run_workload(m);
		KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "seed %u: %s", seed, m->bad);
		states += m->states;
	}
	KUNIT_EXPECT_GT(test, states, 100 * CM_SEEDS);
	kunit_info(test, "%llu crash states\n", states);
}

static void dynamic_image_survives(struct kunit *test)
{
	survive(test, VHD_TYPE_DYNAMIC);
}

static void differencing_image_survives(struct kunit *test)
{
	survive(test, VHD_TYPE_DIFFERENCING);
}

/* How the footers are before they are replaced, and which are. */
struct footer_case {
	const char *name;
	bool end_bad, copy_bad, end, copy;
};

static const struct footer_case footer_cases[] = {
	{ "both good, both written", false, false, true, true },
	{ "end bad, both written", true, false, true, true },
	{ "end bad, end written", true, false, true, false },
	{ "copy bad, copy written", false, true, false, true },
};

static void footer_desc(const struct footer_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(footer, footer_cases, footer_desc);

static void run_footers(struct cm *m, const struct footer_case *c)
{
	if (c->end_bad)
		m->disk[m->eof - 1][100] ^= 1;
	if (c->copy_bad)
		m->disk[0][100] ^= 1;
	cm_footers(m, c->end, c->copy);
}

static void torn_footer_leaves_another(struct kunit *test)
{
	struct cm *m = new_model(test);

	cm_init(m, VHD_TYPE_DYNAMIC, 1, NULL);
	run_footers(m, test->param_value);
	KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "%s", m->bad);
	KUNIT_EXPECT_GT(test, m->states, 0);
}

/* Bugs that the judge must see; what it does not see here it would not see at all. */
static const struct cm_mutant mutants[] = {
	{ "commit without first barrier", VHD_PLAN_COMMIT, VHD_STEP_BARRIER, 0, CM_DROP },
	{ "commit without last barrier", VHD_PLAN_COMMIT, VHD_STEP_BARRIER, 1, CM_DROP },
	{ "new bitmap not written", VHD_PLAN_COMMIT, VHD_STEP_BITMAP, 0, CM_DROP },
	{ "new bitmap late", VHD_PLAN_COMMIT, VHD_STEP_BITMAP, 0, CM_LATE },
	{ "BAT not written", VHD_PLAN_COMMIT, VHD_STEP_BAT, 1, CM_DROP },
	{ "BAT early", VHD_PLAN_COMMIT, VHD_STEP_BAT, 1, CM_EARLY },
	{ "BAT late", VHD_PLAN_COMMIT, VHD_STEP_BAT, 1, CM_LATE },
	{ "old bitmap not written", VHD_PLAN_COMMIT, VHD_STEP_BITMAP, 1, CM_DROP },
	{ "old bitmap early", VHD_PLAN_COMMIT, VHD_STEP_BITMAP, 1, CM_EARLY },
	{ "old bitmap late", VHD_PLAN_COMMIT, VHD_STEP_BITMAP, 1, CM_LATE },
	{ "extend without footer", VHD_PLAN_EXTEND, VHD_STEP_FOOTER, 0, CM_DROP },
	{ "extend, footer late", VHD_PLAN_EXTEND, VHD_STEP_FOOTER, 0, CM_LATE },
	{ "extend without barrier", VHD_PLAN_EXTEND, VHD_STEP_BARRIER, 0, CM_DROP },
	{ "extend, zeros early", VHD_PLAN_EXTEND, VHD_STEP_ZERO, 1, CM_EARLY },
	{ "extend without zeros", VHD_PLAN_EXTEND, VHD_STEP_ZERO, 1, CM_DROP },
	{ "trim without footer", VHD_PLAN_TRIM, VHD_STEP_FOOTER, 0, CM_DROP },
	{ "trim, footer late", VHD_PLAN_TRIM, VHD_STEP_FOOTER, 0, CM_LATE },
	{ "trim without first barrier", VHD_PLAN_TRIM, VHD_STEP_BARRIER, 0, CM_DROP },
	{ "trim, cut early", VHD_PLAN_TRIM, VHD_STEP_TRUNCATE, 1, CM_EARLY },
	{ "trim without cut", VHD_PLAN_TRIM, VHD_STEP_TRUNCATE, 1, CM_DROP },
	{ "trim without last barrier", VHD_PLAN_TRIM, VHD_STEP_BARRIER, 1, CM_DROP },
	{ "end footer not written", VHD_PLAN_FOOTERS, VHD_STEP_FOOTER, 0, CM_DROP },
	{ "end footer late", VHD_PLAN_FOOTERS, VHD_STEP_FOOTER, 0, CM_LATE },
	{ "copy not written", VHD_PLAN_FOOTERS, VHD_STEP_FOOTER_COPY, 1, CM_DROP },
	{ "copy early", VHD_PLAN_FOOTERS, VHD_STEP_FOOTER_COPY, 1, CM_EARLY },
	{ "footers without first barrier", VHD_PLAN_FOOTERS, VHD_STEP_BARRIER, 0, CM_DROP },
	{ "footers without last barrier", VHD_PLAN_FOOTERS, VHD_STEP_BARRIER, 1, CM_DROP },
};

static void mutant_desc(const struct cm_mutant *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mutant, mutants, mutant_desc);

static void mutant_is_caught(struct kunit *test)
{
	const struct cm_mutant *mutant = test->param_value;
	struct cm *m = new_model(test);
	u32 seed;

	for (seed = 1; seed <= MUTANT_SEEDS && !m->bad; seed++) {
		cm_init(m, seed & 1 ? VHD_TYPE_DIFFERENCING : VHD_TYPE_DYNAMIC, seed, mutant);
		if (mutant->plan == VHD_PLAN_FOOTERS)
			run_footers(m, &footer_cases[0]);
		else
			run_workload(m);
	}
	KUNIT_EXPECT_TRUE_MSG(test, m->bad, "%s escaped", mutant->name);
	KUNIT_EXPECT_FALSE(test, m->broken);
}

static struct kunit_case crash_cases[] = {
	KUNIT_CASE(dynamic_image_survives),
	KUNIT_CASE(differencing_image_survives),
	KUNIT_CASE_PARAM(torn_footer_leaves_another, footer_gen_params),
	KUNIT_CASE_PARAM(mutant_is_caught, mutant_gen_params),
	{}
};

struct kunit_suite vhdblk_crash_suite = {
	.name = "vhdblk_crash",
	.test_cases = crash_cases,
};
