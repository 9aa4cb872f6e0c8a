#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl convert goes around the page cache, whatever its source's blocks are aligned to."""

import mmap
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from convert_test import Builder, Test  # noqa: E402
from kit import HERE, MIB, OK  # noqa: E402


def cached(path):
    """Bytes of a file that the page cache holds."""
    done = subprocess.run(["fincore", "-bnro", "RES", path], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def direct_sectors(path):
    """Does the file system read single sectors around the page cache?"""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return False
    try:
        with mmap.mmap(-1, 4096) as memory:
            return os.preadv(fd, [memoryview(memory)[:512]], 512) == 512
    except OSError:
        return False
    finally:
        os.close(fd)


def cold(test):
    """Blocks that lie on single sectors, as QEMU's do, are not read by way of the page cache."""
    made = Builder("cold", 7, {"layers": [{"writer": "qemu", "size": 24 * MIB,
                                           "runs": [[0, 40000, "name"]]}]}).write()
    path = os.path.join("cold", made["leaf"])
    if not direct_sectors(path):
        test.skip("no direct I/O of single sectors here")
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before = cached(path)
    test.run("cold source", OK, "", "convert", path, "cold.raw")
    after = cached(path)
    test.verdict(after - before < 4 * MIB, "a cold source stays cold", f"{before}, then {after}")


def main():
    """On a file system that has a disk."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as work:
        os.chdir(work)
        test = Test(work)
        cold(test)
        os.chdir(HERE)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
