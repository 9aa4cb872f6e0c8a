#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Do cutlog and cutwork tell right from wrong?

usage: cuttest.py PROGRAMS

On the host, with logs and disks made here. The last line is "N passed, N failed".
"""

import os
import random
import struct
import subprocess
import sys
import tempfile

SECTOR, PAGE = 512, 4096
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
DEVICE = 256 * PAGE
DISK = 512 * 128 * SECTOR
DYNAMIC, CHILD, LINE = range(3)
COUNTS = {True: 0, False: 0}


def check(text, good):
    """One counted result."""
    COUNTS[bool(good)] += 1
    if not good:
        print(f"not ok - {text}")


def call(program, *args):
    """Exit code and output of one of the two programs."""
    done = subprocess.run([os.path.join(sys.argv[1], program), *map(str, args)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


class Log:
    """A log as dm-log-writes writes it."""

    def __init__(self, rng):
        self.rng = rng
        self.entries = []       # (sector, data, flags, length)

    def write(self, sector, length, flags=0):
        """Some sectors, unlike all others."""
        data = self.rng.randbytes(length * SECTOR)
        if flags & DISCARD:
            data = bytes(length * SECTOR)
        self.entries.append((sector, data, flags, length))

    def mark(self, text):
        """A mark."""
        self.entries.append((0, text.encode(), MARK, 0))

    def flush(self):
        """A flush without data."""
        self.entries.append((0, b"", FLUSH, 0))

    def some(self, count):
        """Random writes."""
        for _ in range(count):
            length = self.rng.choice((1, 1, 3, 8, 16, 50))
            sector = self.rng.randrange(DEVICE // SECTOR - length)
            self.write(sector, length, self.rng.choice((0, 0, 0, 0, FUA, DISCARD)))

    def save(self, path):
        """As a file."""
        with open(path, "wb") as file:
            file.write(struct.pack("<QQQI", 0x6a736677736872, 1, len(self.entries), SECTOR)
                       .ljust(SECTOR, b"\0"))
            for sector, data, flags, length in self.entries:
                text = data if flags & MARK else b""
                head = struct.pack("<QQQQ", sector, length, flags, len(text)) + text
                file.write(head.ljust(SECTOR, b"\0"))
                if not flags & (MARK | DISCARD):
                    file.write(data)

    def apply(self, image, first, last, choose=lambda flags: True):
        """Entries [first, last) to an image, those that are chosen."""
        for sector, data, flags, _ in self.entries[first:last]:
            if not flags & MARK and choose(flags):
                image[sector * SECTOR:sector * SECTOR + len(data)] = data

    def sure(self, pos):
        """Behind the last flush before pos."""
        return max((i + 1 for i in range(pos) if self.entries[i][2] & FLUSH), default=0)


def cut_at(folder, state, pos, seed):
    """What cutlog makes of the log at that place."""
    base, copy = folder + "/base", folder + "/copy"
    code, text = call("cutlog", "replay", folder + "/log", base, state, pos)
    check(f"replay to {pos}: {text}", code == 0)
    with open(base, "rb") as file:
        sure = file.read()
    with open(copy, "wb") as file:
        file.write(sure)
    code, text = call("cutlog", "rest", folder + "/log", copy, state, pos, seed)
    check(f"the rest before {pos}: {text}", code == 0)
    with open(copy, "rb") as file:
        return sure, file.read()


def possible(log, first, last, before, after):
    """Each page of the rest is one of those that were written there."""
    for at in range(0, DEVICE, SECTOR):
        states = {bytes(before[at:at + SECTOR])}
        for sector, data, flags, _ in log.entries[first:last]:
            offset = at - sector * SECTOR
            if not flags & MARK and 0 <= offset < len(data):
                states = (set() if flags & FUA else states) | {data[offset:offset + SECTOR]}
        if after[at:at + SECTOR] not in states:
            return False
    return True


def test_log(folder):
    """Replay to rising places, in order and with parts missing."""
    rng = random.Random(4)
    log = Log(rng)
    log.some(5)
    log.mark("begin")
    for number in range(70):
        log.some(rng.randrange(9))
        log.flush()
        if rng.randrange(2):
            log.mark(f"{rng.choice('mmft')}:{number}")
    log.save(folder + "/log")
    with open(folder + "/base", "wb") as file:
        file.truncate(DEVICE)
    code, text = call("cutlog", "marks", folder + "/log")
    wanted = [f"{i} {e[1].decode()}" for i, e in enumerate(log.entries) if e[2] & MARK]
    check("all marks", code == 0 and text.splitlines() == wanted)
    state, missing = folder + "/state", 0
    for pos in sorted(rng.sample(range(len(log.entries) + 1), 60)):
        image, whole, sure = bytearray(DEVICE), bytearray(DEVICE), log.sure(pos)
        log.apply(image, 0, sure)
        log.apply(whole, 0, pos)
        seed = rng.choice((0, rng.getrandbits(60) | 1))
        before, after = cut_at(folder, state, pos, seed)
        check(f"what is sure at {pos}", before == image)
        if seed:
            missing += after != whole
            check(f"some of the rest at {pos}", possible(log, sure, pos, before, after))
        else:
            check(f"all of the rest at {pos}", after == whole)
    check("parts were missing", missing > 5)
    check("never back", call("cutlog", "replay", folder + "/log", folder + "/base",
                             state, 3)[0] == 2)
    test_plan(folder, log)


def plan(folder, *args):
    """Exit code, and the cuts as pairs."""
    code, text = call("cutlog", "plan", folder + "/log", *args)
    return code, [tuple(map(int, line.split())) for line in text.splitlines()]


def marks_of(log, kind):
    """Right behind marks of a kind."""
    return {i + 1 for i, e in enumerate(log.entries)
            if e[2] & MARK and e[1].startswith(kind)}


def window_of(log):
    """Everything before a flush between a mark t: and the next m: or f:."""
    inside, is_open = set(), False
    for number, entry in enumerate(log.entries):
        if entry[2] & MARK:
            is_open = entry[1].startswith(b"t:")
        elif is_open and entry[2] & FLUSH:
            inside |= set(range(log.sure(number), number + 1))
    return inside


def test_plan(folder, log):
    """Where to cut."""
    flushed, fua, window = marks_of(log, b"m:"), marks_of(log, b"f:"), window_of(log)
    code, cuts = plan(folder, 7, 20, 50, 20, 0)
    check("as many cuts as asked for", code == 0 and len(cuts) == 20)
    at = [pos for pos, seed in cuts if not seed]
    check("half of them at flushes", len(flushed.intersection(at)) >= 10)
    check("some at FUA", len(fua.intersection(at)) >= 4)
    check("none too early", all(pos > 5 for pos, _ in cuts))
    check("another seed, other cuts", plan(folder, 8, 20, 50, 20, 0)[1] != cuts)
    cuts = plan(folder, 7, 0, 50, 20, 20)[1]
    check("each mark", {pos for pos, _ in cuts} == flushed | fua and
          len(cuts) == len(flushed | fua))
    code, cuts = plan(folder, 7, 200, 0, 0, 100)
    check("only what ends in a window", code == 0 and len(cuts) == 200 and
          {pos for pos, _ in cuts} <= window)
    code, cuts = plan(folder, 7, 200, 0, 0, 0)
    check("anywhere", code == 0 and len(cuts) == 200 and
          not {pos for pos, _ in cuts} <= window)
    cuts = plan(folder, 7, 5000, 0, 100, 0)[1]
    check("others in place of what there is too little of", len(cuts) == 5000)
    with open(folder + "/noise", "wb") as file:
        file.write(bytes(4096))
    check("no log", call("cutlog", "marks", folder + "/noise")[0] == 2)


class Disk:
    """A disk after some rounds of cutwork, and what its marks say."""

    def __init__(self, folder, disk, number):
        self.disk, self.number = disk, number
        self.path, self.marks = f"{folder}/disk{disk}", f"{folder}/marks{disk}"
        with open(self.path, "wb") as file:
            file.truncate(DISK)
        if disk == CHILD:
            check("filled", call("cutwork", "fill", disk, self.path)[0] == 0)
        code, text = call("cutwork", "run", disk, self.path, 1, number, self.marks)
        check(f"{number} requests to disk {disk}: {text}", code == 0)
        with open(self.marks, encoding="ascii") as file:
            self.lines = file.read().splitlines()

    def judge(self, pos, *more):
        """What cutwork says about the disk, and how many sectors it found bad."""
        what = "again" if more else "judge"
        code, text = call("cutwork", what, self.disk, self.path, self.marks, pos, *more)
        return code, text

    def at_the_end(self):
        """All that was begun is durable: what detaching would mean."""
        number = self.number
        with open(self.marks, "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in self.lines)
            file.write(f"{len(self.lines)} m:{self.disk}:0:0{f':{number}' * 4}\n")
        return len(self.lines) + 1

    def nothing_durable(self, *begun):
        """All may have been begun, but nothing was ever said to be durable."""
        with open(self.marks, "w", encoding="ascii") as file:
            for entry, number in enumerate(begun or [self.number]):
                file.write(f"{entry} m:{self.disk}:0:0:0:0:{number}:{number}\n")

    def change(self, sector, data):
        """Put something into a sector, and return what was there."""
        with open(self.path, "rb+") as file:
            file.seek(sector * SECTOR)
            old = file.read(SECTOR)
            file.seek(sector * SECTOR)
            file.write(data)
        return old

    def stamps(self):
        """number -> sectors that hold it."""
        found = {}
        with open(self.path, "rb") as file:
            data = file.read()
        for sector in range(DISK // SECTOR):
            at = sector * SECTOR
            if data[at:at + 7] == b"vhdblk ":
                found.setdefault(struct.unpack_from("<Q", data, at + 32)[0], []).append(sector)
        return found


def test_disk(folder, disk, number):
    """A disk that lost nothing is good; each change to it is not."""
    d = Disk(folder, disk, number)
    end = d.at_the_end()
    check(f"disk {disk} as it was written", d.judge(end)[0] == 0)
    check("what comes after a cut cannot be there", d.judge(1)[0] == 1)
    stamps = d.stamps()
    one, other = stamps[max(stamps)][0], stamps[min(stamps)][-1]
    other_data = d.change(other, bytes(SECTOR))
    check("a lost sector", d.judge(end)[0] == 1)
    d.change(other, other_data[:-1] + b"?")
    check("a changed byte", d.judge(end)[0] == 1)
    d.change(other, other_data)
    one_data = d.change(one, other_data)
    check("a sector of another place", d.judge(end)[0] == 1)
    d.nothing_durable()
    check("also where nothing was durable", d.judge(0)[0] == 1)
    d.change(one, one_data)
    check("but only that", d.judge(0)[0] == 0)
    test_each_block(d, stamps)


def test_each_block(d, stamps):
    """One bad sector in each block that was written is found in each of them."""
    sectors = {s // 128: s for n, found in stamps.items() if n for s in found}
    for sector in sectors.values():
        d.change(sector, b"?" * SECTOR)
    check("a bad sector in each block", f", {len(sectors)} bad" in d.judge(0)[1])


def test_old(folder):
    """An old version of a sector is good only until the new one is durable."""
    d = Disk(folder, CHILD, 400)
    end = d.at_the_end()
    new = d.stamps()
    sector = next(s for n in sorted(new, reverse=True) for s in new[n]
                  if n and s // 128 % 2 == 0 and s % 128 < 96)
    number = next(n for n in new if sector in new[n])
    first = Disk(folder, DYNAMIC, 1)
    check("the other disk", first.judge(0)[0] == 0)
    call("cutwork", "fill", CHILD, first.path)
    with open(first.path, "rb") as file:
        file.seek(sector * SECTOR)
        old = file.read(SECTOR)
    newest = d.change(sector, old)
    check("the parent's data in place of the child's", d.judge(end)[0] == 1)
    d.nothing_durable()
    check("before anything was durable", d.judge(0)[0] == 0)
    d.change(sector, newest)
    d.nothing_durable(number // 2)
    check("what was not begun yet", d.judge(0)[0] == 1)
    d.nothing_durable(number // 2, 400)
    check("begun while the first mark was on its way", d.judge(0)[0] == 0)
    d.nothing_durable(number // 3, number // 2, 400)
    check("what was not begun before the second one", d.judge(0)[0] == 1)


def test_again(folder):
    """After a cut the disk takes more, and all of that is durable."""
    d = Disk(folder, DYNAMIC, 200)
    end = d.at_the_end()
    code, text = d.judge(end, 60)
    check(f"more: {text}", code == 0 and text.count("disk 0") == 2)
    check("which the log does not know", d.judge(end)[0] == 1)


def main():
    """Exit code 0 if all is well."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        test_log(folder)
        for disk, number in ((DYNAMIC, 600), (CHILD, 600), (LINE, 90)):
            test_disk(folder, disk, number)
        test_old(folder)
        test_again(folder)
    print(f"{COUNTS[True]} passed, {COUNTS[False]} failed")
    return 1 if COUNTS[False] else 0


if __name__ == "__main__":
    sys.exit(main())
