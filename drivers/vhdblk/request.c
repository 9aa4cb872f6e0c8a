// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: One request, from top to bottom
 *
 * vhdblk_queue_rq() runs in whatever context the block layer chose, perhaps in
 * the middle of another file system's transaction: it never blocks and never
 * calls a file system. Reads of holes end there. Everything else goes to a
 * context of our own:
 *
 *  - to the thread of the hardware queue, if it is a read or a write. What the
 *    map answers with one place and no metadata to change is submitted there,
 *    with IOCB_NOWAIT, many requests under one plug;
 *  - from there, or at once, to the slow workqueue: a work item per request,
 *    which may block on the file, or on a lookup of its block that another
 *    thread has begun, but waits for nothing else. Who needs space or
 *    a block that somebody else is allocating leaves the thread and is queued
 *    again when it is there.
 *
 * A device that was attached for inline submission serves what it can in
 * vhdblk_queue_rq(), see inline.c; nothing else here may block there.
 *
 * REQ_NOWAIT asks not to be blocked in the submission, and nothing here blocks
 * there; what our own threads find out about blocking is no answer to it.
 */
#include <linux/blkdev.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "inline.h"
#include "scope.h"
#include "slow.h"
#include "trace.h"

static struct vhdblk_cmd *cmd_of(struct request *rq)
{
	return blk_mq_rq_to_pdu(rq);
}

static void drain(struct vhdblk_hctx *h, struct llist_node *list, struct vhdblk_scope *scope)
{
	struct vhdblk_cmd *cmd, *n;
	struct blk_plug plug;

	blk_start_plug(&plug);
	llist_for_each_entry_safe(cmd, n, llist_reverse_order(list), node) {
		vhdblk_scope_follow(scope, cmd);
		if (vhdblk_cmd_fast(cmd)) {
			h->served++;
			continue;
		}
		atomic64_inc(&h->q->slow_served);
		trace_vhdblk_class(cmd, VHDBLK_CLASS_SLOW);
		vhdblk_cmd_slow(cmd);
	}
	blk_finish_plug(&plug);
	vhdblk_scope_follow(scope, NULL);
}

static int hctx_thread(void *arg)
{
	struct vhdblk_hctx *h = arg;
	struct vhdblk_scope scope;
	struct llist_node *list;

	vhdblk_scope_enter(&scope);
	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		list = llist_del_all(&h->fast);
		if (!list) {
			if (!kthread_should_stop())
				schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		drain(h, list, &scope);
		cond_resched();
	}
	__set_current_state(TASK_RUNNING);
	vhdblk_scope_leave(&scope);
	return 0;
}

/*
 * Adding to the list and looking at the state of the thread are ordered by
 * llist_add(); the thread sets its state and then looks at the list.
 */
static void wake_hctx(struct vhdblk_hctx *h)
{
	if (!llist_empty(&h->fast) && !task_is_running(h->task))
		wake_up_process(h->task);
}

/* The whole of a batch, so that the thread has it under one plug. */
static void vhdblk_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	wake_hctx(hctx->driver_data);
}

static void dispatch_rw(struct vhdblk_cmd *cmd, struct vhdblk_hctx *h)
{
	struct vhdblk_queue *q = cmd->q;

	if (req_op(vhdblk_cmd_rq(cmd)) == REQ_OP_READ && vhdblk_cmd_hole(cmd))
		return;
	if (q->submit_inline && vhdblk_inline(cmd)) {
		atomic64_inc(&q->inlined);
		return;
	}
	llist_add(&cmd->node, &h->fast);
}

static blk_status_t dispatch(struct vhdblk_cmd *cmd, struct vhdblk_hctx *h)
{
	struct request *rq = vhdblk_cmd_rq(cmd);

	if (req_op(rq) == REQ_OP_FLUSH) {
		vhdblk_cmd_flush(cmd);
		return BLK_STS_OK;
	}
	cmd->era = vhd_epoch_enter(&h->q->alloc.epoch);
	switch (req_op(rq)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		dispatch_rw(cmd, h);
		break;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		atomic64_inc(&h->q->slow_served);
		trace_vhdblk_class(cmd, VHDBLK_CLASS_SLOW);
		vhdblk_cmd_slow(cmd);
		break;
	default:
		vhd_epoch_leave(&h->q->alloc.epoch, cmd->era);
		return BLK_STS_NOTSUPP;
	}
	return BLK_STS_OK;
}

