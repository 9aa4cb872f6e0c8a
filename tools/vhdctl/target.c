// SPDX-License-Identifier: GPL-2.0
/* Where a disk is written: new files, block devices, standard output. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"

/* So far at once a file grows, which is cheaper than with each write. */
#define GROW_BYTES	(64ULL << 20)

/**
 * target_init() - a place in which the disk lies as it is
 * @t:		result
 * @kind:	anything but TARGET_DYNAMIC
 * @path:	for messages
 * @fd:		open for writing; stays the caller's
 */
void target_init(struct target *t, enum target_kind kind, const char *path, int fd)
{
	memset(t, 0, sizeof(*t));
	t->kind = kind;
	t->path = path;
	t->fd = fd;
	t->direct.fd = -1;
	t->chunk = CONVERT_CHUNK;
	if (kind != TARGET_STREAM)
		direct_open(&t->direct, fd, true);
}

/**
 * target_init_dynamic() - a file whose blocks appear as they are written
 * @t:		result
 * @n:		says its size and block size
 * @fd:		open for writing; stays the caller's
 * @first:	end of its other structures, in bytes
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_init_dynamic(struct target *t, const struct new_image *n, int fd, u64 first)
{
	struct vhd_layout *l = &t->layout;

	target_init(t, TARGET_DYNAMIC, n->path, fd);
	t->chunk = min_t(u32, CONVERT_CHUNK, n->block_size);
	t->size = n->size;
	t->next = first >> VHD_SECTOR_SHIFT;
	l->block_sects = n->block_size >> VHD_SECTOR_SHIFT;
	l->block_shift = __builtin_ctz(l->block_sects);
	l->bitmap_sects = vhd_bitmap_sects(n->block_size);
	l->entries = vhd_blocks_needed(n->size >> VHD_SECTOR_SHIFT, l->block_shift);
	t->bat = malloc((l->entries + 1ULL) * sizeof(*t->bat));
	if (!t->bat)
		return target_fail(t, ENOMEM);
	memset(t->bat, 0xff, l->entries * sizeof(*t->bat));
	return VHDCTL_OK;
}

/**
 * target_write() - write all of a range through the page cache
 * @t:		the target
 * @buf:	what
 * @len:	bytes
 * @pos:	position in the file; a stream goes on where it is
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_write(const struct target *t, const void *buf, size_t len, u64 pos)
{
	ssize_t n;

	while (len) {
		n = t->kind == TARGET_STREAM ? write(t->fd, buf, len) :
					       pwrite(t->fd, buf, len, pos);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return target_fail(t, n ? errno : EIO);
		buf = (const char *)buf + n;
		pos += n;
		len -= n;
	}
	return VHDCTL_OK;
}

/* All sectors of the block that the disk has: the rest of the last one has no owner. */
static int write_bitmap(const struct target *t, u32 block, u64 sect)
{
	const struct vhd_layout *l = &t->layout;
	u64 left = (t->size >> VHD_SECTOR_SHIFT) - ((u64)block << l->block_shift);
	size_t len = (size_t)l->bitmap_sects << VHD_SECTOR_SHIFT;
	u8 *bitmap = calloc(1, len);
	int ret;

	if (!bitmap)
		return target_fail(t, ENOMEM);
	vhd_bitmap_set(bitmap, 0, min_t(u64, left, l->block_sects));
	ret = target_write(t, bitmap, len, sect << VHD_SECTOR_SHIFT);
	free(bitmap);
	return ret;
}

static int grow(struct target *t)
{
	u64 need = t->next << VHD_SECTOR_SHIFT;

	if (need <= t->eof)
		return VHDCTL_OK;
	/* More than is needed may be more than the file system takes. */
	if (!ftruncate(t->fd, need + GROW_BYTES))
		t->eof = need + GROW_BYTES;
	else if (!ftruncate(t->fd, need))
		t->eof = need;
	else
		return target_fail(t, errno);
	return VHDCTL_OK;
}

