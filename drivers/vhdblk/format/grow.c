// SPDX-License-Identifier: GPL-2.0
/*
 * The order of writes that gives an image another size while nobody else uses it. As
 * in plan.c: between two barriers any subset may become durable, and in every such
 * state the image has the old size or the new one, and all sectors that both have
 * read as before. Those that only one of them has read as zeros.
 */
#include "vhd_grow.h"

enum {
	PART_TAIL, PART_TABLE, PART_HEADER, PART_OLD_TABLE, PART_DROPPED, PART_FOOTER,
	PART_COPY, PART_BARRIER, PART_END
};

/*
 * The old table is free once no header names it. The size changes last: until then
 * nobody looks at what is new.
 */
static const u8 grow_order[] = {
	PART_TAIL, PART_TABLE, PART_BARRIER, PART_HEADER, PART_BARRIER, PART_OLD_TABLE,
	PART_FOOTER, PART_BARRIER, PART_COPY, PART_BARRIER, PART_END
};

/* Here it changes first. Entries that go last tell a second run what is left to do. */
static const u8 shrink_order[] = {
	PART_FOOTER, PART_BARRIER, PART_COPY, PART_BARRIER, PART_DROPPED, PART_BARRIER,
	PART_TABLE, PART_BARRIER, PART_HEADER, PART_BARRIER, PART_END
};

/**
 * vhd_resize_init() - give a dynamic or differencing image another size
 * @p:		plan to start
 * @change:	what changes; must outlive the plan
 *
 * The file is long enough already: see vhd_plan_extend().
 *
 * Context: Any.
 */
void vhd_resize_init(struct vhd_resize *p, const struct vhd_size_change *change)
{
	*p = (struct vhd_resize){ .change = change };
}

static bool vhd_resize_is(struct vhd_resize *p, struct vhd_step *step,
			  enum vhd_step_kind kind, u64 sect, u32 nr)
{
	if (!nr)
		return false;
	*step = (struct vhd_step){ .kind = kind, .sect = sect, .nr = nr };
	p->pos++;
	p->dirty = true;
	return true;
}

static bool vhd_resize_barrier(struct vhd_resize *p, struct vhd_step *step)
{
	if (!p->dirty)
		return false;
	*step = (struct vhd_step){ .kind = VHD_STEP_BARRIER };
	p->dirty = false;
	return true;
}

static bool vhd_resize_table(struct vhd_resize *p, struct vhd_step *step)
{
	const struct vhd_size_change *c = p->change;

	if (!vhd_resize_is(p, step, VHD_STEP_NEW, c->table.sect, c->table.sects))
		return false;
	step->first = c->table_first;
	return true;
}

/* One block that lies behind the new end. */
static bool vhd_resize_drop(struct vhd_resize *p, struct vhd_step *step)
{
	const struct vhd_size_change *c = p->change;

	return p->pos < c->nr_dropped &&
	       vhd_resize_is(p, step, VHD_STEP_ZERO, c->dropped[p->pos], c->slot_sects);
}

/* true if the part has a step left. */
static bool vhd_resize_part(struct vhd_resize *p, u8 part, struct vhd_step *step)
{
	const struct vhd_size_change *c = p->change;

	if (part == PART_BARRIER)
		return vhd_resize_barrier(p, step);
	if (part == PART_DROPPED)
		return vhd_resize_drop(p, step);
	if (p->pos)
		return false;
	switch (part) {
	case PART_TAIL:
		return vhd_resize_is(p, step, VHD_STEP_ZERO, c->tail.sect, c->tail.sects);
	case PART_TABLE:
		return vhd_resize_table(p, step);
	case PART_HEADER:
		return vhd_resize_is(p, step, VHD_STEP_HEADER, c->header_sect,
				     c->header_sect ? 1 : 0);
	case PART_OLD_TABLE:
		return vhd_resize_is(p, step, VHD_STEP_ZERO, c->old_table.sect,
				     c->old_table.sects);
	case PART_FOOTER:
		return vhd_resize_is(p, step, VHD_STEP_FOOTER, c->footer_sect, 1);
	}
	return vhd_resize_is(p, step, VHD_STEP_FOOTER_COPY, 0, 1);
}

/**
 * vhd_resize_next() - the next step
 * @p:		a started plan
 * @step:	filled; of VHD_STEP_NEW @step->first is &vhd_size_change.table_first
 *
 * Context: Any.
 * Return: false when the plan has ended; @step is untouched then.
 */
bool vhd_resize_next(struct vhd_resize *p, struct vhd_step *step)
{
	const u8 *order = p->change->shrink ? shrink_order : grow_order;

	for (; order[p->phase] != PART_END; p->phase++, p->pos = 0)
		if (vhd_resize_part(p, order[p->phase], step))
			return true;
	return false;
}
