// SPDX-License-Identifier: GPL-2.0
/* The link from a differencing image to its parent. */
#include "vhd_format.h"

/**
 * vhd_link_is_raw() - does an image name a raw parent
 * @child:		its footer
 * @child_header:	its dynamic header
 *
 * tapdisk's extension: a differencing image whose parent id is all zeros has
 * a parent without any footer. A guest can forge that in sector 0 of a fixed
 * disk, so it holds only where the user names the parent.
 *
 * Context: Any.
 * Return: true for type 4 with a zero parent id.
 */
bool vhd_link_is_raw(const struct vhd_footer *child,
		     const struct vhd_header *child_header)
{
	static const u8 zero[sizeof(child_header->parent_uuid)];

	return vhd_footer_type(child) == VHD_TYPE_DIFFERENCING &&
	       !memcmp(child_header->parent_uuid, zero, sizeof(zero));
}

/**
 * vhd_link_check() - does a parent belong to a child
 * @child:		footer of the child
 * @child_header:	dynamic header of the child; unused unless differencing
 * @parent:		footer of the parent; NULL if there is none or it is raw
 *
 * The unique id decides (specification, "Parent Unique ID"). Sizes may differ:
 * a smaller parent reads as zeros behind its end.
 *
 * Context: Any.
 * Return: VHD_OK, or VHD_FAULT_NOT_DIFFERENCING, VHD_FAULT_RAW_PARENT,
 * VHD_FAULT_NO_PARENT, VHD_FAULT_PARENT_ID.
 */
enum vhd_fault vhd_link_check(const struct vhd_footer *child,
			      const struct vhd_header *child_header,
			      const struct vhd_footer *parent)
{
	if (vhd_footer_type(child) != VHD_TYPE_DIFFERENCING)
		return parent ? VHD_FAULT_NOT_DIFFERENCING : VHD_OK;
	if (vhd_link_is_raw(child, child_header))
		return VHD_FAULT_RAW_PARENT;
	if (!parent)
		return VHD_FAULT_NO_PARENT;
	if (memcmp(child_header->parent_uuid, parent->uuid, sizeof(parent->uuid)))
		return VHD_FAULT_PARENT_ID;
	return VHD_OK;
}

/**
 * vhd_link_time_differs() - has the parent's file changed since the snapshot
 * @child_header:	dynamic header of the child
 * @parent_mtime:	modification time of the parent's file, seconds since
 *			2000-01-01 UTC
 *
 * Copying a file changes its time and merges change parents on purpose, so this
 * deserves a warning at most. A child that recorded 0 recorded nothing.
 *
 * Context: Any.
 * Return: true if the child recorded another time.
 */
bool vhd_link_time_differs(const struct vhd_header *child_header, u32 parent_mtime)
{
	u32 recorded = be32_to_cpu(child_header->parent_timestamp);

	return recorded && recorded != parent_mtime;
}
