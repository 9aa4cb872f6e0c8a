# SPDX-License-Identifier: GPL-2.0
"""What is measured: contestants, loads, and the gates between them."""

import dataclasses

# A contestant is one file and the way to it; each has a file of its own, since a
# second opener of a file slows down the first.
CONTESTANTS = {
    "file": "O_DIRECT on the raw file itself",
    "loop": "loop with direct I/O on a raw file",
    "nbd": "qemu-nbd -f vpc, cache=none",
    "dynamic": "vhdblk, dynamic",
    "inline": "vhdblk, dynamic, --submit inline",
    "fixed": "vhdblk, fixed",
    "child1": "vhdblk, child with 1 parent",
    "child8": "vhdblk, child with 8 parents",
    "child64": "vhdblk, child with 64 parents",
    "partial": "vhdblk, 64 parents, every block spread over all of them",
    "sparse": "loop with direct I/O on a fresh sparse file",
    "fresh": "vhdblk, fresh dynamic image",
}

# How often a row that no gate stands on is measured: in every third round.
SELDOM = 3


@dataclasses.dataclass(frozen=True)
class Load:
    """One fio load and who runs it; `seldom` are contestants that no gate needs."""

    name: str
    title: str
    rw: str
    contestants: tuple
    bs: str = "4k"
    depth: int = 32
    engine: str = "libaio"
    jobs: int = 1
    seldom: tuple = ()
    every: int = 1
    extra: tuple = ()
    # A new file, on a new file system, for each run; these are MiB of disk.
    fresh: int = 0

    def present(self, turn, gates_only):
        """The contestants of one round, in the order of A B B A."""
        if turn % self.every or (gates_only and self.every > 1):
            return []
        names = list(self.contestants)
        if turn % SELDOM == 0 and not gates_only:
            names += self.seldom
        return names[::-1] if turn % 2 else names


LOADS = (
    Load("alloc", "4K random write to fresh space, QD32", "randwrite", ("sparse", "fresh"),
         fresh=8192),
    Load("read", "4K random read, QD32", "randread",
         ("file", "loop", "nbd", "dynamic", "child1", "child64"), seldom=("fixed", "child8")),
    Load("read1", "4K random read, QD1", "randread", ("loop", "dynamic", "inline"), depth=1),
    Load("write", "4K random overwrite, QD32", "randwrite", ("loop", "dynamic")),
    Load("seqread", "128K sequential read, QD8", "read", ("loop", "dynamic"), bs="128k", depth=8),
    Load("seqwrite", "128K sequential write, QD8", "write", ("loop", "dynamic"), bs="128k",
         depth=8),
    Load("fsync", "4K random overwrite, an fsync after each", "randwrite", ("dynamic",),
         depth=1, engine="psync", extra=("--fsync=1",)),
    Load("uring", "4K random read, QD32, io_uring", "randread", ("loop", "dynamic"),
         engine="io_uring", every=SELDOM),
    Load("jobs", "4K random read, 4 jobs x QD32", "randread", ("file", "loop", "dynamic"),
         jobs=4, every=SELDOM),
    Load("mix", "random mix, 70 % reads, 4-64K, QD32", "randrw", ("loop", "partial"),
         every=SELDOM,
         extra=("--rwmixread=70", "--bssplit=4k/60:16k/30:64k/10", "--blockalign=4k")),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A ratio of two contestants under one load, and the gate on it, if any."""

    group: str
    title: str
    load: str
    subject: str
    rival: str = ""
    gate: float = None
    target: float = None
    sense: str = ">="
    # Before this kernel the bound is a gate, from it on a mere target.
    target_from: tuple = None
    # The target is one from this kernel on.
    target_since: tuple = (0,)

    def bounds(self, kernel):
        """(gate, target) on a kernel given as (major, minor)."""
        if self.target_from and kernel >= self.target_from:
            return None, self.gate
        return self.gate, self.target if kernel >= self.target_since else None


NEW = (7, 0)
LOOP, FILE, NBD = "against loop", "against the file itself", "against qemu-nbd"
DEEP, SYNC = "deep chains", "durability"

ROWS = (
    Row(LOOP, "4K random read, QD32", "read", "dynamic", "loop", gate=1.1, target=2,
        target_since=NEW),
    Row(LOOP, "4K random read, QD1, queued", "read1", "dynamic", "loop", gate=1.1),
    Row(LOOP, "4K random read, QD1, inline", "read1", "inline", "loop", gate=3.5),
    Row(LOOP, "4K random overwrite, QD32", "write", "dynamic", "loop", gate=1.1),
    Row(LOOP, "128K sequential read", "seqread", "dynamic", "loop", gate=1.1, target=1.3),
    Row(LOOP, "128K sequential write", "seqwrite", "dynamic", "loop", gate=1.1, target=1.3),
    Row(LOOP, "4K random write, allocating", "alloc", "fresh", "sparse", gate=1),
    Row(LOOP, "4K random read, QD32, fixed", "read", "fixed", "loop"),
    Row(LOOP, "4K random read, QD32, io_uring", "uring", "dynamic", "loop"),
    Row(LOOP, "4K random read, 4 jobs x QD32", "jobs", "dynamic", "loop"),
    Row(LOOP, "random mix, 64 parents, partly written blocks", "mix", "partial", "loop"),
    Row(FILE, "4K random read, QD32", "read", "dynamic", "file", gate=0.95, target_from=NEW),
    Row(FILE, "4K random read, 4 jobs x QD32", "jobs", "dynamic", "file"),
    Row(NBD, "4K random read, QD32", "read", "dynamic", "nbd", gate=15),
    Row(DEEP, "64 parents against 1, read QD32", "read", "child64", "child1", gate=0.95),
    Row(DEEP, "8 parents against 1, read QD32", "read", "child8", "child1"),
    Row(SYNC, "host fsyncs per guest flush", "fsync", "dynamic", gate=1.2, sense="<="),
)

# The limit for the attach of 2 TiB in 32 layers whose metadata is cached.
ATTACH_DEPTH, ATTACH_SECONDS = 32, 2.0
