/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The plan that replaces a header: see relink.c. The driver has no use for it.
 */
#ifndef _VHD_RELINK_H
#define _VHD_RELINK_H

#include "vhd_format.h"

/**
 * struct vhd_new_header - where another header goes, and what it alone names; in sectors
 * @text:	texts of its parent locators; nothing to write if there are no sectors
 * @header_sect: the header
 * @footer_sect: the footer at the end
 *
 * No footer, and no header that one names, may use these sectors of text and header.
 */
struct vhd_new_header {
	struct vhd_extent text;
	u64 header_sect;
	u64 footer_sect;
};

/* A plan like &struct vhd_plan, for the offline commands. */
struct vhd_relink {
	const struct vhd_new_header *to;
	u32 phase;
};

void vhd_relink_init(struct vhd_relink *p, const struct vhd_new_header *to);
bool vhd_relink_next(struct vhd_relink *p, struct vhd_step *step);

#endif /* _VHD_RELINK_H */
