// SPDX-License-Identifier: GPL-2.0
/* vhdblk_kunit.ko: the suites of this directory in a kernel with CONFIG_KUNIT. */
#include <linux/module.h>

#include "suites.h"

/* Of the driver itself, so not for the runner on the host. */
extern struct kunit_suite vhdblk_epoch_suite;

#define AND_OURS(...)	kunit_test_suites(__VA_ARGS__, &vhdblk_epoch_suite)

VHDBLK_SUITES(AND_OURS);

VHDBLK_IMPORT_KUNIT_NS;
MODULE_DESCRIPTION("KUnit tests of the VHD format library");
MODULE_LICENSE("GPL");
