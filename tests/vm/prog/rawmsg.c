// SPDX-License-Identifier: GPL-2.0
/* See rawmsg.h. */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vhdblk.h>
#include <stdbool.h>
#include <string.h>

#include "rawmsg.h"

#define PAD(len)	(((len) + 3) & ~(size_t)3)
#define NESTED		0x8000
/* Devices and jobs that may exist. */
#define LIKELY_INDEX	12
#define LIKELY_JOB	4000

u32 rng_next(struct rng *r)
{
	r->state = r->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return r->state >> 33;
}

u32 rng_below(struct rng *r, u32 limit)
{
	return limit ? rng_next(r) % limit : 0;
}

bool rng_one_in(struct rng *r, u32 n)
{
	return !rng_below(r, n);
}

static bool fits(const struct msg *m, size_t len)
{
	return m->len + PAD(len) + NLA_HDRLEN < sizeof(m->data);
}

static void append(struct msg *m, const void *data, size_t len)
{
	memcpy(m->data + m->len, data, len);
	memset(m->data + m->len + len, 0, PAD(len) - len);
	m->len += PAD(len);
}

void msg_begin(struct msg *m, u16 type, u16 flags, u8 cmd, u32 seq)
{
	struct nlmsghdr nlh = { .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq };
	struct genlmsghdr genl = { .cmd = cmd, .version = VHDBLK_FAMILY_VERSION };

	m->start = m->len;
	append(m, &nlh, sizeof(nlh));
	append(m, &genl, sizeof(genl));
}

void msg_end(struct msg *m)
{
	u32 len = m->len - m->start;

	memcpy(m->data + m->start, &len, sizeof(len));
}

static void put_attr(struct msg *m, u16 type, u16 said, const void *payload, size_t len)
{
	struct nlattr attr = { .nla_len = said, .nla_type = type };

	if (!fits(m, len))
		return;
	append(m, &attr, sizeof(attr));
	append(m, payload, len);
}

void msg_attr(struct msg *m, u16 type, const void *payload, size_t len)
{
	put_attr(m, type, NLA_HDRLEN + len, payload, len);
}

void msg_u32(struct msg *m, u16 type, u32 value)
{
	msg_attr(m, type, &value, sizeof(value));
}

size_t msg_nest(struct msg *m, u16 type)
{
	size_t nest = m->len;

	msg_attr(m, type | NESTED, NULL, 0);
	return nest;
}

void msg_nest_end(struct msg *m, size_t nest)
{
	u16 len = m->len - nest;

	if (m->len > nest)
		memcpy(m->data + nest, &len, sizeof(len));
}

/* Numbers at which something changes. */
static u32 odd_number(struct rng *r)
{
	static const u32 odd[] = {
		0, 1, 2, 3, 255, 256, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff,
	};

	if (rng_one_in(r, 2))
		return odd[rng_below(r, ARRAY_SIZE(odd))];
	return rng_one_in(r, 2) ? 1u << rng_below(r, 32) : rng_next(r);
}

static u32 usual(struct rng *r, u32 limit)
{
	return rng_one_in(r, 6) ? odd_number(r) : rng_below(r, limit);
}

static void noise_bytes(struct rng *r, unsigned char *data, size_t len)
{
	while (len--)
		*data++ = rng_next(r);
}

/* Any type, any length, and what it says of its length need not be true. */
static void odd_attr(struct msg *m, struct rng *r, u16 type)
{
	static unsigned char payload[40000];
	size_t len = rng_below(r, 12);
	u16 said;

	if (rng_one_in(r, 20))
		len = rng_below(r, sizeof(payload));
	noise_bytes(r, payload, len < 64 ? len : 64);
	said = NLA_HDRLEN + len;
	if (rng_one_in(r, 3))
		said = rng_one_in(r, 2) ? odd_number(r) : said + rng_below(r, 9) - 4;
	if (rng_one_in(r, 4))
		type = rng_one_in(r, 2) ? rng_below(r, 32) : odd_number(r);
	if (rng_one_in(r, 6))
		type ^= rng_one_in(r, 2) ? NESTED : NLA_F_NET_BYTEORDER;
	put_attr(m, type, said, payload, len);
}

static void number_attr(struct msg *m, struct rng *r, u16 type, u32 value)
{
	if (rng_one_in(r, 12))
		odd_attr(m, r, type);
	else
		msg_u32(m, type, value);
}

