// SPDX-License-Identifier: GPL-2.0
/*
 * The only file that calls ->read_iter, ->write_iter and fsync; fallocate is left to
 * space.c, and what takes bios instead to bdev_io.c.
 *
 * Everything here may sleep, except the completion of vhd_io_submit(). Callers
 * run in a scope of memalloc_noio_save(): a write to /dev/vhdN may be what
 * memory reclaim waits for. Rights are those of whoever opened the descriptor,
 * not the thread's, which are root's: NFS servers squash root, and local file
 * systems let it exceed quotas and have what is reserved for it.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/stat.h>
#include <linux/xattr.h>

#include "format/vhd_format.h"
#include "bdev_io.h"
#include "io.h"

/* Pages of one synchronous transfer. */
#define VHD_IO_PAGES	16

/* No file has it. */
#define NO_SUCH_XATTR	XATTR_TRUSTED_PREFIX "vhdblk.never"

/* What direct I/O wants of memory and file position; false if unknown. */
static bool dio_alignment(struct file *file, u32 *mem, u32 *offset)
{
	struct inode *inode = file->f_mapping->host;
	struct block_device *bdev = NULL;
	struct kstat st = {};

	if (S_ISBLK(inode->i_mode)) {
		bdev = I_BDEV(inode);
	} else {
		if (!vfs_getattr(&file->f_path, &st, STATX_DIOALIGN, 0) &&
		    (st.result_mask & STATX_DIOALIGN)) {
			*mem = st.dio_mem_align;
			*offset = st.dio_offset_align;
			return *offset;
		}
		bdev = inode->i_sb->s_bdev;
	}
	*mem = bdev ? bdev_dma_alignment(bdev) + 1 : VHD_SECTOR_SIZE;
	*offset = bdev ? bdev_logical_block_size(bdev) : VHD_SECTOR_SIZE;
	return true;
}

/* Metadata are written as single sectors, so 512 must do or we go buffered. */
static bool dio_usable(struct vhd_file *f)
{
	u32 mem, offset;

	if (!(f->file->f_flags & O_DIRECT) || !dio_alignment(f->file, &mem, &offset))
		return false;
	if (offset > VHD_SECTOR_SIZE || mem > VHD_SECTOR_SIZE || !is_power_of_2(mem))
		return false;
	f->dma_align = mem - 1;
	return true;
}

static struct file *reopen(struct file *passed, bool write, bool direct)
{
	int flags = (write ? O_RDWR : O_RDONLY) | O_LARGEFILE | O_NOATIME;

	return dentry_open(&passed->f_path, flags | (direct ? O_DIRECT : 0), passed->f_cred);
}

static int open_private(struct vhd_file *f, bool buffered)
{
	struct file *file = ERR_PTR(-EINVAL);

	if (!buffered)
		file = reopen(f->passed, f->writable, true);
	if (IS_ERR(file) && PTR_ERR(file) == -EINVAL)
		file = reopen(f->passed, f->writable, false);
	f->file = NULL;
	if (IS_ERR(file))
		return PTR_ERR(file);
	f->file = file;
	if (file->f_op->read_iter && (!f->writable || file->f_op->write_iter))
		return 0;
	vhd_fput(file);
	f->file = NULL;
	return -EOPNOTSUPP;
}

/*
 * A page that stays in the page cache makes every later direct write slower.
 * Pages that somebody has mapped cannot be dropped; that costs speed only.
 */
static int drop_pages(struct vhd_file *f)
{
	struct address_space *mapping = f->file->f_mapping;
	int ret = filemap_write_and_wait(mapping);

	if (!ret)
		invalidate_inode_pages2(mapping);
	return ret;
}

/*
 * An NFS server gives a lock to an open file, and looks with each transfer whether that
 * file has it: another one of ours could write on when the lease is over and another
 * host has taken the image.
 */
static void use_locked_file(struct vhd_file *f)
{
	if (file_inode(f->passed)->i_sb->s_magic != NFS_SUPER_MAGIC)
		return;
	vhd_fput(f->file);
	f->file = get_file(f->passed);
}

/* As the opener: a server may be asked. */
static int open_files(struct vhd_file *f, bool buffered)
{
	int ret = open_private(f, buffered);

	if (ret)
		return ret;
	f->direct = dio_usable(f);
	if (!f->direct && (f->file->f_flags & O_DIRECT)) {
		vhd_fput(f->file);
		ret = open_private(f, true);
	}
	if (ret)
		return ret;
	use_locked_file(f);
	return drop_pages(f);
}

