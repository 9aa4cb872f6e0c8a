// SPDX-License-Identifier: GPL-2.0
/* Everything that can be wrong with one image, without looking at others. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "findings.h"

/**
 * findings_add() - note a fault or a sign
 * @f:		result so far
 * @kind:	&enum vhd_fault or &enum sign
 * @block:	its block or NO_BLOCK
 */
void findings_add(struct findings *f, unsigned int kind, u32 block)
{
	enum vhd_severity severity = finding_severity(kind);

	if (f->nr < MAX_FINDINGS)
		f->v[f->nr++] = (struct finding){ .kind = kind, .block = block };
	f->total++;
	f->nr_of[kind]++;
	if (severity > f->worst)
		f->worst = severity;
}

static void check_footers(struct findings *f, const struct image *img)
{
	if (img->choice.place == VHD_FOOTER_SHORT)
		findings_add(f, VHD_FAULT_SHORT_FOOTER, NO_BLOCK);
	if (img->choice.place == VHD_FOOTER_COPY)
		findings_add(f, VHD_FAULT_FOOTER_END_MISSING, NO_BLOCK);
	else if (img->choice.differ)
		findings_add(f, VHD_FAULT_FOOTER_COPY, NO_BLOCK);
}

/**
 * locator_text() - does the text of a parent locator decode
 * @img:	an image of which footer, header and layout are known
 * @ref:	from vhd_locator_get()
 *
 * Return: VHD_OK, also if it has no text that anybody could read.
 */
enum vhd_fault locator_text(const struct image *img, const struct vhd_locator_ref *ref)
{
	char path[4 * PATH_MAX];
	enum vhd_fault fault;
	char *data;

	if (!ref->length || ref->code == VHD_PLATFORM_MAC || ref->code == VHD_PLATFORM_WI2R ||
	    ref->code == VHD_PLATFORM_WI2K)
		return VHD_OK;
	data = malloc(ref->length);
	fault = !data || image_read(img, data, ref->length, ref->offset) ?
		VHD_FAULT_LOCATOR_RANGE :
		vhd_locator_decode(ref->code, data, ref->length, path, sizeof(path));
	free(data);
	return fault;
}

/**
 * locator_place() - do the data of a parent locator lie where they may
 * @img:	an image of which footer, header and layout are known
 * @slot:	0 to 7
 * @ref:	filled, see vhd_locator_get()
 *
 * Return: VHD_OK, VHD_FAULT_LOCATOR_RANGE, VHD_FAULT_LOCATOR_OVERLAP if they lie on other
 * metadata, or VHD_FAULT_LOCATOR_CODE.
 */
enum vhd_fault locator_place(const struct image *img, unsigned int slot,
			     struct vhd_locator_ref *ref)
{
	u64 size = min_t(u64, img->size, img->layout.end << VHD_SECTOR_SHIFT);
	enum vhd_fault fault = vhd_locator_get(&img->header, slot, size, ref);
	const struct vhd_extent *text = &img->layout.locator[slot];
	struct vhd_layout others = img->layout;

	memset(others.locator, 0, sizeof(others.locator));
	if (fault != VHD_FAULT_LOCATOR_RANGE && text->sects &&
	    vhd_layout_hits_metadata(&others, text->sect, text->sects))
		return VHD_FAULT_LOCATOR_OVERLAP;
	return fault;
}

static void check_locators(struct findings *f, const struct image *img)
{
	struct vhd_locator_ref ref;
	enum vhd_fault fault, text;
	unsigned int slot;

	if (img->layout.type != VHD_TYPE_DIFFERENCING)
		return;
	for (slot = 0; slot < VHD_LOCATORS; slot++) {
		fault = locator_place(img, slot, &ref);
		text = fault && fault != VHD_FAULT_LOCATOR_OVERLAP ? VHD_OK :
		       locator_text(img, &ref);
		if (text)
			findings_add(f, text, NO_BLOCK);
		if (fault)
			findings_add(f, fault, NO_BLOCK);
	}
}

static void note_bat_fault(void *ctx, enum vhd_fault fault, u32 block)
{
	findings_add(ctx, fault, block);
}

/* What a freed block may keep: a page of a file system, in bytes. */
#define LEFT_BY_DISCARD	4096u

static void add_extent(struct extents *e, u64 sect, u64 nr)
{
	if (nr)
		e->v[e->nr++] = (struct extent){ .sect = sect, .nr = nr };
}

static void add_metadata(struct extents *e, const struct image *img)
{
	const struct vhd_layout *l = &img->layout;
	struct vhd_locator_ref ref;
	unsigned int slot;

	add_extent(e, 0, 1);
	add_extent(e, l->header_sect, sizeof(img->header) >> VHD_SECTOR_SHIFT);
	add_extent(e, l->bat_sect, l->bat_sects);
	add_extent(e, l->batmap_sect, l->batmap_sects);
	for (slot = 0; slot < VHD_LOCATORS; slot++)
		if (l->type == VHD_TYPE_DIFFERENCING &&
		    !vhd_locator_get(&img->header, slot, img->size, &ref) && ref.length)
			add_extent(e, ref.offset >> VHD_SECTOR_SHIFT,
				   DIV_ROUND_UP(ref.space, VHD_SECTOR_SIZE));
}

