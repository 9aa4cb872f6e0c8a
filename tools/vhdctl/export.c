// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl export: what differs between two disks, as a differencing image.
 *
 * It is an ordinary child of the older disk, so everything that reads chains can
 * restore from it, and merge applies it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "differ.h"
#include "sparse.h"

#define NO_BLOCK	(~0u)

/**
 * struct exporter - the new image while it is filled
 * @n:		what it shall be
 * @since:	the older disk, its parent
 * @now:	the newer disk, whose contents it will have
 * @out:	wraps the new file
 * @l:		as far as places of blocks depend on it
 * @bat:	entries of all blocks
 * @bitmap:	of @block, not written yet
 * @block:	being filled, NO_BLOCK if none
 * @next:	first sector behind what is used
 * @progress:	say how far it is
 */
struct exporter {
	const struct new_image *n;
	struct chain since;
	struct chain now;
	struct image out;
	struct vhd_layout l;
	__be32 *bat;
	u8 *bitmap;
	u32 block;
	u64 next;
	bool progress;
};

static int fail(const struct exporter *e, int err)
{
	msg_error("%s: %s", e->n->path, strerror(abs(err)));
	return exit_of_errno(err);
}

static u64 block_sect(const struct exporter *e)
{
	return be32_to_cpu(e->bat[e->block]);
}

static size_t bitmap_bytes(const struct exporter *e)
{
	return (size_t)e->l.bitmap_sects << VHD_SECTOR_SHIFT;
}

static int finish_block(struct exporter *e)
{
	int ret = 0;

	if (e->block != NO_BLOCK)
		ret = image_write(&e->out, e->bitmap, bitmap_bytes(e),
				  block_sect(e) << VHD_SECTOR_SHIFT);
	e->block = NO_BLOCK;
	return ret;
}

static int start_block(struct exporter *e, u32 block)
{
	int ret = finish_block(e);
	u64 sect = vhd_slot_align(&e->l, e->next);

	e->block = block;
	e->bat[block] = cpu_to_be32(sect);
	e->next = sect + e->l.bitmap_sects + e->l.block_sects;
	memset(e->bitmap, 0, bitmap_bytes(e));
	return ret;
}

/* Zeros only get their bits: the new file is all holes. */
static int put_part(struct exporter *e, u64 start, u32 nr, const u8 *data)
{
	u32 block = start >> e->l.block_shift, offset = start & (e->l.block_sects - 1);
	int ret = block == e->block ? 0 : start_block(e, block);
	size_t len = (size_t)nr << VHD_SECTOR_SHIFT;
	u64 at;

	if (ret)
		return ret;
	vhd_bitmap_set(e->bitmap, offset, nr);
	if (is_zero(data, len))
		return 0;
	at = block_sect(e) + e->l.bitmap_sects + offset;
	return image_write(&e->out, data, len, at << VHD_SECTOR_SHIFT);
}

static int put(void *ctx, const struct diff_run *run)
{
	struct exporter *e = ctx;
	u32 done, nr, left;
	u64 start;
	int ret;

	for (done = 0; done < run->sects; done += nr) {
		start = run->start + done;
		left = e->l.block_sects - (start & (e->l.block_sects - 1));
		nr = min_t(u32, run->sects - done, left);
		ret = put_part(e, start, nr, run->data + ((size_t)done << VHD_SECTOR_SHIFT));
		if (ret)
			return fail(e, ret);
	}
	return VHDCTL_OK;
}

static int prepare(struct exporter *e, const struct vhd_create_layout *layout)
{
	struct vhd_layout *l = &e->l;

	l->block_sects = e->n->block_size >> VHD_SECTOR_SHIFT;
	l->block_shift = __builtin_ctz(l->block_sects);
	l->bitmap_sects = vhd_bitmap_sects(e->n->block_size);
	l->entries = vhd_blocks_needed(e->n->size >> VHD_SECTOR_SHIFT, l->block_shift);
	e->next = (layout->bat + layout->bat_bytes) >> VHD_SECTOR_SHIFT;
	e->block = NO_BLOCK;
	e->bitmap = malloc(bitmap_bytes(e));
	e->bat = malloc((l->entries + 1ULL) * sizeof(*e->bat));
	if (!e->bitmap || !e->bat)
		return fail(e, ENOMEM);
	memset(e->bat, 0xff, l->entries * sizeof(*e->bat));
	return VHDCTL_OK;
}

static int finish(struct exporter *e, struct vhd_create_layout *layout)
{
	u64 end = vhd_layout_end_aligned(e->next);
	int ret = finish_block(e);

	if (!ret)
		ret = image_write(&e->out, e->bat, e->l.entries * sizeof(*e->bat), layout->bat);
	layout->footer = (end - 1) << VHD_SECTOR_SHIFT;
	layout->file_size = end << VHD_SECTOR_SHIFT;
	return ret ? fail(e, ret) : VHDCTL_OK;
}

static int fill(const struct new_image *n, int fd, struct vhd_create_layout *layout)
{
	struct exporter *e = n->ctx;
	int ret;

	e->out.fd = fd;
	ret = prepare(e, layout);
	if (!ret)
		ret = chain_load_bats(&e->since);
	if (!ret)
		ret = chain_load_bats(&e->now);
	if (!ret)
		ret = diff_disks(&e->since, &e->now, n->size >> VHD_SECTOR_SHIFT, put, e,
				 e->progress);
	return ret ? ret : finish(e, layout);
}

/**
 * export_main() - write what differs between two disks as a child of the older one
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int export_main(const struct options *o)
{
	struct exporter e = { .progress = o->progress };
	struct new_image n = {
		.path = o->args[1],
		.block_size = o->block_size,
		.replace = o->force,
		.fill = fill,
		.ctx = &e,
	};
	int ret;

	if (!o->since) {
		msg_error("export: since what? name the older disk with --since PARENT");
		return VHDCTL_ERROR;
	}
	e.n = &n;
	ret = chain_open(&e.now, o->args[0], o, false);
	if (!ret) {
		n.size = e.now.layer[0]->layout.capacity << VHD_SECTOR_SHIFT;
		ret = child_build(&n, &e.since, o, o->since);
	}
	chain_close(&e.since);
	chain_close(&e.now);
	free(e.bitmap);
	free(e.bat);
	return ret;
}
