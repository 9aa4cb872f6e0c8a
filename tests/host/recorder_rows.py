# SPDX-License-Identifier: GPL-2.0
"""The commands that recorder_test.py holds to their promises: a row for each."""

import os
import struct
from dataclasses import dataclass

from vhdread import Bad, Image, NoParent, open_chain
from vhdspec import UNUSED, Header

SECTOR = 512
ID = "01234567-89ab-cdef-0123-456789abcdef"
BLOCK = 4096
# While footers are replaced the two differ, and one that is mended is missing until then.
DIFFER, MISSING = frozenset({"footer-copy"}), frozenset({"footer-end-missing"})


def disk(path):
    """Hash of the disk as a reader sees it; what hinders him, if he sees none."""
    try:
        chain = open_chain(path)
    except (Bad, NoParent) as error:
        return f"{type(error).__name__} {error}"
    try:
        return chain.sha256()
    except Bad as error:
        return f"Bad {error}"
    finally:
        chain.close()


@dataclass(frozen=True)
class Row:
    """A command, what it works on, and what it promises.

    layers: the chain as in vhdchain.py, whose files are layer0.vhd and so on
    args: of the command; {dir} is the folder
    change: the file that is changed in place, whose disk stays the same; or None
    target: the file that is new or replaced, there as a whole or not; or None
    old_target: the target exists, and is replaced
    allowed: faults that the changed image may have until the command is over
    damage: called with the folder before the command
    settled: called with the folder after it; returns a complaint or None
    noticed: how many barriers, each by itself, cannot be left out without a bad state;
        others come twice, or guard nothing that this test can see
    """
    name: str
    layers: tuple
    args: tuple
    change: str = None
    target: str = None
    old_target: bool = False
    allowed: frozenset = frozenset()
    damage: object = None
    settled: object = None
    noticed: int = 1

    def is_refused(self, folder):
        """Whether the command has nothing to do there, and says so."""
        return bool(self.target) and not self.old_target and \
            os.path.exists(os.path.join(folder, self.target))

    def saves(self):
        """Where the command keeps what it is about to change; None if it does not."""
        return f"{self.change}.saved" if "--repair" in self.args else None

    def argv(self, vhdctl, folder):
        """The command line."""
        return [vhdctl] + [word.format(dir=folder) for word in self.args]


def sparse(keep=lambda n: n % 3 == 0, blocks=40, **more):
    """A dynamic layer of small blocks, of which some are zeros."""
    runs = [[n * 8 + 1, 6, "name" if keep(n) else "zero"] for n in range(blocks)]
    return {"type": "dynamic", "size": 300 * BLOCK, "block": BLOCK, "runs": runs, **more}


SHUFFLED = {"order": "shuffled", "gap": 9, "data_align": 512}
CHILD = {"size": 300 * BLOCK, "block": BLOCK, "runs": [[3, 40, "name"], [90, 30, "zero"]]}
FIXED = {"type": "fixed", "size": 64 << 10, "runs": [[3, 40, "name"]]}


def has_id(folder):
    """The unique id is the one that was asked for."""
    image = Image(os.path.join(folder, "layer0.vhd"))
    found = image.footer.uuid.hex()
    image.close()
    return None if found == ID.replace("-", "") else f"the unique id is {found}"


def is_hidden(folder):
    """The first reserved byte of the footer says it."""
    image = Image(os.path.join(folder, "layer0.vhd"))
    found = image.footer.reserved[0]
    image.close()
    return None if found == 1 else "not hidden"


def copy_blocks(folder):
    """Blocks of the child become equal to what is below them."""
    base, leaf = (Image(os.path.join(folder, f"layer{layer}.vhd")) for layer in (0, 1))
    with open(leaf.path, "r+b") as file:
        for block, entry in enumerate(leaf.bat):
            if entry != UNUSED and block % 2:
                below = base.pread(base.bat[block] * SECTOR, SECTOR + BLOCK)
                file.seek(entry * SECTOR)
                file.write(b"\xff".ljust(SECTOR, b"\0") + below[SECTOR:])
    base.close()
    leaf.close()


def fill_holes(folder):
    """All zeros take space."""
    path = os.path.join(folder, "layer0.vhd")
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(data)


def cut_footer(folder):
    """The footer at the end is overwritten by nothing."""
    path = os.path.join(folder, "layer0.vhd")
    with open(path, "r+b") as file:
        file.seek(-SECTOR, os.SEEK_END)
        file.write(bytes(SECTOR))


def cut_copy(folder):
    """The copy at the beginning is overwritten by nothing."""
    with open(os.path.join(folder, "layer0.vhd"), "r+b") as file:
        file.write(bytes(SECTOR))


