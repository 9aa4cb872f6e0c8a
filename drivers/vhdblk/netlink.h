/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_NETLINK_H
#define _VHDBLK_NETLINK_H

int vhdblk_netlink_init(void);
void vhdblk_netlink_exit(void);

#endif /* _VHDBLK_NETLINK_H */
