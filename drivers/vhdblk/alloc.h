/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_ALLOC_H
#define _VHD_ALLOC_H

#include <linux/mutex.h>

#include "epoch.h"
#include "exec.h"
#include "map.h"

/**
 * struct vhd_waiter - something that goes on when something else has happened
 * @list:	link
 * @block:	for which block
 * @wake:	called once, in process context; @err is 0 or a negative errno
 */
struct vhd_waiter {
	struct list_head list;
	u32 block;
	void (*wake)(struct vhd_waiter *w, int err);
};

/* A place for a block: where its bitmap goes. */
struct vhd_slot {
	struct list_head list;
	u32 entry;
};

/**
 * struct vhd_alloc - where new blocks of the leaf go
 * @map:	whose words point at them
 * @leaf:	whose file they are in
 * @epoch:	of the requests that use the map
 * @lock:	see below
 * @next:	first sector behind everything that is in use
 * @end:	end of the file in sectors; the footer is the last
 * @stale_end:	below this the file may hold anything; above, zeros
 * @step:	sectors of the next extension; doubles while writes wait for one
 * @unused:	blocks of the disk that the leaf neither holds nor is getting
 * @waiting:	writes that want a slot and wait for the file to grow
 * @parked:	writes that want a block which another one is allocating
 * @freed:	slots that left the map since the last commit began
 * @clearing:	slots whose BAT entries the running commit clears
 * @cleared:	slots that no entry on disk names any more
 * @draining:	slots that requests of the last era may still use
 * @free:	slots to use again; they hold anything
 * @bat_dirty:	blocks whose BAT entry the next commit writes
 * @dirty_blocks: how many bits are set in it
 * @failed:	errno of the failure after which no metadata are written
 * @no_space:	the last attempt to get space found none
 * @slot_full:	that was an attempt to fill the hole at a slot's place
 * @grown:	this attach has extended the file
 * @exec:	of the thread that extends the file
 * @task, @wait, @kicked: that thread
 * @hurry:	asks for a commit, from any context
 * @notify:	tells of space that ran out (-ENOSPC) and came back (0)
 * @broken:	tells, once, of the failure that is in @failed from now on
 * @shrinker:	drops clean descriptors; takes @lock only if it is free
 *
 * @lock protects everything from @next to @dirty_blocks and every change of the
 * map's words except their resolution. It is held for short, never over I/O.
 *
 * Lock order: vhd_commit.lock and waitqueue locks are inside @lock.
 */
struct vhd_alloc {
	struct vhd_map *map;
	struct vhd_layer *leaf;
	struct vhd_epoch epoch;
	struct mutex lock;	/* see above */
	u64 next;
	u64 end;
	u64 stale_end;
	u32 step;
	u32 unused;
	struct list_head waiting;
	struct list_head parked;
	struct list_head freed;
	struct list_head clearing;
	struct list_head cleared;
	struct list_head draining;
	struct list_head free;
	unsigned long *bat_dirty;
	u32 dirty_blocks;
	int failed;
	bool no_space;
	bool slot_full;
	bool grown;
	struct vhd_exec exec;
	struct task_struct *task;
	wait_queue_head_t wait;
	bool kicked;
	void (*hurry)(struct vhd_alloc *a);
	void (*notify)(struct vhd_alloc *a, int err);
	void (*broken)(struct vhd_alloc *a, int err);
	struct shrinker *shrinker;
	atomic64_t allocations;
	atomic64_t frees;
	atomic64_t extensions;
};

int vhd_alloc_init(struct vhd_alloc *a, struct vhd_map *m,
		   void (*drained)(struct vhd_epoch *e));
int vhd_alloc_start(struct vhd_alloc *a, const char *name);
void vhd_alloc_stop(struct vhd_alloc *a);
void vhd_alloc_exit(struct vhd_alloc *a);

int vhd_alloc_block(struct vhd_alloc *a, u32 block, struct vhd_waiter *w);
int vhd_alloc_free_block(struct vhd_alloc *a, u32 block, struct vhd_waiter *w);
int vhd_alloc_trim(struct vhd_alloc *a);
void vhd_alloc_fail(struct vhd_alloc *a, int err);
void vhd_alloc_report(struct vhd_alloc *a, int err);
bool vhd_alloc_awaits_slots(struct vhd_alloc *a);
bool vhd_alloc_is_low(const struct vhd_alloc *a);

/* Space may come back: nothing is lost and everything can be tried again. */
static inline bool vhd_is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
}

int vhd_evict_init(struct vhd_alloc *a);
void vhd_evict_exit(struct vhd_alloc *a);
void vhd_alloc_evict(struct vhd_alloc *a, bool hurry);

/* For the commit; all but the last two under @lock. */
u32 vhd_alloc_entry(struct vhd_alloc *a, u32 block, struct vhd_owners **owners);
u32 vhd_alloc_take_dirty(struct vhd_alloc *a, u32 *next, struct vhd_change *change, u32 room);
void vhd_alloc_make_dirty(struct vhd_alloc *a, u32 block);
void vhd_alloc_committed(struct vhd_alloc *a, u32 block);
void vhd_alloc_commit_begin(struct vhd_alloc *a);
void vhd_alloc_commit_end(struct vhd_alloc *a, int err, struct list_head *woken);
void vhd_alloc_reclaim(struct vhd_alloc *a);

#endif /* _VHD_ALLOC_H */
