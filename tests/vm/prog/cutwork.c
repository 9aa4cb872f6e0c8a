// SPDX-License-Identifier: GPL-2.0
/*
 * Write to a disk and say what is durable; judge what a power cut has left of it.
 *
 * usage: cutwork fill DISK DEV			what the parent holds
 *        cutwork run DISK DEV FIRST LAST MARKS	requests FIRST to LAST of each thread
 *        cutwork judge DISK DEV MARKS POS		after a cut at entry POS of the log
 *        cutwork again DISK DEV MARKS POS NR	judge, write NR more, judge again
 *
 * DISK is 0, 1 or 2: see enum cut_disk. run says what is durable, as soon as it
 * is, to MARKS: a device of dm-log-writes, which puts it into its log behind all that
 * was durable by then, or a file. For judge MARKS is a file of lines "ENTRY TEXT" with
 * all the marks of the log, where TEXT is
 *
 *   m:DISK:THREAD:FUA:DURABLE0:DURABLE1:BEGUN0:BEGUN1
 *
 * or the same with f, where number FUA of THREAD has become durable by itself; see
 * struct cut_known for the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cutdm.h"
#include "cutmodel.h"
#include "die.h"

#define BLOCK_BYTES (CUT_BLOCK_SECTS * CUT_SECTOR)
#define MAX_COMPLAINTS 5u
/* One block in that many is read although nothing was ever written to it. */
#define SAMPLE 8u
#define READ_BLOCKS 8u
#define MARK_FORMAT "%c:%u:%u:%llu:%llu:%llu:%llu:%llu"

static struct {
	enum cut_disk disk;
	int fd;
	bool is_block;
	const char *marks;
	u64 first;
	u64 last;
	u64 begun[CUT_THREADS];
	u64 completed[CUT_THREADS];
	pthread_mutex_t lock;
	u64 durable[CUT_THREADS];
	struct cut_known known;
	struct cut_state state;
} g = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void open_disk(const char *path, int mode)
{
	struct stat st;
	u64 size;

	g.fd = open(path, mode | O_DIRECT | O_CLOEXEC);
	if (g.fd < 0 || fstat(g.fd, &st))
		die(path);
	g.is_block = S_ISBLK(st.st_mode);
	size = st.st_size;
	if (g.is_block && ioctl(g.fd, BLKGETSIZE64, &size))
		die(path);
	if (size != (u64)CUT_SECTS * CUT_SECTOR) {
		fprintf(stderr, "%s: %llu bytes\n", path, size);
		exit(2);
	}
}

static void file_message(const char *name, const char *message)
{
	static unsigned int entry;
	FILE *f = fopen(name, "a");

	if (!f || fprintf(f, "%u %s\n", entry++, message) < 0 || fclose(f))
		die(name);
}

/* Of several marks that say more and more, the order in the log does not matter. */
static void mark(unsigned int thread, u64 fua)
{
	char text[256] = "mark ", *mark = text + strlen(text);

	pthread_mutex_lock(&g.lock);
	sprintf(mark, MARK_FORMAT, fua ? 'f' : 'm', g.disk, thread, fua, g.durable[0],
		g.durable[1], __atomic_load_n(&g.begun[0], __ATOMIC_SEQ_CST),
		__atomic_load_n(&g.begun[1], __ATOMIC_SEQ_CST));
	if (strchr(g.marks, '/'))
		file_message(g.marks, mark);
	else if (dm_message(g.marks, text))
		die("mark");
	pthread_mutex_unlock(&g.lock);
}

static void flush(unsigned int thread)
{
	u64 seen[CUT_THREADS];
	unsigned int t;

	for (t = 0; t < CUT_THREADS; t++)
		seen[t] = __atomic_load_n(&g.completed[t], __ATOMIC_SEQ_CST);
	if (fdatasync(g.fd))
		die("flush");
	pthread_mutex_lock(&g.lock);
	for (t = 0; t < CUT_THREADS; t++)
		if (seen[t] > g.durable[t])
			g.durable[t] = seen[t];
	pthread_mutex_unlock(&g.lock);
	if (g.marks)
		mark(thread, 0);
}

static void range(const struct cut_op *op)
{
	u64 bytes[2] = { op->first * CUT_SECTOR, op->nr * CUT_SECTOR };
	int err;

	if (g.is_block)
		err = ioctl(g.fd, op->kind == CUT_ZERO ? BLKZEROOUT : BLKDISCARD, bytes);
	else
		err = fallocate(g.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, bytes[0],
				bytes[1]);
	if (err)
		die("discard");
}

