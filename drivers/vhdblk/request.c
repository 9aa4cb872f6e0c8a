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
 *    which may block on the file but waits for nothing else. Who needs space or
 *    a block that somebody else is allocating leaves the thread and is queued
 *    again when it is there.
 *
 * A request goes on from part to part: cmd->sector and cmd->left say what is
 * still to do, and each completion moves them. The thread that works on a
 * command owns it; between submission and completion the I/O does.
 *
 * All contexts run with PF_MEMALLOC_NOIO, as memory reclaim may be waiting for
 * us, and with PF_LOCAL_THROTTLE, so that our own dirty pages do not throttle
 * whoever has to write them.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "request.h"
#include "zero.h"

static struct vhdblk_cmd *cmd_of(struct request *rq)
{
	return blk_mq_rq_to_pdu(rq);
}

static bool is_fua(const struct vhdblk_cmd *cmd)
{
	return blk_mq_rq_from_pdu((void *)cmd)->cmd_flags & REQ_FUA;
}

static void end_cmd(struct vhdblk_cmd *cmd, int err)
{
	if (err) {
		atomic64_inc(&cmd->q->errors);
		cmd->q->report(cmd->q, err);
	}
	cmd->status = err == -ENOSPC || err == -EDQUOT ? BLK_STS_NOSPC : errno_to_blk_status(err);
	blk_mq_complete_request(blk_mq_rq_from_pdu(cmd));
}

static void committed(struct vhd_waiter *w, int err)
{
	struct vhdblk_cmd *cmd = container_of(w, struct vhdblk_cmd, waiter);

	atomic64_inc(&cmd->q->flushes);
	end_cmd(cmd, err);
}

/**
 * vhdblk_cmd_finish() - all parts are done, or one has failed
 * @cmd: command
 * @err: 0 or a negative errno
 *
 * Context: any.
 */
void vhdblk_cmd_finish(struct vhdblk_cmd *cmd, int err)
{
	vhd_epoch_leave(&cmd->q->alloc.epoch, cmd->era);
	if (!err && cmd->commit) {
		cmd->waiter.wake = committed;
		vhd_commit_join(&cmd->q->commit, &cmd->waiter);
		return;
	}
	end_cmd(cmd, err);
}

static void drop_vecs(struct vhdblk_cmd *cmd)
{
	if (cmd->vecs && cmd->vecs != cmd->inline_vecs)
		mempool_free(cmd->vecs, &cmd->q->vecs);
	cmd->vecs = NULL;
}

/* Who waits for a worker must not keep what a worker may be waiting for. */
static void go_slow(struct vhdblk_cmd *cmd)
{
	drop_vecs(cmd);
	queue_work(cmd->q->slow, &cmd->work);
}

static void retry(struct vhd_waiter *w, int err)
{
	struct vhdblk_cmd *cmd = container_of(w, struct vhdblk_cmd, waiter);

	cmd->era = vhd_epoch_enter(&cmd->q->alloc.epoch);
	if (err)
		vhdblk_cmd_finish(cmd, err);
	else
		go_slow(cmd);
}

/**
 * vhdblk_cmd_allocator() - call the allocator, which may park the command
 * @cmd: command
 * @fn: vhd_alloc_block() or vhd_alloc_free_block()
 * @block: for it
 *
 * Outside of any era: what a parked command waits for may be the end of its own.
 *
 * Return: what @fn returns; after -EINPROGRESS the command is not the caller's.
 */
int vhdblk_cmd_allocator(struct vhdblk_cmd *cmd,
			 int (*fn)(struct vhd_alloc *a, u32 block, struct vhd_waiter *w),
			 u32 block)
{
	struct vhd_alloc *a = &cmd->q->alloc;
	int ret;

	cmd->waiter.wake = retry;
	vhd_epoch_leave(&a->epoch, cmd->era);
	ret = fn(a, block, &cmd->waiter);
	if (ret != -EINPROGRESS)
		cmd->era = vhd_epoch_enter(&a->epoch);
	return ret;
}

