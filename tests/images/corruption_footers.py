# SPDX-License-Identifier: GPL-2.0
"""Rows of the corruption table that change footers."""

import struct

from corruption_kit import (BLOCK, DISK, ENTRIES, SURPLUS, Row, by_copy, by_type_four, either,
                            fatal, given_parent, legal, repairable, shrunk, unsupported)
from vhdspec import SECTOR, Footer, geometry

ALL64 = (1 << 64) - 1
ALL32 = (1 << 32) - 1
CAPACITY = (ENTRIES + SURPLUS) * BLOCK


def chs_size(size):
    """Bytes of the geometry that a disk of this size is given."""
    cylinders, heads, spt = geometry(size)
    return cylinders * heads * spt * SECTOR


def text(value):
    """A value in a row's name."""
    if isinstance(value, bytes):
        return value.hex()[:16]
    return f"{value:x}" if value > 0xFFFF else str(value)


def encode(record, field, value):
    """The bytes of a field."""
    width = record.WHERE[field][1]
    return value if isinstance(value, bytes) else value.to_bytes(width, "big")


def patched_record(record, raw, field, value, seal=True):
    """A record with one field changed."""
    at = record.WHERE[field][0]
    data = encode(record, field, value)
    raw = raw[:at] + data + raw[at + len(data):]
    return record.seal(raw) if seal else raw


class Footers:
    """Rows that change footers: the end, the copy, or both."""

    def __init__(self, name, base):
        self.name, self.base = name, base
        self.raw = base.raw[base.end:]
        self.rows = []
        self.seen = set()

    def add(self, where, field, value, outcome, seal=True, note=""):
        """One row; `where` is end, copy or both."""
        sealed = "" if seal else "-unsealed"
        row = Row(f"{self.name}-footer-{where}-{field}-{text(value)}{sealed}", self.name, outcome,
                  note)
        data = patched_record(Footer, self.raw, field, value, seal)
        # One sample a field is enough where only one of two footers is touched.
        sample = (where, field, seal, tuple(outcome.faults))
        row.core = where == "both" or sample not in self.seen
        self.seen.add(sample)
        if where in ("end", "both"):
            row.put(self.base.end, data)
        if where in ("copy", "both"):
            row.put(0, data)
        self.rows.append(row)

    def pair(self, field, value, outcome, note=""):
        """Sealed: in both, at the end only (it wins), and in the copy only (it loses)."""
        self.add("both", field, value, outcome, note=note)
        if outcome.faults:
            self.add("end", field, value, outcome, note="the end wins, right or wrong")
        else:
            self.add("end", field, value, repairable("footer-copy").with_size(outcome.size))
        self.add("copy", field, value, repairable("footer-copy").with_size(DISK))


# Fields where every value is legal, as (field, values).
LEGAL_FOOTER = (
    ("features", (0, 1, 3, 0x80000000, ALL32)),
    ("timestamp", (0, 1, 0x7FFFFFFF, 0x80000000, ALL32)),
    ("creator", (b"vs  ", b"vbox", b"tap\0", b"wa\0\0", b"d2v ", b"CTXS", b"qem2", b"vpc\0",
                 b"QEMU", bytes(4), b"\xff" * 4, b"ab\ncd"[:4])),
    ("creator_version", (0, 0x00050003, ALL32)),
    ("creator_os", (bytes(4), b"Mac ", b"\xff" * 4)),
    ("original_size", (0, 511, DISK * 2, ALL64)),
    ("cylinders", (0, 1, 65535)),
    ("heads", (0, 255)),
    ("spt", (0, 255)),
    ("uuid", (bytes(16), b"\xff" * 16)),
    ("saved_state", (1, 2, 255)),
    ("reserved", (b"\x01", bytes(1) + b"\x01", bytes(200) + b"reserved", b"\xff" * 427)),
)


