// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual block to owner, one word a block, whatever the depth of the chain.
 *
 * Built at attach from the BATs alone, top to bottom. A block that any VHD
 * layer holds is marked "not looked up yet": its sector bitmaps decide, and
 * they are read when the block is first touched.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "map.h"
#include "trace.h"

/*
 * A table of the leaf that is one big hole names only bad blocks. It costs nothing
 * in the file, so its words are the same page for everybody. They stay what they
 * are: nobody writes to such a leaf, and a lookup of such a block fails.
 */
static u64 bad_words[VHD_MAP_PAGE_WORDS] = {
	[0 ... VHD_MAP_PAGE_WORDS - 1] = VHD_WORD_UNRESOLVED
};

static_assert(VHD_BAT_PAGE_ENTRIES % VHD_MAP_PAGE_WORDS == 0);

/**
 * vhd_map_slot() - the word of a block, to change it
 * @m: the map
 * @block: of the leaf
 *
 * Context: sleeps.
 * Return: the word, its page allocated if need be, or NULL without memory.
 */
u64 *vhd_map_slot(struct vhd_map *m, u32 block)
{
	u64 **slot = &m->page[block >> VHD_MAP_PAGE_SHIFT];
	u64 *page = READ_ONCE(*slot);

	if (!page) {
		page = kzalloc(PAGE_SIZE, GFP_KERNEL);
		if (!page)
			return NULL;
		if (cmpxchg(slot, NULL, page)) {
			kfree(page);
			page = READ_ONCE(*slot);
		} else {
			atomic64_add(PAGE_SIZE, &m->bytes);
		}
	}
	return &page[block & (VHD_MAP_PAGE_WORDS - 1)];
}

static int mark(struct vhd_map *m, u32 first, u32 end, u64 word)
{
	u64 *slot;
	u32 block;

	for (block = first; block < end; block++) {
		slot = vhd_map_slot(m, block);
		if (!slot)
			return -ENOMEM;
		if (!*slot)
			*slot = word;
	}
	return 0;
}

/* Leaf blocks that one block of a layer covers, wholly or in part. */
static int mark_block(struct vhd_map *m, struct vhd_layer *l, u32 block)
{
	u32 shift = vhd_chain_leaf(m->chain)->layout.block_shift;
	u64 first = (u64)block << l->layout.block_shift >> shift;
	u64 end = (((u64)block + 1) << l->layout.block_shift) + BIT_ULL(shift) - 1;

	end = min_t(u64, end >> shift, m->nr_blocks);
	return first < end ? mark(m, first, end, VHD_WORD_UNRESOLVED) : 0;
}

/* The leaf comes first: nothing is in the map yet. */
static void share_bad_words(struct vhd_map *m, struct vhd_layer *leaf)
{
	u32 i;

	for (i = 0; i < m->nr_pages; i++)
		if (vhd_layer_all_bad(leaf, i * VHD_MAP_PAGE_WORDS >> VHD_BAT_PAGE_SHIFT))
			m->page[i] = bad_words;
}

static int mark_layer(struct vhd_map *m, struct vhd_layer *l)
{
	u32 block, page;
	int ret;

	if (l == vhd_chain_leaf(m->chain))
		share_bad_words(m, l);
	for (block = 0; block < l->layout.entries; block++) {
		page = block >> VHD_BAT_PAGE_SHIFT;
		if (!(block & (VHD_BAT_PAGE_ENTRIES - 1)))
			cond_resched();
		if (!l->bat[page]) {
			block |= VHD_BAT_PAGE_ENTRIES - 1;
			continue;
		}
		if (vhd_layer_entry(l, block) == VHD_BAT_UNUSED)
			continue;
		ret = mark_block(m, l, block);
		if (ret)
			return ret;
	}
	return 0;
}

/* Behind the end of any layer above it a base does not show through. */
static u64 visible_sects(struct vhd_map *m, struct vhd_layer *l)
{
	u64 sects = l->layout.capacity;
	u32 i;

	for (i = 1; i + 1 < l->id; i++)
		sects = min(sects, m->chain->layer[i].layout.capacity);
	return sects;
}

