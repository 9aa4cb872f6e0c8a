// SPDX-License-Identifier: GPL-2.0
/*
 * Images to begin with: as this project makes them, and as others do, with all
 * structures in any order, any gaps, blocks at any sector, and garbage wherever
 * nothing is.
 */
#include "crash_model.h"

#define PARTS	(3 + CM_BLOCKS)

enum { PART_HEADER, PART_BAT, PART_LOCATOR, PART_BLOCK };

struct places {
	u32 block_size;
	u32 entries;
	u32 used;			/* blocks that exist */
	u32 at[PARTS];			/* header, BAT, locator, then blocks */
	u32 end;
};

static const u8 uuid[16] = { 1, 2, 3 };

/* The sectors of a block whose neighbours differ: edges of bytes, pages, bitmap sectors. */
static void pick_offsets(struct cm *m, u32 sects)
{
	u32 middle = sects > 8 * VHD_SECTOR_SIZE ? 8 * VHD_SECTOR_SIZE : sects / 2, i;
	const u32 large[CM_OFFSETS] = { 0, 1, 7, 8, middle - 1, middle, sects - 2, sects - 1 };

	for (i = 0; i < CM_OFFSETS; i++)
		m->offset[i] = sects == CM_OFFSETS ? i : large[i];
}

static void pick_blocks(struct cm *m, struct places *at)
{
	static const u32 sizes[] = {
		4 << 10, 4 << 10, 4 << 10, 4 << 10, 32 << 10, 512 << 10, 2 << 20, 4 << 20,
		8 << 20, 32 << 20
	};
	static const u32 spread[CM_BLOCKS] = { 0, 126, 127, 128, 200 };
	bool near = cm_random(m, 2);
	u32 i;

	at->block_size = sizes[cm_random(m, ARRAY_SIZE(sizes))];
	for (i = 0; i < CM_BLOCKS; i++)
		m->number[i] = near ? 125 + i : spread[i];
	at->entries = m->number[CM_BLOCKS - 1] + 1;
	at->used = cm_random(m, 4);
	pick_offsets(m, at->block_size >> VHD_SECTOR_SHIFT);
}

static u32 part_sects(const struct cm *m, const struct places *at, u32 part)
{
	switch (part) {
	case PART_HEADER:
		return VHD_HEADER_SECTS;
	case PART_BAT:
		return DIV_ROUND_UP(at->entries * sizeof(__be32), VHD_SECTOR_SIZE) +
		       (m->batmap ? 2 : 0);
	case PART_LOCATOR:
		return m->p.type == VHD_TYPE_DIFFERENCING;
	}
	return vhd_bitmap_sects(at->block_size) + (at->block_size >> VHD_SECTOR_SHIFT);
}

/* Everything on 4 KiB, as far as it should be. */
static void place_own(struct cm *m, struct places *at)
{
	u32 bitmap = vhd_bitmap_sects(at->block_size), i;

	at->at[PART_HEADER] = 1;
	at->at[PART_LOCATOR] = 3;
	at->at[PART_BAT] = 8;
	at->end = 16;
	for (i = 0; i < at->used; i++) {
		at->at[PART_BLOCK + i] = ((at->end + bitmap + 7) & ~7u) - bitmap;
		at->end = at->at[PART_BLOCK + i] + part_sects(m, at, PART_BLOCK);
	}
	at->end = vhd_layout_end_aligned(at->end);
}

