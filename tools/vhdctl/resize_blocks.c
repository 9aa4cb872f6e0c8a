// SPDX-License-Identifier: GPL-2.0
/*
 * Another size of a dynamic or differencing image: which part of the BAT changes, where
 * a longer one goes, and what has to be zeros. In which order is up to format/grow.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "exec.h"
#include "findings.h"
#include "resize.h"

#define ENTRIES_PER_SECT	(VHD_SECTOR_SIZE / sizeof(__be32))
#define PAGE_SECTS		8u

/**
 * struct growth - how an image changes
 * @img:	it
 * @r:		sizes
 * @l:		its layout with the new size, while the header is the old one
 * @needed:	BAT entries that the new size needs
 * @kept:	entries of both sizes
 * @sects:	of the new BAT
 * @place:	where it goes
 * @table:	the new BAT, with padding, and with a batmap if that moves
 * @table_sects: of all that
 * @header:	the new header
 * @dropped:	see &struct vhd_size_change
 * @change:	what the plan is made of
 */
struct growth {
	struct image *img;
	const struct resize *r;
	struct vhd_layout l;
	u32 needed;
	u32 kept;
	u32 sects;
	u64 place;
	u8 *table;
	u32 table_sects;
	struct vhd_header header;
	u32 *dropped;
	struct vhd_size_change change;
};

static u32 sects_of(u64 entries)
{
	return DIV_ROUND_UP(entries, ENTRIES_PER_SECT);
}

/*
 * As many entries as blocks: some programs accept nothing else. Only libvhd leaves
 * room to grow, and puts its batmap behind that.
 */
static u32 new_entries(const struct growth *g)
{
	const struct vhd_layout *l = &g->img->layout;

	return l->batmap_sects ? max_t(u32, l->max_entries, g->needed) : g->needed;
}

static void init_growth(struct growth *g)
{
	const struct vhd_layout *l = &g->img->layout;

	g->l = *l;
	g->l.capacity = g->r->after >> VHD_SECTOR_SHIFT;
	g->needed = vhd_blocks_needed(g->l.capacity, l->block_shift);
	g->kept = min_t(u32, g->needed, l->entries);
	g->header = g->img->header;
	g->header.max_entries = cpu_to_be32(new_entries(g));
	g->sects = sects_of(new_entries(g));
	g->place = l->bat_sect;
	g->change.shrink = g->r->after <= g->r->before;
	g->change.slot_sects = l->bitmap_sects + l->block_sects;
}

/* Unknown structures live in gaps; padding of a BAT is ones, or zeros. */
static int is_padding(const struct image *img, u64 sect, u64 nr, bool *padding)
{
	u8 buf[VHD_SECTOR_SIZE];
	u64 end = sect + nr;
	int ret = 0;

	for (*padding = true; !ret && *padding && sect < end; sect++) {
		ret = image_read(img, buf, sizeof(buf), sect << VHD_SECTOR_SHIFT);
		*padding = !ret && (!buf[0] || buf[0] == 0xff) &&
			   !memcmp(buf, buf + 1, sizeof(buf) - 1);
	}
	return ret;
}

/* May the BAT grow where it is? */
static int fits_in_place(const struct growth *g, bool *fits)
{
	const struct vhd_layout *l = &g->img->layout;
	u64 begin = l->bat_sect + l->bat_sects, end = l->bat_sect + g->sects;
	struct extents e;
	size_t i;
	int ret;

	*fits = end <= begin;
	if (*fits || l->batmap_sects || end > l->end)
		return 0;
	ret = extents_collect(&e, g->img);
	if (ret)
		return ret;
	for (i = 0; i < e.nr; i++)
		if (e.v[i].sect < end && e.v[i].sect + e.v[i].nr > begin)
			break;
	if (i == e.nr)
		ret = is_padding(g->img, begin, end - begin, fits);
	free(e.v);
	return ret;
}

static bool batmap_too_small(const struct growth *g)
{
	u32 sects = g->img->layout.batmap_sects;

	return sects && vhd_batmap_map_bytes(&g->l) > (sects - 1ULL) << VHD_SECTOR_SHIFT;
}

/* Sectors of the map behind the header of a batmap that goes with the BAT. */
static u32 new_map_sects(const struct growth *g)
{
	u64 needed = vhd_batmap_map_bytes(&g->l) >> VHD_SECTOR_SHIFT;

	return max_t(u64, needed, g->img->layout.batmap_sects - 1);
}

/* Behind all that is known, on a page and with padding to the next. */
static int find_place(struct growth *g)
{
	u64 used = image_used_end(g->img);
	bool fits;
	int ret = fits_in_place(g, &fits);

	g->table_sects = max_t(u32, g->sects, g->img->layout.bat_sects);
	if (ret || (fits && !batmap_too_small(g)))
		return ret;
	g->place = DIV_ROUND_UP(used, PAGE_SECTS) * PAGE_SECTS;
	g->table_sects = DIV_ROUND_UP(g->sects, PAGE_SECTS) * PAGE_SECTS;
	if (g->img->layout.batmap_sects)
		g->table_sects = g->sects + 1 + new_map_sects(g);
	g->header.table_offset = cpu_to_be64(g->place << VHD_SECTOR_SHIFT);
	return 0;
}

