#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl merge: chains made, read and judged by the oracle of tests/images.

The disk as read through the leaf must be the same at every moment; afterwards the
parent shows it too, no other file has changed, and a second run changes nothing.
Merges are killed again and again before one is let through, and what power cuts
could leave is judged as well.

usage: merge_test.py [KILLS [SEED]]
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
import powercut  # noqa: E402
from kit import MIB, SECONDS, SECTOR, VHDCTL, entries, file_bytes, lock  # noqa: E402
from vhdchain import Builder, mixed_spec  # noqa: E402
from vhdread import Image, open_chain  # noqa: E402
from vhdvalidate import validate  # noqa: E402

GOOD = ("clean", "leaks")


def folder_bytes(leaf):
    """Each file beside it, and itself."""
    folder = os.path.dirname(leaf)
    return {name: file_bytes(os.path.join(folder, name)) for name in sorted(os.listdir(folder))
            if os.path.isfile(os.path.join(folder, name))}


class Chain:
    """Files in a directory, as the oracle sees them."""

    def __init__(self, leaf, raw=None):
        self.leaf = leaf
        self.folder = os.path.dirname(leaf)
        self.raw = [os.path.join(self.folder, raw)] if raw else []
        self.named = [word for path in self.raw for word in ("--parent", path)]
        chain = self.open()
        self.paths = [layer.path for layer in chain.layers]
        self.sizes = [layer.size for layer in chain.layers]
        self.kinds = [layer.kind for layer in chain.layers]
        chain.close()
        self.disk = self.sha256()

    def open(self, layer=0):
        """The disk that ends in a layer."""
        if layer and self.kinds[layer] == "raw":
            return open_chain(self.leaf, self.raw)
        return open_chain(self.paths[layer] if layer else self.leaf, self.raw)

    def sha256(self, layer=0):
        """Of that disk."""
        chain = self.open(layer)
        found = chain.sha256()
        chain.close()
        return found

    def read(self, layer, first, end):
        """A part of that disk."""
        if self.kinds[layer] == "raw":
            return file_bytes(self.paths[layer])[first:end]
        chain = self.open(layer)
        data = chain.read(first, max(0, end - first))
        chain.close()
        return data


