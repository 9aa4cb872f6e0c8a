// SPDX-License-Identifier: GPL-2.0
/* See nl.h. Every function returns 0 or a negative errno. */
#include <errno.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "nl.h"

/* The slowest job in the slowest kernel: minutes, never for ever. */
#define NL_TIMEOUT_MS 300000

struct nl_reply {
	struct nl *nl;
	u32 cmd;
	bool got_event;
	bool done;
	u32 event;
	u32 job;
	u16 family;
	struct nl_result result;
};

static char *nl_buf(void)
{
	static char *buf;

	if (!buf)
		buf = calloc(1, 1 << 20);
	return buf;
}

static int nl_attr(const struct nlattr *attr, void *data)
{
	struct nl_reply *r = data;

	switch (mnl_attr_get_type(attr)) {
	case VHDBLK_A_INDEX:
		r->result.index = mnl_attr_get_u32(attr);
		break;
	case VHDBLK_A_JOB:
		r->job = mnl_attr_get_u32(attr);
		break;
	case VHDBLK_A_EVENT:
		r->got_event = true;
		r->event = mnl_attr_get_u32(attr);
		break;
	case VHDBLK_A_ERROR:
		r->result.error = (s32)mnl_attr_get_u32(attr);
		break;
	case VHDBLK_A_FAULT:
		r->result.fault = mnl_attr_get_u32(attr);
		break;
	case VHDBLK_A_FAULT_LAYER:
		r->result.layer = mnl_attr_get_u32(attr);
		break;
	case VHDBLK_A_TEXT:
		strncpy(r->result.text, mnl_attr_get_str(attr), NL_TEXT - 1);
		break;
	}
	return MNL_CB_OK;
}

static void nl_keep(struct nl *nl, const struct nl_reply *r)
{
	struct nl_early *e = &nl->early[nl->nr_early % NL_EARLY];

	e->job = r->job;
	e->result = r->result;
	nl->nr_early++;
}

static int nl_message(const struct nlmsghdr *nlh, void *data)
{
	struct nl_reply *r = data;
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	struct nl_reply one = { .nl = r->nl };

	if (nlh->nlmsg_type != r->nl->family)
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*genl), nl_attr, &one);
	if (one.got_event) {
		if (one.event == VHDBLK_EVENT_JOB_DONE)
			nl_keep(r->nl, &one);
		return MNL_CB_OK;
	}
	if (genl->cmd == r->cmd) {
		r->job = one.job;
		r->result = one.result;
	}
	return MNL_CB_OK;
}

static int nl_ack(const struct nlmsghdr *nlh, void *data)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	struct nl_reply *r = data;

	if (nlh->nlmsg_seq != r->nl->seq)
		return MNL_CB_OK;
	r->done = true;
	errno = -err->error;
	return err->error ? MNL_CB_ERROR : MNL_CB_STOP;
}

static mnl_cb_t nl_control[NLMSG_MIN_TYPE] = { [NLMSG_ERROR] = nl_ack };

/* Receives one datagram. Events come whenever they please, so seq is not checked. */
static int nl_receive(struct nl *nl, struct nl_reply *r, mnl_cb_t message)
{
	struct pollfd pfd = { mnl_socket_get_fd(nl->sock), POLLIN, 0 };
	ssize_t len;

	if (poll(&pfd, 1, NL_TIMEOUT_MS) <= 0)
		return -ETIMEDOUT;
	len = mnl_socket_recvfrom(nl->sock, nl_buf(), 1 << 20);
	if (len < 0)
		return -errno;
	if (mnl_cb_run2(nl_buf(), len, 0, 0, message, r, nl_control,
			NLMSG_MIN_TYPE) < 0)
		return -errno;
	return 0;
}

static int nl_call(struct nl *nl, struct nlmsghdr *nlh, struct nl_reply *r,
		   mnl_cb_t message)
{
	int err;

	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (!r->done) {
		err = nl_receive(nl, r, message);
		if (err)
			return err;
	}
	return 0;
}

static int nl_family_attr(const struct nlattr *attr, void *data)
{
	struct nl_reply *r = data;

	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		r->family = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int nl_family_message(const struct nlmsghdr *nlh, void *data)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), nl_family_attr,
			      data);
}

static struct nlmsghdr *nl_request(u16 type, u8 cmd, char *buf)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = VHDBLK_FAMILY_VERSION;
	return nlh;
}

