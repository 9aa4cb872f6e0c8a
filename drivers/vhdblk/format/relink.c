// SPDX-License-Identifier: GPL-2.0
/*
 * The order of writes that gives a child another parent while nobody else uses it. A
 * header has two sectors, and both change. So the new one is complete in a place of its
 * own, with the texts that it names, before a footer leads there. As in plan.c: between
 * two barriers any subset may become durable.
 */
#include "vhd_relink.h"

/**
 * vhd_relink_init() - replace the header
 * @p:		plan to start
 * @to:		where the new one goes; must outlive the plan
 *
 * Both footers lead to the new header afterwards, one durable before the other: some
 * programs trust the one at the end, others the copy. The old place is free then, and
 * a second plan may bring the header back to it.
 *
 * Context: Any.
 */
void vhd_relink_init(struct vhd_relink *p, const struct vhd_new_header *to)
{
	*p = (struct vhd_relink){ .to = to, .phase = to->text.sects ? 0 : 1 };
}

static bool vhd_relink_is(struct vhd_step *step, enum vhd_step_kind kind, u64 sect, u32 nr)
{
	*step = (struct vhd_step){ .kind = kind, .sect = sect, .nr = nr };
	return true;
}

/**
 * vhd_relink_next() - the next step
 * @p:		a started plan
 * @step:	filled; the footers are those that name the new header
 *
 * Context: Any.
 * Return: false when the plan has ended; @step is untouched then.
 */
bool vhd_relink_next(struct vhd_relink *p, struct vhd_step *step)
{
	const struct vhd_new_header *to = p->to;

	switch (p->phase++) {
	case 0:
		return vhd_relink_is(step, VHD_STEP_NEW, to->text.sect, to->text.sects);
	case 1:
		return vhd_relink_is(step, VHD_STEP_HEADER, to->header_sect,
				     VHD_HEADER_SECTS);
	case 2:
	case 4:
	case 6:
		return vhd_relink_is(step, VHD_STEP_BARRIER, 0, 0);
	case 3:
		return vhd_relink_is(step, VHD_STEP_FOOTER, to->footer_sect, 1);
	case 5:
		return vhd_relink_is(step, VHD_STEP_FOOTER_COPY, 0, 1);
	}
	return false;
}
