// SPDX-License-Identifier: GPL-2.0
/* A driver in miniature: where writes go, what is dirty, when to commit. */
#include "crash_model.h"

#define BAT_SECT	8
#define BAT_OFFSET	(8 * VHD_SECTOR_SIZE)
#define MODEL_BLOCK_SIZE	(CM_BLOCK_SECTS * VHD_SECTOR_SIZE)
#define DISK_SIZE	(CM_BLOCKS * MODEL_BLOCK_SIZE)
#define GARBAGE		0xdeadbeef

static const u8 zeros[VHD_SECTOR_SIZE];

u32 cm_random(struct cm *m, u32 below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 17;
	m->rng ^= m->rng << 5;
	return m->rng % below;
}

static u32 slot_entry(const struct cm *m, u32 slot)
{
	return vhd_slot_align(&m->layout, m->layout.meta_end) +
	       slot * vhd_slot_stride(&m->layout);
}

static u32 slot_of(const struct cm *m, u32 entry)
{
	return (entry - slot_entry(m, 0)) / vhd_slot_stride(&m->layout);
}

static u32 slot_end(const struct cm *m, u32 slot)
{
	return slot_entry(m, slot) + m->layout.bitmap_sects + CM_BLOCK_SECTS;
}

/* What a sector reads as that no layer of the model has ever written. */
static u32 base_tag(const struct cm *m, u32 vsect)
{
	return m->layout.type == VHD_TYPE_DIFFERENCING ? cm_parent_tag(vsect) : 0;
}

static void remember(struct cm *m, u32 vsect, u32 tag)
{
	struct cm_history *h = &m->history[vsect];

	if (h->nr == CM_HISTORY) {
		cm_break(m, "the model's history is too short");
		return;
	}
	h->tag[h->nr++] = tag;
}

static void write_tag(struct cm *m, u32 sect, u32 tag)
{
	memcpy(cm_write(m, sect, zeros), &tag, sizeof(tag));
	m->stale[sect] = tag;
}

static void put_tag(struct cm *m, u32 sect, u32 tag)
{
	memcpy(m->disk[sect], &tag, sizeof(tag));
	m->stale[sect] = true;
}

static void put_block(struct cm *m, u32 b, u32 slot, u8 bits)
{
	u32 entry = slot_entry(m, slot), i, tag;
	__be32 be = cpu_to_be32(entry);

	m->block[b] = (struct cm_block){ .entry = entry, .bits = bits };
	m->slot[slot] = CM_USED;
	m->disk[entry][0] = bits;
	memcpy(&m->disk[BAT_SECT][b * sizeof(be)], &be, sizeof(be));
	for (i = 0; i < CM_BLOCK_SECTS; i++) {
		/* Behind clear bits lies what tapdisk leaves there. */
		tag = bits & 0x80 >> i ? m->next_tag++ : GARBAGE;
		put_tag(m, entry + 1 + i, tag);
		if (tag != GARBAGE)
			m->history[b * CM_BLOCK_SECTS + i].tag[0] = tag;
	}
}

static void init_structures(struct cm *m, enum vhd_type type)
{
	static const u8 uuid[16] = { 1, 2, 3 };
	struct vhd_footer_args fargs = { type, DISK_SIZE, uuid, 1 };
	struct vhd_header_args hargs = {
		MODEL_BLOCK_SIZE, CM_BLOCKS, BAT_OFFSET,
		type == VHD_TYPE_DIFFERENCING ? uuid : NULL, 0
	};

	vhd_footer_init(&m->footer, &fargs);
	memcpy(m->disk[0], &m->footer, sizeof(m->footer));
	memcpy(m->disk[m->eof - 1], &m->footer, sizeof(m->footer));
	vhd_header_init((void *)m->disk[1], &hargs);
	memset(m->disk[BAT_SECT], 0xff, VHD_SECTOR_SIZE);
	if (vhd_layout_init(&m->layout, &m->footer, (void *)m->disk[1], m->eof - 1,
			    VHD_SIZE_AUTO))
		cm_break(m, "the model starts with a bad image");
}

/**
 * cm_init() - an image with up to two blocks and garbage everywhere else
 * @m:		the model
 * @type:	dynamic or differencing
 * @seed:	of all random choices
 * @mutant:	a bug to put into the planner, or NULL
 */
