/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of an image whose power may fail at any moment.
 *
 * It plays the driver (which sector a write goes to, what is dirty), the disk
 * (what is durable, what is on its way) and the judge (what a reader may see
 * after a crash). The order of metadata writes is not in it: that comes from
 * format/plan.c, the code under test.
 *
 * Blocks may be large: the guest uses CM_BLOCKS of them, and CM_OFFSETS sectors
 * of each, chosen for what is at their edges. Only sectors that somebody touches
 * exist, as cells.
 */
#ifndef _VHDBLK_CRASH_MODEL_H
#define _VHDBLK_CRASH_MODEL_H

#include "vhd_format.h"

#define CM_BLOCKS	5
#define CM_OFFSETS	8
#define CM_VSECTS	(CM_BLOCKS * CM_OFFSETS)
#define CM_BITMAP_SECTS	16		/* of the largest block: 32 MiB */
#define CM_CELLS	1024
#define CM_HASH_SHIFT	11
#define CM_BUFFERS	384
#define CM_OPS		256
#define CM_SLOTS	32
#define CM_HISTORY	48
#define CM_STEPS	48
#define CM_REQUESTS	3
#define CM_TORN		4		/* writes that are tried torn */
#define CM_KEPT		8
#define CM_SECTOR_WORDS	(VHD_SECTOR_SIZE / sizeof(u64))
#define CM_EVERY_SUBSET	14		/* sectors under way of which all subsets are tried */
#define CM_RANDOM_SUBSETS	10000	/* of more, beside all single and pair omissions */
#define CM_MUTANTS	128

/*
 * What a sector holds: zeros, a number that one write alone has used, bytes of no
 * meaning, or a buffer of metadata.
 */
typedef u32 cm_value;

#define CM_ZERO		0u
#define CM_PARENT	0x40000000u	/* and the number of the virtual sector */
#define CM_GARBAGE	0x7fffffffu
#define CM_BUFFER	0x80000000u	/* and an index */
#define CM_ONES		CM_BUFFER	/* the first one: a bitmap with all bits set */

/* What a mutant does to the steps of a plan that it picks. */
enum cm_action { CM_DROP, CM_EARLY, CM_LATE };
enum cm_pick { CM_ALL, CM_FIRST, CM_LAST };

/* Which steps of a plan are alike: of one kind, behind as many barriers. */
struct cm_role {
	enum vhd_plan_kind plan;
	enum vhd_step_kind step;
	u32 barriers;
};

/**
 * struct cm_mutant - a planner with a bug
 * @role:	the steps that it spoils
 * @pick:	all of them in a plan, or only the first or last of several
 * @action:	leave out, or move before the last barrier or behind the next
 */
struct cm_mutant {
	struct cm_role role;
	enum cm_pick pick;
	enum cm_action action;
};

/* A role as plans have shown it. */
struct cm_seen {
	struct cm_role role;
	u32 most;		/* of them in one plan */
};

#define CM_ROLES	48

/**
 * struct cm_seen_roles - every role that any plan had
 * @nr: how many
 * @role: they
 */
struct cm_seen_roles {
	u32 nr;
	struct cm_seen role[CM_ROLES];
};

enum cm_thread { CM_GUEST, CM_COMMIT, CM_RESERVE, CM_THREADS };

/* A sector on its way to the disk, or a change of EOF to @sect. */
struct cm_op {
	u32 id;
	u32 sect;
	u32 cell;
	cm_value value;
	u8 thread;
	bool truncate;
	bool done;		/* whoever wrote it knows: an fsync includes it */
};

/* Everything that a virtual sector has held since its last durable value. */
struct cm_history {
	u32 nr;
	u32 done;		/* the last of them that the guest knows to be written */
	cm_value tag[CM_HISTORY];
};

/* A write that the guest waits for: neighbours in one block. */
struct cm_request {
	u32 first, nr;		/* virtual sectors; not there if @nr is 0 */
	u32 id;			/* of the first of @nr operations */
};

enum cm_slot_state { CM_FREE, CM_USED, CM_PENDING };

struct cm_slot {
	u32 entry;
	u8 state;
	u32 freed_in;		/* the commit that ran, or the last one */
};

/* What the driver knows of a block. */
struct cm_block {
	u32 entry;
	u32 durable;		/* the entry that was last written */
	u32 bits;		/* one for each of CM_OFFSETS */
	bool full;		/* all other bits are set */
	bool dirty_entry, dirty_bits;
};

/* A plan that is being carried out. */
struct cm_run {
	enum vhd_plan_kind kind;
	u32 nr, pos;
	struct vhd_step step[CM_STEPS];
	bool late;		/* a mutant's step comes behind the next barrier of any plan */
	struct vhd_step late_step;
};

struct cm_commit {
	struct cm_run run;
	bool active;
	bool more;				/* another plan follows */
	u32 nr;
	struct vhd_change change[CM_BLOCKS];
	u32 index[CM_BLOCKS];			/* of the block of each change */
	bool bits[CM_BLOCKS];			/* it had dirty bits */
	struct cm_block frozen[CM_BLOCKS];
	u32 covered[CM_VSECTS];
};

struct cm_reserve {
	struct cm_run run;
	bool active;
	u32 new_end;
};

