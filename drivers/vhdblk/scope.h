/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_SCOPE_H
#define _VHDBLK_SCOPE_H

#include <linux/cgroup.h>

#include "cmd.h"

/**
 * struct vhdblk_scope - how a thread of ours is marked while it serves requests
 * @noio:	for memalloc_noio_restore()
 * @throttle:	whether PF_LOCAL_THROTTLE was set before
 * @noreclaim:	for vhd_swap_end()
 * @swap:	@noreclaim is valid
 * @css:	block cgroup that the I/O is accounted to, NULL for the root
 */
struct vhdblk_scope {
	unsigned int noio;
	unsigned int throttle;
	unsigned int noreclaim;
	bool swap;
	struct cgroup_subsys_state *css;
};

void vhdblk_scope_enter(struct vhdblk_scope *s);
void vhdblk_scope_follow(struct vhdblk_scope *s, const struct vhdblk_cmd *cmd);
void vhdblk_scope_leave(struct vhdblk_scope *s);

#endif /* _VHDBLK_SCOPE_H */
