// SPDX-License-Identifier: GPL-2.0
/*
 * Files that change while they are attached, because somebody writes to them who
 * respects no lock: the lower half of the disk is under attack, the upper half
 * must not notice. In the end everything is, and nothing may hang.
 *
 * usage: changing make LEAF BASE
 *        changing [-s SEED] [-t SECONDS] run LEAF BASE LEAF_BELOW BASE_BELOW
 *
 * LEAF and BASE are attached. LEAF_BELOW and BASE_BELOW are ways to the same
 * bytes that nobody denies: the files themselves, or what a loop device or an
 * overlay has below it. They are overwritten and punched for SECONDS, then also
 * cut, grown and torn anywhere for as long again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "nl.h"

#define BLOCKS		64u
#define SECTS		128u		/* of a block, 64 KiB */
#define DISK_SECTS	(BLOCKS * SECTS)
#define FIRST_SLOT	15u		/* data on 4 KiB, bitmaps on pages of their own */
#define STRIDE		136u
#define BAT_SECT	8u
/* Fewer than there are blocks: a file must grow, a device gets full. */
#define SLOTS		44u
/* Blocks from here on must stay right. */
#define SOUND		(BLOCKS / 2)
#define READERS		2u
#define MAX_PART	64u
#define MAX_FILE	(64u << 20)

enum { LEAF, BASE, FILES };

static struct {
	int disk;
	u64 seed;
	u8 model[DISK_SECTS][VHD_SECTOR_SIZE];
	bool unsure[DISK_SECTS];	/* the last write to it has failed */
	bool stop, wild;
	u64 ops, errors, changes, wrong;
} t;

static bool in_file(unsigned int file, u32 block)
{
	return file == LEAF ? block % 4 == 0 : block % 3 != 2;
}

/* BAT entry of a block that is in the file from the start. */
static u32 entry_of(unsigned int file, u32 block)
{
	u32 b, slot = 0;

	if (!in_file(file, block))
		return VHD_BAT_UNUSED;
	for (b = 0; b < block; b++)
		slot += in_file(file, b);
	return FIRST_SLOT + slot * STRIDE;
}

/* The leaf has pieces of 4 KiB of its blocks. */
static bool leaf_has(u32 sector)
{
	return in_file(LEAF, sector / SECTS) && sector / 8 % 2;
}

static void fill_sector(u8 *buf, u32 sector, u64 tag)
{
	struct rng r = { (u64)sector << 32 ^ tag };

	rng_fill(&r, buf, VHD_SECTOR_SIZE);
}

/* What the disk holds at first. */
static void init_model(void)
{
	u32 s;

	for (s = 0; s < DISK_SECTS; s++) {
		if (leaf_has(s))
			fill_sector(t.model[s], s, LEAF);
		else if (in_file(BASE, s / SECTS))
			fill_sector(t.model[s], s, BASE);
	}
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void put(int fd, const void *buf, size_t len, u64 sect)
{
	must(pwrite(fd, buf, len, sect * VHD_SECTOR_SIZE) == (ssize_t)len, "write");
}

static void put_block(int fd, unsigned int file, u32 block)
{
	u8 bitmap[VHD_SECTOR_SIZE] = { 0 }, data[VHD_SECTOR_SIZE];
	u32 i, sector, entry = entry_of(file, block);

	for (i = 0; i < SECTS; i++) {
		sector = block * SECTS + i;
		if (file == LEAF && !leaf_has(sector))
			continue;
		vhd_bitmap_set(bitmap, i, 1);
		fill_sector(data, sector, file);
		put(fd, data, sizeof(data), entry + 1 + i);
	}
	put(fd, bitmap, sizeof(bitmap), entry);
}

static void make_file(const char *path, unsigned int file)
{
	static const u8 uuid[FILES][16] = { { 1 }, { 2 } };
	struct vhd_footer_args fargs = {
		.type = file == LEAF ? VHD_TYPE_DIFFERENCING : VHD_TYPE_DYNAMIC,
		.size = DISK_SECTS * VHD_SECTOR_SIZE, .uuid = uuid[file],
	};
	struct vhd_header_args hargs = {
		.block_size = SECTS * VHD_SECTOR_SIZE, .entries = BLOCKS,
		.table_offset = BAT_SECT * VHD_SECTOR_SIZE,
		.parent_uuid = file == LEAF ? uuid[BASE] : NULL,
	};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	__be32 bat[128];
	struct vhd_footer f;
	struct vhd_header h;
	u32 block;

	must(fd >= 0, path);
	memset(bat, 0xff, sizeof(bat));
	for (block = 0; block < BLOCKS; block++) {
		bat[block] = cpu_to_be32(entry_of(file, block));
		if (in_file(file, block))
			put_block(fd, file, block);
	}
	vhd_footer_init(&f, &fargs);
	vhd_header_init(&h, &hargs);
	put(fd, &f, sizeof(f), 0);
	put(fd, &h, sizeof(h), 1);
	put(fd, bat, sizeof(bat), BAT_SECT);
	put(fd, &f, sizeof(f), FIRST_SLOT + SLOTS * STRIDE);
	must(!fsync(fd) && !close(fd), path);
}

static void count_error(void)
{
	__atomic_add_fetch(&t.errors, 1, __ATOMIC_RELAXED);
}

/* Sectors of the upper half are read by one thread and written by the same. */
static void compare(u32 first, u32 nr, const u8 *got)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (t.unsure[first + i] ||
		    !memcmp(got + i * VHD_SECTOR_SIZE, t.model[first + i], VHD_SECTOR_SIZE))
			continue;
		if (__atomic_add_fetch(&t.wrong, 1, __ATOMIC_RELAXED) < 8)
			printf("sector %u is wrong\n", first + i);
	}
}

