#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl check --repair over the whole corruption table of tests/images, and beyond it.

The oracle of tests/images reads and judges; no code is shared with vhdctl. For each row:
what was readable reads the same afterwards; what was not open at all and is clean now
reads as before the damage; a second repair changes nothing; and the copy of the old
metadata brings back each byte. What happens to each class of damage must be what
Documentation/vhdblk/repair.rst says.

usage: repair_test.py [--table | KILLS [SEED]]
"""

import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests", "images"))

# pylint: disable=wrong-import-position
from corruption_kit import Row, apply, make_bases  # noqa: E402
from corruption_rows import all_rows  # noqa: E402
from corruptions import write_sparse  # noqa: E402
from vhdread import BAD, Bad, NoParent, open_chain  # noqa: E402
from vhdspec import SECTOR, UNUSED  # noqa: E402
from vhdvalidate import validate  # noqa: E402

VHDCTL = os.environ.get("VHDCTL", os.path.join(TOP, "build", "vhdctl"))
DOC = os.path.join(TOP, "Documentation", "vhdblk", "repair.rst")
SECONDS = 300
AREAS = (
    (r"footer-both|fixed-footer", "both footers, or the only one"),
    (r"footer-end", "footer at the end"), (r"footer-copy", "footer copy"),
    (r"header", "dynamic header"), (r"-bat-", "block allocation table"),
    (r"bitmap", "sector bitmaps"), (r"^batmap", "batmap"), (r"locator|parent", "links"),
    (r"short-footer", "last byte of the file missing"), (r"forged", "forged by a guest"),
    (r"cut|lost", "file cut off"), (r"append|grow", "file longer"), (r"", "other"))
TITLES = ("damaged", "findings", "``--repair`` mends", "left")


def area_of(name):
    """What a row damages."""
    return next(words for pattern, words in AREAS if re.search(pattern, name))


def file_bytes(path):
    """All of it."""
    with open(path, "rb") as file:
        return file.read()


class Disk:
    """What the oracle reads of a file and its parents; zeros where it cannot read."""

    LIMIT = 16 << 20

    def __init__(self, path):
        self.bad, self.size, self.data = [], 0, b""
        try:
            chain = open_chain(path)
        except (Bad, NoParent, ValueError, IndexError, OSError) as reason:
            self.fault = reason
            return
        self.fault, self.size, self.block = None, chain.size, chain.layers[0].block_size
        self.data = b"".join(self._piece(chain, *owner)
                             for owner in chain.owners(0, min(chain.size, self.LIMIT)))
        chain.close()

    def _piece(self, chain, begin, end, index, offset):
        if index is None:
            return bytes(end - begin)
        if offset == BAD:
            self.bad.append((begin, end))
            return bytes(end - begin)
        layer = chain.layers[index]
        there = max(0, min(end - begin, layer.limit - offset))
        return layer.pread(offset, there).ljust(end - begin, b"\0")

    def without(self, blocks):
        """The same, but of these blocks nothing is known."""
        self.bad += [(block * self.block, (block + 1) * self.block) for block in blocks]
        return self

    def keeps(self, before):
        """Does this disk have all that another one had?"""
        old, new = bytearray(before.data), bytearray(self.data[:len(before.data)])
        for begin, end in before.bad:
            old[begin:end] = bytes(end - begin)
            new[begin:end] = bytes(end - begin)
        return old == new and all(any(low <= begin and end <= high for low, high in before.bad)
                                  for begin, end in self.bad)


class Test:
    """Counts, a directory with the parent, and what was seen."""

    def __init__(self, work, rng):
        self.work, self.rng = work, rng
        self.passed = self.failed = 0
        self.bases = make_bases(work)
        self.path = os.path.join(work, "row.vhd")
        self.classes = collections.defaultdict(list)
        self.mended = []
        self.pristine = {}

    def verdict(self, good, name, more=""):
        """One result."""
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print(f"not ok - {name}: {more}")

    def run(self, *args):
        """Run vhdctl to its end: exit code and output, or what it complains of."""
        done = subprocess.run([VHDCTL, "check", *args], stdin=subprocess.DEVNULL,
                              timeout=SECONDS, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
        return done.returncode, (done.stdout or done.stderr).decode(errors="replace")

    def report(self, *args):
        """What it says as JSON; {} without any."""
        text = self.run("--json", *args)[1]
        return json.loads(text) if text.startswith("{") else {}

    def place(self, raw):
        """The image, and no old copies of metadata."""
        for name in os.listdir(self.work):
            if ".saved" in name or name == "row.vhd":
                os.unlink(os.path.join(self.work, name))
        write_sparse(self.path, raw)

    def base_disk(self, name):
        """The disk of an image before its damage."""
        if name not in self.pristine:
            path = os.path.join(self.work, "pristine.vhd")
            write_sparse(path, self.bases[name].raw)
            self.pristine[name] = Disk(path)
            os.unlink(path)
        return self.pristine[name]


def names(report):
    """The faults of a report, with their severities."""
    return sorted({(fault["fault"], fault["severity"]) for fault in report["faults"]})


def listed(words):
    """Words of a cell of the table."""
    return ", ".join(f"{name} ({severity})" for name, severity in words)


def judge(test, row, before, first, report):
    """The oracle's opinion of what a repair has left."""
    after = Disk(test.path)
    if before.fault is None and first["severity"] != "fatal":
        test.verdict(after.fault is None and after.keeps(before), row.name, "sectors are lost")
    elif report["result"] in ("clean", "leaks") and not isinstance(before.fault, NoParent):
        base = test.base_disk(row.base)
        test.verdict(after.fault is None and after.size == base.size and after.keeps(base),
                     row.name, f"mended, and not what it was: {after.fault}")
    if report["result"] in ("clean", "leaks"):
        found = validate(test.path)
        # A disk may end where its table ends; and some of what the oracle finds are notes.
        left = {fault["fault"] for fault in found["faults"]} - {"header-entries"} - {
            fault for fault, severity in names(report) if severity == "note"}
        test.verdict(not left, row.name, f"{report['result']}, but for the oracle {found}")


