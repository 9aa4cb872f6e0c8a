/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_COMMIT_H
#define _VHD_COMMIT_H

#include <linux/llist.h>

#include "alloc.h"

/* Blocks that one plan covers; a commit of more is several plans in a row. */
#define VHD_COMMIT_BATCH	1024

struct vhd_commit_item {
	struct vhd_change change;
	struct vhd_owners *owners;	/* referenced, or NULL */
};

/**
 * struct vhd_commit - when metadata become durable
 * @alloc:	whose blocks
 * @lock:	protects @waiters; taken from completions, so irq-safe
 * @waiters:	who wants everything up to now to be durable
 * @dirty:	descriptors with new bits, from any context
 * @todo:	of these, what the running sweep has not come to yet
 * @next_block:	the same for blocks whose BAT entry changed
 * @item:	what the running plan is about, with the descriptors
 * @change:	the same, as the planner wants it, index by index
 * @nr:		length of both
 * @exec:	of the committing thread
 * @task, @wait: that thread
 * @reclaim:	look for slots that can be used again, and commit what is dirty
 * @was_full:	the last commit found no space
 * @commits:	how many wrote something
 * @number:	of the running commit, or of the last one
 * @entries, @bitmaps: what it has taken of either so far, for tracepoints
 * @fsyncs:	of @exec when it began
 *
 * Lock order: alloc->lock, then @lock.
 */
struct vhd_commit {
	struct vhd_alloc *alloc;
	spinlock_t lock;	/* see above */
	struct list_head waiters;
	struct llist_head dirty;
	struct llist_node *todo;
	struct vhd_commit_item *item;
	struct vhd_change *change;
	u32 nr;
	u32 next_block;
	struct vhd_exec exec;
	struct task_struct *task;
	wait_queue_head_t wait;
	bool reclaim;
	bool was_full;
	atomic64_t commits;
	u64 number;
	u64 fsyncs;
	u32 entries;
	u32 bitmaps;
};

int vhd_commit_init(struct vhd_commit *c, struct vhd_alloc *a, const char *name);
void vhd_commit_exit(struct vhd_commit *c);
int vhd_commit_stop(struct vhd_commit *c);
void vhd_commit_dirty(struct vhd_commit *c, struct vhd_owners *o);
void vhd_commit_join(struct vhd_commit *c, struct vhd_waiter *w);
void vhd_commit_reclaim(struct vhd_commit *c);

#endif /* _VHD_COMMIT_H */
