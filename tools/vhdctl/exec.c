// SPDX-License-Identifier: GPL-2.0
/*
 * The one executor of plans offline. What comes first, and what must be durable
 * before something else, is decided in format/ alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec.h"
#include "sparse.h"

struct exec {
	struct image *img;
	const struct vhd_move *move;
	const struct vhd_change *change;
	u8 *const *bitmap;
	const struct vhd_header *header;
	const u8 *table;
};

static int copy_sectors(const struct image *img, u64 from, u64 to, u64 sects)
{
	u64 left = sects << VHD_SECTOR_SHIFT, pos = from << VHD_SECTOR_SHIFT;
	u64 target = to << VHD_SECTOR_SHIFT, len;
	u8 *buf = malloc(PIECE_BYTES);
	int ret = buf ? 0 : -ENOMEM;

	while (!ret && left) {
		len = min_t(u64, left, PIECE_BYTES);
		ret = image_read(img, buf, len, pos);
		if (!ret)
			ret = write_sparse(img, buf, len, target);
		pos += len;
		target += len;
		left -= len;
	}
	free(buf);
	return ret;
}

static int write_entries(const struct exec *x, const struct vhd_step *step)
{
	u64 pos = step->sect << VHD_SECTOR_SHIFT;
	__be32 sector[VHD_SECTOR_SIZE / sizeof(__be32)];
	const struct vhd_move *m;
	u32 i;
	int ret = image_read(x->img, sector, sizeof(sector), pos);

	for (i = step->first; i < step->first + step->nr; i++) {
		m = &x->move[i];
		sector[m->block % ARRAY_SIZE(sector)] = cpu_to_be32(m->to);
		x->img->bat[m->block] = ~m->to;
		x->img->allocated -= m->to == VHD_BAT_UNUSED;
	}
	return ret ? ret : image_write(x->img, sector, sizeof(sector), pos);
}

static int write_changed_entries(const struct exec *x, const struct vhd_step *step)
{
	u64 pos = step->sect << VHD_SECTOR_SHIFT;
	__be32 sector[VHD_SECTOR_SIZE / sizeof(__be32)];
	const struct vhd_change *c;
	u32 i;
	int ret = image_read(x->img, sector, sizeof(sector), pos);

	for (i = step->first; i < step->first + step->nr; i++) {
		c = &x->change[i];
		if (c->flags & VHD_CHANGE_BAT)
			sector[c->block % ARRAY_SIZE(sector)] = cpu_to_be32(c->entry);
	}
	return ret ? ret : image_write(x->img, sector, sizeof(sector), pos);
}

static int write_bitmap(const struct exec *x, const struct vhd_step *step)
{
	size_t skip = (size_t)x->change[step->first].bitmap_first << VHD_SECTOR_SHIFT;

	return image_write(x->img, x->bitmap[step->first] + skip,
			   (size_t)step->nr << VHD_SECTOR_SHIFT, step->sect << VHD_SECTOR_SHIFT);
}

/*
 * Where the file system cannot promise space, a write finds out later. A fixed image with
 * holes has been made without a promise.
 */
static int reserve(const struct image *img, const struct vhd_step *step)
{
	struct stat st;

	if (img->layout.type == VHD_TYPE_FIXED && !fstat(img->fd, &st) &&
	    st.st_blocks < st.st_size >> VHD_SECTOR_SHIFT)
		return 0;
	if (!fallocate(img->fd, FALLOC_FL_KEEP_SIZE, step->sect << VHD_SECTOR_SHIFT,
		       (u64)step->nr << VHD_SECTOR_SHIFT))
		return 0;
	return errno == EOPNOTSUPP ? 0 : -errno;
}

static int exec_step(const struct exec *x, const struct vhd_step *step)
{
	u64 pos = step->sect << VHD_SECTOR_SHIFT;
	const struct image *img = x->img;
	const struct vhd_footer *f = &img->footer;

	switch (step->kind) {
	case VHD_STEP_FOOTER:
		return image_write(img, f, sizeof(*f), pos);
	case VHD_STEP_FOOTER_COPY:
		return image_write(img, f, sizeof(*f), 0);
	case VHD_STEP_ZERO:
		return punch(img, pos, (u64)step->nr << VHD_SECTOR_SHIFT);
	case VHD_STEP_RESERVE:
		return reserve(img, step);
	case VHD_STEP_TRUNCATE:
		return ftruncate(img->fd, pos) ? -errno : 0;
	case VHD_STEP_BARRIER:
		return fsync(img->fd) ? -errno : 0;
	case VHD_STEP_BAT:
		return x->change ? write_changed_entries(x, step) : write_entries(x, step);
	case VHD_STEP_BITMAP:
		return write_bitmap(x, step);
	case VHD_STEP_COPY:
		return copy_sectors(img, x->move[step->first].from, step->sect, step->nr);
	case VHD_STEP_NEW:
		return image_write(img, x->table + ((u64)step->first << VHD_SECTOR_SHIFT),
				   (u64)step->nr << VHD_SECTOR_SHIFT, pos);
	case VHD_STEP_HEADER:
		return image_write(img, x->header, (u64)step->nr << VHD_SECTOR_SHIFT, pos);
	default:
		return -EINVAL;
	}
}

/**
 * exec_plan() - carry out a plan of footers or of the end of the file
 * @img:	an image open for writing and exclusively locked; its footer is
 *		what will be written
 * @plan:	started; no vhd_plan_commit()
 *
 * Return: 0 when all is durable, or a negative errno.
 */
