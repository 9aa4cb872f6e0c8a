// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: When metadata become durable
 *
 * One thread per device commits, for everybody who waits at that moment:
 *
 *  1. take what is dirty and copy the bitmaps that will be written; write the
 *     bitmaps of new blocks;
 *  2. fsync: data, and bitmaps of new blocks, are durable;
 *  3. write BAT entries and the bitmaps of old blocks, from the copies;
 *  4. fsync; everybody who waited is served.
 *
 * So no bit is durable before its data and no BAT entry before its bitmap: a
 * crash leaves each sector with its old or its new contents, and at worst a
 * block that nothing points at. What is written is what was copied in step 1;
 * bits that are set later belong to the next commit.
 *
 * A bit enters the dirty list before its write is completed to the block layer,
 * and waiters are taken before the dirty list is. So whoever waits is served by
 * a commit that has seen everything completed before he came. With nothing
 * dirty one fsync is enough; commits never overlap.
 *
 * No space to write metadata is not the end: waiters are told, what was dirty
 * stays dirty, the next commit tries again. So it is when an emergency has made the
 * file system read-only. Any other error is: what is on disk is not known any more,
 * and nothing but data is written from then on.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "commit.h"
#include "trace.h"

/* Data that nobody asked to be durable become so after this long. */
#define COMMIT_INTERVAL	(5 * HZ)

/**
 * vhd_commit_dirty() - bits of a block have been set
 * @c: commit
 * @o: its descriptor, referenced by the caller
 *
 * Context: any; before the write that set them is completed.
 */
void vhd_commit_dirty(struct vhd_commit *c, struct vhd_owners *o)
{
	/* Pairs with the barrier after clearing the flag in take_owners(). */
	smp_mb__before_atomic();
	if (test_and_set_bit(VHD_OWNERS_DIRTY, &o->flags))
		return;
	refcount_inc(&o->ref);
	llist_add(&o->dirty, &c->dirty);
}

/**
 * vhd_commit_join() - wait for everything up to now to be durable
 * @c: commit
 * @w: woken with the outcome
 *
 * Context: any.
 */
void vhd_commit_join(struct vhd_commit *c, struct vhd_waiter *w)
{
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	list_add_tail(&w->list, &c->waiters);
	wake_up(&c->wait);
	spin_unlock_irqrestore(&c->lock, flags);
}

/**
 * vhd_commit_reclaim() - an era of requests has drained
 * @c: commit
 *
 * Context: any.
 */
void vhd_commit_reclaim(struct vhd_commit *c)
{
	WRITE_ONCE(c->reclaim, true);
	wake_up(&c->wait);
}

static void add_item(struct vhd_commit *c, struct vhd_owners *o, u32 block, u32 entry,
		     u32 flags)
{
	struct vhd_commit_item *item = &c->item[c->nr++];

	item->owners = o;
	item->change = (struct vhd_change){
		.block = block,
		.entry = entry,
		.flags = flags,
		.bitmap_nr = flags & VHD_CHANGE_BITMAP ? c->alloc->leaf->layout.bitmap_sects : 0,
	};
}

/*
 * The flag goes before the copy is made: a bit that is set after the copy puts
 * the descriptor on the list again, one that is set before is in the copy.
 */
static void take_owners(struct vhd_owners *o)
{
	set_bit(VHD_OWNERS_COMMITTING, &o->flags);
	clear_bit(VHD_OWNERS_DIRTY, &o->flags);
	smp_mb__after_atomic(); /* pairs with the one in vhd_commit_dirty() */
	data_race(memcpy(o->copy, o->bits, o->bitmap_bytes));
}

static void release_owners(struct vhd_owners *o)
{
	if (!o)
		return;
	clear_bit(VHD_OWNERS_COMMITTING, &o->flags);
	vhd_owners_put(o);
}

/* What has been dirty until now, and what an earlier commit has left over. */
static void take_list(struct vhd_commit *c)
{
	struct llist_node **tail = &c->todo;

	while (*tail)
		tail = &(*tail)->next;
	*tail = llist_del_all(&c->dirty);
}

static struct vhd_owners *next_dirty(struct vhd_commit *c)
{
	struct vhd_owners *o;

	if (!c->todo)
		return NULL;
	o = llist_entry(c->todo, struct vhd_owners, dirty);
	c->todo = c->todo->next;
	return o;
}

