#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures vhdblk beside its rivals, inside the virtual machine.

Everything happens in one boot and in rounds: in each, every contestant of a load
runs once, in the order A B C D and then D C B A, and each round gives one ratio.
"""

import argparse
import json
import os
import platform
import re
import sys
import time
import traceback

import extras
import images
import machine
import measure
import stats
from machine import MOUNT, Unavailable
from measure import SyncCounter, counter_works
from rows import CONTESTANTS, LOADS, ROWS

PARTIAL_MIB = 64
WARM_SECONDS = 1
BEGAN = time.monotonic()
# A smoke run takes up to so many times the rounds where a gate seems far away.
SMOKE_STRETCH = 3


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=15, metavar="N")
    parser.add_argument("--seconds", type=float, default=5, metavar="S", help="of each run")
    parser.add_argument("--disk", type=int, default=256, metavar="MIB", help="of each contestant")
    parser.add_argument("--only", default="", metavar="REGEX", help="loads (by name) to run")
    parser.add_argument("--smoke", action="store_true",
                        help="the gates alone; half of one is enough")
    parser.add_argument("--out", default="", metavar="FILE", help="results as JSON")
    return parser.parse_args()


class Field:
    """All contestants: their files, and what they are attached to."""

    def __init__(self, size, wanted):
        self.size = size
        self.wanted = wanted
        self.members = {}
        self.missing = {}
        self.aio = ""

    def make(self):
        """Write the files that the wanted contestants need, and start them."""
        size = self.size
        makers = {
            "file": (machine.File, lambda at: self.raw(at, size)),
            "loop": (machine.Loop, lambda at: self.raw(at, size)),
            "nbd": (machine.Nbd, lambda at: images.single(at, "dynamic", size)),
            "dynamic": (machine.Vhd, lambda at: images.single(at, "dynamic", size)),
            "inline": (machine.Inline, lambda at: images.single(at, "dynamic", size)),
            "fixed": (machine.Vhd, lambda at: images.single(at, "fixed", size)),
            "child1": (machine.Vhd, lambda at: images.striped(at, 1, size)),
            "child8": (machine.Vhd, lambda at: images.striped(at, 8, size)),
            "child64": (machine.Vhd, lambda at: images.striped(at, 64, size)),
            "partial": (machine.Partial,
                        lambda at: images.scattered(at, 64, PARTIAL_MIB << 20)),
        }
        made = []
        if "inline" in self.wanted and not machine.Inline.exists():
            self.missing["inline"] = "vhdctl attach --submit inline is not available"
        for name, (kind, maker) in makers.items():
            if name in self.wanted and name not in self.missing:
                made.append((name, kind(maker(os.path.join(MOUNT, name)))))
                progress(f"made the files of '{CONTESTANTS[name]}'")
        machine.settle(MOUNT)
        for name, member in made:
            self.start(name, member)

    @staticmethod
    def raw(folder, size):
        """A raw file in a directory of its own."""
        os.makedirs(folder)
        path = os.path.join(folder, "disk.raw")
        images.raw(path, size)
        return path

    def start(self, name, member):
        """Attach one; what this machine does not have is noted and left out."""
        try:
            member.start()
            self.members[name] = member
        except Unavailable as why:
            self.missing[name] = str(why)
            say(f"skip - {CONTESTANTS[name]}: {why}")

    def stop(self):
        """Detach all."""
        for member in self.members.values():
            member.stop()
        self.members = {}

    def disk(self, load):
        """Bytes of the disk that a load may use."""
        return PARTIAL_MIB << 20 if "partial" in load.contestants else self.size


def say(text):
    """Seen as it happens."""
    print(text, flush=True)


def progress(text):
    """The same with the time since the start."""
    say(f"[{int(time.monotonic() - BEGAN):4d} s] {text}")


class Rounds:
    """Runs all loads and keeps the samples: load -> contestant -> round -> Sample."""

    def __init__(self, options, loads):
        self.options = options
        self.loads = loads
        self.samples = {load.name: {} for load in loads}

    def keep(self, load, turn, row):
        """Store and show one round of one load."""
        for name, sample in row.items():
            self.samples[load.name].setdefault(name, {})[turn] = sample
        text = "  ".join(f"{name} {sample.rate:.0f}" for name, sample in sorted(row.items()))
        progress(f"round {turn + 1} {load.name}: {text} per s")

    def fresh(self, load, turn, _):
        """Every run on a file system, and a file, that are as new as each other."""
        size = load.fresh << 20
        kinds = {"sparse": machine.Sparse, "fresh": machine.Fresh}
        row = {}
        for name in load.present(turn, self.options.smoke):
            machine.ram_up(load.fresh * 4096)
            member = kinds[name](os.path.join(MOUNT, "disk"))
            member.size = size
            try:
                member.start()
                row |= measure.run(load, [(name, member.target, size)], self.options.seconds)
            finally:
                member.stop()
                machine.ram_down()
        self.keep(load, turn, row)

    def resident(self, load, turn, field):
        """All contestants of one load once, on the files that they keep."""
        names = [name for name in load.present(turn, self.options.smoke) if name in field.members]
        if "partial" in names:
            field.members["partial"].stop()
            field.members["partial"].start()
        targets = [(name, field.members[name].target, field.disk(load)) for name in names]
        if not targets:
            return
        if load.name != "fsync":
            self.keep(load, turn, measure.run(load, targets, self.options.seconds))
            return
        with SyncCounter(field.members["dynamic"].path) as counter:
            row = measure.run(load, targets, self.options.seconds)
            row["dynamic"].syncs = counter.count()
        self.keep(load, turn, row)

    def some(self, loads, one_round, field):
        """All rounds; more of them for what a short run would call a failure."""
        for turn in range(self.options.pairs):
            for load in loads:
                one_round(load, turn, field)
        if not self.options.smoke:
            return
        for turn in range(self.options.pairs, SMOKE_STRETCH * self.options.pairs):
            for load in loads:
                if any(collapsed(row, self.samples) for row in ROWS if row.load == load.name):
                    one_round(load, turn, field)

    def warm(self, field):
        """Resolve what is resolved once, and find qemu-nbd's best way."""
        load = next(load for load in LOADS if load.name == "read")
        targets = [(name, member.target, field.size) for name, member in field.members.items()
                   if name not in ("nbd", "partial")]
        measure.run(load, targets, WARM_SECONDS)
        if "nbd" in field.members:
            self.best_aio(load, field)

    def best_aio(self, load, field):
        """A rival runs as well as it can; in a smoke run as it does by itself."""
        best = {}
        member = field.members.pop("nbd")
        for member.aio in machine.QEMU_AIO[:1 if self.options.smoke else None]:
            member.stop()
            try:
                member.start()
            except Unavailable:
                continue
            row = measure.run(load, [("nbd", member.target, field.size)], WARM_SECONDS)
            best[member.aio] = row["nbd"].rate
        progress("qemu-nbd: " + ", ".join(f"{aio} {rate:.0f}" for aio, rate in best.items()) + " per s")
        member.stop()
        if not best:
            field.missing["nbd"] = "qemu-nbd does not start"
            return
        field.aio = member.aio = max(best, key=best.get)
        field.start("nbd", member)

    def all(self, field):
        """The fresh files first: they need a RAM disk of their own each time."""
        self.some([load for load in self.loads if load.fresh], self.fresh, field)
        resident = [load for load in self.loads if not load.fresh]
        if not resident:
            return
        machine.ram_up()
        try:
            if not counter_works(MOUNT):
                field.missing["fsync"] = "the tracepoint of ext4 does not count"
                resident = [load for load in resident if load.name != "fsync"]
            field.make()
            self.warm(field)
            self.some(resident, self.resident, field)
        finally:
            field.stop()
            machine.ram_down()


