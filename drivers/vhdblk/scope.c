// SPDX-License-Identifier: GPL-2.0
/*
 * In whose name, and with which rights to memory, a thread of ours does I/O.
 *
 * Memory reclaim may be waiting for a request, so whoever serves it must not
 * wait for the I/O of others when it wants memory (NOIO), must not be throttled
 * for dirty pages that it is to clean (LOCAL_THROTTLE), and may use the reserves
 * if there is swap on the disk.
 */
#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>

#include "scope.h"

/**
 * vhdblk_scope_enter() - begin to serve requests
 * @s: filled
 *
 * Context: a kernel thread.
 */
void vhdblk_scope_enter(struct vhdblk_scope *s)
{
	s->noio = memalloc_noio_save();
	s->throttle = current->flags & PF_LOCAL_THROTTLE;
	current->flags |= PF_LOCAL_THROTTLE;
	s->swap = false;
	s->css = NULL;
}

static void follow_swap(struct vhdblk_scope *s, const struct vhd_file *f)
{
	bool swap = f && vhd_swap_on(f);

	if (swap == s->swap)
		return;
	if (swap)
		s->noreclaim = vhd_swap_begin(f);
	else
		vhd_swap_end(s->noreclaim);
	s->swap = swap;
}

/* Most requests come from one cgroup: change only what changes. */
static void follow_cgroup(struct vhdblk_scope *s, struct bio *bio)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(bio);

	if (css == blkcg_root_css)
		css = NULL;
	if (css == s->css)
		return;
	kthread_associate_blkcg(css);
	s->css = css;
}

/**
 * vhdblk_scope_follow() - the next request, or none for now
 * @s: entered
 * @cmd: its command, or NULL
 *
 * The thread holds the cgroup of the last one until the next call.
 */
void vhdblk_scope_follow(struct vhdblk_scope *s, const struct vhdblk_cmd *cmd)
{
	follow_swap(s, cmd ? &vhd_chain_leaf(cmd->q->chain)->f : NULL);
	follow_cgroup(s, cmd ? vhdblk_cmd_rq(cmd)->bio : NULL);
}

/**
 * vhdblk_scope_leave() - no more requests
 * @s: entered
 */
void vhdblk_scope_leave(struct vhdblk_scope *s)
{
	vhdblk_scope_follow(s, NULL);
	current->flags = (current->flags & ~PF_LOCAL_THROTTLE) | s->throttle;
	memalloc_noio_restore(s->noio);
}
