// SPDX-License-Identifier: GPL-2.0
/*
 * Questions that no packaged program asks.
 *
 * usage: probe geometry DEV	  HDIO_GETGEO as "cylinders heads sectors"
 *        probe readonly DEV	  BLKROGET
 *        probe rw DEV		  open for writing and write the first sector
 *				  back; prints ok or the errno's text
 *        probe hold DEV READY	  open exclusively, create READY, and keep the
 *				  device open until standard input ends
 *        probe fua DEV		  write the first sector back with RWF_DSYNC
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static int answer(const char *what)
{
	printf("%s\n", what);
	return 0;
}

static int geometry(const char *dev)
{
	struct hd_geometry geo = { 0 };
	int fd = open(dev, O_RDONLY);

	if (fd < 0 || ioctl(fd, HDIO_GETGEO, &geo) < 0)
		return answer(strerror(errno));
	printf("%u %u %u\n", geo.cylinders, geo.heads, geo.sectors);
	return 0;
}

static int readonly(const char *dev)
{
	int ro = -1, fd = open(dev, O_RDONLY);

	if (fd < 0 || ioctl(fd, BLKROGET, &ro) < 0)
		return answer(strerror(errno));
	printf("%d\n", ro);
	return 0;
}

static int write_back(const char *dev, int flags)
{
	struct iovec iov = { aligned_alloc(4096, 4096), 512 };
	int fd = open(dev, O_RDWR | O_DIRECT);

	if (fd < 0)
		return answer(strerror(errno));
	if (preadv2(fd, &iov, 1, 0, 0) != 512 ||
	    pwritev2(fd, &iov, 1, 0, flags) != 512)
		return answer(strerror(errno));
	return answer("ok");
}

static int hold(const char *dev, const char *ready)
{
	int fd = open(dev, O_RDONLY | O_EXCL), mark;
	char c;

	if (fd < 0) {
		perror(dev);
		return 1;
	}
	mark = open(ready, O_WRONLY | O_CREAT, 0644);
	if (mark < 0) {
		perror(ready);
		return 1;
	}
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "geometry"))
		return geometry(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "readonly"))
		return readonly(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "rw"))
		return write_back(argv[2], 0);
	if (argc == 3 && !strcmp(argv[1], "fua"))
		return write_back(argv[2], RWF_DSYNC);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3]);
	fprintf(stderr, "usage: probe geometry|readonly|rw|fua|hold DEV\n");
	return 2;
}
