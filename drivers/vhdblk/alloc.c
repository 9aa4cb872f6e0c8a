// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: Where new blocks go
 *
 * A block is allocated before its first data are written, as a change of the
 * map alone. That is safe because a new block says what was there before: in a
 * dynamic image its sectors are zeros, in a differencing image no bit is set,
 * so the parents still own everything. Data are then written like any other
 * write to a block that the leaf holds. When the BAT entry may go to disk, and
 * after what, is commit.c's business.
 *
 * Space comes from a reserve at the end of the file that a thread extends ahead
 * of need, in this order: reserve space behind the end of the file; write the
 * footer at the new end, which moves it; fsync; zero the old footer; use the
 * space. So a footer is at the end of the file after any crash.
 *
 * A slot that this attach created by extending the file is known to hold zeros.
 * Everything else (what lies below the end found at attach, all of a block
 * device, a freed slot) is zeroed before the map points at it, and the fsync
 * that precedes the BAT entry makes that durable.
 *
 * A freed slot is used again only after a commit that began after its entry had
 * left the map, and after every request that could have seen the old entry.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "alloc.h"
#include "trace.h"

/*
 * What a new block takes. The memory is there before the slot is taken and the
 * lock is: short of memory, a block must not cost a slot each time it is tried,
 * and nobody may wait for it whose write would bring some back.
 */
struct fresh_block {
	struct vhd_slot *slot;
	struct vhd_owners *owners;
	u64 stale;
};

static u32 slot_sects(const struct vhd_alloc *a)
{
	return a->leaf->layout.bitmap_sects + a->leaf->layout.block_sects;
}

static bool leaf_holds(struct vhd_alloc *a, u64 word)
{
	struct vhd_owners *o = vhd_word_owners(word);

	if (o)
		return o->entry != VHD_BAT_UNUSED;
	return vhd_word_layer(word) == a->leaf->id;
}

/**
 * vhd_alloc_awaits_slots() - are there freed slots that cannot be used yet?
 * @a: allocator, locked
 *
 * If so a commit is asked for, without which they never could be.
 */
bool vhd_alloc_awaits_slots(struct vhd_alloc *a)
{
	lockdep_assert_held(&a->lock);
	if (a->failed || (list_empty(&a->freed) && list_empty(&a->clearing) &&
			  list_empty(&a->cleared) && list_empty(&a->draining)))
		return false;
	a->hurry(a);
	return true;
}

/* A slot behind everything in use, or nothing if the file must grow first. */
static int slot_at_end(struct vhd_alloc *a, u32 *entry)
{
	u64 at = vhd_slot_align(&a->leaf->layout, a->next);

	if (at + slot_sects(a) > VHD_MAX_SECTOR)
		at = a->next;
	if (at + slot_sects(a) > VHD_MAX_SECTOR)
		return -ENOSPC;
	if (at + slot_sects(a) > a->end - 1)
		return a->leaf->f.bdev && !vhd_alloc_awaits_slots(a) ? -ENOSPC : -EAGAIN;
	*entry = at;
	a->next = at + slot_sects(a);
	return 0;
}

static int take_slot(struct vhd_alloc *a, struct vhd_slot *slot, u64 *stale)
{
	struct vhd_slot *s = list_first_entry_or_null(&a->free, struct vhd_slot, list);
	int ret;

	if (s) {
		list_del(&s->list);
		slot->entry = s->entry;
		*stale = slot_sects(a);
		kfree(s);
		return 0;
	}
	ret = slot_at_end(a, &slot->entry);
	if (!ret)
		*stale = a->stale_end > slot->entry ?
			 min_t(u64, a->stale_end - slot->entry, slot_sects(a)) : 0;
	return ret;
}

static void kick(struct vhd_alloc *a)
{
	WRITE_ONCE(a->kicked, true);
	wake_up(&a->wait);
}

/**
 * vhd_alloc_is_low() - is it time to extend the file?
 * @a: allocator
 *
 * An extension takes a commit of the file system's journal; blocks for half of
 * the next one should be left for as long as that takes.
 *
 * Context: under the allocator's lock.
 */
