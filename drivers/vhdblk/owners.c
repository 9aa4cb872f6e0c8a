// SPDX-License-Identifier: GPL-2.0
/*
 * Who owns which sector of one block: the walk down the chain, done once, and
 * the descriptor that remembers its outcome. Afterwards depth costs nothing.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "owners.h"

/**
 * vhd_owners_alloc() - an empty descriptor with one reference
 * @block: block number
 * @sects: sectors of a block
 * @runs: room for this many parent runs
 *
 * Return: a descriptor without runs and without a block in the leaf, or NULL.
 */
struct vhd_owners *vhd_owners_alloc(u32 block, u32 sects, u32 runs)
{
	u32 bytes = round_up(sects / 8, VHD_SECTOR_SIZE);
	struct vhd_owners *o;
	size_t head = round_up(struct_size(o, run, runs), sizeof(long));

	/*
	 * The low bits of the pointer carry flags of the map, and only powers
	 * of two come naturally aligned from kmalloc().
	 */
	o = kvzalloc(roundup_pow_of_two(head + 2 * bytes), GFP_KERNEL);
	if (!o)
		return NULL;
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
 * State of one walk. A bitmap is kept for each layer, of the block that the
 * walk touched last there: parents may have smaller or larger blocks.
 */
struct walk {
	struct vhd_chain *chain;
	u8 **bitmap;
	u32 *bitmap_block;
	struct vhd_owner *run;
	u32 nr;
	u32 room;
};

static int walk_init(struct walk *w, struct vhd_chain *c)
{
	memset(w, 0, sizeof(*w));
	w->chain = c;
	w->bitmap = kcalloc(c->depth, sizeof(*w->bitmap), GFP_KERNEL);
	w->bitmap_block = kcalloc(c->depth, sizeof(*w->bitmap_block), GFP_KERNEL);
	return w->bitmap && w->bitmap_block ? 0 : -ENOMEM;
}

static void walk_exit(struct walk *w)
{
	u32 i;

	for (i = 0; w->bitmap && i < w->chain->depth; i++)
		kvfree(w->bitmap[i]);
	kfree(w->bitmap);
	kfree(w->bitmap_block);
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
	u32 i = l->id - 1;
	int ret;

	if (!w->bitmap[i]) {
		w->bitmap[i] = kvmalloc(round_up(l->layout.bitmap_sects << VHD_SECTOR_SHIFT,
						 PAGE_SIZE), GFP_KERNEL);
		if (!w->bitmap[i])
			return -ENOMEM;
		w->bitmap_block[i] = ~0u;
	}
	if (w->bitmap_block[i] == block)
		return 0;
	w->bitmap_block[i] = ~0u;
	ret = vhd_layer_read_bitmap(l, entry, w->bitmap[i]);
	if (!ret)
		w->bitmap_block[i] = block;
	return ret;
}

/* What one layer says about [sector, sector + nr). */
static int walk_layer(struct walk *w, struct vhd_layer *l, u64 sector, u64 nr,
		      struct vhd_run *run)
{
	u32 entry = VHD_BAT_UNUSED, block = 0;
	const u8 *bitmap = NULL;
	int ret;

	if (l->layout.type != VHD_TYPE_FIXED && sector < l->layout.capacity) {
		block = sector >> l->layout.block_shift;
		entry = vhd_layer_entry(l, block);
		if (entry == VHD_BAT_BAD)
			return -EIO;
	}
	if (w->bitmap[l->id - 1] && w->bitmap_block[l->id - 1] == block)
		bitmap = w->bitmap[l->id - 1];
	vhd_map_step(&l->layout, sector, nr, entry, bitmap, run);
	if (run->answer == VHD_NEED_BITMAP) {
		ret = walk_bitmap(w, l, block, entry);
		if (ret)
			return ret;
		vhd_map_step(&l->layout, sector, nr, entry, w->bitmap[l->id - 1], run);
	}
	return run->answer == VHD_BAD || run->answer == VHD_NEED_BITMAP ? -EIO : 0;
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
	u32 pos = 0, layer;
	int ret;

	for (pos = 0; pos < sects; pos += nr) {
		nr = sects - pos;
		ret = walk_run(w, base + pos, &nr, &layer, &sect);
		if (!ret)
			ret = walk_add(w, pos, layer, sect);
		if (ret)
			return ret;
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
		memcpy(o->bits, w->bitmap[0], o->bitmap_bytes);
	return ret;
}

/**
 * vhd_owners_resolve() - find the owners of a block
 * @c: the chain
 * @block: block of the leaf
 *
 * Reads the sector bitmaps that decide, of as many layers as it takes.
 *
 * Context: sleeps.
 * Return: a descriptor with one reference; -EIO if a BAT entry on the way is
 * bad or a bitmap cannot be read, -ENOMEM.
 */
struct vhd_owners *vhd_owners_resolve(struct vhd_chain *c, u32 block)
{
	u32 sects = vhd_chain_leaf(c)->layout.block_sects;
	struct vhd_owners *o = NULL;
	struct walk w;
	int ret;

	ret = walk_init(&w, c);
	if (!ret && c->depth > 1)
		ret = walk_parents(&w, block, sects);
	if (!ret) {
		o = vhd_owners_alloc(block, sects, w.nr);
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
