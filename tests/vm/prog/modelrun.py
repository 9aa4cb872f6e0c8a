#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Random I/O on chains of every kind, judged by three programs.

For each combination of base type, block size of the leaf, depth class and size
relation: make a chain, attach it, let `model` loose on it, detach it, and see
that the driver, `vhdctl check`, the oracle and qemu-img agree about the result
and that no parent changed. The last line printed says whether they did.

With --devices each file of a chain is a block device while `model` runs; what is
compared afterwards are the files again.
"""

import argparse
import hashlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

sys.path.insert(0, "tests/images")
from vhdchain import Builder, mixed_spec           # noqa: E402
from vhdread import open_chain                     # noqa: E402
from vhdvalidate import validate                   # noqa: E402

BASES = ("fixed", "dynamic", "raw")
BLOCKS = (32 << 10, 512 << 10, 2 << 20)
DEPTHS = {"1": (1, 1), "2-3": (2, 3), "4-8": (4, 8)}
RELATIONS = ("equal", "larger", "smaller")
NONE = "-"
LOCK = threading.Lock()


class Failed(Exception):
    """A program disagreed; the text says which and how."""


def say(text):
    """One line at a time, whichever thread prints it."""
    with LOCK:
        print(text, flush=True)


def run(*command, code=0):
    """Output of a command that must end with that exit code."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    if done.returncode != code:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}, not {code}\n{done.stdout}")
    return done.stdout.strip()


def combinations():
    """What can exist: a fixed disk has no blocks, and a single file no relation."""
    for base, block, depth, relation in itertools.product(BASES, BLOCKS, DEPTHS, RELATIONS):
        if depth == "1" and base != "raw":
            if relation != "equal" or (base == "fixed" and block != BLOCKS[-1]):
                continue
            yield base, NONE if base == "fixed" else block, depth, NONE
        else:
            yield base, block, depth, relation


def pick_size(rng):
    """Mostly small, some large, and none a round number."""
    low, high = (32, 64) if rng.random() < 0.1 else (8, 16)
    return rng.randrange(low << 11, high << 11) << 9


