#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl scan and list --tree: forests of images made by the oracle of tests/images, each kind
of broken link, and directories that mean it ill.

What must come out follows from what was made; nothing is asked of vhdctl twice.
"""

import fcntl
import json
import os
import random
import socket
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
from kit import (CORRUPT, ERROR, MISMATCH, MISSING, OK, UNSUPPORTED, VHDCTL,  # noqa: E402
                 lock)
from vhdspec import EPOCH  # noqa: E402
from vhdwrite import Writer, uuid_text  # noqa: E402

SECONDS = 60
SIZE, BLOCK, STAMP = 1 << 20, 64 << 10, 0x2C000000


def identity(number):
    """An id."""
    return f"{number:032x}"


def image(path, number, parent=None, place=None, **more):
    """An image; with the number of a parent, a child that says that it is at `place`."""
    layer = {"type": "dynamic", "size": SIZE, "block": BLOCK, "uuid": identity(number),
             "runs": [[3, 5, "name"]]}
    if parent is not None:
        layer.update({"type": "differencing", "parent_uuid": identity(parent),
                      "parent_timestamp": STAMP, "parent_name": "nobody.vhd"})
        if place:
            layer["locators"] = [{"slot": 0, "code": "W2ru", "text": place.replace("/", "\\")}]
    layer.update(more)
    Writer(path, layer).write()
    os.utime(path, (EPOCH + STAMP,) * 2)
    return path


class Test(kit.Test):
    """With what scan says."""

    def folder(self):
        """A fresh one."""
        path = super().folder()
        os.makedirs(path)
        return path

    def same(self, name, wanted, got):
        """One result."""
        self.verdict(wanted == got, name, f"\n    wanted {wanted}\n    got    {got}")

    def ask(self, name, code, *args):
        """Run vhdctl; its exit code is a result, its output comes back."""
        try:
            done = subprocess.run([VHDCTL, *args], stdin=subprocess.DEVNULL, timeout=SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        except subprocess.TimeoutExpired:
            self.same(f"{name} ends", "in time", f"not after {SECONDS} s")
            return "", ""
        said = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        self.same(f"{name}: exit code", code, done.returncode)
        return said

    def scan(self, name, code, *args):
        """The images of vhdctl scan --json by their path below the first directory."""
        said, _ = self.ask(name, code, "scan", "--json", *args)
        try:
            images = json.loads(said)["images"]
        except ValueError:
            self.same(f"{name}: JSON", "valid", said)
            return {}
        return {os.path.relpath(entry["file"], args[-1]): entry for entry in images}


def flatten(entries, parent, out):
    """(file, parent) of each line of a tree."""
    for entry in entries:
        out.append((entry["file"], parent))
        flatten(entry.get("children", []), entry["file"], out)
    return out


def forest(test, seed):
    """Random parents in random directories: list and tree say who is whose."""
    rng = random.Random(seed)
    top = test.folder()
    folders = [""] + [os.path.join(*rng.choices(("a", "b ü", "c\\d"), k=rng.randint(1, 3)))
                      for _ in range(5)]
    made = []
    for number in range(1, rng.randint(2, 40)):
        where = os.path.join(top, rng.choice(folders), f"{rng.randrange(10 ** 6)}-{number}.vhd")
        os.makedirs(os.path.dirname(where), exist_ok=True)
        parent = rng.choice(made) if made and rng.random() < 0.8 else None
        size = rng.randrange(1, 9) * SIZE
        if not parent:
            image(where, number, size=size)
        elif "\\" in os.path.relpath(parent[0], os.path.dirname(where)):
            # No Windows path leads there; the id does.
            image(where, number, parent[1], size=size)
        else:
            image(where, number, parent[1],
                  os.path.relpath(parent[0], os.path.dirname(where)), size=size)
        made.append((where, number, parent and parent[0], size))
    found = test.scan(f"forest {seed}", OK, top)
    wanted = {os.path.relpath(path, top): (uuid_text(identity(number)), parent, size,
                                           os.path.getsize(path))
              for path, number, parent, size in made}
    test.same(f"forest {seed}", wanted, {
        path: (entry["id"], entry["parent"], entry["size"], entry["file_size"])
        for path, entry in found.items()})
    said, _ = test.ask(f"forest {seed} as a tree", OK, "list", "--tree", "--json", top)
    test.same(f"tree of forest {seed}", sorted((path, parent or "") for path, _, parent, _ in made),
              sorted((file, parent or "")
                     for file, parent in flatten(json.loads(said)["images"], None, [])))


def state_of(test, name, code, top, leaf="leaf.vhd"):
    """State and parent of one image."""
    entry = test.scan(name, code, top).get(leaf, {})
    parent = entry.get("parent")
    return entry.get("state"), parent and os.path.relpath(parent, top), entry.get("fault")


def links(test):
    """Each state of a link."""
    top = test.folder()
    base, leaf = os.path.join(top, "base.vhd"), os.path.join(top, "leaf.vhd")
    image(leaf, 2, 1, "base.vhd")
    test.same("missing", ("missing", None, None), state_of(test, "missing", MISSING, top))
    image(base, 1)
    test.same("sound", ("ok", "base.vhd", None), state_of(test, "sound", OK, top))
    os.rename(base, os.path.join(top, "away.vhd"))
    test.same("by id", ("by-id", "away.vhd", None), state_of(test, "by id", OK, top))
    image(base, 3)
    os.unlink(os.path.join(top, "away.vhd"))
    test.same("wrong id", ("wrong-id", "base.vhd", None), state_of(test, "wrong id", MISMATCH, top))
    image(os.path.join(top, "a.vhd"), 1)
    image(os.path.join(top, "b.vhd"), 1)
    test.same("several", ("several", "a.vhd", None), state_of(test, "several", OK, top))
    image(base, 1)
    test.same("of several the one named", ("ok", "base.vhd", None),
              state_of(test, "of several the one named", OK, top))
    os.utime(base, (EPOCH + STAMP + 60,) * 2)
    test.same("time", ("time-differs", "base.vhd", None), state_of(test, "time", OK, top))
    image(leaf, 2, 0, "base.vhd")
    test.same("raw", ("raw-parent", None, None), state_of(test, "raw", OK, top))
    image(leaf, 2, 2, "base.vhd")
    test.same("own parent", ("loop", "leaf.vhd", None), state_of(test, "own parent", CORRUPT, top))


def damage(test):
    """Files that cannot be used, or have lost a part."""
    top = test.folder()
    leaf = image(os.path.join(top, "leaf.vhd"), 2)
    for name, at, code, state, fault in (
            ("header", 512, CORRUPT, "damaged", "header-cookie"),
            ("end footer", -512, OK, "ok", "footer-end-missing")):
        with open(leaf, "r+b") as file:
            file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
            file.write(b"x")
        test.same(name, (state, None, fault), state_of(test, name, code, top))
        image(leaf, 2)
    for name, content in (("empty", b""), ("text", b"text" * 1000)):
        with open(leaf, "wb") as file:
            file.write(content)
        test.same(name, "damaged", state_of(test, name, CORRUPT, top)[0])
        os.rename(leaf, os.path.join(top, "leaf.txt"))
        test.same(f"{name} by another name", {}, test.scan(name, OK, top))
        os.rename(os.path.join(top, "leaf.txt"), leaf)
    os.unlink(leaf)
    image(os.path.join(top, "disk.img"), 4, type="fixed")
    test.same("VHD by another name", ("ok", None, None),
              state_of(test, "VHD by another name", OK, top, "disk.img"))


def loops(test):
    """Three in a circle, and two that lead into it."""
    top = test.folder()
    for number, parent in ((1, 3), (2, 1), (3, 2), (4, 2), (5, 4)):
        image(os.path.join(top, f"{number}.vhd"), number, parent, f"{parent}.vhd")
    found = test.scan("circle", CORRUPT, top)
    test.same("circle", {"1.vhd": "loop", "2.vhd": "loop", "3.vhd": "loop", "4.vhd": "ok",
                         "5.vhd": "ok"}, {path: entry["state"] for path, entry in found.items()})
    said, _ = test.ask("tree of a circle", CORRUPT, "list", "--tree", "--json", top)
    tree = sorted((os.path.basename(file), parent and os.path.basename(parent))
                  for file, parent in flatten(json.loads(said)["images"], None, []))
    test.same("tree of a circle", [("1.vhd", None), ("2.vhd", None), ("3.vhd", None),
                                   ("4.vhd", "2.vhd"), ("5.vhd", "4.vhd")], tree)


def deep(test):
    """A chain of as many files as there may be, and one more."""
    top = test.folder()
    for number in range(1, 257):
        image(os.path.join(top, f"{number}.vhd"), number, number - 1 if number > 1 else None,
              f"{number - 1}.vhd", runs=[])
    found = test.scan("deep", UNSUPPORTED, top)
    test.same("255 files", ("ok", 255), tuple(found["255.vhd"][key] for key in ("state", "depth")))
    test.same("256 files", "too-deep", found["256.vhd"]["state"])
    test.ask("deep tree", UNSUPPORTED, "list", "--tree", top)


def hostile(test):
    """What is no file, and links that lead out or round, is not touched."""
    top, out = test.folder(), test.folder()
    image(os.path.join(top, "leaf.vhd"), 2, 1, os.path.join(out, "base.vhd"))
    image(os.path.join(out, "base.vhd"), 1)
    os.mkfifo(os.path.join(top, "fifo.vhd"))
    os.symlink(out, os.path.join(top, "dir"))
    os.symlink(os.path.join(out, "base.vhd"), os.path.join(top, "file.vhd"))
    os.symlink(".", os.path.join(top, "round"))
    os.symlink("self", os.path.join(top, "self"))
    os.symlink("/dev/zero", os.path.join(top, "zero.vhd"))
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(top)
        listener.bind("socket.vhd")
        os.chdir(here)
    try:
        os.mknod(os.path.join(top, "tty.vhd"), stat.S_IFCHR | 0o600, os.makedev(5, 0))
    except PermissionError:
        test.skipped += 1
    os.link(os.path.join(top, "leaf.vhd"), os.path.join(top, "twin.vhd"))
    test.same("parent behind links", ["leaf.vhd"], sorted(test.scan("links", MISSING, top)))
    _, errors = test.ask("links are silent", MISSING, "scan", top)
    test.same("links are silent", "", errors)
    test.same("directory behind a link", ["base.vhd"],
              sorted(test.scan("link", OK, os.path.join(top, "dir"))))
    said, _ = test.ask("overlapping directories", OK, "scan", "--json", top, out, top)
    test.same("overlapping directories", 2, len(json.loads(said)["images"]))


def names(test):
    """File names are bytes."""
    top = test.folder()
    for number, name in enumerate((b"\x1b[31m\n.vhd", b"\xff\xfe.vhd", "ü\u0085.vhd".encode())):
        image(os.path.join(top.encode(), name), number + 1)
    said, _ = test.ask("strange names", OK, "scan", top)
    test.same("strange names: lines", 4, said.count("\n"))
    test.same("strange names: escapes", False, any(c in said for c in "\x1b\x85"))
    test.same("strange names in JSON", 3, len(test.scan("strange names in JSON", OK, top)))


def nested(test):
    """Directories in directories, deeper than a path may be long."""
    top = test.folder()
    image(os.path.join(top, "leaf.vhd"), 1)
    here = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    said, errors = test.ask("nested", ERROR, "scan", top)
    test.same("nested: what is there", 2, said.count("\n"))
    test.same("nested: said once", 1, errors.count("File name too long"))
    subprocess.run(["rm", "-rf", os.path.join(top, "deep")], check=True)


def mounts(test):
    """What is mounted below is another file system, which may be dead."""
    top = test.folder()
    os.mkdir(os.path.join(top, "mnt"))
    image(os.path.join(top, "leaf.vhd"), 1)
    script = ('mount -t tmpfs none "$1/mnt" || exit 99; cp "$1/leaf.vhd" "$1/mnt/in.vhd"; '
              'mkdir "$1/bind"; mount --bind "$1" "$1/bind"; exec "$2" scan --raw -o file "$1"')
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", top, VHDCTL],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=SECONDS)
    if done.returncode == 99 or b"unshare" in done.stderr:
        test.skipped += 1
        print("skip mounts: not allowed here")
        return
    test.same("mounts: what is there", ["FILE", os.path.join(top, "leaf.vhd")],
              done.stdout.decode().split())
    test.same("mounts: said", 2, done.stderr.count(b"another file system"))


def locked(test):
    """One that is attached is listed all the same."""
    top = test.folder()
    image(os.path.join(top, "base.vhd"), 1)
    leaf = image(os.path.join(top, "leaf.vhd"), 2, 1, "base.vhd")
    with open(leaf, "r+b") as file:
        lock(file, fcntl.F_WRLCK)
        found = test.scan("locked", OK, top)
    test.same("locked", {"base.vhd": (False, "ok"), "leaf.vhd": (True, "ok")},
              {path: (entry["in_use"], entry["state"]) for path, entry in found.items()})


def usage(test):
    """Operands and columns."""
    top = test.folder()
    test.ask("no such directory", ERROR, "scan", os.path.join(top, "none"))
    test.ask("a file", ERROR, "scan", image(os.path.join(top, "leaf.vhd"), 1))
    test.ask("nothing", ERROR, "scan")
    _, errors = test.ask("no such column", ERROR, "scan", "-o", "file,frob", top)
    test.same("no such column", True, "no column 'frob'" in errors)
    said, _ = test.ask("columns", OK, "scan", "--raw", "-o", "state,type,size", top)
    test.same("columns", f"STATE TYPE SIZE\nok dynamic {SIZE}\n", said)


def main():
    """All of them."""
    with tempfile.TemporaryDirectory() as work:
        test = Test(work)
        for seed in range(20):
            forest(test, seed)
        for part in (links, damage, loops, deep, hostile, names, nested, mounts, locked, usage):
            part(test)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