bool vhd_alloc_is_low(const struct vhd_alloc *a)
{
	u64 low = min_t(u64, (u64)a->unused * slot_sects(a), a->step / 2);

	return a->next + low > a->end - 1;
}

static void kick_if_low(struct vhd_alloc *a)
{
	if (!a->leaf->f.bdev && !READ_ONCE(a->no_space) && vhd_alloc_is_low(a))
		kick(a);
}

/* Return: 0 with a slot, 1 if there is nothing to do, -EINPROGRESS, errno. */
static int begin_block(struct vhd_alloc *a, u32 block, u64 *word, struct vhd_waiter *w,
		       struct fresh_block *fresh)
{
	u64 now = READ_ONCE(*word);
	int ret;

	lockdep_assert_held(&a->lock);
	if (vhd_word_unresolved(now) || leaf_holds(a, now))
		return 1;
	w->block = block;
	if (now & VHD_WORD_ALLOCATING) {
		list_add_tail(&w->list, &a->parked);
		return -EINPROGRESS;
	}
	if (a->failed)
		return -EIO;
	ret = take_slot(a, fresh->slot, &fresh->stale);
	if (ret == -EAGAIN) {
		list_add_tail(&w->list, &a->waiting);
		/* A device cannot grow: there it waits for freed slots. */
		if (!a->leaf->f.bdev)
			kick(a);
		return -EINPROGRESS;
	}
	if (!ret) {
		WRITE_ONCE(*word, now | VHD_WORD_ALLOCATING);
		a->unused--;
	}
	kick_if_low(a);
	return ret;
}

static int clean_slot(struct vhd_alloc *a, const struct fresh_block *fresh)
{
	if (!fresh->stale)
		return 0;
	return vhd_io_zero(&a->leaf->f, (u64)fresh->slot->entry << VHD_SECTOR_SHIFT,
			   fresh->stale << VHD_SECTOR_SHIFT, false);
}

static int prepare_block(struct vhd_alloc *a, u32 block, struct fresh_block *fresh)
{
	u32 sects = a->leaf->layout.block_sects;

	fresh->slot = kmalloc(sizeof(*fresh->slot), GFP_KERNEL);
	if (!fresh->slot || vhd_layer_reserve_entry(a->leaf, block))
		return -ENOMEM;
	if (a->leaf->layout.type == VHD_TYPE_DYNAMIC)
		return 0;
	/* For a block that had one owner or none so far; the word may change yet. */
	fresh->owners = vhd_owners_alloc(block, sects, 1, &a->map->owners_bytes,
					 GFP_KERNEL);
	return fresh->owners ? 0 : -ENOMEM;
}

/* What was not needed. */
static void drop_block(struct fresh_block *fresh)
{
	kfree(fresh->slot);
	if (fresh->owners)
		vhd_owners_put(fresh->owners);
}

/* The descriptor of a block, which may have been there before. */
static struct vhd_owners *owners_of(struct fresh_block *fresh, u64 word)
{
	struct vhd_owners *o = vhd_word_owners(word);
	u32 layer = vhd_word_layer(word);

	if (o || !fresh->owners)
		return o;
	swap(o, fresh->owners);
	o->nr = 1;
	o->run[0].layer = layer;
	o->run[0].sect = layer ? vhd_word_sect(word) : 0;
	return o;
}

/* The map says from now on that the leaf has the block. */
static void publish_block(struct vhd_alloc *a, u32 block, u64 *word, struct fresh_block *fresh)
{
	u64 data = vhd_bat_data_sect(&a->leaf->layout, fresh->slot->entry);
	struct vhd_owners *o = owners_of(fresh, *word);

	lockdep_assert_held(&a->lock);
	if (o) {
		o->data = data;
		/* Readers see @data once they see @entry. */
		smp_store_release(&o->entry, fresh->slot->entry);
		WRITE_ONCE(*word, (unsigned long)o | VHD_WORD_OWNERS | VHD_WORD_UNCOMMITTED);
	} else {
		WRITE_ONCE(*word, vhd_word_full(a->leaf->id, data) | VHD_WORD_UNCOMMITTED);
	}
	a->leaf->misaligned += !!(data % 8);
	vhd_alloc_make_dirty(a, block);
	atomic64_inc(&a->allocations);
}

