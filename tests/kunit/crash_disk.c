// SPDX-License-Identifier: GPL-2.0
/* The disk: what is durable, what is on its way, and what a crash leaves. */
#include "crash_model.h"

#define HASH_SIZE	(1u << CM_HASH_SHIFT)
#define TORN_AT		32	/* bytes of a torn write that are new */
#define TORN_BUFFER	(CM_BUFFER | CM_BUFFERS)

static const u64 zeros[CM_SECTOR_WORDS];
static const u64 garbage[CM_SECTOR_WORDS] = {
	[0 ... CM_SECTOR_WORDS - 1] = 0xccccccccccccccccULL
};

static u32 new_cell(struct cm *m, u32 sect)
{
	struct cm_disk *d = &m->disk;
	u32 cell = d->nr_cells;

	if (cell == CM_CELLS) {
		cm_break(m, "the model has too few cells");
		return 0;
	}
	d->nr_cells++;
	d->sect[cell] = sect;
	d->now[cell] = sect < d->garbage_end ? CM_GARBAGE : CM_ZERO;
	m->scratch[cell] = d->now[cell];
	return cell;
}

/* The cell of a sector, which from now on exists. */
u32 cm_cell(struct cm *m, u32 sect)
{
	u16 *hash = m->disk.hash;
	u32 at = (sect * 2654435761U) >> (32 - CM_HASH_SHIFT);

	while (hash[at] && m->disk.sect[hash[at] - 1] != sect)
		at = (at + 1) % HASH_SIZE;
	if (!hash[at])
		hash[at] = new_cell(m, sect) + 1;
	return hash[at] - 1;
}

/* A sector as metadata; what is none reads as nonsense. */
const u8 *cm_bytes(const struct cm *m, cm_value value)
{
	u32 index = value & ~CM_BUFFER;

	if (value == CM_ZERO)
		return (const u8 *)zeros;
	if (!(value & CM_BUFFER))
		return (const u8 *)garbage;
	if (index < CM_BUFFERS)
		return (const u8 *)m->disk.buffer[index];
	return (const u8 *)m->torn[index - CM_BUFFERS];
}

/* Forgets the buffers that no cell and no operation refers to. */
static void sweep_buffers(struct cm *m, bool *used)
{
	struct cm_disk *d = &m->disk;
	u32 i;

	memset(used, 0, CM_BUFFERS);
	used[0] = true;
	for (i = 0; i < d->nr_cells; i++)
		if (d->now[i] & CM_BUFFER)
			used[d->now[i] & ~CM_BUFFER] = true;
	for (i = 0; i < d->nr_ops; i++)
		if (d->op[i].value & CM_BUFFER)
			used[d->op[i].value & ~CM_BUFFER] = true;
}

/* Room for a sector of metadata. */
u8 *cm_buffer(struct cm *m, cm_value *value)
{
	struct cm_disk *d = &m->disk;
	u32 i = d->next_buffer, tries;

	for (tries = 0; tries <= CM_BUFFERS; tries++, i++) {
		if (i == CM_BUFFERS) {
			sweep_buffers(m, d->used);
			i = 0;
		}
		if (!d->used[i])
			break;
	}
	if (tries > CM_BUFFERS)
		cm_break(m, "the model has too few buffers");
	i %= CM_BUFFERS;
	d->used[i] = true;
	d->next_buffer = i + 1;
	*value = CM_BUFFER | i;
	return (u8 *)d->buffer[i];
}

/* Before the model runs, or while its power is off. */
void cm_put(struct cm *m, u32 sect, cm_value value)
{
	m->disk.now[cm_cell(m, sect)] = value;
}

void cm_put_bytes(struct cm *m, u32 sect, const void *data)
{
	cm_value value;

	memcpy(cm_buffer(m, &value), data, VHD_SECTOR_SIZE);
	cm_put(m, sect, value);
}

static struct cm_op *new_op(struct cm *m, enum cm_thread thread, u32 sect)
{
	struct cm_disk *d = &m->disk;

	if (d->nr_ops == CM_OPS) {
		cm_break(m, "the model has too few operations");
		d->nr_ops = 0;
	}
	d->op[d->nr_ops] = (struct cm_op){
		.id = m->next_id++, .sect = sect, .cell = cm_cell(m, sect), .thread = thread,
	};
	return &d->op[d->nr_ops++];
}

/* @done: whoever writes has been told that it is written, though not durable. */
void cm_write(struct cm *m, enum cm_thread thread, u32 sect, cm_value value, bool done)
{
	struct cm_op *op = new_op(m, thread, sect);

	op->value = value;
	op->done = done;
}

void cm_write_bytes(struct cm *m, enum cm_thread thread, u32 sect, const void *data)
{
	cm_value value;

	memcpy(cm_buffer(m, &value), data, VHD_SECTOR_SIZE);
	cm_write(m, thread, sect, value, false);
}

void cm_truncate(struct cm *m, enum cm_thread thread, u32 sect)
{
	struct cm_op *op = new_op(m, thread, sect);

	op->truncate = true;
	op->done = true;
}

static void apply(const struct cm *m, cm_value *cells, u32 *eof, const struct cm_op *op)
{
	u32 i;

	if (!op->truncate) {
		cells[op->cell] = op->value;
		*eof = max_t(u32, *eof, op->sect + 1);
		return;
	}
	for (i = 0; i < m->disk.nr_cells; i++)
		if (m->disk.sect[i] >= op->sect)
			cells[i] = CM_ZERO;
	*eof = op->sect;
}

