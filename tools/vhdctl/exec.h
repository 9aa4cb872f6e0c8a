/* SPDX-License-Identifier: GPL-2.0 */
/* Carrying out the plans of format/ on an image that nobody else uses. */
#ifndef VHDCTL_EXEC_H
#define VHDCTL_EXEC_H

#include "file.h"
#include "vhd_grow.h"
#include "vhd_relink.h"

int exec_plan(struct image *img, struct vhd_plan *plan);
int exec_write(struct image *img, const void *data, size_t len, u64 pos);
int exec_moves(struct image *img, const struct vhd_move *move, u32 nr);
int exec_commit(struct image *img, const struct vhd_change *change, u32 nr, u8 *const *bitmap);
int exec_resize(struct image *img, const struct vhd_size_change *change,
		const struct vhd_header *header, const void *table);
int exec_relink(struct image *img, const struct vhd_new_header *to,
		const struct vhd_header *header, const u8 *texts);
u64 image_used_end(const struct image *img);

#endif /* VHDCTL_EXEC_H */
