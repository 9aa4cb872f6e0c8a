// SPDX-License-Identifier: GPL-2.0
/* vhdctl convert: copy a disk to another format. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert.h"
#include "print.h"

#define MIB		(1ULL << 20)
#define AZURE_MIN	(20 * MIB)
#define AZURE_MAX	(32ULL << 40)

struct converter {
	const struct options *o;
	const char *to;
	const char *type;	/* of the target: raw, fixed or dynamic */
	struct source s;
	u64 size;		/* of the target's disk, if it is not the source's */
	u64 written;
};

static bool is_standard(const char *path)
{
	return !strcmp(path, "-");
}

static bool is_block_device(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

static bool ends_in(const char *path, const char *suffix)
{
	size_t len = strlen(path), tail = strlen(suffix);

	return len > tail && !strcasecmp(path + len - tail, suffix);
}

/*
 * The name says what a file is, never its contents: whoever may write a raw disk
 * can make it look like a VHD, and that could name any file as its parent.
 */
static bool is_raw_name(const char *path)
{
	return is_standard(path) || is_block_device(path) || ends_in(path, ".raw") ||
	       ends_in(path, ".img");
}

static const char *target_type(const struct converter *c)
{
	if (c->o->to)
		return c->o->to;
	if (c->o->azure)
		return "fixed";
	return is_raw_name(c->to) ? "raw" : "dynamic";
}

static int check_words(const struct converter *c)
{
	bool raw = !strcmp(c->type, "raw");

	if (c->o->azure && strcmp(c->type, "fixed"))
		msg_error("convert: Azure takes only fixed VHDs; leave out --type");
	else if (c->o->block_size && strcmp(c->type, "dynamic"))
		msg_error("convert: a %s image has no blocks; leave out --block-size", c->type);
	else if (!raw && is_standard(c->to))
		msg_error("convert: standard output takes only raw disks");
	else if (is_standard(c->to) && c->o->json)
		msg_error("convert: standard output cannot take both the disk and JSON");
	else if (is_standard(c->to) && isatty(STDOUT_FILENO))
		msg_error("convert: a disk is not for a terminal");
	else if (is_standard(c->o->args[0]) && c->o->from && strcmp(c->o->from, "raw"))
		msg_error("convert: standard input gives only raw disks");
	else
		return VHDCTL_OK;
	return VHDCTL_ERROR;
}

static int open_source(struct converter *c)
{
	const char *path = c->o->args[0];
	bool raw = c->o->from ? !strcmp(c->o->from, "raw") : is_raw_name(path);

	if (is_standard(path))
		return source_open_stream(&c->s);
	return source_open(&c->s, path, raw, c->o);
}

static int pump_to(struct converter *c, enum target_kind kind, int fd)
{
	struct target t;
	int ret;

	target_init(&t, kind, c->to, fd);
	ret = pump(&c->s, &t, c->o->progress);
	c->written = t.written;
	if (!ret && kind == TARGET_FLAT && c->s.stream && ftruncate(fd, c->s.size))
		ret = target_fail(&t, errno);
	if (!ret && kind == TARGET_DEVICE)
		ret = target_finish_device(&t);
	target_close(&t);
	return ret;
}

static int to_raw_file(struct converter *c)
{
	struct new_file f;
	int ret = new_file_open(&f, c->to, c->o->force);

	if (ret)
		return ret;
	if (!c->s.stream && ftruncate(f.fd, c->s.size)) {
		msg_error("%s: %s", c->to, strerror(errno));
		ret = exit_of_errno(errno);
	}
	if (!ret)
		ret = pump_to(c, TARGET_FLAT, f.fd);
	if (!ret)
		return new_file_commit(&f);
	new_file_abort(&f);
	return ret;
}

static int open_spool(const char *path)
{
	char *dir = path_dirname(path), *temp = NULL;
	int fd = -1;

	if (dir)
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (dir && fd < 0 && asprintf(&temp, "%s/.%s.XXXXXX", dir, path_basename(path)) >= 0) {
		fd = mkostemp(temp, O_CLOEXEC);
		if (fd >= 0)
			unlink(temp);
		free(temp);
	}
	free(dir);
	return fd;
}

/* A VHD begins with its size, which a stream does not tell before its end. */
static int spool(struct converter *c)
{
	int fd = open_spool(c->to), ret;

	if (fd < 0) {
		msg_error("%s: %s", c->to, strerror(errno));
		return exit_of_errno(errno);
	}
	ret = pump_to(c, TARGET_FLAT, fd);
	if (!ret)
		return source_adopt(&c->s, fd);
	close(fd);
	return ret;
}

static int fit_azure(const struct converter *c, struct new_image *n)
{
	u64 size = DIV_ROUND_UP(n->size, MIB) * MIB;

	if (size > AZURE_MAX) {
		msg_error("%s: Azure takes no disk larger than 32 TiB", c->s.path);
		return VHDCTL_UNSUPPORTED;
	}
	size = max_t(u64, size, AZURE_MIN);
	if (size != n->size)
		msg_warning("%s: made larger, from %llu to %llu bytes, for Azure", c->to,
			    n->size, size);
	n->size = size;
	return VHDCTL_OK;
}

static int fill_dynamic(struct converter *c, const struct new_image *n, int fd,
			struct vhd_create_layout *layout)
{
	struct target t;
	int ret = target_init_dynamic(&t, n, fd, layout->bat + layout->bat_bytes);

	if (!ret)
		ret = pump(&c->s, &t, c->o->progress);
	c->written = t.written;
	if (!ret)
		ret = target_finish_dynamic(&t, layout);
	target_close(&t);
	return ret;
}

static int fill(const struct new_image *n, int fd, struct vhd_create_layout *layout)
{
	struct converter *c = n->ctx;

	if (n->type == VHD_TYPE_DYNAMIC)
		return fill_dynamic(c, n, fd, layout);
	return pump_to(c, TARGET_FLAT, fd);
}

static int to_vhd(struct converter *c)
{
	bool fixed = !strcmp(c->type, "fixed");
	struct new_image n = {
		.path = c->to,
		.type = fixed ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC,
		.block_size = c->o->block_size ? c->o->block_size : VHD_BLOCK_SIZE_DEFAULT,
		.replace = c->o->force,
		.fill = fill,
		.ctx = c,
	};
	int ret = c->s.stream ? spool(c) : VHDCTL_OK;

	if (ret)
		return ret;
	n.size = c->s.size;
	if (!n.size) {
		msg_error("%s: is empty, and a VHD cannot be", c->s.path);
		return VHDCTL_ERROR;
	}
	ret = c->o->azure ? fit_azure(c, &n) : VHDCTL_OK;
	c->size = n.size;
	return ret ? ret : image_build(&n);
}

static int check_device(const struct converter *c, const struct image *img)
{
	if (chain_has(&c->s.chain, img)) {
		msg_error("%s: cannot be converted into itself", img->path);
		return VHDCTL_ERROR;
	}
	if (!c->s.stream && c->s.size > img->size) {
		msg_error("%s: has %llu bytes, and the disk %llu", img->path, img->size,
			  c->s.size);
		return VHDCTL_NO_SPACE;
	}
	return VHDCTL_OK;
}

/* With O_EXCL nobody has it mounted, and nobody can while we write. */
static int claim(const struct image *img)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", img->fd);
	fd = open(name, O_RDWR | O_EXCL | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_device(const struct converter *c, struct image *img)
{
	struct image_how how = { .write = true, .named = true, .beneath = -1 };
	int ret, fd = -1;

	ret = image_open(img, c->to, &how);
	if (!ret)
		ret = image_lock(img, true);
	if (!ret) {
		fd = claim(img);
		ret = min_t(int, fd, 0);
	}
	if (ret)
		image_report(img, 0, ret);
	return ret ? ret : fd;
}

static int to_device(struct converter *c)
{
	struct image img;
	int fd, ret;

	if (strcmp(c->type, "raw")) {
		msg_error("%s: a block device takes only raw disks", c->to);
		return VHDCTL_UNSUPPORTED;
	}
	if (!c->o->force) {
		msg_error("%s: is a block device, and what it holds would be lost", c->to);
		msg_hint("say --force if that is what you want");
		return VHDCTL_ERROR;
	}
	fd = open_device(c, &img);
	ret = fd < 0 ? exit_of_errno(fd) : check_device(c, &img);
	if (!ret)
		ret = pump_to(c, TARGET_DEVICE, fd);
	if (fd >= 0)
		close(fd);
	image_close(&img);
	return ret;
}

static int to_target(struct converter *c)
{
	if (is_standard(c->to))
		return pump_to(c, TARGET_STREAM, STDOUT_FILENO);
	if (is_block_device(c->to))
		return to_device(c);
	return strcmp(c->type, "raw") ? to_vhd(c) : to_raw_file(c);
}

/* What is not data are holes, or zeros that a device was told of. */
static int print_result(const struct converter *c)
{
	struct out o = { .json = true };
	u64 size = c->size ? c->size : c->s.size;
	struct stat st;

	if (stat(c->to, &st)) {
		msg_error("%s: %s", c->to, strerror(errno));
		return exit_of_errno(errno);
	}
	out_begin(&o, NULL, NULL);
	out_string(&o, "source", NULL, c->o->args[0]);
	out_string(&o, "target", NULL, c->to);
	out_string(&o, "type", NULL, c->type);
	out_number(&o, "size", NULL, size);
	out_number(&o, "written_bytes", NULL, c->written);
	out_number(&o, "zero_bytes", NULL, size - c->written);
	if (S_ISREG(st.st_mode)) {
		out_number(&o, "file_size", NULL, st.st_size);
		out_number(&o, "stored", NULL, st.st_blocks * 512ULL);
	}
	out_end(&o);
	return VHDCTL_OK;
}

/**
 * convert_main() - copy a disk to another format
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int convert_main(const struct options *o)
{
	struct converter c = { .o = o, .to = o->args[1] };
	int ret;

	c.type = target_type(&c);
	ret = check_words(&c);
	if (!ret)
		ret = open_source(&c);
	if (!ret)
		ret = to_target(&c);
	if (!ret && o->json)
		ret = print_result(&c);
	source_close(&c.s);
	return ret;
}
