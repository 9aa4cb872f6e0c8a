// SPDX-License-Identifier: GPL-2.0
/*
 * The reserve: space at the end of the leaf, extended ahead of need by a thread
 * of its own, given back at detach. alloc.c says in which order and why.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "alloc.h"
#include "trace.h"

/* Sectors of one extension: 32 to 128 MiB. */
#define RESERVE_LEAST	(32u << (20 - VHD_SECTOR_SHIFT))
#define RESERVE_MOST	(128u << (20 - VHD_SECTOR_SHIFT))

/*
 * Something failed before the new footer was durable. The old one is still
 * where it was, so the file only has to become as long again as it has been. If
 * it still is, space behind its end that cannot be given back does no harm: a
 * full file system may have none left to do that with.
 */
static bool take_back(struct vhd_alloc *a)
{
	u64 size = a->end << VHD_SECTOR_SHIFT;

	return !vhd_io_truncate(&a->leaf->f, size) || vhd_io_size(&a->leaf->f) == size;
}

static int extend_to(struct vhd_alloc *a, u64 new_end)
{
	struct vhd_plan plan;
	int ret;

	if (READ_ONCE(a->failed))
		return -EIO;
	vhd_plan_extend(&plan, a->end, new_end);
	ret = vhd_exec_plan(&a->exec, &plan);
	trace_vhdblk_extend(a, new_end, ret);
	if (ret && a->exec.failed != VHD_STEP_ZERO) {
		if (a->exec.failed == VHD_STEP_BARRIER || !take_back(a))
			vhd_alloc_fail(a, ret);
		return ret;
	}
	mutex_lock(&a->lock);
	/* The old footer could not be zeroed: then its slot has to be. */
	if (ret)
		a->stale_end = max(a->stale_end, a->end);
	a->end = new_end;
	a->grown = true;
	/* A block that the old footer cut lies wholly in the file from now on. */
	WRITE_ONCE(a->leaf->layout.end, new_end - 1);
	mutex_unlock(&a->lock);
	atomic64_inc(&a->extensions);
	vhd_io_touch(&a->leaf->f);
	return 0;
}

static u64 wanted(struct vhd_alloc *a, u64 *least)
{
	u64 stride = vhd_slot_stride(&a->leaf->layout);
	u64 want;

	mutex_lock(&a->lock);
	if (!list_empty(&a->waiting))
		a->step = min(a->step * 2, RESERVE_MOST);
	*least = max(a->next, a->end) + 2 * stride;
	want = max(a->next, a->end) + clamp_t(u64, a->step, 2 * stride,
					      max_t(u64, a->unused, 2) * stride);
	mutex_unlock(&a->lock);
	return want;
}

/* As much as planned, or half of it, or just a block. */
static int extend(struct vhd_alloc *a)
{
	u64 least, want = wanted(a, &least), end = a->end;
	int ret;

	do {
		ret = extend_to(a, vhd_layout_end_aligned(want));
		if (want <= least)
			break;
		want = max(least, end + (want - end) / 2);
	} while (vhd_is_full(ret) && !READ_ONCE(a->failed));
	return ret;
}

static bool still_needed(struct vhd_alloc *a)
{
	bool needed;

	mutex_lock(&a->lock);
	needed = !a->failed && !a->leaf->f.bdev &&
		 (!list_empty(&a->waiting) ||
		  (!READ_ONCE(a->no_space) && vhd_alloc_is_low(a)));
	mutex_unlock(&a->lock);
	return needed;
}

/* Memory comes back: who waits for space then asks again. */
static int outcome(int err)
{
	if (err == -ENOMEM)
		return 0;
	return vhd_is_full(err) ? -ENOSPC : err;
}

static void wake_waiting(struct vhd_alloc *a, int err)
{
	struct vhd_waiter *w, *n;
	LIST_HEAD(woken);

	mutex_lock(&a->lock);
	/* Freed slots on their way are space too: reclaiming them wakes. */
	if (!vhd_is_full(err) || !vhd_alloc_awaits_slots(a))
		list_splice_tail_init(&a->waiting, &woken);
	mutex_unlock(&a->lock);
	list_for_each_entry_safe(w, n, &woken, list) {
		list_del_init(&w->list);
		w->wake(w, outcome(err));
	}
}

static int reserve_thread(void *arg)
{
	struct vhd_alloc *a = arg;
	int ret;

	memalloc_noio_save();
	current->flags |= PF_LOCAL_THROTTLE;
	while (!kthread_should_stop()) {
		wait_event_idle(a->wait, READ_ONCE(a->kicked) || kthread_should_stop());
		if (!xchg(&a->kicked, false) || !still_needed(a))
			continue;
		ret = extend(a);
		vhd_alloc_report(a, ret);
		wake_waiting(a, ret);
	}
	wake_waiting(a, -EIO);
	return 0;
}

/*
 * A missing end footer is written before anything else may be; it goes behind
 * the last block, so a block that ended beyond EOF is whole from then on.
 */
