// SPDX-License-Identifier: GPL-2.0
/* A child and what claims to be its parent. */
#include "fuzz.h"

int fuzz_one(const u8 *data, size_t size)
{
	static const u8 zero[16];
	struct fuzz_input in = { data, size };
	struct vhd_footer child, parent;
	struct vhd_header header;
	enum vhd_fault fault;
	u32 mtime = fuzz_u32(&in);
	u8 how = fuzz_u8(&in);
	bool differencing, same;

	fuzz_take(&in, &child, sizeof(child));
	fuzz_take(&in, &header, sizeof(header));
	fuzz_take(&in, &parent, sizeof(parent));
	if (how & 1)
		memcpy(parent.uuid, header.parent_uuid, sizeof(parent.uuid));
	if (how & 2)
		child.type = cpu_to_be32(VHD_TYPE_DIFFERENCING);
	differencing = vhd_footer_type(&child) == VHD_TYPE_DIFFERENCING;
	same = !memcmp(parent.uuid, header.parent_uuid, sizeof(parent.uuid));

	fault = vhd_link_check(&child, &header, how & 4 ? NULL : &parent);
	MUST(vhd_link_is_raw(&child, &header) ==
	     (differencing && !memcmp(header.parent_uuid, zero, sizeof(zero))));
	if (fault == VHD_OK && differencing)
		MUST(same && !(how & 4) && !vhd_link_is_raw(&child, &header));
	if (!differencing)
		MUST(fault == (how & 4 ? VHD_OK : VHD_FAULT_NOT_DIFFERENCING));
	if (fault == VHD_FAULT_PARENT_ID)
		MUST(differencing && !same);
	MUST(vhd_link_time_differs(&header, be32_to_cpu(header.parent_timestamp)) == false);
	if (vhd_link_time_differs(&header, mtime))
		MUST(header.parent_timestamp);
	return 0;
}
