#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Corrupt images, one field each, against the table of what must be answered.

The kernel gets descriptors that nobody has looked at; vhdctl gets the files.
"""

import argparse
import hashlib
import json
import mmap
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

LOCK = threading.Lock()
# A corrupt size may promise terabytes; what lies beyond was never written.
READ_AT_MOST = 64 << 20


class Kernel:
    """One process that hands descriptors over, row after row."""

    def __init__(self):
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(["rawattach"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, errors="replace")

    def ask(self, line):
        """(errno, fault, layer, index, text)"""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n").split("\t", 5)
        if len(answer) != 6:
            raise RuntimeError(f"rawattach said {answer} to {line}")
        return int(answer[1]), answer[2], int(answer[3]), int(answer[4]), answer[5]

    def attach(self, flags, layers):
        """The same, for an attach."""
        return self.ask(f"row {flags} {' '.join(layers)}")

    def detach(self, index):
        """Fails loudly: a device that stays would spoil every later row."""
        error = self.ask(f"detach {index}")[0]
        if error:
            raise RuntimeError(f"detach of vhd{index}: {os.strerror(-error)}")


class Table:
    """The rows, and what went wrong with them."""

    def __init__(self, folder, work):
        self.folder, self.work = folder, work or folder
        with open(os.path.join(folder, "table.json"), encoding="utf-8") as file:
            self.rows = json.load(file)
        if work:
            for name in {name for row in self.rows for name in row["layers"][1:]}:
                shutil.copy2(os.path.join(folder, name), work)
        self.bad = 0
        self.checks = 0

    def fresh(self, row):
        """The row's file as it was made, where it may be attached."""
        if self.work != self.folder:
            shutil.copy2(os.path.join(self.folder, row["file"]), self.work)
        return os.path.join(self.work, row["file"])

    def expect(self, row, what, got, wanted, more=""):
        """One answer; any member of `wanted` will do."""
        with LOCK:
            self.checks += 1
            if got in wanted:
                return True
            self.bad += 1
            print(f"not ok - {row['id']}: {what}: got {got}, wanted {wanted} {more}".strip(),
                  flush=True)
            return False