static void wake_list(struct list_head *list, int err)
{
	struct vhd_waiter *w, *n;

	list_for_each_entry_safe(w, n, list, list) {
		list_del_init(&w->list);
		w->wake(w, err);
	}
}

static void unpark(struct vhd_alloc *a, u32 block, struct list_head *out)
{
	struct vhd_waiter *w, *n;

	lockdep_assert_held(&a->lock);
	list_for_each_entry_safe(w, n, &a->parked, list)
		if (w->block == block)
			list_move_tail(&w->list, out);
}

/*
 * That a slot could be zeroed says something about space only if the last one
 * could not: it may never have been a hole.
 */
static void report_slot(struct vhd_alloc *a, u64 stale, int err)
{
	bool full = vhd_is_full(err);

	if (stale && (full || (!err && READ_ONCE(a->slot_full)))) {
		WRITE_ONCE(a->slot_full, full);
		vhd_alloc_report(a, err);
	}
}

/* What may take time, without the lock; then the block is there, or its slot is back. */
static int fill_block(struct vhd_alloc *a, u32 block, u64 *word, struct fresh_block *fresh)
{
	u32 entry = fresh->slot->entry;
	int ret = clean_slot(a, fresh);
	LIST_HEAD(woken);

	mutex_lock(&a->lock);
	if (!ret) {
		publish_block(a, block, word, fresh);
	} else {
		WRITE_ONCE(*word, *word & ~VHD_WORD_ALLOCATING);
		a->unused++;
		/* One that cannot be written is not tried again. */
		if (ret == -ENOMEM || vhd_is_full(ret)) {
			list_add_tail(&fresh->slot->list, &a->free);
			fresh->slot = NULL;
		}
	}
	unpark(a, block, &woken);
	mutex_unlock(&a->lock);
	trace_vhdblk_alloc(a, block, entry, fresh->stale, ret);
	wake_list(&woken, 0);
	report_slot(a, fresh->stale, ret);
	return ret;
}

/**
 * vhd_alloc_block() - give the leaf a block
 * @a: allocator
 * @block: of the leaf; resolved
 * @w: woken later if this returns -EINPROGRESS
 *
 * Context: sleeps, for I/O if the slot must be zeroed; never for another
 * request or for space: then @w waits, not the thread.
 * Return: 0: look at the map again. -EINPROGRESS: @w is woken when it is worth
 * trying again. -ENOSPC, -EIO (metadata failed before), -ENOMEM or what zeroing
 * the slot said.
 */
int vhd_alloc_block(struct vhd_alloc *a, u32 block, struct vhd_waiter *w)
{
	u64 *word = vhd_map_slot(a->map, block);
	struct fresh_block fresh = {};
	int ret;

	ret = word ? prepare_block(a, block, &fresh) : -ENOMEM;
	if (!ret) {
		mutex_lock(&a->lock);
		ret = begin_block(a, block, word, w, &fresh);
		mutex_unlock(&a->lock);
	}
	/* A device below tells nobody when it has space again: see it here. */
	if (ret == -ENOSPC || (!ret && a->leaf->f.bdev))
		vhd_alloc_report(a, ret);
	if (!ret)
		ret = fill_block(a, block, word, &fresh);
	drop_block(&fresh);
	return ret == 1 ? 0 : ret;
}

static void unpublish_block(struct vhd_alloc *a, u32 block, u64 *word, struct vhd_slot *slot)
{
	struct vhd_owners *o;

	slot->entry = vhd_alloc_entry(a, block, &o);
	trace_vhdblk_free(a, block, slot->entry);
	a->leaf->misaligned -= !!(vhd_bat_data_sect(&a->leaf->layout, slot->entry) % 8);
	list_add_tail(&slot->list, &a->freed);
	WRITE_ONCE(*word, 0);
	a->unused++;
	vhd_alloc_make_dirty(a, block);
	atomic64_inc(&a->frees);
	if (!o)
		return;
	set_bit(VHD_OWNERS_DEAD, &o->flags);
	vhd_owners_put(o);
}

