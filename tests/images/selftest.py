#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests the oracle: against real images, against other programs, and against itself.

Real images are looked for in $IMAGES, then in ../shared/images beside the
repository; without them, or without 7zz or qemu-img, those tests are skipped.
"""

import argparse
import hashlib
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import corruptions
import mkvhd
from vhdchain import Builder, mixed_spec
from vhdread import Bad, NoParent, merged_owners, open_chain
from vhdspec import MAX_GEOMETRY, SECTOR, Footer, bitmap_bytes, geometry
from vhdvalidate import validate

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.join(HERE, "..", "..", "..", "shared", "images")
EXITS = {"clean": 0, "leaks": 3, "corrupt": 2, "unsupported": 7}


class Skip(Exception):
    """The test cannot run here."""


def equal(got, wanted, what):
    """Fail with both values."""
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, expected {wanted!r}")


def images_folder():
    """Where the real images are."""
    for folder in (os.environ.get("IMAGES") or SHARED, SHARED):
        if os.path.exists(os.path.join(folder, "README.md")):
            return folder
    raise Skip("no real images")


def unpack(folder, out):
    """All real images; returns name -> (size, hash or None) from the README's table."""
    table = {}
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 7 and cells[1].endswith(".vhd"):
                flat = cells[5] if re.fullmatch("[0-9a-f]{64}", cells[5]) else None
                table[cells[1]] = (int(cells[4]), flat)
    for name in table:
        with lzma.open(os.path.join(folder, name + ".xz")) as packed, \
                open(os.path.join(out, name), "wb") as plain:
            shutil.copyfileobj(packed, plain)
    return table


def build(folder, seed, spec):
    """Write a chain; returns (manifest, path of the leaf, extra parents to name)."""
    manifest = Builder(folder, seed, spec).write()
    raw = [os.path.join(folder, manifest["raw_parent"])] if manifest["raw_parent"] else []
    return manifest, os.path.join(folder, manifest["leaf"]), raw


def same_as_manifest(folder, seed, spec):
    """Each layer of a chain reads as the model says; returns manifest and leaf."""
    manifest, leaf, raw = build(folder, seed, spec)
    for entry in manifest["files"]:
        if entry["type"] == "raw":
            continue
        chain = open_chain(os.path.join(folder, entry["file"]), raw)
        equal(chain.size, entry["size"], f"size of {entry['file']}")
        equal(chain.sha256(), entry["flat_sha256"], f"hash of {entry['file']}")
        chain.close()
    return manifest, leaf


def tool(name):
    """Path of a program, or skip."""
    path = shutil.which(name)
    if not path:
        raise Skip(f"no {name}")
    return path


def by_7zz(path):
    """Hash of the disk as 7-Zip reads it."""
    run = subprocess.run([tool("7zz"), "e", "-so", "-tvhd", path], capture_output=True, check=False)
    if run.returncode:
        raise AssertionError(f"7zz: {run.stderr.decode(errors='replace')[-200:]}")
    return hashlib.sha256(run.stdout).hexdigest()


