// SPDX-License-Identifier: GPL-2.0
/*
 * Footers and headers that are damaged, where there is no good second one by the usual
 * rules. What is written in their place must fit together and to the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "mend.h"

/* A footer with something behind it is looked for in this many bytes. */
#define SHIFT_MAX	65536u
/* Tables begin in the first bytes of a file. */
#define TABLE_MAX	65536u

/*
 * Nothing faulty and nothing left over. A table in another place, or blocks of another
 * size, would leave blocks that overlap, are cut, or are used by nothing.
 */
static bool all_fits(struct image *img, const struct options *o)
{
	struct findings *f = calloc(1, sizeof(*f));
	bool fits = false;

	img->fault = VHD_OK;
	if (f && !image_lay_out(img, o->size_rule) && !findings_judge(f, img))
		fits = f->worst < VHD_SEV_BLOCK && !f->leaked;
	free(f);
	return fits;
}

/* The size is there three times. */
static bool sizes_agree(const struct vhd_footer *f)
{
	struct vhd_geometry g = vhd_geometry_of(be64_to_cpu(f->current_size) >> VHD_SECTOR_SHIFT);

	return f->original_size == f->current_size ||
	       (be16_to_cpu(f->cylinders) == g.cylinders && f->heads == g.heads && f->spt == g.spt);
}

/* Does a fixed disk end, but for a part of a sector, where its footer is? */
static bool ends_at(const struct vhd_footer *f, u64 pos)
{
	u64 size = be64_to_cpu(f->current_size);

	return size <= pos && pos - size < VHD_SECTOR_SIZE;
}

static bool header_is_there(struct image *img, const struct options *o)
{
	u64 pos = be64_to_cpu(img->footer.data_offset);

	return img->size > sizeof(img->header) && pos <= img->size - sizeof(img->header) &&
	       !image_read(img, &img->header, sizeof(img->header), pos) && all_fits(img, o);
}

/*
 * A copy alone may be what a guest wrote into its sector 0, so the footer at the end must
 * be one too, and both of the same disk.
 */
static bool footer_fits(struct image *img, const struct vhd_footer *f, const struct options *o)
{
	img->footer = *f;
	vhd_footer_seal(&img->footer);
	if (vhd_footer_check(&img->footer) || !sizes_agree(f))
		return false;
	img->choice.place = img->end_bytes == VHD_SECTOR_SIZE ? VHD_FOOTER_END : VHD_FOOTER_SHORT;
	img->choice.differ = vhd_footer_type(f) != VHD_TYPE_FIXED;
	if (vhd_footer_type(f) == VHD_TYPE_FIXED)
		return ends_at(f, img->size - img->end_bytes) && all_fits(img, o);
	return !memcmp(img->copy.uuid, f->uuid, sizeof(f->uuid)) && header_is_there(img, o);
}

static bool sum_is_right(const struct vhd_footer *f)
{
	return be32_to_cpu(f->checksum) ==
	       vhd_checksum(f, sizeof(*f), offsetof(struct vhd_footer, checksum));
}

/* One of them may be the field that was changed: then the checksum knows. */
static bool footer_variant(struct vhd_footer *f, unsigned int number)
{
	switch (number) {
	case 0:
		f->version = cpu_to_be32(VHD_FORMAT_VERSION);
		return true;
	case 1:
		f->data_offset = cpu_to_be64(sizeof(*f));
		return true;
	case 2:
		f->data_offset = cpu_to_be64(VHD_NO_OFFSET);
		return true;
	case 3:
		f->current_size = f->original_size;
		return true;
	case 4:
	case 5:
	case 6:
		f->type = cpu_to_be32(VHD_TYPE_FIXED + number - 4);
		return true;
	}
	return false;
}

static bool find_footer(struct image *img, const struct options *o)
{
	struct vhd_footer f = img->end, other;
	unsigned int i;

	memcpy(f.cookie, VHD_FOOTER_COOKIE, sizeof(f.cookie));
	if (footer_fits(img, &f, o))
		return true;
	for (i = 0, other = f; footer_variant(&other, i); i++, other = f)
		if (sum_is_right(&other) && footer_fits(img, &other, o))
			return true;
	return false;
}

/* A fixed disk with something behind its footer, which says where it was. */
static bool find_shifted(struct image *img, const struct options *o)
{
	u64 len = min_t(u64, img->size, SHIFT_MAX), start = img->size - len, at;
	const struct vhd_footer *f;
	u8 *buf = malloc(len);
	bool found = false;

	if (buf && !img->block_device && !image_read(img, buf, len, start)) {
		for (at = len - sizeof(*f) + 1; !found && at-- > 0;) {
			f = (const struct vhd_footer *)(buf + at);
			found = !memcmp(f->cookie, VHD_FOOTER_COOKIE, sizeof(f->cookie)) &&
				!vhd_footer_check(f) && ends_at(f, start + at) &&
				vhd_footer_type(f) == VHD_TYPE_FIXED;
			if (found)
				img->footer = *f;
		}
	}
	free(buf);
	img->choice.place = VHD_FOOTER_END;
	return found && all_fits(img, o);
}

