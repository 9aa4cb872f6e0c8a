/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Enough of KUnit to run the suites of tests/kunit/ in a process of their own,
 * under the sanitizers. Only what those suites use, with the meaning that
 * Linux 6.1 gives it.
 */
#ifndef _KUNIT_TEST_H
#define _KUNIT_TEST_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <vhd_platform.h>

#define KUNIT_PARAM_DESC_SIZE	128
#define GFP_KERNEL		0

struct kunit_memory {
	struct kunit_memory *next;
	max_align_t data[];
};

struct kunit {
	const void *param_value;
	bool failed;
	jmp_buf abort;
	struct kunit_memory *memory;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
	const void *(*generate_params)(const void *prev, char *desc);
};

struct kunit_suite {
	const char name[64];
	struct kunit_case *test_cases;
};

static inline void *kunit_kzalloc(struct kunit *test, size_t size, int gfp)
{
	struct kunit_memory *m = calloc(1, sizeof(*m) + size);

	if (!m)
		return NULL;
	m->next = test->memory;
	test->memory = m;
	return m->data;
}

/* The kernel's headers have these by way of its test.h. */
#define scnprintf(buf, size, ...)	snprintf(buf, size, __VA_ARGS__)

static inline size_t strscpy(char *dst, const char *src, size_t size)
{
	return snprintf(dst, size, "%s", src);
}

#define KUNIT_CASE(test) { .run_case = test, .name = #test }
#define KUNIT_CASE_PARAM(test, gen) \
	{ .run_case = test, .name = #test, .generate_params = gen }

#define KUNIT_ARRAY_PARAM(name, array, get_desc)				\
	static const void *name##_gen_params(const void *prev, char *desc)	\
	{									\
		typeof((array) + 0) first = (array);				\
		typeof(first) next = prev;					\
										\
		next = next ? next + 1 : first;					\
		if (next == first + sizeof(array) / sizeof(*first))		\
			return NULL;						\
		get_desc(next, desc);						\
		return next;							\
	}

#define kunit_info(test, ...)	printf("    # " __VA_ARGS__)

#define kunit_shim_fail(test, abort_too, text, ...)			\
	do {								\
		struct kunit *_test = (test);				\
									\
		_test->failed = true;					\
		printf("    # %s:%d: expected %s", __FILE__, __LINE__, text); \
		printf(" " __VA_ARGS__);				\
		printf("\n");						\
		if (abort_too)						\
			longjmp(_test->abort, 1);			\
	} while (0)

#define kunit_shim_op(test, abort_too, left, op, right, ...)		\
	do {								\
		typeof(left) _left = (left);				\
		typeof(right) _right = (right);				\
									\
		if (_left op _right)					\
			break;						\
		printf("    # %lld " #op " %lld is not so\n",		\
		       (long long)_left, (long long)_right);		\
		kunit_shim_fail(test, abort_too, #left " " #op " " #right, __VA_ARGS__); \
	} while (0)

#define kunit_shim_streq(test, left, right, ...)			\
	do {								\
		const char *_left = (left), *_right = (right);		\
									\
		if (!strcmp(_left, _right))				\
			break;						\
		printf("    # \"%s\" is not \"%s\"\n", _left, _right);	\
		kunit_shim_fail(test, 0, #left " is " #right, __VA_ARGS__); \
	} while (0)

#define KUNIT_FAIL(test, ...)		kunit_shim_fail(test, 0, "success", __VA_ARGS__)
#define KUNIT_EXPECT_EQ(t, l, r)	kunit_shim_op(t, 0, l, ==, r, "")
#define KUNIT_EXPECT_NE(t, l, r)	kunit_shim_op(t, 0, l, !=, r, "")
#define KUNIT_EXPECT_LT(t, l, r)	kunit_shim_op(t, 0, l, <, r, "")
#define KUNIT_EXPECT_LE(t, l, r)	kunit_shim_op(t, 0, l, <=, r, "")
#define KUNIT_EXPECT_GT(t, l, r)	kunit_shim_op(t, 0, l, >, r, "")
#define KUNIT_EXPECT_GE(t, l, r)	kunit_shim_op(t, 0, l, >=, r, "")
#define KUNIT_EXPECT_TRUE(t, c)		kunit_shim_op(t, 0, !!(c), ==, true, "")
#define KUNIT_EXPECT_FALSE(t, c)	kunit_shim_op(t, 0, !!(c), ==, false, "")
#define KUNIT_EXPECT_STREQ(t, l, r)	kunit_shim_streq(t, l, r, "")
#define KUNIT_EXPECT_EQ_MSG(t, l, r, ...) kunit_shim_op(t, 0, l, ==, r, __VA_ARGS__)
#define KUNIT_EXPECT_TRUE_MSG(t, c, ...) kunit_shim_op(t, 0, !!(c), ==, true, __VA_ARGS__)
#define KUNIT_ASSERT_EQ(t, l, r)	kunit_shim_op(t, 1, l, ==, r, "")
#define KUNIT_ASSERT_LE(t, l, r)	kunit_shim_op(t, 1, l, <=, r, "")
#define KUNIT_ASSERT_LT(t, l, r)	kunit_shim_op(t, 1, l, <, r, "")
#define KUNIT_ASSERT_TRUE(t, c)		kunit_shim_op(t, 1, !!(c), ==, true, "")
#define KUNIT_ASSERT_NOT_NULL(t, p)	kunit_shim_op(t, 1, !!(p), ==, true, "")

#endif /* _KUNIT_TEST_H */