static void name_attr(struct msg *m, struct rng *r)
{
	char name[80];
	size_t len = rng_one_in(r, 3) ? 60 + rng_below(r, 10) : 1 + rng_below(r, 20);

	memset(name, 'n', sizeof(name));
	if (!rng_one_in(r, 4))
		name[len - 1] = 0;
	if (rng_one_in(r, 8))
		noise_bytes(r, (unsigned char *)name, len);
	msg_attr(m, VHDBLK_A_NAME, name, len);
}

static void layer_attr(struct msg *m, struct rng *r, const int *fds, unsigned int nr)
{
	size_t nest = msg_nest(m, VHDBLK_A_LAYER);
	u32 fd = nr ? (u32)fds[rng_below(r, nr)] : 0;

	if (!rng_one_in(r, 20))
		number_attr(m, r, VHDBLK_A_LAYER_FD, rng_one_in(r, 10) ? odd_number(r) : fd);
	if (rng_one_in(r, 6))
		number_attr(m, r, VHDBLK_A_LAYER_FLAGS, usual(r, 8));
	if (rng_one_in(r, 15))
		odd_attr(m, r, 1 + rng_below(r, VHDBLK_A_LAYER_MAX + 2));
	/* In itself, and again. */
	if (rng_one_in(r, 40))
		layer_attr(m, r, fds, nr);
	msg_nest_end(m, nest);
}

static void attach_body(struct msg *m, struct rng *r, const int *fds, unsigned int nr)
{
	u32 layers = rng_one_in(r, 50) ? rng_below(r, MSG_LAYERS) : rng_below(r, 4);

	if (rng_one_in(r, 2))
		number_attr(m, r, VHDBLK_A_FLAGS, usual(r, 64));
	if (rng_one_in(r, 4))
		number_attr(m, r, VHDBLK_A_SIZE_RULE, usual(r, 3));
	if (rng_one_in(r, 4))
		name_attr(m, r);
	while (layers--)
		layer_attr(m, r, fds, nr);
}

static void other_body(struct msg *m, struct rng *r, u8 cmd)
{
	if (!rng_one_in(r, 12))
		number_attr(m, r, VHDBLK_A_INDEX, usual(r, LIKELY_INDEX));
	if (cmd == VHDBLK_CMD_GET && rng_one_in(r, 2))
		number_attr(m, r, VHDBLK_A_JOB, usual(r, LIKELY_JOB));
	if (cmd != VHDBLK_CMD_GET && rng_one_in(r, 2))
		number_attr(m, r, VHDBLK_A_FLAGS, usual(r, 4));
	if (cmd == VHDBLK_CMD_SET && rng_one_in(r, 2))
		name_attr(m, r);
}

static void one_message(struct msg *m, struct rng *r, u16 family, u32 seq, const int *fds,
			unsigned int nr)
{
	static const u16 ways[] = { NLM_F_ACK, NLM_F_ACK, NLM_F_ACK, NLM_F_DUMP, 0 };
	u8 cmd = 1 + rng_below(r, VHDBLK_CMD_SET);
	u16 flags = NLM_F_REQUEST | ways[rng_below(r, 5)];

	if (rng_one_in(r, 30))
		cmd = rng_next(r);
	if (rng_one_in(r, 30))
		flags = rng_next(r);
	if (rng_one_in(r, 100))
		family = rng_one_in(r, 2) ? rng_below(r, NLMSG_MIN_TYPE + 1) : 0x7fff;
	msg_begin(m, family, flags, cmd, seq);
	if (cmd == VHDBLK_CMD_ATTACH)
		attach_body(m, r, fds, nr);
	else
		other_body(m, r, cmd);
	while (rng_one_in(r, 8))
		odd_attr(m, r, rng_below(r, VHDBLK_A_MAX + 3));
	msg_end(m);
}

/* Bytes behind the header: whose family this is stays as it is. */
static void damage(struct msg *m, struct rng *r)
{
	size_t body = m->start + NLMSG_HDRLEN;
	u32 len = m->len - m->start;

	if (m->len > body && rng_one_in(r, 2))
		m->data[body + rng_below(r, m->len - body)] = rng_next(r);
	if (rng_one_in(r, 3))
		m->len -= rng_below(r, len);
	if (rng_one_in(r, 3)) {
		len += rng_below(r, 17) - 8;
		memcpy(m->data + m->start, &len, sizeof(len));
	}
}

void msg_random(struct msg *m, struct rng *r, u16 family, u32 seq, const int *fds,
		unsigned int nr_fds)
{
	m->len = 0;
	do {
		one_message(m, r, family, seq, fds, nr_fds);
	} while (rng_one_in(r, 10) && m->len < MSG_ROOM / 2);
	if (rng_one_in(r, 4))
		damage(m, r);
}