def make_room(path, manifest):
    """Move the end footer: on a device, what lies before it is all there is to grow into."""
    block = manifest["block_size"]
    if not block:
        return
    with open(path, "rb+") as file:
        old = file.seek(-512, os.SEEK_END)
        footer = file.read()
        room = (manifest["size"] // block + 2) * (block + (block >> 12) + 8192)
        file.truncate((old + room + 4095) & ~4095)
        file.seek(old)
        file.write(bytes(512))
        file.seek(-512, os.SEEK_END)
        file.write(footer)


def carrier(stack, path):
    """A linear device on a loop device on that file, until the stack is left."""
    loop = run("losetup", "--direct-io=on", "--find", "--show", path)
    stack.callback(run, "losetup", "--detach", loop)
    name = "model-" + os.path.basename(loop)
    run("dmsetup", "create", name, "--table",
        f"0 {run('blockdev', '--getsz', loop)} linear {loop} 0")
    stack.callback(run, "dmsetup", "remove", "--retry", name)
    return "/dev/mapper/" + name


class Chain:
    """One combination, from generation to the last comparison."""

    def __init__(self, number, combination, args):
        self.base, self.block, self.depth, self.relation = combination
        self.seed = args.seed + number
        self.ops = args.ops
        self.devices = args.devices
        self.folder = os.path.join(args.dir, str(number))
        self.counts = ""
        self.rng = random.Random(self.seed)

    def path(self, name):
        """A file of this run."""
        return os.path.join(self.folder, name)

    def label(self):
        """What a person needs in order to repeat this run."""
        return f"{self.base}:{self.block}:{self.depth}:{self.relation} seed {self.seed}"

    def make(self):
        """Generate the files; a raw base is below the files that count."""
        low, high = DEPTHS[self.depth]
        files = self.rng.randint(low, high)
        layers = files if self.base != "raw" else min(files, 7) + 1
        block = BLOCKS[-1] if self.block == NONE else self.block
        relation = "equal" if self.relation == NONE else self.relation
        spec = mixed_spec(self.seed, layers, self.base, block, relation, pick_size(self.rng))
        builder = Builder(self.folder, self.seed, spec)
        self.manifest = builder.write()
        builder.write_raw(self.path("initial"))
        self.leaf = self.path(self.manifest["leaf"])
        raw = self.manifest["raw_parent"]
        self.parents = [self.path(raw)] if raw else []

    def named(self):
        """Options that name the raw parent, which nobody may guess."""
        return [word for parent in self.parents for word in ("--parent", parent)]

    def attach(self, *options):
        """The device's path."""
        return run("vhdctl", "attach", *options, *self.named(), self.leaf)

    def attach_devices(self, stack):
        """The same, of devices that hold the files until the stack is left."""
        make_room(self.leaf, self.manifest)
        paths = [self.path(entry["file"]) for entry in self.manifest["files"]]
        leaf, *parents = [carrier(stack, path) for path in paths]
        named = [word for parent in parents for word in ("--parent", parent)]
        return run("vhdctl", "attach", *named, leaf)

    def exercise(self):
        """The random requests."""
        with ExitStack() as stack:
            device = self.attach_devices(stack) if self.devices else self.attach()
            stack.callback(run, "vhdctl", "detach", device)
            block = str(self.manifest["block_size"] or 2 << 20)
            self.counts = run("model", "run", "-s", str(self.seed), "-n", str(self.ops), "-b",
                              block, "-o", self.path("expect"), self.path("initial"), device)

    def compare(self, path):
        """A file or device against the model."""
        run("model", "compare", self.path("expect"), path)

    def check_files(self):
        """Every file sound, every parent as it was."""
        for entry in self.manifest["files"]:
            path = self.path(entry["file"])
            if path != self.leaf:
                with open(path, "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                        raise Failed(f"{entry['file']}: a parent changed")
            if path not in self.parents:
                run("vhdctl", "check", *self.named(), path)
        verdict = validate(self.leaf)
        if verdict["result"] != "clean":
            raise Failed(f"oracle: {self.leaf}: {verdict}")

    def read_elsewhere(self):
        """By the oracle, by qemu-img where that can, and by the driver again."""
        flat = self.path("flat")
        open_chain(self.leaf, self.parents, "auto").write_raw(flat)
        self.compare(flat)
        os.unlink(flat)
        if self.manifest["depth"] == 1:
            run("qemu-img", "convert", "-O", "raw", "--image-opts",
                f"driver=vpc,force_size_calc=current_size,file.filename={self.leaf}", flat)
            self.compare(flat)
        device = self.attach(*self.rng.choice(((), ("-r",), ("--cache", "buffered"))))
        try:
            self.compare(device)
        finally:
            run("vhdctl", "detach", device)

    def run(self):
        """True if everybody agreed. What failed stays for whoever looks."""
        start = time.monotonic()
        try:
            self.make()
            self.exercise()
            self.check_files()
            self.read_elsewhere()
        except Failed as failed:
            say(f"not ok - {self.label()}\n{failed}")
            return False
        except Exception:                          # pylint: disable=broad-except
            say(f"not ok - {self.label()}\n{traceback.format_exc()}")
            return False
        say(f"# {self.label()} layers {self.manifest['depth']} size {self.manifest['size']}"
            f" {self.counts} {time.monotonic() - start:.1f} s")
        shutil.rmtree(self.folder)
        return True


def table(done, ops):
    """Requests for each combination; '-' where there is no such chain."""
    columns = list(itertools.product(DEPTHS, (NONE, *RELATIONS)))
    columns = [c for c in columns if c[0] == "1" or c[1] != NONE]
    say("# requests by base, block of the leaf | depth/size relation to the parent")
    say("# " + " " * 15 + "".join(f"{d + '/' + r:>12}" for d, r in columns))
    for base, block in itertools.product(BASES, (NONE, *BLOCKS)):
        cells = [ops if (base, block, d, r) in done else NONE for d, r in columns]
        if any(cell != NONE for cell in cells):
            say(f"# {base:8}{block!s:>7}" + "".join(f"{cell!s:>12}" for cell in cells))


def parse_args():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--ops", type=int, default=300)
    parser.add_argument("--every", type=int, default=1, help="only each Nth combination")
    parser.add_argument("--first", type=int, default=0, help="and not those before this one")
    parser.add_argument("--devices", action="store_true", help="attach block devices")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("dir")
    return parser.parse_args()


def main():
    """Exit code 0 if every run passed."""
    args = parse_args()
    say(f"# seed {args.seed}")
    wanted = list(combinations())[args.first::args.every]
    chains = [Chain(number, one, args) for number, one in enumerate(wanted)]
    with ThreadPoolExecutor(args.jobs) as pool:
        good = list(pool.map(Chain.run, chains))
    table({one for one, passed in zip(wanted, good) if passed}, args.ops)
    failed = good.count(False)
    verdict = "not ok" if failed else "ok"
    say(f"{verdict} - {len(good)} chains, {len(good) * args.ops} requests, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
