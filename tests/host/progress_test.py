#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What long commands say: --progress of all that have it, and --json of convert.

Progress goes to standard error, in tenths that only rise, or on a terminal over the same
line; with it a command says and does what it does without. The bytes that convert counts are
those of disks of whole stretches, of which it is known what must be written.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
from kit import MIB, SECONDS, TOP, VHDCTL, file_bytes, write_file  # noqa: E402
from vhdchain import Builder  # noqa: E402
from vhdread import open_chain  # noqa: E402

SIZE = 16 * MIB
STEP = SIZE // 512 // 16        # sectors of a sixteenth of the disk
LINE = re.compile(r"(\d+) % \(\S+ \S+\)|(\d+(?:\.\d+)? (?:B|KiB|MiB)) done")


class Test(kit.Test):
    """With two outputs."""

    def ask(self, name, code, *args, **how):
        """Run vhdctl to its end: standard output and error."""
        done = subprocess.run([VHDCTL, *args], timeout=SECONDS, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False,
                              **{"stdin": subprocess.DEVNULL, **how})
        error = done.stderr.decode(errors="replace")
        self.verdict(done.returncode == code, name, f"exit code {done.returncode}: {error}")
        return done.stdout, error


def disks(folder):
    """A base, its child, and beside them what both show as raw disks."""
    every_other = [[n * STEP, STEP, "name"] for n in range(0, 16, 2)]
    zeros = [[n * STEP, STEP, "zero"] for n in (1, 3)]
    layers = [{"size": SIZE, "block": 64 << 10, "runs": every_other + zeros},
              {"block": 64 << 10, "runs": [[n * STEP, STEP, "name"] for n in (2, 4, 5)]}]
    Builder(folder, 1, {"layers": layers}).write()
    for layer in (0, 1):
        chain = open_chain(os.path.join(folder, f"layer{layer}.vhd"))
        with open(os.path.join(folder, f"{layer}.raw"), "wb") as file:
            file.write(chain.read(0, SIZE))
        chain.close()


def counts(test, name, said, target, **wanted):
    """What convert says of a target, and what is there."""
    try:
        found = json.loads(said)
    except ValueError:
        test.verdict(False, name, said)
        return
    stat = os.stat(target)
    wanted = {"target": target, "file_size": stat.st_size, "stored": stat.st_blocks * 512, **wanted}
    test.verdict({key: found.get(key) for key in wanted} == wanted, name, f"{found} {wanted}")
    test.verdict(found["written_bytes"] + found["zero_bytes"] == found["size"], name, found)


def converted(test):
    """Sizes, and what was written or not, for each sort of source and target."""
    data = {"0.raw": 8, "1.raw": 9, "layer0.vhd": 8, "layer1.vhd": 9}
    for source, parts in data.items():
        for kind in ("raw", "fixed", "dynamic"):
            target, size = f"{kind}.new", parts * MIB
            said, _ = test.ask(f"{source} {kind}", 0, "convert", "--json", "-t", kind, source, target)
            counts(test, f"{source} to {kind}", said, target, source=source, type=kind, size=SIZE,
                   written_bytes=size, zero_bytes=SIZE - size)
            os.unlink(target)
    said, _ = test.ask("azure", 0, "convert", "--azure", "--json", "layer0.vhd", "azure.vhd")
    counts(test, "azure", said, "azure.vhd", type="fixed", size=20 * MIB, written_bytes=8 * MIB,
           zero_bytes=12 * MIB)
    # What a stream brings is written twice, and counts once.
    for kind in ("raw", "fixed", "dynamic"):
        with subprocess.Popen(["cat", "1.raw"], stdout=subprocess.PIPE) as cat:
            said, _ = test.ask("stream", 0, "convert", "--json", "-t", kind, "-", "new",
                               stdin=cat.stdout)
        counts(test, f"stream to {kind}", said, "new", source="-", type=kind, size=SIZE,
               written_bytes=9 * MIB, zero_bytes=7 * MIB)
        os.unlink("new")
    said, error = test.ask("both", 1, "convert", "--json", "-t", "raw", "layer0.vhd", "-")
    test.verdict("cannot take both" in error and not said, "both", error)
    said, _ = test.ask("not made", 1, "convert", "--json", "0.raw", "1.raw")
    test.verdict(not said, "not made", said)
    said, _ = test.ask("merged", 0, "merge", "--json", "--out", "new.vhd", "layer1.vhd")
    test.verdict(json.loads(said)["files"] == 2, "merged", said)
    os.unlink("new.vhd")


