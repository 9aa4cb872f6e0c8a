// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>
#include <linux/sched.h>

#include "epoch.h"

static void nobody_waits(struct vhd_epoch *e)
{
}

/*
 * One allocation after the other fails, and whoever owns the epoch then does as
 * vhd_alloc_exit() does. /sys/kernel/debug/failslab/ignore-gfp-wait has to be N.
 */
static void init_fails_at_each_allocation(struct kunit *test)
{
	struct vhd_epoch *e = kunit_kzalloc(test, sizeof(*e), GFP_KERNEL);
	unsigned int nth, refused = 0;
	bool failed = true;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, e);
	for (nth = 1; failed; nth++) {
		memset(e, 0, sizeof(*e));
		current->fail_nth = nth;
		ret = vhd_epoch_init(e, nobody_waits);
		failed = !current->fail_nth;
		current->fail_nth = 0;
		refused += !!ret;
		KUNIT_EXPECT_TRUE(test, !ret || (failed && ret == -ENOMEM));
		KUNIT_EXPECT_EQ(test, !ret, !!e->drained);
		if (e->drained)
			vhd_epoch_exit(e);
	}
	/* At least for each of its two counts. */
	KUNIT_EXPECT_GE(test, refused, 2u);
}

static struct kunit_case epoch_kunit_cases[] = {
	KUNIT_CASE(init_fails_at_each_allocation),
	{}
};

struct kunit_suite vhdblk_epoch_suite = {
	.name = "vhdblk_epoch",
	.test_cases = epoch_kunit_cases,
};
