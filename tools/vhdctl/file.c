// SPDX-License-Identifier: GPL-2.0
/*
 * Opening, locking and reading one image.
 *
 * Paths come from images that anybody may have written. So a file is first
 * opened with O_PATH, which has no side effects (opening a watchdog or a tape
 * has), looked at, and only then opened for real through its descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "vhdctl.h"

static int open_path(const char *path, int beneath)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (beneath < 0)
		fd = open(path, O_PATH | O_CLOEXEC);
	else
		fd = syscall(SYS_openat2, beneath, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* Files of these are not on any disk, and reading one may do anything. */
static bool is_kernel_fs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC;
}

static int look_at(struct image *img, int fd, const struct image_how *how)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	img->block_device = S_ISBLK(st.st_mode);
	img->why = "neither a regular file nor a block device";
	if (!S_ISREG(st.st_mode) && !img->block_device)
		return -EOPNOTSUPP;
	if (!img->block_device && is_kernel_fs(fd))
		return -EOPNOTSUPP;
	img->why = "a block device, which must be named with --parent";
	if (img->block_device && !how->named)
		return -EOPNOTSUPP;
	img->why = NULL;
	img->dev = img->block_device ? st.st_rdev : st.st_dev;
	img->ino = img->block_device ? 0 : st.st_ino;
	img->size = st.st_size;
	img->mtime = st.st_mtime - VHD_EPOCH;
	return 0;
}

