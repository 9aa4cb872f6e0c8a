#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vhdtab-generator: what systemd is told of each line of vhdtab.

Units are read back by a reader of systemd's quoting that was written for this test, and
all of them by systemd-analyze.

usage: vhdtab_test.py
"""

import os
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
GENERATOR = os.environ.get("VHDTAB_GENERATOR", os.path.join(TOP, "build", "vhdtab-generator"))
UNITS = os.path.join(TOP, "tools", "systemd")
SECONDS = 120

COUNTS = {"passed": 0, "failed": 0}


def same(text, got, want):
    """One counted result."""
    if got == want:
        COUNTS["passed"] += 1
        return
    COUNTS["failed"] += 1
    print(f"not ok - {text}\n    wanted {want!r}\n    got    {got!r}")


def escape(text):
    """As systemd-escape does."""
    return "".join(c if c.isalnum() or c in ":_." else f"\\x{ord(c):02x}" for c in text)


def words(text):
    """Words of a value, quotes and backslashes taken off."""
    found = []
    for quoted, bare in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text):
        found.append(bare or re.sub(r"\\(.)", r"\1", quoted))
    return found


def expand(text, command=False):
    """What systemd makes of a word: no specifier and no variable may be left."""
    out, rest = "", text
    while rest:
        if rest[0] == "%" or (command and rest[0] == "$"):
            if rest[1:2] != rest[0]:
                return f"{rest!r} would be expanded"
            rest = rest[1:]
        out, rest = out + rest[0], rest[1:]
    return out


class Result:
    """One run of the generator."""

    def __init__(self, table, fstab=""):
        self.work = tempfile.mkdtemp(prefix="vhdtab.")
        self.out = os.path.join(self.work, "out")
        self.table = os.path.join(self.work, "vhdtab")
        os.mkdir(self.out)
        self.put("fstab", fstab)
        if table is not None:
            self.put("vhdtab", table)
        env = dict(os.environ, SYSTEMD_VHDTAB=self.table,
                   SYSTEMD_FSTAB=os.path.join(self.work, "fstab"))
        env.pop("SYSTEMD_SCOPE", None)
        done = subprocess.run([GENERATOR, self.out, self.out, self.out], env=env, check=False,
                              capture_output=True, text=True, timeout=SECONDS,
                              errors="surrogateescape")
        self.status = done.returncode
        self.said = [line.partition("]: ")[2].replace(self.table, "vhdtab")
                     for line in done.stderr.splitlines()]

    def put(self, name, text):
        """Write a file that the generator reads."""
        with open(os.path.join(self.work, name), "w", encoding="utf-8",
                  errors="surrogateescape", newline="") as f:
            f.write(text)

    def services(self):
        """Names of the disks that got a unit, unescaped."""
        found = []
        for name in os.listdir(self.out):
            match = re.fullmatch(r"vhdattach@(.*)\.service", name)
            if match:
                found.append(re.sub(r"\\x(..)", lambda m: chr(int(m[1], 16)), match[1]))
        return sorted(found)

    def unit(self, name):
        """Settings of a disk's unit: lists by key."""
        found = {}
        path = os.path.join(self.out, f"vhdattach@{escape(name)}.service")
        with open(path, encoding="utf-8") as f:
            for line in f.read().splitlines():
                key, sep, value = line.partition("=")
                if sep and not line.startswith("#"):
                    found.setdefault(key, []).append(value)
        return found

    def command(self, name, key="ExecStart"):
        """A command line as the program will see it."""
        (line,) = self.unit(name)[key]
        return [expand(w, True) for w in words(line)]

    def mounts(self, name):
        """Paths that must be there."""
        return [expand(w) for v in self.unit(name)["RequiresMountsFor"] for w in words(v)]

    def linked(self, target, how, unit):
        """Does TARGET.how/UNIT lead to something?"""
        path = os.path.join(self.out, f"{target}.{how}", unit)
        if not os.path.islink(path):
            return False
        to = os.readlink(path)
        if to.startswith("/"):
            return os.path.exists(os.path.join(UNITS, os.path.basename(to)))
        return os.path.exists(path)

    def close(self):
        """Remove all files."""
        shutil.rmtree(self.work)


