/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_RESOLVE_H
#define _VHD_RESOLVE_H

#include <linux/mutex.h>

#include "fetch.h"
#include "owners.h"

struct vhd_walk;

/**
 * struct vhd_spare - memory to look up owners with when there is no other
 * @lock:	held while @walk is in use, over I/O; taken with no other held
 * @walk:	to look up with
 * @owners:	for the outcome; in use for one block at a time
 * @wanted:	somebody waits for @owners to come back
 *
 * What swaps to the disk is what would free memory; so a lookup must come to an
 * end without any.
 */
struct vhd_spare {
	struct mutex lock;	/* see above */
	struct vhd_walk *walk;
	struct vhd_owners *owners;
	bool wanted;
};

int vhd_spare_init(struct vhd_spare *s, struct vhd_chain *c, atomic64_t *account);
void vhd_spare_exit(struct vhd_spare *s);
struct vhd_owners *vhd_owners_resolve(struct vhd_chain *c, u32 block, atomic64_t *account,
				      struct vhd_spare *spare);

#endif /* _VHD_RESOLVE_H */