static bool moves(const struct growth *g)
{
	return g->place != g->img->layout.bat_sect;
}

/*
 * The checksum of the map is the same for both sizes, since no bit is set that only
 * one of them has.
 */
static int move_batmap(struct growth *g)
{
	const struct vhd_layout *l = &g->img->layout;
	struct vhd_batmap *b = (void *)(g->table + ((u64)g->sects << VHD_SECTOR_SHIFT));
	u64 map_sect = g->place + g->sects + 1, old = l->batmap_sects;
	int ret;

	if (!old || !moves(g))
		return 0;
	memset(b + 1, 0, (size_t)new_map_sects(g) << VHD_SECTOR_SHIFT);
	ret = image_read(g->img, b, old << VHD_SECTOR_SHIFT, l->batmap_sect << VHD_SECTOR_SHIFT);
	b->offset = cpu_to_be64(map_sect << VHD_SECTOR_SHIFT);
	b->sectors = cpu_to_be32(new_map_sects(g));
	return ret;
}

/* What is read here is the entries' own bytes: no change but the one wanted. */
static int make_table(struct growth *g)
{
	u64 bat = g->img->layout.bat_sect << VHD_SECTOR_SHIFT;
	size_t bytes = (size_t)g->table_sects << VHD_SECTOR_SHIFT;
	int ret;

	g->table = malloc(bytes);
	if (!g->table)
		return -ENOMEM;
	memset(g->table, 0xff, bytes);
	ret = image_read(g->img, g->table, g->kept * sizeof(__be32), bat);
	return ret ? ret : move_batmap(g);
}

/* The first and the last sector that is another one than before. */
static int set_table(struct growth *g)
{
	u32 first = g->table_sects, last = 0, i;
	u8 old[VHD_SECTOR_SIZE];
	int ret = 0;

	if (moves(g)) {
		g->change.table = (struct vhd_extent){ g->place, g->table_sects };
		return 0;
	}
	for (i = 0; !ret && i < g->table_sects; i++) {
		ret = image_read(g->img, old, sizeof(old), (g->place + i) << VHD_SECTOR_SHIFT);
		if (ret || !memcmp(old, g->table + (u64)i * sizeof(old), sizeof(old)))
			continue;
		first = min_t(u32, first, i);
		last = i + 1;
	}
	if (first < last) {
		g->change.table = (struct vhd_extent){ g->place + first, last - first };
		g->change.table_first = first;
	}
	return ret;
}

static void set_header(struct growth *g)
{
	const struct vhd_layout *l = &g->img->layout;

	vhd_header_seal(&g->header);
	if (memcmp(&g->header, &g->img->header, sizeof(g->header)))
		g->change.header_sect = l->header_sect;
	if (moves(g))
		g->change.old_table = (struct vhd_extent){
			l->bat_sect, l->bat_sects + l->batmap_sects
		};
}

/* Whatever the last block has behind the end of the disk becomes a part of it. */
static int set_tail(struct growth *g)
{
	const struct vhd_layout *l = &g->img->layout;
	u64 used = l->capacity & (l->block_sects - 1), sect, end, blank;
	u32 entry = image_bat_entry(g->img, l->capacity >> l->block_shift);
	int ret;

	if (g->l.capacity <= l->capacity || !used || entry == VHD_BAT_UNUSED)
		return 0;
	sect = vhd_bat_data_sect(l, entry) + used;
	end = sect + min_t(u64, l->block_sects - used, g->l.capacity - l->capacity);
	ret = file_blank_until(g->img, sect << VHD_SECTOR_SHIFT, end << VHD_SECTOR_SHIFT, &blank);
	if (!ret && blank < end << VHD_SECTOR_SHIFT)
		g->change.tail = (struct vhd_extent){ sect, end - sect };
	return ret;
}

/* Does a known structure lie there? They do not overlap, so the last one tells. */
static bool is_used(const struct extents *e, u64 sect, u64 nr)
{
	size_t low = 0, high = e->nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (e->v[mid].sect < sect + nr)
			low = mid + 1;
		else
			high = mid;
	}
	return low && e->v[low - 1].sect + e->v[low - 1].nr > sect;
}

/*
 * An entry that this size does not need: of a block that an interrupted run was about
 * to drop, if the data are zeros; else it may mean anything.
 */
static int is_left_over(const struct growth *g, const struct extents *e, u32 entry, bool *left)
{
	const struct vhd_layout *l = &g->img->layout;
	u64 data = vhd_bat_data_sect(l, entry), end = data + l->block_sects, blank;
	int ret;

	*left = false;
	if (entry == VHD_BAT_UNUSED || vhd_bat_entry_check(l, entry) ||
	    is_used(e, entry, g->change.slot_sects))
		return 0;
	ret = file_blank_until(g->img, data << VHD_SECTOR_SHIFT, end << VHD_SECTOR_SHIFT, &blank);
	*left = !ret && blank == end << VHD_SECTOR_SHIFT;
	return ret;
}

