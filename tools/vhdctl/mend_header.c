// SPDX-License-Identifier: GPL-2.0
/*
 * Parent locators that lie where they cannot, and the parent's name. Both lie in the
 * second sector of the header and the checksum in the first: so a whole new header
 * goes into free space, the footers point at it, the old place is rewritten, and they
 * point back. At every moment each footer leads to a whole header.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "mend.h"
#include "sparse.h"

#define HEADER_SECTS	(sizeof(struct vhd_header) >> VHD_SECTOR_SHIFT)
/* Gaps that are looked at before the file is made longer. */
#define GAPS		64u

static void count(void *ctx, enum vhd_fault fault, u32 block)
{
	u32 *nr = ctx;

	(void)block;
	*nr += fault == VHD_FAULT_BAT_RANGE;
}

/* What is no path, and lies on a block that would be sound without it, is none of it. */
static bool hides_block(struct image *img, const struct findings *f, unsigned int slot)
{
	struct vhd_extent text = img->layout.locator[slot];
	u32 nr = 0;
	bool hides;

	img->layout.locator[slot].sects = 0;
	hides = !image_load_bat(img, count, &nr) && nr < f->nr_of[VHD_FAULT_BAT_RANGE];
	img->layout.locator[slot] = text;
	image_load_bat(img, NULL, NULL);
	return hides;
}

static bool is_lost(struct image *img, const struct findings *f, unsigned int slot)
{
	struct vhd_locator_ref ref;

	switch (locator_place(img, slot, &ref)) {
	case VHD_FAULT_LOCATOR_RANGE:
	case VHD_FAULT_LOCATOR_OVERLAP:
		return true;
	case VHD_OK:
		return f->nr_of[VHD_FAULT_BAT_RANGE] && locator_text(img, &ref) &&
		       hides_block(img, f, slot);
	default:
		return false;
	}
}

static bool path_of(const struct image *img, const struct vhd_header *h, unsigned int slot,
		    char *path, size_t size)
{
	struct vhd_locator_ref ref;
	bool good = false;
	u8 *data;

	if (vhd_locator_get(h, slot, img->size, &ref) || !ref.length)
		return false;
	data = malloc(ref.length);
	if (data && !image_read(img, data, ref.length, ref.offset))
		good = !vhd_locator_decode(ref.code, data, ref.length, path, size);
	free(data);
	return good;
}

/* The name is the last part of the path that the first sound locator gives. */
static void set_name(struct vhd_header *h, const struct image *img)
{
	u16 units[VHD_NAME_UNITS];
	char path[4 * PATH_MAX];
	unsigned int slot;
	size_t nr;

	for (slot = 0; slot < VHD_LOCATORS; slot++) {
		if (!path_of(img, h, slot, path, sizeof(path)))
			continue;
		nr = vhd_utf8_to_utf16(path_basename(path), units, ARRAY_SIZE(units));
		if (!nr)
			continue;
		vhd_header_set_name(h, units, nr);
		return;
	}
}

static void new_header(struct vhd_header *h, struct image *img, const struct findings *f)
{
	static const struct vhd_locator_ref none = { .code = VHD_PLATFORM_NONE };
	unsigned int slot;

	*h = img->header;
	for (slot = 0; slot < VHD_LOCATORS; slot++)
		if (is_lost(img, f, slot))
			vhd_locator_set(h, slot, &none);
	if (f->nr_of[SIGN_PARENT_NAME])
		set_name(h, img);
	vhd_header_seal(h);
}

static bool may_want(const struct findings *f)
{
	return f->nr_of[VHD_FAULT_LOCATOR_RANGE] || f->nr_of[VHD_FAULT_LOCATOR_OVERLAP] ||
	       f->nr_of[SIGN_PARENT_NAME] ||
	       (f->nr_of[VHD_FAULT_LOCATOR_TEXT] && f->nr_of[VHD_FAULT_BAT_RANGE]);
}