/* The file is open, and known to be direct or buffered. */
static void note_abilities(struct vhd_file *f)
{
	struct address_space *mapping = f->file->f_mapping;
	struct block_device *bdev = f->bdev ? I_BDEV(mapping->host) : NULL;

	/* That of a user is the user's. */
	if (f->file != f->passed)
		f->file->f_mode |= FMODE_NOCMTIME;
	f->target = f->direct ? bdev : NULL;
	f->nowait = f->direct && (f->file->f_mode & FMODE_NOWAIT) && (!bdev || bdev_nowait(bdev));
	f->stable = mapping_stable_writes(mapping) || (bdev && bdev_stable_writes(bdev));
	f->size = i_size_read(mapping->host);
}

/* Our own file is not bound to O_APPEND, so whoever is must not get one. */
static bool may_write_anywhere(const struct file *passed)
{
	return (passed->f_mode & FMODE_WRITE) && !(passed->f_flags & O_APPEND);
}

/**
 * vhd_file_open() - open our own file beside a descriptor of the requester
 * @f: filled; on success owns a reference on @passed
 * @passed: what the requester gave us
 * @write: for writing too; @passed must be writable, and not only at its end
 * @buffered: use the page cache even if direct I/O is possible
 *
 * The pages that the file already has in the page cache are written back and
 * dropped.
 *
 * Context: sleeps, no locks held.
 * Return: 0, -EBADF for a descriptor of the wrong mode, -EOPNOTSUPP for what is
 * neither a regular file nor a block device, or what opening it said.
 */
int vhd_file_open(struct vhd_file *f, struct file *passed, bool write, bool buffered)
{
	struct inode *inode = passed->f_mapping->host;
	const struct cred *old;
	int ret;

	memset(f, 0, sizeof(*f));
	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return -EOPNOTSUPP;
	if (!(passed->f_mode & FMODE_READ) || (write && !may_write_anywhere(passed)))
		return -EBADF;
	f->passed = get_file(passed);
	f->bdev = S_ISBLK(inode->i_mode);
	f->writable = write;
	old = vhd_io_as_opener(f);
	ret = open_files(f, buffered);
	revert_creds(old);
	if (ret) {
		vhd_file_close(f);
		return ret;
	}
	note_abilities(f);
	return 0;
}

/**
 * vhd_file_close() - drop both files
 * @f: what vhd_file_open() filled, or zeros
 *
 * Context: sleeps; no lock may be held that an open or close could want.
 */
void vhd_file_close(struct vhd_file *f)
{
	if (f->file) {
		if (f->writable)
			vhd_bdev_forget_pages(f);
		vhd_fput(f->file);
	}
	if (f->passed)
		vhd_fput(f->passed);
	memset(f, 0, sizeof(*f));
}

static void io_put(struct vhd_io *io)
{
	if (atomic_dec_and_test(&io->ref))
		io->done(io, io->ret);
}

/**
 * vhd_io_read_only() - may nothing be written any more?
 * @f: a file
 *
 * A file system that becomes read-only, in an emergency or for an error of its
 * own, lets open files be: it may go on writing what needs no metadata, and call
 * an fsync done that did nothing. A block device says so by itself.
 */
bool vhd_io_read_only(const struct vhd_file *f)
{
	return sb_rdonly(f->file->f_mapping->host->i_sb);
}

/* A block device has no file system that could be frozen under it. */
static bool io_freezes(struct vhd_io *io)
{
	return S_ISREG(file_inode(io->iocb.ki_filp)->i_mode);
}

static void io_complete(struct kiocb *iocb, long ret)
{
	struct vhd_io *io = container_of(iocb, struct vhd_io, iocb);

	if (io->write && io_freezes(io))
		kiocb_end_write(iocb);
	/* Again: the times may have been set since the write began. */
	if (io->write)
		vhd_io_note_write(io->f);
	io->ret = ret;
	io_put(io);
}

/*
 * kiocb_start_write() sleeps while the file system is frozen. A caller that
 * must not block gets -EAGAIN instead and tries again where it may.
 */
static int io_start_write(struct vhd_io *io)
{
	struct kiocb *iocb = &io->iocb;

	if (!io_freezes(io))
		return 0;
	if (vhd_io_read_only(io->f))
		return -EROFS;
	if (!(iocb->ki_flags & IOCB_NOWAIT)) {
		kiocb_start_write(iocb);
		return 0;
	}
	if (!file_start_write_trylock(iocb->ki_filp))
		return -EAGAIN;
	/* As kiocb_start_write() does: another task will end the write. */
	__sb_writers_release(file_inode(iocb->ki_filp)->i_sb, SB_FREEZE_WRITE);
	return 0;
}

