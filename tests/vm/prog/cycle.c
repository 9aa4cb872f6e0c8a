// SPDX-License-Identifier: GPL-2.0
/*
 * Attach and detach over and over in one process, and see that nothing is left.
 *
 * usage: cycle -n CYCLES FILE...          one chain, leaf first, CYCLES times
 *        cycle -m DEVICES LEAF... [-- PARENT...]
 *                                         that many devices at once, sharing
 *                                         the parents
 *
 * Kernel threads, open files, the module's reference count and unreclaimable
 * slab must come back to what they were after a few cycles of warming up.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nl.h"

#define WARM_UP 5
/* Slab breathes with per-CPU caches; 1 KiB lost per cycle still shows. */
#define SLAB_SLACK_KB 1024
/* The kernel's count of open files is exact only to this for each CPU. */
#define FILES_SLACK 32
/* Freed memory comes back after RCU grace periods and delayed work. */
#define SETTLE_TRIES 30
#define MAX_DEVICES 256

struct census {
	long kthreads;
	long files;
	long module;
	long slab_kb;
};

static long read_number(const char *path, const char *key)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "r");

	while (f && value < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), "%ld", &value);
	}
	if (f)
		fclose(f);
	return value;
}

static bool is_ours(const char *pid)
{
	char path[300], comm[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	fclose(f);
	return !strncmp(comm, "vhd", 3) && strncmp(comm, "vhdctl", 6);
}

static long count_kthreads(void)
{
	struct dirent *d;
	long nr = 0;
	DIR *dir = opendir("/proc");

	while (dir && (d = readdir(dir)))
		nr += isdigit(d->d_name[0]) && is_ours(d->d_name);
	if (dir)
		closedir(dir);
	return nr;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, "3", 1) != 1)
		perror("/proc/sys/vm");
	close(fd);
}

static struct census take_census(void)
{
	struct census c;

	drop_caches();
	c.kthreads = count_kthreads();
	c.files = read_number("/proc/sys/fs/file-nr", "");
	c.module = read_number("/sys/module/vhdblk/refcnt", "");
	c.slab_kb = read_number("/proc/meminfo", "SUnreclaim:");
	return c;
}

static bool same(const struct census *a, const struct census *b)
{
	long files_slack = FILES_SLACK * sysconf(_SC_NPROCESSORS_CONF);

	return b->kthreads <= a->kthreads &&
	       b->files <= a->files + files_slack &&
	       b->module <= a->module &&
	       b->slab_kb <= a->slab_kb + SLAB_SLACK_KB;
}

/* The job that ended last holds its references for a moment longer. */
static struct census settled_census(void)
{
	sleep(2);
	return take_census();
}

static int compare(const char *what, const struct census *before)
{
	struct census now;
	int i;

	for (i = 0; i < SETTLE_TRIES; i++) {
		now = take_census();
		if (same(before, &now))
			break;
		sleep(1);
	}
	printf("%s: kthreads %ld -> %ld, open files %ld -> %ld (slack %d per CPU), ",
	       what, before->kthreads, now.kthreads, before->files, now.files,
	       FILES_SLACK);
	printf("module references %ld -> %ld, ", before->module, now.module);
	printf("unreclaimable slab %ld -> %ld KiB (slack %d)\n",
	       before->slab_kb, now.slab_kb, SLAB_SLACK_KB);
	return same(before, &now) ? 0 : 1;
}

