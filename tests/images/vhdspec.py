# SPDX-License-Identifier: GPL-2.0
"""Bytes of a VHD, written from the specification alone.

Source: "Virtual Hard Disk Image Format Specification", version 1.0, Microsoft,
October 2006. Nothing here comes from drivers/vhdblk/format: this is the second
reading of the same document, so that one misreading cannot pass the tests.
"""

import struct

SECTOR = 512
UNUSED = 0xFFFFFFFF
NO_OFFSET = 0xFFFFFFFFFFFFFFFF
EPOCH = 946684800               # 2000-01-01 UTC in Unix seconds
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
TYPE_NAMES = {FIXED: "fixed", DYNAMIC: "dynamic", DIFFERENCING: "differencing"}
VERSION = 0x00010000
MAX_GEOMETRY = (65535, 16, 255)
MIN_BLOCK, MAX_BLOCK = 4096, 256 << 20
MAX_BLOCKS = 4 << 20
CODES = {"none": 0, "Wi2r": 0x57693272, "Wi2k": 0x5769326B, "W2ru": 0x57327275,
         "W2ku": 0x57326B75, "Mac ": 0x4D616320, "MacX": 0x4D616358}
# Programs whose guests saw C*H*S and not current_size.
CHS_CREATORS = (b"vpc ", b"qemu")


