#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Who may tell the driver what, and which descriptors it takes.

usage: who.py commands WANTED INDEX FILE
           each command by whoever runs this; WANTED is ok or the name of an errno
       who.py sockets UID INDEX FILE
           sockets that change hands between root and UID: EPERM each time
       who.py descriptors LEAF CHILD PARENT
           every kind of descriptor in every place
       who.py passed UID rw:FILE|ro:FILE... -- COMMAND...
           COMMAND, with the files that UID opened as descriptors 20, 21, ...
"""

import ctypes
import errno
import os
import select
import socket
import struct
import sys

NETLINK_GENERIC = 16
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, DUMP = 1, 4, 0x300
CTRL, GETFAMILY, A_FAMILY_ID, A_FAMILY_NAME = 16, 3, 1, 2
ATTACH, DETACH, GET, SET = 1, 2, 3, 4
A_INDEX, A_JOB, A_FLAGS, A_NAME, A_LAYER = 1, 2, 3, 4, 6
A_EVENT, A_ERROR, A_TEXT = 10, 11, 14
A_LAYER_FD, A_LAYER_FLAGS = 1, 2
NESTED = 0x8000
READ_ONLY = 1
TIMEOUT = 300
BAD = 0


def check(text, got, wanted):
    """One counted result; wanted is a word or several."""
    global BAD                                     # pylint: disable=global-statement
    good = got in wanted.split()
    BAD += not good
    print(f"ok - {text}: {got}" if good else f"not ok - {text}: {got}, wanted {wanted}",
          flush=True)


def word(err):
    """0 or a negative errno as a word."""
    name = errno.errorcode.get(-err, str(err)) if err else "ok"
    return "EOPNOTSUPP" if name == "ENOTSUP" else name


def attr(kind, payload):
    """One attribute, padded."""
    data = struct.pack("=HH", len(payload) + 4, kind) + payload
    return data + bytes(-len(data) % 4)


def number(kind, value):
    """An attribute that is a number."""
    return attr(kind, struct.pack("=I", value & 0xffffffff))


def attributes(data):
    """The attributes of a message, the last of each kind."""
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:size]
        data = data[(max(size, 4) + 3) & ~3:]
    return found


def value_of(found, kind, form="=I"):
    """A number out of attributes(), 0 if it is not there."""
    return struct.unpack(form, found[kind])[0] if kind in found else 0


class Client:
    """Just enough of the netlink family to be refused."""

    def __init__(self, sock=None, connected=False):
        self.sock = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.settimeout(TIMEOUT)
        self.connected = connected
        if connected:
            self.sock.connect((0, 0))
        self.seq = 0
        self.events = []
        self.family = 0

    def messages(self):
        """What one datagram holds."""
        data = self.sock.recv(1 << 20)
        while len(data) >= 16:
            size, kind, _, seq, _ = struct.unpack_from("=IHHII", data)
            yield kind, seq, data[16:size]
            data = data[(size + 3) & ~3:]

    def call(self, cmd, attrs=b"", flags=ACK, family=None):
        """Send a request; its outcome and what was said besides."""
        self.seq += 1
        body = struct.pack("=BBH", cmd, 1, 0) + attrs
        data = struct.pack("=IHHII", len(body) + 16, family or self.family, REQUEST | flags,
                           self.seq, 0) + body
        if self.connected:
            self.sock.send(data)
        else:
            self.sock.sendto(data, (0, 0))
        replies = []
        while True:
            for kind, seq, payload in self.messages():
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    if seq == self.seq:
                        return struct.unpack_from("=i", payload)[0], replies
                elif seq == self.seq:
                    replies.append(attributes(payload[4:]))
                else:
                    self.events.append(attributes(payload[4:]))

    def open(self):
        """Find the family; the outcome."""
        err, replies = self.call(GETFAMILY, attr(A_FAMILY_NAME, b"vhdblk\0"), family=CTRL)
        for reply in replies:
            self.family = value_of(reply, A_FAMILY_ID, "=H")
        return err

    def outcome(self, job):
        """Wait for the end of a job."""
        while True:
            for event in self.events:
                if A_EVENT in event and value_of(event, A_JOB) == job:
                    return event
            for _, _, payload in self.messages():
                self.events.append(attributes(payload[4:]))

    def start(self, cmd, attrs):
        """Start a job and wait: errno, index, text."""
        err, replies = self.call(cmd, attrs)
        if err:
            return err, 0, ""
        event = self.outcome(value_of(replies[0], A_JOB))
        text = event.get(A_TEXT, b"").rstrip(b"\0").decode()
        return value_of(event, A_ERROR, "=i"), value_of(event, A_INDEX), text

    def attach(self, fds, flags=0):
        """Like start()."""
        layers = b"".join(attr(A_LAYER | NESTED, number(A_LAYER_FD, fd)) for fd in fds)
        return self.start(ATTACH, number(A_FLAGS, flags) + layers)

    def detach(self, index):
        """Like start()."""
        return self.start(DETACH, number(A_INDEX, index))


def each_command(client, index, path):
    """Name and outcome of every command; what it would do if it were allowed is harmless."""
    fd = os.open(path, os.O_RDONLY)
    layer = attr(A_LAYER | NESTED, number(A_LAYER_FD, fd))
    yield "get", client.call(GET, number(A_INDEX, index))[0]
    yield "get of a job", client.call(GET, number(A_JOB, 1))[0]
    yield "dump", client.call(GET, flags=DUMP)[0]
    yield "set", client.call(SET, number(A_INDEX, index) + attr(A_NAME, b"mine\0"))[0]
    yield "detach", client.call(DETACH, number(A_INDEX, index))[0]
    yield "attach", client.call(ATTACH, number(A_FLAGS, READ_ONLY) + layer)[0]
    os.close(fd)


def commands(wanted, index, path):
    """Each command over a socket of our own."""
    client = Client()
    err = client.open()
    if err:
        check("the family", word(err), wanted)
        return
    for name, err in each_command(client, int(index), path):
        check(name, word(err), wanted)


def sockets(uid, index, path):
    """Rights are the sender's, and without an address also those of whoever opened it."""
    known = Client()
    known.open()
    os.seteuid(int(uid))
    theirs = Client()
    os.seteuid(0)
    theirs.connected = True
    theirs.sock.connect((0, 0))
    theirs.family = known.family
    for name, err in each_command(theirs, int(index), path):
        check(f"root on a socket of {uid}: {name}", word(err), "EPERM")
    for connected in (False, True):
        ours = Client(connected=connected)
        ours.family = known.family
        os.seteuid(int(uid))
        for name, err in each_command(ours, int(index), path):
            how = "connected" if connected else "unconnected"
            check(f"{uid} on a {how} socket of root: {name}", word(err), "EPERM")
        os.seteuid(0)


