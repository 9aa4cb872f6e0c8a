// SPDX-License-Identifier: GPL-2.0
/*
 * Makes power cuts: brings the disk into the state of one moment after the other,
 * and has everything in it looked at.
 *
 * usage: cutrun BELOW LOG STATE COW DIR [BAD]
 *
 * BELOW says what lies below, see cut.sh. LOG is the log, STATE the device that it
 * is replayed to, COW takes what a cut and its looking change. In DIR are marks and
 * plan, as cutlog writes them; the cuts of the plan must rise. It ends after BAD (5)
 * bad cuts, or all, with two lines of figures.
 *
 * Starting a program takes longer in an emulated machine than all that it does here,
 * so vhdctl, cutlog and cutwork are linked in: a process of its own for each command,
 * but no program.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vhd_platform.h>

#include "cutdm.h"
#include "cutmain.h"
#include "die.h"

#define TARGET "/cut"
#define DM_NAME "cut"
#define MAX_DISKS 2u
#define MAX_NOTES 4000u
#define MAX_ARGS 12u
/* One cut in that many goes on with the disks instead of only reading them. */
#define AGAIN_EVERY 4u
#define AGAIN_NR "20"
/* Of vhdctl check: nothing but leaked space. */
#define ONLY_LEAKS 3
#define NO_EXIT (-1)

/**
 * struct below - what lies below the images
 * @name:	for the command line
 * @type:	of the file system, NULL for none
 * @options:	to mount it with
 * @nr:		how many disks
 * @disk:	their numbers, see enum cut_disk
 */
struct below {
	const char *name;
	const char *type;
	const char *options;
	unsigned int nr;
	unsigned int disk[MAX_DISKS];
};

static const struct below all_below[] = {
	{ "ext4", "ext4", "", 2, { 0, 1 } },
	{ "xfs", "xfs", "", 2, { 0, 1 } },
	{ "dev", NULL, NULL, 1, { 1 } },
	{ "async", "ext4", "data=writeback,journal_async_commit", 1, { 2 } },
};

#define NR_BELOW (sizeof(all_below) / sizeof(*all_below))

/**
 * struct note - a mark about files
 * @entry:	where it is in the log
 * @leaf:	a new leaf is there from now on
 * @attached:	from now on disks may grow
 * @size:	if not 0, @file is that long, which is durable, until disks may grow
 * @file:	which
 */
struct note {
	u64 entry;
	bool leaf, attached;
	u64 size;
	char file[40];
};

enum phase {
	REPLAY, SNAPSHOT, REST, MOUNT, CHECK, ATTACH, JUDGE, DETACH, UMOUNT, REMOVE, PHASES
};

static const char * const phase_names[PHASES] = {
	"replay", "snapshot", "rest", "mount", "check", "attach", "judge", "detach",
	"unmount", "remove",
};

static struct {
	const struct below *below;
	const char *log, *base, *cow;
	char marks[256], plan[256], state[256];
	struct note note[MAX_NOTES];
	unsigned int nr_notes;
	unsigned int leaf;
	char carrier[64];
	char image[MAX_DISKS][64];
	char dev[MAX_DISKS][32];
	bool mapped, mounted;
	int out;
	u64 sects;
	double spent[PHASES];
} g;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A command line that grows. */
struct words {
	unsigned int nr;
	char *word[MAX_ARGS];
};

static struct words *add(struct words *w, const char *word)
{
	w->word[w->nr++] = (char *)word;
	w->word[w->nr] = NULL;
	return w;
}

/* What it says goes to @out, and complaints to the output of this cut. */
static pid_t start_to(int out, main_fn *fn, struct words *w)
{
	pid_t pid;
	int ret;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	dup2(out, STDOUT_FILENO);
	dup2(g.out, STDERR_FILENO);
	ret = fn(w->nr, w->word);
	fflush(NULL);
	_exit(ret);
}

static pid_t start(main_fn *fn, struct words *w)
{
	return start_to(g.out, fn, w);
}

static int finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("wait");
	errno = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : NO_EXIT;
}

