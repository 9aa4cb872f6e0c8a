/* SPDX-License-Identifier: GPL-2.0 */
/* The suites, for the kernel module and for the runner on the host. */
#ifndef _VHDBLK_SUITES_H
#define _VHDBLK_SUITES_H

#include <kunit/test.h>

extern struct kunit_suite vhdblk_footer_suite;
extern struct kunit_suite vhdblk_geometry_suite;
extern struct kunit_suite vhdblk_header_suite;
extern struct kunit_suite vhdblk_layout_suite;
extern struct kunit_suite vhdblk_locator_suite;
extern struct kunit_suite vhdblk_link_suite;
extern struct kunit_suite vhdblk_bat_suite;
extern struct kunit_suite vhdblk_bitmap_suite;
extern struct kunit_suite vhdblk_map_suite;
extern struct kunit_suite vhdblk_plan_suite;
extern struct kunit_suite vhdblk_crash_suite;
extern struct kunit_suite vhdblk_shift_suite;
extern struct kunit_suite vhdblk_grow_suite;
extern struct kunit_suite vhdblk_relink_suite;
extern struct kunit_suite vhdblk_fault_suite;

/* Gives all of them to the macro @use, so that no runner forgets one. */
#define VHDBLK_SUITES(use)					\
	use(&vhdblk_fault_suite, &vhdblk_footer_suite,		\
	    &vhdblk_geometry_suite, &vhdblk_header_suite,	\
	    &vhdblk_layout_suite, &vhdblk_locator_suite,	\
	    &vhdblk_link_suite, &vhdblk_bat_suite,		\
	    &vhdblk_bitmap_suite, &vhdblk_map_suite,		\
	    &vhdblk_plan_suite, &vhdblk_crash_suite,		\
	    &vhdblk_shift_suite, &vhdblk_grow_suite,		\
	    &vhdblk_relink_suite)

#endif /* _VHDBLK_SUITES_H */
