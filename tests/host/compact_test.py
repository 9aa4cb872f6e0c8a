#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl compact: images made, read and judged by the oracle of tests/images.

Each image must read as before, be valid, and have lost what could go; also when
the program is killed again and again before it is let through. What lies in gaps
and is no known structure stays, byte for byte.

usage: compact_test.py [KILLS [SEED]]
"""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
from kit import MIB, SECTOR, VHDCTL, entries, file_bytes, lock  # noqa: E402
from vhdchain import Builder  # noqa: E402
from vhdread import Image, open_chain  # noqa: E402
from vhdspec import UNUSED  # noqa: E402
from vhdvalidate import validate  # noqa: E402

FOREIGN = b"nobody knows what this is, so it must stay"


class Test(kit.Test):
    """With chains, and what compact makes of them."""

    def chain(self, layers, seed=1):
        """A fresh chain; the path of its leaf."""
        folder = self.folder()
        return os.path.join(folder, Builder(folder, seed, {"layers": layers}).write()["leaf"])

    def judge(self, name, leaf, before, result="clean"):
        """The oracle's opinion of the disk and of the file."""
        self.verdict(open_chain(leaf).sha256() == before, name, "the disk has changed")
        found = validate(leaf)
        self.verdict(found["result"] == result, name, f"it is {found['result']}: {found}")

    def compact(self, name, leaf, result="clean"):
        """Compact it; what the program says of it."""
        before = open_chain(leaf).sha256()
        said = self.run(name, 0, "compact", "--json", leaf)
        self.judge(name, leaf, before, result)
        return json.loads(said) if said.startswith("{") else {}


def holey_runs(blocks, per_block, keep):
    """Runs of zeros in all blocks but some, which have names."""
    return [[block * per_block + 3, per_block - 5, "name" if keep(block) else "zero"]
            for block in range(blocks)]