def cut_block(folder, odd=0):
    """A block is cut by the footer; it reads as zeros from there on."""
    path = os.path.join(folder, "layer0.vhd")
    image = Image(path)
    last = max(entry for entry in image.bat if entry != UNUSED) * SECTOR
    image.close()
    with open(path, "r+b") as file:
        file.seek(-SECTOR, os.SEEK_END)
        footer = file.read()
        file.seek(last + 6 * SECTOR)
        file.write(bytes(odd) + footer)
        file.truncate()


def cut_odd(folder):
    """So that the footer begins in one sector and ends in the next."""
    cut_block(folder, 77)


def end_table(folder):
    """Rubbish behind the last entry of the table."""
    path = os.path.join(folder, "layer0.vhd")
    image = Image(path)
    at = image.header.table_offset + 4 * len(image.bat)
    image.close()
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes(4))


def lose_locator(folder):
    """The last locator of the child leads nowhere; the others are good."""
    path = os.path.join(folder, "layer1.vhd")
    image = Image(path)
    at = image.footer.data_offset
    image.close()
    with open(path, "r+b") as file:
        file.seek(at)
        header = bytearray(file.read(Header.SIZE))
        header[744:768] = struct.pack(">4sIIIQ", b"W2ku", 1, 10, 0, 1 << 40)
        file.seek(at)
        file.write(Header.seal(bytes(header)))


REPAIR = ("check", "--repair", "{dir}/layer0.vhd")

ROWS = (
    Row("compact", (sparse(),), ("compact", "{dir}/layer0.vhd"), "layer0.vhd", noticed=3),
    Row("compact, gaps", (sparse(layout=SHUFFLED),), ("compact", "{dir}/layer0.vhd"),
        "layer0.vhd", noticed=3),
    Row("compact, child", (sparse(), {**CHILD, "layout": SHUFFLED}),
        ("compact", "{dir}/layer1.vhd"), "layer1.vhd", damage=copy_blocks, noticed=4),
    Row("compact --punch", (sparse(),), ("compact", "--punch", "{dir}/layer0.vhd"),
        "layer0.vhd", damage=fill_holes, noticed=0),
    Row("set --uuid", (sparse(),), ("set", "--uuid", ID, "{dir}/layer0.vhd"), "layer0.vhd",
        allowed=DIFFER | MISSING, settled=has_id),
    Row("set --hidden, fixed", (FIXED,), ("set", "--hidden", "yes", "{dir}/layer0.vhd"),
        "layer0.vhd", settled=is_hidden, noticed=2),
    Row("repair of the footer", (sparse(),), REPAIR, "layer0.vhd", allowed=MISSING,
        damage=cut_footer),
    Row("repair of the copy", (sparse(),), REPAIR, "layer0.vhd", allowed=DIFFER,
        damage=cut_copy),
    Row("repair of a block", (sparse(),), REPAIR, "layer0.vhd", damage=cut_block,
        allowed=MISSING | {"block-cut"}),
    Row("repair of a block, odd", (sparse(),), REPAIR, "layer0.vhd", damage=cut_odd,
        allowed=MISSING | {"block-cut"}),
    Row("repair of a table", (sparse(),), REPAIR, "layer0.vhd", damage=end_table,
        allowed=frozenset({"bat-padding"})),
    Row("repair of a header", (sparse(), CHILD), ("check", "--repair", "{dir}/layer1.vhd"),
        "layer1.vhd", damage=lose_locator, allowed=DIFFER | MISSING | {"locator-range"},
        noticed=3),
    Row("create", (sparse(),), ("create", "-s", "64M", "{dir}/new.vhd"), target="new.vhd"),
    Row("create --force", (sparse(),), ("create", "-s", "64M", "--force", "{dir}/new.vhd"),
        target="new.vhd", old_target=True),
    Row("create, fixed", (sparse(),), ("create", "-t", "fixed", "-s", "128K", "{dir}/new.vhd"),
        target="new.vhd"),
    Row("snapshot", (sparse(),), ("snapshot", "{dir}/layer0.vhd", "{dir}/new.vhd"),
        target="new.vhd"),
    Row("convert to dynamic", (sparse(), CHILD),
        ("convert", "-b", "512K", "{dir}/layer1.vhd", "{dir}/new.vhd"), target="new.vhd"),
    Row("convert --force", (sparse(), CHILD),
        ("convert", "--force", "-b", "512K", "{dir}/layer1.vhd", "{dir}/new.vhd"),
        target="new.vhd", old_target=True),
    Row("convert to fixed", (sparse(), CHILD),
        ("convert", "-t", "fixed", "{dir}/layer1.vhd", "{dir}/new.vhd"), target="new.vhd"),
    Row("convert to raw", (sparse(), CHILD),
        ("convert", "-t", "raw", "{dir}/layer1.vhd", "{dir}/new.raw"), target="new.raw"),
    Row("export", (sparse(), CHILD),
        ("export", "-b", "512K", "--since", "{dir}/layer0.vhd", "{dir}/layer1.vhd",
         "{dir}/new.vhd"), target="new.vhd"),
)
