// SPDX-License-Identifier: GPL-2.0
/* A driver in miniature: where writes go, what is dirty, when to do what. */
#include "crash_model.h"

#define ENTRIES_PER_SECT	(VHD_SECTOR_SIZE / sizeof(__be32))
/* So much room there must be for what the driver does by itself. */
#define SPARE_OPS	(CM_BLOCKS * (CM_BITMAP_SECTS + 1) + 16)

static u32 slot_sects(const struct cm *m)
{
	return m->layout.bitmap_sects + m->layout.block_sects;
}

static u32 sector_of(const struct cm *m, u32 entry, u32 offset)
{
	return vhd_bat_data_sect(&m->layout, entry) + m->offset[offset];
}

/*
 * Zeros where anything may be. The driver cleans the place of the bitmap too, but the
 * planner must not need that.
 */
static void clean_slot(struct cm *m, u32 entry, u32 stale_end)
{
	u32 i, sect;

	for (i = 0; i < CM_OFFSETS; i++) {
		sect = sector_of(m, entry, i);
		if (sect < stale_end && (m->disk.nr_ops || m->disk.now[cm_cell(m, sect)]))
			cm_write(m, CM_GUEST, sect, CM_ZERO, true);
	}
}

static u32 slot_again(struct cm *m)
{
	u32 i;

	for (i = 0; i < m->nr_slots; i++)
		if (m->slot[i].state == CM_FREE)
			return i;
	return m->nr_slots;
}

/* A place for a block, cleaned; 0 if the file must grow first. */
static u32 take_slot(struct cm *m)
{
	u32 i = slot_again(m), entry, stale_end = ~0U;

	if (i == m->nr_slots) {
		entry = vhd_slot_align(&m->layout, m->next);
		if (i == CM_SLOTS || entry + slot_sects(m) > m->end - 1)
			return 0;
		m->next = entry + slot_sects(m);
		m->slot[m->nr_slots++].entry = entry;
		stale_end = m->stale_end;
	}
	m->slot[i].state = CM_USED;
	clean_slot(m, m->slot[i].entry, stale_end);
	return m->slot[i].entry;
}

static bool allocate(struct cm *m, struct cm_block *b)
{
	u32 entry = take_slot(m), durable = b->durable;
	bool dynamic = m->p.type == VHD_TYPE_DYNAMIC;

	if (!entry)
		return false;
	*b = (struct cm_block){
		.entry = entry, .durable = durable, .bits = dynamic ? 0xff : 0,
		.full = dynamic, .dirty_entry = true,
	};
	return true;
}

static void remember(struct cm *m, u32 vsect, cm_value value, bool done)
{
	struct cm_history *h = &m->history[vsect];

	if (h->nr == CM_HISTORY) {
		cm_break(m, "the model's history is too short");
		return;
	}
	h->tag[h->nr++] = value;
	if (done)
		h->done = h->nr - 1;
}

static bool is_busy(const struct cm *m, u32 first, u32 nr)
{
	const struct cm_request *r;
	u32 i;

	if (m->disk.nr_ops + SPARE_OPS > CM_OPS)
		return true;
	for (r = m->request; r < m->request + CM_REQUESTS; r++)
		if (r->nr && first < r->first + r->nr && r->first < first + nr)
			return true;
	for (i = first; i < first + nr; i++)
		if (m->history[i].nr + 2 > CM_HISTORY)
			return true;
	return false;
}

/* The write is under way: it may or may not happen, and shows itself as soon as it has. */
static void submit_write(struct cm *m, struct cm_request *r, u32 first, u32 nr)
{
	u32 entry = m->block[first / CM_OFFSETS].entry, i;
	bool zeros = !cm_random(m, 6);
	cm_value value;

	*r = (struct cm_request){ .first = first, .nr = nr, .id = m->next_id };
	for (i = first; i < first + nr; i++) {
		value = zeros ? CM_ZERO : m->next_tag++;
		cm_write(m, CM_GUEST, sector_of(m, entry, i % CM_OFFSETS), value, false);
		remember(m, i, value, false);
	}
}

