# SPDX-License-Identifier: GPL-2.0
"""Writes one VHD file from a description, with every liberty that real writers take.

A layer is a dict (see LAYER and LAYOUT for its keys). Its content is a list of
runs [first sector, sectors, kind]; kind "name" fills each sector with its own
number and origin, so that a misread sector says where it came from, and kind
"zero" writes zeros that hide the parent's data.
"""

import os
import struct

from vhdspec import (CODES, DIFFERENCING, DYNAMIC, FIXED, NO_OFFSET, SECTOR, UNUSED, Batmap,
                     Footer, Header, Locator, align, bitmap_bytes, geometry)

TYPES = {"fixed": FIXED, "dynamic": DYNAMIC, "differencing": DIFFERENCING}

LAYER = {
    "type": "dynamic", "size": 16 << 20, "block": 2 << 20, "index": 0, "runs": (),
    "uuid": None, "timestamp": 0x2C000000, "creator": "win ", "creator_version": 0x000A0000,
    "os": "Wi2k", "features": 2, "original_size": None, "geometry": None, "saved_state": 0,
    "reserved": "", "parent_uuid": None, "parent_timestamp": 0, "parent_name": "",
    "locators": (), "empty_blocks": (), "footer": "normal", "copy": "normal",
    # Bits set for written sectors only, or all bits of a dynamic image's blocks.
    "bitmap": "written",
    # 0xCC under clear bits, as tapdisk leaves on LVM.
    "stale": False,
    # Bits past the end of the disk.
    "tail_bits": 0,
}

LAYOUT = {
    # spec: behind the header; aligned: behind the locators on 4 KiB; end: behind the data.
    "bat": "aligned",
    "bat_pad": 0xFF, "surplus": 0, "batmap": False,
    # Bytes that the data of each block is aligned to.
    "data_align": 4096,
    # Sectors left free before each block; bytes left free before the footer.
    "gap": 0, "tail": 0,
    "order": "sequential",
    "eof_align": 4096,
}

# What `vhdctl create` writes (the rest are foreign writers, as far as their layout goes).
WRITERS = {
    "own": {},
    "hyper-v": {"creator_version": 0x00060003,
                "layout": {"bat": "aligned", "data_align": 4096, "eof_align": 4096}},
    "libvhd": {"creator": "tap\0", "creator_version": 0x00010003, "os": "\0\0\0\0",
               "layout": {"bat": "spec", "bat_pad": 0, "batmap": True, "eof_align": 512}},
    "qemu": {"creator": "qem2", "creator_version": 0x00050003, "bitmap": "full",
             "layout": {"bat": "spec", "data_align": 512, "eof_align": 512}},
    "disk2vhd": {"creator": "d2v ", "creator_version": 0x00010000, "features": 0,
                 "layout": {"bat": "spec", "data_align": 512, "eof_align": 512}},
    "simh": {"creator": "CTXS", "creator_version": 0x00010000,
             "layout": {"bat": "aligned", "gap": 8, "eof_align": 512}},
}


def named_sectors(layer, run, first, count):
    """`count` sectors, each telling its layer, run and number eight times."""
    origin = b"layer %03d run %05d sector " % (layer, run)
    return b"".join((origin + b"%010d" % sector).ljust(63, b" ").ljust(64, b"\n") * 8
                    for sector in range(first, first + count))


def payload(layer, run, kind, first, count):
    """Bytes of a part of a run."""
    if kind == "zero":
        return bytes(count * SECTOR)
    return named_sectors(layer, run, first, count)


def uuid_bytes(text):
    """16 bytes from hex with or without dashes; None is the null id."""
    return bytes.fromhex(text.replace("-", "")) if text else bytes(16)


def four(text):
    """Four bytes from a creator string."""
    return text.encode("latin-1").ljust(4, b"\0")


def locator_bytes(code, text):
    """How a locator of this kind stores a path."""
    if code in ("W2ru", "W2ku"):
        return text.encode("utf-16-le")
    return text.encode("utf-8")


