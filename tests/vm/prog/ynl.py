#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Every netlink command through YNL, which knows of this family only what its spec says.

usage: ynl.py KERNEL SPEC LEAF PARENT...
"""

import os
import socket
import struct
import sys
import time

TIMEOUT = 120
BAD = 0


def load(kernel):
    """The kernel's client library."""
    for folder in ("tools/net/ynl/pyynl", "tools/net/ynl"):
        if os.path.isdir(os.path.join(kernel, folder, "lib")):
            sys.path.insert(0, os.path.join(kernel, folder))
            break
    import lib                                     # pylint: disable=import-outside-toplevel
    return lib


def check(text, good, shown=""):
    """One counted result."""
    global BAD                                     # pylint: disable=global-statement
    BAD += not good
    print(f"ok - {text}" if good else f"not ok - {text}: {shown}", flush=True)


class RepliesFirst:
    """The socket of a client that stumbles over a notification before a reply.

    YNL of 6.12 decodes each message with the attribute set of the one before, and after a
    notification there is none. The outcome of a job may come before the acknowledgment of the
    request that started it. So a request is shown what answers it, and notifications come when
    they are asked for.
    """

    def __init__(self, sock):
        self.sock = sock
        self.notifications = []

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def recv(self, size, flags=0):
        """As of a socket; only whoever asks for notifications does not wait."""
        if flags & socket.MSG_DONTWAIT:
            return self.notifications.pop(0) if self.notifications else self.sock.recv(size, flags)
        while True:
            data = self.sock.recv(size, flags)
            if struct.unpack_from("=IHHII", data)[3]:
                return data
            self.notifications.append(data)


