// SPDX-License-Identifier: GPL-2.0
/* See fuzz_files.h. Most files are images of 8 blocks of 4 KiB, sealed last. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_files.h"

#define SLOTS		5u
#define SLOT_SECTS	9u
#define BLOCKS		8u
#define LOCATORS	3u
#define LOCATOR_SECT	3u
#define BAT_SECT	(LOCATOR_SECT + LOCATORS)
#define FIRST_SLOT	(BAT_SECT + 1)
#define END_SECT	(FIRST_SLOT + SLOTS * SLOT_SECTS)
#define FILE_BYTES	((END_SECT + 1) * VHD_SECTOR_SIZE)

enum { SEAL_END = 1, SEAL_COPY = 2, SEAL_HEADER = 4, DROP_END = 8, TEAR_END = 16, CUT = 32 };

/* Of each name there may be a file in both directories; %s is the whole of it. */
static const char *const names[FUZZ_FILES] = { "a.vhd", "b.vhd", "c.vhd", "d.vhd" };
static const char *const texts[] = {
	"a.vhd", "b.vhd", "c.vhd", "d.vhd", "./b.vhd", "../in/b.vhd", "../out/c.vhd",
	"../out/../in/./d.vhd", "%s/in/b.vhd", "%s/out/b.vhd", "%s/in/../out/c.vhd",
	"%s/in", "..", "../../../../../../../../etc/hostname", "/dev/null", "/dev/zero",
	"/dev/tty", "/proc/self/fd/0", "/proc/self/mem", "/proc/kmsg", "/proc/self/cwd/x",
	"/proc/self/root%s/in/b.vhd", "/sys/kernel/uevent_seqnum", "C:\\in\\b.vhd", "//b.vhd",
	"\\\\?\\C:\\b.vhd", "file://localhost/b.vhd", "in//b.vhd", "b.vhd/", "\xc3\xa9.vhd",
};

