/* SPDX-License-Identifier: GPL-2.0 */
/* What the fuzz targets share: a reader of their input and a check that stops. */
#ifndef _VHD_FUZZ_H
#define _VHD_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include "vhd_format.h"

/* A property that must hold for every input. */
#define MUST(condition)								\
	do {									\
		if (!(condition)) {						\
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,	\
				__LINE__, #condition);				\
			abort();						\
		}								\
	} while (0)

struct fuzz_input {
	const u8 *data;
	size_t left;
};

/* Short inputs end in zeros, so that every prefix means something. */
static inline void fuzz_take(struct fuzz_input *in, void *to, size_t size)
{
	size_t n = in->left < size ? in->left : size;

	memset(to, 0, size);
	if (n)
		memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
}

static inline u8 fuzz_u8(struct fuzz_input *in)
{
	u8 v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline u32 fuzz_u32(struct fuzz_input *in)
{
	u32 v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline u64 fuzz_u64(struct fuzz_input *in)
{
	u64 v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

/* The name that libFuzzer calls. */
int fuzz_one(const u8 *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

#endif /* _VHD_FUZZ_H */
