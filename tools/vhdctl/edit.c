// SPDX-License-Identifier: GPL-2.0
/*
 * What changing an image in place takes: one without faults, and new footers. Every state
 * in between is a valid image that says the old or the new.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "exec.h"
#include "findings.h"

/* What a fixed image is longer by while its footer changes places: 4 KiB. */
#define SPARE_SECTS	8u

static int refuse(const struct image *img)
{
	msg_error("%s: has faults, so nothing is changed", img->path);
	msg_hint("see 'vhdctl check %s'", img->path);
	return VHDCTL_CORRUPT;
}

/* A missing footer first, then one that lies on a block. */
static int mend(struct image *img, struct findings *f, enum vhd_size_rule rule)
{
	int round, ret = findings_collect(f, img, rule);

	for (round = 0; !ret && round < 2 && repair_wanted(f, img); round++) {
		ret = repair_footers(img, f);
		if (!ret)
			ret = image_refresh_size(img);
		if (!ret)
			ret = findings_collect(f, img, rule);
	}
	return ret;
}

/**
 * edit_take() - make an open file ready for changes
 * @img:	open for writing, not locked yet
 * @rule:	which field gives the size
 *
 * Footers that an interrupted command or a crash has left are mended first. An
 * image with faults is refused: a change could make them worse.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int edit_take(struct image *img, enum vhd_size_rule rule)
{
	struct findings *f = calloc(1, sizeof(*f));
	int ret = f ? image_lock(img, true) : -ENOMEM;

	if (!ret)
		ret = mend(img, f, rule);
	if (!ret && img->fault)
		ret = vhd_fault_errno(img->fault);
	if (ret)
		ret = edit_report(img, ret);
	else if (f->worst > VHD_SEV_NOTE)
		ret = refuse(img);
	free(f);
	return ret;
}

/**
 * edit_open() - open an image in order to change it
 * @c:		empty chain; its leaf is the image afterwards
 * @path:	the file
 * @rule:	which field gives the size
 *
 * Return: VHDCTL_OK, or another exit code after a message, see edit_take();
 * chain_close() in both cases.
 */
int edit_open(struct chain *c, const char *path, enum vhd_size_rule rule)
{
	struct image_how how = { .write = true, .named = true, .beneath = -1 };
	struct image *img = calloc(1, sizeof(*img));
	int ret;

	if (!img)
		return VHDCTL_ERROR;
	c->layer[c->nr++] = img;
	ret = image_open(img, path, &how);
	return ret ? edit_report(img, ret) : edit_take(img, rule);
}

/**
 * edit_report() - say why a change failed
 * @img:	the image
 * @err:	negative errno
 *
 * Return: &enum vhdctl_exit for it.
 */
int edit_report(const struct image *img, int err)
{
	return image_report(img, 0, err);
}

static int run(struct image *img, struct vhd_plan *plan)
{
	int ret = exec_plan(img, plan);

	return ret ? ret : image_refresh_size(img);
}

/**
 * edit_extend() - make the end of the file a place for what is new
 * @img:	a dynamic or differencing image from edit_open()
 * @end:	sectors that the file needs at least, footer included
 *
 * The footer moves to a sector boundary; elsewhere no plan could replace it.
 *
 * Return: 0, -ENOSPC if a block device is too small, or another negative errno.
 */
int edit_extend(struct image *img, u64 end)
{
	u64 old_end = DIV_ROUND_UP(img->size, VHD_SECTOR_SIZE);
	struct vhd_plan plan;
	int ret;

	if (end <= old_end && !(img->size % VHD_SECTOR_SIZE))
		return 0;
	if (img->block_device)
		return -ENOSPC;
	end = vhd_layout_end_aligned(max_t(u64, end, old_end + SPARE_SECTS) - 1);
	vhd_plan_extend(&plan, old_end, end);
	ret = run(img, &plan);
	img->layout.end = end - 1;
	return ret;
}

static int put_footers(struct image *img, const struct vhd_footer *f)
{
	struct vhd_plan plan;
	int ret = img->layout.type == VHD_TYPE_FIXED ? 0 : edit_extend(img, 0);

	if (ret)
		return ret;
	img->footer = *f;
	vhd_plan_footers(&plan, (img->size >> VHD_SECTOR_SHIFT) - 1, true,
			 img->layout.type != VHD_TYPE_FIXED);
	return run(img, &plan);
}

/*
 * A fixed image has no copy of its footer: so there is always a whole one at the end
 * of the file, a second one behind the first while that is written. While the disk
 * grows, the old footer is where zeros must be: the second one hides the place. What
 * an interrupted command has left is a second one already, or each would add its own.
 */
static int move_fixed(struct image *img, const struct vhd_footer *f, u64 end)
{
	bool same_size = f->current_size == img->footer.current_size;
	u64 old_end = img->size >> VHD_SECTOR_SHIFT;
	u64 spare_end = max_t(u64, end, old_end) + SPARE_SECTS;
	struct vhd_plan plan;
	int ret = 0;

	if (be64_to_cpu(f->current_size) <= be64_to_cpu(img->footer.current_size))
		img->footer = *f;
	if (same_size && old_end >= end + SPARE_SECTS) {
		spare_end = old_end;
	} else {
		vhd_plan_extend(&plan, old_end, spare_end);
		ret = run(img, &plan);
	}
	if (ret)
		return ret;
	img->footer = *f;
	vhd_plan_trim(&plan, spare_end, end);
	return run(img, &plan);
}

static u64 end_of_fixed(const struct vhd_footer *f)
{
	return DIV_ROUND_UP(be64_to_cpu(f->current_size), VHD_SECTOR_SIZE) + 1;
}

/* Has an interrupted command left something behind the disk? */
static bool has_spare(const struct image *img)
{
	u64 end = img->size >> VHD_SECTOR_SHIFT, own = end_of_fixed(&img->footer);

	return !img->block_device && end > own && end - own <= SPARE_SECTS;
}

static int edit_fixed(struct image *img, const struct vhd_footer *f)
{
	bool same = !memcmp(f, &img->footer, sizeof(*f)), spare = has_spare(img);
	u64 end = img->size >> VHD_SECTOR_SHIFT;

	if (same && !spare)
		return 0;
	if (img->size % VHD_SECTOR_SIZE) {
		img->why = "its footer does not begin on a sector boundary";
		return -EOPNOTSUPP;
	}
	if (img->block_device)
		return put_footers(img, f);
	if (spare || f->current_size != img->footer.current_size)
		end = end_of_fixed(f);
	return move_fixed(img, f, end);
}

/**
 * edit_fixed_end() - replace the footer of a fixed image, directly behind its disk
 * @img:	from edit_open(); its file may end anywhere behind the disk
 * @f:		sealed
 *
 * Return: 0 when it is durable, or a negative errno.
 */
int edit_fixed_end(struct image *img, const struct vhd_footer *f)
{
	return img->block_device ? put_footers(img, f) : move_fixed(img, f, end_of_fixed(f));
}

/**
 * edit_footer() - replace the footers
 * @img:	from edit_open()
 * @f:		sealed
 *
 * Return: 0 when they are durable, or a negative errno.
 */
int edit_footer(struct image *img, const struct vhd_footer *f)
{
	if (img->layout.type == VHD_TYPE_FIXED)
		return edit_fixed(img, f);
	if (!memcmp(f, &img->footer, sizeof(*f)))
		return 0;
	return put_footers(img, f);
}
