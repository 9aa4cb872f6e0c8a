// SPDX-License-Identifier: GPL-2.0
/*
 * A file of a chain takes over what the files above it hold.
 *
 * They keep it and hide whatever changes here, so the disk is the same at each
 * moment. The file is a valid image at each moment: data first, a bitmap or an entry
 * only when the data that it shows are durable. Another run finds what is there
 * already, and goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "merge.h"
#include "sparse.h"
#include "walk.h"

#define NO_BLOCK	(~0u)
#define PIECE_SECTS	(PIECE_BYTES >> VHD_SECTOR_SHIFT)
/* vhd_plan_extend() wants a page at least. */
#define PAGE_SECTS	(PAGE_BYTES >> VHD_SECTOR_SHIFT)
/* So far at once a file grows, as each time costs a barrier. */
#define GROW_SECTS	((32u << 20) >> VHD_SECTOR_SHIFT)

static bool has_blocks(const struct absorb *a)
{
	return a->to->layout.type != VHD_TYPE_FIXED;
}

/* What it owns no sector for reads as zeros. */
static bool is_dynamic(const struct absorb *a)
{
	return a->to->layout.type == VHD_TYPE_DYNAMIC;
}

static u64 slot_sects(const struct absorb *a)
{
	return (u64)a->to->layout.bitmap_sects + a->to->layout.block_sects;
}

static size_t bitmap_bytes(const struct absorb *a)
{
	return (size_t)a->to->layout.bitmap_sects << VHD_SECTOR_SHIFT;
}

static void forget_changes(struct absorb *a)
{
	while (a->nr)
		free(a->changed[--a->nr]);
}

static int commit(struct absorb *a)
{
	int ret = a->dry ? 0 : exec_commit(a->to, a->change, a->nr, a->changed);

	forget_changes(a);
	a->lost = ret;
	return ret;
}

static int finish_block(struct absorb *a)
{
	struct vhd_change *c = &a->change[a->nr];

	if (a->flags) {
		*c = (struct vhd_change){
			.block = a->block, .entry = a->entry, .flags = a->flags,
			.bitmap_nr = a->to->layout.bitmap_sects,
		};
		a->changed[a->nr++] = a->bitmap;
	} else {
		free(a->bitmap);
	}
	a->bitmap = NULL;
	a->flags = 0;
	a->block = NO_BLOCK;
	return a->nr < ABSORB_BATCH ? 0 : commit(a);
}

static int start_block(struct absorb *a, u32 block)
{
	int ret = finish_block(a);

	if (ret)
		return ret;
	a->block = block;
	a->entry = image_bat_entry(a->to, block);
	if (a->entry == VHD_BAT_UNUSED)
		return 0;
	a->bitmap = malloc(bitmap_bytes(a));
	if (!a->bitmap)
		return -ENOMEM;
	return image_read(a->to, a->bitmap, bitmap_bytes(a), (u64)a->entry << VHD_SECTOR_SHIFT);
}

static int extend(struct absorb *a, u64 end)
{
	u64 old_end = a->to->size >> VHD_SECTOR_SHIFT;
	u64 new_end = max_t(u64, vhd_layout_end_aligned(end), old_end + PAGE_SECTS);
	struct vhd_plan plan;
	int ret;

	if (new_end > VHD_MAX_SECTOR)
		return -EFBIG;
	vhd_plan_extend(&plan, old_end, new_end);
	ret = exec_plan(a->to, &plan);
	if (!ret)
		ret = image_refresh_size(a->to);
	if (!ret)
		a->to->layout.end = new_end - 1;
	return ret;
}

static int make_room(struct absorb *a)
{
	const struct vhd_layout *l = &a->to->layout;
	u64 most = (l->entries - a->to->allocated) * vhd_slot_stride(l);
	int ret;

	if (a->next <= l->end)
		return 0;
	if (a->to->block_device)
		return -ENOSPC;
	ret = extend(a, a->next + min_t(u64, most, GROW_SECTS));
	/* Nothing was written yet, and for this block alone there may be room. */
	if (ret == -ENOSPC || ret == -EFBIG)
		ret = extend(a, a->next);
	return ret;
}

/* In a dynamic image all of it is there: who ignores bitmaps sees the same. */
static int new_block(struct absorb *a)
{
	const struct vhd_layout *l = &a->to->layout;
	u64 sect = vhd_slot_align(l, a->next);
	int ret;

	a->bitmap = calloc(1, bitmap_bytes(a));
	if (!a->bitmap)
		return -ENOMEM;
	if (is_dynamic(a))
		vhd_bitmap_set(a->bitmap, 0, l->block_sects);
	a->entry = sect;
	a->flags = VHD_CHANGE_BAT | VHD_CHANGE_BITMAP | VHD_CHANGE_NEW;
	a->next = sect + slot_sects(a);
	a->new_blocks++;
	a->differs = true;
	if (a->dry)
		return 0;
	ret = make_room(a);
	/* Whatever lies there, perhaps of a run that was interrupted, must go. */
	return ret ? ret : punch(a->to, sect << VHD_SECTOR_SHIFT,
				 slot_sects(a) << VHD_SECTOR_SHIFT);
}