static int reopen(struct image *img, int path_fd, bool write)
{
	int flags = (write ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	img->fd = open(name, flags);
	if (img->fd < 0)
		return -errno;
	fcntl(img->fd, F_SETFL, fcntl(img->fd, F_GETFL) & ~O_NONBLOCK);
	if (img->block_device && ioctl(img->fd, BLKGETSIZE64, &img->size))
		return -errno;
	img->writable = write;
	return 0;
}

/**
 * image_open_found() - open a file that somebody has found already
 * @img:	result; to be closed in any case
 * @path:	its name, kept as a copy
 * @path_fd:	from open(2) with O_PATH; stays with the caller
 * @how:	see &struct image_how
 *
 * Return: 0 or a negative errno; image_report() says it in words.
 */
int image_open_found(struct image *img, const char *path, int path_fd,
		     const struct image_how *how)
{
	int ret;

	memset(img, 0, sizeof(*img));
	img->fd = -1;
	img->bitmap_block = ~0u;
	img->path = strdup(path);
	if (!img->path)
		return -ENOMEM;
	if (path_fd < 0)
		return path_fd;
	ret = look_at(img, path_fd, how);
	return ret ? ret : reopen(img, path_fd, how->write);
}

/**
 * image_open() - open a file that may be an image
 * @img:	result; to be closed in any case
 * @path:	its name, kept as a copy
 * @how:	see &struct image_how
 *
 * Return: 0 or a negative errno; image_report() says it in words.
 */
int image_open(struct image *img, const char *path, const struct image_how *how)
{
	int fd = open_path(path, how->beneath);
	int ret = image_open_found(img, path, fd, how);

	if (fd >= 0)
		close(fd);
	return ret;
}

/**
 * image_refresh_size() - see how long a file has become, and when
 * @img:	an open image; nothing changes for a block device
 *
 * Return: 0 or a negative errno.
 */
int image_refresh_size(struct image *img)
{
	struct stat st;

	if (img->block_device)
		return 0;
	if (fstat(img->fd, &st))
		return -errno;
	img->size = st.st_size;
	img->mtime = st.st_mtime - VHD_EPOCH;
	return 0;
}

/**
 * image_lock() - take the lock that the driver and all commands respect
 * @img:	an open image
 * @write:	exclusive instead of shared
 *
 * It is a lock of the open file description (OFD) over the whole file, so it
 * goes with the descriptor to the kernel.
 *
 * Return: 0, -EAGAIN if somebody else holds it, another negative errno.
 */
int image_lock(struct image *img, bool write)
{
	struct flock fl = {
		.l_type = write ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
	};

	if (!fcntl(img->fd, F_OFD_SETLK, &fl))
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/**
 * image_read() - read all of a range
 * @img:	an open image
 * @buf:	where to
 * @len:	bytes
 * @pos:	file position in bytes
 *
 * Return: 0, -ENODATA if the file ends before, another negative errno.
 */
int image_read(const struct image *img, void *buf, size_t len, u64 pos)
{
	ssize_t n;

	while (len) {
		n = pread(img->fd, buf, len, pos);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		buf = (char *)buf + n;
		pos += n;
		len -= n;
	}
	return 0;
}

/**
 * image_write() - write all of a range
 * @img:	an image open for writing
 * @buf:	what
 * @len:	bytes
 * @pos:	file position in bytes
 *
 * Return: 0 or a negative errno.
 */
int image_write(const struct image *img, const void *buf, size_t len, u64 pos)
{
	ssize_t n;

	while (len) {
		n = pwrite(img->fd, buf, len, pos);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf = (const char *)buf + n;
		pos += n;
		len -= n;
	}
	return 0;
}

/*
 * A file of 512n+511 bytes may end in a 511-byte footer, which starts on a sector
 * boundary. Else the footer is the last 512 bytes, on a boundary or not: a fixed
 * image may have any size.
 */
static int read_end(struct image *img)
{
	u32 bytes = min_t(u64, VHD_SECTOR_SIZE, img->size);
	int ret;

	img->end_bytes = bytes;
	ret = image_read(img, &img->end, bytes, img->size - bytes);
	if (ret || img->size % VHD_SECTOR_SIZE != VHD_SECTOR_SIZE - 1 ||
	    !memcmp(img->end.cookie, VHD_FOOTER_COOKIE, sizeof(img->end.cookie)))
		return ret;
	img->end_bytes = VHD_SECTOR_SIZE - 1;
	memset(&img->end, 0, sizeof(img->end));
	return image_read(img, &img->end, img->end_bytes, img->size - img->end_bytes);
}

static int read_footers(struct image *img)
{
	int ret;

	memset(&img->end, 0, sizeof(img->end));
	memset(&img->copy, 0, sizeof(img->copy));
	ret = image_read(img, &img->copy, min_t(u64, sizeof(img->copy), img->size), 0);
	return ret ? ret : read_end(img);
}

static int fail(struct image *img, enum vhd_fault fault)
{
	img->fault = fault;
	return vhd_fault_errno(fault);
}

static int choose_footer(struct image *img)
{
	enum vhd_fault fault;

	fault = vhd_footer_choose(&img->end, &img->copy, img->end_bytes, &img->choice);
	if (fault)
		return fail(img, fault);
	img->footer = img->choice.place == VHD_FOOTER_COPY ? img->copy : img->end;
	return 0;
}

static int read_header(struct image *img)
{
	u64 pos = be64_to_cpu(img->footer.data_offset);

	if (vhd_footer_type(&img->footer) == VHD_TYPE_FIXED)
		return 0;
	if (pos > img->size || img->size - pos < sizeof(img->header))
		return fail(img, VHD_FAULT_FOOTER_DATA_OFFSET);
	return image_read(img, &img->header, sizeof(img->header), pos);
}

/* libvhd puts the batmap's header into the sector behind the padded BAT. */
static bool has_batmap(const struct image *img, struct vhd_batmap *b)
{
	u64 pos = (img->layout.bat_sect + img->layout.bat_sects) << VHD_SECTOR_SHIFT;
	size_t len = vhd_batmap_map_bytes(&img->layout);
	bool sound = false;
	void *map;

	if (image_read(img, b, sizeof(*b), pos) ||
	    !vhd_batmap_check(b, &img->layout, img->size))
		return false;
	map = malloc(len);
	if (map && !image_read(img, map, len, pos + sizeof(*b)))
		sound = vhd_batmap_map_checksum(map, len) == be32_to_cpu(b->checksum);
	free(map);
	return sound;
}

/**
 * image_lay_out() - see where everything lies
 * @img:	with footer, its place and header
 * @rule:	which field gives the size of the disk
 *
 * Return: 0, or a negative errno with img->fault set if a check failed.
 */
int image_lay_out(struct image *img, enum vhd_size_rule rule)
{
	u64 end_sect = img->size >> VHD_SECTOR_SHIFT;
	enum vhd_fault fault;
	struct vhd_batmap b;

	if (img->choice.place == VHD_FOOTER_END)
		end_sect = (img->size - VHD_SECTOR_SIZE) >> VHD_SECTOR_SHIFT;
	fault = vhd_layout_init(&img->layout, &img->footer, &img->header, end_sect, rule);
	if (fault)
		return fail(img, fault);
	if (img->layout.type != VHD_TYPE_FIXED && has_batmap(img, &b))
		vhd_layout_set_batmap(&img->layout, &b);
	return 0;
}

/**
 * image_load() - read and check footers, header and layout
 * @img:	an open image
 * @rule:	which field gives the size of the disk
 *
 * Return: 0, or a negative errno with img->fault set if a check failed.
 */
int image_load(struct image *img, enum vhd_size_rule rule)
{
	int ret;

	img->fault = VHD_OK;
	if (img->size < VHD_SECTOR_SIZE - 1)
		return fail(img, VHD_FAULT_TOO_SMALL);
	ret = read_footers(img);
	if (!ret)
		ret = choose_footer(img);
	if (!ret)
		ret = read_header(img);
	return ret ? ret : image_lay_out(img, rule);
}

/**
 * image_set_raw() - treat the file as the bytes of the disk
 * @img:	an open image
 */
void image_set_raw(struct image *img)
{
	img->raw = true;
	img->fault = VHD_OK;
	memset(&img->layout, 0, sizeof(img->layout));
	img->layout.type = VHD_TYPE_FIXED;
	img->layout.capacity = img->size >> VHD_SECTOR_SHIFT;
	img->layout.end = img->layout.capacity;
}

/**
 * image_close() - give back everything, lock included
 * @img:	from image_open(), whatever that returned; zeroed is fine
 */
void image_close(struct image *img)
{
	if (img->path && img->fd >= 0)
		close(img->fd);
	free(img->path);
	free(img->bat);
	free(img->bitmap);
	memset(img, 0, sizeof(*img));
	img->fd = -1;
}

/**
 * image_same_file() - are two images the same file or device
 * @a:	an open image
 * @b:	an open image
 */
bool image_same_file(const struct image *a, const struct image *b)
{
	return a->block_device == b->block_device && a->dev == b->dev && a->ino == b->ino;
}

static void hint_for(const struct image *img, int err)
{
	switch (err) {
	case -EAGAIN:
		msg_hint("it is attached or another program works on it; see 'vhdctl list'");
		break;
	case -ETXTBSY:
		msg_hint("it is a parent of an attached device; use -r, or make a child");
		break;
	case -EACCES:
	case -EPERM:
		msg_hint("run as a user who may open it");
		break;
	case -EINVAL:
		if (img->fault)
			msg_hint("a raw disk or another format? see 'qemu-img info'");
		break;
	case -EUCLEAN:
		msg_hint("see 'vhdctl check %s'", img->path);
		break;
	case -EOPNOTSUPP:
		if (img->fault == VHD_FAULT_SHORT_FOOTER)
			msg_hint("attach it with -r, or mend it with 'vhdctl check --repair'");
		break;
	}
}

/**
 * image_report() - say why an operation on an image failed
 * @img:	the image
 * @layer:	its place in the chain, 0 is the leaf
 * @err:	negative errno
 *
 * Return: &enum vhdctl_exit for it.
 */
int image_report(const struct image *img, unsigned int layer, int err)
{
	const char *text = strerror(-err);

	if (img->fault)
		text = vhd_fault_str(img->fault);
	else if (img->why)
		text = img->why;
	else if (err == -EAGAIN)
		text = "is in use (locked)";
	else if (err == -ENODATA)
		text = "the file is shorter than it was or claims to be";
	if (layer)
		msg_error("%s (layer %u): %s", img->path, layer, text);
	else
		msg_error("%s: %s", img->path, text);
	hint_for(img, err);
	return img->fault ? exit_of_fault(img->fault) : exit_of_errno(err);
}
