# SPDX-License-Identifier: GPL-2.0
"""vhdctl resize cut short: killed at each write and at random, and without power.

A run that is killed before its nth system call leaves the file as the first n - 1
have made it. From these files comes what each write has written; and so every subset
of the writes since the last fsync can be applied to what was durable then.
"""

import os
import re
import shutil
import signal
import subprocess
import time

from kit import KIB, SECONDS, SECTOR, VHDCTL, file_bytes
from resize_kit import Image, digest, make_odd, validate

CALLS = "pwrite64,fsync,ftruncate,fallocate"
CALL = re.compile(r"(pwrite64|fsync|ftruncate|fallocate)\(\d+(?:, (.*))?\) += (-?\d+)")
BLOCK = 16 * KIB
ALL_SUBSETS = 6                 # of so many writes
SOME_SUBSETS = 40               # of more

# Before and after, in blocks, and what is special about the image.
CHANGES = {
    "in place": (20, 40, {}),
    "one more entry": (20.5, 21, {"tail_bits": 1}),
    "another BAT": (100, 2000, {}),
    "another BAT, no padding": (100, 300, {"layout": {"bat": "spec"}}),
    "in place, odd end": (20, 40, {"odd": True}),
    "another BAT, odd end": (100, 2000, {"odd": True}),
    "batmap": (100, 2000, {"writer": "libvhd"}),
    "shrink": (40, 20, {}),
    "shrink a child": (40, 20.5, {"child": True}),
    "grow a child": (20.5, 2000, {"child": True}),
    "fixed": (20, 50, {"type": "fixed"}),
    "fixed, a sector": (20, 20 + 1 / 32, {"type": "fixed"}),
    "shrink fixed": (40, 20, {"type": "fixed"}),
    "shrink fixed, a sector": (20 + 1 / 32, 20, {"type": "fixed"}),
}


def make(test, plain, before, more):
    """An image of so many blocks with data in the first twenty, and zeros behind."""
    more = dict(more)
    child, odd = more.pop("child", False), more.pop("odd", False)
    layer = plain(20, block=BLOCK, **more)
    layer["size"] = int(before * BLOCK)
    if before > 20:
        layer["runs"].append([22 * 32, 3, "zero"])
    layer["runs"] = [run for run in layer["runs"] if (run[0] + run[1]) * SECTOR <= layer["size"]]
    if not child:
        leaf = test.chain([layer])
        if odd:
            make_odd(leaf)
        return leaf
    base = plain(40, block=BLOCK)
    base["size"], base["runs"] = 40 * BLOCK, [[n * 32, 32, "name"] for n in range(20)]
    if before == 40:
        base["runs"].append([22 * 32, 32, "name"])
        layer["runs"][-1] = [22 * 32, 32, "zero"]
    return test.chain([base, {**layer, "type": "differencing"}])


