/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHD_BDEV_IO_H
#define _VHD_BDEV_IO_H

#include "io.h"

ssize_t vhd_bdev_submit(struct vhd_io *io, struct iov_iter *iter);
int vhd_bdev_zero(struct block_device *bdev, loff_t pos, u64 len, bool unmap);
void vhd_bdev_discard(struct block_device *bdev, loff_t pos, u64 len);
void vhd_bdev_forget_pages(struct vhd_file *f);

#endif /* _VHD_BDEV_IO_H */
