#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl diff and export: pairs of disks made and read by the oracle of tests/images, to the
sector.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

# The kit sets the path of the others.
from kit import BUSY, CORRUPT, DIFFER, ERROR, MISSING, OK, SECTOR, UNSUPPORTED, VHDCTL
from scan_test import SECONDS, Test
from vhdchain import Builder, mixed_spec
from vhdread import Image, open_chain
from vhdvalidate import validate
from vhdwrite import Writer


def flat(path, raw):
    """All bytes of a disk."""
    chain = open_chain(path, [raw] if raw else [])
    data = chain.read(0, chain.size)
    chain.close()
    return data


def differing(one, two):
    """[start, length] of the stretches in which sectors differ, in bytes."""
    size = max(len(one), len(two))
    one, two = one.ljust(size, b"\0"), two.ljust(size, b"\0")
    runs = []
    for at in range(0, size, SECTOR):
        if one[at:at + SECTOR] == two[at:at + SECTOR]:
            continue
        if runs and sum(runs[-1]) == at:
            runs[-1][1] += SECTOR
        else:
            runs.append([at, SECTOR])
    return runs


def merged(runs):
    """The same of what vhdctl printed, which keeps neighbours of other types apart."""
    out = []
    for run in runs:
        if out and sum(out[-1]) == run["start"]:
            out[-1][1] += run["length"]
        else:
            out.append([run["start"], run["length"]])
    return out


def compare(test, name, one, two, raw=None):
    """Both ways round; the two disks as the oracle reads them come back."""
    options = ["--parent", raw] if raw else []
    disks = flat(one, raw), flat(two, raw)
    for first, second, wanted in ((one, two, disks), (two, one, disks[::-1])):
        runs = differing(*wanted)
        same = not runs and len(wanted[0]) == len(wanted[1])
        said, _ = test.ask(name, OK if same else DIFFER, "diff", "--json", *options, first, second)
        told = json.loads(said)
        test.same(f"{name}: runs", runs, merged(told["runs"]))
        test.same(f"{name}: sums", (sum(run[1] for run in runs), same,
                                    *(len(disk) for disk in wanted)),
                  (told["differ"], told["same"], told["a"]["size"], told["b"]["size"]))
        kinds = [(run["a"], run["b"]) for run in told["runs"]]
        ends = [(run["start"], run["start"] + run["length"]) for run in told["runs"]]
        test.same(f"{name}: runs are as long as can be", [], [
            at for at in range(1, len(kinds))
            if kinds[at] == kinds[at - 1] and ends[at][0] == ends[at - 1][1]])
        for run in told["runs"]:
            for key, disk in zip("ab", wanted):
                part = disk[run["start"]:run["start"] + run["length"]]
                if run[key] == "zero" and part.strip(b"\0"):
                    test.same(f"{name}: zeros are zeros", "zero", run)
    return disks


def export(test, name, since, now, disks, raw=None, block=None):
    """The child is sound, reads as the newer disk does, and holds what differs and no more."""
    out = os.path.join(test.folder(), "ö", "out.vhd")
    os.mkdir(os.path.dirname(out))
    options = ["--parent", raw] if raw else []
    options += ["-b", str(block)] if block else []
    test.ask(f"{name}: export", OK, "export", *options, "--since", since, now, out)
    test.same(f"{name}: sound", "clean", validate(out, strict=True)["result"])
    beside = [os.path.join(os.path.dirname(since), file)
              for file in os.listdir(os.path.dirname(since))]
    chain = open_chain(out, [raw] + beside if raw else beside)
    test.same(f"{name}: of the right parent", os.path.basename(since), chain.layers[1].name())
    test.same(f"{name}: reads as the newer disk", True, chain.read(0, chain.size) == disks[1])
    mine = [[first, end - first] for first, end, offset in chain.layers[0].runs(0, chain.size)
            if offset is not None]
    wanted = differing(disks[0][:len(disks[1])], disks[1])
    test.same(f"{name}: holds what differs", wanted, merged(
        [{"start": start, "length": length} for start, length in mine]))
    test.same(f"{name}: block size", block or chain.layers[1].block_size or 2 << 20,
              chain.layers[0].block_size)
    chain.close()
    said, _ = test.ask(f"{name}: its own parent", OK, "diff", "--json", *options[:2 * bool(raw)],
                       now, out)
    test.same(f"{name}: no difference left", True, json.loads(said)["same"])


