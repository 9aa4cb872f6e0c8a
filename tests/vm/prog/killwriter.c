// SPDX-License-Identifier: GPL-2.0
/*
 * A writer that is meant to be killed, and the judge of what it left.
 *
 * usage: killwriter fill DEV		give a new disk its initial contents
 *        killwriter write DEV LOG	write until the machine dies
 *        killwriter check DEV LOG	compare the disk with the log
 *
 * Each of THREADS threads writes single sectors numbered 1, 2, 3... of which
 * number k goes to a sector that follows from k, with an fsync now and then, and
 * FUA now and then. A thread has its sectors for itself, but shares its blocks
 * with the others. LOG is a block device whose last MiB belongs to the log: one
 * sector of text per run, rewritten after each acknowledgment, past every
 * cache that dies with the machine:
 *
 *   run R start A A A A acked B B B B fua C C C C
 *
 * Of the numbers from start to acked every one is durable; of the next WINDOW
 * any may be; number fua is durable. The next run starts behind the window.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vhd_platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "die.h"

#define SECTOR 512u
#define THREADS 4u
#define WINDOW 256u
#define FSYNC_EVERY 24u
#define FUA_EVERY 16u
#define LOG_BYTES 1048576u
#define MAX_RUNS 256u
#define CHUNK_SECTS 64u
/* Every 16 MiB begin with 512 KiB of data in the parent. */
#define AREA_SECTS 32768u
#define FILLED_SECTS 1024u
#define MAX_COMPLAINTS 10u
#define LOG_FOUR " %llu %llu %llu %llu"
#define LOG_FORMAT "run %u start" LOG_FOUR " acked" LOG_FOUR " fua" LOG_FOUR

struct stamp {
	char magic[16];
	u64 sector;
	u64 number;
};

struct record {
	unsigned int run;
	u64 start[THREADS];
	u64 acked[THREADS];
	u64 fua[THREADS];
};

static struct {
	int dev;
	int log;
	u64 sectors;
	u64 log_pos;
	pthread_mutex_t lock;
	struct record now;
	struct record past[MAX_RUNS];
	unsigned int runs;
	unsigned int bad;
} g = { .lock = PTHREAD_MUTEX_INITIALIZER };

static u64 hash(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Half of the numbers meet in a block that changes every 64 numbers. */
static u64 sector_of(unsigned int thread, u64 k)
{
	u64 r = hash(k * THREADS + thread + 0x9e3779b97f4a7c15ULL);
	u64 base, slot = r >> 40;

	if (k & 1)
		base = hash(k / 64) % (g.sectors / FILLED_SECTS) * FILLED_SECTS;
	else
		base = r % (g.sectors / FILLED_SECTS) * FILLED_SECTS;
	return base + slot % (FILLED_SECTS / THREADS) * THREADS + thread;
}

static void fill_sector(void *buf, u64 sector, u64 number)
{
	struct stamp *s = buf;
	u64 word = hash(sector ^ (number << 32)), *p = buf;
	size_t i;

	memcpy(s->magic, "vhdblk kill test", sizeof(s->magic));
	s->sector = sector;
	s->number = number;
	for (i = sizeof(*s) / sizeof(word); i < SECTOR / sizeof(word); i++)
		p[i] = word + i;
}

static bool filled_at_first(u64 sector)
{
	return sector % AREA_SECTS < FILLED_SECTS;
}

static void open_device(const char *path, int mode)
{
	u64 size;

	g.dev = open(path, mode | O_DIRECT | O_CLOEXEC);
	if (g.dev < 0 || ioctl(g.dev, BLKGETSIZE64, &size))
		die(path);
	g.sectors = size / SECTOR / AREA_SECTS * AREA_SECTS;
}

static int fill(void)
{
	void *buf = page(FILLED_SECTS * SECTOR);
	u64 area, i;

	for (area = 0; area < g.sectors; area += AREA_SECTS) {
		for (i = 0; i < FILLED_SECTS; i++)
			fill_sector(buf + i * SECTOR, area + i, 0);
		if (pwrite(g.dev, buf, FILLED_SECTS * SECTOR, area * SECTOR) < 0)
			die("fill");
	}
	return fsync(g.dev) ? 2 : 0;
}

static void read_log(void)
{
	char *text = page(SECTOR);
	struct record *r = g.past;
	unsigned int n;

	for (n = 0; n < MAX_RUNS; n++, r++) {
		if (pread(g.log, text, SECTOR, g.log_pos + n * SECTOR) != SECTOR)
			die("log");
		text[SECTOR - 1] = 0;
		if (sscanf(text, LOG_FORMAT,
			   &r->run, &r->start[0], &r->start[1], &r->start[2],
			   &r->start[3], &r->acked[0], &r->acked[1],
			   &r->acked[2], &r->acked[3], &r->fua[0], &r->fua[1],
			   &r->fua[2], &r->fua[3]) != 13 || r->run != n)
			break;
	}
	g.runs = n;
	free(text);
}

static void open_log(const char *path, int mode)
{
	u64 size;

	g.log = open(path, mode | O_DIRECT | O_DSYNC | O_CLOEXEC);
	if (g.log < 0 || ioctl(g.log, BLKGETSIZE64, &size))
		die(path);
	g.log_pos = size - LOG_BYTES;
	read_log();
}

/* Called with the lock held. */
static void write_log(void)
{
	static char *text;
	const struct record *r = &g.now;

	if (!text)
		text = page(SECTOR);
	memset(text, 0, SECTOR);
	snprintf(text, SECTOR, LOG_FORMAT "\n",
		 r->run, r->start[0], r->start[1], r->start[2], r->start[3],
		 r->acked[0], r->acked[1], r->acked[2], r->acked[3],
		 r->fua[0], r->fua[1], r->fua[2], r->fua[3]);
	if (pwrite(g.log, text, SECTOR, g.log_pos + r->run * SECTOR) != SECTOR)
		die("log");
}

static void acknowledge(u64 *what, u64 k)
{
	pthread_mutex_lock(&g.lock);
	*what = k;
	write_log();
	pthread_mutex_unlock(&g.lock);
}

static void write_one(unsigned int thread, u64 k, void *buf)
{
	u64 sector = sector_of(thread, k);
	struct iovec iov = { buf, SECTOR };
	bool fua = hash(k) % FUA_EVERY == 0;

	fill_sector(buf, sector, k);
	if (pwritev2(g.dev, &iov, 1, sector * SECTOR, fua ? RWF_DSYNC : 0) !=
	    SECTOR)
		die("write");
	if (fua)
		acknowledge(&g.now.fua[thread], k);
}

static void *writer(void *arg)
{
	unsigned int thread = (uintptr_t)arg;
	void *buf = page(SECTOR);
	u64 k = g.now.start[thread];

	for (;; k++) {
		write_one(thread, k, buf);
		if (hash(~k) % FSYNC_EVERY && k - g.now.acked[thread] < WINDOW - 1)
			continue;
		if (fsync(g.dev))
			die("fsync");
		acknowledge(&g.now.acked[thread], k);
	}
	return NULL;
}

static int write_for_ever(void)
{
	const struct record *last = g.runs ? &g.past[g.runs - 1] : NULL;
	pthread_t thread[THREADS];
	unsigned int i;

	g.now.run = g.runs;
	for (i = 0; i < THREADS; i++) {
		g.now.start[i] = last ? last->acked[i] + WINDOW + 1 : 1;
		g.now.acked[i] = g.now.start[i] - 1;
		g.now.fua[i] = 0;
	}
	write_log();
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, writer, (void *)(uintptr_t)i);
	pthread_join(thread[0], NULL);
	return 2;
}

