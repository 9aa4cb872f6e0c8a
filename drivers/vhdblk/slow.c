// SPDX-License-Identifier: GPL-2.0
/*
 * Where a request goes that may block: a work item of its own, so that none
 * waits behind another.
 *
 * The workqueue has no rescuer: one of the kernel's may not enter a file system
 * that flushes work without a rescuer itself (XFS does). But a workqueue cannot
 * make a thread without memory, and memory may be what we are asked to write.
 * So there is a thread that takes over what no worker has begun for a while.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>

#include "scope.h"
#include "slow.h"
#include "zero.h"

/* So long a worker may take to begin. */
#define VHDBLK_SLOW_PATIENCE	(HZ / 10)

/* The command may be over, and used for another request, when this returns. */
static void serve(struct vhdblk_cmd *cmd)
{
	struct request *rq = vhdblk_cmd_rq(cmd);
	struct vhdblk_scope scope;

	vhdblk_scope_enter(&scope);
	vhdblk_scope_follow(&scope, cmd);
	/* Memory comes back, for instance from what we are asked to write. */
	if (cmd->no_memory)
		msleep(20);
	cmd->no_memory = false;
	switch (req_op(rq)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		vhdblk_cmd_rw(cmd);
		break;
	default:
		vhdblk_zero(cmd);
		break;
	}
	vhdblk_scope_leave(&scope);
}

static void slow_work(struct work_struct *work)
{
	struct vhdblk_cmd *cmd = container_of(work, struct vhdblk_cmd, work);
	struct vhdblk_slow *s = &cmd->q->slow;
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	list_del(&cmd->slow);
	spin_unlock_irqrestore(&s->lock, flags);
	serve(cmd);
}

/**
 * vhdblk_cmd_slow() - go on in a context that may block
 * @cmd: command, no longer the caller's
 *
 * Context: any. Who waits for a worker must not keep what a worker may be
 * waiting for: the table of segments goes back to its pool.
 */
void vhdblk_cmd_slow(struct vhdblk_cmd *cmd)
{
	struct vhdblk_slow *s = &cmd->q->slow;
	unsigned long flags;

	vhdblk_cmd_drop(cmd);
	INIT_WORK(&cmd->work, slow_work);
	spin_lock_irqsave(&s->lock, flags);
	if (list_empty(&s->waiting))
		mod_timer(&s->timer, jiffies + VHDBLK_SLOW_PATIENCE);
	list_add_tail(&cmd->slow, &s->waiting);
	/* Inside, so that whoever finds it on the list finds it queued. */
	queue_work(s->wq, &cmd->work);
	spin_unlock_irqrestore(&s->lock, flags);
}

/* The first that no worker has begun, taken away from them. */
static struct vhdblk_cmd *overdue(struct vhdblk_slow *s)
{
	struct vhdblk_cmd *cmd, *found = NULL;

	spin_lock_irq(&s->lock);
	list_for_each_entry(cmd, &s->waiting, slow) {
		if (!cancel_work(&cmd->work))
			continue;
		list_del(&cmd->slow);
		found = cmd;
		break;
	}
	if (!found && !list_empty(&s->waiting))
		mod_timer(&s->timer, jiffies + VHDBLK_SLOW_PATIENCE);
	spin_unlock_irq(&s->lock);
	return found;
}

static int rescuer_thread(void *arg)
{
	struct vhdblk_slow *s = arg;
	struct vhdblk_cmd *cmd;

	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		if (!READ_ONCE(s->late) && !kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
		if (!xchg(&s->late, false))
			continue;
		while ((cmd = overdue(s))) {
			atomic64_inc(&s->rescued);
			serve(cmd);
		}
	}
	return 0;
}

static void patience_ends(struct timer_list *timer)
{
	struct vhdblk_slow *s = container_of(timer, struct vhdblk_slow, timer);

	if (list_empty_careful(&s->waiting))
		return;
	WRITE_ONCE(s->late, true);
	wake_up_process(s->rescuer);
}

/**
 * vhdblk_slow_start() - start workqueue and rescuer
 * @s: zeroed
 * @name: of the disk
 *
 * Return: 0 or an errno; vhdblk_slow_stop() is due in both cases.
 */
int vhdblk_slow_start(struct vhdblk_slow *s, const char *name)
{
	struct task_struct *task;

	spin_lock_init(&s->lock);
	INIT_LIST_HEAD(&s->waiting);
	timer_setup(&s->timer, patience_ends, 0);
	task = kthread_run(rescuer_thread, s, "%s-rescue", name);
	if (IS_ERR(task))
		return PTR_ERR(task);
	s->rescuer = task;
	s->wq = alloc_workqueue("%s-slow", WQ_UNBOUND | WQ_FREEZABLE, 0, name);
	return s->wq ? 0 : -ENOMEM;
}

/**
 * vhdblk_slow_stop() - stop them
 * @s: started, perhaps in part, or zeroed; nothing is under way
 */
void vhdblk_slow_stop(struct vhdblk_slow *s)
{
	if (s->wq)
		destroy_workqueue(s->wq);
	s->wq = NULL;
	if (!s->rescuer)
		return;
	timer_shutdown_sync(&s->timer);
	kthread_stop(s->rescuer);
	s->rescuer = NULL;
}