class Disk:
    """What an attached device reads as, block by block; only its size, unless told to look."""

    def __init__(self, index, step, look):
        self.step, self.block, self.bad = step, {}, []
        # Directly: a folio of the page cache may span blocks, and fails as one.
        fd = os.open(f"/dev/vhd{index}", os.O_RDONLY | os.O_DIRECT)
        try:
            self.size = os.lseek(fd, 0, os.SEEK_END)
            for at in range(0, min(self.size, READ_AT_MOST) if look else 0, step):
                self.read(fd, at)
        finally:
            os.close(fd)

    def read(self, fd, at):
        """One block."""
        with mmap.mmap(-1, self.step) as memory:
            view = memoryview(memory)[:min(self.step, self.size - at)]
            try:
                got = os.preadv(fd, [view], at)
                self.block[at] = bytes(view[:got])
            except OSError:
                self.bad.append(at // self.step)
            finally:
                view.release()

    def sha256(self, start, end):
        """Hash of whole blocks, or None where one cannot be read."""
        digest = hashlib.sha256()
        for at in range(start, end, self.step):
            if at not in self.block:
                return None
            digest.update(self.block[at][:end - at])
        return digest.hexdigest()


def check_disk(table, row, disk):
    """What can be read is what the table promises."""
    if row.get("flat_sha256") and disk.size <= READ_AT_MOST:
        table.expect(row, "contents", disk.sha256(0, disk.size), [row["flat_sha256"]])
    for at, length, digest in row.get("ranges", []):
        table.expect(row, f"contents of {length} bytes at {at}",
                     disk.sha256(at, at + length), [digest])
    if "ranges" in row or row["bad_blocks"]:
        readable = sorted(set(row["bad_blocks"]) - set(disk.bad))
        table.expect(row, "bad blocks that can be read", readable, [[]])
        unsure = set(row["bad_blocks"]) | set(row.get("unsure_blocks", []))
        unreadable = sorted(set(disk.bad) - unsure)
        table.expect(row, "good blocks that cannot be read", unreadable, [[]])


def kernel_row(table, row, kernel):
    """Both ways of attaching, by descriptors."""
    layers = [table.fresh(row), *(os.path.join(table.work, name) for name in row["layers"][1:])]
    for how, flags in (("kernel_ro", "rn"), ("kernel_rw", "n")):
        error, fault, _, index, text = kernel.attach(flags, layers)
        answer = fault if error and fault != "ok" else "ok" if not error else f"errno {-error}"
        table.expect(row, how, answer, row[how], text)
        if not error:
            disk = Disk(index, row["block_size"], how == "kernel_ro")
            kernel.detach(index)
            if row.get("size") is not None:
                table.expect(row, f"{how}: size", disk.size, [row["size"]])
            if how == "kernel_ro":
                check_disk(table, row, disk)
        elif how == "kernel_ro":
            table.expect(row, "the error has words", bool(text), [True])


def vhdctl(*args):
    """(exit code, output)"""
    done = subprocess.run(["vhdctl", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    return done.returncode, done.stdout.strip()


def attach_vhdctl(table, row, how, path, *options):
    """By the program that people use."""
    code, text = vhdctl("attach", "--no-partscan", *options, path)
    table.expect(row, how, code, row[how], text)
    if not code:
        vhdctl("detach", text.splitlines()[-1])


def host_row(table, row):
    """What needs no kernel."""
    path = table.fresh(row)
    code, text = vhdctl("check", "--json", path)
    table.expect(row, "check", code, row["check"]["exit"], text)
    wanted = row["check"]["faults"]
    if wanted and code == row["check"]["exit"][0]:
        try:
            names = [fault["fault"] for fault in json.loads(text)["faults"]]
        except ValueError:
            names = ["no JSON"]
        table.expect(row, f"check names one of {wanted}", bool(set(names) & set(wanted)), [True],
                     str(names))
    code, text = vhdctl("info", path)
    table.expect(row, "info", code, row["info"], text)


def attach_row(table, row, also_good):
    """Refusals always; successes, which take two programs and a disk, if asked to."""
    path = table.fresh(row)
    if also_good or 0 not in row["attach_ro"]:
        attach_vhdctl(table, row, "attach_ro", path, "-r")
    if also_good or 0 not in row["attach_rw"]:
        attach_vhdctl(table, row, "attach_rw", path)


def parse_args():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--host", action="store_true", help="check and info, without the module")
    parser.add_argument("--all", action="store_true", help="rows that others resemble, too")
    parser.add_argument("--every", type=int, default=1, help="each Nth row")
    parser.add_argument("--good-every", type=int, default=1,
                        help="attach each Nth row by vhdctl even if that must succeed")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--kernel-only", action="store_true", help="nothing by vhdctl")
    parser.add_argument("dir", help="made by corruptions.py; only read if there is a WORK")
    parser.add_argument("work", nargs="?", help="where files are attached")
    return parser.parse_args()


def on_host(table, rows, jobs):
    """check and info of every row."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda row: host_row(table, row), rows))


def in_vm(table, rows, args):
    """The kernel without and with vhdctl before it; the latter may repair.

    Attach and detach mostly wait, so several rows are under way at once.
    """
    start = time.monotonic()
    local = threading.local()

    def by_kernel(row):
        if not hasattr(local, "kernel"):
            local.kernel = Kernel()
        kernel_row(table, row, local.kernel)

    def by_vhdctl(numbered):
        attach_row(table, numbered[1], numbered[0] % args.good_every == 0)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(by_kernel, rows))
        print(f"# {len(rows)} images, {table.checks} answers of the kernel, {table.bad} wrong, "
              f"{time.monotonic() - start:.0f} s", flush=True)
        if not args.kernel_only:
            list(pool.map(by_vhdctl, enumerate(rows)))


def main():
    """Exit code 0 if every answer was right."""
    args = parse_args()
    table = Table(args.dir, args.work)
    rows = [row for row in table.rows if row["core"] or args.all][::args.every]
    if args.host:
        on_host(table, rows, args.jobs)
        print(f"{table.checks - table.bad} passed, {table.bad} failed")
    else:
        in_vm(table, rows, args)
        print(f"{'not ok' if table.bad else 'ok'} - {len(rows)} images, {table.checks} answers, "
              f"{table.bad} wrong")
    return 1 if table.bad else 0


if __name__ == "__main__":
    sys.exit(main())