/* A fixed base owns whatever nobody above does; its end may lie in a block. */
static int mark_fixed(struct vhd_map *m, struct vhd_layer *l)
{
	u32 shift = vhd_chain_leaf(m->chain)->layout.block_shift;
	u64 sects = visible_sects(m, l);
	u32 whole = min_t(u64, sects >> shift, m->nr_blocks);
	u32 block;
	int ret;

	for (block = 0; block < whole; block++) {
		ret = mark(m, block, block + 1, vhd_word_full(l->id, (u64)block << shift));
		if (ret)
			return ret;
	}
	if (whole < m->nr_blocks && (sects & (BIT_ULL(shift) - 1)))
		return mark(m, whole, whole + 1, VHD_WORD_UNRESOLVED);
	return 0;
}

/**
 * vhd_map_init() - build the map of a chain
 * @m: filled
 * @c: open chain
 *
 * Context: sleeps.
 * Return: 0 or -ENOMEM; vhd_map_exit() is due in both cases.
 */
int vhd_map_init(struct vhd_map *m, struct vhd_chain *c)
{
	struct vhd_layer *leaf = vhd_chain_leaf(c);
	int ret = 0;
	u32 i;

	memset(m, 0, sizeof(*m));
	m->chain = c;
	spin_lock_init(&m->lock);
	INIT_LIST_HEAD(&m->lookups);
	init_waitqueue_head(&m->looked_up);
	if (leaf->layout.type == VHD_TYPE_FIXED)
		return 0;
	m->nr_blocks = leaf->layout.entries;
	m->nr_pages = DIV_ROUND_UP(m->nr_blocks, VHD_MAP_PAGE_WORDS);
	m->page = kvcalloc(max(m->nr_pages, 1u), sizeof(*m->page), GFP_KERNEL);
	if (!m->page)
		return -ENOMEM;
	atomic64_set(&m->bytes, m->nr_pages * sizeof(*m->page));
	ret = vhd_spare_init(&m->spare, c, &m->bytes);
	for (i = 0; i < c->depth && !ret; i++) {
		if (c->layer[i].layout.type == VHD_TYPE_FIXED)
			ret = mark_fixed(m, &c->layer[i]);
		else
			ret = mark_layer(m, &c->layer[i]);
	}
	return ret;
}

static void free_page_of_words(u64 *page)
{
	u32 i;

	if (page == bad_words)
		return;
	for (i = 0; page && i < VHD_MAP_PAGE_WORDS; i++)
		if (vhd_word_owners(page[i]))
			vhd_owners_put(vhd_word_owners(page[i]));
	kfree(page);
}

/**
 * vhd_map_exit() - free the map
 * @m: initialised, perhaps in part; no request is under way
 */
void vhd_map_exit(struct vhd_map *m)
{
	u32 i;

	for (i = 0; m->page && i < m->nr_pages; i++)
		free_page_of_words(m->page[i]);
	kvfree(m->page);
	m->page = NULL;
	vhd_spare_exit(&m->spare);
}

/* Every sector of the leaf's own block is set: nobody else has a say. */
static bool leaf_owns_all(const struct vhd_owners *o)
{
	return o->entry != VHD_BAT_UNUSED && o->limit == o->sects &&
	       vhd_bitmap_all_set((const u8 *)o->bits, 0, o->sects);
}

static u64 collapse(struct vhd_owners *o, u32 leaf_id)
{
	if (leaf_owns_all(o))
		return vhd_word_full(leaf_id, o->data);
	if (o->entry != VHD_BAT_UNUSED || o->nr > 1)
		return (unsigned long)o | VHD_WORD_OWNERS;
	if (!o->nr || !o->run[0].layer)
		return 0;
	return vhd_word_full(o->run[0].layer, o->run[0].sect);
}

/* A thread that looks up a block, on its stack. */
struct lookup {
	struct list_head list;
	u32 block;
};

static bool find_lookup(struct vhd_map *m, u32 block)
{
	struct lookup *l;

	lockdep_assert_held(&m->lock);
	list_for_each_entry(l, &m->lookups, list)
		if (l->block == block)
			return true;
	return false;
}

/* Return: false if there is nothing to do, or somebody else is doing it. */
static bool begin_lookup(struct vhd_map *m, struct lookup *l, u64 *slot)
{
	bool mine;

	spin_lock(&m->lock);
	mine = vhd_word_unresolved(READ_ONCE(*slot)) && !find_lookup(m, l->block);
	if (mine)
		list_add(&l->list, &m->lookups);
	spin_unlock(&m->lock);
	return mine;
}

