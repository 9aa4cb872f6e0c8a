/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_EPOCH_H
#define _VHD_EPOCH_H

#include <linux/percpu-refcount.h>

enum vhd_epoch_state { VHD_EPOCH_IDLE, VHD_EPOCH_DRAINING, VHD_EPOCH_DRAINED };

/**
 * struct vhd_epoch - tells when all requests of an era have ended
 * @ref:	requests of this and of the last era
 * @current_era: index into @ref for new requests
 * @state:	of the last era
 * @drained:	called when its last request has ended, from any context; NULL if
 *		there is nothing to end
 *
 * A request enters before it looks at the map and leaves when its I/O is done.
 * Whoever takes something out of the map turns the era over; when the old one
 * has drained nobody can still be using what was taken out.
 */
struct vhd_epoch {
	struct percpu_ref ref[2];
	int current_era;
	enum vhd_epoch_state state;
	void (*drained)(struct vhd_epoch *e);
};

int vhd_epoch_init(struct vhd_epoch *e, void (*drained)(struct vhd_epoch *e));
void vhd_epoch_exit(struct vhd_epoch *e);
bool vhd_epoch_turn(struct vhd_epoch *e);
bool vhd_epoch_collect(struct vhd_epoch *e);

/**
 * vhd_epoch_enter() - begin a request
 * @e: epoch
 *
 * Context: any.
 * Return: the era, for vhd_epoch_leave().
 */
static inline int vhd_epoch_enter(struct vhd_epoch *e)
{
	int era;

	/*
	 * Fails only while another CPU turns the era over. Within RCU an era
	 * cannot end, drain and begin again between the two lines.
	 */
	rcu_read_lock();
	do {
		era = READ_ONCE(e->current_era);
	} while (!percpu_ref_tryget_live(&e->ref[era]));
	rcu_read_unlock();
	return era;
}

static inline void vhd_epoch_leave(struct vhd_epoch *e, int era)
{
	percpu_ref_put(&e->ref[era]);
}

#endif /* _VHD_EPOCH_H */
