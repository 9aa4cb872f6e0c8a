/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/vhdblk.yaml */
/* YNL-GEN uapi header */

#ifndef _UAPI_LINUX_VHDBLK_H
#define _UAPI_LINUX_VHDBLK_H

#define VHDBLK_FAMILY_NAME	"vhdblk"
#define VHDBLK_FAMILY_VERSION	1

/**
 * enum vhdblk_attach_flag - How to attach a chain.
 * @VHDBLK_ATTACH_READ_ONLY: The leaf is only read.
 * @VHDBLK_ATTACH_IGNORE_ID_MISMATCH: Accept parents whose unique id is not the
 *   one that the child names.
 * @VHDBLK_ATTACH_AUTOCLEAR: Detach at the last close after the first exclusive
 *   open.
 * @VHDBLK_ATTACH_NO_PARTSCAN: Do not look for partitions.
 * @VHDBLK_ATTACH_BUFFERED: Use the page cache of the files instead of direct
 *   I/O.
 * @VHDBLK_ATTACH_INLINE: Serve requests in whoever submits them, where that is
 *   safe. Experimental.
 */
enum vhdblk_attach_flag {
	VHDBLK_ATTACH_READ_ONLY = 1,
	VHDBLK_ATTACH_IGNORE_ID_MISMATCH = 2,
	VHDBLK_ATTACH_AUTOCLEAR = 4,
	VHDBLK_ATTACH_NO_PARTSCAN = 8,
	VHDBLK_ATTACH_BUFFERED = 16,
	VHDBLK_ATTACH_INLINE = 32,
};

/**
 * enum vhdblk_detach_flag - How to detach a device.
 * @VHDBLK_DETACH_LAZY: Detach when the last opener closes the device.
 * @VHDBLK_DETACH_FORCE: Fail queued and new I/O and detach although the device
 *   is open.
 */
enum vhdblk_detach_flag {
	VHDBLK_DETACH_LAZY = 1,
	VHDBLK_DETACH_FORCE = 2,
};

/**
 * enum vhdblk_layer_flag - Properties of one file of a chain.
 * @VHDBLK_LAYER_RAW: Not a VHD: the bytes of the file are the disk. Only the
 *   last layer may be raw.
 * @VHDBLK_LAYER_DIRECT: Read and written by direct I/O.
 * @VHDBLK_LAYER_READ_ONLY: Opened for reading only.
 */
enum vhdblk_layer_flag {
	VHDBLK_LAYER_RAW = 1,
	VHDBLK_LAYER_DIRECT = 2,
	VHDBLK_LAYER_READ_ONLY = 4,
};

/**
 * enum vhdblk_device_flag - State of a device.
 * @VHDBLK_DEVICE_READ_ONLY: Writes are refused.
 * @VHDBLK_DEVICE_AUTOCLEAR: Detaches by itself at the last close.
 * @VHDBLK_DEVICE_DETACHING: A detach is under way or waits for the last close.
 * @VHDBLK_DEVICE_FAILED: A metadata write or fsync failed: flushes and
 *   allocating writes fail.
 * @VHDBLK_DEVICE_NO_SPACE: The last attempt to extend the leaf found no space.
 * @VHDBLK_DEVICE_INLINE: Attached for inline submission.
 */
enum vhdblk_device_flag {
	VHDBLK_DEVICE_READ_ONLY = 1,
	VHDBLK_DEVICE_AUTOCLEAR = 2,
	VHDBLK_DEVICE_DETACHING = 4,
	VHDBLK_DEVICE_FAILED = 8,
	VHDBLK_DEVICE_NO_SPACE = 16,
	VHDBLK_DEVICE_INLINE = 32,
};

/**
 * enum vhdblk_size_rule - Which field of the footer gives the size of the
 *   disk.
 */
enum vhdblk_size_rule {
	VHDBLK_SIZE_AUTO,
	VHDBLK_SIZE_CHS,
	VHDBLK_SIZE_CURRENT,
};