static int add_block(struct target *t, u32 block)
{
	const struct vhd_layout *l = &t->layout;
	u64 sect = vhd_slot_align(l, t->next);
	int ret;

	t->next = sect + l->bitmap_sects + l->block_sects;
	ret = grow(t);
	if (!ret)
		ret = write_bitmap(t, block, sect);
	t->bat[block] = cpu_to_be32(sect);
	return ret;
}

/**
 * target_place() - where a part of the disk is to be written
 * @t:		the target, no stream
 * @pos:	byte of the disk
 * @file_pos:	result: byte of the file, for all up to the end of the chunk
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_place(struct target *t, u64 pos, u64 *file_pos)
{
	const struct vhd_layout *l = &t->layout;
	u64 sect = pos >> VHD_SECTOR_SHIFT;
	u32 block = sect >> l->block_shift;
	int ret;

	*file_pos = pos;
	if (t->kind != TARGET_DYNAMIC)
		return VHDCTL_OK;
	if (be32_to_cpu(t->bat[block]) == VHD_BAT_UNUSED) {
		ret = add_block(t, block);
		if (ret)
			return ret;
	}
	*file_pos = (be32_to_cpu(t->bat[block]) + l->bitmap_sects +
		     (sect & (l->block_sects - 1))) << VHD_SECTOR_SHIFT;
	return VHDCTL_OK;
}

static int write_zeros(const struct target *t, u64 pos, u64 len)
{
	static const u8 zeros[CONVERT_CHUNK / 16];
	int ret = VHDCTL_OK;
	size_t part;

	for (; !ret && len; len -= part, pos += part) {
		part = min_t(u64, len, sizeof(zeros));
		ret = target_write(t, zeros, part, pos);
	}
	return ret;
}

/**
 * target_zero() - make a range read as zeros
 * @t:		the target
 * @pos:	byte of the disk
 * @len:	bytes
 *
 * New files have nothing but holes; what a device holds, nobody knows.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_zero(struct target *t, u64 pos, u64 len)
{
	switch (t->kind) {
	case TARGET_DEVICE:
		if (!fallocate(t->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, pos, len))
			return VHDCTL_OK;
		return write_zeros(t, pos, len);
	case TARGET_STREAM:
		return write_zeros(t, pos, len);
	default:
		return VHDCTL_OK;
	}
}

/**
 * target_hold() - keep the beginning of a device until all else is there
 * @t:		the target
 * @buf:	its first bytes
 * @len:	how many
 *
 * Without its beginning nobody takes a half-written disk for a whole one.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_hold(struct target *t, const void *buf, u32 len)
{
	t->held = malloc(len);
	if (!t->held)
		return target_fail(t, ENOMEM);
	memcpy(t->held, buf, len);
	t->held_len = len;
	return target_zero(t, 0, len);
}

/**
 * target_finish_device() - make everything durable, then its beginning
 * @t:	the target
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_finish_device(struct target *t)
{
	int ret = fsync(t->fd) ? target_fail(t, errno) : VHDCTL_OK;

	if (!ret)
		ret = target_write(t, t->held, t->held_len, 0);
	if (!ret && fsync(t->fd))
		ret = target_fail(t, errno);
	return ret;
}

/**
 * target_finish_dynamic() - write the table, now that all blocks have their places
 * @t:		the target
 * @layout:	has the place of the table; gets that of the footer
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int target_finish_dynamic(struct target *t, struct vhd_create_layout *layout)
{
	layout->file_size = vhd_layout_end_aligned(t->next) << VHD_SECTOR_SHIFT;
	layout->footer = layout->file_size - sizeof(struct vhd_footer);
	return target_write(t, t->bat, t->layout.entries * sizeof(*t->bat), layout->bat);
}

/**
 * target_fail() - say that writing failed
 * @t:		the target
 * @err:	errno, of either sign
 *
 * Return: exit code for it.
 */
int target_fail(const struct target *t, int err)
{
	msg_error("%s: %s", t->path, strerror(abs(err)));
	return exit_of_errno(err);
}

/**
 * target_close() - give back memory and the second descriptor
 * @t:	from target_init()
 */
void target_close(struct target *t)
{
	direct_close(&t->direct);
	free(t->held);
	free(t->bat);
	t->held = NULL;
	t->bat = NULL;
}
