// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "suites.h"
#include "vectors.h"

#define W2RU	VHD_PLATFORM_W2RU
#define W2KU	VHD_PLATFORM_W2KU
#define MACX	VHD_PLATFORM_MACX

struct decode_case {
	const char *name;
	enum vhd_platform_code code;
	u32 len;
	const char *text;
	const char *path;	/* NULL: locator-text */
};

/* len is sizeof - 1: what follows an explicit last zero is the compiler's NUL. */
#define DECODE(NAME, CODE, TEXT, PATH) { NAME, CODE, sizeof(TEXT) - 1, TEXT, PATH }

static const struct decode_case decode_cases[] = {
	DECODE("libvhd MacX", MACX, "file://./tap-mid.vhd", "./tap-mid.vhd"),
	DECODE("MacX absolute", MACX, "file:///srv/a.vhd", "/srv/a.vhd"),
	DECODE("MacX host", MACX, "file://localhost/srv/a.vhd", "/srv/a.vhd"),
	DECODE("MacX escapes", MACX, "file:///a%20b%C3%a9.vhd", "/a b\xc3\xa9.vhd"),
	DECODE("MacX lone percent", MACX, "file://./50%.vhd", "./50%.vhd"),
	DECODE("MacX cut escape", MACX, "file://./a%4", "./a%4"),
	DECODE("MacX UTF-8", MACX, "file://./\xc3\xa9.vhd", "./\xc3\xa9.vhd"),
	DECODE("MacX NUL ends", MACX, "file://./a.vhd\0junk", "./a.vhd"),
	DECODE("MacX keeps backslash", MACX, "file://./a\\b", "./a\\b"),
	DECODE("MacX escaped NUL", MACX, "file://./a%00b", NULL),
	DECODE("MacX newline", MACX, "file://./a\nb", NULL),
	DECODE("MacX bad UTF-8", MACX, "file://./\xc3", NULL),
	DECODE("MacX overlong", MACX, "file://./\xc0\xaf", NULL),
	DECODE("MacX surrogate", MACX, "file://./\xed\xa0\x80", NULL),
	DECODE("MacX beyond Unicode", MACX, "file://./\xf4\x90\x80\x80", NULL),
	DECODE("MacX stray tail", MACX, "file://./\x80", NULL),
	DECODE("MacX no scheme", MACX, "./a.vhd", NULL),
	DECODE("MacX other scheme", MACX, "http://a/b.vhd", NULL),
	DECODE("MacX nothing behind", MACX, "file://", NULL),
	DECODE("MacX short", MACX, "fil", NULL),
	DECODE("W2ru relative", W2RU, ".\0\\\0p\0.\0v\0h\0d\0", "./p.vhd"),
	DECODE("W2ru parent directory", W2RU, ".\0.\0\\\0p\0", "../p"),
	DECODE("W2ku drive", W2KU, "C\0:\0\\\0d\0\\\0p\0.\0v\0h\0d\0", "/d/p.vhd"),
	DECODE("W2ku drive without slash", W2KU, "d\0:\0p\0", "p"),
	DECODE("W2ku device path", W2KU, "\\\0\\\0?\0\\\0C\0:\0\\\0p\0", "/p"),
	DECODE("W2ku share", W2KU, "\\\0\\\0s\0\\\0p\0", "//s/p"),
	DECODE("W2ku slashes", W2KU, "/\0a\0/\0b\0", "/a/b"),
	DECODE("W2ku drive only", W2KU, "C\0:\0", NULL),
	DECODE("W2ru Latin", W2RU, "\xe9\0.\0v\0h\0d\0", "\xc3\xa9.vhd"),
	DECODE("W2ru Chinese", W2RU, "\x2d\x4e\x87\x65.\0v\0h\0d\0",
	       "\xe4\xb8\xad\xe6\x96\x87.vhd"),
	DECODE("W2ru only Chinese", W2RU, "\x2d\x4e\x87\x65", "\xe4\xb8\xad\xe6\x96\x87"),
	DECODE("W2ru beyond the BMP", W2RU, "\x3d\xd8\x00\xde.\0v\0", "\xf0\x9f\x98\x80.v"),
	DECODE("W2ru big-endian", W2RU, "\0.\0\\\0p\0.\0v\0h\0d", "./p.vhd"),
	DECODE("W2ru big-endian Chinese", W2RU, "\x4e\x2d\0.\0v\0h\0d", "\xe4\xb8\xad.vhd"),
	DECODE("W2ru ASCII either way", W2RU, ".\0\0A", ".\xe4\x84\x80"),
	DECODE("W2ru NUL ends", W2RU, "a\0\0\0b\0", "a"),
	DECODE("W2ru odd byte", W2RU, "a\0b", "a"),
	DECODE("W2ru lone high half", W2RU, "\x3d\xd8.\0", NULL),
	DECODE("W2ru lone low half", W2RU, "\x00\xde.\0", NULL),
	DECODE("W2ru high half at end", W2RU, "a\0\x3d\xd8", NULL),
	DECODE("W2ru control character", W2RU, "a\0\x07\0b\0", NULL),
	DECODE("W2ru empty", W2RU, "", NULL),
	DECODE("W2ru NUL first", W2RU, "\0\0a\0", NULL),
	DECODE("ANSI", VHD_PLATFORM_WI2R, "C:\\a.vhd", NULL),
	DECODE("Mac alias", VHD_PLATFORM_MAC, "file://./a", NULL),
};

