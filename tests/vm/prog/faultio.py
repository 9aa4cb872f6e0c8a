#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a disk has promised, written down while things break below it.

usage: faultio.py write [OPTION...] LEDGER DEVICE
       faultio.py check [--live | --anew] LEDGER DEVICE
       faultio.py settle LEDGER
       faultio.py beside COUNT DEVICE

write fills random units of 4 KiB. Each sector of them says where it belongs and
which write it comes from, so that the ledger can tell what may be found there:
nothing older than the last write that a flush has made durable (or, with --live,
that was acknowledged), and nothing that was never written. It goes on after an
error and prints what it met, as JSON. settle: a detach has made all durable.

What no flush has made durable may be gone after a detach that failed, and no later
flush brings it back. So check --anew, on a disk that has just been attached again,
takes note of what it finds: from then on it is that, or what is written later.

beside writes, reads and flushes, a few units a second, until it is told to end;
the file COUNT says how many there have been.
"""

import argparse
import errno
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import zlib

UNIT = 4096
SECTOR = 512
SECTORS = UNIT // SECTOR
MAGIC = b"faultio\0"
STAMP = struct.Struct("<8sQQQ")


def stamp(unit, sector, gen):
    """The contents of one sector."""
    return STAMP.pack(MAGIC, unit, sector, gen) * (SECTOR // STAMP.size)


def contents(unit, gen):
    """The contents of one unit."""
    return b"".join(stamp(unit, i, gen) for i in range(SECTORS))


class Disk:
    """Direct I/O in units."""

    def __init__(self, path, flags):
        self.fd = os.open(path, flags | os.O_DIRECT)
        self.buf = mmap.mmap(-1, UNIT)

    def read(self, unit):
        """One unit."""
        got = os.preadv(self.fd, [self.buf], unit * UNIT)
        if got != UNIT:
            raise OSError(errno.EIO, "short read")
        return self.buf[:]

    def write(self, unit, data):
        """One unit."""
        self.buf[:] = data
        if os.pwritev(self.fd, [self.buf], unit * UNIT) != UNIT:
            raise OSError(errno.EIO, "short write")

    def flush(self):
        """What was written is durable afterwards."""
        os.fsync(self.fd)


class Ledger:
    """For each unit: what it held at first, the first write that was none of then,
    and which later ones are durable, acknowledged and tried."""

    def __init__(self, path):
        self.path = path
        self.next, self.units, self.log = 1, {}, []
        if os.path.exists(path):
            with open(path, encoding="ascii") as f:
                self.next, units, self.log = json.load(f)
            self.units = {int(k): v for k, v in units.items()}

    def save(self):
        """Remember it."""
        with open(self.path + ".new", "w", encoding="ascii") as f:
            json.dump([self.next, self.units, self.log], f)
        os.rename(self.path + ".new", self.path)

    def note(self, text, unit=None):
        """For whoever must find out why a unit, or any of them, is not as it should be."""
        self.log.append([round(time.monotonic(), 2), unit, text])

    def history(self, unit):
        """All that was noted since the first write to it."""
        mine = [(when, text) for when, u, text in self.log if u in (unit, None)]
        while mine and not mine[0][1].startswith("write"):
            del mine[0]
        return "; ".join(f"{when} {text}" for when, text in mine)

    def settle(self, text):
        """All that was acknowledged is durable."""
        for u in self.units.values():
            u["durable"] = u["acked"]
        self.note(text)

    def meet(self, unit, data):
        """A unit as it is, whatever was written to it before."""
        first = [zlib.crc32(data[i:i + SECTOR]) for i in range(0, UNIT, SECTOR)]
        self.units[unit] = {"first": first, "since": self.next, "durable": 0, "acked": 0,
                            "tried": 0}

    def complaint(self, unit, data, live):
        """What is wrong with a unit, or None."""
        u = self.units[unit]
        floor = u["acked"] if live else u["durable"]
        for i in range(SECTORS):
            got = data[i * SECTOR:(i + 1) * SECTOR]
            gen = STAMP.unpack_from(got)[3]
            if got == stamp(unit, i, gen) and max(floor, u["since"]) <= gen <= u["tried"]:
                continue
            if not floor and zlib.crc32(got) == u["first"][i]:
                continue
            return (f"unit {unit} sector {i}: {got[:STAMP.size].hex()}, not of the writes "
                    f"{floor} to {u['tried']}")
        return None


class Tally:
    """What happened, and how long the longest of it took."""

    def __init__(self):
        self.done = {"read": 0, "write": 0, "flush": 0}
        self.failed = {}
        self.longest = 0.0

    def attempt(self, what, fn, *args):
        """Its result; None if it failed, True if it has none."""
        start = time.monotonic()
        try:
            result = fn(*args)
        except OSError as e:
            name = f"{what}: {errno.errorcode.get(e.errno, e.errno)}"
            self.failed[name] = self.failed.get(name, 0) + 1
            return None
        finally:
            self.longest = max(self.longest, time.monotonic() - start)
        self.done[what] += 1
        return True if result is None else result

    def show(self):
        """As one line of JSON."""
        print(json.dumps({**self.done, "failed": self.failed,
                          "longest_ms": round(self.longest * 1000)}), flush=True)


def write_one(disk, ledger, tally, unit):
    """Returns nothing; the ledger knows."""
    if unit not in ledger.units:
        data = tally.attempt("read", disk.read, unit)
        if data is None:
            return
        ledger.meet(unit, data)
    gen, u = ledger.next, ledger.units[unit]
    ledger.next += 1
    u["tried"] = gen
    if tally.attempt("write", disk.write, unit, contents(unit, gen)):
        u["acked"] = gen
    ledger.note(f"write {gen}" + ("" if u["acked"] == gen else " failed"), unit)


def write(opts):
    """Random units of a range, or of those that are known."""
    disk, ledger, tally = Disk(opts.device, os.O_RDWR), Ledger(opts.ledger), Tally()
    first, length = (int(x) * (1 << 20) // UNIT for x in opts.range.split(":"))
    rng = random.Random(opts.seed + ledger.next)
    choice = [u for u in range(first, first + length) if not opts.known or u in ledger.units]
    for i in range(1, opts.number + 1):
        write_one(disk, ledger, tally, rng.choice(choice))
        if opts.flush and (i % opts.flush == 0 or i == opts.number):
            if tally.attempt("flush", disk.flush):
                ledger.settle("flush")
            else:
                ledger.note("flush failed")
    ledger.save()
    tally.show()
    return 0


def check(opts):
    """Compare the disk with the ledger."""
    disk, ledger, wrong = Disk(opts.device, os.O_RDONLY), Ledger(opts.ledger), 0
    for unit in sorted(ledger.units):
        try:
            data = disk.read(unit)
            complaint = ledger.complaint(unit, data, opts.live)
        except OSError as e:
            complaint = f"unit {unit}: {e.strerror}"
        if complaint:
            wrong += 1
            if wrong <= 10:
                print(complaint + "\n    " + ledger.history(unit))
        elif opts.anew:
            ledger.meet(unit, data)
    if opts.anew:
        ledger.log = []
        ledger.save()
    kind = "acknowledged" if opts.live else "durable"
    print(f"{len(ledger.units)} units, {wrong} of them not as {kind}", flush=True)
    return 1 if wrong or not ledger.units else 0


def settle(opts):
    """After a detach that has succeeded."""
    ledger = Ledger(opts.ledger)
    ledger.settle("detached")
    ledger.save()
    return 0


def beside(opts):
    """Until SIGTERM; an error or a wrong unit ends it at once."""
    disk, tally, ending = Disk(opts.device, os.O_RDWR), Tally(), []
    units = os.lseek(disk.fd, 0, os.SEEK_END) // UNIT
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    fd = os.open(opts.count, os.O_WRONLY | os.O_CREAT, 0o644)
    rounds = 0
    while not ending:
        rounds += 1
        unit = rounds * 37 % units
        tally.attempt("write", disk.write, unit, contents(unit, rounds))
        if rounds % 8 == 0:
            tally.attempt("flush", disk.flush)
        if tally.attempt("read", disk.read, unit) != contents(unit, rounds) or tally.failed:
            print(f"round {rounds}: wrong", end=" ")
            break
        os.pwrite(fd, b"%d\n" % rounds, 0)
        time.sleep(0.02)
    tally.show()
    return 0 if ending else 1


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = p.add_subparsers(dest="command", required=True)
    w = sub.add_parser("write")
    w.add_argument("-r", dest="range", default="0:8", help="MiB: FIRST:LENGTH")
    w.add_argument("-n", dest="number", type=int, default=40, help="writes")
    w.add_argument("-f", dest="flush", type=int, default=8,
                   help="flush after that many and at the end; 0: never")
    w.add_argument("-s", dest="seed", type=int, default=1)
    w.add_argument("--known", action="store_true", help="only units of the ledger")
    w.set_defaults(run=write)
    c = sub.add_parser("check")
    how = c.add_mutually_exclusive_group()
    how.add_argument("--live", action="store_true")
    how.add_argument("--anew", action="store_true")
    c.set_defaults(run=check)
    s = sub.add_parser("settle")
    s.set_defaults(run=settle)
    b = sub.add_parser("beside")
    b.add_argument("count")
    b.add_argument("device")
    b.set_defaults(run=beside)
    for one in (w, c, s):
        one.add_argument("ledger")
    for one in (w, c):
        one.add_argument("device")
    return p.parse_args()


if __name__ == "__main__":
    OPTS = arguments()
    sys.exit(OPTS.run(OPTS))
