// SPDX-License-Identifier: GPL-2.0
/*
 * Uses more memory than there is, and looks whether it is still what it was.
 *
 * usage: pressure [-m MIB] [-t THREADS] [-p PASSES] [-s SEED]
 *
 * Every page says which one it is and how often it was rewritten. A pass visits
 * all pages in an order that no read-ahead can guess, compares each with what it
 * should be, and rewrites every other one; meanwhile a child that was forked
 * before the pass compares some of its own. Goes on for PASSES passes at least,
 * and then until SIGTERM comes; exit code 1 if a page was wrong.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vhd_platform.h>

#define PAGE 4096u
#define WORDS (PAGE / sizeof(u64))
#define MAX_THREADS 16u
#define MAX_COMPLAINTS 10u
#define GOLDEN 0x9e3779b97f4a7c15ull
/* The child compares one page of that many. */
#define CHILD_SHARE 16u

struct worker {
	pthread_t thread;
	unsigned int index;
};

static struct {
	unsigned int threads;
	u64 seed;
	u64 pages;
	u64 *memory;
	u32 *version;
	unsigned int pass;
	unsigned int bad;
	u64 rewritten;
} all = { .threads = 4, .seed = 1 };

/* SIGTERM is blocked: it waits until it is asked for. */
static bool asked_to_end(void)
{
	sigset_t set;

	return !sigpending(&set) && sigismember(&set, SIGTERM) == 1;
}

static void block_sigterm(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static u64 mix(u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static u64 first_word(u64 page)
{
	return mix(all.seed * GOLDEN + (page << 32 | all.version[page]));
}

static void fill_page(u64 page)
{
	u64 *p = all.memory + page * WORDS, word = first_word(page);
	unsigned int i;

	for (i = 0; i < WORDS; i++, word += GOLDEN)
		p[i] = word;
}

static void complain(u64 page, unsigned int i, u64 got, u64 want)
{
	if (__atomic_add_fetch(&all.bad, 1, __ATOMIC_RELAXED) <= MAX_COMPLAINTS)
		printf("pressure: pass %u: page %llu.%u: word %u is %016llx, not %016llx\n",
		       all.pass, (unsigned long long)page, all.version[page], i,
		       (unsigned long long)got, (unsigned long long)want);
}

static void check_page(u64 page)
{
	const u64 *p = all.memory + page * WORDS;
	u64 word = first_word(page);
	unsigned int i;

	for (i = 0; i < WORDS; i++, word += GOLDEN) {
		if (p[i] == word)
			continue;
		complain(page, i, p[i], word);
		return;
	}
}

/* A step that visits each of @n pages once: no divisor in common with @n. */
static u64 step_for(u64 n)
{
	u64 step = n * 5 / 8 | 1, a, b, rest;

	for (;; step += 2) {
		for (a = n, b = step; b; a = b, b = rest)
			rest = a % b;
		if (a == 1)
			return step;
	}
}

static void visit(u64 page, u64 *rewritten)
{
	if (all.pass) {
		check_page(page);
		if (mix(page * GOLDEN + all.pass) & 1)
			return;
		all.version[page]++;
		++*rewritten;
	}
	fill_page(page);
}

/* The threads share neighbouring pages among them. */
static void *work(void *arg)
{
	const struct worker *w = arg;
	u64 n = all.pages / all.threads, step = step_for(n), rewritten = 0, i;
	u64 at = mix(all.seed + all.pass) % n;

	for (i = 0; i < n; i++) {
		visit(at * all.threads + w->index, &rewritten);
		at = (at + step) % n;
	}
	__atomic_add_fetch(&all.rewritten, rewritten, __ATOMIC_RELAXED);
	return NULL;
}

static pid_t fork_checker(void)
{
	pid_t pid = fork();
	u64 page;

	if (pid)
		return pid;
	all.bad = 0;
	for (page = all.pass % CHILD_SHARE; page < all.pages; page += CHILD_SHARE)
		check_page(page);
	fflush(stdout);
	_exit(all.bad ? 1 : 0);
}

static void wait_for_checker(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("pressure: fork");
		all.bad++;
	} else if (status) {
		printf("pressure: pass %u: the child ended with status %#x\n", all.pass, status);
		all.bad++;
	}
}

static unsigned long long meminfo(const char *key)
{
	unsigned long long value = 0;
	size_t len = strlen(key);
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, len) && line[len] == ':')
			value = strtoull(line + len + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static void run_pass(void)
{
	struct worker w[MAX_THREADS];
	time_t start = time(NULL);
	pid_t pid = all.pass ? fork_checker() : 0;
	unsigned int i;

	all.rewritten = 0;
	for (i = 0; i < all.threads; i++) {
		w[i].index = i;
		if (pthread_create(&w[i].thread, NULL, work, &w[i])) {
			perror("pressure: thread");
			exit(2);
		}
	}
	for (i = 0; i < all.threads; i++)
		pthread_join(w[i].thread, NULL);
	if (all.pass)
		wait_for_checker(pid);
	printf("pressure: pass %u: %llu pages, %llu rewritten, %llu MiB of swap in use, %ld s\n",
	       all.pass, (unsigned long long)all.pages, (unsigned long long)all.rewritten,
	       (meminfo("SwapTotal") - meminfo("SwapFree")) >> 10, (long)(time(NULL) - start));
}

/* What the pages should be must not itself come from where they come from. */
static int get_memory(unsigned long mib)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	size_t bytes;

	all.pages = ((u64)mib << 20) / PAGE / all.threads * all.threads;
	bytes = all.pages * sizeof(*all.version);
	all.version = mmap(NULL, bytes, prot, flags, -1, 0);
	if (all.version == MAP_FAILED || mlock(all.version, bytes))
		return -1;
	bytes = all.pages * PAGE;
	all.memory = mmap(NULL, bytes, prot, flags, -1, 0);
	if (all.memory == MAP_FAILED)
		return -1;
	/* One page is one page of swap. */
	madvise(all.memory, bytes, MADV_NOHUGEPAGE);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long mib = 700, passes = 1;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "m:t:p:s:")) != -1) {
		unsigned long value = optarg ? strtoul(optarg, NULL, 0) : 0;

		if (c == 'm')
			mib = value;
		else if (c == 't')
			all.threads = value;
		else if (c == 'p')
			passes = value;
		else if (c == 's')
			all.seed = value;
		else
			return 2;
	}
	if (!all.threads || all.threads > MAX_THREADS || !mib || argc != optind)
		return 2;
	block_sigterm();
	if (get_memory(mib)) {
		perror("pressure: memory");
		return 2;
	}
	/* The first one only fills. */
	for (; !all.bad && (all.pass <= passes || !asked_to_end()); all.pass++)
		run_pass();
	printf("pressure: %u passes, %u wrong pages\n", all.pass - 1, all.bad);
	return all.bad ? 1 : 0;
}