void fuzz_files_init(struct fuzz_files *f)
{
	const char *base = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	char path[96];

	snprintf(f->dir, sizeof(f->dir), "%s/vhd-fuzz-XXXXXX", base);
	MUST(mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/in", f->dir);
	MUST(!mkdir(path, 0700));
	snprintf(path, sizeof(path), "%s/out", f->dir);
	MUST(!mkdir(path, 0700));
}

static void take_text(struct fuzz_files *f, struct fuzz_input *in, char *text, size_t size)
{
	u8 which = fuzz_u8(in);

	if (which < ARRAY_SIZE(texts)) {
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wformat-nonliteral"
#pragma clang diagnostic ignored "-Wformat-extra-args"
		snprintf(text, size, texts[which], f->dir);
#pragma clang diagnostic pop
		return;
	}
	which = which % 32 + 1;
	fuzz_take(in, text, which);
	text[which] = 0;
}

static struct vhd_footer make_footer(struct fuzz_input *in, u8 shape)
{
	static const u8 uuid[4][16] = { { 1 }, { 2 }, { 3 }, { 4 } };
	struct vhd_footer_args args = {
		.type = VHD_TYPE_FIXED + shape % 3, .size = BLOCKS * 4096,
		.uuid = uuid[fuzz_u8(in) % 4], .timestamp = 1,
	};
	struct vhd_footer f;

	if (args.type == VHD_TYPE_FIXED)
		args.size = 4096;
	vhd_footer_init(&f, &args);
	return f;
}

/* Text as it would be written there, or any bytes. */
static void put_locator(struct fuzz_files *f, struct fuzz_input *in, u8 *image,
			struct vhd_header *h, unsigned int i)
{
	static const enum vhd_platform_code codes[] = {
		VHD_PLATFORM_W2RU, VHD_PLATFORM_W2KU, VHD_PLATFORM_MACX, VHD_PLATFORM_WI2R,
	};
	struct vhd_locator_ref ref = {
		.code = codes[fuzz_u8(in) % ARRAY_SIZE(codes)],
		.offset = (LOCATOR_SECT + i) * VHD_SECTOR_SIZE, .space = VHD_SECTOR_SIZE,
	};
	u8 *data = image + ref.offset;
	char text[256];

	take_text(f, in, text, sizeof(text));
	ref.length = vhd_locator_encode(ref.code, text, data, VHD_SECTOR_SIZE);
	if (!ref.length || ref.length > VHD_SECTOR_SIZE) {
		ref.length = strlen(text);
		memcpy(data, text, ref.length);
	}
	vhd_locator_set(h, fuzz_u8(in) % VHD_LOCATORS, &ref);
}

static struct vhd_header make_header(struct fuzz_files *f, struct fuzz_input *in, u8 *image)
{
	/* The last one is the zero id, which is tapdisk's raw parent. */
	static const u8 uuid[5][16] = { { 1 }, { 2 }, { 3 }, { 4 } };
	struct vhd_header_args args = {
		.block_size = 4096, .entries = BLOCKS,
		.table_offset = BAT_SECT * VHD_SECTOR_SIZE,
		.parent_uuid = uuid[fuzz_u8(in) % 5], .parent_timestamp = fuzz_u8(in),
	};
	u8 nr = fuzz_u8(in) % (LOCATORS + 1);
	u16 name[VHD_NAME_UNITS];
	struct vhd_header h;
	char text[256];

	vhd_header_init(&h, &args);
	take_text(f, in, text, sizeof(text));
	vhd_header_set_name(&h, name, vhd_utf8_to_utf16(text, name, ARRAY_SIZE(name)));
	while (nr--)
		put_locator(f, in, image, &h, nr);
	return h;
}

static void put_bat(struct fuzz_input *in, u8 *image)
{
	__be32 bat[128];
	u8 v, i;

	memset(bat, 0xff, sizeof(bat));
	for (i = 0; i < BLOCKS; i++) {
		v = fuzz_u8(in);
		if (v < 64)
			bat[i] = cpu_to_be32(FIRST_SLOT + v % SLOTS * SLOT_SECTS);
		else if (v < 128)
			bat[i] = cpu_to_be32(v);
	}
	memcpy(image + BAT_SECT * VHD_SECTOR_SIZE, bat, sizeof(bat));
	for (i = 0; i < SLOTS; i++)
		image[(FIRST_SLOT + i * SLOT_SECTS) * VHD_SECTOR_SIZE] = fuzz_u8(in);
}

/* Single bytes of the structures, before they are sealed. */
static void patch(struct fuzz_input *in, u8 *image)
{
	u8 nr = fuzz_u8(in) % 4;
	u32 at;

	while (nr--) {
		at = fuzz_u32(in) % FILE_BYTES;
		image[at] = fuzz_u8(in);
	}
}

static size_t build(struct fuzz_files *f, struct fuzz_input *in, u8 *image, u8 shape)
{
	struct vhd_footer *end = (void *)(image + END_SECT * VHD_SECTOR_SIZE);
	struct vhd_footer *copy = (void *)image;
	struct vhd_header *h = (void *)(image + VHD_SECTOR_SIZE);
	u8 flags = ~fuzz_u8(in);

	memset(image, 0, FILE_BYTES);
	*end = make_footer(in, shape);
	*h = make_header(f, in, image);
	*copy = *end;
	put_bat(in, image);
	patch(in, image);
	if (flags & SEAL_END)
		vhd_footer_seal(end);
	if (flags & SEAL_COPY)
		vhd_footer_seal(copy);
	if (flags & SEAL_HEADER)
		vhd_header_seal(h);
	if (!(flags & DROP_END))
		return FILE_BYTES - VHD_SECTOR_SIZE;
	if (!(flags & TEAR_END))
		return FILE_BYTES - 1;
	return flags & CUT ? FILE_BYTES : fuzz_u32(in) % FILE_BYTES;
}

static void make_image(struct fuzz_files *f, struct fuzz_input *in, const char *path, u8 shape)
{
	static u8 image[FILE_BYTES];
	size_t size = build(f, in, image, shape);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	MUST(fd >= 0 && write(fd, image, size) == (ssize_t)size);
	close(fd);
}

/* What else may lie at a name. */
static void make_other(struct fuzz_files *f, struct fuzz_input *in, const char *path, u8 shape)
{
	char text[256];

	switch (shape % 4) {
	case 0:
		MUST(!mkfifo(path, 0600));
		break;
	case 1:
		MUST(!mkdir(path, 0700));
		break;
	case 2:
		MUST(!link(f->path[0], path) || path == f->path[0]);
		break;
	case 3:
		take_text(f, in, text, sizeof(text));
		MUST(!symlink(*text ? text : "x", path));
		break;
	}
}

/**
 * fuzz_files_make() - the files that an input describes
 * @f:	initialised; @f->path is where they are. The first is an image, below DIR/in
 * @in:	the input
 */
void fuzz_files_make(struct fuzz_files *f, struct fuzz_input *in)
{
	u8 nr = fuzz_u8(in) % FUZZ_FILES + 1, shape, i;

	for (i = 0; i < FUZZ_FILES; i++)
		f->path[i][0] = 0;
	for (i = 0; i < nr; i++) {
		shape = i ? fuzz_u8(in) : fuzz_u8(in) & 0x3f;
		snprintf(f->path[i], sizeof(f->path[i]), "%s/%s/%s", f->dir,
			 i && shape & 0x40 ? "out" : "in", names[i]);
		if (shape & 0x80)
			make_other(f, in, f->path[i], shape);
		else
			make_image(f, in, f->path[i], shape);
	}
}

void fuzz_files_remove(struct fuzz_files *f)
{
	u8 i;

	for (i = 0; i < FUZZ_FILES; i++)
		if (*f->path[i] && unlink(f->path[i]))
			MUST(!rmdir(f->path[i]));
}
