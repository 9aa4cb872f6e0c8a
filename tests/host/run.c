// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the suites of tests/kunit/ on the host.
 *
 * Usage: run [SUITE]...	all suites by default
 */
#include <kunit/test.h>
#include "suites.h"

static unsigned int passed, failed;

static void release(struct kunit *test)
{
	struct kunit_memory *m;

	while ((m = test->memory)) {
		test->memory = m->next;
		free(m);
	}
}

static void run_one(const struct kunit_suite *suite, const struct kunit_case *c,
		    const void *param, const char *desc)
{
	struct kunit test = { .param_value = param };

	if (!setjmp(test.abort))
		c->run_case(&test);
	if (test.failed) {
		failed++;
		printf("not ok %s.%s %s\n", suite->name, c->name, desc);
	} else {
		passed++;
	}
	release(&test);
}

static void run_case(const struct kunit_suite *suite, const struct kunit_case *c)
{
	char desc[KUNIT_PARAM_DESC_SIZE] = "";
	const void *param = NULL;

	if (!c->generate_params) {
		run_one(suite, c, NULL, desc);
		return;
	}
	while ((param = c->generate_params(param, desc)))
		run_one(suite, c, param, desc);
}

static bool wanted(const struct kunit_suite *suite, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], suite->name))
			return true;
	return argc < 2;
}

static void run_suite(const struct kunit_suite *suite)
{
	unsigned int passed_before = passed, failed_before = failed;
	const struct kunit_case *c;

	for (c = suite->test_cases; c->run_case; c++)
		run_case(suite, c);
	printf("%s: %u passed, %u failed\n", suite->name, passed - passed_before,
	       failed - failed_before);
}

static void run_suites(struct kunit_suite *const *suite, int argc, char **argv)
{
	for (; *suite; suite++)
		if (wanted(*suite, argc, argv))
			run_suite(*suite);
}

#define RUN_SUITES(...) \
	run_suites((struct kunit_suite *[]){ __VA_ARGS__, NULL }, argc, argv)

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	VHDBLK_SUITES(RUN_SUITES);
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
