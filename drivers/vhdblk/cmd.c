// SPDX-License-Identifier: GPL-2.0
/*
 * A request on its way through the map, part by part: cmd->sector and cmd->left
 * say what is still to do, and each completion moves them. The thread that works
 * on a command owns it; between submission and completion the I/O does.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/mm.h>

#include "cmd.h"
#include "trace.h"

static bool is_fua(const struct vhdblk_cmd *cmd)
{
	return vhdblk_cmd_rq(cmd)->cmd_flags & REQ_FUA;
}

/**
 * vhdblk_cmd_end() - complete the request
 * @cmd: command, of no era
 * @err: 0 or a negative errno
 *
 * Context: any.
 */
void vhdblk_cmd_end(struct vhdblk_cmd *cmd, int err)
{
	if (err) {
		atomic64_inc(&cmd->q->errors);
		cmd->q->report(cmd->q, err);
	}
	trace_vhdblk_complete(cmd, err);
	cmd->status = err == -ENOSPC || err == -EDQUOT ? BLK_STS_NOSPC : errno_to_blk_status(err);
	blk_mq_complete_request(vhdblk_cmd_rq(cmd));
}

static void committed(struct vhd_waiter *w, int err)
{
	struct vhdblk_cmd *cmd = container_of(w, struct vhdblk_cmd, waiter);

	atomic64_inc(&cmd->q->flushes);
	/* "Not supported" would be taken for "nothing to flush", so for success. */
	vhdblk_cmd_end(cmd, err == -EOPNOTSUPP ? -EIO : err);
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
	vhdblk_cmd_end(cmd, err);
}

/**
 * vhdblk_cmd_drop() - give back the table of segments
 * @cmd: command
 *
 * Context: any.
 */
void vhdblk_cmd_drop(struct vhdblk_cmd *cmd)
{
	if (cmd->vecs && cmd->vecs != cmd->inline_vecs)
		mempool_free(cmd->vecs, &cmd->q->vecs);
	cmd->vecs = NULL;
}

