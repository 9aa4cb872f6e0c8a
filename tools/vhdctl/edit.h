/* SPDX-License-Identifier: GPL-2.0 */
/* Changing what an image says of itself. */
#ifndef VHDCTL_EDIT_H
#define VHDCTL_EDIT_H

#include "chain.h"

int edit_open(struct chain *c, const char *path, enum vhd_size_rule rule);
int edit_take(struct image *img, enum vhd_size_rule rule);
int edit_footer(struct image *img, const struct vhd_footer *f);
int edit_extend(struct image *img, u64 end);
int edit_fixed_end(struct image *img, const struct vhd_footer *f);
int edit_report(const struct image *img, int err);

#endif /* VHDCTL_EDIT_H */