static int add_left_over(struct growth *g, const struct extents *e)
{
	const struct vhd_layout *l = &g->img->layout;
	u32 nr = l->max_entries - min_t(u32, l->max_entries, l->entries), i, entry;
	__be32 *surplus = malloc((nr + 1ULL) * sizeof(*surplus));
	u64 pos = (l->bat_sect << VHD_SECTOR_SHIFT) + l->entries * sizeof(*surplus);
	int ret = surplus ? image_read(g->img, surplus, nr * sizeof(*surplus), pos) : -ENOMEM;
	bool left;

	for (i = 0; !ret && i < nr; i++) {
		entry = be32_to_cpu(surplus[i]);
		ret = is_left_over(g, e, entry, &left);
		if (!ret && left)
			g->dropped[g->change.nr_dropped++] = entry;
	}
	free(surplus);
	return ret;
}

static int set_dropped(struct growth *g)
{
	u32 block, entry, nr = max_t(u32, g->img->layout.max_entries, g->img->layout.entries);
	struct extents e;
	int ret;

	if (!g->change.shrink)
		return 0;
	g->dropped = malloc((nr - g->kept + 1ULL) * sizeof(*g->dropped));
	if (!g->dropped)
		return -ENOMEM;
	for (block = g->kept; block < g->img->layout.entries; block++) {
		entry = image_bat_entry(g->img, block);
		if (entry != VHD_BAT_UNUSED)
			g->dropped[g->change.nr_dropped++] = entry;
	}
	ret = extents_collect(&e, g->img);
	if (ret)
		return ret;
	ret = add_left_over(g, &e);
	free(e.v);
	g->change.dropped = g->dropped;
	return ret;
}

/* Bits of a batmap that would be of blocks which are new, or gone. */
static int refuse_batmap(const struct growth *g)
{
	const struct vhd_layout *l = &g->img->layout;
	u64 bytes = l->batmap_sects ? (l->batmap_sects - 1ULL) << VHD_SECTOR_SHIFT : 0, block;
	u8 *map = malloc(bytes + 1);
	int ret = map ? 0 : -ENOMEM;

	if (!ret && bytes)
		ret = image_read(g->img, map, bytes, (l->batmap_sect + 1) << VHD_SECTOR_SHIFT);
	for (block = g->kept; !ret && block < bytes * 8; block++)
		if (vhd_bitmap_test(map, block)) {
			g->img->why = "its batmap calls a block full that the disk has not got";
			ret = -EOPNOTSUPP;
		}
	free(map);
	return ret;
}

/* Every block must have a place below the largest sector that an entry can name. */
static int refuse_too_large(const struct growth *g)
{
	u64 end = moves(g) ? g->place + g->table_sects : image_used_end(g->img);
	u64 new = g->needed - min_t(u32, g->needed, g->img->allocated);

	if (g->change.shrink || end + new * g->change.slot_sects <= VHD_MAX_SECTOR)
		return 0;
	g->img->why = vhd_fault_str(VHD_FAULT_TOO_LARGE);
	return -EOPNOTSUPP;
}

static int prepare(struct growth *g)
{
	int ret = refuse_batmap(g);

	if (!ret)
		ret = find_place(g);
	if (!ret)
		ret = refuse_too_large(g);
	if (!ret)
		ret = edit_extend(g->img, moves(g) ? g->place + g->table_sects + 1 : 0);
	if (!ret)
		ret = make_table(g);
	if (!ret)
		ret = set_table(g);
	if (!ret)
		ret = set_tail(g);
	if (!ret)
		ret = set_dropped(g);
	if (!ret)
		set_header(g);
	return ret;
}

static bool nothing_changes(const struct growth *g)
{
	const struct vhd_size_change *c = &g->change;

	return !c->table.sects && !c->header_sect && !c->tail.sects && !c->nr_dropped &&
	       !memcmp(&g->r->footer, &g->img->footer, sizeof(g->img->footer));
}

static int carry_out(struct growth *g)
{
	int ret = prepare(g);

	if (ret || nothing_changes(g))
		return ret;
	g->change.footer_sect = (g->img->size >> VHD_SECTOR_SHIFT) - 1;
	g->img->footer = g->r->footer;
	return exec_resize(g->img, &g->change, &g->header, g->table);
}

/**
 * resize_blocks() - give a dynamic or differencing image another size
 * @r:	with its chain complete; what is cut off or comes is known to be zeros
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int resize_blocks(struct resize *r)
{
	struct growth g = { .img = r->c.layer[0], .r = r };
	int ret;

	init_growth(&g);
	ret = carry_out(&g);
	free(g.table);
	free(g.dropped);
	return ret ? edit_report(g.img, ret) : VHDCTL_OK;
}
