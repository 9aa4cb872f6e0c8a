# SPDX-License-Identifier: GPL-2.0
"""The states in which a crash can leave the files that a recorded command changes.

What was not yet made durable by a barrier may have happened or not, sector by
sector and each change of a length by itself, in any combination; where there are few,
a sector may be torn as well. A sector that is written behind the end of the file
takes the end with it, if it is whole: file systems write data before the length. Changes
of a directory happen in their order. A file without a name is nothing to anybody, nor is
one whose name begins with a dot: what is not complete has such a name.
"""

import hashlib
import itertools
from dataclasses import dataclass

from recording import NAMING, SECTOR, SIZE, SYNC, SYNC_DIR, WRITE, ZERO, Change


TORN_ATOMS = 3                  # most sectors under way of which any may be torn
TORN_AT = 72                    # bytes of a torn one that are new: half of a footer's id


@dataclass(frozen=True)
class State:
    """One crash state: what has happened of the changes under way."""
    files: object
    text: str


@dataclass(frozen=True)
class Point:
    """A moment: what is durable, and the parts of the changes under way."""
    number: int
    durable: object
    atoms: tuple
    owners: tuple


def split(change):
    """Parts of a change, each of which is atomic."""
    if change.kind not in (WRITE, ZERO):
        return [change]
    parts, at, end = [], change.pos, change.pos + change.length
    while at < end:
        stop = min(end, at // SECTOR * SECTOR + SECTOR)
        data = change.data[at - change.pos:stop - change.pos]
        parts.append(Change(change.kind, change.ino, at, stop - at, data))
        at = stop
    return parts


def is_seen(name):
    """Not what is temporary."""
    return name and not name.startswith(".")


class Window:
    """Follows the changes: what is durable, and what is under way."""

    def __init__(self, before):
        self.durable, self.now = before.copy(), before.copy()
        self.waiting = []

    def add(self, change):
        """A change begins."""
        if self._matters(change):
            self.waiting.append((change, split(change)))
        self.now.apply(change)

    def _matters(self, change):
        """Not if each outcome of it is the same as what is there in any case."""
        if change.kind in NAMING or any(one.ino == change.ino for one, _ in self.waiting):
            return True
        data = self.now.inodes.get(change.ino, bytearray())
        then = data[change.pos:change.pos + change.length]
        if change.kind == WRITE:
            return then != change.data
        return change.kind != ZERO or then.strip(b"\0")

    def barrier(self, change):
        """What it makes durable."""
        left = []
        for one, parts in self.waiting:
            naming = one.kind in NAMING
            if naming if change.kind == SYNC_DIR else not naming and one.ino == change.ino:
                self.durable.apply(one)
            else:
                left.append((one, parts))
        self.waiting = left

    def point(self, number):
        """The moment before change number `number`."""
        named = {ino for name, ino in self.durable.names.items() if is_seen(name)}
        named |= {one.ino for one, _ in self.waiting
                  if one.kind in NAMING and is_seen(one.names()[1])}
        atoms, owners = [], []
        for owner, (one, parts) in enumerate(self.waiting):
            if one.kind in NAMING or one.ino in named:
                atoms += parts
                owners += [owner] * len(parts)
        return Point(number, self.durable.copy(named), tuple(atoms), tuple(owners))


def points(before, changes):
    """Each moment at which a crash can do more than at the one before it."""
    window, found = Window(before), []
    for number, change in enumerate(changes):
        if change.kind in (SYNC, SYNC_DIR):
            found.append(window.point(number))
            window.barrier(change)
        else:
            window.add(change)
    found.append(window.point(len(changes)))
    return found


def is_possible(point, chosen):
    """Changes of the directory only in their order."""
    missed = False
    for index, atom in enumerate(point.atoms):
        if atom.kind in NAMING:
            if missed and index in chosen:
                return False
            missed = missed or index not in chosen
    return True


def whole_changes(point, most):
    """All subsets of the changes, or the prefixes and what lacks one or two of them."""
    owners = sorted(set(point.owners))
    if len(owners) <= most:
        wanted = itertools.chain.from_iterable(
            itertools.combinations(owners, count) for count in range(len(owners) + 1))
    else:
        less = itertools.chain(itertools.combinations(owners, 1), itertools.combinations(owners, 2))
        wanted = itertools.chain((owners[:count] for count in range(len(owners) + 1)),
                                 (set(owners) - set(some) for some in less))
    for some in wanted:
        some = set(some)
        yield frozenset(index for index, owner in enumerate(point.owners) if owner in some)


def sectors(point, rng, count):
    """Subsets of the sectors: single ones, all but one or two, and any."""
    whole = frozenset(range(len(point.atoms)))
    for index in rng.sample(range(len(whole)), min(len(whole), 8 * count)):
        yield whole - {index}
        yield frozenset({index})
    for _ in range(count):
        yield whole - frozenset(rng.sample(range(len(whole)), 2))
        share = rng.choice((0.1, 0.5, 0.9))
        yield frozenset(index for index in whole if rng.random() < share)


def torn(point):
    """Each sector lost, torn or whole. A torn one is ~index in a set."""
    every = range(len(point.atoms))
    for outcome in itertools.product((0, 1, 2), repeat=len(point.atoms)):
        tearing = [index for index in every if outcome[index] == 1]
        if tearing and all(point.atoms[index].kind == WRITE for index in tearing):
            yield frozenset({index for index in every if outcome[index] == 2} |
                            {~index for index in tearing})


def subsets(point, rng, most, count):
    """Sets of indices into the atoms, all 2^n of them if there are not too many."""
    if len(point.atoms) > most:
        return list(whole_changes(point, most // 2)) + list(sectors(point, rng, count))
    every = range(len(point.atoms))
    found = [frozenset(some) for length in range(len(point.atoms) + 1)
             for some in itertools.combinations(every, length)]
    return found + list(torn(point)) if len(point.atoms) <= TORN_ATOMS else found


def tear(change, data):
    """A write of a sector of which only the beginning is new."""
    old = bytes(data[change.pos + TORN_AT:change.pos + change.length])
    whole = (change.data[:TORN_AT] + old).ljust(change.length, b"\0")
    return Change(WRITE, change.ino, change.pos, change.length, whole)


def build(point, chosen):
    """The files after a crash in which just these atoms happened."""
    order = sorted((~index if index < 0 else index, index < 0) for index in chosen)
    files = point.durable.copy({point.atoms[index].ino for index, _ in order})
    for index, is_torn in order:
        atom = point.atoms[index]
        data = files.inodes.get(atom.ino, b"")
        if not is_torn:
            files.apply(atom)
        elif atom.pos < len(data):
            files.apply(tear(atom, data))
    return files


def fingerprint(files):
    """The same for two states that nobody can tell from each other."""
    digest = hashlib.blake2b()
    for name, data in sorted(files.visible().items()):
        digest.update(f"{name}\0{len(data)}\0".encode() if is_seen(name) else b"temporary")
        digest.update(data if is_seen(name) else b"")
    return digest.digest()


def missing(point, chosen):
    """In words: what did not happen."""
    left = [atom for index, atom in enumerate(point.atoms) if index not in chosen]
    words = [f"{('', 'write', 'zero', 'grow', 'size')[atom.kind]} {atom.pos}+{atom.length}"
             if atom.kind <= SIZE else f"name {'-'.join(atom.names())}" for atom in left[:6]]
    words += [f"torn at {point.atoms[~index].pos}" for index in chosen if index < 0]
    return f"before change {point.number}, {len(left)} of {len(point.atoms)} missing: " + \
        ", ".join(words)


def choices(before, changes, rng, most, count):
    """(point, indices), in turns of each point, each point's own in a random order."""
    queues = []
    for point in points(before, changes):
        queue = [chosen for chosen in subsets(point, rng, most, count)
                 if is_possible(point, chosen)]
        rng.shuffle(queue)
        queues.append([(point, chosen) for chosen in queue])
    rng.shuffle(queues)
    for turn in itertools.zip_longest(*queues):
        yield from filter(None, turn)


def states(before, changes, rng, most=10, count=8):
    """Yields each crash state once; where no more than `most` atoms are under way, all."""
    seen = set()
    for point, chosen in choices(before, changes, rng, most, count):
        files = build(point, chosen)
        key = fingerprint(files)
        if key not in seen:
            seen.add(key)
            yield State(files, missing(point, chosen))
