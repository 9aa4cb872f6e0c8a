# SPDX-License-Identifier: GPL-2.0
"""An independent validator: every structural rule for one VHD file.

Findings carry the names that `vhdctl check` uses, so that the two can be
compared; names that begin with "strict-" are rules for files that this
project's programs wrote, not rules of the format.
"""

import array
import os

from vhdread import Bad, find_footer
from vhdspec import (CODES, DIFFERENCING, FIXED, MAX_BLOCK, MAX_BLOCKS, MIN_BLOCK, SECTOR,
                     TYPE_NAMES, UNUSED, VERSION, Batmap, Header, align, bitmap_bytes,
                     geometry, locator_text)

UNSUPPORTED = {"poison", "footer-version", "header-version", "block-size-range",
               "too-many-blocks", "too-large", "short-footer"}
MAX_SPARSE = 2040 << 30


class Stop(Exception):
    """Nothing behind the last finding can be judged."""


class Validator:
    """Judges one file; `faults` collects the findings."""

    def __init__(self, path, strict=False, crashed=False):
        self.path, self.strict, self.crashed = path, strict, crashed
        self.faults = []
        self.misaligned = self.leaked = 0
        self.used = []          # (start, end, what) of every known structure
        self.spare = []         # (start, end) of what locators reserve beyond their text
        self.blocks = []        # (start, block) of every entry that can be read

    def fault(self, name, text, block=None):
        """Note a finding."""
        entry = {"fault": name, "text": text}
        if block is not None:
            entry["block"] = block
        self.faults.append(entry)

    def stop(self, name, text):
        """Note a finding that makes the rest meaningless."""
        self.fault(name, text)
        raise Stop

    def run(self):
        """The report."""
        with open(self.path, "rb") as self.file:
            self.size = self.file.seek(0, os.SEEK_END)
            try:
                self._footers()
                if self.footer.type == FIXED:
                    self._fixed()
                else:
                    self._sparse()
            except Stop:
                pass
        names = {entry["fault"] for entry in self.faults}
        result = "leaks" if self.leaked else "clean"
        if names:
            result = "unsupported" if names <= UNSUPPORTED else "corrupt"
        return {"file": self.path, "result": result, "faults": self.faults,
                "leaked_bytes": self.leaked, "misaligned": self.misaligned}

    def _pread(self, offset, length):
        self.file.seek(offset)
        return self.file.read(length)

    def _footers(self):
        try:
            self.footer, self.where = find_footer(self.file, self.size)
        except Bad as bad:
            self.stop(bad.fault, "no footer that can be trusted")
        self.limit = {"end": self.size - 512, "short": self.size - 511,
                      "copy": self.size}[self.where]
        footer = self.footer
        if footer.version >> 16 != VERSION >> 16:
            self.stop("footer-version", f"version {footer.version:#x}")
        if footer.type not in TYPE_NAMES:
            self.stop("footer-type", f"type {footer.type}")
        if self.where == "short":
            self.fault("short-footer", "footer of 511 bytes")
        if footer.type != FIXED:
            self._compare_copies()
        if not footer.disk_size():
            self.stop("footer-size", "empty disk")

    def _compare_copies(self):
        if self.where == "copy":
            self.fault("footer-end-missing", "only the copy at 0 is right")
            return
        length = 511 if self.where == "short" else 512
        if self._pread(0, length) != self._pread(self.limit, length):
            self.fault("footer-copy", "the copy at 0 is not the footer")

    def _fixed(self):
        if self.footer.disk_size() > self.limit:
            self.fault("footer-size", "the disk does not fit into the file")
        if self.strict:
            self._strict_footer()

    def _sparse(self):
        self._header()
        self._metadata()
        if self.footer.type == DIFFERENCING:
            self._locators()
        self._batmap()
        self._table()
        self._overlaps()
        self._leaks()
        if self.strict:
            self._strict()

    def _header(self):
        at = self.footer.data_offset
        if at % SECTOR or at < SECTOR or at + Header.SIZE > self.limit:
            self.stop("footer-data-offset", f"header at {at:#x}")
        raw = self._pread(at, Header.SIZE)
        if not raw.startswith(Header.COOKIE):
            self.stop("header-cookie", "no header there")
        if not Header.sum_is_right(raw):
            self.stop("header-checksum", "header checksum")
        self.header = header = Header.unpack(raw)
        if header.version >> 16 != VERSION >> 16:
            self.stop("header-version", f"version {header.version:#x}")
        self._block_size(header.block_size)
        self.need = -(-self.footer.disk_size() // header.block_size)
        if self.need > header.max_entries:
            self.stop("header-entries", f"{header.max_entries} entries, {self.need} needed")
        if self.footer.disk_size() > MAX_SPARSE:
            self.stop("too-large", "more than 2040 GiB")
        if self.need > MAX_BLOCKS:
            self.stop("too-many-blocks", f"{self.need} blocks")

    def _block_size(self, size):
        if size == 0 or size & (size - 1):
            self.stop("header-block-size", f"block size {size}")
        if not MIN_BLOCK <= size <= MAX_BLOCK:
            self.stop("block-size-range", f"block size {size}")
        self.bitmap_size = bitmap_bytes(size)

    def _metadata(self):
        at, header = self.footer.data_offset, self.header
        table = header.table_offset
        if table % SECTOR:
            self.stop("header-table-offset", f"BAT at {table:#x}")
        self.table_end = table + align(4 * header.max_entries, SECTOR)
        if self.table_end > self.limit:
            self.stop("bat-truncated", f"BAT ends at {self.table_end:#x}")
        self.used = [(0, 512, "footer copy"), (at, at + 1024, "header"),
                     (table, self.table_end, "BAT")]
        parts = sorted(self.used)
        for one, two in zip(parts, parts[1:]):
            if one[1] > two[0]:
                self.stop("metadata-overlap", f"{one[2]} and {two[2]}")

    def _locators(self):
        known = set(CODES.values())
        for slot, locator in enumerate(self.header.locator_list()):
            if locator.code not in known:
                self.fault("locator-code", f"slot {slot}: code {locator.code:#x}")
            elif locator.code:
                self._locator(slot, locator)

    def _locator(self, slot, locator):
        end = locator.offset + max(locator.length, locator.space_bytes())
        if locator.offset + locator.length > self.limit or not locator.length:
            place = f"{locator.length} bytes at {locator.offset:#x}"
            self.fault("locator-range", f"slot {slot}: {place}")
            return
        for start, stop, what in self.used:
            if locator.offset < stop and start < locator.offset + locator.length:
                self.fault("locator-overlap", f"slot {slot} and {what}")
                return
        raw = self._pread(locator.offset, locator.length)
        if locator.code in (CODES["W2ru"], CODES["W2ku"], CODES["MacX"]):
            if locator_text(locator, raw) is None:
                self.fault("locator-text", f"slot {slot}")
        self.used.append((locator.offset, locator.offset + locator.length, f"locator {slot}"))
        self.spare.append((locator.offset, min(end, self.limit)))

    def _batmap(self):
        raw = self._pread(self.table_end, Batmap.SIZE)
        if len(raw) < Batmap.SIZE or not raw.startswith(Batmap.COOKIE):
            return
        batmap = Batmap.unpack(raw)
        end = batmap.offset + batmap.sectors * SECTOR
        if end > self.limit or batmap.sectors > MAX_BLOCKS // 8 // SECTOR:
            return
        if ~sum(self._pread(batmap.offset, end - batmap.offset)) & UNUSED == batmap.checksum:
            self.used += [(self.table_end, self.table_end + SECTOR, "batmap"),
                          (batmap.offset, end, "batmap bits")]

    def _table(self):
        self.bat = array.array("I", self._pread(self.header.table_offset, 4 * self.need))
        self.bat.byteswap()
        stride = self.bitmap_size + self.header.block_size
        for block, entry in enumerate(self.bat):
            if entry == UNUSED:
                continue
            start = entry * SECTOR
            if start + self.bitmap_size > self.limit:
                self.fault("bat-range", f"entry {entry:#x} is outside the file", block)
                continue
            if start + stride > self.limit:
                self.fault("block-cut", "runs into the footer or the end of the file", block)
            if (start + self.bitmap_size) % 4096:
                self.misaligned += 1
            self.blocks.append((start, block))

    def _overlaps(self):
        """One sweep over all structures in file order; each block at most one finding."""
        stride = self.bitmap_size + self.header.block_size
        sweep = sorted([(start, end, what, -1) for start, end, what in self.used] +
                       [(start, start + stride, "block", block) for start, block in self.blocks])
        reach, owner, owner_block = 0, "", -1
        for start, end, what, block in sweep:
            # Locators that share sectors with each other are no business of the table.
            if start < reach and max(block, owner_block) >= 0:
                fault = "bat-overlap" if min(block, owner_block) >= 0 else "bat-range"
                self.fault(fault, f"{what} and {owner} share sectors", max(block, owner_block))
            if end > reach:
                reach, owner, owner_block = end, what, block

    def _stored(self, start, end):
        """Bytes of [start, end) that take space in the file."""
        total = 0
        # Not the reader's descriptor: it would lose its place.
        descriptor = os.open(self.path, os.O_RDONLY)
        while start < end:
            try:
                data = os.lseek(descriptor, start, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(descriptor, data, os.SEEK_HOLE)
            total += max(0, min(hole, end) - data)
            start = hole
        os.close(descriptor)
        return total

    def _leaks(self):
        """Stored bytes that belong to nothing, where a block would fit.

        Of a block that was discarded no more than a page or two is left.
        """
        stride = self.bitmap_size + self.header.block_size
        spans = sorted([(start, end) for start, end, _ in self.used] + self.spare +
                       [(start, start + stride) for start, _ in self.blocks])
        reach = 0
        for start, end in [*spans, (self.limit, self.limit)]:
            if start - reach >= stride:
                stored = self._stored(reach, start)
                if stored > ((start - reach) // stride + 1) * 8192:
                    self.leaked += stored
            reach = max(reach, end)

    def _strict_footer(self):
        footer = self.footer
        if (footer.creator, footer.creator_version, footer.creator_os) != \
                (b"win ", 0x000A0000, b"Wi2k"):
            self.fault("strict-creator", "creator is not that of this project")
        if footer.features != 2:
            self.fault("strict-features", f"features {footer.features:#x}")
        if (footer.cylinders, footer.heads, footer.spt) != geometry(footer.current_size):
            self.fault("strict-geometry", "not the geometry of the specification")
        if footer.uuid == bytes(16):
            self.fault("strict-id", "null unique id")
        if any(footer.reserved):
            self.fault("strict-reserved", "reserved bytes in use")

    def _strict(self):
        self._strict_footer()
        if self.where != "end":
            self.fault("strict-footer", "no footer at the end")
        if self.size % 4096:
            self.fault("strict-eof", f"file size {self.size} is not a multiple of 4 KiB")
        if self.header.table_offset % 4096:
            self.fault("strict-bat-place", "BAT is not on a 4 KiB boundary")
        if self.misaligned:
            self.fault("strict-alignment", f"{self.misaligned} blocks are not on 4 KiB")
        end = self.header.table_offset + 4 * self.need
        if self._pread(end, -end % 4096).strip(b"\xff"):
            self.fault("strict-padding", "BAT padding is not 0xFF")
        if any(start > self.header.table_offset for start, _, what in self.used
               if what.startswith("locator")):
            self.fault("strict-locator-place", "a locator lies behind the BAT")
        if not self.crashed:
            for start, block in self.blocks:
                self._clear_sectors(start, block)

    def _clear_sectors(self, start, block):
        """What no bit claims must read as zero, for programs that ignore bitmaps."""
        bits = self._pread(start, self.bitmap_size)
        if bits.count(255) * 8 * SECTOR >= self.header.block_size:
            return
        data = self._pread(start + self.bitmap_size, self.header.block_size)
        past = self.footer.disk_size() - block * self.header.block_size
        for at in range(0, min(len(data), past), SECTOR):
            sector = at // SECTOR
            if not bits[sector // 8] & (0x80 >> sector % 8) and any(data[at:at + SECTOR]):
                self.fault("strict-stale", f"data under the clear bit {sector}", block)
                return


def validate(path, strict=False, crashed=False):
    """Report on one file; result is clean, leaks, unsupported or corrupt."""
    return Validator(path, strict, crashed).run()