/* What is durable, and what is on its way. */
struct cm_disk {
	u32 eof;				/* sectors */
	u32 garbage_end;			/* what nobody has written below it is not zeros */
	u32 nr_cells, nr_ops;
	u32 sect[CM_CELLS];
	u16 hash[1 << CM_HASH_SHIFT];
	cm_value now[CM_CELLS];
	struct cm_op op[CM_OPS];
	u32 next_buffer;
	bool used[CM_BUFFERS];
	u64 buffer[CM_BUFFERS][CM_SECTOR_WORDS];
};

/* Which footers of the image must be right. */
enum cm_footers {
	CM_SETTLED,		/* both, and equal */
	CM_TEARING,		/* one of them, while writes may be torn */
	CM_MOVING,		/* one of them */
};

struct cm;

/* One run of the model. */
struct cm_params {
	enum vhd_type type;
	u32 seed;
	u32 sessions;		/* attach to detach */
	u32 events;		/* in each */
	u32 every_subset;	/* see CM_EVERY_SUBSET */
	u32 random_subsets;
	const struct cm_mutant *mutant;
	struct cm_seen_roles *seen;
	void (*sample)(struct cm *m);	/* called in each state that was judged, or NULL */
};

struct cm {
	struct cm_params p;
	u32 rng, next_tag;
	struct vhd_layout layout;
	struct vhd_footer footer;
	u32 number[CM_BLOCKS];			/* of the blocks that the guest uses */
	u32 offset[CM_OFFSETS];
	bool device;				/* EOF stays where it is */
	bool batmap;
	u32 kept[CM_KEPT];			/* cells that nobody may change */
	cm_value kept_value[CM_KEPT];
	u32 nr_kept;

	struct cm_disk disk;
	u32 next_id;

	u32 end, stale_end, attach_end, next;	/* as the driver sees them */
	u32 commits;
	struct cm_block block[CM_BLOCKS];
	struct cm_slot slot[CM_SLOTS];
	u32 nr_slots;
	struct cm_request request[CM_REQUESTS];
	struct cm_commit commit;
	struct cm_reserve reserve;
	bool late;				/* from a plan that has ended */
	struct vhd_step late_step;

	struct cm_history history[CM_VSECTS];
	u32 allowed_eof[2];
	enum cm_footers footers;
	bool renewed;				/* no old footer may have survived */
	bool cut;				/* the footer lies on data */
	bool may_fall;				/* power may be cut within a plan */
	u64 states, points, sampled_points;
	const char *bad;			/* the first thing that went wrong */
	bool broken;				/* with the model, not the plan */

	cm_value scratch[CM_CELLS];		/* a crash */
	u32 scratch_eof;
	u64 torn[CM_TORN][CM_SECTOR_WORDS];
	/* For a bitmap, or what else is too large for the stack. */
	u8 room[CM_BITMAP_SECTS * VHD_SECTOR_SIZE];
};

/* crash_model.c: the life of an image */
void cm_run(struct cm *m, const struct cm_params *p);
u32 cm_random(struct cm *m, u32 below);
void cm_fail(struct cm *m, const char *text);
void cm_break(struct cm *m, const char *text);

/* crash_image.c: images to begin with */
void cm_make_image(struct cm *m);

/* crash_driver.c: what the driver does for the guest, and by itself */
void cm_attach(struct cm *m);
void cm_event(struct cm *m);
void cm_detach(struct cm *m);
u32 cm_used_end(const struct cm *m, const u32 *entries);

/* crash_plans.c: the plans, step by step */
bool cm_run_plan(struct cm *m, struct vhd_plan *plan);
void cm_commit_step(struct cm *m);
void cm_extend_step(struct cm *m);
void cm_begin_commit(struct cm *m);
bool cm_begin_extension(struct cm *m);
void cm_bitmap_sector(struct cm *m, const struct cm_block *b, u32 index, u8 *data);

/* crash_mutant.c: plans with bugs */
void cm_see_plan(struct cm_seen_roles *seen, const struct cm_run *run);
void cm_mutate(const struct cm_mutant *mutant, struct cm_run *run);
u32 cm_make_mutants(const struct cm_seen_roles *seen, struct cm_mutant *mutant);
const char *cm_equivalent(const struct cm_mutant *mutant);
void cm_describe(const struct cm_mutant *mutant, char *text, size_t size);
u32 cm_nr_equivalents(void);
u32 cm_kill(struct cm *m, const struct cm_params *p, u32 seeds);

/* crash_disk.c: the disk and its crashes */
u32 cm_cell(struct cm *m, u32 sect);
const u8 *cm_bytes(const struct cm *m, cm_value value);
u8 *cm_buffer(struct cm *m, cm_value *value);
void cm_put(struct cm *m, u32 sect, cm_value value);
void cm_put_bytes(struct cm *m, u32 sect, const void *data);
void cm_write(struct cm *m, enum cm_thread thread, u32 sect, cm_value value, bool done);
void cm_write_bytes(struct cm *m, enum cm_thread thread, u32 sect, const void *data);
void cm_truncate(struct cm *m, enum cm_thread thread, u32 sect);
void cm_crash(struct cm *m);
void cm_fall(struct cm *m);
void cm_barrier(struct cm *m, enum cm_thread thread);

/* crash_judge.c: what may be on the disk after a crash */
void cm_judge(struct cm *m, bool structural);
void cm_believe(struct cm *m);
u64 cm_sector(const struct cm *m, u32 vsect);

#endif /* _VHDBLK_CRASH_MODEL_H */
