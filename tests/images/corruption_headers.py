# SPDX-License-Identifier: GPL-2.0
"""Rows of the corruption table that change the dynamic header."""

from corruption_footers import ALL32, ALL64, flips, patched_record, text
from corruption_kit import (BLOCK, DISK, ENTRIES, Row, bad_block, bad_locator, by_type_four,
                            either, fatal, legal, stranger, unsupported)
from vhdspec import Footer, Header


class Headers:
    """Rows that change the header."""

    def __init__(self, name, base):
        self.name, self.base = name, base
        self.at = base.footer.data_offset
        self.raw = base.raw[self.at:self.at + Header.SIZE]
        self.rows = []

    def add(self, field, value, outcome, seal=True, note="", layers=None):
        """One row."""
        sealed = "" if seal else "-unsealed"
        row = Row(f"{self.name}-header-{field}-{text(value)}{sealed}", self.name, outcome, note,
                  layers)
        self.rows.append(row.put(self.at, patched_record(Header, self.raw, field, value, seal)))


def header_values(rows):
    """Sealed values of a dynamic header."""
    for value in (0, 512, 0xFFFFFFFF, 1 << 63):
        rows.add("data_offset", value, legal(DISK), note="unused by the specification")
    for value in (0, 0x00020000, 0xFFFF0000, ALL32):
        rows.add("version", value, unsupported("header-version"))
    for value in (0, 1, 512, 513, 3 << 15, (64 << 10) - 1, (2 << 20) - 512, 0xFFFFFFFF, 3 << 30):
        out = unsupported("block-size-range") if value in (1, 512) else fatal("header-block-size")
        rows.add("block_size", value, out)
    for value in (2, 256, 1024, 2048, 512 << 20, 1 << 30, 1 << 31):
        rows.add("block_size", value, unsupported("block-size-range"))
    for value in (4096, 8192, BLOCK // 2):
        rows.add("block_size", value, fatal("header-entries"))
    for value in (BLOCK * 2, 2 << 20, 256 << 20):
        rows.add("block_size", value, bad_block("bat-overlap", "block-cut", "bat-range"),
                 note="blocks now run into each other")
        rows.rows[-1].outcome.readable = False
    for field, values in (("parent_uuid", (b"\xa5" * 16,)), ("parent_timestamp", (1, ALL32)),
                          ("reserved1", (1, ALL32)), ("reserved2", (b"\xff" * 256, b"\1")),
                          ("parent_name", (b"\xd8" * 512, "x".encode("utf-16-be") * 256))):
        for value in values:
            rows.add(field, value, legal(DISK), note="no meaning in a dynamic image")


def header_tables(rows):
    """Place and size of the BAT."""
    base = rows.base
    for value in (1, 511, 513, base.header.table_offset + 4, base.header.table_offset + 256):
        rows.add("table_offset", value, fatal("header-table-offset"))
    for value in (0, 512, 1024):
        rows.add("table_offset", value, fatal("metadata-overlap", "header-table-offset"))
    for value in (base.end, base.end + 512):
        rows.add("table_offset", value,
                 fatal("bat-truncated", "header-table-offset", "metadata-overlap"))
    for value in (base.end + 4096, 1 << 40, 1 << 63, ALL64 - 511):
        rows.add("table_offset", value, fatal("bat-truncated", "header-table-offset"))
    rows.add("table_offset", ALL64, fatal("header-table-offset", "bat-truncated"))
    for value in (0, 1, ENTRIES - 1):
        rows.add("max_entries", value, fatal("header-entries"))
    for value in (ENTRIES, ENTRIES + 1, 1024):
        rows.add("max_entries", value, legal(DISK), note="surplus entries, or none")
    for value in (1 << 20, 0x3FFFFFFF, 0x40000000, 0x80000000, ALL32):
        rows.add("max_entries", value, either(
            fatal("bat-truncated", "metadata-overlap"), unsupported("too-many-blocks")))


def header_cookies(rows):
    """Cookie and checksum."""
    for value in (b"cxsparsf", b"CXSPARSE", bytes(8), b"conectix"):
        rows.add("cookie", value, fatal("header-cookie"))
        rows.add("cookie", value, fatal("header-cookie", "header-checksum"), False)
    for value in (0, ALL32):
        rows.add("checksum", value, fatal("header-checksum"), False)
    for field, data, name in flips(Header, rows.raw):
        rows.add(field, data, fatal("header-checksum"), False)
        rows.rows[-1].name = f"{rows.name}-header-flip-{name}"
        rows.rows[-1].core = name.endswith("+0-01")


def moved_header(base):
    """The header elsewhere, which is legal as long as the footers say where."""
    row = Row("dyn-header-moved", "dyn", legal(DISK), "the old place holds nothing now")
    raw = base.raw
    row.put(512, bytes(Header.SIZE)).put(2048, raw[512:512 + Header.SIZE])
    data = patched_record(Footer, raw[base.end:], "data_offset", 2048)
    return row.put(0, data).put(base.end, data)


def headers(bases):
    """All header rows."""
    rows = Headers("dyn", bases["dyn"])
    header_values(rows)
    header_tables(rows)
    header_cookies(rows)
    child = Headers("diff", bases["diff"])
    for value in (b"\xa5" * 16, bases["diff"].footer.uuid):
        child.add("parent_uuid", value, stranger(), note="the parent found has another id")
    child.add("parent_uuid", bytes(16), either(
        by_type_four(), fatal("raw-parent", "no-parent")), note="zero id: a raw parent, not named")
    child.add("parent_timestamp", 1, legal(DISK), note="a warning at most")
    child.add("parent_name", bytes(512), legal(DISK), note="the locators suffice")
    child.add("parent_name", b"\xd8\x00" * 256, either(legal(), bad_locator("locator-text")))
    child.add("parent_name", "C:\\a\\b\\parent.vhd".encode("utf-16-be").ljust(512, b"\0"),
              legal(DISK), note="a whole path in the name")
    child.add("reserved1", ALL32, legal(DISK))
    child.add("reserved2", b"\xff" * 256, legal(DISK))
    child.add("max_entries", ENTRIES - 1, fatal("header-entries"))
    child.add("block_size", 3 << 15, fatal("header-block-size"))
    return rows.rows + child.rows + [moved_header(bases["dyn"])]
