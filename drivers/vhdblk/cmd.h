/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_CMD_H
#define _VHDBLK_CMD_H

#include "request.h"

/**
 * struct vhdblk_cmd - the driver's part of a request
 * @node:	link to the thread of the hardware queue
 * @work:	on the slow workqueue
 * @slow:	link of the list of those that no worker has begun yet
 * @waiter:	parked: for space, for a block, or for a commit
 * @q:		queue
 * @io:		the part that is being read or written
 * @place:	where that part lies
 * @sector:	first sector that is still to do
 * @left:	sectors that are still to do
 * @era:	see &struct vhd_epoch
 * @commit:	must be committed before it is completed
 * @here:	submitted by whoever submitted the request
 * @no_memory:	try again, but not at once
 * @status:	outcome
 * @vecs, @nr_vecs: segments of a merged request: @inline_vecs, or from the pool
 */
struct vhdblk_cmd {
	struct llist_node node;
	struct work_struct work;
	struct list_head slow;
	struct vhd_waiter waiter;
	struct vhdblk_queue *q;
	struct vhd_io io;
	struct vhd_place place;
	u64 sector;
	u32 left;
	int era;
	bool commit;
	bool here;
	bool no_memory;
	blk_status_t status;
	unsigned int nr_vecs;
	struct bio_vec *vecs;
	struct bio_vec inline_vecs[VHDBLK_INLINE_SEGMENTS];
};

static inline struct request *vhdblk_cmd_rq(const struct vhdblk_cmd *cmd)
{
	return blk_mq_rq_from_pdu((void *)cmd);
}

void vhdblk_cmd_start(struct vhdblk_cmd *cmd, struct vhdblk_queue *q, struct request *rq);
bool vhdblk_cmd_hole(struct vhdblk_cmd *cmd);
bool vhdblk_cmd_fast(struct vhdblk_cmd *cmd);
void vhdblk_cmd_slow(struct vhdblk_cmd *cmd);
void vhdblk_cmd_flush(struct vhdblk_cmd *cmd);
void vhdblk_cmd_rw(struct vhdblk_cmd *cmd);
void vhdblk_cmd_end(struct vhdblk_cmd *cmd, int err);
void vhdblk_cmd_drop(struct vhdblk_cmd *cmd);
void vhdblk_cmd_finish(struct vhdblk_cmd *cmd, int err);
int vhdblk_cmd_allocator(struct vhdblk_cmd *cmd,
			 int (*fn)(struct vhd_alloc *a, u32 block, struct vhd_waiter *w),
			 u32 block);
void vhdblk_cmd_wrote(struct vhdblk_cmd *cmd, struct vhd_place *e, u32 sects);
int vhdblk_cmd_prepare(struct vhdblk_cmd *cmd, enum vhd_lookup what);

#endif /* _VHDBLK_CMD_H */