static bool complain(bool good, const char *what)
{
	if (!good)
		dprintf(g.out, "cutrun: %s: %s\n", what, errno ? strerror(errno) : "failed");
	return good;
}

static bool cutlog(const char *what, const char *dev, const char *pos, const char *seed)
{
	struct words w = { 0 };

	add(add(add(&w, "cutlog"), what), g.log);
	add(add(add(&w, dev), g.state), pos);
	if (seed)
		add(&w, seed);
	return complain(!finish(start(cutlog_main, &w)), what);
}

static struct words *add_image(struct words *w, unsigned int i)
{
	if (!g.below->type)
		add(add(w, "--parent"), "/scratch/base.vhd");
	return add(w, g.image[i]);
}

static pid_t start_check(unsigned int i, const char *file)
{
	struct words w = { 0 };

	add(add(&w, "vhdctl"), "check");
	return start(vhdctl_main, file ? add(&w, file) : add_image(&w, i));
}

/* No error; leaks are what a cut may leave. */
static bool check_is_good(pid_t pid)
{
	int status = finish(pid);

	return complain(!status || status == ONLY_LEAKS, "check");
}

static bool check_leaves(void)
{
	pid_t pid[MAX_DISKS];
	bool good = true;
	unsigned int i;

	for (i = 0; i < g.below->nr; i++)
		pid[i] = start_check(i, NULL);
	for (i = 0; i < g.below->nr; i++)
		good &= check_is_good(pid[i]);
	return good;
}

static bool check_parents(void)
{
	bool good = true;
	glob_t files;
	char *file;
	size_t i;

	if (!g.below->type || glob(TARGET "/*.vhd", 0, NULL, &files))
		return true;
	for (i = 0; i < files.gl_pathc; i++) {
		file = files.gl_pathv[i];
		if (strcmp(file, g.image[0]) && strcmp(file, g.image[1]))
			good &= check_is_good(start_check(0, file));
	}
	globfree(&files);
	return good;
}

static pid_t start_attach(unsigned int i, bool write, int out)
{
	struct words w = { 0 };

	add(add(add(&w, "vhdctl"), "attach"), "--no-partscan");
	if (!write)
		add(&w, "-r");
	return start_to(out, vhdctl_main, add_image(&w, i));
}

/* It says which one. */
static bool find_device(int out, char *dev, size_t size)
{
	ssize_t len = read(out, dev, size - 1);

	dev[len > 0 ? len : 0] = 0;
	dev[strcspn(dev, "\n")] = 0;
	return dev[0];
}

static bool attach(bool write)
{
	int fd[MAX_DISKS][2];
	pid_t pid[MAX_DISKS];
	bool good = true;
	unsigned int i;

	for (i = 0; i < g.below->nr; i++) {
		if (pipe2(fd[i], O_CLOEXEC))
			die("pipe");
		pid[i] = start_attach(i, write, fd[i][1]);
		close(fd[i][1]);
	}
	for (i = 0; i < g.below->nr; i++) {
		good &= find_device(fd[i][0], g.dev[i], sizeof(g.dev[i]));
		good &= !finish(pid[i]);
		close(fd[i][0]);
	}
	return complain(good, "attach");
}

static pid_t start_judge(const char *what, unsigned int i, const char *pos, const char *nr)
{
	char disk[] = { '0' + g.below->disk[i], 0 };
	struct words w = { 0 };

	add(add(add(&w, "cutwork"), what), disk);
	add(add(add(&w, g.dev[i]), g.marks), pos);
	if (nr)
		add(&w, nr);
	return start(cutwork_main, &w);
}

static bool judge(const char *what, const char *pos, const char *nr)
{
	pid_t pid[MAX_DISKS];
	unsigned int i;
	bool good = true;

	for (i = 0; i < g.below->nr; i++)
		pid[i] = start_judge(what, i, pos, nr);
	for (i = 0; i < g.below->nr; i++)
		good &= !finish(pid[i]);
	return complain(good, what);
}

