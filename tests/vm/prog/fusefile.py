#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A file system of one file that fails as it is told to.

usage: fusefile.py FILE MOUNTPOINT CONTROL

The file MOUNTPOINT/file holds what FILE does. CONTROL may say "fsync 95": fsync fails
with that errno; or "write 5 512": writes of that many bytes do. It ends when it is
unmounted.
"""

import errno
import os
import stat
import struct
import subprocess
import sys
import time

# Of the protocol, which linux/fuse.h describes.
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 1, 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, BATCH_FORGET = 18, 20, 25, 26, 36, 42
HEADER = struct.Struct("<IIQQIIII")
REPLY = struct.Struct("<IiQ")
ATTR = struct.Struct("<6Q10I")
TRANSFER = struct.Struct("<QQIIQII")
ROOT, FILE = 1, 2
FATTR_SIZE = 8
DIRECT_IO = 1
MAX_WRITE = 128 << 10


class Server:
    """Answers the kernel, one request after the other."""

    def __init__(self, path, mountpoint, control):
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        self.file = os.open(path, os.O_RDWR)
        self.control = control
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0"
        subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "fusefile", mountpoint],
                       check=True, pass_fds=(self.fd,))

    def fails(self, what, size=0):
        """The errno that the control file asks for, or 0."""
        with open(self.control, encoding="ascii") as f:
            words = f.read().split()
        if words[:1] != [what] or (len(words) > 2 and int(words[2]) != size):
            return 0
        return int(words[1])

    def attr(self, node):
        """Of the root or the file."""
        st = os.fstat(self.file)
        mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o644
        now = int(time.time())
        return ATTR.pack(node, st.st_size, st.st_blocks, now, now, now, 0, 0, 0, mode, 1,
                         0, 0, 0, 4096, 0)

    def lookup(self, _node, body):
        """There is one name."""
        if body.rstrip(b"\0") != b"file":
            return errno.ENOENT, b""
        return 0, struct.pack("<4Q2I", FILE, 0, 0, 0, 0, 0) + self.attr(FILE)

    def getattr(self, node, _body):
        """Never cached."""
        return 0, struct.pack("<Q2I", 0, 0, 0) + self.attr(node)

    def setattr(self, node, body):
        """Of the size only."""
        valid, size = struct.unpack_from("<I12xQ", body)
        if valid & FATTR_SIZE:
            os.ftruncate(self.file, size)
        return self.getattr(node, body)

    def open(self, _node, _body):
        """Past the page cache."""
        return 0, struct.pack("<QII", 0, DIRECT_IO, 0)

    def read(self, _node, body):
        """As much as there is."""
        _, pos, size, *_ = TRANSFER.unpack_from(body)
        return 0, os.pread(self.file, size, pos)

    def write(self, _node, body):
        """All of it, or nothing."""
        _, pos, size, *_ = TRANSFER.unpack_from(body)
        err = self.fails("write", size)
        if err:
            return err, b""
        data = body[TRANSFER.size:TRANSFER.size + size]
        return 0, struct.pack("<II", os.pwrite(self.file, data, pos), 0)

    def statfs(self, _node, _body):
        """Of room there is enough."""
        return 0, struct.pack("<5Q10I", 1 << 20, 1 << 19, 1 << 19, 2, 0, 4096, 255, 4096,
                              *[0] * 7)

    def fsync(self, _node, _body):
        """Nothing to do: the kernel that asks is not the one that could crash."""
        return self.fails("fsync"), b""

    def nothing(self, _node, _body):
        """Done."""
        return 0, b""

    def init(self, _node, body):
        """Version 7.31, and none of its features."""
        major, _, ahead = struct.unpack_from("<3I", body)
        return 0, struct.pack("<4IHH2IHHI28x", major, 31, ahead, 0, 16, 12, MAX_WRITE, 1,
                              0, 0, 0)

    def serve(self):
        """Until it is unmounted."""
        calls = {INIT: self.init, LOOKUP: self.lookup, GETATTR: self.getattr,
                 SETATTR: self.setattr, OPEN: self.open, READ: self.read,
                 WRITE: self.write, STATFS: self.statfs, FSYNC: self.fsync,
                 RELEASE: self.nothing, FLUSH: self.nothing}
        while True:
            try:
                request = os.read(self.fd, MAX_WRITE + 4096)
            except OSError as e:
                if e.errno == errno.ENODEV:
                    return
                if e.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            _, opcode, unique, node, *_ = HEADER.unpack_from(request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            err, data = errno.ENOSYS, b""
            if opcode in calls:
                err, data = calls[opcode](node, request[HEADER.size:])
            os.write(self.fd, REPLY.pack(REPLY.size + len(data), -err, unique) + data)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    Server(*sys.argv[1:]).serve()
