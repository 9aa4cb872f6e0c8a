// SPDX-License-Identifier: GPL-2.0
/*
 * Every crash state of many images' lives, and planners with bugs that must not
 * survive them.
 *
 * Usage: crash [-n IMAGES] [-f FIRST] [-m TRIES] [-d DIR [-k EVERY]]
 *
 *   -n  images of either type to enumerate
 *   -f  number of the first
 *   -m  images in which a mutant must be found out; 0: no mutants
 *   -d  write one state of every EVERYth moment there, and the one that betrayed
 *       each mutant, for other programs to judge
 */
#include <kunit/test.h>
#include <unistd.h>

#include "sample.h"

#define SESSIONS	4
#define EVENTS		60
/* Bugs show themselves in small sets already. */
#define MUTANT_SUBSETS	8
#define MUTANT_RANDOM	100

struct totals {
	u64 states, points, large_points;
	u32 passed, failed;
};

static struct cm model;
static struct cm_seen_roles seen;
static struct cm_mutant mutants[CM_MUTANTS];
static struct totals totals;

static void result(bool good, const char *text)
{
	if (good) {
		totals.passed++;
		return;
	}
	totals.failed++;
	printf("not ok - %s\n", text);
}

static const char *type_name(enum vhd_type type)
{
	return type == VHD_TYPE_DYNAMIC ? "dynamic" : "differencing";
}

static void enumerate_one(struct cm_params *p)
{
	char text[256];

	cm_run(&model, p);
	totals.states += model.states;
	totals.points += model.points;
	totals.large_points += model.sampled_points;
	if (!model.bad)
		return;
	snprintf(text, sizeof(text), "%s image %u: %s", type_name(p->type), p->seed, model.bad);
	result(false, text);
}

static void enumerate(struct cm_params *p, enum vhd_type type, u32 first, u32 nr)
{
	struct totals before = totals;

	p->type = type;
	for (p->seed = first; p->seed < first + nr; p->seed++)
		enumerate_one(p);
	printf("%u lives of %s images: %llu crash states at %llu moments\n", nr, type_name(type),
	       totals.states - before.states, totals.points - before.points);
	printf("%llu of these moments with more than %u sectors under way\n",
	       totals.large_points - before.large_points, CM_EVERY_SUBSET);
	result(totals.failed == before.failed && totals.states > before.states + 100 * nr,
	       type_name(type));
}

/* The list of equivalent mutants is checked too: a bug that shows itself is none. */
static bool try_mutant(const struct cm_params *p, u32 tries)
{
	const char *reason = cm_equivalent(p->mutant);
	u32 killed_in = cm_kill(&model, p, tries);
	char name[128], text[256];

	cm_describe(p->mutant, name, sizeof(name));
	if (model.broken)
		snprintf(text, sizeof(text), "%s: %s", name, model.bad);
	else if (killed_in && reason)
		snprintf(text, sizeof(text), "%s is listed as equivalent: %s", name, model.bad);
	else
		snprintf(text, sizeof(text), "%s survived", name);
	result(!model.broken && !killed_in == !!reason, text);
	if (killed_in && !reason)
		printf("killed in image %u: %s (%s)\n", killed_in, name, model.bad);
	else if (reason)
		printf("equivalent: %s (%s)\n", name, reason);
	return killed_in;
}

static void try_mutants(struct cm_params *p, u32 tries)
{
	u32 nr = cm_make_mutants(&seen, mutants), i, killed = 0, equivalent = 0;

	p->every_subset = MUTANT_SUBSETS;
	p->random_subsets = MUTANT_RANDOM;
	p->seen = NULL;
	for (i = 0; i < nr; i++) {
		p->mutant = &mutants[i];
		equivalent += !!cm_equivalent(&mutants[i]);
		killed += try_mutant(p, tries);
	}
	result(seen.nr < CM_ROLES && nr < CM_MUTANTS, "there is no room for all mutants");
	result(equivalent == cm_nr_equivalents(),
	       "a mutant that is listed as equivalent does not exist");
	printf("%u mutants of %u kinds of steps: %u killed, %u equivalent\n", nr, seen.nr, killed,
	       equivalent);
}

static u32 number(const char *text)
{
	return strtoul(text, NULL, 0);
}

int main(int argc, char **argv)
{
	struct cm_params p = {
		.sessions = SESSIONS, .events = EVENTS, .every_subset = CM_EVERY_SUBSET,
		.random_subsets = CM_RANDOM_SUBSETS, .seen = &seen
	};
	u32 nr = 25, first = 1, tries = 200, every = 30;
	const char *dir = NULL;
	int option;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "n:f:m:d:k:")) != -1) {
		if (option == 'n')
			nr = number(optarg);
		else if (option == 'f')
			first = number(optarg);
		else if (option == 'm')
			tries = number(optarg);
		else if (option == 'd')
			dir = optarg;
		else if (option == 'k')
			every = number(optarg);
		else
			return 2;
	}
	if (dir) {
		sample_open(dir, every);
		p.sample = sample_state;
	}
	enumerate(&p, VHD_TYPE_DYNAMIC, first, nr);
	enumerate(&p, VHD_TYPE_DIFFERENCING, first, nr);
	if (tries)
		try_mutants(&p, tries);
	if (dir)
		result(sample_close(), "the samples could not be written");
	printf("%u passed, %u failed\n", totals.passed, totals.failed);
	return totals.failed || !totals.passed;
}
