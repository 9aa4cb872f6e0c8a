// SPDX-License-Identifier: GPL-2.0
/* Carries out the plans of format/plan.c, a step at a time, and lets some fail. */
#include "crash_model.h"

#define ENTRIES_PER_SECT	(VHD_SECTOR_SIZE / sizeof(__be32))

static void begin_run(struct cm *m, struct cm_run *run, struct vhd_plan *plan)
{
	run->kind = plan->kind;
	run->nr = 0;
	run->pos = 0;
	run->late = false;
	while (run->nr < CM_STEPS && vhd_plan_next(plan, &run->step[run->nr]))
		run->nr++;
	if (run->nr == CM_STEPS)
		cm_break(m, "the model's plan is too short");
	if (m->p.seen)
		cm_see_plan(m->p.seen, run);
	if (m->p.mutant)
		cm_mutate(m->p.mutant, run);
}

static void end_run(struct cm *m, const struct cm_run *run)
{
	if (!run->late)
		return;
	m->late = true;
	m->late_step = run->late_step;
}

/* One sector of a bitmap; the bits that nobody looks at are all set or all clear. */
void cm_bitmap_sector(struct cm *m, const struct cm_block *b, u32 index, u8 *data)
{
	u32 per_sect = 8 * VHD_SECTOR_SIZE, i;

	memset(data, b->full ? 0xff : 0, VHD_SECTOR_SIZE);
	for (i = 0; i < CM_OFFSETS; i++) {
		if (m->offset[i] / per_sect != index)
			continue;
		if (b->bits & 1u << i)
			vhd_bitmap_set(data, m->offset[i] % per_sect, 1);
		else
			vhd_bitmap_clear(data, m->offset[i] % per_sect, 1);
	}
}

static void write_bitmap(struct cm *m, const struct vhd_step *step)
{
	const struct vhd_change *c = &m->commit.change[step->first];
	const struct cm_block *b = &m->commit.frozen[m->commit.index[step->first]];
	u8 data[VHD_SECTOR_SIZE];
	u32 i;

	for (i = 0; i < step->nr; i++) {
		cm_bitmap_sector(m, b, c->bitmap_first + i, data);
		if (b->full && b->bits == 0xff)
			cm_write(m, CM_COMMIT, step->sect + i, CM_ONES, false);
		else
			cm_write_bytes(m, CM_COMMIT, step->sect + i, data);
	}
}

/* The sector as it was last written, with this plan's entries in it. */
static void write_bat(struct cm *m, const struct vhd_step *step)
{
	struct cm_commit *c = &m->commit;
	__be32 data[ENTRIES_PER_SECT];
	u32 first = (step->sect - m->layout.bat_sect) * ENTRIES_PER_SECT, i;

	for (i = step->first; i < step->first + step->nr; i++)
		if (c->change[i].flags & VHD_CHANGE_BAT)
			m->block[c->index[i]].durable = c->change[i].entry;
	memset(data, 0xff, sizeof(data));
	for (i = 0; i < CM_BLOCKS; i++)
		if (m->number[i] >= first && m->number[i] < first + ENTRIES_PER_SECT)
			data[m->number[i] - first] = cpu_to_be32(m->block[i].durable);
	cm_write_bytes(m, CM_COMMIT, step->sect, data);
}

/* A mutant's step may have been put behind this barrier. */
static void run_step(struct cm *m, enum cm_thread thread, const struct vhd_step *step)
{
	switch (step->kind) {
	case VHD_STEP_BITMAP:
		write_bitmap(m, step);
		break;
	case VHD_STEP_BAT:
		write_bat(m, step);
		break;
	/* Zeros before an extending footer are what is there behind EOF anyway. */
	case VHD_STEP_FOOTER:
	case VHD_STEP_FOOTER_COPY:
		cm_write_bytes(m, thread, step->sect, &m->footer);
		break;
	case VHD_STEP_ZERO:
		cm_write(m, thread, step->sect, CM_ZERO, true);
		break;
	case VHD_STEP_TRUNCATE:
		cm_truncate(m, thread, step->sect);
		break;
	case VHD_STEP_BARRIER:
		cm_barrier(m, thread);
		if (m->late) {
			m->late = false;
			run_step(m, thread, &m->late_step);
		}
		break;
	case VHD_STEP_RESERVE:
	case VHD_STEP_COPY:
	case VHD_STEP_NEW:
	case VHD_STEP_HEADER:
		break;
	}
}

