// SPDX-License-Identifier: GPL-2.0
/*
 * The walk down the chain that finds out who owns which sector of one block,
 * done once, over bitmaps that fetch.c has read before.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "resolve.h"

/* Room of the spare descriptor: enough for 2 MiB in pieces of 2 KiB. */
#define SPARE_RUNS	1024u

/*
 * Rather fail than wait for memory that only comes back when the request is
 * done that asks: for that there is the spare.
 */
#define GFP_WALK	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

/* What one layer said last. */
struct walk_layer {
	u64 from;
	u64 to;
	struct vhd_run run;
};

/* State of one walk: runs times layers steps, however the runs interleave. */
struct vhd_walk {
	struct vhd_chain *chain;
	struct vhd_fetch *fetch;
	u64 end;		/* of the window */
	struct vhd_owner *run;
	u32 nr;
	u32 room;
	bool spare;		/* @run does not grow */
	struct walk_layer layer[];
};

static void walk_free(struct vhd_walk *w)
{
	if (!w)
		return;
	vhd_fetch_free(w->fetch);
	if (!w->spare)
		kvfree(w->run);
	kvfree(w);
}

static struct vhd_walk *walk_alloc(struct vhd_chain *c, u32 room, gfp_t gfp)
{
	struct vhd_walk *w = kvzalloc(struct_size(w, layer, c->depth), gfp);

	if (!w)
		return NULL;
	w->chain = c;
	w->fetch = vhd_fetch_alloc(c, room, gfp);
	if (w->fetch)
		return w;
	walk_free(w);
	return NULL;
}