/**
 * vhdblk_cmd_wrote() - sectors of a block of the leaf now hold what they should
 * @cmd: command
 * @e: answer of vhd_map_write(), its reference is dropped
 * @sects: how many from its start
 *
 * Context: any.
 */
void vhdblk_cmd_wrote(struct vhdblk_cmd *cmd, struct vhd_place *e, u32 sects)
{
	if (!e->owners)
		return;
	if (sects) {
		vhd_owners_set(e->owners, e->first, sects);
		vhd_commit_dirty(&cmd->q->commit, e->owners);
	}
	vhd_owners_put(e->owners);
	e->owners = NULL;
}

static void part_done(struct vhd_io *io, long ret)
{
	struct vhdblk_cmd *cmd = container_of(io, struct vhdblk_cmd, io);
	u32 sects = ret > 0 ? ret >> VHD_SECTOR_SHIFT : 0;

	vhdblk_cmd_wrote(cmd, &cmd->place, sects);
	if (ret == -EAGAIN && (io->iocb.ki_flags & IOCB_NOWAIT)) {
		go_slow(cmd);
		return;
	}
	if (!sects) {
		/* No progress at all: the file has shrunk under us. */
		vhdblk_cmd_finish(cmd, ret < 0 ? ret : -EIO);
		return;
	}
	cmd->sector += sects;
	cmd->left -= sects;
	if (cmd->left)
		go_slow(cmd);
	else
		vhdblk_cmd_finish(cmd, 0);
}

/* A merged request has several tables of segments: copy them into one. */
static void gather(struct vhdblk_cmd *cmd, struct request *rq)
{
	struct req_iterator ri;
	struct bio_vec bv;
	unsigned int n = 0;

	if (cmd->vecs)
		return;
	cmd->vecs = cmd->inline_vecs;
	if (blk_rq_nr_phys_segments(rq) > VHDBLK_INLINE_SEGMENTS)
		cmd->vecs = mempool_alloc(&cmd->q->vecs, GFP_NOIO);
	rq_for_each_bvec(bv, rq, ri)
		cmd->vecs[n++] = bv;
	cmd->nr_vecs = n;
}

static unsigned int count_vecs(struct request *rq)
{
	struct req_iterator ri;
	struct bio_vec bv;
	unsigned int n = 0;

	rq_for_each_bvec(bv, rq, ri)
		n++;
	return n;
}

/* The memory of the next @sects sectors of the request. */
static void part_iter(struct vhdblk_cmd *cmd, u32 sects, struct iov_iter *iter)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	unsigned int dir = rq_data_dir(rq) == WRITE ? ITER_SOURCE : ITER_DEST;
	u32 done = blk_rq_sectors(rq) - cmd->left;

	if (rq->bio == rq->biotail && !cmd->vecs) {
		iov_iter_bvec(iter, dir, vhd_bio_first_vec(rq->bio), count_vecs(rq),
			      blk_rq_bytes(rq));
		iter->iov_offset = vhd_bio_first_offset(rq->bio);
	} else {
		gather(cmd, rq);
		iov_iter_bvec(iter, dir, cmd->vecs, cmd->nr_vecs, blk_rq_bytes(rq));
	}
	iov_iter_advance(iter, (size_t)done << VHD_SECTOR_SHIFT);
	iov_iter_truncate(iter, (size_t)sects << VHD_SECTOR_SHIFT);
}

/*
 * No metadata to write. Not through the page cache: O_DSYNC there would swallow
 * the error of somebody else's lost page, which the commit must see.
 */
static bool durable_alone(struct vhdblk_cmd *cmd)
{
	return cmd->place.committed && vhd_chain_leaf(cmd->q->chain)->f.direct;
}

/* The command belongs to the completion from here on. */
static void submit_part(struct vhdblk_cmd *cmd, unsigned int flags)
{
	struct vhd_layer *l = vhd_chain_layer(cmd->q->chain, cmd->place.layer);
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct iov_iter iter;

	if (is_fua(cmd)) {
		if (durable_alone(cmd))
			flags |= VHD_IO_DSYNC;
		else
			cmd->commit = true;
	}
	cmd->io.write = rq_data_dir(rq) == WRITE;
	cmd->io.done = part_done;
	cmd->io.iocb.ki_ioprio = req_get_ioprio(rq);
	part_iter(cmd, cmd->place.sects, &iter);
	vhd_io_submit(&l->f, &cmd->io, &iter, cmd->place.sect << VHD_SECTOR_SHIFT, flags);
}

