/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_REQUEST_H
#define _VHDBLK_REQUEST_H

#include <linux/blk-mq.h>
#include <linux/mempool.h>
#include <linux/timer.h>

#include "commit.h"

/* Segments of a request; also the length of the arrays in the mempool. */
#define VHDBLK_MAX_SEGMENTS	128
#define VHDBLK_INLINE_SEGMENTS	8

struct vhdblk_queue;

/**
 * struct vhdblk_hctx - one hardware queue and its thread
 * @fast:	requests for the thread
 * @task:	drains @fast under a plug of its own
 * @served:	requests that it completed by itself; its own
 */
struct vhdblk_hctx {
	struct llist_head fast;
	struct vhdblk_queue *q;
	struct task_struct *task;
	u64 served;
} ____cacheline_aligned_in_smp;

/**
 * struct vhdblk_slow - where requests go that may block
 * @wq:		a work item for each
 * @rescuer:	serves what no worker has begun for a while
 * @lock:	protects @waiting; taken from completions, so irq-safe; the
 *		workqueue's locks are inside
 * @waiting:	commands that no worker has begun
 * @timer:	runs while there are any
 * @late:	tells @rescuer to look
 * @rescued:	how many it served
 */
struct vhdblk_slow {
	struct workqueue_struct *wq;
	struct task_struct *rescuer;
	spinlock_t lock;	/* see above */
	struct list_head waiting;
	struct timer_list timer;
	bool late;
	atomic64_t rescued;
};

/**
 * struct vhdblk_queue - what serving a request takes
 * @chain, @map, @alloc, @commit: the layers below, from the bottom up
 * @slow:	for requests that may block
 * @vecs:	segment arrays of merged requests
 * @hctx:	@nr_hctx of them
 * @writable:	writes are allowed
 * @submit_inline: requests may be served by whoever submits them
 * @dead:	forced detach: fail everything
 * @report:	tells of a request that failed
 */
struct vhdblk_queue {
	struct vhd_chain *chain;
	struct vhd_map map;
	struct vhd_alloc alloc;
	struct vhd_commit commit;
	struct vhdblk_slow slow;
	mempool_t vecs;
	struct vhdblk_hctx *hctx;
	unsigned int nr_hctx;
	bool writable;
	bool submit_inline;
	bool dead;
	void (*report)(struct vhdblk_queue *q, int err);
	atomic64_t slow_served;
	atomic64_t inlined;
	atomic64_t bounced;
	atomic64_t holes;
	atomic64_t flushes;
	atomic64_t errors;
};

extern const struct blk_mq_ops vhdblk_mq_ops;

unsigned int vhdblk_cmd_size(void);
int vhdblk_queue_start(struct vhdblk_queue *q, const char *name, unsigned int nr_hctx);
void vhdblk_queue_stop(struct vhdblk_queue *q);

#endif /* _VHDBLK_REQUEST_H */
