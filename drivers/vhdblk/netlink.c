// SPDX-License-Identifier: GPL-2.0
/*
 * The control interface: attributes to parameters and back. The interface is
 * Documentation/netlink/specs/vhdblk.yaml; generated/ is made from it.
 *
 * A doit only parses, takes references and starts a job.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <net/genetlink.h>

#include "generated/netlink.h"
#include "job.h"
#include "netlink.h"

/* A description that does not fit into this is not sent. */
#define MAX_MESSAGE	(2u << 20)

#define ATTACH_FLAGS	(VHDBLK_ATTACH_READ_ONLY | VHDBLK_ATTACH_IGNORE_ID_MISMATCH | \
			 VHDBLK_ATTACH_AUTOCLEAR | VHDBLK_ATTACH_NO_PARTSCAN | \
			 VHDBLK_ATTACH_BUFFERED | VHDBLK_ATTACH_INLINE)
#define DETACH_FLAGS	(VHDBLK_DETACH_LAZY | VHDBLK_DETACH_FORCE)
#define LAYER_FLAGS	(VHDBLK_LAYER_RAW | VHDBLK_LAYER_DIRECT | VHDBLK_LAYER_READ_ONLY)

static const struct genl_multicast_group mcgrps[] = {
	[VHDBLK_NLGRP_EVENTS] = { .name = VHDBLK_MCGRP_EVENTS },
};

static struct genl_family family __ro_after_init = {
	.name		= VHDBLK_FAMILY_NAME,
	.version	= VHDBLK_FAMILY_VERSION,
	.maxattr	= VHDBLK_A_MAX,
	.module		= THIS_MODULE,
	.parallel_ops	= true,
	.ops		= vhdblk_nl_ops,
	.n_ops		= ARRAY_SIZE(vhdblk_nl_ops),
	.resv_start_op	= VHDBLK_CMD_EVENT + 1,
	.mcgrps		= mcgrps,
	.n_mcgrps	= ARRAY_SIZE(mcgrps),
};

/* The right to attach is the right to change any disk: not a namespace's. */
static int check_caller(struct sk_buff *skb)
{
	return netlink_capable(skb, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* What somebody asks for and does not get must not look as if he got it. */
static int get_flags(struct nlattr *attr, u32 known, u32 *flags, struct netlink_ext_ack *extack)
{
	*flags = attr ? nla_get_u32(attr) : 0;
	if (!(*flags & ~known))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "unknown flags");
	return -EINVAL;
}

static int get_layer(struct nlattr *nest, struct vhd_layer_spec *spec,
		     struct netlink_ext_ack *extack)
{
	struct nlattr *tb[VHDBLK_A_LAYER_PAD + 1];
	u32 flags;
	int ret;

	ret = nla_parse_nested(tb, VHDBLK_A_LAYER_PAD, nest, vhdblk_layer_nl_policy, extack);
	if (!ret)
		ret = get_flags(tb[VHDBLK_A_LAYER_FLAGS], LAYER_FLAGS, &flags, extack);
	if (ret)
		return ret;
	if (!tb[VHDBLK_A_LAYER_FD]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "a layer needs a descriptor");
		return -EINVAL;
	}
	spec->raw = flags & VHDBLK_LAYER_RAW;
	spec->file = fget(nla_get_u32(tb[VHDBLK_A_LAYER_FD]));
	if (spec->file)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, tb[VHDBLK_A_LAYER_FD], "not an open descriptor");
	return -EBADF;
}

static int get_layers(struct genl_info *info, struct vhdblk_params *p)
{
	struct nlattr *attr;
	int rem, ret;

	p->layer = kcalloc(VHD_MAX_DEPTH, sizeof(*p->layer), GFP_KERNEL);
	if (!p->layer)
		return -ENOMEM;
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != VHDBLK_A_LAYER)
			continue;
		if (p->depth == VHD_MAX_DEPTH) {
			NL_SET_ERR_MSG(info->extack, "more than 255 layers");
			return -EOPNOTSUPP;
		}
		ret = get_layer(attr, &p->layer[p->depth], info->extack);
		if (ret)
			return ret;
		p->depth++;
	}
	if (p->depth)
		return 0;
	NL_SET_ERR_MSG(info->extack, "no layer was given");
	return -EINVAL;
}

static u32 get_u32(struct genl_info *info, int attr)
{
	return info->attrs[attr] ? nla_get_u32(info->attrs[attr]) : 0;
}

