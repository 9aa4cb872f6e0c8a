// SPDX-License-Identifier: GPL-2.0
/*
 * Crash states of a child that gets another parent, to the byte: the header goes behind
 * everything and comes back, and the file is as long as before. In each state, by either
 * footer, the image names the old parent or the new one in all places, and nothing else
 * has changed.
 */
#include <kunit/test.h>

#include "suites.h"
#include "vhd_relink.h"

#define SECTS		72
#define BLOCKS		2
#define BLOCK_SECTS	8u
#define BLOCK_BYTES	4096u
#define TEXTS		2
#define SPARE		16u
#define STEPS		16
#define OPS		12
#define SEEDS		60
#define TORN_AT		32	/* bytes of a torn write that are new */
#define EVERY_TORN	4	/* writes under way of which each may be torn or not */

enum { OLD = 1, NEW = 2 };

static const enum vhd_platform_code code[TEXTS] = { VHD_PLATFORM_W2RU, VHD_PLATFORM_MACX };
static const char * const path[][TEXTS] = {
	[OLD] = { "./old.vhd", "/where/it/was/old.vhd" },
	[NEW] = { "./sub/new.vhd", "/sub/new.vhd" },
};

struct op {
	u32 at;
	bool truncate;
	u8 data[VHD_SECTOR_SIZE];
};

enum action { NONE, DROP, EARLY, LATE };

/* The first step of its kind behind so many barriers. */
struct mutant {
	enum vhd_step_kind kind;
	u32 barriers;
	enum action action;
};

struct model {
	u32 seed;
	const struct mutant *mutant;
	u8 now[SECTS][VHD_SECTOR_SIZE];
	u32 eof;
	u8 crashed[SECTS][VHD_SECTOR_SIZE];
	u32 crashed_eof;
	u8 before[SECTS][VHD_SECTOR_SIZE];
	struct op op[OPS];
	u32 nr_ops;
	struct vhd_step step[STEPS];
	u32 nr_steps;
	struct vhd_footer footer;
	struct vhd_header header;
	u8 text[TEXTS][VHD_SECTOR_SIZE];
	u32 header_sect, text_sect, bat_sect, block[BLOCKS];
	u32 parent;		/* that it had before */
	u32 fall;		/* moments until the power is cut; 0: never */
	bool fallen;
	struct vhd_header found;
	u64 states;
	const char *bad;
};

static u32 pick(struct model *m, u32 below)
{
	m->seed = m->seed * 1103515245 + 12345;
	return (m->seed >> 16) % below;
}

static bool text_is(const struct model *m, u32 slot, u32 parent)
{
	struct vhd_locator_ref ref;
	char text[64];

	return !vhd_locator_get(&m->found, slot, (u64)m->crashed_eof << VHD_SECTOR_SHIFT, &ref) &&
	       ref.code == code[slot] &&
	       !vhd_locator_decode(ref.code, (const u8 *)m->crashed + ref.offset, ref.length,
				   text, sizeof(text)) &&
	       !strcmp(text, path[parent][slot]);
}

static const char *judge_link(const struct model *m)
{
	u32 parent = m->found.parent_uuid[0], slot;

	if (parent != m->parent && parent != NEW)
		return "it names a parent that nobody gave it";
	if (be16_to_cpu(m->found.parent_name[0]) != (parent == OLD ? 'o' : 'n') ||
	    be32_to_cpu(m->found.parent_timestamp) != parent)
		return "the name or the time is that of another parent";
	for (slot = 0; slot < TEXTS; slot++)
		if (!text_is(m, slot, parent))
			return "a locator is that of another parent";
	return NULL;
}

/* The image of one footer. */
static const char *judge_footer(struct model *m, const struct vhd_footer *f, u64 end)
{
	u64 sect = be64_to_cpu(f->data_offset) >> VHD_SECTOR_SHIFT;
	struct vhd_layout l;

	if (sect + VHD_HEADER_SECTS > end)
		return "the header lies behind the end";
	memcpy(&m->found, m->crashed[sect], sizeof(m->found));
	if (vhd_layout_init(&l, f, &m->found, end, VHD_SIZE_AUTO) ||
	    vhd_locator_check(&m->found, &l, (u64)m->crashed_eof << VHD_SECTOR_SHIFT))
		return "there is no valid layout";
	return judge_link(m);
}

static const char *judge_kept(const struct model *m)
{
	u32 b;

	if (memcmp(m->crashed[m->bat_sect], m->before[m->bat_sect], VHD_SECTOR_SIZE))
		return "the BAT has changed";
	for (b = 0; b < BLOCKS; b++)
		if (memcmp(m->crashed[m->block[b]], m->before[m->block[b]],
			   (1 + BLOCK_SECTS) * VHD_SECTOR_SIZE))
			return "a block has changed";
	return NULL;
}