static void guest_write(struct cm *m)
{
	u32 first = cm_random(m, CM_VSECTS), room = CM_OFFSETS - first % CM_OFFSETS;
	u32 nr = min_t(u32, 1 + cm_random(m, 3), room), i;
	struct cm_block *b = &m->block[first / CM_OFFSETS];

	for (i = 0; i < CM_REQUESTS && m->request[i].nr; i++)
		;
	if (i == CM_REQUESTS || is_busy(m, first, nr))
		return;
	if (b->entry != VHD_BAT_UNUSED || allocate(m, b))
		submit_write(m, &m->request[i], first, nr);
	else if (!m->reserve.active)
		cm_begin_extension(m);
}

/* Written: from now on bits may say so, and a flush must make it durable. */
static void complete_write(struct cm *m, struct cm_request *r)
{
	struct cm_block *b = &m->block[r->first / CM_OFFSETS];
	u32 i, bit;

	for (i = 0; i < m->disk.nr_ops; i++)
		if (m->disk.op[i].id - r->id < r->nr)
			m->disk.op[i].done = true;
	for (i = r->first; i < r->first + r->nr; i++) {
		m->history[i].done = m->history[i].nr - 1;
		bit = 1u << i % CM_OFFSETS;
		b->dirty_bits |= !(b->bits & bit);
		b->bits |= bit;
	}
	r->nr = 0;
}

static void complete_one(struct cm *m)
{
	struct cm_request *r = &m->request[cm_random(m, CM_REQUESTS)];

	if (r->nr)
		complete_write(m, r);
}

/* Zeros in place: no bit is set for them. */
static void punch(struct cm *m, u32 first, u32 nr)
{
	struct cm_block *b = &m->block[first / CM_OFFSETS];
	u32 i;

	for (i = first; i < first + nr; i++) {
		if (m->p.type == VHD_TYPE_DIFFERENCING && !(b->bits & 1u << i % CM_OFFSETS))
			continue;
		cm_write(m, CM_GUEST, sector_of(m, b->entry, i % CM_OFFSETS), CM_ZERO, true);
		remember(m, i, CM_ZERO, true);
	}
}

static void free_block(struct cm *m, struct cm_block *b)
{
	u32 i;

	for (i = 0; m->slot[i].entry != b->entry; i++)
		;
	m->slot[i].state = CM_PENDING;
	m->slot[i].freed_in = m->commits;
	*b = (struct cm_block){
		.entry = VHD_BAT_UNUSED, .durable = b->durable, .dirty_entry = true
	};
}

/* Only where nothing shows through: with a parent no block is ever freed. */
static void guest_discard(struct cm *m)
{
	u32 b = cm_random(m, CM_BLOCKS), first = b * CM_OFFSETS;

	if (m->block[b].entry == VHD_BAT_UNUSED || is_busy(m, first, CM_OFFSETS))
		return;
	if (m->p.type == VHD_TYPE_DIFFERENCING || m->batmap || cm_random(m, 2)) {
		punch(m, first + cm_random(m, CM_OFFSETS - 2), 1 + cm_random(m, 2));
		return;
	}
	punch(m, first, CM_OFFSETS);
	free_block(m, &m->block[b]);
}

/**
 * cm_event() - something happens
 * @m: an attached image
 *
 * The guest does something, or one of the driver's threads its next step.
 */
void cm_event(struct cm *m)
{
	u32 what = cm_random(m, 16);

	if (what < 4)
		guest_write(m);
	else if (what < 8)
		complete_one(m);
	else if (what < 9)
		guest_discard(m);
	else if (what < 14 && m->commit.active)
		cm_commit_step(m);
	else if (what < 10 || (what < 14 && m->disk.nr_ops > 7))
		cm_begin_commit(m);
	else if (m->reserve.active)
		cm_extend_step(m);
	else if (!cm_random(m, 8))
		cm_begin_extension(m);
}

static void finish_commit(struct cm *m)
{
	while (m->commit.active && !m->bad)
		cm_commit_step(m);
}

static bool is_dirty(const struct cm *m)
{
	u32 i;

	for (i = 0; i < CM_BLOCKS; i++)
		if (m->block[i].dirty_entry || m->block[i].dirty_bits)
			return true;
	return m->disk.nr_ops;
}