static bool detach(void)
{
	struct words w = { 0 };
	unsigned int i;
	bool good;

	add(add(&w, "vhdctl"), "detach");
	for (i = 0; i < g.below->nr; i++)
		if (g.dev[i][0])
			add(&w, g.dev[i]);
	if (w.nr == 2)
		return true;
	good = !finish(start(vhdctl_main, &w));
	for (i = 0; good && i < g.below->nr; i++)
		g.dev[i][0] = 0;
	return complain(good, "detach");
}

/* The time since @since goes to @phase. */
static bool took(enum phase phase, double *since, bool good)
{
	double t = now();

	g.spent[phase] += t - *since;
	*since = t;
	return good;
}

/* The leaf that must be there at @pos; the next one may be. */
static void find_leaf(u64 pos)
{
	unsigned int i;
	char next[64];

	g.leaf = 0;
	for (i = 0; i < g.nr_notes && g.note[i].entry < pos; i++)
		g.leaf += g.note[i].leaf;
	snprintf(next, sizeof(next), TARGET "/child%u.vhd", g.leaf + 1);
	g.leaf += !access(next, F_OK);
}

static void find_images(u64 pos)
{
	unsigned int i;

	find_leaf(pos);
	for (i = 0; i < g.below->nr; i++) {
		if (!g.below->type)
			strcpy(g.image[i], g.carrier);
		else if (g.below->disk[i] == 1)
			snprintf(g.image[i], sizeof(g.image[i]), TARGET "/child%u.vhd", g.leaf);
		else
			strcpy(g.image[i], g.below->disk[i] ? TARGET "/line.vhd" :
			       TARGET "/dynamic.vhd");
	}
}

static bool is_long(const struct note *n)
{
	struct stat st = { 0 };

	if (!stat(n->file, &st) && (u64)st.st_size == n->size)
		return true;
	dprintf(g.out, "cutrun: %s: %lld bytes, not %llu\n", n->file, (long long)st.st_size,
		n->size);
	return false;
}

/* What detach has given back stays given back. */
static bool check_sizes(u64 pos)
{
	unsigned int i, first = 0, end;
	bool good = true;

	for (end = 0; end < g.nr_notes && g.note[end].entry < pos; end++)
		if (g.note[end].attached)
			first = end;
	for (i = first; i < end; i++)
		if (g.note[i].size)
			good &= is_long(&g.note[i]);
	return good;
}

/* Mounting replays the journal. */
static bool mount_it(void)
{
	if (!g.below->type)
		return true;
	g.mounted = !mount(g.carrier, TARGET, g.below->type, 0, g.below->options);
	return complain(g.mounted, "mount");
}

static bool umount_it(void)
{
	if (g.mounted)
		g.mounted = umount(TARGET);
	return complain(!g.mounted, "umount");
}

static bool look(const char *pos, bool again)
{
	double t = now();
	bool good = took(MOUNT, &t, mount_it());

	if (!good)
		return false;
	find_images(strtoull(pos, NULL, 10));
	good = took(CHECK, &t, check_sizes(strtoull(pos, NULL, 10)) && check_leaves()) &&
	       took(ATTACH, &t, attach(again)) &&
	       took(JUDGE, &t, again ? judge("again", pos, AGAIN_NR) : judge("judge", pos, NULL));
	good &= took(DETACH, &t, detach());
	if (again)
		good = took(CHECK, &t, good && check_leaves() && check_parents());
	return took(UMOUNT, &t, umount_it()) && good;
}

static bool remove_snapshot(void)
{
	if (g.mapped && !dm_remove(DM_NAME))
		g.mapped = false;
	return complain(!g.mapped, "remove");
}

static bool make_snapshot(void)
{
	char table[256];
	int minor;

	snprintf(table, sizeof(table), "%s %s N 8", g.base, g.cow);
	minor = dm_create(DM_NAME, g.sects, "snapshot", table);
	g.mapped = minor >= 0;
	snprintf(g.carrier, sizeof(g.carrier), "/dev/dm-%d", minor);
	return complain(g.mapped, "snapshot");
}