def trace(leaf, log, size, call=None, number=0):
    """Run until the system call is made for the nth time; True if it was killed there."""
    inject = ["-e", f"inject={call}:signal=KILL:when={number}"] if call else []
    done = subprocess.run(["strace", "-f", "-s0", "-o", log, "-e", f"trace={CALLS}", *inject, VHDCTL,
                           "resize", "--shrink", leaf, str(size)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=SECONDS, check=False)
    return done.returncode != 0


def calls_of(log):
    """(name, arguments, whether it has failed) of each."""
    with open(log, encoding="utf-8") as file:
        found = [CALL.search(line) for line in file]
    return [(call[1], (call[2] or "").split(", "), int(call[3]) < 0) for call in found if call]


def apply(data, call, after):
    """What a call does to the bytes of a file; `after`: what they all were then."""
    name, args, failed = call
    if failed or name == "fsync":
        return data
    if name == "ftruncate":
        return data[:int(args[0])].ljust(int(args[0]), b"\0")
    if name == "fallocate" and "PUNCH" not in args[0]:
        return data
    offset, length = (int(args[-1]), int(args[-2])) if name == "pwrite64" else \
        (int(args[1]), int(args[2]))
    grown = data.ljust(offset + length, b"\0") if name == "pwrite64" else data
    piece = after[offset:offset + length]
    return grown[:offset] + piece.ljust(min(length, len(grown) - offset), b"\0") + \
        grown[offset + length:]


def subsets(rng, number):
    """Which of so many writes survive."""
    if number <= ALL_SUBSETS:
        yield from range(1 << number)
        return
    for _ in range(SOME_SUBSETS):
        yield rng.getrandbits(number)


def judge_state(test, name, path, seen, wanted):
    """One of two sizes, and the same disk."""
    try:
        size, now, found = Image(path).size, digest(path), validate(path)
    except Exception as error:  # pylint: disable=broad-except
        test.verdict(False, name, f"cannot be read: {error!r}")
        return
    test.verdict(size in wanted and now == seen, name, f"{size} bytes, or another disk")
    names = {fault["fault"] for fault in found["faults"]}
    test.verdict(names <= {"footer-copy", "footer-end-missing"}, name, found)


def power_cuts(test, name, leaf, whole, calls, snapshots, seen, wanted):
    """Every subset of what was written since the last fsync."""
    # pylint: disable=too-many-arguments,too-many-positional-arguments
    durable, pending = whole, []
    for index, call in enumerate([*calls, ("fsync", [], False)]):
        if call[0] != "fsync":
            pending.append(index)
            continue
        for subset in subsets(test.rng, len(pending)):
            state = durable
            for bit, nr in enumerate(pending):
                if subset >> bit & 1:
                    state = apply(state, calls[nr], snapshots[nr])
            with open(leaf, "wb") as file:
                file.write(state)
            test.states += 1
            judge_state(test, f"{name}, power cut before call {index + 1}, {subset:b}", leaf, seen,
                        wanted)
        for nr in pending:
            durable = apply(durable, calls[nr], snapshots[nr])
        pending = []
    test.verdict(durable == snapshots[-1], name, "the model of the disk is wrong")


def finish(test, name, leaf, size, seen):
    """One run that is let through."""
    test.run(name, 0, "resize", "--shrink", leaf, str(size))
    test.judge(name, leaf, seen)
    image = Image(leaf)
    test.verdict(image.size == size, name, f"{image.size} bytes")


def one_change(test, name, leaf, before, size):
    """All of it, for one image."""
    whole, seen = file_bytes(leaf), digest(leaf)
    log = leaf + ".log"
    test.verdict(not trace(leaf, log, size), name, "a whole run")
    calls, snapshots = calls_of(log), []
    last = file_bytes(leaf)
    length = len(last)
    names = [call[0] for call in calls]
    for number, call in enumerate(names):
        with open(leaf, "wb") as file:
            file.write(whole)
        nth = names[:number + 1].count(call)
        test.verdict(trace(leaf, log, size, call, nth), name, "it was not killed")
        test.killed += 1
        snapshots.append(file_bytes(leaf))
        judge_state(test, f"{name}, killed at {number}", leaf, seen, (before, size))
        finish(test, f"{name}, after it was killed at {number}", leaf, size, seen)
        test.verdict(os.path.getsize(leaf) == length, name,
                     f"{os.path.getsize(leaf)} bytes instead of {length}")
    power_cuts(test, name, leaf, whole, calls, [*snapshots[1:], last], seen, (before, size))


def every_write(test, plain):
    """Killed at each write, and all that a power cut may leave."""
    if not shutil.which("strace"):
        test.verdict(False, "every write", "strace is not installed")
        return
    for name, (before, after, more) in CHANGES.items():
        leaf = make(test, plain, before, more)
        one_change(test, name, leaf, int(before * BLOCK), int(after * BLOCK))


def kill_once(leaf, size, delay):
    """False if it has ended by itself."""
    with subprocess.Popen([VHDCTL, "resize", "--shrink", leaf, str(size)],
                          stdout=subprocess.DEVNULL) as process:
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def kills(test, plain, wanted):
    """Killed at any moment, and again, now to one size and now to another."""
    while test.killed < wanted:
        leaf = test.chain([plain(100)])
        seen, sizes = digest(leaf), [Image(leaf).size]
        begin = time.monotonic()
        test.run("whole", 0, "resize", leaf, str(sizes[0] + 3 * BLOCK))
        longest = time.monotonic() - begin
        sizes.append(sizes[0] + 3 * BLOCK)
        for _ in range(20):
            size = sizes[0] + test.rng.choice((0, 1, 77, 2000, 5000)) * BLOCK
            sizes.append(size)
            test.killed += kill_once(leaf, size, test.rng.uniform(0, longest))
            judge_state(test, "killed", leaf, seen, sizes)
        finish(test, "after the kills", leaf, sizes[-1], seen)
