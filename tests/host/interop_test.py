#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Images of vhdctl and of the module read by other programs, and theirs by vhdctl.

Every cell compares all bytes of a disk. What other programs do wrong is a cell too,
so that we learn of it when they do no longer. Documentation/vhdblk/interop.rst holds
the results; the test fails where it says something else.

usage: interop_test.py [--write]      with --write, that page gets the results
"""

import hashlib
import json
import lzma
import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import interop_programs as others  # noqa: E402
import kit  # noqa: E402
from interop_images import (MIB, RESIZED, SECTOR, SIZE, disk, make_all, save,  # noqa: E402
                            vhdctl)
from kit import TOP  # noqa: E402
from vhdchain import Builder  # noqa: E402
from vhdread import open_chain  # noqa: E402
from vhdspec import Footer, geometry  # noqa: E402
from vhdvalidate import validate  # noqa: E402

PAGE = os.path.join(TOP, "Documentation", "vhdblk", "interop.rst")
BEGIN, END = ".. interop_test.py --write: from here\n", ".. interop_test.py --write: to here\n"
IMAGES = os.environ.get("IMAGES", os.path.join(os.path.dirname(TOP), "shared", "images"))
SAME = "same bytes"
FOOTER = "same bytes, and the footer behind them"
GONE = "the parent's data are gone from the whole block"
STALE = "zeros, but for the old footer"


class Test(kit.Test):
    """Results as they come, and the rows of the page that they make."""

    def __init__(self):
        super().__init__()
        # (section, program, image) -> result
        self.rows = {}

    def cell(self, section, program, image, wanted, observe):
        """One comparison; what cannot be done here is said and counted."""
        name = f"{section}: {program}: {image}"
        try:
            found = observe()
        except others.Skip as missing:
            self.skip(f"{name}: {missing}")
            self.rows[section, program, image] = None
            return
        except others.Failed as failure:
            found = f"refused: {failure}"
        self.rows[section, program, image] = found
        self.verdict(found == wanted, name, f"'{found}' instead of '{wanted}'")


def result(found, **forms):
    """Which of the forms these bytes have, by its name."""
    for name, data in forms.items():
        if found == data:
            return name.replace("_", " ")
    want = next(iter(forms.values()))
    if len(found) != len(want):
        return f"{len(found)} bytes instead of {len(want)}"
    at = next(at for at in range(len(want)) if found[at] != want[at])
    return f"other bytes, from {at} on"


def ours(test, images):
    """Programs that read our images."""
    for made in images:
        test.verdict(open_chain(made.path).read(0, len(made.data)) == made.data,
                     f"oracle of {made.how}", "other bytes")
        for path in made.paths:
            found = validate(path, strict=made.kind != "fixed")
            test.verdict(found["result"] == "clean", f"validator of {made.how}: {path}", found)
        readers = [("7-Zip", SAME, lambda m=made: result(others.sevenzip(m.path), same_bytes=m.data))]
        if made.kind != "differencing":
            readers.insert(0, ("QEMU", SAME, lambda m=made: result(
                others.qemu(m.path), same_bytes=m.data)))
            if made.how != RESIZED:
                readers.append(("libvhdi", SAME, lambda m=made: result(
                    others.vhdi(m.path), same_bytes=m.data)))
        if made.kind == "fixed":
            readers.append(("GRUB", SAME, lambda m=made: result(
                others.grub(m.path, len(m.data)), same_bytes=m.data)))
            readers.append(("loop", FOOTER, lambda m=made: with_footer(others.loop(m.path), m)))
        for program, wanted, observe in readers:
            test.cell("reads", program, f"{made.kind}: {made.how}", wanted, observe)
    test.cell("reads", "GRUB", "fixed: a file in its ext2", SAME, grub_in_ext2)


def with_footer(found, made):
    """A program that knows nothing of footers finds one more sector."""
    footer = others.read(made.path)[-SECTOR:]
    return result(found, **{FOOTER.replace(" ", "_"): made.data + footer, "same_bytes": made.data})


def grub_in_ext2():
    """The way of GRUB to the files of a disk."""
    others.present("mke2fs")
    os.mkdir("tree")
    data = disk(3 * MIB, "file")
    save("tree/file", data)
    save("ext2.raw", bytes(8 * MIB))
    others.run("mke2fs", "-q", "-F", "-t", "ext2", "-d", "tree", "ext2.raw")
    vhdctl("convert", "-t", "fixed", "ext2.raw", "ext2.vhd")
    return result(others.grub_file("ext2.vhd", "/file"), same_bytes=data)


def flat(path, *words):
    """What vhdctl reads."""
    return vhdctl("convert", *words, path, "-")


def theirs(test, images):
    """Images of others, read by vhdctl."""
    data = disk(SIZE, "theirs")
    save("theirs.raw", data)
    for number, (subformat, force) in enumerate((s, f) for s in ("dynamic", "fixed")
                                                for f in ("on", "off")):
        test.cell("writes", "QEMU", f"{subformat}: qemu-img convert, force_size={force}", SAME,
                  lambda n=number, s=subformat, f=force: from_qemu(f"q{n}.vhd", data, s, f))
    for made in images:
        if made.how in ("convert", "convert -b 512K"):
            test.cell("writes", "QEMU", f"{made.kind}: qemu-io, into ours by {made.how}", SAME,
                      lambda m=made: by_qemu_io(m))
        if made.how == "convert" and made.kind == "fixed":
            test.cell("writes", "loop", "fixed: into ours by convert", SAME,
                      lambda m=made: by_loop(m))


def no_faults(path):
    """vhdctl check finds nothing."""
    vhdctl("check", path)


def from_qemu(path, data, subformat, force):
    """qemu-img rounds the size up to a geometry where it is not told otherwise."""
    others.qemu_make("theirs.raw", path, f"subformat={subformat}", f"force_size={force}")
    no_faults(path)
    size = others.qemu_info(path, "-f", "vpc")["virtual-size"]
    if (size == SIZE) != (force == "on") or size < SIZE:
        return f"a size of {size} bytes"
    return result(flat(path), same_bytes=data.ljust(size, b"\0"))


def copy_of(made, name):
    """A copy of a single file."""
    with open(name, "wb") as file:
        file.write(others.read(made.path))
    return name


def by_qemu_io(made):
    """Old blocks and new ones."""
    path, data = copy_of(made, "by-qemu.vhd"), bytearray(made.data)
    for first, count, byte in ((3, 5, 1), (9000, 9000, 2), (SIZE // SECTOR - 2, 2, 3)):
        others.qemu_write(path, first, count, byte)
        data[first * SECTOR:(first + count) * SECTOR] = bytes([byte]) * count * SECTOR
    no_faults(path)
    return result(flat(path), same_bytes=bytes(data))


def by_loop(made):
    """As losetup gives it to anybody."""
    path, new = copy_of(made, "by-loop.vhd"), disk(MIB, "loop")
    others.loop_write(path, 7 * SECTOR, new)
    no_faults(path)
    return result(flat(path),
                  same_bytes=made.data[:7 * SECTOR] + new + made.data[7 * SECTOR + len(new):])


REAL = (
    ("XenServer", "dynamic: with a batmap", "tap-base.vhd"),
    ("XenServer", "differencing: child of it", "tap-mid.vhd"),
    ("XenServer", "differencing: child of that child", "tap-leaf.vhd"),
    ("QEMU, old", "dynamic: an ext2 file system", "qemu-ext2.vhd"),
    ("Hyper-V 2012 R2", "dynamic: empty, of 127 GiB", "hyperv2012r2-dynamic.vhd"),
    ("Virtual PC", "dynamic: empty, of 127 GiB", "virtualpc-dynamic.vhd"),
)


def real(test, table):
    """Files that were found in the world."""
    for program, image, name in REAL:
        test.cell("writes", program, image, SAME, lambda n=name: real_image(n, table))
    test.cell("writes", "Windows 10", "differencing: over a parent made for it", SAME,
              lambda: windows_child(table))


def unpack():
    """Name -> (size, hash) of the README; empty where the images are not."""
    table = {}
    if not os.path.exists(os.path.join(IMAGES, "README.md")):
        return table
    with open(os.path.join(IMAGES, "README.md"), encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.split("|")] for line in file
                if re.match(r"\| \S+\.vhd ", line)]
    for row in rows:
        table[row[1]] = (int(row[4]), row[5])
        with lzma.open(os.path.join(IMAGES, row[1] + ".xz")) as packed:
            save(row[1], packed.read())
    return table


def real_image(name, table):
    """Its bytes as 7-Zip reads them, whose hash is that of the README; or nothing but zeros."""
    if name not in table:
        raise others.Skip(f"no {name}")
    size, hash_ = table[name]
    no_faults(name)
    if len(hash_) != 64:
        return all_zero(name, size)
    data = flat(name)
    if hashlib.sha256(data).hexdigest() != hash_:
        return "another hash"
    return result(data, same_bytes=others.sevenzip(name))


def all_zero(name, size):
    """A sparse copy tells faster than 127 GiB of zeros."""
    vhdctl("convert", name, "empty.raw")
    with open("empty.raw", "rb") as file:
        found = file.seek(0, os.SEEK_END)
        try:
            data = file.seek(0, os.SEEK_DATA)
        except OSError:
            data = found
    os.unlink("empty.raw")
    return SAME if (found, data) == (size, size) else f"{found} bytes, data from {data} on"


def windows_child(table):
    """Its parent is lost, so another one gets its name, id and size."""
    name = "windows10-child.vhd"
    if name not in table:
        raise others.Skip(f"no {name}")
    size = table[name][0]
    data = disk(size, "parent")
    vhdctl("convert", save("parent.raw", data), "fat-parent.vhd")
    vhdctl("set", "--uuid", "5fa21a55-f394-aa4d-9958-1951a67d5540", "fat-parent.vhd")
    found = flat(name)
    if found == data or found != open_chain(name).read(0, size):
        return "not what the oracle reads"
    return result(found, same_bytes=others.sevenzip(name))


def faults(test, images, table):
    """What others do wrong, each with the evidence for it."""
    by_how = {f"{made.kind}: {made.how}": made for made in images}
    child = by_how["differencing: snapshot, then written"]
    deep = by_how["differencing: five snapshots, each written"]
    for program, image, wanted, observe in (
            ("QEMU", "a differencing image is read without its parent",
             "zeros in place of the parents' data", lambda: without_parents(child)),
            ("QEMU", "one sector written to a differencing image",
             GONE, lambda: hides_parent(by_how["dynamic: convert"])),
            ("QEMU", "an image of a creator that it does not know",
             "cut to the geometry, 13824 bytes less", cut_to_geometry),
            ("QEMU", "a fixed image without -f vpc", "taken for a raw disk with the footer",
             lambda: probed(by_how["fixed: convert"])),
            ("QEMU", "sectors whose bits are clear, in a dynamic image",
             "what lies there, not zeros", stale_bytes),
            ("QEMU", "a block that it adds to an image of Hyper-V 2012 R2", STALE,
             lambda: added_to_hyperv(table)),
            ("QEMU", "a block that it adds to an image of ours", STALE, added_to_ours),
            ("libvhdi", "a chain of two, blocks partly written", "other bytes",
             lambda: other_bytes(others.vhdi(*child.paths), child)),
            ("libvhdi", "a chain of six", "other bytes",
             lambda: other_bytes(others.vhdi(*deep.paths), deep)),
            ("libvhdi", "an image that was resized", "its size before that",
             lambda: original_size(by_how[f"dynamic: {RESIZED}"])),
            ("7-Zip", "an image of Virtual PC, whose guests see its geometry",
             "the larger size of the footer", footer_size),
            ("7-Zip", "sectors whose bits are clear but that are not zeros", "refused",
             refuses_stale),
            ("GRUB", "a dynamic image", "the bytes of the file, not of the disk",
             lambda: file_bytes(by_how["dynamic: convert"]))):
        test.cell("faults", program, image, wanted, observe)


def without_parents(made):
    """The leaf alone, with zeros in what it has none of."""
    leaf, alone = open_chain(made.path).layers[0], bytearray(len(made.data))
    for first, end, at in leaf.runs(0, len(made.data)):
        if at is not None:
            alone[first:end] = leaf.pread(at, end - first)
    return result(others.qemu(made.path),
                  **{SAME: made.data, "zeros in place of the parents' data": bytes(alone)})


def hides_parent(parent):
    """In a child that owns no block yet: what is where the parent had data."""
    block = 2 * MIB
    vhdctl("snapshot", parent.path, "hides.vhd")
    others.qemu_write("hides.vhd", 1, 1, 0x5a)
    found = flat("hides.vhd")
    if found[SECTOR:2 * SECTOR] != b"\x5a" * SECTOR or found[block:] != parent.data[block:]:
        return "other bytes where nobody wrote"
    left = [at for at in range(2 * SECTOR, block, SECTOR) if any(parent.data[at:at + SECTOR]) and
            found[at:at + SECTOR] == parent.data[at:at + SECTOR]]
    return "some of the parent's data" if left else GONE


def added_block(path):
    """One sector written to a block that is not there yet: all others are to be zeros."""
    others.qemu_write(path, 1, 1, 0x5a)
    data = open_chain(path).read(0, 2 * MIB)
    bad = {data[at:at + 8] for at in range(2 * SECTOR, 2 * MIB, SECTOR)
           if any(data[at:at + SECTOR])}
    if data[SECTOR:2 * SECTOR] != b"\x5a" * SECTOR or not bad <= {b"conectix", b"\xff" * 8}:
        return "other bytes"
    return STALE if b"conectix" in bad else SAME


def added_to_hyperv(table):
    """Its newest images end on 4 KiB, as ours do."""
    name = "hyperv2012r2-dynamic.vhd"
    if name not in table:
        raise others.Skip(f"no {name}")
    os.rename(name, "written-" + name)
    return added_block("written-" + name)


def added_to_ours():
    """An empty one."""
    vhdctl("create", "-s", str(SIZE), "added.vhd")
    return added_block("added.vhd")


def cut_to_geometry():
    """The same image, by the creator of another program; ours is whole."""
    data = disk(SIZE, "creator")
    vhdctl("convert", save("vbox.raw", data), "vbox.vhd")
    if others.qemu("vbox.vhd") != data:
        return "ours is not whole either"
    with open("vbox.vhd", "r+b") as file:
        raw = file.read(SECTOR)
        footer = Footer.seal(raw[:28] + b"vbox" + raw[32:])
        file.seek(0)
        file.write(footer)
        file.seek(-SECTOR, os.SEEK_END)
        file.write(footer)
    if flat("vbox.vhd") != data:
        return "vhdctl reads something else"
    cylinders, heads, spt = geometry(SIZE)
    less = SIZE - cylinders * heads * spt * SECTOR
    return result(others.qemu("vbox.vhd"),
                  **{SAME: data, f"cut to the geometry, {less} bytes less": data[:SIZE - less]})


def probed(made):
    """There is nothing at the beginning of a fixed image."""
    size = others.qemu_info(made.path)["virtual-size"]
    if others.qemu_info(made.path)["format"] == "raw" and size == len(made.data) + SECTOR:
        return "taken for a raw disk with the footer"
    return f"{size} bytes"


def stale_image():
    """Bits say what a program wrote, and the rest of the block is as it was on its disk."""
    if not os.path.exists("stale"):
        Builder("stale", 1, {"layers": [{"size": "4M", "stale": True}]}).write()
    path = os.path.join("stale", "layer0.vhd")
    data = flat(path)
    if data != open_chain(path).read(0, len(data)):
        raise others.Failed("vhdctl reads something else")
    return path, data


def stale_bytes():
    """The first sector that differs."""
    path, data = stale_image()
    found = others.qemu(path)
    at = next((at for at in range(0, len(data), SECTOR) if found[at:at + SECTOR] !=
               data[at:at + SECTOR]), None)
    if at is None:
        return SAME
    same = (data[at:at + SECTOR], found[at:at + SECTOR]) == (bytes(SECTOR), b"\xcc" * SECTOR)
    return "what lies there, not zeros" if same else f"other bytes, from {at} on"


def refuses_stale():
    """It says so only after it has written a part."""
    path, data = stale_image()
    try:
        return result(others.sevenzip(path), same_bytes=data)
    except others.Failed as failure:
        return "refused" if "Data Error" in str(failure) else str(failure)


def other_bytes(found, made):
    """Where they differ depends on the writer, so it says nothing."""
    return re.sub(", from .*", "", result(found, same_bytes=made.data))


def original_size(made):
    """The size that the image had when it was new lies beside the one that it has."""
    return result(others.vhdi(made.path), **{SAME: made.data,
                                             "its size before that": made.data[:SIZE]})


def footer_size():
    """Cylinders, heads and sectors are the disk, where Virtual PC made it."""
    cylinders, heads, spt = geometry(SIZE)
    builder = Builder("vpc", 3, {"layers": [{"size": SIZE, "creator": "vpc "}]})
    path = os.path.join("vpc", builder.write()["leaf"])
    size = cylinders * heads * spt * SECTOR
    data = others.sevenzip(path)
    if flat(path) != data[:size] or json.loads(vhdctl("info", "--json", path))["size"] != size:
        return "vhdctl reads something else"
    return result(data, **{SAME: data[:size], "the larger size of the footer": data[:SIZE]})


def file_bytes(made):
    """It knows no format of images."""
    raw = others.read(made.path)
    size = len(raw) // SECTOR * SECTOR
    return result(others.grub(made.path, size), **{
        SAME: made.data, "the bytes of the file, not of the disk": raw[:size]})


def rst_table(head, rows):
    """A simple table of reStructuredText."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in (head, *rows)]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n"