enum page_state { PAGE_SAME, PAGE_ZEROS, PAGE_DATA };

static enum page_state compare(const u8 *there, const u8 *wanted, size_t len)
{
	if (!memcmp(there, wanted, len))
		return PAGE_SAME;
	return is_zero(wanted, len) ? PAGE_ZEROS : PAGE_DATA;
}

/* A fixed image promises its space, so there zeros are written. */
static int write_pages(struct absorb *a, enum page_state state, u64 pos, const u8 *data,
		       u64 len)
{
	if (state == PAGE_SAME || !len)
		return 0;
	a->written += len;
	a->differs = true;
	if (a->dry)
		return 0;
	if (state == PAGE_ZEROS && has_blocks(a))
		return punch(a->to, pos, len);
	return image_write(a->to, data, len, pos);
}

/* Make a range of the file read so. What does so already is left alone, holes too. */
static int settle(struct absorb *a, u64 pos, const u8 *data, u64 len)
{
	enum page_state run = PAGE_SAME, state;
	u8 *there = a->buf + PIECE_BYTES;
	u64 at, nr, from = 0;
	int ret = 0;

	if (a->flags & VHD_CHANGE_NEW)
		memset(there, 0, len);
	else
		ret = image_read(a->to, there, len, pos);
	for (at = 0; !ret && at < len; at += nr) {
		nr = min_t(u64, len - at, PAGE_BYTES - (pos + at) % PAGE_BYTES);
		state = compare(there + at, data + at, nr);
		if (state == run)
			continue;
		ret = write_pages(a, run, pos + from, data + from, at - from);
		run = state;
		from = at;
	}
	return ret ? ret : write_pages(a, run, pos + from, data + from, len - from);
}

static int store_run(struct absorb *a, bool set, u32 offset, u32 nr, const u8 *data)
{
	u64 sect = vhd_bat_data_sect(&a->to->layout, a->entry) + offset;
	u64 len = (u64)nr << VHD_SECTOR_SHIFT, before = a->written;
	int ret;

	if (!set && is_dynamic(a) && is_zero(data, len))
		return 0;
	ret = settle(a, sect << VHD_SECTOR_SHIFT, data, len);
	if (ret || set)
		return ret;
	vhd_bitmap_set(a->bitmap, offset, nr);
	a->flags |= VHD_CHANGE_BITMAP;
	a->written = before + len;
	a->differs = true;
	return 0;
}

static int store(struct absorb *a, u32 offset, u32 nr, const u8 *data)
{
	u32 at, run;
	bool set;
	int ret = 0;

	for (at = 0; !ret && at < nr; at += run) {
		run = vhd_bitmap_run(a->bitmap, offset + at, offset + nr, &set);
		ret = store_run(a, set, offset + at, run, data + ((size_t)at << VHD_SECTOR_SHIFT));
	}
	return ret;
}

static int put_piece(struct absorb *a, u64 sector, u32 nr, const u8 *data)
{
	const struct vhd_layout *l = &a->to->layout;
	size_t len = (size_t)nr << VHD_SECTOR_SHIFT;
	int ret = 0;

	if (!has_blocks(a))
		return settle(a, sector << VHD_SECTOR_SHIFT, data, len);
	if (sector >> l->block_shift != a->block)
		ret = start_block(a, sector >> l->block_shift);
	if (!ret && a->entry == VHD_BAT_UNUSED) {
		if (is_dynamic(a) && is_zero(data, len))
			return 0;
		ret = new_block(a);
	}
	return ret ? ret : store(a, sector & (l->block_sects - 1), nr, data);
}

static u32 piece_at(const struct absorb *a, u64 sector, u64 left)
{
	u64 nr = min_t(u64, left, PIECE_SECTS);

	if (has_blocks(a))
		nr = min_t(u64, nr, a->to->layout.block_sects -
			   (sector & (a->to->layout.block_sects - 1)));
	return nr;
}

static int take_run(struct absorb *a, const struct owner_run *run)
{
	struct image *from = a->c->layer[run->layer];
	u64 done;
	u32 nr;
	int ret = 0;

	for (done = 0; !ret && done < run->sects; done += nr) {
		nr = piece_at(a, run->start + done, run->sects - done);
		if (run->answer == VHD_ZERO)
			memset(a->buf, 0, (size_t)nr << VHD_SECTOR_SHIFT);
		else if (run->answer == VHD_DATA)
			ret = image_read(from, a->buf, (size_t)nr << VHD_SECTOR_SHIFT,
					 (run->file_sect + done) << VHD_SECTOR_SHIFT);
		else
			ret = -EUCLEAN;
		if (ret)
			return image_report(from, run->layer, ret);
		ret = put_piece(a, run->start + done, nr, a->buf);
	}
	return ret ? image_report(a->to, a->n, ret) : VHDCTL_OK;
}

