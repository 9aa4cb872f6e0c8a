// SPDX-License-Identifier: GPL-2.0
/* See look.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "look.h"

/* After so many errors in one window the rest of it is given up. */
#define MAX_ERRORS	6u
#define LEAST		4096u

/**
 * look_init() - get the memory for all disks to come
 * @l:		zeroed
 * @tally:	counts
 *
 * Return: 0 or -ENOMEM.
 */
int look_init(struct look *l, struct look_tally *tally)
{
	u32 i;

	l->tally = tally;
	if (posix_memalign((void **)&l->buf, 4096, LOOK_BYTES))
		return -ENOMEM;
	for (i = 0; i < LOOK_WINDOWS; i++)
		if (posix_memalign((void **)&l->window[i].want, 4096, LOOK_BYTES))
			return -ENOMEM;
	return 0;
}

/* What a block device may say if the files below it are not what they seem. */
static void count_error(struct look *l, const char *what, u64 *counter)
{
	*counter += 1;
	if (errno == EIO || errno == ENOSPC || errno == EOPNOTSUPP || errno == ENODATA)
		return;
	l->tally->strange++;
	printf("strange: %s: errno %d\n", what, errno);
}

/**
 * look_open() - open a disk
 * @l:		initialised
 * @path:	block device
 * @writable:	for writing too
 *
 * Return: 0 or a negative errno.
 */
int look_open(struct look *l, const char *path, bool writable)
{
	u64 bytes;

	l->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (l->fd < 0)
		return -errno;
	if (ioctl(l->fd, BLKGETSIZE64, &bytes)) {
		close(l->fd);
		return -errno;
	}
	l->sects = bytes / VHD_SECTOR_SIZE;
	return 0;
}

static void add_window(struct look *l, u64 number)
{
	struct look_window *w = &l->window[l->nr];
	u64 first = number * LOOK_SECTS;
	u32 i;

	if (first >= l->sects || l->nr == LOOK_WINDOWS)
		return;
	for (i = 0; i < l->nr; i++)
		if (l->window[i].pos == first * VHD_SECTOR_SIZE)
			return;
	w->pos = first * VHD_SECTOR_SIZE;
	w->sects = min_t(u64, LOOK_SECTS, l->sects - first);
	l->nr++;
}

/**
 * look_choose() - which parts of the disk to look at
 * @l:		open
 * @r:		random numbers
 * @block_sects: of the leaf: the edges of blocks are the most interesting
 *
 * All of it, if it is small enough.
 */
void look_choose(struct look *l, struct rng *r, u32 block_sects)
{
	u64 all = DIV_ROUND_UP(l->sects, (u64)LOOK_SECTS), i, block;

	l->nr = 0;
	for (i = 0; i < all && all <= LOOK_WINDOWS; i++)
		add_window(l, i);
	if (all <= LOOK_WINDOWS)
		return;
	add_window(l, 0);
	add_window(l, all - 1);
	for (i = 0; i < 2 * LOOK_WINDOWS; i++) {
		block = rng_below(r, block_sects ? l->sects / block_sects + 1 : 1);
		/* Blocks that are there tend to be the first ones. */
		if (rng_chance(r, 70))
			block %= 48;
		add_window(l, rng_chance(r, 20) ? rng_below(r, all) :
			   block * block_sects / LOOK_SECTS);
	}
}

/* Halves, until what fails is a page: one bad block must not hide others. */
static void read_part(struct look *l, struct look_window *w, u8 *buf, u8 *state, u32 first,
		      u32 sects, u32 *errors)
{
	size_t len = (size_t)sects * VHD_SECTOR_SIZE;
	u32 half = sects / 2 & ~7u;

	l->tally->reads++;
	if (*errors < MAX_ERRORS &&
	    pread(l->fd, buf + (size_t)first * VHD_SECTOR_SIZE, len,
		  w->pos + (u64)first * VHD_SECTOR_SIZE) == (ssize_t)len) {
		memset(state + first, LOOK_KNOWN, sects);
		return;
	}
	if (*errors < MAX_ERRORS && len > LEAST && half) {
		read_part(l, w, buf, state, first, half, errors);
		read_part(l, w, buf, state, first + half, sects - half, errors);
		return;
	}
	if (*errors < MAX_ERRORS)
		count_error(l, "read", &l->tally->read_errors);
	*errors += 1;
	memset(state + first, LOOK_BAD, sects);
}

/**
 * look_read() - learn what the chosen parts hold
 * @l:	after look_choose()
 */
void look_read(struct look *l)
{
	u32 i, errors;

	for (i = 0; i < l->nr; i++) {
		errors = 0;
		read_part(l, &l->window[i], l->window[i].want, l->window[i].state, 0,
			  l->window[i].sects, &errors);
	}
}

