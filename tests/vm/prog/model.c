// SPDX-License-Identifier: GPL-2.0
/*
 * Random requests to a block device, against a model of it in memory.
 *
 * usage: model run [-s SEED] [-n OPS] [-b BLOCK] [-o EXPECT] INITIAL DEVICE
 *        model compare EXPECT FILE|DEVICE
 *
 * run loads the model from INITIAL, a raw image of the disk, then keeps up to
 * 16 requests in flight. They never overlap, so that the outcome depends on the
 * seed alone, but half of them walk through neighbouring sectors of one block.
 * Every read is compared as it completes, the whole disk at the end, and the
 * model goes to EXPECT: the sectors, then one byte of state for each.
 *
 * After DISCARD a sector may read as before or as zeros until it is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <vhd_platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "model.h"

#define IN_FLIGHT 16
/* Give up after that many wrong sectors: they rarely come alone. */
#define MAX_COMPLAINTS 10
#define MAX_SECTS (MODEL_MAX_BYTES / MODEL_SECTOR)
#define COMPARE_BYTES (256u << 10)

static const char *const op_name[] = {
	"read", "write", "fua", "flush", "discard", "zeroout", "punch", "zero-range",
};

struct slot {
	struct op op;
	bool busy;
	bool todo;
	pthread_t thread;
	void *buf;
};

static struct run {
	int fd;
	u64 seed;
	struct model model;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot slot[IN_FLIGHT];
	bool stop;
	unsigned int complaints;
	unsigned int in_flight;
	unsigned int peak;
	unsigned long count[OP_KINDS];
	unsigned long sectors[OP_KINDS];
} run = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

