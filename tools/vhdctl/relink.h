/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of "vhdctl set --parent". */
#ifndef VHDCTL_RELINK_H
#define VHDCTL_RELINK_H

#include "chain.h"

/* newparent.c */
int new_parent_open(struct chain *parents, const struct options *o);
int new_parent_check(struct chain *c, struct chain *parents, const struct options *o);
int new_parent_has_id(const struct image *parent);
int new_parent_compare(struct image *child, struct chain *old, struct chain *parents, u64 end,
		       u64 *at);

/* relink.c */
int relink_image(struct image *img, const struct image *parent);

#endif /* VHDCTL_RELINK_H */
