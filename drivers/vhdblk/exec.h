/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_EXEC_H
#define _VHD_EXEC_H

#include <linux/atomic.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "layer.h"

#define VHD_EXEC_SLOTS	16

struct vhd_exec;

/**
 * struct vhd_exec_slot - one write
 * @len:	bytes
 * @busy:	under way; its page is in use
 * @retry:	being submitted, and -ENOMEM is not the end of it
 * @no_memory:	it was
 */
struct vhd_exec_slot {
	struct vhd_io io;
	struct vhd_exec *exec;
	struct bio_vec bv;
	u32 len;
	bool busy;
	bool retry;
	bool no_memory;
};

/**
 * struct vhd_exec - carries out plans of format/plan.c on the leaf
 * @leaf:	whose file
 * @fill:	writes what a BITMAP or BAT step carries into a page; @offset
 *		counts sectors from the start of the step
 * @slot:	VHD_EXEC_SLOTS writes under way, each with a page of its own: memory is there
 *		before it is needed
 * @wait:	for a slot to come free
 * @error:	first error since the last barrier
 * @wrote:	kind of the last write that was begun
 * @failed:	the step at which the last plan stopped: a BARRIER only if fsync
 *		itself failed
 * @latch:	not 0 once nothing may be written any more
 * @fsyncs:	how often fsync was called
 *
 * Used by one thread.
 */
struct vhd_exec {
	struct vhd_layer *leaf;
	void (*fill)(struct vhd_exec *x, const struct vhd_step *step, u32 offset,
		     u32 sects, void *page);
	struct vhd_exec_slot *slot;
	wait_queue_head_t wait;
	int error;
	enum vhd_step_kind wrote;
	enum vhd_step_kind failed;
	const int *latch;
	atomic64_t fsyncs;
};

int vhd_exec_init(struct vhd_exec *x, struct vhd_layer *leaf, const int *latch);
void vhd_exec_exit(struct vhd_exec *x);
int vhd_exec_plan(struct vhd_exec *x, struct vhd_plan *plan);

#endif /* _VHD_EXEC_H */
