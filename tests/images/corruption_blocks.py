# SPDX-License-Identifier: GPL-2.0
"""Rows of the corruption table that change BAT entries, bitmaps and the batmap."""

import struct

from corruption_footers import text
from corruption_kit import (BLOCK, ENTRIES, SURPLUS, Row, bad_block, cut_block, leak, legal)
from vhdspec import SECTOR, UNUSED

PER_BLOCK = 1 + BLOCK // SECTOR         # sectors of one block and its bitmap
PAGE = 4096


def stored_bytes(raw, start, length):
    """Bytes of a range that a sparse copy stores."""
    first, end = start // PAGE * PAGE, start + length
    return sum(min(page + PAGE, end) - max(page, start)
               for page in range(first, end, PAGE) if any(raw[page:page + PAGE]))


class Table:
    """Rows that change entries of one base's BAT."""

    def __init__(self, name, base):
        self.name, self.base = name, base
        self.at = base.header.table_offset
        self.entries = {block: base.entry(block) for block in range(ENTRIES)
                        if base.entry(block) != UNUSED}
        self.last = max(self.entries, key=self.entries.get)
        self.rows = []

    def add(self, block, value, outcome, note="", tag=""):
        """One entry."""
        row = Row(f"{self.name}-bat-{block}-{tag or text(value)}", self.name, outcome, note)
        row.core = block not in (1, 5, ENTRIES - 1, 61)
        self.rows.append(row.put(self.at + 4 * block, struct.pack(">I", value)))
        return row

    def leaks_without(self, entry):
        """Does the gap store more than two pages for each block that fits?"""
        others = [other for other in self.entries.values() if other != entry]
        bat_end = -(-(self.at + 4 * self.base.header.max_entries) // SECTOR)
        start = max([bat_end] + [other + PER_BLOCK for other in others if other < entry])
        end = min([self.base.end // SECTOR] + [other for other in others if other > entry])
        stored = stored_bytes(self.base.raw, start * SECTOR, (end - start) * SECTOR)
        return stored > ((end - start) // PER_BLOCK + 1) * 2 * PAGE

    def shared(self, block, value):
        """The other blocks whose sectors an entry reaches."""
        return [other for other, entry in self.entries.items()
                if other != block and abs(entry - value) < PER_BLOCK]

    def bad(self, block, value, fault, tag=""):
        """An entry into metadata or outside the file: only its block fails."""
        others = self.shared(block, value)
        out = bad_block(fault, "bat-overlap") if others else bad_block(fault)
        self.add(block, value, out.failing([block], others), tag=tag)

    def overlap(self, block, value, tag):
        """An entry into another block: which of the two is wrong nobody can tell."""
        out = bad_block("bat-overlap").failing(unsure=[block, *self.shared(block, value)])
        self.add(block, value, out, tag=tag)


def ranges(table, block):
    """Entries that point nowhere or into metadata."""
    footer = table.base.end // SECTOR
    bat = table.at // SECTOR
    for value in (0, 1, 2, bat, bat + 1):
        table.bad(block, value, "bat-range")
    for tag, value in (("footer", footer), ("end", footer + 1), ("far", footer * 2)):
        table.bad(block, value, "bat-range", tag)
    for value in (0x7FFFFFFF, 0x80000000, 0xFFFFFF00, 0xFFFFFF7F, 0xFFFFFFFE):
        table.bad(block, value, "bat-range")


def overlaps(table, block):
    """Entries into other blocks."""
    others = sorted(other for other in table.entries if other != block)
    for other in others:
        table.overlap(block, table.entries[other], f"same-as-{other}")
    other = others[-1] if others[-1] != table.last else others[0]
    for delta in (-1, 1, 64, PER_BLOCK - 1):
        table.overlap(block, table.entries[other] + delta, f"{other}{delta:+d}")


def cuts(table, block):
    """Entries whose block reaches the footer."""
    value = table.base.end // SECTOR - 1
    table.add(block, value, cut_block().failing(unsure=[block]), "only the bitmap fits", "cut-all")
    # Room for half a block; then the footer.
    half = BLOCK // 2
    row = table.add(block, table.base.end // SECTOR + 7, cut_block().failing(unsure=[block]),
                    "half of the block fits", "cut-half")
    row.grow(half + 4096)


def harmless(table):
    """Changes of the table that are legal, or only lose space."""
    for index in range(ENTRIES, ENTRIES + SURPLUS, 3):
        for value in (0, 1, table.entries[0], 0xFFFFFFFE):
            table.add(index, value, legal(), "a surplus entry")
    for index in (ENTRIES + SURPLUS, 1023):
        for value in (0, 0x55555555, table.entries[0]):
            table.add(index, value, legal(), "padding")
    for block, entry in table.entries.items():
        if block != table.last:
            table.add(block, UNUSED, leak() if table.leaks_without(entry) else legal(),
                      "the block is lost")
    room = 4 * PER_BLOCK // 8 * 8 * SECTOR
    row = table.add(60, table.base.end // SECTOR + 7, legal(), "a block of zeros", "zeros")
    row.grow(PER_BLOCK // 8 * 8 * SECTOR + 8192)
    Row.grow(table.add(60, UNUSED, leak(), "space that nothing uses", "grown"), room, 0xa5)
    one, two = sorted(table.entries)[:2]
    row = table.add(one, table.entries[two], legal(), "two blocks change places", "swapped")
    row.put(table.at + 4 * two, struct.pack(">I", table.entries[one]))


def bats(bases):
    """All rows about entries."""
    table = Table("dyn", bases["dyn"])
    for block in (0, 5, ENTRIES - 1, 60):
        ranges(table, block)
        overlaps(table, block)
    for block in (60, 61):
        cuts(table, block)
    harmless(table)
    child = Table("diff", bases["diff"])
    for block in (1, 60):
        ranges(child, block)
        overlaps(child, block)
    cuts(child, 60)
    slot = bases["diff"].header.locator_list()[0]
    child.bad(60, slot.offset // SECTOR, "bat-range", "locator")
    return table.rows + child.rows


def bitmaps(bases):
    """Any bits are legal; they only say who owns a sector."""
    rows = []
    for name in ("dyn", "diff"):
        base = bases[name]
        for block in (0, ENTRIES - 1):
            at = base.entry(block) * SECTOR
            for value in (0x00, 0xFF, 0x55, 0x80, 0x01):
                row = Row(f"{name}-bitmap-{block}-{value:02x}", name, legal())
                rows.append(row.put(at, bytes([value]) * (BLOCK // SECTOR // 8)))
            # 16 bytes hold the bits of 64 KiB; the rest of the sector means nothing.
            row = Row(f"{name}-bitmap-{block}-padding", name, legal())
            rows.append(row.put(at + 16, b"\xff" * (SECTOR - 16)))
    return rows


def batmaps(bases):
    """libvhd's batmap: a hint, and nothing when it is wrong."""
    base = bases["batmap"]
    at = base.header.table_offset + -(-4 * base.header.max_entries // SECTOR) * SECTOR
    rows = []
    for tag, offset, data in (
            ("cookie", 0, b"tdbatmaq"), ("no-cookie", 0, bytes(8)), ("offset-0", 8, bytes(8)),
            ("offset-far", 8, b"\x7f" + bytes(7)), ("offset-odd", 15, b"\x01"),
            ("sectors-0", 16, bytes(4)), ("sectors-all", 16, b"\xff" * 4),
            ("version-0", 20, bytes(4)), ("version-all", 20, b"\xff" * 4),
            ("checksum-0", 24, bytes(4)), ("checksum-all", 24, b"\xff" * 4),
            ("marker", 28, b"\x01"), ("key-hash", 29, b"\x01" + bytes(range(64))),
            ("bits-all", 512, b"\xff" * 16), ("bits-one", 512, b"\x80"),
            ("bits-none", 512, bytes(512)), ("bits-past-end", 1000, b"\xff")):
        rows.append(Row(f"batmap-{tag}", "batmap", legal()).put(at + offset, data))
    rows.append(Row("batmap-untouched", "batmap", legal()))
    table = Table("batmap", base)
    for tag, sector in (("head", at // SECTOR), ("bits", at // SECTOR + 1)):
        table.bad(60, sector, "bat-range", tag)
    return rows + table.rows