static int nl_find_family(struct nl *nl)
{
	char buf[512] = "";
	struct nl_reply r = { .nl = nl };
	struct nlmsghdr *nlh;
	int err;

	nlh = nl_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, buf);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, VHDBLK_FAMILY_NAME);
	err = nl_call(nl, nlh, &r, nl_family_message);
	nl->family = r.family;
	return err;
}

int nl_open(struct nl *nl)
{
	int err;

	memset(nl, 0, sizeof(*nl));
	nl->sock = mnl_socket_open(NETLINK_GENERIC);
	if (!nl->sock || !nl_buf())
		return -errno;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		nl_close(nl);
		return err;
	}
	nl->portid = mnl_socket_get_portid(nl->sock);
	err = nl_find_family(nl);
	if (err)
		nl_close(nl);
	return err;
}

void nl_close(struct nl *nl)
{
	mnl_socket_close(nl->sock);
}

static void nl_put_layer(struct nlmsghdr *nlh, const struct nl_layer *layer)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, VHDBLK_A_LAYER);

	mnl_attr_put_u32(nlh, VHDBLK_A_LAYER_FD, layer->fd);
	if (layer->flags)
		mnl_attr_put_u32(nlh, VHDBLK_A_LAYER_FLAGS, layer->flags);
	mnl_attr_nest_end(nlh, nest);
}

/**
 * nl_attach_start() - ask for an attach and do not wait for it
 * @nl:		client
 * @layer:	files, leaf first; nothing about them is checked here
 * @nr:		how many, may be 0
 * @flags:	VHDBLK_ATTACH_*
 * @job:	where the job's number goes
 */
int nl_attach_start(struct nl *nl, const struct nl_layer *layer,
		    unsigned int nr, u32 flags, u32 *job)
{
	char buf[NL_MAX_LAYERS * 32 + 256] = "";
	struct nl_reply r = { .nl = nl, .cmd = VHDBLK_CMD_ATTACH };
	struct nlmsghdr *nlh;
	unsigned int i;
	int err;

	nlh = nl_request(nl->family, VHDBLK_CMD_ATTACH, buf);
	if (flags)
		mnl_attr_put_u32(nlh, VHDBLK_A_FLAGS, flags);
	for (i = 0; i < nr && i < NL_MAX_LAYERS + 4; i++)
		nl_put_layer(nlh, &layer[i]);
	err = nl_call(nl, nlh, &r, nl_message);
	*job = r.job;
	return err;
}

int nl_detach_start(struct nl *nl, u32 index, u32 flags,
		    u32 *job)
{
	char buf[256] = "";
	struct nl_reply r = { .nl = nl, .cmd = VHDBLK_CMD_DETACH };
	struct nlmsghdr *nlh;
	int err;

	nlh = nl_request(nl->family, VHDBLK_CMD_DETACH, buf);
	mnl_attr_put_u32(nlh, VHDBLK_A_INDEX, index);
	if (flags)
		mnl_attr_put_u32(nlh, VHDBLK_A_FLAGS, flags);
	err = nl_call(nl, nlh, &r, nl_message);
	*job = r.job;
	return err;
}

static bool nl_take_early(struct nl *nl, u32 job, struct nl_result *result)
{
	unsigned int i;

	for (i = 0; i < NL_EARLY; i++) {
		if (nl->early[i].job != job || !job)
			continue;
		*result = nl->early[i].result;
		nl->early[i].job = 0;
		return true;
	}
	return false;
}

/**
 * nl_wait() - wait for the message that ends a job
 * @nl:		the client that started it
 * @job:	its number
 * @result:	its outcome
 */
int nl_wait(struct nl *nl, u32 job, struct nl_result *result)
{
	struct nl_reply r = { .nl = nl };
	int err;

	while (!nl_take_early(nl, job, result)) {
		err = nl_receive(nl, &r, nl_message);
		if (err)
			return err;
	}
	return 0;
}

int nl_attach(struct nl *nl, const struct nl_layer *layer, unsigned int nr,
	      u32 flags, struct nl_result *result)
{
	u32 job;
	int err = nl_attach_start(nl, layer, nr, flags, &job);

	return err ? err : nl_wait(nl, job, result);
}

int nl_detach(struct nl *nl, u32 index, u32 flags,
	      struct nl_result *result)
{
	u32 job;
	int err = nl_detach_start(nl, index, flags, &job);

	return err ? err : nl_wait(nl, job, result);
}
