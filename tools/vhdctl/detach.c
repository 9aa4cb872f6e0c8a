// SPDX-License-Identifier: GPL-2.0
/* vhdctl detach: take devices away. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "netlink.h"

/* udev looks at every new device for a moment: that is not a user. */
#define BUSY_TRIES	6
#define BUSY_PAUSE_MS	200

static int detach_once(struct nl *nl, u32 index, u32 flags, struct device *job)
{
	u32 number = 0;
	int ret = nl_detach(nl, index, flags, &number);

	return ret ? ret : nl_wait(nl, number, job);
}

static int detach_patiently(struct nl *nl, u32 index, u32 flags, struct device *job)
{
	struct timespec pause = { .tv_nsec = BUSY_PAUSE_MS * 1000000L };
	int tries = 0, ret;

	for (;;) {
		ret = detach_once(nl, index, flags, job);
		if (ret || job->error != -EBUSY || ++tries == BUSY_TRIES)
			return ret;
		device_clear(job);
		nanosleep(&pause, NULL);
	}
}

static int detach_one(struct nl *nl, const struct device *d, const struct options *o)
{
	u32 flags = (o->lazy ? VHDBLK_DETACH_LAZY : 0) | (o->force ? VHDBLK_DETACH_FORCE : 0);
	struct device job;
	int ret = detach_patiently(nl, d->index, flags, &job);

	if (ret) {
		msg_error("%s: %s", d->path, nl_error_text(nl, ret));
		return exit_of_errno(ret);
	}
	ret = job.error ? job_report(&job, "detach", d->path) : VHDCTL_OK;
	device_clear(&job);
	return ret;
}

static int detach_all(struct nl *nl, const struct device_list *list, const struct options *o)
{
	int ret = VHDCTL_OK, one;
	unsigned int i;

	/* The youngest first: it may lie on an older one. */
	for (i = list->nr; i-- > 0;) {
		one = detach_one(nl, list->v[i], o);
		ret = ret ? ret : one;
	}
	return ret;
}

static int detach_named(struct nl *nl, const struct device_list *list, const struct options *o)
{
	int ret = VHDCTL_OK, one, i;
	struct device *d;

	for (i = 0; i < o->nr_args; i++) {
		one = device_find_in(list, o->args[i], &d);
		if (!one)
			one = detach_one(nl, d, o);
		ret = ret ? ret : one;
	}
	return ret;
}

static bool bad_operands(const struct options *o)
{
	if (o->all ? o->nr_args : !o->nr_args)
		msg_error("detach: name devices or files, or all with --all");
	else if (o->lazy && o->force)
		msg_error("detach: --lazy and --force exclude each other");
	else
		return false;
	msg_hint("see 'vhdctl detach --help'");
	return true;
}

/**
 * detach_main() - detach devices, going on after a failure
 * @o:	command line
 *
 * Return: &enum vhdctl_exit of the first failure.
 */
int detach_main(const struct options *o)
{
	struct device_list list = { 0 };
	struct nl *nl;
	int ret;

	if (bad_operands(o))
		return VHDCTL_ERROR;
	/* Without the driver there is nothing that --all could miss. */
	nl = nl_open(!o->all, &ret);
	if (!nl)
		return ret;
	ret = device_list_get(nl, &list);
	if (!ret)
		ret = o->all ? detach_all(nl, &list, o) : detach_named(nl, &list, o);
	device_list_free(&list);
	nl_close(nl);
	return ret;
}
