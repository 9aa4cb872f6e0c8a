// SPDX-License-Identifier: GPL-2.0
/*
 * Carries out the plans of format/plan.c.
 *
 * Between two barriers the order of writes does not matter, so they go out
 * together; a barrier waits for all of them and then for fsync. The order
 * itself is decided, and proved, in plan.c: nothing here may add a write.
 *
 * What fails for want of memory has not begun, and memory comes back, perhaps
 * because of what others write meanwhile: it is tried again for a while. But not
 * fsync: what that one has said, nobody says again.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "exec.h"

#define PAGE_SECTS	(PAGE_SIZE >> VHD_SECTOR_SHIFT)

/* Ten seconds in all. */
#define MEMORY_TRIES	500
#define MEMORY_MS	20

/*
 * A short write means that the rest found no space; a plan is tried again as a
 * whole. What can be tried again must not hide what cannot.
 */
static void note_error(struct vhd_exec *x, long ret)
{
	int err = ret < 0 ? ret : -ENOSPC;

	if (!x->error || x->error == -ENOSPC || x->error == -EDQUOT || x->error == -EFBIG ||
	    x->error == -EROFS)
		x->error = err;
}

static void slot_done(struct vhd_io *io, long ret)
{
	struct vhd_exec_slot *s = container_of(io, struct vhd_exec_slot, io);
	struct vhd_exec *x = s->exec;
	unsigned long flags;

	/* Under the lock: see vhd_exec_exit(). */
	spin_lock_irqsave(&x->wait.lock, flags);
	s->no_memory = ret == -ENOMEM && s->retry;
	if (!s->no_memory) {
		if (ret != s->len)
			note_error(x, ret);
		/* Pairs with idle_slot(): the page may be filled again. */
		smp_store_release(&s->busy, false);
		wake_up_locked(&x->wait);
	}
	spin_unlock_irqrestore(&x->wait.lock, flags);
}

static struct vhd_exec_slot *idle_slot(struct vhd_exec *x)
{
	int i;

	for (i = 0; i < VHD_EXEC_SLOTS; i++)
		/* Pairs with slot_done(). */
		if (!smp_load_acquire(&x->slot[i].busy))
			return &x->slot[i];
	return NULL;
}

static bool all_idle(struct vhd_exec *x)
{
	int i;

	for (i = 0; i < VHD_EXEC_SLOTS; i++)
		/* Pairs with slot_done(). */
		if (smp_load_acquire(&x->slot[i].busy))
			return false;
	return true;
}

static struct vhd_exec_slot *take_slot(struct vhd_exec *x)
{
	struct vhd_exec_slot *s;

	wait_event(x->wait, (s = idle_slot(x)));
	return s;
}

/* Return: true if it was not even begun, for want of memory. */
static bool submit_slot(struct vhd_exec *x, struct vhd_exec_slot *s, u64 sect, bool retry)
{
	struct iov_iter iter;
	bool failed;

	s->no_memory = false;
	s->retry = retry;
	iov_iter_bvec(&iter, ITER_SOURCE, &s->bv, 1, s->len);
	vhd_io_submit(&x->leaf->f, &s->io, &iter, sect << VHD_SECTOR_SHIFT, 0);
	/* From here on the slot may be idle, and what it says is for others. */
	spin_lock_irq(&x->wait.lock);
	failed = s->no_memory;
	s->retry = false;
	spin_unlock_irq(&x->wait.lock);
	return failed;
}

/* Write @sects sectors of the slot's page, the first @skip of it left out. */
static void write_slot(struct vhd_exec *x, struct vhd_exec_slot *s, u64 sect, u32 skip, u32 sects)
{
	int tries = MEMORY_TRIES;

	s->len = sects << VHD_SECTOR_SHIFT;
	s->bv.bv_offset = skip << VHD_SECTOR_SHIFT;
	s->bv.bv_len = s->len;
	s->busy = true;
	while (submit_slot(x, s, sect, tries--))
		msleep(MEMORY_MS);
}

static void write_filled(struct vhd_exec *x, const struct vhd_step *step)
{
	u32 sects = step->kind == VHD_STEP_BAT ? 1 : step->nr, done, part;
	struct vhd_exec_slot *s;

	for (done = 0; done < sects; done += part) {
		part = min_t(u32, sects - done, PAGE_SECTS);
		s = take_slot(x);
		x->fill(x, step, done, part, page_address(s->bv.bv_page));
		write_slot(x, s, step->sect + done, 0, part);
	}
}

/*
 * The end footer goes out with the zeros before it as one page where it ends
 * one: that is what moves the end of the file, and no half page is left over.
 */
static void write_footer(struct vhd_exec *x, u64 sect, bool extending)
{
	struct vhd_exec_slot *s = take_slot(x);
	u32 whole = extending && (sect + 1) % PAGE_SECTS == 0 ? PAGE_SECTS : 1;
	void *page = page_address(s->bv.bv_page);

	memset(page, 0, PAGE_SIZE);
	memcpy(page + ((whole - 1) << VHD_SECTOR_SHIFT), &x->leaf->footer, VHD_SECTOR_SIZE);
	write_slot(x, s, sect + 1 - whole, 0, whole);
}