def collapsed(row, samples):
    """Is this gate missed by more than half?"""
    values = ratios(row, samples)
    return bool(row.gate and values) and not stats.passes_half(values, row.gate, row.sense)


def ratios(row, samples):
    """One value for each round in which both sides ran."""
    ours = samples.get(row.load, {}).get(row.subject, {})
    if not row.rival:
        return [s.syncs / s.flushes for _, s in sorted(ours.items()) if s.flushes]
    theirs = samples.get(row.load, {}).get(row.rival, {})
    return [ours[turn].rate / theirs[turn].rate for turn in sorted(ours) if turn in theirs]


def judge(row, samples, missing, kernel):
    """A row of the table as it stands in the JSON file."""
    gate, target = row.bounds(kernel)
    out = {"group": row.group, "title": row.title, "load": row.load, "subject": row.subject,
           "rival": row.rival, "sense": row.sense, "gate": gate, "target": target}
    values = ratios(row, samples)
    if not values:
        lost = [missing[name] for name in (row.subject, row.rival, row.load) if name in missing]
        return {**out, "n": 0, "verdict": "not available", "why": "; ".join(lost) or "not run"}
    out.update(stats.summary(values), ratios=[round(v, 4) for v in values])
    for side, name in (("subject", row.subject), ("rival", row.rival)):
        runs = samples[row.load].get(name, {}).values()
        if runs:
            out[f"{side}_rate"] = stats.median([s.rate for s in runs])
            out[f"{side}_cpu_us"] = stats.median([s.cpu_us for s in runs])
    out["verdict"] = stats.verdict(values, gate, row.sense) if gate else ""
    out["target_verdict"] = stats.verdict(values, target, row.sense) if target else ""
    return out


