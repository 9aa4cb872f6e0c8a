/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User half of the platform pair; drivers/vhdblk/ has the kernel's. Only what
 * the format library needs: if this grows past 80 lines, that library has
 * stopped being pure.
 */
#ifndef _VHD_PLATFORM_H
#define _VHD_PLATFORM_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#ifdef __CHECKER__
#define __force		__attribute__((force))
#else
#define __force
#endif

#ifdef __clang__
/* static_assert without a message is an extension before C23. */
#pragma clang diagnostic ignored "-Wc2x-extensions"
#endif

#ifndef __packed
#define __attr(a)	__attribute__((a))
#define __packed	__attr(packed)
#endif

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)	({ typeof(d) _d = (d); ((n) + _d - 1) / _d; })
#define min_t(type, a, b)	({ type _a = (a); type _b = (b); _a < _b ? _a : _b; })
#define max_t(type, a, b)	({ type _a = (a); type _b = (b); _a > _b ? _a : _b; })

static inline u16 be16_to_cpu(__be16 v)
{
	return be16toh((__force u16)v);
}

static inline u32 be32_to_cpu(__be32 v)
{
	return be32toh((__force u32)v);
}

static inline u64 be64_to_cpu(__be64 v)
{
	return be64toh((__force u64)v);
}

static inline __be16 cpu_to_be16(u16 v)
{
	return (__force __be16)htobe16(v);
}

static inline __be32 cpu_to_be32(u32 v)
{
	return (__force __be32)htobe32(v);
}

static inline __be64 cpu_to_be64(u64 v)
{
	return (__force __be64)htobe64(v);
}

#endif /* _VHD_PLATFORM_H */
