#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl and images that mean it ill. Children whose parent paths lead anywhere: each gets
a named error, and none blocks. Images that claim much: they cost little.

The children are made by the oracle of tests/images. What is no fault here must
end within SECONDS, although nobody ever writes to the FIFOs.
"""

import fcntl
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
from kit import CORRUPT, MISSING, OK, UNSUPPORTED, VHDCTL  # noqa: E402
from vhdwrite import Writer  # noqa: E402

SECONDS = 20
SIZE, BLOCK = 1 << 20, 64 << 10
NEITHER = "neither a regular file nor a block device"
CYCLE = "contains the same file twice"


def identity(number):
    """An id."""
    return f"{number:032x}"


def image(path, number, parent=None, texts=(), name=""):
    """An image; with a parent's number, a child that names all `texts` as its place."""
    layer = {"type": "dynamic", "size": SIZE, "block": BLOCK, "uuid": identity(number),
             "runs": [[3, 5, "name"]]}
    if parent is not None:
        layer.update({"type": "differencing", "parent_uuid": identity(parent),
                      "parent_name": name,
                      "locators": [{"slot": slot, "code": code, "text": text}
                                   for slot, (code, text) in enumerate(texts)]})
    Writer(path, layer).write()
    return path


class Test(kit.Test):
    """With what the program says, to its end and within its time."""

    def folder(self):
        """A fresh one, with the directories in/ and out/."""
        path = super().folder()
        for name in ("in", "out"):
            os.makedirs(os.path.join(path, name))
        return path

    def ask(self, name, code, words, *args):
        """Run vhdctl: its exit code, and words that it says."""
        try:
            done = subprocess.run([VHDCTL, *args], stdin=subprocess.DEVNULL, timeout=SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        except subprocess.TimeoutExpired:
            self.verdict(False, name, f"{args} has not ended after {SECONDS} s")
            return
        said = done.stdout.decode(errors="replace")
        plain = not any(c < 0x20 and c != 0x0a or c == 0x7f for c in done.stdout)
        self.verdict(done.returncode == code and words in said and plain, name,
                     f"{args}: exit code {done.returncode} for {code}, no '{words}'"
                     f"{'' if plain else ', control characters'} in: {said}")

    def every(self, name, code, words, leaf, *options):
        """Every command that looks for all parents; "check" is content with the first."""
        for command in (("map",), ("info", "--chain"), ("attach",), ("check",)):
            if command == ("check",) and words == CYCLE:
                continue
            self.ask(f"{name} ({command[0]})", code, words, *command, *options, leaf)

    def child(self, text, code="W2ru"):
        """Folder and path of in/leaf.vhd, a child of number 1 that names `text`."""
        folder = self.folder()
        return folder, image(os.path.join(folder, "in", "leaf.vhd"), 2, 1, [(code, text)])


def odd_files(test):
    """What lies at the place is no file."""
    folder, leaf = test.child("it")
    it = os.path.join(folder, "in", "it")
    os.mkfifo(it)
    test.every("FIFO", MISSING, NEITHER, leaf)
    test.ask("FIFO by --parent", MISSING, NEITHER, "map", "--parent", it, leaf)
    test.ask("FIFO as leaf", UNSUPPORTED, NEITHER, "map", it)
    test.ask("FIFO in --parents-in", MISSING, NEITHER, "map", "--parents-in",
             os.path.dirname(it), leaf)
    os.rename(it, it + "2")
    os.symlink("it2", it)
    test.every("link to a FIFO", MISSING, NEITHER, leaf)
    os.unlink(it)
    os.mkdir(it)
    test.every("directory", MISSING, NEITHER, leaf)
    os.rmdir(it)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(os.path.dirname(it))
        listener.bind("it")
        os.chdir(here)
        test.every("socket", MISSING, NEITHER, leaf)
    os.unlink(it)
    os.symlink("it", it)
    test.every("link to itself", MISSING, "Too many levels of symbolic links", leaf)


def files_of_the_kernel(test):
    """Paths that exist everywhere, and must not even be opened."""
    for path in ("/dev/zero", "/dev/tty", "/dev/full", "/proc/self/mem", "/proc/kmsg",
                 "/proc/self/environ", "/proc/self/pagemap", "/sys/kernel/uevent_seqnum"):
        if not os.path.lexists(path):
            test.skipped += 1
            continue
        for code, text in (("W2ku", path.replace("/", "\\")), ("W2ku", f"C:{path}"),
                           ("MacX", f"file://{path}")):
            test.ask(f"{path} by {text}", MISSING, NEITHER, "map", test.child(text, code)[1])
    # A descriptor of vhdctl's own; it has nothing behind it that could be a parent.
    leaf = test.child("file:///proc/self/fd/0", "MacX")[1]
    test.ask("/proc/self/fd/0", MISSING, NEITHER, "map", leaf)


def block_devices(test):
    """Only the user may name one."""
    folder, leaf = test.child("disk")
    disk = os.path.join(folder, "in", "disk")
    try:
        os.mknod(disk, 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    except PermissionError:
        test.skipped += 1
        print("skip block device: not allowed to make one")
        return
    test.every("block device", MISSING, "must be named with --parent", leaf)


def loops(test):
    """Chains that lead into themselves."""
    folder = test.folder()
    inside = os.path.join(folder, "in")
    one = image(os.path.join(inside, "one.vhd"), 1, 2, [("W2ru", "two.vhd")])
    image(os.path.join(inside, "two.vhd"), 2, 3, [("W2ru", "../in/./three.vhd")])
    three = image(os.path.join(inside, "three.vhd"), 3, 1,
                  [("MacX", f"file://{inside}/../in/one.vhd")])
    test.every("three in a circle", CORRUPT, CYCLE, one)
    test.every("in a directory", CORRUPT, CYCLE, one, "--parents-in", inside)
    for number, text in enumerate(("self.vhd", "../in/self.vhd", "./link.vhd", "hard.vhd",
                                   "\\proc\\self\\cwd\\self.vhd")):
        leaf = image(os.path.join(inside, "self.vhd"), 7, 7, [("W2ru", text)])
        if not number:
            os.symlink("self.vhd", os.path.join(inside, "link.vhd"))
            os.link(leaf, os.path.join(inside, "hard.vhd"))
        here = os.getcwd()
        os.chdir(inside)
        test.ask(f"its own parent as {text}", CORRUPT, CYCLE, "map", "self.vhd")
        os.chdir(here)
    shutil.copy(three, os.path.join(folder, "out"))
    test.ask("its name in another place", CORRUPT, CYCLE, "map",
             os.path.join(folder, "in", "three.vhd"))


def deep(test):
    """One file more than a chain may have, each with another id."""
    folder = test.folder()
    image(os.path.join(folder, "0.vhd"), 1)
    for number in range(1, 256):
        image(os.path.join(folder, f"{number}.vhd"), number + 1, number,
              [("W2ru", f"{number - 1}.vhd")])
    test.ask("255 files", OK, "zero", "map", os.path.join(folder, "254.vhd"))
    test.ask("256 files", UNSUPPORTED, "more than 255 layers", "map",
             os.path.join(folder, "255.vhd"))


def out_of_the_directory(test):
    """--parents-in: nothing outside, however the child says it."""
    texts = [("W2ru", "..\\out\\base.vhd"), ("W2ru", "x\\..\\..\\out\\base.vhd"),
             ("W2ru", "..\\in\\..\\out\\base.vhd"), ("W2ru", "link\\base.vhd"),
             ("W2ru", "..\\inside\\base.vhd"), ("MacX", "file://./..%2fout%2fbase.vhd"),
             ("MacX", "magic.vhd"), ("W2ru", "..\\..\\..\\..\\..\\..\\..\\..\\base.vhd")]
    for code, text in texts + [("W2ku", "/out"), ("MacX", "/out")]:
        folder, leaf = test.child("-")
        outside = image(os.path.join(folder, "out", "base.vhd"), 1)
        inside = os.path.join(folder, "in")
        os.mkdir(os.path.join(folder, "inside"))
        shutil.copy(outside, os.path.join(folder, "inside", "base.vhd"))
        os.symlink("../out", os.path.join(inside, "link"))
        os.symlink(f"/proc/self/root{outside}", os.path.join(inside, "magic.vhd"))
        if text == "/out":
            text = f"file://{outside}" if code == "MacX" else outside
        image(leaf, 2, 1, [(code, text)], name="base.vhd")
        test.every(f"out by {text}", MISSING, "parent not found", leaf, "--parents-in", inside)
        test.ask(f"told of {text}", OK, '"file": null', "info", "--json", "--parents-in", inside,
                 leaf)
        os.symlink("in", os.path.join(folder, "alias"))
        test.ask(f"out by {text}, directory behind a link", MISSING, "not found", "map",
                 "--parents-in", os.path.join(folder, "alias"), leaf)
        # The same child finds it where it may.
        test.ask(f"in by {text}", OK, "zero", "map", "--parents-in",
                 os.path.join(folder, "out"), leaf)


def told_by_a_copy(test):
    """Only the copy at 0 is left: a guest may have written it, so it leads nowhere."""
    folder, leaf = test.child("base.vhd")
    image(os.path.join(folder, "in", "base.vhd"), 1)
    test.ask("info of a child", OK, '/in/base.vhd"', "info", "--json", leaf)
    os.truncate(leaf, os.path.getsize(leaf) - 512)
    test.ask("info by the copy", OK, '"file": null', "info", "--json", leaf)
    test.ask("map by the copy", MISSING, "may not lead to files", "map", leaf)


def strange_texts(test):
    """Locators of any bytes."""
    texts = ["", ".", "..", "/", "\\\\", "C:", "a" * 300, "b/" * 3000, "../" * 4000 + "x",
             "\x1b[2Jevil", "a\x07b", "new\nline", "\u009b31m", "\ud7ff", "base.vhd\\", "%s%n%s",
             "\u202ebase.vhd", "file://localhost/%00x", "\\\\?\\C:\\", "\\\\server\\share\\x.vhd"]
    for text in texts:
        for code in ("W2ru", "W2ku", "MacX"):
            folder = test.folder()
            leaf = image(os.path.join(folder, "in", "leaf.vhd"), 2, 1, [(code, text)],
                         name=text[:100])
            test.ask(f"{code} {text[:30]!r}", MISSING, "parent not found", "map", leaf)
            test.ask(f"info of {code} {text[:30]!r}", OK, "not found", "info", leaf)


def leased(test):
    """Somebody holds a lease: to open it would have to wait for him."""
    folder, leaf = test.child("base.vhd")
    base = image(os.path.join(folder, "in", "base.vhd"), 1)
    with open(base, "r+b") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            test.skipped += 1
            print("skip lease: this file system has none")
            return
        # The breaker's signal must not end this process.
        test.every("leased", MISSING, "Resource temporarily unavailable", leaf)


def many_runs(test):
    """Every other bit set: 81920 runs out of 10 KiB, and a line for each."""
    blocks, block = 20, 2 << 20
    path = os.path.join(test.folder(), "runs.vhd")
    Writer(path, {"type": "dynamic", "size": blocks * block, "block": block, "uuid": identity(5),
                  "runs": [[number * block // 512, 1, "zero"] for number in range(blocks)]}).write()
    with open(path, "r+b") as file:
        raw = file.read(2048)
        table = int.from_bytes(raw[528:536], "big")
        file.seek(table)
        entries = file.read(4 * blocks)
        for at in range(0, len(entries), 4):
            file.seek(int.from_bytes(entries[at:at + 4], "big") * 512)
            file.write(b"\xaa" * 512)

    def little_memory():
        resource.setrlimit(resource.RLIMIT_DATA, (16 << 20, 16 << 20))

    # pylint: disable-next=subprocess-popen-preexec-fn
    done = subprocess.run([VHDCTL, "map", path], stdout=subprocess.PIPE, timeout=SECONDS * 5,
                          stderr=subprocess.STDOUT, check=False, preexec_fn=little_memory)
    lines = done.stdout.count(b"\n")
    test.verdict(done.returncode == 0 and lines == blocks * 4096 + 1, "many runs",
                 f"exit code {done.returncode}, {lines} lines")


def main():
    """All of them."""
    signal.signal(signal.SIGIO, lambda *_: None)
    with tempfile.TemporaryDirectory() as work:
        test = Test(work)
        for part in (odd_files, files_of_the_kernel, block_devices, loops, deep,
                     out_of_the_directory, told_by_a_copy, strange_texts, leased, many_runs):
            part(test)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