def rounded(sample):
    """A sample in as many digits as it is worth."""
    return {key: round(value, 1) for key, value in vars(sample).items()}


def describe(rounds, field):
    """Every load and contestant with its medians and single runs."""
    out = []
    for load in rounds.loads:
        sides = {}
        for name, runs in rounds.samples[load.name].items():
            rates = [s.rate for s in runs.values()]
            sides[name] = {"title": CONTESTANTS[name], "rate": stats.summary(rates),
                           "cpu_us": stats.median([s.cpu_us for s in runs.values()]),
                           "runs": {str(turn): rounded(s) for turn, s in runs.items()}}
        if sides:
            out.append({"name": load.name, "title": load.title, "contestants": sides})
    return {"loads": out, "missing": field.missing}


def surroundings():
    """What this ran on, as far as the machine itself knows."""
    cpu = re.search(r"model name\s*: (.*)", machine.read("/proc/cpuinfo"))
    model = cpu[1] if cpu else platform.machine()
    return {"kernel": platform.release(), "cpu": model, "cpus": os.cpu_count(),
            "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
            "accelerator": "TCG (emulated)" if "TCG" in model else "hardware",
            "storage": "ext4 on a RAM disk (brd)",
            "fio": machine.call("fio", "--version"),
            "qemu_nbd": machine.call("qemu-nbd", "--version", check=False).split("\n")[0],
            "vhdctl": machine.call("vhdctl", "--version")}


def smoke_line(row):
    """What a short run says about one gate; nothing where there is none."""
    if not row["gate"]:
        return None
    if row["verdict"] == "not available":
        return f"skip - {row['group']}, {row['title']}: {row['why']}"
    good = stats.passes_half(row["ratios"], row["gate"], row["sense"])
    shown = ", ".join(f"{value:.2f}" for value in row["ratios"])
    return (f"{'ok' if good else 'not ok'} - {row['group']}, {row['title']}: "
            f"{row['median']:.2f} ({shown}), the gate is {row['sense']} {row['gate']}")


def measure_all(options):
    """Everything; returns what goes to the JSON file."""
    loads = [load for load in LOADS if re.search(options.only, load.name)
             and not (options.smoke and load.every > 1)]
    wanted = {name for load in loads for name in load.contestants}
    wanted |= {name for load in loads for name in load.seldom if not options.smoke}
    rounds = Rounds(options, loads)
    field = Field(options.disk << 20, wanted)
    rounds.all(field)
    machine_is = surroundings()
    kernel = tuple(int(x) for x in re.findall(r"\d+", machine_is["kernel"])[:2])
    result = {**machine_is, "pairs": options.pairs, "seconds": options.seconds,
              "disk_mib": options.disk, "smoke": options.smoke,
              "aio": field.aio, "minutes": 0,
              "rows": [judge(row, rounds.samples, field.missing, kernel) for row in ROWS
                       if row.load in rounds.samples
                       and (row.bounds(kernel)[0] or not options.smoke)],
              **describe(rounds, field)}
    if not options.smoke and not options.only:
        result.update(extras.measure(progress))
    result["minutes"] = round((time.monotonic() - BEGAN) / 60, 1)
    return result


def main():
    """Exit code 0 if all was measured, and in a smoke run no gate fell below half."""
    options = arguments()
    try:
        result = measure_all(options)
    except Exception:               # noqa: BLE001, said in full and counted
        traceback.print_exc()
        say("not ok - the benchmark ended early")
        return 1
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    if not options.smoke:
        say(f"ok - measured in {result['minutes']} minutes")
        return 0
    lines = [line for line in map(smoke_line, result["rows"]) if line]
    for line in lines:
        say(line)
    return 1 if any(line.startswith("not") for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