def chains(test, seed):
    """Layers of one chain, which share what is below; and of two chains, which do not."""
    rng = random.Random(f"diff {seed}")
    base = ("fixed", "dynamic", "raw")[seed % 3]
    leaves, raw = [], None
    for number in range(2):
        folder = test.folder()
        spec = mixed_spec(seed + 100 * number, rng.randint(2, 4), base if not number else "dynamic",
                          rng.choice((32 << 10, 512 << 10)),
                          rng.choice(("equal", "larger", "smaller")), 2 << 20)
        builder = Builder(folder, seed, spec)
        builder.write()
        layers = [os.path.join(folder, layer["name"]) for layer in builder.layers]
        if not number and base == "raw":
            raw = layers.pop(0)
        leaves.append(layers)
    name = f"chain {seed}"
    since, now, other = rng.choice(leaves[0]), leaves[0][-1], leaves[1][-1]
    disks = compare(test, name, since, now, raw)
    export(test, name, since, now, disks, raw, rng.choice((None, 4 << 10, 2 << 20)))
    disks = compare(test, f"{name} and another", now, other, raw)
    export(test, f"{name} and another", now, other, disks, raw)


def image(path, runs, **more):
    """A dynamic image of 4 MiB."""
    Writer(path, {"type": "dynamic", "size": 4 << 20, "block": 512 << 10, "uuid": "01" * 16,
                  "runs": runs, **more}).write()
    return path


def equal_but_stored_otherwise(test):
    """Zeros that are stored, and the same data elsewhere, are no difference."""
    top = test.folder()
    one = image(os.path.join(top, "one.vhd"), [[0, 100, "name"], [2000, 50, "zero"]])
    two = image(os.path.join(top, "two.vhd"), [[0, 100, "name"], [5000, 9, "zero"]], uuid="02" * 16,
                layout={"order": "reversed", "gap": 8})
    three = image(os.path.join(top, "three.vhd"), [[0, 100, "name"]], type="fixed")
    compare(test, "dynamic and dynamic", one, two)
    compare(test, "dynamic and fixed", one, three)
    compare(test, "itself", one, one)
    compare(test, "of another size", one,
            image(os.path.join(top, "five.vhd"), [[0, 100, "name"]], size=5 << 20))
    said, errors = test.ask("silence", OK, "diff", one, two)
    test.same("silence", ("", ""), (said, errors))
    four = image(os.path.join(top, "four.vhd"), [[1, 1, "name"], [8191, 1, "name"]])
    said, _ = test.ask("table", DIFFER, "diff", three, four)
    test.same("table", ["START LENGTH A B", "0 512 data zero", "1024 50176 data zero",
                        "4193792 512 zero data"],
              [" ".join(line.split()) for line in said.splitlines()])


