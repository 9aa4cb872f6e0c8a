// SPDX-License-Identifier: GPL-2.0
/*
 * Client of the driver's generic netlink family.
 *
 * attach and detach answer with the number of a job, and its outcome comes as a
 * message on the same socket: at any time, even before the answer. So outcomes
 * are put aside wherever they arrive, and nl_wait() looks there first.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "netlink.h"

/* A device with 255 long paths still fits. */
#define BUFFER_SIZE	(2u << 20)
#define REQUEST_SIZE	16384u
#define MAX_OUTCOMES	64u
/* The outcome of a job may get lost when the socket's buffer is full: ask again. */
#define ASK_AGAIN_MS	2000

struct nl {
	struct mnl_socket *sock;
	unsigned int portid;
	unsigned int seq;
	u16 family;
	u32 group;
	char text[256];		/* what the last extended ack said */
	struct device *outcome[MAX_OUTCOMES];
	unsigned int nr_outcomes;
	u8 buf[BUFFER_SIZE];
};

typedef int (*reply_fn)(void *ctx, const struct nlmsghdr *nlh);

struct request {
	struct nlmsghdr *nlh;
	u8 buf[REQUEST_SIZE] __attribute__((aligned(8)));
};

static void request_init(struct request *r, u16 family, u8 cmd, u16 flags)
{
	struct genlmsghdr *genl;

	memset(r->buf, 0, NLMSG_HDRLEN);
	r->nlh = mnl_nlmsg_put_header(r->buf);
	r->nlh->nlmsg_type = family;
	r->nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = mnl_nlmsg_put_extra_header(r->nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
}

static void keep_outcome(struct nl *nl, const struct nlmsghdr *nlh)
{
	struct device *d = device_decode(nlh);

	if (d && d->event == VHDBLK_EVENT_JOB_DONE && nl->nr_outcomes < MAX_OUTCOMES)
		nl->outcome[nl->nr_outcomes++] = d;
	else
		device_free(d);
}

static bool is_event(const struct nl *nl, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);

	return nl->family && nlh->nlmsg_type == nl->family && genl->cmd == VHDBLK_CMD_EVENT;
}

/* The extended ack follows the request that the kernel sends back, if it does. */
static void read_ext_ack(struct nl *nl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*err);
	const struct nlattr *a;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&err->msg);
	mnl_attr_for_each(a, nlh, skip)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(nl->text, sizeof(nl->text), "%.*s",
				 (int)mnl_attr_get_payload_len(a), mnl_attr_get_str(a));
}

/* 1: go on, 0: the request is answered, negative: it failed. */
static int handle(struct nl *nl, const struct nlmsghdr *nlh, reply_fn fn, void *ctx)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && is_event(nl, nlh)) {
		keep_outcome(nl, nlh);
		return 1;
	}
	if (nlh->nlmsg_seq != nl->seq)
		return 1;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		read_ext_ack(nl, nlh);
		return err->error;
	}
	if (nlh->nlmsg_type == NLMSG_DONE)
		return mnl_nlmsg_get_payload_len(nlh) >= sizeof(int) ? *(const int *)err : 0;
	if (nlh->nlmsg_type < NLMSG_MIN_TYPE || !fn)
		return 1;
	return fn(ctx, nlh) ? -ENOMEM : 1;
}

static int receive(struct nl *nl, reply_fn fn, void *ctx)
{
	ssize_t got = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)nl->buf;
	int left = got, ret = 1;

	/* ENOBUFS: events were lost, which nl_wait() makes good. */
	if (got < 0)
		return errno == EINTR || errno == ENOBUFS ? 1 : -errno;
	for (; ret > 0 && mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		ret = handle(nl, nlh, fn, ctx);
	return ret;
}

static int transact(struct nl *nl, struct request *r, reply_fn fn, void *ctx)
{
	int ret = 1;

	nl->text[0] = 0;
	r->nlh->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, r->nlh, r->nlh->nlmsg_len) < 0)
		return -errno;
	while (ret > 0)
		ret = receive(nl, fn, ctx);
	return ret;
}

static void read_group(struct nl *nl, const struct nlattr *group)
{
	const struct nlattr *a;
	const char *name = "";
	u32 id = 0;

	mnl_attr_for_each_nested(a, group) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_NAME)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
			id = mnl_attr_get_u32(a);
	}
	if (!strcmp(name, VHDBLK_MCGRP_EVENTS))
		nl->group = id;
}

static int read_family(void *ctx, const struct nlmsghdr *nlh)
{
	const struct nlattr *a, *group;
	struct nl *nl = ctx;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			nl->family = mnl_attr_get_u16(a);
		else if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GROUPS)
			mnl_attr_for_each_nested(group, a)
				read_group(nl, group);
	}
	return 0;
}