def plain(block=64 << 10, blocks=32, keep=lambda n: n % 3 == 0, **more):
    """A layer of which two thirds may go."""
    return {"type": "dynamic", "size": block * blocks, "block": block,
            "runs": holey_runs(blocks, block // SECTOR, keep), **more}


LAYOUTS = {
    "own": {}, "hyper-v": {"writer": "hyper-v"}, "qemu": {"writer": "qemu"},
    "disk2vhd": {"writer": "disk2vhd"}, "simh": {"writer": "simh"},
    "reversed": {"layout": {"order": "reversed"}}, "shuffled": {"layout": {"order": "shuffled"}},
    "gaps": {"layout": {"gap": 9, "data_align": 512}}, "stale": {"stale": True},
    "many-sector bitmaps": {"block": 8 * MIB, "size": 72 * MIB,
                            "runs": holey_runs(9, 16384, lambda n: n in (0, 5, 8))},
    "4K blocks": {"block": 4096, "size": 300 * 4096,
                  "runs": [[n * 8, 8, "name" if n % 3 == 0 else "zero"] for n in range(300)]},
    "odd tail": {"layout": {"tail": 70000}},
    "BAT at the end": {"layout": {"bat": "end"}},
    "empty": {"runs": (), "empty_blocks": (1, 5, 9)},
}


def layouts(test):
    """Dynamic images of all sorts."""
    for name, change in LAYOUTS.items():
        leaf = test.chain([{**plain(), **change}])
        wanted = len(entries(leaf))
        said = test.compact(name, leaf)
        left = len(entries(leaf))
        kept = sum(kind == "name" for _, _, kind in {**plain(), **change}["runs"])
        test.verdict(left == kept, name, f"{left} blocks of {wanted} instead of {kept}")
        test.verdict(said.get("dropped_blocks") == wanted - kept, name, said)
        per_block = Image(leaf).header.block_size + 8 * 4096
        bound = (kept + 1) * per_block + 65536
        if name != "BAT at the end":
            test.verdict(os.path.getsize(leaf) <= bound, name,
                         f"{os.path.getsize(leaf)} bytes, more than {bound}")
        again = file_bytes(leaf)
        test.compact(name + " again", leaf)
        test.verdict(file_bytes(leaf) == again, name, "a second run changes something")


def aligned(test):
    """What is aligned stays so."""
    leaf = test.chain([plain(layout={"order": "shuffled"})])
    test.compact("alignment", leaf)
    found = validate(leaf, strict=True)
    test.verdict(found["result"] == "clean", "alignment", found)


def children(test):
    """Blocks that are equal to those of the parent, whatever its blocks are like."""
    for name, below in (("same blocks", {}), ("larger blocks", {"block": 512 << 10}),
                        ("smaller blocks", {"block": 16 << 10}), ("fixed", {"type": "fixed"}),
                        ("smaller", {"size": 700000 // SECTOR * SECTOR, "runs": [[9, 99, "name"]]}),
                        ("foreign", {"writer": "libvhd"})):
        base = {"type": "dynamic", "size": 2 * MIB, "block": 64 << 10,
                "runs": [[5, 1000, "name"], [2000, 500, "zero"], [3000, 1000, "name"]], **below}
        leaf = test.chain([base, {"size": 2 * MIB, "block": 64 << 10, "runs": [
            [7, 300, "name"], [512, 128, "zero"], [1100, 800, "zero"], [2050, 300, "zero"], [3500, 64, "name"]]}])
        copy_from_parent(leaf, 30)
        same = len(entries(leaf))
        hashes = {path: file_bytes(path) for path in siblings(leaf)}
        said = test.compact("child, " + name, leaf)
        test.verdict(Image(leaf).bat[30] == UNUSED, name, "a block like the parent's stays")
        test.verdict(said.get("dropped_blocks", 0) >= 2, "child, " + name, said)
        test.verdict(len(entries(leaf)) == same - said.get("dropped_blocks", 0), name, said)
        test.verdict(all(file_bytes(path) == data for path, data in hashes.items()),
                     "child, " + name, "another file has changed")


def siblings(leaf):
    """The other files of its directory."""
    folder = os.path.dirname(leaf)
    return [os.path.join(folder, name) for name in os.listdir(folder)
            if os.path.join(folder, name) != leaf]


def copy_from_parent(leaf, block):
    """A block that says what its parents say."""
    chain = open_chain(leaf)
    image = Image(leaf)
    size, sectors = image.header.block_size, image.header.block_size // SECTOR
    data = chain.read(block * size, size)
    at = max(entries(leaf)) * SECTOR + 512 + size + 4096
    at = (at + 512 + 4095) // 4096 * 4096 - 512
    with open(leaf, "r+b") as file:
        file.seek(-512, os.SEEK_END)
        footer = file.read(512)
        file.seek(at)
        file.write((b"\xff" * (sectors // 8)).ljust(512, b"\0") + data + bytes(3584) + footer)
        file.seek(image.header.table_offset + 4 * block)
        file.write((at // SECTOR).to_bytes(4, "big"))


def batmap(test):
    """A block that the batmap calls full stays; what else there is moves."""
    leaf = test.chain([plain(writer="libvhd", runs=holey_runs(32, 128, lambda n: n % 2))])
    said = test.compact("batmap", leaf)
    test.verdict(said.get("dropped_blocks") == 16 and not said.get("kept_blocks"), "batmap", said)
    full = [[n * 128, 128, "zero" if n % 4 else "name"] for n in range(32)]
    leaf = test.chain([plain(writer="libvhd", runs=full)])
    said = test.compact("full batmap", leaf)
    test.verdict(said.get("kept_blocks") == 24 and not said.get("dropped_blocks"), "full batmap",
                 said)


def foreign(test):
    """Unknown structures in gaps."""
    leaf = test.chain([plain(layout={"gap": 200})])
    used = sorted(entries(leaf))
    places = [(entry - 150 + 7 * n) * SECTOR for n, entry in enumerate(used[:12])]
    with open(leaf, "r+b") as file:
        for place in places:
            file.seek(place)
            file.write(FOREIGN)
    test.compact("foreign", leaf, validate(leaf)["result"])
    data = file_bytes(leaf)
    for place in places:
        if place < len(data) - 4096:
            test.verdict(data[place:place + len(FOREIGN)] == FOREIGN, "foreign",
                         f"what was at {place} is gone")
    test.verdict(sum(place < len(data) - 4096 for place in places) > 2, "foreign",
                 "nothing foreign is left to look at")


def refusals(test):
    """What it does not touch."""
    leaf = test.chain([{"type": "fixed", "size": MIB, "runs": [[0, 1, "name"]]}])
    test.verdict("no blocks" in test.run("fixed", 7, "compact", leaf), "fixed")
    for name, change in (("no footer", {"footer": "missing"}), ("no copy", {"copy": "missing"}),
                         ("short footer", {"footer": "short"})):
        leaf = test.chain([{**plain(), **change}])
        before = file_bytes(leaf)
        test.run(name, 2, "compact", leaf)
        test.verdict(file_bytes(leaf) == before, name, "it was changed")
    leaf = test.chain([plain()])
    with open(leaf, "r+b") as file:
        file.seek(Image(leaf).header.table_offset)
        file.write(b"\x7f\xff\xff\xff")
    test.run("bad entry", 2, "compact", leaf)
    leaf = test.chain([plain(), {"runs": [[0, 9, "name"]]}])
    os.unlink(siblings(leaf)[0] if siblings(leaf)[0].endswith(".vhd") else siblings(leaf)[1])
    test.run("no parent", 4, "compact", leaf)


def locks(test):
    """Files that somebody uses."""
    leaf = test.chain([plain(), {"runs": [[0, 9, "name"]]}])
    base = os.path.join(os.path.dirname(leaf), "layer0.vhd")
    for path, kind, code in ((leaf, fcntl.F_RDLCK, 6), (base, fcntl.F_WRLCK, 6),
                             (base, fcntl.F_RDLCK, 0)):
        with open(path, "r+b") as file:
            lock(file, kind)
            test.run(f"locked, {code}", code, "compact", leaf)


def punch(test):
    """Holes and nothing else."""
    for name, layer in (("dynamic", plain()), ("fixed", {"type": "fixed", "size": MIB, "runs": []})):
        leaf = test.chain([layer])
        data = file_bytes(leaf)
        with open(leaf, "r+b") as file:
            file.write(data)
        stored = os.stat(leaf).st_blocks
        said = json.loads(test.run("punch " + name, 0, "compact", "--punch", "--json", leaf))
        test.verdict(file_bytes(leaf) == data, "punch " + name, "bytes have changed")
        test.verdict(os.stat(leaf).st_blocks * 512 <= stored * 512 - MIB // 2 and
                     said["punched_bytes"] >= MIB // 2, "punch " + name, said)


def gap_runs(rng, blocks, per_block):
    """Blocks of names, of zeros, and of both."""
    return [[n * per_block + rng.randrange(8), per_block - 8, rng.choice(("name", "zero"))]
            for n in range(blocks)]


def kill_once(leaf, delay):
    """False if it has ended by itself."""
    process = subprocess.Popen([VHDCTL, "compact", leaf], stdout=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def kills(test, wanted):
    """Killed at any moment, and again, and at last let through."""
    number, longest = 0, 0.02
    while test.killed < wanted:
        number += 1
        leaf = test.chain([{"size": 24 * MIB, "block": 128 << 10,
                            "runs": gap_runs(test.rng, 192, 256),
                            "layout": {"order": "shuffled", "gap": test.rng.choice((0, 9))}}],
                          number)
        before = open_chain(leaf).sha256()
        shutil.copy(leaf, leaf + ".whole")
        begin = time.monotonic()
        test.run("whole", 0, "compact", leaf + ".whole")
        longest = time.monotonic() - begin
        for _ in range(20):
            if not kill_once(leaf, test.rng.uniform(0, longest)):
                break
            test.killed += 1
            test.judge(f"killed {number}", leaf, before, validate(leaf)["result"])
            test.verdict(validate(leaf)["result"] in ("clean", "leaks"), f"killed {number}")
        test.compact(f"after the kills {number}", leaf)
        test.verdict(os.path.getsize(leaf) == os.path.getsize(leaf + ".whole"),
                     f"killed {number}", f"{os.path.getsize(leaf)} bytes instead of "
                     f"{os.path.getsize(leaf + '.whole')} without kills")
        shutil.rmtree(os.path.dirname(leaf))


def main():
    """Exit code 0 if all is well."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    work = tempfile.mkdtemp()
    test = Test(work, random.Random(seed))
    try:
        for part in (layouts, aligned, children, batmap, foreign, refusals, locks, punch):
            part(test)
        kills(test, wanted)
    finally:
        shutil.rmtree(work)
    print(f"killed {test.killed} times, seed {seed}")
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
