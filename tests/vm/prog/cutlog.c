// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the log of the device-mapper target log-writes, and brings devices into the
 * state of a moment of it.
 *
 * usage: cutlog marks LOG			every mark as "ENTRY TEXT"
 *        cutlog plan LOG SEED NR FLUSHED FUA WINDOW
 *						where to cut: lines "POS SEED"
 *        cutlog replay LOG DEV STATE POS	see below
 *        cutlog rest LOG DEV STATE POS SEED	see below
 *
 * A cut at POS comes before entry POS. The target logs a write when a flush
 * has made it durable, so all entries up to the last flush before POS are on the disk for
 * sure: replay writes those to DEV, going on where STATE says that it stopped. What is
 * between that flush and POS was on its way: rest writes that, to a copy of DEV.
 * With seed 0 it writes all of it, in the order of the log; with another seed what a
 * cache might: all but one, or a random subset, or that of pages. FUA writes are on the
 * disk in any case.
 *
 * plan chooses NR moments behind the mark "begin": FLUSHED of a hundred right behind
 * marks that begin with "m:", FUA of them right behind those with "f:", where the disk
 * holds what was promised and not a sector more; WINDOW of them between a mark
 * that begins with "t:" and the next one of those, and the others anywhere. With NR 0 it
 * chooses all marks with a promise.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vhd_platform.h>

#include "die.h"

#define SECTOR 512u
#define MAGIC 0x6a736677736872ULL
#define VERSION 1u
#define FLAG_FLUSH 1u
#define FLAG_FUA 2u
#define FLAG_DISCARD 4u
#define FLAG_MARK 8u
#define PAGE_SECTS 8u
#define BUFFER_SECTS 2048u
#define MAX_MARK 400u

/* On the device, little-endian. */
struct log_super {
	u64 magic;
	u64 version;
	u64 nr_entries;
	u32 sector_size;
};

struct log_entry {
	u64 sector;
	u64 nr;
	u64 flags;
	u64 text_len;
};

/**
 * struct cursor - a place in the log
 * @entry:	number of the entry there
 * @at:		its first sector in the log
 * @e:		the entry, after read_entry()
 * @text:	of a mark
 */
struct cursor {
	u64 entry;
	u64 at;
	struct log_entry e;
	char text[MAX_MARK];
};

static struct {
	int log;
	u64 nr_entries;
	int dev;
	u8 *buf;
	u64 random;
} g;

static void no_log(const char *why)
{
	fprintf(stderr, "cutlog: %s\n", why);
	exit(2);
}