int exec_plan(struct image *img, struct vhd_plan *plan)
{
	struct exec x = { .img = img };
	struct vhd_step step;
	int ret = 0;

	while (!ret && vhd_plan_next(plan, &step))
		ret = exec_step(&x, &step);
	if (!ret && fsync(img->fd))
		ret = -errno;
	return ret;
}

/**
 * exec_write() - replace what lies in one place
 * @img:	an image open for writing and exclusively locked
 * @data:	what shall be there
 * @len:	bytes
 * @pos:	bytes
 *
 * Only sectors that change are written, in any order: whoever calls this knows that
 * every subset of them is valid.
 *
 * Return: 0 when all is durable, or a negative errno.
 */
int exec_write(struct image *img, const void *data, size_t len, u64 pos)
{
	u8 old[VHD_SECTOR_SIZE];
	const u8 *new = data;
	size_t at, nr;
	int ret = 0;

	for (at = 0; !ret && at < len; at += nr) {
		nr = min_t(size_t, len - at, sizeof(old));
		if (image_read(img, old, nr, pos + at) || memcmp(old, new + at, nr))
			ret = image_write(img, new + at, nr, pos + at);
	}
	if (!ret && fsync(img->fd))
		ret = -errno;
	return ret;
}

static int compare_moves(const void *a, const void *b)
{
	const struct vhd_move *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

/**
 * exec_moves() - drop and move blocks
 * @img:	an image open for writing and exclusively locked, with its BAT loaded,
 *		which follows
 * @move:	see vhd_shift_init(), in any order
 * @nr:		number of moves; 0 is fine
 *
 * Return: 0 when all is durable, or a negative errno.
 */
int exec_moves(struct image *img, const struct vhd_move *move, u32 nr)
{
	struct vhd_move *sorted = malloc((nr + 1ULL) * sizeof(*sorted));
	struct exec x = { .img = img, .move = sorted };
	struct vhd_shift shift;
	struct vhd_step step;
	int ret = 0;

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, move, nr * sizeof(*sorted));
	qsort(sorted, nr, sizeof(*sorted), compare_moves);
	vhd_shift_init(&shift, &img->layout, sorted, nr);
	while (nr && !ret && vhd_shift_next(&shift, &step))
		ret = exec_step(&x, &step);
	img->bitmap_block = ~0u;
	free(sorted);
	return ret;
}

/**
 * exec_commit() - make data durable, then what shows them
 * @img:	an image open for writing and exclusively locked, with its BAT loaded,
 *		which follows; the data are written
 * @change:	see vhd_plan_commit()
 * @nr:		number of changes; with none, what was written becomes durable
 * @bitmap:	the whole bitmap of each change
 *
 * Return: 0 when all is durable, or a negative errno.
 */
int exec_commit(struct image *img, const struct vhd_change *change, u32 nr, u8 *const *bitmap)
{
	struct exec x = { .img = img, .change = change, .bitmap = bitmap };
	struct vhd_plan plan;
	struct vhd_step step;
	int ret = 0;
	u32 i;

	vhd_plan_commit(&plan, &img->layout, change, nr);
	while (!ret && vhd_plan_next(&plan, &step))
		ret = exec_step(&x, &step);
	for (i = 0; !ret && i < nr; i++) {
		if (!(change[i].flags & VHD_CHANGE_BAT))
			continue;
		img->bat[change[i].block] = ~change[i].entry;
		img->allocated++;
	}
	img->bitmap_block = ~0u;
	return ret;
}

/**
 * exec_resize() - change the size, and with it BAT and header
 * @img:	an image open for writing and exclusively locked; its footer is the new
 *		one
 * @change:	see vhd_resize_init()
 * @header:	the new one
 * @table:	the new BAT
 *
 * Return: 0 when all is durable, or a negative errno.
 */
int exec_resize(struct image *img, const struct vhd_size_change *change,
		const struct vhd_header *header, const void *table)
{
	struct exec x = { .img = img, .header = header, .table = table };
	struct vhd_resize plan;
	struct vhd_step step;
	int ret = 0;

	vhd_resize_init(&plan, change);
	while (!ret && vhd_resize_next(&plan, &step))
		ret = exec_step(&x, &step);
	return ret;
}

/**
 * exec_relink() - replace the header and what it alone names
 * @img:	an image open for writing and exclusively locked; its footer is the new one
 * @to:		see vhd_relink_init()
 * @header:	the new one
 * @texts:	of its locators
 *
 * Return: 0 when all is durable, or a negative errno.
 */
int exec_relink(struct image *img, const struct vhd_new_header *to,
		const struct vhd_header *header, const u8 *texts)
{
	struct exec x = { .img = img, .header = header, .table = texts };
	struct vhd_relink plan;
	struct vhd_step step;
	int ret = 0;

	vhd_relink_init(&plan, to);
	while (!ret && vhd_relink_next(&plan, &step))
		ret = exec_step(&x, &step);
	return ret;
}

/**
 * image_used_end() - first sector behind every known structure
 * @img:	a dynamic or differencing image with its BAT loaded
 */
u64 image_used_end(const struct image *img)
{
	u64 end = img->layout.meta_end, slot;
	u32 block, entry;

	slot = (u64)img->layout.bitmap_sects + img->layout.block_sects;
	for (block = 0; block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (entry && entry != VHD_BAT_UNUSED)
			end = max_t(u64, end, entry + slot);
	}
	return end;
}
