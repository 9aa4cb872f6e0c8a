// SPDX-License-Identifier: GPL-2.0
/*
 * Finding the images below a directory that anybody may have filled.
 *
 * Nothing is opened by an absolute path, no symbolic link is followed and no mount
 * point crossed: a dead server mounted below the directory cannot block us, nor
 * can anything lead out of it or in circles. What is no regular file is not opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scan.h"

/**
 * struct walk - one directory tree being looked at
 * @s:		where what is found goes
 * @rule:	which field gives the size of a disk
 * @dir:	as the user named it
 * @real:	without symbolic links
 * @fd:		of it
 * @todo:	directories below it, in the order in which they are read
 * @nr:		how many
 */
struct walk {
	struct scan *s;
	enum vhd_size_rule rule;
	const char *dir;
	char *real;
	int fd;
	char **todo;
	unsigned int nr;
};

static char *join(const char *dir, const char *name)
{
	const char *between = *dir && dir[strlen(dir) - 1] != '/' ? "/" : "";
	char *path;

	return asprintf(&path, "%s%s%s", dir, between, name) < 0 ? NULL : path;
}

/* An automounter's directory is not touched either: O_PATH mounts nothing. */
static int open_below(const struct walk *w, const char *rel)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV |
			   RESOLVE_NO_MAGICLINKS,
	};
	int fd = syscall(SYS_openat2, w->fd, rel, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static void complain(struct walk *w, const char *rel, int err)
{
	char *path = join(w->dir, rel);

	if (err == -EXDEV) {
		msg_warning("%s: another file system, which is not looked at",
			    path ? path : rel);
	} else {
		msg_error("%s: %s", path ? path : rel, strerror(-err));
		w->s->failed = true;
	}
	free(path);
}

static bool is_named_so(const char *path)
{
	const char *dot = strrchr(path_basename(path), '.');

	return dot && (!strcasecmp(dot, ".vhd") || !strcasecmp(dot, ".avhd"));
}

static struct found *new_found(struct walk *w, const char *rel)
{
	struct found *bigger = reallocarray(w->s->v, w->s->nr + 1, sizeof(*bigger));
	struct found *f;

	if (!bigger)
		return NULL;
	w->s->v = bigger;
	f = &bigger[w->s->nr];
	memset(f, 0, sizeof(*f));
	f->parent = NO_PARENT;
	f->path = join(w->dir, rel);
	f->real = join(w->real, rel);
	if (f->path && f->real) {
		w->s->nr++;
		return f;
	}
	free(f->path);
	free(f->real);
	return NULL;
}

static void note_child(struct found *f, struct image *img)
{
	char name[1024];

	f->header = img->header;
	parent_name(img, name, sizeof(name));
	f->name = strdup(name);
	paths_of_parent(img, &f->places);
}

static void note_image(struct found *f, struct image *img, int err)
{
	f->fault = img->fault;
	f->file_size = img->size;
	f->mtime = img->mtime;
	f->dev = img->dev;
	f->ino = img->ino;
	f->has_id = !vhd_footer_check(&img->footer);
	memcpy(f->id, img->footer.uuid, sizeof(f->id));
	if (f->has_id)
		f->type = vhd_footer_type(&img->footer);
	if (err) {
		f->state = img->fault ? LINK_DAMAGED : LINK_UNREADABLE;
		f->why = img->fault ? NULL : strerror(-err);
		return;
	}
	f->size = img->layout.capacity << VHD_SECTOR_SHIFT;
	if (img->choice.place == VHD_FOOTER_COPY)
		f->fault = VHD_FAULT_FOOTER_END_MISSING;
	if (img->choice.place == VHD_FOOTER_SHORT)
		f->fault = VHD_FAULT_SHORT_FOOTER;
	if (f->type == VHD_TYPE_DIFFERENCING)
		note_child(f, img);
}

/* What neither is an image nor is called so is none of our business. */
static bool is_of_interest(const struct image *img, const char *rel, int err)
{
	if (!err)
		return true;
	if (img->fault && img->fault != VHD_FAULT_NO_FOOTER && img->fault != VHD_FAULT_TOO_SMALL)
		return true;
	return is_named_so(rel);
}

/*
 * Who holds a lock for writing changes the data, and of the metadata only what we
 * do not ask for; so what it says of its parent holds.
 */
static int look_inside(struct walk *w, const char *rel, int path_fd, const struct stat *st)
{
	struct image_how how = { .beneath = -1 };
	char *path = join(w->dir, rel);
	struct image img;
	struct found *f;
	bool in_use;
	int ret;

	if (!path)
		return -ENOMEM;
	ret = image_open_found(&img, path, path_fd, &how);
	in_use = !ret && image_lock(&img, false) == -EAGAIN;
	if (!ret)
		ret = image_load(&img, w->rule);
	free(path);
	f = is_of_interest(&img, rel, ret) ? new_found(w, rel) : NULL;
	if (f) {
		note_image(f, &img, ret);
		f->in_use = in_use;
		f->stored = st->st_blocks * 512ULL;
	}
	image_close(&img);
	return 0;
}

static int add_directory(struct walk *w, const char *rel)
{
	char **bigger = reallocarray(w->todo, w->nr + 1, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	w->todo = bigger;
	bigger[w->nr] = strdup(rel);
	if (!bigger[w->nr])
		return -ENOMEM;
	w->nr++;
	return 0;
}

static void look_at(struct walk *w, const char *rel)
{
	int fd = open_below(w, rel);
	int ret = fd < 0 ? fd : 0;
	struct stat st;

	if (!ret && fstat(fd, &st))
		ret = -errno;
	if (!ret && S_ISDIR(st.st_mode))
		ret = add_directory(w, rel);
	else if (!ret && S_ISREG(st.st_mode))
		ret = look_inside(w, rel, fd, &st);
	/* Gone since the directory was read: as if it had never been there. */
	if (ret && ret != -ENOENT && ret != -ELOOP)
		complain(w, rel, ret);
	if (fd >= 0)
		close(fd);
}

static void read_entries(struct walk *w, const char *rel, DIR *d)
{
	struct dirent *e;
	char *path;

	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		path = strcmp(rel, ".") ? join(rel, e->d_name) : strdup(e->d_name);
		if (path && strlen(path) < PATH_MAX)
			look_at(w, path);
		else
			complain(w, rel, -ENAMETOOLONG);
		free(path);
	}
	if (errno)
		complain(w, rel, -errno);
}

static void read_directory(struct walk *w, const char *rel)
{
	int path_fd = open_below(w, rel);
	int fd = path_fd < 0 ? -1 : openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d)
		read_entries(w, rel, d);
	else if (path_fd == -ENOENT)
		;
	else
		complain(w, rel, path_fd < 0 ? path_fd : -errno);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	if (path_fd >= 0)
		close(path_fd);
}

