/* SPDX-License-Identifier: GPL-2.0 */
/* Netlink messages for the family "vhdblk" that no library would build. */
#ifndef _VM_RAWMSG_H
#define _VM_RAWMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <vhd_platform.h>

#define MSG_ROOM	(96 << 10)
/* More than a chain may have. */
#define MSG_LAYERS	300

struct rng {
	u64 state;
};

/**
 * struct msg - a datagram that grows
 * @len:	bytes of it
 * @start:	where the message that is being built begins
 * @data:	header and attributes, padded as they should be
 */
struct msg {
	size_t len;
	size_t start;
	unsigned char data[MSG_ROOM];
};

u32 rng_next(struct rng *r);
u32 rng_below(struct rng *r, u32 limit);
bool rng_one_in(struct rng *r, u32 n);

void msg_begin(struct msg *m, u16 type, u16 flags, u8 cmd, u32 seq);
void msg_end(struct msg *m);
void msg_attr(struct msg *m, u16 type, const void *payload, size_t len);
void msg_u32(struct msg *m, u16 type, u32 value);
size_t msg_nest(struct msg *m, u16 type);
void msg_nest_end(struct msg *m, size_t nest);

/* Something that resembles a request; @fds are numbers worth naming. */
void msg_random(struct msg *m, struct rng *r, u16 family, u32 seq, const int *fds,
		unsigned int nr_fds);

#endif /* _VM_RAWMSG_H */
