// SPDX-License-Identifier: GPL-2.0
/*
 * Moving a disk: several chunks are read and written at a time.
 *
 * Chunks are begun in the order of the disk, read in any order, placed again in
 * order - so the result does not depend on the timing, and a stream gets what it
 * must - and written in any order.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "sparse.h"

#define NR_SLOTS	16u
#define RING_ENTRIES	256u
/* Zeros that are worth a hole between data. */
#define LEAST_HOLE	(32u << 10)
#define MOST_OPS	(CONVERT_CHUNK / VHD_SECTOR_SIZE)
/* Zeros at a time, so that there is something to say of the progress. */
#define MOST_ZEROS	(1ULL << 30)

struct slot;

/**
 * struct op - one read or write under way
 * @slot:	whose it is
 * @write:	direction
 * @buffered:	through the page cache, though it could go around it
 * @layer:	file of the source that is read
 * @buf:	memory
 * @len:	bytes still to go
 * @pos:	position in the file
 */
struct op {
	struct slot *slot;
	bool write;
	bool buffered;
	unsigned int layer;
	u8 *buf;
	u32 len;
	u64 pos;
};

/**
 * struct slot - one chunk on its way
 * @buf:	CONVERT_CHUNK bytes; not used if @zero
 * @zero:	nothing but zeros, of any length
 * @pos:	byte of the disk
 * @len:	bytes
 * @op:		reads, then writes
 * @nr:		how many of @op are in use
 * @pending:	how many have not ended
 */
struct slot {
	u8 *buf;
	bool zero;
	u64 pos;
	u64 len;
	struct op *op;
	unsigned int nr;
	unsigned int pending;
};

/**
 * struct pumper - the state of a copy
 * @s:		from where
 * @t:		where to
 * @progress:	what is said of it
 * @ring:	I/Os under way, if there is one
 * @has_ring:	false where io_uring is forbidden or too old
 * @slot:	chunks under way
 * @memory:	of their buffers
 * @first:	number of the oldest chunk that is not placed
 * @next:	number of the next chunk; chunk n uses slot n % NR_SLOTS
 * @pos:	first byte that is in no chunk yet
 * @pending:	I/Os under way
 * @end:	everything has been begun
 * @error:	exit code of the first failure
 */
struct pumper {
	struct source *s;
	struct target *t;
	struct progress progress;
	struct io_uring ring;
	bool has_ring;
	struct slot slot[NR_SLOTS];
	u8 *memory;
	u64 first;
	u64 next;
	u64 pos;
	unsigned int pending;
	bool end;
	int error;
};

static sig_atomic_t interrupted;

static void on_signal(int number)
{
	__atomic_store_n(&interrupted, number, __ATOMIC_RELAXED);
}

static bool is_interrupted(void)
{
	return __atomic_load_n(&interrupted, __ATOMIC_RELAXED);
}

/* Unless it is ignored already: nohup(1). */
static void catch(int number)
{
	struct sigaction old, act = { .sa_handler = on_signal };

	if (!sigaction(number, NULL, &old) && old.sa_handler == SIG_DFL)
		sigaction(number, &act, NULL);
}

static void fail(struct pumper *p, int exit_code)
{
	if (!p->error)
		p->error = exit_code;
	p->end = true;
}

static void fail_op(struct pumper *p, const struct op *op, int err)
{
	if (p->error)
		return;
	fail(p, op->write ? target_fail(p->t, err) : source_fail(p->s, op->layer, err));
}

static int fd_of(const struct pumper *p, const struct op *op)
{
	const struct direct_fd *d = op->write ? &p->t->direct : &p->s->direct[op->layer];

	if (!op->buffered && direct_fits(d, op->buf, op->len, op->pos))
		return d->fd;
	return op->write ? p->t->fd : p->s->chain.layer[op->layer]->fd;
}

static void end_op(struct pumper *p, struct op *op, int res);

