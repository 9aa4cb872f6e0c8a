// SPDX-License-Identifier: GPL-2.0
/* See cutdm.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cutdm.h"

#define TEXT 400u
/* Somebody who looks at new devices may have it open for a moment: half a minute. */
#define BUSY_TRIES 3000
#define BUSY_US 10000

/* One request with all that any of them may carry. */
struct request {
	struct dm_ioctl io;
	union {
		struct {
			struct dm_target_msg msg;
			char message[TEXT];
		};
		struct {
			struct dm_target_spec spec;
			char table[TEXT];
		};
	};
};

static int control(unsigned long command, const char *name, struct request *r)
{
	int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return -1;
	r->io.version[0] = DM_VERSION_MAJOR;
	r->io.data_size = sizeof(*r);
	r->io.data_start = sizeof(r->io);
	snprintf(r->io.name, sizeof(r->io.name), "%s", name);
	ret = ioctl(fd, command, r);
	close(fd);
	return ret;
}

/**
 * dm_message() - a message to the target of a mapped device
 * @name:	of the device
 * @message:	to its first sector
 *
 * Return: 0, or -1 with errno.
 */
int dm_message(const char *name, const char *message)
{
	struct request r = { 0 };

	snprintf(r.message, sizeof(r.message), "%s", message);
	return control(DM_TARGET_MSG, name, &r);
}

static int load(const char *name, u64 sects, const char *target, const char *table)
{
	struct request r = { .io.target_count = 1, .spec.length = sects };

	snprintf(r.spec.target_type, sizeof(r.spec.target_type), "%s", target);
	snprintf(r.table, sizeof(r.table), "%s", table);
	return control(DM_TABLE_LOAD, name, &r);
}

/**
 * dm_create() - a mapped device with one target
 * @name:	of the device
 * @sects:	its size
 * @target:	type of the target
 * @table:	its parameters
 *
 * Return: the minor number, so that it is /dev/dm-MINOR, or -1 with errno.
 */
int dm_create(const char *name, u64 sects, const char *target, const char *table)
{
	struct request made = { 0 }, resumed = { 0 };
	int err;

	if (control(DM_DEV_CREATE, name, &made))
		return -1;
	if (!load(name, sects, target, table) && !control(DM_DEV_SUSPEND, name, &resumed))
		/* Minors have 20 bits, the upper 12 of them above the major. */
		return (made.io.dev & 0xff) | (made.io.dev >> 12 & 0xfff00);
	err = errno;
	dm_remove(name);
	errno = err;
	return -1;
}

/**
 * dm_remove() - remove a mapped device, as soon as nobody has it open
 * @name:	of the device
 *
 * Return: 0, or -1 with errno.
 */
int dm_remove(const char *name)
{
	int tries = BUSY_TRIES, ret;

	do {
		struct request r = { 0 };

		ret = control(DM_DEV_REMOVE, name, &r);
	} while (ret && errno == EBUSY && tries-- && !usleep(BUSY_US));
	return ret;
}
