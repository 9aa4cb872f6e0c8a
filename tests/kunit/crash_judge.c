// SPDX-License-Identifier: GPL-2.0
/* What may be on the disk after a crash, and what must not be. */
#include "crash_model.h"

#define ENTRIES_PER_SECT	(VHD_SECTOR_SIZE / sizeof(__be32))

static const u8 *crash_bytes(struct cm *m, u64 sect)
{
	return cm_bytes(m, m->scratch[cm_cell(m, sect)]);
}

static const char *judge_layout(struct cm *m, const struct vhd_footer *f, u64 end,
				struct vhd_layout *l)
{
	const struct vhd_header *h = (const void *)m->room;
	const struct vhd_batmap *b;
	u32 i;

	for (i = 0; i < VHD_HEADER_SECTS; i++)
		memcpy(m->room + i * VHD_SECTOR_SIZE,
		       crash_bytes(m, (be64_to_cpu(f->data_offset) >> VHD_SECTOR_SHIFT) + i),
		       VHD_SECTOR_SIZE);
	if (vhd_layout_init(l, f, h, end, VHD_SIZE_AUTO) ||
	    vhd_locator_check(h, l, (u64)m->scratch_eof << VHD_SECTOR_SHIFT))
		return "the image has no valid layout";
	if (!m->batmap)
		return NULL;
	b = (const void *)crash_bytes(m, l->bat_sect + l->bat_sects);
	if (!vhd_batmap_check(b, l, (u64)m->scratch_eof << VHD_SECTOR_SHIFT))
		return "the batmap is lost";
	vhd_layout_set_batmap(l, b);
	return NULL;
}

static const char *judge_footers(struct cm *m, struct vhd_layout *l)
{
	const struct vhd_footer *copy, *end;
	struct vhd_footer_choice choice;

	if (m->scratch_eof != m->allowed_eof[0] && m->scratch_eof != m->allowed_eof[1])
		return "the file has a wrong length";
	copy = (const void *)crash_bytes(m, 0);
	end = (const void *)crash_bytes(m, m->scratch_eof - 1);
	if (vhd_footer_choose(end, copy, VHD_SECTOR_SIZE, &choice))
		return "no footer is right";
	if (m->footers == CM_SETTLED && (choice.place != VHD_FOOTER_END || choice.differ))
		return "the footers are not right and equal";
	if (m->footers == CM_SETTLED && m->renewed && memcmp(end, &m->footer, sizeof(*end)))
		return "an old footer survived its replacement";
	if (choice.place == VHD_FOOTER_COPY)
		return judge_layout(m, copy, m->scratch_eof, l);
	return judge_layout(m, end, m->scratch_eof - 1, l);
}

/* Header, locators and batmap are nobody's to change. */
static const char *judge_kept(const struct cm *m)
{
	u32 i;

	for (i = 0; i < m->nr_kept; i++)
		if (m->scratch[m->kept[i]] != m->kept_value[i])
			return "a structure was overwritten";
	return NULL;
}

static bool is_ours(const struct cm *m, u32 number)
{
	u32 b;

	for (b = 0; b < CM_BLOCKS; b++)
		if (m->number[b] == number)
			return true;
	return number >= m->layout.max_entries;
}

/* Entries that nobody has ever used. */
static const char *judge_other_entries(struct cm *m, const struct vhd_layout *l)
{
	const __be32 *table;
	u32 sect, i;

	for (sect = 0; sect < l->bat_sects; sect++) {
		table = (const void *)crash_bytes(m, l->bat_sect + sect);
		for (i = 0; i < ENTRIES_PER_SECT; i++)
			if (be32_to_cpu(table[i]) != VHD_BAT_UNUSED &&
			    !is_ours(m, sect * ENTRIES_PER_SECT + i))
				return "an entry appeared from nowhere";
	}
	return NULL;
}

static u32 crash_entry(struct cm *m, const struct vhd_layout *l, u32 number)
{
	const u8 *table = crash_bytes(m, l->bat_sect + number / ENTRIES_PER_SECT);
	__be32 be;

	memcpy(&be, table + number % ENTRIES_PER_SECT * sizeof(be), sizeof(be));
	return be32_to_cpu(be);
}