static void zero_part(struct vhdblk_cmd *cmd, u32 sects)
{
	struct iov_iter iter;

	part_iter(cmd, sects, &iter);
	iov_iter_zero((size_t)sects << VHD_SECTOR_SHIFT, &iter);
	cmd->sector += sects;
	cmd->left -= sects;
}

static enum vhd_lookup look_up(struct vhdblk_cmd *cmd)
{
	if (req_op(blk_mq_rq_from_pdu(cmd)) == REQ_OP_WRITE)
		return vhd_map_write(&cmd->q->map, cmd->sector, cmd->left, &cmd->place);
	return vhd_map_read(&cmd->q->map, cmd->sector, cmd->left, &cmd->place);
}

/* One place, no metadata to change, and a file that understands NOWAIT. */
static bool try_fast(struct vhdblk_cmd *cmd)
{
	struct vhd_place *e = &cmd->place;

	if (look_up(cmd) != VHD_LOOKUP_OK)
		return false;
	if (e->layer && e->sects == cmd->left && !e->owners &&
	    (!is_fua(cmd) || durable_alone(cmd)) &&
	    vhd_chain_layer(cmd->q->chain, e->layer)->f.nowait) {
		submit_part(cmd, VHD_IO_NOWAIT);
		return true;
	}
	vhdblk_cmd_wrote(cmd, e, 0);
	return false;
}

/**
 * vhdblk_cmd_prepare() - do what the map says must be done first
 * @cmd: command; @cmd->place is the map's answer
 * @what: not VHD_LOOKUP_OK
 *
 * Context: slow work.
 * Return: 0: ask the map again. -EINPROGRESS: the command will be woken and no
 * longer belongs to the caller. Else an errno.
 */
int vhdblk_cmd_prepare(struct vhdblk_cmd *cmd, enum vhd_lookup what)
{
	u32 block = cmd->place.block;
	int ret = -EIO;

	if (what == VHD_LOOKUP_RESOLVE) {
		ret = vhd_map_resolve(&cmd->q->map, block);
		vhd_alloc_evict(&cmd->q->alloc);
	}
	if (what == VHD_LOOKUP_ALLOC)
		ret = vhdblk_cmd_allocator(cmd, vhd_alloc_block, block);
	if (ret != -ENOMEM)
		return ret;
	/* Memory comes back, for instance from what we are asked to write. */
	msleep(20);
	return 0;
}

static void slow_rw(struct vhdblk_cmd *cmd)
{
	enum vhd_lookup what;
	int ret = 0;

	while (cmd->left && !ret) {
		what = look_up(cmd);
		if (what == VHD_LOOKUP_OK && cmd->place.layer) {
			submit_part(cmd, 0);
			return;
		}
		if (what == VHD_LOOKUP_OK)
			zero_part(cmd, cmd->place.sects);
		else
			ret = vhdblk_cmd_prepare(cmd, what);
	}
	if (ret != -EINPROGRESS)
		vhdblk_cmd_finish(cmd, ret);
}

static void slow_work(struct work_struct *work)
{
	struct vhdblk_cmd *cmd = container_of(work, struct vhdblk_cmd, work);
	unsigned int noio = memalloc_noio_save();
	unsigned int throttle = current->flags & PF_LOCAL_THROTTLE;

	current->flags |= PF_LOCAL_THROTTLE;
	switch (req_op(blk_mq_rq_from_pdu(cmd))) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		slow_rw(cmd);
		break;
	default:
		vhdblk_zero(cmd);
		break;
	}
	current->flags = (current->flags & ~PF_LOCAL_THROTTLE) | throttle;
	memalloc_noio_restore(noio);
}

