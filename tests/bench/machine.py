# SPDX-License-Identifier: GPL-2.0
"""The RAM disk, and how each contestant gets from its file to what fio opens."""

import json
import os
import shutil
import subprocess
import time

MOUNT = "/mnt/bench"
RAM = "/dev/ram0"
# The disk is thin: only what is written takes memory.
RAM_KIB = 64 << 20
# How it runs if nothing is said, and how else it may.
QEMU_AIO = ("threads", "native", "io_uring")


class Unavailable(Exception):
    """A contestant that this machine does not have."""


def call(*args, check=True):
    """Standard output of a command; its errors are part of the exception."""
    done = subprocess.run(args, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def read(path):
    """One value of sysfs or procfs."""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def write(path, value):
    """The same the other way."""
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def wait_for(what, condition, seconds=60):
    """Poll: no udev tells anybody here."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen in {seconds} s")
        time.sleep(0.02)


def settle(folder):
    """Nothing of these files stays in the page cache, where it would slow down direct I/O.

    Only of these: what programs are made of comes from the host, and not fast.
    """
    os.sync()
    for at, _, names in os.walk(folder):
        for name in names:
            fd = os.open(os.path.join(at, name), os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def ram_up(kib=RAM_KIB):
    """An empty ext4 on a new RAM disk; the journal is small because mkfs writes it."""
    subprocess.run(("rmmod", "brd"), stderr=subprocess.DEVNULL, check=False)
    call("modprobe", "brd", "rd_nr=1", f"rd_size={kib}")
    wait_for("the RAM disk", lambda: os.path.exists(RAM))
    call("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=64",
         "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", RAM)
    os.makedirs(MOUNT, exist_ok=True)
    call("mount", "-o", "noinit_itable", RAM, MOUNT)


def ram_down():
    """Unmount and give all memory back, which deleting files would not do."""
    if os.path.ismount(MOUNT):
        call("umount", MOUNT)
    wait_for("the end of the RAM disk",
             lambda: not subprocess.run(("rmmod", "brd"), stderr=subprocess.DEVNULL,
                                        check=False).returncode)


def plain_queue(device):
    """The same I/O scheduler for everybody: none."""
    path = f"/sys/block/{os.path.basename(device)}/queue/scheduler"
    if os.path.exists(path):
        write(path, "none")


class File:
    """The raw file itself."""

    def __init__(self, path):
        self.path = path
        self.target = None

    def start(self):
        """Make the target appear."""
        self.target = self.path

    def stop(self):
        """Let go of the file."""
        self.target = None


class Loop(File):
    """losetup with direct I/O."""

    def start(self):
        self.target = call("losetup", "-f", "--show", "--direct-io=on", self.path)
        plain_queue(self.target)
        if read(f"/sys/block/{os.path.basename(self.target)}/loop/dio") != "1":
            raise RuntimeError(f"loop does not use direct I/O on {self.path}")

    def stop(self):
        if self.target:
            call("losetup", "-d", self.target)
        self.target = None


class Nbd(File):
    """qemu-nbd with the kernel's client."""

    aio = QEMU_AIO[0]

    def start(self):
        if not shutil.which("qemu-nbd"):
            raise Unavailable("there is no qemu-nbd")
        if not os.path.exists("/sys/block/nbd0"):
            call("modprobe", "nbd", "nbds_max=1")
        # --fork returns when the device is connected.
        done = subprocess.run(("qemu-nbd", "--fork", "-f", "vpc", "--cache=none",
                               f"--aio={self.aio}", "-c", "/dev/nbd0", self.path),
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Unavailable(f"qemu-nbd --aio={self.aio} does not start")
        self.target = "/dev/nbd0"
        wait_for("a size of nbd0", lambda: int(read("/sys/block/nbd0/size")) > 0)
        plain_queue(self.target)

    def stop(self):
        if self.target:
            call("qemu-nbd", "-d", self.target)
            wait_for("the end of qemu-nbd", lambda: not os.path.exists("/sys/block/nbd0/pid"))
        self.target = None


class Vhd(File):
    """vhdctl attach."""

    options = ()

    def start(self):
        self.target = call("vhdctl", "attach", *self.options, self.path)
        wait_for(self.target, lambda: os.path.exists(self.target))
        plain_queue(self.target)

    def stop(self):
        if self.target:
            call("vhdctl", "detach", self.target)
        self.target = None

    def status(self):
        """What `vhdctl status` says."""
        return json.loads(call("vhdctl", "status", "--json", self.target))


class Inline(Vhd):
    """The same with inline submission, where there is such a thing."""

    options = ("--submit", "inline")

    @classmethod
    def exists(cls):
        """Can this version do so?"""
        path = os.path.join(MOUNT, "probe")
        call("vhdctl", "create", "-t", "dynamic", "-s", "16M", path)
        disk = cls(path)
        try:
            disk.start()
        except RuntimeError:
            return False
        finally:
            disk.stop()
            os.unlink(path)
        return True


class Partial(Vhd):
    """A leaf that is as partly written in each run as it was in the first."""

    def start(self):
        kept = self.path + ".kept"
        if not os.path.exists(kept):
            shutil.copyfile(self.path, kept)
        shutil.copyfile(kept, self.path)
        settle(os.path.dirname(self.path))
        super().start()


class Sparse(Loop):
    """loop on a file that is one hole."""

    size = 0

    def start(self):
        with open(self.path, "wb") as file:
            file.truncate(self.size)
        super().start()


class Fresh(Vhd):
    """A dynamic image without blocks."""

    size = 0

    def start(self):
        call("vhdctl", "create", "-t", "dynamic", "-s", str(self.size), self.path)
        settle(os.path.dirname(self.path))
        super().start()
