// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/vhdblk.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink.h"

#include <uapi/linux/vhdblk.h>

/* Common nested types */
const struct nla_policy vhdblk_layer_nl_policy[VHDBLK_A_LAYER_PAD + 1] = {
	[VHDBLK_A_LAYER_FD] = { .type = NLA_U32, },
	[VHDBLK_A_LAYER_FLAGS] = { .type = NLA_U32, },
	[VHDBLK_A_LAYER_PATH] = { .type = NLA_NUL_STRING, },
	[VHDBLK_A_LAYER_TYPE] = { .type = NLA_U32, },
	[VHDBLK_A_LAYER_UUID] = NLA_POLICY_EXACT_LEN(16),
	[VHDBLK_A_LAYER_CAPACITY] = { .type = NLA_U64, },
	[VHDBLK_A_LAYER_ALLOCATED] = { .type = NLA_U32, },
	[VHDBLK_A_LAYER_BLOCKS] = { .type = NLA_U32, },
	[VHDBLK_A_LAYER_BLOCK_SIZE] = { .type = NLA_U32, },
	[VHDBLK_A_LAYER_MISALIGNED] = { .type = NLA_U32, },
};

/* VHDBLK_CMD_ATTACH - do */
const struct nla_policy vhdblk_attach_nl_policy[VHDBLK_A_LAYER + 1] = {
	[VHDBLK_A_NAME] = { .type = NLA_NUL_STRING, .len = 63, },
	[VHDBLK_A_FLAGS] = { .type = NLA_U32, },
	[VHDBLK_A_SIZE_RULE] = NLA_POLICY_MAX(NLA_U32, 2),
	[VHDBLK_A_LAYER] = NLA_POLICY_NESTED(vhdblk_layer_nl_policy),
};

/* VHDBLK_CMD_DETACH - do */
const struct nla_policy vhdblk_detach_nl_policy[VHDBLK_A_FLAGS + 1] = {
	[VHDBLK_A_INDEX] = { .type = NLA_U32, },
	[VHDBLK_A_FLAGS] = { .type = NLA_U32, },
};

/* VHDBLK_CMD_GET - do */
const struct nla_policy vhdblk_get_nl_policy[VHDBLK_A_JOB + 1] = {
	[VHDBLK_A_INDEX] = { .type = NLA_U32, },
	[VHDBLK_A_JOB] = { .type = NLA_U32, },
};

/* VHDBLK_CMD_SET - do */
const struct nla_policy vhdblk_set_nl_policy[VHDBLK_A_NAME + 1] = {
	[VHDBLK_A_INDEX] = { .type = NLA_U32, },
	[VHDBLK_A_NAME] = { .type = NLA_NUL_STRING, .len = 63, },
	[VHDBLK_A_FLAGS] = { .type = NLA_U32, },
};

/* Ops table for vhdblk */
const struct genl_ops vhdblk_nl_ops[4] = {
	{
		.cmd		= VHDBLK_CMD_ATTACH,
		.doit		= vhdblk_nl_attach_doit,
		.policy		= vhdblk_attach_nl_policy,
		.maxattr	= VHDBLK_A_LAYER,
		.flags		= GENL_ADMIN_PERM,
	},
	{
		.cmd		= VHDBLK_CMD_DETACH,
		.doit		= vhdblk_nl_detach_doit,
		.policy		= vhdblk_detach_nl_policy,
		.maxattr	= VHDBLK_A_FLAGS,
		.flags		= GENL_ADMIN_PERM,
	},
	{
		.cmd		= VHDBLK_CMD_GET,
		.doit		= vhdblk_nl_get_doit,
		.dumpit		= vhdblk_nl_get_dumpit,
		.policy		= vhdblk_get_nl_policy,
		.maxattr	= VHDBLK_A_JOB,
		.flags		= GENL_ADMIN_PERM,
	},
	{
		.cmd		= VHDBLK_CMD_SET,
		.doit		= vhdblk_nl_set_doit,
		.policy		= vhdblk_set_nl_policy,
		.maxattr	= VHDBLK_A_NAME,
		.flags		= GENL_ADMIN_PERM,
	},
};

static const struct genl_multicast_group vhdblk_nl_mcgrps[] = {
	[VHDBLK_NLGRP_EVENTS] = { "events", },
};
