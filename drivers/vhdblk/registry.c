// SPDX-License-Identifier: GPL-2.0
/*
 * Who in this module uses which file: one writer or many readers of each inode
 * or block device, and which disks are ours.
 *
 * The key is the real inode (below overlayfs) or the block device's, so that
 * two names, two mounts or two device nodes of one thing are one thing. Regular
 * files that are only read refuse writers from outside for as long as they are
 * claimed. Block devices are claimed exclusively, with the claim as holder:
 * our own layers share it, a mount or another program does not get in.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "io.h"
#include "registry.h"

struct vhd_claim {
	struct list_head list;
	struct inode *inode;
	struct vhd_bdev_claim *bdev;
	struct file *denied;	/* nobody may open this file for writing */
	unsigned int readers;
	bool writer;
	bool busy;	/* being claimed or released outside */
};

struct vhd_disk {
	struct list_head list;
	struct gendisk *disk;
	int level;
};

/* Protects both lists and what is counted in them; nothing is taken inside. */
static DEFINE_MUTEX(registry_lock);
static LIST_HEAD(claims);
/* Goes on whenever a claim is no longer busy; @registry_wait is woken then. */
static unsigned int registry_seq;
static DECLARE_WAIT_QUEUE_HEAD(registry_wait);
static LIST_HEAD(disks);

static struct inode *real_inode(struct vhd_file *f)
{
	if (f->bdev)
		return f->passed->f_mapping->host;
	return d_real_inode(f->passed->f_path.dentry);
}

static struct vhd_claim *find_claim(struct inode *inode)
{
	struct vhd_claim *c;

	list_for_each_entry(c, &claims, list)
		if (c->inode == inode)
			return c;
	return NULL;
}

/* Keep programs outside of this module off. */
static int claim_outside(struct vhd_claim *c, struct vhd_file *f, bool write)
{
	int ret = 0;

	if (f->bdev) {
		c->bdev = vhd_bdev_claim_get(c->inode->i_rdev, write, c);
		ret = PTR_ERR_OR_ZERO(c->bdev);
		if (ret)
			c->bdev = NULL;
		return ret;
	}
	if (!write) {
		ret = deny_write_access(f->passed);
		c->denied = ret ? NULL : get_file(f->passed);
	}
	return ret;
}

static void release_outside(struct vhd_claim *c, bool write)
{
	if (c->bdev)
		vhd_bdev_claim_put(c->bdev, write);
	if (!c->denied)
		return;
	allow_write_access(c->denied);
	vhd_fput(c->denied);
}

/*
 * Count ourselves in, or put a new claim on the list that nobody can join yet.
 * -EAGAIN: wait until @seq has passed.
 */
static struct vhd_claim *join_or_add(struct vhd_file *f, bool write, struct vhd_claim *new,
				     unsigned int *seq)
{
	struct vhd_claim *c;

	mutex_lock(&registry_lock);
	c = find_claim(real_inode(f));
	if (!c) {
		new->inode = real_inode(f);
		new->busy = true;
		list_add(&new->list, &claims);
		c = new;
	} else if (write || c->writer) {
		c = ERR_PTR(-EBUSY);
	} else if (c->busy) {
		*seq = registry_seq;
		c = ERR_PTR(-EAGAIN);
	}
	if (!IS_ERR(c)) {
		c->writer = write;
		c->readers += !write;
	}
	mutex_unlock(&registry_lock);
	return c;
}

static void forget(struct vhd_claim *c)
{
	mutex_lock(&registry_lock);
	list_del(&c->list);
	registry_seq++;
	mutex_unlock(&registry_lock);
	wake_up_all(&registry_wait);
	kfree(c);
}

/**
 * vhd_claim_get() - become the writer or one of the readers of a file
 * @f: an open file
 * @write: the writer
 *
 * Context: sleeps, for a block device as long as opening it takes; others are
 * not held up by that.
 * Return: the claim; -EBUSY if another layer or the holder of a block device is
 * in the way, -ETXTBSY if somebody has a file open for writing that must only
 * be read, -ENOMEM.
 */
struct vhd_claim *vhd_claim_get(struct vhd_file *f, bool write)
{
	struct vhd_claim *new = kzalloc(sizeof(*new), GFP_KERNEL), *c;
	unsigned int seq;
	int ret;

	if (!new)
		return ERR_PTR(-ENOMEM);
	while ((c = join_or_add(f, write, new, &seq)) == ERR_PTR(-EAGAIN))
		wait_event(registry_wait, READ_ONCE(registry_seq) != seq);
	if (c != new) {
		kfree(new);
		return c;
	}
	ret = claim_outside(c, f, write);
	if (ret) {
		forget(c);
		return ERR_PTR(ret);
	}
	mutex_lock(&registry_lock);
	c->busy = false;
	registry_seq++;
	mutex_unlock(&registry_lock);
	wake_up_all(&registry_wait);
	return c;
}

/**
 * vhd_claim_put() - stop using a file
 * @claim: from vhd_claim_get()
 * @write: as it was claimed
 */
void vhd_claim_put(struct vhd_claim *claim, bool write)
{
	bool last;

	mutex_lock(&registry_lock);
	if (write)
		claim->writer = false;
	else
		claim->readers--;
	last = !claim->writer && !claim->readers;
	/* Until it is let go outside nobody else can have it. */
	claim->busy = last;
	mutex_unlock(&registry_lock);
	if (!last)
		return;
	release_outside(claim, write);
	forget(claim);
}

static struct gendisk *disk_below(struct vhd_file *f)
{
	struct inode *inode = f->passed->f_mapping->host;

	if (f->bdev)
		return I_BDEV(inode)->bd_disk;
	inode = real_inode(f);
	return inode->i_sb->s_bdev ? inode->i_sb->s_bdev->bd_disk : NULL;
}

/**
 * vhd_registry_level() - how many disks of ours lie below a file
 * @f: an open file
 *
 * Only what the file system names as its device is seen: dm or md in between
 * hides it.
 *
 * Return: 0 for a file on foreign ground; else the count; -EOPNOTSUPP if @f is
 * itself one of our disks or there would be more than VHD_MAX_NESTING.
 */
int vhd_registry_level(struct vhd_file *f)
{
	struct gendisk *disk = disk_below(f);
	struct vhd_disk *d;
	int level = 0;

	mutex_lock(&registry_lock);
	list_for_each_entry(d, &disks, list)
		if (d->disk == disk)
			level = d->level + 1;
	mutex_unlock(&registry_lock);
	if (level > VHD_MAX_NESTING || (level && f->bdev))
		return -EOPNOTSUPP;
	return level;
}

/**
 * vhd_registry_add_disk() - make a disk known as ours
 * @disk: before it is added
 * @level: disks of ours below it
 *
 * Return: 0 or -ENOMEM.
 */
int vhd_registry_add_disk(struct gendisk *disk, int level)
{
	struct vhd_disk *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return -ENOMEM;
	d->disk = disk;
	d->level = level;
	mutex_lock(&registry_lock);
	list_add(&d->list, &disks);
	mutex_unlock(&registry_lock);
	return 0;
}

/**
 * vhd_registry_del_disk() - forget a disk
 * @disk: one that was made known, or not
 */
void vhd_registry_del_disk(struct gendisk *disk)
{
	struct vhd_disk *d, *n;

	mutex_lock(&registry_lock);
	list_for_each_entry_safe(d, n, &disks, list) {
		if (d->disk != disk)
			continue;
		list_del(&d->list);
		kfree(d);
	}
	mutex_unlock(&registry_lock);
}