/* Some programs trust the end, some the copy. */
static void judge(struct model *m)
{
	const struct vhd_footer *end = (const void *)m->crashed[m->crashed_eof - 1];
	const struct vhd_footer *copy = (const void *)m->crashed[0];
	bool end_good = !vhd_footer_check(end), copy_good = !vhd_footer_check(copy);

	m->states++;
	m->bad = judge_kept(m);
	if (!m->bad && !end_good && !copy_good)
		m->bad = "no footer is right";
	if (!m->bad && end_good)
		m->bad = judge_footer(m, end, m->crashed_eof - 1);
	if (!m->bad && copy_good)
		m->bad = judge_footer(m, copy, m->crashed_eof - end_good);
}

static void apply(u8 (*file)[VHD_SECTOR_SIZE], u32 *eof, const struct op *op, bool torn)
{
	if (op->truncate) {
		memset(file[op->at], 0, (size_t)(SECTS - op->at) * VHD_SECTOR_SIZE);
		*eof = op->at;
		return;
	}
	memcpy(file[op->at], op->data, torn ? TORN_AT : VHD_SECTOR_SIZE);
	*eof = max_t(u32, *eof, op->at + 1);
}

/* Each write is lost, whole, or torn; of many, all or none of those that were made. */
static void crash(struct model *m)
{
	bool each = m->nr_ops <= EVERY_TORN;
	u32 states = each ? 1 : 2u << m->nr_ops, state, rest, i, fate;

	for (i = 0; each && i < m->nr_ops; i++)
		states *= 3;
	for (state = 0; state < states && !m->bad; state++) {
		memcpy(m->crashed, m->now, sizeof(m->now));
		m->crashed_eof = m->eof;
		for (i = 0, rest = state; i < m->nr_ops; i++, rest /= each ? 3 : 2) {
			fate = each ? rest % 3 : (rest & 1) << (state >> m->nr_ops);
			if (fate)
				apply(m->crashed, &m->crashed_eof, &m->op[i], fate == 2);
		}
		judge(m);
	}
}

/* The power may be cut here, and then any of the writes may be lost. */
static void make_durable(struct model *m)
{
	u32 i;

	crash(m);
	m->fallen = m->fall && !--m->fall;
	for (i = 0; i < m->nr_ops; i++)
		if (!m->fallen || pick(m, 2))
			apply(m->now, &m->eof, &m->op[i], false);
	m->nr_ops = 0;
}

static void write(struct model *m, u32 at, const void *data)
{
	struct op *op = &m->op[m->nr_ops];

	if (m->nr_ops == OPS || at >= SECTS) {
		m->bad = "the model is too small";
		return;
	}
	m->nr_ops++;
	op->at = at;
	op->truncate = !data;
	if (data)
		memcpy(op->data, data, VHD_SECTOR_SIZE);
}

static void write_all(struct model *m, const struct vhd_step *step, const void *data)
{
	u32 i;

	for (i = 0; i < step->nr; i++)
		write(m, step->sect + i, (const u8 *)data + i * VHD_SECTOR_SIZE);
}

static void run_step(struct model *m, const struct vhd_step *step)
{
	static const u8 zeros[VHD_SECTOR_SIZE];

	switch (step->kind) {
	case VHD_STEP_RESERVE:
		break;
	case VHD_STEP_ZERO:
		write(m, step->sect, zeros);
		break;
	case VHD_STEP_NEW:
		write_all(m, step, m->text);
		break;
	case VHD_STEP_HEADER:
		write_all(m, step, &m->header);
		break;
	case VHD_STEP_FOOTER:
	case VHD_STEP_FOOTER_COPY:
		write(m, step->sect, &m->footer);
		break;
	case VHD_STEP_TRUNCATE:
		write(m, step->sect, NULL);
		break;
	case VHD_STEP_BARRIER:
		make_durable(m);
		break;
	default:
		m->bad = "a step that no such plan has";
	}
}

static void run_steps(struct model *m)
{
	u32 i;

	for (i = 0; i < m->nr_steps && !m->bad && !m->fallen; i++)
		run_step(m, &m->step[i]);
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
	if (i == m->nr_steps)
		return;
	if (mutant->action == DROP)
		move_step(m, i, m->nr_steps - 1);
	else
		move_step(m, i, barrier_beside(m, i, mutant->action == EARLY));
	m->nr_steps -= mutant->action == DROP;
}

