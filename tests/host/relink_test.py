#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl set --parent: images made, read and judged by the oracle of tests/images.

The header and all locators must name the new parent and lead to it, in images of all
sorts; what is refused must leave the file as it was. After a kill at each call, and after
a power cut that loses any of what nobody has waited for, the file names one parent in all
places and the disk reads as before.

usage: relink_test.py [SEED]
"""

import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import urllib.parse

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
import powercut  # noqa: E402
from kit import MIB, SECONDS, SECTOR, VHDCTL, file_bytes, lock, write_file  # noqa: E402
from vhdchain import Builder  # noqa: E402
from vhdread import Image, open_chain  # noqa: E402
from vhdvalidate import validate  # noqa: E402

EPOCH = 946684800
GOOD = ("clean", "leaks")
UNSETTLED = {"footer-end-missing", "footer-copy"}
BASE = {"type": "dynamic", "size": 2 * MIB, "block": 64 << 10,
        "runs": [[5, 1000, "name"], [2000, 500, "zero"], [3000, 1000, "name"]]}
MIDDLE = {"size": 2 * MIB, "block": 64 << 10, "runs": [[900, 300, "name"]]}
LEAF = {"size": 2 * MIB, "block": 64 << 10, "runs": [[7, 300, "name"], [3500, 64, "name"]]}


def paths_of(leaf):
    """What the locators say, as paths: {code: path}."""
    image = Image(leaf)
    found = {}
    for locator in image.header.locator_list():
        code, text = struct.pack(">I", locator.code), image.pread(locator.offset, locator.length)
        if code == b"MacX":
            found["MacX"] = urllib.parse.unquote(text.decode().rstrip("\0").split("://", 1)[1])
        elif code != b"\0\0\0\0":
            found[code.decode()] = text.decode("utf-16-le").rstrip("\0").replace("\\", "/")
    image.close()
    return found


def parent_of(leaf):
    """The id that it names."""
    image = Image(leaf)
    image.close()
    return image.header.parent_uuid


def places_of(leaf):
    """Of the header, and of the first locator."""
    image = Image(leaf)
    image.close()
    return (image.footer.data_offset,
            min(entry.offset for entry in image.header.locator_list() if entry.code))


def id_of(path):
    """Its own id."""
    image = Image(path)
    image.close()
    return image.footer.uuid


class Family:
    """A leaf and its parents, each under a name of its own."""

    def __init__(self, folder, layers, seed=1):
        self.folder = folder
        self.leaf = os.path.join(folder, Builder(folder, seed, {"layers": layers}).write()["leaf"])
        chain = open_chain(self.leaf)
        self.paths = [layer.path for layer in chain.layers]
        self.disk = chain.sha256()
        chain.close()
        self.home = places_of(self.leaf)[0] if len(layers) > 1 else 0

    def move(self, layer, *parts):
        """Put a parent elsewhere; its new path."""
        path = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(self.paths[layer], path)
        self.paths[layer] = path
        return path


class Test(kit.Test):
    """With families, and what set makes of them."""

    def family(self, *layers, seed=1):
        """A fresh one, base first."""
        return Family(self.folder(), layers, seed)

    def refuse(self, name, code, leaf, *args):
        """What must fail and change nothing; what was said."""
        before = file_bytes(leaf)
        said = self.run(name, code, "set", *args, leaf)
        self.verdict(file_bytes(leaf) == before, name, "the file has changed")
        return said

    def judge(self, name, family, parent):
        """The whole file, once a command has ended."""
        leaf, paths = family.leaf, paths_of(family.leaf)
        chain = open_chain(leaf, [*family.paths, parent])
        self.verdict(chain.sha256() == family.disk, name, "the disk has changed")
        self.verdict(chain.layers[1].path == parent, name, f"its parent is {chain.layers[1].path}")
        header = chain.layers[0].header
        chain.close()
        self.verdict(header.name() == os.path.basename(parent), name, header.name())
        stamp = int(os.stat(parent).st_mtime) - EPOCH
        self.verdict(header.parent_timestamp == stamp, name, f"{header.parent_timestamp} {stamp}")
        relative = os.path.relpath(parent, os.path.dirname(leaf))
        relative = relative if relative.startswith("..") else "./" + relative
        wanted = {"W2ru": relative, "W2ku": parent, "MacX": parent}
        self.verdict(paths == wanted, name, f"{paths} instead of {wanted}")
        found = validate(leaf)
        self.verdict(found["result"] in GOOD, name, found)
        self.run(name, 3 if found["result"] == "leaks" else 0, "check", leaf)


KINDS = {
    "own": {}, "hyper-v": {"writer": "hyper-v"}, "libvhd": {"writer": "libvhd"},
    "simh": {"writer": "simh"}, "disk2vhd": {"writer": "disk2vhd"},
    "reversed": {"layout": {"order": "reversed"}}, "shuffled": {"layout": {"order": "shuffled"}},
    "gaps": {"layout": {"gap": 9, "data_align": 512}}, "BAT at the end": {"layout": {"bat": "end"}},
    "odd tail": {"layout": {"tail": 70000}}, "4K blocks": {"block": 4096},
    "no copy": {"copy": "missing"}, "no footer": {"footer": "missing"},
}


def kinds(test):
    """Children of all sorts, whose parent has gone elsewhere."""
    for name, change in KINDS.items():
        family = test.family(BASE, {**LEAF, **change})
        size = os.path.getsize(family.leaf)
        parent = family.move(1, "s\u00fcb dir", "n\u00e4me of it.vhd")
        test.run(name + ", gone", 4, "map", family.leaf)
        test.run(name, 0, "set", "--parent", parent, family.leaf)
        test.judge(name, family, parent)
        test.verdict(places_of(family.leaf)[0] == family.home, name, "the header has moved")
        grown = os.path.getsize(family.leaf) - size
        test.verdict(grown <= 8192, name, f"it has grown by {grown}")


def own_places(test):
    """The file that create makes stays as long as it is, with all in its place."""
    family = test.family(BASE)
    leaf = os.path.join(family.folder, "leaf.vhd")
    test.run("create", 0, "create", "--parent", family.leaf, leaf)
    family.paths.insert(0, leaf)
    family.leaf = leaf
    size, places = os.path.getsize(leaf), places_of(leaf)
    names = ["a.vhd", "b/c.vhd", "x" * 200 + ".vhd", "/".join(["d" * 200] * 3) + "/f.vhd", "e.vhd"]
    for number, name in enumerate(names):
        parent = family.move(1, name)
        test.run("own places", 0, "set", "--parent", parent, leaf)
        test.judge(f"own places {number}", family, parent)
        home = places_of(leaf) == places and os.path.getsize(leaf) <= size
        if len(name) < 300:
            test.verdict(home, f"own places {number}", f"{places_of(leaf)} {places}")
        else:
            test.verdict(not home and os.path.getsize(leaf) <= size + 8192,
                         f"own places {number}", "so much text cannot have its old place")


def merged(test):
    """The file between child and base has gone into the base."""
    family = test.family(BASE, MIDDLE, LEAF)
    leaf, middle, base = family.paths
    said = test.refuse("not merged yet", 5, leaf, "--parent", base)
    test.verdict("at byte 460800 of the disk" in said, "not merged yet", said)
    test.run("merge", 0, "merge", middle)
    spare = file_bytes(leaf)
    os.rename(middle, middle + ".away")
    said = test.refuse("nothing to compare with", 5, leaf, "--parent", base)
    test.verdict("cannot be opened" in said and "--ignore-id-mismatch" in said, "hint", said)
    said = test.run("insist", 0, "set", "--ignore-id-mismatch", "--parent", base, leaf)
    test.judge("insist", family, base)
    write_file(leaf, spare)
    os.rename(middle + ".away", middle)
    test.run("merged", 0, "set", "--parent", base, leaf)
    test.judge("merged", family, base)


def hidden(test):
    """Only what shows through must be equal."""
    family = test.family(BASE, LEAF)
    other = os.path.join(family.folder, "other.vhd")
    shutil.copy(family.paths[1], other)
    test.run("another id", 0, "set", "--uuid", "new", other)
    data = bytearray(file_bytes(other))
    image = Image(other)
    block = image.bat[0] * SECTOR + SECTOR
    image.close()
    data[block + 10 * SECTOR] ^= 1
    write_file(other, data)
    test.run("hidden", 0, "set", "--parent", other, family.leaf)
    test.judge("hidden", family, other)
    test.run("and back", 0, "set", "--parent", family.paths[1], family.leaf)
    test.judge("and back", family, family.paths[1])
    data[block + 6 * SECTOR] ^= 1
    write_file(other, data)
    said = test.refuse("shows through", 5, family.leaf, "--parent", other)
    test.verdict(f"at byte {6 * SECTOR} of the disk" in said, "shows through", said)


def sizes(test):
    """A parent of another size: behind the end of the smaller one both must be zeros."""
    for name, end, code in (("shorter, zeros", 3900 * SECTOR, 0), ("shorter, data", 3100 * SECTOR, 5)):
        family = test.family({**BASE, "size": 2 * MIB, "runs": [[5, 3300, "name"]]}, LEAF)
        short = os.path.join(family.folder, "short.vhd")
        raw = open_chain(family.paths[1])
        write_file(short + ".raw", raw.read(0, end))
        raw.close()
        test.run(name, 0, "convert", "-f", "raw", "-t", "dynamic", short + ".raw", short)
        test.run(name, code, "set", "--parent", short, family.leaf)
        if not code:
            test.judge(name, family, short)


def refusals(test):
    """What it does not do."""
    family = test.family(BASE, MIDDLE, LEAF)
    leaf, middle, base = family.paths
    said = test.refuse("itself", 2, leaf, "--parent", leaf)
    test.verdict("itself" in said, "itself", said)
    said = test.refuse("its child", 2, middle, "--parent", leaf)
    test.verdict("itself" in said, "its child", said)
    stranger = test.family(BASE, seed=7).leaf
    test.refuse("no child", 7, stranger, "--parent", base)
    test.refuse("a stranger", 5, leaf, "--parent", stranger)
    test.refuse("nothing there", 1, leaf, "--parent", os.path.join(family.folder, "none"))
    test.refuse("too deep", 7, leaf, "--max-depth", "2", "--parent", middle)
    with open(leaf, "r+b") as file:
        file.seek(Image(leaf).header.table_offset)
        file.write(b"\x7f\xff\xff\xff")
    test.refuse("faults", 2, leaf, "--parent", middle)


def locks(test):
    """Files that somebody uses."""
    family = test.family(BASE, MIDDLE, LEAF)
    leaf, middle, base = family.paths
    for path, kind, code in ((leaf, fcntl.F_RDLCK, 6), (middle, fcntl.F_WRLCK, 6),
                             (base, fcntl.F_WRLCK, 6), (middle, fcntl.F_RDLCK, 0)):
        with open(path, "r+b") as file:
            lock(file, kind)
            if code:
                test.refuse("locked", code, leaf, "--parent", middle)
            else:
                test.run("locked", code, "set", "--parent", middle, leaf)


def with_others(test):
    """Together with what else set can do."""
    family = test.family(BASE, LEAF)
    parent = family.move(1, "moved.vhd")
    own = "11111111222233334444555555555555"
    test.run("with others", 0, "set", "--parent", parent, "--uuid", own[:8] + "-2222-3333-4444-" +
             own[20:], "--hidden", "yes", family.leaf)
    test.verdict(id_of(family.leaf).hex() == own, "with others", id_of(family.leaf).hex())
    test.judge("with others", family, parent)


def twins(test, change):
    """A child, and a parent of another id and place with the same content."""
    family = test.family(BASE, {**LEAF, **change})
    twin = os.path.join(family.folder, "sub", "twin.vhd")
    os.makedirs(os.path.dirname(twin))
    shutil.copy(family.paths[1], twin)
    test.run("twin", 0, "set", "--uuid", "new", twin)
    return family, twin


def judge_state(test, name, family, twin):
    """Either parent, in all places, by either footer."""
    leaf = family.leaf
    try:
        new = parent_of(leaf) == id_of(twin)
        parent = twin if new else family.paths[1]
        test.verdict(parent_of(leaf) == id_of(parent), name, "it names nobody's id")
        test.verdict(Image(leaf).header.name() == os.path.basename(parent), name, "another name")
        bases = {os.path.basename(path) for path in paths_of(leaf).values()}
        test.verdict(bases == {os.path.basename(parent)}, name, f"its locators name {bases}")
        chain = open_chain(leaf, [parent])
        test.verdict(chain.sha256() == family.disk, name, "the disk has changed")
        chain.close()
    except Exception as error:  # pylint: disable=broad-except
        test.verdict(False, name, repr(error))
        return
    found = validate(leaf)
    faults = {fault["fault"] for fault in found["faults"]} - UNSETTLED
    test.verdict(not faults, name, faults)


def interrupted(test):
    """Each kill, and many power cuts; and running it again finishes."""
    if not powercut.has_strace():
        test.skip("interrupted: strace is not installed")
        return
    for number, change in enumerate(({}, {"writer": "libvhd"}, {"layout": {"order": "shuffled"}},
                                     {"writer": "hyper-v"})):
        family, twin = twins(test, change)
        leaf, log = family.leaf, os.path.join(test.work, "log")
        base = file_bytes(leaf)
        code, ops = powercut.record([VHDCTL, "set", "--parent", twin, leaf], log, SECONDS)
        whole = file_bytes(leaf)
        test.verdict(not code and len(ops) > 12, f"recorded {number}", f"{code}, {len(ops)}")
        kills(test, f"kill {number}", family, twin, (base, ops, whole))
        for at, state in powercut.states(base, ops, test.rng, 8, 200):
            test.cut += 1
            write_file(leaf, state)
            judge_state(test, f"cut {number} behind call {at} of {len(ops)}", family, twin)
            if test.rng.random() < 0.2:
                again(test, f"cut {number} behind call {at}, again", family, twin, whole)


def kills(test, name, family, twin, recorded):
    """A kill loses nothing: the file is as it was after some call."""
    base, ops, whole = recorded
    state = bytearray(base)
    for at, call in enumerate(ops):
        call.apply(state)
        write_file(family.leaf, state)
        judge_state(test, f"{name}, behind call {at}", family, twin)
        again(test, f"{name}, behind call {at}, again", family, twin, whole)
        test.killed += 1
    test.verdict(bytes(state) == whole, name, "what was recorded is not what has happened")


def again(test, name, family, twin, whole):
    """Running it once more finishes, and what is left at the end goes with compact."""
    test.run(name, 0, "set", "--parent", twin, family.leaf)
    test.judge(name, family, twin)
    left = os.path.getsize(family.leaf) - len(whole)
    test.verdict(left <= 16384, name, f"{left} bytes are left over")
    test.verdict(places_of(family.leaf)[0] == family.home, name, "the header is not at home")


def killed(test):
    """And with a real kill, at each call that writes."""
    if not powercut.has_strace():
        return
    family, twin = twins(test, {})
    base = file_bytes(family.leaf)
    for at in range(1, 100):
        write_file(family.leaf, base)
        done = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                               f"inject=pwrite64:signal=KILL:when={at}", VHDCTL, "set", "--parent",
                               twin, family.leaf], stdin=subprocess.DEVNULL, timeout=SECONDS,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if not done.returncode:
            break
        test.killed += 1
        judge_state(test, f"killed at write {at}", family, twin)
        test.run(f"killed at write {at}, again", 0, "set", "--parent", twin, family.leaf)
        test.judge(f"killed at write {at}, again", family, twin)
    test.verdict(8 < at < 99, "killed", f"{at} times")


def main():
    """Exit code 0 if all is well."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    work = tempfile.mkdtemp()
    test = Test(work, random.Random(seed))
    try:
        for part in (kinds, own_places, merged, hidden, sizes, refusals, locks, with_others,
                     interrupted, killed):
            part(test)
    finally:
        shutil.rmtree(work)
    print(f"killed {test.killed} times, power cut {test.cut} times, seed {seed}")
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
