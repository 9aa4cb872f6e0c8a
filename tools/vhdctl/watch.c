// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl status --watch: what a device does from one moment to the next.
 *
 * The driver counts requests by class and what else happens; reads, writes and
 * bytes are counted by the block layer for every disk, so the driver need not.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "netlink.h"
#include "print.h"

/* Words of /sys/dev/block/MAJOR:MINOR/stat, in its order. */
enum stat_word {
	STAT_READS, STAT_READ_MERGES, STAT_READ_SECTORS, STAT_READ_MS,
	STAT_WRITES, STAT_WRITE_MERGES, STAT_WRITE_SECTORS, STAT_WRITE_MS,
	STAT_IN_FLIGHT, STAT_BUSY_MS, STAT_QUEUE_MS,
	STAT_DISCARDS, STAT_DISCARD_MERGES, STAT_DISCARD_SECTORS,
	STAT_NR
};

/**
 * struct sample - a device at one moment
 * @ns:		of the monotonic clock
 * @seq:	which disk it is: another one may get its number
 * @stat:	see &enum stat_word
 * @d:		what the driver says
 */
struct sample {
	u64 ns;
	u64 seq;
	u64 stat[STAT_NR];
	struct device d;
};

/**
 * struct interval - what happened between two samples
 * @old:	the earlier one
 * @now:	the later one
 * @ns:		time between them; 0 before the first interval has ended
 * @requests:	served by the driver, all classes
 */
struct interval {
	const struct sample *old;
	const struct sample *now;
	u64 ns;
	u64 requests;
};

static const struct direction {
	const char *key;
	const char *bytes_key;
	enum stat_word requests;
	enum stat_word sectors;
} directions[] = {
	{ "reads", "read_bytes", STAT_READS, STAT_READ_SECTORS },
	{ "writes", "write_bytes", STAT_WRITES, STAT_WRITE_SECTORS },
	{ "discards", "discard_bytes", STAT_DISCARDS, STAT_DISCARD_SECTORS },
};

static bool read_words(const struct device *d, const char *file, u64 *words, int nr)
{
	char path[64];
	FILE *f;
	int i;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", d->major, d->minor, file);
	f = fopen(path, "re");
	if (!f)
		return false;
	for (i = 0; i < nr && fscanf(f, "%llu", &words[i]) == 1; i++)
		;
	fclose(f);
	return i == nr;
}

/* Return: 0, -ENODEV if the device is gone, or another negative errno. */
static int take(struct nl *nl, u32 index, struct sample *s)
{
	struct timespec ts;
	int ret = nl_get(nl, index, &s->d);

	if (ret)
		return ret;
	if (!read_words(&s->d, "diskseq", &s->seq, 1) ||
	    !read_words(&s->d, "stat", s->stat, STAT_NR))
		return -ENODEV;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	s->ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	return 0;
}

static void between(struct interval *v, const struct sample *old, const struct sample *now)
{
	unsigned int i;

	*v = (struct interval){ .old = old, .now = now, .ns = now->ns - old->ns };
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_kind(i) == COUNTER_CLASS)
			v->requests += now->d.counters[i] - old->d.counters[i];
}

/* Thousandths a second. */
static u64 rate(const struct interval *v, u64 events)
{
	return v->ns ? events * 1000.0 * 1e9 / v->ns + 0.5 : 0;
}

static u64 counter_rate(const struct interval *v, unsigned int i)
{
	return rate(v, v->now->d.counters[i] - v->old->d.counters[i]);
}

static u64 stat_rate(const struct interval *v, enum stat_word i)
{
	return rate(v, v->now->stat[i] - v->old->stat[i]);
}

static u64 byte_rate(const struct interval *v, enum stat_word sectors)
{
	return rate(v, (v->now->stat[sectors] - v->old->stat[sectors]) << VHD_SECTOR_SHIFT);
}

/*
 * Requests that the map answered as it was; the others had to wait until sector
 * bitmaps were read. Counting hits would cost every request a little, misses
 * are counted anyway. One request may resolve several blocks.
 */
static u64 hits(const struct interval *v)
{
	u64 misses = v->now->d.counters[VHDBLK_A_COUNTERS_RESOLVES] -
		     v->old->d.counters[VHDBLK_A_COUNTERS_RESOLVES];

	return misses < v->requests ? v->requests - misses : 0;
}

/* Large ones without a fraction that nobody reads. */
static const char *rate_text(u64 milli, char buf[32])
{
	if (milli < 100000)
		snprintf(buf, 32, "%llu.%llu", milli / 1000, milli % 1000 / 100);
	else
		snprintf(buf, 32, "%llu", (milli + 500) / 1000);
	return buf;
}

