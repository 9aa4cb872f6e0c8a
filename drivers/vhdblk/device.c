// SPDX-License-Identifier: GPL-2.0
/*
 * A chain as a disk: attach builds it from the bottom up, detach takes it down
 * in the reverse order.
 *
 * One gendisk per attach, complete before add_disk(): what user space sees of
 * it never changes under it.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/hdreg.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "device.h"
#include "registry.h"

static unsigned int max_queues = 4;
module_param(max_queues, uint, 0644);
MODULE_PARM_DESC(max_queues, "Most hardware queues of one device (default 4)");

#define VHDBLK_QUEUE_DEPTH	128
/* io_opt and the largest request: 4 MiB or a block. */
#define VHDBLK_MAX_SECTS	(4u << (20 - VHD_SECTOR_SHIFT))

/* Protects the table, and what a device shows of itself while it is in there. */
static DEFINE_MUTEX(devices_lock);
static DEFINE_IDR(devices);
static DEFINE_IDA(indexes);
static struct workqueue_struct *detach_wq;

/* Devices whose memory is still in use: by a late closer, after a forced detach. */
static atomic_t nr_devices = ATOMIC_INIT(0);

static void device_free(struct kref *ref)
{
	kfree(container_of(ref, struct vhdblk_device, ref));
	if (atomic_dec_and_test(&nr_devices))
		wake_up_var(&nr_devices);
}

static void hold_disk(struct gendisk *disk)
{
	get_device(disk_to_dev(disk));
}

static void hurry_commit(struct vhd_alloc *a)
{
	vhd_commit_reclaim(&container_of(a, struct vhdblk_device, q.alloc)->q.commit);
}

static void epoch_drained(struct vhd_epoch *e)
{
	vhd_commit_reclaim(&container_of(e, struct vhdblk_device, q.alloc.epoch)->q.commit);
}

/* Under open_mutex. */
static void last_close(struct vhdblk_device *dev)
{
	bool due = dev->lazy || (READ_ONCE(dev->autoclear) && dev->armed);

	if (!due || disk_openers(dev->disk))
		return;
	hold_disk(dev->disk);
	if (!queue_work(detach_wq, &dev->detach_work))
		put_disk(dev->disk);
}

static int device_open(VHDBLK_OPEN_ARGS)
{
	struct vhdblk_device *dev = VHDBLK_OPEN_DISK->private_data;

	if (dev->state == VHDBLK_DETACHING)
		return -ENXIO;
	if (mode & VHDBLK_OPEN_EXCL)
		dev->armed = true;
	return 0;
}

static void device_release(VHDBLK_RELEASE_ARGS)
{
	struct vhdblk_device *dev = disk->private_data;

	if (dev->state == VHDBLK_LIVE)
		last_close(dev);
}

static int device_getgeo(VHDBLK_GETGEO_ARGS)
{
	struct vhdblk_device *dev = VHDBLK_GETGEO_DISK->private_data;

	geo->heads = dev->geometry.heads;
	geo->sectors = dev->geometry.sectors;
	geo->cylinders = dev->geometry.cylinders;
	return 0;
}

static int device_set_read_only(struct block_device *bdev, bool ro)
{
	struct vhdblk_device *dev = bdev->bd_disk->private_data;

	return !ro && !dev->q.writable ? -EROFS : 0;
}

static void device_free_disk(struct gendisk *disk)
{
	struct vhdblk_device *dev = disk->private_data;

	kref_put(&dev->ref, device_free);
}

static const struct block_device_operations device_ops = {
	.owner		= THIS_MODULE,
	.open		= device_open,
	.release	= device_release,
	.getgeo		= device_getgeo,
	.set_read_only	= device_set_read_only,
	.free_disk	= device_free_disk,
};

static void limits_of(struct vhdblk_queue *q, struct vhdblk_limits *l)
{
	struct vhd_layer *leaf = vhd_chain_leaf(q->chain);
	u32 i;

	memset(l, 0, sizeof(*l));
	if (q->map.nr_blocks || leaf->layout.type != VHD_TYPE_FIXED)
		l->chunk_sects = leaf->layout.block_sects;
	l->max_sects = min(l->chunk_sects ?: VHDBLK_MAX_SECTS, VHDBLK_MAX_SECTS);
	l->max_segments = VHDBLK_MAX_SEGMENTS;
	l->writable = q->writable;
	l->dma_align = 3;
	for (i = 0; i < q->chain->depth; i++) {
		l->dma_align |= q->chain->layer[i].f.dma_align;
		l->stable |= q->chain->layer[i].f.stable;
	}
}