def footer_values(rows):
    """Sealed values of a dynamic pair."""
    for field, values in LEGAL_FOOTER:
        for value in values:
            rows.pair(field, value, legal(DISK))
    rows.pair("creator", b"vpc ", legal(chs_size(DISK)), "the guest sees C*H*S")
    rows.pair("creator", b"qemu", legal(chs_size(DISK)), "the guest sees C*H*S")
    for value in (0, 0x00020000, 0xFFFF0000, ALL32, 0x01000100):
        rows.pair("version", value, unsupported("footer-version"))
    rows.pair("version", 0x00010001, either(legal(), unsupported("footer-version")),
              "a minor version is compatible by the specification")
    for value in (0, 1, 5, 6, 0x03000000, ALL32):
        rows.pair("type", value, fatal("footer-type"))
    rows.pair("type", 2, fatal("footer-size"), "a fixed disk larger than its file")
    footer_offsets(rows)
    footer_sizes(rows)


def footer_offsets(rows):
    """data_offset of a dynamic pair."""
    for value in (1, 513, 0x600 + 8, rows.base.end + 4, 1 << 40, 1 << 63, ALL64 - 511, ALL64):
        rows.pair("data_offset", value, fatal("footer-data-offset", "header-cookie"))
    for value in (0, 1024, 4096, rows.base.end - 512, rows.base.end):
        rows.pair("data_offset", value,
                  fatal("header-cookie", "footer-data-offset", "metadata-overlap"))


