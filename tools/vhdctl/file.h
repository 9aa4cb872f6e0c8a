/* SPDX-License-Identifier: GPL-2.0 */
/* One image file: its footers, header, BAT and sector bitmaps. */
#ifndef VHDCTL_FILE_H
#define VHDCTL_FILE_H

#include <sys/types.h>

#include "vhd_format.h"

/**
 * struct image - one file of a chain
 * @path:	as the user or a child named it
 * @fd:		open file, -1 if none; carries the OFD lock
 * @writable:	@fd is open for writing
 * @block_device: not a regular file
 * @raw:	no VHD: the bytes are the disk
 * @dev, @ino:	identity; for a block device @dev is the device itself, @ino 0
 * @size:	bytes
 * @mtime:	seconds since 2000-01-01 UTC
 * @end, @copy:	the two places of a footer as read; zeros if unreadable
 * @end_bytes:	512, or 511 if the end footer is short
 * @choice:	which of them @footer is
 * @footer:	the trusted one
 * @header:	of dynamic and differencing images
 * @layout:	of all
 * @fault:	why image_load() failed, VHD_OK if by errno
 * @why:	why image_open() refused the file, NULL if errno says it
 * @bat:	one's complement of the entries, so that untouched memory is
 *		"unused"; bad entries read as 0. NULL until image_load_bat()
 * @allocated:	good entries
 * @misaligned:	good entries whose data do not start on a 4 KiB boundary
 * @bitmap:	sector bitmap of @bitmap_block
 * @bitmap_block: ~0 if none
 * @ahead:	first block whose bitmap nobody has asked for yet
 */
struct image {
	char *path;
	int fd;
	bool writable;
	bool block_device;
	bool raw;
	dev_t dev;
	ino_t ino;
	u64 size;
	u32 mtime;
	struct vhd_footer end;
	struct vhd_footer copy;
	u32 end_bytes;
	struct vhd_footer_choice choice;
	struct vhd_footer footer;
	struct vhd_header header;
	struct vhd_layout layout;
	enum vhd_fault fault;
	const char *why;
	u32 *bat;
	u32 allocated;
	u32 misaligned;
	u8 *bitmap;
	u32 bitmap_block;
	u32 ahead;
};

/**
 * struct image_how - how to open a file
 * @write:	for reading and writing
 * @named:	the user named it, so it may be a block device
 * @beneath:	directory that the path must not leave, -1 if any will do
 */
struct image_how {
	bool write;
	bool named;
	int beneath;
};

/* A bad entry is reported with its block; @block is ~0 for the table itself. */
typedef void (*bat_fault_fn)(void *ctx, enum vhd_fault fault, u32 block);

int image_open(struct image *img, const char *path, const struct image_how *how);
int image_open_found(struct image *img, const char *path, int path_fd,
		     const struct image_how *how);
int image_refresh_size(struct image *img);
int image_lock(struct image *img, bool write);
int image_load(struct image *img, enum vhd_size_rule rule);
int image_lay_out(struct image *img, enum vhd_size_rule rule);
void image_set_raw(struct image *img);
void image_close(struct image *img);
int image_read(const struct image *img, void *buf, size_t len, u64 pos);
int image_write(const struct image *img, const void *buf, size_t len, u64 pos);
bool image_same_file(const struct image *a, const struct image *b);
int image_report(const struct image *img, unsigned int layer, int err);

/* bat.c */
int image_load_bat(struct image *img, bat_fault_fn report, void *ctx);
int image_used_by_all(const struct image *img, u64 *end);
u32 image_bat_entry(const struct image *img, u32 block);
const u8 *image_bitmap(struct image *img, u32 block);

#endif /* VHDCTL_FILE_H */
