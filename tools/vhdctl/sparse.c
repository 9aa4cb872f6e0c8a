// SPDX-License-Identifier: GPL-2.0
/* Zeros in files, and holes in their place. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "convert.h"
#include "sparse.h"

/**
 * is_zero() - are all bytes zero
 * @buf:	bytes
 * @len:	how many, at least 1
 */
bool is_zero(const void *buf, size_t len)
{
	const u8 *p = buf;

	return !*p && !memcmp(p, p + 1, len - 1);
}

/**
 * next_data() - skip a hole
 * @img:	an open image
 * @pos:	bytes
 * @end:	bytes; behind @pos
 * @data_end:	where the next hole begins, at most @end
 *
 * Where a file system cannot tell, all is data.
 *
 * Return: Position of the first byte that may be none of a hole, @end if there is none.
 */
u64 next_data(const struct image *img, u64 pos, u64 end, u64 *data_end)
{
	off_t data = lseek(img->fd, pos, SEEK_DATA), hole;

	*data_end = end;
	if (data < 0)
		return errno == ENXIO && !img->block_device ? end : pos;
	if ((u64)data >= end)
		return end;
	hole = lseek(img->fd, data, SEEK_HOLE);
	if (hole > data)
		*data_end = min_t(u64, hole, end);
	return data;
}

static int write_zeros(const struct image *img, u64 pos, u64 len)
{
	static const u8 zeros[PIECE_BYTES];
	u64 nr;
	int ret = 0;

	for (; !ret && len; pos += nr, len -= nr) {
		nr = min_t(u64, len, sizeof(zeros));
		ret = image_write(img, zeros, nr, pos);
	}
	return ret;
}

/**
 * punch() - make a range read as zeros, best without storage
 * @img:	an image open for writing
 * @pos:	bytes
 * @len:	bytes; a file that ends within the range grows to its end
 *
 * Return: 0 or a negative errno.
 */
int punch(const struct image *img, u64 pos, u64 len)
{
	off_t size = lseek(img->fd, 0, SEEK_END);

	/* Punching makes no file longer. */
	if (size >= 0 && pos + len <= (u64)size &&
	    !fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len))
		return 0;
	return write_zeros(img, pos, len);
}

/**
 * write_sparse() - write to a range, but no zeros
 * @img:	an image open for writing
 * @buf:	what
 * @len:	bytes
 * @pos:	bytes; where @buf has a page of zeros, the file has zeros already
 *
 * Return: 0 or a negative errno.
 */
int write_sparse(const struct image *img, const u8 *buf, size_t len, u64 pos)
{
	size_t at, nr, begin = 0;
	int ret = 0;

	for (at = 0; !ret && at < len; at += nr) {
		nr = min_t(size_t, len - at, PAGE_BYTES);
		if (!is_zero(buf + at, nr))
			continue;
		if (at > begin)
			ret = image_write(img, buf + begin, at - begin, pos + begin);
		begin = at + nr;
	}
	if (!ret && len > begin)
		ret = image_write(img, buf + begin, len - begin, pos + begin);
	return ret;
}

static int punch_page_run(const struct image *img, u64 pos, u64 len, u64 *punched)
{
	if (!len)
		return 0;
	if (fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len))
		return -errno;
	*punched += len;
	return 0;
}

/* Whole pages only: a part of one keeps its storage. */
static int punch_piece(const struct image *img, const u8 *buf, u64 pos, u64 len, u64 *punched)
{
	u64 at, run = 0;
	int ret = 0;

	for (at = 0; !ret && at + PAGE_BYTES <= len; at += PAGE_BYTES) {
		if (is_zero(buf + at, PAGE_BYTES)) {
			run += PAGE_BYTES;
			continue;
		}
		ret = punch_page_run(img, pos + at - run, run, punched);
		run = 0;
	}
	return ret ? ret : punch_page_run(img, pos + at - run, run, punched);
}

static int punch_extent(const struct image *img, u8 *buf, u64 pos, u64 end, u64 *punched,
			struct progress *p)
{
	u64 len;
	int ret = 0;

	for (; !ret && pos < end; pos += len) {
		progress_show(p, pos, img->size);
		len = min_t(u64, end - pos, PIECE_BYTES);
		ret = image_read(img, buf, len, pos);
		if (!ret)
			ret = punch_piece(img, buf, pos, len, punched);
	}
	return ret;
}

/**
 * punch_zeros() - give back the storage of every page of zeros in a file
 * @img:	an image open for writing and exclusively locked
 * @punched:	bytes of them
 * @progress:	say on standard error how far it is
 *
 * No byte of the file changes, whatever it means, so a crash does no harm.
 *
 * Return: 0 or a negative errno; -EOPNOTSUPP if the file system has no holes.
 */
int punch_zeros(struct image *img, u64 *punched, bool progress)
{
	u64 pos = 0, end = img->size, data, data_end;
	u8 *buf = malloc(PIECE_BYTES);
	int ret = buf ? 0 : -ENOMEM;
	struct progress p;

	*punched = 0;
	progress_start(&p, progress);
	while (!ret && pos < end) {
		data = next_data(img, pos, end, &data_end);
		data = data / PAGE_BYTES * PAGE_BYTES;
		if (data < end)
			ret = punch_extent(img, buf, data, data_end, punched, &p);
		pos = data < end ? data_end : end;
	}
	free(buf);
	if (!ret && fsync(img->fd))
		ret = -errno;
	if (!ret)
		progress_end(&p, end);
	return ret;
}