class Writer:
    """One file under construction."""

    def __init__(self, path, layer, rng=None):
        self.spec = {**LAYER, **layer}
        self.layout = {**LAYOUT, **layer.get("layout", {})}
        self.rng = rng
        self.path = path
        self.size = self.spec["size"]
        self.block = self.spec["block"]
        self.bat = []
        self.sparse = self.spec["type"] not in ("fixed", "raw")

    def write(self):
        """Make the file; returns its description for the manifest."""
        self.file = open(self.path, "w+b")
        with self.file:
            if self.sparse:
                self._write_sparse()
            else:
                self._write_flat()
            end = self.file.seek(0, os.SEEK_END)
        used = sum(entry != UNUSED for entry in self.bat)
        return {"file": os.path.basename(self.path), "type": self.spec["type"],
                "size": self.size, "file_size": end, "id": uuid_text(self.spec["uuid"]),
                "block_size": self.block if self.sparse else 0, "creator": self.spec["creator"],
                "allocated": used, "blocks": len(self.bat)}

    def _put(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)

    def _write_flat(self):
        for number, (first, count, kind) in enumerate(self.spec["runs"]):
            if kind != "zero":
                self._put(first * SECTOR, payload(self.spec["index"], number, kind, first, count))
        self.file.truncate(self.size)
        if self.spec["type"] == "fixed":
            self._put_end_footer(align(self.size, SECTOR), self.footer())

    def footer(self):
        """The sealed footer."""
        spec = self.spec
        cylinders, heads, spt = spec["geometry"] or geometry(self.size)
        original = self.size if spec["original_size"] is None else spec["original_size"]
        return Footer(
            features=spec["features"], data_offset=512 if self.sparse else NO_OFFSET,
            timestamp=spec["timestamp"], creator=four(spec["creator"]),
            creator_version=spec["creator_version"], creator_os=four(spec["os"]),
            original_size=original, current_size=self.size, cylinders=cylinders, heads=heads,
            spt=spt, type=TYPES[spec["type"]], uuid=uuid_bytes(spec["uuid"]),
            saved_state=spec["saved_state"], reserved=bytes.fromhex(spec["reserved"])).sealed()

    def _put_end_footer(self, offset, footer):
        variant = self.spec["footer"]
        if variant == "missing":
            self.file.truncate(offset)
            return
        # Programs older than the specification left out the last reserved byte.
        self._put(offset, footer[:511] if variant == "short" else footer)

    def _write_sparse(self):
        self.bat = [UNUSED] * -(-self.size // self.block)
        self._split_runs()
        at = 1536
        if self.layout["bat"] == "spec":
            at = self._place_bat(at)
        at = self._place_locators(at)
        if self.layout["bat"] == "aligned":
            at = self._place_bat(align(at, 4096))
        at = self._write_blocks(at)
        if self.layout["bat"] == "end":
            at = self._place_bat(align(at, SECTOR))
        self._write_header()
        self._write_bat()
        self._finish(at)

    def _finish(self, at):
        footer = self.footer()
        at = align(at + self.layout["tail"], SECTOR)
        # The footer is the last sector of the last unit.
        at = align(at + SECTOR, self.layout["eof_align"]) - SECTOR
        self.file.truncate(at)
        self._put_end_footer(at, footer)
        if self.spec["copy"] == "normal":
            self._put(0, footer)

    def _split_runs(self):
        """block -> its parts of runs."""
        self.parts = {block: [] for block in self.spec["empty_blocks"]}
        per_block = self.block // SECTOR
        for number, (first, count, kind) in enumerate(self.spec["runs"]):
            end = first + count
            while first < end:
                block = first // per_block
                part = min(end, (block + 1) * per_block) - first
                self.parts.setdefault(block, []).append((first, part, kind, number))
                first += part

    def _place_bat(self, at):
        self.bat_at = at
        self.entries = len(self.bat) + self.layout["surplus"]
        at += align(4 * self.entries, SECTOR)
        if self.layout["bat"] == "aligned":
            at = align(at, 4096)
        if self.layout["batmap"]:
            self.batmap_at = at
            self.batmap_sectors = -(-self.entries // (8 * SECTOR))
            at += SECTOR + self.batmap_sectors * SECTOR
        return at

    def _place_locators(self, at):
        self.slots = [Locator()] * 8
        for locator in self.spec["locators"]:
            data = locator_bytes(locator["code"], locator["text"])
            space = locator.get("space", align(len(data), SECTOR))
            self._put(at, data)
            unit = SECTOR if locator.get("unit") == "sectors" else 1
            self.slots[locator["slot"]] = Locator(code=CODES[locator["code"]], space=space // unit,
                                                  length=len(data), offset=at)
            at += align(space, SECTOR)
        return at

    def _write_header(self):
        spec = self.spec
        name = spec["parent_name"].encode("utf-16-be")
        header = Header(
            table_offset=self.bat_at, max_entries=self.entries, block_size=self.block,
            parent_uuid=uuid_bytes(spec["parent_uuid"]), parent_timestamp=spec["parent_timestamp"],
            parent_name=name[:510], locators=b"".join(slot.pack() for slot in self.slots))
        self._put(512, header.sealed())

    def _write_bat(self):
        table = struct.pack(f">{len(self.bat)}I", *self.bat)
        table += b"\xff" * (4 * self.layout["surplus"])
        end = align(len(table), SECTOR)
        if self.layout["bat"] == "aligned":
            end = align(end, 4096)
        self._put(self.bat_at, table.ljust(end, bytes([self.layout["bat_pad"]])))
        if self.layout["batmap"]:
            self._write_batmap()

    def _write_batmap(self):
        bits = bytearray(self.batmap_sectors * SECTOR)
        for block, full in self.full.items():
            if full:
                bits[block // 8] |= 0x80 >> block % 8
        head = Batmap(offset=self.batmap_at + SECTOR, sectors=self.batmap_sectors,
                      checksum=~sum(bits) & UNUSED)
        self._put(self.batmap_at, head.pack() + bits)

    def _write_blocks(self, at):
        order = sorted(self.parts)
        if self.layout["order"] == "reversed":
            order.reverse()
        elif self.layout["order"] == "shuffled":
            self.rng.shuffle(order)
        bitmap = bitmap_bytes(self.block)
        self.full = {}
        for block in order:
            at += self.layout["gap"] * SECTOR
            at = align(align(at, SECTOR) + bitmap, self.layout["data_align"]) - bitmap
            self.bat[block] = at // SECTOR
            self._write_block(block, at, bitmap)
            at += bitmap + self.block
        return at

    def _write_block(self, block, at, bitmap):
        count = self.block // SECTOR
        start = block * count
        bits = (1 << count) - 1 if self.spec["bitmap"] == "full" else 0
        past = max(0, (block + 1) * count - self.size // SECTOR)
        if self.spec["tail_bits"] and past:
            bits |= (1 << past) - 1
        if self.spec["stale"]:
            self._put(at + bitmap, b"\xcc" * self.block)
        for first, length, kind, number in self.parts[block]:
            bits |= ((1 << length) - 1) << (count - (first - start) - length)
            if kind != "zero" or self.spec["stale"]:
                data = payload(self.spec["index"], number, kind, first, length)
                self._put(at + bitmap + (first - start) * SECTOR, data)
        self.full[block] = bits == (1 << count) - 1
        # The first sector is the top bit; the rest of the last bitmap sector stays clear.
        raw = (bits << (-count % 8)).to_bytes(-(-count // 8), "big")
        self._put(at, raw.ljust(bitmap, b"\0"))


def uuid_text(text):
    """8-4-4-4-12 as uuid_unparse() prints it."""
    raw = uuid_bytes(text).hex()
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
