/* SPDX-License-Identifier: GPL-2.0 */
/* Zeros in files, and holes in their place. */
#ifndef VHDCTL_SPARSE_H
#define VHDCTL_SPARSE_H

#include "file.h"

#define PAGE_BYTES	4096u
#define PIECE_BYTES	(256u << 10)

bool is_zero(const void *buf, size_t len);
u64 next_data(const struct image *img, u64 pos, u64 end, u64 *data_end);
int punch(const struct image *img, u64 pos, u64 len);
int write_sparse(const struct image *img, const u8 *buf, size_t len, u64 pos);
int punch_zeros(struct image *img, u64 *punched, bool progress);

#endif /* VHDCTL_SPARSE_H */