def shared(test):
    """What both take from one parent is not read."""
    top = test.folder()
    size = 64 << 20
    base = image(os.path.join(top, "base.vhd"), [[0, size // SECTOR, "name"]], size=size)
    for name in ("one", "two"):
        test.ask("child", OK, "snapshot", base, os.path.join(top, f"{name}.vhd"))
    one, two = (os.path.join(top, f"{name}.vhd") for name in ("one", "two"))
    # The shell's counters have those of the children it has waited for.
    script = '"$@" || exit; grep rchar /proc/$$/io'
    done = subprocess.run(["sh", "-c", script, "sh", VHDCTL, "diff", one, two], check=False,
                          stdout=subprocess.PIPE, timeout=SECONDS)
    test.same("shared: exit code", OK, done.returncode)
    test.same("shared: less than a MiB read", True,
              int(done.stdout.decode().split(":")[1] or size) < 1 << 20)


def faults(test):
    """What cannot be compared is an error, and no difference."""
    top = test.folder()
    one = image(os.path.join(top, "one.vhd"), [[0, 100, "name"]])
    bad = shutil.copy(one, os.path.join(top, "bad.vhd"))
    with open(bad, "r+b") as file:
        file.seek(Image(bad).header.table_offset)
        file.write(b"\x7f\xff\xff\xff")
    _, errors = test.ask("bad block", CORRUPT, "diff", one, bad)
    test.same("bad block is named", True, "bad.vhd" in errors and "at byte 0" in errors)
    test.ask("no file", ERROR, "diff", one, os.path.join(top, "none.vhd"))
    test.ask("one operand", ERROR, "diff", one)
    child = image(os.path.join(top, "child.vhd"), [], type="differencing", parent_uuid="03" * 16)
    test.ask("no parent", MISSING, "diff", one, child)
    with open(os.path.join(top, "text"), "wb") as file:
        file.write(b"text" * 1000)
    test.ask("no VHD", CORRUPT, "diff", one, file.name)


def refused(test):
    """What export does not do."""
    top = test.folder()
    since = image(os.path.join(top, "since.vhd"), [])
    now = image(os.path.join(top, "now.vhd"), [[5, 20, "name"]], uuid="02" * 16)
    out = os.path.join(top, "out.vhd")
    _, errors = test.ask("since nothing", ERROR, "export", now, out)
    test.same("since nothing", True, "since what?" in errors)
    for name, target in (("into itself", now), ("into the parent", since)):
        before = open_bytes(target)
        test.ask(name, BUSY, "export", "--force", "--since", since, now, target)
        test.same(f"{name}: untouched", True, open_bytes(target) == before)
    image(out, [])
    test.ask("there already", ERROR, "export", "--since", since, now, out)
    test.ask("there already, by force", OK, "export", "--force", "--since", since, now, out)
    test.same("replaced", "differencing", Image(out).kind)
    noid = image(os.path.join(top, "noid.vhd"), [], uuid=None)
    test.ask("of no id", UNSUPPORTED, "export", "--since", noid, now, out + "2")
    test.same("nothing is left", ["noid.vhd", "now.vhd", "out.vhd", "since.vhd"],
              sorted(os.listdir(top)))


def open_bytes(path):
    """All of a file."""
    with open(path, "rb") as file:
        return file.read()


def killed(test):
    """However early it is killed, there is a whole image or none; the next one makes it."""
    rng = random.Random(4)
    top = test.folder()
    size = 48 << 20
    since = image(os.path.join(top, "since.vhd"), [], size=size)
    now = image(os.path.join(top, "now.vhd"), [[0, size // SECTOR, "name"]], size=size,
                uuid="02" * 16)
    out = os.path.join(top, "out.vhd")
    command = [VHDCTL, "export", "--since", since, now, out]
    begin = time.monotonic()
    subprocess.run(command, check=True, timeout=SECONDS)
    seconds = time.monotonic() - begin
    whole = open_chain(out).sha256()
    os.unlink(out)
    cut = 0
    for _ in range(40):
        with subprocess.Popen(command) as process:
            time.sleep(rng.uniform(0, seconds * 0.8))
            process.kill()
        cut += not os.path.exists(out)
        if os.path.exists(out):
            test.same("killed too late", whole, open_chain(out).sha256())
            os.unlink(out)
        test.same("killed: nothing is left", ["now.vhd", "since.vhd"], sorted(os.listdir(top)))
    test.same("many were killed in time", True, cut >= 10)
    test.ask("after kills", OK, *command[1:])
    test.same("after kills", whole, open_chain(out).sha256())


def main():
    """All of them."""
    with tempfile.TemporaryDirectory() as work:
        test = Test(work)
        for seed in range(12):
            chains(test, seed)
        for part in (equal_but_stored_otherwise, shared, faults, refused, killed):
            part(test)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
