# SPDX-License-Identifier: GPL-2.0
"""What an attached disk costs: time to attach it, and memory while it is there."""

import os
import time

import images
import machine
import stats
from rows import ATTACH_DEPTH, ATTACH_SECONDS

TURNS = 5
GIB = 1 << 30
LARGEST_GIB = 2040
SIZES_GIB = (1, 64, LARGEST_GIB)
DEPTHS = (1, 8, ATTACH_DEPTH, 64)


def free_bytes():
    """Memory that is free or could be at once."""
    os.sync()
    machine.write("/proc/sys/vm/drop_caches", "3")
    for line in machine.read("/proc/meminfo").split("\n"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("no MemAvailable in /proc/meminfo")


def create(path, gib):
    """An empty dynamic image."""
    machine.call("vhdctl", "create", "-t", "dynamic", "-s", f"{gib}G", path)
    return path


def create_full(path, gib):
    """One whose blocks all have a place."""
    images.allocate_all(create(path, gib))
    return path


def attach_times(path):
    """Seconds of each attach, the program's start included; the first is not cached."""
    out = []
    for turn in range(TURNS + 1):
        disk = machine.Vhd(path)
        began = time.monotonic()
        try:
            disk.start()
            took = time.monotonic() - began
        finally:
            disk.stop()
        if turn:
            out.append(took)
    return out


def memory(path):
    """Bytes by the driver's own account, and by what the machine has less."""
    disk = machine.Vhd(path)
    # What the detach before this one frees comes back late.
    time.sleep(2)
    before = free_bytes()
    try:
        disk.start()
        said = disk.status()["counters"]["map_bytes"]
        return said, max(before - free_bytes(), 0)
    finally:
        disk.stop()


def memory_row(title, gib, path):
    """One line of the table of memory."""
    said, seen = memory(path)
    return {"title": title, "gib": gib, "map_bytes": said, "machine_bytes": seen,
            "bytes_per_tib": round(said * 1024 / gib)}


def attach_row(gib, depth, kind, path):
    """One line of the table of attach times."""
    times = attach_times(path)
    row = {"gib": gib, "depth": depth, "blocks": kind, "gate": None, **stats.summary(times),
           "seconds": [round(t, 3) for t in times]}
    if (gib, depth) == (LARGEST_GIB, ATTACH_DEPTH):
        row["gate"] = ATTACH_SECONDS
        row["verdict"] = stats.verdict(times, ATTACH_SECONDS, "<=")
    return row


def by_size(at):
    """A single image, empty and with all blocks allocated."""
    rows, memories = [], []
    for gib in SIZES_GIB:
        for kind, maker in (("none", create), ("all", create_full)):
            path = maker(os.path.join(at, f"{kind}-{gib}.vhd"), gib)
            rows.append(attach_row(gib, 1, kind, path))
            if gib == LARGEST_GIB:
                memories.append(memory_row(f"one file, {kind} of its blocks allocated", gib, path))
            os.unlink(path)
    return rows, memories


def by_depth(at):
    """Chains of the largest size over a base with all blocks allocated."""
    rows, memories = [], []
    path = create_full(os.path.join(at, "1.vhd"), LARGEST_GIB)
    for depth in range(2, max(DEPTHS) + 1):
        child = os.path.join(at, f"{depth}.vhd")
        machine.call("vhdctl", "create", "--parent", path, child)
        path = child
        if depth in DEPTHS:
            rows.append(attach_row(LARGEST_GIB, depth, "all of the base", path))
            memories.append(memory_row(f"{depth} files, base full, children empty",
                                       LARGEST_GIB, path))
    return rows, memories


def measure(say):
    """Both tables."""
    machine.ram_up()
    try:
        at = os.path.join(machine.MOUNT, "large")
        os.mkdir(at)
        rows, memories = by_size(at)
        say("attach times by size are done")
        more_rows, more_memories = by_depth(at)
        say("attach times by depth are done")
    finally:
        machine.ram_down()
    return {"attach": rows + more_rows, "memory": memories + more_memories}
