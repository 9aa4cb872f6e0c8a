# SPDX-License-Identifier: GPL-2.0
"""Rows of the corruption table that change parent locators."""

from corruption_footers import ALL32, ALL64, encode, text
from corruption_kit import Row, bad_block, bad_locator, either, legal, no_parent
from vhdspec import CODES, SECTOR, Header, Locator

KINDS = {0: "W2ku", 1: "W2ru", 3: "MacX"}
LOCATORS_AT = Header.WHERE["locators"][0]


class Links:
    """Rows that change the locators of the child; its other paths still lead to the parent."""

    def __init__(self, base):
        self.base = base
        self.at = base.footer.data_offset
        self.raw = base.raw[self.at:self.at + Header.SIZE]
        self.slots = base.header.locator_list()
        self.rows = []

    def header_with(self, changes):
        """The sealed header with bytes of the locator table changed."""
        raw = bytearray(self.raw)
        for offset, data in changes:
            raw[LOCATORS_AT + offset:LOCATORS_AT + offset + len(data)] = data
        return Header.seal(bytes(raw))

    def add(self, slot, field, value, outcome, note=""):
        """One field of one slot."""
        row = Row(f"diff-locator-{slot}-{field}-{text(value)}", "diff", outcome, note)
        row.core = slot == 1 or field == "code"
        change = (24 * slot + Locator.WHERE[field][0], encode(Locator, field, value))
        self.rows.append(row.put(self.at, self.header_with([change])))

    def data(self, slot, tag, value, outcome, note=""):
        """The text of one slot."""
        row = Row(f"diff-locator-{slot}-text-{tag}", "diff", outcome, note)
        locator = self.slots[slot]
        raw = value.ljust(locator.length, b"\0")
        if len(raw) > locator.length:
            change = (24 * slot + Locator.WHERE["length"][0], encode(Locator, "length", len(raw)))
            row.put(self.at, self.header_with([change]))
        self.rows.append(row.put(locator.offset, raw))


def codes(links, slot):
    """Platform codes."""
    for value in (1, 0x12345678, 0x4D163258, 0x57327274, ALL32):
        links.add(slot, "code", value, bad_locator("locator-code"))
    for name in ("Wi2r", "Wi2k", "Mac "):
        links.add(slot, "code", CODES[name], legal(), "deprecated, not used")
    links.add(slot, "code", 0, legal(), "a free slot, whatever its other fields say")


def places(links, slot):
    """Offsets, lengths and reserved space."""
    base = links.base
    overlap = bad_locator("locator-overlap")
    for value in (0, 512, 1024, base.header.table_offset):
        links.add(slot, "offset", value, overlap)
    for value in (base.entry(0) * SECTOR, (base.entry(1) + 3) * SECTOR):
        links.add(slot, "offset", value, either(overlap, bad_block("bat-range")),
                  "locator and block share sectors: either may be called the wrong one")
    links.add(slot, "offset", base.end, bad_locator("locator-range", "locator-overlap"))
    for value in (base.end + SECTOR, 1 << 40, 1 << 63, ALL64 - 511, ALL64):
        links.add(slot, "offset", value, bad_locator("locator-range"))
    links.add(slot, "length", 0, either(
        bad_locator("locator-range", "locator-text"), legal()), "no text at all")
    for value in (len(base.raw), 1 << 31, ALL32 - 1, ALL32):
        links.add(slot, "length", value, bad_locator(
            "locator-range", "locator-overlap", "locator-text"))
    if KINDS[slot] != "MacX":
        links.add(slot, "length", links.slots[slot].length - 1, either(
            bad_locator("locator-text"), legal()), "half a character")
    for value in (0, 1, 2, 511, 512):
        links.add(slot, "space", value, legal(), "sectors, bytes, or nonsense: length counts")
    for value in (len(base.raw), 1 << 31, ALL32):
        links.add(slot, "space", value, either(
            bad_locator("locator-range", "locator-overlap"), legal()))
    for value in (1, ALL32):
        links.add(slot, "reserved", value, legal())


def texts(links, slot):
    """What the locator says."""
    wide = KINDS[slot] != "MacX"
    encoding = "utf-16-le" if wide else "utf-8"
    broken = b"\x00\xd8A\x00" if wide else b"file://./\xff\xfe\xfd"
    links.data(slot, "broken", broken, bad_locator("locator-text"), "does not decode")
    if wide:
        links.data(slot, "lone-low", b".\x00\x00\xdc", bad_locator("locator-text"))
    prefix = "" if wide else "file://"
    for tag, path in (("missing", "./missing.vhd"), ("directory", "./"),
                      ("deep", "../" * 40 + "x"), ("long", "./" + "y" * 230),
                      ("dev", "/dev/zero"), ("proc", "/proc/self/mem"),
                      ("non-ascii", "./\u00fcbung.vhd")):
        value = (prefix + path).encode(encoding)
        if len(value) <= SECTOR:
            links.data(slot, tag, value, legal(), "leads nowhere; other paths do")


def whole_table(links):
    """All slots at once."""
    rows = []
    row = Row("diff-locators-none", "diff", legal(), "the parent name suffices")
    rows.append(row.put(links.at, links.header_with([(0, bytes(192))])))
    row = Row("diff-locators-all-bad-codes", "diff", bad_locator(
        "locator-code", "locator-range"))
    rows.append(row.put(links.at, links.header_with([(0, b"\xee" * 192)])))
    nameless = bytearray(links.header_with([(0, bytes(192))]))
    nameless[64:576] = bytes(512)
    row = Row("diff-no-way-to-parent", "diff", no_parent(), "neither locators nor a name")
    rows.append(row.put(links.at, Header.seal(bytes(nameless))))
    nameless[64:576] = "elsewhere.vhd".encode("utf-16-be").ljust(512, b"\0")
    row = Row("diff-parent-missing", "diff", no_parent(), "a name that is not there")
    rows.append(row.put(links.at, Header.seal(bytes(nameless))))
    moved = [(24 * 7, links.slots[1].pack()), (0, bytes(168))]
    row = Row("diff-locator-in-slot-7", "diff", legal(), "no order of slots")
    rows.append(row.put(links.at, links.header_with(moved)))
    twice = [(24 * 5, links.slots[0].pack())]
    row = Row("diff-locator-twice", "diff", either(legal(), bad_locator("locator-overlap")))
    rows.append(row.put(links.at, links.header_with(twice)))
    return rows


def locators(bases):
    """All rows about locators; in a dynamic image they mean nothing."""
    links = Links(bases["diff"])
    for slot in KINDS:
        codes(links, slot)
        places(links, slot)
        texts(links, slot)
    base = bases["dyn"]
    raw = bytearray(base.raw[base.footer.data_offset:base.footer.data_offset + Header.SIZE])
    raw[LOCATORS_AT:LOCATORS_AT + 192] = b"\xee" * 192
    row = Row("dyn-locators-garbage", "dyn", either(legal(), bad_locator("locator-code")))
    row.put(base.footer.data_offset, Header.seal(bytes(raw)))
    return links.rows + whole_table(links) + [row]
