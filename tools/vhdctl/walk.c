// SPDX-License-Identifier: GPL-2.0
/* From a virtual sector down the chain to its owner. */
#include <errno.h>

#include "walk.h"

static int step_layer(struct image *img, u64 sector, u64 nr, struct vhd_run *run)
{
	u32 entry = VHD_BAT_UNUSED;
	const u8 *bitmap;

	if (img->layout.type != VHD_TYPE_FIXED && sector < img->layout.capacity)
		entry = image_bat_entry(img, sector >> img->layout.block_shift);
	vhd_map_step(&img->layout, sector, nr, entry, NULL, run);
	if (run->answer != VHD_NEED_BITMAP)
		return 0;
	bitmap = image_bitmap(img, run->block);
	if (!bitmap)
		return -errno;
	vhd_map_step(&img->layout, sector, nr, entry, bitmap, run);
	return 0;
}

/**
 * walk_step() - the owner of a sector, and how far it goes on
 * @c:		chain after chain_load_bats()
 * @sector:	first virtual sector
 * @end:	virtual sector to stop before
 * @run:	result, at least one sector
 *
 * Behind the end of a parent that is smaller than its child all is zeros,
 * whatever the parent's own parent holds there.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int walk_step(struct chain *c, u64 sector, u64 end, struct owner_run *run)
{
	u64 nr = end - sector;
	struct vhd_run r = { .answer = VHD_HOLE };
	unsigned int i;
	int ret;

	for (i = 0; i < c->nr && r.answer == VHD_HOLE; i++) {
		ret = step_layer(c->layer[i], sector, nr, &r);
		if (ret)
			return image_report(c->layer[i], i, ret);
		nr = r.sects;
	}
	run->answer = r.answer == VHD_HOLE ? VHD_ZERO : r.answer;
	run->layer = i - 1;
	run->start = sector;
	run->sects = nr;
	run->file_sect = r.file_sect;
	return VHDCTL_OK;
}

/**
 * walk_merge() - make two neighbours one, if they have one owner
 * @run:	grows
 * @next:	begins where @run ends
 * @contiguous:	only if they are neighbours in the file too
 *
 * Return: true if @run now covers both.
 */
bool walk_merge(struct owner_run *run, const struct owner_run *next, bool contiguous)
{
	if (run->answer != next->answer)
		return false;
	if (run->answer != VHD_ZERO && run->layer != next->layer)
		return false;
	if (contiguous && run->answer == VHD_DATA &&
	    run->file_sect + run->sects != next->file_sect)
		return false;
	run->sects += next->sects;
	return true;
}
