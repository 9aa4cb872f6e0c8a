/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_OWNERS_H
#define _VHD_OWNERS_H

#include <linux/bitops.h>
#include <linux/llist.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>

#include "chain.h"

/* Bits of vhd_owners.flags */
enum {
	VHD_OWNERS_DIRTY,	/* in the list of the next commit */
	VHD_OWNERS_COMMITTING,	/* in the commit that runs */
	VHD_OWNERS_DEAD,	/* the block was freed: never commit it again */
};

/**
 * struct vhd_owner - a run of a block that one parent owns
 * @first:	sector within the block; the run ends where the next one starts
 * @layer:	id of the layer, 0 for zeros
 * @sect:	where @first lies in that layer's file
 */
struct vhd_owner {
	u32 first;
	u32 layer;
	u64 sect;
};

/**
 * struct vhd_owners - who owns which sector of one block of the leaf
 * @ref:	one for the map, one for the dirty list, one per write under way
 * @rcu:	readers look without a reference
 * @dirty:	link of the dirty list
 * @flags:	VHD_OWNERS_*
 * @block:	which block
 * @entry:	BAT entry of the leaf's own block, or VHD_BAT_UNUSED; set once,
 *		after @data, under the allocator's lock
 * @data:	first data sector of that block in the leaf
 * @limit:	sectors of it that exist: fewer than a block where the footer or
 *		EOF cuts it
 * @sects:	sectors of a block
 * @bitmap_bytes: length of @bits and of @copy
 * @bits:	the leaf's sector bitmap as on disk, bits only ever get set, by
 *		completed writes, from any context
 * @copy:	what the running commit writes; its own
 * @account:	where @bytes, the size of all this, are counted
 * @bytes:	see @account
 * @spare:	belongs to a &struct vhd_spare
 * @idle:	is the spare one, and not in use
 * @readers:	whoever may still be looking at it then, for RCU
 * @nr:		number of @run
 * @run:	the parents' runs, sorted, first at 0; immutable
 *
 * A set bit of @bits wins over @run.
 */
struct vhd_owners {
	refcount_t ref;
	u32 block;
	struct rcu_head rcu;
	struct llist_node dirty;
	unsigned long flags;
	u64 data;
	u32 entry;
	u32 limit;
	u32 sects;
	u32 bitmap_bytes;
	u32 nr;
	unsigned long *bits;
	u8 *copy;
	atomic64_t *account;
	u32 bytes;
	bool spare;
	bool idle;
	unsigned long readers;
	struct vhd_owner run[];
} __aligned(64);

void vhd_owners_reset(struct vhd_owners *o, u32 block);
struct vhd_owners *vhd_owners_alloc(u32 block, u32 sects, u32 runs, atomic64_t *account,
				    gfp_t gfp);
void vhd_owners_put(struct vhd_owners *o);
void vhd_owners_free(struct vhd_owners *o);
u32 vhd_owners_parent_run(const struct vhd_owners *o, u32 first, u32 end,
			  u32 *layer, u64 *sect);
void vhd_owners_set(struct vhd_owners *o, u32 first, u32 nr);

/* On disk bit 0 is the most significant bit of byte 0. */
static inline unsigned int vhd_owners_bit(u32 sector)
{
#ifdef __LITTLE_ENDIAN
	return sector ^ 7;
#else
	return sector ^ (BITS_PER_LONG - 1);
#endif
}

static inline bool vhd_owners_committed(const struct vhd_owners *o)
{
	unsigned long flags = READ_ONCE(o->flags);

	return !(flags & (BIT(VHD_OWNERS_DIRTY) | BIT(VHD_OWNERS_COMMITTING)));
}

#endif /* _VHD_OWNERS_H */