static int create_tags(struct vhdblk_device *dev)
{
	struct blk_mq_tag_set *set = &dev->tag_set;
	int ret;

	set->ops = &vhdblk_mq_ops;
	set->nr_hw_queues = dev->q.nr_hctx;
	set->queue_depth = VHDBLK_QUEUE_DEPTH;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = vhdblk_cmd_size();
	set->flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_STACKING | BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	/* What the file below does inline may sleep. */
	if (dev->q.submit_inline)
		set->flags |= BLK_MQ_F_BLOCKING;
	set->driver_data = &dev->q;
	ret = blk_mq_alloc_tag_set(set);
	dev->tags = !ret;
	return ret;
}

static int create_disk(struct vhdblk_device *dev, bool partscan)
{
	const struct vhd_footer *f = &vhd_chain_leaf(dev->q.chain)->footer;
	struct vhdblk_limits limits;
	struct gendisk *disk;

	limits_of(&dev->q, &limits);
	disk = vhdblk_disk_alloc(&dev->tag_set, &limits, &dev->q);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	dev->disk = disk;
	dev->geometry.heads = f->heads;
	dev->geometry.sectors = f->spt;
	dev->geometry.cylinders = be16_to_cpu(f->cylinders);
	disk->fops = &device_ops;
	disk->private_data = dev;
	snprintf(disk->disk_name, DISK_NAME_LEN, "vhd%d", dev->index);
	if (!partscan)
		disk->flags |= GENHD_FL_NO_PART;
	set_capacity(disk, vhd_chain_leaf(dev->q.chain)->layout.capacity);
	set_disk_ro(disk, !dev->q.writable);
	return vhd_registry_add_disk(disk, dev->q.chain->level);
}

/* From the files up to the threads; device_stop() undoes any part of it. */
static int device_start(struct vhdblk_device *dev, const struct vhdblk_params *p,
			struct vhd_error *error)
{
	struct vhd_open_args args = {
		.write = !p->read_only, .buffered = p->buffered,
		.ignore_id = p->ignore_id, .size_rule = p->size_rule,
	};
	unsigned int nr = clamp_t(unsigned int, READ_ONCE(max_queues), 1, num_possible_cpus());
	struct vhdblk_queue *q = &dev->q;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "vhd%d", dev->index);
	q->chain = vhd_chain_open(p->layer, p->depth, &args, error);
	if (IS_ERR(q->chain)) {
		ret = PTR_ERR(q->chain);
		q->chain = NULL;
		return ret;
	}
	q->chain->index = dev->index;
	q->writable = !p->read_only;
	q->submit_inline = p->submit_inline;
	q->alloc.hurry = hurry_commit;
	ret = vhd_map_init(&q->map, q->chain);
	if (!ret) {
		ret = vhd_alloc_init(&q->alloc, &q->map, epoch_drained);
		if (ret && ret != -ENOMEM)
			vhd_error_errno(error, ret, "the missing footer cannot be written");
	}
	if (!ret)
		ret = vhdblk_queue_start(q, name, nr);
	if (!ret && q->writable)
		ret = vhd_alloc_start(&q->alloc, name);
	if (!ret && q->writable)
		ret = vhd_commit_init(&q->commit, &q->alloc, name);
	return ret;
}

/* No request is under way and none can come. Return: was everything saved? */
static int device_stop(struct vhdblk_device *dev)
{
	struct vhdblk_queue *q = &dev->q;
	int ret;

	if (!q->chain)
		return 0;
	vhdblk_queue_stop(q);
	vhd_alloc_stop(&q->alloc);
	ret = vhd_commit_stop(&q->commit);
	if (!ret && q->commit.alloc)
		ret = vhd_alloc_trim(&q->alloc);
	if (ret)
		pr_err("vhd%d: the last commit failed (%d)\n", dev->index, ret);
	vhd_commit_exit(&q->commit);
	vhd_alloc_exit(&q->alloc);
	vhd_map_exit(&q->map);
	vhd_chain_close(q->chain);
	q->chain = NULL;
	return ret;
}

/* The disk first: one that was never added leaves its tags only now. */
static void device_destroy_disk(struct vhdblk_device *dev)
{
	if (dev->disk) {
		vhd_registry_del_disk(dev->disk);
		put_disk(dev->disk);
	}
	if (dev->tags)
		blk_mq_free_tag_set(&dev->tag_set);
}

/* Everything but the device itself and the module reference. */
static void device_undo(struct vhdblk_device *dev)
{
	device_stop(dev);
	flush_delayed_work(&dev->notice_work);
	device_destroy_disk(dev);
	ida_free(&indexes, dev->index);
}

static void detach_work(struct work_struct *work);

