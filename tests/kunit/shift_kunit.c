// SPDX-License-Identifier: GPL-2.0
/*
 * Crash states of plans that drop and move blocks: all of them, since the image is
 * tiny. In each the disk reads as before; what a dropped block leaves is zeros, and
 * what a move has begun to fill holds nothing but zeros and the block's own sectors:
 * by these two the next run knows which gaps are free.
 */
#include <kunit/test.h>

#include "suites.h"
#include "vhd_format.h"

#define BLOCKS		6
#define BLOCK_SECTS	2u
#define SLOT		(1 + BLOCK_SECTS)
#define BAT_SECT	3
#define BAT_SECTS	2u
#define FIRST_SLOT	(BAT_SECT + BAT_SECTS)
#define SLOTS		(BLOCKS + 3)
#define SECTS		(FIRST_SLOT + SLOTS * SLOT)
#define PLANS		3
#define STEPS		64
#define OPS		16
#define SEEDS		24
/* A sector holds zeros, the bits of a bitmap, or what only one sector holds. */
#define BITS		0x100u
#define PARENT		0x200u
#define OWN		0x400u

/* On both sides of the border of two BAT sectors. */
static const u32 number[BLOCKS] = { 0, 1, 127, 128, 129, 130 };

struct state {
	u32 sect[SECTS];
	u32 entry[BLOCKS];
};

/* One sector on its way; of the BAT, the entries that change in it. */
struct op {
	u32 sect;
	u32 value;
	u32 entry[BLOCKS];
};

struct role {
	enum vhd_step_kind kind;
	u32 barriers;		/* before it in its plan */
	bool drops;		/* its plan has some */
};

enum action { NONE, DROP, EARLY, LATE };

struct mutant {
	struct role role;
	enum action action;
};

struct model {
	u32 seed;
	enum vhd_type type;
	const struct mutant *mutant;
	struct vhd_layout layout;
	struct state now, crashed;
	u32 before[BLOCKS][BLOCK_SECTS];
	bool redundant[BLOCKS];
	struct vhd_move all[BLOCKS];
	u32 nr_all;
	struct vhd_move move[BLOCKS];
	struct vhd_step step[STEPS];
	u32 nr_steps;
	struct op op[OPS];
	u32 nr_ops;
	u64 states;
	const char *bad;
};

static u32 pick(struct model *m, u32 below)
{
	m->seed = m->seed * 1103515245 + 12345;
	return (m->seed >> 16) % below;
}

static u32 absent(const struct model *m, u32 b, u32 i)
{
	return m->type == VHD_TYPE_DIFFERENCING ? PARENT | b << 4 | i : 0;
}

static u32 slot_entry(u32 slot)
{
	return FIRST_SLOT + slot * SLOT;
}

static u32 read_sector(const struct model *m, const struct state *s, u32 b, u32 i)
{
	u64 sector = (u64)number[b] * BLOCK_SECTS + i;
	u32 entry = s->entry[b], bits;
	u8 bitmap[VHD_SECTOR_SIZE] = { 0 };
	struct vhd_run run;

	bits = entry == VHD_BAT_UNUSED ? 0 : s->sect[entry];
	bitmap[0] = (bits & 3) << 6;
	vhd_map_step(&m->layout, sector, 1, entry, bitmap, &run);
	return run.answer == VHD_DATA ? s->sect[run.file_sect] : absent(m, b, i);
}

static void judge_move(struct model *m, const struct vhd_move *move, u32 entry)
{
	const u32 *from = &m->crashed.sect[move->from], *to;
	u32 i;

	if (move->to == VHD_BAT_UNUSED && entry == VHD_BAT_UNUSED)
		for (i = 0; i < SLOT; i++)
			if (from[i])
				m->bad = "a dropped block leaves more than zeros";
	if (move->to == VHD_BAT_UNUSED || entry != move->from)
		return;
	to = &m->crashed.sect[move->to];
	for (i = 0; i < SLOT; i++)
		if (to[i] && to[i] != from[i])
			m->bad = "a place holds something strange";
}

static u32 index_of(u32 block)
{
	u32 b = 0;

	while (number[b] != block)
		b++;
	return b;
}

static void judge(struct model *m, const struct vhd_move *move, u32 nr)
{
	u32 b, i;

	m->states++;
	for (b = 0; b < BLOCKS; b++)
		for (i = 0; i < BLOCK_SECTS; i++)
			if (read_sector(m, &m->crashed, b, i) != m->before[b][i])
				m->bad = "the disk has changed";
	for (i = 0; i < nr; i++)
		judge_move(m, &move[i], m->crashed.entry[index_of(move[i].block)]);
}

static void apply(struct state *s, const struct op *op)
{
	u32 b;

	if (op->sect >= FIRST_SLOT) {
		s->sect[op->sect] = op->value;
		return;
	}
	for (b = 0; b < BLOCKS; b++)
		if (number[b] / 128 == op->sect - BAT_SECT && op->entry[b])
			s->entry[b] = op->entry[b];
}

