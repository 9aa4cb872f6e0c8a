/* SPDX-License-Identifier: GPL-2.0 */
/* Kernel half of the platform pair; tools/include/ has the other. */
#ifndef _VHD_PLATFORM_H
#define _VHD_PLATFORM_H

#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#endif /* _VHD_PLATFORM_H */
