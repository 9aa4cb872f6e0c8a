// SPDX-License-Identifier: GPL-2.0
/* Files read and written around the page cache, where they can be. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert.h"

#ifdef STATX_DIOALIGN
/* Kernels from 6.1 on know, of most file systems. */
static void ask_alignment(struct direct_fd *d)
{
	struct statx st;

	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) ||
	    !(st.stx_mask & STATX_DIOALIGN) || !st.stx_dio_offset_align)
		return;
	d->align = max_t(u32, d->align, st.stx_dio_offset_align);
	d->mem_align = max_t(u32, d->mem_align, st.stx_dio_mem_align);
}
#else
static void ask_alignment(struct direct_fd *d)
{
	(void)d;
}
#endif

/**
 * direct_open() - open a file a second time, with O_DIRECT
 * @d:		result
 * @fd:		open file
 * @write:	for writing
 *
 * Where pages are larger than ours, a write through the page cache could put back
 * what lay beside it before a direct one: then all goes through the cache. A read
 * changes no page, so single sectors will do, if the file system has nothing against
 * it: that is how QEMU lays out its blocks.
 */
void direct_open(struct direct_fd *d, int fd, bool write)
{
	char name[64];

	*d = (struct direct_fd){ .fd = -1, .mem_align = VHD_SECTOR_SIZE };
	d->align = write ? CONVERT_PAGE : VHD_SECTOR_SIZE;
	if (write && sysconf(_SC_PAGESIZE) > CONVERT_PAGE)
		return;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	d->fd = open(name, (write ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (d->fd >= 0)
		ask_alignment(d);
}

/**
 * direct_close() - close what direct_open() opened
 * @d:	may have been opened in vain
 */
void direct_close(struct direct_fd *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/**
 * direct_fits() - can this be read or written around the page cache
 * @d:		the file
 * @buf:	memory
 * @len:	bytes
 * @pos:	file position in bytes
 */
bool direct_fits(const struct direct_fd *d, const void *buf, u64 len, u64 pos)
{
	return d->fd >= 0 && !((pos | len) % d->align) && !((uintptr_t)buf % d->mem_align);
}