static bool is_looked_up(struct vhd_map *m, u32 block)
{
	bool found;

	spin_lock(&m->lock);
	found = find_lookup(m, block);
	spin_unlock(&m->lock);
	return !found;
}

/* With @new, if it is not "not looked up yet" still, as after an error. */
static void end_lookup(struct vhd_map *m, struct lookup *l, u64 *slot, u64 new)
{
	spin_lock(&m->lock);
	WRITE_ONCE(*slot, new | (*slot & VHD_WORD_FLAGS & ~VHD_WORD_OWNERS));
	list_del(&l->list);
	spin_unlock(&m->lock);
	wake_up_all(&m->looked_up);
}

/**
 * vhd_map_resolve() - look up the owners of a block
 * @m: the map
 * @block: of the leaf
 *
 * One thread does it, whoever comes meanwhile waits. As long as the word says
 * "not looked up yet" nobody writes to the block, and what was written before is
 * on disk; so the outcome is right when it gets there.
 *
 * Context: sleeps, for I/O but not for memory.
 * Return: 0 (look at the map again), -EIO, -ENOMEM.
 */
int vhd_map_resolve(struct vhd_map *m, u32 block)
{
	struct vhd_layer *leaf = vhd_chain_leaf(m->chain);
	u64 *slot = vhd_map_slot(m, block), new = VHD_WORD_UNRESOLVED;
	u64 start = trace_vhdblk_resolve_enabled() ? ktime_get_ns() : 0;
	struct lookup l = { .block = block };
	struct vhd_owners *o;

	if (!slot)
		return -ENOMEM;
	/* Its word may be everybody's. */
	if (vhd_layer_entry(leaf, block) == VHD_BAT_BAD)
		return -EIO;
	if (!begin_lookup(m, &l, slot)) {
		wait_event(m->looked_up, is_looked_up(m, block));
		return 0;
	}
	o = vhd_owners_resolve(m->chain, block, &m->owners_bytes, &m->spare);
	trace_vhdblk_resolve(m, block, o, start);
	if (!IS_ERR(o)) {
		atomic64_inc(&m->resolves);
		new = collapse(o, leaf->id);
	}
	end_lookup(m, &l, slot, new);
	if (IS_ERR(o))
		return PTR_ERR(o);
	if (!(new & VHD_WORD_OWNERS))
		vhd_owners_put(o);
	return 0;
}

/**
 * vhd_map_evict() - forget the owners of a block
 * @m: the map
 * @word: of a block whose descriptor is clean and nobody else holds
 *
 * Context: under the allocator's lock; never sleeps.
 */
void vhd_map_evict(struct vhd_map *m, u64 *word)
{
	spin_lock(&m->lock);
	WRITE_ONCE(*word, VHD_WORD_UNRESOLVED);
	spin_unlock(&m->lock);
}

static void place_in_fixed(struct vhd_map *m, u64 sector, u32 nr, struct vhd_place *e)
{
	e->layer = vhd_chain_leaf(m->chain)->id;
	e->sect = sector;
	e->sects = nr;
	e->committed = true;
}

static u32 place_start(struct vhd_map *m, u64 sector, u32 nr, struct vhd_place *e)
{
	struct vhd_layout *l = &vhd_chain_leaf(m->chain)->layout;

	memset(e, 0, sizeof(*e));
	if (!m->nr_blocks)
		return nr;
	e->block = sector >> l->block_shift;
	e->first = sector & (l->block_sects - 1);
	return min(nr, l->block_sects - e->first);
}

static void read_owners(const struct vhd_owners *o, u32 leaf, u32 nr, struct vhd_place *e)
{
	u32 end = e->first + nr;
	bool set;

	/* Pairs with publish_block(): @data is there before @entry. */
	if (smp_load_acquire(&o->entry) != VHD_BAT_UNUSED) {
		/* Bits get set meanwhile: a sector as it was, or as it is. */
		nr = data_race(vhd_bitmap_run((const u8 *)o->bits, e->first, end, &set));
		end = e->first + nr;
		if (set && e->first >= o->limit) {
			e->sects = nr;
			return;
		}
		if (set) {
			e->layer = leaf;
			e->sect = o->data + e->first;
			e->sects = min(end, o->limit) - e->first;
			return;
		}
	}
	e->sects = vhd_owners_parent_run(o, e->first, end, &e->layer, &e->sect);
}