def test_simple():
    """A plain line, in its order."""
    r = Result("# comment\n\n  data\t/srv/data.vhd\nb /srv/b.vhd -\nc /c.vhd defaults\n")
    same("plain lines: status", (r.status, r.said), (0, []))
    same("plain lines: all there", r.services(), ["b", "c", "data"])
    same("attach", r.command("data"),
         ["vhdctl", "attach", "--name", "data", "--", "/srv/data.vhd"])
    same("detach", r.command("data", "ExecStop"), ["vhdctl", "detach", "--lazy", "--", "data"])
    same("mounts", r.mounts("data"), ["/srv/data.vhd"])
    unit, service = r.unit("data"), "vhdattach@data.service"
    same("started before", "vhd.target" in unit["Before"], True)
    same("stopped for", unit["Conflicts"], ["umount.target"])
    same("and before", "umount.target" in unit["Before"], True)
    for part in ("", "-part1", "-part16"):
        target = "blockdev@dev-disk-by\\x2dvhd-" + escape("data" + part) + ".target"
        same(f"mounts of {part or 'the disk'} come later", target in unit["Before"], True)
    same("required", r.linked("vhd.target", "requires", service), True)
    same("pulled in", r.linked("local-fs.target", "wants", "vhd.target"), True)
    same("by its device", r.linked("dev-disk-by\\x2dvhd-data.device", "requires", service), True)
    same("no network", "network-online.target" in unit.get("After", []), False)
    r.close()


def test_used():
    """What fstab names is wanted: a target that is not active orders no shutdown."""
    fstab = ("/dev/disk/by-vhd/data /a ext4 defaults 0 2\n"
             "/dev/disk/by-vhd/data-part3 /b ext4 defaults 0 2\n"
             "/dev/disk/by-vhd/data-part17 /c ext4 defaults 0 2\n"
             "/dev/disk/by-vhd/data-part4x /d ext4 defaults 0 2\n"
             "/dev/disk/by-vhd/database /e ext4 defaults 0 2\n"
             "UUID=1234 /f ext4 defaults 0 2\n")
    r = Result("data /srv/data.vhd\nother /srv/other.vhd\n", fstab)
    same("used: the disk and a partition",
         sorted(w for w in r.unit("data")["Wants"] if w.startswith("blockdev@")),
         ["blockdev@dev-disk-by\\x2dvhd-data.target",
          "blockdev@dev-disk-by\\x2dvhd-data\\x2dpart3.target"])
    same("used: nothing of another",
         [w for w in r.unit("other")["Wants"] if w.startswith("blockdev@")], [])
    r.close()


def test_options():
    """Each option, and all of them."""
    switches = {"ro": "--read-only", "read-only": "--read-only", "no-locators": "--no-locators",
                "ignore-id-mismatch": "--ignore-id-mismatch", "no-partscan": "--no-partscan"}
    values = {"max-depth": "7", "size": "chs", "cache": "buffered", "submit": "inline",
              "parent": "/t/a.vhd", "parents-in": "/t"}
    lines, want = [], {}
    for n, option in enumerate(switches):
        lines.append(f"s{n} /s.vhd {option}")
        want[f"s{n}"] = [switches[option]]
    for n, (option, value) in enumerate(values.items()):
        lines.append(f"v{n} /v.vhd nofail,{option}={value}")
        want[f"v{n}"] = [f"--{option}", value]
    lines.append("all /a.vhd " + ",".join([*switches, *(f"{k}={v}" for k, v in values.items())]))
    want["all"] = [*switches.values(),
                   *(w for k, v in values.items() for w in (f"--{k}", v))]
    r = Result("\n".join(lines) + "\n")
    same("options: status", (r.status, r.said), (0, []))
    for name, arguments in want.items():
        same(f"arguments of {name}", r.command(name)[4:-2], arguments)
    same("files of the chain", r.mounts("all"), ["/a.vhd", "/t/a.vhd", "/t"])
    r.close()


def test_unit_options():
    """Those that are about the unit."""
    r = Result("n /n.vhd nofail\nm /m.vhd noauto\nr /r.vhd _netdev\nx /x.vhd x-gvfs-hide\n"
               "t /t.vhd x-systemd.device-timeout=1min\\04030s\n"
               "f /f.vhd x-systemd.requires-mounts-for=/parents,nofail,fail,noauto,auto\n")
    same("unit options: status", (r.status, r.said), (0, []))
    same("nofail is wanted", r.linked("vhd.target", "wants", "vhdattach@n.service"), True)
    same("and not required", r.linked("vhd.target", "requires", "vhdattach@n.service"), False)
    same("and not waited for", "vhd.target" in r.unit("n")["Before"], False)
    for how in ("wants", "requires"):
        same(f"noauto: no {how}", r.linked("vhd.target", how, "vhdattach@m.service"), False)
    same("but by its device",
         r.linked("dev-disk-by\\x2dvhd-m.device", "requires", "vhdattach@m.service"), True)
    same("_netdev waits for the network", "network-online.target remote-fs-pre.target" in
         r.unit("r")["After"], True)
    same("in its target", r.linked("remote-vhd.target", "requires", "vhdattach@r.service"), True)
    same("which is pulled in", r.linked("remote-fs.target", "wants", "remote-vhd.target"), True)
    same("and not local", r.linked("vhd.target", "requires", "vhdattach@r.service") or
         "vhd.target" in r.unit("r")["Before"], False)
    with open(f"{r.out}/dev-disk-by\\x2dvhd-t.device.d/40-device-timeout.conf",
              encoding="utf-8") as f:
        same("timeout", f.read().splitlines()[-1], "JobRunningTimeoutSec=1min 30s")
    same("mounts by hand", r.mounts("f"), ["/f.vhd", "/parents"])
    same("the last word counts", r.linked("vhd.target", "requires", "vhdattach@f.service"), True)
    r.close()


