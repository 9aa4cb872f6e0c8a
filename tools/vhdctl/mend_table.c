// SPDX-License-Identifier: GPL-2.0
/* Mending the block allocation table and what it leads to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "mend.h"
#include "sparse.h"

/* Entries read at a time, whole sectors. */
#define TABLE_CHUNK	16384u

/* Which blocks go: a bit for each. */
struct drops {
	const struct mend *m;
	u8 *bits;
	u8 *faulty;
};

static bool asked(const struct options *o, const char *what)
{
	unsigned int i;

	for (i = 0; i < o->nr_drops; i++)
		if (!strcmp(o->drops[i], what))
			return true;
	return false;
}

static bool number(const char *text, u64 *value)
{
	return strcmp(text, "bad") && strcmp(text, "leaks") && parse_size(text, value);
}

static void note_drop(void *ctx, enum vhd_fault fault, u32 block)
{
	struct drops *d = ctx;

	vhd_bitmap_set(d->faulty, block, 1);
	if (fault == VHD_FAULT_BAT_RANGE && asked(d->m->o, "bad"))
		vhd_bitmap_set(d->bits, block, 1);
}

static void drops_free(struct drops *d)
{
	free(d->bits);
	free(d->faulty);
}

static int drops_find(struct drops *d, const struct mend *m)
{
	size_t len = m->img->layout.entries / 8 + 1;
	unsigned int i;
	u64 block;
	int ret;

	*d = (struct drops){ .m = m, .bits = calloc(1, len), .faulty = calloc(1, len) };
	if (!d->bits || !d->faulty)
		return -ENOMEM;
	ret = image_load_bat(m->img, note_drop, d);
	for (i = 0; !ret && i < m->o->nr_drops; i++)
		if (number(m->o->drops[i], &block) && block < m->img->layout.entries &&
		    vhd_bitmap_test(d->faulty, block))
			vhd_bitmap_set(d->bits, block, 1);
	return ret;
}

static bool is_faulty(const struct mend *m, u64 block)
{
	struct drops d;
	bool faulty = block < m->img->layout.entries && !drops_find(&d, m) &&
		      vhd_bitmap_test(d.faulty, block);

	if (block < m->img->layout.entries)
		drops_free(&d);
	return faulty;
}

/**
 * mend_check_drops() - may the named blocks be dropped
 * @m:	the repair, of an image that could be loaded
 *
 * Only a block that is at fault: nobody loses a good one by a slip of the finger.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int mend_check_drops(const struct mend *m)
{
	unsigned int i;
	u64 block;

	for (i = 0; i < m->o->nr_drops; i++) {
		if (!number(m->o->drops[i], &block))
			continue;
		if (m->img->layout.type != VHD_TYPE_FIXED && is_faulty(m, block))
			continue;
		msg_error("%s: nothing is wrong with block %llu, so it will not be dropped",
			  m->img->path, block);
		return VHDCTL_ERROR;
	}
	return VHDCTL_OK;
}

/**
 * mend_drops() - are there blocks to drop
 * @m:	the repair
 */
bool mend_drops(struct mend *m)
{
	const struct findings *f = m->f;
	unsigned int i;
	u64 block;

	if (asked(m->o, "bad") && f->nr_of[VHD_FAULT_BAT_RANGE])
		return true;
	for (i = 0; i < m->o->nr_drops; i++)
		if (number(m->o->drops[i], &block) && is_faulty(m, block))
			return true;
	return false;
}

/* Calls @change for each entry of a range; sectors that differ afterwards are written. */
static int table_change(struct mend *m, u64 first, u64 end,
			bool (*change)(void *ctx, u64 index, u32 entry), void *ctx)
{
	u64 pos = m->img->layout.bat_sect << VHD_SECTOR_SHIFT, nr, i;
	__be32 *chunk = malloc(TABLE_CHUNK * sizeof(*chunk));
	int ret = chunk ? 0 : -ENOMEM;

	for (first -= first % TABLE_CHUNK; !ret && first < end; first += nr) {
		nr = min_t(u64, TABLE_CHUNK, end - first);
		ret = image_read(m->img, chunk, nr * sizeof(*chunk), pos + first * sizeof(*chunk));
		for (i = 0; !ret && i < nr; i++)
			if (change(ctx, first + i, be32_to_cpu(chunk[i])))
				chunk[i] = cpu_to_be32(VHD_BAT_UNUSED);
		if (!ret)
			ret = exec_write(m->img, chunk, nr * sizeof(*chunk),
					 pos + first * sizeof(*chunk));
	}
	free(chunk);
	return ret;
}

static bool is_dropped(void *ctx, u64 index, u32 entry)
{
	const struct drops *d = ctx;

	return index < d->m->img->layout.entries && entry != VHD_BAT_UNUSED &&
	       vhd_bitmap_test(d->bits, index);
}

/**
 * mend_drop() - mark the blocks as unused that the user gives up
 * @m:	the repair
 *
 * Of what lies in the file no byte changes: another entry may lead to it.
 *
 * Return: 0 or a negative errno.
 */
int mend_drop(struct mend *m)
{
	u32 block, entries = m->img->layout.entries;
	struct drops d;
	int ret = drops_find(&d, m);

	if (!ret)
		ret = table_change(m, 0, entries, is_dropped, &d);
	for (block = 0; !ret && block < entries; block++)
		m->dropped += vhd_bitmap_test(d.bits, block);
	drops_free(&d);
	return ret;
}

static bool is_bad_padding(void *ctx, u64 index, u32 entry)
{
	const struct vhd_layout *l = ctx;

	return index >= l->entries && bat_padding_is_bad(l, index, entry);
}

/**
 * mend_padding() - mark as unused what lies behind the entries that the disk needs
 * @m:	the repair
 *
 * Return: 0 or a negative errno.
 */
int mend_padding(struct mend *m)
{
	struct vhd_layout *l = &m->img->layout;

	return table_change(m, l->entries, bat_padding_end(l), is_bad_padding, l);
}

/**
 * mend_tail() - clear the bits of a child that lie behind the end of its disk
 * @m:	the repair
 *
 * Return: 0 or a negative errno.
 */
int mend_tail(struct mend *m)
{
	struct image *img = m->img;
	u32 last = img->layout.entries - 1, tail = bitmap_tail(img);
	size_t len = (size_t)img->layout.bitmap_sects << VHD_SECTOR_SHIFT;
	const u8 *old = image_bitmap(img, last);
	u8 *bits = malloc(len);
	int ret = -ENOMEM;

	if (!old) {
		ret = -errno;
	} else if (bits) {
		memcpy(bits, old, len);
		vhd_bitmap_clear(bits, tail, img->layout.block_sects - tail);
		ret = exec_write(img, bits, len,
				 (u64)image_bat_entry(img, last) << VHD_SECTOR_SHIFT);
		img->bitmap_block = ~0u;
	}
	free(bits);
	return ret;
}

static int give_back(void *ctx, u64 sect, u64 end, u64 stored)
{
	struct mend *m = ctx;

	m->freed += stored;
	return punch(m->img, sect << VHD_SECTOR_SHIFT, (end - sect) << VHD_SECTOR_SHIFT);
}

/**
 * mend_leaks() - give back space that nothing uses
 * @m:	the repair, of an image without faulty blocks
 *
 * Return: 0 or a negative errno.
 */
int mend_leaks(struct mend *m)
{
	int ret = gaps_walk(m->img, give_back, m);

	return !ret && fsync(m->img->fd) ? -errno : ret;
}
