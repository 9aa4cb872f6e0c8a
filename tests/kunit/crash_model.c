// SPDX-License-Identifier: GPL-2.0
/* The life of an image: damage, repair, attach, use, detach or a power cut. */
#include "crash_model.h"

u32 cm_random(struct cm *m, u32 below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 17;
	m->rng ^= m->rng << 5;
	return m->rng % below;
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

static const struct vhd_footer *durable_footer(struct cm *m, u32 sect)
{
	return (const void *)cm_bytes(m, m->disk.now[cm_cell(m, sect)]);
}

static void damage_footer(struct cm *m, u32 sect)
{
	struct vhd_footer f = m->footer;

	f.reserved[0] ^= 1;
	cm_put_bytes(m, sect, &f);
	m->footers = CM_TEARING;
}

static bool finish(struct cm *m, struct vhd_plan *plan)
{
	if (!cm_run_plan(m, plan))
		return false;
	m->footers = CM_SETTLED;
	m->cut = false;
	m->allowed_eof[0] = m->allowed_eof[1];
	cm_crash(m);
	m->renewed = false;
	return true;
}

static void load_entries(struct cm *m, u32 *entry)
{
	u32 i;

	for (i = 0; i < CM_BLOCKS; i++)
		entry[i] = m->block[i].durable;
}

/* Behind everything, as the driver does it, or else where the old one was. */
static u32 place_for_footer(struct cm *m)
{
	u32 entry[CM_BLOCKS], used;

	load_entries(m, entry);
	m->layout.end = m->disk.eof;
	used = cm_used_end(m, entry);
	if (m->device || (m->disk.eof > used && cm_random(m, 2)))
		return m->disk.eof;
	return vhd_layout_end_aligned(max_t(u32, used, m->disk.eof));
}

static bool run_move(struct cm *m, u32 new_end)
{
	struct vhd_plan plan;

	m->footers = CM_MOVING;
	m->allowed_eof[1] = new_end;
	vhd_plan_move_footer(&plan, m->disk.eof, new_end);
	return finish(m, &plan);
}

static bool mend_footers(struct cm *m, bool missing)
{
	u32 end = missing ? place_for_footer(m) : m->disk.eof;
	struct vhd_plan plan;

	m->footers = CM_TEARING;
	m->renewed = true;
	m->allowed_eof[1] = end;
	vhd_plan_footers(&plan, end - 1, missing, !missing);
	return finish(m, &plan);
}

/* What a repair, or an attach for writing, does first; false if the power was cut. */
static bool mend(struct cm *m)
{
	struct vhd_footer_choice choice;
	u32 end = m->disk.eof, entry[CM_BLOCKS], used;
	bool missing;

	if (vhd_footer_choose(durable_footer(m, end - 1), durable_footer(m, 0),
			      VHD_SECTOR_SIZE, &choice)) {
		cm_fail(m, "no footer is left");
		return true;
	}
	missing = choice.place == VHD_FOOTER_COPY;
	m->footer = *durable_footer(m, missing ? 0 : end - 1);
	if (choice.differ)
		return mend_footers(m, missing);
	load_entries(m, entry);
	m->layout.end = end - 1;
	used = cm_used_end(m, entry);
	if (used >= end)
		return run_move(m, vhd_layout_end_aligned(used));
	m->footers = CM_SETTLED;
	m->cut = false;
	m->renewed = false;
	return true;
}

/* Both, with another time stamp. */
static void renew_footers(struct cm *m)
{
	struct vhd_plan plan;

	m->footers = CM_TEARING;
	m->renewed = true;
	m->footer.timestamp = cpu_to_be32(be32_to_cpu(m->footer.timestamp) + 1);
	vhd_footer_seal(&m->footer);
	vhd_plan_footers(&plan, m->disk.eof - 1, true, true);
	finish(m, &plan);
}

/* The last block, or none. */
static u32 last_block(const struct cm *m)
{
	u32 i, last = CM_BLOCKS;

	for (i = 0; i < CM_BLOCKS; i++)
		if (m->block[i].durable != VHD_BAT_UNUSED &&
		    (last == CM_BLOCKS || m->block[i].durable > m->block[last].durable))
			last = i;
	return last;
}

/* Somebody puts the footer on the data of the last block. */
static void put_footer_on_data(struct cm *m)
{
	u32 b = last_block(m), offset = 1 + cm_random(m, CM_OFFSETS - 1), old_end, i;

	if (b == CM_BLOCKS || m->device || m->block[b].durable < m->layout.meta_end)
		return;
	old_end = vhd_bat_data_sect(&m->layout, m->block[b].durable) + m->offset[offset] + 1;
	for (i = 0; i < m->disk.nr_cells; i++)
		if (m->disk.sect[i] >= old_end)
			m->disk.now[i] = CM_ZERO;
	m->disk.eof = old_end;
	m->disk.garbage_end = min_t(u32, m->disk.garbage_end, old_end);
	cm_put_bytes(m, old_end - 1, &m->footer);
	m->footers = CM_MOVING;
	m->cut = true;
}

/* What may have happened to a file while it was not attached. */
static void damage(struct cm *m)
{
	m->may_fall = !cm_random(m, 3);
	switch (cm_random(m, 8)) {
	case 0:
		damage_footer(m, m->disk.eof - 1);
		break;
	case 1:
		damage_footer(m, 0);
		break;
	case 2:
		renew_footers(m);
		break;
	case 3:
		put_footer_on_data(m);
		break;
	}
}

/* The power is back: what can be read now is what there is. */
static void recover(struct cm *m)
{
	m->disk.nr_ops = 0;
	m->allowed_eof[0] = m->disk.eof;
	m->allowed_eof[1] = m->disk.eof;
	cm_believe(m);
}

static void use(struct cm *m)
{
	u32 i;

	m->may_fall = !cm_random(m, 4);
	for (i = 0; i < m->p.events && !m->bad; i++)
		cm_event(m);
	if (m->bad)
		return;
	if (cm_random(m, 2)) {
		cm_detach(m);
	} else {
		cm_crash(m);
		cm_fall(m);
	}
}

/**
 * cm_run() - the whole life of an image, until something is wrong
 * @m: filled; @m->bad says what was wrong
 * @p: how
 */
void cm_run(struct cm *m, const struct cm_params *p)
{
	u32 i;

	memset(m, 0, sizeof(*m));
	m->p = *p;
	m->rng = p->seed * 2654435761U + 1;
	for (i = 0; i < 8; i++)
		cm_random(m, 2);
	m->next_tag = 1;
	cm_make_image(m);
	recover(m);
	for (i = 0; i < p->sessions && !m->bad; i++) {
		cm_attach(m);
		damage(m);
		recover(m);
		while (!m->bad && !mend(m))
			recover(m);
		if (!m->bad)
			cm_attach(m);
		if (!m->bad)
			use(m);
		recover(m);
	}
}
