#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the initramfs of a guest in the VM to a file.

usage: inner.py FILE MODULES_DIR [SCRIPT MODULE...]

It runs guest/inner, or SCRIPT when it has loaded these modules.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import initramfs  # noqa: E402

# What its disk and the file system there need, checksums included.
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")

if __name__ == "__main__":
    out, modules_dir, *own = sys.argv[1:]
    script, *modules = own or (os.path.join(HERE, "guest", "inner"), *MODULES)
    initramfs.write(out, {"init": script}, modules_dir, modules)
