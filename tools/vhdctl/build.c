// SPDX-License-Identifier: GPL-2.0
/* Writing a new image: footers, header, parent locators, an empty BAT. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "build.h"

#define NR_TEXTS	3

/* The texts of the parent locators, in the order of their slots. */
struct locator_text {
	enum vhd_platform_code code;
	u8 data[4 * PATH_MAX];
	u32 len;
};

struct builder {
	const struct new_image *n;
	struct new_file file;
	struct image out;	/* wraps the descriptor for image_write() */
	struct vhd_footer footer;
	struct vhd_header header;
	struct vhd_create_layout layout;
	struct locator_text text[NR_TEXTS];
	u32 entries;
};

static int fail(const struct builder *b, int err)
{
	msg_error("%s: %s", b->n->path, strerror(abs(err)));
	return exit_of_errno(err);
}

/* "../x/base.vhd" as seen from @dir; both paths absolute and real. */
static char *relative_path(const char *dir, const char *target)
{
	size_t common = 0, i;
	char *rel;
	int up = 0;

	for (i = 0; dir[i] && dir[i] == target[i]; i++)
		if (dir[i] == '/')
			common = i;
	if (!dir[i] && target[i] == '/')
		common = i;
	for (i = common; dir[i]; i++)
		up += dir[i] == '/' && dir[i + 1];
	rel = malloc(3 * up + strlen(target + common) + 3);
	if (!rel)
		return NULL;
	strcpy(rel, up ? "" : "./");
	while (up--)
		strcat(rel, "../");
	strcat(rel, target + common + 1);
	return rel;
}

static char *path_to_parent(const struct builder *b, const char *parent)
{
	char *dir = path_dirname(b->n->path), *real = dir ? realpath(dir, NULL) : NULL;
	char *rel = NULL;

	if (real)
		rel = relative_path(strcmp(real, "/") ? real : "", parent);
	free(dir);
	free(real);
	return rel;
}

static bool encode(struct locator_text *t, enum vhd_platform_code code, const char *path)
{
	size_t len = vhd_locator_encode(code, path, t->data, sizeof(t->data));

	t->code = code;
	t->len = len;
	return len && len <= sizeof(t->data) && len <= VHD_LOCATOR_MAX;
}

static int encode_texts(struct builder *b)
{
	char *abs = realpath(b->n->parent->path, NULL);
	char *rel = abs ? path_to_parent(b, abs) : NULL;
	int ret = VHDCTL_OK;

	if (!abs || !rel) {
		ret = fail(b, errno);
	} else if (strchr(abs, '\\') ||
		   !encode(&b->text[0], VHD_PLATFORM_W2RU, rel) ||
		   !encode(&b->text[1], VHD_PLATFORM_W2KU, abs) ||
		   !encode(&b->text[2], VHD_PLATFORM_MACX, abs)) {
		msg_error("%s: a parent locator cannot hold this path", abs);
		msg_hint("it must be UTF-8 without control characters and backslashes");
		ret = VHDCTL_ERROR;
	}
	free(rel);
	free(abs);
	return ret;
}

static void set_parent_name(struct builder *b)
{
	char *real = realpath(b->n->parent->path, NULL);
	u16 units[NAME_MAX + 1];
	size_t nr = real ? vhd_utf8_to_utf16(path_basename(real), units, ARRAY_SIZE(units)) : 0;

	vhd_header_set_name(&b->header, units, nr);
	free(real);
}

static void set_locators(struct builder *b)
{
	unsigned int i;

	for (i = 0; i < NR_TEXTS; i++) {
		struct vhd_locator_ref ref = {
			.code = b->text[i].code,
			.offset = b->layout.locator[i],
			.length = b->text[i].len,
			.space = DIV_ROUND_UP(b->text[i].len, VHD_SECTOR_SIZE) * VHD_SECTOR_SIZE,
		};

		vhd_locator_set(&b->header, i, &ref);
	}
}