static int walk_add(struct vhd_walk *w, u32 first, u32 layer, u64 sect)
{
	struct vhd_owner *last = w->nr ? &w->run[w->nr - 1] : NULL, *run;
	u32 room;

	if (last && last->layer == layer &&
	    (!layer || last->sect + (first - last->first) == sect))
		return 0;
	if (w->nr == w->room) {
		if (w->spare)
			return -ENOMEM;
		room = max_t(u32, 16, w->room * 2);
		run = kvmalloc_array(room, sizeof(*run), GFP_WALK);
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

/* Ask a layer about everything from @sector to the end of the window. */
static int ask_layer(struct vhd_walk *w, struct vhd_layer *l, u64 sector)
{
	struct walk_layer *wl = &w->layer[l->id - 1];
	u32 entry = VHD_BAT_UNUSED, block;
	const u8 *bitmap = NULL;
	int ret = 0;

	if (l->layout.type != VHD_TYPE_FIXED && sector < l->layout.capacity) {
		block = sector >> l->layout.block_shift;
		entry = vhd_layer_entry(l, block);
		if (entry == VHD_BAT_BAD)
			return -EIO;
		if (entry != VHD_BAT_UNUSED)
			ret = vhd_fetch_bitmap(w->fetch, l, block, &bitmap);
		if (ret)
			return ret;
	}
	vhd_map_step(&l->layout, sector, w->end - sector, entry, bitmap, &wl->run);
	wl->from = sector;
	wl->to = sector + wl->run.sects;
	return wl->run.answer == VHD_BAD ? -EIO : 0;
}

/* What one layer says about @sector, at most @nr sectors of it. */
static int walk_layer(struct vhd_walk *w, struct vhd_layer *l, u64 sector, u64 nr,
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
static int walk_run(struct vhd_walk *w, u64 sector, u64 *nr, u32 *layer, u64 *sect)
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

static int walk_window(struct vhd_walk *w, u64 sector, u64 base)
{
	u64 nr, sect;
	u32 layer;
	int ret;

	for (; sector < w->end; sector += nr) {
		nr = w->end - sector;
		ret = walk_run(w, sector, &nr, &layer, &sect);
		if (!ret)
			ret = walk_add(w, sector - base, layer, sect);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* Afterwards the runs, and the leaf's bitmap in @w->fetch, say it all. */
static int walk_block(struct vhd_walk *w, u32 block, u32 entry)
{
	u64 sects = vhd_chain_leaf(w->chain)->layout.block_sects, nr = sects;
	u64 base = block * sects, sector;
	int ret = 0;

	w->nr = 0;
	memset(w->layer, 0, w->chain->depth * sizeof(*w->layer));
	vhd_fetch_begin(w->fetch, block, entry);
	for (sector = base; sector < base + sects && !ret; sector += nr) {
		nr = vhd_fetch_window(w->fetch, sector, nr);
		w->end = sector + nr;
		ret = vhd_fetch_read(w->fetch);
		if (!ret && w->chain->depth > 1)
			ret = walk_window(w, sector, base);
	}
	return ret;
}

/* The leaf's own block: where it is, which sectors it has, where it is cut. */
static void fill_leaf(struct vhd_owners *o, const struct vhd_walk *w, u32 entry)
{
	struct vhd_layer *leaf = vhd_chain_leaf(w->chain);

	o->nr = w->nr;
	if (entry == VHD_BAT_UNUSED)
		return;
	o->data = vhd_bat_data_sect(&leaf->layout, entry);
	o->entry = entry;
	if (o->block == leaf->cut_block)
		o->limit = clamp_t(s64, READ_ONCE(leaf->layout.end) - o->data, 0, o->sects);
	memcpy(o->bits, w->fetch->bits, o->bitmap_bytes);
}

static struct vhd_owners *resolve(struct vhd_chain *c, u32 block, u32 entry,
				  atomic64_t *account)
{
	struct vhd_walk *w = walk_alloc(c, vhd_fetch_room(c, block, entry), GFP_WALK);
	struct vhd_owners *o = NULL;
	int ret = -ENOMEM;

	if (w)
		ret = walk_block(w, block, entry);
	if (!ret) {
		o = vhd_owners_alloc(block, vhd_chain_leaf(c)->layout.block_sects, w->nr,
				     account, GFP_WALK);
		ret = o ? 0 : -ENOMEM;
	}
	if (!ret) {
		if (w->nr)
			memcpy(o->run, w->run, w->nr * sizeof(*w->run));
		fill_leaf(o, w, entry);
	}
	walk_free(w);
	return ret ? ERR_PTR(ret) : o;
}

/* Waiting here for it to come back could be for ever: the waiter must evict it. */
static bool spare_take(struct vhd_spare *s)
{
	lockdep_assert_held(&s->lock);
	/* Pairs with vhd_owners_free(). */
	if (!smp_load_acquire(&s->owners->idle)) {
		WRITE_ONCE(s->wanted, true);
		return false;
	}
	cond_synchronize_rcu(s->owners->readers);
	return true;
}

static struct vhd_owners *resolve_spare(struct vhd_spare *s, u32 block, u32 entry)
{
	struct vhd_owners *o = s->owners;
	int ret = -ENOMEM;

	mutex_lock(&s->lock);
	if (spare_take(s)) {
		ret = walk_block(s->walk, block, entry);
		if (!ret) {
			o->idle = false;
			vhd_owners_reset(o, block);
			fill_leaf(o, s->walk, entry);
		}
	}
	mutex_unlock(&s->lock);
	return ret ? ERR_PTR(ret) : o;
}

/**
 * vhd_owners_resolve() - find the owners of a block
 * @c: the chain
 * @block: block of the leaf
 * @account: see vhd_owners_alloc()
 * @spare: of this chain
 *
 * Reads the sector bitmaps that decide, of as many layers as it takes.
 *
 * Context: sleeps, for I/O but not for memory.
 * Return: a descriptor with one reference; -EIO if a BAT entry on the way is
 * bad or a bitmap cannot be read, -ENOMEM if even the spare is in use: then it
 * is worth evicting that and trying again.
 */
struct vhd_owners *vhd_owners_resolve(struct vhd_chain *c, u32 block, atomic64_t *account,
				      struct vhd_spare *spare)
{
	/* Read once: if the block is old news by now, the outcome is consistent. */
	u32 entry = vhd_layer_entry(vhd_chain_leaf(c), block);
	struct vhd_owners *o;

	if (entry == VHD_BAT_BAD)
		return ERR_PTR(-EIO);
	o = resolve(c, block, entry, account);
	if (o == ERR_PTR(-ENOMEM))
		o = resolve_spare(spare, block, entry);
	return o;
}

/**
 * vhd_spare_init() - set memory aside
 * @s: filled
 * @c: chain whose leaf has blocks
 * @account: counts the bytes
 *
 * Return: 0 or -ENOMEM; vhd_spare_exit() is due in both cases.
 */
int vhd_spare_init(struct vhd_spare *s, struct vhd_chain *c, atomic64_t *account)
{
	struct vhd_layout *l = &vhd_chain_leaf(c)->layout;
	u32 runs = c->depth > 1 ? min(l->block_sects, SPARE_RUNS) : 0;

	mutex_init(&s->lock);
	s->owners = vhd_owners_alloc(0, l->block_sects, runs, account, GFP_KERNEL);
	s->walk = walk_alloc(c, vhd_fetch_min_room(c), GFP_KERNEL);
	if (!s->owners || !s->walk)
		return -ENOMEM;
	atomic64_add(vhd_fetch_bytes(s->walk->fetch), account);
	s->walk->run = s->owners->run;
	s->walk->room = runs;
	s->walk->spare = true;
	s->owners->spare = true;
	s->owners->readers = get_state_synchronize_rcu();
	s->owners->idle = true;
	return 0;
}

/**
 * vhd_spare_exit() - free it
 * @s: initialised, perhaps in part, or zeroed; nobody looks at @s->owners
 */
void vhd_spare_exit(struct vhd_spare *s)
{
	walk_free(s->walk);
	kvfree(s->owners);
	s->walk = NULL;
	s->owners = NULL;
}