static u64 hash(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static u64 next_random(void)
{
	g.random += 0x9e3779b97f4a7c15ULL;
	return hash(g.random);
}

static void read_log(void *buf, u64 sector, u64 nr)
{
	if (pread(g.log, buf, nr * SECTOR, sector * SECTOR) != (ssize_t)(nr * SECTOR))
		die("log");
}

static void open_log(const char *path)
{
	struct log_super *super;

	g.buf = aligned_alloc(4096, (size_t)BUFFER_SECTS * SECTOR);
	g.log = open(path, O_RDONLY | O_CLOEXEC);
	if (!g.buf || g.log < 0)
		die(path);
	super = (void *)g.buf;
	read_log(super, 0, 1);
	if (le64toh(super->magic) != MAGIC || le64toh(super->version) != VERSION)
		no_log("not a log of dm-log-writes");
	if (le32toh(super->sector_size) != SECTOR)
		no_log("sectors of another size");
	g.nr_entries = le64toh(super->nr_entries);
}

static void open_dev(const char *path)
{
	g.dev = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (g.dev < 0)
		die(path);
}

/* Return: false at the end of the log. */
static bool read_entry(struct cursor *c)
{
	char raw[SECTOR] __attribute__((aligned(8)));
	const struct log_entry *e = (void *)raw;

	if (c->entry >= g.nr_entries)
		return false;
	read_log(raw, c->at, 1);
	c->e = (struct log_entry){
		.sector = le64toh(e->sector), .nr = le64toh(e->nr),
		.flags = le64toh(e->flags), .text_len = le64toh(e->text_len),
	};
	c->text[0] = 0;
	if (c->e.flags & FLAG_MARK)
		snprintf(c->text, sizeof(c->text), "%.*s", (int)c->e.text_len,
			 raw + sizeof(*e));
	return true;
}

/* A discard has a length, but no data. */
static u64 data_sects(const struct log_entry *e)
{
	return e->flags & FLAG_DISCARD ? 0 : e->nr;
}

static void next_entry(struct cursor *c)
{
	c->at += 1 + data_sects(&c->e);
	c->entry++;
}

static struct cursor first_entry(void)
{
	return (struct cursor){ .at = 1 };
}

static void write_dev(u64 sector, u64 nr)
{
	if (pwrite(g.dev, g.buf, nr * SECTOR, sector * SECTOR) != (ssize_t)(nr * SECTOR))
		die("replay");
}

/* A part of what an entry wrote; a discard leaves zeros. */
static void write_part(const struct cursor *c, u64 first, u64 nr)
{
	u64 part;

	for (; nr; nr -= part, first += part) {
		part = nr < BUFFER_SECTS ? nr : BUFFER_SECTS;
		if (c->e.flags & FLAG_DISCARD)
			memset(g.buf, 0, part * SECTOR);
		else
			read_log(g.buf, c->at + 1 + first, part);
		write_dev(c->e.sector + first, part);
	}
}

static void write_whole(const struct cursor *c)
{
	write_part(c, 0, c->e.nr);
}

/* Page by page, as the disk has them. */
static void write_torn(const struct cursor *c, unsigned int percent)
{
	u64 first, nr;

	for (first = 0; first < c->e.nr; first += nr) {
		nr = PAGE_SECTS - (c->e.sector + first) % PAGE_SECTS;
		if (nr > c->e.nr - first)
			nr = c->e.nr - first;
		if (next_random() % 100 < percent)
			write_part(c, first, nr);
	}
}

static struct cursor read_state(const char *path)
{
	struct cursor c = first_entry();
	FILE *f = fopen(path, "r");

	if (!f && errno == ENOENT)
		return c;
	if (!f || fscanf(f, "%llu %llu", &c.entry, &c.at) != 2)
		die(path);
	fclose(f);
	return c;
}

static void write_state(const char *path, const struct cursor *c)
{
	FILE *f = fopen(path, "w");

	if (!f || fprintf(f, "%llu %llu\n", c->entry, c->at) < 0 || fclose(f))
		die(path);
}

/* Behind the last flush before @pos, or where @c is. */
static u64 sure_until(struct cursor c, u64 pos)
{
	u64 sure = c.entry;

	for (; c.entry < pos && read_entry(&c); next_entry(&c))
		if (c.e.flags & FLAG_FLUSH)
			sure = c.entry + 1;
	return sure;
}

static int replay(const char *state, u64 pos)
{
	struct cursor c = read_state(state);
	u64 sure = sure_until(c, pos);

	if (pos < c.entry)
		no_log("the device is in a later state already");
	for (; c.entry < sure && read_entry(&c); next_entry(&c))
		write_whole(&c);
	write_state(state, &c);
	return 0;
}

/**
 * struct choice - which of the writes that were on their way are on the disk
 * @all:	those that come first, and no others
 * @omit:	all but the one with this number, if it is not zero
 * @percent:	else so many of a hundred
 * @torn:	of their pages
 */
struct choice {
	bool all;
	u64 omit;
	unsigned int percent;
	bool torn;
};

static struct choice choose(struct cursor c, u64 pos, u64 seed)
{
	static const u8 percents[] = { 0, 0, 0, 10, 50, 50, 90, 90 };
	struct choice how = {
		.all = !seed, .percent = percents[seed / 2 % 8], .torn = seed & 16,
	};
	u64 writes = 0;

	g.random = seed;
	for (; c.entry < pos && read_entry(&c); next_entry(&c))
		writes += c.e.nr && !(c.e.flags & FLAG_FUA);
	if (!how.percent && writes)
		how.omit = 1 + next_random() % writes;
	return how;
}

static int rest(const char *state, u64 pos, u64 seed)
{
	struct cursor c = read_state(state);
	struct choice how = choose(c, pos, seed);
	u64 write = 0;

	for (; c.entry < pos && read_entry(&c); next_entry(&c)) {
		if (how.all || c.e.flags & FLAG_FUA || !c.e.nr)
			write_whole(&c);
		else if (how.omit && ++write != how.omit)
			write_whole(&c);
		else if (!how.omit && how.torn)
			write_torn(&c, how.percent);
		else if (!how.omit && next_random() % 100 < how.percent)
			write_whole(&c);
	}
	return 0;
}

static int marks(void)
{
	struct cursor c;

	for (c = first_entry(); read_entry(&c); next_entry(&c))
		if (c.e.flags & FLAG_MARK)
			printf("%llu %s\n", c.entry, c.text);
	return 0;
}

/* What comes behind a flush, and the next flush. */
struct epoch {
	u64 first;
	u64 flush;
};

enum moment { FLUSHED, FUA, WINDOW, ANYWHERE, KINDS };

/**
 * struct plan - what plan chooses from
 * @mark:	entries that are marks, of FLUSHED and of FUA
 * @epoch:	from one flush to the next, of WINDOW and of ANYWHERE
 * @nr:		how many there are of each kind
 */
struct plan {
	u64 *mark[WINDOW];
	struct epoch *epoch[KINDS];
	u64 nr[KINDS];
};

static bool begins(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static void *table(size_t size)
{
	void *p = calloc(g.nr_entries + 1, size);

	if (!p)
		die("memory");
	return p;
}

static void add_mark(struct plan *p, enum moment kind, u64 entry)
{
	p->mark[kind][p->nr[kind]++] = entry;
}

static void add_epoch(struct plan *p, enum moment kind, u64 first, u64 flush)
{
	p->epoch[kind][p->nr[kind]++] = (struct epoch){ first, flush };
}

static void scan(struct plan *p)
{
	bool begun = false, inside = false;
	struct cursor c;
	u64 first = 0;

	for (c = first_entry(); read_entry(&c); next_entry(&c)) {
		begun |= begins(c.text, "begin");
		if (begins(c.text, "m:") || begins(c.text, "f:")) {
			if (begun)
				add_mark(p, c.text[0] == 'm' ? FLUSHED : FUA, c.entry);
			inside = false;
		}
		inside |= begins(c.text, "t:");
		if (!(c.e.flags & FLAG_FLUSH))
			continue;
		if (begun && first) {
			add_epoch(p, ANYWHERE, first, c.entry);
			if (inside)
				add_epoch(p, WINDOW, first, c.entry);
		}
		first = c.entry + 1;
	}
}

/* Some of the writes in their order, or any of them just before their flush. */
static void print_epoch(const struct plan *p, enum moment kind)
{
	const struct epoch *e = &p->epoch[kind][next_random() % p->nr[kind]];
	u64 seed = next_random() | 1;

	if (next_random() % 4)
		printf("%llu %llu\n", e->flush, seed);
	else
		printf("%llu 0\n", e->first + next_random() % (e->flush - e->first + 1));
}

static void print_marks(struct plan *p, enum moment kind, u64 nr)
{
	u64 *mark = p->mark[kind], i, j;

	for (i = 0; i < nr; i++) {
		j = i + next_random() % (p->nr[kind] - i);
		printf("%llu 0\n", mark[j] + 1);
		mark[j] = mark[i];
	}
}

/* What there is too little of is replaced by something anywhere. */
static void choose_cuts(struct plan *p, u64 nr, const u64 *percent)
{
	u64 left = nr, part;
	enum moment kind;

	for (kind = FLUSHED; kind < ANYWHERE; kind++) {
		part = nr * percent[kind] / 100;
		if (kind < WINDOW && (part > p->nr[kind] || !nr))
			part = p->nr[kind];
		if (kind < WINDOW)
			print_marks(p, kind, part);
		else if (!p->nr[kind])
			part = 0;
		left -= nr ? part : 0;
		while (kind == WINDOW && part--)
			print_epoch(p, kind);
	}
	while (left--)
		print_epoch(p, ANYWHERE);
}

static int plan(u64 seed, u64 nr, const u64 *percent)
{
	struct plan p = {
		.mark = { table(sizeof(u64)), table(sizeof(u64)) },
		.epoch[WINDOW] = table(sizeof(struct epoch)),
		.epoch[ANYWHERE] = table(sizeof(struct epoch)),
	};

	g.random = seed;
	scan(&p);
	if (!p.nr[ANYWHERE] || !p.nr[FLUSHED])
		no_log("nothing to cut");
	choose_cuts(&p, nr, percent);
	free(p.mark[FLUSHED]);
	free(p.mark[FUA]);
	free(p.epoch[WINDOW]);
	free(p.epoch[ANYWHERE]);
	return 0;
}

static u64 number(const char *text)
{
	return strtoull(text, NULL, 10);
}

static int usage(void)
{
	fprintf(stderr, "usage: cutlog marks LOG | plan LOG SEED NR FLUSHED FUA WINDOW |\n"
		"       replay LOG DEV STATE POS | rest LOG DEV STATE POS SEED\n");
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return usage();
	open_log(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "marks"))
		return marks();
	if (argc == 8 && !strcmp(argv[1], "plan"))
		return plan(number(argv[3]), number(argv[4]),
			    (u64[]){ number(argv[5]), number(argv[6]), number(argv[7]) });
	if (argc < 6)
		return usage();
	open_dev(argv[3]);
	if (argc == 6 && !strcmp(argv[1], "replay"))
		return replay(argv[4], number(argv[5]));
	if (argc == 7 && !strcmp(argv[1], "rest"))
		return rest(argv[4], number(argv[5]), number(argv[6]));
	return usage();
}
