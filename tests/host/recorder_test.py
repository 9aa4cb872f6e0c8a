#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Crashes and kills of each command that changes files: recorder_rows.py.

Each command runs once under recorder.c. In each state in which a crash at any moment
can leave the files (a sample, where there are too many), and after SIGKILL at random
changes, the oracle of tests/images and "vhdctl check" must accept the image, the disk
must read as promised, and the command run again must finish. The recordings are
also spoilt, one barrier at a time, which the same judges must notice.

usage: recorder_test.py [STATES [KILLS [SEED]]]    of each command
"""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests", "images"))

# pylint: disable=wrong-import-position
from crashstates import is_seen, points, states  # noqa: E402
from recorder_rows import FIXED, ROWS, disk  # noqa: E402
from recording import NAMING, SYNC, SYNC_DIR, Files, Lost, Recorder, read_file  # noqa: E402
from vhdchain import Builder  # noqa: E402
from vhdvalidate import validate  # noqa: E402

VHDCTL = os.environ.get("VHDCTL", os.path.join(TOP, "build", "vhdctl"))
LIBRARY = os.path.join(TOP, "build", "tests", "host", "recorder.so")
SECONDS = 600
MEMORY = "/dev/shm"           # where barriers cost nothing
BARRIERS = (SYNC, SYNC_DIR)
NOTE = 24                      # struct saved_after
SPOILT_STATES = 150             # of one without a barrier, until nothing has been found
EXHAUST = 10                    # parts under way of which all subsets are tried


def check(path):
    """What `vhdctl check` calls a fault; leaks are allowed."""
    done = subprocess.run([VHDCTL, "check", "--json", path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    said = done.stdout.decode(errors="replace")
    try:
        faults = {fault["fault"] for fault in json.loads(said)["faults"]}
    except ValueError:
        faults = {said}
    if not faults and done.returncode not in (0, 3):
        faults = {f"exit code {done.returncode}"}
    return faults


class Case:
    """A row, recorded."""

    def __init__(self, row, recorder, work):
        self.row, self.recorder = row, recorder
        self.folder = os.path.join(work, "files")
        shutil.rmtree(self.folder, ignore_errors=True)
        Builder(self.folder, 1, {"layers": row.layers}).write()
        if row.old_target:
            Builder(self.folder, 1, {"layers": [{**FIXED, "name": row.target}]}).write()
        if row.damage:
            row.damage(self.folder)
        self.disk = disk(self.path(row.change)) if row.change else None
        self.argv = row.argv(VHDCTL, self.folder)
        self.before, self.changes = recorder.record(self.argv, self.folder)
        self.after = Files.load(self.folder).visible()
        if row.target:
            self.disk = self.target_disk()

    def path(self, name):
        """Of a file of the folder."""
        return os.path.join(self.folder, name)

    def target_disk(self):
        """Hash of the disk, for a raw one too."""
        path = self.path(self.row.target)
        return read_file(path) if path.endswith(".raw") else disk(path)

    def judge(self, settled=False, quick=False):
        """What is wrong with what lies in the folder: words."""
        now = Files.load(self.folder).visible()
        found = list(self.strangers(now))
        if self.row.change:
            found += self.image(settled, quick)
        elif settled or self.row.target in now:
            found += self.target(now, settled, quick)
        if settled and self.row.settled:
            found += filter(None, [self.row.settled(self.folder)])
        return found

    def strangers(self, now):
        """Other files: none has come or changed, but for temporary ones."""
        mine = {self.row.change, self.row.target}
        new = (f".{self.row.target}.", f".{self.row.saves()}", f"{self.row.saves()}")
        old = self.before.visible()
        for name in sorted(set(now) | set(old)):
            if name in mine or name not in old and name.startswith(new):
                continue
            if now.get(name) != old.get(name):
                yield f"{name} has changed, appeared or gone"

    def is_saved(self):
        """Is what the command says to keep there, before it changes anything?"""
        name, saved = self.row.change, self.row.saves()
        now, old = Files.load(self.folder).visible(), self.before.visible()
        if not saved or now[name] == old[name]:
            return True
        # What comes last is a note for --restore, which only a repair that is over leaves.
        return now.get(saved, b"")[:-NOTE] == self.after[saved][:-NOTE]

    def image(self, settled, quick):
        """The image that is changed in place."""
        path = self.path(self.row.change)
        if not self.is_saved():
            yield "it has changed, and the old metadata are not kept"
        allowed = frozenset() if settled else self.row.allowed
        faults = {fault["fault"] for fault in validate(path)["faults"]} - allowed
        if faults:
            yield f"the validator: {sorted(faults)}"
        if settled and os.path.getsize(path) != len(self.after[self.row.change]):
            yield f"the file has {os.path.getsize(path)} bytes"
        found = disk(path)
        if found != self.disk:
            yield f"the disk has changed: {found}"
        faults = set() if quick else check(path) - allowed
        if faults:
            yield f"vhdctl check: {sorted(faults)}"

    def target(self, now, settled, quick):
        """The image that is new."""
        name, path = self.row.target, self.path(self.row.target)
        if not settled and now[name] == self.before.visible().get(name):
            return
        if name not in now or self.target_disk() != self.disk:
            yield f"{name}: {'not complete' if name in now else 'not there'}"
        elif name.endswith(".vhd"):
            faults = {fault["fault"] for fault in validate(path)["faults"]}
            faults |= set() if quick else check(path)
            if faults:
                yield f"{name}: {sorted(faults)}"

    def again(self):
        """Run the command once more, and judge what is there then."""
        refused = self.row.is_refused(self.folder)
        code, said = self.recorder.run(self.argv)
        if bool(code) != refused:
            return [f"run again: exit code {code}: {said}"]
        return [f"run again: {words}" for words in self.judge(settled=True)]

    def kill(self, number, part):
        """(whether it was killed in that change, complaints)."""
        refused = self.row.is_refused(self.folder)
        killed, code, said = self.recorder.kill(self.argv, number, part)
        if not killed and bool(code) != refused:
            return False, [f"exit code {code}: {said}"]
        return killed, self.judge(settled=not killed)


class Test:
    """Counts, and what each command is put to."""

    def __init__(self, recorder, work, budget, rng):
        self.recorder, self.work, self.rng = recorder, work, rng
        self.states, self.kills = budget
        self.passed = self.failed = self.judged = self.killed = 0

    def verdict(self, found, name, where):
        """One result."""
        self.passed += not found
        self.failed += bool(found)
        for words in found:
            print(f"not ok - {name}, {where}: {words}")

    def crash_states(self, case):
        """Each state, then the command again."""
        tries = states(case.before, case.changes, self.rng, EXHAUST)
        for state in itertools.islice(tries, self.states):
            state.files.store(case.folder)
            self.verdict(case.judge() or case.again(), case.row.name, state.text)
            self.judged += 1

    def durable(self, case):
        """When the command has returned, nothing that counts is under way."""
        left = not_durable(case.before, case.changes)
        self.verdict([f"{len(left)} changes are not durable"] if left else [], case.row.name,
                     "at the end")

    def kill(self, case):
        """Kill it in a change, some of them twice and more."""
        left = self.kills
        while left > 0:
            case.before.store(case.folder, fresh=True)
            for _ in range(self.rng.choice((1, 1, 2, 4))):
                number, part = self.rng.randint(1, len(case.changes)), self.rng.randint(0, 8)
                killed, found = case.kill(number, part)
                self.killed += killed
                left -= 1
                self.verdict(found, case.row.name, f"killed in change {number}, {part}/8 of it")
            self.verdict(case.again(), case.row.name, "after kills")

    def kill_again(self, case):
        """Killed again and again after the same change, it must not leave more each time."""
        for number in self.rng.sample(range(1, len(case.changes)), min(9, len(case.changes) - 1)):
            case.before.store(case.folder, fresh=True)
            for _ in range(3):
                self.killed += case.recorder.kill(case.argv, number, 8)[0]
            self.verdict(case.judge() or case.again(), case.row.name, f"killed after {number}")

    def finds(self, case, changes):
        """Do the judges find a bad state of a spoilt recording?"""
        if not_durable(case.before, changes):
            return True
        tries = states(case.before, changes, self.rng, EXHAUST)
        for state in itertools.islice(tries, SPOILT_STATES):
            state.files.store(case.folder)
            if case.judge(quick=True):
                return True
        return False

    def notices(self, case):
        """A recording without its barriers is found bad; so it is without one of them."""
        bare = [change for change in case.changes if change.kind not in BARRIERS]
        if any(point.atoms for point in points(case.before, bare)):
            self.verdict([] if self.finds(case, bare) else ["nothing is noticed"],
                         case.row.name, "without barriers")
        found = 0
        for less in spoilt(case):
            if found < case.row.noticed:
                found += self.finds(case, less)
        self.verdict([] if found == case.row.noticed else
                     [f"only {found} of {case.row.noticed} barriers are missed"], case.row.name,
                     "without a barrier")


def not_durable(before, changes):
    """What is still under way at the end, but for temporary names."""
    last = points(before, changes)[-1]
    return [atom for atom in last.atoms
            if atom.kind not in NAMING or any(is_seen(name) for name in atom.names())]


def spoilt(case):
    """The recording without one of its barriers, for each that has something to hold."""
    moments = {point.number: point for point in points(case.before, case.changes)}
    for number, change in enumerate(case.changes):
        if change.kind in BARRIERS and moments[number].atoms:
            yield case.changes[:number] + case.changes[number + 1:]


def try_row(test, row):
    """All that a command is put to."""
    begin = time.monotonic()
    before = test.judged, test.killed
    try:
        case = Case(row, test.recorder, test.work)
    except Lost as error:
        test.verdict([str(error)], row.name, "recording")
        return
    test.durable(case)
    test.crash_states(case)
    test.kill(case)
    test.kill_again(case)
    test.notices(case)
    print(f"{row.name}: {len(case.changes)} changes and barriers, {test.judged - before[0]} "
          f"crash states, {test.killed - before[1]} kills, {time.monotonic() - begin:.0f} s")


def main():
    """Exit code 0 if all is well."""
    numbers = [int(word) for word in sys.argv[1:4]]
    states_kills, seed = (numbers + [24, 12][len(numbers):])[:2], (numbers[2:] or [1])[0]
    work = tempfile.mkdtemp(dir=MEMORY if os.path.isdir(MEMORY) else None)
    test = Test(Recorder(LIBRARY, work), work, states_kills, random.Random(seed))
    try:
        for row in ROWS:
            try_row(test, row)
    finally:
        shutil.rmtree(work)
    print(f"{test.judged} crash states, {test.killed} kills, seed {seed}")
    print(f"{test.passed} passed, {test.failed} failed")
    return 1 if test.failed or not test.passed else 0


if __name__ == "__main__":
    sys.exit(main())