SECTIONS = (
    ("reads", "Other programs read ours", ("program", "our image", "result")),
    ("writes", "Ours read what others wrote", ("program", "its image", "result")),
    ("faults", "What others do wrong", ("program", "what", "result")),
)


def pages(test):
    """Section -> its table; the rows of one program together."""
    made = {}
    for key, title, head in SECTIONS:
        rows = sorted(((program, image, found or "") for (section, program, image), found in
                       test.rows.items() if section == key), key=lambda row: row[0].lower())
        made[key] = f"{title}\n{'=' * len(title)}\n\n{rst_table(head, rows)}"
    return made


def versions_table():
    """What this machine has."""
    return rst_table(("program", "version"), list(others.versions().items()))


def write(test):
    """The page, from results without gaps."""
    if test.skipped or test.failed:
        raise SystemExit("interop_test.py: not written: something failed or was skipped")
    text = others.read(PAGE).decode()
    head, rest = text.split(BEGIN)
    body = [versions_table(), *pages(test).values()]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + "\n" + "\n".join(body) + "\n" + END + rest.split(END)[1])


def compare(test):
    """The page says what was found; what could not be tested here, it says too."""
    said = others.read(PAGE).decode().split(BEGIN)[1].split(END)[0]
    lines = {" ".join(line.split()) for line in said.splitlines()}
    for key, found in test.rows.items():
        row = " ".join(" ".join(key[1:]).split() + (found or "").split())
        good = row in lines if found else any(line.startswith(row + " ") for line in lines)
        test.verdict(good, f"row '{row}'", f"is not in {PAGE}; run interop_test.py --write")
    count = sum(len(line.split("  ")) > 1 for line in said.splitlines())
    wanted = len(test.rows) + len(others.versions()) + 4 * (len(SECTIONS) + 1)
    test.verdict(count == wanted, "number of rows", f"{count} in {PAGE} instead of {wanted}")
    for program, version in others.versions().items():
        if version and f"{program} {version}" not in lines:
            print(f"note: {program} is {version} here, and another version in {PAGE}")


def memory():
    """A directory in memory, if there is room: nothing here has to outlive a power cut."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return None
    return "/dev/shm" if room.f_bavail * room.f_frsize > 2 << 30 else None


def main(words):
    """All cells, in a directory of their own."""
    test, here = Test(), os.getcwd()
    with tempfile.TemporaryDirectory(dir=memory()) as work:
        os.chdir(work)
        images = make_all()
        ours(test, images)
        theirs(test, images)
        table = unpack()
        real(test, table)
        faults(test, images, table)
        os.chdir(here)
    if words == ["--write"]:
        write(test)
    compare(test)
    return test.summary()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