def steps(test, name, error, *sizes):
    """The lines of one or more parts of a command: rising tenths, and a last word."""
    ends, last, rising, lines = [], -1, True, 0
    for line in error.splitlines():
        match = LINE.fullmatch(line)
        if match and match[2]:
            ends.append(match[2])
            test.verdict(lines >= 7, name, f"too few steps: {error}")
            last, lines = -1, 0
        else:
            rising = rising and match and int(match[1]) > last and int(match[1]) <= 100
            last = int(match[1]) if match else last
            lines += 1
    test.verdict(rising and ends == list(sizes), name, f"{sizes}: {error}")


COMMANDS = (                    # name, exit code, command, what it says it has done
    ("convert", 0, ("convert", "--force", "layer1.vhd", "new.raw"), ["16 MiB"]),
    ("export", 0, ("export", "--force", "--since", "layer0.vhd", "1.raw.vhd", "new.vhd"),
     ["16 MiB"]),
    ("diff", 9, ("diff", "layer0.vhd", "1.raw.vhd"), ["16 MiB"]),
    ("diff, JSON", 9, ("diff", "--json", "layer0.vhd", "1.raw.vhd"), ["16 MiB"]),
    ("diff, all shared", 0, ("diff", "layer1.vhd", "layer1.vhd"), ["16 MiB"]),
    ("punch", 0, ("compact", "--punch", "fixed.vhd"), ["16 MiB"]),
    ("compact", 0, ("compact", "holey.vhd"), ["14 MiB", "7 MiB"]),
    ("merge", 0, ("merge", "layer1.vhd"), ["16 MiB"]),
)


def prepared():
    """Images for the commands: all data, and data with gaps."""
    subprocess.run([VHDCTL, "convert", "1.raw", "1.raw.vhd"], check=True)
    with open("full.raw", "wb") as file:
        for part in range(SIZE // 4096):
            file.write(f"{part} ".encode().ljust(4096, b"#"))
    subprocess.run([VHDCTL, "convert", "-t", "fixed", "full.raw", "fixed.vhd"], check=True)
    runs = [[n * STEP, STEP, "name"] for n in range(7, 14)]
    Builder(".", 1, {"layers": [{"name": "holey.vhd", "size": SIZE, "block": 64 << 10, "runs":
                                 [[n * STEP, STEP, "zero"] for n in range(7)] + runs}]}).write()


def progress(test):
    """Each command, with and without."""
    prepared()
    for name, code, command, ends in COMMANDS:
        before = {file: (file_bytes(file), os.stat(file).st_mtime_ns) for file in os.listdir(".")}
        said, silence = test.ask(name, code, *command)
        test.verdict(not silence, name, f"speaks unasked: {silence}")
        # A new image has a new id.
        done = {file: file_bytes(file) for file in os.listdir(".") if file != "new.vhd"}
        for file, (data, mtime) in before.items():
            write_file(file, data)
            os.utime(file, ns=(mtime, mtime))
        more, error = test.ask(name, code, command[0], "--progress", *command[1:])
        test.verdict(more == said, name, f"{said} and then {more}")
        test.verdict(all(file_bytes(file) == data for file, data in done.items()), name,
                     "does something else")
        steps(test, name, error, *ends)


def terminal(test):
    """On a terminal one line is drawn over."""
    here, there = os.openpty()
    with subprocess.Popen([VHDCTL, "diff", "--progress", "layer0.vhd", "1.raw.vhd"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=there) as one:
        os.close(there)
        said = b""
        try:
            while part := os.read(here, 4096):
                said += part
        except OSError:
            pass
    os.close(here)
    test.verdict(one.returncode in (0, 9) and said.startswith(b"\r  0 %") and
                 said.rstrip().endswith(b"16 MiB done \033[K") and said.count(b"\n") == 1,
                 "terminal", said)


def main():
    """Exit code 0 if all is well."""
    test = Test()
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        disks(".")
        for part in (converted, progress, terminal):
            part(test)
        os.chdir(TOP)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