static struct vhdblk_device *device_alloc(const struct vhdblk_params *p)
{
	struct vhdblk_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	dev->index = ida_alloc(&indexes, GFP_KERNEL);
	if (dev->index < 0) {
		kfree(dev);
		return NULL;
	}
	atomic_inc(&nr_devices);
	kref_init(&dev->ref);
	dev->autoclear = p->autoclear;
	dev->size_rule = p->size_rule;
	strscpy(dev->name, p->name, sizeof(dev->name));
	INIT_WORK(&dev->detach_work, detach_work);
	vhdblk_notice_init(dev);
	return dev;
}

static int device_publish(struct vhdblk_device *dev)
{
	/* The device keeps the pointer. */
	static const struct attribute_group *groups[] = { &vhdblk_attr_group, NULL };
	struct gendisk *disk = dev->disk;
	int ret;

	ret = device_add_disk(NULL, disk, groups);
	if (ret)
		return ret;
	/* What looked for partitions is a file since 6.9, and a thread's is closed later. */
	flush_delayed_fput();
	/* Dropped by ->free_disk, which only a disk that was added gets. */
	kref_get(&dev->ref);
	mutex_lock(&devices_lock);
	ret = idr_alloc(&devices, dev, dev->index, dev->index + 1, GFP_KERNEL);
	mutex_unlock(&devices_lock);
	if (ret < 0) {
		del_gendisk(disk);
		return ret;
	}
	/* Once it is live somebody may detach it and free everything. */
	pr_info("vhd%d: attached%s\n", dev->index, dev->q.writable ? "" : ", read-only");
	vhdblk_notice(dev, VHDBLK_NOTICE_ATTACHED, 0);
	hold_disk(disk);
	mutex_lock(&disk->open_mutex);
	WRITE_ONCE(dev->state, VHDBLK_LIVE);
	last_close(dev);
	mutex_unlock(&disk->open_mutex);
	put_disk(disk);
	return 0;
}

/**
 * vhdblk_device_attach() - make a disk of a chain
 * @p: how
 * @error: says why on failure
 * @index: N of /dev/vhdN
 *
 * Context: sleeps, for as long as the slowest file takes.
 * Return: 0 or the errno that is also in @error.
 */
int vhdblk_device_attach(const struct vhdblk_params *p, struct vhd_error *error, u32 *index)
{
	struct vhdblk_device *dev;
	int ret;

	memset(error, 0, sizeof(*error));
	if (!try_module_get(THIS_MODULE))
		return vhd_error_errno(error, -ENODEV, "the module is being unloaded");
	dev = device_alloc(p);
	if (!dev) {
		module_put(THIS_MODULE);
		return vhd_error_errno(error, -ENOMEM, NULL);
	}
	ret = device_start(dev, p, error);
	if (!ret)
		ret = create_tags(dev);
	if (!ret)
		ret = create_disk(dev, !p->no_partscan);
	*index = dev->index;
	if (!ret)
		ret = device_publish(dev);
	if (!ret)
		return 0;
	if (!error->err)
		vhd_error_errno(error, ret, NULL);
	device_undo(dev);
	kref_put(&dev->ref, device_free);
	module_put(THIS_MODULE);
	return ret;
}

/* Decide, with the openers held off: 0 to go on, 1 if that is all for now. */
static int begin_detach(struct vhdblk_device *dev, bool lazy, bool force)
{
	struct gendisk *disk = dev->disk;
	int ret = 0;

	mutex_lock(&disk->open_mutex);
	if (dev->state != VHDBLK_LIVE) {
		ret = -ENODEV;
	} else if (disk_openers(disk) && lazy && !force) {
		WRITE_ONCE(dev->lazy, true);
		ret = 1;
	} else if (disk_openers(disk) && !force) {
		ret = -EBUSY;
	} else {
		WRITE_ONCE(dev->state, VHDBLK_DETACHING);
		WRITE_ONCE(dev->q.dead, force);
	}
	mutex_unlock(&disk->open_mutex);
	return ret;
}

static int finish_detach(struct vhdblk_device *dev)
{
	int ret;

	mutex_lock(&devices_lock);
	idr_remove(&devices, dev->index);
	mutex_unlock(&devices_lock);
	if (dev->q.dead)
		blk_mark_disk_dead(dev->disk);
	del_gendisk(dev->disk);
	ret = device_stop(dev);
	pr_info("vhd%d: detached\n", dev->index);
	vhdblk_notice(dev, VHDBLK_NOTICE_DETACHED, ret);
	device_undo(dev);
	kref_put(&dev->ref, device_free);
	module_put(THIS_MODULE);
	return ret;
}

static void detach_work(struct work_struct *work)
{
	struct vhdblk_device *dev = container_of(work, struct vhdblk_device, detach_work);

	struct gendisk *disk = dev->disk;

	if (!begin_detach(dev, true, false))
		finish_detach(dev);
	put_disk(disk);
}