def memfd(path=None, seal=False):
    """A file that has no name, perhaps with the contents of another."""
    fd = os.memfd_create("image", os.MFD_ALLOW_SEALING)
    if path:
        with open(path, "rb") as f:
            os.write(fd, f.read())
    if seal:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fcntl(fd, 1033, 0x8)                  # F_ADD_SEALS, F_SEAL_WRITE
    return fd


def closed():
    """A number that was a descriptor."""
    fd = os.dup(0)
    os.close(fd)
    return fd


def unlinked(path):
    """An image that no directory names any more."""
    copy = path + ".copy"
    with open(path, "rb") as f, open(copy, "wb") as g:
        g.write(f.read())
    fd = os.open(copy, os.O_RDWR)
    os.unlink(copy)
    return fd


def strange(client):
    """What is no disk image at all, and what opening it as one says."""
    os.mkfifo("/tmp/who.fifo")
    epoll = select.epoll()
    yield "a directory", os.open("/tmp", os.O_RDONLY), "EOPNOTSUPP"
    yield "a FIFO", os.open("/tmp/who.fifo", os.O_RDWR), "EOPNOTSUPP"
    yield "a pipe", os.pipe()[0], "EOPNOTSUPP"
    yield "/dev/null", os.open("/dev/null", os.O_RDWR), "EOPNOTSUPP"
    yield "/dev/zero", os.open("/dev/zero", os.O_RDWR), "EOPNOTSUPP"
    yield "a socket", socket.socket().detach(), "EOPNOTSUPP"
    yield "the netlink socket itself", client.sock.fileno(), "EOPNOTSUPP"
    yield "an epoll", epoll.fileno(), "EBADF EOPNOTSUPP ENXIO"
    yield "a pidfd", os.pidfd_open(os.getpid()), "EOPNOTSUPP ENXIO EBADF"
    yield "a namespace", os.open("/proc/self/ns/net", os.O_RDONLY), "EOPNOTSUPP EBADF"
    yield "/proc/self/mem", os.open("/proc/self/mem", os.O_RDWR), "EOPNOTSUPP"
    yield "/proc/version", os.open("/proc/version", os.O_RDONLY), "EBADF EINVAL EOPNOTSUPP"
    yield "an attribute of sysfs", os.open("/sys/kernel/uevent_seqnum", os.O_RDONLY), \
        "EBADF EINVAL"
    yield "an empty memfd", memfd(), "EINVAL"
    yield "a closed descriptor", closed(), "EBADF"
    yield "descriptor -1", -1, "EBADF"
    yield "descriptor 2147483647", 0x7fffffff, "EBADF"
    os.unlink("/tmp/who.fifo")