/* Is this a write that its thread still waits for, and that may fail? */
static bool may_fail(const struct cm_op *op, enum cm_thread thread)
{
	return op->thread == thread && !op->done;
}

/*
 * A write since the last barrier has not happened: the host has no space. All others
 * have ended when the thread sees that.
 */
static bool lose_write(struct cm *m, enum cm_thread thread)
{
	struct cm_disk *d = &m->disk;
	u32 i, nr = 0, victim, kept = 0;

	for (i = 0; i < d->nr_ops; i++)
		nr += may_fail(&d->op[i], thread);
	if (!nr || cm_random(m, 20))
		return false;
	victim = cm_random(m, nr);
	for (i = 0, nr = 0; i < d->nr_ops; i++) {
		if (may_fail(&d->op[i], thread) && nr++ == victim)
			continue;
		d->op[kept] = d->op[i];
		d->op[kept++].done |= d->op[i].thread == thread;
	}
	d->nr_ops = kept;
	return true;
}

/**
 * cm_run_plan() - carry out a plan while nothing else happens
 * @m:		the model
 * @plan:	of footers or of the end of the file
 *
 * Return: false if the power was cut on the way.
 */
bool cm_run_plan(struct cm *m, struct vhd_plan *plan)
{
	struct cm_run *run = &m->reserve.run;

	for (begin_run(m, run, plan); run->pos < run->nr && !m->bad; run->pos++) {
		run_step(m, CM_RESERVE, &run->step[run->pos]);
		if (m->may_fall && !cm_random(m, 8)) {
			cm_crash(m);
			cm_fall(m);
			return false;
		}
	}
	end_run(m, run);
	return true;
}

static void take_change(struct cm *m, u32 b, bool entry, bool bits)
{
	struct cm_commit *c = &m->commit;
	struct cm_block *block = &m->block[b];
	bool used = block->entry != VHD_BAT_UNUSED;
	u32 flags = bits && used ? VHD_CHANGE_BITMAP : 0;

	if (entry)
		flags |= VHD_CHANGE_BAT;
	if (entry && used && block->entry != block->durable)
		flags |= VHD_CHANGE_NEW | VHD_CHANGE_BITMAP;
	block->dirty_entry &= !entry;
	block->dirty_bits &= !bits;
	c->frozen[b] = *block;
	if (!flags)
		return;
	c->index[c->nr] = b;
	c->bits[c->nr] = bits;
	c->change[c->nr++] = (struct vhd_change){
		.block = m->number[b], .entry = block->entry, .flags = flags,
		.bitmap_nr = flags & VHD_CHANGE_BITMAP ? m->layout.bitmap_sects : 0,
	};
}

/* The first of two plans leaves out some of what is dirty, as large commits do. */
static void begin_batch(struct cm *m)
{
	struct cm_commit *c = &m->commit;
	struct vhd_plan plan;
	bool entry, bits;
	u32 b;

	c->nr = 0;
	for (b = 0; b < CM_BLOCKS; b++) {
		entry = m->block[b].dirty_entry && (!c->more || cm_random(m, 2));
		bits = m->block[b].dirty_bits && (!c->more || cm_random(m, 2));
		take_change(m, b, entry, bits);
	}
	vhd_plan_commit(&plan, &m->layout, c->change, c->nr);
	begin_run(m, &c->run, &plan);
}

/**
 * cm_begin_commit() - make all that the guest was told is written survive
 * @m: the model, with no commit under way
 */