/* One behind the other. */
static int join_texts(struct builder *b, struct parent_texts *t, u64 pos)
{
	unsigned int i;

	for (i = 0; i < NR_TEXTS; i++) {
		b->layout.locator[i] = pos + ((u64)t->sects << VHD_SECTOR_SHIFT);
		t->sects += DIV_ROUND_UP(b->text[i].len, VHD_SECTOR_SIZE);
	}
	t->data = calloc(t->sects, VHD_SECTOR_SIZE);
	for (i = 0; t->data && i < NR_TEXTS; i++)
		memcpy(t->data + (b->layout.locator[i] - pos), b->text[i].data, b->text[i].len);
	return t->data ? VHDCTL_OK : fail(b, ENOMEM);
}

static void name_parent(struct builder *b)
{
	const struct image *parent = b->n->parent;

	memset(b->header.locator, 0, sizeof(b->header.locator));
	memcpy(b->header.parent_uuid, parent->footer.uuid, sizeof(b->header.parent_uuid));
	b->header.parent_timestamp = cpu_to_be32(parent->mtime);
	set_parent_name(b);
	set_locators(b);
	vhd_header_seal(&b->header);
}

/**
 * build_parent() - name a parent in a header that is there already
 * @t:		filled: the texts of its locators; free @t->data
 * @h:		changed and sealed
 * @path:	of the child
 * @parent:	open
 * @sect:	where the texts will be
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int build_parent(struct parent_texts *t, struct vhd_header *h, const char *path,
		 const struct image *parent, u64 sect)
{
	const struct new_image n = { .path = path, .parent = parent };
	struct builder *b = calloc(1, sizeof(*b));
	int ret;

	*t = (struct parent_texts){ .sects = 0 };
	if (!b)
		return VHDCTL_ERROR;
	b->n = &n;
	b->header = *h;
	ret = encode_texts(b);
	if (!ret)
		ret = join_texts(b, t, sect << VHD_SECTOR_SHIFT);
	if (!ret)
		name_parent(b);
	*h = b->header;
	free(b);
	return ret;
}

static void init_footer(struct builder *b)
{
	struct vhd_footer_args args = {
		.type = b->n->type,
		.size = b->n->size,
		.timestamp = time(NULL) - VHD_EPOCH,
	};
	uuid_t id;

	uuid_generate(id);
	args.uuid = id;
	vhd_footer_init(&b->footer, &args);
}

static int init_header(struct builder *b)
{
	const struct image *parent = b->n->parent;
	struct vhd_header_args args = {
		.block_size = b->n->block_size,
	};
	u32 bytes[NR_TEXTS] = { 0 };
	unsigned int i;
	int ret;

	ret = parent ? encode_texts(b) : VHDCTL_OK;
	if (ret)
		return ret;
	b->entries = vhd_blocks_needed(b->n->size >> VHD_SECTOR_SHIFT,
				       __builtin_ctz(b->n->block_size >> VHD_SECTOR_SHIFT));
	for (i = 0; i < NR_TEXTS; i++)
		bytes[i] = b->text[i].len;
	vhd_create_layout(&b->layout, b->entries, bytes, parent ? NR_TEXTS : 0);
	args.entries = b->entries;
	args.table_offset = b->layout.bat;
	if (parent) {
		args.parent_uuid = parent->footer.uuid;
		args.parent_timestamp = parent->mtime;
	}
	vhd_header_init(&b->header, &args);
	if (parent) {
		set_parent_name(b);
		set_locators(b);
		vhd_header_seal(&b->header);
	}
	return VHDCTL_OK;
}

static int write_bat(struct builder *b)
{
	u64 pos = b->layout.bat, end = pos + b->layout.bat_bytes, len;
	static u8 unused[1u << 16];
	int ret = 0;

	memset(unused, 0xff, sizeof(unused));
	for (; !ret && pos < end; pos += len) {
		len = min_t(u64, sizeof(unused), end - pos);
		ret = image_write(&b->out, unused, len, pos);
	}
	return ret;
}

static int write_sparse(struct builder *b)
{
	unsigned int i;
	int ret;

	ret = ftruncate(b->out.fd, b->layout.file_size) ? -errno : 0;
	if (!ret)
		ret = image_write(&b->out, &b->header, sizeof(b->header), b->layout.header);
	for (i = 0; !ret && i < NR_TEXTS; i++)
		if (b->text[i].len)
			ret = image_write(&b->out, b->text[i].data, b->text[i].len,
					  b->layout.locator[i]);
	return ret ? ret : write_bat(b);
}

/*
 * A new fixed image promises its space; where the file system cannot, it is sparse,
 * and so is one that is filled at once.
 */
