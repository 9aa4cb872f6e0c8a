#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl resize: images made, read and judged by the oracle of tests/images.

What both sizes have must read as before, and all else as zeros: so a digest of
everything on the disk that is not zero stays the same whatever the sizes are.
QEMU is asked too, where it can read an image.

The program is also killed, at each of its writes and at random; and what it has
written is lost in parts, as a power cut would have it: see resize_crash.py.

usage: resize_test.py [KILLS [SEED]]
"""

import fcntl
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import resize_crash  # noqa: E402
from kit import GIB, KIB, MIB, SECTOR, entries, file_bytes, lock  # noqa: E402
from resize_kit import (Image, Test, batmap_is_sound, digest, make_odd, patch,  # noqa: E402
                        validate)

BLOCK = 64 * KIB


def plain(blocks=32, keep=lambda n: n % 3 == 0, block=BLOCK, **more):
    """A layer with data in some of its blocks."""
    per_block = block // SECTOR
    return {"type": "dynamic", "size": block * blocks, "block": block,
            "runs": [[n * per_block + 3, per_block - 5, "name"]
                     for n in range(blocks) if keep(n)], **more}


LAYOUTS = {
    "own": {}, "hyper-v": {"writer": "hyper-v"}, "qemu": {"writer": "qemu"},
    "disk2vhd": {"writer": "disk2vhd"}, "simh": {"writer": "simh"},
    "reversed": {"layout": {"order": "reversed"}}, "shuffled": {"layout": {"order": "shuffled"}},
    "gaps": {"layout": {"gap": 9, "data_align": 512}}, "stale": {"stale": True},
    "surplus": {"layout": {"surplus": 100}}, "one more": {"layout": {"surplus": 1}},
    "part of a block": {"size": 31 * BLOCK + 5 * SECTOR, "tail_bits": 1},
    "part of a block, clear bits": {"size": 31 * BLOCK + 5 * SECTOR},
    "padding of zeros": {"layout": {"bat_pad": 0, "bat": "spec"}},
    "many-sector bitmaps": {"block": 8 * MIB, "size": 72 * MIB,
                            "runs": [[0, 99, "name"], [16380, 70, "name"], [99999, 9, "name"]]},
    "4K blocks": {"block": 4096, "size": 300 * 4096,
                  "runs": [[n * 8, 8, "name"] for n in range(0, 300, 3)]},
    "tail": {"layout": {"tail": 70000}}, "odd tail": {},
    "BAT at the end": {"layout": {"bat": "end"}},
    "empty": {"runs": ()},
    "a footer lost": {"footer": "missing"}, "a copy lost": {"copy": "missing"},
}


def layouts(test):
    """Dynamic images of all sorts, through sizes for which the BAT stays and moves."""
    for name, change in LAYOUTS.items():
        leaf = test.chain([{**plain(), **change}])
        if name == "odd tail":
            make_odd(leaf)
        size, block = Image(leaf).size, Image(leaf).header.block_size
        qemu = name not in ("stale", "a footer lost")
        for what, wanted in (("a sector", size + SECTOR), ("in place", size + 40 * block),
                             ("far", size + 3000 * block), ("back", size), ("again", size + block)):
            test.resize(f"{name}, {what}", leaf, wanted, qemu=qemu and what in ("far", "back"))
        test.verdict(Image(leaf).header.max_entries == -(-(size + block) // block), name,
                     f"{Image(leaf).header.max_entries} entries")
        before = file_bytes(leaf)
        test.resize(f"{name}, the same", leaf, size + block)
        test.verdict(file_bytes(leaf) == before, name, "the same size changes something")


def strict(test):
    """What follows our rules goes on doing so."""
    leaf = test.chain([plain()])
    for size in (40 * BLOCK, 3000 * BLOCK, 33 * BLOCK, 90000 * BLOCK):
        table = Image(leaf).header.table_offset
        length = 4 * Image(leaf).header.max_entries
        test.resize("strict", leaf, size)
        found = validate(leaf, strict=True)
        test.verdict(found["result"] == "clean", "strict", found)
        if Image(leaf).header.table_offset != table:
            test.verdict(not any(file_bytes(leaf)[table:table + length]), "strict",
                         "the old BAT leaves more than zeros")
    test.verdict(Image(leaf).header.table_offset > 4096, "strict", "the BAT has not moved")


def spaces(test):
    """Neither what was behind the disk nor entries that it did not need come to light."""
    for set_bits in (0, 1):
        leaf = test.chain([plain(size=31 * BLOCK - 3 * SECTOR, tail_bits=set_bits,
                                 layout={"surplus": 100})])
        image = Image(leaf)
        patch(leaf, image.bat[30] * SECTOR + 512 + BLOCK - 3 * SECTOR, b"\xcc" * 3 * SECTOR)
        patch(leaf, image.header.table_offset + 4 * 31,
              struct.pack(">4I", image.bat[0], 0, image.bat[3] + 1, 0x7fffffff))
        for size in (31 * BLOCK - 2 * SECTOR, 33 * BLOCK, 90 * BLOCK, 31 * BLOCK):
            test.resize(f"spaces, bits {set_bits}, {size}", leaf, size, qemu=True)


def foreign_gap(test):
    """The BAT does not grow over what nobody knows."""
    for name, data, stays in (("unknown", b"nobody knows what this is", False),
                              ("ones", b"\xff" * 512, True), ("zeros", bytes(512), True)):
        leaf = test.chain([plain(layout={"gap": 9})])
        table = Image(leaf).header.table_offset
        patch(leaf, table + 512, data.ljust(512, data[-1:]))
        test.resize(name, leaf, 200 * BLOCK)
        test.verdict((Image(leaf).header.table_offset == table) == stays, name, "BAT's place")
        if not stays:
            test.verdict(file_bytes(leaf)[table + 512:].startswith(data), name, "it is gone")


def blank_block(test):
    """A block of zeros, its bitmap too, is no padding of a BAT."""
    leaf = test.chain([plain(runs=[], empty_blocks=[0, 1], layout={"data_align": 512})])
    test.resize("blank block", leaf, 5000 * BLOCK)
    test.verdict(len(entries(leaf)) == 2, "blank block", entries(leaf))


def batmaps(test):
    """A batmap goes on being sound, also where it gets longer."""
    leaf = test.chain([plain(writer="libvhd", block=2 * MIB, blocks=20)])
    for size in (50 * MIB, 7 * GIB, 9 * GIB, 3 * GIB, 40 * GIB, 60 * MIB):
        test.resize(f"batmap, {size}", leaf, size)
        test.verdict(batmap_is_sound(leaf), "batmap", f"it is not sound at {size} bytes")
    leaf = test.chain([plain(writer="libvhd", layout={"surplus": 5000}, block=2 * MIB, blocks=20)])
    before = Image(leaf).header
    test.resize("room to grow", leaf, 8 * GIB - MIB)
    now = Image(leaf).header
    test.verdict((before.table_offset, before.max_entries) == (now.table_offset, now.max_entries),
                 "room to grow", "the BAT has changed")
    test.verdict(batmap_is_sound(leaf), "room to grow", "batmap")
    leaf = test.chain([plain(writer="libvhd", layout={"surplus": 2000}, block=8 * MIB, blocks=9)])
    test.resize("a longer map", leaf, 9 * GIB)
    test.verdict(batmap_is_sound(leaf), "a longer map", "batmap")


def fixed(test):
    """Fixed images: the footer follows the disk."""
    for name, layer in (("fixed", {}), ("odd", {"size": MIB + 3 * SECTOR})):
        leaf = test.chain([{"type": "fixed", "size": MIB, "runs": [[5, 700, "name"]], **layer}])
        for size in (3 * MIB, 3 * MIB + SECTOR, 3 * MIB - SECTOR, 400 * KIB, 700 * KIB, 90 * MIB):
            test.resize(f"{name}, {size}", leaf, size, qemu=True)
            test.verdict(os.path.getsize(leaf) == size + SECTOR, name, "length of the file")
    test.verdict(os.stat(leaf).st_blocks * 512 < 2 * MIB, "fixed", "what is new is not sparse")
    test.run("no data lost", 1, "resize", "--shrink", leaf, str(4 * KIB))
    leaf = test.chain([{"type": "fixed", "size": MIB, "runs": [[2047, 1, "name"]]}])
    before = file_bytes(leaf)[:MIB] + b"unknown".rjust(4096, b"\0").ljust(8192, b"\0") + \
        file_bytes(leaf)[MIB:]
    with open(leaf, "wb") as file:
        file.write(before)
    said = test.run("data behind", 7, "resize", leaf, "2M")
    test.verdict("behind its disk" in said and before == file_bytes(leaf), "data behind", said)
    patch(leaf, MIB + 4089, bytes(7))
    test.resize("zeros behind", leaf, 2 * MIB, qemu=True)


def children(test):
    """Children: of no size does any other disk of the chain see more."""
    small = [[7, 300, "name"], [512, 128, "zero"], [1100, 800, "zero"]]
    base = plain(keep=lambda n: n < 20)
    for name, below, size, code in (
            ("equal", base, 32 * BLOCK, 0), ("parent is fixed", {**base, "type": "fixed"},
                                              32 * BLOCK, 0),
            ("parent ends before", base, 50 * BLOCK, 0),
            ("parent is larger and empty there", plain(64, lambda n: n < 20), 30 * BLOCK, 0),
            ("parent is larger", plain(64), 40 * BLOCK, 7)):
        leaf = test.chain([below, {"size": size, "block": BLOCK, "runs": small},
                           {"size": size + 9 * BLOCK, "block": BLOCK, "runs": [[9, 9, "name"]]}])
        middle = os.path.join(os.path.dirname(leaf), "layer1.vhd")
        seen = digest(leaf)
        if code:
            said = test.run(name, code, "resize", middle, "+1M")
            test.verdict("its parent is larger" in said, name, said)
            continue
        for wanted in (size + BLOCK, size + 2000 * BLOCK, size + SECTOR, size - 3 * BLOCK, size):
            test.resize(f"{name}, {wanted}", middle, wanted)
            test.verdict(digest(leaf) == seen, name, "the child sees another disk")
            test.run(name, 0, "check", leaf)
    hidden(test)


def hidden(test):
    """Zeros over data of the parent may be cut off, but nothing that shows."""
    base = plain(keep=lambda n: True)
    zeros = [[25 * 128, 7 * 128, "zero"], [5, 5, "name"]]
    leaf = test.chain([base, {"size": 32 * BLOCK, "block": BLOCK, "runs": zeros}])
    test.run("cut what shows", 1, "resize", "--shrink", leaf, str(25 * BLOCK - 4 * SECTOR))
    test.resize("cut what is hidden", leaf, 25 * BLOCK + SECTOR)
    test.verdict(len(entries(leaf)) == 2, "cut what is hidden", entries(leaf))
    test.run("it would show", 7, "resize", leaf, "+1M")


def sizes(test):
    """How sizes are given, and which the creator makes count."""
    leaf = test.chain([plain()])
    for word, wanted in (("3M", 3 * MIB), ("+512", 3 * MIB + 512), ("-512", 3 * MIB), ("+0", 3 * MIB),
                         ("2MiB", 2 * MIB)):
        said = json.loads(test.run(word, 0, "resize", "--json", leaf, word, "--shrink"))
        test.verdict(said["size_after"] == wanted == Image(leaf).size, word, said)
    test.run("before options", 0, "resize", "-512", leaf, "--shrink")
    for word in ("0", "", "12x", "+", "-", "-3M", "513", "-1", "9999999T", "+8191P", "--", "-x"):
        test.run(f"size {word!r}", 1, "resize", "--shrink", leaf, word)
    said = test.run("without --shrink", 1, "resize", leaf, "1M")
    test.verdict("--shrink" in said and Image(leaf).size == 2 * MIB - 512, "--shrink", said)
    for word, code in (("2040G", 0), ("2041G", 7)):
        leaf = test.chain([plain(block=2 * MIB)])
        test.run("limit " + word, code, "resize", leaf, word)
    leaf = test.chain([plain(block=512 * KIB)])
    said = test.run("limit of 512K blocks", 7, "resize", leaf, "2040G")
    test.verdict("larger than its format or block size" in said, "limit", said)
    footer = Image(leaf).footer
    test.resize("footer", leaf, 3 * GIB)
    now = Image(leaf).footer
    test.verdict((now.original_size, now.timestamp, now.uuid, now.creator) ==
                 (footer.original_size, footer.timestamp, footer.uuid, footer.creator), "footer",
                 "more than the size has changed")
    creators(test)


def creators(test):
    """All programs see the new size."""
    exact = 17 * 4 * 12 * SECTOR
    for name, size, code in (("vpc ", 17 * 4 * 10 * SECTOR, 0), ("vpc ", 2 * MIB, 7)):
        leaf = test.chain([plain(size=size, creator=name, runs=[[3, 300, "name"]])])
        test.run(name, code, "resize", leaf, "3M")
        if code:
            continue
        test.verdict(Image(leaf).footer.creator == b"win " and Image(leaf).size == 3 * MIB, name)
    leaf = test.chain([plain(size=17 * 4 * 10 * SECTOR, creator="vpc ", runs=[[3, 300, "name"]])])
    test.resize("an exact geometry", leaf, exact, qemu=True)
    test.verdict(Image(leaf).footer.creator == b"vpc ", "an exact geometry", "creator")


def refusals(test):
    """What it does not touch."""
    for name, change, code in (("bad checksum", {"footer": "bad", "copy": "missing"}, 2),
                               ("short footer", {"footer": "short"}, 0)):
        leaf = test.chain([{**plain(), **change}])
        if name == "bad checksum":
            patch(leaf, os.path.getsize(leaf) - 512 + 70, b"xx")
        before = file_bytes(leaf)
        test.run(name, code, "resize", leaf, "9M")
        test.verdict(not code or file_bytes(leaf) == before, name, "it was changed")
    leaf = test.chain([plain()])
    patch(leaf, Image(leaf).header.table_offset, b"\x7f\xff\xff\xff")
    test.run("bad entry", 2, "resize", leaf, "9M")
    leaf = test.chain([plain(), {"runs": [[0, 9, "name"]]}])
    base = os.path.join(os.path.dirname(leaf), "layer0.vhd")
    for path, kind, code in ((leaf, fcntl.F_RDLCK, 6), (base, fcntl.F_WRLCK, 6),
                             (base, fcntl.F_RDLCK, 0)):
        with open(path, "r+b") as file:
            lock(file, kind)
            test.run(f"locked, {code}", code, "resize", leaf, "9M")
    os.unlink(base)
    test.run("no parent", 4, "resize", leaf, "8M", "--shrink")


def no_space(test):
    """A file that may not become longer."""
    for layer, size in ((plain(), 900 * MIB),
                        ({"type": "fixed", "size": MIB, "runs": [[0, 2048, "name"]]}, 90 * MIB)):
        leaf = test.chain([layer])
        seen = digest(leaf)
        limit = os.path.getsize(leaf) // 1024
        said = subprocess.run(["bash", "-c", f"trap '' XFSZ; ulimit -f {limit}; exec \"$@\"", "_",
                               test.vhdctl, "resize", leaf, str(size)], capture_output=True, check=False)
        test.verdict(said.returncode == 1 and b"too large" in said.stderr, "no space", said)
        test.verdict(digest(leaf) == seen, "no space", "the disk has changed")
        test.resize("space again", leaf, size)


def main():
    """Exit code 0 if all is well."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    work = tempfile.mkdtemp()
    test = Test(work, random.Random(seed))
    try:
        for part in (layouts, strict, spaces, foreign_gap, blank_block, batmaps, fixed, children, sizes,
                     refusals, no_space):
            part(test)
        resize_crash.every_write(test, plain)
        resize_crash.kills(test, plain, wanted)
    finally:
        shutil.rmtree(work)
    print(f"killed {test.killed} times, seed {seed}; {test.states} states of a power cut; "
          f"{test.asked} images read by qemu-img")
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