static int run_barrier(struct vhd_exec *x)
{
	int ret;

	wait_event(x->wait, all_idle(x));
	ret = xchg(&x->error, 0);
	if (ret) {
		x->failed = x->wrote;
		return ret;
	}
	atomic64_inc(&x->fsyncs);
	ret = vhd_io_fsync(&x->leaf->f);
	if (ret || !vhd_io_read_only(&x->leaf->f))
		return ret;
	/* It has become so meanwhile: fsync may have done nothing, but lost nothing. */
	x->failed = x->wrote;
	return -EROFS;
}

static int begin_step(struct vhd_exec *x, struct vhd_plan *plan, const struct vhd_step *step)
{
	struct vhd_file *f = &x->leaf->f;
	u64 pos = step->sect << VHD_SECTOR_SHIFT, len = (u64)step->nr << VHD_SECTOR_SHIFT;

	if (READ_ONCE(*x->latch))
		return -EIO;
	if (step->kind != VHD_STEP_BARRIER)
		x->wrote = step->kind;
	switch (step->kind) {
	case VHD_STEP_BITMAP:
	case VHD_STEP_BAT:
		write_filled(x, step);
		return 0;
	case VHD_STEP_FOOTER:
		write_footer(x, step->sect, plan->kind == VHD_PLAN_EXTEND);
		return 0;
	case VHD_STEP_FOOTER_COPY:
		write_footer(x, 0, false);
		return 0;
	case VHD_STEP_ZERO:
		return vhd_io_zero(f, pos, len, false);
	case VHD_STEP_RESERVE:
		return vhd_io_reserve(f, pos, len);
	case VHD_STEP_TRUNCATE:
		return vhd_io_truncate(f, pos);
	case VHD_STEP_BARRIER:
		return run_barrier(x);
	case VHD_STEP_COPY:
	case VHD_STEP_NEW:
	case VHD_STEP_HEADER:
		break;
	}
	return -EINVAL;
}

static int exec_step(struct vhd_exec *x, struct vhd_plan *plan, const struct vhd_step *step)
{
	unsigned int flags;
	int ret;

	if (step->kind == VHD_STEP_BARRIER)
		return begin_step(x, plan, step);
	flags = vhd_swap_begin(&x->leaf->f);
	ret = begin_step(x, plan, step);
	vhd_swap_end(flags);
	return ret;
}

/* A write has tried again by itself, and says so later. */
static int retry_step(struct vhd_exec *x, struct vhd_plan *plan, const struct vhd_step *step)
{
	int tries = MEMORY_TRIES, ret;

	while ((ret = exec_step(x, plan, step)) == -ENOMEM && step->kind != VHD_STEP_BARRIER &&
	       tries--)
		msleep(MEMORY_MS);
	return ret;
}

/**
 * vhd_exec_plan() - carry out a plan
 * @x: executor
 * @plan: a fresh plan
 *
 * Context: sleeps; a thread that holds nothing that I/O could wait for.
 * Return: 0, or the first error; then no later step was begun and none is
 * under way.
 */
int vhd_exec_plan(struct vhd_exec *x, struct vhd_plan *plan)
{
	struct vhd_step step;
	int ret = 0, late;

	while (!ret && vhd_plan_next(plan, &step)) {
		x->failed = step.kind;
		ret = retry_step(x, plan, &step);
	}
	wait_event(x->wait, all_idle(x));
	late = xchg(&x->error, 0);
	if (!ret && late)
		x->failed = x->wrote;
	return ret ?: late;
}

/**
 * vhd_exec_init() - get the pages
 * @x: zeroed but for @x->fill
 * @leaf: the layer to write to
 * @latch: see &struct vhd_exec
 *
 * Return: 0 or -ENOMEM; vhd_exec_exit() is due in both cases.
 */
int vhd_exec_init(struct vhd_exec *x, struct vhd_layer *leaf, const int *latch)
{
	int i;

	x->leaf = leaf;
	x->latch = latch;
	init_waitqueue_head(&x->wait);
	x->slot = kcalloc(VHD_EXEC_SLOTS, sizeof(*x->slot), GFP_KERNEL);
	if (!x->slot)
		return -ENOMEM;
	for (i = 0; i < VHD_EXEC_SLOTS; i++) {
		x->slot[i].exec = x;
		x->slot[i].io.write = true;
		x->slot[i].io.done = slot_done;
		x->slot[i].bv.bv_page = alloc_page(GFP_KERNEL);
		if (!x->slot[i].bv.bv_page)
			return -ENOMEM;
	}
	return 0;
}

/**
 * vhd_exec_exit() - free the pages
 * @x: initialised, perhaps in part, or zeroed
 */
void vhd_exec_exit(struct vhd_exec *x)
{
	int i;

	if (!x->leaf)
		return;
	/* The last completion may still be waking whoever saw its slot idle. */
	spin_lock_irq(&x->wait.lock);
	spin_unlock_irq(&x->wait.lock);
	for (i = 0; x->slot && i < VHD_EXEC_SLOTS; i++)
		if (x->slot[i].bv.bv_page)
			__free_page(x->slot[i].bv.bv_page);
	kfree(x->slot);
	x->slot = NULL;
}