/* As root this also makes the kernel load the module, by its alias. */
static int resolve_family(struct nl *nl)
{
	struct request r;
	int ret;

	request_init(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(r.nlh, CTRL_ATTR_FAMILY_NAME, VHDBLK_FAMILY_NAME);
	ret = transact(nl, &r, read_family, nl);
	return !ret && !nl->family ? -ENOENT : ret;
}

static void run_modprobe(void)
{
	static char * const argv[] = { "modprobe", "-q", "vhdblk", NULL };
	int status;
	pid_t pid;

	if (!posix_spawnp(&pid, "modprobe", NULL, NULL, argv, environ))
		waitpid(pid, &status, 0);
}

static int report_no_family(int err)
{
	if (err == -ENOENT) {
		msg_error("the vhdblk driver is not loaded, and loading it failed");
		msg_hint("try 'modprobe vhdblk' as root; is the module installed for this kernel?");
		msg_hint("a container with a network of its own has to ask the host");
	} else {
		msg_error("cannot talk to the vhdblk driver: %s", strerror(-err));
	}
	return VHDCTL_ERROR;
}

static int connect_kernel(struct nl *nl)
{
	int on = 1;

	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Without them messages are longer or say less, no more. */
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	nl->portid = mnl_socket_get_portid(nl->sock);
	nl->seq = time(NULL);
	return 0;
}

/*
 * The driver answers in the first network namespace only, and who may use it may enter
 * that; nothing else here has to do with networks. In a container with processes of its
 * own there is no way out, and should not be.
 */
static int find_in_first_net(struct nl *nl)
{
	int fd = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC), ret = -ENOENT;

	if (fd < 0)
		return ret;
	if (!setns(fd, CLONE_NEWNET)) {
		mnl_socket_close(nl->sock);
		ret = connect_kernel(nl);
		if (!ret)
			ret = resolve_family(nl);
	}
	close(fd);
	return ret;
}

/**
 * nl_open() - find the driver
 * @load_module:	load its module if it is not there
 * @exit_code:		set if NULL is returned: VHDCTL_OK if the driver is
 *			absent and @load_module is false, else the failure,
 *			after a message
 *
 * Return: A connection, or NULL.
 */
struct nl *nl_open(bool load_module, int *exit_code)
{
	struct nl *nl = calloc(1, sizeof(*nl));
	int ret = nl ? connect_kernel(nl) : -ENOMEM;

	if (!ret)
		ret = resolve_family(nl);
	if (ret == -ENOENT)
		ret = find_in_first_net(nl);
	if (ret == -ENOENT && load_module) {
		run_modprobe();
		ret = resolve_family(nl);
	}
	if (!ret)
		return nl;
	*exit_code = ret == -ENOENT && !load_module ? VHDCTL_OK : report_no_family(ret);
	nl_close(nl);
	return NULL;
}

/**
 * nl_close() - end a connection
 * @nl:	from nl_open(), or NULL
 */
void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	while (nl->nr_outcomes)
		device_free(nl->outcome[--nl->nr_outcomes]);
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl);
}

static int read_job(void *ctx, const struct nlmsghdr *nlh)
{
	struct device *d = device_decode(nlh);

	if (!d)
		return -ENOMEM;
	*(u32 *)ctx = d->job;
	device_free(d);
	return 0;
}

static void put_layer(struct nlmsghdr *nlh, const struct attach_layer *l)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, VHDBLK_A_LAYER);

	mnl_attr_put_u32(nlh, VHDBLK_A_LAYER_FD, l->fd);
	mnl_attr_put_u32(nlh, VHDBLK_A_LAYER_FLAGS, l->flags);
	mnl_attr_nest_end(nlh, nest);
}

/**
 * nl_attach() - start to attach a chain
 * @nl:		connection
 * @req:	what to attach; the descriptors stay the caller's
 * @job:	number of the job
 *
 * Return: 0 or a negative errno.
 */
int nl_attach(struct nl *nl, const struct attach_request *req, u32 *job)
{
	struct request r;
	u32 i;

	request_init(&r, nl->family, VHDBLK_CMD_ATTACH, NLM_F_ACK);
	if (req->name)
		mnl_attr_put_strz(r.nlh, VHDBLK_A_NAME, req->name);
	mnl_attr_put_u32(r.nlh, VHDBLK_A_FLAGS, req->flags);
	mnl_attr_put_u32(r.nlh, VHDBLK_A_SIZE_RULE, req->size_rule);
	for (i = 0; i < req->nr; i++)
		put_layer(r.nlh, &req->layer[i]);
	return transact(nl, &r, read_job, job);
}

/**
 * nl_detach() - start to detach a device
 * @nl:		connection
 * @index:	N of /dev/vhdN
 * @flags:	enum vhdblk_detach_flag
 * @job:	number of the job
 *
 * Return: 0 or a negative errno.
 */
int nl_detach(struct nl *nl, u32 index, u32 flags, u32 *job)
{
	struct request r;

	request_init(&r, nl->family, VHDBLK_CMD_DETACH, NLM_F_ACK);
	mnl_attr_put_u32(r.nlh, VHDBLK_A_INDEX, index);
	mnl_attr_put_u32(r.nlh, VHDBLK_A_FLAGS, flags);
	return transact(nl, &r, read_job, job);
}

