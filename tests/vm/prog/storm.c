// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: chains are attached by processes that close their
 * descriptors or are killed; devices are opened, read, written, trimmed and
 * detached in every way; lists, status and sysfs are looked at; memory is taken
 * away; the file system below is frozen and thawed; the module is unloaded.
 *
 * usage: storm [-s SEED] [-t SECONDS] [-g DEVICE] [-z MOUNTPOINT] [-u MODULE] CHAIN...
 *
 * A CHAIN is LEAF[,PARENT]...; -g names a device to leave alone, but to write
 * and compare all the time; -z what to freeze; -u the file of the module, to be
 * unloaded and loaded again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nl.h"
#include "storm.h"

#define MAX_ROLES	32
#define SWEEPS		300
/* Most that the slowest kernel takes to detach and close everything. */
#define LULL_SECONDS	20
#define IO_BYTES	(256 << 10)
/* Where I/O goes: a few blocks, so that it meets. */
#define IO_RANGE	(24 << 20)

struct storm_totals *totals;

static const char *guarded, *frozen, *module;
static char **chain;
static unsigned int nr_chains;
static pid_t role[MAX_ROLES];
static unsigned int nr_roles;

static void pause_below(struct rng *r, unsigned int us)
{
	usleep(rng_below(r, us));
}

static int open_chain(const char *files, struct nl_layer *layer, bool write)
{
	char path[4096], *save, *file;
	int nr = 0;

	snprintf(path, sizeof(path), "%s", files);
	for (file = strtok_r(path, ",", &save); file; file = strtok_r(NULL, ",", &save)) {
		layer[nr].flags = 0;
		layer[nr].fd = open(file, write && !nr ? O_RDWR : O_RDONLY);
		nr += layer[nr].fd >= 0;
	}
	return nr;
}

/* A process that is killed on purpose, and goes when the storm is over. */
static pid_t victim(struct rng *r)
{
	pid_t pid;

	rng_next(r);
	pid = fork();
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* In a process of its own, which may be killed at any moment of it. */
static void attach_once(struct rng *r)
{
	static struct nl nl;
	struct nl_layer layer[NL_MAX_LAYERS];
	u32 flags = rng_one_in(r, 2) ? 0 : rng_below(r, 64), job;
	struct nl_result result;
	int nr, err;

	flags &= ~VHDBLK_ATTACH_IGNORE_ID_MISMATCH;
	if (nl_open(&nl))
		exit(0);
	nr = open_chain(chain[rng_below(r, nr_chains)], layer,
			!(flags & VHDBLK_ATTACH_READ_ONLY) != rng_one_in(r, 20));
	err = nl_attach_start(&nl, layer, nr, flags, &job);
	count(&totals->attaches);
	while (nr-- > 0)
		close(layer[nr].fd);
	if (!err && rng_one_in(r, 2))
		nl_wait(&nl, job, &result);
	exit(0);
}

static void attacher(struct rng *r)
{
	pid_t pid;

	for (;;) {
		while (__atomic_load_n(&totals->lull, __ATOMIC_RELAXED))
			usleep(1000);
		pid = victim(r);
		if (!pid)
			attach_once(r);
		if (rng_one_in(r, 3)) {
			pause_below(r, 40000);
			kill(pid, SIGKILL);
			count(&totals->kills);
		}
		waitpid(pid, NULL, 0);
		pause_below(r, 100000);
	}
}

/* A device of the driver's, but the guarded one. */
static bool pick(struct rng *r, char *name)
{
	char names[64][16];
	unsigned int nr = 0;
	struct dirent *d;
	DIR *dir = opendir("/sys/block");

	while (dir && nr < 64 && (d = readdir(dir))) {
		if (strncmp(d->d_name, "vhd", 3) || strlen(d->d_name) > 15)
			continue;
		if (!guarded || strcmp(d->d_name, strrchr(guarded, '/') + 1))
			strcpy(names[nr++], d->d_name);
	}
	if (dir)
		closedir(dir);
	if (nr)
		strcpy(name, names[rng_below(r, nr)]);
	return nr;
}

static void detacher(struct rng *r)
{
	static const u32 ways[] = { 0, 0, VHDBLK_DETACH_LAZY, VHDBLK_DETACH_FORCE, 3 };
	struct link l = { .fd = -1 };
	char name[16];

	for (;;) {
		pause_below(r, 300000);
		if (!pick(r, name))
			continue;
		/* The module may have been another one a moment ago. */
		if (l.fd >= 0)
			close(l.fd);
		if (link_open(&l)) {
			l.fd = -1;
			continue;
		}
		if (!link_detach(&l, atoi(name + 3), ways[rng_below(r, ARRAY_SIZE(ways))]))
			count(&totals->detaches);
	}
}

static void one_io(struct rng *r, int fd, char *buf)
{
	u32 sects = 1 + rng_below(r, rng_one_in(r, 3) ? IO_BYTES / 512 : 16);
	u64 range[2] = { (u64)rng_below(r, IO_RANGE / 512) * 512, sects * 512 };

	switch (rng_below(r, 12)) {
	case 0:
		fsync(fd);
		break;
	case 1:
		ioctl(fd, BLKDISCARD, range);
		break;
	case 2:
		ioctl(fd, BLKZEROOUT, range);
		break;
	case 3:
		ioctl(fd, rng_one_in(r, 2) ? BLKRRPART : BLKFLSBUF, 0);
		break;
	case 4: case 5: case 6: case 7:
		memset(buf, rng_next(r), range[1]);
		if (pwrite(fd, buf, range[1], range[0]) < 0)
			break;
		break;
	default:
		if (pread(fd, buf, range[1], range[0]) < 0)
			break;
	}
	count(&totals->ios);
}

/* Open it, use it for a while, and perhaps be killed with all of that under way. */
static void use_once(struct rng *r)
{
	char *buf = aligned_alloc(4096, IO_BYTES), name[16], path[32];
	int flags = rng_one_in(r, 3) ? O_RDONLY : O_RDWR, fd;
	unsigned int ios = rng_below(r, 200);

	if (!buf || !pick(r, name))
		exit(0);
	flags |= (rng_one_in(r, 2) ? O_DIRECT : 0) | (rng_one_in(r, 6) ? O_EXCL : 0);
	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, flags);
	if (fd < 0)
		exit(0);
	count(&totals->opens);
	while (ios--)
		one_io(r, fd, buf);
	pause_below(r, 200000);
	exit(0);
}

