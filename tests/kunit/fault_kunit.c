// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

/* Each fault has its own name and its own words, in the form that users rely on. */
static void every_fault_has_words(struct kunit *test)
{
	const char *name, *text, *p;
	int i, j;

	for (i = 0; i < VHD_NR_FAULTS; i++) {
		name = vhd_fault_name(i);
		text = vhd_fault_str(i);
		KUNIT_ASSERT_TRUE(test, name && text && *name && *text);
		KUNIT_EXPECT_NE(test, text[strlen(text) - 1], '.');
		for (p = name; *p; p++)
			KUNIT_EXPECT_TRUE(test, (*p >= 'a' && *p <= 'z') || *p == '-');
		for (j = 0; j < i; j++) {
			KUNIT_EXPECT_NE(test, strcmp(name, vhd_fault_name(j)), 0);
			KUNIT_EXPECT_NE(test, strcmp(text, vhd_fault_str(j)), 0);
		}
	}
}

static void unknown_fault_is_fatal(struct kunit *test)
{
	KUNIT_EXPECT_STREQ(test, vhd_fault_name(VHD_NR_FAULTS), "unknown");
	KUNIT_EXPECT_EQ(test, vhd_fault_errno((enum vhd_fault)-1), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, vhd_fault_severity(VHD_NR_FAULTS), VHD_SEV_FATAL);
}

struct errno_case {
	enum vhd_fault fault;
	const char *name;
	int error;
	enum vhd_severity severity;
};

static const struct errno_case errno_cases[] = {
	{ VHD_OK, "ok", 0, VHD_SEV_NONE },
	{ VHD_FAULT_NO_FOOTER, "no-footer", -EINVAL, VHD_SEV_FATAL },
	{ VHD_FAULT_TOO_SMALL, "too-small", -EINVAL, VHD_SEV_FATAL },
	{ VHD_FAULT_FOOTER_CHECKSUM, "footer-checksum", -EUCLEAN, VHD_SEV_FATAL },
	{ VHD_FAULT_HEADER_ENTRIES, "header-entries", -EUCLEAN, VHD_SEV_FATAL },
	{ VHD_FAULT_BAT_RANGE, "bat-range", -EUCLEAN, VHD_SEV_BLOCK },
	{ VHD_FAULT_BAT_OVERLAP, "bat-overlap", -EUCLEAN, VHD_SEV_BLOCK },
	{ VHD_FAULT_BLOCK_CUT, "block-cut", -EUCLEAN, VHD_SEV_BLOCK },
	{ VHD_FAULT_METADATA_OVERLAP, "metadata-overlap", -EUCLEAN, VHD_SEV_FATAL },
	{ VHD_FAULT_POISON, "poison", -EOPNOTSUPP, VHD_SEV_FATAL },
	{ VHD_FAULT_FOOTER_VERSION, "footer-version", -EOPNOTSUPP, VHD_SEV_FATAL },
	{ VHD_FAULT_TOO_LARGE, "too-large", -EOPNOTSUPP, VHD_SEV_FATAL },
	{ VHD_FAULT_SHORT_FOOTER, "short-footer", -EOPNOTSUPP, VHD_SEV_REPAIRABLE },
	{ VHD_FAULT_TOO_DEEP, "too-deep", -EOPNOTSUPP, VHD_SEV_FATAL },
	{ VHD_FAULT_NO_PARENT, "no-parent", -ENOENT, VHD_SEV_FATAL },
	{ VHD_FAULT_PARENT_ID, "parent-id", -EXDEV, VHD_SEV_FATAL },
	{ VHD_FAULT_CYCLE, "cycle", -ELOOP, VHD_SEV_FATAL },
	{ VHD_FAULT_FOOTER_END_MISSING, "footer-end-missing", -EUCLEAN, VHD_SEV_REPAIRABLE },
	{ VHD_FAULT_FOOTER_COPY, "footer-copy", -EUCLEAN, VHD_SEV_REPAIRABLE },
};

static void errno_desc(const struct errno_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mapping, errno_cases, errno_desc);

static void fault_maps_to_errno(struct kunit *test)
{
	const struct errno_case *c = test->param_value;

	KUNIT_EXPECT_STREQ(test, vhd_fault_name(c->fault), c->name);
	KUNIT_EXPECT_EQ(test, vhd_fault_errno(c->fault), c->error);
	KUNIT_EXPECT_EQ(test, vhd_fault_severity(c->fault), c->severity);
}

static struct kunit_case fault_cases[] = {
	KUNIT_CASE(every_fault_has_words),
	KUNIT_CASE(unknown_fault_is_fatal),
	KUNIT_CASE_PARAM(fault_maps_to_errno, mapping_gen_params),
	{}
};

struct kunit_suite vhdblk_fault_suite = {
	.name = "vhdblk_fault",
	.test_cases = fault_cases,
};
