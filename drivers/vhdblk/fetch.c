// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: Reading sector bitmaps for a walk
 *
 * The bitmaps that can have a say about a block are read before the walk, all
 * at once and of all layers: that takes as long as one read, however deep the
 * chain is. It reads more than a walk from the top down would have needed where
 * an upper layer turns out to own everything. But nobody knows that before its
 * bitmap is there, what is too much are 512 bytes a layer, and they go out under
 * one plug.
 *
 * Of a bitmap only the sectors that decide are read. Where blocks of a parent
 * are smaller than those of the leaf there may be very many: the block is then
 * done in windows, as large as the room for bitmaps allows. A window of one
 * sector needs one sector of bitmap a layer, so any room will do that has as
 * many beside the leaf's own bitmap.
 *
 * A bitmap that cannot be read does no harm unless the walk comes to it.
 */
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "fetch.h"

/* Most that one window takes; more than vhd_fetch_min_room() can be. */
#define FETCH_ROOM	1024u

/* The part of one bitmap that decides about the window. */
struct vhd_fetch_span {
	u32 layer;
	u32 block;
	u32 entry;
	u32 first;	/* sector of the bitmap */
	u32 nr;
	u32 slot;	/* sector of vhd_fetch.bits */
	int err;
};

/* A piece of a span, within one page of memory. */
struct vhd_fetch_read {
	struct vhd_io io;
	struct bio_vec bv;
	struct vhd_fetch *f;
	struct vhd_fetch_span *span;
};

static size_t bits_bytes(u32 room)
{
	return round_up(room << VHD_SECTOR_SHIFT, PAGE_SIZE);
}

/**
 * vhd_fetch_alloc() - get memory to read bitmaps into
 * @c: the chain
 * @room: sectors; at least vhd_fetch_room() for a block, vhd_fetch_min_room()
 *	for any
 * @gfp: how hard to try
 *
 * Return: to be freed by vhd_fetch_free(), or NULL.
 */
struct vhd_fetch *vhd_fetch_alloc(struct vhd_chain *c, u32 room, gfp_t gfp)
{
	struct vhd_fetch *f = kvzalloc(struct_size(f, layer, c->depth), gfp);

	if (!f)
		return NULL;
	f->chain = c;
	f->room = room;
	/* Pages: aligned as direct I/O wants it, and NFS takes references on them. */
	f->bits = alloc_pages_exact(bits_bytes(room), gfp | __GFP_NOWARN);
	if (!f->bits)
		f->bits = __vmalloc(bits_bytes(room), gfp);
	f->span = kvmalloc_array(room, sizeof(*f->span), gfp);
	f->read = kvcalloc(room, sizeof(*f->read), gfp);
	if (f->bits && f->span && f->read)
		return f;
	vhd_fetch_free(f);
	return NULL;
}

/**
 * vhd_fetch_free() - free it
 * @f: or NULL
 */
void vhd_fetch_free(struct vhd_fetch *f)
{
	if (!f)
		return;
	if (is_vmalloc_addr(f->bits))
		vfree(f->bits);
	else if (f->bits)
		free_pages_exact(f->bits, bits_bytes(f->room));
	kvfree(f->span);
	kvfree(f->read);
	kvfree(f);
}

/**
 * vhd_fetch_bytes() - how much memory it takes
 * @f: allocated
 */
size_t vhd_fetch_bytes(const struct vhd_fetch *f)
{
	return bits_bytes(f->room) +
	       f->room * (sizeof(*f->span) + sizeof(*f->read)) +
	       struct_size(f, layer, f->chain->depth);
}

static bool add_span(struct vhd_fetch *f, const struct vhd_fetch_span *s)
{
	if (f->used + s->nr > f->room)
		return false;
	if (f->span) {
		f->span[f->nr_spans] = *s;
		f->span[f->nr_spans++].slot = f->used;
	}
	f->used += s->nr;
	return true;
}

static bool plan_leaf(struct vhd_fetch *f)
{
	struct vhd_layer *leaf = vhd_chain_leaf(f->chain);
	struct vhd_fetch_span s = {
		.layer = leaf->id, .block = f->block, .entry = f->entry,
		.nr = leaf->layout.bitmap_sects,
	};

	f->used = f->kept;
	f->nr_spans = 0;
	return f->kept || f->entry == VHD_BAT_UNUSED || add_span(f, &s);
}

/* Nothing is read behind the end of a layer: nobody asks its bitmap there. */
static bool plan_layer(struct vhd_fetch *f, struct vhd_layer *l, u64 sector, u64 end)
{
	struct vhd_fetch_span s = { .layer = l->id };
	u64 stop;

	end = min(end, l->layout.capacity);
	for (; sector < end; sector = stop) {
		s.block = sector >> l->layout.block_shift;
		stop = min(end, ((u64)s.block + 1) << l->layout.block_shift);
		s.entry = vhd_layer_entry(l, s.block);
		if (s.entry == VHD_BAT_UNUSED || s.entry == VHD_BAT_BAD)
			continue;
		s.nr = vhd_bitmap_span(&l->layout, sector, stop - sector, &s.first);
		if (!add_span(f, &s))
			return false;
	}
	return true;
}

/* Return: false if the bitmaps that decide about the window do not all fit. */
static bool plan(struct vhd_fetch *f, u64 sector, u64 end)
{
	struct vhd_layer *l;
	u32 i, first;

	if (!plan_leaf(f))
		return false;
	for (i = 1; i < f->chain->depth; i++) {
		l = &f->chain->layer[i];
		first = f->nr_spans;
		/* The walk ends here, if it comes that far. */
		if (l->layout.type == VHD_TYPE_FIXED || sector >= l->layout.capacity)
			end = sector;
		if (end > sector && !plan_layer(f, l, sector, end))
			return false;
		if (f->span)
			f->layer[i] = (struct vhd_fetch_range){ first, f->nr_spans };
		cond_resched();
	}
	return true;
}

