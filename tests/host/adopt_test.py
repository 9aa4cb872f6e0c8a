#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl merge --relink: children of files that are merged get the result as their parent.

Judged by the oracle of tests/images: before, after, and in each state that a kill or a
crash can leave, all disks read as they did, no image has a fault, and the same command run
again finishes. Who would show another disk is refused, and then nothing has changed.

usage: adopt_test.py [STATES [SEED]]    crash states of each kind of merge
"""

import fcntl
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
from crashstates import points, states  # noqa: E402
from kit import VHDCTL, file_bytes, lock  # noqa: E402
from merge_test import GOOD, Test, folder_bytes  # noqa: E402
from recording import SYNC, SYNC_DIR, Recorder  # noqa: E402
from vhdchain import Builder  # noqa: E402
from vhdread import Image, open_chain  # noqa: E402
from vhdspec import EPOCH  # noqa: E402
from vhdvalidate import validate  # noqa: E402

LIBRARY = os.path.join(kit.TOP, "build", "tests", "host", "recorder.so")
EXHAUST = 8                     # parts under way of which all subsets are tried
SIZE = 256 << 10
BASE = {"size": SIZE, "block": 8 << 10, "runs": [[9, 99, "name"]]}
MIDDLE = {"block": 8 << 10, "runs": [[0, 9, "name"], [300, 4, "name"]]}
LEAF = {"block": 8 << 10, "runs": [[400, 30, "name"], [12, 3, "name"]]}
# What a merge of LEAF into the base changes, and all of it but one sector.
COVER = [[0, 9, "name"], [12, 3, "name"], [300, 4, "name"], [400, 30, "name"]]
ALMOST = [*COVER[:3], [400, 29, "name"]]
SOME = [[2, 3, "name"], [14, 1, "zero"], [401, 7, "name"]]
UNSETTLED = {"footer-end-missing", "footer-copy"}


class Family:
    """A chain and children of its files, all in one folder."""

    def __init__(self, test, *layers):
        self.test, self.layers = test, list(layers or (BASE, MIDDLE, LEAF))
        self.chain = test.chain(self.layers)
        self.folder, self.paths = self.chain.folder, self.chain.paths
        self.disks = {self.chain.leaf: self.chain.disk}

    def path(self, name):
        """Of a file of the folder."""
        return os.path.join(self.folder, name)

    def child(self, name, layer, *runs, **more):
        """A child of a layer, counted from the leaf; its path. Its id is its name's."""
        spec = {"block": 8 << 10, "runs": list(runs), "name": name,
                "uuid": name.encode().hex().ljust(32, "0"), **more}
        # The others are written again, the same bytes.
        above = self.layers[:len(self.layers) - layer]
        Builder(self.folder, 1, {"layers": [*above, spec]}).write()
        self.disks[self.path(name)] = disk_of(self.path(name))
        return self.path(name)

    def command(self, into, out, *children):
        """A merge."""
        return ["merge", *(("--into", self.paths[into]) if into else ()),
                *(("--out", self.path("new.vhd")) if out else ()),
                *(word for child in children for word in ("--relink", child)), self.chain.leaf]

    def refuse(self, name, code, text, command):
        """It must not be made, and change nothing."""
        before = folder_bytes(self.chain.leaf)
        for more in ((), ("--dry-run",)):
            said = self.test.run(name, code, *command, *more)
            self.test.verdict(text in said, name, f"'{text}' is not in: {said}")
        self.test.verdict(folder_bytes(self.chain.leaf) == before, name, "a file has changed")

    def judge(self, name):
        """At any moment: all disks are as they were, and no image has a fault."""
        for path, disk in self.disks.items():
            self.test.verdict(disk_of(path) == disk, name, f"{path} shows another disk")
        for file in sorted(os.listdir(self.folder)):
            if not file.startswith("."):
                found = validate(self.path(file))
                faults = {fault["fault"] for fault in found["faults"]} - UNSETTLED
                self.test.verdict(found["result"] in GOOD or not faults, name, f"{file}: {found}")

    def judge_done(self, name, parent, *children):
        """Afterwards the children are the parent's, by all that their headers say."""
        self.judge(name)
        for child in children:
            chain = open_chain(child)
            header, found = chain.layers[0].header, chain.layers[1]
            says = (header.parent_uuid, header.name(), header.parent_timestamp)
            wanted = (found.footer.uuid, os.path.basename(parent),
                      int(os.stat(parent).st_mtime) - EPOCH)
            chain.close()
            self.test.verdict(found.path == parent and says == wanted, name,
                              f"{child}: {found.path}: {says} instead of {wanted}")
            self.test.run(name, 0, "check", child)