static void read_some(u32 first, u32 nr, u8 *buf, bool sound)
{
	size_t len = nr * VHD_SECTOR_SIZE;
	ssize_t n = pread(t.disk, buf, len, (off_t)first * VHD_SECTOR_SIZE);

	if (n != (ssize_t)len)
		count_error();
	if (!sound || t.wild)
		return;
	if (n != (ssize_t)len) {
		t.wrong++;
		printf("read of sector %u: %s\n", first, strerror(errno));
		return;
	}
	compare(first, nr, buf);
}

/*
 * Who writes through the page cache to a file that is written past it makes an
 * fsync fail one day. From then on blocks cannot be allocated any more; an error,
 * but never wrong data.
 */
static void write_some(u32 first, u32 nr, u8 *buf, struct rng *r)
{
	size_t len = nr * VHD_SECTOR_SIZE;
	ssize_t n;

	rng_fill(r, buf, len);
	n = pwrite(t.disk, buf, len, (off_t)first * VHD_SECTOR_SIZE);
	if (n == (ssize_t)len)
		memcpy(t.model[first], buf, len);
	else
		count_error();
	memset(t.unsure + first, n != (ssize_t)len, nr);
}

/* Thread 0 works on the lower half, the others share the upper one. */
static void *worker(void *arg)
{
	unsigned int me = (uintptr_t)arg;
	struct rng r = { t.seed + me };
	u32 block, first, nr;
	void *buf;

	must(!posix_memalign(&buf, 4096, MAX_PART * VHD_SECTOR_SIZE), "memory");
	while (!__atomic_load_n(&t.stop, __ATOMIC_RELAXED)) {
		block = me ? SOUND + rng_below(&r, SOUND / READERS) * READERS + me - 1 :
			     rng_below(&r, SOUND);
		nr = 1 + rng_below(&r, MAX_PART);
		first = block * SECTS + rng_below(&r, SECTS - nr + 1);
		if (rng_chance(&r, 5) && fdatasync(t.disk))
			count_error();
		else if (rng_chance(&r, 60))
			read_some(first, nr, buf, me);
		else
			write_some(first, nr, buf, &r);
		__atomic_add_fetch(&t.ops, 1, __ATOMIC_RELAXED);
	}
	free(buf);
	return NULL;
}

/* A sector that belongs to the lower half, or to structures in memory by now. */
static u32 fair_target(struct rng *r, unsigned int file)
{
	u32 block = rng_below(r, SOUND), entry = entry_of(file, block);

	switch (rng_below(r, 6)) {
	case 0:
		return rng_below(r, 3);
	case 1:
		return BAT_SECT;
	case 2:
		if (entry != VHD_BAT_UNUSED)
			return entry + 1 + rng_below(r, SECTS);
		return BAT_SECT;
	default:
		return entry != VHD_BAT_UNUSED ? entry : BAT_SECT;
	}
}

static void overwrite(int fd, struct rng *r, u32 sect)
{
	static u8 buf[VHD_SECTOR_SIZE] __attribute__((aligned(4096)));

	if (rng_chance(r, 50))
		rng_fill(r, buf, sizeof(buf));
	else
		memset(buf, rng_chance(r, 50) ? 0xff : 0, sizeof(buf));
	if (pwrite(fd, buf, sizeof(buf), (off_t)sect * VHD_SECTOR_SIZE) < 0)
		count_error();
}

static void punch(int fd, struct rng *r, off_t pos, off_t len)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len))
		count_error();
}

/* Anything that can happen to a file. */
static void tear(int fd, struct rng *r)
{
	switch (rng_below(r, 6)) {
	case 0:
		if (ftruncate(fd, rng_below(r, MAX_FILE)))
			count_error();
		break;
	case 1:
		if (ftruncate(fd, rng_below(r, 8192)))
			count_error();
		break;
	case 2:
		punch(fd, r, rng_below(r, MAX_FILE), 1 + rng_below(r, MAX_FILE));
		break;
	default:
		overwrite(fd, r, rng_below(r, (FIRST_SLOT + BLOCKS * STRIDE)));
	}
}

/* Descriptors that are clean are dropped, and looked up again. */
static void forget_all(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	must(fd >= 0 && write(fd, "2", 1) == 1, "drop_caches");
	close(fd);
}

