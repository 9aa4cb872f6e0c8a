// SPDX-License-Identifier: GPL-2.0
/*
 * What a program does to files, in order and with the data; and where to stop it.
 *
 * To be loaded with LD_PRELOAD. Everything that changes a file or a directory, or
 * that makes a change durable, goes to the file that RECORDER_LOG names; so do writes
 * that are handed to io_uring by liburing, when they are handed over. RECORDER_KILL
 * is "N,PART": change number N, of which PART eighths are done, is the last one
 * before SIGKILL. Standard streams and devices are not looked at.
 *
 * A change that goes round these functions is found out by who replays the log: it
 * leads to other files than there are.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(name) *)real(#name))
#define EIGHTHS 8u
/* Less than that at a place of its own is more than direct I/O takes. */
#define UNIT 4096u

enum kind {
	KIND_WRITE = 1,
	KIND_ZERO,
	KIND_GROW,
	KIND_SIZE,
	KIND_SYNC,
	KIND_SYNC_DIR,
	KIND_LINK,
	KIND_RENAME,
	KIND_UNLINK,
	KIND_UNKNOWN,
};

/**
 * struct record - what comes before the data in the log
 * @kind:	see &enum kind
 * @bytes:	of data that follow: what was written, or names
 * @ino:	inode
 * @pos:	byte of the file; of KIND_SYNC, I/Os under way in a ring
 * @len:	bytes; of KIND_SIZE, the new size
 */
struct record {
	uint32_t kind;
	uint32_t bytes;
	uint64_t ino;
	uint64_t pos;
	uint64_t len;
};

static int log_fd = -1;
static unsigned long kill_at, kill_part, changes;
static struct io_uring *the_ring;
static unsigned int submitted, left;

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

static __attribute__((constructor)) void recorder_start(void)
{
	const char *path = getenv("RECORDER_LOG"), *at = getenv("RECORDER_KILL");

	if (path)
		log_fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (path && log_fd < 0)
		abort();
	if (at && sscanf(at, "%lu,%lu", &kill_at, &kill_part) != 2)
		abort();
}

static void note(enum kind kind, uint64_t ino, uint64_t pos, uint64_t len, const void *data,
		 size_t bytes)
{
	struct record r = { .kind = kind, .bytes = bytes, .ino = ino, .pos = pos, .len = len };
	struct iovec part[] = {
		{ .iov_base = &r, .iov_len = sizeof(r) },
		{ .iov_base = (void *)data, .iov_len = bytes },
	};
	int err = errno;

	if (log_fd >= 0 && writev(log_fd, part, 2) != (ssize_t)(sizeof(r) + bytes))
		abort();
	errno = err;
}

static bool look_at(int fd, mode_t type, uint64_t *ino)
{
	struct stat st;

	if (fstat(fd, &st) || (st.st_mode & S_IFMT) != type)
		return false;
	*ino = st.st_ino;
	return true;
}

static bool is_file(int fd)
{
	uint64_t ino;

	return look_at(fd, S_IFREG, &ino);
}

static void note_file(enum kind kind, int fd, uint64_t pos, uint64_t len, const void *data)
{
	uint64_t ino;

	if (look_at(fd, S_IFREG, &ino))
		note(kind, ino, pos, len, data, data ? len : 0);
}

