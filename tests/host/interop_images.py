# SPDX-License-Identifier: GPL-2.0
"""Images as vhdctl and the module leave them, and the disks that they should hold."""

import os
import random
import struct
import subprocess

# The kit sets the path of the others.
from kit import MIB, VHDCTL
from vhdread import Image
from vhdspec import DYNAMIC, SECTOR, UNUSED, align

SECONDS = 120
PAGE = 4096
# No whole number of MiB, of pages or of cylinders: who rounds shows it.
SIZE = 20 * MIB + 3 * SECTOR
RESIZED = "convert, resize, written"


def vhdctl(*words, codes=(0,)):
    """Standard output; any other exit code is an error."""
    done = subprocess.run([VHDCTL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=SECONDS, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"vhdctl {' '.join(words)}: exit code {done.returncode}: "
                           f"{done.stderr.decode(errors='replace')}")
    return done.stdout


def disk(size, seed):
    """Noise of every length between holes, with data in the first and the last sector."""
    rng, data = random.Random(seed), bytearray(size)
    for _ in range(40):
        length = rng.choice((1, 7, 8, 100, 1000)) * SECTOR
        at = rng.randrange((size - length) // SECTOR) * SECTOR
        data[at:at + length] = rng.randbytes(length)
    for at in (0, size - SECTOR):
        data[at:at + SECTOR] = rng.randbytes(SECTOR)
    return bytes(data)


def save(path, data):
    """A file, sparse."""
    with open(path, "wb") as file:
        for at in range(0, len(data), PAGE):
            if any(data[at:at + PAGE]):
                file.seek(at)
                file.write(data[at:at + PAGE])
        file.truncate(len(data))
    return path


class ModuleWriter:
    """Writes to a disk in the way of the module: new blocks behind all others.

    Their data begin on 4 KiB and the file ends on 4 KiB. In a dynamic image all bits
    of a new block are set, in a differencing one those of the written sectors.
    """

    def __init__(self, path):
        self.image = Image(path)
        self.file = open(path, "r+b")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.image.close()
        self.file.close()

    def _put(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def _get(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def _add_block(self, block):
        img = self.image
        end = self.file.seek(0, os.SEEK_END)
        footer = self._get(end - SECTOR, SECTOR)
        at = align(end - SECTOR + img.bitmap_size, PAGE) - img.bitmap_size
        behind = align(at + img.bitmap_size + img.block_size + SECTOR, PAGE)
        self._put(end - SECTOR, bytes(SECTOR))
        self.file.truncate(behind)
        if img.footer.type == DYNAMIC:
            count = min(img.block_size, img.size - block * img.block_size) // SECTOR
            bits = ((1 << count) - 1) << (8 * img.bitmap_size - count)
            self._put(at, bits.to_bytes(img.bitmap_size, "big"))
        self._put(behind - SECTOR, footer)
        img.bat[block] = at // SECTOR
        self._put(img.header.table_offset + 4 * block, struct.pack(">I", at // SECTOR))

    def _write_sector(self, sector, data):
        img, per_block = self.image, self.image.block_size // SECTOR
        block, within = divmod(sector, per_block)
        if img.bat[block] == UNUSED:
            self._add_block(block)
        at = img.bat[block] * SECTOR
        self._put(at + img.bitmap_size + within * SECTOR, data)
        byte = self._get(at + within // 8, 1)[0] | 0x80 >> within % 8
        self._put(at + within // 8, bytes([byte]))

    def write(self, at, data):
        """Whole sectors at a byte of the disk."""
        if self.image.bat is None:
            self._put(at, data)
            return
        for done in range(0, len(data), SECTOR):
            self._write_sector((at + done) // SECTOR, data[done:done + SECTOR])


def scribble(path, data, seed):
    """Write runs of all lengths to an image, and to what it should hold then."""
    rng, data = random.Random(seed), bytearray(data)
    lengths = [1, 1, 3, 8, 9, 64, 500] * 3
    with ModuleWriter(path) as writer:
        for sectors in lengths:
            at = rng.randrange(len(data) // SECTOR - sectors) * SECTOR
            new = rng.randbytes(sectors * SECTOR) if rng.random() < 0.8 else bytes(sectors * SECTOR)
            writer.write(at, new)
            data[at:at + len(new)] = new
        last = rng.randbytes(SECTOR)
        writer.write(len(data) - SECTOR, last)
        data[-SECTOR:] = last
    return bytes(data)


class Made:
    """An image: what it is, where it lies (leaf first), and what it holds."""

    def __init__(self, kind, how, paths, data):
        self.kind, self.how, self.paths, self.data = kind, how, paths, data

    @property
    def path(self):
        """The leaf."""
        return self.paths[0]


def by_convert(kind, how, name, *words):
    """From a raw file."""
    data = disk(24 * MIB if "--azure" in words else SIZE, name)
    vhdctl("convert", *words, save(name + ".raw", data), name + ".vhd")
    return Made(kind, how, [name + ".vhd"], data)


def by_create(kind, how, name, *words):
    """Made empty, and then written."""
    vhdctl("create", *words, "-s", str(SIZE), name + ".vhd")
    return Made(kind, how, [name + ".vhd"], scribble(name + ".vhd", bytes(SIZE), name))


def by_compact(how):
    """Half of its blocks become zeros, and are dropped."""
    made = by_create("dynamic", how, "compact", "-b", "512K")
    data, half = bytearray(made.data), 5 * MIB
    with ModuleWriter(made.path) as writer:
        writer.write(half, bytes(len(data) // 2 // SECTOR * SECTOR))
    data[half:half + len(data) // 2 // SECTOR * SECTOR] = bytes(len(data) // 2 // SECTOR * SECTOR)
    before = os.path.getsize(made.path)
    vhdctl("compact", made.path)
    if os.path.getsize(made.path) >= before:
        raise RuntimeError("compact dropped nothing")
    made.data = bytes(data)
    return made


def by_snapshot(how, base, names):
    """Children of children, each written before it becomes a parent."""
    paths, data = list(base.paths), base.data
    for name in names:
        vhdctl("snapshot", paths[0], name)
        data = scribble(name, data, name)
        paths.insert(0, name)
    return Made("differencing", how, paths, data)


def by_export(how, base):
    """What differs between two disks, as a child of the older one."""
    child = by_snapshot(how, base, ["newer.vhd"])
    vhdctl("export", "--since", base.path, child.path, "since.vhd")
    return Made("differencing", how, ["since.vhd", *base.paths], child.data)


def by_merge(how, *words):
    """Three children into their base, or all of them into a new file."""
    copy = by_convert("dynamic", how, "merged" + "".join(words), *words)
    made = by_snapshot(how, copy, [f"merge{number}{copy.path}" for number in range(3)])
    if words:
        vhdctl("merge", "--out", "all.vhd", made.path)
        return Made("dynamic", how, ["all.vhd"], made.data)
    vhdctl("merge", "--into", copy.path, made.path)
    return Made("dynamic", how, copy.paths, made.data)


def by_resize(how):
    """Grown by fifteen blocks, and written up to its new end."""
    made = by_convert("dynamic", how, "resize")
    vhdctl("resize", made.path, str(SIZE + 30 * MIB))
    made.data = scribble(made.path, made.data + bytes(30 * MIB), "resize")
    return made


def make_all():
    """Every sort of image that is read by other programs."""
    fixed = by_convert("fixed", "convert", "fixed", "-t", "fixed")
    dynamic = by_convert("dynamic", "convert", "dynamic")
    return [
        fixed,
        by_convert("fixed", "convert --azure", "azure", "--azure"),
        by_create("fixed", "create, then written", "made", "-t", "fixed"),
        dynamic,
        by_convert("dynamic", "convert -b 512K", "small", "-b", "512K"),
        by_create("dynamic", "create, then written", "written"),
        by_compact("create, written, compact"),
        by_snapshot("snapshot, then written", dynamic, ["one.vhd"]),
        by_snapshot("five snapshots, each written", dynamic,
                    [f"deep{number}.vhd" for number in range(5)]),
        by_snapshot("snapshot of a fixed image", fixed, ["over-fixed.vhd"]),
        by_snapshot("snapshots with names of many scripts", dynamic,
                    ["\u00fcber \u4e2d\u6587.vhd", "\u0434\u0435\u0442\u0438.vhd"]),
        by_export("export --since", dynamic),
        by_resize(RESIZED),
        by_merge("merge --into, three snapshots"),
        by_merge("merge --out, three snapshots", "-b", "512K"),
    ]
