#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A second opinion on crash states that another program found good or bad.

usage: crashes.py FOLDER VHDCTL

"make -C tests/host crash" has written states into FOLDER, with what a reader may
find in each sector. The oracle of this folder and vhdctl, which know nothing of
how they came about, must find every good state good; and the oracle must find
the fault of each state that betrayed a planner with a bug.
"""

import json
import os
import subprocess
import sys

from vhdread import Bad, Image, NoParent, open_chain
from vhdspec import SECTOR
from vhdvalidate import validate

# While footers are replaced one of them may be missing or old.
UNSETTLED = {"footer-end-missing", "footer-copy"}
# A batmap of these images is a pattern, to see that nobody changes it: it tells lies. And
# some put a block where QEMU would, with all its bits set.
SIGNS = {"batmap", "qemu-wrote"}


def allowed_faults(state):
    """What may be found in a state between two steps of a repair."""
    faults = set() if state["settled"] else set(UNSETTLED)
    return faults | {"block-cut"} if state["cut"] else faults


def wrong_sector(state, chain):
    """The first sector that reads as none of its values, or None."""
    for sector, values in state["sectors"]:
        data = chain.read(sector * SECTOR, SECTOR)
        if int.from_bytes(data[:4], "little") not in values or any(data[4:]):
            return f"sector {sector} reads as {data[:4].hex()}, allowed are {values}"
    return None


def structure_fault(state):
    """What is wrong with the file as such, or None."""
    size = os.path.getsize(state["file"])
    if size % SECTOR or size // SECTOR not in state["eof"]:
        return f"the file has {size} bytes"
    report = validate(state["file"])
    faults = {fault["fault"] for fault in report["faults"]} - allowed_faults(state)
    if faults:
        return " ".join(sorted(faults))
    return None


def stale_footer(state):
    """Whether a footer is there that should have been replaced."""
    image = Image(state["file"])
    stamp = image.footer.timestamp
    image.close()
    return stamp != state.get("timestamp", stamp)


def oracle(state):
    """What this folder's programs find wrong, or None."""
    try:
        fault = structure_fault(state)
        if fault:
            return fault
        if stale_footer(state):
            return "an old footer"
        chain = open_chain(state["file"])
    except (Bad, NoParent) as error:
        return f"{type(error).__name__} {error}"
    try:
        return wrong_sector(state, chain)
    except Bad as error:
        return str(error)
    finally:
        chain.close()


def vhdctl_opinion(vhdctl, state):
    """What vhdctl finds wrong, or None; leaks are allowed."""
    done = subprocess.run([vhdctl, "check", "--json", state["file"]], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return f"exit code {done.returncode}: {done.stderr.decode()}"
    faults = {fault["fault"] for fault in report["faults"]} - SIGNS
    if faults - allowed_faults(state):
        return " ".join(sorted(faults))
    if not faults and done.returncode not in (0, 3):
        return f"exit code {done.returncode}: {done.stderr.decode()}"
    return None


def judge(vhdctl, state):
    """Complaints about one state."""
    found = oracle(state)
    if state["bad"]:
        return [] if found else [f"nothing found, but it should be: {state['bad']}"]
    told = vhdctl_opinion(vhdctl, state)
    return [f"{who}: {fault}" for who, fault in (("oracle", found), ("vhdctl", told)) if fault]


def main(folder, vhdctl):
    """One test for each state, and that there were enough of both kinds."""
    if not os.access(vhdctl, os.X_OK):
        print(f"not ok - there is no {vhdctl}: make tools\n0 passed, 1 failed")
        return 1
    with open(os.path.join(folder, "states.json"), encoding="utf-8") as file:
        states = [json.loads(line) for line in file]
    bad = sum(bool(state["bad"]) for state in states)
    failed = 0
    for state in states:
        complaints = judge(vhdctl, state)
        failed += bool(complaints)
        for complaint in complaints:
            print(f"not ok - {state['file']}: {complaint}")
    if bad < 30 or len(states) - bad < 100:
        failed += 1
        print(f"not ok - too few states: {len(states) - bad} good, {bad} bad")
    print(f"{len(states) - bad} good crash states judged by the oracle and by vhdctl, "
          f"{bad} bad ones by the oracle")
    print(f"{max(0, len(states) - failed)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