/* The footer at the end is whole, and what it says is impossible; but the copy fits. */
static bool find_copy(struct image *img, const struct options *o)
{
	if (img->choice.place != VHD_FOOTER_END || vhd_footer_check(&img->copy) ||
	    vhd_footer_type(&img->end) == VHD_TYPE_FIXED ||
	    vhd_footer_type(&img->copy) == VHD_TYPE_FIXED ||
	    memcmp(img->copy.uuid, img->end.uuid, sizeof(img->end.uuid)))
		return false;
	img->footer = img->copy;
	return memcmp(&img->copy, &img->end, sizeof(img->end)) && header_is_there(img, o);
}

static bool header_fits(struct image *img, const struct vhd_header *h, const struct options *o)
{
	img->header = *h;
	vhd_header_seal(&img->header);
	return !vhd_header_check(&img->header) && all_fits(img, o);
}

static bool header_sum_is_right(const struct vhd_header *h)
{
	return be32_to_cpu(h->checksum) ==
	       vhd_checksum(h, sizeof(*h), offsetof(struct vhd_header, checksum));
}

/* The version or the place of the table, where the checksum knows better. */
static bool find_by_sum(struct image *img, const struct vhd_header *h, const struct options *o)
{
	struct vhd_header other = *h;
	u64 pos;

	other.version = cpu_to_be32(VHD_FORMAT_VERSION);
	if (header_sum_is_right(&other) && header_fits(img, &other, o))
		return true;
	other = *h;
	for (pos = VHD_SECTOR_SIZE; pos < TABLE_MAX; pos += VHD_SECTOR_SIZE) {
		other.table_offset = cpu_to_be64(pos);
		if (header_sum_is_right(&other) && header_fits(img, &other, o))
			return true;
	}
	return false;
}

/* The number of entries and the size of a block tell each other. */
static bool find_by_size(struct image *img, const struct vhd_header *h, const struct options *o)
{
	u64 size = vhd_footer_size(&img->footer, o->size_rule);
	u32 block = be32_to_cpu(h->block_size), entries = be32_to_cpu(h->max_entries);
	u64 needed = block ? DIV_ROUND_UP(size, block) : 0;
	struct vhd_header other = *h;

	other.max_entries = cpu_to_be32(needed);
	if (needed && needed <= VHD_MAX_BLOCKS && header_fits(img, &other, o))
		return true;
	other = *h;
	for (block = VHD_BLOCK_SIZE_MIN; block <= VHD_BLOCK_SIZE_MAX; block <<= 1) {
		other.block_size = cpu_to_be32(block);
		if ((DIV_ROUND_UP(size, block) == entries || header_sum_is_right(&other)) &&
		    header_fits(img, &other, o))
			return true;
	}
	return false;
}

static bool find_header(struct image *img, const struct options *o)
{
	struct vhd_header h = img->header;

	memcpy(h.cookie, VHD_HEADER_COOKIE, sizeof(h.cookie));
	return header_fits(img, &h, o) || find_by_sum(img, &h, o) || find_by_size(img, &h, o);
}

static enum reseal find(struct image *img, const struct options *o, enum vhd_fault fault)
{
	switch (fault) {
	case VHD_FAULT_NO_FOOTER:
	case VHD_FAULT_FOOTER_CHECKSUM:
		if (find_footer(img, o))
			return RESEAL_FOOTERS;
		return find_shifted(img, o) ? RESEAL_SHIFTED : RESEAL_NONE;
	case VHD_FAULT_TOO_SMALL:
	case VHD_FAULT_POISON:
		return RESEAL_NONE;
	case VHD_FAULT_HEADER_COOKIE:
	case VHD_FAULT_HEADER_CHECKSUM:
		if (find_header(img, o))
			return RESEAL_HEADER;
		break;
	default:
		break;
	}
	return find_copy(img, o) ? RESEAL_FOOTERS : RESEAL_NONE;
}

/**
 * reseal_find() - what would a damaged footer or header have to be
 * @img:	an image that image_load() has refused; its footer, header and layout are
 *		those that fit if there are some. Its fault stays
 * @o:		command line
 *
 * Return: What to write.
 */
enum reseal reseal_find(struct image *img, const struct options *o)
{
	enum vhd_fault fault = img->fault;
	enum reseal found = find(img, o, fault);

	img->fault = fault;
	return found;
}

/**
 * mend_reseal() - write what reseal_find() has found
 * @m:	the repair
 *
 * Of a header only the first sector changes. Of two footers one after the other. A footer
 * that is not at the end is written there once more.
 *
 * Return: 0 or a negative errno.
 */
int mend_reseal(struct mend *m)
{
	struct image *img = m->img;
	const struct vhd_footer *f = &img->footer;
	u64 size = DIV_ROUND_UP(img->size, VHD_SECTOR_SIZE) * VHD_SECTOR_SIZE;
	int ret;

	switch (m->reseal) {
	case RESEAL_HEADER:
		return exec_write(img, &img->header, sizeof(img->header),
				  be64_to_cpu(f->data_offset));
	case RESEAL_SHIFTED:
		return exec_write(img, f, sizeof(*f), size);
	default:
		break;
	}
	ret = exec_write(img, f, sizeof(*f), img->size - img->end_bytes);
	if (!ret && vhd_footer_type(f) != VHD_TYPE_FIXED)
		ret = exec_write(img, f, sizeof(*f), 0);
	return ret;
}