static void drain(struct vhdblk_hctx *h, struct llist_node *list)
{
	struct vhdblk_cmd *cmd, *n;
	struct blk_plug plug;

	blk_start_plug(&plug);
	llist_for_each_entry_safe(cmd, n, llist_reverse_order(list), node) {
		if (try_fast(cmd)) {
			h->served++;
			continue;
		}
		atomic64_inc(&cmd->q->slow_served);
		go_slow(cmd);
	}
	blk_finish_plug(&plug);
}

static int hctx_thread(void *arg)
{
	struct vhdblk_hctx *h = arg;
	struct llist_node *list;

	memalloc_noio_save();
	current->flags |= PF_LOCAL_THROTTLE;
	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		list = llist_del_all(&h->fast);
		if (!list) {
			if (!kthread_should_stop())
				schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		drain(h, list);
		cond_resched();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* A read that nobody owns any sector of needs no file. */
static bool answer_hole(struct vhdblk_cmd *cmd, struct request *rq)
{
	struct req_iterator ri;
	struct bio_vec bv;

	if (look_up(cmd) != VHD_LOOKUP_OK || cmd->place.layer || cmd->place.sects != cmd->left)
		return false;
	rq_for_each_segment(bv, rq, ri)
		memzero_bvec(&bv);
	atomic64_inc(&cmd->q->holes);
	vhdblk_cmd_finish(cmd, 0);
	return true;
}

static void start_cmd(struct vhdblk_cmd *cmd, struct vhdblk_queue *q, struct request *rq)
{
	cmd->q = q;
	cmd->sector = blk_rq_pos(rq);
	cmd->left = blk_rq_sectors(rq);
	cmd->vecs = NULL;
	cmd->commit = false;
	cmd->status = BLK_STS_OK;
	cmd->place.owners = NULL;
	INIT_WORK(&cmd->work, slow_work);
}

static void queue_flush(struct vhdblk_cmd *cmd)
{
	if (!cmd->q->writable) {
		end_cmd(cmd, 0);
		return;
	}
	cmd->waiter.wake = committed;
	vhd_commit_join(&cmd->q->commit, &cmd->waiter);
}

static blk_status_t vhdblk_queue_rq(struct blk_mq_hw_ctx *hctx,
				    const struct blk_mq_queue_data *bd)
{
	struct vhdblk_queue *q = hctx->queue->queuedata;
	struct vhdblk_hctx *h = hctx->driver_data;
	struct request *rq = bd->rq;
	struct vhdblk_cmd *cmd = cmd_of(rq);

	if (READ_ONCE(q->dead) || (op_is_write(req_op(rq)) && !q->writable))
		return BLK_STS_IOERR;
	blk_mq_start_request(rq);
	start_cmd(cmd, q, rq);
	if (req_op(rq) == REQ_OP_FLUSH) {
		queue_flush(cmd);
		return BLK_STS_OK;
	}
	cmd->era = vhd_epoch_enter(&q->alloc.epoch);
	switch (req_op(rq)) {
	case REQ_OP_READ:
		if (answer_hole(cmd, rq))
			break;
		fallthrough;
	case REQ_OP_WRITE:
		if (llist_add(&cmd->node, &h->fast))
			wake_up_process(h->task);
		break;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		atomic64_inc(&q->slow_served);
		go_slow(cmd);
		break;
	default:
		vhd_epoch_leave(&q->alloc.epoch, cmd->era);
		return BLK_STS_NOTSUPP;
	}
	return BLK_STS_OK;
}

static void vhdblk_complete_rq(struct request *rq)
{
	struct vhdblk_cmd *cmd = cmd_of(rq);

	drop_vecs(cmd);
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

	q->slow = alloc_workqueue("%s-slow", WQ_UNBOUND | WQ_FREEZABLE, 0, name);
	q->hctx = kcalloc(nr_hctx, sizeof(*q->hctx), GFP_KERNEL);
	if (!q->slow || !q->hctx)
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
	if (q->slow)
		destroy_workqueue(q->slow);
	q->slow = NULL;
	mempool_exit(&q->vecs);
	kfree(q->hctx);
	q->hctx = NULL;
}