static void run_plan(struct model *m, struct vhd_plan *plan)
{
	for (m->nr_steps = 0; m->nr_steps < STEPS; m->nr_steps++)
		if (!vhd_plan_next(plan, &m->step[m->nr_steps]))
			break;
	run_steps(m);
}

static void make_header(struct model *m, u32 parent, u32 text_sect)
{
	const u16 name[] = { parent == OLD ? 'o' : 'n', '.', 'v', 'h', 'd' };
	u8 id[16] = { parent };
	struct vhd_header_args args = {
		.block_size = BLOCK_BYTES, .entries = BLOCKS, .parent_uuid = id,
		.table_offset = (u64)m->bat_sect << VHD_SECTOR_SHIFT, .parent_timestamp = parent,
	};
	u32 i;

	vhd_header_init(&m->header, &args);
	vhd_header_set_name(&m->header, name, ARRAY_SIZE(name));
	memset(m->text, 0, sizeof(m->text));
	for (i = 0; i < TEXTS; i++) {
		struct vhd_locator_ref ref = {
			.code = code[i], .space = VHD_SECTOR_SIZE,
			.offset = (u64)(text_sect + i) << VHD_SECTOR_SHIFT,
			.length = vhd_locator_encode(code[i], path[parent][i], m->text[i],
						     VHD_SECTOR_SIZE),
		};

		vhd_locator_set(&m->header, i, &ref);
	}
	vhd_header_seal(&m->header);
}

static void name_header(struct model *m, u32 sect)
{
	m->footer.data_offset = cpu_to_be64((u64)sect << VHD_SECTOR_SHIFT);
	vhd_footer_seal(&m->footer);
}

static void relink(struct model *m, u32 text_sect, bool write_text, u32 header_sect)
{
	struct vhd_new_header to = {
		.text = { text_sect, write_text ? TEXTS : 0 }, .header_sect = header_sect,
		.footer_sect = m->eof - 1,
	};
	struct vhd_relink plan;

	make_header(m, NEW, text_sect);
	name_header(m, header_sect);
	vhd_relink_init(&plan, &to);
	for (m->nr_steps = 0; m->nr_steps < STEPS; m->nr_steps++)
		if (!vhd_relink_next(&plan, &m->step[m->nr_steps]))
			break;
	if (m->mutant)
		mutate(m);
	run_steps(m);
}

static void judge_end(struct model *m, bool text_too)
{
	const struct vhd_footer *end = (const void *)m->now[m->eof - 1];

	crash(m);
	if (m->bad)
		return;
	if (memcmp(end, m->now[0], sizeof(*end)) ||
	    be64_to_cpu(end->data_offset) >> VHD_SECTOR_SHIFT != m->header_sect)
		m->bad = "the footers are not equal, or the header has not come back";
	if (m->found.parent_uuid[0] != NEW)
		m->bad = "the parent is still the old one";
	if (text_too && be64_to_cpu(m->found.locator[0].data_offset) >> VHD_SECTOR_SHIFT !=
	    m->text_sect)
		m->bad = "the texts have not come back";
}

/* What vhdctl does: behind everything, and back as far as there is room. */
static void new_parent(struct model *m)
{
	u32 old_end = m->eof, text_back = pick(m, 2), end;
	struct vhd_plan plan;

	vhd_plan_extend(&plan, old_end, old_end + SPARE);
	run_plan(m, &plan);
	if (!m->bad && !m->fallen)
		relink(m, old_end, true, old_end + TEXTS);
	if (!m->bad && !m->fallen)
		relink(m, text_back ? m->text_sect : old_end, text_back, m->header_sect);
	end = text_back ? old_end : old_end + SPARE / 2;
	vhd_plan_trim(&plan, old_end + SPARE, end);
	if (!m->bad && !m->fallen)
		run_plan(m, &plan);
	if (!m->bad && !m->fallen)
		judge_end(m, text_back);
}

static void place(struct model *m)
{
	u32 first = pick(m, 3), at = 1 + first, b;

	m->header_sect = at;
	at += VHD_HEADER_SECTS + pick(m, 3);
	m->text_sect = at;
	at += TEXTS + pick(m, 3);
	m->bat_sect = at++;
	for (b = 0; b < BLOCKS; b++) {
		m->block[b] = at + pick(m, 2);
		at = m->block[b] + 1 + BLOCK_SECTS;
	}
	m->eof = at + 1 + pick(m, 3);
}

