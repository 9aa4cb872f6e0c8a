/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DIE_H
#define DIE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a test program cannot go on without. */
static inline __attribute__((noreturn)) void die(const char *what)
{
	perror(what);
	exit(2);
}

/* Zeros, aligned for direct I/O. */
static inline void *page(size_t size)
{
	void *p = aligned_alloc(4096, size);

	if (!p)
		die("memory");
	memset(p, 0, size);
	return p;
}

#endif /* DIE_H */
