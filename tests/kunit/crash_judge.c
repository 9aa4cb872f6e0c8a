// SPDX-License-Identifier: GPL-2.0
/* What may be on the disk after a crash, and what must not be. */
#include "crash_model.h"

#define TORN_AT	32	/* bytes of a torn footer that are new */

/* What the parent holds; no write uses these values. */
u32 cm_parent_tag(u32 vsect)
{
	return 0x80000000 | vsect;
}

void cm_fail(struct cm *m, const char *text)
{
	if (!m->bad)
		m->bad = text;
}

/* A limit of the model itself: no verdict on the plan. */
void cm_break(struct cm *m, const char *text)
{
	m->broken = true;
	cm_fail(m, text);
}

static struct cm_op *cm_op(struct cm *m, u32 sect)
{
	if (m->nr_ops == CM_OPS || sect >= CM_SECTS) {
		cm_break(m, "the model is too small");
		m->nr_ops = 0;
	}
	m->op[m->nr_ops].sect = sect < CM_SECTS ? sect : 0;
	m->op[m->nr_ops].truncate = false;
	return &m->op[m->nr_ops++];
}

/* Returns what will be written, for the caller to change. */
u8 *cm_write(struct cm *m, u32 sect, const void *data)
{
	return memcpy(cm_op(m, sect)->data, data, VHD_SECTOR_SIZE);
}

void cm_truncate(struct cm *m, u32 sect)
{
	cm_op(m, sect)->truncate = true;
}

static void cm_apply(u8 (*disk)[VHD_SECTOR_SIZE], u32 *eof, const struct cm_op *op, u32 bytes)
{
	if (op->truncate) {
		if (op->sect < *eof)
			memset(disk[op->sect], 0, (*eof - op->sect) * VHD_SECTOR_SIZE);
		*eof = op->sect;
		return;
	}
	memcpy(disk[op->sect], op->data, bytes);
	if (op->sect >= *eof)
		*eof = op->sect + 1;
}

/* Does a crash now possibly change what the structures but the BAT look like. */
static bool cm_op_is_structural(const struct cm *m, const struct cm_op *op)
{
	return op->truncate || op->sect <= m->layout.header_sect + 1 ||
	       op->sect + 1 == m->allowed_eof[0] || op->sect + 1 == m->allowed_eof[1] ||
	       op->sect >= m->eof;
}

static const char *cm_judge_footers(struct cm *m, struct vhd_layout *l)
{
	const struct vhd_footer *copy = (void *)m->scratch[0], *end;
	const struct vhd_header *h = (void *)m->scratch[1];
	struct vhd_footer_choice choice;

	if (m->scratch_eof != m->allowed_eof[0] && m->scratch_eof != m->allowed_eof[1])
		return "the file has a wrong length";
	end = (void *)m->scratch[m->scratch_eof - 1];
	if (vhd_footer_choose(end, copy, VHD_SECTOR_SIZE, &choice))
		return "no footer is right";
	if ((!m->tearing || m->settled) && (choice.place != VHD_FOOTER_END || choice.differ))
		return "the footers are not right and equal";
	if (m->settled && memcmp(end, &m->footer, sizeof(*end)))
		return "an old footer survived its replacement";
	if (choice.place == VHD_FOOTER_COPY)
		end = copy;
	if (vhd_layout_init(l, end, h, m->scratch_eof - 1, VHD_SIZE_AUTO))
		return "the image has no valid layout";
	return NULL;
}

