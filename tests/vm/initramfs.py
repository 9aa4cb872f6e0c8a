# SPDX-License-Identifier: GPL-2.0
"""The initramfs of the test VM: busybox, a few modules, two scripts."""

import gzip
import lzma
import os
import stat
import sys

# What it takes to reach the host's root; all else is loaded from there.
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")


def _name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


def module_files(modules_dir, names=MODULES):
    """Paths of modules and what they depend on, in load order."""
    depends = {}
    with open(os.path.join(modules_dir, "modules.dep"), encoding="ascii") as f:
        for line in f:
            path, deps = line.rstrip("\n").split(":")
            depends[_name(path)] = [path] + deps.split()
    order = []

    def add(path):
        # modules.dep lists each module's needs last-needed first.
        for dep in reversed(depends[_name(path)][1:]):
            if dep not in order:
                order.append(dep)
        if path not in order:
            order.append(path)

    for name in names:
        # A name that is missing is built in; if not, the boot says so.
        if name in depends:
            add(depends[name][0])
    return [os.path.join(modules_dir, path) for path in order]


def _read_module(path):
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rb") as f:
        return f.read()


class Archive:
    """A cpio archive in the format the kernel unpacks ("newc")."""

    def __init__(self):
        self.parts = []
        self.ino = 0

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        self.ino += 1
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % v for v in fields)
        head += name.encode() + b"\0"
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def directory(self, name):
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self._entry(name, stat.S_IFREG | mode, data)

    def console(self):
        self._entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))

    def bytes(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def write(out, scripts, modules_dir, names=MODULES, busybox="/bin/busybox"):
    """An initramfs of busybox, scripts (a path by name) and modules, in the file out."""
    archive = Archive()
    for name in ("bin", "dev", "modules", "guest"):
        archive.directory(name)
    archive.console()
    with open(busybox, "rb") as f:
        archive.file("bin/busybox", f.read())
    for name, source in scripts.items():
        with open(source, "rb") as f:
            archive.file(name, f.read())
    for number, path in enumerate(module_files(modules_dir, names)):
        archive.file(f"modules/{number:02}-{_name(path)}.ko", _read_module(path))
    with gzip.open(out, "wb", compresslevel=1) as f:
        f.write(archive.bytes())


def build(out, modules_dir, guest_dir, init=None):
    """Write the initramfs for the kernel of modules_dir to the file out.

    init is the script that becomes process 1, guest_dir/init if it is None.
    """
    write(out, {"init": os.path.join(guest_dir, "initramfs"),
                "guest/init": init or os.path.join(guest_dir, "init")}, modules_dir)


if __name__ == "__main__":
    build(*sys.argv[1:])
