// SPDX-License-Identifier: GPL-2.0
/* Dynamic headers: read, and made from any arguments. */
#include "fuzz.h"

static void check_read(struct vhd_header *h)
{
	enum vhd_fault fault;
	u32 block_size;

	vhd_header_seal(h);
	fault = vhd_header_check(h);
	MUST(fault != VHD_FAULT_HEADER_CHECKSUM);
	h->checksum ^= cpu_to_be32(1);
	MUST(vhd_header_check(h) != VHD_OK);
	if (fault)
		return;
	block_size = be32_to_cpu(h->block_size);
	MUST(block_size >= VHD_BLOCK_SIZE_MIN && block_size <= VHD_BLOCK_SIZE_MAX);
	MUST(!(block_size & (block_size - 1)) && h->max_entries);
	MUST(be64_to_cpu(h->table_offset) % VHD_SECTOR_SIZE == 0 && h->table_offset);
}

static void check_name(struct vhd_header *h, const u16 *name, size_t units)
{
	u16 back[VHD_NAME_UNITS];
	size_t n, i;

	vhd_header_set_name(h, name, units);
	n = vhd_header_name(h, back);
	MUST(n <= VHD_NAME_UNITS && n <= units);
	for (i = 0; i < n; i++)
		MUST(back[i] && back[i] == name[i]);
	if (n < units && n < VHD_NAME_UNITS)
		MUST(!name[n] || (n == VHD_NAME_UNITS - 1 && (name[n] & 0xfc00) == 0xd800));
}

static void check_made(struct fuzz_input *in)
{
	static const u8 uuid[16] = { 7 };
	u8 shift = fuzz_u8(in) % 17;
	struct vhd_header_args args = {
		.block_size = VHD_BLOCK_SIZE_MIN << shift, .entries = fuzz_u32(in) | 1,
		.table_offset = (fuzz_u64(in) >> 10 | 1) << VHD_SECTOR_SHIFT,
		.parent_uuid = shift & 1 ? uuid : NULL, .parent_timestamp = 3,
	};
	struct vhd_locator_ref ref = {
		.code = VHD_PLATFORM_W2RU, .offset = fuzz_u32(in), .length = fuzz_u32(in) % 65537,
	}, back;
	unsigned int slot = fuzz_u8(in) % VHD_LOCATORS;
	struct vhd_header h;

	vhd_header_init(&h, &args);
	MUST(vhd_header_check(&h) == VHD_OK);
	ref.space = DIV_ROUND_UP(ref.length, VHD_SECTOR_SIZE) * VHD_SECTOR_SIZE;
	vhd_locator_set(&h, slot, &ref);
	vhd_header_seal(&h);
	MUST(vhd_header_check(&h) == VHD_OK);
	MUST(vhd_locator_get(&h, slot, 1ULL << 40, &back) == VHD_OK);
	MUST(back.code == ref.code && back.offset == ref.offset && back.length == ref.length &&
	     back.space == ref.space);
}

static void check_layout(struct fuzz_input *in)
{
	u32 entries = fuzz_u32(in) % (VHD_MAX_BLOCKS + 1), bytes[VHD_LOCATORS];
	unsigned int nr = fuzz_u8(in) % (VHD_LOCATORS + 1), i;
	struct vhd_create_layout c;
	u64 free_from = sizeof(struct vhd_footer) + sizeof(struct vhd_header);

	for (i = 0; i < nr; i++)
		bytes[i] = fuzz_u32(in) % (VHD_LOCATOR_MAX + 1);
	vhd_create_layout(&c, entries, bytes, nr);
	MUST(c.header == sizeof(struct vhd_footer));
	for (i = 0; i < VHD_LOCATORS; i++) {
		MUST(!!c.locator[i] == (i < nr && bytes[i]));
		if (!c.locator[i])
			continue;
		MUST(c.locator[i] >= free_from && c.locator[i] % VHD_SECTOR_SIZE == 0);
		free_from = c.locator[i] + bytes[i];
	}
	MUST(c.bat >= free_from && c.bat % 4096 == 0);
	MUST(c.bat_bytes >= entries * 4ULL && c.footer >= c.bat + c.bat_bytes);
	MUST(c.file_size == c.footer + sizeof(struct vhd_footer) && c.file_size % 4096 == 0);
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u16 name[VHD_NAME_UNITS + 8];
	struct vhd_header h;
	size_t units;

	check_made(&in);
	check_layout(&in);
	units = fuzz_u32(&in) % ARRAY_SIZE(name);
	fuzz_take(&in, name, units * sizeof(name[0]));
	fuzz_take(&in, &h, sizeof(h));
	check_name(&h, name, units);
	check_read(&h);
	return 0;
}