static void apply_torn(struct cm *m, u32 nr)
{
	const struct cm_op *op = &m->disk.op[nr];
	u8 *data = (u8 *)m->torn[nr];
	struct cm_op torn = *op;

	memcpy(data, cm_bytes(m, op->value), TORN_AT);
	memcpy(data + TORN_AT, cm_bytes(m, m->scratch[op->cell]) + TORN_AT,
	       VHD_SECTOR_SIZE - TORN_AT);
	torn.value = TORN_BUFFER + nr;
	apply(m, m->scratch, &m->scratch_eof, &torn);
}

static void begin_state(struct cm *m)
{
	memcpy(m->scratch, m->disk.now, m->disk.nr_cells * sizeof(*m->scratch));
	m->scratch_eof = m->disk.eof;
}

static void end_state(struct cm *m, bool structural)
{
	m->states++;
	cm_judge(m, structural);
	if (m->p.sample)
		m->p.sample(m);
}

/* A crash that loses exactly some of the sectors under way. */
static void try_loss(struct cm *m, const bool *lost, bool structural)
{
	u32 i;

	begin_state(m);
	for (i = 0; i < m->disk.nr_ops; i++)
		if (!lost[i])
			apply(m, m->scratch, &m->scratch_eof, &m->disk.op[i]);
	end_state(m, structural);
}

static void crash_exhaustive(struct cm *m, bool structural)
{
	u32 nr = m->disk.nr_ops, mask, i;
	bool lost[32] = { false };

	for (mask = 0; mask < 1U << nr && !m->bad; mask++) {
		for (i = 0; i < nr; i++)
			lost[i] = mask >> i & 1;
		try_loss(m, lost, structural);
	}
}

/* All but one, all but two, only one, only two; then random subsets. */
static void crash_sampled(struct cm *m, bool structural)
{
	u32 nr = m->disk.nr_ops, i, j, invert, round;
	bool lost[CM_OPS];

	for (i = 0; i < nr; i++) {
		for (j = 0; j <= i; j++) {
			for (invert = 0; invert < 2 && !m->bad; invert++) {
				memset(lost, invert, sizeof(lost));
				lost[i] = !invert;
				lost[j] = !invert;
				try_loss(m, lost, structural);
			}
		}
	}
	for (round = 0; round < m->p.random_subsets && !m->bad; round++) {
		for (i = 0; i < nr; i++)
			lost[i] = cm_random(m, 2);
		try_loss(m, lost, structural);
	}
}

/* Each write lost, torn or whole; for the few writes of footers. */
static void crash_torn(struct cm *m)
{
	u32 states = 1, state, rest, i;

	for (i = 0; i < m->disk.nr_ops; i++)
		states *= 3;
	for (state = 0; state < states && !m->bad; state++) {
		begin_state(m);
		for (i = 0, rest = state; i < m->disk.nr_ops; i++, rest /= 3) {
			if (rest % 3 == 2)
				apply_torn(m, i);
			else if (rest % 3)
				apply(m, m->scratch, &m->scratch_eof, &m->disk.op[i]);
		}
		end_state(m, true);
	}
}

/* Does a crash now possibly change what the structures but the BAT look like. */
static bool op_is_structural(const struct cm *m, const struct cm_op *op)
{
	const struct vhd_layout *l = &m->layout;

	return op->truncate || op->sect + 1 >= m->disk.eof ||
	       op->sect + 1 == m->allowed_eof[0] || op->sect + 1 == m->allowed_eof[1] ||
	       (op->sect < l->meta_end &&
		(op->sect < l->bat_sect || op->sect >= l->bat_sect + l->bat_sects));
}

/* Tries the crashes that may happen now. */
void cm_crash(struct cm *m)
{
	bool structural = !m->disk.nr_ops || m->footers != CM_SETTLED || m->renewed;
	u32 i;

	if (m->bad)
		return;
	m->points++;
	for (i = 0; i < m->disk.nr_ops; i++)
		structural |= op_is_structural(m, &m->disk.op[i]);
	if (m->footers == CM_TEARING && m->disk.nr_ops <= CM_TORN) {
		crash_torn(m);
	} else if (m->disk.nr_ops <= m->p.every_subset) {
		crash_exhaustive(m, structural);
	} else {
		m->sampled_points++;
		crash_sampled(m, structural);
	}
}

static void settle(struct cm *m, const struct cm_op *op)
{
	struct cm_disk *d = &m->disk;

	apply(m, d->now, &d->eof, op);
	if (op->truncate)
		d->garbage_end = min_t(u32, d->garbage_end, op->sect);
}

/* The power is cut: each write that is under way happens or not. */
void cm_fall(struct cm *m)
{
	u32 i;

	for (i = 0; i < m->disk.nr_ops; i++)
		if (cm_random(m, 2))
			settle(m, &m->disk.op[i]);
	m->disk.nr_ops = 0;
}

/*
 * An fsync by one thread: its own writes have ended, and so have those that the
 * guest was told of. Of the other threads' writes some have.
 */
void cm_barrier(struct cm *m, enum cm_thread thread)
{
	struct cm_disk *d = &m->disk;
	u32 i, kept = 0;

	for (i = 0; i < d->nr_ops; i++)
		d->op[i].done |= d->op[i].thread == thread ||
				 (d->op[i].thread != CM_GUEST && cm_random(m, 2));
	cm_crash(m);
	for (i = 0; i < d->nr_ops; i++) {
		if (d->op[i].done)
			settle(m, &d->op[i]);
		else
			d->op[kept++] = d->op[i];
	}
	d->nr_ops = kept;
}