/* Without a ring, where io_uring is forbidden or too old: one after the other. */
static void run_op(struct pumper *p, struct op *op)
{
	int fd = fd_of(p, op);
	ssize_t n = op->write ? pwrite(fd, op->buf, op->len, op->pos) :
				pread(fd, op->buf, op->len, op->pos);

	end_op(p, op, n < 0 ? -errno : n);
}

static void begin_op(struct pumper *p, struct op *op)
{
	struct io_uring_sqe *sqe;

	if (!p->has_ring) {
		run_op(p, op);
		return;
	}
	sqe = io_uring_get_sqe(&p->ring);
	while (!sqe) {
		io_uring_submit(&p->ring);
		sqe = io_uring_get_sqe(&p->ring);
	}
	if (op->write)
		io_uring_prep_write(sqe, fd_of(p, op), op->buf, op->len, op->pos);
	else
		io_uring_prep_read(sqe, fd_of(p, op), op->buf, op->len, op->pos);
	io_uring_sqe_set_data(sqe, op);
}

static void add_op(struct pumper *p, struct slot *s, const struct op *what)
{
	struct op *op = &s->op[s->nr++];

	*op = *what;
	op->slot = s;
	s->pending++;
	p->pending++;
	begin_op(p, op);
}

/* Only the last sector of a raw disk may be cut. */
static bool is_cut(const struct pumper *p, const struct op *op)
{
	const struct image *img = p->s->chain.layer[op->layer];

	return !op->write && img->raw && op->pos >= img->size && op->len < VHD_SECTOR_SIZE;
}

/* True if it is over, well or not. */
static bool is_over(struct pumper *p, struct op *op, int res)
{
	bool again = res == -EINTR || res == -EAGAIN;

	/* A file system that wants more of direct I/O than it says. */
	if (res == -EINVAL && !op->buffered) {
		op->buffered = true;
		again = true;
	}
	if (again && !p->error)
		return false;
	if (!res && is_cut(p, op)) {
		memset(op->buf, 0, op->len);
		return true;
	}
	if (res <= 0) {
		fail_op(p, op, res ? res : op->write ? -EIO : -ENODATA);
		return true;
	}
	op->buf += res;
	op->pos += res;
	op->len -= res;
	return !op->len || p->error;
}

static void end_op(struct pumper *p, struct op *op, int res)
{
	if (!is_over(p, op, res)) {
		begin_op(p, op);
		return;
	}
	op->slot->pending--;
	p->pending--;
}

/* Zeros, up to the last whole page of them. */
static int zero_run(struct pumper *p, struct slot *s)
{
	u64 end = p->pos, limit = min_t(u64, p->s->size, p->pos + MOST_ZEROS);
	struct source_run run;
	int ret;

	while (end < limit) {
		ret = source_run(p->s, end, limit, &run);
		if (ret)
			return ret;
		if (!run.zero)
			break;
		end += run.len;
	}
	if (end < p->s->size)
		end &= ~(CONVERT_PAGE - 1ULL);
	s->zero = end > p->pos;
	s->len = s->zero ? end - p->pos : 0;
	return VHDCTL_OK;
}

static int read_chunk(struct pumper *p, struct slot *s)
{
	u64 chunk = p->t->chunk;
	u64 end = min_t(u64, p->s->size, (p->pos / chunk + 1) * chunk), at;
	struct source_run run;
	int ret;

	s->len = end - p->pos;
	for (at = p->pos; at < end; at += run.len) {
		struct op op = { .buf = s->buf + (at - p->pos) };

		ret = source_run(p->s, at, end, &run);
		if (ret)
			return ret;
		if (run.zero) {
			memset(op.buf, 0, run.len);
			continue;
		}
		op.layer = run.layer;
		op.pos = run.pos;
		op.len = run.len;
		add_op(p, s, &op);
	}
	return VHDCTL_OK;
}