static const char *percent_text(u64 part, u64 whole, char buf[32])
{
	if (whole)
		snprintf(buf, 32, "%.1f%%", 100.0 * part / whole);
	else
		snprintf(buf, 32, "-");
	return buf;
}

static void json_rates(struct out *o, const struct interval *v)
{
	unsigned int i;

	out_begin(o, "per_second", NULL);
	out_milli(o, "requests", NULL, rate(v, v->requests));
	for (i = 0; i < ARRAY_SIZE(directions); i++) {
		out_milli(o, directions[i].key, NULL, stat_rate(v, directions[i].requests));
		out_milli(o, directions[i].bytes_key, NULL, byte_rate(v, directions[i].sectors));
	}
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_kind(i) == COUNTER_CLASS || counter_kind(i) == COUNTER_EVENT)
			out_milli(o, counter_name(i), NULL, counter_rate(v, i));
	out_end(o);
}

static void print_json(const struct interval *v)
{
	struct out o = { .json = true, .compact = true };
	const struct device *d = &v->now->d;
	unsigned int i;

	out_begin(&o, NULL, NULL);
	out_number(&o, "time", NULL, time(NULL));
	out_string(&o, "device", NULL, d->path);
	out_string(&o, "name", NULL, d->name[0] ? d->name : NULL);
	out_milli(&o, "seconds", NULL, v->ns / 1000000);
	json_rates(&o, v);
	if (v->requests)
		out_milli(&o, "hit_percent", NULL, 1e5 * hits(v) / v->requests);
	else
		out_string(&o, "hit_percent", NULL, NULL);
	out_number(&o, "in_flight", NULL, v->now->stat[STAT_IN_FLIGHT]);
	out_number(&o, "allocated", NULL, d->nr_layers ? d->layer[0].allocated : 0);
	out_number(&o, "blocks", NULL, d->nr_layers ? d->layer[0].blocks : 0);
	out_begin(&o, "counters", NULL);
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_name(i))
			out_number(&o, counter_name(i), NULL, d->counters[i]);
	out_end(&o);
	out_end(&o);
}

static void draw_rates(struct out *o, const struct interval *v)
{
	char buf[32], part[32];
	unsigned int i;

	out_text(o, "requests", "%s /s", rate_text(rate(v, v->requests), buf));
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++) {
		u64 nr = v->now->d.counters[i] - v->old->d.counters[i];

		if (counter_kind(i) == COUNTER_CLASS)
			out_text(o, counter_name(i), "%s /s, %s",
				 rate_text(counter_rate(v, i), buf),
				 percent_text(nr, v->requests, part));
	}
	for (i = 0; i < ARRAY_SIZE(directions); i++)
		out_text(o, directions[i].key, "%s /s, %s/s",
			 rate_text(stat_rate(v, directions[i].requests), buf),
			 human_size(byte_rate(v, directions[i].sectors) / 1000, part));
	out_text(o, "in flight", "%llu", v->now->stat[STAT_IN_FLIGHT]);
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_kind(i) == COUNTER_EVENT)
			out_text(o, counter_name(i), "%s /s", rate_text(counter_rate(v, i), buf));
}

static void draw_levels(struct out *o, const struct interval *v)
{
	const struct device *d = &v->now->d;
	char buf[32], max[32];

	out_text(o, "map hits", "%s", percent_text(hits(v), v->requests, buf));
	out_text(o, "descriptor cache", "%s, bound %s",
		 human_size(d->counters[VHDBLK_A_COUNTERS_CACHE_BYTES], buf),
		 human_size(d->counters[VHDBLK_A_COUNTERS_CACHE_MAX], max));
	if (d->nr_layers && d->layer[0].block_size)
		out_text(o, "blocks allocated", "%u of %u", d->layer[0].allocated,
			 d->layer[0].blocks);
}

/* Over what was there before. */
static void draw(const struct interval *v)
{
	const struct device *d = &v->now->d;
	struct out o = { 0 };

	fputs("\033[H\033[J", stdout);
	out_begin(&o, NULL, NULL);
	out_text(&o, "device", "%s%s%s", d->path, d->name[0] ? " " : "", d->name);
	if (v->ns)
		out_text(&o, "over the last", "%.1f s", v->ns / 1e9);
	else
		out_text(&o, "over the last", "(first interval)");
	draw_rates(&o, v);
	draw_levels(&o, v);
	out_end(&o);
}