static blk_status_t vhdblk_queue_rq(struct blk_mq_hw_ctx *hctx,
				    const struct blk_mq_queue_data *bd)
{
	struct vhdblk_queue *q = hctx->queue->queuedata;
	struct request *rq = bd->rq;
	blk_status_t status;

	if (READ_ONCE(q->dead) || (op_is_write(req_op(rq)) && !q->writable))
		return BLK_STS_IOERR;
	blk_mq_start_request(rq);
	vhdblk_cmd_start(cmd_of(rq), q, rq);
	status = dispatch(cmd_of(rq), hctx->driver_data);
	/* Whatever this one was: those before it may be waiting for the last. */
	if (bd->last)
		vhdblk_commit_rqs(hctx);
	return status;
}

static void vhdblk_complete_rq(struct request *rq)
{
	struct vhdblk_cmd *cmd = cmd_of(rq);

	vhdblk_cmd_drop(cmd);
	blk_mq_end_request(rq, cmd->status);
}

/* The file system below may take its time: a stopped NFS server, for instance. */
static enum blk_eh_timer_return vhdblk_timeout(struct request *rq)
{
	return BLK_EH_RESET_TIMER;
}

static int vhdblk_init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int index)
{
	struct vhdblk_queue *q = data;

	hctx->driver_data = &q->hctx[index];
	return 0;
}

const struct blk_mq_ops vhdblk_mq_ops = {
	.queue_rq	= vhdblk_queue_rq,
	.commit_rqs	= vhdblk_commit_rqs,
	.complete	= vhdblk_complete_rq,
	.timeout	= vhdblk_timeout,
	.init_hctx	= vhdblk_init_hctx,
};

/**
 * vhdblk_cmd_size() - size of the driver's part of a request
 */
unsigned int vhdblk_cmd_size(void)
{
	return sizeof(struct vhdblk_cmd);
}

static int start_hctx(struct vhdblk_queue *q, const char *name, unsigned int i)
{
	struct vhdblk_hctx *h = &q->hctx[i];
	struct task_struct *task;

	h->q = q;
	init_llist_head(&h->fast);
	task = kthread_run(hctx_thread, h, "%s-q%u", name, i);
	if (IS_ERR(task))
		return PTR_ERR(task);
	h->task = task;
	return 0;
}

/**
 * vhdblk_queue_start() - start the contexts that serve requests
 * @q: chain, map, allocator and commit are there
 * @name: of the disk
 * @nr_hctx: number of hardware queues
 *
 * Return: 0 or an errno; vhdblk_queue_stop() is due in both cases.
 */
int vhdblk_queue_start(struct vhdblk_queue *q, const char *name, unsigned int nr_hctx)
{
	unsigned int i;
	int ret;

	ret = vhdblk_slow_start(&q->slow, name);
	if (ret)
		return ret;
	q->hctx = kcalloc(nr_hctx, sizeof(*q->hctx), GFP_KERNEL);
	if (!q->hctx)
		return -ENOMEM;
	ret = mempool_init_kmalloc_pool(&q->vecs, 2 * nr_hctx,
					VHDBLK_MAX_SEGMENTS * sizeof(struct bio_vec));
	for (i = 0; i < nr_hctx && !ret; i++) {
		ret = start_hctx(q, name, i);
		q->nr_hctx = i + !ret;
	}
	return ret;
}

/**
 * vhdblk_queue_stop() - stop them
 * @q: started, perhaps in part, or zeroed; no request is under way
 */
void vhdblk_queue_stop(struct vhdblk_queue *q)
{
	unsigned int i;

	for (i = 0; i < q->nr_hctx; i++)
		kthread_stop(q->hctx[i].task);
	q->nr_hctx = 0;
	vhdblk_slow_stop(&q->slow);
	mempool_exit(&q->vecs);
	kfree(q->hctx);
	q->hctx = NULL;
}