static int get_params(struct genl_info *info, struct vhdblk_params *p)
{
	u32 flags;
	int ret;

	ret = get_flags(info->attrs[VHDBLK_A_FLAGS], ATTACH_FLAGS, &flags, info->extack);
	if (ret)
		return ret;
	if (info->attrs[VHDBLK_A_NAME])
		nla_strscpy(p->name, info->attrs[VHDBLK_A_NAME], sizeof(p->name));
	p->read_only = flags & VHDBLK_ATTACH_READ_ONLY;
	p->ignore_id = flags & VHDBLK_ATTACH_IGNORE_ID_MISMATCH;
	p->autoclear = flags & VHDBLK_ATTACH_AUTOCLEAR;
	p->no_partscan = flags & VHDBLK_ATTACH_NO_PARTSCAN;
	p->buffered = flags & VHDBLK_ATTACH_BUFFERED;
	p->submit_inline = flags & VHDBLK_ATTACH_INLINE;
	p->size_rule = get_u32(info, VHDBLK_A_SIZE_RULE);
	return get_layers(info, p);
}

static int reply_job(struct genl_info *info, struct vhdblk_job *job)
{
	struct sk_buff *skb = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	void *hdr;

	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put_reply(skb, info, &family, 0, info->genlhdr->cmd);
	if (!hdr || nla_put_u32(skb, VHDBLK_A_JOB, job->id)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

/* The number goes out first: the outcome may follow at once. */
static int start_job(struct genl_info *info, struct vhdblk_job *job)
{
	int ret;

	vhdblk_job_prepare(job);
	ret = reply_job(info, job);
	if (ret)
		vhdblk_job_free(job);
	else
		vhdblk_job_run(job);
	return ret;
}

int vhdblk_nl_attach_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct vhdblk_job *job;
	int ret = check_caller(skb);

	if (ret)
		return ret;
	job = vhdblk_job_alloc(VHDBLK_JOB_ATTACH, info->snd_portid);
	if (!job)
		return -ENOMEM;
	ret = get_params(info, &job->params);
	if (ret) {
		vhdblk_job_free(job);
		return ret;
	}
	return start_job(info, job);
}

int vhdblk_nl_detach_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct vhdblk_job *job;
	int ret = check_caller(skb);
	u32 flags;

	if (!ret)
		ret = get_flags(info->attrs[VHDBLK_A_FLAGS], DETACH_FLAGS, &flags, info->extack);
	if (ret)
		return ret;
	if (!info->attrs[VHDBLK_A_INDEX]) {
		NL_SET_ERR_MSG(info->extack, "which device?");
		return -EINVAL;
	}
	job = vhdblk_job_alloc(VHDBLK_JOB_DETACH, info->snd_portid);
	if (!job)
		return -ENOMEM;
	job->index = get_u32(info, VHDBLK_A_INDEX);
	job->has_index = true;
	job->lazy = flags & VHDBLK_DETACH_LAZY;
	job->force = flags & VHDBLK_DETACH_FORCE;
	return start_job(info, job);
}

int vhdblk_nl_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	char name[VHDBLK_NAME_LEN];
	int ret = check_caller(skb);
	bool autoclear;
	u32 flags;

	if (!ret)
		ret = get_flags(info->attrs[VHDBLK_A_FLAGS], VHDBLK_ATTACH_AUTOCLEAR, &flags,
				info->extack);
	if (ret)
		return ret;
	if (!info->attrs[VHDBLK_A_INDEX]) {
		NL_SET_ERR_MSG(info->extack, "which device?");
		return -EINVAL;
	}
	if (info->attrs[VHDBLK_A_NAME])
		nla_strscpy(name, info->attrs[VHDBLK_A_NAME], sizeof(name));
	autoclear = flags;
	return vhdblk_device_set(get_u32(info, VHDBLK_A_INDEX),
				 info->attrs[VHDBLK_A_NAME] ? name : NULL,
				 info->attrs[VHDBLK_A_FLAGS] ? &autoclear : NULL);
}

/* How much of a layer to tell: all, or what a list needs. */
enum detail { BRIEF, FULL };

static int put_path(struct sk_buff *skb, struct vhd_layer *l)
{
	char *buf = kmalloc(PATH_MAX, GFP_KERNEL), *path;
	int ret = -ENOMEM;

	if (!buf)
		return ret;
	path = file_path(l->f.passed, buf, PATH_MAX);
	ret = nla_put_string(skb, VHDBLK_A_LAYER_PATH, IS_ERR(path) ? "?" : path);
	kfree(buf);
	return ret;
}

