// SPDX-License-Identifier: GPL-2.0
/*
 * What a device tells of itself: figures for netlink, and
 * /sys/block/vhdN/vhd/: what "vhdctl status" shows, for scripts without it.
 * The attributes are gone before detach closes the chain.
 */
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "device.h"

/**
 * vhdblk_device_fast() - requests that the queues' threads served
 * @dev: attached
 */
u64 vhdblk_device_fast(const struct vhdblk_device *dev)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < dev->q.nr_hctx; i++)
		sum += READ_ONCE(dev->q.hctx[i].served);
	/* Of these, what the file would have blocked for went on as slow. */
	return sum - min_t(u64, sum, atomic64_read(&dev->q.bounced));
}

/**
 * vhdblk_device_memory() - bytes that map, descriptors and BATs occupy
 * @dev: attached
 */
u64 vhdblk_device_memory(const struct vhdblk_device *dev)
{
	return vhd_chain_memory(dev->q.chain) + atomic64_read(&dev->q.map.bytes) +
	       atomic64_read(&dev->q.map.owners_bytes);
}

/**
 * vhdblk_device_allocated() - blocks that the leaf holds now
 * @dev: attached
 */
u32 vhdblk_device_allocated(struct vhdblk_device *dev)
{
	struct vhd_layer *leaf = vhd_chain_leaf(dev->q.chain);

	return leaf->allocated + atomic64_read(&dev->q.alloc.allocations) -
	       atomic64_read(&dev->q.alloc.frees);
}

static struct vhdblk_device *device_of(struct device *d)
{
	return dev_to_disk(d)->private_data;
}

static ssize_t name_show(struct device *d, struct device_attribute *attr, char *buf)
{
	char name[VHDBLK_NAME_LEN];

	vhdblk_device_name(device_of(d), name);
	return sysfs_emit(buf, "%s\n", name);
}
static DEVICE_ATTR_RO(name);

static ssize_t id_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%pUb\n", vhd_chain_leaf(device_of(d)->q.chain)->footer.uuid);
}
static DEVICE_ATTR_RO(id);

static ssize_t depth_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", device_of(d)->q.chain->depth);
}
static DEVICE_ATTR_RO(depth);

/* One line a layer, leaf first: unique id (or "raw") and path, while it fits. */
static ssize_t layers_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct vhd_chain *c = device_of(d)->q.chain;
	char *name = kmalloc(PATH_MAX, GFP_KERNEL), *path;
	ssize_t len = 0;
	u32 i;

	if (!name)
		return -ENOMEM;
	for (i = 0; i < c->depth; i++) {
		struct vhd_layer *l = &c->layer[i];

		path = file_path(l->f.passed, name, PATH_MAX);
		if (IS_ERR(path))
			path = "?";
		if (l->raw)
			len += sysfs_emit_at(buf, len, "raw %s\n", path);
		else
			len += sysfs_emit_at(buf, len, "%pUb %s\n", l->footer.uuid, path);
	}
	kfree(name);
	return len;
}
static DEVICE_ATTR_RO(layers);

static ssize_t allocated_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", vhdblk_device_allocated(device_of(d)));
}
static DEVICE_ATTR_RO(allocated);

static ssize_t map_bytes_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", vhdblk_device_memory(device_of(d)));
}
static DEVICE_ATTR_RO(map_bytes);

static ssize_t cache_bytes_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", (u64)atomic64_read(&device_of(d)->q.map.owners_bytes));
}
static DEVICE_ATTR_RO(cache_bytes);

static ssize_t counters_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct vhdblk_device *dev = device_of(d);
	struct vhdblk_queue *q = &dev->q;

	return sysfs_emit(buf,
			  "fast %llu\nslow %llu\nholes %llu\nallocations %llu\nfrees %llu\n"
			  "resolves %llu\ncommits %llu\nflushes %llu\nfsyncs %llu\n"
			  "extensions %llu\nio_errors %llu\ninline %llu\nrescued %llu\n",
			  vhdblk_device_fast(dev),
			  (u64)atomic64_read(&q->slow_served), (u64)atomic64_read(&q->holes),
			  (u64)atomic64_read(&q->alloc.allocations),
			  (u64)atomic64_read(&q->alloc.frees),
			  (u64)atomic64_read(&q->map.resolves),
			  (u64)atomic64_read(&q->commit.commits),
			  (u64)atomic64_read(&q->flushes),
			  (u64)atomic64_read(&q->commit.exec.fsyncs) +
			  (u64)atomic64_read(&q->alloc.exec.fsyncs),
			  (u64)atomic64_read(&q->alloc.extensions),
			  (u64)atomic64_read(&q->errors),
			  (u64)atomic64_read(&q->inlined),
			  (u64)atomic64_read(&q->slow.rescued));
}
static DEVICE_ATTR_RO(counters);

static struct attribute *vhdblk_attrs[] = {
	&dev_attr_name.attr,
	&dev_attr_id.attr,
	&dev_attr_depth.attr,
	&dev_attr_layers.attr,
	&dev_attr_allocated.attr,
	&dev_attr_map_bytes.attr,
	&dev_attr_cache_bytes.attr,
	&dev_attr_counters.attr,
	NULL
};

const struct attribute_group vhdblk_attr_group = {
	.name	= "vhd",
	.attrs	= vhdblk_attrs,
};
