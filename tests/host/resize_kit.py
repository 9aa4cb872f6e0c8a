# SPDX-License-Identifier: GPL-2.0
"""What the tests of vhdctl resize share: images, runs of the program, the oracle's opinion."""

import hashlib
import json
import os
import shutil
import subprocess

import kit
from kit import MIB, SECONDS, SECTOR, VHDCTL, file_bytes
from vhdchain import Builder
from vhdread import Image, open_chain
from vhdspec import FIXED, Batmap, align
from vhdvalidate import validate


def add_sectors(found, offset, data):
    """Take note of those that are not zero."""
    if data.count(0) == len(data):
        return
    for at in range(0, len(data), SECTOR):
        sector = data[at:at + SECTOR]
        if sector.count(0) != len(sector):
            found.update(b"%d" % (offset + at) + sector)


def digest(path):
    """Of all sectors that are not zero, wherever the disk ends."""
    found = hashlib.sha256()
    chain = open_chain(path)
    for offset, _, data in chain.pieces():
        if data is not None:
            add_sectors(found, offset, data)
    chain.close()
    return found.hexdigest()


def digest_raw(path):
    """The same of a raw file, whose holes cost nothing."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        size, at = os.path.getsize(path), 0
        while at < size:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            for offset in range(begin, at, MIB):
                add_sectors(found, offset, os.pread(file.fileno(), min(MIB, at - offset), offset))
    return found.hexdigest()


def patch(path, offset, data):
    """Other bytes in the middle of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def make_odd(path):
    """A footer that is not on a sector boundary."""
    data = file_bytes(path)
    with open(path, "wb") as file:
        file.write(data[:-SECTOR] + bytes(300) + data[-SECTOR:])


def batmap_is_sound(path):
    """Whether libvhd would take it."""
    header = Image(path).header
    data = file_bytes(path)
    raw = data[header.table_offset + align(4 * header.max_entries, SECTOR):]
    if not raw.startswith(Batmap.COOKIE):
        return False
    batmap = Batmap.unpack(raw[:Batmap.SIZE])
    length = align(max(1, Image(path).size >> 24), SECTOR)
    bits = data[batmap.offset:batmap.offset + length]
    return (batmap.offset == len(data) - len(raw) + SECTOR and
            batmap.sectors * SECTOR >= length == len(bits) and
            ~sum(bits) & 0xffffffff == batmap.checksum)


class Test(kit.Test):
    """With chains, and what resize makes of them."""

    vhdctl = VHDCTL

    def __init__(self, work, rng):
        super().__init__(work, rng)
        self.states = self.asked = 0

    def chain(self, layers, seed=1):
        """A fresh chain; the path of its leaf."""
        if self.number:
            shutil.rmtree(os.path.join(self.work, str(self.number)), ignore_errors=True)
        folder = self.folder()
        return os.path.join(folder, Builder(folder, seed, {"layers": layers}).write()["leaf"])

    def judge(self, name, leaf, seen, allowed=("clean",)):
        """The oracle's opinion of the disk and of the file."""
        self.verdict(digest(leaf) == seen, name, "the disk has changed")
        found = validate(leaf)
        self.verdict(found["result"] in allowed, name, f"it is {found['result']}: {found}")

    def ask_qemu(self, name, leaf, size):
        """Does QEMU see the same disk?"""
        if not shutil.which("qemu-img"):
            self.verdict(False, name, "qemu-img is not installed")
            return
        raw = leaf + ".raw"
        subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", leaf, raw], check=True,
                       timeout=SECONDS)
        self.verdict(os.path.getsize(raw) == size, name, f"QEMU sees {os.path.getsize(raw)} bytes")
        self.verdict(digest_raw(raw) == digest(leaf), name, "QEMU reads another disk")
        self.asked += 1
        os.unlink(raw)

    def resize(self, name, leaf, size, qemu=False):
        """Resize it, and look at everything."""
        seen, footer = digest(leaf), Image(leaf).footer
        said = json.loads(self.run(name, 0, "resize", "--shrink", "--json", leaf, str(size)) or "{}")
        self.judge(name, leaf, seen)
        image = Image(leaf)
        self.verdict(image.size == size == image.footer.current_size == said.get("size_after"),
                     name, f"{image.size} bytes: {said}")
        self.verdict(image.footer.original_size == footer.original_size, name, "original size")
        if image.footer.type != FIXED:
            self.run(name, 0, "check", leaf)
        if qemu:
            self.ask_qemu(name, leaf, size)