static int open_layer(const char *path, int mode)
{
	int fd = open(path, mode | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static int check(const char *what, int err, const struct nl_result *r)
{
	if (!err && !r->error)
		return 0;
	fprintf(stderr, "cycle: %s: %s (%s)\n", what,
		strerror(err ? -err : -r->error), err ? "netlink" : r->text);
	return -1;
}

static int one_cycle(struct nl *nl, char **path, unsigned int nr)
{
	struct nl_layer layer[NL_MAX_LAYERS] = { 0 };
	struct nl_result r = { 0 };
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++)
		layer[i].fd = open_layer(path[i], i ? O_RDONLY : O_RDWR);
	err = nl_attach(nl, layer, nr, 0, &r);
	for (i = 0; i < nr; i++)
		close(layer[i].fd);
	if (check("attach", err, &r))
		return -1;
	err = nl_detach(nl, r.index, 0, &r);
	return check("detach", err, &r);
}

static int run_cycles(struct nl *nl, long nr, char **path, unsigned int layers)
{
	struct census before;
	long i;

	for (i = -WARM_UP; i < nr; i++) {
		if (!i)
			before = settled_census();
		if (one_cycle(nl, path, layers))
			return 1;
	}
	printf("cycle: %ld attaches and detaches of %u layers\n", nr, layers);
	return compare("cycle", &before);
}

static u32 start_one(struct nl *nl, const char *leaf, char **parent,
		     unsigned int nr)
{
	struct nl_layer layer[NL_MAX_LAYERS] = { 0 };
	unsigned int i;
	u32 job;
	int err;

	layer[0].fd = open_layer(leaf, O_RDWR);
	for (i = 0; i < nr; i++)
		layer[i + 1].fd = open_layer(parent[i], O_RDONLY);
	err = nl_attach_start(nl, layer, nr + 1, 0, &job);
	for (i = 0; i <= nr; i++)
		close(layer[i].fd);
	if (err) {
		fprintf(stderr, "cycle: attach: %s\n", strerror(-err));
		exit(1);
	}
	return job;
}

/* All attaches are under way at the same time, and so are all detaches. */
static int many(struct nl *nl, unsigned int devices, char **leaf, char **parent,
		unsigned int parents)
{
	u32 job[MAX_DEVICES];
	struct nl_result r[MAX_DEVICES] = { 0 };
	unsigned int i;
	int err = 0;

	for (i = 0; i < devices; i++)
		job[i] = start_one(nl, leaf[i], parent, parents);
	for (i = 0; i < devices; i++)
		err |= check(leaf[i], nl_wait(nl, job[i], &r[i]), &r[i]);
	for (i = 0; i < devices && !err; i++)
		err |= nl_detach_start(nl, r[i].index, 0, &job[i]);
	for (i = 0; i < devices && !err; i++)
		err |= check("detach", nl_wait(nl, job[i], &r[i]), &r[i]);
	return err ? 1 : 0;
}

static int run_many(struct nl *nl, unsigned int devices, char **arg, int nr)
{
	struct census before;
	int leaves = 0, parents;
	char **parent;

	while (leaves < nr && strcmp(arg[leaves], "--"))
		leaves++;
	if (devices > MAX_DEVICES || leaves != (int)devices) {
		fprintf(stderr, "cycle: %d leaves for %u devices\n", leaves,
			devices);
		return 2;
	}
	parent = arg + leaves + 1;
	parents = nr > leaves ? nr - leaves - 1 : 0;
	if (many(nl, devices, arg, parent, parents))
		return 1;
	before = settled_census();
	if (many(nl, devices, arg, parent, parents))
		return 1;
	printf("cycle: %u devices at once\n", devices);
	return compare("cycle", &before);
}

int main(int argc, char **argv)
{
	static struct nl nl;
	long cycles = 0, devices = 0;
	int c, err;

	while ((c = getopt(argc, argv, "+n:m:")) != -1) {
		if (c == 'n')
			cycles = atol(optarg);
		else if (c == 'm')
			devices = atol(optarg);
		else
			return 2;
	}
	err = nl_open(&nl);
	if (err || optind == argc) {
		fprintf(stderr, "cycle: netlink: %s\n", strerror(-err));
		return 1;
	}
	if (devices)
		return run_many(&nl, devices, argv + optind, argc - optind);
	return run_cycles(&nl, cycles, argv + optind, argc - optind);
}
