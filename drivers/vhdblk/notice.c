// SPDX-License-Identifier: GPL-2.0
/*
 * What users are told without having asked.
 */
#include <linux/blkdev.h>
#include <linux/workqueue.h>

#include "device.h"

#define VHDBLK_NOTICE_PAUSE	(HZ / 10)

static void (*notify_user)(struct vhdblk_device *dev, enum vhdblk_notice what, int err);

static void notice_work(struct work_struct *work)
{
	struct vhdblk_device *dev = container_of(work, struct vhdblk_device, notice_work.work);
	unsigned long bits = xchg(&dev->notices, 0);
	unsigned int what;

	WRITE_ONCE(dev->notice_next, jiffies + VHDBLK_NOTICE_PAUSE);
	for_each_set_bit(what, &bits, VHDBLK_NR_NOTICES)
		notify_user(dev, what, READ_ONCE(dev->notice_error[what]));
}

/**
 * vhdblk_notice() - tell the user, soon
 * @dev: device
 * @what: has happened
 * @err: why, 0 or a negative errno
 *
 * Repeated notices become one: who listens must keep up with a disk that fails
 * all the time.
 *
 * Context: any.
 */
void vhdblk_notice(struct vhdblk_device *dev, enum vhdblk_notice what, int err)
{
	bool soon = time_before(jiffies, READ_ONCE(dev->notice_next));

	WRITE_ONCE(dev->notice_error[what], err);
	set_bit(what, &dev->notices);
	schedule_delayed_work(&dev->notice_work, soon ? VHDBLK_NOTICE_PAUSE : 0);
}

static void report_error(struct vhdblk_queue *q, int err)
{
	struct vhdblk_device *dev = container_of(q, struct vhdblk_device, q);

	if (err != -ENOSPC && err != -EDQUOT)
		vhdblk_notice(dev, VHDBLK_NOTICE_IO_ERROR, err);
	/* Data that go where the file has a hole: nobody else will tell. */
	else if (!READ_ONCE(q->alloc.no_space))
		vhdblk_notice(dev, VHDBLK_NOTICE_NO_SPACE, -ENOSPC);
}

static void report_space(struct vhd_alloc *a, int err)
{
	struct vhdblk_device *dev = container_of(a, struct vhdblk_device, q.alloc);

	/* They go out in another order: what is not true any more must not come last. */
	if (err)
		clear_bit(VHDBLK_NOTICE_SPACE_RETURNED, &dev->notices);
	pr_notice("vhd%d: %s\n", dev->index,
		  err ? "no space left to extend the leaf" : "space has returned");
	vhdblk_notice(dev, err ? VHDBLK_NOTICE_NO_SPACE : VHDBLK_NOTICE_SPACE_RETURNED, err);
}

static void report_broken(struct vhd_alloc *a, int err)
{
	struct vhdblk_device *dev = container_of(a, struct vhdblk_device, q.alloc);

	pr_err("vhd%d: metadata could not be written (%pe): new blocks and flushes fail from now on; save your data, detach, check\n",
	       dev->index, ERR_PTR(err));
	vhdblk_notice(dev, VHDBLK_NOTICE_IO_ERROR, err);
}

/**
 * vhdblk_notice_init() - let what serves requests report to the user
 * @dev: zeroed
 */
void vhdblk_notice_init(struct vhdblk_device *dev)
{
	INIT_DELAYED_WORK(&dev->notice_work, notice_work);
	dev->q.report = report_error;
	dev->q.alloc.notify = report_space;
	dev->q.alloc.broken = report_broken;
}

/**
 * vhdblk_notice_to() - who tells the user, before the first attach
 * @notify: may sleep
 */
void vhdblk_notice_to(void (*notify)(struct vhdblk_device *dev, enum vhdblk_notice what,
				     int err))
{
	notify_user = notify;
}