def align(value, unit):
    """Round up."""
    return -(-value // unit) * unit


def checksum(raw, at):
    """One's complement of the byte sum, the checksum field at `at` left out."""
    return ~(sum(raw) - sum(raw[at:at + 4])) & 0xFFFFFFFF


class Record:
    """A big-endian record with named fields; subclasses give FIELDS."""

    FIELDS = ()
    DEFAULTS = {}

    def __init_subclass__(cls):
        cls.LAYOUT = struct.Struct(">" + "".join(code for _, code in cls.FIELDS))
        cls.SIZE = cls.LAYOUT.size
        cls.WHERE = {}
        offset = 0
        for name, code in cls.FIELDS:
            width = struct.calcsize(">" + code)
            cls.WHERE[name] = (offset, width)
            offset += width

    def __init__(self, **values):
        for name, code in self.FIELDS:
            blank = b"" if code.endswith("s") else 0
            setattr(self, name, self.DEFAULTS.get(name, blank))
        for name, value in values.items():
            if name not in self.WHERE:
                raise TypeError(f"no field {name}")
            setattr(self, name, value)

    @classmethod
    def unpack(cls, raw):
        """The record in the first SIZE bytes of `raw`."""
        values = cls.LAYOUT.unpack(raw[:cls.SIZE])
        return cls(**dict(zip((name for name, _ in cls.FIELDS), values)))

    def pack(self):
        """The bytes as they are, checksum included."""
        return self.LAYOUT.pack(*(getattr(self, name) for name, _ in self.FIELDS))

    @classmethod
    def seal(cls, raw):
        """`raw` with the right checksum in place."""
        at = cls.WHERE["checksum"][0]
        return raw[:at] + struct.pack(">I", checksum(raw[:cls.SIZE], at)) + raw[at + 4:]

    def sealed(self):
        """The bytes with the right checksum."""
        return self.seal(self.pack())

    @classmethod
    def sum_is_right(cls, raw):
        """Whether the stored checksum is that of the bytes."""
        at = cls.WHERE["checksum"][0]
        return struct.unpack_from(">I", raw, at)[0] == checksum(raw[:cls.SIZE], at)


class Footer(Record):
    """"Hard Disk Footer Format"."""

    COOKIE = b"conectix"
    POISON = b"v_poison"
    FIELDS = (
        ("cookie", "8s"), ("features", "I"), ("version", "I"), ("data_offset", "Q"),
        ("timestamp", "I"), ("creator", "4s"), ("creator_version", "I"), ("creator_os", "4s"),
        ("original_size", "Q"), ("current_size", "Q"), ("cylinders", "H"), ("heads", "B"),
        ("spt", "B"), ("type", "I"), ("checksum", "I"), ("uuid", "16s"),
        ("saved_state", "B"), ("reserved", "427s"))
    DEFAULTS = {"cookie": COOKIE, "features": 2, "version": VERSION, "data_offset": NO_OFFSET,
                "creator": b"win ", "creator_version": 0x000A0000, "creator_os": b"Wi2k"}

    def chs_size(self):
        """Bytes of the geometry."""
        return self.cylinders * self.heads * self.spt * SECTOR

    def disk_size(self, rule="auto"):
        """Bytes that a guest sees, before the limits that the BAT sets.

        A geometry of nothing, or of more than the file claims to hold, does not
        count unless it is asked for.
        """
        geometry = (self.cylinders, self.heads, self.spt)
        by_chs = (self.creator in CHS_CREATORS and geometry != MAX_GEOMETRY
                  and 0 < self.chs_size() <= self.current_size)
        if rule == "chs" or (rule == "auto" and by_chs):
            return self.chs_size()
        return self.current_size // SECTOR * SECTOR


class Header(Record):
    """"Dynamic Disk Header Format"."""

    COOKIE = b"cxsparse"
    FIELDS = (
        ("cookie", "8s"), ("data_offset", "Q"), ("table_offset", "Q"), ("version", "I"),
        ("max_entries", "I"), ("block_size", "I"), ("checksum", "I"), ("parent_uuid", "16s"),
        ("parent_timestamp", "I"), ("reserved1", "I"), ("parent_name", "512s"),
        ("locators", "192s"), ("reserved2", "256s"))
    DEFAULTS = {"cookie": COOKIE, "data_offset": NO_OFFSET, "version": VERSION}

    def locator_list(self):
        """The eight locator slots."""
        return [Locator.unpack(self.locators[i * 24:]) for i in range(8)]

    def name(self):
        """The parent name, or None where it is not UTF-16BE."""
        try:
            return self.parent_name.decode("utf-16-be").split("\0")[0]
        except UnicodeDecodeError:
            return None


class Locator(Record):
    """"Parent Locator Entries"."""

    FIELDS = (("code", "I"), ("space", "I"), ("length", "I"), ("reserved", "I"), ("offset", "Q"))

    def space_bytes(self):
        """platform_data_space: sectors by the specification, bytes by nearly everybody."""
        return self.space * SECTOR if self.space < SECTOR else self.space


class Batmap(Record):
    """libvhd's record behind the BAT; not in the specification."""

    COOKIE = b"tdbatmap"
    FIELDS = (("cookie", "8s"), ("offset", "Q"), ("sectors", "I"), ("version", "I"),
              ("checksum", "I"), ("marker", "B"), ("reserved", "483s"))
    DEFAULTS = {"cookie": COOKIE, "version": 0x00010002}


def geometry(size):
    """Cylinders, heads and sectors per track by the appendix of the specification."""
    total = min(size // SECTOR, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        spt, heads = 255, 16
        tracks = total // spt
    else:
        spt = 17
        tracks = total // spt
        heads = max((tracks + 1023) // 1024, 4)
        if tracks >= heads * 1024 or heads > 16:
            spt, heads = 31, 16
            tracks = total // spt
        if tracks >= heads * 1024:
            spt, heads = 63, 16
            tracks = total // spt
    return tracks // heads, heads, spt


def bitmap_bytes(block_size):
    """Bytes of one block's sector bitmap: one bit a sector, whole sectors."""
    return align(block_size // SECTOR // 8 or 1, SECTOR)


def locator_text(locator, raw):
    """The path in a locator as written, or None if it does not decode."""
    encoding = {CODES["W2ru"]: "utf-16-le", CODES["W2ku"]: "utf-16-le",
                CODES["MacX"]: "utf-8"}.get(locator.code)
    try:
        return raw.decode(encoding) if encoding else None
    except UnicodeDecodeError:
        return None