static void attack(int fd[FILES][2], struct rng *r)
{
	unsigned int file = rng_below(r, FILES);
	int which = fd[file][rng_below(r, 2)];

	if (rng_chance(r, 3))
		forget_all();
	if (t.wild)
		tear(which, r);
	else if (rng_chance(r, 85))
		overwrite(which, r, fair_target(r, file));
	else
		/* A whole page: what lies beside a bitmap is nobody's. */
		punch(which, r, fair_target(r, file) / 8 * 4096ULL, 4096);
	t.changes++;
	usleep(rng_below(r, 4000));
}

/* Both through the page cache and past it. */
static void open_below(char **path, int fd[FILES][2])
{
	unsigned int i;

	for (i = 0; i < FILES; i++) {
		fd[i][0] = open(path[i], O_RDWR | O_CLOEXEC);
		must(fd[i][0] >= 0, path[i]);
		fd[i][1] = open(path[i], O_RDWR | O_DIRECT | O_CLOEXEC);
		if (fd[i][1] < 0)
			fd[i][1] = fd[i][0];
	}
}

static void attack_for(unsigned int seconds, int fd[FILES][2], struct rng *r)
{
	time_t end = time(NULL) + seconds;

	while (time(NULL) < end)
		attack(fd, r);
}

static u32 attach(struct nl *nl, char **path, u32 flags, int *err)
{
	struct nl_layer layer[FILES] = { 0 };
	struct nl_result result = { 0 };
	unsigned int i;

	for (i = 0; i < FILES; i++)
		layer[i].fd = open(path[i], (i ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	*err = nl_attach(nl, layer, FILES, flags, &result);
	*err = *err ? *err : result.error;
	for (i = 0; i < FILES; i++)
		close(layer[i].fd);
	printf("# attach: %s\n", *err ? result.text : "ok");
	return result.index;
}

/* What the outcome is does not matter; that there is one does. */
static bool detach(struct nl *nl, u32 index)
{
	struct nl_result result = { 0 };
	int err, tries = 100;

	do {
		err = nl_detach(nl, index, 0, &result);
		if (!err && result.error == -EBUSY)
			usleep(50000);
	} while (!err && result.error == -EBUSY && --tries);
	printf("# detach: %s\n", err ? strerror(-err) : strerror(-result.error));
	return !err && result.error != -EBUSY;
}

static void open_disk(u32 index)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vhd%u", index);
	t.disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	must(t.disk >= 0, path);
}

static void use_disk(unsigned int seconds, char **below)
{
	struct rng r = { t.seed * 31 };
	pthread_t thread[READERS + 1];
	int fd[FILES][2];
	uintptr_t i;

	open_below(below, fd);
	for (i = 0; i <= READERS; i++)
		must(!pthread_create(&thread[i], NULL, worker, (void *)i), "thread");
	attack_for(seconds, fd, &r);
	printf("# %llu operations, %llu errors, %llu changes\n", (unsigned long long)t.ops,
	       (unsigned long long)t.errors, (unsigned long long)t.changes);
	__atomic_store_n(&t.wild, true, __ATOMIC_SEQ_CST);
	attack_for(seconds, fd, &r);
	__atomic_store_n(&t.stop, true, __ATOMIC_SEQ_CST);
	for (i = 0; i <= READERS; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < FILES; i++) {
		close(fd[i][0]);
		if (fd[i][1] != fd[i][0])
			close(fd[i][1]);
	}
}

static int run(char **path, char **below, unsigned int seconds)
{
	static struct nl nl;
	bool gone;
	int err;
	u32 index;

	init_model();
	must(!nl_open(&nl), "no driver");
	index = attach(&nl, path, VHDBLK_ATTACH_NO_PARTSCAN, &err);
	if (err)
		return 1;
	open_disk(index);
	use_disk(seconds, below);
	close(t.disk);
	gone = detach(&nl, index);
	/* Of what is left of the files: any answer, but an answer. */
	index = attach(&nl, path, VHDBLK_ATTACH_READ_ONLY, &err);
	if (!err)
		gone &= detach(&nl, index);
	printf("%s - %llu operations, %llu errors, %llu changes below; ",
	       t.wrong || !gone ? "not ok" : "ok", (unsigned long long)t.ops,
	       (unsigned long long)t.errors, (unsigned long long)t.changes);
	printf("%llu sectors wrong that nobody had changed\n", (unsigned long long)t.wrong);
	return t.wrong || !gone;
}

int main(int argc, char **argv)
{
	unsigned int seconds = 10;
	int c;

	while ((c = getopt(argc, argv, "+s:t:")) != -1) {
		if (c == 's')
			t.seed = strtoull(optarg, NULL, 0);
		else if (c == 't')
			seconds = atoi(optarg);
		else
			return 2;
	}
	argv += optind;
	argc -= optind;
	if (argc == 3 && !strcmp(argv[0], "make")) {
		make_file(argv[1], LEAF);
		make_file(argv[2], BASE);
		return 0;
	}
	if (argc != 5 || strcmp(argv[0], "run"))
		return 2;
	return run(argv + 1, argv + 3, seconds);
}