/**
 * vhd_alloc_free_block() - take a block out of an image without a parent
 * @a: allocator
 * @block: of the leaf
 * @w: woken later if this returns -EINPROGRESS
 *
 * Context: sleeps for memory only; without any the block stays.
 * Return: 0, -EINPROGRESS if the block is just being allocated, -EIO if
 * metadata failed before.
 */
int vhd_alloc_free_block(struct vhd_alloc *a, u32 block, struct vhd_waiter *w)
{
	struct vhd_slot *slot = kmalloc(sizeof(*slot), GFP_KERNEL);
	u64 *word = vhd_map_slot(a->map, block), now;
	int ret = 0;

	if (!word || !slot)
		goto out;
	mutex_lock(&a->lock);
	w->block = block;
	now = READ_ONCE(*word);
	if (now & VHD_WORD_ALLOCATING) {
		list_add_tail(&w->list, &a->parked);
		ret = -EINPROGRESS;
	} else if (a->failed) {
		ret = -EIO;
	} else if (leaf_holds(a, now)) {
		unpublish_block(a, block, word, slot);
		slot = NULL;
	}
	mutex_unlock(&a->lock);
out:
	kfree(slot);
	return ret;
}

/**
 * vhd_alloc_entry() - the BAT entry that a block should have now
 * @a: allocator, locked
 * @block: of the leaf
 * @owners: its descriptor or NULL; no reference is taken
 *
 * Return: the entry or VHD_BAT_UNUSED.
 */
u32 vhd_alloc_entry(struct vhd_alloc *a, u32 block, struct vhd_owners **owners)
{
	u64 word = vhd_map_word(a->map, block);

	lockdep_assert_held(&a->lock);
	*owners = vhd_word_owners(word);
	if (*owners)
		return (*owners)->entry;
	if (vhd_word_unresolved(word))
		return vhd_layer_entry(a->leaf, block);
	if (vhd_word_layer(word) != a->leaf->id)
		return VHD_BAT_UNUSED;
	return vhd_word_sect(word) - a->leaf->layout.bitmap_sects;
}

/**
 * vhd_alloc_make_dirty() - the next commit writes this block's BAT entry
 * @a: allocator, locked
 * @block: of the leaf
 */
void vhd_alloc_make_dirty(struct vhd_alloc *a, u32 block)
{
	lockdep_assert_held(&a->lock);
	if (!__test_and_set_bit(block, a->bat_dirty))
		a->dirty_blocks++;
}

/**
 * vhd_alloc_take_dirty() - take blocks whose BAT entry changed
 * @a: allocator, locked
 * @next: first block to look at; moved behind the last one looked at
 * @change: filled
 * @room: length of @change
 *
 * Return: how many were taken, in ascending order.
 */
u32 vhd_alloc_take_dirty(struct vhd_alloc *a, u32 *next, struct vhd_change *change, u32 room)
{
	u32 nr = 0, block, end = a->map->nr_blocks;
	struct vhd_owners *o;

	lockdep_assert_held(&a->lock);
	while (nr < room && *next < end) {
		block = a->dirty_blocks ? find_next_bit(a->bat_dirty, end, *next) : end;
		*next = block < end ? block + 1 : end;
		if (block >= end)
			break;
		__clear_bit(block, a->bat_dirty);
		a->dirty_blocks--;
		change[nr].block = block;
		change[nr].entry = vhd_alloc_entry(a, block, &o);
		change[nr].flags = VHD_CHANGE_BAT;
		change[nr].bitmap_first = 0;
		change[nr++].bitmap_nr = 0;
	}
	return nr;
}

