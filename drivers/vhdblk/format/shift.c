// SPDX-License-Identifier: GPL-2.0
/*
 * The order of writes that drop and move whole blocks of an image that nobody
 * else uses. As in plan.c: between two barriers any subset may become durable, and
 * in every such state each sector reads as before.
 */
#include "vhd_format.h"

#define VHD_ENTRIES_SHIFT	7	/* BAT entries in a sector */

enum {
	SHIFT_BITMAPS, SHIFT_COPIES, SHIFT_WRITTEN, SHIFT_CLEAR, SHIFT_CLEARED,
	SHIFT_BAT, SHIFT_LINKED, SHIFT_END
};

/**
 * vhd_shift_init() - drop some blocks and move others
 * @p:		plan to start
 * @l:		layout of the image; must outlive the plan
 * @move:	what happens, sorted by block, each block once; must outlive the plan
 * @nr:		number of moves, at least 1
 *
 * A block that is dropped must read without its own data as it does with them: it
 * is empty of bits first, of data next, and only then without an entry, so a gap
 * that it leaves reads as zeros after any crash, which is how the next run knows
 * that it is free. A block that moves is copied, and its entry changes when the copy
 * is durable. Its old place keeps its bytes, and must not be the target of another
 * move in the same plan.
 *
 * Context: Any.
 */
void vhd_shift_init(struct vhd_shift *p, const struct vhd_layout *l,
		    const struct vhd_move *move, u32 nr)
{
	*p = (struct vhd_shift){ .layout = l, .move = move, .nr = nr };
}

static bool vhd_shift_is(struct vhd_step *step, enum vhd_step_kind kind, u32 first,
			 u64 sect, u32 nr)
{
	*step = (struct vhd_step){ .kind = kind, .first = first, .sect = sect, .nr = nr };
	return true;
}

static bool vhd_shift_drop(struct vhd_shift *p, struct vhd_step *step, bool data)
{
	const struct vhd_layout *l = p->layout;
	const struct vhd_move *m;

	while (p->pos < p->nr) {
		m = &p->move[p->pos++];
		if (m->to == VHD_BAT_UNUSED)
			return vhd_shift_is(step, VHD_STEP_ZERO, p->pos - 1,
					    data ? vhd_bat_data_sect(l, m->from) : m->from,
					    data ? l->block_sects : l->bitmap_sects);
	}
	return false;
}

static bool vhd_shift_copy(struct vhd_shift *p, struct vhd_step *step)
{
	const struct vhd_layout *l = p->layout;
	const struct vhd_move *m;

	while (p->pos < p->nr) {
		m = &p->move[p->pos++];
		if (m->to != VHD_BAT_UNUSED)
			return vhd_shift_is(step, VHD_STEP_COPY, p->pos - 1, m->to,
					    l->bitmap_sects + l->block_sects);
	}
	return false;
}

/* One step for all moves whose entries share a BAT sector. */
static bool vhd_shift_bat(struct vhd_shift *p, struct vhd_step *step)
{
	u32 first = p->pos, sect;

	if (first == p->nr)
		return false;
	sect = p->move[first].block >> VHD_ENTRIES_SHIFT;
	while (p->pos < p->nr && p->move[p->pos].block >> VHD_ENTRIES_SHIFT == sect)
		p->pos++;
	return vhd_shift_is(step, VHD_STEP_BAT, first, p->layout->bat_sect + sect,
			    p->pos - first);
}

static bool vhd_shift_has_drops(const struct vhd_shift *p)
{
	u32 i;

	for (i = 0; i < p->nr; i++)
		if (p->move[i].to == VHD_BAT_UNUSED)
			return true;
	return false;
}

/* true if the phase had a step left. */
static bool vhd_shift_phase(struct vhd_shift *p, struct vhd_step *step)
{
	switch (p->phase) {
	case SHIFT_BITMAPS:
		return vhd_shift_drop(p, step, false);
	case SHIFT_COPIES:
		return vhd_shift_copy(p, step);
	case SHIFT_CLEAR:
		return vhd_shift_drop(p, step, true);
	case SHIFT_BAT:
		return vhd_shift_bat(p, step);
	case SHIFT_CLEARED:
		if (!vhd_shift_has_drops(p))
			return false;
		break;
	}
	/* The barriers: once each. */
	return !p->pos++ && vhd_shift_is(step, VHD_STEP_BARRIER, 0, 0, 0);
}

/**
 * vhd_shift_next() - the next step
 * @p:		a started plan
 * @step:	filled; @step->first is the number of its (first) move
 *
 * VHD_STEP_COPY copies @step->nr sectors, bitmap and data, from the old place of its
 * move to @step->sect.
 *
 * Context: Any.
 * Return: false when the plan has ended; @step is untouched then.
 */
bool vhd_shift_next(struct vhd_shift *p, struct vhd_step *step)
{
	while (p->phase < SHIFT_END) {
		if (vhd_shift_phase(p, step))
			return true;
		p->phase++;
		p->pos = 0;
	}
	return false;
}
