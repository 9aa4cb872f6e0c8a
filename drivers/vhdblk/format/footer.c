// SPDX-License-Identifier: GPL-2.0
/* The footer: which one to trust, what it says, and how to make one. */
#include "vhd_format.h"

/**
 * vhd_checksum() - the checksum of footer, dynamic header and batmap
 * @buf:	the structure
 * @len:	its size in bytes
 * @checksum_offset: where its own 4-byte checksum lies, which counts as zeros
 *
 * Specification, "Checksum": the one's complement of the sum of all bytes.
 *
 * Context: Any.
 * Return: The checksum in host order.
 */
u32 vhd_checksum(const void *buf, size_t len, size_t checksum_offset)
{
	const u8 *byte = buf;
	u32 sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		if (i < checksum_offset || i - checksum_offset >= sizeof(u32))
			sum += byte[i];
	return ~sum;
}

static u32 vhd_footer_checksum(const struct vhd_footer *f)
{
	return vhd_checksum(f, sizeof(*f), offsetof(struct vhd_footer, checksum));
}

static bool vhd_has_cookie(const struct vhd_footer *f, const char *cookie)
{
	return f && !memcmp(f->cookie, cookie, sizeof(f->cookie));
}

static bool vhd_footer_is_sealed(const struct vhd_footer *f)
{
	return vhd_has_cookie(f, VHD_FOOTER_COOKIE) &&
	       be32_to_cpu(f->checksum) == vhd_footer_checksum(f);
}

/**
 * vhd_footer_type() - the disk type that a footer names
 * @f: a footer
 *
 * Context: Any.
 * Return: The field as it is; only vhd_footer_check() says whether it is one of
 * &enum vhd_type.
 */
enum vhd_type vhd_footer_type(const struct vhd_footer *f)
{
	return (enum vhd_type)be32_to_cpu(f->type);
}

static bool vhd_footer_is_sparse(const struct vhd_footer *f)
{
	return vhd_footer_type(f) == VHD_TYPE_DYNAMIC ||
	       vhd_footer_type(f) == VHD_TYPE_DIFFERENCING;
}

static enum vhd_fault vhd_footer_check_fields(const struct vhd_footer *f)
{
	u64 data_offset = be64_to_cpu(f->data_offset);

	if (be32_to_cpu(f->version) >> 16 != VHD_FORMAT_VERSION >> 16)
		return VHD_FAULT_FOOTER_VERSION;
	if (vhd_footer_type(f) != VHD_TYPE_FIXED && !vhd_footer_is_sparse(f))
		return VHD_FAULT_FOOTER_TYPE;
	if (vhd_footer_is_sparse(f) &&
	    (data_offset < VHD_SECTOR_SIZE || data_offset % VHD_SECTOR_SIZE))
		return VHD_FAULT_FOOTER_DATA_OFFSET;
	if (be64_to_cpu(f->current_size) < VHD_SECTOR_SIZE)
		return VHD_FAULT_FOOTER_SIZE;
	return VHD_OK;
}

/**
 * vhd_footer_check() - is this a footer that we can use
 * @f: 512 bytes from a file; the last one 0 if the footer has only 511
 *
 * Features, time stamp, creator, original size, geometry, id, saved state and
 * reserved bytes are legal whatever they hold, and so is the data offset of a
 * fixed image.
 *
 * Context: Any.
 * Return: VHD_OK or the first fault in the order cookie, checksum, version,
 * type, data offset, size.
 */
enum vhd_fault vhd_footer_check(const struct vhd_footer *f)
{
	if (vhd_has_cookie(f, VHD_POISON_COOKIE))
		return VHD_FAULT_POISON;
	if (!vhd_has_cookie(f, VHD_FOOTER_COOKIE))
		return VHD_FAULT_NO_FOOTER;
	if (be32_to_cpu(f->checksum) != vhd_footer_checksum(f))
		return VHD_FAULT_FOOTER_CHECKSUM;
	return vhd_footer_check_fields(f);
}

/**
 * vhd_footer_seal() - compute the checksum, after the last change
 * @f: a footer
 *
 * Context: Any.
 */
void vhd_footer_seal(struct vhd_footer *f)
{
	f->checksum = cpu_to_be32(vhd_footer_checksum(f));
}

/*
 * A fixed image has no copy: its sector 0 belongs to the guest, who may write
 * anything there. So a copy counts only if it describes a sparse image.
 */
static bool vhd_copy_counts(const struct vhd_footer *copy)
{
	return vhd_has_cookie(copy, VHD_FOOTER_COOKIE) && vhd_footer_is_sparse(copy);
}

static bool vhd_footer_poisoned(const struct vhd_footer *end, bool end_ok,
				const struct vhd_footer *copy)
{
	if (vhd_has_cookie(end, VHD_POISON_COOKIE))
		return true;
	return vhd_has_cookie(copy, VHD_POISON_COOKIE) &&
	       (!end_ok || vhd_footer_is_sparse(end));
}

static enum vhd_fault vhd_choose_none(const struct vhd_footer *end,
				      const struct vhd_footer *copy)
{
	if (vhd_has_cookie(end, VHD_FOOTER_COOKIE) || vhd_copy_counts(copy))
		return VHD_FAULT_FOOTER_CHECKSUM;
	return VHD_FAULT_NO_FOOTER;
}

