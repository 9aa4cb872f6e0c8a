// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl compact: a smaller file with the same disk.
 *
 * Blocks without which the disk reads the same go first; then the last blocks move
 * down into the gaps, and the end of the file follows. Each step leaves a valid
 * image, and the next run goes on from there: what it finds is the same order of
 * blocks and of gaps, so it fills the place that was half filled with the same block.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compact.h"
#include "convert.h"
#include "exec.h"
#include "print.h"
#include "sparse.h"

struct compact {
	const struct options *o;
	struct chain c;
	struct findings *f;
	u8 *batmap;
	struct vhd_move *move;
	u32 nr;
	u64 dropped, moved, kept;
	u64 size_before, size_after, punched;
};

static int fail(const struct compact *k, int err)
{
	return image_report(k->c.layer[0], 0, err);
}

/* libvhd's: one bit for each block, set if it is full. */
static int load_batmap(struct compact *k)
{
	const struct vhd_layout *l = &k->c.layer[0]->layout;

	if (!l->batmap_sects)
		return 0;
	k->batmap = malloc((l->batmap_sects - 1ULL) << VHD_SECTOR_SHIFT);
	if (!k->batmap)
		return -ENOMEM;
	return image_read(k->c.layer[0], k->batmap,
			  (l->batmap_sects - 1ULL) << VHD_SECTOR_SHIFT,
			  (l->batmap_sect + 1) << VHD_SECTOR_SHIFT);
}

/*
 * Who trusts the batmap takes all sectors of such a block from this file, also when
 * it comes back later with few of them. Map and checksum cannot change in one step.
 */
static bool batmap_has(const struct compact *k, u32 block)
{
	u64 bits;

	if (!k->batmap)
		return false;
	bits = (k->c.layer[0]->layout.batmap_sects - 1ULL) * VHD_SECTOR_SIZE * 8;
	return block < bits && vhd_bitmap_test(k->batmap, block);
}

static int flush_moves(struct compact *k, u64 *done)
{
	int ret = exec_moves(k->c.layer[0], k->move, k->nr);

	if (ret)
		return fail(k, ret);
	*done += k->nr;
	k->nr = 0;
	return VHDCTL_OK;
}

static int add_move(struct compact *k, u32 block, u32 to, u32 batch, u64 *done)
{
	u32 from = image_bat_entry(k->c.layer[0], block);

	k->move[k->nr++] = (struct vhd_move){ .block = block, .from = from, .to = to };
	return k->nr < batch ? VHDCTL_OK : flush_moves(k, done);
}

static int drop_block(struct compact *k, u32 block)
{
	bool redundant;
	int ret = block_is_redundant(&k->c, block, &redundant);

	if (ret || !redundant)
		return ret;
	if (!batmap_has(k, block))
		return add_move(k, block, VHD_BAT_UNUSED, DROP_BATCH, &k->dropped);
	k->kept++;
	return VHDCTL_OK;
}

static u64 block_bytes(const struct compact *k, u64 nr)
{
	return nr * k->c.layer[0]->layout.block_sects << VHD_SECTOR_SHIFT;
}

static int drop_blocks(struct compact *k)
{
	const struct image *img = k->c.layer[0];
	u64 all = block_bytes(k, img->allocated), done = 0;
	struct progress p;
	u32 block;
	int ret = VHDCTL_OK;

	progress_start(&p, k->o->progress);
	for (block = 0; !ret && block < img->layout.entries; block++) {
		if (image_bat_entry(img, block) == VHD_BAT_UNUSED)
			continue;
		progress_show(&p, done, all);
		ret = drop_block(k, block);
		done += block_bytes(k, 1);
	}
	if (!ret)
		progress_end(&p, done);
	return ret ? ret : flush_moves(k, &k->dropped);
}

struct placed {
	u32 entry;
	u32 block;
};

static int compare_placed(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	return x->entry < y->entry ? 1 : x->entry > y->entry ? -1 : 0;
}

/* Last one of the file first. */
static struct placed *sort_blocks(const struct image *img, u32 *nr)
{
	struct placed *v = malloc((img->allocated + 1ULL) * sizeof(*v));
	u32 block, entry;

	*nr = 0;
	for (block = 0; v && block < img->layout.entries; block++) {
		entry = image_bat_entry(img, block);
		if (entry != VHD_BAT_UNUSED)
			v[(*nr)++] = (struct placed){ .entry = entry, .block = block };
	}
	if (v)
		qsort(v, *nr, sizeof(*v), compare_placed);
	return v;
}

/* Below the last structure that stays, a move gains nothing. */
static int move_sorted(struct compact *k, struct places *p, const struct placed *v, u32 nr)
{
	u64 fixed_end = k->c.layer[0]->layout.meta_end;
	struct progress bar;
	u32 i, to;
	int ret = VHDCTL_OK, err;

	progress_start(&bar, k->o->progress);
	for (i = 0; !ret && i < nr && v[i].entry >= fixed_end; i++) {
		err = places_next(p, v[i].entry, &to);
		if (err)
			return fail(k, err);
		if (to == VHD_BAT_UNUSED)
			break;
		progress_show(&bar, block_bytes(k, i), block_bytes(k, nr));
		ret = add_move(k, v[i].block, to, MOVE_BATCH, &k->moved);
	}
	if (!ret)
		ret = flush_moves(k, &k->moved);
	if (!ret && k->moved)
		progress_end(&bar, block_bytes(k, k->moved));
	return ret;
}