static int put_layer_numbers(struct sk_buff *skb, struct vhdblk_device *dev, struct vhd_layer *l)
{
	u32 flags = (l->raw ? VHDBLK_LAYER_RAW : 0) | (l->f.direct ? VHDBLK_LAYER_DIRECT : 0) |
		    (l->writable ? 0 : VHDBLK_LAYER_READ_ONLY);
	u32 allocated = l->id == 1 ? vhdblk_device_allocated(dev) : l->allocated;

	return nla_put_u32(skb, VHDBLK_A_LAYER_FLAGS, flags) ?:
	       nla_put_u32(skb, VHDBLK_A_LAYER_TYPE, l->raw ? 0 : l->layout.type) ?:
	       nla_put_u64_64bit(skb, VHDBLK_A_LAYER_CAPACITY,
				 l->layout.capacity << VHD_SECTOR_SHIFT, VHDBLK_A_LAYER_PAD) ?:
	       nla_put_u32(skb, VHDBLK_A_LAYER_ALLOCATED, allocated) ?:
	       nla_put_u32(skb, VHDBLK_A_LAYER_BLOCKS, l->layout.entries) ?:
	       nla_put_u32(skb, VHDBLK_A_LAYER_BLOCK_SIZE,
			   l->layout.block_sects << VHD_SECTOR_SHIFT) ?:
	       nla_put_u32(skb, VHDBLK_A_LAYER_MISALIGNED, READ_ONCE(l->misaligned));
}

static int put_layer(struct sk_buff *skb, struct vhdblk_device *dev, struct vhd_layer *l,
		     enum detail detail)
{
	struct nlattr *nest = nla_nest_start(skb, VHDBLK_A_LAYER);
	int ret;

	if (!nest)
		return -EMSGSIZE;
	ret = put_layer_numbers(skb, dev, l);
	if (!ret && (detail == FULL || l->id == 1))
		ret = put_path(skb, l);
	if (!ret && detail == FULL && !l->raw)
		ret = nla_put(skb, VHDBLK_A_LAYER_UUID, sizeof(l->footer.uuid), l->footer.uuid);
	if (ret)
		return ret;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_counter(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, VHDBLK_A_COUNTERS_PAD);
}

static int put_counters(struct sk_buff *skb, struct vhdblk_device *dev)
{
	struct nlattr *nest = nla_nest_start(skb, VHDBLK_A_COUNTERS);
	struct vhdblk_queue *q = &dev->q;
	u64 fsyncs = atomic64_read(&q->commit.exec.fsyncs) +
		     atomic64_read(&q->alloc.exec.fsyncs);
	int ret;

	if (!nest)
		return -EMSGSIZE;
	ret = put_counter(skb, VHDBLK_A_COUNTERS_FAST, vhdblk_device_fast(dev)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_SLOW, atomic64_read(&q->slow_served)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_HOLES, atomic64_read(&q->holes)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_ALLOCATIONS,
			  atomic64_read(&q->alloc.allocations)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_FREES, atomic64_read(&q->alloc.frees)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_RESOLVES, atomic64_read(&q->map.resolves)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_COMMITS, atomic64_read(&q->commit.commits)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_FLUSHES, atomic64_read(&q->flushes)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_FSYNCS, fsyncs) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_EXTENSIONS,
			  atomic64_read(&q->alloc.extensions)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_IO_ERRORS, atomic64_read(&q->errors)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_MAP_BYTES, vhdblk_device_memory(dev)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_INLINE, atomic64_read(&q->inlined)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_RESCUED, atomic64_read(&q->slow.rescued)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_CACHE_BYTES,
			  atomic64_read(&q->map.owners_bytes)) ?:
	      put_counter(skb, VHDBLK_A_COUNTERS_CACHE_MAX, VHD_MAP_OWNERS_MAX);
	nla_nest_end(skb, nest);
	return ret;
}

static u32 device_flags(struct vhdblk_device *dev)
{
	return (dev->q.writable ? 0 : VHDBLK_DEVICE_READ_ONLY) |
	       (READ_ONCE(dev->autoclear) ? VHDBLK_DEVICE_AUTOCLEAR : 0) |
	       (READ_ONCE(dev->lazy) || READ_ONCE(dev->state) == VHDBLK_DETACHING ?
		VHDBLK_DEVICE_DETACHING : 0) |
	       (READ_ONCE(dev->q.alloc.failed) ? VHDBLK_DEVICE_FAILED : 0) |
	       (READ_ONCE(dev->q.alloc.no_space) ? VHDBLK_DEVICE_NO_SPACE : 0) |
	       (dev->q.submit_inline ? VHDBLK_DEVICE_INLINE : 0);
}

