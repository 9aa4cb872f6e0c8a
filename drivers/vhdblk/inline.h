/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_INLINE_H
#define _VHDBLK_INLINE_H

#include "cmd.h"

bool vhdblk_inline(struct vhdblk_cmd *cmd);

#endif /* _VHDBLK_INLINE_H */