def again(test, row, raw, report):
    """The second repair, and the way back."""
    mended = file_bytes(test.path)
    second = test.report("--repair", test.path)
    test.verdict(second.get("mended") == [] and file_bytes(test.path) == mended,
                 row.name, f"a second repair goes on: {second}")
    test.verdict(os.listdir(test.work).count("row.vhd.saved") == 1 and
                 not os.path.exists(test.path + ".saved.1"), row.name, "copies of metadata")
    code, said = test.run("--restore", report["saved"], test.path)
    test.verdict(code == 0 and file_bytes(test.path) == raw, row.name,
                 f"what was saved does not come back: {said}")


def one_row(test, row):
    """Damage, repair, verdict."""
    raw = apply(test.bases[row.base].raw, row.patches)
    test.place(raw)
    before = Disk(test.path)
    first = test.report(test.path)
    report = test.report("--repair", test.path)
    if not first or not report:
        test.verdict(False, row.name, "no report")
        return
    changed = file_bytes(test.path) != raw
    test.verdict(first["repairable"] == changed == bool(report["mended"]) == report["repaired"],
                 row.name, f"{first['repairable']}, changed {changed}, says {report}")
    key = (area_of(row.name), listed(names(first)), ", ".join(report["mended"]),
           listed(names(report)) or report["result"])
    test.classes[key].append(row.name)
    if changed:
        judge(test, row, before, first, report)
        test.mended.append((row, raw))
        again(test, row, raw, report)
    else:
        test.verdict(not report["saved"] and not os.path.exists(test.path + ".saved"),
                     row.name, "metadata are saved, but nothing changes")
    drops(test, row, raw, before, report)


def drops(test, row, raw, before, report):
    """Entries out of range go when asked for; of two owners one does, and the other is sound."""
    if before.fault is not None or any("conflict" in name for name, _ in names(report)):
        return
    bad = [fault["block"] for fault in report["faults"] if fault["fault"] == "bat-range"]
    shared = [fault["block"] for fault in report["faults"] if fault["fault"] == "bat-overlap"]
    if not bad and not shared:
        return
    test.place(raw)
    wanted = ["bad"] * bool(bad) + [str(block) for block in shared[:1]]
    options = [word for what in wanted for word in ("--drop", what)]
    after = test.report("--repair", *options, test.path)
    test.verdict(after["dropped_blocks"] == len(bad) + len(shared[:1]), row.name, str(after))
    test.verdict("bat-range" not in dict(names(after)), row.name, str(after))
    if len(shared) == 2:
        test.verdict("bat-overlap" not in dict(names(after)), row.name, str(after))
    test.verdict(Disk(test.path).keeps(before.without({*bad, *shared[:1]})), row.name,
                 f"more than the blocks {bad} and {shared[:1]} is lost")
    saved = after["saved"]
    code, said = test.run("--restore", saved, test.path)
    test.verdict(code == 0 and file_bytes(test.path) == raw, row.name, said)