void cm_begin_commit(struct cm *m)
{
	struct cm_commit *c = &m->commit;
	u32 i;

	m->commits++;
	for (i = 0; i < CM_VSECTS; i++)
		c->covered[i] = m->history[i].done;
	c->active = true;
	c->more = !cm_random(m, 4);
	begin_batch(m);
}

/* From now on what the commit covered, or something later, must survive. */
static void acknowledge(struct cm *m)
{
	struct cm_history *h;
	u32 v, i, covered;

	for (v = 0; v < CM_VSECTS; v++) {
		h = &m->history[v];
		covered = m->commit.covered[v];
		for (i = covered; i < h->nr; i++)
			h->tag[i - covered] = h->tag[i];
		h->nr -= covered;
		h->done -= covered;
	}
}

static void end_commit(struct cm *m)
{
	u32 i;

	end_run(m, &m->commit.run);
	m->commit.active = false;
	acknowledge(m);
	cm_crash(m);
	for (i = 0; i < m->nr_slots; i++)
		if (m->slot[i].state == CM_PENDING && m->slot[i].freed_in < m->commits)
			m->slot[i].state = CM_FREE;
}

/* What was not written is as dirty as before. */
static void put_back(struct cm *m)
{
	struct cm_commit *c = &m->commit;
	struct cm_block *b;
	u32 i;

	for (i = 0; i < c->nr; i++) {
		b = &m->block[c->index[i]];
		b->dirty_entry |= c->change[i].flags & VHD_CHANGE_BAT;
		b->dirty_bits |= c->bits[i];
	}
	for (i = 0; i < m->nr_slots; i++)
		if (m->slot[i].state == CM_PENDING)
			m->slot[i].freed_in = m->commits;
	c->active = false;
}

/**
 * cm_commit_step() - the next step of a commit under way
 * @m: the model
 */
void cm_commit_step(struct cm *m)
{
	struct cm_commit *c = &m->commit;
	struct vhd_step *step = &c->run.step[c->run.pos];

	if (c->run.pos < c->run.nr) {
		c->run.pos++;
		if (step->kind == VHD_STEP_BARRIER && lose_write(m, CM_COMMIT))
			put_back(m);
		else
			run_step(m, CM_COMMIT, step);
	} else if (c->more) {
		c->more = false;
		begin_batch(m);
	} else {
		end_commit(m);
	}
}

/**
 * cm_begin_extension() - begin to move the end of the file out
 * @m: the model, with no extension under way
 *
 * Return: false if it cannot grow.
 */
bool cm_begin_extension(struct cm *m)
{
	struct cm_reserve *r = &m->reserve;
	u32 end = max_t(u32, m->next, m->end), stride = vhd_slot_stride(&m->layout);
	struct vhd_plan plan;

	if (m->device || m->nr_slots + 4 > CM_SLOTS)
		return false;
	r->new_end = vhd_layout_end_aligned(end + (2 + cm_random(m, 2)) * stride);
	m->allowed_eof[1] = r->new_end;
	vhd_plan_extend(&plan, m->end, r->new_end);
	begin_run(m, &r->run, &plan);
	r->active = true;
	return true;
}

static void end_extension(struct cm *m)
{
	end_run(m, &m->reserve.run);
	m->end = m->reserve.new_end;
	m->layout.end = m->end - 1;
	m->allowed_eof[0] = m->end;
	m->reserve.active = false;
	cm_crash(m);
}

/**
 * cm_extend_step() - the next step of an extension under way
 * @m: the model
 */
void cm_extend_step(struct cm *m)
{
	struct cm_reserve *r = &m->reserve;
	struct vhd_step *step = &r->run.step[r->run.pos];

	if (r->run.pos == r->run.nr) {
		end_extension(m);
		return;
	}
	r->run.pos++;
	if (step->kind != VHD_STEP_BARRIER || !lose_write(m, CM_RESERVE)) {
		run_step(m, CM_RESERVE, step);
		return;
	}
	/* The footer has found no space: the file is made as long as it was. */
	cm_truncate(m, CM_RESERVE, m->end);
	r->active = false;
	m->allowed_eof[1] = m->end;
}
