// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: Block devices
 *
 * A layer on a partition or a logical volume needs no file system to be asked
 * where its sectors are: its transfers become bios. The bio lies in struct
 * vhd_io and takes over the caller's table of segments, so that nothing is
 * allocated and nothing can fail for want of memory or wait for it. One is
 * enough for a transfer of any length; the block layer splits it where the
 * device's limits are smaller.
 *
 * These bios pass by the page cache of the device. What is in there comes from
 * somebody who looks at the device meanwhile, udev for instance; it is dropped
 * with each fsync, when the times of a file would be set, and at the end.
 */
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/pagemap.h>

#include "bdev_io.h"

/*
 * Who said REQ_NOWAIT gets -EAGAIN and tries again where it may block: also if
 * the device understood that at attach and no longer does, as a device-mapper
 * table may be exchanged under us.
 */
static long outcome(const struct vhd_io *io, blk_status_t status)
{
	if (status == BLK_STS_NOTSUPP && (io->iocb.ki_flags & IOCB_NOWAIT))
		return -EAGAIN;
	return status ? blk_status_to_errno(status) : io->ret;
}

static void end_bio(struct bio *bio)
{
	struct vhd_io *io = container_of(bio, struct vhd_io, bio);
	long ret = outcome(io, bio->bi_status);

	bio_uninit(bio);
	io->iocb.ki_complete(&io->iocb, ret);
}

/* REQ_IDLE with REQ_SYNC, as direct I/O has it: writeback throttling is not for it. */
static blk_opf_t operation(const struct vhd_io *io)
{
	blk_opf_t opf = io->write ? REQ_OP_WRITE | REQ_SYNC | REQ_IDLE : REQ_OP_READ;

	if (io->iocb.ki_flags & IOCB_DSYNC)
		opf |= REQ_FUA;
	if (io->iocb.ki_flags & IOCB_NOWAIT)
		opf |= REQ_NOWAIT;
	return opf;
}

static void init_bio(struct vhd_io *io, struct iov_iter *iter)
{
	struct bio *bio = &io->bio;

	/* Without a device: that would look up this thread's control group first. */
	bio_init(bio, NULL, NULL, 0, operation(io));
	bio->bi_bdev = io->f->target;
	if (io->origin)
		bio_clone_blkg_association(bio, io->origin);
	else
		bio_associate_blkg(bio);
	bio->bi_ioprio = io->iocb.ki_ioprio;
	bio->bi_end_io = end_bio;
	bio->bi_io_vec = (struct bio_vec *)iter->bvec;
	bio->bi_vcnt = iter->nr_segs;
	bio->bi_iter.bi_sector = io->iocb.ki_pos >> SECTOR_SHIFT;
	bio->bi_iter.bi_size = iov_iter_count(iter);
	vhd_bio_set_first_offset(bio, iter->iov_offset);
	/* The table and its pages are not the bio's. */
	bio_set_flag(bio, BIO_CLONED);
}

/**
 * vhd_bdev_submit() - start a transfer to or from a block device
 * @io: its @iocb says where, with which flags, and whom to tell
 * @iter: bvecs, see vhd_io_submit()
 *
 * Context: as for vhd_io_submit().
 * Return: -EIOCBQUEUED, and @ki_complete is or has been called; or the outcome:
 * 0 for a read behind the end of the device, -EIO for a write there, -EPERM if
 * the device has become read-only, -EINVAL if its sectors have become larger.
 */
ssize_t vhd_bdev_submit(struct vhd_io *io, struct iov_iter *iter)
{
	struct block_device *bdev = io->f->target;
	loff_t size = bdev_nr_bytes(bdev), pos = io->iocb.ki_pos;

	if (io->write && bdev_read_only(bdev))
		return -EPERM;
	if (pos >= size)
		return io->write ? -EIO : 0;
	iov_iter_truncate(iter, size - pos);
	if ((pos | iov_iter_count(iter)) & (bdev_logical_block_size(bdev) - 1))
		return -EINVAL;
	io->ret = iov_iter_count(iter);
	init_bio(io, iter);
	submit_bio(&io->bio);
	return -EIOCBQUEUED;
}

/**
 * vhd_bdev_zero() - make a range of a block device read as zeros
 * @bdev: device
 * @pos: bytes, a multiple of 512
 * @len: bytes, a multiple of 512
 * @unmap: the space may go back to the device
 *
 * Context: sleeps.
 * Return: 0 or an errno; on error any part may have been zeroed.
 */
int vhd_bdev_zero(struct block_device *bdev, loff_t pos, u64 len, bool unmap)
{
	return blkdev_issue_zeroout(bdev, pos >> SECTOR_SHIFT, len >> SECTOR_SHIFT, GFP_NOIO,
				    unmap ? 0 : BLKDEV_ZERO_NOUNMAP);
}

/**
 * vhd_bdev_discard() - give the space of a range back to a block device
 * @bdev: device
 * @pos: bytes, a multiple of 512
 * @len: bytes, a multiple of 512
 *
 * Not by REQ_OP_DISCARD: what may be read after that is anybody's guess, while
 * our own disk promises the old data or zeros. Devices that cannot zero by
 * unmapping keep the space.
 *
 * Context: sleeps.
 */
void vhd_bdev_discard(struct block_device *bdev, loff_t pos, u64 len)
{
	blkdev_issue_zeroout(bdev, pos >> SECTOR_SHIFT, len >> SECTOR_SHIFT, GFP_NOIO,
			     BLKDEV_ZERO_NOFALLBACK);
}

/**
 * vhd_bdev_forget_pages() - let nobody go on seeing what a device held before
 * @f: any file; nothing happens if no bios go to it
 *
 * Whoever reads the device through the page cache after that sees all that was
 * written before. Dirty pages stay: somebody ignores that the device is ours.
 *
 * Context: sleeps.
 */
void vhd_bdev_forget_pages(struct vhd_file *f)
{
	struct address_space *mapping = f->file->f_mapping;

	if (f->target && mapping->nrpages)
		invalidate_inode_pages2(mapping);
}