def disk_of(path):
    """A hash; words if nobody can read it."""
    try:
        chain = open_chain(path)
    except Exception as error:  # pylint: disable=broad-except
        return repr(error)
    found = chain.sha256()
    chain.close()
    return found


def relinked(test):
    """Children of the leaf, with data and without, and a child of one of these."""
    for into, out in ((1, False), (2, False), (1, True), (2, True), (0, True)):
        family = Family(test)
        children = [family.child("x.vhd", 0), family.child("y.vhd", 0, *SOME)]
        test.run("a child's child", 0, "create", "--parent", children[1], family.path("z.vhd"))
        family.disks[family.path("z.vhd")] = disk_of(family.path("z.vhd"))
        result = family.path("new.vhd") if out else family.paths[into]
        name = f"relinked to {into}, {'new' if out else 'old'}"
        command = family.command(into, out, *children)
        before = folder_bytes(family.chain.leaf)
        said = test.run(name, 0, *command, "--dry-run", "--json")
        test.verdict(json.loads(said)["relinked"] == children and
                     folder_bytes(family.chain.leaf) == before, name, said)
        if not out:
            said = test.run(name, 6, *command[:-3], family.chain.leaf, "--scan", family.folder)
            test.verdict("y.vhd: is a child" in said and "x.vhd" not in said and
                         "z.vhd" not in said, name, said)
        said = test.run(name, 0, *command, *(() if out else ("--scan", family.folder)))
        test.verdict("2 children relinked" in said, name, said)
        family.judge_done(name, result, *children)
        os.rename(family.chain.leaf, family.chain.leaf + ".away")
        for child in children:
            test.verdict(disk_of(child) == family.disks[child], name, f"{child} needs the leaf")
        os.rename(family.chain.leaf + ".away", family.chain.leaf)
        again = file_of(result)
        said = test.run(name, 0, *command, "--json")
        test.verdict(json.loads(said)["relinked"] == children, name, said)
        family.judge_done(name + ", again", result, *children)
        test.verdict(file_of(result) == again, name, "the result has changed in a second run")


def file_of(path):
    """Its bytes, its inode and its time."""
    return file_bytes(path), os.stat(path).st_ino, os.stat(path).st_mtime_ns


def hidden(test):
    """Children of the other files, if all that would change for them is their own."""
    for layer, into, runs in ((1, 1, LEAF["runs"]), (1, 2, COVER), (2, 2, COVER)):
        name = f"a child of layer {layer}, into {into}"
        family = Family(test)
        child = family.child("x.vhd", layer, *runs)
        command = family.command(into, False, child)
        family.refuse(name, 6, "", family.command(into, False) + ["--scan", family.folder])
        test.run(name, 0, *command, "--scan", family.folder)
        family.judge_done(name, family.paths[into], child)
    for layer, into in ((1, 1), (1, 2), (2, 2)):
        name = f"almost hidden in layer {layer}, into {into}"
        family = Family(test)
        child = family.child("x.vhd", layer, *ALMOST)
        family.refuse(name, 6, f"another disk at byte {429 * 512}, where",
                      family.command(into, False, child))
        # Into a new file, who is not a child of the leaf must hide the difference too.
        family.refuse(name, 6, f"another disk at byte {429 * 512}, where",
                      family.command(into, True, child))
    family = Family(test)
    child = family.child("x.vhd", 2, *COVER)
    test.run("hidden, new file", 0, *family.command(0, True, child))
    family.judge_done("hidden, new file", family.path("new.vhd"), child)


