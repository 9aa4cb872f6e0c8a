# SPDX-License-Identifier: GPL-2.0
"""What a chain of described layers must read as, without looking at any file.

A view is a sorted list of (first sector, end, layer, run number, kind); what no
run covers reads as zeros.
"""

import hashlib

from vhdspec import SECTOR
from vhdwrite import payload

STEP = 2048                     # sectors hashed or written at once


def layer_view(layer):
    """The runs of one layer, sorted; they must not overlap."""
    view = sorted((first, first + count, layer["index"], number, kind)
                  for number, (first, count, kind) in enumerate(layer["runs"]))
    for one, two in zip(view, view[1:]):
        if one[1] > two[0]:
            raise ValueError(f"runs overlap at sector {two[0]}")
    return view


def clip(view, sectors):
    """The part of a view inside a disk of that many sectors."""
    return [(first, min(end, sectors), *rest) for first, end, *rest in view if first < sectors]


def overlay(lower, upper):
    """`upper` where it has runs, `lower` elsewhere."""
    out = list(upper)
    index = 0
    for first, end, *rest in lower:
        while index < len(upper) and upper[index][1] <= first:
            index += 1
        at = index
        while first < end:
            if at == len(upper) or upper[at][0] >= end:
                out.append((first, end, *rest))
                break
            if upper[at][0] > first:
                out.append((first, upper[at][0], *rest))
            first = max(first, upper[at][1])
            at += 1
    return sorted(out)


def views(layers):
    """For each layer, base first, the view of the disk that ends with it."""
    below, out = [], []
    for layer in layers:
        sectors = layer["size"] // SECTOR
        below = overlay(clip(below, sectors), clip(layer_view(layer), sectors))
        out.append(below)
    return out


def chunks(view, sectors):
    """Yields (first sector, count, bytes or None) for the whole disk."""
    at = 0
    for first, end, layer, run, kind in [*view, (sectors, sectors, 0, 0, "zero")]:
        for start in range(at, first, STEP):
            yield start, min(STEP, first - start), None
        for start in range(first, end, STEP):
            count = min(STEP, end - start)
            yield start, count, None if kind == "zero" else payload(layer, run, kind, start, count)
        at = end


def flat_sha256(view, size):
    """Hash of the disk."""
    digest = hashlib.sha256()
    zeros = bytes(STEP * SECTOR)
    for _, count, data in chunks(view, size // SECTOR):
        digest.update(zeros[:count * SECTOR] if data is None else data)
    return digest.hexdigest()


def write_raw(view, size, path):
    """The disk as a sparse raw file."""
    with open(path, "wb") as out:
        for first, _, data in chunks(view, size // SECTOR):
            if data is not None:
                out.seek(first * SECTOR)
                out.write(data)
        out.truncate(size)