/**
 * vhd_map_read() - where to read a stretch from
 * @m: the map
 * @sector: virtual sector
 * @nr: sectors, at least 1, within the disk
 * @e: the answer for the first part of the stretch
 *
 * Context: any; never sleeps.
 * Return: VHD_LOOKUP_OK or VHD_LOOKUP_RESOLVE.
 */
enum vhd_lookup vhd_map_read(struct vhd_map *m, u64 sector, u32 nr, struct vhd_place *e)
{
	u64 word;

	nr = place_start(m, sector, nr, e);
	if (!m->nr_blocks) {
		place_in_fixed(m, sector, nr, e);
		return VHD_LOOKUP_OK;
	}
	rcu_read_lock();
	word = vhd_map_word(m, e->block);
	if (vhd_word_unresolved(word)) {
		rcu_read_unlock();
		return VHD_LOOKUP_RESOLVE;
	}
	if (word & VHD_WORD_OWNERS) {
		read_owners(vhd_word_owners(word), vhd_chain_leaf(m->chain)->id, nr, e);
	} else {
		e->layer = vhd_word_layer(word);
		e->sect = vhd_word_sect(word) + e->first;
		e->sects = nr;
	}
	rcu_read_unlock();
	return VHD_LOOKUP_OK;
}

static enum vhd_lookup write_owners(struct vhd_owners *o, u32 leaf, u32 nr,
				    struct vhd_place *e)
{
	/* Pairs with publish_block(): @data is there before @entry. */
	if (smp_load_acquire(&o->entry) == VHD_BAT_UNUSED)
		return VHD_LOOKUP_ALLOC;
	if (e->first >= o->limit)
		return VHD_LOOKUP_CUT;
	nr = min(nr, o->limit - e->first);
	e->layer = leaf;
	e->sect = o->data + e->first;
	e->sects = nr;
	/* Bits get set meanwhile, but never cleared. */
	if (data_race(vhd_bitmap_all_set((const u8 *)o->bits, e->first, nr))) {
		/*
		 * Bits before flags: whoever set one of them a moment ago holds
		 * a reference until it is on the dirty list.
		 */
		smp_rmb();
		e->committed = e->committed && vhd_owners_committed(o) &&
			       refcount_read(&o->ref) == 1;
		return VHD_LOOKUP_OK;
	}
	e->committed = false;
	/* The map's reference may be dropped at any time: look again. */
	if (!refcount_inc_not_zero(&o->ref))
		return VHD_LOOKUP_RESOLVE;
	e->owners = o;
	return VHD_LOOKUP_OK;
}

/**
 * vhd_map_write() - where to write a stretch to
 * @m: the map
 * @sector: virtual sector
 * @nr: sectors, at least 1, within the disk
 * @e: the answer for the part of the stretch in the first block; the caller
 *	drops @e->owners after it has set the bits
 *
 * Context: any; never sleeps.
 * Return: what there is to do first.
 */
enum vhd_lookup vhd_map_write(struct vhd_map *m, u64 sector, u32 nr, struct vhd_place *e)
{
	u32 leaf = vhd_chain_leaf(m->chain)->id;
	enum vhd_lookup ret = VHD_LOOKUP_OK;
	u64 word;

	nr = place_start(m, sector, nr, e);
	if (!m->nr_blocks) {
		place_in_fixed(m, sector, nr, e);
		return VHD_LOOKUP_OK;
	}
	rcu_read_lock();
	word = vhd_map_word(m, e->block);
	e->committed = !(word & VHD_WORD_UNCOMMITTED);
	if (vhd_word_unresolved(word)) {
		ret = VHD_LOOKUP_RESOLVE;
	} else if (word & VHD_WORD_OWNERS) {
		ret = write_owners(vhd_word_owners(word), leaf, nr, e);
	} else if (vhd_word_layer(word) == leaf) {
		e->layer = leaf;
		e->sect = vhd_word_sect(word) + e->first;
		e->sects = nr;
	} else {
		ret = VHD_LOOKUP_ALLOC;
	}
	rcu_read_unlock();
	return ret;
}