static void place_foreign(struct cm *m, struct places *at)
{
	u32 order[PARTS] = { 0 }, nr = PART_BLOCK + at->used, i, j, at_sect = 1;

	for (i = 0; i < nr; i++) {
		j = cm_random(m, i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < nr; i++) {
		at_sect += cm_random(m, 2) ? cm_random(m, 10) : 0;
		at->at[order[i]] = at_sect;
		at_sect += part_sects(m, at, order[i]);
	}
	at->end = at_sect + 1 + (cm_random(m, 2) ? cm_random(m, 10) : 0);
}

static void put_header(struct cm *m, const struct places *at)
{
	struct vhd_header_args args = {
		at->block_size, at->entries, (u64)at->at[PART_BAT] << VHD_SECTOR_SHIFT,
		m->p.type == VHD_TYPE_DIFFERENCING ? uuid : NULL, 0
	};
	struct vhd_locator_ref ref = {
		VHD_PLATFORM_W2RU, (u64)at->at[PART_LOCATOR] << VHD_SECTOR_SHIFT, 0,
		VHD_SECTOR_SIZE
	};
	static const u16 name[] = { 'p', 'a', 'r', 'e', 'n', 't', '.', 'v', 'h', 'd' };
	struct vhd_header *h = (void *)m->room;
	u8 *text = m->room + sizeof(*h);

	vhd_header_init(h, &args);
	if (args.parent_uuid) {
		vhd_header_set_name(h, name, ARRAY_SIZE(name));
		memset(text, 0, VHD_SECTOR_SIZE);
		ref.length = vhd_locator_encode(ref.code, "parent.vhd", text,
						VHD_SECTOR_SIZE);
		vhd_locator_set(h, 0, &ref);
		cm_put_bytes(m, at->at[PART_LOCATOR], text);
	}
	vhd_header_seal(h);
	cm_put_bytes(m, at->at[PART_HEADER], m->room);
	cm_put_bytes(m, at->at[PART_HEADER] + 1, m->room + VHD_SECTOR_SIZE);
	if (vhd_layout_init(&m->layout, &m->footer, h, at->end - 1, VHD_SIZE_AUTO))
		cm_break(m, "the model starts with a bad image");
}

static void put_batmap(struct cm *m)
{
	u32 sect = m->layout.bat_sect + m->layout.bat_sects;
	u8 *map = m->room;
	struct vhd_batmap b = {
		.cookie = "tdbatmap", .sectors = cpu_to_be32(1), .version = cpu_to_be32(0x10002),
		.offset = cpu_to_be64((u64)(sect + 1) << VHD_SECTOR_SHIFT),
	};

	memset(map, 0xa5, VHD_SECTOR_SIZE);
	b.checksum = cpu_to_be32(vhd_batmap_map_checksum(map, vhd_batmap_map_bytes(&m->layout)));
	cm_put_bytes(m, sect, &b);
	cm_put_bytes(m, sect + 1, map);
	vhd_layout_set_batmap(&m->layout, &b);
}

static void keep(struct cm *m, u32 sect)
{
	m->kept[m->nr_kept] = cm_cell(m, sect);
	m->kept_value[m->nr_kept] = m->disk.now[m->kept[m->nr_kept]];
	m->nr_kept++;
}

static void put_block(struct cm *m, u32 b, u32 entry)
{
	struct cm_block block = {
		.bits = cm_random(m, 4) ? cm_random(m, 256) : 0xff, .full = cm_random(m, 2),
	};
	u8 data[VHD_SECTOR_SIZE];
	u32 i, v;

	for (i = 0; i < m->layout.bitmap_sects; i++) {
		cm_bitmap_sector(m, &block, i, data);
		cm_put_bytes(m, entry + i, data);
	}
	for (i = 0; i < CM_OFFSETS; i++) {
		v = b * CM_OFFSETS + i;
		/* Behind clear bits lies what tapdisk leaves there. */
		if (!(block.bits & 1u << i))
			continue;
		m->history[v].tag[0] = m->next_tag++;
		cm_put(m, vhd_bat_data_sect(&m->layout, entry) + m->offset[i],
		       m->history[v].tag[0]);
	}
}

static void put_blocks(struct cm *m, const struct places *at)
{
	__be32 *bat = (void *)m->room;
	u32 first = cm_random(m, CM_BLOCKS), i, b;

	memset(bat, 0xff, m->layout.bat_sects << VHD_SECTOR_SHIFT);
	for (i = 0; i < at->used; i++) {
		b = (first + 2 * i) % CM_BLOCKS;
		bat[m->number[b]] = cpu_to_be32(at->at[PART_BLOCK + i]);
		put_block(m, b, at->at[PART_BLOCK + i]);
	}
	for (i = 0; i < m->layout.bat_sects; i++)
		cm_put_bytes(m, m->layout.bat_sect + i, m->room + i * VHD_SECTOR_SIZE);
}

static void put_footers(struct cm *m, const struct places *at)
{
	struct vhd_footer_args args = {
		m->p.type, (u64)at->entries * at->block_size, uuid, 1
	};

	vhd_footer_init(&m->footer, &args);
	m->footer.uuid[0]++;
	m->footer.data_offset = cpu_to_be64((u64)at->at[PART_HEADER] << VHD_SECTOR_SHIFT);
	vhd_footer_seal(&m->footer);
	cm_put_bytes(m, 0, &m->footer);
	cm_put_bytes(m, at->end - 1, &m->footer);
}

static void keep_structures(struct cm *m, const struct places *at)
{
	u32 i;

	keep(m, at->at[PART_HEADER]);
	keep(m, at->at[PART_HEADER] + 1);
	if (m->p.type == VHD_TYPE_DIFFERENCING)
		keep(m, at->at[PART_LOCATOR]);
	for (i = 0; i < m->layout.batmap_sects; i++)
		keep(m, m->layout.batmap_sect + i);
}

/**
 * cm_make_image() - an image with up to three blocks
 * @m: the model, empty but for its random numbers
 */
void cm_make_image(struct cm *m)
{
	struct places at = { 0 };
	bool own = !cm_random(m, 3);
	u32 i;

	pick_blocks(m, &at);
	m->batmap = !own && !cm_random(m, 4);
	m->device = !cm_random(m, 6);
	if (own)
		place_own(m, &at);
	else
		place_foreign(m, &at);
	if (m->device)
		at.end += (3 + cm_random(m, 5)) * (part_sects(m, &at, PART_BLOCK) + 8);
	m->disk.eof = at.end;
	m->disk.garbage_end = at.end;
	/* The first buffer is CM_ONES. */
	memset(m->disk.buffer[0], 0xff, VHD_SECTOR_SIZE);
	m->disk.used[0] = true;
	m->disk.next_buffer = 1;
	for (i = 0; i < CM_VSECTS; i++) {
		m->history[i].nr = 1;
		if (m->p.type == VHD_TYPE_DIFFERENCING)
			m->history[i].tag[0] = CM_PARENT | i;
	}
	put_footers(m, &at);
	put_header(m, &at);
	if (m->batmap)
		put_batmap(m);
	put_blocks(m, &at);
	keep_structures(m, &at);
}