def by_qemu(path, out):
    """Hash of the disk as QEMU reads it."""
    subprocess.run([tool("qemu-img"), "convert", "-f", "vpc", "-O", "raw", path, out], check=True)
    with open(out, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_specification(_):
    """Numbers that the specification and well-known images give."""
    equal(geometry(16 << 20), (481, 4, 17), "geometry of 16 MiB")
    equal(geometry(4212736), (121, 4, 17), "geometry of qemu-img's image")
    equal(geometry(4 << 40), MAX_GEOMETRY, "largest geometry")
    equal([bitmap_bytes(size) for size in (4096, 512 << 10, 2 << 20, 4 << 20, 256 << 20)],
          [512, 512, 512, 1024, 65536], "bitmap sizes")
    footer = Footer(uuid=b"\1" * 16).sealed()
    equal(Footer.sum_is_right(footer), True, "own sum")
    equal(Footer.sum_is_right(footer[:100] + b"\1" + footer[101:]), False, "changed byte")


def test_real_hashes(folder):
    """Every real image reads as its README says."""
    table = unpack(images_folder(), folder)
    hashed = {name: flat for name, (_, flat) in table.items() if flat}
    equal(len(hashed), 4, "images with a hash")
    for name, flat in hashed.items():
        chain = open_chain(os.path.join(folder, name))
        equal((chain.size, chain.sha256()), (table[name][0], flat), name)
        chain.close()


def test_real_sizes(folder):
    """Empty images of 127 GiB, their two sizes, and a missing parent."""
    table = unpack(images_folder(), folder)
    for name in ("hyperv2012r2-dynamic.vhd", "virtualpc-dynamic.vhd"):
        path = os.path.join(folder, name)
        chain = open_chain(path)
        equal(chain.map(), {"size": table[name][0], "runs": [
            {"start": 0, "length": table[name][0], "type": "zero"}]}, name)
        equal(chain.read(chain.size - 4096, 4096), bytes(4096), f"end of {name}")
        equal(open_chain(path, rule="current").size, 136365211648, f"current size of {name}")
    equal(raises(NoParent, open_chain, os.path.join(folder, "windows10-child.vhd")), True,
          "missing parent")


def test_real_clean(folder):
    """The validator finds nothing wrong with real images."""
    for name in unpack(images_folder(), folder):
        result = validate(os.path.join(folder, name))
        equal((result["result"], result["faults"]), ("clean", []), name)


def test_real_by_7zz(folder):
    """7-Zip agrees about the real chains."""
    for name, (_, flat) in unpack(images_folder(), folder).items():
        if flat:
            equal(by_7zz(os.path.join(folder, name)), flat, name)


def raises(kind, function, *args):
    """Whether a call fails as expected."""
    try:
        function(*args)
    except kind:
        return True
    return False


def test_mixed_chains(folder):
    """Random chains: model and reader agree on every layer; all files are clean."""
    rng = random.Random(99)
    number = 0
    for base in ("fixed", "dynamic", "raw"):
        for relation in ("equal", "larger", "smaller"):
            for block in (32 << 10, 512 << 10, 2 << 20):
                number += 1
                depth = rng.randint(2, 8)
                spec = mixed_spec(number, depth, base, block, relation, 8 << 20)
                where = os.path.join(folder, str(number))
                manifest, _ = same_as_manifest(where, number, spec)
                equal(manifest["depth"], depth, "depth")
                for entry in manifest["files"]:
                    if entry["type"] != "raw":
                        result = validate(os.path.join(where, entry["file"]))
                        equal(result["faults"], [], f"{base} {relation} {entry['file']}")
                shutil.rmtree(where)


def test_mixed_options(folder):
    """The command line makes the same files twice, and the raw file is the disk."""
    raw = os.path.join(folder, "flat.raw")
    args = ["mixed", "--seed", "5", "--depth", "4", "--base", "fixed", "--block", "32K",
            "--size-relation", "larger", "--size", "4M", "--raw", raw]
    hashes = []
    for name in ("one", "two"):
        equal(quiet(args + [os.path.join(folder, name)]), 0, "mkvhd mixed")
        with open(os.path.join(folder, name, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        hashes.append([entry["sha256"] for entry in manifest["files"]])
    equal(hashes[0], hashes[1], "same seed, same files")
    with open(raw, "rb") as file:
        equal(hashlib.file_digest(file, "sha256").hexdigest(), manifest["flat_sha256"], "raw")
    leaf = os.path.join(folder, "one", manifest["leaf"])
    out = os.path.join(folder, "flat2.raw")
    equal(quiet(["flatten", leaf, "-o", out]), 0, "mkvhd flatten")
    equal(files_equal(raw, out), True, "model's raw file and reader's")


def test_command_line(folder):
    """chain, read, flatten and validate, with their exit codes."""
    spec = '{"layers": [{"size": "1M", "type": "raw"}, {"size": "2M", "block": "64K"}, {}]}'
    equal(quiet(["chain", "--seed", "3", "--spec", spec, folder]), 0, "mkvhd chain")
    base, leaf = (os.path.join(folder, name) for name in ("layer0.raw", "layer2.vhd"))
    equal(quiet(["flatten", leaf]), 4, "raw parent not named")
    equal(quiet(["flatten", leaf, "--parents", base]), 0, "raw parent named")
    equal(quiet(["flatten", base]), 2, "no VHD")
    command = [sys.executable, os.path.join(HERE, "mkvhd.py"), "read", leaf, "1000K", "100K",
               "--parents", base]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    chain = open_chain(leaf, [base])
    equal(data, chain.read(1000 << 10, 100 << 10), "mkvhd read")
    equal(quiet(["validate", leaf]), 0, "clean")
    with open(leaf, "r+b") as file:
        file.write(b"x")
    equal(quiet(["validate", leaf]), 2, "bad copy of the footer")
    equal(quiet(["validate", os.path.join(folder, "nothing")]), 1, "no file")


def files_equal(one, two):
    """Whether two files hold the same bytes."""
    with open(one, "rb") as first, open(two, "rb") as second:
        return first.read() == second.read()


def quiet(args):
    """mkvhd's exit code, its output dropped."""
    command = [sys.executable, os.path.join(HERE, "mkvhd.py"), *args]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode


def test_block_sizes(folder):
    """All block sizes, aligned and packed, BAT before and behind the data."""
    for shift in range(12, 29, 2):
        # Hashing gigabytes of zeros proves nothing more about large blocks.
        for bat in ("spec", "aligned", "end") if shift < 25 else ("aligned",):
            block = 1 << shift
            layout = {"bat": bat, "data_align": 512 if shift % 4 else 4096, "order": "shuffled",
                      "surplus": 3}
            size = max(min(4, 1 + (64 << 20) // block) * block - 512, 1 << 20)
            layers = [{"size": size, "block": block, "layout": layout},
                      {"block": block, "layout": layout}]
            _, leaf = same_as_manifest(folder, shift, {"layers": layers})
            equal(validate(leaf)["faults"], [], f"block {block}, BAT {bat}")


def test_variants(folder):
    """Short and missing footers, a lost copy, stale data, tail bits."""
    same = {"size": (4 << 20) + 512, "block": 512 << 10}
    for number, (change, fault) in enumerate((
            ({"footer": "short"}, "short-footer"), ({"footer": "missing"}, "footer-end-missing"),
            ({"copy": "missing"}, "footer-copy"), ({"stale": True}, None),
            ({"tail_bits": 1}, None), ({"bitmap": "full"}, None),
            ({"writer": "libvhd"}, None), ({"reserved": "01"}, None))):
        _, leaf = same_as_manifest(folder, number, {"layers": [{**same, **change}]})
        faults = [entry["fault"] for entry in validate(leaf)["faults"]]
        equal(faults, [fault] if fault else [], str(change))


def test_locators(folder):
    """Any slot, any kind, both units of the reserved space; the id decides."""
    for number, (slot, code, unit) in enumerate((
            (7, "W2ru", "bytes"), (0, "W2ku", "sectors"), (4, "MacX", "bytes"))):
        locator = {"slot": slot, "code": code, "unit": unit, "text": "./\u00fcber.vhd"}
        layers = [{"size": 1 << 20}, {"locators": [locator], "parent_name": "\u00fcber.vhd"}]
        _, leaf = same_as_manifest(folder, number, {"layers": layers})
        equal(validate(leaf)["faults"], [], f"slot {slot}")
    os.unlink(os.path.join(folder, "layer0.vhd"))
    equal(raises(NoParent, open_chain, leaf), True, "parent removed")


def test_depth(folder):
    """A chain of 255 layers, and not one more."""
    layers = [{"size": 1 << 20, "block": 64 << 10, "runs": [[7 * i, 9, "name"]]}
              for i in range(255)]
    same_as_manifest_leaf(folder, {"layers": layers})
    layers.append({"runs": [[0, 1, "name"]]})
    _, leaf, _ = build(folder, 1, {"layers": layers})
    equal(raises(NoParent, open_chain, leaf), True, "256 layers")


def same_as_manifest_leaf(folder, spec):
    """Like same_as_manifest, for the leaf alone."""
    manifest, leaf, _ = build(folder, 1, spec)
    equal(open_chain(leaf).sha256(), manifest["flat_sha256"], "leaf")


def test_own_by_7zz(folder):
    """7-Zip reads chains made here as the model does."""
    tool("7zz")
    for number, block in enumerate((512 << 10, 2 << 20)):
        spec = mixed_spec(number, 4, "dynamic", block, "equal", 8 << 20, foreign=False)
        manifest, _, _ = build(folder, number, spec)
        for entry in manifest["files"]:
            equal(by_7zz(os.path.join(folder, entry["file"])), entry["flat_sha256"], entry["file"])


def test_own_by_qemu(folder):
    """QEMU reads fixed and dynamic images made here as the model does."""
    tool("qemu-img")
    out = os.path.join(folder, "out.raw")
    writers = ("own", "libvhd", "qemu", "disk2vhd", "simh")
    for number, writer in enumerate(writers):
        layer = {"size": (8 << 20) + 512 * number, "block": (32 << 10) << 2 * (number % 4),
                 "writer": writer}
        manifest, leaf, _ = build(folder, number, {"layers": [layer]})
        equal(by_qemu(leaf, out), manifest["flat_sha256"], writer)
    manifest, leaf, _ = build(folder, 9, {"layers": [{"type": "fixed", "size": 3 << 20}]})
    equal(by_qemu(leaf, out), manifest["flat_sha256"], "fixed")


def test_map(folder):
    """The map covers the disk; a comparison notices a wrong owner."""
    spec = mixed_spec(3, 4, "dynamic", 512 << 10, "smaller", 4 << 20)
    _, leaf, _ = build(folder, 3, spec)
    shown = open_chain(leaf).map()
    at = 0
    for run in shown["runs"]:
        equal(run["start"], at, "start of a run")
        at += run["length"]
    equal(at, shown["size"], "end of the map")
    other = os.path.join(folder, "map.json")
    for change, code in ((0, 0), (1, 1)):
        victim = next(run for run in shown["runs"] if run["type"] == "data")
        victim["layer"] += change
        with open(other, "w", encoding="utf-8") as file:
            json.dump(shown, file)
        equal(quiet(["map", leaf, "--compare", other]), code, "map --compare")
    with open(leaf, "r+b") as file:
        file.seek(open_chain(leaf).layers[0].header.table_offset)
        file.write(b"\x7f\xff\xff\xff")
    equal(open_chain(leaf).map()["runs"][0]["type"], "bad", "entry outside the file")
    equal(raises(Bad, open_chain(leaf).read, 0, 512), True, "read of a bad block")
    split = [{"start": 0, "length": 1, "type": "zero"}, {"start": 1, "length": 2, "type": "zero"}]
    equal(merged_owners(split), [(0, 3, "zero", None)], "merged runs")


def test_strict(folder):
    """What our programs must write is accepted, and each departure has a name."""
    own = {"size": 4 << 20, "block": 512 << 10, "bitmap": "full"}
    cases = [({}, None), ({"creator": "vpc "}, "strict-creator"),
             ({"features": 3}, "strict-features"), ({"geometry": [1, 2, 3]}, "strict-geometry"),
             ({"uuid": None}, "strict-id"), ({"reserved": "01"}, "strict-reserved"),
             ({"bitmap": "written", "stale": True}, "strict-stale"),
             ({"layout": {"bat_pad": 0}}, "strict-padding"),
             ({"layout": {"eof_align": 512, "tail": 512}}, "strict-eof"),
             ({"layout": {"data_align": 512}}, "strict-alignment"),
             ({"layout": {"bat": "spec"}}, "strict-bat-place")]
    for change, fault in cases:
        _, leaf, _ = build(folder, 4, {"layers": [{**own, **change}]})
        faults = [entry["fault"] for entry in validate(leaf, strict=True)["faults"]]
        equal(fault in faults if fault else not faults, True, f"{change}: {faults}")
    _, leaf, _ = build(folder, 5, {"layers": [own, {"layout": {"bat": "spec"}}]})
    faults = [entry["fault"] for entry in validate(leaf, strict=True)["faults"]]
    equal("strict-locator-place" in faults, True, f"locators behind the BAT: {faults}")


def test_corruptions(folder):
    """Table and validator, written apart, agree on each row."""
    for row in corruptions.make(folder, core=True):
        result = validate(os.path.join(folder, row["file"]))
        faults = {entry["fault"] for entry in result["faults"]}
        wanted = row["check"]
        if EXITS[result["result"]] not in wanted["exit"]:
            raise AssertionError(f"{row['id']}: {result['result']} {faults}, expected {wanted}")
        if wanted["faults"] and not faults & set(wanted["faults"]):
            raise AssertionError(f"{row['id']}: {faults}, expected {wanted['faults']}")


def test_hostile(folder):
    """The reader ends in a named error or in data, never in a traceback."""
    _, leaf, _ = build(folder, 6, {"layers": [{"size": 1 << 20, "block": 64 << 10}]})
    with open(leaf, "rb") as file:
        good = file.read()
    rng = random.Random(6)
    for _ in range(300):
        raw = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.choice((rng.randrange(1536), rng.randrange(4096, 4200),
                             len(raw) - 1 - rng.randrange(SECTOR)))
            raw[at] = rng.randrange(256)
        with open(leaf, "wb") as file:
            file.write(raw[:rng.choice((len(raw), rng.randrange(len(raw))))])
        validate(leaf)
        try:
            open_chain(leaf).read(0, 1 << 20)
        except (Bad, NoParent):
            pass


def run(name, test):
    """One test in its own directory; returns passed, failed or skipped."""
    with tempfile.TemporaryDirectory(prefix="vhdoracle") as folder:
        try:
            test(folder)
        except Skip as why:
            print(f"skip {name}: {why}")
            return "skipped"
        except Exception:           # a test must not end the others
            print(f"not ok {name}")
            traceback.print_exc(file=sys.stdout)
            return "failed"
    print(f"ok {name}")
    return "passed"


def main():
    """Run all tests, or those whose names contain an argument."""
    parser = argparse.ArgumentParser(description=mkvhd.__doc__)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for name, test in sorted(globals().items()):
        if name.startswith("test_") and (not args.names or any(x in name for x in args.names)):
            count[run(name[5:].replace("_", "-"), test)] += 1
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
