# SPDX-License-Identifier: GPL-2.0
"""What the tests of vhdctl share: the program, locks, bytes of files, the count of results.

Importing it makes the modules of tests/images known.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "images"))

# pylint: disable=wrong-import-position
from vhdread import Image  # noqa: E402
from vhdspec import UNUSED  # noqa: E402

VHDCTL = os.environ.get("VHDCTL", os.path.join(TOP, "build", "vhdctl"))
SECONDS = 300
SECTOR = 512
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
OK, ERROR, CORRUPT, MISSING, MISMATCH, BUSY, UNSUPPORTED, NO_SPACE, DIFFER = 0, 1, 2, 4, 5, 6, 7, 8, 9
# Python 3.11 has no names for these.
F_OFD_GETLK, F_OFD_SETLK = 36, 37


def file_bytes(path):
    """All of a file."""
    with open(path, "rb") as file:
        return file.read()


def write_file(path, data):
    """Another content."""
    with open(path, "wb") as file:
        file.write(data)


def entries(path):
    """Those of the BAT that are in use."""
    image = Image(path)
    image.close()
    return [entry for entry in image.bat if entry != UNUSED]


def lock(file, kind):
    """The lock that vhdctl and the driver respect, as long as the file is open."""
    fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))


def fast_folder(least=1 << 28):
    """Where barriers cost nothing, if there is so much room: for tempfile, None if nowhere."""
    memory = "/dev/shm"
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > least else None


class Test:
    """Counts, a source of chance, and a directory for each case."""

    def __init__(self, work=None, rng=None):
        self.work, self.rng = work, rng
        self.passed = self.failed = self.skipped = 0
        self.number = self.killed = self.cut = 0

    def verdict(self, good, name, more=""):
        """One result, which comes back."""
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print(f"not ok - {name}: {more}")
        return bool(good)

    def skip(self, name):
        """One that cannot be had here."""
        self.skipped += 1
        print(f"skip {name}")

    def folder(self):
        """The path of the next one, which is not there yet."""
        self.number += 1
        return os.path.join(self.work, str(self.number))

    def run(self, name, code, *args):
        """Run vhdctl to its end; its output."""
        done = subprocess.run([VHDCTL, *args], stdin=subprocess.DEVNULL, timeout=SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        said = done.stdout.decode(errors="replace")
        self.verdict(done.returncode == code, name, f"{args}: exit code {done.returncode}: {said}")
        return said

    def summary(self):
        """The last line; the exit code of the test."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}")
        return 1 if self.failed or not self.passed else 0