/*
 * write(2) with RWF_DSYNC would send a flush behind the FUA write; an asynchronous
 * one does not, so here it is FUA alone that makes the data durable.
 */
static void write_fua(const void *buf, u64 len, u64 pos)
{
	struct iocb cb = {
		.aio_fildes = g.fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_rw_flags = RWF_DSYNC, .aio_buf = (uintptr_t)buf,
		.aio_nbytes = len, .aio_offset = pos,
	}, *list = &cb;
	aio_context_t context = 0;
	struct io_event event;

	if (syscall(SYS_io_setup, 1, &context) ||
	    syscall(SYS_io_submit, context, 1, &list) != 1 ||
	    syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1)
		die("asynchronous write");
	syscall(SYS_io_destroy, context);
	if (event.res != (__s64)len) {
		errno = -event.res;
		die("FUA");
	}
}

static void write_data(const struct cut_op *op, u64 number, u8 *buf)
{
	u64 len = op->nr * CUT_SECTOR, pos = op->first * CUT_SECTOR, i;

	for (i = 0; i < op->nr; i++)
		cut_fill(g.disk, op->first + i, number, buf + i * CUT_SECTOR);
	if (op->kind == CUT_FUA)
		write_fua(buf, len, pos);
	else if (pwrite(g.fd, buf, len, pos) != (ssize_t)len)
		die("write");
}

static void request(unsigned int thread, u64 number, void *buf)
{
	struct cut_op op;

	cut_op_get(g.disk, thread, number, &op);
	__atomic_store_n(&g.begun[thread], number, __ATOMIC_SEQ_CST);
	if (op.kind == CUT_FLUSH)
		flush(thread);
	else if (op.kind <= CUT_FUA)
		write_data(&op, number, buf);
	else
		range(&op);
	__atomic_store_n(&g.completed[thread], number, __ATOMIC_SEQ_CST);
	if (op.kind == CUT_FUA && g.marks)
		mark(thread, number);
}

static void *writer(void *arg)
{
	unsigned int thread = (uintptr_t)arg;
	void *buf = page(BLOCK_BYTES);
	u64 k;

	for (k = g.first; k <= g.last; k++)
		request(thread, k, buf);
	free(buf);
	return NULL;
}

static int run(void)
{
	unsigned int threads = g.disk == CUT_LINE ? 1 : CUT_THREADS, t;
	pthread_t thread[CUT_THREADS];

	for (t = 0; t < CUT_THREADS; t++) {
		g.begun[t] = g.first - 1;
		g.completed[t] = g.first - 1;
		/* Whoever detached the disk has marked what came before. */
		g.durable[t] = g.first - 1;
	}
	for (t = 0; t < threads; t++)
		if (pthread_create(&thread[t], NULL, writer, (void *)(uintptr_t)t))
			die("thread");
	for (t = 0; t < threads; t++)
		pthread_join(thread[t], NULL);
	return 0;
}

static int fill(void)
{
	u8 *buf = page(BLOCK_BYTES);
	u64 sector, i, nr;

	for (sector = 0; sector < CUT_SECTS; sector += CUT_BLOCK_SECTS) {
		for (nr = 0; nr < CUT_BLOCK_SECTS && cut_initial(g.disk, sector + nr); nr++)
			;
		for (i = 0; i < nr; i++)
			cut_fill(g.disk, sector + i, 0, buf + i * CUT_SECTOR);
		if (nr && pwrite(g.fd, buf, nr * CUT_SECTOR, sector * CUT_SECTOR) < 0)
			die("fill");
	}
	free(buf);
	return fsync(g.fd) ? 2 : 0;
}

static void learn(const u64 *durable, unsigned int thread, u64 fua)
{
	struct cut_known *k = &g.known;
	unsigned int t;

	for (t = 0; t < CUT_THREADS; t++)
		if (durable[t] > k->durable[t])
			k->durable[t] = durable[t];
	if (!fua)
		return;
	if (k->nr_fua == CUT_MAX_FUA || thread >= CUT_THREADS) {
		fprintf(stderr, "cutwork: too many marks, or wrong ones\n");
		exit(2);
	}
	k->fua[k->nr_fua].thread = thread;
	k->fua[k->nr_fua++].number = fua;
}

/*
 * What can have been begun before the cut: the first mark behind it may have been
 * composed before it, and only then did it go into the log. The second was not.
 */