/* Standard input: read() gives what there is, and 0 at the end. */
static int read_stream(struct pumper *p, struct slot *s)
{
	ssize_t n = 1;

	while (s->len < CONVERT_CHUNK && n && !is_interrupted()) {
		n = read(STDIN_FILENO, s->buf + s->len, CONVERT_CHUNK - s->len);
		if (n < 0 && errno != EINTR)
			return source_fail(p->s, 0, errno);
		s->len += max_t(ssize_t, n, 0);
	}
	if (n)
		return VHDCTL_OK;
	p->end = true;
	if (s->len % VHD_SECTOR_SIZE) {
		msg_warning("%s: not a whole number of sectors; zeros fill the last one",
			    p->s->path);
		memset(s->buf + s->len, 0, VHD_SECTOR_SIZE - s->len % VHD_SECTOR_SIZE);
		s->len += VHD_SECTOR_SIZE - s->len % VHD_SECTOR_SIZE;
	}
	p->s->size = p->pos + s->len;
	return VHDCTL_OK;
}

static int begin_chunk(struct pumper *p, struct slot *s)
{
	int ret;

	s->pos = p->pos;
	s->len = 0;
	s->nr = 0;
	s->zero = false;
	if (p->s->stream)
		return read_stream(p, s);
	ret = zero_run(p, s);
	if (!ret && !s->zero)
		ret = read_chunk(p, s);
	return ret;
}

static void begin_chunks(struct pumper *p)
{
	struct slot *s = &p->slot[p->next % NR_SLOTS];
	int ret;

	while (!p->end && !is_interrupted() && !s->pending && p->next - p->first < NR_SLOTS) {
		ret = begin_chunk(p, s);
		if (ret)
			fail(p, ret);
		p->pos += s->len;
		p->next++;
		if (!p->s->stream && p->pos >= p->s->size)
			p->end = true;
		s = &p->slot[p->next % NR_SLOTS];
		/* What a stream gave can be written while we wait for more. */
		if (p->s->stream)
			break;
	}
}

/* Where a run of pages that are zeros, or that are not, ends. */
static u64 page_run(const struct slot *s, u64 at, bool *zero)
{
	u64 end = at;
	bool this;

	while (end < s->len) {
		u64 len = min_t(u64, CONVERT_PAGE, s->len - end);

		this = is_zero(s->buf + end, len);
		if (end != at && this != *zero)
			break;
		*zero = this;
		end += len;
	}
	return end;
}

static int write_data(struct pumper *p, struct slot *s, u64 from, u64 to)
{
	struct op op = { .write = true, .buf = s->buf + from, .len = to - from };
	int ret = target_place(p->t, s->pos + from, &op.pos);

	p->t->written += op.len;
	if (!ret)
		add_op(p, s, &op);
	return ret;
}

/* Each stretch between holes that are worth it. */
static int write_pieces(struct pumper *p, struct slot *s)
{
	u64 at, end, from = 0, to = 0;
	int ret = VHDCTL_OK;
	bool zero = false;

	for (at = 0; !ret && at < s->len; at = end) {
		end = page_run(s, at, &zero);
		if (zero)
			continue;
		if (to && at - to >= LEAST_HOLE)
			ret = write_data(p, s, from, to);
		if (!to || at - to >= LEAST_HOLE)
			from = at;
		to = end;
	}
	return ret || !to ? ret : write_data(p, s, from, to);
}

static int write_device(struct pumper *p, struct slot *s)
{
	if (is_zero(s->buf, s->len))
		return target_zero(p->t, s->pos, s->len);
	if (!s->pos) {
		p->t->written += s->len;
		return target_hold(p->t, s->buf, s->len);
	}
	return write_data(p, s, 0, s->len);
}

