// SPDX-License-Identifier: GPL-2.0
/* What is wrong with an image although every program reads it: notes of "vhdctl check". */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "findings.h"

/* Entries read at a time. */
#define PADDING_CHUNK	16384u
/* More bitmaps than this are not read for a mere sign. */
#define QEMU_BLOCKS	1000u

static const struct {
	const char *name;
	const char *text;
} signs[] = {
	[SIGN_FOOTER_CONFLICT - VHD_NR_FAULTS] = { "footer-conflict",
		"the damaged footer at the end is one of a fixed disk, unlike the copy" },
	[SIGN_PARENT_NAME - VHD_NR_FAULTS] = { "parent-name",
		"the parent's name in the header does not decode" },
	[SIGN_BAT_PADDING - VHD_NR_FAULTS] = { "bat-padding",
		"entries behind those that the disk needs are not marked as unused" },
	[SIGN_BITMAP_TAIL - VHD_NR_FAULTS] = { "bitmap-tail",
		"bits behind the end of the disk hide the parent when it grows" },
	[SIGN_BATMAP - VHD_NR_FAULTS] = { "batmap",
		"the batmap that libvhd demands is missing, bad or wrong" },
	[SIGN_QEMU - VHD_NR_FAULTS] = { "qemu-wrote",
		"QEMU seems to have made this block; its zeros may hide the parent's data" },
};

/**
 * finding_name() - the word for a finding in JSON
 * @kind:	&enum vhd_fault or &enum sign
 */
const char *finding_name(unsigned int kind)
{
	return kind < VHD_NR_FAULTS ? vhd_fault_name((enum vhd_fault)kind) :
	       signs[kind - VHD_NR_FAULTS].name;
}

/**
 * finding_text() - a finding in words
 * @kind:	&enum vhd_fault or &enum sign
 */
const char *finding_text(unsigned int kind)
{
	return kind < VHD_NR_FAULTS ? vhd_fault_str((enum vhd_fault)kind) :
	       signs[kind - VHD_NR_FAULTS].text;
}

/**
 * finding_severity() - what a finding forbids
 * @kind:	&enum vhd_fault or &enum sign
 */
enum vhd_severity finding_severity(unsigned int kind)
{
	return kind < VHD_NR_FAULTS ? vhd_fault_severity((enum vhd_fault)kind) : VHD_SEV_NOTE;
}

/**
 * severity_name() - a severity in one word
 * @severity:	it
 */
const char *severity_name(enum vhd_severity severity)
{
	static const char * const names[] = {
		[VHD_SEV_NONE] = "none", [VHD_SEV_NOTE] = "note",
		[VHD_SEV_REPAIRABLE] = "repairable", [VHD_SEV_BLOCK] = "block",
		[VHD_SEV_FATAL] = "fatal",
	};

	return (unsigned int)severity < ARRAY_SIZE(names) ? names[severity] : "fatal";
}

/**
 * findings_worst() - the first of the worst findings, in words
 * @f:	with at least one
 */
const char *findings_worst(const struct findings *f)
{
	unsigned int i;

	for (i = 0; i + 1 < f->nr; i++)
		if (finding_severity(f->v[i].kind) == f->worst)
			break;
	return finding_text(f->v[i].kind);
}

/*
 * A guest may write anything into sector 0 of a fixed disk. If then the only real footer is
 * damaged, what the guest wrote looks like the copy of a lost one.
 */
static void check_conflict(struct findings *f, const struct image *img)
{
	struct vhd_footer end = img->end;

	if (img->choice.place != VHD_FOOTER_COPY)
		return;
	vhd_footer_seal(&end);
	if (!vhd_footer_check(&end) && vhd_footer_type(&end) == VHD_TYPE_FIXED &&
	    img->size - be64_to_cpu(end.current_size) - img->end_bytes < VHD_SECTOR_SIZE)
		findings_add(f, SIGN_FOOTER_CONFLICT, NO_BLOCK);
}

static void check_name(struct findings *f, const struct image *img)
{
	char name[4 * PATH_MAX];

	if (img->layout.type == VHD_TYPE_DIFFERENCING && img->header.parent_name[0] &&
	    !parent_name(img, name, sizeof(name)))
		findings_add(f, SIGN_PARENT_NAME, NO_BLOCK);
}

/**
 * bat_padding_is_bad() - should an entry that the disk does not need be another one
 * @l:		layout of the image
 * @index:	of the entry
 * @entry:	in host order
 *
 * Behind those that the header claims it should be unused. One of a disk that was
 * larger, or is by another rule, may lead to a block.
 */