static void retry(struct vhd_waiter *w, int err)
{
	struct vhdblk_cmd *cmd = container_of(w, struct vhdblk_cmd, waiter);

	cmd->era = vhd_epoch_enter(&cmd->q->alloc.epoch);
	if (err)
		vhdblk_cmd_finish(cmd, err);
	else
		vhdblk_cmd_slow(cmd);
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

/* ext4 says -EOPNOTSUPP when a page in the cache is in the way of direct I/O. */
static bool would_block(struct vhd_io *io, long ret)
{
	return (io->iocb.ki_flags & IOCB_NOWAIT) && (ret == -EAGAIN || ret == -EOPNOTSUPP);
}

/* A request that was begun in another class is counted once, in the last. */
static void count_slow(struct vhdblk_cmd *cmd)
{
	if (!(cmd->io.iocb.ki_flags & IOCB_NOWAIT))
		return;
	atomic64_inc(&cmd->q->slow_served);
	if (cmd->here)
		atomic64_dec(&cmd->q->inlined);
	else
		atomic64_inc(&cmd->q->bounced);
}

static void part_done(struct vhd_io *io, long ret)
{
	struct vhdblk_cmd *cmd = container_of(io, struct vhdblk_cmd, io);
	u32 sects = ret > 0 ? ret >> VHD_SECTOR_SHIFT : 0;

	vhdblk_cmd_wrote(cmd, &cmd->place, sects);
	cmd->no_memory = ret == -ENOMEM;
	if (cmd->no_memory || would_block(io, ret)) {
		count_slow(cmd);
		trace_vhdblk_class(cmd, VHDBLK_CLASS_SLOW);
		vhdblk_cmd_slow(cmd);
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
		vhdblk_cmd_slow(cmd);
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
	struct request *rq = vhdblk_cmd_rq(cmd);
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
 * the error of somebody else's lost page, which the commit must see. Not after a
 * failure: whoever orders writes by FUA must hear of what a flush would tell.
 */
static bool durable_alone(struct vhdblk_cmd *cmd)
{
	return cmd->place.committed && vhd_chain_leaf(cmd->q->chain)->f.direct &&
	       !READ_ONCE(cmd->q->alloc.failed);
}

/* The command belongs to the completion from here on. */
static void submit_part(struct vhdblk_cmd *cmd, unsigned int flags)
{
	struct vhd_layer *l = vhd_chain_layer(cmd->q->chain, cmd->place.layer);
	struct request *rq = vhdblk_cmd_rq(cmd);
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
	cmd->io.origin = rq->bio;
	part_iter(cmd, cmd->place.sects, &iter);
	trace_vhdblk_submit(cmd, flags);
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
	if (req_op(vhdblk_cmd_rq(cmd)) == REQ_OP_WRITE)
		return vhd_map_write(&cmd->q->map, cmd->sector, cmd->left, &cmd->place);
	return vhd_map_read(&cmd->q->map, cmd->sector, cmd->left, &cmd->place);
}

/**
 * vhdblk_cmd_fast() - submit what is one place and needs no metadata
 * @cmd: command, a read or a write
 *
 * In a file that understands NOWAIT; what turns out to block goes to the slow
 * workqueue by itself.
 *
 * Context: the thread of the queue, or one that vhdblk_inline_allowed().
 * Return: false if that is not so; the command is still the caller's.
 */
bool vhdblk_cmd_fast(struct vhdblk_cmd *cmd)
{
	struct vhd_place *e = &cmd->place;

	if (look_up(cmd) != VHD_LOOKUP_OK)
		return false;
	if (e->layer && e->sects == cmd->left && !e->owners &&
	    (!is_fua(cmd) || durable_alone(cmd)) &&
	    vhd_chain_layer(cmd->q->chain, e->layer)->f.nowait) {
		trace_vhdblk_class(cmd, cmd->here ? VHDBLK_CLASS_INLINE : VHDBLK_CLASS_FAST);
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
		vhd_alloc_evict(&cmd->q->alloc, true);
	}
	if (what == VHD_LOOKUP_ALLOC)
		ret = vhdblk_cmd_allocator(cmd, vhd_alloc_block, block);
	if (ret != -ENOMEM)
		return ret;
	/* Memory comes back, for instance from what we are asked to write. */
	msleep(20);
	return 0;
}

/**
 * vhdblk_cmd_rw() - go on with a read or a write, whatever that takes
 * @cmd: command
 *
 * Context: slow work.
 */
void vhdblk_cmd_rw(struct vhdblk_cmd *cmd)
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

/**
 * vhdblk_cmd_hole() - answer a read that nobody owns any sector of
 * @cmd: command, a read
 *
 * Context: any; never sleeps.
 * Return: false if a file has a say.
 */
bool vhdblk_cmd_hole(struct vhdblk_cmd *cmd)
{
	struct request *rq = vhdblk_cmd_rq(cmd);
	struct req_iterator ri;
	struct bio_vec bv;

	if (look_up(cmd) != VHD_LOOKUP_OK || cmd->place.layer || cmd->place.sects != cmd->left)
		return false;
	rq_for_each_segment(bv, rq, ri)
		memzero_bvec(&bv);
	atomic64_inc(&cmd->q->holes);
	trace_vhdblk_class(cmd, VHDBLK_CLASS_HOLE);
	vhdblk_cmd_finish(cmd, 0);
	return true;
}

/**
 * vhdblk_cmd_start() - a request has come
 * @cmd: its command
 * @q: queue
 * @rq: request
 *
 * Context: any.
 */
void vhdblk_cmd_start(struct vhdblk_cmd *cmd, struct vhdblk_queue *q, struct request *rq)
{
	cmd->q = q;
	cmd->sector = blk_rq_pos(rq);
	cmd->left = blk_rq_sectors(rq);
	cmd->vecs = NULL;
	cmd->commit = false;
	cmd->no_memory = false;
	cmd->here = false;
	cmd->status = BLK_STS_OK;
	cmd->place.owners = NULL;
	if ((rq->cmd_flags & REQ_SWAP) && !READ_ONCE(vhd_chain_leaf(q->chain)->f.swap))
		WRITE_ONCE(vhd_chain_leaf(q->chain)->f.swap, true);
}

/**
 * vhdblk_cmd_flush() - a request that asks for a commit and nothing else
 * @cmd: its command
 *
 * Context: any.
 */
void vhdblk_cmd_flush(struct vhdblk_cmd *cmd)
{
	if (!cmd->q->writable) {
		vhdblk_cmd_end(cmd, 0);
		return;
	}
	cmd->waiter.wake = committed;
	vhd_commit_join(&cmd->q->commit, &cmd->waiter);
}
