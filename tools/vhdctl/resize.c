// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl resize: another size of the disk.
 *
 * What comes to a disk reads as zeros, and what goes must. So no data are lost, and
 * children, for which all is zeros behind the end of a parent, never see that its size
 * has changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "exec.h"
#include "print.h"
#include "resize.h"
#include "sparse.h"

/* Positions in files are signed numbers, and the footer comes behind the disk. */
#define MAX_SHIFT	62

static int bad_size(const char *text, const char *why)
{
	msg_error("size '%s' is %s", text, why);
	return VHDCTL_ERROR;
}

/* "10G", or "+10G" and "-10G" for so much more or less. */
static int parse_change(const char *text, char *sign, u64 *bytes)
{
	*sign = *text == '+' || *text == '-' ? *text : 0;
	if (!parse_size(text + !!*sign, bytes) || (!*bytes && !*sign))
		return bad_size(text, "not a number with an optional suffix K, M, G or T");
	if (*bytes % VHD_SECTOR_SIZE)
		return bad_size(text, "not a multiple of 512 bytes");
	return VHDCTL_OK;
}

static int choose_size(struct resize *r, char sign, u64 bytes)
{
	const char *text = r->o->args[1];

	r->before = r->c.layer[0]->layout.capacity << VHD_SECTOR_SHIFT;
	if (sign == '-' && bytes >= r->before)
		return bad_size(text, "all that the disk has, or more");
	if (bytes >> MAX_SHIFT)
		return bad_size(text, "too large");
	r->after = sign == '+' ? r->before + bytes : sign == '-' ? r->before - bytes : bytes;
	return r->after >> MAX_SHIFT ? bad_size(text, "too large") : VHDCTL_OK;
}

/* Sectors that one program shows and another does not are neither new nor old. */
static int refuse_two_sizes(const struct image *img)
{
	const struct vhd_footer *f = &img->footer;
	u64 current = be64_to_cpu(f->current_size) >> VHD_SECTOR_SHIFT;

	if (!vhd_footer_size_is_chs(f, VHD_SIZE_AUTO) || img->layout.capacity == current)
		return VHDCTL_OK;
	msg_error("%s: its geometry and its size field name different sizes", img->path);
	msg_hint("'vhdctl set --size-rule chs' or 'current' makes one of them count");
	return VHDCTL_UNSUPPORTED;
}

static int refuse_shrinking(const struct resize *r)
{
	if (r->after >= r->before || r->o->shrink)
		return VHDCTL_OK;
	msg_error("%s: the disk has %llu bytes; to make that %llu takes --shrink",
		  r->c.layer[0]->path, r->before, r->after);
	return VHDCTL_ERROR;
}

static int refuse_too_large(const struct resize *r)
{
	const struct image *img = r->c.layer[0];
	u64 max;

	if (img->layout.type == VHD_TYPE_FIXED || r->after <= r->before)
		return VHDCTL_OK;
	max = vhd_max_size(img->layout.block_sects << VHD_SECTOR_SHIFT);
	if (r->after <= max)
		return VHDCTL_OK;
	msg_error("%s: %s", img->path, vhd_fault_str(VHD_FAULT_TOO_LARGE));
	msg_hint("with blocks of %u bytes it may have %llu bytes at most",
		 img->layout.block_sects << VHD_SECTOR_SHIFT, max);
	return exit_of_fault(VHD_FAULT_TOO_LARGE);
}

/*
 * The original size stays: it is that of the day when the image was made. Where the
 * creator makes the geometry count, and no geometry has this size, the creator becomes
 * ours, for which all programs take the size field.
 */
static void make_footer(struct resize *r)
{
	struct vhd_geometry g = vhd_geometry_of(r->after >> VHD_SECTOR_SHIFT);
	struct vhd_footer *f = &r->footer, ours;
	struct vhd_footer_args args = { .type = VHD_TYPE_FIXED, .uuid = f->uuid };

	*f = r->c.layer[0]->footer;
	f->current_size = cpu_to_be64(r->after);
	f->cylinders = cpu_to_be16(g.cylinders);
	f->heads = g.heads;
	f->spt = g.spt;
	if (vhd_footer_size(f, VHD_SIZE_AUTO) != r->after) {
		vhd_footer_init(&ours, &args);
		memcpy(f->creator_app, ours.creator_app, sizeof(f->creator_app));
		memcpy(f->creator_os, ours.creator_os, sizeof(f->creator_os));
		f->creator_version = ours.creator_version;
	}
	vhd_footer_seal(f);
}

static int fail(const struct resize *r, int err)
{
	return edit_report(r->c.layer[0], err);
}

/* An interrupted run leaves footers of this very image where only zeros should be. */
static bool is_own_footer(const struct image *img, u64 pos)
{
	struct vhd_footer f;

	return !image_read(img, &f, sizeof(f), pos) && !vhd_footer_check(&f) &&
	       !memcmp(f.uuid, img->footer.uuid, sizeof(f.uuid));
}

