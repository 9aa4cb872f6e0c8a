// SPDX-License-Identifier: GPL-2.0
/*
 * Comparing two disks without reading what they share: where both take a sector
 * from the same place of the same file, or both know that it is zeros, the maps
 * say that they are equal. All else is read, so that data which were written
 * again, or copied from one file to another, do not count as a difference.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "differ.h"

#define PIECE_SECTS	2048u

struct side {
	struct chain *c;
	struct owner_run run;
	u8 *buf;
};

struct differ {
	struct side a;
	struct side b;
	diff_fn fn;
	void *ctx;
	u64 end;
	struct progress progress;
};

static int look(struct side *s, u64 pos, u64 end)
{
	u64 capacity = s->c->layer[0]->layout.capacity;
	int ret;

	s->run = (struct owner_run){ .answer = VHD_ZERO, .start = pos, .sects = end - pos };
	if (pos >= capacity)
		return VHDCTL_OK;
	ret = walk_step(s->c, pos, min_t(u64, end, capacity), &s->run);
	if (ret || s->run.answer != VHD_BAD)
		return ret;
	msg_error("%s (layer %u): %s: the disk cannot be read at byte %llu",
		  s->c->layer[s->run.layer]->path, s->run.layer,
		  vhd_fault_str(VHD_FAULT_BAT_RANGE), pos << VHD_SECTOR_SHIFT);
	return VHDCTL_CORRUPT;
}

/* A hole of a sparse file reads as zeros too; how far does it go? */
static void look_for_hole(struct side *s)
{
	const struct image *img = s->c->layer[s->run.layer];
	off_t at = s->run.file_sect << VHD_SECTOR_SHIFT, data;

	if (s->run.answer != VHD_DATA || img->block_device)
		return;
	data = lseek(img->fd, at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		data = at + (s->run.sects << VHD_SECTOR_SHIFT);
	if (data < at + (off_t)VHD_SECTOR_SIZE)
		return;
	s->run.answer = VHD_ZERO;
	s->run.sects = min_t(u64, s->run.sects, (data - at) >> VHD_SECTOR_SHIFT);
}

static void show(struct differ *d, u64 pos)
{
	progress_show(&d->progress, pos << VHD_SECTOR_SHIFT, d->end << VHD_SECTOR_SHIFT);
}

static bool is_shared(const struct differ *d)
{
	const struct owner_run *a = &d->a.run, *b = &d->b.run;

	return a->answer == VHD_DATA && b->answer == VHD_DATA && a->file_sect == b->file_sect &&
	       image_same_file(d->a.c->layer[a->layer], d->b.c->layer[b->layer]);
}

static int fetch(struct side *s, u64 skip, u32 nr)
{
	struct image *img = s->c->layer[s->run.layer];
	size_t len = (size_t)nr << VHD_SECTOR_SHIFT;
	int ret;

	if (s->run.answer == VHD_ZERO) {
		memset(s->buf, 0, len);
		return VHDCTL_OK;
	}
	ret = image_read(img, s->buf, len, (s->run.file_sect + skip) << VHD_SECTOR_SHIFT);
	return ret ? image_report(img, s->run.layer, ret) : VHDCTL_OK;
}

static bool differs(const struct differ *d, u32 sector)
{
	size_t at = (size_t)sector << VHD_SECTOR_SHIFT;

	return memcmp(d->a.buf + at, d->b.buf + at, VHD_SECTOR_SIZE);
}

static int tell(const struct differ *d, u64 start, u32 nr)
{
	u32 first, end;
	int ret = VHDCTL_OK;

	for (first = 0; !ret && first < nr; first = end) {
		bool other = differs(d, first);
		struct diff_run run = {
			.start = start + first, .a = d->a.run.answer, .b = d->b.run.answer,
			.data = d->b.buf + ((size_t)first << VHD_SECTOR_SHIFT),
		};

		for (end = first + 1; end < nr && differs(d, end) == other; end++)
			;
		run.sects = end - first;
		if (other)
			ret = d->fn(d->ctx, &run);
	}
	return ret;
}

static int compare(struct differ *d, u64 nr)
{
	u64 done;
	u32 piece;
	int ret = VHDCTL_OK;

	for (done = 0; !ret && done < nr; done += piece) {
		piece = min_t(u64, PIECE_SECTS, nr - done);
		show(d, d->a.run.start + done);
		ret = fetch(&d->a, done, piece);
		if (!ret)
			ret = fetch(&d->b, done, piece);
		if (!ret && memcmp(d->a.buf, d->b.buf, (size_t)piece << VHD_SECTOR_SHIFT))
			ret = tell(d, d->a.run.start + done, piece);
	}
	return ret;
}

static int compare_all(struct differ *d, u64 end)
{
	u64 pos, nr;
	int ret = VHDCTL_OK;

	for (pos = 0; !ret && pos < end; pos += nr) {
		show(d, pos);
		ret = look(&d->a, pos, end);
		if (!ret)
			ret = look(&d->b, pos, end);
		nr = min_t(u64, d->a.run.sects, d->b.run.sects);
		if (ret || is_shared(d))
			continue;
		look_for_hole(&d->a);
		look_for_hole(&d->b);
		nr = min_t(u64, d->a.run.sects, d->b.run.sects);
		if (d->a.run.answer == VHD_DATA || d->b.run.answer == VHD_DATA)
			ret = compare(d, nr);
	}
	if (!ret)
		progress_end(&d->progress, end << VHD_SECTOR_SHIFT);
	return ret;
}

/**
 * diff_disks() - find the sectors in which two disks differ
 * @a:		chain after chain_load_bats()
 * @b:		another, or the same
 * @end:	virtual sector to stop before; behind its end a disk is zeros
 * @differ:	called for each stretch, in order; neighbours are not merged
 * @ctx:	for @differ
 * @progress:	say on standard error how far it is
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int diff_disks(struct chain *a, struct chain *b, u64 end, diff_fn differ, void *ctx,
	       bool progress)
{
	struct differ d = { .a.c = a, .b.c = b, .fn = differ, .ctx = ctx, .end = end };
	int ret = VHDCTL_ERROR;

	progress_start(&d.progress, progress);
	d.a.buf = malloc(PIECE_SECTS * VHD_SECTOR_SIZE);
	d.b.buf = malloc(PIECE_SECTS * VHD_SECTOR_SIZE);
	if (d.a.buf && d.b.buf)
		ret = compare_all(&d, end);
	else
		msg_error("out of memory");
	free(d.a.buf);
	free(d.b.buf);
	return ret;
}
