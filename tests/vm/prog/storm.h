/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VM_STORM_H
#define _VM_STORM_H

#include "rawlink.h"

/* Of all processes together: what has happened how often, and whether to hold still. */
struct storm_totals {
	bool lull;
	u64 attaches;
	u64 kills;
	u64 detaches;
	u64 opens;
	u64 ios;
	u64 looks;
	u64 freezes;
	u64 unloads;
	u64 guarded;
};

extern struct storm_totals *totals;

static inline void count(u64 *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

/* Write and compare one device for ever; exits only if something is wrong. */
void guard(const char *device, u64 seed);

#endif /* _VM_STORM_H */