/* Zeros in the place of what lies between the disk and the footer. */
static int clear_rest(const struct resize *r)
{
	struct image *img = r->c.layer[0];
	u64 end = img->layout.end << VHD_SECTOR_SHIFT, at = r->before;
	int ret = file_blank_until(img, at, end, &at);

	while (!ret && at < end) {
		if (!is_own_footer(img, at)) {
			msg_error("%s: has data behind its disk, at byte %llu", img->path, at);
			msg_hint("nothing was changed, as nobody knows what they are");
			return VHDCTL_UNSUPPORTED;
		}
		ret = punch(img, at, VHD_SECTOR_SIZE);
		if (!ret)
			ret = file_blank_until(img, at, end, &at);
	}
	return ret ? fail(r, ret) : VHDCTL_OK;
}

/* @blank: how far all is zeros from the new end on; in bytes */
static int refuse_data(const struct resize *r, u64 blank)
{
	const struct image *img = r->c.layer[0];

	if (blank >= r->before)
		return VHDCTL_OK;
	msg_error("%s: byte %llu is not zero, and would be cut off", img->path, blank);
	msg_hint("take the end from partitions and file systems first, and discard it");
	return VHDCTL_ERROR;
}

static int check_fixed_end(const struct resize *r)
{
	u64 blank;
	int ret;

	if (r->after >= r->before)
		return VHDCTL_OK;
	ret = file_blank_until(r->c.layer[0], r->after, r->before, &blank);
	return ret ? fail(r, ret) : refuse_data(r, blank);
}

static int resize_fixed(struct resize *r)
{
	struct image *img = r->c.layer[0];
	u64 room = img->layout.end << VHD_SECTOR_SHIFT;
	int ret;

	if (img->size % VHD_SECTOR_SIZE || (img->block_device && r->after > room)) {
		img->why = img->block_device ? NULL :
			   "its footer does not begin on a sector boundary";
		return fail(r, img->block_device ? -ENOSPC : -EOPNOTSUPP);
	}
	ret = check_fixed_end(r);
	if (!ret)
		ret = clear_rest(r);
	if (ret || (!memcmp(&r->footer, &img->footer, sizeof(r->footer)) &&
		    (r->after == room || img->block_device)))
		return ret;
	ret = edit_fixed_end(img, &r->footer);
	return ret ? fail(r, ret) : VHDCTL_OK;
}

/* The last block of the parents may have more than the image showed of it. */
static int refuse_parent_data(struct resize *r)
{
	struct chain parents = { .nr = r->c.nr - 1 };
	u64 blank, end = r->after >> VHD_SECTOR_SHIFT;
	int ret;

	memcpy(parents.layer, r->c.layer + 1, parents.nr * sizeof(*parents.layer));
	ret = disk_blank_until(&parents, r->before >> VHD_SECTOR_SHIFT, end, &blank);
	if (ret || blank >= end)
		return ret;
	msg_error("%s: its parent is larger, and has data that would show at byte %llu",
		  r->c.layer[0]->path, blank << VHD_SECTOR_SHIFT);
	msg_hint("'vhdctl convert' makes an image without a parent of it");
	return VHDCTL_UNSUPPORTED;
}

static int check_end(struct resize *r)
{
	u64 blank;
	int ret;

	if (r->after >= r->before)
		return refuse_parent_data(r);
	ret = disk_blank_until(&r->c, r->after >> VHD_SECTOR_SHIFT,
			       r->before >> VHD_SECTOR_SHIFT, &blank);
	return ret ? ret : refuse_data(r, blank << VHD_SECTOR_SHIFT);
}

static int resize_sparse(struct resize *r)
{
	int ret = chain_resolve(&r->c, r->o);

	if (!ret)
		ret = chain_load_bats(&r->c);
	if (!ret)
		ret = check_end(r);
	return ret ? ret : resize_blocks(r);
}

static int open_and_resize(struct resize *r)
{
	char sign;
	u64 bytes;
	int ret = parse_change(r->o->args[1], &sign, &bytes);

	if (!ret)
		ret = edit_open(&r->c, r->o->args[0], VHD_SIZE_AUTO);
	if (!ret)
		ret = choose_size(r, sign, bytes);
	if (!ret)
		ret = refuse_two_sizes(r->c.layer[0]);
	if (!ret)
		ret = refuse_shrinking(r);
	if (!ret)
		ret = refuse_too_large(r);
	if (ret)
		return ret;
	make_footer(r);
	return r->c.layer[0]->layout.type == VHD_TYPE_FIXED ? resize_fixed(r) : resize_sparse(r);
}

static void print_result(const struct resize *r)
{
	struct out o = { .json = true };
	char a[32], b[32], *path;

	if (r->o->json) {
		out_begin(&o, NULL, NULL);
		out_string(&o, "file", NULL, r->c.layer[0]->path);
		out_number(&o, "size_before", NULL, r->before);
		out_number(&o, "size_after", NULL, r->after);
		out_end(&o);
		return;
	}
	path = strdup(r->c.layer[0]->path);
	if (!path)
		return;
	printable(path);
	printf("%s: a disk of %s before, of %s now\n", path, human_size(r->before, a),
	       human_size(r->after, b));
	free(path);
}

/**
 * resize_main() - make the disk of an image larger or smaller
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int resize_main(const struct options *o)
{
	struct resize r = { .o = o };
	int ret = open_and_resize(&r);

	if (!ret)
		print_result(&r);
	chain_close(&r.c);
	return ret;
}