/**
 * vhd_fetch_room() - room that makes one window of a block
 * @c: the chain
 * @block: of the leaf
 * @entry: its BAT entry in the leaf
 *
 * Return: sectors, at least 1; less than that takes if it is very much.
 */
u32 vhd_fetch_room(struct vhd_chain *c, u32 block, u32 entry)
{
	u64 sects = vhd_chain_leaf(c)->layout.block_sects;
	struct vhd_fetch count = { .chain = c, .room = FETCH_ROOM };

	vhd_fetch_begin(&count, block, entry);
	if (!plan(&count, block * sects, (block + 1) * sects))
		return FETCH_ROOM;
	return max(count.used, 1u);
}

/**
 * vhd_fetch_begin() - go to another block
 * @f: allocated
 * @block: of the leaf
 * @entry: its BAT entry in the leaf, good or VHD_BAT_UNUSED
 */
void vhd_fetch_begin(struct vhd_fetch *f, u32 block, u32 entry)
{
	f->block = block;
	f->entry = entry;
	f->kept = 0;
}

/**
 * vhd_fetch_window() - choose the next stretch
 * @f: at its block
 * @sector: where it begins
 * @nr: sectors of the block that are left, or half of them, or a quarter...
 *
 * Return: its length, @nr or what is left of that after halving it often enough.
 */
u64 vhd_fetch_window(struct vhd_fetch *f, u64 sector, u64 nr)
{
	while (!plan(f, sector, sector + nr))
		nr /= 2;
	return nr;
}

static void read_done(struct vhd_io *io, long ret)
{
	struct vhd_fetch *f = container_of(io, struct vhd_fetch_read, io)->f;

	if (atomic_dec_and_test(&f->pending))
		complete(&f->all_read);
}

static void start_read(struct vhd_fetch *f, struct vhd_fetch_span *s, u64 pos, u8 *buf,
		       u32 len)
{
	struct vhd_fetch_read *r = &f->read[f->nr_reads++];
	struct iov_iter iter;

	r->f = f;
	r->span = s;
	r->io.write = false;
	r->io.origin = NULL;
	r->io.iocb.ki_ioprio = 0;
	r->io.done = read_done;
	r->bv.bv_page = is_vmalloc_addr(buf) ? vmalloc_to_page(buf) : virt_to_page(buf);
	r->bv.bv_offset = offset_in_page(buf);
	r->bv.bv_len = len;
	iov_iter_bvec(&iter, ITER_DEST, &r->bv, 1, len);
	atomic_inc(&f->pending);
	vhd_io_submit(&vhd_chain_layer(f->chain, s->layer)->f, &r->io, &iter, pos, 0);
}

static void start_span(struct vhd_fetch *f, struct vhd_fetch_span *s)
{
	u64 pos = ((u64)s->entry + s->first) << VHD_SECTOR_SHIFT;
	u8 *buf = f->bits + (s->slot << VHD_SECTOR_SHIFT);
	u32 left = s->nr << VHD_SECTOR_SHIFT, len;

	s->err = 0;
	for (; left; left -= len) {
		len = min_t(u32, left, PAGE_SIZE - offset_in_page(buf));
		start_read(f, s, pos, buf, len);
		pos += len;
		buf += len;
	}
}

/* Who needs a span that failed will see it there. */
static void collect_errors(struct vhd_fetch *f)
{
	struct vhd_fetch_read *r;
	u32 i;

	for (i = 0; i < f->nr_reads; i++) {
		r = &f->read[i];
		/* A short read: the file has shrunk under us. */
		if (r->io.ret != r->bv.bv_len)
			r->span->err = r->io.ret < 0 ? r->io.ret : -EIO;
	}
}

/**
 * vhd_fetch_read() - read what was chosen
 * @f: after vhd_fetch_window()
 *
 * Context: sleeps until everything has been read.
 * Return: 0, or why the leaf's own bitmap, which comes with the first window of
 * a block, could not be read.
 */
int vhd_fetch_read(struct vhd_fetch *f)
{
	struct blk_plug plug;
	u32 i;

	if (!f->nr_spans)
		return 0;
	f->nr_reads = 0;
	atomic_set(&f->pending, 1);
	init_completion(&f->all_read);
	blk_start_plug(&plug);
	for (i = 0; i < f->nr_spans; i++)
		start_span(f, &f->span[i]);
	blk_finish_plug(&plug);
	if (!atomic_dec_and_test(&f->pending))
		wait_for_completion(&f->all_read);
	collect_errors(f);
	if (f->kept || f->entry == VHD_BAT_UNUSED)
		return 0;
	f->kept = f->span[0].nr;
	return f->span[0].err;
}

/**
 * vhd_fetch_bitmap() - a bitmap of the window
 * @f: read
 * @l: a parent
 * @block: of it, in the window; a good BAT entry is there. Not before the block
 *	that was asked for last.
 * @bitmap: as if it began with the block's first sector: only what is about the
 *	window may be looked at
 *
 * Return: 0 or why it could not be read.
 */
int vhd_fetch_bitmap(struct vhd_fetch *f, struct vhd_layer *l, u32 block, const u8 **bitmap)
{
	struct vhd_fetch_range *range = &f->layer[l->id - 1];
	struct vhd_fetch_span *s;

	while (range->next < range->end && f->span[range->next].block < block)
		range->next++;
	s = &f->span[range->next];
	if (WARN_ON_ONCE(range->next == range->end || s->block != block))
		return -EIO;
	*bitmap = f->bits + ((long)s->slot - (long)s->first) * VHD_SECTOR_SIZE;
	return s->err;
}
