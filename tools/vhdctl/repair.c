// SPDX-License-Identifier: GPL-2.0
/*
 * Mending footers by the plans that the driver uses too, so that a crash in the
 * middle of a repair leaves an image that can be repaired again.
 */
#include <errno.h>

#include "exec.h"
#include "findings.h"

/*
 * The last sector, if nothing lies there: most often it is the place of the
 * damaged footer. Else behind everything.
 */
static u64 place_for_footer(const struct image *img)
{
	u64 used = image_used_end(img), sects = img->size >> VHD_SECTOR_SHIFT;
	bool whole = !(img->size % VHD_SECTOR_SIZE);

	if (img->choice.place == VHD_FOOTER_SHORT)
		return sects;
	if (whole && sects > used)
		return sects - 1;
	return vhd_layout_end_aligned(max_t(u64, used, whole ? sects : sects + 1)) - 1;
}

static int mend_footers(struct image *img)
{
	bool end = img->choice.place != VHD_FOOTER_END;
	bool sparse = img->layout.type != VHD_TYPE_FIXED;
	u64 sect = end ? place_for_footer(img) : (img->size >> VHD_SECTOR_SHIFT) - 1;
	struct vhd_plan plan;

	if (img->block_device && (sect + 1) << VHD_SECTOR_SHIFT > img->size)
		return -ENOSPC;
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

	if (img->block_device)
		return -ENOSPC;
	vhd_plan_move_footer(&plan, img->size >> VHD_SECTOR_SHIFT,
			     vhd_layout_end_aligned(image_used_end(img)));
	return exec_plan(img, &plan);
}

/**
 * repair_wanted() - is there anything that repair_footers() mends
 * @f:		from findings_collect()
 * @img:	the image
 */
bool repair_wanted(const struct findings *f, const struct image *img)
{
	if (img->fault)
		return false;
	return img->choice.place != VHD_FOOTER_END || img->choice.differ || f->cut;
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
	int ret = 0;

	if (img->choice.place != VHD_FOOTER_END || img->choice.differ)
		ret = mend_footers(img);
	else if (f->cut)
		ret = move_footer(img);
	return ret;
}