class Client:
    """A YNL family and the events it has received."""

    def __init__(self, lib, spec, schema):
        self.ynl = lib.YnlFamily(spec, schema)
        self.error = lib.NlError
        self.ynl.ntf_subscribe("events")
        self.ynl.sock = RepliesFirst(self.ynl.sock)
        self.events = []

    def flag(self, kind, name):
        """The value of a flag that the spec names."""
        return self.ynl.consts[kind].entries[name].user_value()

    def refused(self, method, values):
        """The errno of a request that must fail."""
        try:
            self.ynl.do(method, values)
        except self.error as error:
            return -error.nl_msg.error
        return 0

    def collect(self):
        """Move what has arrived into self.events."""
        self.ynl.check_ntf()
        queue = self.ynl.async_msg_queue
        if isinstance(queue, list):
            self.events += queue
            queue.clear()
        else:
            while not queue.empty():
                self.events.append(queue.get())

    def event(self, kind, **wanted):
        """The first event of a kind, waiting for it."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            self.collect()
            for event in self.events:
                msg = event["msg"]
                if msg.get("event") == kind and wanted.items() <= msg.items():
                    return msg
            time.sleep(0.05)
        return None

    def finish(self, reply):
        """The outcome of a job that a reply names."""
        return self.event("job-done", job=reply["job"]) or {"error": "no job-done event"}


def attach(client, files, mode=os.O_RDWR, **more):
    """Outcome of an attach of files, leaf first, which is opened with that mode."""
    fds = [os.open(path, os.O_RDONLY if number else mode) for number, path in enumerate(files)]
    reply = client.ynl.do("attach", {"layer": [{"fd": fd} for fd in fds], **more})
    for fd in fds:
        os.close(fd)
    check("attach answers with a job", bool(reply and reply.get("job")), reply)
    return client.finish(reply)


def check_device(client, index, files):
    """get, dump and the device itself."""
    device = client.ynl.do("get", {"index": index})
    check("get: name", device.get("name") == "by-ynl", device)
    check("get: a layer for each file", len(device["layer"]) == len(files), device["layer"])
    check("get: paths", [layer["path"] for layer in device["layer"]] == files, device["layer"])
    check("get: types", [layer["type"] for layer in device["layer"]][:-1] == [4] * (len(files) - 1),
          device["layer"])
    check("get: ids", all(len(layer["uuid"]) >= 16 for layer in device["layer"]), device["layer"])
    with open(f"/dev/vhd{index}", "rb") as disk:
        size = disk.seek(0, os.SEEK_END)
    check("get: capacity", device["capacity"] == size, (device["capacity"], size))
    check("get: counters", "fast" in device.get("counters", {}), device)
    number = os.stat(f"/dev/vhd{index}").st_rdev
    check("get: device number", (device["major"], device["minor"]) ==
          (os.major(number), os.minor(number)), device)
    dump = client.ynl.dump("get", {})
    check("dump", [one["index"] for one in dump] == [index], dump)


def check_refusals(client):
    """What must fail, and how."""
    check("get of a device that is not there", client.refused("get", {"index": 99}) != 0)
    check("get of a job that is not there", client.refused("get", {"job": 4000000000}) != 0)
    check("attach of nothing", client.refused("attach", {}) != 0)
    check("attach of no descriptor", client.refused("attach", {"layer": [{"fd": 4000}]}) != 0)
    reply = None
    try:
        reply = client.ynl.do("detach", {"index": 99})
    except client.error:
        pass
    check("detach of a device that is not there", not reply or client.finish(reply)["error"] < 0,
          reply)


def check_bad_chain(client, files):
    """A chain with a hole in it: the fault comes with the event and from get."""
    done = attach(client, [files[0], files[-1]])
    check("wrong parent: an error", done["error"] < 0, done)
    check("wrong parent: a fault, its layer and words",
          done.get("fault") and "fault-layer" in done and done.get("text"), done)
    again = client.ynl.do("get", {"job": done["job"]})
    check("get of the job says the same", all(again.get(key) == done.get(key) for key in
                                              ("error", "fault", "fault-layer", "text")), again)
    check("it is done", again.get("done") == 1, again)


def check_waiting(client, index):
    """A request while an outcome that nobody has looked at waits to be read."""
    job = client.ynl.do("detach", {"index": 99})["job"]
    time.sleep(1)
    check("a request beside an outcome", client.ynl.do("get", {"index": index})["index"] == index)
    check("the outcome is not lost", (client.event("job-done", job=job) or {}).get("error", 0) < 0)


def main():
    """Exit code 0 if every check passed."""
    kernel, spec, *files = sys.argv[1:]
    schema = f"{kernel}/Documentation/netlink/genetlink-legacy.yaml"
    client = Client(load(kernel), spec, schema)
    check("no device yet", not client.ynl.dump("get", {}))
    done = attach(client, files, name="by-ynl")
    check("attach succeeds", done.get("error", 0) == 0, done)
    index = done["index"]
    check("an event says so", client.event("attached", index=index) is not None, client.events)
    check_device(client, index, files)
    client.ynl.do("set", {"index": index, "name": "renamed"})
    check("set: name", client.ynl.do("get", {"index": index})["name"] == "renamed")
    check("a second attach is refused", attach(client, files)["error"] < 0)
    check_waiting(client, index)
    done = client.finish(client.ynl.do("detach", {"index": index}))
    check("detach succeeds", done.get("error", 0) == 0, done)
    check("an event says that, too", client.event("detached", index=index) is not None,
          client.events)
    check("the device is gone", not os.path.exists(f"/sys/block/vhd{index}"))
    check_bad_chain(client, files)
    done = attach(client, files, os.O_RDONLY, flags=client.flag("attach-flags", "read-only"))
    check("flags by their names", done.get("error", 0) == 0, done)
    with open(f"/sys/block/vhd{done['index']}/ro", encoding="ascii") as file:
        check("read-only", file.read().strip() == "1")
    client.finish(client.ynl.do("detach", {"index": done["index"]}))
    check_refusals(client)
    return 1 if BAD else 0


if __name__ == "__main__":
    sys.exit(main())
