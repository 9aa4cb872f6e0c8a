// SPDX-License-Identifier: GPL-2.0
/* vhdctl snapshot: a new child of a file that is not attached. */
#include "build.h"
#include "netlink.h"

/**
 * snapshot_main() - make a new child of a file
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int snapshot_main(const struct options *o)
{
	struct chain parents = { .nr = 0 };
	struct new_image n = { .path = o->args[1], .replace = o->force };
	int ret;

	if (is_vhd_device(o->args[0])) {
		msg_error("%s: snapshots of attached devices are not supported by this version",
			  o->args[0]);
		msg_hint("detach it, and make a snapshot of its file");
		return VHDCTL_UNSUPPORTED;
	}
	ret = child_build(&n, &parents, o, o->args[0]);
	chain_close(&parents);
	return ret;
}