bool bat_padding_is_bad(const struct vhd_layout *l, u64 index, u32 entry)
{
	if (entry == VHD_BAT_UNUSED)
		return false;
	return index >= l->max_entries || vhd_bat_entry_check(l, entry) == VHD_FAULT_BAT_RANGE;
}

/**
 * bat_padding_end() - first entry behind the table and its padding
 * @l:	layout of the image
 *
 * None where the table is absurdly long.
 */
u64 bat_padding_end(const struct vhd_layout *l)
{
	if (l->max_entries > 2 * VHD_MAX_BLOCKS)
		return l->entries;
	return (u64)l->bat_sects * (VHD_SECTOR_SIZE / sizeof(__be32));
}

static int check_padding(struct findings *f, const struct image *img)
{
	u64 pos = img->layout.bat_sect << VHD_SECTOR_SHIFT;
	u64 first, end = bat_padding_end(&img->layout);
	__be32 *chunk = malloc(PADDING_CHUNK * sizeof(*chunk));
	int ret = chunk ? 0 : -ENOMEM;
	bool bad = false;
	u32 nr, i;

	for (first = img->layout.entries; !ret && !bad && first < end; first += nr) {
		nr = min_t(u64, PADDING_CHUNK, end - first);
		ret = image_read(img, chunk, nr * sizeof(*chunk), pos + first * sizeof(*chunk));
		for (i = 0; !ret && !bad && i < nr; i++)
			bad = bat_padding_is_bad(&img->layout, first + i, be32_to_cpu(chunk[i]));
	}
	if (bad)
		findings_add(f, SIGN_BAT_PADDING, NO_BLOCK);
	free(chunk);
	return ret;
}

/**
 * bitmap_tail() - sectors of the last block that belong to the disk
 * @img:	an image after image_load_bat()
 *
 * Return: 0 if the disk ends with a block, or the last block has no place.
 */
u32 bitmap_tail(const struct image *img)
{
	const struct vhd_layout *l = &img->layout;
	u32 entry = image_bat_entry(img, l->entries - 1);

	return entry && entry != VHD_BAT_UNUSED ? l->capacity & (l->block_sects - 1) : 0;
}

/* In a dynamic image the bits say nothing that its zeros do not. */
static int check_tail(struct findings *f, struct image *img)
{
	u32 last = img->layout.entries - 1, tail = bitmap_tail(img);
	const u8 *bits;
	bool set;

	if (!tail || img->layout.type != VHD_TYPE_DIFFERENCING)
		return 0;
	bits = image_bitmap(img, last);
	if (!bits)
		return -errno;
	if (vhd_bitmap_run(bits, tail, img->layout.block_sects, &set) <
	    img->layout.block_sects - tail || set)
		findings_add(f, SIGN_BITMAP_TAIL, last);
	return 0;
}

/* This project and libvhd align the data of blocks, and both leave a mark. */
static bool maker_aligns(const struct image *img)
{
	return !(img->layout.bat_sect % 8) || !memcmp(img->footer.creator_app, "tap", 4);
}

static bool all_bits(const u8 *bits, size_t len)
{
	return bits[0] == 0xff && !memcmp(bits, bits + 1, len - 1);
}

/*
 * QEMU takes a child for a dynamic image. Where it makes a block, right behind the last
 * one, all bits are set, and what was not written is zeros.
 */
static int check_qemu(struct findings *f, struct image *img)
{
	size_t len = (size_t)img->layout.bitmap_sects << VHD_SECTOR_SHIFT;
	u32 block, entry, left = QEMU_BLOCKS;
	const u8 *bits;

	if (img->layout.type != VHD_TYPE_DIFFERENCING || !img->misaligned || !maker_aligns(img))
		return 0;
	for (block = 0; left && block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (!entry || entry == VHD_BAT_UNUSED ||
		    !(vhd_bat_data_sect(&img->layout, entry) % 8))
			continue;
		bits = image_bitmap(img, block);
		if (!bits)
			return -errno;
		if (all_bits(bits, len))
			findings_add(f, SIGN_QEMU, block);
		left--;
	}
	return 0;
}

/**
 * signs_collect() - add what forbids nothing
 * @f:		result so far
 * @img:	an image after image_load_bat()
 *
 * Return: 0 or a negative errno.
 */
int signs_collect(struct findings *f, struct image *img)
{
	bool bad = false;
	int ret;

	check_conflict(f, img);
	check_name(f, img);
	ret = check_padding(f, img);
	if (!ret)
		ret = check_tail(f, img);
	if (!ret)
		ret = check_qemu(f, img);
	if (!ret)
		ret = batmap_is_bad(img, &bad);
	if (bad)
		findings_add(f, SIGN_BATMAP, NO_BLOCK);
	return ret;
}
