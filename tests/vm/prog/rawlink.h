/* SPDX-License-Identifier: GPL-2.0 */
/* Talking to the family "vhdblk" in messages of one's own making. */
#ifndef _VM_RAWLINK_H
#define _VM_RAWLINK_H

#include "rawmsg.h"

#define LINK_DEVICES	1024

struct link {
	int fd;
	u16 family;
	u32 seq;
};

/* What a dump has listed. */
struct found {
	u32 index[LINK_DEVICES];
	unsigned int nr;
};

int link_socket(void);
int link_open(struct link *l);
int link_call(struct link *l, const struct msg *m, struct found *found);
int link_list(struct link *l, struct found *found);
int link_detach(struct link *l, u32 index, u32 flags);

#endif /* _VM_RAWLINK_H */