def below_hidden(test):
    """Who is below one that is named needs no name."""
    family = Family(test)
    child = family.child("x.vhd", 2, *COVER)
    test.run("below", 0, "create", "--parent", child, family.path("y.vhd"))
    family.disks[family.path("y.vhd")] = family.disks[child]
    command = family.command(2, False, child) + ["--scan", family.folder]
    test.run("below", 0, *command)
    family.judge_done("below", family.paths[2], child)
    family = Family(test)
    names = [family.child("x.vhd", 1, *COVER), family.child("y.vhd", 2, *COVER)]
    said = test.run("one of two", 6, *family.command(2, False, names[0]), "--scan", family.folder)
    test.verdict("y.vhd: reads through" in said and "x.vhd" not in said, "one of two", said)


def sizes(test):
    """Behind the end of the leaf a child sees zeros, and the parent may have data there."""
    small = {**LEAF, "size": SIZE // 2, "runs": [[3, 4, "name"]]}
    family = Family(test, {**BASE, "runs": [[0, 500, "name"]]}, small)
    child = family.child("x.vhd", 0, size=SIZE)
    family.refuse("larger", 7, "has something else there", family.command(1, False, child))
    test.run("larger, new file", 0, *family.command(0, True, child))
    family.judge_done("larger, new file", family.path("new.vhd"), child)
    family = Family(test, {**BASE, "runs": [[0, 500, "name"]]}, small)
    child = family.child("x.vhd", 0, size=SIZE // 4)
    test.run("smaller", 0, *family.command(1, False, child))
    family.judge_done("smaller", family.paths[1], child)
    # A child of the parent itself sees there what it saw.
    for first, code in ((4, 6), (3, 0)):
        family = Family(test, {**BASE, "runs": [[0, 500, "name"]]}, small)
        child = family.child("x.vhd", 1, [first, 7 - first, "name"])
        command = family.command(1, False, child)
        if code:
            family.refuse("the parent's", code, "another disk at byte 1536,", command)
            continue
        test.run("the parent's", code, *command)
        family.judge_done("the parent's", family.paths[1], child)


def refusals(test):
    """What is no such child, or cannot be had."""
    family = Family(test)
    child, other = family.child("x.vhd", 0), family.path("other.vhd")
    for name, parent in (("of a child", ("--parent", child)), ("of nobody", ("-s", "256K"))):
        test.run(name, 0, "create", "--force", *parent, other)
        family.refuse(name, 4, "is no child of", family.command(2, False, child, other))
    deeper = family.child("deeper.vhd", 2)
    for out in (False, True):
        family.refuse("below the result", 4, "is no child of", family.command(1, out, deeper))
    family.refuse("of the chain", 4, "itself one of", family.command(2, False, family.paths[1]))
    family.refuse("the leaf", 4, "itself one of", family.command(2, False, family.chain.leaf))
    family.refuse("twice", 1, "twice", family.command(2, False, child, child))
    family.refuse("not there", 1, "No such file", family.command(2, False, child + "x"))
    lost = family.child("lost.vhd", 0, parent_uuid="f" * 32)
    del family.disks[lost]
    family.refuse("lost", 5, "another unique id", family.command(2, False, lost))
    for kind in (fcntl.F_WRLCK, fcntl.F_RDLCK):
        with open(child, "r+b") as file:
            lock(file, kind)
            for out in (False, True):
                test.run("locked", 6, *family.command(2, out, child))
    family.judge("locked")
    test.verdict(not os.path.exists(family.path("new.vhd")), "locked", "a new file was made")
    image = Image(child)
    with open(child, "r+b") as file:
        file.seek(image.header.table_offset)
        file.write(b"\x7f\xff\xff\xf0")
    image.close()
    family.refuse("a child with faults", 2, "check", family.command(2, False, child))


def wrong_id(test):
    """--ignore-id-mismatch is for the chain; whose child it is, only the child says."""
    family = Family(test)
    child = family.child("x.vhd", 1, *COVER, parent_uuid="f" * 32)
    del family.disks[child]
    family.refuse("wrong id", 5, "another unique id", [*family.command(2, False, child), "--parent",
                                                       family.paths[1], "--ignore-id-mismatch"])
    family = Family(test, {**BASE, "type": "raw"}, MIDDLE)
    child = family.child("x.vhd", 0)
    family.refuse("no id", 7, "no unique id",
                  [*family.command(1, False, child), *family.chain.named])


def stranger(test):
    """A new file that is there already, and another one than this merge would make."""
    family = Family(test)
    child = family.child("x.vhd", 0, *SOME)
    new = family.path("new.vhd")
    for name, into, *args in (("another disk", 0, "create", "-s", "256K", new),
                              ("smaller", 0, "create", "-s", "128K", new),
                              ("larger", 0, "convert", family.chain.leaf, new),
                              ("a child", 0, "snapshot", family.chain.leaf, new),
                              ("no child", 1, "convert", family.chain.leaf, new),
                              ("another's child", 1, "snapshot", family.chain.leaf, new)):
        test.run(name, 0, *args)
        if name == "larger":
            test.run(name, 0, "resize", new, "+64K")
        command = family.command(into, True, child)
        said = test.run(name, 1, *command)
        test.verdict("File exists" in said, name, said)
        family.judge(name)
        test.run(name, 0, *command, "--force")
        family.judge_done(name, new, child)
        family.child("x.vhd", 0, *SOME)
        os.unlink(new)


def locked_for_writing(path):
    """Somebody is, and so nobody could attach it."""
    with open(path, "rb") as file:
        mine = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        theirs = fcntl.fcntl(file, kit.F_OFD_GETLK, mine)
        return struct.unpack("hhqqi4x", theirs)[0] == fcntl.F_WRLCK


def held(test):
    """The children are locked while their parents change; each wait for the disk is long."""
    if not shutil.which("strace"):
        test.skip("held: strace is not installed")
        return
    family = Family(test)
    children = [family.child("x.vhd", 0), family.child("y.vhd", 0, *SOME)]
    command = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e",
               "inject=fsync:delay_enter=100000", VHDCTL, *family.command(2, False, *children)]
    seen = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if seen or locked_for_writing(children[1]):
                seen.append(all(locked_for_writing(child) for child in children))
            time.sleep(0.01)
    test.verdict(not process.returncode and sum(seen) > max(8, len(seen) * 3 // 4), "held",
                 f"{sum(seen)} times locked, of {len(seen)}")
    family.judge_done("held", family.paths[2], *children)


def cases(test):
    """Merges to interrupt: a name, the command, and what has to be there afterwards."""
    for into, out, layer, runs in ((2, False, 0, SOME), (1, False, 1, LEAF["runs"]),
                                   (2, False, 2, COVER), (1, True, 0, SOME), (0, True, 0, SOME)):
        family = Family(test)
        children = [family.child("x.vhd", layer, *runs), family.child("y.vhd", 0, *SOME)]
        result = family.path("new.vhd") if out else family.paths[into]
        command = family.command(into, out, *children)
        yield f"{'out' if out else 'into'} {into}, child of {layer}", family, \
            [VHDCTL, *command], (result, *children)


def interrupted(test, recorder, wanted):
    """Killed in each change, and what a crash at any moment can leave."""
    for name, family, command, result in cases(test):
        before, changes = recorder.record(command, family.folder)
        left = points(before, changes)[-1].atoms
        test.verdict(not any(atom.ino in before.inodes for atom in left), name, "not durable")
        for number in range(1, len(changes) + 1):
            before.store(family.folder, fresh=True)
            killed, _, said = recorder.kill(command, number, test.rng.choice((0, 4, 8)))
            test.killed += killed
            where = f"{name}, killed in change {number} of {len(changes)}"
            test.verdict(killed or changes[number - 1].kind in (SYNC, SYNC_DIR), where, said)
            finish(test, where, family, command, result)
        for state in itertools.islice(states(before, changes, test.rng, EXHAUST), wanted):
            state.files.store(family.folder)
            test.cut += 1
            finish(test, f"{name}, {state.text}", family, command, result)


def finish(test, name, family, command, result):
    """All is well, and the command once more is the end of it."""
    family.judge(name)
    test.run(name + ", again", 0, *command[1:])
    family.judge_done(name + ", again", *result)


def main():
    """Exit code 0 if all is well."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    work = tempfile.mkdtemp(dir=kit.fast_folder())
    test = Test(work, random.Random(seed))
    try:
        for part in (relinked, hidden, below_hidden, sizes, refusals, wrong_id, stranger,
                     held):
            part(test)
        interrupted(test, Recorder(LIBRARY, work), wanted)
    finally:
        shutil.rmtree(work)
    print(f"killed {test.killed} times, {test.cut} crash states, seed {seed}")
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
