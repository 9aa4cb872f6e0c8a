// SPDX-License-Identifier: GPL-2.0
/*
 * The one executor of plans offline. What comes first, and what must be durable
 * before something else, is decided in format/ alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "exec.h"

static int write_zeros(const struct image *img, const struct vhd_step *step)
{
	static const u8 zeros[VHD_SECTOR_SIZE];
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < step->nr; i++)
		ret = image_write(img, zeros, sizeof(zeros), (step->sect + i) << VHD_SECTOR_SHIFT);
	return ret;
}

/* Where the file system cannot promise space, a write finds out later. */
static int reserve(const struct image *img, const struct vhd_step *step)
{
	if (!fallocate(img->fd, FALLOC_FL_KEEP_SIZE, step->sect << VHD_SECTOR_SHIFT,
		       (u64)step->nr << VHD_SECTOR_SHIFT))
		return 0;
	return errno == EOPNOTSUPP ? 0 : -errno;
}

static int exec_step(const struct image *img, const struct vhd_step *step)
{
	const struct vhd_footer *f = &img->footer;

	switch (step->kind) {
	case VHD_STEP_FOOTER:
		return image_write(img, f, sizeof(*f), step->sect << VHD_SECTOR_SHIFT);
	case VHD_STEP_FOOTER_COPY:
		return image_write(img, f, sizeof(*f), 0);
	case VHD_STEP_ZERO:
		return write_zeros(img, step);
	case VHD_STEP_RESERVE:
		return reserve(img, step);
	case VHD_STEP_TRUNCATE:
		return ftruncate(img->fd, step->sect << VHD_SECTOR_SHIFT) ? -errno : 0;
	case VHD_STEP_BARRIER:
		return fsync(img->fd) ? -errno : 0;
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
int exec_plan(const struct image *img, struct vhd_plan *plan)
{
	struct vhd_step step;
	int ret = 0;

	while (!ret && vhd_plan_next(plan, &step))
		ret = exec_step(img, &step);
	if (!ret && fsync(img->fd))
		ret = -errno;
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