def footer_sizes(rows):
    """current_size of a dynamic pair."""
    for value in (0, 1, 511):
        rows.pair("current_size", value, fatal("footer-size"))
    for value in (512, 513, BLOCK):
        rows.pair("current_size", value, shrunk(value // SECTOR * SECTOR))
    for value in (DISK - 512, DISK - 1, DISK + 512, CAPACITY, CAPACITY + 511):
        rows.pair("current_size", value, legal(value // SECTOR * SECTOR))
    rows.pair("current_size", CAPACITY + 512, either(fatal("header-entries"), legal(CAPACITY)),
              "the table lacks one entry; the disk may also end where it ends")
    rows.pair("current_size", 1 << 38, fatal("header-entries"))
    for value in ((2040 << 30) + 512, 1 << 45, 1 << 63, ALL64 - 511, ALL64):
        rows.pair("current_size", value, either(
            fatal("header-entries", "footer-size"), unsupported("too-large", "too-many-blocks")))


def footer_cookies(rows):
    """Cookies of a dynamic pair."""
    for value in (b"conectiy", b"Conectix", bytes(8), b"cxsparse", b"\xff" * 8):
        for seal in (True, False):
            rows.add("both", "cookie", value, fatal("no-footer"), seal)
            rows.add("end", "cookie", value, repairable("footer-end-missing"), seal)
            rows.add("copy", "cookie", value, repairable("footer-copy"), seal)
    poison = unsupported("poison")
    rows.add("both", "cookie", Footer.POISON, poison)
    rows.add("end", "cookie", Footer.POISON, poison)
    rows.add("both", "cookie", Footer.POISON,
             either(poison, fatal("no-footer", "footer-checksum")), False)
    rows.add("end", "cookie", Footer.POISON,
             either(poison, repairable("footer-end-missing")), False)
    rows.add("copy", "cookie", Footer.POISON, either(repairable("footer-copy"), poison))
    rows.add("copy", "cookie", Footer.POISON, either(repairable("footer-copy"), poison), False)


def flips(record, raw):
    """(field, value, name) with one bit wrong, for the first and last byte of each field."""
    for field, (at, width) in record.WHERE.items():
        if field == "cookie":
            continue
        for byte, bit in ((0, 0x01), (width - 1, 0x80)):
            data = bytearray(raw[at:at + width])
            data[byte] ^= bit
            yield field, bytes(data), f"{field}+{byte}-{bit:02x}"


def footer_flips(rows, ends):
    """Unsealed flips; `ends` says what each place leads to."""
    for field, data, name in flips(Footer, rows.raw):
        for where, outcome in ends.items():
            rows.add(where, field, data, outcome(), False)
            rows.rows[-1].name = f"{rows.name}-footer-{where}-flip-{name}"
            rows.rows[-1].core = name.endswith("+0-01")


def dynamic_footers(bases):
    """All footer rows of the dynamic base."""
    rows = Footers("dyn", bases["dyn"])
    footer_values(rows)
    footer_cookies(rows)
    footer_flips(rows, {"both": lambda: fatal("footer-checksum"),
                        "end": lambda: repairable("footer-end-missing"),
                        "copy": lambda: repairable("footer-copy")})
    rows.add("both", "type", 4, either(
        by_type_four(), fatal("raw-parent", "no-parent")), note="a child of a nameless raw file")
    return rows.rows


def child_footers(bases):
    """Footers of a child."""
    rows = Footers("diff", bases["diff"])
    for where, outcome in (("both", fatal("footer-checksum")),
                           ("end", by_copy("footer-end-missing")),
                           ("copy", repairable("footer-copy"))):
        rows.add(where, "uuid", b"\xa5" * 16, outcome, False)
    rows.add("end", "cookie", b"conectiy", by_copy("footer-end-missing"))
    rows.add("both", "type", 3, legal(DISK), note="a dynamic disk that ignores its parent")
    rows.rows[-1].layers = ["leaf"]
    rows.add("both", "type", 3, given_parent(), note="a parent is given to a dynamic disk")
    rows.rows[-1].name += "-with-parent"
    rows.add("both", "uuid", bytes(16), legal(DISK))
    rows.add("both", "current_size", DISK + 512, legal(DISK + 512))
    rows.add("both", "current_size", DISK // 2, shrunk(DISK // 2))
    return rows.rows


def fixed_footers(bases):
    """The only footer of a fixed disk."""
    base = bases["fixed"]
    rows = Footers("fixed", base)
    size = base.footer.current_size
    for field, values in LEGAL_FOOTER:
        for value in values:
            rows.add("end", field, value, legal(size))
    rows.add("end", "creator", b"vpc ", legal(chs_size(size)))
    for value in (0, 512, 1 << 40):
        rows.add("end", "data_offset", value, either(legal(), fatal("footer-data-offset")))
    for value in (0, 511):
        rows.add("end", "current_size", value, fatal("footer-size"))
    for value in (512, size - 512, size - 1, size + 511):
        rows.add("end", "current_size", value, legal(value // SECTOR * SECTOR))
    for value in (size + 512, size + 1024, 1 << 41, 1 << 63, ALL64 - 511, ALL64):
        rows.add("end", "current_size", value, fatal("footer-size"))
    for value in (3, 4):
        rows.add("end", "type", value, fatal("footer-data-offset"))
    for value in (0, 1, 5, ALL32):
        rows.add("end", "type", value, fatal("footer-type"))
    for value in (0, 0x00020000, ALL32):
        rows.add("end", "version", value, unsupported("footer-version"))
    for value in (b"conectiy", bytes(8)):
        rows.add("end", "cookie", value, fatal("no-footer"))
    rows.add("end", "cookie", Footer.POISON, unsupported("poison"))
    footer_flips(rows, {"end": lambda: fatal("footer-checksum")})
    return rows.rows


def chs_footers(bases):
    """Geometry counts for creators whose guests saw it."""
    base = bases["chs"]
    rows = Footers("chs", base)
    footer = base.footer
    track = footer.heads * footer.spt * SECTOR
    size = footer.current_size
    rows.add("both", "cylinders", footer.cylinders - 1, legal(size - track))
    rows.add("both", "cylinders", footer.cylinders + 1, legal(size),
             note="more than the file claims to hold: current_size counts")
    rows.add("both", "cylinders", 1, shrunk(track))
    rows.add("both", "heads", 1, legal(footer.cylinders * footer.spt * SECTOR))
    rows.add("both", "current_size", size * 4, legal(size))
    for field in ("cylinders", "heads", "spt"):
        rows.add("both", field, 0, legal(size), note="no geometry: current_size counts")
    rows.add("both", "cylinders", 65535, legal(size))
    maximum = struct.pack(">HBB", 65535, 16, 255)
    rows.add("both", "cylinders", maximum, legal(size), note="no geometry: current_size counts")
    return rows.rows
