# SPDX-License-Identifier: GPL-2.0
"""Other programs that know VHD files: which one is here, and the disk that it reads.

Each of them starts the program anew, so that one that crashes or hangs does no more
than that.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile

SECONDS = 120
SECTOR = 512
PYTHON = "/usr/bin/python3"
# A chain is opened from its base on, since each child must be told its parent.
VHDI_READ = """
import sys
import pyvhdi
chain = []
for path in reversed(sys.argv[1:]):
    file = pyvhdi.file()
    file.open(path)
    if chain:
        file.set_parent(chain[-1])
    chain.append(file)
left, at = chain[-1].get_media_size(), 0
while left:
    data = chain[-1].read_buffer_at_offset(min(left, 1 << 20), at)
    sys.stdout.buffer.write(data)
    at, left = at + len(data), left - len(data)
"""


class Skip(Exception):
    """Not on this machine."""


class Failed(Exception):
    """The program refuses."""


def run(*words):
    """Standard output of a program that must succeed."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=SECONDS, check=False)
    if done.returncode:
        said = done.stderr or done.stdout
        raise Failed(f"{words[0]}: exit code {done.returncode}: {said.decode(errors='replace')}")
    return done.stdout


def read(path):
    """All of a file."""
    with open(path, "rb") as file:
        return file.read()


def present(name):
    """Skip what needs a program that is not here."""
    if not shutil.which(name):
        raise Skip(f"no {name}")


def version(pattern, *words):
    """What a program calls itself, or an empty string."""
    try:
        found = re.search(pattern, run(*words).decode(errors="replace"))
    except (OSError, Failed):
        return ""
    return found[1] if found else ""


def through_file(*words):
    """The file that a program makes when its name is added to the words."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        out = os.path.join(folder, "out")
        run(*words, out)
        return read(out)


def qemu(path):
    """What QEMU finds in a file that it is told is a VHD."""
    present("qemu-img")
    return through_file("qemu-img", "convert", "-f", "vpc", "-O", "raw", path)


def qemu_info(path, *words):
    """What qemu-img says of a file."""
    present("qemu-img")
    return json.loads(run("qemu-img", "info", "--output=json", *words, path))


def qemu_make(raw, path, *options):
    """An image of a raw disk."""
    present("qemu-img")
    run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", ",".join(options), raw, path)


def qemu_write(path, first, count, byte):
    """Sectors written by QEMU, all of one byte."""
    present("qemu-io")
    run("qemu-io", "-f", "vpc", "-c", f"write -P {byte} {first * SECTOR} {count * SECTOR}", path)


def sevenzip(path):
    """What 7-Zip finds; it opens the parents by their names."""
    present("7zz")
    return run("7zz", "e", "-so", "-tvhd", path)


def has_vhdi():
    """Skip where Python does not know libvhdi."""
    if not version("([0-9]+)", PYTHON, "-c", "import pyvhdi; print(pyvhdi.get_version())"):
        raise Skip("no python3-libvhdi")


def vhdi(*paths):
    """What libvhdi finds; a chain is named leaf first."""
    has_vhdi()
    return run(PYTHON, "-c", VHDI_READ, *paths)


def grub(path, size):
    """The first bytes of what GRUB takes for a disk."""
    present("grub-fstest")
    return through_file("grub-fstest", path, "cp", f"(loop0)0+{size // SECTOR}")


def grub_file(path, name):
    """A file in the file system of a disk."""
    present("grub-fstest")
    return through_file("grub-fstest", path, "cp", "(loop0)" + name)


class Loop:
    """A loop device, where there may be one."""

    def __init__(self, path):
        present("losetup")
        try:
            self.path = run("losetup", "-f", "--show", path).decode().strip()
        except Failed as failure:
            raise Skip("no loop device") from failure

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        run("losetup", "-d", self.path)


def loop(path):
    """All bytes of a loop device."""
    with Loop(path) as device:
        return read(device)


def loop_write(path, at, data):
    """Bytes written through a loop device."""
    with Loop(path) as device:
        with open(device, "r+b", buffering=0) as file:
            file.seek(at)
            file.write(data)
            os.fsync(file.fileno())


def versions():
    """Program -> version; empty where it is not here."""
    return {
        "QEMU": version(r"version (\d+\.\d+)", "qemu-img", "--version"),
        "7-Zip": version(r"7-Zip \(z\) (\d+\.\d+)", "7zz"),
        "libvhdi": version("([0-9]+)", PYTHON, "-c", "import pyvhdi; print(pyvhdi.get_version())"),
        "GRUB": version(r"\(GRUB\) (\d+\.\d+)", "grub-fstest", "--version"),
        "loop": version(r"util-linux (\d+\.\d+)", "losetup", "--version"),
    }