/* Is this the change that is not survived? */
static bool is_last(void)
{
	return ++changes == kill_at;
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

/* How much of a write the dying program gets done. */
static size_t part_of(size_t len)
{
	size_t part = len * kill_part / EIGHTHS;

	return kill_part < EIGHTHS ? part / UNIT * UNIT : len;
}

/* What has no parts is done or not. True if it is done, but nothing after it. */
static bool is_last_whole(void)
{
	bool last = is_last();

	if (last && kill_part < EIGHTHS / 2)
		die();
	return last;
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t pos)
{
	bool last = is_file(fd) && is_last();
	ssize_t n = REAL(pwrite)(fd, buf, last ? part_of(len) : len, pos);

	if (last)
		die();
	if (n > 0)
		note_file(KIND_WRITE, fd, pos, n, buf);
	return n;
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	bool last = is_file(fd) && is_last();
	ssize_t n = REAL(write)(fd, buf, last ? part_of(len) : len);

	if (last)
		die();
	if (n > 0 && is_file(fd))
		note_file(KIND_WRITE, fd, lseek(fd, 0, SEEK_CUR) - n, n, buf);
	return n;
}

EXPORT int ftruncate(int fd, off_t size)
{
	bool last = is_file(fd) && is_last_whole();
	int ret = REAL(ftruncate)(fd, size);

	if (last)
		die();
	if (!ret)
		note_file(KIND_SIZE, fd, 0, size, NULL);
	return ret;
}

static void note_fallocate(int fd, int mode, off_t pos, off_t len)
{
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		note_file(KIND_UNKNOWN, fd, pos, 0, NULL);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		note_file(KIND_ZERO, fd, pos, len, NULL);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		note_file(KIND_GROW, fd, pos, len, NULL);
}

EXPORT int fallocate(int fd, int mode, off_t pos, off_t len)
{
	bool last = is_file(fd) && is_last_whole();
	int ret = REAL(fallocate)(fd, mode, pos, len);

	if (last)
		die();
	if (!ret)
		note_fallocate(fd, mode, pos, len);
	return ret;
}

/* What has been handed over, and what the program knows to have ended. */
static uint64_t under_way(void)
{
	return left + (the_ring ? submitted - *the_ring->cq.khead : 0);
}

static int synced(int fd, int ret)
{
	char link[64], path[PATH_MAX];
	uint64_t ino;
	ssize_t n;

	if (!ret && look_at(fd, S_IFREG, &ino))
		note(KIND_SYNC, ino, under_way(), 0, NULL, 0);
	if (ret || !look_at(fd, S_IFDIR, &ino))
		return ret;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	note(KIND_SYNC_DIR, ino, 0, 0, path, n < 0 ? 0 : n);
	return ret;
}

EXPORT int fsync(int fd)
{
	if (is_last())
		die();
	return synced(fd, REAL(fsync)(fd));
}

EXPORT int fdatasync(int fd)
{
	if (is_last())
		die();
	return synced(fd, REAL(fdatasync)(fd));
}

static void note_name(enum kind kind, const char *from, const char *to)
{
	char names[2 * PATH_MAX + 2];
	struct stat st = { 0 };
	int n;

	if (kind != KIND_UNLINK && lstat(to, &st))
		abort();
	n = snprintf(names, sizeof(names), "%s", from) + 1;
	n += snprintf(names + n, sizeof(names) - n, "%s", to);
	note(kind, st.st_ino, 0, 0, names, n);
}

EXPORT int link(const char *from, const char *to)
{
	bool last = is_last_whole();
	int ret = REAL(link)(from, to);

	if (last)
		die();
	if (!ret)
		note_name(KIND_LINK, "", to);
	return ret;
}

/* Only AT_FDCWD and absolute names are ever used. */
EXPORT int linkat(int dir, const char *from, int to_dir, const char *to, int flags)
{
	bool last = is_last_whole();
	int ret = REAL(linkat)(dir, from, to_dir, to, flags);

	if (last)
		die();
	if (!ret)
		note_name(KIND_LINK, "", to);
	return ret;
}

EXPORT int rename(const char *from, const char *to)
{
	bool last = is_last_whole();
	int ret = REAL(rename)(from, to);

	if (last)
		die();
	if (!ret)
		note_name(KIND_RENAME, from, to);
	return ret;
}

EXPORT int unlink(const char *path)
{
	bool last = is_last_whole();
	int ret = REAL(unlink)(path);

	if (last)
		die();
	if (!ret)
		note_name(KIND_UNLINK, path, "");
	return ret;
}

EXPORT int mkostemp(char *template, int flags)
{
	bool last = is_last_whole();
	int fd = REAL(mkostemp)(template, flags);

	if (last)
		die();
	if (fd >= 0)
		note_name(KIND_LINK, "", template);
	return fd;
}

static bool creates(const char *path, int flags)
{
	return flags & O_CREAT && access(path, F_OK);
}

EXPORT int open(const char *path, int flags, ...)
{
	bool made = creates(path, flags), last = false;
	va_list more;
	mode_t mode;
	int fd;

	va_start(more, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
	va_end(more);
	if (made)
		last = is_last_whole();
	fd = REAL(open)(path, flags, mode);
	if (last)
		die();
	if (fd >= 0 && made)
		note_name(KIND_LINK, "", path);
	else if (fd >= 0 && flags & O_TRUNC)
		note_file(KIND_SIZE, fd, 0, 0, NULL);
	return fd;
}

/* The kernel could have done any of them, and so does a kill. */
static void die_in_ring(const struct io_uring *ring, unsigned int from, unsigned int to)
{
	const struct io_uring_sqe *s;

	for (; from != to; from++) {
		s = &ring->sq.sqes[from & *ring->sq.kring_mask];
		if (s->opcode == IORING_OP_WRITE && (kill_part >> from % 3) % 2)
			REAL(pwrite)(s->fd, (void *)(uintptr_t)s->addr, s->len, s->off);
	}
	die();
}

static void look_at_ring(struct io_uring *ring)
{
	unsigned int i, first = ring->sq.sqe_head, end = ring->sq.sqe_tail;
	const struct io_uring_sqe *s;

	the_ring = ring;
	for (i = first; i != end; i++) {
		s = &ring->sq.sqes[i & *ring->sq.kring_mask];
		submitted++;
		if (s->opcode == IORING_OP_READ)
			continue;
		if (is_last())
			die_in_ring(ring, first, end);
		note_file(s->opcode == IORING_OP_WRITE ? KIND_WRITE : KIND_UNKNOWN, s->fd, s->off,
			  s->len, (void *)(uintptr_t)s->addr);
	}
}

EXPORT int io_uring_submit(struct io_uring *ring)
{
	look_at_ring(ring);
	return REAL(io_uring_submit)(ring);
}

EXPORT int io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr)
{
	look_at_ring(ring);
	return REAL(io_uring_submit_and_wait)(ring, nr);
}

/* What it leaves is under way for good. */
EXPORT void io_uring_queue_exit(struct io_uring *ring)
{
	if (ring == the_ring) {
		left = under_way();
		submitted = 0;
		the_ring = NULL;
	}
	REAL(io_uring_queue_exit)(ring);
}
