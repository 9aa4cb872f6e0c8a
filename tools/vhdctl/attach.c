// SPDX-License-Identifier: GPL-2.0
/* vhdctl attach: resolve a chain and hand it to the driver. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "chain.h"
#include "netlink.h"
#include "print.h"

/* devtmpfs makes the node at once; without it udev or mdev has to. */
#define NODE_WAIT_MS	30000
#define NODE_POLL_MS	20

static bool not_writable(int err)
{
	return err == -EACCES || err == -EPERM || err == -EROFS;
}

static int open_leaf(struct chain *c, const struct options *o, bool *write)
{
	int ret = chain_open_leaf(c, o->args[0], o, *write);

	if (*write && !ret && c->layer[0]->choice.place == VHD_FOOTER_SHORT) {
		c->layer[0]->fault = VHD_FAULT_SHORT_FOOTER;
		return vhd_fault_errno(VHD_FAULT_SHORT_FOOTER);
	}
	if (!*write || !not_writable(ret))
		return ret;
	msg_warning("%s: not writable (%s), so it is attached read-only", o->args[0],
		    strerror(-ret));
	chain_close(c);
	*write = false;
	return chain_open_leaf(c, o->args[0], o, false);
}

static u32 layer_flags(const struct chain *c, unsigned int i, bool write)
{
	u32 flags = i || !write ? VHDBLK_LAYER_READ_ONLY : 0;

	return flags | (c->layer[i]->raw ? VHDBLK_LAYER_RAW : 0);
}

static u32 attach_flags(const struct options *o, bool write)
{
	return (write ? 0 : VHDBLK_ATTACH_READ_ONLY) |
	       (o->ignore_id_mismatch ? VHDBLK_ATTACH_IGNORE_ID_MISMATCH : 0) |
	       (o->autoclear ? VHDBLK_ATTACH_AUTOCLEAR : 0) |
	       (o->no_partscan ? VHDBLK_ATTACH_NO_PARTSCAN : 0) |
	       (o->buffered ? VHDBLK_ATTACH_BUFFERED : 0) |
	       (o->submit_inline ? VHDBLK_ATTACH_INLINE : 0);
}

static int send_chain(struct nl *nl, const struct chain *c, const struct options *o, bool write,
		      u32 *job)
{
	struct attach_layer layer[VHD_MAX_DEPTH];
	struct attach_request req = {
		.name = o->name,
		.flags = attach_flags(o, write),
		.size_rule = o->size_rule,
		.layer = layer,
		.nr = c->nr,
	};
	unsigned int i;

	for (i = 0; i < c->nr; i++) {
		layer[i].fd = c->layer[i]->fd;
		layer[i].flags = layer_flags(c, i, write);
	}
	return nl_attach(nl, &req, job);
}

static const char *guilty_file(const struct chain *c, const struct device *job)
{
	if (job->has_fault_layer && job->fault_layer < c->nr)
		return c->layer[job->fault_layer]->path;
	return c->layer[0]->path;
}

static void wait_node(const struct device *job, const char *path)
{
	struct timespec pause = { .tv_nsec = NODE_POLL_MS * 1000000L };
	struct stat st;
	int ms;

	for (ms = 0; ms < NODE_WAIT_MS; ms += NODE_POLL_MS) {
		if (!stat(path, &st) && S_ISBLK(st.st_mode) &&
		    (!job->major || st.st_rdev == makedev(job->major, job->minor)))
			return;
		nanosleep(&pause, NULL);
	}
	msg_warning("%s: attached, but the node has not appeared; is devtmpfs or udev there?",
		    path);
}

static void print_device(const struct options *opts, const struct device *job)
{
	struct out o = { .json = opts->json };
	char path[32];

	snprintf(path, sizeof(path), "/dev/vhd%u", job->index);
	wait_node(job, path);
	if (!opts->json) {
		puts(path);
		return;
	}
	out_begin(&o, NULL, NULL);
	out_string(&o, "device", NULL, path);
	out_number(&o, "index", NULL, job->index);
	out_end(&o);
}

static int attach_chain(struct nl *nl, const struct chain *c, const struct options *o, bool write)
{
	struct device job;
	u32 number = 0;
	int ret = send_chain(nl, c, o, write, &number);

	if (!ret)
		ret = nl_wait(nl, number, &job);
	if (ret) {
		msg_error("%s: %s", c->layer[0]->path, nl_error_text(nl, ret));
		return exit_of_errno(ret);
	}
	if (job.error)
		ret = job_report(&job, "attach", guilty_file(c, &job));
	else
		print_device(o, &job);
	device_clear(&job);
	return ret;
}

static int open_chain(struct chain *c, const struct options *o, bool *write)
{
	int ret = open_leaf(c, o, write);

	if (ret)
		return c->nr ? image_report(c->layer[0], 0, ret) : VHDCTL_ERROR;
	ret = chain_resolve(c, o);
	if (!ret)
		chain_warn_times(c);
	return ret;
}

/**
 * attach_main() - attach a chain and print its device
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int attach_main(const struct options *o)
{
	struct chain c = { .nr = 0 };
	bool write = !o->read_only;
	struct nl *nl;
	int ret = open_chain(&c, o, &write);

	if (!ret) {
		nl = nl_open(true, &ret);
		if (nl)
			ret = attach_chain(nl, &c, o, write);
		nl_close(nl);
	}
	chain_close(&c);
	return ret;
}