/* A descriptor that has left the map is not written. */
static void take_dirty_owners(struct vhd_commit *c)
{
	struct vhd_owners *o;

	while (c->nr < VHD_COMMIT_BATCH / 2) {
		o = next_dirty(c);
		if (!o)
			return;
		/* Off the list before the flag is cleared: the link is free again. */
		take_owners(o);
		if (test_bit(VHD_OWNERS_DEAD, &o->flags))
			release_owners(o);
		else
			add_item(c, o, o->block, o->entry, VHD_CHANGE_BITMAP);
	}
}

/*
 * Blocks whose BAT entry changed. A new one needs its bitmap on disk first,
 * even if no write to it has completed yet; a block without a descriptor is one
 * of a dynamic image, and its bitmap is all ones.
 */
static void take_dirty_block(struct vhd_commit *c, const struct vhd_change *change)
{
	u32 on_disk = vhd_layer_entry(c->alloc->leaf, change->block);
	struct vhd_owners *o;

	if (change->entry == VHD_BAT_UNUSED || change->entry == on_disk) {
		add_item(c, NULL, change->block, change->entry, VHD_CHANGE_BAT);
		return;
	}
	vhd_alloc_entry(c->alloc, change->block, &o);
	if (o) {
		/* Its place on the dirty list, if it has one, stays. */
		refcount_inc(&o->ref);
		set_bit(VHD_OWNERS_COMMITTING, &o->flags);
		/* A bit that comes too late makes it dirty. */
		data_race(memcpy(o->copy, o->bits, o->bitmap_bytes));
	}
	add_item(c, o, change->block, change->entry,
		 VHD_CHANGE_BAT | VHD_CHANGE_NEW | VHD_CHANGE_BITMAP);
}

static void take_dirty_blocks(struct vhd_commit *c)
{
	u32 nr, i;

	nr = vhd_alloc_take_dirty(c->alloc, &c->next_block, c->change,
				  VHD_COMMIT_BATCH - c->nr);
	for (i = 0; i < nr; i++)
		take_dirty_block(c, &c->change[i]);
}

static int compare_items(const void *a, const void *b)
{
	const struct vhd_commit_item *x = a, *y = b;

	return x->change.block < y->change.block ? -1 : x->change.block > y->change.block;
}

/* A block whose entry and whose bitmap changed came twice: make it one. */
static void merge_items(struct vhd_commit *c)
{
	struct vhd_commit_item *last = NULL;
	u32 i, kept = 0;

	for (i = 0; i < c->nr; i++) {
		struct vhd_commit_item *item = &c->item[i];

		if (!last || last->change.block != item->change.block) {
			last = &c->item[kept++];
			*last = *item;
			continue;
		}
		last->change.flags |= item->change.flags;
		last->change.bitmap_nr = max(last->change.bitmap_nr, item->change.bitmap_nr);
		if (!last->owners)
			last->owners = item->owners;
		else if (item->owners)
			vhd_owners_put(item->owners);
	}
	c->nr = kept;
}

/* One sweep over lists and blocks; what is behind it belongs to the next one. */
static void begin_sweep(struct vhd_commit *c)
{
	take_list(c);
	c->next_block = 0;
	mutex_lock(&c->alloc->lock);
	vhd_alloc_commit_begin(c->alloc);
	mutex_unlock(&c->alloc->lock);
}

static bool sweep_done(struct vhd_commit *c)
{
	return !c->todo && c->next_block >= c->alloc->map->nr_blocks;
}

static void end_sweep(struct vhd_commit *c, int err)
{
	struct vhd_waiter *w, *n;
	LIST_HEAD(woken);

	mutex_lock(&c->alloc->lock);
	vhd_alloc_commit_end(c->alloc, err, &woken);
	mutex_unlock(&c->alloc->lock);
	list_for_each_entry_safe(w, n, &woken, list) {
		list_del_init(&w->list);
		w->wake(w, vhd_is_full(err) ? -ENOSPC : err);
	}
}

static void collect(struct vhd_commit *c)
{
	u32 i;

	c->nr = 0;
	mutex_lock(&c->alloc->lock);
	take_dirty_owners(c);
	take_dirty_blocks(c);
	mutex_unlock(&c->alloc->lock);
	sort(c->item, c->nr, sizeof(*c->item), compare_items, NULL);
	merge_items(c);
	for (i = 0; i < c->nr; i++) {
		c->change[i] = c->item[i].change;
		c->entries += !!(c->change[i].flags & VHD_CHANGE_BAT);
		c->bitmaps += !!(c->change[i].flags & VHD_CHANGE_BITMAP);
	}
}

