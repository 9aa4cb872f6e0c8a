# SPDX-License-Identifier: GPL-2.0
"""Put a file into the root directory of an empty exFAT: no other program here can.

usage: exfat.py DISK FILE
"""

import os
import struct
import sys


def checksum(data, skip=()):
    """Rotate right and add, as for sets of directory entries and for names."""
    total = 0
    for i, byte in enumerate(data):
        if i not in skip:
            total = ((total >> 1 | (total & 1) << 15) + byte) & 0xffff
    return total


def file_entries(name, size, cluster):
    """The directory entries of a file without a FAT chain, whose name is short."""
    unicode = name.encode("utf-16-le")
    date = (2020 - 1980) << 25 | 1 << 21 | 1 << 16
    file = struct.pack("<BBHHHIII12x", 0x85, 2, 0, 0x20, 0, date, date, date)
    stream = struct.pack("<BBBBHHQIIQ", 0xc0, 3, 0, len(name),
                         checksum(name.upper().encode("utf-16-le")), 0, size, 0, cluster, size)
    names = struct.pack("<BB30s", 0xc1, 0, unicode)
    whole = file + stream + names
    return whole[:2] + struct.pack("<H", checksum(whole, (2, 3))) + whole[4:]


class Disk:
    """What the boot sector says, and the root directory, which fits into its cluster."""

    def __init__(self, disk):
        self.disk = disk
        boot = os.pread(disk, 512, 0)
        heap, self.clusters, self.root = struct.unpack_from("<III", boot, 88)
        self.heap = heap << boot[108]
        self.size = 1 << boot[108] + boot[109]

    def offset(self, cluster):
        return self.heap + (cluster - 2) * self.size

    def put(self, name, data):
        """Everything there is lies at the beginning: the file comes behind it."""
        entries = os.pread(self.disk, self.size, self.offset(self.root))
        end = next(i for i in range(0, self.size, 32) if not entries[i])
        at, length = next(struct.unpack_from("<20xIQ", entries, i)
                          for i in range(0, end, 32) if entries[i] == 0x81)
        bitmap = int.from_bytes(os.pread(self.disk, length, self.offset(at)), "little")
        first, count = bitmap.bit_length(), -(-len(data) // self.size)
        if first + count > self.clusters:
            sys.exit("exfat.py: no room")
        bitmap |= (1 << count) - 1 << first
        os.pwrite(self.disk, data, self.offset(first + 2))
        os.pwrite(self.disk, bitmap.to_bytes(length, "little"), self.offset(at))
        os.pwrite(self.disk, file_entries(name, len(data), first + 2),
                  self.offset(self.root) + end)


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as source:
        Disk(os.open(sys.argv[1], os.O_RDWR)).put(os.path.basename(sys.argv[2]), source.read())