def own_rows(test):
    """Damage that the table has not: two faults at once, and what only repair looks for."""
    rows = []
    base = test.bases["dyn"]
    table = base.header.table_offset
    used = sorted((base.entry(block), block) for block in range(128) if base.entry(block) != UNUSED)
    last, first = used[-1], used[0]
    # The last block twice, at the very end of a file without a footer.
    entry = last[0].to_bytes(4, "big")
    end = (last[0] + 129) * SECTOR
    row = Row("dyn-bat-overlap-without-footer", "dyn", None)
    rows.append(row.put(table + 4 * 60, entry).truncate(end))
    row = Row("dyn-cut-and-bat-range", "dyn", None)
    rows.append(row.put(table + 4 * 60, (0x7000).to_bytes(4, "big")).truncate(end - 4096))
    row = Row("dyn-bat-range-without-footer", "dyn", None)
    rows.append(row.put(table + 4 * first[1], (base.end // SECTOR + 2).to_bytes(4, "big"))
                .truncate(end))
    # A footer in parts of two sectors on the last block, each of which must become zeros;
    # and only data there.
    footer = type(base.footer).seal(base.raw[base.end:base.end + 85] + b"\xa5" * 427)
    row = Row("dyn-odd-footer-on-block", "dyn", None)
    rows.append(row.put(0, footer).truncate(end - 4096 + 77).append(footer))
    row = Row("dyn-odd-cut-without-footer", "dyn", None)
    rows.append(row.truncate(end - 4096 - 77).append(b"\xa5" * 512))
    child = test.bases["diff"]
    at = child.footer.data_offset
    header = bytearray(child.raw[at:at + 1024])
    header[576 + 24 + 16:576 + 48] = (1 << 40).to_bytes(8, "big")
    header[576:580] = (1).to_bytes(4, "big")
    row = Row("diff-locators-two-faults", "diff", None)
    rows.append(row.put(at, type(child.header).seal(bytes(header))))
    return rows


def child_tail(test):
    """A child whose disk ends inside of its last block, with bits behind the end."""
    base = test.bases["diff"]
    size = 127 * (64 << 10) + 5 * SECTOR
    footer = bytearray(base.raw[base.end:])
    footer[48:56] = size.to_bytes(8, "big")
    footer = type(base.footer).seal(bytes(footer))
    row = Row("diff-bitmap-behind-the-end", "diff", None)
    row.put(0, footer).put(base.end, footer)
    return row.put(base.entry(127) * SECTOR, b"\xff" * 16)


def odd_footer(test):
    """A repair that has cleared a footer's first sector on a block, but not the next."""
    row = next(row for row in own_rows(test) if row.name == "dyn-odd-footer-on-block")
    raw = bytearray(apply(test.bases[row.base].raw, row.patches))
    test.place(raw)
    before = Disk(test.path)
    first = (len(raw) - SECTOR) // SECTOR * SECTOR
    raw[first:first + SECTOR] = bytes(SECTOR)
    test.place(raw)
    report = test.report("--repair", test.path)
    test.verdict(report["result"] == "clean" and Disk(test.path).keeps(before),
                 row.name + ", half of it", str(report))


def table(test):
    """The lines of the documentation."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for key in [TITLES, *sorted(test.classes)]:
        lines += [f"   {'*' if not number else ' '} - {text or 'nothing'}"
                  for number, text in enumerate(key)]
    return lines


def documented():
    """The lines of the table in the documentation."""
    with open(DOC, encoding="utf-8") as file:
        text = file.read()
    body = text.split(".. The table is made by tests/host/repair_test.py --table\n")[1]
    head, rows = body.strip("\n").split("\n\n")[:2]
    return [*head.split("\n"), "", *rows.split("\n")]


def killed(test, rounds):
    """Repairs that are killed anywhere leave nothing worse, and the next one finishes."""
    half, lasts = 0, 0.01
    for number in range(rounds):
        row, raw = test.rng.choice(test.mended)
        name = f"{row.name}, kill {number}"
        test.place(raw)
        before = Disk(test.path)
        with subprocess.Popen([VHDCTL, "check", "--repair", test.path], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as victim:
            time.sleep(test.rng.random() * lasts)
            victim.send_signal(signal.SIGKILL)
        now = file_bytes(test.path)
        left = Disk(test.path)
        if before.fault is None:
            test.verdict(left.fault is None and left.keeps(before), name, "sectors are lost")
        report = test.report("--repair", test.path)
        if before.fault is None:
            test.verdict(Disk(test.path).keeps(before), name, "sectors are lost at the end")
        half += now not in (raw, file_bytes(test.path))
        test.place(raw)
        began = time.monotonic()
        whole = test.report("--repair", test.path)
        lasts = time.monotonic() - began
        test.verdict(names(report) == names(whole) and report["result"] == whole["result"],
                     name, f"{report} instead of {whole}")
    return half


def giant(test):
    """2040 GiB, a million blocks, all of them allocated, and no end: the processor's time."""
    path = os.path.join(test.work, "giant.vhd")
    subprocess.run([VHDCTL, "create", "-s", "2040G", path], check=True, stdout=subprocess.DEVNULL)
    blocks, stride = 2040 << 9, 4096 + (4 << 9)
    with open(path, "r+b") as file:
        file.seek(-SECTOR, os.SEEK_END)
        footer = file.read(SECTOR)
        file.seek(528)
        at = int.from_bytes(file.read(8), "big")
        first = ((at + 4 * blocks) // SECTOR + 16) // 8 * 8 + 7
        order = list(range(blocks))
        test.rng.shuffle(order)
        stride = 4104
        file.seek(at)
        file.write(b"".join((first + number * stride).to_bytes(4, "big") for number in order))
        end = (first + blocks * stride) // 8 * 8 + 7
        file.seek(end * SECTOR)
        file.write(bytes(SECTOR))
    for code, words in (2, [path]), (0, ["--repair", path]), (0, [path]):
        before = os.times()
        began = time.monotonic()
        said = test.run(*words)
        after = os.times()
        spent = after.children_user + after.children_system
        spent -= before.children_user + before.children_system
        test.verdict(said[0] == code and spent < 10, "2040 GiB", f"{spent:.1f} s: {said}")
        print(f"2040 GiB, {blocks} blocks, check {' '.join(words[:-1])}: {spent:.2f} s of the "
              f"processor, {time.monotonic() - began:.1f} s in all")
    with open(path, "rb") as file:
        file.seek(end * SECTOR)
        test.verdict(file.read() == footer, "2040 GiB", "the footer is another one")
    os.unlink(path)


def qemu(test):
    """A child that QEMU has written to: the block that it made, and no other, is named."""
    if not shutil.which("qemu-io"):
        print("skip QEMU: no qemu-io")
        return
    parent, child = (os.path.join(test.work, name) for name in ("qp.vhd", "qc.vhd"))
    subprocess.run([VHDCTL, "create", "-s", "64M", parent], check=True)
    subprocess.run([VHDCTL, "create", "--parent", parent, child], check=True)
    test.verdict(not test.report(child)["faults"], "QEMU, before", "")
    subprocess.run(["qemu-io", "-f", "vpc", "-c", "write -P 7 20M 4k", child], check=True,
                   stdout=subprocess.DEVNULL)
    faults = test.report(child)["faults"]
    test.verdict([(fault["fault"], fault["block"]) for fault in faults] == [("qemu-wrote", 10)],
                 "QEMU, a block", str(faults))
    subprocess.run(["qemu-io", "-f", "vpc", "-c", "write -P 7 20M 4k", parent], check=True,
                   stdout=subprocess.DEVNULL)
    test.verdict(not test.report(parent)["faults"], "QEMU may write to a dynamic image", "")


def options(test):
    """What is refused, and where the copy goes."""
    row, raw = next(pair for pair in test.mended if pair[0].name == "dyn-cut-in-last-block-half")
    for words in (["--drop", "bad"], ["--backup", "x"], ["--repair", "--drop", "1"],
                  ["--repair", "--drop", "all"],
                  ["--repair", "--restore", "x"], ["--repair", "--drop", "7777777"],
                  ["--repair", "--backup", os.path.join(test.work, "none", "copy")]):
        test.place(raw)
        code, said = test.run(*words, test.path)
        test.verdict(code == 1 and file_bytes(test.path) == raw, " ".join(words), said)
    copy = os.path.join(test.work, "copy.saved")
    test.place(raw)
    report = test.report("--repair", "--backup", copy, test.path)
    test.verdict(report["saved"] == copy and not os.path.exists(test.path + ".saved"),
                 "--backup", str(report))
    kept = file_bytes(copy)
    test.place(raw)
    write_sparse(copy, kept)
    code, said = test.run("--repair", "--backup", copy, test.path)
    test.verdict(code == 1 and file_bytes(test.path) == raw and file_bytes(copy) == kept,
                 "--backup of a name that is taken", said)
    for number, spoilt in enumerate((kept[:-1], kept[:40], b"", kept[:100] + b"x" + kept[101:])):
        write_sparse(copy, spoilt)
        code, said = test.run("--restore", copy, test.path)
        test.verdict(code == 1 and file_bytes(test.path) == raw, f"bad copy {number}", said)
    write_sparse(copy, kept)
    other = os.path.join(test.work, "parent.vhd")
    code, said = test.run("--restore", copy, other)
    test.verdict(code == 5, "copy of another image", said)
    written_since(test, raw, copy)
    test.place(raw)
    report = test.report("--repair", "--no-backup", test.path)
    test.verdict(report["mended"] and report["saved"] is None and
                 not os.path.exists(test.path + ".saved"), row.name, str(report))


def written_since(test, raw, copy):
    """What the image has got after the repair is not taken away from it."""
    os.unlink(copy)
    test.place(raw)
    test.report("--repair", "--backup", copy, test.path)
    mended, kept = file_bytes(test.path), file_bytes(copy)
    subprocess.run([VHDCTL, "set", "--hidden", "yes", test.path], check=True)
    changed = file_bytes(test.path)
    code, said = test.run("--restore", copy, test.path)
    test.verdict(code == 1 and "written since" in said and file_bytes(test.path) == changed,
                 "--restore of an image that was written", said)
    # Only appended to: all that the copy has is as it was.
    write_sparse(test.path, mended + bytes(SECTOR))
    code, said = test.run("--restore", copy, test.path)
    test.verdict(code == 1 and file_bytes(copy) == kept, "--restore of one that grew", said)
    # An interrupted one has taken its note away before its first write.
    write_sparse(copy, kept[:-24] + bytes(24))
    write_sparse(test.path, changed)
    for number in range(2):
        code, said = test.run("--restore", copy, test.path)
        test.verdict(code == 0 and file_bytes(test.path) == raw, f"--restore, run {number}", said)
    write_sparse(test.path, changed)
    code, said = test.run("--restore", copy, test.path)
    test.verdict(code == 1 and file_bytes(test.path) == changed, "--restore once too often", said)


def leaks(test):
    """Space that nothing uses stays, unless it is given up."""
    row = next(row for row in all_rows(test.bases) if row.name == "dyn-bat-60-grown")
    raw = apply(test.bases["dyn"].raw, row.patches)
    test.place(raw)
    before, stored = Disk(test.path), os.stat(test.path).st_blocks
    report = test.report("--repair", test.path)
    test.verdict(file_bytes(test.path) == raw and report["leaked_bytes"], row.name, str(report))
    report = test.report("--repair", "--drop", "leaks", test.path)
    test.verdict(report["result"] == "clean" and report["freed_bytes"] and
                 os.stat(test.path).st_blocks < stored and Disk(test.path).keeps(before) and
                 validate(test.path)["result"] == "clean", row.name, str(report))


def main():
    """All of it."""
    words = sys.argv[1:]
    only_table = words[:1] == ["--table"]
    numbers = [] if only_table else list(map(int, words))
    rounds, seed = (numbers + [40, 1][len(numbers):])[:2]
    with tempfile.TemporaryDirectory() as work:
        test = Test(work, random.Random(seed))
        for row in [*all_rows(test.bases), *own_rows(test), child_tail(test)]:
            one_row(test, row)
        if only_table:
            print("\n".join(table(test)))
            return 0
        test.verdict(documented() == table(test), "the table in repair.rst",
                     "it is another one than repair_test.py --table makes")
        for part in (odd_footer, options, leaks, qemu, giant):
            part(test)
        half = killed(test, rounds)
    print(f"{len(test.classes)} classes; killed {rounds} times, {half} of them in the middle; "
          f"seed {seed}")
    print(f"{test.passed} passed, {test.failed} failed")
    return 1 if test.failed else 0


if __name__ == "__main__":
    sys.exit(main())
