# SPDX-License-Identifier: GPL-2.0
"""Reads VHD chains: what a guest must see, worked out the slow and plain way."""

import array
import hashlib
import os
import re
import sys

from vhdspec import (DIFFERENCING, FIXED, SECTOR, TYPE_NAMES, UNUSED, Footer, Header,
                     bitmap_bytes)

ZEROS = bytes(1 << 20)
BAD = -1                        # in place of a file offset: the BAT entry leads nowhere
BIT_RUNS = re.compile("1+|0+")
NULL_UUID = bytes(16)


class Bad(Exception):
    """The file cannot be read as a VHD; `fault` names the rule it breaks."""

    def __init__(self, fault, text=""):
        super().__init__(text or fault)
        self.fault = fault


class NoParent(Exception):
    """A parent is missing."""


def find_footer(file, size):
    """The footer that counts as (footer, where); where is end, short or copy."""
    if size < SECTOR - 1:
        raise Bad("too-small")
    candidates = []
    if size % SECTOR == SECTOR - 1:
        candidates.append(("short", size - SECTOR + 1, SECTOR - 1))
    if size >= SECTOR:
        candidates += [("end", size - SECTOR, SECTOR), ("copy", 0, SECTOR)]
    cookie_seen = False
    for where, offset, length in candidates:
        file.seek(offset)
        raw = file.read(length).ljust(SECTOR, b"\0")
        if where != "copy" and raw.startswith(Footer.POISON):
            raise Bad("poison")
        if raw.startswith(Footer.COOKIE):
            cookie_seen = True
            if Footer.sum_is_right(raw):
                return Footer.unpack(raw), where
    raise Bad("footer-checksum" if cookie_seen else "no-footer")


