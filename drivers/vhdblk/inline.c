// SPDX-License-Identifier: GPL-2.0
/*
 * Inline submission: calling the file from whoever submits the request, without
 * a change of threads. Experimental, and only for back ends of virtual machines
 * at low queue depth that asked for it.
 *
 * What makes it wrong in general is that the submitter may be in the middle of
 * another file system: with a transaction in current->journal_info, allocation
 * scopes, a deep stack, or as a worker that the file below waits for. None of
 * that is so for a program that reads and writes the whole disk by itself, and
 * only that is let through. Everybody else, and every file system, device
 * mapper, swap or target on the disk or one of its partitions, is queued.
 */
#include <linux/blkdev.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>

#include "inline.h"

/* Left of the stack for a file system and the disk below it. */
#define VHDBLK_INLINE_STACK	8192

/* Contexts of memory reclaim, and workers: writeback, kblockd, targets. */
#define VHDBLK_INLINE_NEVER	(PF_WQ_WORKER | PF_MEMALLOC | PF_MEMALLOC_NOIO | \
				 PF_MEMALLOC_NOFS)

static bool stack_left(void)
{
#ifdef CONFIG_STACK_GROWSUP
	return false;
#else
	unsigned long here = (unsigned long)__builtin_frame_address(0);

	return here - (unsigned long)end_of_stack(current) >= VHDBLK_INLINE_STACK;
#endif
}

/*
 * A single request comes with current->bio_list set, as the block layer guards
 * every submission. If nothing is on it there is nobody to be overtaken.
 */
static bool nobody_waits(const struct bio_list *lists)
{
	return !lists || (bio_list_empty(&lists[0]) && bio_list_empty(&lists[1]));
}

/* A claim of a partition counts for the whole disk, too. */
static bool disk_claimed(struct request *rq)
{
	return READ_ONCE(rq->q->disk->part0->bd_holders);
}

/* It is about files, but the file below would hold whoever calls it to it. */
static bool size_limited(void)
{
	return rlimit(RLIMIT_FSIZE) != RLIM_INFINITY;
}

static bool allowed(struct request *rq)
{
	return !disk_claimed(rq) && !(current->flags & VHDBLK_INLINE_NEVER) &&
	       !(rq->cmd_flags & REQ_SWAP) && !current->journal_info &&
	       nobody_waits(current->bio_list) && !size_limited() && stack_left();
}

/**
 * vhdblk_inline() - submit a read or write here and now, if that is safe
 * @cmd: command
 *
 * Plug and list of bios of the submitter are set aside: what the file submits
 * must not end up in lists that are being emptied into us, and must be on its
 * way if the file waits for it.
 *
 * Context: ->queue_rq of a queue with BLK_MQ_F_BLOCKING.
 * Return: false if it has to be queued.
 */
bool vhdblk_inline(struct vhdblk_cmd *cmd)
{
	struct bio_list *lists = current->bio_list;
	struct blk_plug *plug = current->plug;
	unsigned int noio;
	bool done;

	if (!allowed(vhdblk_cmd_rq(cmd)))
		return false;
	cmd->here = true;
	noio = memalloc_noio_save();
	current->plug = NULL;
	current->bio_list = NULL;
	done = vhdblk_cmd_fast(cmd);
	current->bio_list = lists;
	current->plug = plug;
	memalloc_noio_restore(noio);
	if (!done)
		cmd->here = false;
	return done;
}