/**
 * vhd_alloc_committed() - what is on disk is what the map says
 * @a: allocator, locked
 * @block: of the leaf
 *
 * A descriptor of which every bit is set and that nobody else holds is replaced
 * by a plain word. Nobody can take a new reference: only writes that set a bit
 * do.
 */
void vhd_alloc_committed(struct vhd_alloc *a, u32 block)
{
	u64 *word = vhd_map_slot(a->map, block);
	struct vhd_owners *o;

	lockdep_assert_held(&a->lock);
	if (!word || test_bit(block, a->bat_dirty))
		return;
	WRITE_ONCE(*word, *word & ~VHD_WORD_UNCOMMITTED);
	o = vhd_word_owners(*word);
	if (!o || o->entry == VHD_BAT_UNUSED || o->limit != o->sects)
		return;
	/* Bits get set meanwhile, but never cleared. */
	if (!data_race(vhd_bitmap_all_set((const u8 *)o->bits, 0, o->sects)))
		return;
	smp_rmb(); /* bits before the count: see above */
	if (refcount_read(&o->ref) != 1)
		return;
	WRITE_ONCE(*word, vhd_word_full(a->leaf->id, o->data) | (*word & VHD_WORD_ALLOCATING));
	vhd_owners_put(o);
}

/**
 * vhd_alloc_commit_begin() - slots freed until now are cleared by this commit
 * @a: allocator, locked
 */
void vhd_alloc_commit_begin(struct vhd_alloc *a)
{
	lockdep_assert_held(&a->lock);
	list_splice_tail_init(&a->freed, &a->clearing);
}

/**
 * vhd_alloc_commit_end() - no entry on disk names the freed slots any more
 * @a: allocator, locked
 * @err: the commit failed: they may still be named
 * @woken: gets the writes that wait for space, if it failed: slots that cannot be
 *	committed as free are no space either
 */
void vhd_alloc_commit_end(struct vhd_alloc *a, int err, struct list_head *woken)
{
	lockdep_assert_held(&a->lock);
	if (err)
		list_splice_tail_init(&a->waiting, woken);
	list_splice_tail_init(&a->clearing, err ? &a->freed : &a->cleared);
}

/**
 * vhd_alloc_reclaim() - make slots that nobody can see any more usable
 * @a: allocator
 *
 * Context: the committing thread, now and then and when an era has drained.
 */
void vhd_alloc_reclaim(struct vhd_alloc *a)
{
	bool usable = false;
	LIST_HEAD(woken);

	mutex_lock(&a->lock);
	if (vhd_epoch_collect(&a->epoch)) {
		list_splice_tail_init(&a->draining, &a->free);
		usable = !list_empty(&a->free);
		if (usable)
			list_splice_tail_init(&a->waiting, &woken);
	}
	if (!list_empty(&a->cleared) && list_empty(&a->draining) && vhd_epoch_turn(&a->epoch))
		list_splice_tail_init(&a->cleared, &a->draining);
	mutex_unlock(&a->lock);
	if (usable)
		vhd_alloc_report(a, 0);
	wake_list(&woken, 0);
}

/**
 * vhd_alloc_report() - tell when space runs out and when it is back
 * @a: allocator
 * @err: outcome of the last attempt to get some
 */
void vhd_alloc_report(struct vhd_alloc *a, int err)
{
	bool full = vhd_is_full(err);

	/* Another error says nothing about space. */
	if ((full || !err) && xchg(&a->no_space, full) != full)
		a->notify(a, full ? -ENOSPC : 0);
}

/**
 * vhd_alloc_fail() - metadata on disk are no longer what we think
 * @a: allocator
 * @err: why
 *
 * From now on nothing but data is written, also not by detach.
 */
void vhd_alloc_fail(struct vhd_alloc *a, int err)
{
	LIST_HEAD(woken);
	bool first;

	mutex_lock(&a->lock);
	first = !a->failed;
	if (first)
		WRITE_ONCE(a->failed, err);
	list_splice_tail_init(&a->waiting, &woken);
	mutex_unlock(&a->lock);
	if (first)
		a->broken(a, err);
	wake_list(&woken, -EIO);
}