static void decode_desc(const struct decode_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(decode, decode_cases, decode_desc);

static void text_decodes_to_path(struct kunit *test)
{
	const struct decode_case *c = test->param_value;
	char path[64];

	KUNIT_EXPECT_EQ(test, vhd_locator_decode(c->code, c->text, c->len, path, sizeof(path)),
			c->path ? VHD_OK : VHD_FAULT_LOCATOR_TEXT);
	KUNIT_EXPECT_STREQ(test, path, c->path ?: "");
}

/* Whatever the room, the result is whole or a fault, and stays inside it. */
static void decode_respects_room(struct kunit *test)
{
	const struct decode_case *c = test->param_value;
	size_t need = c->path ? strlen(c->path) + 1 : 0, size;
	enum vhd_fault fault;
	char path[64];

	for (size = 1; size < sizeof(path); size++) {
		memset(path, 0x7e, sizeof(path));
		fault = vhd_locator_decode(c->code, c->text, c->len, path, size);
		KUNIT_EXPECT_EQ(test, path[size], 0x7e);
		if (size < need)
			KUNIT_EXPECT_EQ(test, fault, VHD_FAULT_LOCATOR_TEXT);
		if (fault)
			KUNIT_EXPECT_EQ(test, path[0], 0);
		else
			KUNIT_EXPECT_STREQ(test, path, c->path);
	}
}

static void unknown_code_does_not_decode(struct kunit *test)
{
	char path[8];

	KUNIT_EXPECT_EQ(test, vhd_locator_decode((enum vhd_platform_code)0x4d163258, "a", 1,
						 path, sizeof(path)), VHD_FAULT_LOCATOR_CODE);
}

struct encode_case {
	const char *name;
	enum vhd_platform_code code;
	const char *path;
	u32 len;
	const char *text;
	const char *back;
};

#define ENCODE(NAME, CODE, PATH, TEXT, BACK) { NAME, CODE, PATH, sizeof(TEXT) - 1, TEXT, BACK }

static const struct encode_case encode_cases[] = {
	ENCODE("W2ru", W2RU, "p.vhd", ".\0\\\0p\0.\0v\0h\0d\0", "./p.vhd"),
	ENCODE("W2ru dot", W2RU, "./p", ".\0\\\0p\0", "./p"),
	ENCODE("W2ru up", W2RU, "../d/p", ".\0.\0\\\0d\0\\\0p\0", "../d/p"),
	ENCODE("W2ru hidden file", W2RU, ".p", ".\0\\\0.\0p\0", "./.p"),
	ENCODE("W2ku", W2KU, "/d/p", "\\\0d\0\\\0p\0", "/d/p"),
	ENCODE("W2ku beyond the BMP", W2KU, "/\xf0\x9f\x98\x80", "\\\0\x3d\xd8\x00\xde",
	       "/\xf0\x9f\x98\x80"),
	ENCODE("MacX", MACX, "./a b%\xc3\xa9", "file://./a%20b%25%C3%A9", "./a b%\xc3\xa9"),
	ENCODE("MacX absolute", MACX, "/a-b_c.d~e", "file:///a-b_c.d~e", "/a-b_c.d~e"),
};

static void encode_desc(const struct encode_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(encode, encode_cases, encode_desc);

static void path_encodes_and_comes_back(struct kunit *test)
{
	const struct encode_case *c = test->param_value;
	char data[64], path[64];
	size_t size;

	for (size = 0; size < sizeof(data); size++) {
		memset(data, 0x7e, sizeof(data));
		KUNIT_EXPECT_EQ(test, vhd_locator_encode(c->code, c->path, data, size), c->len);
		KUNIT_EXPECT_EQ(test, data[size], 0x7e);
	}
	KUNIT_EXPECT_EQ(test, memcmp(data, c->text, c->len), 0);
	KUNIT_EXPECT_EQ(test, vhd_locator_decode(c->code, data, c->len, path, sizeof(path)),
			VHD_OK);
	KUNIT_EXPECT_STREQ(test, path, c->back);
}

static void bad_path_does_not_encode(struct kunit *test)
{
	char data[16];

	KUNIT_EXPECT_EQ(test, vhd_locator_encode(W2RU, "", data, 16), 0);
	KUNIT_EXPECT_EQ(test, vhd_locator_encode(W2RU, "\xff", data, 16), 0);
	KUNIT_EXPECT_EQ(test, vhd_locator_encode(MACX, "a\nb", data, 16), 0);
	KUNIT_EXPECT_EQ(test, vhd_locator_encode(VHD_PLATFORM_WI2R, "a", data, 16), 0);
}

static void names_convert_both_ways(struct kunit *test)
{
	static const u16 name[] = { 'a', 0xe9, 0x4e2d, 0xd83d, 0xde00, 0, 'x' };
	static const u16 lone[] = { 'a', 0xd83d };
	u16 back[8];
	char text[16];

	KUNIT_EXPECT_EQ(test, vhd_utf16_to_utf8(name, 7, text, sizeof(text)), 10);
	KUNIT_EXPECT_STREQ(test, text, "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
	KUNIT_EXPECT_EQ(test, vhd_utf16_to_utf8(name, 7, text, 11), 10);
	KUNIT_EXPECT_EQ(test, vhd_utf8_to_utf16(text, back, 8), 5);
	KUNIT_EXPECT_EQ(test, memcmp(name, back, 10), 0);
	KUNIT_EXPECT_EQ(test, vhd_utf8_to_utf16(text, back, 5), 5);
	KUNIT_EXPECT_EQ(test, vhd_utf8_to_utf16(text, back, 4), 0);
	KUNIT_EXPECT_EQ(test, vhd_utf16_to_utf8(name, 7, text, 10), 0);
	KUNIT_EXPECT_STREQ(test, text, "");
	KUNIT_EXPECT_EQ(test, vhd_utf16_to_utf8(lone, 2, text, sizeof(text)), 0);
	KUNIT_EXPECT_EQ(test, vhd_utf8_to_utf16("\xe4\xb8", back, 8), 0);
}

struct range_case {
	const char *name;
	u32 code, space, length;
	u64 offset, file_size;
	enum vhd_fault fault;
	u32 space_bytes;
};

static const struct range_case range_cases[] = {
	{ "empty slot", 0, 1, 0xffffffff, ~0ULL, 4096, VHD_OK, 0 },
	{ "space in bytes", W2RU, 512, 26, 2048, 4096, VHD_OK, 512 },
	{ "space in sectors", W2RU, 1, 26, 2048, 4096, VHD_OK, 512 },
	{ "three sectors", W2RU, 3, 26, 2048, 4096, VHD_OK, 1536 },
	{ "Windows 10 space", W2RU, 65536, 32, 2048, 4096, VHD_OK, 65536 },
	{ "odd space", W2RU, 700, 26, 2048, 4096, VHD_OK, 512 },
	{ "no space", W2RU, 0, 26, 2048, 4096, VHD_OK, 512 },
	{ "space below length", W2RU, 512, 600, 2048, 4096, VHD_OK, 1024 },
	{ "up to the end", W2RU, 512, 512, 3584, 4096, VHD_OK, 512 },
	{ "past the end", W2RU, 512, 513, 3584, 4096, VHD_FAULT_LOCATOR_RANGE, 0 },
	{ "offset past the end", W2RU, 512, 1, 4096, 4096, VHD_FAULT_LOCATOR_RANGE, 0 },
	{ "offset wraps", W2RU, 512, 26, ~0ULL, 4096, VHD_FAULT_LOCATOR_RANGE, 0 },
	{ "longer than the file", W2RU, 512, 8192, 0, 4096, VHD_FAULT_LOCATOR_RANGE, 0 },
	{ "longest text", W2RU, 65536, 65536, 2048, 1 << 20, VHD_OK, 65536 },
	{ "too long", W2RU, 65536, 65537, 2048, 1 << 20, VHD_FAULT_LOCATOR_RANGE, 0 },
	{ "old code", VHD_PLATFORM_WI2K, 512, 26, 2048, 4096, VHD_OK, 512 },
	{ "wrong Mac code", 0x4d163258, 512, 26, 2048, 4096, VHD_FAULT_LOCATOR_CODE, 512 },
	{ "wrong code, past the end", 0x4d163258, 512, 26, 4090, 4096,
	  VHD_FAULT_LOCATOR_RANGE, 0 },
};

static void range_desc(const struct range_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(range, range_cases, range_desc);

static void range_is_judged(struct kunit *test)
{
	const struct range_case *c = test->param_value;
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct vhd_locator_ref ref;

	KUNIT_ASSERT_NOT_NULL(test, h);
	h->locator[7].code = cpu_to_be32(c->code);
	h->locator[7].data_space = cpu_to_be32(c->space);
	h->locator[7].data_length = cpu_to_be32(c->length);
	h->locator[7].data_offset = cpu_to_be64(c->offset);
	KUNIT_EXPECT_EQ(test, vhd_locator_get(h, 7, c->file_size, &ref), c->fault);
	KUNIT_EXPECT_EQ(test, ref.space, c->space_bytes);
	KUNIT_EXPECT_EQ(test, ref.code, c->code);
	KUNIT_EXPECT_EQ(test, ref.length, c->space_bytes ? c->length : 0);
}

static void slot_is_set_and_emptied(struct kunit *test)
{
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct vhd_locator_ref ref = { W2KU, 1536, 40, 512 }, got;

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_locator_set(h, 2, &ref);
	KUNIT_EXPECT_EQ(test, memcmp(&h->locator[2], "W2ku\0\0\2\0\0\0\0\x28\0\0\0\0"
				     "\0\0\0\0\0\0\6\0", 24), 0);
	KUNIT_EXPECT_EQ(test, vhd_locator_get(h, 2, 4096, &got), VHD_OK);
	KUNIT_EXPECT_EQ(test, got.offset, 1536);
	ref.code = VHD_PLATFORM_NONE;
	vhd_locator_set(h, 2, &ref);
	KUNIT_EXPECT_EQ(test, vhd_locator_get(h, 2, 4096, &got), VHD_OK);
	KUNIT_EXPECT_EQ(test, got.length, 0);
}

struct overlap_case {
	const char *name;
	enum vhd_type type;
	struct vhd_locator_ref ref;
	enum vhd_fault fault;
};

#define CHILD	VHD_TYPE_DIFFERENCING

/* The image of libvhd: header 1-2, BAT 3, its own locators 6, 7, 8. */
static const struct overlap_case overlap_cases[] = {
	{ "free place", CHILD, { W2RU, 9 * 512, 512, 512 }, VHD_OK },
	{ "on another locator", CHILD, { W2RU, 6 * 512, 512, 512 }, VHD_OK },
	{ "on footer copy", CHILD, { W2RU, 0, 26, 512 }, VHD_FAULT_LOCATOR_OVERLAP },
	{ "on header", CHILD, { W2RU, 1535, 1, 512 }, VHD_FAULT_LOCATOR_OVERLAP },
	{ "on BAT", CHILD, { W2RU, 1536, 26, 512 }, VHD_FAULT_LOCATOR_OVERLAP },
	{ "on footer", CHILD, { W2RU, 24632 * 512, 26, 512 }, VHD_FAULT_LOCATOR_RANGE },
	{ "unknown code", CHILD, { (enum vhd_platform_code)1, 9 * 512, 26, 512 },
	  VHD_FAULT_LOCATOR_CODE },
	{ "dynamic", VHD_TYPE_DYNAMIC, { W2RU, 24632 * 512, 26, 512 }, VHD_OK },
};

static void overlap_desc(const struct overlap_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(overlap, overlap_cases, overlap_desc);

static void overlap_is_found(struct kunit *test)
{
	const struct overlap_case *c = test->param_value;
	struct vhd_header *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct vhd_layout l;
	struct vhd_footer f;

	KUNIT_ASSERT_NOT_NULL(test, h);
	vhd_vector_footer(VHD_VECTOR_TAPDISK, &f);
	f.type = cpu_to_be32(c->type);
	vhd_vector_header(VHD_VECTOR_TAPDISK, h);
	vhd_locator_set(h, 7, &c->ref);
	vhd_header_seal(h);
	KUNIT_ASSERT_EQ(test, vhd_layout_init(&l, &f, h, 24632, VHD_SIZE_AUTO), VHD_OK);
	KUNIT_EXPECT_EQ(test, vhd_locator_check(h, &l, 24633 * 512), c->fault);
}

static struct kunit_case locator_cases[] = {
	KUNIT_CASE_PARAM(text_decodes_to_path, decode_gen_params),
	KUNIT_CASE_PARAM(decode_respects_room, decode_gen_params),
	KUNIT_CASE(unknown_code_does_not_decode),
	KUNIT_CASE_PARAM(path_encodes_and_comes_back, encode_gen_params),
	KUNIT_CASE(bad_path_does_not_encode),
	KUNIT_CASE(names_convert_both_ways),
	KUNIT_CASE_PARAM(range_is_judged, range_gen_params),
	KUNIT_CASE(slot_is_set_and_emptied),
	KUNIT_CASE_PARAM(overlap_is_found, overlap_gen_params),
	{}
};

struct kunit_suite vhdblk_locator_suite = {
	.name = "vhdblk_locator",
	.test_cases = locator_cases,
};
