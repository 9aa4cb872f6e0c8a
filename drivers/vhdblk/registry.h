/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_REGISTRY_H
#define _VHD_REGISTRY_H

#include <linux/types.h>

struct gendisk;
struct vhd_file;
struct vhd_claim;

/* Disks of ours below a file of ours: more would eat stack and patience. */
#define VHD_MAX_NESTING	2

struct vhd_claim *vhd_claim_get(struct vhd_file *f, bool write);
void vhd_claim_put(struct vhd_claim *claim, bool write);

int vhd_registry_level(struct vhd_file *f);
int vhd_registry_add_disk(struct gendisk *disk, int level);
void vhd_registry_del_disk(struct gendisk *disk);

#endif /* _VHD_REGISTRY_H */