static void crash(struct model *m, const struct vhd_move *move, u32 nr)
{
	u32 mask, i;

	for (mask = 0; mask < 1u << m->nr_ops && !m->bad; mask++) {
		m->crashed = m->now;
		for (i = 0; i < m->nr_ops; i++)
			if (mask >> i & 1)
				apply(&m->crashed, &m->op[i]);
		judge(m, move, nr);
	}
}

static void make_durable(struct model *m, const struct vhd_move *move, u32 nr)
{
	u32 i;

	crash(m, move, nr);
	for (i = 0; i < m->nr_ops; i++)
		apply(&m->now, &m->op[i]);
	m->nr_ops = 0;
}

static struct op *new_op(struct model *m, u32 sect, u32 value)
{
	if (m->nr_ops == OPS) {
		m->bad = "the model has too few operations";
		m->nr_ops = 0;
	}
	m->op[m->nr_ops] = (struct op){ .sect = sect, .value = value };
	return &m->op[m->nr_ops++];
}

/* Reading sees what has been written, durable or not. */
static u32 cached(const struct model *m, u32 sect)
{
	u32 value = m->now.sect[sect], i;

	for (i = 0; i < m->nr_ops; i++)
		if (m->op[i].sect == sect)
			value = m->op[i].value;
	return value;
}

static void run_step(struct model *m, const struct vhd_move *move, u32 nr,
		     const struct vhd_step *step)
{
	struct op *op;
	u32 i;

	switch (step->kind) {
	case VHD_STEP_ZERO:
		for (i = 0; i < step->nr; i++)
			new_op(m, step->sect + i, 0);
		break;
	case VHD_STEP_COPY:
		for (i = 0; i < step->nr; i++)
			new_op(m, step->sect + i, cached(m, move[step->first].from + i));
		break;
	case VHD_STEP_BAT:
		op = new_op(m, step->sect, 0);
		for (i = step->first; i < step->first + step->nr; i++)
			op->entry[index_of(move[i].block)] = move[i].to;
		break;
	case VHD_STEP_BARRIER:
		make_durable(m, move, nr);
		break;
	default:
		m->bad = "a step that no such plan has";
	}
}

static bool has_role(const struct role *r, const struct vhd_step *step, u32 barriers, bool drops)
{
	return r->kind == step->kind && r->barriers == barriers && r->drops == drops;
}

static u32 barrier_beside(const struct model *m, u32 at, bool before)
{
	while (at < m->nr_steps && m->step[at].kind != VHD_STEP_BARRIER)
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

/* Spoils the first step of the mutant's role. */
static void mutate(struct model *m, bool drops)
{
	u32 i, barriers = 0;

	for (i = 0; i < m->nr_steps; i++) {
		if (has_role(&m->mutant->role, &m->step[i], barriers, drops))
			break;
		barriers += m->step[i].kind == VHD_STEP_BARRIER;
	}
	if (i == m->nr_steps)
		return;
	if (m->mutant->action == EARLY)
		move_step(m, i, barrier_beside(m, i, true));
	else
		move_step(m, i, m->mutant->action == DROP ? m->nr_steps - 1 :
			  barrier_beside(m, i, false));
	m->nr_steps -= m->mutant->action == DROP;
}

static void run_plan(struct model *m, const struct vhd_move *move, u32 nr)
{
	struct vhd_shift plan;
	bool drops = false;
	u32 i;

	for (i = 0; i < nr; i++)
		drops |= move[i].to == VHD_BAT_UNUSED;
	m->nr_steps = 0;
	vhd_shift_init(&plan, &m->layout, move, nr);
	while (m->nr_steps < STEPS && vhd_shift_next(&plan, &m->step[m->nr_steps]))
		m->nr_steps++;
	if (m->mutant)
		mutate(m, drops);
	for (i = 0; i < m->nr_steps && !m->bad; i++)
		run_step(m, move, nr, &m->step[i]);
	crash(m, move, nr);
	for (i = 0; i < nr && !m->bad; i++)
		if (m->now.entry[index_of(move[i].block)] != move[i].to)
			m->bad = "the plan has ended and is not durable";
}

/* Blocks in the upper slots: the lower three are gaps. */
static void make_image(struct model *m)
{
	u32 first = m->seed, b, i, entry, bits;

	m->layout = (struct vhd_layout){
		.type = m->type, .capacity = 131 * BLOCK_SECTS, .end = SECTS, .header_sect = 1,
		.bat_sect = BAT_SECT, .bat_sects = BAT_SECTS, .entries = 131, .max_entries = 131,
		.block_sects = BLOCK_SECTS, .block_shift = 1, .bitmap_sects = 1,
		.meta_end = FIRST_SLOT,
	};
	for (b = 0; b < BLOCKS; b++) {
		entry = slot_entry(3 + (b + first) % BLOCKS);
		bits = 1 + pick(m, 3);
		m->now.entry[b] = entry;
		m->now.sect[entry] = BITS | bits;
		m->redundant[b] = pick(m, 2);
		for (i = 0; i < BLOCK_SECTS; i++)
			m->now.sect[entry + 1 + i] =
				!(bits >> (1 - i) & 1) ? OWN | 0x80 | b << 4 | i :
				m->redundant[b] ? absent(m, b, i) : OWN | b << 4 | i;
	}
	for (b = 0; b < BLOCKS; b++)
		for (i = 0; i < BLOCK_SECTS; i++)
			m->before[b][i] = read_sector(m, &m->now, b, i);
}

static u32 free_slot(const struct model *m)
{
	u32 slot, b;

	for (slot = 0; slot < SLOTS; slot++) {
		for (b = 0; b < BLOCKS; b++)
			if (m->now.entry[b] == slot_entry(slot))
				break;
		if (b == BLOCKS && !m->now.sect[slot_entry(slot)] &&
		    !m->now.sect[slot_entry(slot) + 1] && !m->now.sect[slot_entry(slot) + 2])
			return slot_entry(slot);
	}
	return VHD_BAT_UNUSED;
}

/* Drops, then drops and a move, then moves alone, into what the drops have left. */
static u32 choose_moves(struct model *m, u32 plan, struct vhd_move *move)
{
	u32 drops = plan == 2 ? 0 : 1, moves = plan ? 1 : 0, nr = 0, b;
	u32 to = free_slot(m);

	for (b = 0; b < BLOCKS; b++) {
		u32 from = m->now.entry[b];

		if (from == VHD_BAT_UNUSED)
			continue;
		if (m->redundant[b] && drops) {
			move[nr++] = (struct vhd_move){ number[b], from, VHD_BAT_UNUSED };
			drops--;
		} else if (moves && to < from) {
			move[nr++] = (struct vhd_move){ number[b], from, to };
			moves--;
		}
	}
	return nr;
}

static void live(struct model *m, enum vhd_type type, u32 seed, const struct mutant *mutant)
{
	u32 plan, nr;

	memset(m, 0, sizeof(*m));
	m->type = type;
	m->seed = seed;
	m->mutant = mutant;
	make_image(m);
	for (plan = 0; plan < PLANS && !m->bad; plan++) {
		nr = choose_moves(m, plan, m->move);
		if (nr)
			run_plan(m, m->move, nr);
	}
}

static void every_crash_state_reads_as_before(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u64 states = 0;
	u32 seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (seed = 1; seed <= SEEDS; seed++) {
		live(m, VHD_TYPE_DYNAMIC, seed, NULL);
		KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "dynamic image %u: %s", seed, m->bad);
		states += m->states;
		live(m, VHD_TYPE_DIFFERENCING, seed, NULL);
		KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "differencing image %u: %s", seed, m->bad);
		states += m->states;
	}
	KUNIT_EXPECT_GT(test, states, 30 * SEEDS);
	kunit_info(test, "%llu crash states\n", states);
}

