/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_IO_H
#define _VHD_IO_H

#include <linux/bio.h>
#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/uio.h>

/**
 * struct vhd_file - one open file or block device
 * @passed:	the requester's descriptor: its locks live as long as we keep it
 * @file:	our own struct file for all I/O, so that no flag of the
 *		requester's is changed and no time stamp is written per request
 * @size:	bytes, when it was opened
 * @dma_align:	mask for buffer addresses, for the limits of the disk
 * @bdev:	a block device: cannot be extended
 * @target:	a block device that is not buffered: bios go there, past @file and
 *		the page cache
 * @writable:	opened for writing
 * @direct:	I/O goes around the page cache
 * @nowait:	IOCB_NOWAIT or REQ_NOWAIT is understood
 * @modified:	written since vhd_io_touch()
 * @stable:	the file system wants pages that do not change under write
 * @swap:	there is swap on the disk: see vhd_swap_begin()
 */
struct vhd_file {
	struct file *passed;
	struct file *file;
	u64 size;
	u32 dma_align;
	struct block_device *target;
	bool bdev;
	bool writable;
	bool direct;
	bool nowait;
	bool stable;
	bool modified;
	bool swap;
};

/**
 * struct vhd_io - one asynchronous transfer
 * @iocb:	what a file needs; its @ki_ioprio is the caller's
 * @bio:	what a block device needs
 * @origin:	on behalf of which bio, for its control group; or NULL
 * @done:	called once, from any context; @ret is the number of bytes or a
 *		negative errno
 *
 * Two references: one of the submitter, who still touches iterator and bvecs
 * when the file system has already completed, one of the completion.
 */
struct vhd_io {
	struct kiocb iocb;
	struct bio bio;
	struct bio *origin;
	struct vhd_file *f;
	atomic_t ref;
	bool write;
	long ret;
	void (*done)(struct vhd_io *io, long ret);
};

#define VHD_IO_NOWAIT	1u
#define VHD_IO_DSYNC	2u

/*
 * A kernel thread's fput() closes the file some time later; who is told that a
 * device is gone wants to unmount at once.
 */
static inline void vhd_fput(struct file *file)
{
	if (current->flags & PF_KTHREAD)
		__fput_sync(file);
	else
		fput(file);
}

/*
 * While memory is short, reclaim waits for our writes to swap, they wait for the
 * locks of the file below, and whoever holds these must not wait for reclaim. So
 * from the first write to swap on everybody who serves the disk may use the last
 * reserves, and gets -ENOMEM instead of waiting when these are gone. Not fsync
 * and not what goes through the page cache: file systems refuse to write pages
 * back for such a caller.
 *
 * Bios are another matter. Reclaim and the file below take them from the same
 * pool, which never touches those reserves: two that reclaim holds are enough
 * for it to wait for us and for us to wait for it. Only a real-time task gets
 * memory for a bio where others, reclaim too, already get none.
 */
static inline bool vhd_swap_on(const struct vhd_file *f)
{
	return f->direct && READ_ONCE(f->swap);
}

static inline unsigned int vhd_swap_begin(const struct vhd_file *f)
{
	if (!vhd_swap_on(f))
		return current->flags & PF_MEMALLOC;
	sched_set_fifo_low(current);
	return memalloc_noreclaim_save();
}

static inline void vhd_swap_end(unsigned int flags)
{
	if ((current->flags & PF_MEMALLOC) && !flags)
		sched_set_normal(current, 0);
	memalloc_noreclaim_restore(flags);
}

/* What the opener may; ends with revert_creds(). */
static inline const struct cred *vhd_io_as_opener(const struct vhd_file *f)
{
	return override_creds(f->passed->f_cred);
}

/* Without writing to a shared cache line each time. */
static inline void vhd_io_note_write(struct vhd_file *f)
{
	if (!READ_ONCE(f->modified))
		WRITE_ONCE(f->modified, true);
}

int vhd_file_open(struct vhd_file *f, struct file *passed, bool write, bool buffered);
void vhd_file_close(struct vhd_file *f);

void vhd_io_submit(struct vhd_file *f, struct vhd_io *io, struct iov_iter *iter,
		   loff_t pos, unsigned int flags);
ssize_t vhd_io_read(struct vhd_file *f, loff_t pos, void *buf, size_t len);
int vhd_io_write(struct vhd_file *f, loff_t pos, const void *buf, size_t len);
int vhd_io_fsync(struct vhd_file *f);
int vhd_io_write_zeros(struct vhd_file *f, loff_t pos, u64 len);
int vhd_io_zero(struct vhd_file *f, loff_t pos, u64 len, bool unmap);
void vhd_io_discard(struct vhd_file *f, loff_t pos, u64 len);
int vhd_io_reserve(struct vhd_file *f, loff_t pos, u64 len);
int vhd_io_truncate(struct vhd_file *f, loff_t size);
loff_t vhd_io_size(const struct vhd_file *f);
bool vhd_io_read_only(const struct vhd_file *f);
void vhd_io_touch(struct vhd_file *f);

#endif /* _VHD_IO_H */
