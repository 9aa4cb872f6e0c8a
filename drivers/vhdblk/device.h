/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_DEVICE_H
#define _VHDBLK_DEVICE_H

#include <linux/hdreg.h>
#include <linux/kref.h>

#include "request.h"

#define VHDBLK_NAME_LEN	64

/* How to attach; the flags of the netlink interface, decoded. */
struct vhdblk_params {
	char name[VHDBLK_NAME_LEN];
	bool read_only;
	bool ignore_id;
	bool autoclear;
	bool no_partscan;
	bool buffered;
	bool submit_inline;
	enum vhd_size_rule size_rule;
	u32 depth;
	struct vhd_layer_spec *layer;
};

enum vhdblk_state { VHDBLK_CREATING, VHDBLK_LIVE, VHDBLK_DETACHING };

/* In this order, where several come together. */
enum vhdblk_notice {
	VHDBLK_NOTICE_ATTACHED,
	VHDBLK_NOTICE_IO_ERROR,
	VHDBLK_NOTICE_NO_SPACE,
	VHDBLK_NOTICE_SPACE_RETURNED,
	VHDBLK_NOTICE_DETACHED,
	VHDBLK_NR_NOTICES
};

/**
 * struct vhdblk_device - one attached chain
 * @ref:	one for being attached, one for the disk until its last closer
 * @index:	N of /dev/vhdN
 * @state:	changes under disk->open_mutex
 * @name:	the user's; under the devices' lock
 * @lazy:	detach at the last close; under disk->open_mutex
 * @autoclear, @armed: the same, once somebody had it exclusively
 * @detach_work: for a detach that nobody waits for
 * @notices, @notice_error, @notice_work: what to tell about, from any context, and
 *	the error of each
 * @notice_next: until then nobody is told, in jiffies
 * @size_rule:	as asked for at attach
 * @geometry:	of the footer; outlives the chain
 * @q:		what serves requests
 *
 * Whoever looks at the disk holds a reference on it; it holds one on this.
 *
 * Lock order: disk->open_mutex, then nothing of ours. The devices' lock is taken
 * alone, or by a reader of @name in sysfs: del_gendisk() waits for such readers, and
 * is never called with it.
 */
struct vhdblk_device {
	struct kref ref;
	int index;
	enum vhdblk_state state;
	char name[VHDBLK_NAME_LEN];
	bool lazy;
	bool autoclear;
	bool armed;
	bool tags;
	enum vhd_size_rule size_rule;
	struct hd_geometry geometry;
	struct work_struct detach_work;
	struct delayed_work notice_work;
	unsigned long notice_next;
	unsigned long notices;
	int notice_error[VHDBLK_NR_NOTICES];
	struct gendisk *disk;
	struct blk_mq_tag_set tag_set;
	struct vhdblk_queue q;
};

int vhdblk_device_attach(const struct vhdblk_params *p, struct vhd_error *error, u32 *index);
int vhdblk_device_detach(int index, bool lazy, bool force);
int vhdblk_device_set(int index, const char *name, const bool *autoclear);
void vhdblk_device_name(const struct vhdblk_device *dev, char *name);
int vhdblk_device_next(int from, int (*fn)(struct vhdblk_device *dev, void *arg), void *arg);
int vhdblk_device_show(int index, int (*fn)(struct vhdblk_device *dev, void *arg), void *arg);
u64 vhdblk_device_fast(const struct vhdblk_device *dev);
u64 vhdblk_device_memory(const struct vhdblk_device *dev);
u32 vhdblk_device_allocated(struct vhdblk_device *dev);
int vhdblk_device_init(void (*notify)(struct vhdblk_device *dev, enum vhdblk_notice what,
				      int err));
void vhdblk_device_exit(void);

void vhdblk_notice(struct vhdblk_device *dev, enum vhdblk_notice what, int err);
void vhdblk_notice_init(struct vhdblk_device *dev);
void vhdblk_notice_to(void (*notify)(struct vhdblk_device *dev, enum vhdblk_notice what,
				     int err));

extern const struct attribute_group vhdblk_attr_group;

#endif /* _VHDBLK_DEVICE_H */
