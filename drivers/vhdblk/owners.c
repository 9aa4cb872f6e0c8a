// SPDX-License-Identifier: GPL-2.0
/*
 * Who owns which sector of one block: the walk down the chain, done once, and
 * the descriptor that remembers its outcome. Afterwards depth costs nothing.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "owners.h"

/**
 * vhd_owners_alloc() - an empty descriptor with one reference
 * @block: block number
 * @sects: sectors of a block
 * @runs: room for this many parent runs
 * @account: counts the bytes for as long as the descriptor lives
 *
 * Return: a descriptor without runs and without a block in the leaf, or NULL.
 */
struct vhd_owners *vhd_owners_alloc(u32 block, u32 sects, u32 runs, atomic64_t *account)
{
	u32 bytes = round_up(sects / 8, VHD_SECTOR_SIZE);
	struct vhd_owners *o;
	size_t head = round_up(struct_size(o, run, runs), sizeof(long)), size;

	/*
	 * The low bits of the pointer carry flags of the map, and only powers
	 * of two come naturally aligned from kmalloc().
	 */
	size = roundup_pow_of_two(head + 2 * bytes);
	o = kvzalloc(size, GFP_KERNEL);
	if (!o)
		return NULL;
	o->account = account;
	o->bytes = size;
	atomic64_add(size, account);
	refcount_set(&o->ref, 1);
	o->block = block;
	o->entry = VHD_BAT_UNUSED;
	o->sects = sects;
	o->limit = sects;
	o->bitmap_bytes = bytes;
	o->bits = (void *)o + head;
	o->copy = (void *)o + head + bytes;
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
 * Context: any.
 */
void vhd_owners_free(struct vhd_owners *o)
{
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

/*
 * What one layer said last in a walk, and the bitmap it said so from. Parents
 * may have smaller or larger blocks than the leaf.
 */
struct walk_layer {
	u8 *bitmap;
	u32 bitmap_block;
	u64 from;
	u64 to;
	struct vhd_run run;
};

/* State of one walk: runs times layers steps, however the runs interleave. */
struct walk {
	struct vhd_chain *chain;
	struct walk_layer *layer;
	u64 end;
	struct vhd_owner *run;
	u32 nr;
	u32 room;
};

static int walk_init(struct walk *w, struct vhd_chain *c)
{
	u32 i;

	memset(w, 0, sizeof(*w));
	w->chain = c;
	w->layer = kvcalloc(c->depth, sizeof(*w->layer), GFP_KERNEL);
	if (!w->layer)
		return -ENOMEM;
	for (i = 0; i < c->depth; i++)
		w->layer[i].bitmap_block = ~0u;
	return 0;
}

static void walk_exit(struct walk *w)
{
	u32 i;

	for (i = 0; w->layer && i < w->chain->depth; i++)
		kvfree(w->layer[i].bitmap);
	kvfree(w->layer);
	kvfree(w->run);
}

static int walk_add(struct walk *w, u32 first, u32 layer, u64 sect)
{
	struct vhd_owner *last = w->nr ? &w->run[w->nr - 1] : NULL, *run;
	u32 room;

	if (last && last->layer == layer &&
	    (!layer || last->sect + (first - last->first) == sect))
		return 0;
	if (w->nr == w->room) {
		room = max_t(u32, 16, w->room * 2);
		run = kvmalloc_array(room, sizeof(*run), GFP_KERNEL);
		if (!run)
			return -ENOMEM;
		if (w->nr)
			memcpy(run, w->run, w->nr * sizeof(*run));
		kvfree(w->run);
		w->run = run;
		w->room = room;
	}
	w->run[w->nr++] = (struct vhd_owner){ .first = first, .layer = layer, .sect = sect };
	return 0;
}

static int walk_bitmap(struct walk *w, struct vhd_layer *l, u32 block, u32 entry)
{
	size_t size = round_up(l->layout.bitmap_sects << VHD_SECTOR_SHIFT, PAGE_SIZE);
	struct walk_layer *wl = &w->layer[l->id - 1];
	int ret;

	if (!wl->bitmap) {
		wl->bitmap = kvmalloc(size, GFP_KERNEL);
		if (!wl->bitmap)
			return -ENOMEM;
	}
	if (wl->bitmap_block == block)
		return 0;
	wl->bitmap_block = ~0u;
	ret = vhd_layer_read_bitmap(l, entry, wl->bitmap);
	if (!ret)
		wl->bitmap_block = block;
	return ret;
}

/* Ask a layer about everything from @sector to the end of the leaf's block. */
static int ask_layer(struct walk *w, struct vhd_layer *l, u64 sector)
{
	struct walk_layer *wl = &w->layer[l->id - 1];
	u32 entry = VHD_BAT_UNUSED, block = 0;
	const u8 *bitmap;
	int ret;

	if (l->layout.type != VHD_TYPE_FIXED && sector < l->layout.capacity) {
		block = sector >> l->layout.block_shift;
		entry = vhd_layer_entry(l, block);
		if (entry == VHD_BAT_BAD)
			return -EIO;
	}
	bitmap = wl->bitmap_block == block ? wl->bitmap : NULL;
	vhd_map_step(&l->layout, sector, w->end - sector, entry, bitmap, &wl->run);
	if (wl->run.answer == VHD_NEED_BITMAP) {
		ret = walk_bitmap(w, l, block, entry);
		if (ret)
			return ret;
		vhd_map_step(&l->layout, sector, w->end - sector, entry, wl->bitmap, &wl->run);
	}
	wl->from = sector;
	wl->to = sector + wl->run.sects;
	return wl->run.answer == VHD_BAD || wl->run.answer == VHD_NEED_BITMAP ? -EIO : 0;
}

/* What one layer says about @sector, at most @nr sectors of it. */
static int walk_layer(struct walk *w, struct vhd_layer *l, u64 sector, u64 nr,
		      struct vhd_run *run)
{
	struct walk_layer *wl = &w->layer[l->id - 1];
	int ret;

	if (sector < wl->from || sector >= wl->to) {
		ret = ask_layer(w, l, sector);
		if (ret)
			return ret;
	}
	*run = wl->run;
	if (run->answer == VHD_DATA)
		run->file_sect += sector - wl->from;
	run->sects = min(nr, wl->to - sector);
	return 0;
}

/* The first layer below the leaf that says something about @sector decides. */
static int walk_run(struct walk *w, u64 sector, u64 *nr, u32 *layer, u64 *sect)
{
	struct vhd_run run;
	u32 i;
	int ret;

	*layer = 0;
	*sect = 0;
	for (i = 1; i < w->chain->depth; i++) {
		ret = walk_layer(w, &w->chain->layer[i], sector, *nr, &run);
		if (ret)
			return ret;
		*nr = min(*nr, run.sects);
		if (run.answer == VHD_HOLE)
			continue;
		if (run.answer == VHD_DATA) {
			*layer = i + 1;
			*sect = run.file_sect;
		}
		return 0;
	}
	return 0;
}

static int walk_parents(struct walk *w, u32 block, u32 sects)
{
	u64 base = (u64)block * sects, nr, sect;
	u32 pos, layer;
	int ret;

	w->end = base + sects;
	for (pos = 0; pos < sects; pos += nr) {
		nr = sects - pos;
		ret = walk_run(w, base + pos, &nr, &layer, &sect);
		if (!ret)
			ret = walk_add(w, pos, layer, sect);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* The leaf's own block: where it is, which sectors it has, where it is cut. */
static int resolve_leaf(struct walk *w, struct vhd_owners *o)
{
	struct vhd_layer *leaf = vhd_chain_leaf(w->chain);
	u32 entry = vhd_layer_entry(leaf, o->block);
	int ret;

	if (entry == VHD_BAT_BAD)
		return -EIO;
	if (entry == VHD_BAT_UNUSED)
		return 0;
	o->data = vhd_bat_data_sect(&leaf->layout, entry);
	o->entry = entry;
	if (o->block == leaf->cut_block)
		o->limit = clamp_t(s64, READ_ONCE(leaf->layout.end) - o->data, 0, o->sects);
	ret = walk_bitmap(w, leaf, o->block, entry);
	if (!ret)
		memcpy(o->bits, w->layer[0].bitmap, o->bitmap_bytes);
	return ret;
}

/**
 * vhd_owners_resolve() - find the owners of a block
 * @c: the chain
 * @block: block of the leaf
 * @account: see vhd_owners_alloc()
 *
 * Reads the sector bitmaps that decide, of as many layers as it takes.
 *
 * Context: sleeps.
 * Return: a descriptor with one reference; -EIO if a BAT entry on the way is
 * bad or a bitmap cannot be read, -ENOMEM.
 */
struct vhd_owners *vhd_owners_resolve(struct vhd_chain *c, u32 block, atomic64_t *account)
{
	u32 sects = vhd_chain_leaf(c)->layout.block_sects;
	struct vhd_owners *o = NULL;
	struct walk w;
	int ret;

	ret = walk_init(&w, c);
	if (!ret && c->depth > 1)
		ret = walk_parents(&w, block, sects);
	if (!ret) {
		o = vhd_owners_alloc(block, sects, w.nr, account);
		ret = o ? 0 : -ENOMEM;
	}
	if (!ret) {
		o->nr = w.nr;
		if (w.nr)
			memcpy(o->run, w.run, w.nr * sizeof(*w.run));
		ret = resolve_leaf(&w, o);
	}
	walk_exit(&w);
	if (!ret)
		return o;
	if (o)
		vhd_owners_put(o);
	return ERR_PTR(ret);
}