static bool cut(const char *pos, const char *seed, bool again)
{
	double t = now();
	bool good;

	good = took(REPLAY, &t, cutlog("replay", g.base, pos, NULL)) &&
	       took(SNAPSHOT, &t, make_snapshot()) &&
	       took(REST, &t, cutlog("rest", g.carrier, pos, seed)) && look(pos, again);
	/* Whatever has failed: the next one wants a clean table. */
	good &= detach() & umount_it();
	t = now();
	return took(REMOVE, &t, remove_snapshot()) && good;
}

static void show_output(void)
{
	char text[4096];
	off_t at = 0;
	ssize_t len;

	while ((len = pread(g.out, text, sizeof(text), at)) > 0) {
		fwrite(text, len, 1, stdout);
		at += len;
	}
}

static bool parse_note(const char *line, struct note *n)
{
	char text[256];

	memset(n, 0, sizeof(*n));
	if (sscanf(line, "%llu %255s", &n->entry, text) != 2)
		return false;
	n->leaf = !strncmp(text, "m:leaf:", 7);
	n->attached = !strcmp(text, "attach") || !strcmp(text, "t:attach");
	return n->leaf || n->attached ||
	       sscanf(text, "size:%llu:%39s", &n->size, n->file) == 2;
}

static void read_notes(void)
{
	FILE *f = fopen(g.marks, "r");
	char line[512];

	if (!f)
		die(g.marks);
	while (fgets(line, sizeof(line), f)) {
		if (g.nr_notes == MAX_NOTES)
			exit(2);
		g.nr_notes += parse_note(line, &g.note[g.nr_notes]);
	}
	fclose(f);
}

static void show_times(unsigned int nr)
{
	double sum = 0;
	int i;

	printf("# %s: ms a cut:", g.below->name);
	for (i = 0; i < PHASES; i++) {
		printf(" %s %.0f,", phase_names[i], g.spent[i] * 1000 / (nr ? nr : 1));
		sum += g.spent[i];
	}
	printf(" all %.0f\n", sum * 1000 / (nr ? nr : 1));
}

/* Return: how many were bad. */
static unsigned int cut_all(unsigned int most)
{
	unsigned int nr = 0, bad = 0, first = 0;
	FILE *plan = fopen(g.plan, "r");
	char pos[24], seed[24];

	if (!plan)
		die(g.plan);
	while (bad < most && fscanf(plan, "%23s %23s", pos, seed) == 2) {
		if (ftruncate(g.out, 0))
			die("output");
		nr++;
		if (cut(pos, seed, nr % AGAIN_EVERY == 0))
			continue;
		if (!bad++)
			first = nr;
		show_output();
		printf("not ok - %s: cut %u, before entry %s, seed %s\n", g.below->name, nr,
		       pos, seed);
	}
	fclose(plan);
	show_times(nr);
	printf("# %s: %u bad of %u cuts", g.below->name, bad, nr);
	printf(bad ? ", the first one is %u\n" : "\n", first);
	return nr ? bad : 1;
}

static void prepare(const char *dir)
{
	char out[256];
	int fd = open(g.base, O_RDONLY | O_CLOEXEC);
	u64 bytes;

	snprintf(g.marks, sizeof(g.marks), "%s/marks", dir);
	snprintf(g.plan, sizeof(g.plan), "%s/plan", dir);
	snprintf(g.state, sizeof(g.state), "%s/state", dir);
	snprintf(out, sizeof(out), "%s/out", dir);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes))
		die(g.base);
	close(fd);
	g.sects = bytes / 512;
	g.out = open(out, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (g.out < 0 || dup2(open("/dev/null", O_RDONLY), STDIN_FILENO))
		die(out);
	read_notes();
}

int main(int argc, char **argv)
{
	unsigned int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; argc >= 6 && i < NR_BELOW; i++)
		if (!strcmp(argv[1], all_below[i].name))
			g.below = &all_below[i];
	if (!g.below || argc > 7) {
		fprintf(stderr, "usage: cutrun BELOW LOG STATE COW DIR [BAD]\n");
		return 2;
	}
	g.log = argv[2];
	g.base = argv[3];
	g.cow = argv[4];
	prepare(argv[5]);
	return cut_all(argc > 6 ? strtoul(argv[6], NULL, 10) : 5) ? 1 : 0;
}
