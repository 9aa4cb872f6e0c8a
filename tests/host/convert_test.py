#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdctl convert: every direction, compared byte by byte with the oracle of tests/images
and with qemu-img; holes, streams, devices, Azure's rules, errors, and kills at random times.
"""

import fcntl
import filecmp
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import kit  # noqa: E402
from kit import (BUSY, CORRUPT, ERROR, MIB, MISMATCH, MISSING, NO_SPACE, OK,  # noqa: E402
                 UNSUPPORTED, VHDCTL, lock)
from vhdchain import Builder, mixed_spec  # noqa: E402
from vhdread import open_chain  # noqa: E402
from vhdvalidate import validate  # noqa: E402

SECONDS = 120
KILLS = int(os.environ.get("CONVERT_KILLS", "60"))
TARGETS = (("raw", []), ("fixed", []), ("dynamic", []), ("dynamic", ["-b", "512K"]),
           ("dynamic", ["-b", "4K"]))
# No ring, and of everything only a part is read and written at a time.
NO_RING = """
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

struct io_uring;
struct io_uring_params;
int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *params);
int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *params)
{
	(void)entries; (void)ring; (void)params;
	return -38;
}

static size_t part(size_t len)
{
	return len > 8192 ? len / 2 & ~4095ul : len;
}