static int place(struct pumper *p, struct slot *s)
{
	s->nr = 0;
	if (!s->len)
		return VHDCTL_OK;
	if (p->t->kind == TARGET_STREAM)
		p->t->written += s->len;
	if (s->zero)
		return target_zero(p->t, s->pos, s->len);
	switch (p->t->kind) {
	case TARGET_STREAM:
		return target_write(p->t, s->buf, s->len, s->pos);
	case TARGET_DEVICE:
		return write_device(p, s);
	default:
		return write_pieces(p, s);
	}
}

static void place_chunks(struct pumper *p)
{
	while (!p->error && p->first < p->next) {
		struct slot *s = &p->slot[p->first % NR_SLOTS];
		int ret;

		if (s->pending)
			return;
		ret = place(p, s);
		if (ret)
			fail(p, ret);
		p->first++;
		progress_show(&p->progress, s->pos + s->len, p->s->stream ? 0 : p->s->size);
	}
}

static void reap(struct pumper *p, bool wait)
{
	struct io_uring_cqe *cqe;
	struct op *op;
	int res;

	if (!p->has_ring)
		return;
	io_uring_submit_and_wait(&p->ring, wait);
	while (!io_uring_peek_cqe(&p->ring, &cqe)) {
		op = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&p->ring, cqe);
		end_op(p, op, res);
	}
}

static void run(struct pumper *p)
{
	while (!p->end || p->pending || (!p->error && p->first < p->next)) {
		if (is_interrupted() && !p->error) {
			msg_error("interrupted");
			fail(p, VHDCTL_ERROR);
		}
		begin_chunks(p);
		place_chunks(p);
		/* There may be more to begin or to place without waiting. */
		reap(p, p->pending && (p->end || p->slot[p->next % NR_SLOTS].pending ||
				       p->next - p->first == NR_SLOTS));
	}
}

/* So many the kernel allows (IORING_MAX_CQ_ENTRIES). */
static_assert(NR_SLOTS * MOST_OPS <= 65536);

/* Room for the ends of all that can be under way, so that none is ever waited for. */
static void open_ring(struct pumper *p)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE,
		.cq_entries = NR_SLOTS * MOST_OPS,
	};

	p->has_ring = !io_uring_queue_init_params(RING_ENTRIES, &p->ring, &params);
}

static int allocate(struct pumper *p)
{
	unsigned int i;

	p->memory = aligned_alloc(CONVERT_PAGE, (size_t)NR_SLOTS * CONVERT_CHUNK);
	for (i = 0; i < NR_SLOTS; i++) {
		p->slot[i].buf = p->memory + (size_t)i * CONVERT_CHUNK;
		p->slot[i].op = calloc(MOST_OPS, sizeof(*p->slot[i].op));
		if (!p->memory || !p->slot[i].op)
			return target_fail(p->t, ENOMEM);
	}
	return VHDCTL_OK;
}

static void release(struct pumper *p)
{
	unsigned int i;

	if (p->has_ring)
		io_uring_queue_exit(&p->ring);
	for (i = 0; i < NR_SLOTS; i++)
		free(p->slot[i].op);
	free(p->memory);
	free(p);
}

/**
 * pump() - copy a disk
 * @s:		open source
 * @t:		open target, large enough
 * @progress:	say on standard error how far it is
 *
 * SIGINT, SIGTERM and SIGHUP end it early, as a failure.
 *
 * Return: VHDCTL_OK, or another exit code after a message; nothing is under way
 * any more, and nothing is durable yet.
 */
int pump(struct source *s, struct target *t, bool progress)
{
	struct pumper *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return target_fail(t, ENOMEM);
	p->s = s;
	p->t = t;
	p->end = !s->stream && !s->size;
	catch(SIGINT);
	catch(SIGTERM);
	catch(SIGHUP);
	ret = allocate(p);
	if (!ret) {
		open_ring(p);
		progress_start(&p->progress, progress);
		run(p);
		ret = p->error;
	}
	if (!ret)
		progress_end(&p->progress, p->pos);
	release(p);
	return ret;
}
