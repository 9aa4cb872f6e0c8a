// SPDX-License-Identifier: GPL-2.0
/*
 * A file that appears under its name only when it is complete and durable: a
 * crash in between leaves at most a temporary file, and no half-made image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"

static int say(const struct new_file *f, int err)
{
	msg_error("%s: %s", f->path, strerror(err));
	if (err == EEXIST)
		msg_hint("choose another name, or replace it with --force");
	return exit_of_errno(err);
}

/* Only a regular file may be replaced: never a device node, never a link. */
static int check_target(const struct new_file *f)
{
	struct stat st;

	if (lstat(f->path, &st))
		return errno == ENOENT ? 0 : say(f, errno);
	if (!f->replace)
		return say(f, EEXIST);
	if (S_ISREG(st.st_mode))
		return 0;
	msg_error("%s: not a regular file, so it will not be replaced", f->path);
	return S_ISBLK(st.st_mode) ? VHDCTL_UNSUPPORTED : VHDCTL_ERROR;
}

/*
 * An image in use must not vanish under its users, and a parent of the new image
 * is in use: this command itself holds a lock on it.
 */
static int check_unused(const struct new_file *f)
{
	struct image_how how = { .write = true, .beneath = -1 };
	struct image img;
	int ret = image_open(&img, f->path, &how);

	if (!ret)
		ret = image_lock(&img, true);
	if (ret == -ENOENT)
		ret = 0;
	if (ret)
		ret = image_report(&img, 0, ret);
	image_close(&img);
	return ret;
}

static int open_named(struct new_file *f)
{
	mode_t mask = umask(0);

	umask(mask);
	f->fd = mkostemp(f->temp, O_CLOEXEC);
	if (f->fd < 0)
		return errno;
	f->named = true;
	return fchmod(f->fd, 0666 & ~mask) ? errno : 0;
}

/*
 * Best a file without any name, which even SIGKILL cannot leave behind; not every
 * file system has them.
 */
static int open_temp(struct new_file *f)
{
	char *dir = path_dirname(f->path);
	int ret = 0;

	if (!dir || asprintf(&f->temp, "%s/.%s.XXXXXX", dir, path_basename(f->path)) < 0) {
		f->temp = NULL;
		ret = ENOMEM;
	} else {
		if (!f->replace)
			f->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
		if (f->fd < 0)
			ret = open_named(f);
	}
	free(dir);
	return ret ? say(f, ret) : 0;
}

/**
 * new_file_open() - begin a new file
 * @f:		result
 * @path:	its name in the end
 * @replace:	a regular file of that name may go
 *
 * Return: VHDCTL_OK, or another exit code after a message; then nothing is left.
 */
int new_file_open(struct new_file *f, const char *path, bool replace)
{
	int ret;

	memset(f, 0, sizeof(*f));
	f->fd = -1;
	f->replace = replace;
	f->path = strdup(path);
	if (!f->path)
		return VHDCTL_ERROR;
	ret = check_target(f);
	if (!ret && replace)
		ret = check_unused(f);
	if (!ret)
		ret = open_temp(f);
	if (ret)
		new_file_abort(f);
	return ret;
}

static int link_to(const struct new_file *f, const char *path)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW) ? errno : 0;
}

/* link(2) never replaces; rename(2) does, and needs a name to come from. */
static int give_name(struct new_file *f)
{
	if (!f->named)
		return link_to(f, f->path);
	if (!f->replace)
		return link(f->temp, f->path) ? errno : 0;
	if (rename(f->temp, f->path))
		return errno;
	f->named = false;
	return 0;
}

static int sync_directory(const char *path)
{
	char *dir = path_dirname(path);
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int ret = fd < 0 || fsync(fd) ? errno : 0;

	if (fd >= 0)
		close(fd);
	free(dir);
	return ret;
}

/**
 * new_file_commit() - make it durable and give it its name
 * @f:	an open new file; gone afterwards
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int new_file_commit(struct new_file *f)
{
	int ret = fsync(f->fd) ? errno : give_name(f);

	if (!ret)
		ret = sync_directory(f->path);
	if (ret)
		ret = say(f, ret);
	new_file_abort(f);
	return ret;
}

/**
 * new_file_abort() - forget a new file and remove its temporary name
 * @f:	from new_file_open()
 */
void new_file_abort(struct new_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->named)
		unlink(f->temp);
	free(f->temp);
	free(f->path);
	memset(f, 0, sizeof(*f));
	f->fd = -1;
}
