/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_MAP_H
#define _VHD_MAP_H

#include "resolve.h"

/*
 * One word for each block of the leaf, read with a single READ_ONCE():
 *
 *	0			nobody owns any of it: zeros
 *	layer, sector		one layer owns all of it, its data are there
 *	pointer | OWNERS	several do: struct vhd_owners
 *	0 | OWNERS		not looked up yet
 *
 * The flags stand beside the owner and do not change what a reader sees. Words
 * change under the allocator's lock, except from "not looked up yet" to the
 * outcome, which is done under the map's.
 */
#define VHD_WORD_OWNERS		BIT_ULL(0)
#define VHD_WORD_UNCOMMITTED	BIT_ULL(1)
#define VHD_WORD_ALLOCATING	BIT_ULL(2)
#define VHD_WORD_FLAGS		GENMASK_ULL(3, 0)
#define VHD_WORD_SECT_SHIFT	4
#define VHD_WORD_LAYER_SHIFT	52
#define VHD_WORD_UNRESOLVED	VHD_WORD_OWNERS

#define VHD_MAP_PAGE_SHIFT	9
#define VHD_MAP_PAGE_WORDS	512u	/* 1 << VHD_MAP_PAGE_SHIFT */

/* Descriptors of one device: from here on the clean ones are dropped. */
#define VHD_MAP_OWNERS_MAX	(64ll << 20)
/* Words that one search looks at. */
#define VHD_MAP_EVICT_SCAN	4096u

/**
 * struct vhd_map - virtual block to owner
 * @chain:	whose
 * @nr_blocks:	of the leaf; 0 if the leaf is fixed: then there is no map
 * @page:	pages of words, NULL where nobody owns anything
 * @nr_pages:	length of @page
 * @resolves:	how often owners were looked up
 * @bytes:	memory of the words
 * @owners_bytes: memory of the descriptors
 * @hand:	where the search for descriptors to drop goes on
 * @spare:	to look up owners with when there is no memory
 * @lock:	protects @lookups, and words that say "not looked up yet" or are
 *		about to; innermost
 * @lookups:	blocks that are just being looked up
 * @looked_up:	waited for by who wants one of them
 */
struct vhd_map {
	struct vhd_chain *chain;
	u32 nr_blocks;
	u32 nr_pages;
	u64 **page;
	atomic64_t resolves;
	atomic64_t bytes;
	atomic64_t owners_bytes;
	u32 hand;
	struct vhd_spare spare;
	spinlock_t lock;	/* see above */
	struct list_head lookups;
	wait_queue_head_t looked_up;
};

enum vhd_lookup {
	VHD_LOOKUP_OK,
	VHD_LOOKUP_RESOLVE,	/* owners not known yet: vhd_map_resolve() */
	VHD_LOOKUP_ALLOC,	/* a write, and the leaf has no block there */
	VHD_LOOKUP_CUT,		/* a write into what the footer or EOF cuts off */
};

/**
 * struct vhd_place - where a stretch of the disk lies
 * @layer:	id of the layer, 0 for zeros
 * @sects:	length
 * @sect:	first sector in the layer's file
 * @block:	of the leaf
 * @first:	sector within the block
 * @committed:	a write that is durable needs no commit
 * @owners:	referenced, if the write must set bits when it has completed
 */
struct vhd_place {
	u32 layer;
	u32 sects;
	u64 sect;
	u32 block;
	u32 first;
	bool committed;
	struct vhd_owners *owners;
};

int vhd_map_init(struct vhd_map *m, struct vhd_chain *c);
void vhd_map_exit(struct vhd_map *m);
u64 *vhd_map_slot(struct vhd_map *m, u32 block);
int vhd_map_resolve(struct vhd_map *m, u32 block);
void vhd_map_evict(struct vhd_map *m, u64 *word);
enum vhd_lookup vhd_map_read(struct vhd_map *m, u64 sector, u32 nr, struct vhd_place *e);
enum vhd_lookup vhd_map_write(struct vhd_map *m, u64 sector, u32 nr, struct vhd_place *e);

static inline u64 vhd_map_word(const struct vhd_map *m, u32 block)
{
	u64 *page = READ_ONCE(m->page[block >> VHD_MAP_PAGE_SHIFT]);

	return page ? READ_ONCE(page[block & (VHD_MAP_PAGE_WORDS - 1)]) : 0;
}

static inline u64 vhd_word_full(u32 layer, u64 sect)
{
	return (u64)layer << VHD_WORD_LAYER_SHIFT | sect << VHD_WORD_SECT_SHIFT;
}

static inline u32 vhd_word_layer(u64 word)
{
	return word >> VHD_WORD_LAYER_SHIFT;
}

static inline u64 vhd_word_sect(u64 word)
{
	return (word & GENMASK_ULL(VHD_WORD_LAYER_SHIFT - 1, VHD_WORD_SECT_SHIFT)) >>
	       VHD_WORD_SECT_SHIFT;
}

static inline bool vhd_word_unresolved(u64 word)
{
	return (word & ~(VHD_WORD_FLAGS & ~VHD_WORD_OWNERS)) == VHD_WORD_UNRESOLVED;
}

/* Valid under rcu_read_lock() or the allocator's lock. */
static inline struct vhd_owners *vhd_word_owners(u64 word)
{
	if (!(word & VHD_WORD_OWNERS))
		return NULL;
	return (struct vhd_owners *)(unsigned long)(word & ~VHD_WORD_FLAGS);
}

#endif /* _VHD_MAP_H */
