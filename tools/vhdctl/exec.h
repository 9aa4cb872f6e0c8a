/* SPDX-License-Identifier: GPL-2.0 */
/* Carrying out the plans of format/ on an image that nobody else uses. */
#ifndef VHDCTL_EXEC_H
#define VHDCTL_EXEC_H

#include "file.h"

int exec_plan(const struct image *img, struct vhd_plan *plan);
u64 image_used_end(const struct image *img);

#endif /* VHDCTL_EXEC_H */
