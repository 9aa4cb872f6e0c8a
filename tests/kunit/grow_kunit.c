// SPDX-License-Identifier: GPL-2.0
/*
 * Crash states of plans that change the size: all of them, since the image is tiny.
 * In each, by either footer, the disk has the old size or the new one; what both have
 * reads as before, and what only one has reads as zeros.
 */
#include <kunit/test.h>

#include "suites.h"
#include "vhd_grow.h"

#define BLOCKS		6
#define BLOCK_SECTS	2u
#define SLOT		(1 + BLOCK_SECTS)
#define HEADER_SECT	1
#define BAT_SECT	3
#define BAT_SECTS	2u
#define FIRST_SLOT	(BAT_SECT + BAT_SECTS)
#define NEW_BAT		(FIRST_SLOT + BLOCKS * SLOT)
#define NEW_BAT_SECTS	3u
#define SHORT_END	(NEW_BAT + 2)
#define LONG_END	(SHORT_END + 8)
#define ENTRIES_PER_SECT	128
#define STEPS		32
#define OPS		12
#define SEEDS		60
/* What a sector holds, besides zeros: a footer also which size it gives. */
#define BITS		0x100u
#define PARENT		0x200u
#define OWN		0x400u
#define STALE		0x800u
#define HEADER		0x1000u
#define TABLE		0x2000u
#define FOOTER		0x4000u
#define TORN		0x8000u

/* On both sides of the borders of BAT sectors. */
static const u32 number[BLOCKS] = { 0, 126, 127, 128, 254, 257 };

struct sector {
	u32 value;
	u32 entry[BLOCKS];
};

struct state {
	u32 eof;
	struct sector sect[LONG_END];
};

struct op {
	u32 at;
	struct sector new;
};

struct header {
	u32 bat_sect;
	u32 entries;
};

enum action { NONE, DROP, EARLY, LATE };

/* The first step of its kind behind so many barriers. */
struct mutant {
	bool shrink;
	enum vhd_step_kind kind;
	u32 barriers;
	enum action action;
};

struct model {
	u32 seed;
	enum vhd_type type;
	const struct mutant *mutant;
	struct state now, crashed;
	struct header header[2];
	u32 size[2];			/* sectors, old and new */
	struct sector table[NEW_BAT_SECTS];
	struct vhd_size_change change;
	u32 dropped[BLOCKS];
	struct vhd_step step[STEPS];
	u32 nr_steps;
	struct op op[OPS];
	u32 nr_ops;
	u32 before[BLOCKS][BLOCK_SECTS];
	bool hidden[BLOCKS][BLOCK_SECTS];	/* the parent's sector, by zeros */
	bool extending;			/* the footer is still the old one */
	u64 states;
	const char *bad;
};

static u32 pick(struct model *m, u32 below)
{
	m->seed = m->seed * 1103515245 + 12345;
	return (m->seed >> 16) % below;
}

static bool both_have(const struct model *m, u32 sector)
{
	return sector < min_t(u32, m->size[0], m->size[1]);
}

/* Behind the smaller end a parent may have more than zeros only where the child hides it. */
static u32 absent(const struct model *m, u32 b, u32 i)
{
	bool there = both_have(m, number[b] * BLOCK_SECTS + i) || m->hidden[b][i];

	return m->type == VHD_TYPE_DIFFERENCING && there ? PARENT | b << 4 | i : 0;
}

static void layout_of(const struct model *m, const struct state *s, u32 size,
		      struct vhd_layout *l)
{
	const struct header *h = &m->header[s->sect[HEADER_SECT].value & 1];

	*l = (struct vhd_layout){
		.type = m->type, .capacity = size, .end = s->eof - 1,
		.header_sect = HEADER_SECT, .bat_sect = h->bat_sect,
		.bat_sects = DIV_ROUND_UP(h->entries, ENTRIES_PER_SECT),
		.entries = vhd_blocks_needed(size, 1), .max_entries = h->entries,
		.block_sects = BLOCK_SECTS, .block_shift = 1, .bitmap_sects = 1,
	};
}

static u32 read_sector(const struct model *m, const struct state *s,
		       const struct vhd_layout *l, u32 b, u32 i, u32 entry)
{
	u8 bitmap[VHD_SECTOR_SIZE] = { 0 };
	struct vhd_run run;

	if (entry != VHD_BAT_UNUSED)
		bitmap[0] = (s->sect[entry].value & 3) << 6;
	vhd_map_step(l, number[b] * BLOCK_SECTS + i, 1, entry, bitmap, &run);
	return run.answer == VHD_DATA ? s->sect[run.file_sect].value : absent(m, b, i);
}

