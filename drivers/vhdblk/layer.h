/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_LAYER_H
#define _VHD_LAYER_H

#include "format/vhd_format.h"
#include "io.h"

struct vhd_claim;

/* An entry that failed its check: only its own block fails, with -EIO. */
#define VHD_BAT_BAD		(VHD_BAT_UNUSED - 1)
#define VHD_BAT_PAGE_SHIFT	10
#define VHD_BAT_PAGE_ENTRIES	1024u	/* 1 << VHD_BAT_PAGE_SHIFT */

/**
 * struct vhd_layer_spec - one file as the requester gave it
 * @file:	descriptor
 * @raw:	the bytes are the disk
 */
struct vhd_layer_spec {
	struct file *file;
	bool raw;
};

/**
 * struct vhd_error - why attaching failed
 * @fault:	the check that failed, or VHD_OK if a system call did
 * @err:	negative errno
 * @layer:	counted from the leaf
 * @text:	static, or NULL
 */
struct vhd_error {
	enum vhd_fault fault;
	int err;
	u32 layer;
	const char *text;
};

/**
 * struct vhd_layer - one file of a chain, checked
 * @f:		its file
 * @claim:	our place in the registry
 * @id:		position in the chain counted from the leaf, plus 1; 0 is nobody
 * @raw:	no VHD: the bytes are the disk
 * @writable:	the leaf of a writable device
 * @place:	where the trusted footer was
 * @fix_end, @fix_copy: the end footer or its copy must be written before the
 *		first other write
 * @bad_entries: BAT entries that failed their check: read-only only
 * @cut_block:	the block that runs into the footer or past EOF, or ~0
 * @footer:	the trusted one
 * @header:	of dynamic and differencing images
 * @layout:	where everything lies
 * @nr_bat:	entries in @bat: those that count, and for a writable layer the
 *		surplus ones too
 * @bat:	pages of host-endian entries as they are on disk (for the leaf:
 *		as last committed), NULL where no block is
 * @batmap:	a valid batmap is there: no block is ever freed
 * @allocated:	blocks that this layer holds
 * @misaligned:	of these, blocks whose data do not start on 4 KiB
 *
 * Everything but the BAT of the leaf and its @misaligned is constant from open to
 * close; the one belongs to the thread that commits, the other to the allocator.
 */
struct vhd_layer {
	struct vhd_file f;
	struct vhd_claim *claim;
	u32 id;
	bool raw;
	bool writable;
	bool fix_end;
	bool fix_copy;
	bool batmap;
	enum vhd_footer_place place;
	u32 bad_entries;
	u32 cut_block;
	u32 allocated;
	u32 misaligned;
	struct vhd_footer footer;
	struct vhd_header *header;
	struct vhd_layout layout;
	u32 nr_bat;
	u32 **bat;
};

/**
 * struct vhd_open_args - how to open a chain
 * @write:	the leaf for writing
 * @buffered:	never use direct I/O
 * @ignore_id:	accept a parent whose unique id the child does not name
 * @size_rule:	which field of the footer is the size
 */
struct vhd_open_args {
	bool write;
	bool buffered;
	bool ignore_id;
	enum vhd_size_rule size_rule;
};

int vhd_layer_open(struct vhd_layer *l, const struct vhd_layer_spec *spec,
		   const struct vhd_open_args *args, struct vhd_error *error);
void vhd_layer_close(struct vhd_layer *l);
u32 vhd_layer_entry(const struct vhd_layer *l, u32 block);
int vhd_layer_reserve_entry(struct vhd_layer *l, u32 block);
int vhd_layer_set_entry(struct vhd_layer *l, u32 block, u32 entry);
bool vhd_layer_all_bad(const struct vhd_layer *l, u32 page);
u64 vhd_layer_used_end(const struct vhd_layer *l);
u64 vhd_layer_memory(const struct vhd_layer *l);

static inline int vhd_error_fault(struct vhd_error *e, enum vhd_fault fault)
{
	e->fault = fault;
	e->err = vhd_fault_errno(fault);
	e->text = vhd_fault_str(fault);
	return e->err;
}

static inline int vhd_error_errno(struct vhd_error *e, int err, const char *text)
{
	e->fault = VHD_OK;
	e->err = err;
	e->text = text;
	return err;
}

#endif /* _VHD_LAYER_H */