static void print_heading(void)
{
	unsigned int i;

	printf("%-8s %9s", "time", "request/s");
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_kind(i) == COUNTER_CLASS)
			printf(" %7s/s", counter_name(i));
	printf(" %9s %9s %9s %9s %9s %9s %8s %9s %9s\n", "read-B/s", "write-B/s", "commit/s",
	       "flush/s", "fsync/s", "resolve/s", "hits", "cache", "allocated");
}

static void print_line(const struct interval *v)
{
	static const unsigned int events[] = {
		VHDBLK_A_COUNTERS_COMMITS, VHDBLK_A_COUNTERS_FLUSHES,
		VHDBLK_A_COUNTERS_FSYNCS, VHDBLK_A_COUNTERS_RESOLVES,
	};
	const struct device *d = &v->now->d;
	char buf[32], clock[16] = "";
	time_t now = time(NULL);
	unsigned int i;
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%T", &tm);
	printf("%-8s %9s", clock, rate_text(rate(v, v->requests), buf));
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_kind(i) == COUNTER_CLASS)
			printf(" %9s", rate_text(counter_rate(v, i), buf));
	for (i = 0; i < 2; i++)
		printf(" %9llu", byte_rate(v, directions[i].sectors) / 1000);
	for (i = 0; i < ARRAY_SIZE(events); i++)
		printf(" %9s", rate_text(counter_rate(v, events[i]), buf));
	printf(" %8s %9llu %9u\n", percent_text(hits(v), v->requests, buf),
	       d->counters[VHDBLK_A_COUNTERS_CACHE_BYTES],
	       d->nr_layers ? d->layer[0].allocated : 0);
}

static void show(const struct interval *v, bool json, bool screen)
{
	if (json)
		print_json(v);
	else if (screen)
		draw(v);
	else
		print_line(v);
}

/*
 * Until @deadline, which moves on by @ms. A look that was late shortens the next
 * interval, but rates over next to nothing say nothing: not by more than half.
 * Return: false if interrupted.
 */
static bool pause_until(u64 *deadline, u64 last, unsigned int ms, const sigset_t *ends)
{
	struct timespec ts;
	u64 now, ns;

	*deadline += ms * 1000000ULL;
	if (*deadline < last + ms * 500000ULL)
		*deadline = last + ms * 500000ULL;
	do {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
		ns = *deadline > now ? *deadline - now : 0;
		ts = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
		if (sigtimedwait(ends, NULL, &ts) > 0)
			return false;
	} while (errno == EINTR);
	/* A machine that was asleep does not catch up. */
	if (!ns)
		*deadline = now;
	return true;
}

/* Return: -ENODEV when the device is gone; 0 if interrupted or nobody reads it. */
static int watch(struct nl *nl, const struct device *d, unsigned int ms, bool json)
{
	bool screen = !json && isatty(STDOUT_FILENO);
	struct sample s[2] = { 0 };
	unsigned int n = 0;
	struct interval v;
	sigset_t ends;
	u64 deadline;
	int ret;

	/* Blocked and waited for: none can come between two looks. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	ret = take(nl, d->index, &s[0]);
	deadline = s[0].ns;
	between(&v, &s[0], &s[0]);
	if (!ret && screen)
		draw(&v);
	else if (!ret && !json)
		print_heading();
	while (!ret && !fflush(stdout) && pause_until(&deadline, s[n].ns, ms, &ends)) {
		n = !n;
		ret = take(nl, d->index, &s[n]);
		if (!ret && s[n].seq != s[!n].seq)
			ret = -ENODEV;
		between(&v, &s[!n], &s[n]);
		if (!ret)
			show(&v, json, screen);
	}
	device_clear(&s[0].d);
	device_clear(&s[1].d);
	return ret;
}

/**
 * watch_device() - show the rates of a device until it is gone or the user has
 *	seen enough
 * @d:		the device
 * @ms:		milliseconds from one look to the next
 * @json:	an object on each line
 *
 * Return: VHDCTL_OK after SIGINT or SIGTERM, VHDCTL_ERROR after a message if the
 * device is gone.
 */
int watch_device(const struct device *d, unsigned int ms, bool json)
{
	struct nl *nl;
	int ret;

	nl = nl_open(true, &ret);
	if (!nl)
		return ret;
	ret = watch(nl, d, ms, json);
	fflush(stdout);
	if (ret == -ENODEV)
		msg_error("%s: the device was detached", d->path);
	else if (ret)
		msg_error("%s: %s", d->path, nl_error_text(nl, ret));
	nl_close(nl);
	return ret ? VHDCTL_ERROR : VHDCTL_OK;
}