static int put_dev_head(struct sk_buff *skb, struct vhdblk_device *dev)
{
	struct vhd_layout *l = &vhd_chain_leaf(dev->q.chain)->layout;
	dev_t devt = disk_devt(dev->disk);
	int ret;

	ret = nla_put_u32(skb, VHDBLK_A_INDEX, dev->index) ?:
	      nla_put_u32(skb, VHDBLK_A_FLAGS, device_flags(dev)) ?:
	      nla_put_u64_64bit(skb, VHDBLK_A_CAPACITY, l->capacity << VHD_SECTOR_SHIFT,
				VHDBLK_A_PAD) ?:
	      nla_put_u32(skb, VHDBLK_A_BLOCK_SIZE, l->block_sects << VHD_SECTOR_SHIFT) ?:
	      nla_put_u32(skb, VHDBLK_A_SIZE_RULE, dev->size_rule) ?:
	      nla_put_u32(skb, VHDBLK_A_MAJOR, MAJOR(devt)) ?:
	      nla_put_u32(skb, VHDBLK_A_MINOR, MINOR(devt));
	if (!ret && dev->name[0])
		ret = nla_put_string(skb, VHDBLK_A_NAME, dev->name);
	return ret;
}

static int put_dev(struct sk_buff *skb, struct vhdblk_device *dev, enum detail detail)
{
	struct vhd_chain *c = dev->q.chain;
	int ret;
	u32 i;

	ret = put_dev_head(skb, dev);
	if (!ret)
		ret = put_counters(skb, dev);
	for (i = 0; i < c->depth && !ret; i++)
		ret = put_layer(skb, dev, &c->layer[i], detail);
	return ret;
}

/* What a message is made of and where it goes. */
struct message {
	struct sk_buff *skb;
	struct genl_info *info;
	struct netlink_callback *cb;
};

static int show_device(struct vhdblk_device *dev, void *arg)
{
	struct message *m = arg;
	void *hdr = genlmsg_put_reply(m->skb, m->info, &family, 0, VHDBLK_CMD_GET);

	if (!hdr || put_dev(m->skb, dev, FULL))
		return -EMSGSIZE;
	genlmsg_end(m->skb, hdr);
	return 0;
}

static int put_outcome(struct sk_buff *skb, const struct vhdblk_job *job)
{
	int ret;

	ret = nla_put_u32(skb, VHDBLK_A_JOB, job->id) ?:
	      nla_put_s32(skb, VHDBLK_A_ERROR, job->error.err) ?:
	      nla_put_u32(skb, VHDBLK_A_FAULT, job->error.fault);
	if (!ret && job->has_index)
		ret = nla_put_u32(skb, VHDBLK_A_INDEX, job->index);
	if (!ret && job->error.err)
		ret = nla_put_u32(skb, VHDBLK_A_FAULT_LAYER, job->error.layer);
	if (!ret && job->error.text)
		ret = nla_put_string(skb, VHDBLK_A_TEXT, job->error.text);
	return ret;
}

static int show_job(const struct vhdblk_job *job, void *arg)
{
	struct message *m = arg;
	void *hdr = genlmsg_put_reply(m->skb, m->info, &family, 0, VHDBLK_CMD_GET);
	int ret = -EMSGSIZE;

	if (!hdr)
		return ret;
	if (job->done)
		ret = put_outcome(m->skb, job);
	else
		ret = nla_put_u32(m->skb, VHDBLK_A_JOB, job->id);
	if (ret || nla_put_u32(m->skb, VHDBLK_A_DONE, job->done))
		return -EMSGSIZE;
	genlmsg_end(m->skb, hdr);
	return 0;
}

static int show(struct message *m)
{
	struct nlattr **attrs = m->info->attrs;

	if (attrs[VHDBLK_A_JOB])
		return vhdblk_job_show(nla_get_u32(attrs[VHDBLK_A_JOB]), show_job, m);
	if (attrs[VHDBLK_A_INDEX])
		return vhdblk_device_show(nla_get_u32(attrs[VHDBLK_A_INDEX]), show_device, m);
	NL_SET_ERR_MSG(m->info->extack, "which device, or which job?");
	return -EINVAL;
}

int vhdblk_nl_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct message m = { .info = info };
	size_t size = NLMSG_DEFAULT_SIZE;
	int ret = check_caller(skb);

	if (ret)
		return ret;
	/* 255 layers have 255 paths: how long they are shows when they are put. */
	do {
		m.skb = nlmsg_new(size, GFP_KERNEL);
		if (!m.skb)
			return -ENOMEM;
		ret = show(&m);
		if (!ret)
			return genlmsg_reply(m.skb, info);
		nlmsg_free(m.skb);
		size *= 4;
	} while (ret == -EMSGSIZE && size <= MAX_MESSAGE);
	return ret;
}

