/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_CHAIN_H
#define _VHD_CHAIN_H

#include "layer.h"

/**
 * struct vhd_chain - the ordered set of files behind one disk
 * @depth:	number of layers, 1 to VHD_MAX_DEPTH
 * @level:	disks of ours below any of the files
 * @index:	N of /dev/vhdN, for tracepoints; set by the device
 * @layer:	leaf first
 *
 * Constant from vhd_chain_open() to vhd_chain_close().
 */
struct vhd_chain {
	u32 depth;
	int level;
	int index;
	struct vhd_layer layer[];
};

struct vhd_chain *vhd_chain_open(const struct vhd_layer_spec *spec, u32 depth,
				 const struct vhd_open_args *args,
				 struct vhd_error *error);
void vhd_chain_close(struct vhd_chain *c);
u64 vhd_chain_memory(const struct vhd_chain *c);

static inline struct vhd_layer *vhd_chain_leaf(struct vhd_chain *c)
{
	return &c->layer[0];
}

static inline struct vhd_layer *vhd_chain_layer(struct vhd_chain *c, u32 id)
{
	return &c->layer[id - 1];
}

#endif /* _VHD_CHAIN_H */