static const char *cm_judge_bat(const struct cm *m, const struct vhd_layout *l, u32 *bat)
{
	const __be32 *table = (const void *)m->scratch[l->bat_sect];
	u32 sorted[CM_BLOCKS], i, j, at;

	for (i = 0; i < CM_BLOCKS; i++) {
		bat[i] = be32_to_cpu(table[i]);
		if (vhd_bat_entry_check(l, bat[i]))
			return "an entry points at a bad place";
		for (j = i; j && sorted[j - 1] > bat[i]; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = bat[i];
	}
	return vhd_bat_overlap(l, sorted, CM_BLOCKS, &at) ? "two blocks overlap" : NULL;
}

static u32 cm_read(const struct cm *m, const struct vhd_run *run, u32 vsect, u32 i)
{
	u32 tag = 0;

	if (run->answer == VHD_HOLE)
		return cm_parent_tag(vsect);
	if (run->answer == VHD_DATA)
		memcpy(&tag, m->scratch[run->file_sect + i], sizeof(tag));
	return tag;
}

static const char *cm_judge_value(const struct cm *m, u32 vsect, u32 tag)
{
	const struct cm_history *h = &m->history[vsect];
	u32 i;

	for (i = 0; i < h->nr; i++)
		if (h->tag[i] == tag)
			return NULL;
	if (tag == cm_parent_tag(vsect))
		return "a sector fell back to the parent";
	return tag ? "a sector holds an older value or garbage" : "a sector fell to zeros";
}

static const char *cm_judge_data(const struct cm *m, const struct vhd_layout *l, const u32 *bat)
{
	const char *bad = NULL;
	struct vhd_run run;
	const u8 *bitmap;
	u32 v = 0, b, i;

	while (v < CM_VSECTS && !bad) {
		b = v / CM_BLOCK_SECTS;
		bitmap = bat[b] == VHD_BAT_UNUSED ? NULL : m->scratch[bat[b]];
		vhd_map_step(l, v, CM_VSECTS - v, bat[b], bitmap, &run);
		if (run.answer == VHD_BAD || run.answer == VHD_NEED_BITMAP)
			return "the map has no answer";
		for (i = 0; i < run.sects && !bad; i++)
			bad = cm_judge_value(m, v + i, cm_read(m, &run, v + i, i));
		v += run.sects;
	}
	return bad;
}

/* Opens the image as it is in scratch and reads all of it. */
static void cm_judge(struct cm *m, bool structural)
{
	struct vhd_layout l = m->layout;
	const char *bad = NULL;
	u32 bat[CM_BLOCKS];

	m->states++;
	l.end = m->scratch_eof - 1;
	if (structural)
		bad = cm_judge_footers(m, &l);
	if (!bad)
		bad = cm_judge_bat(m, &l, bat);
	if (!bad)
		bad = cm_judge_data(m, &l, bat);
	if (bad)
		cm_fail(m, bad);
}

/* A crash after which exactly the chosen ones of the sectors under way are there. */
static void cm_judge_subset(struct cm *m, const bool *lost, const bool *torn, bool structural)
{
	u32 i;

	memcpy(m->scratch, m->disk, sizeof(m->disk[0]) * CM_SECTS);
	m->scratch_eof = m->eof;
	for (i = 0; i < m->nr_ops; i++)
		if (!lost[i])
			cm_apply(m->scratch, &m->scratch_eof, &m->op[i],
				 torn && torn[i] ? TORN_AT : VHD_SECTOR_SIZE);
	cm_judge(m, structural);
}

static void cm_crash_exhaustive(struct cm *m, bool structural)
{
	bool lost[CM_OPS];
	u32 mask, i;

	for (mask = 0; mask < 1U << m->nr_ops && !m->bad; mask++) {
		for (i = 0; i < m->nr_ops; i++)
			lost[i] = mask >> i & 1;
		cm_judge_subset(m, lost, NULL, structural);
	}
}

/* All but one, all but two, only one, only two; then seeded random subsets. */
static void cm_crash_sampled(struct cm *m, bool structural)
{
	bool lost[CM_OPS];
	u32 i, j, invert, round;

	for (i = 0; i < m->nr_ops; i++) {
		for (j = 0; j <= i; j++) {
			for (invert = 0; invert < 2 && !m->bad; invert++) {
				memset(lost, invert, sizeof(lost));
				lost[i] = !invert;
				lost[j] = !invert;
				cm_judge_subset(m, lost, NULL, structural);
			}
		}
	}
	for (round = 0; round < 1U << CM_DEPTH && !m->bad; round++) {
		for (i = 0; i < m->nr_ops; i++)
			lost[i] = cm_random(m, 2);
		cm_judge_subset(m, lost, NULL, structural);
	}
}

/* Each write lost, torn or whole; for the few writes of the footer plan. */
static void cm_crash_torn(struct cm *m)
{
	bool lost[CM_OPS], torn[CM_OPS];
	u32 states = 1, state, rest, i;

	for (i = 0; i < m->nr_ops; i++)
		states *= 3;
	for (state = 0; state < states && !m->bad; state++) {
		for (i = 0, rest = state; i < m->nr_ops; i++, rest /= 3) {
			lost[i] = rest % 3 == 1;
			torn[i] = rest % 3 == 2;
		}
		cm_judge_subset(m, lost, torn, true);
	}
}

/* Tries the crashes that may happen now. */
void cm_crash(struct cm *m)
{
	bool structural = !m->nr_ops || m->settled;
	u32 i;

	for (i = 0; i < m->nr_ops; i++)
		structural |= cm_op_is_structural(m, &m->op[i]);
	if (m->tearing)
		cm_crash_torn(m);
	else if (m->nr_ops <= CM_DEPTH)
		cm_crash_exhaustive(m, structural);
	else
		cm_crash_sampled(m, structural);
}

void cm_barrier(struct cm *m)
{
	u32 i;

	cm_crash(m);
	for (i = 0; i < m->nr_ops; i++)
		cm_apply(m->disk, &m->eof, &m->op[i], VHD_SECTOR_SIZE);
	m->nr_ops = 0;
}
