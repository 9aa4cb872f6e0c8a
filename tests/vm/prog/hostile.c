// SPDX-License-Identifier: GPL-2.0
/*
 * Chains of images that are wrong in a few places, handed to the kernel as they
 * are: attached, read, written, flushed, detached, and perhaps attached again.
 *
 * usage: hostile [-l] [-s SEED] [-n IMAGES] [-t SECONDS] [-i NUMBER] DIR...
 *        hostile -c FILE ENTRIES BLOCK_SIZE
 *
 * The files go to the directories in turn; with -l one chain in five is attached as
 * loop devices. -i does one image alone; its number and the seed decide everything.
 * A refusal must have a name. What was written must read back, what was not must be
 * as before, and a disk that was detached must attach again. What the kernel says of
 * it all is for the caller to look at.
 *
 * -c makes a file of a few KiB whose table claims ENTRIES blocks: it is a hole.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "look.h"
#include "nl.h"

#define MAX_DEPTH	6u
#define CHANGES		10u
/* Of one image, in the slowest kernel: minutes, never for ever. */
#define PATIENCE	600u
/* Most that one attach may take: map, tables and descriptors of a legal disk. */
#define MOST_KB		(128 << 10)

struct layer {
	struct image image;
	char path[256];
	char disk[32];		/* loop device, if it is attached by one */
	int loop;		/* keeps that, or -1 */
	u32 flags;
};

static struct hostile {
	struct nl nl;
	struct look look;
	struct look_tally tally;
	struct rng rng;
	u64 number;
	struct layer layer[MAX_DEPTH];
	u32 depth;
	u32 flags;
	bool loops;
	u32 faults[VHD_NR_FAULTS];
	u32 refused, attached, writable, again, failures;
	long most_kb;
} h;

static void fail(const char *what, const char *more)
{
	h.failures++;
	printf("not ok - image %llu: %s%s%s\n", (unsigned long long)h.number, what,
	       more ? ": " : "", more ? more : "");
	fflush(stdout);
}