/* What was not written is as dirty as before. */
static void put_back(struct vhd_commit *c, struct vhd_commit_item *item)
{
	if (item->change.flags & VHD_CHANGE_BAT)
		vhd_alloc_make_dirty(c->alloc, item->change.block);
	if (item->owners)
		vhd_commit_dirty(c, item->owners);
}

static void finish(struct vhd_commit *c, int err)
{
	struct vhd_alloc *a = c->alloc;
	u32 i;

	mutex_lock(&a->lock);
	for (i = 0; i < c->nr; i++) {
		if (err)
			put_back(c, &c->item[i]);
		release_owners(c->item[i].owners);
		if (!err)
			vhd_alloc_committed(a, c->item[i].change.block);
	}
	mutex_unlock(&a->lock);
}

/* Bits past the end of a small block's bitmap: 1 in dynamic, 0 in differencing. */
static void fill_bitmap(struct vhd_commit *c, u32 index, u32 offset, u32 sects, void *page)
{
	struct vhd_owners *o = c->item[index].owners;
	size_t len = sects << VHD_SECTOR_SHIFT;

	if (o)
		memcpy(page, o->copy + (offset << VHD_SECTOR_SHIFT), len);
	else
		memset(page, 0xff, len);
}

/*
 * The sector as it was last written, with this plan's entries in it. They are
 * remembered before the write: whether or not it reports success, from now on
 * the disk may say so.
 */
static void fill_bat(struct vhd_commit *c, const struct vhd_step *step, __be32 *page)
{
	struct vhd_layer *l = c->alloc->leaf;
	u32 per_sect = VHD_SECTOR_SIZE / sizeof(__be32), i;
	u32 first = (step->sect - l->layout.bat_sect) * per_sect;

	for (i = step->first; i < step->first + step->nr; i++)
		if (c->change[i].flags & VHD_CHANGE_BAT)
			WARN_ON_ONCE(vhd_layer_set_entry(l, c->change[i].block,
							 c->change[i].entry));
	for (i = 0; i < per_sect; i++)
		page[i] = cpu_to_be32(vhd_layer_entry(l, first + i));
}

static void fill(struct vhd_exec *x, const struct vhd_step *step, u32 offset, u32 sects,
		 void *page)
{
	struct vhd_commit *c = container_of(x, struct vhd_commit, exec);

	if (step->kind == VHD_STEP_BAT)
		fill_bat(c, step, page);
	else
		fill_bitmap(c, step->first, offset, sects, page);
}

/*
 * Will the next attempt perhaps succeed? There may be space then, or an emergency may
 * be over. A file system that refuses without being read-only has given up.
 */
static bool may_pass(struct vhd_commit *c, int err)
{
	return vhd_is_full(err) || (err == -EROFS && vhd_io_read_only(&c->alloc->leaf->f));
}

static int commit_batch(struct vhd_commit *c)
{
	struct vhd_plan plan;
	int ret;

	vhd_plan_commit(&plan, &c->alloc->leaf->layout, c->change, c->nr);
	ret = vhd_exec_plan(&c->exec, &plan);
	if (c->nr)
		atomic64_inc(&c->commits);
	finish(c, ret);
	if (ret && (!may_pass(c, ret) || c->exec.failed == VHD_STEP_BARRIER))
		vhd_alloc_fail(c->alloc, ret);
	else if (ret || c->was_full)
		vhd_alloc_report(c->alloc, ret);
	c->was_full = ret;
	return ret;
}

/* A freed slot waits for a commit that began after its entry had left the map. */
static bool is_dirty(struct vhd_commit *c)
{
	return c->todo || !llist_empty(&c->dirty) || READ_ONCE(c->alloc->dirty_blocks) ||
	       !list_empty_careful(&c->alloc->freed);
}

/*
 * On a file system that has been made read-only nothing is begun, so nothing is
 * lost, and it may become writable again. If it is so for an error of its own it
 * says so at fsync, and that is the end.
 */
static int refuse_all(struct vhd_commit *c)
{
	int ret = vhd_io_fsync(&c->alloc->leaf->f);

	if (ret)
		vhd_alloc_fail(c->alloc, ret);
	end_sweep(c, -EROFS);
	return -EROFS;
}

/*
 * One plan at least, even if nothing is dirty: that one is the fsync. What gets
 * dirty meanwhile is the next commit's, or a busy writer would keep everybody
 * waiting.
 */
