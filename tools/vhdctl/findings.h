/* SPDX-License-Identifier: GPL-2.0 */
/* What "vhdctl check" finds in one image, and how it mends footers. */
#ifndef VHDCTL_FINDINGS_H
#define VHDCTL_FINDINGS_H

#include "file.h"

#define NO_BLOCK	(~0u)
/* A hostile table has millions of bad entries; nobody reads more than these. */
#define MAX_FINDINGS	1000u

struct finding {
	enum vhd_fault fault;
	u32 block;
};

/**
 * struct findings - result of a check
 * @v:		the first MAX_FINDINGS
 * @nr:		entries in @v
 * @total:	how many there were
 * @worst:	highest severity among them
 * @cut:	a block is cut by the end
 * @leaked:	stored bytes that nothing uses, in gaps that could hold a block
 */
struct findings {
	struct finding v[MAX_FINDINGS];
	unsigned int nr;
	u64 total;
	enum vhd_severity worst;
	bool cut;
	u64 leaked;
};

void findings_add(struct findings *f, enum vhd_fault fault, u32 block);
int findings_collect(struct findings *f, struct image *img, enum vhd_size_rule rule);

/**
 * struct extents - sectors that known structures take
 * @v:	they
 * @nr:	how many
 */
struct extents {
	struct extent {
		u64 sect;
		u64 nr;
	} *v;
	size_t nr;
};

int extents_collect(struct extents *e, const struct image *img);

/* repair.c */
bool repair_wanted(const struct findings *f, const struct image *img);
int repair_footers(struct image *img, const struct findings *f);

#endif /* VHDCTL_FINDINGS_H */