/* Garbage wherever nothing is, and in the blocks. */
static void put_image(struct model *m)
{
	static const u8 id[16] = { 9 };
	struct vhd_footer_args args = {
		.type = VHD_TYPE_DIFFERENCING, .size = BLOCKS * BLOCK_BYTES, .uuid = id,
	};
	__be32 *bat = (void *)m->now[m->bat_sect];
	u32 i;

	for (i = 0; i < m->eof; i++)
		memset(m->now[i], 0xc0 + i, VHD_SECTOR_SIZE);
	make_header(m, OLD, m->text_sect);
	memcpy(m->now[m->header_sect], &m->header, sizeof(m->header));
	memcpy(m->now[m->text_sect], m->text, sizeof(m->text));
	memset(bat, 0xff, VHD_SECTOR_SIZE);
	for (i = 0; i < BLOCKS; i++)
		bat[i] = cpu_to_be32(m->block[i]);
	vhd_footer_init(&m->footer, &args);
	name_header(m, m->header_sect);
	memcpy(m->now[0], &m->footer, sizeof(m->footer));
	memcpy(m->now[m->eof - 1], &m->footer, sizeof(m->footer));
	memcpy(m->before, m->now, sizeof(m->now));
	m->parent = OLD;
}

/* Power is back: the footers are made equal, as every writer does it. */
static void mend(struct model *m)
{
	const struct vhd_footer *end = (const void *)m->now[m->eof - 1];
	bool end_good = !vhd_footer_check(end);
	struct vhd_plan plan;

	m->fallen = false;
	m->fall = 0;
	memcpy(&m->footer, end_good ? m->now[m->eof - 1] : m->now[0], sizeof(m->footer));
	vhd_plan_footers(&plan, m->eof - 1, !end_good, end_good);
	run_plan(m, &plan);
	memcpy(m->crashed, m->now, sizeof(m->now));
	m->crashed_eof = m->eof;
	judge(m);
	m->parent = m->found.parent_uuid[0];
}

static void live(struct model *m, u32 seed, const struct mutant *mutant)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
	m->mutant = mutant;
	m->fall = pick(m, 2) ? 1 + pick(m, 9) : 0;
	place(m);
	put_image(m);
	new_parent(m);
	if (!m->fallen || m->bad)
		return;
	mend(m);
	if (!m->bad)
		new_parent(m);
}

static void every_crash_state_has_one_parent(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u64 states = 0;
	u32 seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (seed = 1; seed <= SEEDS; seed++) {
		live(m, seed, NULL);
		KUNIT_EXPECT_TRUE_MSG(test, !m->bad, "image %u: %s", seed, m->bad);
		states += m->states;
	}
	KUNIT_EXPECT_GT(test, states, 100 * SEEDS);
	kunit_info(test, "%llu crash states\n", states);
}

static const struct mutant mutants[] = {
	{ VHD_STEP_NEW, 0, DROP }, { VHD_STEP_NEW, 0, LATE },
	{ VHD_STEP_HEADER, 0, DROP }, { VHD_STEP_HEADER, 0, LATE },
	{ VHD_STEP_BARRIER, 0, DROP }, { VHD_STEP_BARRIER, 1, DROP },
	{ VHD_STEP_BARRIER, 2, DROP }, { VHD_STEP_FOOTER, 1, DROP },
	{ VHD_STEP_FOOTER, 1, EARLY }, { VHD_STEP_FOOTER, 1, LATE },
	{ VHD_STEP_FOOTER_COPY, 2, DROP }, { VHD_STEP_FOOTER_COPY, 2, EARLY },
	{ VHD_STEP_FOOTER_COPY, 2, LATE },
};

static void mutant_desc(const struct mutant *mutant, char *desc)
{
	static const char * const action[] = {
		[DROP] = "dropped", [EARLY] = "early", [LATE] = "late"
	};

	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "step %d after %u barriers, %s", mutant->kind,
		  mutant->barriers, action[mutant->action]);
}

KUNIT_ARRAY_PARAM(mutant, mutants, mutant_desc);

static void mutant_is_caught(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	bool caught = false;
	u32 seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (seed = 1; seed <= SEEDS && !caught; seed++) {
		live(m, seed, test->param_value);
		caught = m->bad;
	}
	KUNIT_EXPECT_TRUE(test, caught);
}

static struct kunit_case relink_cases[] = {
	KUNIT_CASE(every_crash_state_has_one_parent),
	KUNIT_CASE_PARAM(mutant_is_caught, mutant_gen_params),
	{}
};

struct kunit_suite vhdblk_relink_suite = {
	.name = "vhdblk_relink",
	.test_cases = relink_cases,
};
