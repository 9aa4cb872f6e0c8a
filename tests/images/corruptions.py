#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Hundreds of images with one wrong (or surprising but legal) thing in each, and the answers.

`make DIR` writes the images and table.json; `list` prints the table. The rows
are in corruption_rows.py; here is what a row is and how it becomes a file.

Keys of a row of table.json:
  id, note        what was changed
  core            false for rows that repeat another with a further value: soak tests run them
  file            the leaf; it is its own copy, attaching it may repair it
  layers          descriptors for the kernel, leaf first
  patches         [{"offset", "bytes"}], [{"truncate"}], [{"append"}], [{"grow"}] as applied
  check           {"exit": [codes], "faults": [names]}; any of the codes, and if faults is
                  not empty, at least one of its names is reported
  info, attach_ro, attach_rw       [exit codes], any of them
  kernel_ro, kernel_rw             ["ok" or fault names], any of them, for `layers` passed unchecked
  size, flat_sha256                where the image can be read: what it must read as
                  (size alone: if it can be read)
  bad_blocks      blocks of `block_size` bytes that fail when the image is attached read-only
  unsure_blocks   blocks of which nothing is promised then
  ranges          [offset, length, sha256] of all the rest, if there are such blocks

Where a list has several members the design leaves the choice open; the first is
the one that it suggests.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile

from corruption_kit import BLOCK, NAMES, apply, make_bases
from corruption_rows import all_rows
from vhdread import open_chain


def write_sparse(path, raw):
    """Holes where 4 KiB are zero: the images together stay small."""
    with open(path, "wb") as file:
        for at in range(0, len(raw), 4096):
            piece = raw[at:at + 4096]
            if piece.strip(b"\0"):
                file.seek(at)
                file.write(piece)
        file.truncate(len(raw))


def good_ranges(row, path):
    """[offset, length, sha256] of all that must read as in the base image despite bad blocks."""
    spoilt = sorted({*row.outcome.bad_blocks, *row.outcome.unsure_blocks})
    chain = open_chain(path)
    ranges, at = [], 0
    for block in [*spoilt, -(-chain.size // BLOCK)]:
        length = min(block * BLOCK, chain.size) - at
        if length > 0:
            ranges.append([at, length, hashlib.sha256(chain.read(at, length)).hexdigest()])
        at = (block + 1) * BLOCK
    chain.close()
    return ranges


def readable_facts(row, path, base_path):
    """What the disk must read as, where the table promises that it can be read."""
    outcome = row.outcome
    if outcome.kernel_ro != ["ok"] or not outcome.readable:
        return {}
    if outcome.bad_blocks or outcome.unsure_blocks:
        return {"ranges": good_ranges(row, base_path)}
    parents = [os.path.join(os.path.dirname(path), name) for name in (row.layers or [])[1:]]
    chain = open_chain(path, parents)
    facts = {"size": chain.size, "flat_sha256": chain.sha256()}
    chain.close()
    return facts


def table_entry(row, path, base_path):
    """A row of table.json."""
    outcome = row.outcome
    entry = {"id": row.name, "note": row.note, "file": os.path.basename(path),
             "layers": [os.path.basename(path), *(row.layers or [path])[1:]], "base": row.base,
             "core": row.core, "patches": row.patches, "block_size": BLOCK,
             "bad_blocks": outcome.bad_blocks, "unsure_blocks": outcome.unsure_blocks}
    entry.update({name: getattr(outcome, name) for name in NAMES})
    entry["check"] = {"exit": outcome.check, "faults": outcome.faults}
    if outcome.size is not None:
        entry["size"] = outcome.size
    for name, value in readable_facts(row, path, base_path).items():
        wanted = entry.setdefault(name, value)
        if wanted != value:
            raise ValueError(f"{row.name}: the table says {name} {wanted}, the oracle {value}")
    return entry


def make(folder, only="", core=False):
    """All images and table.json; returns the table."""
    os.makedirs(folder, exist_ok=True)
    bases = make_bases(folder)
    base_path = {name: os.path.join(folder, f"base-{name}.vhd") for name in bases}
    for name, base in bases.items():
        write_sparse(base_path[name], base.raw)
    table = []
    for row in all_rows(bases):
        if only not in row.name or (core and not row.core):
            continue
        path = os.path.join(folder, row.name + ".vhd")
        write_sparse(path, apply(bases[row.base].raw, row.patches))
        table.append(table_entry(row, path, base_path[row.base]))
    with open(os.path.join(folder, "table.json"), "w", encoding="utf-8") as out:
        json.dump(table, out, indent=1)
        out.write("\n")
    return table


def list_rows():
    """One line a row."""
    with tempfile.TemporaryDirectory() as folder:
        rows = all_rows(make_bases(folder))
    for row in rows:
        out = row.outcome
        print(row.name, ",".join(out.faults) or "legal",
              *(f"{name}={'|'.join(map(str, getattr(out, name)))}" for name in NAMES))
    print(f"{len(rows)} rows, {sum(row.core for row in rows)} of them core")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make", help="write all images and table.json")
    maker.add_argument("dir")
    maker.add_argument("--only", default="", help="rows whose id contains this")
    maker.add_argument("--core", action="store_true", help="core rows only")
    commands.add_parser("list", help="print the table")
    args = parser.parse_args()
    if args.command == "list":
        list_rows()
    else:
        print(f"{len(make(args.dir, args.only, args.core))} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
