// SPDX-License-Identifier: GPL-2.0
/* Arbitrary text of a parent locator: a clean path or a fault. */
#include "fuzz.h"

#define PATH_BYTES	512

static const enum vhd_platform_code codes[] = {
	VHD_PLATFORM_W2RU, VHD_PLATFORM_W2KU, VHD_PLATFORM_MACX,
	VHD_PLATFORM_WI2R, VHD_PLATFORM_MAC, VHD_PLATFORM_NONE,
};

/* What decoding strips or cannot tell apart does not survive encoding. */
static bool survives(enum vhd_platform_code code, const char *path)
{
	bool ascii = false;
	const char *p;

	if (code == VHD_PLATFORM_MACX)
		return strncmp(path, "localhost/", 10);
	for (p = path; *p; p++)
		ascii |= *p > ' ' && *p < 0x7f;
	return ascii && !strchr(path, '\\') && !strchr(path, ':') && strncmp(path, "//?/", 4);
}

static void check_path(enum vhd_platform_code code, const char *path)
{
	char data[PATH_BYTES * 3 + 8], back[PATH_BYTES + 2];
	u16 units[PATH_BYTES];
	size_t len, skip;
	const char *p;

	for (p = path; *p; p++)
		MUST((u8)*p >= ' ' && *p != 0x7f && (code == VHD_PLATFORM_MACX || *p != '\\'));
	MUST(vhd_utf8_to_utf16(path, units, PATH_BYTES));
	len = vhd_locator_encode(code, path, data, sizeof(data));
	MUST(len && len <= sizeof(data));
	if (!survives(code, path))
		return;
	MUST(vhd_locator_decode(code, data, len, back, sizeof(back)) == VHD_OK);
	skip = strlen(back) - strlen(path);
	MUST(!strcmp(back + skip, path));
	MUST(!skip || (skip == 2 && code == VHD_PLATFORM_W2RU && !memcmp(back, "./", 2)));
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	enum vhd_platform_code code = codes[fuzz_u8(&in) % ARRAY_SIZE(codes)];
	size_t room = fuzz_u32(&in) % PATH_BYTES + 1, small = room / 2 + 1;
	/* Exact sizes, so that the sanitizer sees any step outside. */
	char *path = malloc(room), *tight = malloc(small);
	u8 *text = malloc(in.left + 1);

	MUST(path && tight && text);
	if (in.left)
		memcpy(text, in.data, in.left);
	if (!vhd_locator_decode(code, text, in.left, path, room)) {
		MUST(*path && strlen(path) < room);
		check_path(code, path);
		if (!vhd_locator_decode(code, text, in.left, tight, small))
			MUST(!strcmp(path, tight));
	} else {
		MUST(!*path);
	}
	free(text);
	free(tight);
	free(path);
	return 0;
}
