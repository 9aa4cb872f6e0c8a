// SPDX-License-Identifier: GPL-2.0
/*
 * Mending footers by the plans that the driver uses too, so that a crash in the
 * middle of a repair leaves an image that can be repaired again.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "findings.h"
#include "sparse.h"

/* Zeros, or what was a footer: nothing that could be the rest of a lost block. */
static bool is_blank(const struct image *img, u64 sect)
{
	u8 data[VHD_SECTOR_SIZE];

	return !image_read(img, data, sizeof(data), sect << VHD_SECTOR_SHIFT) &&
	       (is_zero(data, sizeof(data)) || !memcmp(data, VHD_FOOTER_COOKIE, 8));
}

/*
 * The last sector, if nothing lies there: most often it is the place of the
 * damaged footer. Else behind everything. Where entries lead behind the file, the
 * footer must not make their blocks a part of it: what is lost would read as zeros.
 * 0 if there is no such place.
 */
static int place_for_footer(const struct image *img, const struct findings *f, u64 *place)
{
	u64 used, sects = img->size >> VHD_SECTOR_SHIFT;
	bool whole = !(img->size % VHD_SECTOR_SIZE);
	int ret = 0;

	*place = sects;
	if (img->choice.place == VHD_FOOTER_SHORT || img->layout.type == VHD_TYPE_FIXED)
		return 0;
	ret = image_used_by_all(img, &used);
	if (whole && sects > used && (!f->nr_of[VHD_FAULT_BAT_RANGE] || is_blank(img, sects - 1)))
		*place = sects - 1;
	else if (!f->nr_of[VHD_FAULT_BAT_RANGE])
		*place = vhd_layout_end_aligned(max_t(u64, used, whole ? sects : sects + 1)) - 1;
	else if (used > sects)
		*place = 0;
	return ret;
}

static int clear(const struct image *img, u64 pos, u64 len)
{
	int ret = punch(img, pos, len);

	return !ret && fsync(img->fd) ? -errno : ret;
}

/*
 * In a file of odd length a footer begins in one sector and ends in a part of the next.
 * The first part goes first: what is then left is known by the copy, so it never becomes
 * data of a block.
 */
static int clear_odd_footer(const struct image *img)
{
	u64 len = img->size % VHD_SECTOR_SIZE, end = img->size - len;
	int ret = len ? clear(img, end - VHD_SECTOR_SIZE, VHD_SECTOR_SIZE) : 0;

	return !ret && len ? clear(img, end, len) : ret;
}

/* What clear_odd_footer() leaves if it is interrupted. */
static int clear_rest_of_footer(const struct image *img)
{
	u64 len = img->size % VHD_SECTOR_SIZE;
	const u8 *f = (const u8 *)&img->footer, *end = (const u8 *)&img->end;
	u64 from = VHD_SECTOR_SIZE - len;

	if (!len || img->choice.place != VHD_FOOTER_COPY || !is_zero(end, from) ||
	    memcmp(end + from, f + from, len))
		return 0;
	return clear(img, img->size - len, len);
}

static int mend_footers(struct image *img, const struct findings *f)
{
	bool end = img->choice.place != VHD_FOOTER_END;
	bool sparse = img->layout.type != VHD_TYPE_FIXED;
	u64 sect = (img->size >> VHD_SECTOR_SHIFT) - 1;
	int ret = end ? place_for_footer(img, f, &sect) : 0;
	struct vhd_plan plan;

	if (ret)
		return ret;
	if (!sect || (img->block_device && (sect + 1) << VHD_SECTOR_SHIFT > img->size))
		return -ENOSPC;
	ret = end ? clear_rest_of_footer(img) : 0;
	if (ret)
		return ret;
	vhd_plan_footers(&plan, sect, end, sparse && img->choice.differ &&
			 img->choice.place != VHD_FOOTER_COPY);
	return exec_plan(img, &plan);
}

/*
 * The footer lies on the data of the last block, which read as zeros there: and so
 * they do when it has gone behind them, and at every moment until then.
 */
static int move_footer(struct image *img)
{
	struct vhd_plan plan;
	int ret;

	if (img->block_device)
		return -ENOSPC;
	ret = clear_odd_footer(img);
	if (ret)
		return ret;
	vhd_plan_move_footer(&plan, img->size >> VHD_SECTOR_SHIFT,
			     vhd_layout_end_aligned(image_used_end(img)));
	return exec_plan(img, &plan);
}

/* Does the footer of the end have a place? See place_for_footer(). */
static bool has_place(const struct findings *f, const struct image *img)
{
	u64 place;

	return img->choice.place == VHD_FOOTER_END ||
	       (!place_for_footer(img, f, &place) && place);
}

/**
 * repair_wanted() - is there anything that repair_footers() mends
 * @f:		from findings_collect()
 * @img:	the image
 *
 * Not where two blocks share sectors or one lies outside: a footer that moves would
 * give these a meaning.
 */
bool repair_wanted(const struct findings *f, const struct image *img)
{
	if (img->fault || f->nr_of[SIGN_FOOTER_CONFLICT])
		return false;
	if (img->choice.place != VHD_FOOTER_END || img->choice.differ)
		return has_place(f, img);
	return f->nr_of[VHD_FAULT_BLOCK_CUT] && !f->nr_of[VHD_FAULT_BAT_RANGE] &&
	       !f->nr_of[VHD_FAULT_BAT_OVERLAP];
}

/**
 * repair_footers() - write missing, short, different or misplaced footers again
 * @img:	an image open for writing, exclusively locked, with its BAT loaded
 * @f:		what is wrong with it
 *
 * The size of the file may change; load the image again afterwards.
 *
 * Return: 0 or a negative errno.
 */
int repair_footers(struct image *img, const struct findings *f)
{
	if (img->choice.place != VHD_FOOTER_END || img->choice.differ)
		return mend_footers(img, f);
	return f->nr_of[VHD_FAULT_BLOCK_CUT] ? move_footer(img) : 0;
}