/* Two sectors of zeros between known structures; unknown ones lie in gaps too. */
static u64 find_gap(struct image *img)
{
	u8 data[sizeof(struct vhd_header)];
	struct extents e;
	u64 pos = 0, found = 0;
	size_t i;

	if (extents_collect(&e, img))
		return 0;
	for (i = 0; !found && i < e.nr && i < GAPS; i++) {
		if (e.v[i].sect >= pos + HEADER_SECTS &&
		    !image_read(img, data, sizeof(data), pos << VHD_SECTOR_SHIFT) &&
		    is_zero(data, sizeof(data)))
			found = pos;
		pos = max_t(u64, pos, e.v[i].sect + e.v[i].nr);
	}
	free(e.v);
	return found;
}

/*
 * A gap inside of a block that shares sectors is none. And a file that becomes longer
 * would take in what an entry behind its end leads to. Return: 0 if there is no place.
 */
static u64 find_place(struct image *img, const struct findings *f, bool *behind)
{
	u64 place = 0, used;

	*behind = false;
	if (!f->nr_of[VHD_FAULT_BAT_OVERLAP])
		place = find_gap(img);
	if (place || img->block_device || f->nr_of[VHD_FAULT_BAT_RANGE] ||
	    image_used_by_all(img, &used))
		return place;
	*behind = true;
	return max_t(u64, used, DIV_ROUND_UP(img->size, VHD_SECTOR_SIZE));
}

/**
 * header_wanted() - would mend_header() change anything
 * @img:	the image with its BAT loaded
 * @f:		what is wrong with it
 */
bool header_wanted(struct image *img, const struct findings *f)
{
	struct vhd_header h;
	bool behind;

	if (img->fault || img->layout.type != VHD_TYPE_DIFFERENCING || !may_want(f) ||
	    img->choice.place != VHD_FOOTER_END || img->choice.differ)
		return false;
	new_header(&h, img, f);
	return memcmp(&h, &img->header, sizeof(h)) && find_place(img, f, &behind);
}

static int run(struct image *img, struct vhd_plan *plan)
{
	int ret = exec_plan(img, plan);

	return ret ? ret : image_refresh_size(img);
}

/* To @sect, which no footer names yet. */
static int put_header(struct image *img, const struct vhd_header *h, u64 sect)
{
	struct vhd_new_header to = {
		.header_sect = sect,
		.footer_sect = (img->size >> VHD_SECTOR_SHIFT) - 1,
	};

	img->footer.data_offset = cpu_to_be64(sect << VHD_SECTOR_SHIFT);
	vhd_footer_seal(&img->footer);
	return exec_relink(img, &to, h, NULL);
}

static int replace(struct image *img, const struct vhd_header *h, u64 spare)
{
	static const u8 zeros[sizeof(*h)];
	u64 old = img->layout.header_sect;
	int ret = put_header(img, h, spare);

	if (!ret)
		ret = put_header(img, h, old);
	return ret ? ret : exec_write(img, zeros, sizeof(zeros), spare << VHD_SECTOR_SHIFT);
}

static int replace_behind(struct image *img, const struct vhd_header *h, u64 place)
{
	u64 old_end = DIV_ROUND_UP(img->size, VHD_SECTOR_SIZE);
	u64 new_end = vhd_layout_end_aligned(place + HEADER_SECTS + 8);
	struct vhd_plan plan;
	int ret;

	vhd_plan_extend(&plan, old_end, new_end);
	ret = run(img, &plan);
	if (!ret)
		ret = replace(img, h, place);
	if (ret)
		return ret;
	vhd_plan_trim(&plan, new_end, old_end);
	return run(img, &plan);
}

/**
 * mend_header() - empty the slots of locators that are lost, and give a name
 * @m:	the repair
 *
 * Return: 0 or a negative errno.
 */
int mend_header(struct mend *m)
{
	struct vhd_header h;
	bool behind;
	u64 place = find_place(m->img, m->f, &behind);

	new_header(&h, m->img, m->f);
	if (!place)
		return -ENOSPC;
	if (behind)
		return replace_behind(m->img, &h, place);
	return replace(m->img, &h, place);
}