FSTAB = """
server:/export /net nfs defaults 0 0
/dev/sda3 /net/local ext4 defaults 0 0
/dev/sdb1 /iscsi xfs rw,_netdev 0 0
server:/x /with\\040space nfs4 ro 0 0
/dev/sda1 / ext4 defaults 0 1
"""


def test_remote():
    """fstab says what lies behind the network."""
    where = {"/net/a.vhd": True, "/net/local/a.vhd": False, "/netz/a.vhd": False,
             "/iscsi/deep/a.vhd": True, "/with\\040space/a.vhd": True, "/a.vhd": False,
             "/srv/a.vhd parents-in=/net": True, "/srv/b.vhd parent=/net/local/b": False}
    lines = [f"d{n} {rest}" for n, rest in enumerate(where)]
    r = Result("\n".join(lines), FSTAB)
    same("remote: status", (r.status, r.said), (0, []))
    for n, (path, remote) in enumerate(where.items()):
        same(f"{path} is {'remote' if remote else 'local'}",
             r.linked("remote-vhd.target", "requires", f"vhdattach@d{n}.service"), remote)
    r.close()


BAD = [
    ("alone", "'alone' has no file"),
    ("b relative.vhd", "file 'relative.vhd' is not an absolute path"),
    ("b /x\\012y", "file '/x\ny' is not an absolute path"),
    ("b /b.vhd ro extra", "more than three fields; a space is written \\040"),
    ("b /b.vhd r0", "unknown option 'r0'"),
    ("b /b.vhd ro=yes", "option 'ro' takes no value"),
    ("b /b.vhd nofail=1", "unknown option 'nofail'"),
    ("b /b.vhd parents-in", "parents-in '' is not an absolute path"),
    ("b /b.vhd parents-in=here", "parents-in 'here' is not an absolute path"),
    ("b /b.vhd cache=", "option 'cache' needs a value"),
    ("b /b.vhd x-systemd.device-timeout=5s%n", "'5s%n' is not a time"),
    ("b /b.vhd " + ",".join(["ro"] * 64), "more than 63 options"),
    ("good /other.vhd", "'good' is there already, in a line above"),
    ("zero\0byte /b.vhd", "a zero byte"),
] + [(f"{name} /b.vhd", f"name '{shown}': up to 63 of A-Z a-z 0-9 # + - . : = @ _, "
      "not a dot first")
     for name, shown in (("a/b", "a/b"), ("..", ".."), (".x", ".x"), ("a%b", "a%b"),
                         ("a\\040b", "a b"), ("n" * 64, "n" * 64), ("\u00fc", "\u00fc"))]


def test_malformed():
    """Each bad line is named, and costs no other line anything."""
    for line, message in BAD:
        r = Result(f"good /good.vhd\n{line}\nlast /last.vhd ro")
        got = "\n".join(r.said) if "\n" not in message else None
        if got is not None:
            same(f"{line!r}: message", got, f"vhdtab:2: {message}")
        same(f"{line!r}: status", r.status, 1)
        same(f"{line!r}: nothing else is lost", r.services(), ["good", "last"])
        same(f"{line!r}: and stays as it is", r.command("good")[-1], "/good.vhd")
        r.close()


def test_words():
    """Whatever a path contains is one word of the command, and only there."""
    rng = random.Random(6)
    letters = "ab %$\"'\\;#{}[]()!&|<>*?~`,-\u00fc"
    for _ in range(150):
        path = "/" + "".join(rng.choice(letters) for _ in range(rng.randint(1, 20)))
        coded = "".join(f"\\{ord(c):03o}" if c in " \\#" else c for c in path)
        r = Result(f"x {coded}\n")
        same(f"{path!r}: command", r.command("x")[-1], path)
        same(f"{path!r}: mount", r.mounts("x"), [path])
        r.close()
    name = "A-z.0#+:=@_"
    r = Result(f"{name} /x\n")
    same("name with all sorts", (r.services(), r.command(name)[3]), ([name], name))
    same("its device", r.linked(f"dev-disk-by\\x2dvhd-{escape(name)}.device", "requires",
                                f"vhdattach@{escape(name)}.service"), True)
    r.close()


