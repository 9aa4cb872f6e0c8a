# SPDX-License-Identifier: GPL-2.0
"""What a row of the corruption table is: a base image, patches, and the outcome."""

import os
import random

from vhdchain import Builder, random_runs
from vhdspec import SECTOR, Footer, Header

DISK = 8 << 20
BLOCK = 64 << 10
ENTRIES = DISK // BLOCK
SURPLUS = 8
NAMES = ("check", "info", "attach_ro", "attach_rw", "kernel_ro", "kernel_rw")


class Outcome:
    """What every program must answer; see the table's keys above."""

    def __init__(self, faults, check, info, attach, kernel):
        self.faults = list(faults)
        self.check, self.info = check, info
        self.attach_ro, self.attach_rw = attach
        self.kernel_ro, self.kernel_rw = kernel
        self.size = None
        self.bad_blocks = []
        self.unsure_blocks = []
        self.readable = "ok" in self.kernel_ro

    def with_size(self, size):
        """The same, with the size of the disk."""
        self.size = size
        return self

    def failing(self, bad=(), unsure=()):
        """The same, with blocks that cannot be read, or of which nothing is promised."""
        self.bad_blocks, self.unsure_blocks = list(bad), list(unsure)
        return self


def either(first, *rest):
    """Any of several outcomes; a size counts if the disk turns out to be readable."""
    out = Outcome(first.faults, first.check, first.info, (first.attach_ro, first.attach_rw),
                  (first.kernel_ro, first.kernel_rw)).with_size(first.size)
    for other in rest:
        for name in ("faults", *NAMES):
            mine = getattr(out, name)
            setattr(out, name, mine + [x for x in getattr(other, name) if x not in mine])
        out.size = out.size or other.size
    if any(not outcome.faults for outcome in (first, *rest)):
        out.faults = []
    out.readable = False
    return out


def legal(size=None):
    """Nothing is wrong."""
    return Outcome([], [0], [0], ([0], [0]), (["ok"], ["ok"])).with_size(size)


def fatal(*faults):
    """Nobody opens it: corrupt, or not a VHD."""
    return Outcome(faults, [2], [2], ([2], [2]), (list(faults),) * 2)


def unsupported(*faults):
    """Legal, and refused."""
    return Outcome(faults, [7], [7], ([7], [7]), (list(faults),) * 2)


def repairable(fault):
    """A footer that the next read-write attach mends."""
    return Outcome([fault], [2], [0], ([0], [0]), (["ok"], ["ok"]))


def by_copy(fault):
    """Like repairable, for a child: opened by its copy it looks for no parents by itself."""
    return Outcome([fault], [2], [0], ([4], [4]), (["ok"], ["ok"]))


def bad_block(*faults):
    """Refused for writing; read-only only that block fails."""
    return Outcome(faults, [2], [0], ([0], [2]), (["ok"], list(faults)))


def bad_locator(*faults):
    """Reported by check; the parent is found by other means."""
    # A place that is wrong may hide data; a name that cannot be read is only useless.
    useless = set(faults) <= {"locator-code", "locator-text"}
    return Outcome(faults, [2, 0] if useless else [2], [0], ([0], [0]), (["ok"], ["ok"]))


def leak():
    """Space that nothing uses."""
    return Outcome([], [3], [0], ([0], [0]), (["ok"], ["ok"]))


def by_type_four():
    """Type 4 with a zero parent id: legal for tapdisk, openable only with a raw parent named."""
    out = legal()
    out.attach_ro = out.attach_rw = [4]
    out.kernel_ro = out.kernel_rw = ["raw-parent", "no-parent"]
    out.info = [0, 4]
    out.check = [0, 4]
    return out


def given_parent():
    """The kernel is handed a parent too many; vhdctl would not."""
    out = legal()
    out.kernel_ro = out.kernel_rw = ["not-differencing"]
    return out


def stranger():
    """The parent that the child's paths lead to has another id."""
    out = legal()
    out.check = out.info = [0, 5]
    out.attach_ro = out.attach_rw = [5]
    out.kernel_ro = out.kernel_rw = ["parent-id"]
    return out


def shrunk(size):
    """Blocks that the size no longer reaches are surplus: legal, but perhaps lost space."""
    out = legal(size)
    out.check = [0, 3]
    return out


def no_parent():
    """Nothing leads to the parent; the kernel, which is handed it, does not mind."""
    out = legal()
    out.check = out.info = [0, 4]
    out.attach_ro = out.attach_rw = [4]
    return out


def forged(*faults):
    """A guest's fake child of a raw file, seen only because the real footer is gone."""
    names = ["raw-parent", "no-parent", "footer-checksum", "bat-range"]
    out = Outcome(faults, [2, 4], [0, 2, 4], ([4, 2], [4, 2]), (names, names))
    return out