static ssize_t start_transfer(struct vhd_io *io, struct iov_iter *iter)
{
	const struct file_operations *fop = io->f->file->f_op;
	const struct cred *old = NULL;
	ssize_t ret;

	if (io->f->target)
		return vhd_bdev_submit(io, iter);
	/* What must not block takes no space and asks no server. */
	if (!(io->iocb.ki_flags & IOCB_NOWAIT))
		old = vhd_io_as_opener(io->f);
	ret = io->write ? fop->write_iter(&io->iocb, iter) : fop->read_iter(&io->iocb, iter);
	if (old)
		revert_creds(old);
	return ret;
}

/**
 * vhd_io_submit() - start a transfer
 * @f: the file
 * @io: caller's, with @io->done and @io->write set; lives until @io->done
 * @iter: bvecs; they must live until @io->done, the iterator itself need not
 * @pos: position in the file, bytes
 * @flags: VHD_IO_NOWAIT: rather -EAGAIN than block. VHD_IO_DSYNC: durable on
 *	completion, with all metadata that reading it back needs
 *
 * Context: with VHD_IO_NOWAIT a thread of our own, whose plug, journal_info and
 * bio_list are its own; else any context that may sleep for long.
 */
void vhd_io_submit(struct vhd_file *f, struct vhd_io *io, struct iov_iter *iter,
		   loff_t pos, unsigned int flags)
{
	struct kiocb *iocb = &io->iocb;
	u16 prio = iocb->ki_ioprio;
	ssize_t ret;

	memset(iocb, 0, sizeof(*iocb));
	iocb->ki_filp = f->file;
	iocb->ki_pos = pos;
	iocb->ki_complete = io_complete;
	iocb->ki_ioprio = prio;
	iocb->ki_flags = (f->direct ? IOCB_DIRECT : 0) |
			 (flags & VHD_IO_NOWAIT ? IOCB_NOWAIT : 0) |
			 (flags & VHD_IO_DSYNC ? IOCB_DSYNC : 0);
	atomic_set(&io->ref, 2);
	io->f = f;
	if (io->write) {
		vhd_io_note_write(f);
		ret = io_start_write(io);
		if (ret) {
			io->ret = ret;
			io_put(io);
			io_put(io);
			return;
		}
		iocb->ki_flags |= IOCB_WRITE;
	}
	ret = start_transfer(io, iter);
	if (ret != -EIOCBQUEUED)
		io_complete(iocb, ret);
	io_put(io);
}

struct io_wait {
	struct vhd_io io;
	struct completion end;
};

static void wake_waiter(struct vhd_io *io, long ret)
{
	complete(&container_of(io, struct io_wait, io)->end);
}

static ssize_t transfer_page(struct vhd_file *f, loff_t pos, struct page *page, size_t len,
			     bool write)
{
	struct bio_vec bv = { .bv_page = page, .bv_len = len };
	struct io_wait w = { .io = { .write = write, .done = wake_waiter } };
	struct iov_iter iter;

	init_completion(&w.end);
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, &bv, 1, len);
	vhd_io_submit(f, &w.io, &iter, pos, 0);
	wait_for_completion(&w.end);
	return w.io.ret;
}

/*
 * By way of a page: network file systems take references on what they are given,
 * which memory from kmalloc() does not have.
 */
static ssize_t transfer(struct vhd_file *f, loff_t pos, void *buf, size_t len, bool write)
{
	struct page *page = alloc_page(GFP_KERNEL);
	ssize_t ret = 0;
	size_t done, part;

	if (!page)
		return -ENOMEM;
	for (done = 0; done < len; done += ret) {
		part = min_t(size_t, len - done, PAGE_SIZE);
		if (write)
			memcpy(page_address(page), buf + done, part);
		ret = transfer_page(f, pos + done, page, part, write);
		if (ret <= 0)
			break;
		if (!write)
			memcpy(buf + done, page_address(page), ret);
	}
	__free_page(page);
	return ret < 0 ? ret : done;
}

/**
 * vhd_io_read() - read and wait
 * @f: the file
 * @pos: bytes, a multiple of 512
 * @buf: any memory of the kernel's
 * @len: bytes, a multiple of 512
 *
 * Return: bytes read, fewer than @len at the end of the file, or an errno.
 */
