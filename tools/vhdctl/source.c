// SPDX-License-Identifier: GPL-2.0
/* The disk that is read: a chain of files, a raw file or device, or a stream. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert.h"
#include "walk.h"

/* A raw disk may end within a sector; the rest of that reads as zeros. */
static void set_raw(struct image *img)
{
	image_set_raw(img);
	img->layout.capacity = DIV_ROUND_UP(img->size, VHD_SECTOR_SIZE);
	if (img->size % VHD_SECTOR_SIZE)
		msg_warning("%s: not a whole number of sectors; zeros fill the last one",
			    img->path);
}

static int open_raw(struct source *s)
{
	struct image_how how = { .named = true, .beneath = -1 };
	struct image *img = calloc(1, sizeof(*img));
	int ret;

	if (!img)
		return VHDCTL_ERROR;
	chain_add(&s->chain, img);
	ret = image_open(img, s->path, &how);
	if (!ret)
		ret = image_lock(img, false);
	if (ret)
		return image_report(img, 0, ret);
	set_raw(img);
	return VHDCTL_OK;
}

static int open_chain(struct source *s, const struct options *o)
{
	int ret = chain_open(&s->chain, s->path, o, false);

	if (ret && s->chain.nr && s->chain.layer[0]->fault == VHD_FAULT_NO_FOOTER)
		msg_hint("if it is a raw disk, say so with --from raw");
	if (ret)
		return ret;
	chain_warn_times(&s->chain);
	return chain_load_bats(&s->chain);
}

static void open_direct(struct source *s)
{
	unsigned int i;

	for (i = 0; i < s->chain.nr; i++)
		direct_open(&s->direct[i], s->chain.layer[i]->fd, false);
	s->size = s->chain.layer[0]->layout.capacity << VHD_SECTOR_SHIFT;
}

/**
 * source_open() - open and lock what is to be read
 * @s:		zeroed; source_close() in any case
 * @path:	its name
 * @raw:	the bytes of the file are the disk
 * @o:		where parents may be
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int source_open(struct source *s, const char *path, bool raw, const struct options *o)
{
	int ret;

	s->path = path;
	ret = raw ? open_raw(s) : open_chain(s, o);
	if (ret)
		return ret;
	open_direct(s);
	return VHDCTL_OK;
}

/**
 * source_adopt() - read an open raw file from its beginning
 * @s:	a source without files
 * @fd:	belongs to the source afterwards
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int source_adopt(struct source *s, int fd)
{
	struct image *img = calloc(1, sizeof(*img));
	struct stat st;

	if (!img || fstat(fd, &st)) {
		free(img);
		close(fd);
		return source_fail(s, 0, errno);
	}
	img->path = strdup(s->path);
	img->fd = fd;
	img->size = st.st_size;
	img->bitmap_block = ~0u;
	s->stream = false;
	chain_add(&s->chain, img);
	set_raw(img);
	open_direct(s);
	return VHDCTL_OK;
}

/**
 * source_open_stream() - read standard input
 * @s:	zeroed; source_close() in any case
 *
 * A file behind it is read like one that was named, if it is read from its beginning.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int source_open_stream(struct source *s)
{
	struct stat st;
	int fd;

	s->path = "standard input";
	s->stream = true;
	if (fstat(STDIN_FILENO, &st))
		return source_fail(s, 0, errno);
	if (!S_ISREG(st.st_mode) || lseek(STDIN_FILENO, 0, SEEK_CUR))
		return VHDCTL_OK;
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return fd < 0 ? source_fail(s, 0, errno) : source_adopt(s, fd);
}

static bool known_data(const struct source *s, const struct image *img, u64 pos)
{
	return s->seen == img && pos >= s->data_start && pos < s->data_end;
}

/* Down to whole sectors, but one at least: a file may end within one. */
static void learn_data(struct source *s, const struct image *img, const struct source_run *run)
{
	off_t end = lseek(img->fd, run->pos, SEEK_HOLE);

	if (end < 0 || (u64)end >= img->size)
		end = run->pos + run->len;
	s->seen = img;
	s->data_start = run->pos;
	s->data_end = max_t(u64, end & ~(VHD_SECTOR_SIZE - 1LL), run->pos + VHD_SECTOR_SIZE);
}

/* Holes of a file in which the disk lies as it is. */
static void split_at_holes(struct source *s, struct source_run *run)
{
	const struct image *img = s->chain.layer[run->layer];
	off_t data = run->pos;

	if (!known_data(s, img, run->pos))
		data = lseek(img->fd, run->pos, SEEK_DATA);
	run->zero = data < 0 && errno == ENXIO;
	if (run->zero)
		return;
	data &= ~(VHD_SECTOR_SIZE - 1LL);
	if (data > (off_t)run->pos) {
		run->zero = true;
		run->len = min_t(u64, run->len, data - run->pos);
		return;
	}
	if (!known_data(s, img, run->pos))
		learn_data(s, img, run);
	run->len = min_t(u64, run->len, s->data_end - run->pos);
}

static int bad_block(const struct source *s, const struct owner_run *owner)
{
	const struct image *img = s->chain.layer[owner->layer];

	msg_error("%s (layer %u): sector %llu: %s", img->path, owner->layer, owner->start,
		  vhd_fault_str(VHD_FAULT_BAT_RANGE));
	msg_hint("see 'vhdctl check %s'", img->path);
	return VHDCTL_CORRUPT;
}

/**
 * source_run() - what a part of the disk holds, and how far that goes
 * @s:		an open source that is no stream
 * @pos:	first byte, a multiple of 512
 * @end:	where to stop, a multiple of 512
 * @run:	result, at least one sector
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int source_run(struct source *s, u64 pos, u64 end, struct source_run *run)
{
	struct owner_run owner;
	int ret;

	ret = walk_step(&s->chain, pos >> VHD_SECTOR_SHIFT, end >> VHD_SECTOR_SHIFT, &owner);
	if (ret)
		return ret;
	if (owner.answer == VHD_BAD)
		return bad_block(s, &owner);
	run->zero = owner.answer == VHD_ZERO;
	run->layer = owner.layer;
	run->pos = owner.file_sect << VHD_SECTOR_SHIFT;
	run->len = owner.sects << VHD_SECTOR_SHIFT;
	if (!run->zero && s->chain.layer[run->layer]->layout.type == VHD_TYPE_FIXED)
		split_at_holes(s, run);
	return VHDCTL_OK;
}

/**
 * source_fail() - say that reading failed
 * @s:		the source
 * @layer:	which file
 * @err:	errno, of either sign
 *
 * Return: exit code for it.
 */
int source_fail(const struct source *s, unsigned int layer, int err)
{
	if (layer < s->chain.nr)
		return image_report(s->chain.layer[layer], layer, -abs(err));
	msg_error("%s: %s", s->path, strerror(abs(err)));
	return exit_of_errno(err);
}

/**
 * source_close() - close all files, which drops their locks
 * @s:	a source, or zeros
 */
void source_close(struct source *s)
{
	unsigned int i;

	for (i = 0; s->size && i < s->chain.nr; i++)
		direct_close(&s->direct[i]);
	chain_close(&s->chain);
}
