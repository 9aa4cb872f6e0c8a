// SPDX-License-Identifier: GPL-2.0
/* Plans over any set of changes: every change once, and on its side of the barrier. */
#include "fuzz.h"

#define CHANGES		48u
#define MAX_STEPS	1000u

struct commit {
	struct vhd_layout l;
	struct vhd_change change[CHANGES];
	u32 nr;
	u32 bat[CHANGES];	/* steps that write this change's entry */
	u32 bitmap[CHANGES];
	u32 barriers;
};

static void make_changes(struct fuzz_input *in, struct commit *c)
{
	u32 block = fuzz_u32(in) >> 8;

	c->l.bat_sect = fuzz_u8(in) + 1;
	c->l.bitmap_sects = fuzz_u8(in) % 8 + 1;
	c->nr = fuzz_u8(in) % (CHANGES + 1);
	for (u32 i = 0; i < c->nr; i++) {
		struct vhd_change *ch = &c->change[i];

		block += fuzz_u8(in) + 1;
		ch->block = block;
		ch->entry = fuzz_u32(in);
		ch->flags = fuzz_u8(in) & (VHD_CHANGE_BAT | VHD_CHANGE_BITMAP | VHD_CHANGE_NEW);
		ch->bitmap_first = fuzz_u8(in) % c->l.bitmap_sects;
		ch->bitmap_nr = c->l.bitmap_sects - ch->bitmap_first;
	}
}

static void note_bat(struct commit *c, const struct vhd_step *s)
{
	u64 sect;
	u32 i;

	MUST(c->barriers == 1 && s->nr && s->first + s->nr <= c->nr);
	for (i = s->first; i < s->first + s->nr; i++) {
		sect = c->l.bat_sect + c->change[i].block / 128;
		MUST(sect == s->sect);
		c->bat[i]++;
	}
}

static void note_bitmap(struct commit *c, const struct vhd_step *s)
{
	const struct vhd_change *ch = &c->change[s->first];

	MUST(s->first < c->nr && ch->flags & VHD_CHANGE_BITMAP);
	MUST(c->barriers == (ch->flags & VHD_CHANGE_NEW ? 0 : 1));
	MUST(s->sect == (u64)ch->entry + ch->bitmap_first && s->nr == ch->bitmap_nr);
	c->bitmap[s->first]++;
}

static void check_commit(struct fuzz_input *in)
{
	static struct commit commit;
	struct commit *c = &commit;
	struct vhd_plan p;
	struct vhd_step s;
	u32 i, steps = 0;

	memset(c, 0, sizeof(*c));
	make_changes(in, c);
	vhd_plan_commit(&p, &c->l, c->change, c->nr);
	while (vhd_plan_next(&p, &s)) {
		MUST(++steps < MAX_STEPS);
		MUST(c->barriers < 2);
		if (s.kind == VHD_STEP_BAT)
			note_bat(c, &s);
		else if (s.kind == VHD_STEP_BITMAP)
			note_bitmap(c, &s);
		else
			MUST(s.kind == VHD_STEP_BARRIER && ++c->barriers);
	}
	/* The last step is a barrier; one comes even if nothing changes. */
	MUST(c->barriers && s.kind == VHD_STEP_BARRIER);
	for (i = 0; i < c->nr; i++) {
		MUST(c->bat[i] <= 1 && (c->bat[i] || !(c->change[i].flags & VHD_CHANGE_BAT)));
		MUST(c->bitmap[i] == !!(c->change[i].flags & VHD_CHANGE_BITMAP));
	}
}

/* A footer is written, and durable, before what it replaces is gone. */
static void check_ends(struct vhd_plan *p, u64 old_end, u64 new_end)
{
	bool footer = false, durable = false;
	struct vhd_step s;
	u32 steps = 0;

	while (vhd_plan_next(p, &s)) {
		MUST(++steps < 8);
		if (s.kind == VHD_STEP_FOOTER) {
			MUST(s.sect == new_end - 1 && s.nr == 1);
			footer = true;
		}
		durable |= footer && s.kind == VHD_STEP_BARRIER;
		if (s.kind == VHD_STEP_ZERO)
			MUST(durable && s.sect == old_end - 1);
		if (s.kind == VHD_STEP_TRUNCATE)
			MUST(durable && s.sect == new_end);
		if (s.kind == VHD_STEP_FOOTER_COPY)
			MUST(durable == footer && !s.sect);
	}
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u64 low = (fuzz_u64(&in) >> 12) + 1, more = fuzz_u32(&in);
	u8 which = fuzz_u8(&in);
	struct vhd_plan p;

	vhd_plan_extend(&p, low, low + 8 + more);
	check_ends(&p, low, low + 8 + more);
	vhd_plan_trim(&p, low + more, low);
	check_ends(&p, low + more, low);
	vhd_plan_footers(&p, low, which & 1, which & 2);
	check_ends(&p, 0, low + 1);
	check_commit(&in);
	return 0;
}