/**
 * scan_directory() - add all images below a directory
 * @s:		zeroed, or with those of other directories
 * @dir:	the directory; it may itself be a symbolic link
 * @rule:	which field gives the size of a disk
 *
 * What cannot be looked at is reported, and the rest is done all the same.
 *
 * Return: VHDCTL_OK; VHDCTL_ERROR after a message if it is no directory.
 */
int scan_directory(struct scan *s, const char *dir, enum vhd_size_rule rule)
{
	struct walk w = { .s = s, .rule = rule, .dir = dir, .real = realpath(dir, NULL) };
	int ret = VHDCTL_OK;
	unsigned int i;

	w.fd = w.real ? open(w.real, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (w.fd < 0) {
		msg_error("%s: %s", dir, strerror(errno));
		ret = VHDCTL_ERROR;
	} else {
		read_directory(&w, ".");
		for (i = 0; i < w.nr; i++)
			read_directory(&w, w.todo[i]);
		close(w.fd);
	}
	for (i = 0; i < w.nr; i++)
		free(w.todo[i]);
	free(w.todo);
	free(w.real);
	return ret;
}

/**
 * scan_free() - forget what was found
 * @s:	from scan_directory()
 */
void scan_free(struct scan *s)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++) {
		free(s->v[i].path);
		free(s->v[i].real);
		free(s->v[i].name);
		paths_free(&s->v[i].places);
	}
	free(s->v);
	free(s->by_id);
	memset(s, 0, sizeof(*s));
}
