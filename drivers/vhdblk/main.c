// SPDX-License-Identifier: GPL-2.0
/* vhdblk: chains of VHD files as block devices. Only wiring here. */
#include <linux/module.h>
#include <net/genetlink.h>

#include "netlink.h"

static int __init vhdblk_init(void)
{
	return vhdblk_netlink_init();
}

static void __exit vhdblk_exit(void)
{
	vhdblk_netlink_exit();
}

module_init(vhdblk_init);
module_exit(vhdblk_exit);
MODULE_DESCRIPTION("Chains of VHD files as block devices");
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY("vhdblk");
