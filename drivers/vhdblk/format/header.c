// SPDX-License-Identifier: GPL-2.0
/* The dynamic header, and where the parts of a new image go. */
#include "vhd_format.h"

#define VHD_PAGE_SIZE	4096u

static u64 vhd_round_up(u64 bytes, u32 unit)
{
	return (bytes + unit - 1) & ~(u64)(unit - 1);
}

static u32 vhd_header_checksum(const struct vhd_header *h)
{
	return vhd_checksum(h, sizeof(*h), offsetof(struct vhd_header, checksum));
}

static enum vhd_fault vhd_block_size_check(u32 block_size)
{
	if (!block_size || block_size & (block_size - 1))
		return VHD_FAULT_HEADER_BLOCK_SIZE;
	if (block_size < VHD_BLOCK_SIZE_MIN || block_size > VHD_BLOCK_SIZE_MAX)
		return VHD_FAULT_BLOCK_SIZE_RANGE;
	return VHD_OK;
}

/**
 * vhd_header_check() - is this a dynamic header that we can use
 * @h: 1024 bytes from where the footer's data offset points
 *
 * Data offset, parent id, time stamp, name, locators and reserved bytes are
 * legal whatever they hold, as far as this check goes.
 *
 * Context: Any.
 * Return: VHD_OK or the first fault in the order cookie, checksum, version,
 * table offset, entries, block size.
 */
enum vhd_fault vhd_header_check(const struct vhd_header *h)
{
	u64 table = be64_to_cpu(h->table_offset);

	if (memcmp(h->cookie, VHD_HEADER_COOKIE, sizeof(h->cookie)))
		return VHD_FAULT_HEADER_COOKIE;
	if (be32_to_cpu(h->checksum) != vhd_header_checksum(h))
		return VHD_FAULT_HEADER_CHECKSUM;
	if (be32_to_cpu(h->version) >> 16 != VHD_FORMAT_VERSION >> 16)
		return VHD_FAULT_HEADER_VERSION;
	if (table < VHD_SECTOR_SIZE || table % VHD_SECTOR_SIZE)
		return VHD_FAULT_HEADER_TABLE_OFFSET;
	if (!h->max_entries)
		return VHD_FAULT_HEADER_ENTRIES;
	return vhd_block_size_check(be32_to_cpu(h->block_size));
}

/**
 * vhd_header_seal() - compute the checksum, after the last change
 * @h: a dynamic header
 *
 * Context: Any.
 */
void vhd_header_seal(struct vhd_header *h)
{
	h->checksum = cpu_to_be32(vhd_header_checksum(h));
}

/**
 * vhd_header_init() - a sealed dynamic header for a new image
 * @h:		where to build it
 * @args:	what it says
 *
 * Seal it again after setting the parent's name and locators.
 *
 * Context: Any.
 */
void vhd_header_init(struct vhd_header *h, const struct vhd_header_args *args)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->cookie, VHD_HEADER_COOKIE, sizeof(h->cookie));
	h->data_offset = cpu_to_be64(VHD_NO_OFFSET);
	h->table_offset = cpu_to_be64(args->table_offset);
	h->version = cpu_to_be32(VHD_FORMAT_VERSION);
	h->max_entries = cpu_to_be32(args->entries);
	h->block_size = cpu_to_be32(args->block_size);
	if (args->parent_uuid) {
		memcpy(h->parent_uuid, args->parent_uuid, sizeof(h->parent_uuid));
		h->parent_timestamp = cpu_to_be32(args->parent_timestamp);
	}
	vhd_header_seal(h);
}

/**
 * vhd_header_set_name() - store the parent's name
 * @h:		a dynamic header, to be sealed afterwards
 * @name:	UTF-16 in host order
 * @units:	its length; what exceeds 256 is cut, never inside a pair
 *
 * Specification, "Parent Unicode Name": UTF-16, big-endian like all else.
 *
 * Context: Any.
 */
void vhd_header_set_name(struct vhd_header *h, const u16 *name, size_t units)
{
	size_t i;

	if (units > VHD_NAME_UNITS) {
		units = VHD_NAME_UNITS;
		if ((name[units - 1] & 0xfc00) == 0xd800)
			units--;
	}
	memset(h->parent_name, 0, sizeof(h->parent_name));
	for (i = 0; i < units; i++)
		h->parent_name[i] = cpu_to_be16(name[i]);
}

/**
 * vhd_header_name() - the parent's name
 * @h:		a dynamic header
 * @name:	room for 256 units; UTF-16 in host order, unchecked
 *
 * Context: Any.
 * Return: Units before the first NUL.
 */
size_t vhd_header_name(const struct vhd_header *h, u16 *name)
{
	size_t i;

	for (i = 0; i < VHD_NAME_UNITS && h->parent_name[i]; i++)
		name[i] = be16_to_cpu(h->parent_name[i]);
	return i;
}

/**
 * vhd_create_layout() - where the parts of a new sparse image go
 * @c:			filled
 * @entries:		BAT entries
 * @locator_bytes:	length of the text of each locator, 0 for an empty slot
 * @nr_locators:	slots in @locator_bytes, at most 8
 *
 * Locators go before the BAT: QEMU puts its first block behind the BAT, over
 * whatever follows.
 *
 * Context: Any.
 */
void vhd_create_layout(struct vhd_create_layout *c, u32 entries,
		       const u32 *locator_bytes, unsigned int nr_locators)
{
	u64 next = sizeof(struct vhd_footer) + sizeof(struct vhd_header);
	unsigned int i;

	memset(c, 0, sizeof(*c));
	c->header = sizeof(struct vhd_footer);
	for (i = 0; i < nr_locators && i < VHD_LOCATORS; i++) {
		if (!locator_bytes[i])
			continue;
		c->locator[i] = next;
		next += vhd_round_up(locator_bytes[i], VHD_SECTOR_SIZE);
	}
	c->bat = vhd_round_up(next, VHD_PAGE_SIZE);
	c->bat_bytes = vhd_round_up((u64)entries * sizeof(__be32), VHD_PAGE_SIZE);
	c->file_size = c->bat + c->bat_bytes + VHD_PAGE_SIZE;
	c->footer = c->file_size - sizeof(struct vhd_footer);
}