static int read_device(void *ctx, const struct nlmsghdr *nlh)
{
	struct device *d = device_decode(nlh);

	if (!d)
		return -ENOMEM;
	device_clear(ctx);
	*(struct device *)ctx = *d;
	free(d);
	return 0;
}

static int ask_job(struct nl *nl, u32 job, struct device *result)
{
	struct request r;

	request_init(&r, nl->family, VHDBLK_CMD_GET, NLM_F_ACK);
	mnl_attr_put_u32(r.nlh, VHDBLK_A_JOB, job);
	return transact(nl, &r, read_device, result);
}

static bool take_outcome(struct nl *nl, u32 job, struct device *result)
{
	unsigned int i;

	for (i = 0; i < nl->nr_outcomes; i++) {
		struct device *d = nl->outcome[i];

		if (d->job != job)
			continue;
		*result = *d;
		result->done = 1;
		free(d);
		nl->outcome[i] = nl->outcome[--nl->nr_outcomes];
		return true;
	}
	return false;
}

/* Something to read: 1; nothing in time: 0. */
static int wait_readable(struct nl *nl, int ms)
{
	struct pollfd p = { .fd = mnl_socket_get_fd(nl->sock), .events = POLLIN };
	int ret = poll(&p, 1, ms);

	return ret < 0 && errno != EINTR ? -errno : ret > 0;
}

/**
 * nl_wait() - wait until a job has ended, however long that takes
 * @nl:		the connection that started it
 * @job:	its number
 * @result:	its outcome, to be cleared by device_clear()
 *
 * Return: 0 if the outcome is known, good or bad; a negative errno else.
 */
int nl_wait(struct nl *nl, u32 job, struct device *result)
{
	int ret;

	memset(result, 0, sizeof(*result));
	while (!take_outcome(nl, job, result)) {
		ret = wait_readable(nl, ASK_AGAIN_MS);
		if (ret > 0) {
			/* Only outcomes can come now: they match no request. */
			nl->seq++;
			ret = receive(nl, NULL, NULL);
		} else if (!ret) {
			ret = ask_job(nl, job, result);
			if (!ret && result->done)
				return 0;
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_entry(void *ctx, const struct nlmsghdr *nlh)
{
	struct device_list *list = ctx;
	struct device **bigger = reallocarray(list->v, list->nr + 1, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	list->v = bigger;
	bigger[list->nr] = device_decode(nlh);
	if (!bigger[list->nr])
		return -ENOMEM;
	list->nr++;
	return 0;
}

/**
 * nl_dump() - describe all devices
 * @nl:		connection
 * @list:	appended to
 *
 * Return: 0 or a negative errno.
 */
int nl_dump(struct nl *nl, struct device_list *list)
{
	struct request r;

	request_init(&r, nl->family, VHDBLK_CMD_GET, NLM_F_DUMP);
	return transact(nl, &r, read_entry, list);
}

/**
 * nl_get() - describe one device
 * @nl:		connection
 * @index:	N of /dev/vhdN
 * @d:		zeroed, or what this gave before; to be cleared by device_clear()
 *
 * Return: 0, -ENODEV if there is none, another negative errno.
 */
int nl_get(struct nl *nl, u32 index, struct device *d)
{
	struct request r;

	request_init(&r, nl->family, VHDBLK_CMD_GET, NLM_F_ACK);
	mnl_attr_put_u32(r.nlh, VHDBLK_A_INDEX, index);
	return transact(nl, &r, read_device, d);
}

/**
 * nl_listen() - subscribe to events
 * @nl:	connection
 *
 * Return: 0 or a negative errno.
 */
int nl_listen(struct nl *nl)
{
	if (!nl->group)
		return -ENOENT;
	return mnl_socket_setsockopt(nl->sock, NETLINK_ADD_MEMBERSHIP, &nl->group,
				     sizeof(nl->group)) < 0 ? -errno : 0;
}

/**
 * nl_next_event() - wait for an event
 * @nl:		connection after nl_listen()
 * @event:	result, to be cleared by device_clear()
 *
 * Return: 0, -ENOBUFS if events were lost, another negative errno.
 */
int nl_next_event(struct nl *nl, struct device *event)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)nl->buf;
	ssize_t got;

	do {
		got = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
		if (got < 0 && errno != EINTR)
			return -errno;
	} while (got < 0 || !mnl_nlmsg_ok(nlh, got) || !is_event(nl, nlh));
	memset(event, 0, sizeof(*event));
	return read_device(event, nlh);
}

/**
 * nl_error_text() - why the last request failed
 * @nl:		connection
 * @err:	what it returned
 */
const char *nl_error_text(const struct nl *nl, int err)
{
	if (nl->text[0])
		return nl->text;
	return err == -EPERM ? "this needs root (CAP_SYS_ADMIN)" : strerror(-err);
}