static u32 entry_of(struct model *m, const struct state *s, const struct vhd_layout *l, u32 b)
{
	const struct sector *table = &s->sect[l->bat_sect + number[b] / ENTRIES_PER_SECT];

	if (table->value != TABLE)
		m->bad = "there is no table";
	return table->entry[b];
}

static void judge_block(struct model *m, const struct vhd_layout *l, u32 b, u32 entry)
{
	u32 i, sector, value;

	if (vhd_bat_entry_check(l, entry)) {
		m->bad = "an entry points to a bad place";
		return;
	}
	for (i = 0; i < BLOCK_SECTS; i++) {
		sector = number[b] * BLOCK_SECTS + i;
		if (sector >= l->capacity)
			break;
		value = read_sector(m, &m->crashed, l, b, i, entry);
		if (value != (both_have(m, sector) ? m->before[b][i] : 0))
			m->bad = "the disk has changed";
	}
}

/* The image of one footer. */
static void judge_footer(struct model *m, u32 footer)
{
	u32 sorted[BLOCKS], nr = 0, b, j, entry, at;
	struct vhd_layout l;

	layout_of(m, &m->crashed, m->size[footer & 1], &l);
	if (l.entries > l.max_entries) {
		m->bad = "the header has too few entries";
		return;
	}
	for (b = 0; b < BLOCKS && number[b] < l.entries && !m->bad; b++) {
		entry = entry_of(m, &m->crashed, &l, b);
		if (!m->bad)
			judge_block(m, &l, b, entry);
		for (j = nr++; j && sorted[j - 1] > entry; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = entry;
	}
	if (!m->bad && vhd_bat_overlap(&l, sorted, nr, &at))
		m->bad = "two blocks overlap";
}

static void judge(struct model *m)
{
	u32 end = m->crashed.sect[m->crashed.eof - 1].value, copy = m->crashed.sect[0].value;

	m->states++;
	if (!(end & FOOTER) && !(copy & FOOTER)) {
		m->bad = "no footer is right";
		return;
	}
	if (end & FOOTER)
		judge_footer(m, end);
	/* Some programs trust the copy. */
	if (copy & FOOTER && !m->bad)
		judge_footer(m, copy);
}

static void apply(struct state *s, const struct op *op, bool torn)
{
	s->sect[op->at] = op->new;
	if (torn && op->new.value & FOOTER)
		s->sect[op->at].value = TORN;
	s->eof = max_t(u32, s->eof, op->at + 1);
}

static void crash(struct model *m)
{
	u32 mask, i;

	for (mask = 0; mask < 2u << m->nr_ops && !m->bad; mask++) {
		m->crashed = m->now;
		for (i = 0; i < m->nr_ops; i++)
			if (mask >> i & 1)
				apply(&m->crashed, &m->op[i], mask >> m->nr_ops);
		judge(m);
	}
}

static void make_durable(struct model *m)
{
	u32 i;

	crash(m);
	for (i = 0; i < m->nr_ops; i++)
		apply(&m->now, &m->op[i], false);
	m->nr_ops = 0;
}

static void write(struct model *m, u32 at, const struct sector *new)
{
	if (m->nr_ops == OPS) {
		m->bad = "the model has too few operations";
		m->nr_ops = 0;
	}
	m->op[m->nr_ops++] = (struct op){ .at = at, .new = *new };
}

static void run_step(struct model *m, const struct vhd_step *step)
{
	struct sector new = { 0 };
	u32 i;

	switch (step->kind) {
	case VHD_STEP_RESERVE:
		break;
	case VHD_STEP_ZERO:
		for (i = 0; i < step->nr; i++)
			write(m, step->sect + i, &new);
		break;
	case VHD_STEP_NEW:
		for (i = 0; i < step->nr; i++)
			write(m, step->sect + i, &m->table[step->first + i]);
		break;
	case VHD_STEP_HEADER:
		new.value = HEADER | 1;
		write(m, step->sect, &new);
		break;
	case VHD_STEP_FOOTER:
	case VHD_STEP_FOOTER_COPY:
		new.value = FOOTER | !m->extending;
		write(m, step->sect, &new);
		break;
	case VHD_STEP_BARRIER:
		make_durable(m);
		break;
	default:
		m->bad = "a step that no such plan has";
	}
}

static u32 barrier_beside(const struct model *m, u32 at, bool before)
{
	while ((at || !before) && at < m->nr_steps && m->step[at].kind != VHD_STEP_BARRIER)
		at += before ? -1 : 1;
	return min_t(u32, at, m->nr_steps - 1);
}

static void move_step(struct model *m, u32 from, u32 to)
{
	struct vhd_step step = m->step[from];

	for (; from < to; from++)
		m->step[from] = m->step[from + 1];
	for (; from > to; from--)
		m->step[from] = m->step[from - 1];
	m->step[to] = step;
}

static void mutate(struct model *m)
{
	const struct mutant *mutant = m->mutant;
	u32 i, barriers = 0;

	for (i = 0; i < m->nr_steps; i++) {
		if (m->step[i].kind == mutant->kind && barriers == mutant->barriers)
			break;
		barriers += m->step[i].kind == VHD_STEP_BARRIER;
	}
	if (i == m->nr_steps || mutant->shrink != m->change.shrink)
		return;
	if (mutant->action == DROP)
		move_step(m, i, m->nr_steps - 1);
	else
		move_step(m, i, barrier_beside(m, i, mutant->action == EARLY));
	m->nr_steps -= mutant->action == DROP;
}

/* Is the place of a dropped block free for the next one? */
static void judge_end(struct model *m)
{
	const struct state *s = &m->now;
	struct vhd_layout l;
	u32 b, i;

	if (s->sect[0].value != (FOOTER | 1) || s->sect[s->eof - 1].value != (FOOTER | 1))
		m->bad = "the plan has ended, and the footers are old";
	if (m->change.header_sect && s->sect[HEADER_SECT].value != (HEADER | 1))
		m->bad = "the plan has ended, and the header is old";
	layout_of(m, s, m->size[1], &l);
	for (b = 0; b < BLOCKS && !m->bad; b++)
		if (number[b] >= l.entries && number[b] / ENTRIES_PER_SECT < l.bat_sects &&
		    number[b] < l.max_entries && entry_of(m, s, &l, b) != VHD_BAT_UNUSED)
			m->bad = "an entry is left";
	for (b = 0; b < m->change.nr_dropped; b++)
		for (i = 0; i < SLOT; i++)
			if (s->sect[m->dropped[b] + i].value)
				m->bad = "a dropped block leaves more than zeros";
	for (i = 0; i < m->change.old_table.sects; i++)
		if (s->sect[m->change.old_table.sect + i].value)
			m->bad = "the old table leaves more than zeros";
}

static void run_steps(struct model *m)
{
	u32 i;

	for (i = 0; i < m->nr_steps && !m->bad; i++)
		run_step(m, &m->step[i]);
	if (!m->bad)
		make_durable(m);
}

static void extend(struct model *m)
{
	struct vhd_plan plan;

	vhd_plan_extend(&plan, SHORT_END, LONG_END);
	for (m->nr_steps = 0; vhd_plan_next(&plan, &m->step[m->nr_steps]);)
		m->nr_steps++;
	m->extending = true;
	run_steps(m);
	m->extending = false;
	m->change.footer_sect = LONG_END - 1;
}

static void run_plan(struct model *m)
{
	struct vhd_resize plan;

	m->change.footer_sect = SHORT_END - 1;
	if (m->header[1].bat_sect == NEW_BAT)
		extend(m);
	vhd_resize_init(&plan, &m->change);
	for (m->nr_steps = 0; m->nr_steps < STEPS; m->nr_steps++)
		if (!vhd_resize_next(&plan, &m->step[m->nr_steps]))
			break;
	if (m->mutant)
		mutate(m);
	run_steps(m);
	if (!m->bad)
		crash(m);
	if (!m->bad)
		judge_end(m);
}

/* What the disk does not show any more, or not yet, is zeros or stale. */
static u32 first_value(struct model *m, u32 b, u32 i, bool set)
{
	u32 sector = number[b] * BLOCK_SECTS + i;

	if (both_have(m, sector))
		return set ? OWN | b << 4 | i : STALE | b << 4 | i;
	if (sector >= m->size[0] || !set)
		return STALE | b << 4 | i;
	return 0;
}

static void put_block(struct model *m, u32 b, u32 entry)
{
	u32 bits = pick(m, 4), i;

	m->now.sect[entry].value = BITS | bits;
	for (i = 0; i < BLOCK_SECTS; i++) {
		bool set = bits >> (1 - i) & 1;

		m->now.sect[entry + 1 + i].value = first_value(m, b, i, set);
		m->hidden[b][i] = set && m->change.shrink && pick(m, 2);
	}
}

/* Entries that the old size does not need may hold anything. */
static void put_blocks(struct model *m, u32 entries)
{
	u32 first = pick(m, BLOCKS), b, entry;
	struct sector *table;

	for (b = 0; b < BAT_SECTS; b++)
		m->now.sect[BAT_SECT + b].value = TABLE;
	for (b = 0; b < BLOCKS && number[b] < BAT_SECTS * ENTRIES_PER_SECT; b++) {
		table = &m->now.sect[BAT_SECT + number[b] / ENTRIES_PER_SECT];
		entry = FIRST_SLOT + (b + first) % BLOCKS * SLOT;
		if (number[b] < entries && pick(m, 4))
			put_block(m, b, entry);
		else if (number[b] < entries || pick(m, 2))
			entry = VHD_BAT_UNUSED;
		else
			entry = FIRST_SLOT + pick(m, BLOCKS * SLOT);
		table->entry[b] = entry;
	}
}

static void put_image(struct model *m)
{
	struct vhd_layout l;
	u32 b, i;

	m->now.eof = SHORT_END;
	m->now.sect[0].value = FOOTER;
	m->now.sect[SHORT_END - 1].value = FOOTER;
	m->now.sect[HEADER_SECT].value = HEADER;
	put_blocks(m, vhd_blocks_needed(m->size[0], 1));
	layout_of(m, &m->now, m->size[0], &l);
	for (b = 0; b < BLOCKS && number[b] < l.entries; b++)
		for (i = 0; i < BLOCK_SECTS; i++)
			m->before[b][i] = read_sector(m, &m->now, &l, b, i,
						      entry_of(m, &m->now, &l, b));
}

/* What vhdctl does: the entries that both sizes need, and then unused ones. */
static void new_table(struct model *m)
{
	u32 kept = vhd_blocks_needed(min_t(u32, m->size[0], m->size[1]), 1), i, b;
	const struct sector *old;

	for (i = 0; i < NEW_BAT_SECTS; i++)
		m->table[i].value = TABLE;
	for (b = 0; b < BLOCKS; b++) {
		i = number[b] / ENTRIES_PER_SECT;
		old = &m->now.sect[BAT_SECT + i];
		m->table[i].entry[b] = number[b] < kept ? old->entry[b] : VHD_BAT_UNUSED;
		if (m->change.shrink && number[b] >= kept && i < BAT_SECTS &&
		    old->entry[b] != VHD_BAT_UNUSED && number[b] * BLOCK_SECTS < m->size[0])
			m->dropped[m->change.nr_dropped++] = old->entry[b];
	}
	m->change.dropped = m->dropped;
	m->change.slot_sects = SLOT;
}

static void set_extents(struct model *m, u32 first, u32 nr)
{
	struct vhd_size_change *c = &m->change;
	struct vhd_layout l;
	u32 b, entry;

	c->table = (struct vhd_extent){ m->header[1].bat_sect + first, nr };
	c->table_first = first;
	if (m->header[1].bat_sect != BAT_SECT)
		c->old_table = (struct vhd_extent){ BAT_SECT, BAT_SECTS };
	if (m->header[1].bat_sect != BAT_SECT || m->header[1].entries != m->header[0].entries)
		c->header_sect = HEADER_SECT;
	layout_of(m, &m->now, m->size[0], &l);
	for (b = 0; b < BLOCKS && number[b] < l.entries && !c->shrink; b++) {
		entry = entry_of(m, &m->now, &l, b);
		if (number[b] == l.capacity / 2 && entry != VHD_BAT_UNUSED)
			c->tail = (struct vhd_extent){ entry + 2, 1 };
	}
}

static void plan_growth(struct model *m)
{
	u32 where = pick(m, 3), kept, needed;

	m->size[0] = 126 * BLOCK_SECTS + 1 + pick(m, 5);
	m->size[1] = where == 2 ? 258 * BLOCK_SECTS : 255 * BLOCK_SECTS - pick(m, 2);
	kept = vhd_blocks_needed(m->size[0], 1);
	needed = vhd_blocks_needed(m->size[1], 1);
	m->header[0] = (struct header){ BAT_SECT, where ? kept : 256 };
	m->header[1] = (struct header){ where == 2 ? NEW_BAT : BAT_SECT, where ? needed : 256 };
	put_image(m);
	new_table(m);
	if (where == 2)
		set_extents(m, 0, NEW_BAT_SECTS);
	else
		set_extents(m, kept / ENTRIES_PER_SECT, BAT_SECTS - kept / ENTRIES_PER_SECT);
}

static void plan_shrinking(struct model *m)
{
	u32 needed;

	m->change.shrink = true;
	m->size[0] = 255 * BLOCK_SECTS;
	m->size[1] = 126 * BLOCK_SECTS + 1 + pick(m, 5);
	needed = vhd_blocks_needed(m->size[1], 1);
	m->header[0] = (struct header){ BAT_SECT, 255 };
	m->header[1] = (struct header){ BAT_SECT, pick(m, 2) ? needed : 255 };
	put_image(m);
	new_table(m);
	set_extents(m, needed / ENTRIES_PER_SECT, BAT_SECTS - needed / ENTRIES_PER_SECT);
}

static void live(struct model *m, u32 seed, const struct mutant *mutant)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
	m->type = seed & 1 ? VHD_TYPE_DYNAMIC : VHD_TYPE_DIFFERENCING;
	m->mutant = mutant;
	if (seed & 2)
		plan_growth(m);
	else
		plan_shrinking(m);
	run_plan(m);
}

