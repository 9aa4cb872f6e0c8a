// SPDX-License-Identifier: GPL-2.0
/* Devices as the user names them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "netlink.h"

/**
 * device_clear() - free what a device points at
 * @d:	the device; itself not freed
 */
void device_clear(struct device *d)
{
	u32 i;

	for (i = 0; i < d->nr_layers; i++)
		free(d->layer[i].path);
	free(d->layer);
	d->layer = NULL;
	d->nr_layers = 0;
}

/**
 * device_free() - free a device
 * @d:	from device_decode(), or NULL
 */
void device_free(struct device *d)
{
	if (!d)
		return;
	device_clear(d);
	free(d);
}

/**
 * device_list_free() - free a list and its devices
 * @list:	empty afterwards
 */
void device_list_free(struct device_list *list)
{
	while (list->nr)
		device_free(list->v[--list->nr]);
	free(list->v);
	list->v = NULL;
}

/**
 * device_list_get() - ask for all devices
 * @nl:		connection
 * @list:	empty
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int device_list_get(struct nl *nl, struct device_list *list)
{
	int ret = nl_dump(nl, list);

	if (!ret)
		return VHDCTL_OK;
	msg_error("cannot list the devices: %s", nl_error_text(nl, ret));
	return exit_of_errno(ret);
}

/**
 * is_vhd_device() - does a path name a device of the driver
 * @path:	a path; if nothing is there, /dev/vhdN counts
 */
bool is_vhd_device(const char *path)
{
	char name[64], target[PATH_MAX];
	const char *base;
	struct stat st;
	ssize_t len;

	if (stat(path, &st))
		return !strncmp(path, "/dev/vhd", 8);
	if (!S_ISBLK(st.st_mode))
		return false;
	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u", major(st.st_rdev),
		 minor(st.st_rdev));
	len = readlink(name, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	base = strrchr(target, '/');
	return base && !strncmp(base + 1, "vhd", 3);
}

static bool same_file(const char *path, const struct stat *want)
{
	struct stat st;

	return !stat(path, &st) && st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

/* A word on the command line, and what it is in the file system. */
struct wanted {
	const char *arg;
	char *real;
	bool exists;
	struct stat st;
};

static bool is_name(const struct device *d, const struct wanted *w)
{
	return !strcmp(w->arg, d->path) || !strcmp(w->arg, d->path + strlen("/dev/")) ||
	       (d->name[0] && !strcmp(w->arg, d->name)) ||
	       (d->nr_layers && !strcmp(w->arg, d->layer[0].path));
}

static bool is_node(const struct device *d, const struct wanted *w)
{
	return w->exists && S_ISBLK(w->st.st_mode) && w->st.st_rdev == makedev(d->major, d->minor);
}

static bool is_real_path(const struct device *d, const struct wanted *w)
{
	return w->real && d->nr_layers && !strcmp(w->real, d->layer[0].path);
}

static bool is_file(const struct device *d, const struct wanted *w)
{
	return w->exists && d->nr_layers && same_file(d->layer[0].path, &w->st);
}

static struct device *find(const struct device_list *list, const struct wanted *w,
			   bool (*is)(const struct device *d, const struct wanted *w))
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		if (is(list->v[i], w))
			return list->v[i];
	return NULL;
}

/*
 * The file of a device may lie on a server that does not answer, so no file is
 * looked at as long as names may do, and those of other devices last.
 */
static struct device *find_any(const struct device_list *list, struct wanted *w)
{
	struct device *d = find(list, w, is_name);

	if (d)
		return d;
	w->exists = !stat(w->arg, &w->st);
	w->real = realpath(w->arg, NULL);
	d = find(list, w, is_node);
	if (!d)
		d = find(list, w, is_real_path);
	if (!d)
		d = find(list, w, is_file);
	free(w->real);
	return d;
}

/**
 * device_find_in() - the device that a word on the command line means
 * @list:	all devices; the one found is still in it
 * @arg:	/dev/vhdN, vhdN, another path to it, its name, or its leaf file
 * @d:		result
 *
 * Return: VHDCTL_OK, or VHDCTL_ERROR after a message.
 */
int device_find_in(const struct device_list *list, const char *arg, struct device **d)
{
	struct wanted w = { .arg = arg };

	*d = find_any(list, &w);
	if (*d)
		return VHDCTL_OK;
	if (!w.exists && strchr(arg, '/'))
		msg_error("%s: %s", arg, strerror(ENOENT));
	else if (is_vhd_device(arg) && strlen(arg))
		msg_error("%s: not a whole device of vhdblk", arg);
	else
		msg_error("%s: not attached", arg);
	msg_hint("see 'vhdctl list'");
	return VHDCTL_ERROR;
}

/**
 * device_find() - like device_find_in(), asking the driver
 * @arg:	see there
 * @d:		to be freed by device_free()
 *
 * Return: VHDCTL_OK, or another exit code after a message.
 */
int device_find(const char *arg, struct device **d)
{
	struct device_list list = { 0 };
	struct nl *nl;
	unsigned int i;
	int ret;

	nl = nl_open(true, &ret);
	if (!nl)
		return ret;
	ret = device_list_get(nl, &list);
	if (!ret)
		ret = device_find_in(&list, arg, d);
	for (i = 0; !ret && i < list.nr; i++)
		if (list.v[i] == *d)
			list.v[i] = list.v[--list.nr];
	device_list_free(&list);
	nl_close(nl);
	return ret;
}

/* What the driver says names the cause, or only what it was about to do? */
static bool text_is_all(const struct device *job)
{
	switch (-job->error) {
	case EBADF:
	case EBUSY:
	case ELOOP:
	case ENODEV:
	case EOPNOTSUPP:
	case ETXTBSY:
		return true;
	}
	return job->fault;
}

/**
 * job_report() - say why a job failed
 * @job:	its outcome
 * @what:	verb, for example "attach"
 * @file:	file or device that the failure is about
 *
 * Return: &enum vhdctl_exit for it.
 */
int job_report(const struct device *job, const char *what, const char *file)
{
	const char *cause = strerror(-job->error);
	bool all = !job->text[0] || text_is_all(job);
	char text[sizeof(job->text) + 64];

	snprintf(text, sizeof(text), "%s%s%s", job->text[0] ? job->text : cause, all ? "" : ": ",
		 all ? "" : cause);
	if (job->has_fault_layer && job->fault_layer)
		msg_error("%s (layer %u): %s", file, job->fault_layer, text);
	else
		msg_error("%s: %s", file, text);
	if (job->error == -EUCLEAN)
		msg_hint("see 'vhdctl check %s'", file);
	else if (job->error == -EBUSY && !strcmp(what, "detach"))
		msg_hint("it is open: unmount it, or detach it with --lazy or --force");
	else if (job->error == -EBUSY || job->error == -ETXTBSY)
		msg_hint("another device or program uses it; see 'vhdctl list'");
	if (job->fault)
		return exit_of_fault((enum vhd_fault)job->fault);
	/* No thread could be made: nobody uses the file. */
	if (job->error == -EAGAIN)
		return VHDCTL_ERROR;
	/* A file on a disk of the driver itself. */
	if (job->error == -ELOOP)
		return VHDCTL_UNSUPPORTED;
	return exit_of_errno(job->error);
}
