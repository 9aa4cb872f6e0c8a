/* SPDX-License-Identifier: GPL-2.0 */
/* Structures from real files, and the start of made-up ones. */
#ifndef _VHDBLK_VECTORS_H
#define _VHDBLK_VECTORS_H

#include "vhd_format.h"

enum vhd_vector {
	VHD_VECTOR_HYPERV,	/* dynamic, 127 GiB, empty */
	VHD_VECTOR_VIRTUALPC,	/* dynamic, 127 GiB, size by CHS */
	VHD_VECTOR_QEMU,	/* dynamic, 4212736 bytes */
	VHD_VECTOR_TAPDISK,	/* differencing, 16 MiB, batmap */
	VHD_VECTOR_WINDOWS,	/* differencing, 4 MiB, BAT behind a locator */
	VHD_NR_VECTORS
};

void vhd_vector_footer(enum vhd_vector v, struct vhd_footer *f);
void vhd_vector_header(enum vhd_vector v, struct vhd_header *h);

#endif /* _VHDBLK_VECTORS_H */