static void set_state(struct look_window *w, u32 first, u32 sects, enum look_state state)
{
	u32 i;

	for (i = first; i < first + sects; i++)
		/* Whoever may be anything may be zeros as well. */
		if (state != LOOK_DISCARDED || w->state[i] == LOOK_KNOWN)
			w->state[i] = state;
}

static void write_part(struct look *l, struct look_window *w, struct rng *r, u32 first, u32 sects)
{
	struct iovec iov = { l->buf, (size_t)sects * VHD_SECTOR_SIZE };

	rng_fill(r, l->buf, iov.iov_len);
	l->tally->writes++;
	if (pwritev2(l->fd, &iov, 1, w->pos + (u64)first * VHD_SECTOR_SIZE,
		     rng_chance(r, 20) ? RWF_DSYNC : 0) != (ssize_t)iov.iov_len) {
		count_error(l, "write", &l->tally->write_errors);
		set_state(w, first, sects, LOOK_ANY);
		return;
	}
	memcpy(w->want + (size_t)first * VHD_SECTOR_SIZE, l->buf, iov.iov_len);
	set_state(w, first, sects, LOOK_KNOWN);
}

static void zero_part(struct look *l, struct look_window *w, u32 first, u32 sects, bool discard)
{
	u64 range[2] = { w->pos + (u64)first * VHD_SECTOR_SIZE, (u64)sects * VHD_SECTOR_SIZE };

	l->tally->zeroed += !discard;
	l->tally->discards += discard;
	if (ioctl(l->fd, discard ? BLKDISCARD : BLKZEROOUT, range)) {
		count_error(l, discard ? "discard" : "zeroout", &l->tally->write_errors);
		set_state(w, first, sects, LOOK_ANY);
		return;
	}
	if (!discard)
		memset(w->want + (size_t)first * VHD_SECTOR_SIZE, 0, range[1]);
	set_state(w, first, sects, discard ? LOOK_DISCARDED : LOOK_KNOWN);
}

/**
 * look_change() - write, zero, discard and flush
 * @l:	after look_read()
 * @r:	random numbers
 * @nr:	how often
 */
void look_change(struct look *l, struct rng *r, u32 nr)
{
	struct look_window *w;
	u32 first, sects;

	while (nr-- && l->nr) {
		w = &l->window[rng_below(r, l->nr)];
		first = rng_below(r, w->sects);
		sects = rng_chance(r, 80) ? 16 : LOOK_SECTS;
		sects = 1 + rng_below(r, min_t(u32, w->sects - first, sects));
		switch (rng_below(r, 10)) {
		case 0:
			l->tally->flushes++;
			if (fsync(l->fd))
				count_error(l, "flush", &l->tally->write_errors);
			break;
		case 1:
		case 2:
			zero_part(l, w, first, sects, rng_chance(r, 50));
			break;
		default:
			write_part(l, w, r, first, sects);
		}
	}
}

static bool is_right(const struct look_window *w, u32 sector, const u8 *got)
{
	static const u8 zeros[VHD_SECTOR_SIZE];
	const u8 *want = w->want + (size_t)sector * VHD_SECTOR_SIZE;

	switch (w->state[sector]) {
	case LOOK_KNOWN:
		return !memcmp(got, want, VHD_SECTOR_SIZE);
	case LOOK_DISCARDED:
		return !memcmp(got, want, VHD_SECTOR_SIZE) || !memcmp(got, zeros, VHD_SECTOR_SIZE);
	default:
		return true;
	}
}

/* A whole page may have failed because of a neighbour: ask for this one alone. */
static bool still_right(struct look *l, struct look_window *w, u32 sector, u8 state)
{
	u8 *got = l->buf + (size_t)sector * VHD_SECTOR_SIZE;

	if (state == LOOK_BAD && w->state[sector] == LOOK_KNOWN &&
	    pread(l->fd, got, VHD_SECTOR_SIZE, w->pos + (u64)sector * VHD_SECTOR_SIZE) !=
	    VHD_SECTOR_SIZE) {
		printf("errno %d: ", errno);
		return false;
	}
	return is_right(w, sector, got);
}

/**
 * look_compare() - read everything again
 * @l:	after look_read()
 *
 * Return: sectors that are wrong, or that can no longer be read.
 */
u32 look_compare(struct look *l)
{
	u8 state[LOOK_SECTS];
	u32 i, sector, errors, wrong = 0;
	struct look_window *w;

	for (i = 0; i < l->nr; i++) {
		w = &l->window[i];
		errors = 0;
		read_part(l, w, l->buf, state, 0, w->sects, &errors);
		for (sector = 0; sector < w->sects; sector++) {
			if (still_right(l, w, sector, state[sector]))
				continue;
			if (wrong++ < 4)
				printf("sector %llu is wrong (%u)\n", (unsigned long long)
				       w->pos / VHD_SECTOR_SIZE + sector, w->state[sector]);
		}
	}
	l->tally->wrong += wrong;
	return wrong;
}
