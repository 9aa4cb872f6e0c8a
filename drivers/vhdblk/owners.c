// SPDX-License-Identifier: GPL-2.0
/*
 * Who owns which sector of one block: the descriptor that remembers what
 * resolve.c found out. Afterwards depth costs nothing.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "owners.h"

/**
 * vhd_owners_reset() - make a descriptor say that nobody owns anything
 * @o: nobody else knows it; its size and its account stay
 * @block: block number
 *
 * The caller has one reference. Runs are left alone, but none of them counts.
 */
void vhd_owners_reset(struct vhd_owners *o, u32 block)
{
	refcount_set(&o->ref, 1);
	o->block = block;
	o->flags = 0;
	o->entry = VHD_BAT_UNUSED;
	o->data = 0;
	o->limit = o->sects;
	o->nr = 0;
	memset(o->bits, 0, o->bitmap_bytes);
}

/**
 * vhd_owners_alloc() - an empty descriptor with one reference
 * @block: block number
 * @sects: sectors of a block
 * @runs: room for this many parent runs
 * @account: counts the bytes for as long as the descriptor lives
 * @gfp: how hard to try
 *
 * Return: a descriptor without runs and without a block in the leaf, or NULL.
 */
struct vhd_owners *vhd_owners_alloc(u32 block, u32 sects, u32 runs, atomic64_t *account,
				    gfp_t gfp)
{
	u32 bytes = round_up(sects / 8, VHD_SECTOR_SIZE);
	struct vhd_owners *o;
	size_t head = round_up(struct_size(o, run, runs), sizeof(long)), size;

	/*
	 * The low bits of the pointer carry flags of the map, and only powers
	 * of two come naturally aligned from kmalloc().
	 */
	size = roundup_pow_of_two(head + 2 * bytes);
	o = kvzalloc(size, gfp);
	if (!o)
		return NULL;
	o->account = account;
	o->bytes = size;
	atomic64_add(size, account);
	o->sects = sects;
	o->bitmap_bytes = bytes;
	o->bits = (void *)o + head;
	o->copy = (void *)o + head + bytes;
	vhd_owners_reset(o, block);
	return o;
}

/**
 * vhd_owners_put() - drop a reference
 * @o: descriptor
 *
 * Context: any.
 */
void vhd_owners_put(struct vhd_owners *o)
{
	if (refcount_dec_and_test(&o->ref))
		vhd_owners_free(o);
}

/**
 * vhd_owners_free() - free a descriptor whose last reference is gone
 * @o: descriptor; readers may still be looking at it
 *
 * The spare one is left where it is: it can be used again once these readers
 * are gone.
 *
 * Context: any.
 */
void vhd_owners_free(struct vhd_owners *o)
{
	if (o->spare) {
		o->readers = get_state_synchronize_rcu();
		/* Pairs with spare_take(): @readers is there before @idle. */
		smp_store_release(&o->idle, true);
		return;
	}
	atomic64_sub(o->bytes, o->account);
	kvfree_rcu(o, rcu);
}

/**
 * vhd_owners_set() - sectors now belong to the leaf
 * @o: descriptor, referenced
 * @first: sector within the block
 * @nr: how many
 *
 * Context: any; the data of these sectors must have been written.
 */
void vhd_owners_set(struct vhd_owners *o, u32 first, u32 nr)
{
	u32 i;

	for (i = first; i < first + nr; i++)
		if (!test_bit(vhd_owners_bit(i), o->bits))
			set_bit(vhd_owners_bit(i), o->bits);
}

/**
 * vhd_owners_parent_run() - what the parents say about a stretch
 * @o: descriptor
 * @first: sector within the block
 * @end: end of the stretch
 * @layer: id of the owner, 0 for zeros
 * @sect: where @first lies in the owner's file
 *
 * Return: the length of the answer, at least 1.
 */
u32 vhd_owners_parent_run(const struct vhd_owners *o, u32 first, u32 end,
			  u32 *layer, u64 *sect)
{
	u32 lo = 0, hi = o->nr, mid;

	*layer = 0;
	*sect = 0;
	if (!o->nr)
		return end - first;
	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (o->run[mid].first <= first)
			lo = mid;
		else
			hi = mid;
	}
	if (lo + 1 < o->nr)
		end = min(end, o->run[lo + 1].first);
	*layer = o->run[lo].layer;
	*sect = o->run[lo].sect + (first - o->run[lo].first);
	return end - first;
}