static int take_all(struct absorb *a)
{
	u64 end = a->c->layer[0]->layout.capacity, pos;
	struct owner_run run;
	struct progress p;
	int ret = VHDCTL_OK;

	progress_start(&p, a->progress);
	for (pos = 0; !ret && pos < end && !(a->once && a->differs); pos += run.sects) {
		ret = walk_step(a->c, pos, end, &run);
		if (!ret && run.layer < a->n)
			ret = take_run(a, &run);
		if (!ret)
			progress_show(&p, (pos + run.sects) << VHD_SECTOR_SHIFT,
				      end << VHD_SECTOR_SHIFT);
	}
	if (!ret)
		progress_end(&p, pos << VHD_SECTOR_SHIFT);
	return ret;
}

/* A footer may be left there too, by a run that was interrupted while it cut. */
static bool is_nothing(const struct absorb *a, const u8 *buf, u64 len)
{
	u64 at;

	for (at = 0; at < len; at += VHD_SECTOR_SIZE)
		if (!is_zero(buf + at, VHD_SECTOR_SIZE) &&
		    memcmp(buf + at, &a->to->footer, VHD_SECTOR_SIZE))
			return false;
	return true;
}

static int holds_nothing(struct absorb *a, u64 pos, u64 end, bool *nothing)
{
	u64 data_end = pos, len;
	int ret = 0;

	for (*nothing = true; !ret && *nothing; pos += len) {
		if (pos == data_end)
			pos = pos < end ? next_data(a->to, pos, end, &data_end) : end;
		if (pos == end)
			break;
		len = min_t(u64, data_end - pos, PIECE_BYTES);
		ret = image_read(a->to, a->buf, len, pos);
		*nothing = !ret && is_nothing(a, a->buf, len);
	}
	return ret;
}

/* What was more than enough, or left by a run that was interrupted. */
static int cut_end(struct absorb *a)
{
	u64 used = image_used_end(a->to), end = vhd_layout_end_aligned(used);
	struct vhd_plan plan;
	bool nothing;
	int ret;

	if (a->to->block_device || end << VHD_SECTOR_SHIFT >= a->to->size)
		return 0;
	ret = holds_nothing(a, used << VHD_SECTOR_SHIFT,
			    a->to->layout.end << VHD_SECTOR_SHIFT, &nothing);
	if (ret || !nothing)
		return ret;
	vhd_plan_trim(&plan, a->to->size >> VHD_SECTOR_SHIFT, end);
	ret = exec_plan(a->to, &plan);
	return ret ? ret : image_refresh_size(a->to);
}

/*
 * Without space nobody shall lose more of it: what is complete stays, and the place of
 * the block under way goes back. If a commit has failed, nobody knows what is on disk,
 * so nothing is touched any more.
 */
static void give_back(struct absorb *a)
{
	int ret = a->lost ? -EIO : 0;

	if (!ret && a->flags & VHD_CHANGE_NEW && a->next <= a->to->layout.end)
		ret = punch(a->to, (u64)a->entry << VHD_SECTOR_SHIFT,
			    slot_sects(a) << VHD_SECTOR_SHIFT);
	a->flags = 0;
	if (!ret)
		ret = finish_block(a);
	if (!ret)
		ret = commit(a);
	if (!ret)
		cut_end(a);
}

static int finish(struct absorb *a)
{
	int ret = finish_block(a);

	if (!ret)
		ret = commit(a);
	if (!ret && !a->dry && has_blocks(a))
		ret = cut_end(a);
	return ret ? image_report(a->to, a->n, ret) : VHDCTL_OK;
}

/**
 * absorb() - let a file of a chain take over what the files above it hold
 * @a:	what, and how; results
 *
 * The caller has made sure that none of these files has faults, and that the one
 * that takes over holds a disk not smaller than that of the first.
 *
 * Return: VHDCTL_OK when all is durable, or another exit code after a message.
 */
int absorb(struct absorb *a)
{
	int ret;

	a->to = a->c->layer[a->n];
	a->block = NO_BLOCK;
	a->next = has_blocks(a) ? image_used_end(a->to) : 0;
	a->buf = malloc(2 * PIECE_BYTES);
	if (!a->buf) {
		msg_error("out of memory");
		return VHDCTL_ERROR;
	}
	/* If an fsync has failed, what is in memory may not be what is on disk. */
	posix_fadvise(a->to->fd, 0, 0, POSIX_FADV_DONTNEED);
	ret = take_all(a);
	if (!ret)
		ret = finish(a);
	else if (!a->dry && has_blocks(a))
		give_back(a);
	forget_changes(a);
	free(a->bitmap);
	a->bitmap = NULL;
	free(a->buf);
	return ret;
}
