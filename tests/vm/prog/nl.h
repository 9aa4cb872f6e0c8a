/* SPDX-License-Identifier: GPL-2.0 */
/* A small client of the netlink family "vhdblk" for test programs. */
#ifndef _VM_NL_H
#define _VM_NL_H

#include <libmnl/libmnl.h>
#include <linux/vhdblk.h>
#include <stdbool.h>
#include <stddef.h>
#include <vhd_platform.h>

#define NL_TEXT 256
#define NL_MAX_LAYERS 256

/**
 * struct nl_result - outcome of a job
 * @error:	negative errno or 0
 * @fault:	number of the check that failed, 0 if none
 * @layer:	the layer it failed on, counted from the leaf
 * @index:	N of /dev/vhdN
 * @text:	the error in words
 */
struct nl_result {
	int error;
	unsigned int fault;
	unsigned int layer;
	unsigned int index;
	char text[NL_TEXT];
};

struct nl_layer {
	int fd;
	u32 flags;
};

/* Outcomes that arrived before somebody asked for them. */
#define NL_EARLY 256

struct nl {
	struct mnl_socket *sock;
	unsigned int portid;
	u32 seq;
	u16 family;
	unsigned int nr_early;
	struct nl_early {
		u32 job;
		struct nl_result result;
	} early[NL_EARLY];
};

int nl_open(struct nl *nl);
void nl_close(struct nl *nl);
int nl_attach_start(struct nl *nl, const struct nl_layer *layer,
		    unsigned int nr, u32 flags, u32 *job);
int nl_detach_start(struct nl *nl, u32 index, u32 flags,
		    u32 *job);
int nl_wait(struct nl *nl, u32 job, struct nl_result *result);
int nl_attach(struct nl *nl, const struct nl_layer *layer, unsigned int nr,
	      u32 flags, struct nl_result *result);
int nl_detach(struct nl *nl, u32 index, u32 flags,
	      struct nl_result *result);

#endif /* _VM_NL_H */
