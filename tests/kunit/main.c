// SPDX-License-Identifier: GPL-2.0
/* vhdblk_kunit.ko: the suites of this directory in a kernel with CONFIG_KUNIT. */
#include <linux/module.h>

#include "suites.h"

VHDBLK_SUITES(kunit_test_suites);

VHDBLK_IMPORT_KUNIT_NS;
MODULE_DESCRIPTION("KUnit tests of the VHD format library");
MODULE_LICENSE("GPL");