static void complain(const char *format, ...)
{
	va_list args;

	if (__atomic_add_fetch(&run.complaints, 1, __ATOMIC_RELAXED) >
	    MAX_COMPLAINTS)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

static void show_sector(const char *who, const u8 *p)
{
	static const u8 zero[MODEL_SECTOR];

	if (!memcmp(p, zero, MODEL_SECTOR))
		complain("  %s: zeros\n", who);
	else
		complain("  %s: %.60s\n", who, (const char *)p);
}

static unsigned int first_difference(const u8 *a, const u8 *b)
{
	unsigned int i = 0;

	while (i < MODEL_SECTOR && a[i] == b[i])
		i++;
	return i;
}

static bool compare_sectors(const struct model *m, u64 first, u64 nr,
			    const u8 *got, const char *when)
{
	u64 i, bad = 0;

	for (i = 0; i < nr; i++) {
		if (model_accepts(m, first + i, got + i * MODEL_SECTOR))
			continue;
		if (!bad++) {
			complain("model: %s: sector %llu is wrong from byte %u\n",
				 when, (unsigned long long)(first + i),
				 first_difference(got + i * MODEL_SECTOR,
						  model_sector(m, first + i)));
			show_sector("have", got + i * MODEL_SECTOR);
			show_sector("want", model_sector(m, first + i));
		}
	}
	if (bad)
		complain("  %llu sectors in all\n", (unsigned long long)bad);
	return !bad;
}

static int do_transfer(const struct op *op, void *buf)
{
	struct iovec iov = { buf, op->nr * MODEL_SECTOR };
	off_t pos = op->first * MODEL_SECTOR;
	ssize_t n;

	if (op->kind == OP_READ)
		n = preadv2(run.fd, &iov, 1, pos, 0);
	else
		n = pwritev2(run.fd, &iov, 1, pos,
			     op->kind == OP_FUA ? RWF_DSYNC : 0);
	if (n >= 0 && (size_t)n != iov.iov_len)
		errno = EIO;
	return n == (ssize_t)iov.iov_len ? 0 : -errno;
}

static int do_range(const struct op *op, unsigned long request)
{
	u64 range[2] = { op->first * MODEL_SECTOR, op->nr * MODEL_SECTOR };

	return ioctl(run.fd, request, range) ? -errno : 0;
}

static int do_fallocate(const struct op *op, int mode)
{
	int err = fallocate(run.fd, mode, op->first * MODEL_SECTOR,
			    op->nr * MODEL_SECTOR);

	return err ? -errno : 0;
}

static int do_op(const struct op *op, void *buf)
{
	switch (op->kind) {
	case OP_FLUSH:
		return fdatasync(run.fd) ? -errno : 0;
	case OP_DISCARD:
		return do_range(op, BLKDISCARD);
	case OP_ZEROOUT:
		return do_range(op, BLKZEROOUT);
	case OP_PUNCH:
		return do_fallocate(op, FALLOC_FL_PUNCH_HOLE |
				    FALLOC_FL_KEEP_SIZE);
	case OP_ZERO_RANGE:
		return do_fallocate(op, FALLOC_FL_ZERO_RANGE |
				    FALLOC_FL_KEEP_SIZE);
	default:
		return do_transfer(op, buf);
	}
}

/* The slot's sectors belong to this thread, so the model needs no lock here. */
static void execute(struct slot *s)
{
	char when[64];
	int err;

	if (op_writes_data(s->op.kind))
		model_fill(&s->op, run.seed, s->buf);
	err = do_op(&s->op, s->buf);
	snprintf(when, sizeof(when), "op %lu, %s of %llu sectors at %llu",
		 s->op.number, op_name[s->op.kind],
		 (unsigned long long)s->op.nr, (unsigned long long)s->op.first);
	if (err)
		complain("model: %s: %s\n", when, strerror(-err));
	else if (s->op.kind == OP_READ)
		compare_sectors(&run.model, s->op.first, s->op.nr, s->buf, when);
	else
		model_apply(&run.model, &s->op, s->buf);
}

static void *worker(void *arg)
{
	struct slot *s = arg;

	pthread_mutex_lock(&run.lock);
	while (!run.stop || s->todo) {
		if (!s->todo) {
			pthread_cond_wait(&run.changed, &run.lock);
			continue;
		}
		s->todo = false;
		pthread_mutex_unlock(&run.lock);
		execute(s);
		pthread_mutex_lock(&run.lock);
		s->busy = false;
		run.in_flight--;
		pthread_cond_broadcast(&run.changed);
	}
	pthread_mutex_unlock(&run.lock);
	return NULL;
}

static struct slot *free_slot(const struct op *op)
{
	struct slot *found = NULL;
	int i;

	for (i = 0; i < IN_FLIGHT; i++) {
		struct slot *s = &run.slot[i];

		if (!s->busy)
			found = s;
		else if (op->first < s->op.first + s->op.nr &&
			 s->op.first < op->first + op->nr)
			return NULL;
	}
	return found;
}

static void dispatch(const struct op *op)
{
	struct slot *s;

	pthread_mutex_lock(&run.lock);
	while (!(s = free_slot(op)))
		pthread_cond_wait(&run.changed, &run.lock);
	s->op = *op;
	s->busy = true;
	s->todo = true;
	if (++run.in_flight > run.peak)
		run.peak = run.in_flight;
	run.count[op->kind]++;
	run.sectors[op->kind] += op->nr;
	pthread_cond_broadcast(&run.changed);
	pthread_mutex_unlock(&run.lock);
}

static void start_workers(void)
{
	int i;

	for (i = 0; i < IN_FLIGHT; i++) {
		struct slot *s = &run.slot[i];

		s->buf = aligned_alloc(4096, MODEL_MAX_BYTES);
		if (!s->buf ||
		    pthread_create(&s->thread, NULL, worker, s)) {
			perror("model: thread");
			exit(2);
		}
	}
}

static void stop_workers(void)
{
	int i;

	pthread_mutex_lock(&run.lock);
	run.stop = true;
	pthread_cond_broadcast(&run.changed);
	pthread_mutex_unlock(&run.lock);
	for (i = 0; i < IN_FLIGHT; i++)
		pthread_join(run.slot[i].thread, NULL);
}

static bool compare_all(const struct model *m, int fd, const char *when)
{
	u64 pos, bytes = m->sectors * MODEL_SECTOR;
	u8 *buf = aligned_alloc(4096, COMPARE_BYTES);
	bool good = true;
	ssize_t n;

	for (pos = 0; pos < bytes; pos += n) {
		size_t want = bytes - pos < COMPARE_BYTES ? bytes - pos : COMPARE_BYTES;

		n = pread(fd, buf, want, pos);
		if (n <= 0 || n % MODEL_SECTOR) {
			complain("model: %s: read at %llu: %s\n", when,
				 (unsigned long long)pos,
				 n < 0 ? strerror(errno) : "too short");
			good = false;
			break;
		}
		good &= compare_sectors(m, pos / MODEL_SECTOR, n / MODEL_SECTOR,
					buf, when);
	}
	free(buf);
	return good;
}

static void print_counts(void)
{
	int i;

	printf("model: seed=%llu peak=%u", (unsigned long long)run.seed,
	       run.peak);
	for (i = 0; i < OP_KINDS; i++)
		printf(" %s=%lu", op_name[i], run.count[i]);
	printf("\n");
}

static u64 device_size(int fd)
{
	u64 size = 0;
	struct stat st;

	if (!fstat(fd, &st) && S_ISBLK(st.st_mode) &&
	    !ioctl(fd, BLKGETSIZE64, &size))
		return size;
	return st.st_size;
}

static int check_size(int fd, const struct model *m, const char *path)
{
	u64 size = device_size(fd);

	if (size == m->sectors * MODEL_SECTOR)
		return 0;
	printf("model: %s has %llu bytes, expected %llu\n", path,
	       (unsigned long long)size,
	       (unsigned long long)m->sectors * MODEL_SECTOR);
	return -1;
}

static int run_ops(unsigned long ops, u32 block, const char *expect)
{
	struct generator g;
	struct op op;

	generator_init(&g, run.seed, run.model.sectors, block / MODEL_SECTOR);
	start_workers();
	while (g.number < ops && !run.complaints) {
		generator_next(&g, &op);
		dispatch(&op);
	}
	stop_workers();
	print_counts();
	compare_all(&run.model, run.fd, "at the end");
	if (expect && model_save(&run.model, expect))
		return 1;
	return run.complaints ? 1 : 0;
}

static int main_run(int argc, char **argv)
{
	const char *expect = NULL;
	unsigned long ops = 1000;
	u32 block = 2 << 20;
	int c;

	while ((c = getopt(argc, argv, "s:n:b:o:")) != -1) {
		switch (c) {
		case 's':
			run.seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			ops = strtoul(optarg, NULL, 0);
			break;
		case 'b':
			block = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			expect = optarg;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2 || model_load_raw(&run.model, argv[optind]))
		return 2;
	/* Exclusive, or every BLKDISCARD would try to claim the disk by itself. */
	run.fd = open(argv[optind + 1], O_RDWR | O_DIRECT | O_EXCL | O_CLOEXEC);
	if (run.fd < 0) {
		perror(argv[optind + 1]);
		return 2;
	}
	if (check_size(run.fd, &run.model, argv[optind + 1]))
		return 1;
	return run_ops(ops, block, expect);
}

static int main_compare(int argc, char **argv)
{
	int fd;

	if (argc != 3 || model_load(&run.model, argv[1]))
		return 2;
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[2]);
		return 2;
	}
	if (check_size(fd, &run.model, argv[2]))
		return 1;
	return compare_all(&run.model, fd, argv[2]) ? 0 : 1;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "run"))
		return main_run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "compare"))
		return main_compare(argc - 1, argv + 1);
	fprintf(stderr, "usage: model run|compare ...\n");
	return 2;
}