ssize_t pread(int fd, void *buf, size_t len, off_t pos)
{
	return syscall(SYS_pread64, fd, buf, part(len), pos);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t pos)
{
	return syscall(SYS_pwrite64, fd, buf, part(len), pos);
}
"""


def vhdctl(*words, **how):
    """Run it; the output is that of both streams."""
    how.setdefault("stdout", subprocess.PIPE)
    how.setdefault("stderr", subprocess.STDOUT)
    return subprocess.run([VHDCTL, *words], timeout=SECONDS, check=False, **how)


def scattered(path, size, seed, runs=120):
    """A sparse raw disk, with data in its first and last sector."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(size)
        for _ in range(runs):
            length = rng.randrange(1, 200) * 512
            at = rng.randrange(max(1, (size - length) // 512)) * 512
            file.seek(at)
            file.write(rng.randbytes(min(length, size - at)))
        for at in (0, size - 512):
            file.seek(at)
            file.write(rng.randbytes(512))
    return path


def stored(path):
    """Bytes that a file takes."""
    return os.stat(path).st_blocks * 512


def read(path):
    """All of a file."""
    with open(path, "rb") as file:
        return file.read()


class Test(kit.Test):
    """With runs of the program, and what they have made."""

    def run(self, name, code, text, *words, **how):
        """Exit code, and a part of the output."""
        done = vhdctl(*words, **how)
        said = (done.stdout or b"").decode(errors="replace")
        return self.verdict(done.returncode == code and text in said, name,
                            f"exit code {done.returncode}, wanted {code} with '{text}':\n{said}")

    def same(self, name, raw, path):
        """A raw file and a disk of any kind hold the same."""
        if not self.verdict(os.path.exists(path), name, "no file"):
            return
        if path.endswith(".raw"):
            self.verdict(filecmp.cmp(raw, path, shallow=False), name, "the bytes differ")
            return
        chain = open_chain(path)
        flat = path + ".flat"
        chain.write_raw(flat)
        self.verdict(filecmp.cmp(raw, flat, shallow=False), name, "the oracle reads other bytes")
        kind = chain.layers[0].kind
        chain.close()
        os.unlink(flat)
        found = validate(path, strict=kind == "dynamic")
        self.verdict(found["result"] == "clean", name + ": strict rules", found)
        self.same_by_qemu(name, raw, path)

    def same_by_qemu(self, name, raw, path):
        """What qemu-img reads; it must not take the geometry for the size."""
        if not shutil.which("qemu-img"):
            return
        done = subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "vpc", raw, path],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        said = done.stdout.decode()
        self.verdict(done.returncode == 0 and "mismatch" not in said, name + ": qemu-img", said)


def directions(test):
    """Every kind of source to every kind of target."""
    for size in (24 * MIB, 5 * MIB + 1536, 512, 2 * MIB + 512):
        scattered("s.raw", size, size, 1 if size == 512 else 80)
        sources = {"raw": "s.raw"}
        for kind, words in TARGETS:
            name = f"raw to {kind} {''.join(words)} of {size}"
            to = f"a{len(sources)}.{'raw' if kind == 'raw' else 'vhd'}"
            test.run(name, OK, "", "convert", "--force", "-t", kind, *words, "s.raw", to)
            test.same(name, "s.raw", to)
            sources[kind + "".join(words)] = to
        for source, path in sources.items():
            for kind, words in TARGETS[:4]:
                name = f"{source} to {kind} {''.join(words)} of {size}"
                to = "b.raw" if kind == "raw" else "b.vhd"
                test.run(name, OK, "", "convert", "--force", "-t", kind, *words, path, to)
                test.same(name, "s.raw", to)
    test.verdict(not [name for name in os.listdir(".") if name.startswith(".")],
                 "no temporary files", os.listdir("."))


def chains(test):
    """Chains of mixed layers become one file."""
    for seed in range(12):
        base = ("dynamic", "fixed", "raw")[seed % 3]
        relation = ("equal", "larger", "smaller")[seed // 3 % 3]
        spec = mixed_spec(seed, 2 + seed % 4, base, (2 * MIB, 512 << 10)[seed % 2], relation,
                          12 * MIB)
        folder = f"chain{seed}"
        builder = Builder(folder, seed, spec)
        made = builder.write()
        builder.write_raw("flat.raw")
        leaf = os.path.join(folder, made["leaf"])
        parents = ["--parent", os.path.join(folder, made["raw_parent"])] if base == "raw" else []
        for kind, words in TARGETS[:4]:
            name = f"chain {seed} over {base}, {relation}, to {kind}"
            to = "out.raw" if kind == "raw" else "out.vhd"
            test.run(name, OK, "", "convert", "--force", "-t", kind, *words, *parents, leaf, to)
            test.same(name, "flat.raw", to)
        elsewhere(test, f"chain {seed}", folder, made, parents)
        shutil.rmtree(folder)


def elsewhere(test, name, folder, made, parents):
    """The same chain, with its leaf and its parents in different directories."""
    os.mkdir("away")
    leaf = shutil.move(os.path.join(folder, made["leaf"]), "away")
    if made["depth"] > 2 or not parents:
        test.run(name + " without its parents", MISSING, "parent not found", "convert", leaf,
                 "none.vhd")
        test.verdict(not os.path.exists("none.vhd"), name + ": nothing without parents")
    named = [word for file in made["files"][1:]
             for word in ("--parent", os.path.join(folder, os.path.basename(file["file"])))]
    test.run(name + " with its parents named", OK, "", "convert", "--force", *named, leaf,
             "out.raw")
    test.same(name + " with its parents named", "flat.raw", "out.raw")
    shutil.rmtree("away")


def parents_in(test):
    """Parents that images name count only below the directories that were told."""
    os.mkdir("p")
    vhdctl("create", "-s", "8M", "p/base.vhd")
    vhdctl("create", "--parent", "p/base.vhd", "leaf.vhd")
    os.mkdir("q")
    test.run("parents below another directory", MISSING, "not found", "convert",
             "--parents-in", "q", "leaf.vhd", "out.vhd")
    test.run("parents below this one", OK, "", "convert", "--parents-in", "p", "leaf.vhd",
             "out.vhd")
    os.rename("p/base.vhd", "p/other.vhd")
    vhdctl("create", "-s", "8M", "p/base.vhd")
    test.run("parent with another id", MISMATCH, "another unique id", "convert", "leaf.vhd",
             "none.vhd")
    test.verdict(not os.path.exists("none.vhd"), "no file after a mismatch")


def sparse(test):
    """Holes stay holes, and zeros become holes."""
    scattered("s.raw", 64 * MIB, 3, 40)
    full = read("s.raw")
    with open("zeros.raw", "wb") as file:
        file.write(full)
    data = stored("s.raw")
    for source in ("s.raw", "zeros.raw"):
        for kind, words in TARGETS[:4]:
            to = "o." + ("raw" if kind == "raw" else "vhd")
            vhdctl("convert", "--force", "-t", kind, *words, source, to)
            # A page at either end of a run, gaps of less than 32 KiB, and tables.
            test.verdict(stored(to) <= data + 40 * (32 << 10) + (128 << 10),
                         f"{source} to {kind} is sparse", f"{stored(to)} bytes, of {data}")
    info = json.loads(vhdctl("map", "--json", "o.vhd").stdout)
    blocks = {at // (512 << 10) for at in range(0, len(full), 4096)
              if any(full[at:at + 4096])}
    found = {run["start"] // (512 << 10) for run in info["runs"] if run["type"] == "data"}
    test.verdict(found <= blocks and len(blocks) < 128, "only blocks with data are there",
                 f"{sorted(found - blocks)}")
    with open("huge.raw", "wb") as file:
        file.truncate(1 << 40)
        file.seek((1 << 39) + 4096)
        file.write(b"here")
    for kind in ("raw", "fixed", "dynamic"):
        begin = time.monotonic()
        vhdctl("convert", "--force", "-t", kind, "huge.raw", "huge." + kind)
        test.verdict(time.monotonic() - begin < 60 and stored("huge." + kind) < 8 * MIB,
                     f"1 TiB of a hole to {kind}", f"{stored('huge.' + kind)} bytes")
    vhdctl("convert", "--from", "vhd", "huge.dynamic", "back.raw")
    with open("back.raw", "rb") as file:
        file.seek((1 << 39) + 4096)
        test.verdict(file.read(5) == b"here\0" and os.stat("back.raw").st_size == 1 << 40,
                     "what was in it came through")
    # Where QEMU 7.2 would take cylinders * heads * sectors for the size of an unknown creator.
    if shutil.which("qemu-img"):
        with open("chs.raw", "wb") as file:
            file.truncate(10 << 30)
        for kind in ("fixed", "dynamic"):
            vhdctl("convert", "--force", "-t", kind, "chs.raw", "chs.vhd")
            done = subprocess.run(["qemu-img", "info", "-f", "vpc", "--output", "json", "chs.vhd"],
                                  stdout=subprocess.PIPE, check=True)
            test.verdict(json.loads(done.stdout)["virtual-size"] == 10 << 30,
                         f"size of {kind} by qemu-img", done.stdout)


def streams(test):
    """Standard input and output."""
    for size in (24 * MIB + 512, 3 * MIB, 512):
        raw = scattered("s.raw", size, size, 1 if size == 512 else 60)
        bytes_ = read(raw)
        for kind, words in TARGETS[:4]:
            to = "o.raw" if kind == "raw" else "o.vhd"
            test.run(f"pipe to {kind} of {size}", OK, "", "convert", "--force", "-t", kind, *words,
                     "-", to, input=bytes_)
            test.same(f"pipe to {kind} of {size}", raw, to)
            with open(raw, "rb") as file:
                test.run(f"redirected to {kind}", OK, "", "convert", "--force", "-t", kind, *words,
                         "-", to, stdin=file)
            test.same(f"redirected to {kind}", raw, to)
            done = vhdctl("convert", to, "-", stderr=None)
            test.verdict(done.returncode == OK and done.stdout == bytes_, f"{kind} to a pipe")
        done = vhdctl("convert", "-", "-", input=bytes_, stderr=None)
        test.verdict(done.returncode == OK and done.stdout == bytes_, "pipe to pipe")
        with open(raw, "rb") as file:
            file.seek(512)
            done = vhdctl("convert", "-", "-", stdin=file, stderr=None)
        test.verdict(done.returncode == OK and done.stdout == bytes_[512:], "not from the start")
    odd = os.urandom(5000)
    test.run("stream with a cut sector", OK, "not a whole number of sectors", "convert", "-",
             "odd.raw", input=odd)
    test.verdict(read("odd.raw") == odd.ljust(5120, b"\0"), "zeros fill it")
    with open("cut.raw", "wb") as file:
        file.write(odd)
    test.run("file with a cut sector", OK, "not a whole number of sectors", "convert", "cut.raw",
             "cut.vhd")
    test.same("file with a cut sector", "odd.raw", "cut.vhd")
    with open("/dev/full", "wb") as full:
        done = vhdctl("convert", "cut.raw", "-", stdout=full, stderr=subprocess.PIPE)
    test.verdict(done.returncode == NO_SPACE and b"No space" in done.stderr, "full output", done)
    test.run("empty stream", ERROR, "is empty", "convert", "-", "none.vhd", input=b"")
    test.run("VHD to standard output", ERROR, "only raw", "convert", "-t", "fixed", "s.raw", "-")
    slow = subprocess.Popen(  # pylint: disable=consider-using-with
        [VHDCTL, "convert", "-", "slow.vhd"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for at in range(0, len(odd), 700):
        slow.stdin.write(odd[at:at + 700])
        slow.stdin.flush()
        time.sleep(0.01)
    slow.stdin.close()
    test.verdict(slow.wait(SECONDS) == OK, "slow stream")
    test.same("slow stream", "odd.raw", "slow.vhd")
    test.verdict(not os.path.exists("none.vhd"), "nothing of what failed")


def azure(test):
    """Fixed, whole MiB, from 20 MiB to 32 TiB."""
    for size, wanted in ((24 * MIB, 24 * MIB), (24 * MIB + 512, 25 * MIB), (MIB, 20 * MIB)):
        scattered("s.raw", size, size, 20)
        grown = "made larger" if size != wanted else ""
        test.run(f"Azure, {size} bytes", OK, grown, "convert", "--force", "--azure", "s.raw",
                 "a.vhd")
        test.run(f"Azure takes {size}", OK, "clean", "check", "--azure", "a.vhd")
        test.verdict(os.stat("a.vhd").st_size == wanted + 512, f"Azure: length of {size}")
        os.truncate("s.raw", wanted)
        test.same(f"Azure, {size} bytes", "s.raw", "a.vhd")
        footer = read("a.vhd")[-512:]
        test.verdict(footer[8:12] == b"\0\0\0\2" and footer[16:24] == b"\xff" * 8 and
                     footer[28:32] == b"win " and footer[36:40] == b"Wi2k", "Azure: footer")
    test.run("Azure and dynamic", ERROR, "only fixed", "convert", "--azure", "-t", "dynamic",
             "s.raw", "none.vhd")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".raw") as file:
        file.truncate((32 << 40) + 512)
        test.run("larger than Azure takes", UNSUPPORTED, "32 TiB", "convert", "--azure", file.name,
                 "none.vhd")
    test.verdict(not os.path.exists("none.vhd"), "nothing of what Azure would not take")


def errors(test):
    """What is refused, and that it leaves what was there."""
    scattered("s.raw", 4 * MIB, 5)
    with open("old.vhd", "wb") as file:
        file.write(b"old")
    test.run("exists", ERROR, "File exists", "convert", "s.raw", "old.vhd")
    test.verdict(read("old.vhd") == b"old", "what exists stays")
    test.run("replaced", OK, "", "convert", "--force", "s.raw", "old.vhd")
    test.same("replaced", "s.raw", "old.vhd")
    test.run("into itself", BUSY, "in use", "convert", "--force", "old.vhd", "old.vhd")
    vhdctl("create", "--parent", "old.vhd", "child.vhd")
    test.run("into its parent", BUSY, "in use", "convert", "--force", "child.vhd", "old.vhd")
    test.same("its own parent is as before", "s.raw", "old.vhd")
    os.rename("s.raw", "s.bin")
    test.run("raw without a word", CORRUPT, "say so with --from raw", "convert", "s.bin",
             "none.vhd")
    test.run("raw by name of the option", OK, "", "convert", "-f", "raw", "s.bin", "b.vhd")
    test.same("raw by name of the option", "s.bin", "b.vhd")
    os.rename("child.vhd", "guest.img")
    test.run("a VHD in a raw disk", OK, "", "convert", "guest.img", "guest.raw")
    test.verdict(filecmp.cmp("guest.img", "guest.raw", shallow=False),
                 "what looks like a VHD and is called raw is raw")
    test.run("no source", ERROR, "No such file", "convert", "nowhere.vhd", "none.vhd")
    test.run("no directory", ERROR, "No such file", "convert", "b.vhd", "nowhere/none.vhd")
    test.run("too large for its blocks", UNSUPPORTED, "larger than", "convert", "-b", "4K",
             "--from", "raw", big("big.bin", 1 << 40), "none.vhd")
    test.run("blocks of fixed", ERROR, "no blocks", "convert", "-t", "fixed", "-b", "2M", "b.vhd",
             "none.vhd")
    test.run("unknown type", ERROR, "does not take 'vmdk'", "convert", "-t", "vmdk", "b.vhd", "x")
    test.run("unknown source", ERROR, "does not take 'vmdk'", "convert", "-f", "vmdk", "b.vhd", "x")
    test.run("device node", ERROR, "not a regular file", "convert", "--force", "b.vhd", "/dev/null")
    with open("b.vhd", "r+b") as held:
        lock(held, fcntl.F_WRLCK)
        test.run("locked source", BUSY, "in use", "convert", "b.vhd", "none.vhd")
        test.run("locked target", BUSY, "in use", "convert", "--force", "s.bin", "b.vhd",
                 "-f", "raw")
    data = bytearray(read("b.vhd"))
    table = int.from_bytes(data[528:536], "big")
    data[table:table + 4] = b"\0\0\0\1"
    with open("bad.vhd", "wb") as file:
        file.write(data)
    test.run("bad block", CORRUPT, "sector 0", "convert", "bad.vhd", "none.vhd")
    test.run("raw in a chain of options", OK, "0 % ", "convert", "--progress", "b.vhd", "p.raw")
    test.run("limit of the file size", ERROR, "File too large", "convert", "-t", "raw", "b.vhd",
             "none.vhd", preexec_fn=small_files)
    test.verdict(not os.path.exists("none.vhd") and
                 not [name for name in os.listdir(".") if name.startswith(".")],
                 "nothing of what failed", os.listdir("."))


def big(path, size):
    """A hole."""
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def small_files():
    """For a child process: writes behind 1 MiB fail."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))


def without_ring(test):
    """Where io_uring is forbidden, and reads and writes come in parts."""
    with open("ring.c", "w", encoding="utf-8") as file:
        file.write(NO_RING)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "ring.so", "ring.c"], check=True)
    scattered("s.raw", 24 * MIB + 512, 9)
    how = {"env": {**os.environ, "LD_PRELOAD": os.path.abspath("ring.so")}}
    for kind, words in TARGETS[:4]:
        to = "o.raw" if kind == "raw" else "o.vhd"
        test.run(f"no ring: {kind}", OK, "", "convert", "--force", "-t", kind, *words, "s.raw", to,
                 **how)
        test.same(f"no ring: {kind}", "s.raw", to)
    tmp = tempfile.mkdtemp(dir="/dev/shm")
    test.run("a file system without direct I/O", OK, "", "convert", "s.raw", tmp + "/o.vhd")
    test.same("a file system without direct I/O", "s.raw", tmp + "/o.vhd")
    shutil.rmtree(tmp)
    # Blocks have their places by the order of the disk, whatever came first.
    same = []
    for name in ("1.vhd", "2.vhd"):
        vhdctl("convert", "s.raw", name, **(how if name == "1.vhd" else {}))
        same.append(read(name)[1536:-512])
    test.verdict(same[0] == same[1], "timing does not change the result")
    data = read("1.vhd")
    entry = int.from_bytes(data[528:536], "big") + 12 * 4
    at = int.from_bytes(data[entry:entry + 4], "big") * 512
    test.verdict(data[at:at + 512] == b"\x80" + bytes(511), "no bits behind the end of the disk",
                 data[at:at + 512].hex())


def seconds_of(*words):
    """How long it takes, which may be far longer once."""
    begin = time.monotonic()
    vhdctl(*words)
    return time.monotonic() - begin


def killed(test):
    """Killed at any time: nothing, or all of it; and what is replaced is old or new."""
    rng = random.Random(4)
    with open("s.raw", "wb") as file:
        file.write(rng.randbytes(MIB) * 48)
    whole = min(seconds_of("convert", "--force", "s.raw", "whole.vhd") for _ in range(3))
    partial = 0
    for number in range(KILLS):
        force = number % 2
        term = number % 3 == 2
        remove("k.vhd")
        if force:
            vhdctl("create", "-s", "1M", "k.vhd")
        with subprocess.Popen([VHDCTL, "convert", *["--force"][:force], "s.raw", "k.vhd"],
                              stderr=subprocess.DEVNULL) as child:
            time.sleep(rng.uniform(0, whole * 1.1))
            child.send_signal(signal.SIGTERM if term else signal.SIGKILL)
            child.wait(SECONDS)
        temps = [name for name in os.listdir(".") if name.startswith(".")]
        partial += child.returncode != 0
        test.verdict(state_is_sound(force) and (not temps or (force and not term)),
                     f"killed, {number}", f"{temps} {child.returncode}")
        for name in temps:
            # Between its footers and its name it is whole.
            raw = vhdctl("convert", name, "-", stderr=subprocess.DEVNULL)
            test.verdict(raw.returncode == CORRUPT or raw.stdout == read("s.raw"),
                         f"temporary file of {number} is no image, or whole", raw.returncode)
            os.unlink(name)
        test.run(f"again after {number}", OK, "", "convert", "--force", "s.raw", "k.vhd")
        if number % 10 == 0:
            test.same(f"again after {number}", "s.raw", "k.vhd")
    test.verdict(partial >= KILLS // 4, "most were killed before their end", partial)


def remove(path):
    """It need not be there."""
    if os.path.exists(path):
        os.unlink(path)


def size_of(path):
    """Of the disk."""
    return json.loads(vhdctl("info", "--json", path, stderr=None).stdout)["size"]


def state_is_sound(force):
    """Of k.vhd: absent, or the old one, or the new one and complete."""
    if not os.path.exists("k.vhd"):
        return not force
    if validate("k.vhd", strict=True)["result"] != "clean":
        return False
    if size_of("k.vhd") == MIB:
        return force
    done = vhdctl("convert", "k.vhd", "-", stderr=None)
    return done.stdout == read("s.raw")


class Loop:
    """A block device over a file."""

    def __init__(self, path):
        self.path = subprocess.run(["losetup", "-f", "--show", path], check=True,
                                   stdout=subprocess.PIPE).stdout.decode().strip()

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        subprocess.run(["losetup", "-d", self.path], check=True)


def devices(test):
    """Loop devices as source and target."""
    scattered("s.raw", 24 * MIB, 6)
    with open("d.bin", "wb") as file:
        file.write(os.urandom(MIB) * 32)
    try:
        loop = Loop("d.bin")
    except (subprocess.CalledProcessError, FileNotFoundError):
        test.skip("block devices: no loop device here")
        return
    vhdctl("convert", "s.raw", "s.vhd")
    with loop as path:
        old = read(path)
        test.run("device without --force", ERROR, "would be lost", "convert", "s.vhd", path)
        test.run("device as VHD", UNSUPPORTED, "only raw", "convert", "--force", "-t", "dynamic",
                 "s.vhd", path)
        test.run("device too small", NO_SPACE, "has 33554432 bytes", "convert", "--force",
                 "-f", "raw", big("big.bin", 33 * MIB), path)
        test.verdict(read(path) == old, "refused devices are as before")
        with open(path, "rb") as held:
            lock(held, fcntl.F_RDLCK)
            test.run("device in use", BUSY, "in use", "convert", "--force", "s.vhd", path)
        claim = os.open(path, os.O_RDONLY | os.O_EXCL)
        test.run("device mounted", BUSY, "busy", "convert", "--force", "s.vhd", path)
        os.close(claim)
        test.run("to a device", OK, "", "convert", "--force", "s.vhd", path)
        test.verdict(read(path) == read("s.raw") + old[24 * MIB:], "bytes of the device")
        test.run("from a device", OK, "", "convert", path, "back.raw")
        test.verdict(read("back.raw") == read(path), "bytes from the device")
        test.run("device into itself", BUSY, "in use", "convert", "--force", path, path)
        kill_device(test, path)


def kill_device(test, path):
    """Half a disk has no beginning."""
    rng = random.Random(8)
    with open("full.raw", "wb") as file:
        file.write(rng.randbytes(32 * MIB))
    full, early = read("full.raw"), 0
    stale = b"\xee" * len(full)
    for number in range(KILLS // 3):
        with open(path, "r+b") as file:
            file.write(stale)
        with subprocess.Popen([VHDCTL, "convert", "--force", "full.raw", path],
                              stderr=subprocess.DEVNULL) as child:
            time.sleep(rng.uniform(0.002, 0.1))
            child.kill()
            child.wait(SECONDS)
        now = read(path)
        begun = now[:4096] == bytes(4096)
        early += begun
        test.verdict(begun or now in (full, stale), f"device, killed, {number}")
    test.verdict(early > 0, "some were killed early", early)


def main():
    """All of them."""
    with tempfile.TemporaryDirectory() as work:
        test = Test(work)
        for part in (directions, chains, parents_in, sparse, streams, azure, errors, without_ring,
                     killed, devices):
            folder = os.path.join(work, part.__name__)
            os.mkdir(folder)
            os.chdir(folder)
            part(test)
            os.chdir(work)
            shutil.rmtree(folder)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main())