/* For each sector the number that must be there at least; 0 is the parent's. */
static u32 *least_numbers(u8 *touched)
{
	u32 *least = calloc(g.sectors, sizeof(*least));
	unsigned int n, t;
	u64 k, s;

	if (!least)
		die("memory");
	for (n = 0; n < g.runs; n++) {
		const struct record *r = &g.past[n];

		for (t = 0; t < THREADS; t++) {
			for (k = r->start[t]; k <= r->acked[t] + WINDOW; k++) {
				s = sector_of(t, k);
				touched[s / CHUNK_SECTS] = 1;
				if (k <= r->acked[t] || k == r->fua[t])
					least[s] = k;
			}
		}
	}
	return least;
}

static bool was_written(u64 sector, u64 k)
{
	unsigned int n, t = sector % THREADS;

	for (n = 0; n < g.runs; n++) {
		const struct record *r = &g.past[n];

		if (k >= r->start[t] && k <= r->acked[t] + WINDOW)
			return sector_of(t, k) == sector;
	}
	return false;
}

static bool is_initial(const void *buf, u64 sector)
{
	char want[SECTOR] = "";

	if (filled_at_first(sector))
		fill_sector(want, sector, 0);
	return !memcmp(buf, want, SECTOR);
}

static bool sector_good(const void *buf, u64 sector, u64 least)
{
	const struct stamp *s = buf;
	char want[SECTOR];

	if (is_initial(buf, sector))
		return !least;
	fill_sector(want, sector, s->number);
	return !memcmp(buf, want, SECTOR) && s->number >= least &&
	       was_written(sector, s->number);
}

static void complain(const void *buf, u64 sector, u64 least)
{
	const struct stamp *s = buf;

	if (g.bad++ >= MAX_COMPLAINTS)
		return;
	printf("killwriter: sector %llu must hold number %llu or newer\n",
	       sector, least);
	if (memcmp(s->magic, "vhdblk", 6))
		printf("  it holds no stamp\n");
	else
		printf("  it holds sector %llu, number %llu\n", s->sector,
		       s->number);
}

static int check(void)
{
	u8 *touched = calloc(g.sectors / CHUNK_SECTS, 1);
	u32 *least = least_numbers(touched);
	void *buf = page(CHUNK_SECTS * SECTOR);
	u64 chunk, i, acked = 0, chunks = 0;

	for (chunk = 0; chunk < g.sectors / CHUNK_SECTS; chunk++) {
		u64 first = chunk * CHUNK_SECTS;

		if (!touched[chunk])
			continue;
		chunks++;
		if (pread(g.dev, buf, CHUNK_SECTS * SECTOR, first * SECTOR) < 0)
			die("read");
		for (i = 0; i < CHUNK_SECTS; i++) {
			acked += !!least[first + i];
			if (!sector_good(buf + i * SECTOR, first + i,
					 least[first + i]))
				complain(buf + i * SECTOR, first + i,
					 least[first + i]);
		}
	}
	printf("killwriter: %u runs, %llu acknowledged sectors, %llu sectors read, %u bad\n",
	       g.runs, acked, chunks * CHUNK_SECTS, g.bad);
	free(least);
	free(touched);
	return g.bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	bool writing = argc > 1 && strcmp(argv[1], "check");

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || (argc < 4 && strcmp(argv[1], "fill"))) {
		fprintf(stderr, "usage: killwriter fill|write|check DEV LOG\n");
		return 2;
	}
	open_device(argv[2], writing ? O_RDWR : O_RDONLY);
	if (!strcmp(argv[1], "fill"))
		return fill();
	open_log(argv[3], writing ? O_RDWR : O_RDONLY);
	return writing ? write_for_ever() : check();
}