static void add_blocks(struct extents *e, const struct image *img)
{
	u32 block, entry;

	for (block = 0; block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (entry && entry != VHD_BAT_UNUSED)
			add_extent(e, entry, (u64)img->layout.bitmap_sects +
				   img->layout.block_sects);
	}
}

static int compare_extents(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->sect < y->sect ? -1 : x->sect > y->sect;
}

/* Bytes of a range that take space; all of it where the file system cannot tell. */
static u64 stored_bytes(int fd, off_t pos, off_t end)
{
	off_t data, hole;
	u64 sum = 0;

	while (pos < end) {
		data = lseek(fd, pos, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? sum : sum + (end - pos);
		hole = data < end ? lseek(fd, data, SEEK_HOLE) : end;
		if (hole < 0)
			return sum + (end - data);
		if (data < end)
			sum += min_t(off_t, hole, end) - data;
		pos = hole;
	}
	return sum;
}

/*
 * A gap that could hold a block, unless its space went back to the file system:
 * of a discarded block only the page with its bitmap is left.
 */
static u64 leaked_bytes(const struct image *img, u64 from, u64 to)
{
	u64 stride = vhd_slot_stride(&img->layout), stored;

	if (to <= from || to - from < stride)
		return 0;
	stored = stored_bytes(img->fd, from << VHD_SECTOR_SHIFT, to << VHD_SECTOR_SHIFT);
	return stored > ((to - from) / stride + 1) * 2 * LEFT_BY_DISCARD ? stored : 0;
}

/**
 * extents_collect() - every known structure of an image, in the order of the file
 * @e:		result; free @e->v
 * @img:	an image after image_load_bat(), without overlapping blocks
 *
 * The footer at the end is none of them.
 *
 * Return: 0 or -ENOMEM.
 */
int extents_collect(struct extents *e, const struct image *img)
{
	e->nr = 0;
	e->v = malloc((img->allocated + VHD_LOCATORS + 4ULL) * sizeof(*e->v));
	if (!e->v)
		return -ENOMEM;
	add_metadata(e, img);
	add_blocks(e, img);
	qsort(e->v, e->nr, sizeof(*e->v), compare_extents);
	return 0;
}

/**
 * gaps_walk() - every gap that stores what nothing uses
 * @img:	an image after image_load_bat(), without faulty blocks
 * @visit:	called with each in sectors and the bytes it stores; returns 0 to go on
 * @ctx:	for @visit
 *
 * Smaller gaps are no leaks: they come from alignment, and no block fits into
 * them. On a block device the space before the footer is the reserve.
 *
 * Return: 0 or a negative errno.
 */
int gaps_walk(const struct image *img, gap_fn visit, void *ctx)
{
	u64 pos = 0, next, end = img->block_device ? 0 : img->layout.end, stored;
	struct extents e;
	size_t i;
	int ret = extents_collect(&e, img);

	for (i = 0; !ret && i <= e.nr; i++) {
		next = i < e.nr ? e.v[i].sect : end;
		stored = leaked_bytes(img, pos, next);
		if (stored)
			ret = visit(ctx, pos, next, stored);
		if (i < e.nr)
			pos = max_t(u64, pos, next + e.v[i].nr);
	}
	free(e.v);
	return ret;
}

static int add_leak(void *ctx, u64 sect, u64 end, u64 stored)
{
	struct findings *f = ctx;

	(void)sect;
	(void)end;
	f->leaked += stored;
	return 0;
}

/**
 * findings_judge() - check one image that is loaded
 * @f:		result, reset first
 * @img:	an image of which footer, header and layout are known
 *
 * Return: see findings_collect().
 */
int findings_judge(struct findings *f, struct image *img)
{
	int ret;

	memset(f, 0, sizeof(*f));
	check_footers(f, img);
	if (img->layout.type == VHD_TYPE_FIXED)
		return 0;
	check_locators(f, img);
	ret = image_load_bat(img, note_bat_fault, f);
	/* Where blocks are faulty, nobody can tell what is used. */
	if (!ret && f->worst < VHD_SEV_BLOCK)
		ret = gaps_walk(img, add_leak, f);
	return ret ? ret : signs_collect(f, img);
}

/**
 * findings_collect() - check one image
 * @f:		result, reset first
 * @img:	an open image; loaded afterwards, unless a finding prevents that
 * @rule:	which field gives the size of the disk
 *
 * Return: 0 if the check could be made, whatever it found; a negative errno if
 * the file cannot be read.
 */
int findings_collect(struct findings *f, struct image *img, enum vhd_size_rule rule)
{
	int ret = image_load(img, rule);

	if (!img->fault)
		return ret ? ret : findings_judge(f, img);
	memset(f, 0, sizeof(*f));
	findings_add(f, img->fault, NO_BLOCK);
	return 0;
}