def test_noise():
    """Any bytes: no crash, and each line is a unit or a message."""
    rng = random.Random(7)
    for _ in range(150):
        lines = []
        for _ in range(rng.randint(1, 8)):
            size = rng.randint(0, 40)
            lines.append("".join(chr(rng.choice((32, 9, 35, 44, 47, 61, 92, 97, 98, 120,
                                                  rng.randint(1, 255)))) for _ in range(size)))
        text = "\n".join(lines).replace("\r", "x")
        r = Result(text)
        real = [x for x in text.encode().split(b"\n")
                if x.strip(b" \t\r\n") and not x.strip(b" \t\r\n").startswith(b"#")]
        same(f"{text!r}: status", r.status in (0, 1), True)
        heard = sum(1 for x in r.said if x.startswith("vhdtab:"))
        same(f"{text!r}: each line counts", len(r.services()) + heard, len(real))
        r.close()


def test_verify():
    """systemd finds no fault with the units."""
    r = Result("data /srv/data.vhd ro,parents-in=/srv/t,x-systemd.device-timeout=20s\n"
               "net /net/n.vhd nofail\nodd /srv/%n\\040$x\";.vhd noauto\n", FSTAB)
    same("verify: status", (r.status, r.said), (0, []))
    # systemd-analyze wants to find the program that units run.
    program = os.path.join(r.work, "vhdctl")
    with open(program, "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n")
    os.chmod(program, stat.S_IRWXU)
    units = [n for n in os.listdir(r.out) if n.endswith(".service")]
    for name in ("vhd@.service", "vhd.target", "remote-vhd.target"):
        shutil.copy(os.path.join(UNITS, name), r.out)
    shutil.copy(f"{r.out}/vhd@.service", f"{r.out}/vhd@srv-x.vhd.service")
    units += ["vhd@srv-x.vhd.service", "vhd.target", "remote-vhd.target"]
    for unit in units:
        path = os.path.join(r.out, unit)
        if unit.endswith(".service"):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace("=vhdctl ", f"={program} "))
        env = dict(os.environ, SYSTEMD_UNIT_PATH=f"{r.out}:", SYSTEMD_LOG_LEVEL="warning")
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], env=env,
                              check=False, capture_output=True, text=True, timeout=SECONDS)
        said = [x for x in done.stderr.splitlines() if "vhd" in x]
        same(f"systemd-analyze verify {unit}", (done.returncode, said), (0, []))
    r.close()


BOOT_TABLE = """
data /srv/data.vhd
inner /data/inner.vhd nofail
farm /net/farm.vhd parents-in=/data/golden
"""
BOOT_FSTAB = """
/dev/sda1 / ext4 defaults 0 1
/dev/sda2 /srv ext4 defaults 0 2
/dev/disk/by-vhd/data-part1 /data ext4 defaults 0 2
/dev/disk/by-vhd/inner /inner xfs nofail 0 0
server:/export /net nfs defaults 0 0
/dev/disk/by-vhd/farm /farm xfs _netdev 0 0
"""
FSTAB_GENERATOR = "/usr/lib/systemd/system-generators/systemd-fstab-generator"


def boot_cycles(known_fstab):
    """What systemd says of cycles in a boot with these disks and mounts."""
    r = Result(BOOT_TABLE, known_fstab)
    same("boot: status", (r.status, r.said), (0, []))
    r.put("fstab", BOOT_FSTAB)
    env = dict(os.environ, SYSTEMD_FSTAB=os.path.join(r.work, "fstab"))
    subprocess.run([FSTAB_GENERATOR, r.out, r.out, r.out], env=env, check=True, timeout=SECONDS,
                   capture_output=True)
    for name in ("vhd.target", "remote-vhd.target"):
        shutil.copy(os.path.join(UNITS, name), r.out)
    env = dict(os.environ, SYSTEMD_UNIT_PATH=f"{r.out}:", SYSTEMD_LOG_LEVEL="warning")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "multi-user.target"],
                          env=env, check=False, capture_output=True, text=True, timeout=SECONDS)
    r.close()
    return [x for x in done.stderr.splitlines() if "cycle" in x]


def test_boot():
    """Disks on disks and behind the network: an order exists, thanks to fstab."""
    same("boot has no ordering cycle", boot_cycles(BOOT_FSTAB), [])
    same("there is one if the network is not known of", bool(boot_cycles("")), True)


def main():
    """Exit code 0 if every check passed."""
    r = Result(None)
    same("no table, no units", (r.status, r.said, os.listdir(r.out)), (0, [], []))
    r.close()
    for test in (test_simple, test_used, test_options, test_unit_options, test_remote,
                 test_malformed, test_words, test_noise, test_verify, test_boot):
        test()
    print(f"{COUNTS['passed']} passed, {COUNTS['failed']} failed")
    return 1 if COUNTS["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
