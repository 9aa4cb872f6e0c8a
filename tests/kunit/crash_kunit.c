// SPDX-License-Identifier: GPL-2.0
/*
 * Crash states of the plans: between two barriers any subset of the sectors under
 * way may be on the disk. As many as a kernel with all checkers on can bear; every
 * one of them, and all mutants, are the business of tests/host/crash.c.
 */
#include <kunit/test.h>

#include "crash_model.h"
#include "suites.h"

#ifndef CM_SEEDS
#define CM_SEEDS	3
#endif

static const struct cm_params params = {
	.sessions = 3, .events = 50, .every_subset = 7, .random_subsets = 64,
};

static struct cm *new_model(struct kunit *test)
{
	struct cm *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	return m;
}

static void survive(struct kunit *test, enum vhd_type type)
{
	struct cm *m = new_model(test);
	struct cm_params p = params;
	u64 states = 0;

	p.type = type;
	for (p.seed = 1; p.seed <= CM_SEEDS; p.seed++) {
		cm_run(m, &p);
		KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "seed %u: %s", p.seed, m->bad);
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

/* What the judge does not see here it would not see at all. */
static const struct cm_mutant mutants[] = {
	{ { VHD_PLAN_COMMIT, VHD_STEP_BARRIER, 0 }, CM_ALL, CM_DROP },
	{ { VHD_PLAN_COMMIT, VHD_STEP_BARRIER, 1 }, CM_ALL, CM_DROP },
	{ { VHD_PLAN_COMMIT, VHD_STEP_BAT, 1 }, CM_ALL, CM_EARLY },
	{ { VHD_PLAN_EXTEND, VHD_STEP_BARRIER, 0 }, CM_ALL, CM_DROP },
	{ { VHD_PLAN_TRIM, VHD_STEP_TRUNCATE, 1 }, CM_ALL, CM_EARLY },
	{ { VHD_PLAN_FOOTERS, VHD_STEP_BARRIER, 0 }, CM_ALL, CM_DROP },
};

static void mutant_desc(const struct cm_mutant *mutant, char *desc)
{
	cm_describe(mutant, desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mutant, mutants, mutant_desc);

static void mutant_is_caught(struct kunit *test)
{
	struct cm *m = new_model(test);
	struct cm_params p = params;

	p.mutant = test->param_value;
	p.every_subset = 5;
	p.random_subsets = 16;
	KUNIT_EXPECT_GT(test, cm_kill(m, &p, 60), 0);
	KUNIT_EXPECT_FALSE(test, m->broken);
}

static struct kunit_case crash_cases[] = {
	KUNIT_CASE(dynamic_image_survives),
	KUNIT_CASE(differencing_image_survives),
	KUNIT_CASE_PARAM(mutant_is_caught, mutant_gen_params),
	{}
};

struct kunit_suite vhdblk_crash_suite = {
	.name = "vhdblk_crash",
	.test_cases = crash_cases,
};
