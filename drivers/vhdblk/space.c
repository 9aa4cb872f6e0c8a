// SPDX-License-Identifier: GPL-2.0
/*
 * The space that a file takes: zeroing it, giving it back, asking for more. The
 * only file that calls fallocate. Contexts and rights are as io.c says.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/mm.h>

#include "bdev_io.h"
#include "io.h"

static int allocate(struct vhd_file *f, int mode, loff_t pos, u64 len)
{
	const struct cred *old;
	int ret;

	if (vhd_io_read_only(f))
		return -EROFS;
	old = vhd_io_as_opener(f);
	ret = vfs_fallocate(f->file, mode, pos, len);
	revert_creds(old);
	return ret;
}

static int zero_whole_pages(struct vhd_file *f, loff_t pos, u64 len, bool unmap)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	int ret;

	if (!len)
		return 0;
	vhd_io_note_write(f);
	ret = allocate(f, unmap ? punch : zero, pos, len);
	if (ret == -EOPNOTSUPP && unmap)
		ret = allocate(f, zero, pos, len);
	return ret == -EOPNOTSUPP ? vhd_io_write_zeros(f, pos, len) : ret;
}

/**
 * vhd_io_zero() - make a range read as zeros
 * @f: the file
 * @pos: bytes, a multiple of 512
 * @len: bytes, a multiple of 512
 * @unmap: the space may go back to the file system
 *
 * Parts of a page are written: fallocate() would zero them through the page
 * cache, and a cached page slows down every later direct write.
 *
 * Return: 0 or an errno; on error any part may have been zeroed.
 */
int vhd_io_zero(struct vhd_file *f, loff_t pos, u64 len, bool unmap)
{
	loff_t first = round_up(pos, PAGE_SIZE), end = round_down(pos + len, PAGE_SIZE);
	int ret;

	if (f->target) {
		ret = vhd_bdev_zero(f->target, pos, len, unmap);
		vhd_io_note_write(f);
		return ret;
	}
	if (first >= end)
		return vhd_io_write_zeros(f, pos, len);
	ret = vhd_io_write_zeros(f, pos, first - pos);
	if (!ret)
		ret = zero_whole_pages(f, first, end - first, unmap);
	if (!ret)
		ret = vhd_io_write_zeros(f, end, pos + len - end);
	return ret;
}

/**
 * vhd_io_discard() - give the space of a range back to the file system
 * @f: the file
 * @pos: bytes
 * @len: bytes
 *
 * Whole pages of it, if the file system can; they read as zeros then. A hint:
 * nothing else happens, and nothing is said if nothing does.
 */
void vhd_io_discard(struct vhd_file *f, loff_t pos, u64 len)
{
	loff_t first = round_up(pos, PAGE_SIZE), end = round_down(pos + len, PAGE_SIZE);

	if (first >= end)
		return;
	if (f->target)
		vhd_bdev_discard(f->target, first, end - first);
	else
		allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first, end - first);
	vhd_io_note_write(f);
}

/**
 * vhd_io_reserve() - ask for space behind the end of the file
 * @f: a regular file
 * @pos: end of the file, bytes
 * @len: bytes
 *
 * The size of the file does not change. The range reads as zeros once a later
 * write behind it moves the end. Where the file system cannot reserve, nothing
 * is: writing zeros would leave a file without a footer at its end for as long
 * as that takes. Then it is the writes that find no space.
 *
 * Return: 0, -ENOSPC or another errno.
 */
int vhd_io_reserve(struct vhd_file *f, loff_t pos, u64 len)
{
	int ret = allocate(f, FALLOC_FL_KEEP_SIZE, pos, len);

	return ret == -EOPNOTSUPP ? 0 : ret;
}

/**
 * vhd_io_truncate() - set the size of the file
 * @f: a regular file
 * @size: bytes
 *
 * Return: 0 or an errno.
 */
int vhd_io_truncate(struct vhd_file *f, loff_t size)
{
	const struct cred *old = vhd_io_as_opener(f);
	int ret;

	vhd_io_note_write(f);
	ret = vfs_truncate(&f->file->f_path, size);
	revert_creds(old);
	/* A path is asked for its mode again; who has a file open need not ask. */
	if (ret == -EACCES)
		ret = vfs_truncate(&f->file->f_path, size);
	return ret;
}

/**
 * vhd_io_size() - how long the file is now
 * @f: a file
 *
 * Return: bytes.
 */
loff_t vhd_io_size(const struct vhd_file *f)
{
	return i_size_read(f->file->f_mapping->host);
}