/**
 * vhd_footer_choose() - which of the two footers to trust
 * @end:	last 512 bytes of the file, or its last 511 and a zero; NULL if
 *		unreadable
 * @copy:	sector 0; NULL if unreadable
 * @end_bytes:	512, or 511 if @end is a short footer
 * @choice:	filled whenever a footer is found, also if it has a fault
 *
 * The one with cookie and checksum is trusted; if both have them the one at the
 * end, which is written first. A sector 0 that claims to be the copy of a fixed
 * image is guest data. Short footers were written by Virtual PC before 2004
 * (libvhd and QEMU open them).
 *
 * Context: Any.
 * Return: What vhd_footer_check() says of the chosen footer, VHD_FAULT_POISON
 * if a resize by libvhd is under way, VHD_FAULT_FOOTER_CHECKSUM if there are
 * only damaged ones, VHD_FAULT_NO_FOOTER if there is none.
 */
enum vhd_fault vhd_footer_choose(const struct vhd_footer *end,
				 const struct vhd_footer *copy, u32 end_bytes,
				 struct vhd_footer_choice *choice)
{
	bool end_ok = end && vhd_footer_is_sealed(end);
	bool copy_ok = vhd_copy_counts(copy) && vhd_footer_is_sealed(copy);

	if (vhd_footer_poisoned(end, end_ok, copy))
		return VHD_FAULT_POISON;
	if (!end_ok && !copy_ok)
		return vhd_choose_none(end, copy);
	if (!end_ok) {
		choice->place = VHD_FOOTER_COPY;
		choice->differ = true;
		return vhd_footer_check(copy);
	}
	choice->place = end_bytes < VHD_SECTOR_SIZE ? VHD_FOOTER_SHORT : VHD_FOOTER_END;
	choice->differ = vhd_footer_is_sparse(end) &&
			 (!copy_ok || memcmp(end, copy, sizeof(*end)));
	return vhd_footer_check(end);
}

static u64 vhd_footer_chs_sects(const struct vhd_footer *f)
{
	return (u64)be16_to_cpu(f->cylinders) * f->heads * f->spt;
}

static bool vhd_creator_is(const struct vhd_footer *f, const char *creator)
{
	return !memcmp(f->creator_app, creator, sizeof(f->creator_app));
}

/**
 * vhd_footer_size_is_chs() - does the geometry give the size of the disk
 * @f:		a footer
 * @rule:	what the user asked for
 *
 * A guest of Virtual PC saw cylinders * heads * sectors, and QEMU before 10
 * followed that; everybody else shows current_size. As QEMU 10 has it, the
 * geometry counts for these two creators unless it is the largest that fits the
 * field. One beyond current_size names sectors that the file need not have, so
 * it counts only by the user's wish; a geometry of 0 never does.
 *
 * Context: Any.
 * Return: true if vhd_footer_size() comes from the geometry.
 */
bool vhd_footer_size_is_chs(const struct vhd_footer *f, enum vhd_size_rule rule)
{
	u64 chs = vhd_footer_chs_sects(f);

	if (!chs || rule == VHD_SIZE_CURRENT)
		return false;
	if (rule == VHD_SIZE_CHS)
		return true;
	return (vhd_creator_is(f, "vpc ") || vhd_creator_is(f, "qemu")) &&
	       chs != (u64)VHD_MAX_CYLINDERS * VHD_MAX_HEADS * VHD_MAX_SPT &&
	       chs <= be64_to_cpu(f->current_size) >> VHD_SECTOR_SHIFT;
}

/**
 * vhd_footer_size() - virtual size of the disk
 * @f:		a footer
 * @rule:	what the user asked for
 *
 * Context: Any.
 * Return: Bytes; a multiple of 512 only if it comes from the geometry.
 */
u64 vhd_footer_size(const struct vhd_footer *f, enum vhd_size_rule rule)
{
	if (vhd_footer_size_is_chs(f, rule))
		return vhd_footer_chs_sects(f) << VHD_SECTOR_SHIFT;
	return be64_to_cpu(f->current_size);
}

static void vhd_footer_set_geometry(struct vhd_footer *f, u64 size)
{
	struct vhd_geometry g = vhd_geometry_of(size >> VHD_SECTOR_SHIFT);

	f->cylinders = cpu_to_be16(g.cylinders);
	f->heads = g.heads;
	f->spt = g.spt;
}

/**
 * vhd_footer_init() - a sealed footer for a new image
 * @f:		where to build it
 * @args:	what it says
 *
 * The creator is Hyper-V's: QEMU before 10 truncates disks of creators it does
 * not know to their geometry, and libvhd wants a batmap behind its own name.
 *
 * Context: Any.
 */
void vhd_footer_init(struct vhd_footer *f, const struct vhd_footer_args *args)
{
	bool fixed = args->type == VHD_TYPE_FIXED;

	memset(f, 0, sizeof(*f));
	memcpy(f->cookie, VHD_FOOTER_COOKIE, sizeof(f->cookie));
	f->features = cpu_to_be32(VHD_FEATURES_RESERVED);
	f->version = cpu_to_be32(VHD_FORMAT_VERSION);
	f->data_offset = cpu_to_be64(fixed ? VHD_NO_OFFSET : sizeof(*f));
	f->timestamp = cpu_to_be32(args->timestamp);
	memcpy(f->creator_app, "win ", sizeof(f->creator_app));
	f->creator_version = cpu_to_be32(0x000a0000);
	memcpy(f->creator_os, "Wi2k", sizeof(f->creator_os));
	f->original_size = cpu_to_be64(args->size);
	f->current_size = cpu_to_be64(args->size);
	vhd_footer_set_geometry(f, args->size);
	f->type = cpu_to_be32(args->type);
	memcpy(f->uuid, args->uuid, sizeof(f->uuid));
	vhd_footer_seal(f);
}