/* Only write() is safe here; the number was said when the image began. */
static void out_of_patience(int sig)
{
	static const char text[] = "not ok - an image takes too long\n";

	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static long available_kb(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* From the base up, so that each child can name its parent. */
static void choose_chain(char **dir, u32 nr_dirs)
{
	static const u8 depths[] = { 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, MAX_DEPTH };
	struct rng *r = &h.rng;
	struct image *parent = NULL;
	u32 i;

	h.depth = depths[rng_below(r, ARRAY_SIZE(depths))];
	for (i = h.depth; i--; ) {
		struct layer *l = &h.layer[i];

		image_random(&l->image, r, parent);
		l->flags = l->image.type ? 0 : VHDBLK_LAYER_RAW;
		l->disk[0] = 0;
		l->loop = -1;
		/* A raw parent has no id: that is how the child says so. */
		if (parent && !parent->type)
			memset(l->image.header.parent_uuid, 0, 16);
		snprintf(l->path, sizeof(l->path), "%s/hostile%u.vhd",
			 dir[h.number % nr_dirs], i);
		parent = &l->image;
	}
}

static void swap_layers(struct rng *r)
{
	u32 a = rng_below(r, h.depth), b = rng_below(r, h.depth);
	struct layer swap = h.layer[a];

	h.layer[a] = h.layer[b];
	h.layer[b] = swap;
}

/* What is wrong with the chain itself; mostly nothing. */
static void mutate_chain(void)
{
	struct rng *r = &h.rng;
	u32 i;

	for (i = 0; i < h.depth; i++)
		if (rng_chance(r, i ? 40 : 75))
			image_mutate(&h.layer[i].image, r);
	h.flags = rng_chance(r, 25) ? VHDBLK_ATTACH_READ_ONLY : 0;
	h.flags |= rng_chance(r, 20) ? VHDBLK_ATTACH_IGNORE_ID_MISMATCH : 0;
	h.flags |= rng_chance(r, 80) ? VHDBLK_ATTACH_NO_PARTSCAN : 0;
	h.flags |= rng_chance(r, 15) ? VHDBLK_ATTACH_BUFFERED : 0;
	h.flags |= rng_chance(r, 10) ? VHDBLK_ATTACH_INLINE : 0;
	switch (rng_below(r, 40)) {
	case 0:
		swap_layers(r);
		break;
	case 1:
		h.depth -= h.depth > 1;
		break;
	case 2:
		h.layer[rng_below(r, h.depth)].flags ^= VHDBLK_LAYER_RAW;
		break;
	case 3:
		rng_fill(r, h.layer[0].image.header.parent_uuid, 16);
		break;
	case 4:
		strcpy(h.layer[h.depth - 1].path, h.layer[0].path);
		break;
	}
}

static int make_file(const struct layer *l)
{
	int fd = open(l->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err;

	if (fd < 0)
		return -errno;
	err = image_write(&l->image, fd);
	close(fd);
	return err;
}

static int make_files(void)
{
	int err = 0;
	u32 i;

	for (i = h.depth; i-- && !err; )
		err = make_file(&h.layer[i]);
	return err;
}

/* Gone with its last user. */
static int make_loop(struct layer *l, int control)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int fd = open(l->path, O_RDWR | O_CLOEXEC), number, err = 0;

	if (fd < 0)
		return -errno;
	config.fd = fd;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	snprintf(l->disk, sizeof(l->disk), "/dev/loop%d", number);
	l->loop = open(l->disk, O_RDWR | O_CLOEXEC);
	if (l->loop < 0 || ioctl(l->loop, LOOP_CONFIGURE, &config))
		err = -errno;
	close(fd);
	return err;
}

/* The same file is the same device. */
static bool share_loop(u32 layer)
{
	u32 i;

	for (i = 0; i < layer; i++) {
		if (strcmp(h.layer[i].path, h.layer[layer].path))
			continue;
		strcpy(h.layer[layer].disk, h.layer[i].disk);
		return true;
	}
	return false;
}

static int make_loops(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), err = 0;
	u32 i;

	if (control < 0)
		return -errno;
	for (i = 0; i < h.depth && !err; i++)
		if (!share_loop(i))
			err = make_loop(&h.layer[i], control);
	close(control);
	return err;
}

static void drop_loops(void)
{
	u32 i;

	for (i = 0; i < h.depth; i++)
		if (h.layer[i].loop >= 0)
			close(h.layer[i].loop);
}

static const char *path_of(const struct layer *l)
{
	return *l->disk ? l->disk : l->path;
}

static int attach(u32 flags, struct nl_result *result)
{
	struct nl_layer layer[MAX_DEPTH];
	int mode = flags & VHDBLK_ATTACH_READ_ONLY ? O_RDONLY : O_RDWR, err = 0;
	u32 i;

	for (i = 0; i < h.depth; i++) {
		layer[i].flags = h.layer[i].flags;
		layer[i].fd = open(path_of(&h.layer[i]), (i ? O_RDONLY : mode) | O_CLOEXEC);
	}
	memset(result, 0, sizeof(*result));
	err = nl_attach(&h.nl, layer, h.depth, flags, result);
	for (i = 0; i < h.depth; i++)
		close(layer[i].fd);
	return err ? err : result->error;
}

/* The kernel opens the disk for a moment, to look for partitions. */
static int detach(u32 index)
{
	struct nl_result result = { 0 };
	int tries = 100, err;

	do {
		err = nl_detach(&h.nl, index, 0, &result);
		err = err ? err : result.error;
		if (err == -EBUSY)
			usleep(50000);
	} while (err == -EBUSY && --tries);
	if (err && err != -ENOSPC)
		fail("detach", *result.text ? result.text : strerror(-err));
	return err;
}

static int open_disk(u32 index, bool writable)
{
	char path[32];
	int tries = 200, err;

	snprintf(path, sizeof(path), "/dev/vhd%u", index);
	while ((err = look_open(&h.look, path, writable)) == -ENOENT && --tries)
		usleep(50000);
	if (err)
		fail("open the disk", strerror(-err));
	return err;
}

static void note_refusal(int err, const struct nl_result *result)
{
	h.refused++;
	if (result->fault < VHD_NR_FAULTS)
		h.faults[result->fault]++;
	if (!result->fault && !*result->text)
		fail("refused without a name", strerror(-err));
	if (err == -ENOMEM || err == -ETIMEDOUT || result->fault >= VHD_NR_FAULTS)
		fail("refused", strerror(-err));
}

/* What was there when it was detached is there still. */
static void attach_again(void)
{
	struct nl_result result;
	u32 flags = h.flags | VHDBLK_ATTACH_READ_ONLY;
	int err = attach(flags, &result);

	h.again++;
	if (err) {
		fail("does not attach again", *result.text ? result.text : strerror(-err));
		return;
	}
	if (!open_disk(result.index, false)) {
		if (look_compare(&h.look))
			fail("wrong after it was attached again", NULL);
		close(h.look.fd);
	}
	detach(result.index);
}

/* Return: was all that was written made durable? */
static bool change_disk(void)
{
	look_change(&h.look, &h.rng, CHANGES);
	if (!fsync(h.look.fd))
		return true;
	if (errno != ENOSPC)
		fail("flush", strerror(errno));
	return false;
}

static void use_disk(u32 index)
{
	bool writable = !(h.flags & VHDBLK_ATTACH_READ_ONLY), saved = false;

	h.attached++;
	h.writable += writable;
	if (open_disk(index, writable)) {
		detach(index);
		return;
	}
	look_choose(&h.look, &h.rng, h.layer[0].image.block_sects);
	look_read(&h.look);
	if (writable)
		saved = change_disk();
	if (look_compare(&h.look))
		fail("wrong", NULL);
	close(h.look.fd);
	if (!detach(index) && saved && rng_chance(&h.rng, 30))
		attach_again();
}

/* They would fill a small file system. */
static void remove_files(void)
{
	u32 i;

	for (i = 0; i < h.depth; i++)
		unlink(h.layer[i].path);
}

static void one_image(u64 seed, u64 number, char **dir, u32 nr_dirs)
{
	struct nl_result result;
	long before, kb;
	int err;

	alarm(PATIENCE);
	h.number = number;
	h.rng.state = seed * 0x100000001b3ULL + number * 0x9e3779b9ULL;
	choose_chain(dir, nr_dirs);
	mutate_chain();
	err = make_files();
	if (!err && h.loops && number % 5 == 4)
		err = make_loops();
	if (err) {
		fail("cannot make it", strerror(-err));
		drop_loops();
		return;
	}
	before = available_kb();
	err = attach(h.flags, &result);
	kb = before - available_kb();
	if (kb > h.most_kb)
		h.most_kb = kb;
	if (kb > MOST_KB)
		fail("its attach took more memory than any disk may", NULL);
	if (err)
		note_refusal(err, &result);
	else
		use_disk(result.index);
	drop_loops();
	remove_files();
}

static void report(u64 images, u64 seed)
{
	const struct look_tally *t = &h.tally;
	u32 i;

	for (i = 1; i < VHD_NR_FAULTS; i++)
		if (h.faults[i])
			printf("# %5u %s\n", h.faults[i], vhd_fault_name(i));
	printf("# %llu reads (%llu failed), %llu writes, %llu zeroed, ",
	       (unsigned long long)t->reads, (unsigned long long)t->read_errors,
	       (unsigned long long)t->writes, (unsigned long long)t->zeroed);
	printf("%llu discards, %llu flushes (%llu of these failed)\n",
	       (unsigned long long)t->discards, (unsigned long long)t->flushes,
	       (unsigned long long)t->write_errors);
	printf("# %ld KiB most of one attach\n", h.most_kb);
	printf("%s - seed %llu: %llu images, %u attached (%u for writing, %u again), ",
	       h.failures || t->strange || t->wrong ? "not ok" : "ok", (unsigned long long)seed,
	       (unsigned long long)images, h.attached, h.writable, h.again);
	printf("%u refused; %llu sectors wrong, %llu strange errors, %u failures\n", h.refused,
	       (unsigned long long)t->wrong, (unsigned long long)t->strange, h.failures);
	fflush(stdout);
}

/* Footer, header, a hole for a table, footer. */
static int make_claim(const char *path, u32 entries, u32 block_size)
{
	static const u8 uuid[16] = { 1 };
	struct vhd_header_args hargs = {
		.block_size = block_size, .entries = entries, .table_offset = 3 * 512,
	};
	u64 table = DIV_ROUND_UP(entries * 4ULL, 512) * 512;
	struct vhd_footer_args fargs = { .type = VHD_TYPE_DYNAMIC, .uuid = uuid };
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct vhd_footer f;
	struct vhd_header header;

	fargs.size = min_t(u64, (u64)entries * block_size, VHD_MAX_DYNAMIC_SIZE);
	vhd_footer_init(&f, &fargs);
	vhd_header_init(&header, &hargs);
	if (fd < 0 || pwrite(fd, &f, sizeof(f), 0) < 0 ||
	    pwrite(fd, &header, sizeof(header), 512) < 0 ||
	    pwrite(fd, &f, sizeof(f), 3 * 512 + table) < 0 || close(fd)) {
		perror(path);
		return 1;
	}
	return 0;
}

static int run(u64 seed, u64 images, u64 seconds, s64 only, char **dir, u32 nr_dirs)
{
	time_t end = time(NULL) + seconds;
	u64 number = only < 0 ? 0 : only;

	do {
		one_image(seed, number++, dir, nr_dirs);
	} while (only < 0 && number < images && (!seconds || time(NULL) < end) &&
		 h.failures < 20);
	report(only < 0 ? number : 1, seed);
	return h.failures || h.tally.strange || h.tally.wrong;
}

int main(int argc, char **argv)
{
	u64 seed = 1, images = 300, seconds = 0;
	bool claim = false;
	s64 only = -1;
	int c;

	while ((c = getopt(argc, argv, "cls:n:t:i:")) != -1) {
		if (c == 'c')
			claim = true;
		else if (c == 'l')
			h.loops = true;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			images = strtoull(optarg, NULL, 0);
		else if (c == 't')
			seconds = strtoull(optarg, NULL, 0);
		else if (c == 'i')
			only = strtoll(optarg, NULL, 0);
		else
			return 2;
	}
	if (claim && argc == optind + 3)
		return make_claim(argv[optind], strtoul(argv[optind + 1], NULL, 0),
				  strtoul(argv[optind + 2], NULL, 0));
	if (claim || optind == argc)
		return 2;
	if (nl_open(&h.nl) || look_init(&h.look, &h.tally)) {
		fprintf(stderr, "hostile: no driver, or no memory\n");
		return 1;
	}
	signal(SIGALRM, out_of_patience);
	return run(seed, images, seconds, only, argv + optind, argc - optind);
}
