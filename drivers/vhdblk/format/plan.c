// SPDX-License-Identifier: GPL-2.0
/*
 * The order of metadata writes. A plan is an iterator over steps; whoever has
 * a file executes them. Sectors written between two barriers may become durable
 * in any order and any subset, and every such state must be a valid image in
 * which each sector is old or new.
 */
#include "vhd_format.h"

#define VHD_ENTRIES_SHIFT	7	/* BAT entries in a sector */

enum { COMMIT_NEW_BITMAPS, COMMIT_DATA, COMMIT_BAT, COMMIT_BITMAPS, COMMIT_LINKS, COMMIT_END };

static void vhd_plan_init(struct vhd_plan *p, enum vhd_plan_kind kind,
			  u64 old_end, u64 new_end)
{
	*p = (struct vhd_plan){ .kind = kind, .old_end = old_end, .new_end = new_end };
}

/**
 * vhd_plan_commit() - make changed metadata durable
 * @p:		plan to start
 * @l:		layout of the image; must outlive the plan
 * @change:	what changes, sorted by block, each block once; must outlive the plan
 * @nr:		number of changes
 *
 * Bitmaps of new blocks, barrier, then BAT sectors and bitmaps of old blocks,
 * barrier. The first barrier makes data durable before the bit that shows them, and
 * a new block before the entry that shows it; it comes also if nothing changes,
 * for overwritten data. Steps of the second group do not depend on each other.
 *
 * Context: Any.
 */
void vhd_plan_commit(struct vhd_plan *p, const struct vhd_layout *l,
		     const struct vhd_change *change, u32 nr)
{
	vhd_plan_init(p, VHD_PLAN_COMMIT, 0, 0);
	p->layout = l;
	p->change = change;
	p->nr = nr;
}

/**
 * vhd_plan_extend() - move the end of the file out
 * @p:			plan to start
 * @old_end_sect:	EOF in sectors
 * @new_end_sect:	EOF afterwards, at least 4 KiB above @old_end_sect: whoever
 *			writes the footer may write zeros before it in its page
 *
 * Space, footer at the new end, barrier, zeros over the old footer: so a footer
 * is at EOF after any crash. The footer is the only write that moves EOF. The
 * space may be used when the plan has ended; its old footer sector is zero only
 * after the next barrier, which every commit has before it shows a block.
 *
 * Context: Any.
 */
void vhd_plan_extend(struct vhd_plan *p, u64 old_end_sect, u64 new_end_sect)
{
	vhd_plan_init(p, VHD_PLAN_EXTEND, old_end_sect, new_end_sect);
}

/**
 * vhd_plan_trim() - move the end of the file in
 * @p:			plan to start
 * @old_end_sect:	EOF in sectors
 * @new_end_sect:	EOF afterwards, not above @old_end_sect; nothing durable
 *			uses the sectors from the one before it on
 *
 * Context: Any.
 */
void vhd_plan_trim(struct vhd_plan *p, u64 old_end_sect, u64 new_end_sect)
{
	vhd_plan_init(p, VHD_PLAN_TRIM, old_end_sect, new_end_sect);
}

/**
 * vhd_plan_footers() - write both footers, one durable before the other
 * @p:		plan to start
 * @end_sect:	sector of the footer at the end
 * @end:	write that one
 * @copy:	write the copy at 0
 *
 * A footer that a power cut tears must leave the other: where the copy is the bad
 * one, ask for it alone.
 *
 * Context: Any.
 */
void vhd_plan_footers(struct vhd_plan *p, u64 end_sect, bool end, bool copy)
{
	vhd_plan_init(p, VHD_PLAN_FOOTERS, 0, end_sect + 1);
	p->end_footer = end;
	p->copy_footer = copy;
}

/**
 * vhd_plan_move_footer() - move the end footer off the data of a block
 * @p:			plan to start
 * @old_end_sect:	EOF in sectors; the footer before it lies on a block
 * @new_end_sect:	EOF afterwards, behind that block
 *
 * Zeros over the footer, barrier, footer at the new end, barrier. Until then the
 * copy at 0, which must be right, is the only one, and the block goes on being cut:
 * a footer behind it would show the old one as data.
 *
 * Context: Any.
 */
void vhd_plan_move_footer(struct vhd_plan *p, u64 old_end_sect, u64 new_end_sect)
{
	vhd_plan_init(p, VHD_PLAN_MOVE, old_end_sect, new_end_sect);
}

static bool vhd_step_is(struct vhd_step *step, enum vhd_step_kind kind, u64 sect, u64 nr)
{
	*step = (struct vhd_step){
		.kind = kind, .sect = sect, .nr = min_t(u64, nr, ~0U)
	};
	return true;
}

static bool vhd_step_barrier(struct vhd_step *step)
{
	return vhd_step_is(step, VHD_STEP_BARRIER, 0, 0);
}

static bool vhd_next_bitmap(struct vhd_plan *p, struct vhd_step *step, u32 new)
{
	const struct vhd_change *c;

	while (p->pos < p->nr) {
		c = &p->change[p->pos++];
		if (!(c->flags & VHD_CHANGE_BITMAP) || (c->flags & VHD_CHANGE_NEW) != new)
			continue;
		vhd_step_is(step, VHD_STEP_BITMAP, (u64)c->entry + c->bitmap_first,
			    c->bitmap_nr);
		step->first = p->pos - 1;
		return true;
	}
	return false;
}