static void user(struct rng *r)
{
	pid_t pid;

	for (;;) {
		pid = victim(r);
		if (!pid)
			use_once(r);
		if (rng_one_in(r, 4)) {
			pause_below(r, 1000000);
			kill(pid, SIGKILL);
		}
		waitpid(pid, NULL, 0);
		pause_below(r, 50000);
	}
}

static void read_file(const char *path)
{
	char buf[4096];
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static void rename_it(struct link *l, u32 index, u32 autoclear)
{
	static struct msg m;

	m.len = 0;
	msg_begin(&m, l->family, NLM_F_REQUEST | NLM_F_ACK, VHDBLK_CMD_SET, ++l->seq);
	msg_u32(&m, VHDBLK_A_INDEX, index);
	msg_u32(&m, VHDBLK_A_FLAGS, autoclear);
	msg_attr(&m, VHDBLK_A_NAME, "storm", 6);
	msg_end(&m);
	link_call(l, &m, NULL);
}

static void watcher(struct rng *r)
{
	static const char *const attrs[] = {
		"name", "id", "depth", "layers", "allocated", "map_bytes", "cache_bytes",
		"counters",
	};
	static struct found found;
	struct link l = { .fd = -1 };
	char name[16], path[64];

	for (;;) {
		pause_below(r, 20000);
		if (l.fd >= 0)
			close(l.fd);
		l.fd = -1;
		if (link_open(&l)) {
			l.fd = -1;
			continue;
		}
		link_list(&l, &found);
		if (!pick(r, name))
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/vhd/%s", name,
			 attrs[rng_below(r, ARRAY_SIZE(attrs))]);
		read_file(path);
		rename_it(&l, atoi(name + 3),
			  rng_one_in(r, 3) ? VHDBLK_ATTACH_AUTOCLEAR : 0);
		count(&totals->looks);
	}
}

/* Clean descriptors and everything else that can be had again. */
static void forgetter(struct rng *r)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	for (;;) {
		pause_below(r, 2000000);
		if (write(fd, "3", 1) != 1)
			perror("drop_caches");
	}
}

static void freezer(struct rng *r)
{
	int fd = open(frozen, O_RDONLY | O_DIRECTORY);

	for (;;) {
		pause_below(r, 3000000);
		if (ioctl(fd, FIFREEZE, 0))
			continue;
		count(&totals->freezes);
		pause_below(r, 500000);
		ioctl(fd, FITHAW, 0);
	}
}

static void load(void)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		perror(module);
	close(fd);
}

static void force_all(struct link *l)
{
	static struct found found;
	unsigned int i;

	if (link_list(l, &found))
		return;
	for (i = 0; i < found.nr; i++)
		link_detach(l, found.index[i], VHDBLK_DETACH_FORCE);
}

/* Nobody attaches for a while, so that it can be unloaded behind the last closer. */
static void unload_once(struct rng *r)
{
	time_t end = time(NULL) + LULL_SECONDS;
	struct link l;

	if (link_open(&l))
		return;
	while (time(NULL) < end) {
		force_all(&l);
		pause_below(r, 2000);
		if (syscall(SYS_delete_module, "vhdblk", O_NONBLOCK))
			continue;
		count(&totals->unloads);
		load();
		break;
	}
	close(l.fd);
}