static const char *judge_bat(struct cm *m, const struct vhd_layout *l, u32 *bat)
{
	u32 sorted[CM_BLOCKS], i, j, at;
	enum vhd_fault fault;

	for (i = 0; i < CM_BLOCKS; i++) {
		bat[i] = crash_entry(m, l, m->number[i]);
		fault = vhd_bat_entry_check(l, bat[i]);
		if (fault && (fault != VHD_FAULT_BLOCK_CUT || !m->cut))
			return "an entry points at a bad place";
		for (j = i; j && sorted[j - 1] > bat[i]; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = bat[i];
	}
	return vhd_bat_overlap(l, sorted, CM_BLOCKS, &at) ? "two blocks overlap" : NULL;
}

/* The bytes of a bitmap that anybody will look at. */
static const u8 *crash_bitmap(struct cm *m, u32 entry)
{
	u32 i, byte, sect, last = ~0U;
	const u8 *data = NULL;

	if (entry == VHD_BAT_UNUSED)
		return NULL;
	for (i = 0; i < CM_OFFSETS; i++) {
		byte = m->offset[i] / 8;
		sect = byte / VHD_SECTOR_SIZE;
		if (sect != last)
			data = crash_bytes(m, entry + sect);
		last = sect;
		m->room[byte] = data[byte % VHD_SECTOR_SIZE];
	}
	return m->room;
}

/* The virtual disk's number of one of the model's sectors. */
u64 cm_sector(const struct cm *m, u32 vsect)
{
	return ((u64)m->number[vsect / CM_OFFSETS] << m->layout.block_shift) +
	       m->offset[vsect % CM_OFFSETS];
}

static const char *judge_value(const struct cm *m, u32 vsect, cm_value value)
{
	const struct cm_history *h = &m->history[vsect];
	u32 i;

	for (i = 0; i < h->nr; i++)
		if (h->tag[i] == value)
			return NULL;
	if (value == (CM_PARENT | vsect))
		return "a sector fell back to the parent";
	return value ? "a sector holds an older value or garbage" : "a sector fell to zeros";
}

static const char *read_sector(struct cm *m, const struct vhd_layout *l, u32 vsect, u32 entry,
			       const u8 *bitmap, cm_value *value)
{
	struct vhd_run run;

	vhd_map_step(l, cm_sector(m, vsect), 1, entry, bitmap, &run);
	if (run.answer == VHD_BAD || run.answer == VHD_NEED_BITMAP)
		return "the map has no answer";
	*value = CM_ZERO;
	if (run.answer == VHD_HOLE)
		*value = CM_PARENT | vsect;
	else if (run.answer == VHD_DATA)
		*value = m->scratch[cm_cell(m, run.file_sect)];
	return NULL;
}

static const char *judge_data(struct cm *m, const struct vhd_layout *l, const u32 *bat)
{
	const u8 *bitmap = NULL;
	const char *bad = NULL;
	cm_value value;
	u32 v;

	for (v = 0; v < CM_VSECTS && !bad; v++) {
		if (v % CM_OFFSETS == 0)
			bitmap = crash_bitmap(m, bat[v / CM_OFFSETS]);
		bad = read_sector(m, l, v, bat[v / CM_OFFSETS], bitmap, &value);
		if (!bad)
			bad = judge_value(m, v, value);
	}
	return bad;
}

/*
 * Opens the image as it is in scratch and reads all of it. What cannot have
 * changed since the last judgement is looked at again if it is @structural.
 */
void cm_judge(struct cm *m, bool structural)
{
	struct vhd_layout l = m->layout;
	const char *bad = NULL;
	u32 bat[CM_BLOCKS];

	l.end = m->scratch_eof - 1;
	if (structural)
		bad = judge_footers(m, &l);
	if (structural && !bad)
		bad = judge_kept(m);
	if (structural && !bad)
		bad = judge_other_entries(m, &l);
	if (!bad)
		bad = judge_bat(m, &l, bat);
	if (!bad)
		bad = judge_data(m, &l, bat);
	if (bad)
		cm_fail(m, bad);
}

static void believe_sector(struct cm *m, const struct vhd_layout *l, u32 vsect, u32 entry)
{
	struct cm_history *h = &m->history[vsect];
	const char *bad;

	h->nr = 1;
	h->done = 0;
	bad = read_sector(m, l, vsect, entry, crash_bitmap(m, entry), &h->tag[0]);
	if (bad)
		cm_fail(m, bad);
}

/**
 * cm_believe() - what can be read now is what there is
 * @m: the model, with nothing under way
 */
void cm_believe(struct cm *m)
{
	struct vhd_layout l = m->layout;
	u32 bat[CM_BLOCKS], v;
	const char *bad;

	memcpy(m->scratch, m->disk.now, sizeof(m->scratch));
	m->scratch_eof = m->disk.eof;
	bad = judge_footers(m, &l);
	if (!bad)
		bad = judge_bat(m, &l, bat);
	if (bad)
		cm_fail(m, bad);
	for (v = 0; v < CM_VSECTS && !m->bad; v++)
		believe_sector(m, &l, v, bat[v / CM_OFFSETS]);
}