/* One step for all changes whose entries share a BAT sector. */
static bool vhd_next_bat(struct vhd_plan *p, struct vhd_step *step)
{
	u32 first, sect;

	while (p->pos < p->nr && !(p->change[p->pos].flags & VHD_CHANGE_BAT))
		p->pos++;
	if (p->pos == p->nr)
		return false;
	first = p->pos;
	sect = p->change[first].block >> VHD_ENTRIES_SHIFT;
	while (p->pos < p->nr && p->change[p->pos].block >> VHD_ENTRIES_SHIFT == sect)
		p->pos++;
	vhd_step_is(step, VHD_STEP_BAT, p->layout->bat_sect + sect, p->pos - first);
	step->first = first;
	return true;
}

static bool vhd_plan_has_links(const struct vhd_plan *p)
{
	u32 i;

	for (i = 0; i < p->nr; i++)
		if (p->change[i].flags & VHD_CHANGE_BAT ||
		    (p->change[i].flags & (VHD_CHANGE_BITMAP | VHD_CHANGE_NEW)) ==
		    VHD_CHANGE_BITMAP)
			return true;
	return false;
}

/* true if the phase had a step left. */
static bool vhd_commit_phase(struct vhd_plan *p, struct vhd_step *step)
{
	switch (p->phase) {
	case COMMIT_NEW_BITMAPS:
		return vhd_next_bitmap(p, step, VHD_CHANGE_NEW);
	case COMMIT_BAT:
		return vhd_next_bat(p, step);
	case COMMIT_BITMAPS:
		return vhd_next_bitmap(p, step, 0);
	case COMMIT_LINKS:
		if (!vhd_plan_has_links(p))
			return false;
		break;
	}
	/* Both barriers: once each. */
	return !p->pos++ && vhd_step_barrier(step);
}

static bool vhd_next_commit(struct vhd_plan *p, struct vhd_step *step)
{
	while (p->phase < COMMIT_END) {
		if (vhd_commit_phase(p, step))
			return true;
		p->phase++;
		p->pos = 0;
	}
	return false;
}

static bool vhd_next_extend(struct vhd_plan *p, struct vhd_step *step)
{
	switch (p->phase++) {
	case 0:
		return vhd_step_is(step, VHD_STEP_RESERVE, p->old_end,
				   p->new_end - p->old_end);
	case 1:
		return vhd_step_is(step, VHD_STEP_FOOTER, p->new_end - 1, 1);
	case 2:
		return vhd_step_barrier(step);
	case 3:
		return vhd_step_is(step, VHD_STEP_ZERO, p->old_end - 1, 1);
	}
	return false;
}

static bool vhd_next_trim(struct vhd_plan *p, struct vhd_step *step)
{
	if (p->phase == 2 && p->new_end == p->old_end)
		return false;
	switch (p->phase++) {
	case 0:
		return vhd_step_is(step, VHD_STEP_FOOTER, p->new_end - 1, 1);
	case 1:
	case 3:
		return vhd_step_barrier(step);
	case 2:
		return vhd_step_is(step, VHD_STEP_TRUNCATE, p->new_end, 0);
	}
	return false;
}

static bool vhd_next_footers(struct vhd_plan *p, struct vhd_step *step)
{
	if (p->phase == 0 && !p->end_footer)
		p->phase = 2;
	if (p->phase == 2 && !p->copy_footer)
		p->phase = 4;
	switch (p->phase++) {
	case 0:
		return vhd_step_is(step, VHD_STEP_FOOTER, p->new_end - 1, 1);
	case 1:
	case 3:
		return vhd_step_barrier(step);
	case 2:
		return vhd_step_is(step, VHD_STEP_FOOTER_COPY, 0, 1);
	}
	return false;
}

static bool vhd_next_move(struct vhd_plan *p, struct vhd_step *step)
{
	switch (p->phase++) {
	case 0:
		return vhd_step_is(step, VHD_STEP_ZERO, p->old_end - 1, 1);
	case 2:
		return vhd_step_is(step, VHD_STEP_FOOTER, p->new_end - 1, 1);
	case 1:
	case 3:
		return vhd_step_barrier(step);
	}
	return false;
}

/**
 * vhd_plan_next() - the next step of a plan
 * @p:		a started plan
 * @step:	filled
 *
 * The step of a BAT sector covers changes without VHD_CHANGE_BAT too if they lie
 * between others: the executor takes the entries of those that have it.
 *
 * Context: Any.
 * Return: false when the plan has ended; @step is untouched then.
 */
bool vhd_plan_next(struct vhd_plan *p, struct vhd_step *step)
{
	switch (p->kind) {
	case VHD_PLAN_COMMIT:
		return vhd_next_commit(p, step);
	case VHD_PLAN_EXTEND:
		return vhd_next_extend(p, step);
	case VHD_PLAN_TRIM:
		return vhd_next_trim(p, step);
	case VHD_PLAN_FOOTERS:
		return vhd_next_footers(p, step);
	case VHD_PLAN_MOVE:
		return vhd_next_move(p, step);
	}
	return false;
}
