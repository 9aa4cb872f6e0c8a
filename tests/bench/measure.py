# SPDX-License-Identifier: GPL-2.0
"""One run of fio, what it cost the machine, and how often the file system synced."""

import dataclasses
import json
import os
import subprocess
import tempfile

from machine import read, write

TRACE = "/sys/kernel/tracing"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
# What fio does before and after each contestant; it keeps the output in a file.
LOOK = "head -n 1 /proc/stat"
# A run that is this late hangs.
LATE_SECONDS = 120


@dataclasses.dataclass
class Sample:
    """What one run of fio did."""

    rate: float         # I/Os per second, reads and writes together
    cpu_us: float       # time of all processors per I/O
    ios: int
    flushes: int = 0    # fsyncs that fio asked for
    syncs: int = 0      # fsyncs that the file system below did


def busy_seconds(line):
    """Time that all processors have worked, from the first line of /proc/stat."""
    user, nice, system, _, _, irq, softirq, steal = [int(x) for x in line.split()[1:9]]
    return (user + nice + system + irq + softirq + steal) / CLOCK_TICKS


def fio(load, targets, seconds):
    """The command for one load on [(name, target, size)], one after the other.

    One program for all: starting it takes an emulated machine longer than some runs.
    """
    command = ["fio", "--output-format=json"]
    for name, target, size in targets:
        command += [f"--name={name}", f"--filename={target}", f"--size={size}", "--stonewall",
                    "--direct=1", f"--rw={load.rw}", f"--ioengine={load.engine}",
                    f"--iodepth={load.depth}", f"--numjobs={load.jobs}", "--group_reporting",
                    "--time_based", f"--runtime={int(seconds * 1000)}ms", "--norandommap",
                    "--randrepeat=0", "--scramble_buffers=0",
                    f"--exec_prerun={LOOK}", f"--exec_postrun={LOOK}"]
        if "--bssplit" not in " ".join(load.extra):
            command.append(f"--bs={load.bs}")
        # Time stamps that nobody looks at cost an emulated machine a tenth of its speed.
        if load.engine != "psync":
            command.append("--gtod_reduce=1")
        command += load.extra
    return command


def run_fio(command, seconds, folder):
    """The report of one run: jobs by their names."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, check=False, cwd=folder,
                          timeout=seconds + LATE_SECONDS)
    if done.returncode:
        raise RuntimeError(f"fio: {(done.stderr or done.stdout).strip()[-400:]}")
    return json.loads(done.stdout[done.stdout.index("{"):])["jobs"]


def sample(job, folder):
    """What one contestant did."""
    if job["error"]:
        raise RuntimeError(f"fio: error {job['error']} of {job['jobname']}")
    ios = sum(job[way]["total_ios"] for way in ("read", "write"))
    if not ios:
        raise RuntimeError(f"fio did no I/O on {job['jobname']}")
    before, after = (busy_seconds(read(f"{folder}/{job['jobname']}.{when}run.txt"))
                     for when in ("pre", "post"))
    rate = sum(job[way]["iops"] for way in ("read", "write"))
    return Sample(rate, (after - before) * 1e6 / ios, ios, job["sync"]["total_ios"])


def run(load, targets, seconds):
    """Name -> Sample of each target."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = run_fio(fio(load, targets, seconds), seconds * len(targets), folder)
        out = {job["jobname"]: sample(job, folder) for job in jobs}
    if set(out) != {name for name, _, _ in targets}:
        raise RuntimeError(f"fio reports of {sorted(out)}")
    return out


class SyncCounter:
    """Counts ext4's own fsyncs of one file by its tracepoint."""

    def __init__(self, path):
        stat = os.stat(path)
        # The kernel's dev_t is not the one of stat(2).
        dev = os.major(stat.st_dev) << 20 | os.minor(stat.st_dev)
        self.filter = f"dev == {dev} && ino == {stat.st_ino}"
        self.folder = f"{TRACE}/instances/bench"
        self.event = f"{self.folder}/events/ext4/ext4_sync_file_enter"

    def __enter__(self):
        os.mkdir(self.folder)
        write(f"{self.folder}/buffer_size_kb", "4096")
        # Names of tasks cost an event at each change of tasks, and nobody asks.
        write(f"{TRACE}/options/record-cmd", "0")
        write(f"{self.event}/filter", self.filter)
        write(f"{self.event}/enable", "1")
        return self

    def __exit__(self, *_):
        write(f"{self.event}/enable", "0")
        os.rmdir(self.folder)

    def count(self):
        """Events so far, those that the buffer has lost included."""
        total = 0
        for cpu in os.listdir(f"{self.folder}/per_cpu"):
            for line in read(f"{self.folder}/per_cpu/{cpu}/stats").split("\n"):
                name, _, value = line.partition(":")
                if name in ("entries", "overrun"):
                    total += int(value)
        return total


def counter_works(folder):
    """Does the tracepoint count a known number of fsyncs, and only those of its file?"""
    paths = [os.path.join(folder, name) for name in ("counted", "other")]
    files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in paths]
    try:
        with SyncCounter(paths[0]) as counter:
            for fd, times in zip(files, (7, 5)):
                for turn in range(times):
                    os.pwrite(fd, b"x", turn)
                    os.fsync(fd)
            return counter.count() == 7
    finally:
        for fd, path in zip(files, paths):
            os.close(fd)
            os.unlink(path)