/**
 * enum vhdblk_event - What an event message reports.
 */
enum vhdblk_event {
	VHDBLK_EVENT_JOB_DONE,
	VHDBLK_EVENT_ATTACHED,
	VHDBLK_EVENT_DETACHED,
	VHDBLK_EVENT_PROGRESS,
	VHDBLK_EVENT_IO_ERROR,
	VHDBLK_EVENT_NO_SPACE,
	VHDBLK_EVENT_SPACE_RETURNED,
};

enum {
	VHDBLK_A_INDEX = 1,
	VHDBLK_A_JOB,
	VHDBLK_A_FLAGS,
	VHDBLK_A_NAME,
	VHDBLK_A_SIZE_RULE,
	VHDBLK_A_LAYER,
	VHDBLK_A_CAPACITY,
	VHDBLK_A_BLOCK_SIZE,
	VHDBLK_A_COUNTERS,
	VHDBLK_A_EVENT,
	VHDBLK_A_ERROR,
	VHDBLK_A_FAULT,
	VHDBLK_A_FAULT_LAYER,
	VHDBLK_A_TEXT,
	VHDBLK_A_DONE,
	VHDBLK_A_MAJOR,
	VHDBLK_A_MINOR,
	VHDBLK_A_PAD,

	__VHDBLK_A_MAX,
	VHDBLK_A_MAX = (__VHDBLK_A_MAX - 1)
};

enum {
	VHDBLK_A_LAYER_FD = 1,
	VHDBLK_A_LAYER_FLAGS,
	VHDBLK_A_LAYER_PATH,
	VHDBLK_A_LAYER_TYPE,
	VHDBLK_A_LAYER_UUID,
	VHDBLK_A_LAYER_CAPACITY,
	VHDBLK_A_LAYER_ALLOCATED,
	VHDBLK_A_LAYER_BLOCKS,
	VHDBLK_A_LAYER_BLOCK_SIZE,
	VHDBLK_A_LAYER_MISALIGNED,
	VHDBLK_A_LAYER_PAD,

	__VHDBLK_A_LAYER_MAX,
	VHDBLK_A_LAYER_MAX = (__VHDBLK_A_LAYER_MAX - 1)
};

enum {
	VHDBLK_A_COUNTERS_FAST = 1,
	VHDBLK_A_COUNTERS_SLOW,
	VHDBLK_A_COUNTERS_HOLES,
	VHDBLK_A_COUNTERS_ALLOCATIONS,
	VHDBLK_A_COUNTERS_FREES,
	VHDBLK_A_COUNTERS_RESOLVES,
	VHDBLK_A_COUNTERS_COMMITS,
	VHDBLK_A_COUNTERS_FLUSHES,
	VHDBLK_A_COUNTERS_FSYNCS,
	VHDBLK_A_COUNTERS_EXTENSIONS,
	VHDBLK_A_COUNTERS_IO_ERRORS,
	VHDBLK_A_COUNTERS_MAP_BYTES,
	VHDBLK_A_COUNTERS_PAD,
	VHDBLK_A_COUNTERS_INLINE,
	VHDBLK_A_COUNTERS_RESCUED,
	VHDBLK_A_COUNTERS_CACHE_BYTES,
	VHDBLK_A_COUNTERS_CACHE_MAX,

	__VHDBLK_A_COUNTERS_MAX,
	VHDBLK_A_COUNTERS_MAX = (__VHDBLK_A_COUNTERS_MAX - 1)
};

enum vhdblk_cmd {
	VHDBLK_CMD_ATTACH = 1,
	VHDBLK_CMD_DETACH,
	VHDBLK_CMD_GET,
	VHDBLK_CMD_SET,
	VHDBLK_CMD_EVENT,

	__VHDBLK_CMD_MAX,
	VHDBLK_CMD_MAX = (__VHDBLK_CMD_MAX - 1)
};

#define VHDBLK_MCGRP_EVENTS	"events"

#endif /* _UAPI_LINUX_VHDBLK_H */