static int reserve_fixed(struct builder *b)
{
	b->layout.footer = b->n->size;
	b->layout.file_size = b->n->size + sizeof(b->footer);
	if (!b->n->fill && !fallocate(b->out.fd, 0, 0, b->layout.file_size))
		return 0;
	if (!b->n->fill && errno != EOPNOTSUPP)
		return -errno;
	return ftruncate(b->out.fd, b->layout.file_size) ? -errno : 0;
}

/* Last of all: without them, what is not complete is no image. */
static int write_footers(struct builder *b)
{
	int ret = ftruncate(b->out.fd, b->layout.file_size) ? -errno : 0;

	if (!ret && b->n->type != VHD_TYPE_FIXED)
		ret = image_write(&b->out, &b->footer, sizeof(b->footer), 0);
	if (!ret)
		ret = image_write(&b->out, &b->footer, sizeof(b->footer), b->layout.footer);
	return ret;
}

static int write_all(struct builder *b)
{
	bool fixed = b->n->type == VHD_TYPE_FIXED;
	int ret;

	init_footer(b);
	ret = fixed ? VHDCTL_OK : init_header(b);
	if (ret)
		return ret;
	b->out.fd = b->file.fd;
	ret = fixed ? reserve_fixed(b) : write_sparse(b);
	if (ret)
		return fail(b, ret);
	ret = b->n->fill ? b->n->fill(b->n, b->file.fd, &b->layout) : VHDCTL_OK;
	if (ret)
		return ret;
	ret = write_footers(b);
	return ret ? fail(b, ret) : VHDCTL_OK;
}

static int check_limits(const struct new_image *n)
{
	char text[32];
	u64 max;

	if (n->type == VHD_TYPE_FIXED)
		return VHDCTL_OK;
	max = vhd_max_size(n->block_size);
	if (n->size <= max)
		return VHDCTL_OK;
	msg_error("%s: %s", n->path, vhd_fault_str(VHD_FAULT_TOO_LARGE));
	snprintf(text, sizeof(text), "%llu", max);
	msg_hint("with blocks of %u bytes it may have %s bytes at most", n->block_size, text);
	return exit_of_fault(VHD_FAULT_TOO_LARGE);
}

/**
 * image_build() - write a new image
 * @n:	what it shall be
 *
 * Return: VHDCTL_OK, or another exit code after a message; then no file of
 * that name has appeared.
 */
int image_build(const struct new_image *n)
{
	struct builder *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return VHDCTL_ERROR;
	b->n = n;
	ret = check_limits(n);
	if (!ret)
		ret = new_file_open(&b->file, n->path, n->replace);
	if (!ret) {
		ret = write_all(b);
		if (ret)
			new_file_abort(&b->file);
		else
			ret = new_file_commit(&b->file);
	}
	free(b);
	return ret;
}

static void inherit(struct new_image *n, const struct image *parent)
{
	n->type = VHD_TYPE_DIFFERENCING;
	n->parent = parent;
	if (!n->size)
		n->size = parent->layout.capacity << VHD_SECTOR_SHIFT;
	if (!n->block_size)
		n->block_size = parent->layout.block_sects << VHD_SECTOR_SHIFT;
	if (!n->block_size)
		n->block_size = VHD_BLOCK_SIZE_DEFAULT;
}

/**
 * child_build() - write a differencing child
 * @n:		path and replace; size and block size if they shall differ from
 *		the parent's
 * @parents:	empty; filled with the parent and its parents
 * @o:		where those may be
 * @parent:	the parent
 *
 * The parent must be usable itself, with all its parents.
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int child_build(struct new_image *n, struct chain *parents, const struct options *o,
		const char *parent)
{
	int ret = chain_open(parents, parent, o, false);

	if (ret)
		return ret;
	if (parents->nr >= VHD_MAX_DEPTH) {
		msg_error("%s: %s", n->path, vhd_fault_str(VHD_FAULT_TOO_DEEP));
		return VHDCTL_UNSUPPORTED;
	}
	if (uuid_is_null(parents->layer[0]->footer.uuid)) {
		msg_error("%s: has no unique id, so no child can name it", parent);
		return VHDCTL_UNSUPPORTED;
	}
	inherit(n, parents->layer[0]);
	return image_build(n);
}
