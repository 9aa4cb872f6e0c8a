/* SPDX-License-Identifier: GPL-2.0 */
/* What "vhdctl check" finds in one image, and how it mends footers. */
#ifndef VHDCTL_FINDINGS_H
#define VHDCTL_FINDINGS_H

#include "file.h"

#define NO_BLOCK	(~0u)
/* A hostile table has millions of bad entries; nobody reads more than these. */
#define MAX_FINDINGS	1000u

/*
 * Signs that something went wrong, or soon will with another program. They forbid
 * nothing, so the driver does not know them; their numbers go on behind its faults.
 */
enum sign {
	SIGN_FOOTER_CONFLICT = VHD_NR_FAULTS,
	SIGN_PARENT_NAME,
	SIGN_BAT_PADDING,
	SIGN_BITMAP_TAIL,
	SIGN_BATMAP,
	SIGN_QEMU,
	NR_FINDINGS
};

/**
 * struct finding - one of them
 * @kind:	&enum vhd_fault or &enum sign
 * @block:	its block or NO_BLOCK
 */
struct finding {
	unsigned int kind;
	u32 block;
};

/**
 * struct findings - result of a check
 * @v:		the first MAX_FINDINGS
 * @nr:		entries in @v
 * @total:	how many there were
 * @nr_of:	how many of each kind
 * @worst:	highest severity among them
 * @leaked:	stored bytes that nothing uses, in gaps that could hold a block
 */
struct findings {
	struct finding v[MAX_FINDINGS];
	unsigned int nr;
	u64 total;
	u64 nr_of[NR_FINDINGS];
	enum vhd_severity worst;
	u64 leaked;
};

void findings_add(struct findings *f, unsigned int kind, u32 block);
int findings_judge(struct findings *f, struct image *img);
enum vhd_fault locator_text(const struct image *img, const struct vhd_locator_ref *ref);
enum vhd_fault locator_place(const struct image *img, unsigned int slot,
			     struct vhd_locator_ref *ref);
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

/* @sect to @end hold @stored bytes that nothing uses. */
typedef int (*gap_fn)(void *ctx, u64 sect, u64 end, u64 stored);

int gaps_walk(const struct image *img, gap_fn visit, void *ctx);

/* signs.c */
const char *finding_name(unsigned int kind);
const char *finding_text(unsigned int kind);
enum vhd_severity finding_severity(unsigned int kind);
const char *findings_worst(const struct findings *f);
const char *severity_name(enum vhd_severity severity);
bool bat_padding_is_bad(const struct vhd_layout *l, u64 index, u32 entry);
u64 bat_padding_end(const struct vhd_layout *l);
u32 bitmap_tail(const struct image *img);
int signs_collect(struct findings *f, struct image *img);

/* batmap.c */
int batmap_is_bad(struct image *img, bool *bad);
bool batmap_can_be_mended(struct image *img);
int batmap_mend(struct image *img);

/* repair.c */
bool repair_wanted(const struct findings *f, const struct image *img);
int repair_footers(struct image *img, const struct findings *f);

#endif /* VHDCTL_FINDINGS_H */
