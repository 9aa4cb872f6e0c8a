# SPDX-License-Identifier: GPL-2.0
"""What a command did to the files of a folder, by recorder.c, and how to play it again."""

import os
import signal
import struct
import subprocess
from dataclasses import dataclass

HEAD = struct.Struct("=IIQQQ")
SECTOR = 512
SECONDS = 600
(WRITE, ZERO, GROW, SIZE, SYNC, SYNC_DIR, LINK, RENAME, UNLINK, UNKNOWN) = range(1, 11)
NAMING = {LINK, RENAME, UNLINK}


class Lost(Exception):
    """The recording does not lead to the files that are there."""


@dataclass(frozen=True)
class Change:
    """One record: a change, or what makes changes durable."""
    kind: int
    ino: int
    pos: int = 0
    length: int = 0
    data: bytes = b""

    def names(self):
        """The two names of a change to a directory; base names, there is one folder."""
        return [os.path.basename(name.decode()) for name in self.data.split(b"\0")[:2]]


class Files:
    """A folder: names of inodes, and what is in them. Holes are zeros."""

    def __init__(self):
        self.names, self.inodes, self.times = {}, {}, {}

    @classmethod
    def load(cls, folder):
        """All regular files of a folder."""
        files = cls()
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            stat = os.stat(path)
            files.names[name] = stat.st_ino
            files.times[stat.st_ino] = (stat.st_atime_ns, stat.st_mtime_ns)
            with open(path, "rb") as file:
                files.inodes[stat.st_ino] = bytearray(file.read())
        return files

    def copy(self, inodes=None):
        """One that may be changed; only these inodes, if they are named."""
        other = Files()
        other.names, other.times = dict(self.names), self.times
        other.inodes = {ino: data if inodes is not None and ino not in inodes else
                        bytearray(data) for ino, data in self.inodes.items()}
        return other

    def store(self, folder, fresh=False):
        """Write them; unless `fresh`, a file that is there and the same is left alone."""
        for name in os.listdir(folder):
            if name not in self.names:
                os.unlink(os.path.join(folder, name))
        for name, ino in self.names.items():
            path, data = os.path.join(folder, name), self.inodes.get(ino, b"")
            if fresh or not os.path.exists(path) or read_file(path) != data:
                with open(path, "wb") as file:
                    file.write(data)
            os.utime(path, ns=self.times.get(ino, (0, 1600000000000000000)))

    def visible(self):
        """What somebody finds: name -> bytes."""
        return {name: self.inodes.get(ino, b"") for name, ino in self.names.items()}

    def apply(self, change):
        """Let a change, or a part of one, happen."""
        if change.kind in NAMING:
            self._rename(change)
            return
        data = self.inodes.setdefault(change.ino, bytearray())
        end = change.pos + change.length
        if change.kind == SIZE:
            del data[change.length:]
            data.extend(bytes(change.length - len(data)))
        elif change.kind == GROW:
            data.extend(bytes(max(0, end - len(data))))
        elif change.kind == WRITE:
            data.extend(bytes(max(0, change.pos - len(data))))
            data[change.pos:end] = change.data
        elif change.kind == ZERO:
            end = min(end, len(data))
            data[change.pos:end] = bytes(max(0, end - change.pos))

    def _rename(self, change):
        old, new = change.names()
        if change.kind != LINK:
            self.names.pop(old, None)
        if change.kind != UNLINK:
            self.names[new] = change.ino


def read_file(path):
    """All bytes of it."""
    with open(path, "rb") as file:
        return file.read()


def parse(log):
    """The changes of a log."""
    changes, at = [], 0
    while at < len(log):
        kind, count, ino, pos, length = HEAD.unpack_from(log, at)
        at += HEAD.size + count
        changes.append(Change(kind, ino, pos, length, log[at - count:at]))
    return changes


class Recorder:
    """Runs commands under the library."""

    def __init__(self, library, work):
        self.library, self.log = library, os.path.join(work, "recorder.log")

    def run(self, argv, **settings):
        """Run a command; (exit code, what it said)."""
        env = {**os.environ, "LD_PRELOAD": self.library, **settings}
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        return done.returncode, done.stdout.decode(errors="replace")

    def record(self, argv, folder):
        """Run it to its end; (files before, changes). Raises Lost if it fails or hides one."""
        if os.path.exists(self.log):
            os.unlink(self.log)
        before = Files.load(folder)
        code, said = self.run(argv, RECORDER_LOG=self.log)
        if code:
            raise Lost(f"{argv}: exit code {code}: {said}")
        changes = parse(read_file(self.log))
        after = before.copy()
        for change in changes:
            if change.kind == UNKNOWN:
                raise Lost(f"{argv}: a change that is not understood: {change}")
            if change.kind == SYNC and change.pos:
                raise Lost(f"{argv}: a barrier while {change.pos} I/Os are under way")
            if change.kind not in (SYNC, SYNC_DIR):
                after.apply(change)
        if after.visible() != Files.load(folder).visible():
            raise Lost(f"{argv}: played again, the recording leads to other files")
        return before, changes

    def kill(self, argv, number, part):
        """Run it until it dies in that change; (whether it was killed, exit code, what it said)."""
        code, said = self.run(argv, RECORDER_KILL=f"{number},{part}")
        return code == -signal.SIGKILL, code, said
