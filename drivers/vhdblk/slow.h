/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_SLOW_H
#define _VHDBLK_SLOW_H

#include "cmd.h"

int vhdblk_slow_start(struct vhdblk_slow *s, const char *name);
void vhdblk_slow_stop(struct vhdblk_slow *s);

#endif /* _VHDBLK_SLOW_H */