/* With a reference on its disk. */
static struct vhdblk_device *device_get(int index)
{
	struct vhdblk_device *dev;

	mutex_lock(&devices_lock);
	dev = idr_find(&devices, index);
	if (dev)
		hold_disk(dev->disk);
	mutex_unlock(&devices_lock);
	return dev;
}

/**
 * vhdblk_device_detach() - take a disk down
 * @index: N of /dev/vhdN
 * @lazy: if it is open, do it when the last opener is gone
 * @force: do it although it is open; I/O that a file system below already has
 *	is waited for
 *
 * Context: sleeps until everything is committed and all files are closed.
 * Return: 0, -ENODEV, -EBUSY; anything else says why the last writes could not
 * be made durable: the disk is gone all the same.
 */
int vhdblk_device_detach(int index, bool lazy, bool force)
{
	struct vhdblk_device *dev = device_get(index);
	struct gendisk *disk;
	int ret;

	if (!dev)
		return -ENODEV;
	disk = dev->disk;
	ret = begin_detach(dev, lazy, force);
	if (!ret)
		ret = finish_detach(dev);
	put_disk(disk);
	return ret == 1 ? 0 : ret;
}

/**
 * vhdblk_device_set() - change what can be changed of an attached device
 * @index: N of /dev/vhdN
 * @name: new name, or NULL
 * @autoclear: new value, or NULL
 *
 * Return: 0 or -ENODEV.
 */
int vhdblk_device_set(int index, const char *name, const bool *autoclear)
{
	struct vhdblk_device *dev;

	mutex_lock(&devices_lock);
	dev = idr_find(&devices, index);
	if (dev && name && strcmp(dev->name, name)) {
		strscpy(dev->name, name, sizeof(dev->name));
		/* udev has links with the name in them, for partitions too. */
		disk_uevent(dev->disk, KOBJ_CHANGE);
	}
	if (dev && autoclear)
		WRITE_ONCE(dev->autoclear, *autoclear);
	mutex_unlock(&devices_lock);
	return dev ? 0 : -ENODEV;
}

/**
 * vhdblk_device_name() - copy the user's name of a device
 * @dev: attached, or about to be
 * @name: VHDBLK_NAME_LEN bytes
 */
void vhdblk_device_name(const struct vhdblk_device *dev, char *name)
{
	mutex_lock(&devices_lock);
	strscpy(name, dev->name, VHDBLK_NAME_LEN);
	mutex_unlock(&devices_lock);
}

/**
 * vhdblk_device_show() - look at a device while it cannot go away
 * @index: N of /dev/vhdN
 * @fn: called with it; must not sleep for long
 * @arg: for @fn
 *
 * Return: what @fn returns, or -ENODEV.
 */
int vhdblk_device_show(int index, int (*fn)(struct vhdblk_device *dev, void *arg), void *arg)
{
	struct vhdblk_device *dev;
	int ret = -ENODEV;

	mutex_lock(&devices_lock);
	dev = idr_find(&devices, index);
	if (dev)
		ret = fn(dev, arg);
	mutex_unlock(&devices_lock);
	return ret;
}

/**
 * vhdblk_device_next() - look at the first device from an index on
 * @from: smallest index
 * @fn: called with it; must not sleep for long
 * @arg: for @fn
 *
 * Return: its index plus 1, 0 if there is none, or the error of @fn.
 */
int vhdblk_device_next(int from, int (*fn)(struct vhdblk_device *dev, void *arg), void *arg)
{
	struct vhdblk_device *dev;
	int ret = 0;

	mutex_lock(&devices_lock);
	dev = idr_get_next(&devices, &from);
	if (dev)
		ret = fn(dev, arg) ?: from + 1;
	mutex_unlock(&devices_lock);
	return ret;
}

/**
 * vhdblk_device_init() - before the first attach
 * @notify: tells the user what happened to a device; may sleep
 *
 * Return: 0 or -ENOMEM.
 */
int vhdblk_device_init(void (*notify)(struct vhdblk_device *dev, enum vhdblk_notice what,
				      int err))
{
	vhdblk_notice_to(notify);
	detach_wq = alloc_workqueue("vhdblk-detach", WQ_UNBOUND, 0);
	return detach_wq ? 0 : -ENOMEM;
}

/**
 * vhdblk_device_exit() - after the last detach
 *
 * The last detach may still be about to drop its module reference.
 */
void vhdblk_device_exit(void)
{
	destroy_workqueue(detach_wq);
	wait_var_event(&nr_devices, !atomic_read(&nr_devices));
	/* Whoever freed the last one need not hold the module: let him get out of it. */
	synchronize_rcu_tasks();
	idr_destroy(&devices);
	ida_destroy(&indexes);
}