static int dump_device(struct vhdblk_device *dev, void *arg)
{
	struct message *m = arg;
	enum detail detail = FULL;
	void *hdr;

	for (;;) {
		hdr = genlmsg_put(m->skb, NETLINK_CB(m->cb->skb).portid, m->cb->nlh->nlmsg_seq,
				  &family, NLM_F_MULTI, VHDBLK_CMD_GET);
		if (!hdr)
			return -EMSGSIZE;
		if (!put_dev(m->skb, dev, detail))
			break;
		genlmsg_cancel(m->skb, hdr);
		/* Alone in a message and still too much: leave out the names. */
		if (detail == BRIEF || m->skb->len)
			return -EMSGSIZE;
		detail = BRIEF;
	}
	genlmsg_end(m->skb, hdr);
	return 0;
}

int vhdblk_nl_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct message m = { .skb = skb, .cb = cb };
	int ret = check_caller(cb->skb);

	if (ret)
		return ret;
	do {
		ret = vhdblk_device_next(cb->args[0], dump_device, &m);
		if (ret > 0)
			cb->args[0] = ret;
	} while (ret > 0);
	return ret == -EMSGSIZE && !skb->len ? ret : skb->len;
}

static struct sk_buff *event_start(enum vhdblk_event event, void **hdr)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*hdr = genlmsg_put(skb, 0, 0, &family, 0, VHDBLK_CMD_EVENT);
	if (*hdr && !nla_put_u32(skb, VHDBLK_A_EVENT, event))
		return skb;
	nlmsg_free(skb);
	return NULL;
}

static void send_job_done(const struct vhdblk_job *job)
{
	struct sk_buff *skb, *copy;
	void *hdr;

	skb = event_start(VHDBLK_EVENT_JOB_DONE, &hdr);
	if (!skb || put_outcome(skb, job)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	copy = skb_copy(skb, GFP_KERNEL);
	if (copy)
		genlmsg_unicast(&init_net, copy, job->portid);
	genlmsg_multicast(&family, skb, 0, VHDBLK_NLGRP_EVENTS, GFP_KERNEL);
}

static const enum vhdblk_event event_of[VHDBLK_NR_NOTICES] = {
	[VHDBLK_NOTICE_ATTACHED]	= VHDBLK_EVENT_ATTACHED,
	[VHDBLK_NOTICE_DETACHED]	= VHDBLK_EVENT_DETACHED,
	[VHDBLK_NOTICE_IO_ERROR]	= VHDBLK_EVENT_IO_ERROR,
	[VHDBLK_NOTICE_NO_SPACE]	= VHDBLK_EVENT_NO_SPACE,
	[VHDBLK_NOTICE_SPACE_RETURNED]	= VHDBLK_EVENT_SPACE_RETURNED,
};

static void send_notice(struct vhdblk_device *dev, enum vhdblk_notice what, int err)
{
	dev_t devt = disk_devt(dev->disk);
	struct sk_buff *skb;
	void *hdr;

	skb = event_start(event_of[what], &hdr);
	if (!skb || nla_put_u32(skb, VHDBLK_A_INDEX, dev->index) ||
	    nla_put_s32(skb, VHDBLK_A_ERROR, err) ||
	    nla_put_u32(skb, VHDBLK_A_MAJOR, MAJOR(devt)) ||
	    nla_put_u32(skb, VHDBLK_A_MINOR, MINOR(devt))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast(&family, skb, 0, VHDBLK_NLGRP_EVENTS, GFP_KERNEL);
}

/**
 * vhdblk_netlink_init() - open the control interface
 *
 * Return: 0 or an errno.
 */
int vhdblk_netlink_init(void)
{
	int ret;

	BUILD_BUG_ON(VHDBLK_SIZE_AUTO != (int)VHD_SIZE_AUTO);
	BUILD_BUG_ON(VHDBLK_SIZE_CURRENT != (int)VHD_SIZE_CURRENT);
	ret = vhdblk_device_init(send_notice);
	if (ret)
		return ret;
	ret = vhdblk_job_init(send_job_done);
	if (ret)
		goto err_device;
	ret = genl_register_family(&family);
	if (ret)
		goto err_job;
	return 0;

err_job:
	vhdblk_job_exit();
err_device:
	vhdblk_device_exit();
	return ret;
}

/**
 * vhdblk_netlink_exit() - close it; no device is attached
 *
 * The family stays until the last job has said how it ended.
 */
void vhdblk_netlink_exit(void)
{
	vhdblk_job_exit();
	vhdblk_device_exit();
	genl_unregister_family(&family);
}
