// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "epoch.h"

static void last_left(struct vhd_epoch *e)
{
	/* Pairs with vhd_epoch_collect(): all requests of the era are over. */
	smp_store_release(&e->state, VHD_EPOCH_DRAINED);
	e->drained(e);
}

static void last_left_0(struct percpu_ref *ref)
{
	last_left(container_of(ref, struct vhd_epoch, ref[0]));
}

static void last_left_1(struct percpu_ref *ref)
{
	last_left(container_of(ref, struct vhd_epoch, ref[1]));
}

/**
 * vhd_epoch_init() - begin the first era
 * @e: epoch
 * @drained: see &struct vhd_epoch
 *
 * Return: 0 or -ENOMEM; @e->drained stays NULL then, and nothing is to be ended.
 */
int vhd_epoch_init(struct vhd_epoch *e, void (*drained)(struct vhd_epoch *e))
{
	int ret;

	e->current_era = 0;
	e->state = VHD_EPOCH_IDLE;
	e->drained = NULL;
	ret = percpu_ref_init(&e->ref[0], last_left_0, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
	if (ret)
		return ret;
	ret = percpu_ref_init(&e->ref[1], last_left_1, PERCPU_REF_ALLOW_REINIT, GFP_KERNEL);
	if (ret) {
		percpu_ref_exit(&e->ref[0]);
		return ret;
	}
	e->drained = drained;
	return 0;
}

/**
 * vhd_epoch_exit() - end it all
 * @e: initialised; no request is under way
 *
 * Once only: percpu_ref_exit() leaves a count where the next one looks for a pointer.
 *
 * The callback that says so may still be on its way through RCU.
 */
void vhd_epoch_exit(struct vhd_epoch *e)
{
	while (READ_ONCE(e->state) == VHD_EPOCH_DRAINING)
		schedule_timeout_uninterruptible(1);
	synchronize_rcu();
	percpu_ref_exit(&e->ref[0]);
	percpu_ref_exit(&e->ref[1]);
}

/**
 * vhd_epoch_turn() - begin a new era
 * @e: epoch
 *
 * Context: one thread only, which also calls vhd_epoch_collect().
 * Return: false if the last one has not been collected yet.
 */
bool vhd_epoch_turn(struct vhd_epoch *e)
{
	int old = e->current_era;

	if (READ_ONCE(e->state) != VHD_EPOCH_IDLE)
		return false;
	e->state = VHD_EPOCH_DRAINING;
	WRITE_ONCE(e->current_era, !old);
	percpu_ref_kill(&e->ref[old]);
	return true;
}

/**
 * vhd_epoch_collect() - has the last era drained?
 * @e: epoch
 *
 * Return: true once for each turn.
 */
bool vhd_epoch_collect(struct vhd_epoch *e)
{
	/* Pairs with last_left(). */
	if (smp_load_acquire(&e->state) != VHD_EPOCH_DRAINED)
		return false;
	percpu_ref_reinit(&e->ref[!e->current_era]);
	e->state = VHD_EPOCH_IDLE;
	return true;
}
