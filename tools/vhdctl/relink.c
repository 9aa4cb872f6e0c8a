// SPDX-License-Identifier: GPL-2.0
/*
 * Another parent, or another path to the same one: a new header with new locators.
 *
 * They go behind everything that is there, and when both footers lead to them, back to
 * where the old ones were, as far as there is room: a header that stays at the end would
 * keep compact from making the file shorter. An interrupted command leaves them at the
 * end, where they are good; the next one takes them home.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "edit.h"
#include "exec.h"
#include "relink.h"
#include "sparse.h"

#define PAGE_SECTS	8u
#define FIRST_SECT	1u	/* where a header is most often: behind the copy */

/**
 * struct relink - a header on its way
 * @img:	the child
 * @parent:	its new parent
 * @texts:	sectors of the new locators
 * @old:	texts of headers that are about to go; they may be overwritten then
 * @nr_old:	how many
 * @old_header:	where the header was
 * @old_end:	sectors of the file before
 */
struct relink {
	struct image *img;
	const struct image *parent;
	u32 texts;
	struct vhd_extent old[2 * VHD_LOCATORS];
	unsigned int nr_old;
	u64 old_header;
	u64 old_end;
};

static void remember_texts(struct relink *r, const struct vhd_header *h)
{
	struct vhd_locator_ref ref;
	unsigned int slot;

	for (slot = 0; slot < VHD_LOCATORS; slot++) {
		if (vhd_locator_get(h, slot, r->img->size, &ref) || !ref.length)
			continue;
		r->old[r->nr_old++] = (struct vhd_extent){
			.sect = ref.offset >> VHD_SECTOR_SHIFT,
			.sects = DIV_ROUND_UP(ref.offset % VHD_SECTOR_SIZE + ref.length,
					      VHD_SECTOR_SIZE),
		};
	}
}

static bool is_header(const struct relink *r, u64 sect, struct vhd_header *h)
{
	return !image_read(r->img, h, sizeof(*h), sect << VHD_SECTOR_SHIFT) &&
	       !memcmp(h->cookie, VHD_HEADER_COOKIE, sizeof(h->cookie));
}

/* What an interrupted command has left in the first place names texts too. */
static void remember(struct relink *r)
{
	struct vhd_header first;

	r->old_header = r->img->layout.header_sect;
	r->old_end = DIV_ROUND_UP(r->img->size, VHD_SECTOR_SIZE);
	remember_texts(r, &r->img->header);
	if (r->old_header != FIRST_SECT && is_header(r, FIRST_SECT, &first) &&
	    !vhd_header_check(&first))
		remember_texts(r, &first);
}

static bool meets(u64 a, u64 a_sects, u64 b, u64 b_sects)
{
	return a < b + b_sects && b < a + a_sects;
}

static bool is_unused(const struct image *img, u64 sect, u32 nr)
{
	u64 slot = (u64)img->layout.bitmap_sects + img->layout.block_sects;
	u32 block, entry;

	if (sect + nr > img->layout.end || vhd_layout_hits_metadata(&img->layout, sect, nr))
		return false;
	for (block = 0; block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (entry != VHD_BAT_UNUSED && meets(sect, nr, entry, slot))
			return false;
	}
	return true;
}

/* Gaps may hold what nobody here knows. */
static bool may_be_overwritten(const struct relink *r, u64 sect)
{
	u8 data[VHD_SECTOR_SIZE];
	unsigned int i;

	for (i = 0; i < r->nr_old; i++)
		if (meets(sect, 1, r->old[i].sect, r->old[i].sects))
			return true;
	return !image_read(r->img, data, sizeof(data), sect << VHD_SECTOR_SHIFT) &&
	       is_zero(data, sizeof(data));
}

static bool has_room(const struct relink *r, u64 sect, u64 header)
{
	u32 i;

	if (meets(sect, r->texts, header, VHD_HEADER_SECTS) || !is_unused(r->img, sect, r->texts))
		return false;
	for (i = 0; i < r->texts; i++)
		if (!may_be_overwritten(r, sect + i))
			return false;
	return true;
}

/* The lowest place that is good: behind the header, or an old one; else where they are. */
static u64 home_of_texts(const struct relink *r, u64 away, u64 header)
{
	u64 home = header + VHD_HEADER_SECTS;
	unsigned int i;

	if (home > away || !has_room(r, home, header))
		home = away;
	for (i = 0; i < r->nr_old; i++)
		if (r->old[i].sect < home && has_room(r, r->old[i].sect, header))
			home = r->old[i].sect;
	return home;
}

