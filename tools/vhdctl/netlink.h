/* SPDX-License-Identifier: GPL-2.0 */
/* The driver's netlink family and what it tells about devices. */
#ifndef VHDCTL_NETLINK_H
#define VHDCTL_NETLINK_H

#include <linux/vhdblk.h>

#include "vhdctl.h"

struct nl;

/* One file of a device, as the kernel describes it. */
struct device_layer {
	u32 flags;
	u32 type;
	u32 allocated;
	u32 blocks;
	u32 block_size;
	u32 misaligned;
	u64 capacity;
	u8 uuid[16];
	char *path;
};

/**
 * struct device - any message of the family, decoded
 *
 * A device, the outcome of a job, or an event: each message sets what it has
 * and leaves the rest zero.
 */
struct device {
	u32 index;
	u32 job;
	u32 flags;
	u32 size_rule;
	u32 block_size;
	u32 event;
	u32 fault;
	u32 fault_layer;
	u32 done;
	u32 major;
	u32 minor;
	s32 error;
	bool has_index;
	bool has_fault_layer;
	u64 capacity;
	u64 counters[VHDBLK_A_COUNTERS_MAX + 1];
	char name[64];
	char text[256];
	char path[32];		/* /dev/vhdN */
	struct device_layer *layer;
	u32 nr_layers;
};

struct device_list {
	struct device **v;
	unsigned int nr;
};

/* One file to attach. */
struct attach_layer {
	int fd;
	u32 flags;
};

struct attach_request {
	const char *name;
	u32 flags;
	u32 size_rule;
	const struct attach_layer *layer;
	u32 nr;
};

/**
 * enum counter_kind - what a counter counts
 * @COUNTER_NONE:	there is no such counter
 * @COUNTER_CLASS:	requests; each is in one of these counters
 * @COUNTER_EVENT:	something else that happens
 * @COUNTER_LEVEL:	nothing: it goes up and down
 */
enum counter_kind { COUNTER_NONE, COUNTER_CLASS, COUNTER_EVENT, COUNTER_LEVEL };

/* netlink.c */
struct nl *nl_open(bool load_module, int *exit_code);
void nl_close(struct nl *nl);
int nl_attach(struct nl *nl, const struct attach_request *req, u32 *job);
int nl_detach(struct nl *nl, u32 index, u32 flags, u32 *job);
int nl_wait(struct nl *nl, u32 job, struct device *result);
int nl_dump(struct nl *nl, struct device_list *list);
int nl_get(struct nl *nl, u32 index, struct device *d);
int nl_listen(struct nl *nl);
int nl_next_event(struct nl *nl, struct device *event);
const char *nl_error_text(const struct nl *nl, int err);

/* decode.c */
struct nlmsghdr;
struct device *device_decode(const struct nlmsghdr *nlh);
const char *counter_name(unsigned int attr);
enum counter_kind counter_kind(unsigned int attr);

/* device.c */
int device_find(const char *arg, struct device **d);
int device_find_in(const struct device_list *list, const char *arg, struct device **d);
int device_list_get(struct nl *nl, struct device_list *list);
void device_list_free(struct device_list *list);
void device_clear(struct device *d);
void device_free(struct device *d);
bool is_vhd_device(const char *path);
int job_report(const struct device *job, const char *what, const char *file);

/* watch.c */
int watch_device(const struct device *d, unsigned int ms, bool json);

#endif /* VHDCTL_NETLINK_H */
