// SPDX-License-Identifier: GPL-2.0
/* How far a disk or a file has nothing but zeros. */
#include <errno.h>
#include <stdlib.h>

#include "resize.h"
#include "sparse.h"
#include "walk.h"

static u64 zero_sectors(const u8 *buf, u64 len)
{
	u64 at = 0;

	while (at < len && is_zero(buf + at, min_t(u64, len - at, VHD_SECTOR_SIZE)))
		at += VHD_SECTOR_SIZE;
	return min_t(u64, at, len);
}

/**
 * file_blank_until() - where zeros end in a file
 * @img:	an open image
 * @pos:	bytes
 * @end:	bytes; not behind the end of the file
 * @blank:	result: the beginning of the first sector, counted from @pos, that is
 *		not zero; @end if there is none
 *
 * Return: 0 or a negative errno.
 */
int file_blank_until(const struct image *img, u64 pos, u64 end, u64 *blank)
{
	u8 *buf = malloc(PIECE_BYTES);
	u64 data, data_end, len, good;
	int ret = buf ? 0 : -ENOMEM;

	while (!ret && pos < end) {
		data = next_data(img, pos, end, &data_end);
		pos = data < end ? pos + (data - pos) / VHD_SECTOR_SIZE * VHD_SECTOR_SIZE : end;
		len = min_t(u64, end - pos, PIECE_BYTES);
		if (len)
			ret = image_read(img, buf, len, pos);
		good = ret ? 0 : zero_sectors(buf, len);
		pos += good;
		if (good < len)
			break;
	}
	free(buf);
	*blank = pos;
	return ret;
}

/**
 * disk_blank_until() - where zeros end on a disk
 * @c:		chain after chain_load_bats()
 * @sector:	virtual sector to begin with
 * @end:	virtual sector to stop before; may lie behind the disk
 * @blank:	result: the first sector that is not zero or cannot be read, @end if
 *		there is none
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int disk_blank_until(struct chain *c, u64 sector, u64 end, u64 *blank)
{
	struct owner_run run;
	u64 pos, stop, at;
	int ret = VHDCTL_OK, err;

	for (; c->nr && sector < end; sector += run.sects) {
		ret = walk_step(c, sector, end, &run);
		if (ret || run.answer == VHD_BAD)
			break;
		if (run.answer != VHD_DATA)
			continue;
		pos = run.file_sect << VHD_SECTOR_SHIFT;
		stop = pos + (run.sects << VHD_SECTOR_SHIFT);
		err = file_blank_until(c->layer[run.layer], pos, stop, &at);
		if (err)
			return image_report(c->layer[run.layer], run.layer, err);
		if (at < stop) {
			*blank = sector + ((at - pos) >> VHD_SECTOR_SHIFT);
			return VHDCTL_OK;
		}
	}
	*blank = c->nr ? sector : end;
	return ret;
}