static int commit_all(struct vhd_commit *c, struct list_head *waiters)
{
	int ret = READ_ONCE(c->alloc->failed) ? -EIO : 0;

	if (ret)
		return ret;
	if (vhd_io_read_only(&c->alloc->leaf->f))
		return refuse_all(c);
	c->number++;
	c->entries = 0;
	c->bitmaps = 0;
	c->fsyncs = atomic64_read(&c->exec.fsyncs);
	trace_vhdblk_commit_begin(c, waiters);
	begin_sweep(c);
	do {
		collect(c);
		ret = commit_batch(c);
		cond_resched();
	} while (!ret && !sweep_done(c));
	end_sweep(c, ret);
	trace_vhdblk_commit_end(c, ret);
	return ret;
}

static bool take_waiters(struct vhd_commit *c, struct list_head *out)
{
	spin_lock_irq(&c->lock);
	list_splice_tail_init(&c->waiters, out);
	spin_unlock_irq(&c->lock);
	return !list_empty(out);
}

static void serve(struct vhd_commit *c)
{
	struct vhd_waiter *w, *n;
	LIST_HEAD(waiters);
	int ret = 0;

	if (take_waiters(c, &waiters) || is_dirty(c))
		ret = commit_all(c, &waiters);
	list_for_each_entry_safe(w, n, &waiters, list) {
		list_del_init(&w->list);
		w->wake(w, ret);
	}
	vhd_io_touch(&c->alloc->leaf->f);
	if (!c->alloc->bat_dirty)
		return;
	vhd_alloc_reclaim(c->alloc);
	vhd_alloc_evict(c->alloc, false);
}

static bool has_work(struct vhd_commit *c)
{
	return !list_empty_careful(&c->waiters) || xchg(&c->reclaim, false) ||
	       kthread_should_stop();
}

static int commit_thread(void *arg)
{
	struct vhd_commit *c = arg;

	memalloc_noio_save();
	current->flags |= PF_LOCAL_THROTTLE;
	while (!kthread_should_stop()) {
		wait_event_idle_timeout(c->wait, has_work(c), COMMIT_INTERVAL);
		serve(c);
	}
	return 0;
}

static void drop_dirty(struct vhd_commit *c)
{
	struct vhd_owners *o;

	take_list(c);
	while ((o = next_dirty(c)))
		vhd_owners_put(o);
}

/**
 * vhd_commit_init() - start the committing thread
 * @c: filled
 * @a: allocator of a writable leaf
 * @name: of the disk
 *
 * Return: 0 or an errno; vhd_commit_exit() is due in both cases.
 */
int vhd_commit_init(struct vhd_commit *c, struct vhd_alloc *a, const char *name)
{
	struct task_struct *task;
	int ret;

	c->alloc = a;
	spin_lock_init(&c->lock);
	INIT_LIST_HEAD(&c->waiters);
	init_llist_head(&c->dirty);
	init_waitqueue_head(&c->wait);
	c->exec.fill = fill;
	c->item = kvmalloc_array(VHD_COMMIT_BATCH, sizeof(*c->item), GFP_KERNEL);
	c->change = kvmalloc_array(VHD_COMMIT_BATCH, sizeof(*c->change), GFP_KERNEL);
	if (!c->item || !c->change)
		return -ENOMEM;
	ret = vhd_exec_init(&c->exec, a->leaf, &a->failed);
	if (ret)
		return ret;
	task = kthread_run(commit_thread, c, "%s-commit", name);
	if (IS_ERR(task))
		return PTR_ERR(task);
	c->task = task;
	return 0;
}

/**
 * vhd_commit_stop() - commit for the last time
 * @c: initialised; no request is under way
 *
 * Return: 0, or why the last commit failed.
 */
int vhd_commit_stop(struct vhd_commit *c)
{
	int ret;

	if (!c->task)
		return 0;
	kthread_stop(c->task);
	c->task = NULL;
	ret = commit_all(c, &c->waiters);
	vhd_io_touch(&c->alloc->leaf->f);
	return ret;
}

/**
 * vhd_commit_exit() - free everything
 * @c: initialised, perhaps in part, or zeroed; stopped
 */
void vhd_commit_exit(struct vhd_commit *c)
{
	if (!c->alloc)
		return;
	drop_dirty(c);
	vhd_exec_exit(&c->exec);
	kvfree(c->item);
	kvfree(c->change);
}
