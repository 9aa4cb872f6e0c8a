/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/vhdblk.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_VHDBLK_GEN_H
#define _LINUX_VHDBLK_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/vhdblk.h>

/* Common nested types */
extern const struct nla_policy vhdblk_layer_nl_policy[VHDBLK_A_LAYER_PAD + 1];

extern const struct nla_policy vhdblk_attach_nl_policy[VHDBLK_A_LAYER + 1];

extern const struct nla_policy vhdblk_detach_nl_policy[VHDBLK_A_FLAGS + 1];

extern const struct nla_policy vhdblk_get_nl_policy[VHDBLK_A_JOB + 1];

extern const struct nla_policy vhdblk_set_nl_policy[VHDBLK_A_NAME + 1];

/* Ops table for vhdblk */
extern const struct genl_ops vhdblk_nl_ops[4];

int vhdblk_nl_attach_doit(struct sk_buff *skb, struct genl_info *info);
int vhdblk_nl_detach_doit(struct sk_buff *skb, struct genl_info *info);
int vhdblk_nl_get_doit(struct sk_buff *skb, struct genl_info *info);
int vhdblk_nl_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int vhdblk_nl_set_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	VHDBLK_NLGRP_EVENTS,
};

#endif /* _LINUX_VHDBLK_GEN_H */