static int move_blocks(struct compact *k)
{
	struct image *img = k->c.layer[0];
	struct placed *v;
	struct places p;
	u32 nr;
	int ret;

	v = sort_blocks(img, &nr);
	ret = places_init(&p, img);
	if (ret || !v)
		ret = fail(k, ret ? ret : -ENOMEM);
	else
		ret = move_sorted(k, &p, v, nr);
	places_free(&p);
	free(v);
	return ret;
}

/* A block device has the footer in its last sector, always. */
static int cut_end(struct compact *k)
{
	struct image *img = k->c.layer[0];
	u64 end = vhd_layout_end_aligned(image_used_end(img));
	struct vhd_plan plan;
	int ret;

	if (img->block_device || end << VHD_SECTOR_SHIFT >= img->size)
		return VHDCTL_OK;
	vhd_plan_trim(&plan, DIV_ROUND_UP(img->size, VHD_SECTOR_SIZE), end);
	ret = exec_plan(img, &plan);
	if (ret)
		return fail(k, ret);
	k->size_after = end << VHD_SECTOR_SHIFT;
	return VHDCTL_OK;
}

static int refuse(const struct compact *k)
{
	const struct image *img = k->c.layer[0];

	if (img->fault)
		return fail(k, vhd_fault_errno(img->fault));
	if (img->layout.type == VHD_TYPE_FIXED) {
		msg_error("%s: a fixed image has no blocks", img->path);
		msg_hint("'vhdctl compact --punch' gives back the storage of its zeros");
		return VHDCTL_UNSUPPORTED;
	}
	if (k->f->worst <= VHD_SEV_NOTE)
		return VHDCTL_OK;
	msg_error("%s: %s", img->path, findings_worst(k->f));
	msg_hint("see 'vhdctl check %s'; nothing was changed", img->path);
	return VHDCTL_CORRUPT;
}

static int compact_blocks(struct compact *k)
{
	struct image *img = k->c.layer[0];
	int ret = findings_collect(k->f, img, k->o->size_rule);

	if (ret && !img->fault)
		return fail(k, ret);
	ret = refuse(k);
	if (!ret)
		ret = chain_resolve(&k->c, k->o);
	if (!ret)
		ret = chain_load_bats(&k->c);
	if (!ret && load_batmap(k))
		ret = fail(k, -EIO);
	if (!ret)
		ret = drop_blocks(k);
	if (!ret)
		ret = move_blocks(k);
	return ret ? ret : cut_end(k);
}

static int punch_image(struct compact *k)
{
	int ret = punch_zeros(k->c.layer[0], &k->punched, k->o->progress);

	return ret ? fail(k, ret) : VHDCTL_OK;
}

static void print_json(const struct compact *k)
{
	struct out o = { .json = true };

	out_begin(&o, NULL, NULL);
	out_string(&o, "file", NULL, k->c.layer[0]->path);
	out_number(&o, "dropped_blocks", NULL, k->dropped);
	out_number(&o, "moved_blocks", NULL, k->moved);
	out_number(&o, "kept_blocks", NULL, k->kept);
	out_number(&o, "punched_bytes", NULL, k->punched);
	out_number(&o, "size_before", NULL, k->size_before);
	out_number(&o, "size_after", NULL, k->size_after);
	out_end(&o);
}

static void print_text(const struct compact *k)
{
	char a[32], b[32], *path = strdup(k->c.layer[0]->path);

	if (!path)
		return;
	printable(path);
	if (k->o->punch)
		printf("%s: %s of zeros punched\n", path, human_size(k->punched, a));
	else
		printf("%s: %llu blocks dropped, %llu moved; %s before, %s now\n", path, k->dropped,
		       k->moved, human_size(k->size_before, a), human_size(k->size_after, b));
	if (k->kept)
		printf("%s: %llu blocks stay, as the batmap has them as full\n", path, k->kept);
	free(path);
}

static int open_and_compact(struct compact *k)
{
	int ret = chain_open_leaf(&k->c, k->o->args[0], k->o, true);

	if (ret && !k->c.nr) {
		msg_error("%s: %s", k->o->args[0], strerror(-ret));
		return VHDCTL_ERROR;
	}
	if (ret)
		return fail(k, ret);
	k->size_before = k->c.layer[0]->size;
	k->size_after = k->size_before;
	return k->o->punch ? punch_image(k) : compact_blocks(k);
}

/**
 * compact_main() - make an image smaller
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int compact_main(const struct options *o)
{
	struct compact k = { .o = o };
	int ret = VHDCTL_ERROR;

	k.f = calloc(1, sizeof(*k.f));
	k.move = malloc(DROP_BATCH * sizeof(*k.move));
	if (k.f && k.move)
		ret = open_and_compact(&k);
	else
		msg_error("out of memory");
	if (!ret && o->json)
		print_json(&k);
	else if (!ret)
		print_text(&k);
	chain_close(&k.c);
	free(k.batmap);
	free(k.move);
	free(k.f);
	return ret;
}
