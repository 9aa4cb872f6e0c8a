/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_ZERO_H
#define _VHDBLK_ZERO_H

#include "cmd.h"

void vhdblk_zero(struct vhdblk_cmd *cmd);

#endif /* _VHDBLK_ZERO_H */
