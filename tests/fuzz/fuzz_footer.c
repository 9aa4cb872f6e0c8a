// SPDX-License-Identifier: GPL-2.0
/* Two arbitrary footers: which is chosen, and what it says. */
#include "fuzz.h"

#define SEAL_END	1
#define SEAL_COPY	2
#define NO_END		4
#define NO_COPY		8
#define SHORT		16

static void check_one(struct vhd_footer *f)
{
	enum vhd_fault fault;

	vhd_footer_seal(f);
	fault = vhd_footer_check(f);
	MUST(fault != VHD_FAULT_FOOTER_CHECKSUM);
	MUST(vhd_fault_errno(fault) <= 0 && *vhd_fault_str(fault));
	if (fault)
		return;
	MUST(vhd_footer_size(f, VHD_SIZE_CURRENT) >= VHD_SECTOR_SIZE);
	MUST(vhd_footer_size(f, VHD_SIZE_AUTO) >= VHD_SECTOR_SIZE);
	MUST(vhd_footer_size(f, VHD_SIZE_AUTO) <= vhd_footer_size(f, VHD_SIZE_CURRENT));
	MUST(!vhd_footer_size_is_chs(f, VHD_SIZE_CURRENT));
}

static void choose(const struct vhd_footer *end, const struct vhd_footer *copy, u32 end_bytes)
{
	struct vhd_footer_choice choice;
	const struct vhd_footer *chosen;

	if (vhd_footer_choose(end, copy, end_bytes, &choice))
		return;
	chosen = choice.place == VHD_FOOTER_COPY ? copy : end;
	MUST(chosen && vhd_footer_check(chosen) == VHD_OK);
	MUST(choice.place != VHD_FOOTER_COPY || vhd_footer_type(copy) != VHD_TYPE_FIXED);
	MUST((choice.place == VHD_FOOTER_SHORT) ==
	     (chosen == end && end_bytes < VHD_SECTOR_SIZE));
	if (!choice.differ && vhd_footer_type(chosen) != VHD_TYPE_FIXED)
		MUST(end && copy && !memcmp(end, copy, sizeof(*end)));
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct vhd_footer end, copy;
	u8 flags = fuzz_u8(&in);

	fuzz_take(&in, &end, sizeof(end));
	fuzz_take(&in, &copy, sizeof(copy));
	if (flags & SEAL_END)
		vhd_footer_seal(&end);
	if (flags & SEAL_COPY)
		vhd_footer_seal(&copy);
	choose(flags & NO_END ? NULL : &end, flags & NO_COPY ? NULL : &copy,
	       flags & SHORT ? VHD_SECTOR_SIZE - 1 : VHD_SECTOR_SIZE);
	check_one(&end);
	return 0;
}