def cut_block():
    """The last block runs into the footer or the end: the missing part reads as zeros."""
    out = bad_block("block-cut", "bat-range")
    # Whether only the block or the whole disk is read-only until repair is open.
    out.attach_rw.append(0)
    out.kernel_rw.append("ok")
    return out


def short_footer():
    """511 bytes: read-only until `vhdctl check --repair`."""
    return Outcome(["short-footer"], [7, 2], [0], ([0], [7]), (["ok"], ["short-footer"]))


class Row:
    """One image: patches to a base image and the outcome."""

    def __init__(self, name, base, outcome, note="", layers=None):
        self.name, self.base, self.outcome, self.note = name, base, outcome, note
        self.patches = []
        self.layers = layers
        # Rows that differ from another only in the value or place are not core.
        self.core = True

    def put(self, offset, data):
        """Overwrite bytes."""
        self.patches.append({"offset": offset, "bytes": bytes(data).hex()})
        return self

    def truncate(self, size):
        """Cut the file."""
        self.patches.append({"truncate": size})
        return self

    def append(self, data):
        """Bytes behind the file."""
        self.patches.append({"append": bytes(data).hex()})
        return self

    def grow(self, count, filler=0):
        """Bytes before the end footer; zeros are not stored."""
        self.patches.append({"grow": count, "filler": filler})
        return self


def apply(raw, patches):
    """The bytes of a base image with the patches."""
    raw = bytearray(raw)
    for patch in patches:
        if "truncate" in patch:
            del raw[patch["truncate"]:]
        elif "append" in patch:
            raw += bytes.fromhex(patch["append"])
        elif "grow" in patch:
            raw[-SECTOR:-SECTOR] = bytes([patch["filler"]]) * patch["grow"]
        else:
            data = bytes.fromhex(patch["bytes"])
            raw[patch["offset"]:patch["offset"] + len(data)] = data
    return bytes(raw)


class Base:
    """An image in memory and where its parts are."""

    def __init__(self, raw):
        self.raw = raw
        self.end = len(raw) - SECTOR
        self.footer = Footer.unpack(raw[self.end:])
        self.header = None
        if self.footer.data_offset < len(raw):
            self.header = Header.unpack(raw[self.footer.data_offset:])

    def entry(self, block):
        """A BAT entry."""
        at = self.header.table_offset + 4 * block
        return int.from_bytes(self.raw[at:at + 4], "big")


def base_specs():
    """name -> layer; the parent comes first because the child names its id."""
    rng = random.Random(64)
    few = {"size": DISK, "block": BLOCK, "layout": {"surplus": SURPLUS}}
    last = DISK // SECTOR - 1
    runs = [[3, 9, "name"], [130, 60, "name"], [700, 5, "zero"], [720, 11, "name"],
            [last, 1, "name"]]
    tracks = 120 * 4 * 17 * SECTOR
    return {
        "parent": {**few, "type": "dynamic", "runs": random_runs(rng, DISK, BLOCK, 400)},
        "diff": {**few, "type": "differencing", "runs": runs},
        "dyn": {**few, "type": "dynamic", "bitmap": "full", "runs": runs},
        "fixed": {"type": "fixed", "size": 1 << 20, "runs": [[5, 20, "name"], [2047, 1, "name"]]},
        "chs": {**few, "type": "dynamic", "creator": "qemu", "creator_version": 0x00050003,
                "size": tracks, "runs": runs[:2]},
        "batmap": {**few, "type": "dynamic", "writer": "libvhd", "runs": runs},
        "raw": {"type": "raw", "size": 1 << 20, "runs": [[5, 20, "name"]]},
    }


def locators_of_child():
    """One of each kind, and one slot in the middle left free."""
    return [{"slot": 0, "code": "W2ku", "text": "C:\\images\\parent.vhd"},
            {"slot": 1, "code": "W2ru", "text": ".\\parent.vhd"},
            {"slot": 3, "code": "MacX", "text": "file://./parent.vhd"}]


def make_bases(folder):
    """Write parent.vhd there; returns name -> Base."""
    specs = base_specs()
    layers = [{**specs["parent"], "name": "parent.vhd"},
              {**specs["diff"], "name": "diff.base", "parent_name": "parent.vhd",
               "locators": locators_of_child()}]
    Builder(folder, 5, {"layers": layers}).write()
    for number, name in enumerate(sorted(set(specs) - {"parent", "diff"})):
        spec = {**specs[name], "name": f"{name}.base"}
        Builder(folder, 50 + number, {"layers": [spec]}).write()
    bases = {}
    for name in specs:
        path = os.path.join(folder, "parent.vhd" if name == "parent" else f"{name}.base")
        with open(path, "rb") as file:
            bases[name] = Base(file.read())
        if name != "parent":
            os.unlink(path)
    return bases