static u64 home_of_header(const struct relink *r)
{
	struct vhd_header h;

	if (is_header(r, FIRST_SECT, &h) && is_unused(r->img, FIRST_SECT, VHD_HEADER_SECTS))
		return FIRST_SECT;
	return r->old_header;
}

static int carry_out(struct relink *r, const struct vhd_new_header *to,
		     const struct vhd_header *h, const u8 *texts)
{
	struct image *img = r->img;
	int ret;

	img->footer.data_offset = cpu_to_be64(to->header_sect << VHD_SECTOR_SHIFT);
	vhd_footer_seal(&img->footer);
	ret = exec_relink(img, to, h, texts);
	return ret ? ret : image_load(img, VHD_SIZE_AUTO);
}

static int put(struct relink *r, u64 text_sect, bool write_texts, u64 header_sect)
{
	struct vhd_header h = r->img->header;
	struct parent_texts t;
	int ret = build_parent(&t, &h, r->img->path, r->parent, text_sect), err;
	const struct vhd_new_header to = {
		.text = { text_sect, write_texts ? t.sects : 0 },
		.header_sect = header_sect ? header_sect : text_sect + t.sects,
		.footer_sect = (r->img->size >> VHD_SECTOR_SHIFT) - 1,
	};

	if (!ret) {
		err = carry_out(r, &to, &h, t.data);
		ret = err ? edit_report(r->img, err) : VHDCTL_OK;
	}
	free(t.data);
	return ret;
}

/* On a block device, which has its footer in the last sector, what is free before that. */
static int make_room(struct relink *r, u64 *place)
{
	u64 end = r->img->block_device ? image_used_end(r->img) : r->old_end;
	struct vhd_header h = r->img->header;
	struct parent_texts t;
	int ret, err;

	*place = DIV_ROUND_UP(end, PAGE_SECTS) * PAGE_SECTS;
	ret = build_parent(&t, &h, r->img->path, r->parent, *place);
	r->texts = t.sects;
	free(t.data);
	if (ret)
		return ret;
	end = *place + r->texts + VHD_HEADER_SECTS + 1;
	err = end > VHD_MAX_SECTOR ? -EFBIG : edit_extend(r->img, end);
	return err ? edit_report(r->img, err) : VHDCTL_OK;
}

/* What the old header named: zeros, so that the next one may find room there. */
static int wipe(const struct relink *r)
{
	unsigned int i;
	u32 at;
	int ret = 0;

	for (i = 0; i < r->nr_old; i++)
		for (at = 0; !ret && at < r->old[i].sects; at++)
			if (is_unused(r->img, r->old[i].sect + at, 1))
				ret = punch(r->img, (r->old[i].sect + at) << VHD_SECTOR_SHIFT,
					    VHD_SECTOR_SIZE);
	if (!ret && fsync(r->img->fd))
		ret = -errno;
	return ret ? edit_report(r->img, ret) : VHDCTL_OK;
}

/* As long as it was, or shorter if what an interrupted command left was at the end. */
static int cut_end(const struct relink *r)
{
	u64 used = vhd_layout_end_aligned(image_used_end(r->img)), end = r->old_end;
	u64 size = r->img->size >> VHD_SECTOR_SHIFT;
	struct vhd_plan plan;
	unsigned int i;
	int ret;

	for (i = 0; i < r->nr_old; i++)
		if (r->old[i].sect >= used)
			end = used;
	end = max_t(u64, r->old_header >= used ? used : end, used);
	if (r->img->block_device || end >= size)
		return VHDCTL_OK;
	vhd_plan_trim(&plan, size, end);
	ret = exec_plan(r->img, &plan);
	return ret ? edit_report(r->img, ret) : VHDCTL_OK;
}

/**
 * relink_image() - give a child another parent
 * @img:	a differencing image from edit_open()
 * @parent:	loaded and locked
 *
 * Return: VHDCTL_OK when it is durable, or another exit code after a message.
 */
int relink_image(struct image *img, const struct image *parent)
{
	struct relink r = { .img = img, .parent = parent };
	u64 away, header, texts;
	int ret;

	remember(&r);
	ret = make_room(&r, &away);
	if (!ret)
		ret = put(&r, away, true, 0);
	if (ret)
		return ret;
	header = home_of_header(&r);
	texts = home_of_texts(&r, away, header);
	ret = put(&r, texts, texts != away, header);
	if (!ret)
		ret = wipe(&r);
	return ret ? ret : cut_end(&r);
}
