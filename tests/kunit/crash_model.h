/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of an image whose power may fail at any moment.
 *
 * It plays the driver (which sector a write goes to, what is dirty), the disk
 * (what is durable, what is on its way) and the judge (what a reader may see
 * after a crash). The order of metadata writes is not in it: that comes from
 * format/plan.c, the code under test.
 */
#ifndef _VHDBLK_CRASH_MODEL_H
#define _VHDBLK_CRASH_MODEL_H

#include "vhd_format.h"

#define CM_BLOCKS	4
#define CM_BLOCK_SECTS	8
#define CM_VSECTS	(CM_BLOCKS * CM_BLOCK_SECTS)
#define CM_SECTS	128		/* largest file */
#define CM_SLOTS	7		/* what fits into it */
#define CM_OPS		96
#define CM_HISTORY	48
#define CM_STEPS	24

/* Up to so many sectors under way, every subset is tried. */
#ifndef CM_DEPTH
#define CM_DEPTH	8
#endif

/* What a mutant does to the steps of a plan that it picks. */
enum cm_action { CM_DROP, CM_EARLY, CM_LATE };

/**
 * struct cm_mutant - a planner with a bug
 * @name:	for the test's description
 * @plan:	plans that it spoils
 * @step:	steps that it picks there
 * @barriers:	and only with so many barriers before them
 * @action:	leave out, or move before the last barrier or behind the next
 */
struct cm_mutant {
	const char *name;
	enum vhd_plan_kind plan;
	enum vhd_step_kind step;
	u32 barriers;
	enum cm_action action;
};

/* A sector on its way to the disk, or a change of EOF to @sect. */
struct cm_op {
	u32 sect;
	bool truncate;
	u8 data[VHD_SECTOR_SIZE];
};

/* Everything that a virtual sector has held since its last durable value. */
struct cm_history {
	u32 nr;
	u32 tag[CM_HISTORY];
};

enum cm_slot { CM_FREE, CM_USED, CM_PENDING };

/* What the driver knows of a block; "new" has no durable entry yet. */
struct cm_block {
	u32 entry;
	u8 bits;
	bool dirty_entry, dirty_bits, new;
};

struct cm {
	struct vhd_layout layout;
	struct vhd_footer footer;
	u32 eof;				/* durable, sectors */
	u32 mem_eof;				/* as the driver sees it */
	u32 allowed_eof[2];
	u32 nr_ops;
	u32 rng, next_tag, commits;
	u64 states;
	bool tearing;				/* footers may be torn, pairs may differ */
	bool settled;				/* both footers must be right and equal */
	const struct cm_mutant *mutant;
	const char *bad;			/* the first thing that went wrong */
	bool broken;				/* with the model, not the plan */
	struct cm_block block[CM_BLOCKS];
	u8 slot[CM_SLOTS];			/* enum cm_slot */
	u32 freed_in[CM_SLOTS];
	bool stale[CM_SECTS];
	struct cm_history history[CM_VSECTS];
	struct cm_op op[CM_OPS];
	u8 disk[CM_SECTS][VHD_SECTOR_SIZE], scratch[CM_SECTS][VHD_SECTOR_SIZE];
	u32 scratch_eof;
};

void cm_init(struct cm *m, enum vhd_type type, u32 seed, const struct cm_mutant *mutant);
u32 cm_random(struct cm *m, u32 below);

/* crash_model.c: the driver */
void cm_guest(struct cm *m);
void cm_commit(struct cm *m);
void cm_trim(struct cm *m);
void cm_footers(struct cm *m, bool end, bool copy);

/* crash_judge.c: the disk and the judge */
void cm_fail(struct cm *m, const char *text);
void cm_break(struct cm *m, const char *text);
u8 *cm_write(struct cm *m, u32 sect, const void *data);
void cm_truncate(struct cm *m, u32 sect);
void cm_crash(struct cm *m);
void cm_barrier(struct cm *m);
u32 cm_parent_tag(u32 vsect);

#endif /* _VHDBLK_CRASH_MODEL_H */