static void every_crash_state_has_one_size(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u64 states = 0;
	u32 seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (seed = 1; seed <= 4 * SEEDS; seed++) {
		live(m, seed, NULL);
		KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "image %u: %s", seed, m->bad);
		states += m->states;
	}
	KUNIT_EXPECT_GT(test, states, 60 * SEEDS);
	kunit_info(test, "%llu crash states\n", states);
}

static const struct mutant mutants[] = {
	{ false, VHD_STEP_ZERO, 0, DROP }, { false, VHD_STEP_ZERO, 2, DROP },
	{ false, VHD_STEP_ZERO, 2, EARLY }, { false, VHD_STEP_NEW, 0, DROP },
	{ false, VHD_STEP_NEW, 0, LATE }, { false, VHD_STEP_BARRIER, 0, DROP },
	{ false, VHD_STEP_HEADER, 1, DROP }, { false, VHD_STEP_HEADER, 1, EARLY },
	{ false, VHD_STEP_HEADER, 1, LATE }, { false, VHD_STEP_BARRIER, 1, DROP },
	{ false, VHD_STEP_FOOTER, 2, DROP }, { false, VHD_STEP_FOOTER, 2, EARLY },
	{ false, VHD_STEP_FOOTER, 2, LATE }, { false, VHD_STEP_BARRIER, 2, DROP },
	{ false, VHD_STEP_FOOTER_COPY, 3, DROP }, { false, VHD_STEP_FOOTER_COPY, 3, EARLY },
	{ true, VHD_STEP_FOOTER, 0, DROP }, { true, VHD_STEP_FOOTER, 0, LATE },
	{ true, VHD_STEP_BARRIER, 0, DROP }, { true, VHD_STEP_FOOTER_COPY, 1, DROP },
	{ true, VHD_STEP_FOOTER_COPY, 1, EARLY }, { true, VHD_STEP_FOOTER_COPY, 1, LATE },
	{ true, VHD_STEP_BARRIER, 1, DROP }, { true, VHD_STEP_ZERO, 2, DROP },
	{ true, VHD_STEP_ZERO, 2, EARLY }, { true, VHD_STEP_NEW, 3, DROP },
	{ true, VHD_STEP_HEADER, 4, DROP },
};

static void mutant_desc(const struct mutant *mutant, char *desc)
{
	static const char * const action[] = {
		[DROP] = "dropped", [EARLY] = "early", [LATE] = "late"
	};

	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, step %d after %u barriers, %s",
		  mutant->shrink ? "shrink" : "grow", mutant->kind, mutant->barriers,
		  action[mutant->action]);
}

KUNIT_ARRAY_PARAM(mutant, mutants, mutant_desc);

static void mutant_is_caught(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	bool caught = false;
	u32 seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (seed = 1; seed <= 4 * SEEDS && !caught; seed++) {
		live(m, seed, test->param_value);
		caught = m->bad;
	}
	KUNIT_EXPECT_TRUE(test, caught);
}

static struct kunit_case grow_cases[] = {
	KUNIT_CASE(every_crash_state_has_one_size),
	KUNIT_CASE_PARAM(mutant_is_caught, mutant_gen_params),
	{}
};

struct kunit_suite vhdblk_grow_suite = {
	.name = "vhdblk_grow",
	.test_cases = grow_cases,
};
