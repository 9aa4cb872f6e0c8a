# SPDX-License-Identifier: GPL-2.0
"""What a power cut may leave of a file that a program has written.

strace records what the program writes, cuts and punches, and where it waits for the
disk. What lies before the last fsync is there; of what comes behind it any sectors
may be, in any combination. A kill loses nothing, so there each prefix is a state.
"""

import re
import shutil
import subprocess

SECTOR = 512
CALLS = "pwrite64,pwritev,write,fsync,fdatasync,ftruncate,fallocate"
LINE = re.compile(r"^\d+ +(\w+)\((\d+)(?:, (.*))?\) += (-?\d+)")


def has_strace():
    """Whether anything can be recorded here."""
    return shutil.which("strace") is not None


class Unknown(Exception):
    """A call that is not understood."""


class Op:
    """One change of a file, or a barrier; data None with a length is zeros."""

    def __init__(self, kind, pos=0, length=0, data=None):
        self.kind, self.pos, self.length, self.data = kind, pos, length, data

    def sectors(self):
        """Offsets within it of parts that are there or not, each for itself."""
        return range(0, self.length, SECTOR)

    def apply(self, image, parts=None):
        """Change a bytearray; with `parts` only those."""
        if self.kind == "barrier":
            return
        if self.kind == "cut":
            del image[self.pos:]
            image.extend(bytes(self.pos - len(image)))
            return
        for at in self.sectors() if parts is None else parts:
            length = min(SECTOR, self.length - at)
            start = self.pos + at
            if self.kind == "zero":
                length = max(0, min(length, len(image) - start))
                image[start:start + length] = bytes(length)
                continue
            if len(image) < start:
                image.extend(bytes(start - len(image)))
            image[start:start + length] = self.data[at:at + length]


def parse_call(name, rest):
    """The Op of one line, None if it changes nothing."""
    if name in ("fsync", "fdatasync"):
        return Op("barrier")
    if name == "ftruncate":
        return Op("cut", int(rest))
    if name == "fallocate":
        mode, pos, length = rest.split(", ")
        if "PUNCH_HOLE" in mode:
            return Op("zero", int(pos), int(length))
        if mode == "FALLOC_FL_KEEP_SIZE":
            return None
    if name == "pwrite64":
        data, length, pos = rest.rsplit(", ", 2)
        raw = bytes.fromhex(data.strip('"').replace("\\x", ""))
        if len(raw) != int(length):
            raise Unknown("strace has cut the data")
        return Op("write", int(pos), len(raw), raw)
    raise Unknown(f"{name} {rest[:80]}")


def record(command, log, timeout):
    """Run a program; what it did to its files, all taken as one, in order.

    Returns its exit code and the list. Writes to descriptors 1 and 2 do not count.
    """
    done = subprocess.run(["strace", "-f", "-xx", "-s", str(64 << 20), "-e", f"trace={CALLS}",
                           "-o", log, *command], stdin=subprocess.DEVNULL, timeout=timeout,
                          stdout=subprocess.DEVNULL, check=False)
    ops = []
    with open(log, encoding="ascii") as file:
        for line in file:
            match = LINE.match(line)
            if not match or match[2] in ("1", "2") or int(match[4]) < 0:
                continue
            ops.append(parse_call(match[1], match[3]))
    return done.returncode, [op for op in ops if op]


def states(base, ops, rng, subsets, wanted):
    """Yields (number of calls, bytes): after each, what a kill leaves, then power cuts.

    There are more of them than `wanted`, so chance takes about as many.
    """
    chance = wanted / (1 + sum(op.kind != "barrier" for op in ops)) / (1 + subsets)
    durable = bytearray(base)
    waiting = []
    for number, op in enumerate(ops, 1):
        if op.kind == "barrier":
            for waited in waiting:
                waited.apply(durable)
            waiting = []
            continue
        waiting.append(op)
        if rng.random() < chance:
            state = bytearray(durable)
            for waited in waiting:
                waited.apply(state)
            yield number, state
        for _ in range(subsets):
            if rng.random() < chance:
                yield number, cut_state(durable, waiting, rng)


def cut_state(durable, waiting, rng):
    """Some of the sectors that nobody has waited for yet."""
    state = bytearray(durable)
    share = rng.choice((0.1, 0.5, 0.9))
    for op in waiting:
        if op.kind == "cut":
            if rng.random() < share:
                op.apply(state)
        elif rng.random() < 0.5:
            if rng.random() < share:
                op.apply(state)
        else:
            op.apply(state, [at for at in op.sectors() if rng.random() < share])
    return state