static int write_missing_footers(struct vhd_alloc *a)
{
	struct vhd_layer *l = a->leaf;
	u64 end = DIV_ROUND_UP_ULL(l->f.size, VHD_SECTOR_SIZE);
	struct vhd_plan plan;
	int ret;

	if (!l->fix_end && !l->fix_copy)
		return 0;
	/* The device ends in a block: there is no place for a footer. */
	if (l->fix_end && l->f.bdev &&
	    (l->cut_block != ~0u || vhd_layer_used_end(l) > end - 1))
		return -ENOSPC;
	if (l->fix_end && !l->f.bdev)
		end = vhd_layout_end_aligned(max(end, vhd_layer_used_end(l)));
	vhd_plan_footers(&plan, end - 1, l->fix_end, l->fix_copy);
	ret = vhd_exec_plan(&a->exec, &plan);
	if (ret)
		return ret;
	pr_notice("%pD: %s footer written\n", l->f.file,
		  l->fix_end ? "missing end" : "copy of the");
	if (l->fix_end && !l->f.bdev)
		l->cut_block = ~0u;
	l->f.size = end << VHD_SECTOR_SHIFT;
	l->layout.end = end - 1;
	vhd_io_touch(&l->f);
	return 0;
}

static int init_writable(struct vhd_alloc *a)
{
	struct vhd_layer *l = a->leaf;
	int ret = vhd_exec_init(&a->exec, l, &a->failed);

	if (!ret)
		ret = write_missing_footers(a);
	if (ret || !a->map->nr_blocks)
		return ret;
	a->end = l->f.size >> VHD_SECTOR_SHIFT;
	a->stale_end = l->f.bdev ? ~0ULL : a->end;
	/* The padding of the BAT to a page stays padding. */
	a->next = max(vhd_layer_used_end(l), round_up(l->layout.meta_end, 8));
	a->step = RESERVE_LEAST;
	a->unused = l->layout.entries - l->allocated;
	a->bat_dirty = kvcalloc(BITS_TO_LONGS(a->map->nr_blocks), sizeof(long), GFP_KERNEL);
	return a->bat_dirty ? 0 : -ENOMEM;
}

/**
 * vhd_alloc_init() - prepare the leaf for writing
 * @a: filled
 * @m: map, which need not be initialised yet but for its chain and size
 * @drained: see &struct vhd_epoch
 *
 * Writes footers that are missing: this must come before anything that depends
 * on the end of the leaf.
 *
 * Context: sleeps.
 * Return: 0 or an errno; vhd_alloc_exit() is due in both cases.
 */
int vhd_alloc_init(struct vhd_alloc *a, struct vhd_map *m,
		   void (*drained)(struct vhd_epoch *e))
{
	struct list_head *lists[] = { &a->waiting, &a->parked, &a->freed, &a->clearing,
				      &a->cleared, &a->draining, &a->free };
	int i, ret;

	a->map = m;
	a->leaf = vhd_chain_leaf(m->chain);
	mutex_init(&a->lock);
	init_waitqueue_head(&a->wait);
	for (i = 0; i < ARRAY_SIZE(lists); i++)
		INIT_LIST_HEAD(lists[i]);
	ret = vhd_epoch_init(&a->epoch, drained);
	if (!ret && a->leaf->writable)
		ret = init_writable(a);
	return ret ?: vhd_evict_init(a);
}

/**
 * vhd_alloc_start() - start the thread that extends the leaf
 * @a: initialised
 * @name: of the disk
 *
 * Return: 0 or an errno.
 */
int vhd_alloc_start(struct vhd_alloc *a, const char *name)
{
	struct task_struct *task;

	if (!a->bat_dirty)
		return 0;
	task = kthread_run(reserve_thread, a, "%s-reserve", name);
	if (IS_ERR(task))
		return PTR_ERR(task);
	a->task = task;
	return 0;
}

/**
 * vhd_alloc_stop() - stop that thread
 * @a: no request is under way
 */
void vhd_alloc_stop(struct vhd_alloc *a)
{
	if (a->task)
		kthread_stop(a->task);
	a->task = NULL;
}

/**
 * vhd_alloc_trim() - give back the reserve
 * @a: everything is committed, nothing is under way
 *
 * Never below the end found at attach: structures that we do not know may lie
 * there.
 *
 * Return: 0 or an errno; the image is valid in any case.
 */
int vhd_alloc_trim(struct vhd_alloc *a)
{
	struct vhd_plan plan;
	u64 end;
	int ret;

	if (!a->grown || a->failed)
		return 0;
	end = vhd_layout_end_aligned(vhd_layer_used_end(a->leaf));
	end = max(end, a->leaf->f.size >> VHD_SECTOR_SHIFT);
	if (end >= a->end)
		return 0;
	vhd_plan_trim(&plan, a->end, end);
	ret = vhd_exec_plan(&a->exec, &plan);
	if (!ret)
		vhd_io_touch(&a->leaf->f);
	return ret;
}

static void free_slots(struct list_head *list)
{
	struct vhd_slot *s, *n;

	list_for_each_entry_safe(s, n, list, list)
		kfree(s);
}

/**
 * vhd_alloc_exit() - free everything
 * @a: initialised, perhaps in part; stopped
 */
void vhd_alloc_exit(struct vhd_alloc *a)
{
	if (!a->map)
		return;
	vhd_evict_exit(a);
	if (a->epoch.drained)
		vhd_epoch_exit(&a->epoch);
	free_slots(&a->freed);
	free_slots(&a->clearing);
	free_slots(&a->cleared);
	free_slots(&a->draining);
	free_slots(&a->free);
	vhd_exec_exit(&a->exec);
	kvfree(a->bat_dirty);
}