ssize_t vhd_io_read(struct vhd_file *f, loff_t pos, void *buf, size_t len)
{
	return transfer(f, pos, buf, len, false);
}

/**
 * vhd_io_write() - write and wait until the file system has taken it
 * @f: the file
 * @pos: bytes, a multiple of 512
 * @buf: any memory of the kernel's
 * @len: bytes, a multiple of 512
 *
 * Durable only after vhd_io_fsync().
 *
 * Return: 0, -ENOSPC, -EDQUOT, -EIO (also for a write that made no progress) or
 * another errno of the file system.
 */
int vhd_io_write(struct vhd_file *f, loff_t pos, const void *buf, size_t len)
{
	ssize_t ret = transfer(f, pos, (void *)buf, len, true);

	if (ret < 0)
		return ret;
	return ret == len ? 0 : -EIO;
}

/*
 * When ext4 gives up its journal, what waited for a transaction to end goes on as if
 * all were well: an fsync a moment later is "done", and what was written is gone. But
 * from then on no other transaction begins. To remove what is not there begins one
 * and changes nothing. A frozen file system has had its journal emptied.
 */
static int ask_journal(struct vhd_file *f)
{
	struct inode *inode = file_inode(f->file);
	int ret;

	/* Read-only in an emergency it may have lost nothing, and must not be asked. */
	if (f->bdev || inode->i_sb->s_magic != EXT4_SUPER_MAGIC || vhd_io_read_only(f) ||
	    !file_start_write_trylock(f->file))
		return 0;
	inode_lock(inode);
	ret = __vfs_removexattr(file_mnt_idmap(f->file), file_dentry(f->file), NO_SUCH_XATTR);
	inode_unlock(inode);
	file_end_write(f->file);
	return (ret == -EROFS && !vhd_io_read_only(f)) || ret == -EIO ? ret : 0;
}

/**
 * vhd_io_fsync() - make everything written so far durable
 * @f: the file
 *
 * Always through the same struct file: the error of a lost write is reported
 * once for each of them, so the caller latches it.
 *
 * On a block device this is a flush, after pages that somebody else has made
 * dirty: their loss is an error too.
 *
 * Return: 0 or an errno.
 */
int vhd_io_fsync(struct vhd_file *f)
{
	const struct cred *old = vhd_io_as_opener(f);
	int ret = vfs_fsync(f->file, 1);

	if (!ret)
		ret = ask_journal(f);
	revert_creds(old);
	vhd_bdev_forget_pages(f);
	return ret;
}

/**
 * vhd_io_write_zeros() - write a range full of zeros
 * @f: the file
 * @pos: bytes, a multiple of 512
 * @len: bytes, a multiple of 512
 *
 * Return: 0 or an errno; on error any part may have been written.
 */
int vhd_io_write_zeros(struct vhd_file *f, loff_t pos, u64 len)
{
	struct page *zero = ZERO_PAGE(0);
	struct bio_vec bv[VHD_IO_PAGES];

	while (len) {
		struct io_wait w = { .io = { .write = true, .done = wake_waiter } };
		size_t part = min_t(u64, len, VHD_IO_PAGES * PAGE_SIZE), left = part;
		struct iov_iter iter;
		unsigned int n;

		for (n = 0; left; n++) {
			bv[n].bv_page = zero;
			bv[n].bv_offset = 0;
			bv[n].bv_len = min_t(size_t, left, PAGE_SIZE);
			left -= bv[n].bv_len;
		}
		init_completion(&w.end);
		iov_iter_bvec(&iter, ITER_SOURCE, bv, n, part);
		vhd_io_submit(f, &w.io, &iter, pos, 0);
		wait_for_completion(&w.end);
		if (w.io.ret <= 0)
			return w.io.ret ?: -EIO;
		pos += w.io.ret;
		len -= w.io.ret;
	}
	return 0;
}

/**
 * vhd_io_touch() - set the modification time of the requester's file
 * @f: a file
 *
 * Does so if it was written since the last time. Our own file never touches
 * time stamps; backup programs rely on them. A block device has none that
 * anybody looks at; there it is the page cache that stops showing the past.
 */
void vhd_io_touch(struct vhd_file *f)
{
	if (!READ_ONCE(f->modified) || vhd_io_read_only(f))
		return;
	WRITE_ONCE(f->modified, false);
	if (f->bdev) {
		vhd_bdev_forget_pages(f);
		return;
	}
	file_start_write(f->passed);
	file_update_time(f->passed);
	file_end_write(f->passed);
}