static void unloader(struct rng *r)
{
	for (;;) {
		pause_below(r, 3000000);
		__atomic_store_n(&totals->lull, true, __ATOMIC_RELAXED);
		unload_once(r);
		__atomic_store_n(&totals->lull, false, __ATOMIC_RELAXED);
	}
}

static void start(void (*what)(struct rng *r), u64 seed, unsigned int nr)
{
	struct rng r;

	while (nr--) {
		r.state = seed * 31 + nr_roles;
		role[nr_roles] = fork();
		if (!role[nr_roles])
			what(&r);
		nr_roles++;
	}
}

static void start_guard(u64 seed)
{
	role[nr_roles] = fork();
	if (!role[nr_roles])
		guard(guarded, seed);
	nr_roles++;
}

/* Until the time is up; nobody ends by himself but a guard that is not content. */
static bool wait_out(int seconds)
{
	time_t end = time(NULL) + seconds;
	int status;

	while (time(NULL) < end) {
		if (waitpid(-1, &status, WNOHANG) > 0)
			return false;
		usleep(200000);
	}
	return true;
}

/* Whoever froze the file system may have died over it, and others wait for that. */
static void stop(void)
{
	int fd = frozen ? open(frozen, O_RDONLY | O_DIRECTORY) : -1;
	unsigned int i;

	for (i = 0; i < nr_roles; i++)
		kill(role[i], SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0) {
		if (fd >= 0)
			ioctl(fd, FITHAW, 0);
		usleep(10000);
	}
	if (fd >= 0)
		close(fd);
	if (module)
		load();
}

/* Nobody is left who uses anything: all goes, but what is guarded. */
static bool sweep_up(void)
{
	unsigned int tries, empty = 0, i, left;
	struct link l = { .fd = -1 };
	static struct found found;
	u32 keep = guarded ? (u32)atoi(strrchr(guarded, '/') + 4) : ~0u;

	if (link_open(&l))
		return false;
	for (tries = 0; tries < SWEEPS && empty < 3; tries++) {
		left = 0;
		if (link_list(&l, &found))
			return false;
		for (i = 0; i < found.nr; i++) {
			if (found.index[i] == keep)
				continue;
			left++;
			link_detach(&l, found.index[i], 0);
		}
		empty = left ? 0 : empty + 1;
		sleep(1);
	}
	return empty >= 3;
}

static void verdict(bool good, const char *text)
{
	printf("%s - %s\n", good ? "ok" : "not ok", text);
}

static bool was_a_storm(void)
{
	const struct storm_totals *t = totals;

	printf("# %llu attaches and %llu kills under way, %llu detaches, %llu opens, %llu I/Os, ",
	       (unsigned long long)t->attaches, (unsigned long long)t->kills,
	       (unsigned long long)t->detaches, (unsigned long long)t->opens,
	       (unsigned long long)t->ios);
	printf("%llu looks, %llu freezes, %llu unloads, %llu guarded\n",
	       (unsigned long long)t->looks, (unsigned long long)t->freezes,
	       (unsigned long long)t->unloads, (unsigned long long)t->guarded);
	return t->attaches && t->kills && t->detaches && t->opens && t->ios && t->looks &&
	       (t->freezes || !frozen) && (t->unloads || !module) && (t->guarded || !guarded);
}

static void start_all(u64 seed)
{
	start(attacher, seed, 3);
	start(detacher, seed, 2);
	start(user, seed, 4);
	start(watcher, seed, 1);
	start(forgetter, seed, 1);
	start(freezer, seed, frozen ? 1 : 0);
	start(unloader, seed, module ? 1 : 0);
	if (guarded)
		start_guard(seed);
}

static bool options(int argc, char **argv, int *seconds, u64 *seed)
{
	int c;

	while ((c = getopt(argc, argv, "s:t:g:z:u:")) != -1) {
		if (c == 's')
			*seed = strtoull(optarg, NULL, 0);
		else if (c == 't')
			*seconds = atoi(optarg);
		else if (c == 'g')
			guarded = optarg;
		else if (c == 'z')
			frozen = optarg;
		else if (c == 'u')
			module = optarg;
		else
			return false;
	}
	chain = argv + optind;
	nr_chains = argc - optind;
	return nr_chains;
}

int main(int argc, char **argv)
{
	bool content, gone, storm;
	u64 seed = time(NULL);
	int seconds = 30;

	if (!options(argc, argv, &seconds, &seed))
		return 2;
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	/* What the victims leave behind is waited for here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	printf("# seed %llu, %d s\n", (unsigned long long)seed, seconds);
	fflush(stdout);
	start_all(seed);
	content = wait_out(seconds);
	stop();
	gone = sweep_up();
	storm = was_a_storm();
	if (guarded)
		verdict(content, "what nobody touched kept its data");
	verdict(storm, "it was a storm");
	verdict(gone, "everything can be detached afterwards");
	return content && storm && gone ? 0 : 1;
}