class Test(kit.Test):
    """With chains, and what merge makes of them."""

    def chain(self, layers, seed=1, **more):
        """A fresh chain, base first."""
        folder = self.folder()
        manifest = Builder(folder, seed, {"layers": layers, **more}).write()
        return Chain(os.path.join(folder, manifest["leaf"]), manifest["raw_parent"])

    def merge(self, name, chain, *args):
        """Merge, and what the program says of it."""
        done = subprocess.run([VHDCTL, "merge", "--json", *chain.named, *args, chain.leaf],
                              stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.verdict(not done.returncode, name, f"{args}: {done.stderr.decode(errors='replace')}")
        return json.loads(done.stdout) if done.stdout.startswith(b"{") else {}

    def refuse(self, name, chain, code, text, *args):
        """A merge that must not be made, and changes nothing."""
        before = folder_bytes(chain.leaf)
        said = self.run(name, code, "merge", *chain.named, *args, chain.leaf)
        self.verdict(text in said, name, f"'{text}' is not in: {said}")
        self.verdict(folder_bytes(chain.leaf) == before, name, "a file has changed")

    def judge(self, name, chain, layer, result=None):
        """The disk of the leaf and the file of the parent, at any moment."""
        self.verdict(chain.sha256() == chain.disk, name, "the disk of the leaf has changed")
        if chain.kinds[layer] != "raw":
            found = validate(chain.paths[layer])
            good = found["result"] in ("clean", result) if result else found["result"] in GOOD
            self.verdict(good, name, f"the parent is {found}")

    def judge_done(self, name, chain, layer, tail):
        """Afterwards the parent shows the disk of the leaf, and behind it what it did."""
        size = chain.sizes[0]
        self.verdict(chain.read(layer, 0, size) == chain.read(0, 0, size), name,
                     "the parent does not show the disk of the leaf")
        self.verdict(chain.read(layer, size, chain.sizes[layer]) == tail, name,
                     "what lies behind the disk of the leaf has changed")

    def whole(self, name, chain, layer, strict=False):
        """Everything that holds for one merge."""
        path, size = chain.paths[layer], chain.sizes[0]
        into = () if layer == 1 else ("--into", path)
        tail = chain.read(layer, size, chain.sizes[layer])
        result = None if chain.kinds[layer] == "raw" else validate(path)["result"]
        before, mtime = folder_bytes(chain.leaf), os.stat(path).st_mtime_ns
        foretold = self.merge(name, chain, "--dry-run", *into)
        self.verdict(folder_bytes(chain.leaf) == before and os.stat(path).st_mtime_ns == mtime,
                     name, "--dry-run has changed something")
        said = self.merge(name, chain, *into)
        self.judge(name, chain, layer, result)
        self.judge_done(name, chain, layer, tail)
        after = folder_bytes(chain.leaf)
        self.verdict([part for part in after if after[part] != before.get(part)] in
                     ([], [os.path.basename(path)]), name, "another file has changed")
        for key in ("written_bytes", "new_blocks", "files"):
            self.verdict(said[key] == foretold[key], name, f"{key}: {foretold} and then {said}")
        self.verdict((said["written_bytes"] > 0 or said["new_blocks"] > 0 or
                      said["size_before"] != said["size_after"]) == (after != before), name, said)
        said = self.merge(name + " again", chain, *into)
        self.verdict(folder_bytes(chain.leaf) == after and not said["written_bytes"] and
                     not said["new_blocks"], name, "a second run changes something")
        if strict:
            found = validate(path, strict=True)
            self.verdict(found["result"] == "clean", name, found)


def random_chains(test):
    """Any depth, base, block size, writer and order of blocks, into any layer."""
    for seed in range(60):
        rng = random.Random(seed)
        depth, base = rng.randint(2, 5), rng.choice(("dynamic", "dynamic", "fixed", "raw"))
        spec = mixed_spec(seed, depth, base, rng.choice((4 << 10, 32 << 10, 512 << 10)),
                          rng.choice(("equal", "equal", "smaller")), 2 * MIB, seed % 2)
        chain = test.chain(spec["layers"], seed)
        layer = rng.randint(1, depth - 1)
        test.whole(f"random {seed}, {base}, {layer} of {depth}", chain, layer)
        shutil.rmtree(chain.folder)


def own_chains(test):
    """Files of this project's layout stay in it."""
    for name, base in (("dynamic", {}), ("fixed", {"type": "fixed"})):
        chain = test.chain([{"size": 3 * MIB, "block": 64 << 10, "runs": [[5, 900, "name"]], **base},
                            {"runs": [[700, 900, "name"], [3000, 40, "zero"]]},
                            {"runs": [[6, 9, "zero"], [2000, 300, "name"], [6143, 1, "name"]]}])
        test.whole("own, child", chain, 1, strict=True)
        test.whole(f"own, {name}", chain, 2, strict=name == "dynamic")


def short_middle(test):
    """Behind the end of a file in between all is zeros, whatever lies below."""
    for base in ("dynamic", "fixed"):
        chain = test.chain([{"type": base, "size": 2 * MIB, "runs": [[0, 4096, "name"]]},
                            {"size": MIB, "block": 32 << 10, "runs": [[50, 300, "name"]]},
                            {"size": 2 * MIB, "runs": [[3000, 9, "name"]]}])
        test.refuse("short middle", chain, 7, "--out")
        test.whole(f"short middle, {base}", chain, 2)


def left_behind(test):
    """What lies behind the last block: garbage, and what an interrupted run has left."""
    chain = test.chain([{"size": 2 * MIB, "block": 32 << 10, "runs": [[0, 99, "name"]]},
                        {"block": 32 << 10, "runs": [[70, 30, "name"]], "layout": {"tail": MIB}},
                        {"runs": [[1000, 900, "name"], [2001, 77, "name"]]}])
    path = chain.paths[1]
    end = max(entries(path)) * SECTOR + SECTOR + (32 << 10)
    with open(path, "r+b") as file:
        file.seek(end)
        file.write(b"\xcc" * (os.path.getsize(path) - end - SECTOR))
    test.whole("garbage behind the blocks", chain, 1)
    found = validate(path, strict=True)
    test.verdict({fault["fault"] for fault in found["faults"]} <= {"strict-eof"},
                 "garbage behind the blocks", found)
    chain = test.chain([{"size": 2 * MIB, "block": 32 << 10, "runs": [[0, 99, "name"]]},
                        {"runs": [[1000, 900, "name"]]}])
    test.merge("half cut", chain)
    done = file_bytes(chain.paths[1])
    with open(chain.paths[1], "ab") as file:
        file.write(bytes(MIB - SECTOR) + done[-SECTOR:])
    test.judge("half cut", chain, 1)
    test.merge("half cut", chain)
    test.verdict(file_bytes(chain.paths[1]) == done, "half cut", "the end was not cut")


def stored(path):
    """Bytes that it takes on its file system."""
    return os.stat(path).st_blocks * 512


def sparse(test):
    """Zeros take no blocks where nothing lies below, and no space anywhere."""
    size = 64 * MIB
    chain = test.chain([{"size": size, "runs": [[0, 8192, "name"]]},
                        {"runs": [[100, 8000, "zero"], [40000, 30000, "zero"],
                                  [90000, 1, "name"], [131071, 1, "name"]]}])
    said = test.merge("sparse", chain)
    test.judge("sparse", chain, 1, "clean")
    test.verdict(said["new_blocks"] == 2 and len(entries(chain.paths[1])) == 4, "sparse", said)
    bitmaps = [file_bytes(chain.paths[1])[at * SECTOR:at * SECTOR + SECTOR]
               for at in entries(chain.paths[1])]
    test.verdict(bitmaps == [b"\xff" * SECTOR] * 4, "sparse", "a bitmap is not full")
    test.verdict(stored(chain.paths[1]) < MIB // 2, "sparse",
                 f"{stored(chain.paths[1])} bytes are stored")
    chain = test.chain([{"size": size, "type": "fixed", "runs": [[50000, 10, "name"]]},
                        {"runs": [[100, 8000, "zero"], [90000, 1, "name"]]}])
    test.merge("sparse fixed", chain)
    test.judge("sparse fixed", chain, 1, "clean")
    test.verdict(stored(chain.paths[1]) < MIB // 2, "sparse fixed", "holes were filled")
    # A range that is not zero there becomes zero, and keeps its space: it was promised.
    chain = test.chain([{"size": 8 * MIB, "type": "fixed", "runs": [[0, 8192, "name"]]},
                        {"runs": [[0, 8192, "zero"]]}])
    test.whole("fixed keeps its space", chain, 1)
    test.verdict(stored(chain.paths[1]) >= 4 * MIB, "fixed keeps its space", "holes were made")


def refusals(test):
    """What it does not do, and says why."""
    two = [{"size": 2 * MIB, "block": 64 << 10, "runs": [[9, 99, "name"]]},
           {"block": 64 << 10, "runs": [[0, 9, "name"]]}]
    chain = test.chain(two[:1])
    test.refuse("no parent", chain, 7, "has no parent")
    chain = test.chain([{**two[0], "size": MIB}, {**two[1], "size": 2 * MIB}])
    test.refuse("smaller parent", chain, 7,
                f"or make it larger: vhdctl resize {chain.paths[1]} {2 * MIB}\n")
    test.run("smaller parent", 0, "resize", chain.paths[1], str(2 * MIB))
    test.whole("smaller parent, larger now", Chain(chain.leaf), 1)
    chain, other = test.chain(two), test.chain(two)
    test.refuse("stranger", chain, 4, "is no parent of", "--into", other.paths[1])
    test.refuse("itself", chain, 4, "is no parent of", "--into", chain.leaf)
    test.refuse("nothing there", chain, 1, "No such file", "--into", chain.leaf + "x")
    for which in (0, 1):
        chain = test.chain(two)
        with open(chain.paths[which], "r+b") as file:
            file.seek(Image(chain.paths[which]).header.table_offset + 4 * 20)
            file.write(b"\x7f\xff\xff\xf0")
        test.refuse(f"bad entry in layer {which}", chain, 2, "check", "--dry-run")
        test.refuse(f"bad entry in layer {which}", chain, 2, "check")
    chain = test.chain([{**two[0], "footer": "missing"}, two[1]])
    test.merge("footer mended", chain)
    test.judge("footer mended", chain, 1, "clean")
    chain = test.chain([{**two[0], "type": "raw"}, two[1]])
    chain.named = []
    test.refuse("raw parent not named", chain, 4, "raw")


def locks(test):
    """Files that somebody uses."""
    chain = test.chain([{"size": 2 * MIB, "runs": [[0, 99, "name"]]},
                        {"runs": [[0, 9, "name"]]}, {"runs": [[0, 5, "name"]]}])
    for which, kind, code in ((0, fcntl.F_WRLCK, 6), (1, fcntl.F_WRLCK, 6), (2, fcntl.F_RDLCK, 6),
                              (2, fcntl.F_WRLCK, 6), (0, fcntl.F_RDLCK, 0), (1, fcntl.F_RDLCK, 0)):
        with open(chain.paths[which], "r+b") as file:
            lock(file, kind)
            test.run(f"locked {which}", code, "merge", "--into", chain.paths[2], chain.leaf)


def family(test):
    """A base, its child and a leaf; and a directory below theirs."""
    chain = test.chain([{"size": 2 * MIB, "block": 64 << 10, "runs": [[9, 99, "name"]]},
                        {"runs": [[0, 9, "name"]]}, {"runs": [[500, 9, "name"]]}])
    below = os.path.join(chain.folder, "below")
    os.mkdir(below)
    return chain, below


def other_children(test):
    """Who else reads through a file that would change, wherever it is found."""
    for hangs, into, code in ((2, 2, 6), (2, 1, 0), (1, 1, 6), (1, 2, 6), (0, 1, 6), (0, 2, 6)):
        for deep in (False, True):
            chain, below = family(test)
            names = [os.path.join(below, name) for name in ("x.vhd", "y.vhd")[:1 + deep]]
            for parent, name in zip((chain.paths[hangs], names[0]), names):
                test.run("another child", 0, "create", "--parent", parent, name)
            args = ("merge", "--into", chain.paths[into], chain.leaf, "--scan")
            name = f"child of layer {hangs}, merge into {into}, {'deep' if deep else 'flat'}"
            names = names if hangs else names[:1]
            before = folder_bytes(chain.leaf)
            for where in (below, chain.folder):
                said = test.run(name, code, *args, where, "--dry-run")
                test.verdict(not code or all(path in said for path in names), name, said)
            test.run(name, code, *args, below, "--scan", chain.folder)
            test.verdict((folder_bytes(chain.leaf) == before) == bool(code), name, "changed?")
            test.run(name + " unseen", 0, *args[:-1])
            test.run(name + " done", 6 if hangs < into else 0, *args, chain.folder)


def harmless_children(test):
    """A copy of everything, whose children have their own parents, and what is no image."""
    chain, below = family(test)
    shutil.rmtree(below)
    shutil.copytree(chain.folder, below)
    with open(os.path.join(below, "text"), "wb") as file:
        file.write(b"no image" * 200)
    test.run("copies", 0, "merge", "--into", chain.paths[2], "--scan", chain.folder, chain.leaf)
    test.judge("copies", chain, 2, "clean")
    chain, below = family(test)
    child = os.path.join(below, "x.vhd")
    test.run("damaged", 0, "create", "--parent", chain.paths[2], child)
    with open(child, "r+b") as file:
        file.seek(SECTOR + 60)
        file.write(b"damage")
    test.refuse("damaged", chain, 1, "nobody knows whose child", "--scan", below)
    test.run("no directory", 1, "merge", "--scan", os.path.join(below, "nothing"), chain.leaf)


def new_files(test):
    """--out: the chain, or a part of it, as one new file; no other file changes."""
    for base in ("dynamic", "fixed"):
        spec = mixed_spec(7, 4, base, 64 << 10, "smaller" if base == "dynamic" else "larger", 2 * MIB)
        chain = test.chain(spec["layers"], 7)
        before = folder_bytes(chain.leaf)
        for layer in (None, 1, 2, 3):
            into = () if layer is None else ("--into", chain.paths[layer])
            new = os.path.join(chain.folder, "new.vhd")
            name = f"new file, {base}, {layer}"
            test.merge(name, chain, "--out", new, "--dry-run", *into)
            test.verdict(not os.path.exists(new), name, "--dry-run has made it")
            test.merge(name, chain, "--out", new, *into)
            found = open_chain(new)
            test.verdict(found.sha256() == chain.disk, name, "shows another disk")
            test.verdict(len(found.layers) == (1 if layer is None else 4 - layer), name,
                         f"{len(found.layers)} layers")
            found.close()
            found = validate(new, strict=True)
            test.verdict(found["result"] == "clean", name, found)
            test.run(name, 1, "merge", chain.leaf, "--out", new)
            test.run(name, 0, "merge", chain.leaf, "--out", new, "--force")
            os.unlink(new)
            test.verdict(folder_bytes(chain.leaf) == before, name, "another file has changed")


def no_space(test):
    """The file system takes no more: all is as before, and it goes on from there."""
    for kib in (0, 70, 700):
        chain = test.chain([{"size": 4 * MIB, "block": 32 << 10, "runs": [[9, 99, "name"]]},
                            {"runs": [[0, 8192, "name"]]}])
        name = f"no space behind {kib} KiB"
        limit = os.path.getsize(chain.paths[1]) // 1024 + kib
        done = subprocess.run(["bash", "-c", "trap '' XFSZ; ulimit -f $1; shift; exec \"$@\"", "_",
                               str(limit), VHDCTL, "merge", chain.leaf], check=False,
                              stderr=subprocess.PIPE, timeout=SECONDS)
        test.verdict(done.returncode == 1 and b"File too large" in done.stderr, name, done)
        test.judge(name, chain, 1)
        got = len(entries(chain.paths[1]))
        test.verdict(kib // 40 < got <= kib // 32 + 2, name, f"{got} blocks")
        test.verdict(validate(chain.paths[1])["result"] == "clean", name, "space is lost")
        test.whole(name, chain, 1)


def kill_once(args, delay):
    """False if it has ended by itself."""
    process = subprocess.Popen([VHDCTL, *args], stdout=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def long_runs(rng, sectors):
    """Parts of everything: names and zeros, large and small."""
    runs, at = [], rng.randrange(64)
    while at < sectors:
        count = min(rng.choice((1, 3, 16, 50, 200)), sectors - at)
        runs.append([at, count, rng.choice(("name", "name", "zero"))])
        at += count + rng.choice((0, 1, 7, 40, 100))
    return runs


def long_chain(test, number, size):
    """One of which a merge has much to write."""
    rng = random.Random(number)
    block = rng.choice((4, 8, 16)) << 10
    base = {"type": rng.choice(("dynamic", "dynamic", "fixed")), "size": size, "block": block,
            "layout": {"order": "shuffled"}, "runs": long_runs(rng, size // SECTOR // 3)}
    return test.chain([base] + [{"block": rng.choice((4, 8, 64)) << 10,
                                 "runs": long_runs(rng, size // SECTOR)} for _ in range(2)], number)


def kills(test, wanted):
    """Killed at any moment, and again, and at last let through."""
    number = 0
    while test.killed < wanted:
        number += 1
        chain = long_chain(test, number, 6 * MIB)
        layer = 1 + number % 2
        name, path = f"killed {number}", chain.paths[layer]
        args = ("merge", "--into", path, chain.leaf)
        twin = Chain(shutil.copytree(chain.folder, chain.folder + "t") +
                     "/" + os.path.basename(chain.leaf))
        begin = time.monotonic()
        test.run(name, 0, "merge", "--into", twin.paths[layer], twin.leaf)
        longest = time.monotonic() - begin
        whole = file_bytes(path)
        for _ in range(25):
            if kill_once(args, test.rng.uniform(0, longest)):
                test.killed += 1
                test.judge(name, chain, layer)
                continue
            with open(path, "wb") as file:
                file.write(whole)
        test.whole(name + " let through", chain, layer)
        test.verdict(os.path.getsize(path) == os.path.getsize(twin.paths[layer]), name,
                     f"{os.path.getsize(path)} bytes instead of "
                     f"{os.path.getsize(twin.paths[layer])} without kills")
        shutil.rmtree(chain.folder)
        shutil.rmtree(twin.folder)


def stray_sector(now, old, new):
    """The first one that is neither old nor new, or None."""
    for at in range(0, len(now), SECTOR):
        if now[at:at + SECTOR] not in (old[at:at + SECTOR], new[at:at + SECTOR]):
            return at // SECTOR
    return None


def cuts(test):
    """Every system call as the last one, and power cuts behind it.

    The disk that the parent shows by itself is old or new in each sector.
    """
    if not powercut.has_strace():
        test.skip("power cuts: strace is not installed")
        return
    for number in range(6):
        chain = long_chain(test, number, MIB // 2)
        layer = 1 + number % 2
        path, log = chain.paths[layer], os.path.join(test.work, "log")
        base, size = file_bytes(path), chain.sizes[layer]
        old, new = chain.read(layer, 0, size), chain.read(0, 0, size)
        code, ops = powercut.record([VHDCTL, "merge", "--into", path, chain.leaf], log, SECONDS)
        test.verdict(not code and ops, f"recorded {number}", code)
        end = bytearray(base)
        for op in ops:
            op.apply(end)
        test.verdict(bytes(end) == file_bytes(path), f"recorded {number}",
                     "what was recorded is not what has happened")
        for at, state in powercut.states(base, ops, test.rng, 3, 100):
            test.cut += 1
            with open(path, "wb") as file:
                file.write(state)
            name = f"cut {number} behind call {at} of {len(ops)}"
            test.judge(name, chain, layer)
            stray = stray_sector(chain.read(layer, 0, size), old, new)
            test.verdict(stray is None, name, f"sector {stray} is neither old nor new")
        test.whole(f"cut {number}", chain, layer)


def main():
    """Exit code 0 if all is well."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    # Without waiting for a disk there is time for more of them.
    work = tempfile.mkdtemp(dir=kit.fast_folder())
    test = Test(work, random.Random(seed))
    try:
        for part in (random_chains, own_chains, short_middle, left_behind, sparse, refusals,
                     locks, other_children, harmless_children, new_files, no_space, cuts):
            part(test)
        kills(test, wanted)
    finally:
        shutil.rmtree(work)
    print(f"killed {test.killed} times, {test.cut} states of power cuts, seed {seed}")
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