static void trim(struct cm *m)
{
	u32 entry[CM_BLOCKS], i, end;
	struct vhd_plan plan;

	for (i = 0; i < CM_BLOCKS; i++)
		entry[i] = m->block[i].durable;
	end = vhd_layout_end_aligned(cm_used_end(m, entry));
	end = max_t(u32, end, m->attach_end);
	if (end >= m->end || m->device)
		return;
	m->allowed_eof[1] = end;
	vhd_plan_trim(&plan, m->end, end);
	if (!cm_run_plan(m, &plan))
		return;
	m->allowed_eof[0] = end;
	cm_crash(m);
}

/**
 * cm_detach() - end what is under way, commit for the last time, give back space
 * @m: an attached image
 */
void cm_detach(struct cm *m)
{
	u32 i;

	for (i = 0; i < CM_REQUESTS; i++)
		if (m->request[i].nr)
			complete_write(m, &m->request[i]);
	while (m->reserve.active && !m->bad)
		cm_extend_step(m);
	finish_commit(m);
	/* A mutant may never be done. */
	for (i = 0; i < 16 && is_dirty(m) && !m->bad; i++) {
		cm_begin_commit(m);
		finish_commit(m);
	}
	if (!m->bad)
		trim(m);
}

static u32 durable_entry(struct cm *m, u32 number)
{
	u32 sect = m->layout.bat_sect + number / ENTRIES_PER_SECT;
	__be32 be;

	memcpy(&be, cm_bytes(m, m->disk.now[cm_cell(m, sect)]) +
	       number % ENTRIES_PER_SECT * sizeof(be), sizeof(be));
	return be32_to_cpu(be);
}

static void load_bits(struct cm *m, struct cm_block *b)
{
	u32 per_sect = 8 * VHD_SECTOR_SIZE, i;
	const u8 *data;

	for (i = 0; i < CM_OFFSETS; i++) {
		data = cm_bytes(m, m->disk.now[cm_cell(m, b->entry + m->offset[i] / per_sect)]);
		if (vhd_bitmap_test(data, m->offset[i] % per_sect))
			b->bits |= 1u << i;
	}
	/* The third byte belongs to no sector that the guest uses. */
	b->full = cm_bytes(m, m->disk.now[cm_cell(m, b->entry)])[2];
}

static void load_blocks(struct cm *m)
{
	struct cm_block *b;
	u32 i;

	m->nr_slots = 0;
	for (i = 0; i < CM_BLOCKS; i++) {
		b = &m->block[i];
		*b = (struct cm_block){ .entry = durable_entry(m, m->number[i]) };
		b->durable = b->entry;
		if (b->entry == VHD_BAT_UNUSED)
			continue;
		m->slot[m->nr_slots++] = (struct cm_slot){ .entry = b->entry, .state = CM_USED };
		load_bits(m, b);
	}
}

/* First sector behind all structures and blocks; @entries: of the guest's blocks. */
u32 cm_used_end(const struct cm *m, const u32 *entries)
{
	return vhd_bat_used_end(&m->layout, entries, CM_BLOCKS);
}

static void load_end(struct cm *m)
{
	u32 entry[CM_BLOCKS], i;

	m->end = m->disk.eof;
	m->layout.end = m->end - 1;
	m->attach_end = m->end;
	m->stale_end = m->device ? ~0U : m->end;
	m->allowed_eof[0] = m->end;
	m->allowed_eof[1] = m->end;
	for (i = 0; i < CM_BLOCKS; i++)
		entry[i] = m->block[i].entry;
	m->next = max_t(u32, cm_used_end(m, entry), (m->layout.meta_end + 7) & ~7u);
}

/**
 * cm_attach() - begin with what is on the disk
 * @m: an image with nothing under way and both footers
 */
void cm_attach(struct cm *m)
{
	memset(m->request, 0, sizeof(m->request));
	memset(&m->commit, 0, sizeof(m->commit));
	m->reserve.active = false;
	m->late = false;
	load_blocks(m);
	load_end(m);
	cm_crash(m);
}