void cm_init(struct cm *m, enum vhd_type type, u32 seed, const struct cm_mutant *mutant)
{
	u32 i, used;

	memset(m, 0, sizeof(*m));
	m->rng = seed * 2654435761U + 1;
	for (i = 0; i < 8; i++)
		cm_random(m, 2);
	m->mutant = mutant;
	m->next_tag = 1;
	/* 16 has no slot, 24 has its footer in the data of the first one. */
	m->eof = 16 + 8 * cm_random(m, 6);
	m->mem_eof = m->eof;
	m->allowed_eof[0] = m->eof;
	m->allowed_eof[1] = m->eof;
	init_structures(m, type);
	for (i = 0; i < CM_BLOCKS; i++)
		m->block[i].entry = VHD_BAT_UNUSED;
	for (i = 0; i < CM_VSECTS; i++) {
		m->history[i].tag[0] = base_tag(m, i);
		m->history[i].nr = 1;
	}
	for (i = m->layout.meta_end; i < m->eof - 1; i++)
		put_tag(m, i, GARBAGE);
	used = cm_random(m, 3);
	for (i = 0; i < used && slot_end(m, i) < m->eof; i++)
		put_block(m, 3 * i, i, cm_random(m, 256));
}

static u32 pick_steps(struct cm *m, struct vhd_plan *plan, struct vhd_step *step)
{
	u32 nr = 0;

	while (nr < CM_STEPS && vhd_plan_next(plan, &step[nr]))
		nr++;
	if (nr == CM_STEPS)
		cm_break(m, "the model's plan is too short");
	return nr;
}

static void move_step(struct vhd_step *step, u32 from, u32 to)
{
	struct vhd_step moved = step[from];

	for (; from < to; from++)
		step[from] = step[from + 1];
	for (; from > to; from--)
		step[from] = step[from - 1];
	step[to] = moved;
}

/* Where the step goes: before the last barrier, behind the next, or nowhere. */
static u32 mutant_place(const struct vhd_step *step, u32 nr, u32 i, enum cm_action action)
{
	u32 to = i;

	if (action == CM_EARLY) {
		while (to && step[to - 1].kind != VHD_STEP_BARRIER)
			to--;
		return to ? to - 1 : 0;
	}
	while (to + 1 < nr && step[to].kind != VHD_STEP_BARRIER)
		to++;
	return to;
}

static u32 mutate(const struct cm_mutant *mutant, enum vhd_plan_kind kind,
		  struct vhd_step *step, u32 nr)
{
	u32 i, barriers = 0;
	bool moved = false, hit, is_barrier;

	if (!mutant || mutant->plan != kind)
		return nr;
	for (i = 0; i < nr; i++) {
		is_barrier = step[i].kind == VHD_STEP_BARRIER;
		hit = !moved && step[i].kind == mutant->step && barriers == mutant->barriers;
		barriers += is_barrier;
		if (!hit)
			continue;
		if (mutant->action == CM_DROP) {
			move_step(step, i--, --nr);
		} else {
			move_step(step, i, mutant_place(step, nr, i, mutant->action));
			moved = true;
		}
	}
	return nr;
}

static void write_bitmap(struct cm *m, const struct vhd_step *step, const struct cm_block *frozen,
			 const struct vhd_change *change)
{
	*cm_write(m, step->sect, zeros) = frozen[change[step->first].block].bits;
}

/* The sector as it is durable or on its way, which is not what memory says. */
static const u8 *latest(const struct cm *m, u32 sect)
{
	const u8 *data = m->disk[sect];
	u32 i;

	for (i = 0; i < m->nr_ops; i++)
		if (!m->op[i].truncate && m->op[i].sect == sect)
			data = m->op[i].data;
	return data;
}

static void write_bat(struct cm *m, const struct vhd_step *step, const struct vhd_change *change)
{
	u8 *data = cm_write(m, step->sect, latest(m, step->sect));
	__be32 be;
	u32 i;

	for (i = step->first; i < step->first + step->nr; i++) {
		be = cpu_to_be32(change[i].entry);
		if (change[i].flags & VHD_CHANGE_BAT)
			memcpy(&data[change[i].block * sizeof(be)], &be, sizeof(be));
	}
}