class Image:
    """One VHD file, open for reading."""

    def __init__(self, path, rule="auto"):
        self.path = path
        self.file = open(path, "rb")
        self.file_size = self.file.seek(0, os.SEEK_END)
        self.footer, self.where = find_footer(self.file, self.file_size)
        self.kind = TYPE_NAMES.get(self.footer.type)
        if not self.kind:
            raise Bad("footer-type")
        # Behind this byte there is no block data.
        self.limit = {"end": self.file_size - 512, "short": self.file_size - 511,
                      "copy": self.file_size}[self.where]
        self.header, self.bat, self.block_size = None, None, 0
        self.size = self.footer.disk_size(rule)
        if self.footer.type != FIXED:
            self._load_table()
        elif self.size > self.limit:
            raise Bad("footer-size")

    def close(self):
        """Close the file."""
        self.file.close()

    def _load_table(self):
        self.header = Header.unpack(self.pread(self.footer.data_offset, Header.SIZE))
        self.block_size = self.header.block_size
        if not self.block_size or self.block_size & (self.block_size - 1):
            raise Bad("header-block-size")
        self.bitmap_size = bitmap_bytes(self.block_size)
        self.size = min(self.size, self.header.max_entries * self.block_size)
        count = -(-self.size // self.block_size)
        self.bat = array.array("I", self.pread(self.header.table_offset, 4 * count))
        self.bat.byteswap()

    def pread(self, offset, length):
        """Exactly `length` bytes; past the end of the file zeros."""
        if offset > 1 << 62:
            return bytes(length)
        self.file.seek(offset)
        return self.file.read(length).ljust(length, b"\0")

    def name(self):
        """The base name of the file."""
        return os.path.basename(self.path)

    def is_raw_parented(self):
        """Whether this is tapdisk's child of a raw file."""
        return self.footer.type == DIFFERENCING and self.header.parent_uuid == NULL_UUID

    def block_runs(self, block, first, last):
        """Yields (first, end, file offset or None) for the bytes [first, last) of one block."""
        start = block * self.block_size
        at = self.bat[block] * SECTOR
        if at + self.bitmap_size > self.limit:
            yield first, last, BAD
            return
        data = at + self.bitmap_size - start
        raw = self.pread(at, self.bitmap_size)
        bits = bin(int.from_bytes(b"\x01" + raw, "big"))[3:]
        low, high = (first - start) // SECTOR, (last - start + SECTOR - 1) // SECTOR
        for match in BIT_RUNS.finditer(bits, low, high):
            begin = max(start + match.start() * SECTOR, first)
            end = min(start + match.end() * SECTOR, last)
            yield begin, end, data + begin if bits[match.start()] == "1" else None

    def runs(self, first, last):
        """Yields (first, end, file offset or None) for the bytes [first, last) of the disk."""
        if self.bat is None:
            yield first, last, first
            return
        while first < last:
            block = first // self.block_size
            if self.bat[block] != UNUSED:
                end = min((block + 1) * self.block_size, last)
                yield from self.block_runs(block, first, end)
            else:
                end_block = -(-last // self.block_size)
                while block < end_block and self.bat[block] == UNUSED:
                    block += 1
                end = min(block * self.block_size, last)
                yield first, end, None
            first = end


class Raw:
    """A file whose bytes are the disk."""

    kind, where = "raw", "end"

    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb")
        self.limit = self.file_size = self.file.seek(0, os.SEEK_END)
        self.size = self.file_size // SECTOR * SECTOR

    close = Image.close
    pread = Image.pread
    name = Image.name

    def runs(self, first, last):
        """One run."""
        yield first, last, first


class Chain:
    """A leaf and its parents, leaf first."""

    def __init__(self, layers):
        self.layers = layers
        self.size = layers[0].size

    def close(self):
        """Close all files."""
        for layer in self.layers:
            layer.close()

    def owners(self, first=0, last=None):
        """Sorted (first, end, layer index or None, file offset) covering [first, last)."""
        todo = [(first, self.size if last is None else min(last, self.size))]
        found = []
        for index, layer in enumerate(self.layers):
            below = []
            for begin, end in todo:
                inside = min(end, layer.size)
                if inside < end:
                    found.append((max(begin, inside), end, None, None))
                if begin >= inside:
                    continue
                for start, stop, offset in layer.runs(begin, inside):
                    if offset is None:
                        below.append((start, stop))
                    else:
                        found.append((start, stop, index, offset))
            todo = below
        found += [(begin, end, None, None) for begin, end in todo]
        return sorted(found)

    def pieces(self, first=0, last=None):
        """Yields the bytes as (offset, length, bytes or None for zeros), at most 1 MiB each."""
        for begin, end, index, offset in self.owners(first, last):
            if index is None:
                yield begin, end - begin, None
                continue
            layer = self.layers[index]
            if offset == BAD:
                raise Bad("bat-range", f"{layer.path}: the block at {begin} is outside the file")
            for at in range(begin, end, len(ZEROS)):
                length = min(len(ZEROS), end - at)
                there = offset + at - begin
                # A block cut by the footer or the end of the file reads as zeros there.
                whole = layer.pread(there, max(0, min(length, layer.limit - there)))
                yield at, length, whole.ljust(length, b"\0")

    def read(self, first, length):
        """Bytes of the disk."""
        return b"".join(data if data is not None else bytes(count)
                        for _, count, data in self.pieces(first, first + length))

    def sha256(self, progress=False):
        """Hash of the whole disk; with `progress` a line for each 16 GiB."""
        digest = hashlib.sha256()
        mark = 16 << 30
        for offset, length, data in self.pieces():
            if data is not None:
                digest.update(data)
            else:
                for at in range(0, length, len(ZEROS)):
                    digest.update(memoryview(ZEROS)[:length - at])
                    if progress and (offset + at) % mark == 0:
                        print(f"{(offset + at) >> 30} GiB", file=sys.stderr)
        return digest.hexdigest()

    def write_raw(self, path):
        """The whole disk as a sparse raw file."""
        with open(path, "wb") as out:
            for offset, _, data in self.pieces():
                if data is not None and data.strip(b"\0"):
                    out.seek(offset)
                    out.write(data)
            out.truncate(self.size)

    def map(self):
        """Runs as `vhdctl map --json` lists them: neighbours of one owner are merged."""
        runs = []
        for begin, end, index, offset in self.owners():
            run = {"start": begin, "length": end - begin, "type": "zero"}
            if index is not None:
                run.update(type="bad" if offset == BAD else "data", layer=index,
                           file=self.layers[index].path, offset=offset)
            same = runs and [runs[-1].get(key) == run.get(key) for key in ("type", "layer")]
            if same and all(same):
                runs[-1]["length"] += end - begin
            else:
                runs.append(run)
        return {"size": self.size, "runs": runs}


def footer_id(path):
    """Unique id of a VHD file, None of any other file."""
    with open(path, "rb") as file:
        try:
            return find_footer(file, file.seek(0, os.SEEK_END))[0].uuid
        except Bad:
            return None


def uuid_index(paths):
    """unique id -> first file that has it; the key None holds the first raw file."""
    index = {}
    for path in paths:
        if os.path.isfile(path):
            index.setdefault(footer_id(path), path)
    return index


def siblings(path):
    """The files beside one."""
    folder = os.path.dirname(os.path.abspath(path))
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def open_chain(path, parents=(), rule="auto"):
    """Open a leaf and its parents, which are found by id among `parents`, then beside the leaf.

    Only a file among `parents` may stand for tapdisk's raw parent.
    """
    layers = [Image(path, rule)]
    named, beside = uuid_index(parents), None
    while layers[-1].kind == TYPE_NAMES[DIFFERENCING]:
        child = layers[-1]
        wanted = child.header.parent_uuid
        found = named.get(None if child.is_raw_parented() else wanted)
        if not found and not child.is_raw_parented():
            beside = uuid_index(siblings(path)) if beside is None else beside
            found = beside.get(wanted)
        if not found:
            raise NoParent(f"{child.path}: no file with the id {wanted.hex()} "
                           f"({child.header.name()})")
        layers.append(Raw(found) if child.is_raw_parented() else Image(found))
        if len(layers) > 255:
            raise NoParent(f"{path}: more than 255 layers")
    return Chain(layers)


def merged_owners(runs):
    """(start, length, type, layer) with neighbours of one owner merged, for comparing maps."""
    out = []
    for run in runs:
        owner = (run["type"], run.get("layer") if run["type"] == "data" else None)
        if out and out[-1][2:] == owner and out[-1][0] + out[-1][1] == run["start"]:
            out[-1] = (out[-1][0], out[-1][1] + run["length"], *owner)
        else:
            out.append((run["start"], run["length"], *owner))
    return out