static const struct mutant mutants[] = {
	{ { VHD_STEP_ZERO, 0, true }, DROP },
	{ { VHD_STEP_ZERO, 0, true }, LATE },
	{ { VHD_STEP_BARRIER, 0, true }, DROP },
	{ { VHD_STEP_ZERO, 1, true }, DROP },
	{ { VHD_STEP_ZERO, 1, true }, EARLY },
	{ { VHD_STEP_ZERO, 1, true }, LATE },
	{ { VHD_STEP_BARRIER, 1, true }, DROP },
	{ { VHD_STEP_BAT, 2, true }, DROP },
	{ { VHD_STEP_BAT, 2, true }, EARLY },
	{ { VHD_STEP_BARRIER, 2, true }, DROP },
	{ { VHD_STEP_COPY, 0, true }, DROP },
	{ { VHD_STEP_COPY, 0, false }, DROP },
	{ { VHD_STEP_COPY, 0, false }, LATE },
	{ { VHD_STEP_BARRIER, 0, false }, DROP },
	{ { VHD_STEP_BAT, 1, false }, DROP },
	{ { VHD_STEP_BAT, 1, false }, EARLY },
	{ { VHD_STEP_BARRIER, 1, false }, DROP },
};

static void mutant_desc(const struct mutant *mutant, char *desc)
{
	static const char * const action[] = {
		[DROP] = "dropped", [EARLY] = "early", [LATE] = "late"
	};

	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "step %d after %u barriers%s, %s",
		  mutant->role.kind, mutant->role.barriers,
		  mutant->role.drops ? "" : ", no drops", action[mutant->action]);
}

KUNIT_ARRAY_PARAM(mutant, mutants, mutant_desc);

static void mutant_is_caught(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	bool caught = false;
	u32 seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (seed = 1; seed <= SEEDS && !caught; seed++) {
		live(m, VHD_TYPE_DYNAMIC, seed, test->param_value);
		caught = m->bad;
		live(m, VHD_TYPE_DIFFERENCING, seed, test->param_value);
		caught |= !!m->bad;
	}
	KUNIT_EXPECT_TRUE(test, caught);
}

static struct kunit_case shift_cases[] = {
	KUNIT_CASE(every_crash_state_reads_as_before),
	KUNIT_CASE_PARAM(mutant_is_caught, mutant_gen_params),
	{}
};

struct kunit_suite vhdblk_shift_suite = {
	.name = "vhdblk_shift",
	.test_cases = shift_cases,
};
