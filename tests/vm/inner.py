#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the initramfs of a guest in the VM, which runs guest/inner, to a file."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import initramfs  # noqa: E402

# What its disk and the file system there need, checksums included.
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")

if __name__ == "__main__":
    out, modules_dir = sys.argv[1:]
    initramfs.write(out, {"init": os.path.join(HERE, "guest", "inner")}, modules_dir, MODULES)