static void read_marks(const char *path, u64 pos)
{
	FILE *f = fopen(path, "r");
	u64 entry, fua, durable[CUT_THREADS], begun[CUT_THREADS];
	unsigned int disk, thread, behind = 0;
	char line[512], text[256], kind;

	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llu %255s", &entry, text) != 2 ||
		    sscanf(text, MARK_FORMAT, &kind, &disk, &thread, &fua, &durable[0],
			   &durable[1], &begun[0], &begun[1]) != 8 || disk != g.disk)
			continue;
		memcpy(g.known.begun, begun, sizeof(begun));
		if (entry < pos)
			learn(durable, thread, fua);
		else if (++behind == 2)
			break;
	}
	fclose(f);
}

static unsigned int judge_block(u64 block, const u8 *buf, unsigned int bad)
{
	u64 first = block * CUT_BLOCK_SECTS, i;

	for (i = 0; i < CUT_BLOCK_SECTS; i++) {
		const u8 *got = buf + i * CUT_SECTOR;

		if (cut_accepts(g.disk, &g.known, &g.state, first + i, got))
			continue;
		if (bad++ < MAX_COMPLAINTS)
			printf("disk %u, sector %llu: must hold number %u or newer%s, holds %s\n",
			       g.disk, first + i, g.state.least[first + i],
			       g.state.flags[first + i] ? ", or zeros" : "",
			       cut_describe(got));
	}
	return bad;
}

static bool is_judged(u64 block)
{
	u64 seed = g.known.durable[0] + g.known.begun[1];

	return g.state.touched[block] || !(cut_hash(seed + block) % SAMPLE);
}

/* As many blocks as are judged and lie side by side. */
static u64 read_blocks(u64 block, u8 *buf)
{
	ssize_t len;
	u64 nr = 0;

	while (nr < READ_BLOCKS && block + nr < CUT_BLOCKS && is_judged(block + nr))
		nr++;
	len = nr * BLOCK_BYTES;
	if (pread(g.fd, buf, len, block * BLOCK_BYTES) != len)
		die("read");
	return nr;
}

static int judge(void)
{
	u8 *buf = page(READ_BLOCKS * BLOCK_BYTES);
	unsigned int bad = 0;
	u64 b, i, nr, blocks = 0;

	cut_state_get(g.disk, &g.known, &g.state);
	for (b = 0; b < CUT_BLOCKS; b += nr ? nr : 1) {
		nr = read_blocks(b, buf);
		blocks += nr;
		for (i = 0; i < nr; i++)
			bad = judge_block(b + i, buf + i * BLOCK_BYTES, bad);
	}
	printf("disk %u: durable %llu and %llu, begun %llu and %llu; %llu sectors read, %u bad\n",
	       g.disk, g.known.durable[0], g.known.durable[1], g.known.begun[0],
	       g.known.begun[1], blocks * CUT_BLOCK_SECTS, bad);
	free(buf);
	return bad ? 1 : 0;
}

/* A disk that has been through a cut is one like any other. */
static int again(u64 nr)
{
	void *buf = page(BLOCK_BYTES);
	unsigned int t;
	u64 k;

	if (judge())
		return 1;
	g.known.again = nr;
	for (k = 1; k <= nr; k++)
		for (t = 0; t < CUT_THREADS; t++)
			request(t, g.known.begun[t] + k, buf);
	flush(0);
	free(buf);
	return judge();
}

static int usage(void)
{
	fprintf(stderr, "usage: cutwork fill DISK DEV | run DISK DEV FIRST LAST MARKS |\n"
		"       judge DISK DEV MARKS POS | again DISK DEV MARKS POS NR\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4 || (unsigned int)atoi(argv[2]) >= CUT_DISKS)
		return usage();
	g.disk = atoi(argv[2]);
	open_disk(argv[3], strcmp(what, "judge") ? O_RDWR : O_RDONLY);
	if (!strcmp(what, "fill"))
		return fill();
	if (!strcmp(what, "run") && argc == 7) {
		g.first = strtoull(argv[4], NULL, 10);
		g.last = strtoull(argv[5], NULL, 10);
		g.marks = argv[6];
		return run();
	}
	if (argc < 6)
		return usage();
	read_marks(argv[4], strtoull(argv[5], NULL, 10));
	if (!strcmp(what, "judge"))
		return judge();
	return argc == 7 && !strcmp(what, "again") ? again(strtoull(argv[6], NULL, 10)) : usage();
}