def judge(client, text, fds, flags, wanted):
    """One attach; a device that came of it goes again."""
    err, index, said = client.attach(fds, flags)
    check(f"{text}{f' ({said})' if said else ''}", word(err), wanted)
    if not err:
        check(f"{text}: detach", word(client.detach(index)[0]), "ok")


def leaves(client, leaf):
    """One image, by all sorts of descriptors."""
    for text, flags, wanted in (
            ("O_RDWR", os.O_RDWR, "ok"), ("O_RDONLY", os.O_RDONLY, "EBADF"),
            ("O_WRONLY", os.O_WRONLY, "EBADF"), ("O_PATH", os.O_PATH, "EBADF"),
            ("O_APPEND", os.O_RDWR | os.O_APPEND, "EBADF"),
            ("O_DIRECT", os.O_RDWR | os.O_DIRECT, "ok")):
        fd = os.open(leaf, flags)
        judge(client, f"writable leaf by {text}", [fd], 0, wanted)
        os.close(fd)
    for text, flags, wanted in (
            ("O_RDONLY", os.O_RDONLY, "ok"), ("O_WRONLY", os.O_WRONLY, "EBADF"),
            ("O_RDWR", os.O_RDWR, "ETXTBSY"), ("O_PATH", os.O_PATH, "EBADF")):
        fd = os.open(leaf, flags)
        judge(client, f"read-only leaf by {text}", [fd], READ_ONLY, wanted)
        os.close(fd)
    judge(client, "a memfd that holds an image", [memfd(leaf)], 0, "ok")
    judge(client, "a sealed memfd that holds one", [memfd(leaf, True)], 0, "ok EPERM")
    judge(client, "an image without a name", [unlinked(leaf)], 0, "ok")


def parents(client, child, parent):
    """A good leaf and a parent by all sorts of descriptors."""
    leaf = os.open(child, os.O_RDWR)
    for text, flags, wanted in (
            ("O_RDONLY", os.O_RDONLY, "ok"), ("O_WRONLY", os.O_WRONLY, "EBADF"),
            ("O_RDWR", os.O_RDWR, "ETXTBSY"), ("O_PATH", os.O_PATH, "EBADF")):
        fd = os.open(parent, flags)
        judge(client, f"parent by {text}", [leaf, fd], 0, wanted)
        os.close(fd)
    judge(client, "the same descriptor twice", [leaf, leaf], 0, "ELOOP EUCLEAN EINVAL")
    for text, fd, wanted in strange(client):
        judge(client, f"as a parent: {text}", [leaf, fd], 0, wanted + " EBADF ETXTBSY")


def descriptors(leaf, child, parent):
    """Every kind of descriptor in every place."""
    client = Client()
    client.open()
    leaves(client, leaf)
    for text, fd, wanted in strange(client):
        judge(client, f"as a leaf: {text}", [fd], 0, wanted)
    parents(client, child, parent)
    # A disk of the driver's own.
    fd = os.open(leaf, os.O_RDWR)
    index = client.attach([fd])[1]
    own = os.open(f"/dev/vhd{index}", os.O_RDWR)
    judge(client, "a disk of the driver's own", [own], 0, "EOPNOTSUPP")
    os.close(own)
    check("detach", word(client.detach(index)[0]), "ok")


def open_as(uid, files, sock):
    """In a child: open the files as somebody else and hand them over."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    modes = {"rw": os.O_RDWR, "ro": os.O_RDONLY}
    fds = [os.open(f[3:], modes[f[:2]]) for f in files]
    socket.send_fds(sock, [b"x"], fds)


def passed(uid, *args):
    """Run a command with descriptors that somebody else has opened."""
    files, command = args[:args.index("--")], args[args.index("--") + 1:]
    here, there = socket.socketpair()
    pid = os.fork()
    if not pid:
        open_as(int(uid), files, there)
        os._exit(0)                                # pylint: disable=protected-access
    there.close()
    _, fds, _, _ = socket.recv_fds(here, 1, len(files))
    os.waitpid(pid, 0)
    if len(fds) != len(files):
        sys.exit(f"who.py: {uid} could not open them")
    for i, fd in enumerate(fds):
        os.dup2(fd, 20 + i)
    os.execvp(command[0], command)


def main():
    """Dispatch."""
    modes = {"commands": commands, "sockets": sockets, "descriptors": descriptors,
             "passed": passed}
    if len(sys.argv) < 2 or sys.argv[1] not in modes:
        sys.exit(__doc__)
    modes[sys.argv[1]](*sys.argv[2:])
    sys.exit(1 if BAD else 0)


if __name__ == "__main__":
    main()
