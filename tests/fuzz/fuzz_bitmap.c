// SPDX-License-Identifier: GPL-2.0
/* Sector bitmaps against an array of flags. */
#include "fuzz.h"

#define MAX_BYTES	96u

struct pair {
	u8 *bitmap;	/* of exactly the size, so that any step outside is seen */
	bool flag[MAX_BYTES * 8];
	u32 sects;
};

static u32 naive_run(const struct pair *p, u32 first, u32 end)
{
	u32 at = first;

	while (at < end && p->flag[at] == p->flag[first])
		at++;
	return at - first;
}

static void check_run(const struct pair *p, u32 first, u32 end)
{
	u32 run;
	bool set;

	run = vhd_bitmap_run(p->bitmap, first, end, &set);
	MUST(set == p->flag[first] && run == naive_run(p, first, end));
	MUST(vhd_bitmap_all_set(p->bitmap, first, end - first) == (set && run == end - first));
	MUST(vhd_bitmap_all_set(p->bitmap, first, 0));
}

static void step(struct pair *p, struct fuzz_input *in)
{
	u8 what = fuzz_u8(in);
	u32 first = fuzz_u32(in) % p->sects;
	u32 nr = fuzz_u32(in) % (p->sects - first + 1), i;

	if (what & 1)
		vhd_bitmap_set(p->bitmap, first, nr);
	else
		vhd_bitmap_clear(p->bitmap, first, nr);
	for (i = first; i < first + nr; i++)
		p->flag[i] = what & 1;
	for (i = 0; i < p->sects; i++)
		MUST(vhd_bitmap_test(p->bitmap, i) == p->flag[i]);
	if (nr)
		check_run(p, first, first + nr);
	check_run(p, first, p->sects);
	check_run(p, 0, p->sects);
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u32 bytes = fuzz_u8(&in) % MAX_BYTES + 1, i, steps = 0;
	struct pair p = { .bitmap = malloc(bytes), .sects = bytes * 8 };

	MUST(p.bitmap);
	fuzz_take(&in, p.bitmap, bytes);
	for (i = 0; i < p.sects; i++)
		p.flag[i] = p.bitmap[i / 8] & 0x80 >> i % 8;
	/* A bitmap may end inside a byte. */
	p.sects -= fuzz_u8(&in) % 8;
	do {
		step(&p, &in);
	} while (in.left && steps++ < 64);
	free(p.bitmap);
	return 0;
}
