// SPDX-License-Identifier: GPL-2.0
/*
 * One device of the storm is nobody's target. What is written there must be
 * read again, whatever happens to the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storm.h"

#define SLOTS		48
#define SLOT_BYTES	(64 << 10)
/* In different blocks. */
#define STRIDE		(1 << 20)

static void fail(const char *what, unsigned int slot)
{
	fprintf(stderr, "storm: guard: %s of slot %u: %s\n", what, slot, strerror(errno));
	exit(1);
}

/* What no other slot and no other version of it holds. */
static void fill(u64 *buf, unsigned int slot, u32 version)
{
	struct rng r = { (u64)slot << 32 | version };
	unsigned int i;

	for (i = 0; i < SLOT_BYTES / sizeof(*buf); i++)
		buf[i] = version ? (u64)rng_next(&r) << 32 | (slot << 20 | i) : 0;
}

static void write_slot(int fd, u64 *buf, unsigned int slot, u32 version)
{
	fill(buf, slot, version);
	if (pwrite(fd, buf, SLOT_BYTES, (off_t)slot * STRIDE) != SLOT_BYTES)
		fail("write", slot);
}

static void compare_slot(int fd, u64 *buf, u64 *want, unsigned int slot, u32 version)
{
	if (pread(fd, buf, SLOT_BYTES, (off_t)slot * STRIDE) != SLOT_BYTES)
		fail("read", slot);
	fill(want, slot, version);
	errno = 0;
	if (memcmp(buf, want, SLOT_BYTES))
		fail("wrong data", slot);
}

void guard(const char *device, u64 seed)
{
	int fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
	u64 *buf = aligned_alloc(4096, SLOT_BYTES), *want = malloc(SLOT_BYTES);
	u32 version[SLOTS] = { 0 };
	struct rng r = { seed };
	unsigned int slot;

	if (fd < 0 || !buf || !want)
		fail("open", 0);
	for (;;) {
		slot = rng_below(&r, SLOTS);
		write_slot(fd, buf, slot, ++version[slot]);
		if (rng_one_in(&r, 8) && fsync(fd))
			fail("fsync", slot);
		slot = rng_below(&r, SLOTS);
		compare_slot(fd, buf, want, slot, version[slot]);
		count(&totals->guarded);
	}
}
