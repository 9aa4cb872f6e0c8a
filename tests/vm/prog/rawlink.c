// SPDX-License-Identifier: GPL-2.0
/* See rawlink.h. Every function that can fail returns a negative errno. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vhdblk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nl.h"
#include "rawlink.h"

/* The slowest answer of the slowest kernel. */
#define ANSWER_MS	600000

/* One that need not be told where to send to. */
int link_socket(void)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0 || connect(fd, (struct sockaddr *)&nl, sizeof(nl))) {
		perror("netlink");
		exit(1);
	}
	return fd;
}

int link_open(struct link *l)
{
	static struct nl nl;
	int err = nl_open(&nl);

	if (err)
		return err;
	l->fd = link_socket();
	l->family = nl.family;
	l->seq = 0;
	nl_close(&nl);
	return 0;
}

static void note_device(const struct nlmsghdr *nlh, struct found *found)
{
	const struct nlattr *attr = (void *)((char *)nlh + NLMSG_HDRLEN + GENL_HDRLEN);
	u32 index;

	if (!found || found->nr == LINK_DEVICES || attr->nla_type != VHDBLK_A_INDEX)
		return;
	memcpy(&index, attr + 1, sizeof(index));
	found->index[found->nr++] = index;
}

/* One datagram: true if it ends the exchange. */
static bool take_answer(struct link *l, char *buf, ssize_t len, struct found *found, int *err)
{
	struct nlmsghdr *nlh;

	for (nlh = (void *)buf; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
		if (nlh->nlmsg_seq != l->seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
			memcpy(err, NLMSG_DATA(nlh), sizeof(*err));
			return true;
		}
		note_device(nlh, found);
	}
	return false;
}

/* Send one message and wait for what it comes to. */
int link_call(struct link *l, const struct msg *m, struct found *found)
{
	static char buf[1 << 20];
	struct pollfd pfd = { l->fd, POLLIN, 0 };
	ssize_t len;
	int err;

	if (send(l->fd, m->data, m->len, 0) != (ssize_t)m->len)
		return -errno;
	do {
		if (poll(&pfd, 1, ANSWER_MS) <= 0)
			return -ETIMEDOUT;
		len = recv(l->fd, buf, sizeof(buf), 0);
		if (len < 0)
			return -errno;
	} while (!take_answer(l, buf, len, found, &err));
	return err;
}

int link_list(struct link *l, struct found *found)
{
	static struct msg m;

	m.len = 0;
	found->nr = 0;
	msg_begin(&m, l->family, NLM_F_REQUEST | NLM_F_DUMP, VHDBLK_CMD_GET, ++l->seq);
	msg_end(&m);
	return link_call(l, &m, found);
}

int link_detach(struct link *l, u32 index, u32 flags)
{
	static struct msg m;

	m.len = 0;
	msg_begin(&m, l->family, NLM_F_REQUEST | NLM_F_ACK, VHDBLK_CMD_DETACH, ++l->seq);
	msg_u32(&m, VHDBLK_A_INDEX, index);
	if (flags)
		msg_u32(&m, VHDBLK_A_FLAGS, flags);
	msg_end(&m);
	return link_call(l, &m, NULL);
}