static void run_step(struct cm *m, const struct vhd_step *step, const struct vhd_change *change,
		     const struct cm_block *frozen)
{
	switch (step->kind) {
	case VHD_STEP_BITMAP:
		write_bitmap(m, step, frozen, change);
		break;
	case VHD_STEP_BAT:
		write_bat(m, step, change);
		break;
	case VHD_STEP_FOOTER:
	case VHD_STEP_FOOTER_COPY:
		cm_write(m, step->sect, &m->footer);
		break;
	case VHD_STEP_ZERO:
		cm_write(m, step->sect, zeros);
		break;
	case VHD_STEP_TRUNCATE:
		cm_truncate(m, step->sect);
		break;
	case VHD_STEP_BARRIER:
		cm_barrier(m);
		break;
	case VHD_STEP_RESERVE:
		break;
	}
}

/* @frozen is what a commit writes; the guest goes on changing the rest. */
static void run_plan(struct cm *m, struct vhd_plan *plan, const struct vhd_change *change,
		     const struct cm_block *frozen)
{
	struct vhd_step step[CM_STEPS];
	u32 nr = pick_steps(m, plan, step), i;

	nr = mutate(m->mutant, plan->kind, step, nr);
	for (i = 0; i < nr && !m->bad; i++) {
		run_step(m, &step[i], change, frozen);
		if (plan->kind == VHD_PLAN_COMMIT && !cm_random(m, 4))
			cm_guest(m);
	}
}

/* EOF may be old or new while the plan runs, and must be new afterwards. */
static void move_end(struct cm *m, struct vhd_plan *plan, u32 new_end)
{
	m->allowed_eof[0] = m->mem_eof;
	m->allowed_eof[1] = new_end;
	run_plan(m, plan, NULL, NULL);
	m->allowed_eof[0] = new_end;
	cm_crash(m);
	m->stale[new_end - 1] = true;
	m->mem_eof = new_end;
}

static bool extend(struct cm *m)
{
	u32 old_end = m->mem_eof, new_end = old_end + 8 + 8 * cm_random(m, 4), i;
	struct vhd_plan plan;

	if (new_end > CM_SECTS)
		return false;
	for (i = old_end; i < new_end; i++)
		m->stale[i] = false;
	vhd_plan_extend(&plan, old_end, new_end);
	move_end(m, &plan, new_end);
	m->stale[old_end - 1] = false;
	return true;
}

static u32 find_slot(struct cm *m)
{
	u32 s;

	do {
		for (s = 0; s < CM_SLOTS; s++)
			if (m->slot[s] == CM_FREE && slot_end(m, s) < m->mem_eof)
				return s;
	} while (!m->bad && extend(m));
	return CM_SLOTS;
}

static bool allocate(struct cm *m, struct cm_block *b)
{
	u32 s = find_slot(m), i;

	if (s == CM_SLOTS)
		return false;
	m->slot[s] = CM_USED;
	*b = (struct cm_block){
		.entry = slot_entry(m, s), .dirty_entry = true, .dirty_bits = true, .new = true,
		.bits = m->layout.type == VHD_TYPE_DYNAMIC ? 0xff : 0,
	};
	for (i = b->entry + 1; i < slot_end(m, s); i++)
		if (m->stale[i])
			write_tag(m, i, 0);
	return true;
}

static void write_sector(struct cm *m, u32 vsect, u32 tag)
{
	struct cm_block *b = &m->block[vsect / CM_BLOCK_SECTS];
	u32 offset = vsect % CM_BLOCK_SECTS;
	u8 bit = 0x80 >> offset;

	if (b->entry == VHD_BAT_UNUSED && !allocate(m, b))
		return;
	write_tag(m, b->entry + 1 + offset, tag);
	remember(m, vsect, tag);
	if (!(b->bits & bit)) {
		b->bits |= bit;
		b->dirty_bits = true;
	}
}

static void write_some(struct cm *m)
{
	u32 vsect = cm_random(m, CM_VSECTS), nr = 1 + cm_random(m, 3);
	bool zeroes = !cm_random(m, 5);

	for (; nr-- && vsect < CM_VSECTS && !m->bad; vsect++)
		write_sector(m, vsect, zeroes ? 0 : m->next_tag++);
}

/* Only where nothing shows through: with a parent no block is ever freed. */
static void free_block(struct cm *m)
{
	u32 b = cm_random(m, CM_BLOCKS), i, s;

	if (m->block[b].entry == VHD_BAT_UNUSED)
		return;
	s = slot_of(m, m->block[b].entry);
	m->slot[s] = CM_PENDING;
	m->freed_in[s] = m->commits;
	m->block[b] = (struct cm_block){ .entry = VHD_BAT_UNUSED, .dirty_entry = true };
	for (i = 0; i < CM_BLOCK_SECTS; i++)
		remember(m, b * CM_BLOCK_SECTS + i, 0);
}

