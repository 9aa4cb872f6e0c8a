/* SPDX-License-Identifier: GPL-2.0 */
/* As much of device-mapper as power cuts need, without starting dmsetup. */
#ifndef _VM_CUTDM_H
#define _VM_CUTDM_H

#include <vhd_platform.h>

int dm_message(const char *name, const char *message);
int dm_create(const char *name, u64 sects, const char *target, const char *table);
int dm_remove(const char *name);

#endif /* _VM_CUTDM_H */