/**
 * cm_guest() - one random request
 * @m: the model
 */
void cm_guest(struct cm *m)
{
	if (m->layout.type == VHD_TYPE_DYNAMIC && !cm_random(m, 4))
		free_block(m);
	else
		write_some(m);
}

static u32 collect_changes(struct cm *m, struct vhd_change *change)
{
	struct cm_block *b;
	u32 i, nr = 0;

	for (i = 0; i < CM_BLOCKS; i++) {
		b = &m->block[i];
		if (!b->dirty_entry && !b->dirty_bits)
			continue;
		change[nr++] = (struct vhd_change){
			.block = i, .entry = b->entry, .bitmap_nr = 1,
			.flags = (b->dirty_entry ? VHD_CHANGE_BAT : 0) |
				 (b->dirty_bits ? VHD_CHANGE_BITMAP : 0) |
				 (b->new ? VHD_CHANGE_NEW : 0),
		};
		b->dirty_entry = false;
		b->dirty_bits = false;
		b->new = false;
	}
	return nr;
}

/* From now on what the commit covered, or something later, must survive. */
static void acknowledge(struct cm *m, const u32 *covered)
{
	struct cm_history *h;
	u32 v, i;

	for (v = 0; v < CM_VSECTS; v++) {
		h = &m->history[v];
		for (i = covered[v]; i < h->nr; i++)
			h->tag[i - covered[v]] = h->tag[i];
		h->nr -= covered[v];
	}
}

/**
 * cm_commit() - make all that the guest was told is written survive
 * @m: the model
 */
void cm_commit(struct cm *m)
{
	struct vhd_change change[CM_BLOCKS];
	struct cm_block frozen[CM_BLOCKS];
	u32 covered[CM_VSECTS], nr, i, commit = ++m->commits;
	struct vhd_plan plan;

	memcpy(frozen, m->block, sizeof(frozen));
	nr = collect_changes(m, change);
	for (i = 0; i < CM_VSECTS; i++)
		covered[i] = m->history[i].nr - 1;
	vhd_plan_commit(&plan, &m->layout, change, nr);
	run_plan(m, &plan, change, frozen);
	acknowledge(m, covered);
	cm_crash(m);
	for (i = 0; i < CM_SLOTS; i++)
		if (m->slot[i] == CM_PENDING && m->freed_in[i] < commit)
			m->slot[i] = CM_FREE;
}

static bool is_clean(const struct cm *m)
{
	u32 i;

	for (i = 0; i < CM_BLOCKS; i++)
		if (m->block[i].dirty_entry || m->block[i].dirty_bits)
			return false;
	return !m->nr_ops;
}

/**
 * cm_trim() - give back the space behind the last block
 * @m: the model
 *
 * Does nothing unless all is durable.
 */
void cm_trim(struct cm *m)
{
	u32 entry[CM_BLOCKS], i, new_end;
	struct vhd_plan plan;

	if (!is_clean(m))
		return;
	for (i = 0; i < CM_BLOCKS; i++)
		entry[i] = m->block[i].entry;
	m->layout.end = m->mem_eof - 1;
	new_end = vhd_layout_end_aligned(vhd_bat_used_end(&m->layout, entry, CM_BLOCKS));
	if (new_end > m->mem_eof)
		return;
	for (i = 0; i < CM_SLOTS; i++)
		if (m->slot[i] == CM_PENDING)
			return;
	vhd_plan_trim(&plan, m->mem_eof, new_end);
	move_end(m, &plan, new_end);
}

/**
 * cm_footers() - mend one footer, or give both another time stamp
 * @m:		the model, with nothing under way
 * @end:	write the one at the end
 * @copy:	write the copy at 0
 */
void cm_footers(struct cm *m, bool end, bool copy)
{
	struct vhd_plan plan;

	m->tearing = true;
	if (end && copy)
		m->footer.timestamp = cpu_to_be32(be32_to_cpu(m->footer.timestamp) + 1);
	vhd_footer_seal(&m->footer);
	vhd_plan_footers(&plan, m->mem_eof - 1, end, copy);
	run_plan(m, &plan, NULL, NULL);
	m->settled = true;
	cm_crash(m);
}
