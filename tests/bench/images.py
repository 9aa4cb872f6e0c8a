# SPDX-License-Identifier: GPL-2.0
"""The files of the contestants: every byte of every disk is really there.

The layouts come from the oracle's writer, which is what `vhdctl create` writes;
the data is put in afterwards, because one that tells where each sector came from
takes an emulated machine minutes to make.
"""

import os
import random
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "images"))

from vhdchain import Builder  # noqa: E402
from vhdspec import EPOCH, SECTOR, bitmap_bytes  # noqa: E402
from vhdwrite import Writer  # noqa: E402

BLOCK = 2 << 20
PER_BLOCK = BLOCK // SECTOR
NOISE = os.urandom(BLOCK)


def put_noise(file, offset, length):
    """Bytes that no program takes for a hole."""
    while length:
        part = min(length, len(NOISE))
        os.pwrite(file.fileno(), NOISE[:part], offset)
        offset, length = offset + part, length - part


def raw(path, size):
    """A raw file without holes."""
    with open(path, "wb") as file:
        put_noise(file, 0, size)
        os.fsync(file.fileno())


def fill(path, writer, spec):
    """Put data where the layout of one layer has a place for it."""
    with open(path, "r+b") as file:
        if spec["type"] == "fixed":
            put_noise(file, 0, spec["size"])
        else:
            bitmap = bitmap_bytes(BLOCK)
            for block, parts in sorted(writer.parts.items()):
                start = writer.bat[block] * SECTOR + bitmap
                for first, count, _, _ in parts:
                    put_noise(file, start + first % PER_BLOCK * SECTOR, count * SECTOR)
        os.fsync(file.fileno())


def chain(folder, layers):
    """Write a chain, base first; returns the path of its leaf."""
    os.makedirs(folder, exist_ok=True)
    builder = Builder(folder, 1, {"layers": layers})
    for spec in builder.layers:
        path = os.path.join(folder, spec["name"])
        writer = Writer(path, spec, builder.rng)
        writer.write()
        fill(path, writer, spec)
        # vhdctl compares a parent's time with the one that its child recorded.
        os.utime(path, (EPOCH + spec["timestamp"],) * 2)
    return path


def single(folder, kind, size):
    """A fixed or a fully allocated dynamic image."""
    runs = [] if kind == "fixed" else [[0, size // SECTOR, "zero"]]
    return chain(folder, [{"type": kind, "size": size, "block": BLOCK, "runs": runs}])


def striped(folder, parents, size):
    """A chain whose blocks belong to all layers in turn, each block to one."""
    files = parents + 1
    layers = [{"size": size, "block": BLOCK, "runs": []} for _ in range(files)]
    # The leaf comes first, so that it owns blocks even where there are few.
    for block in range(size // BLOCK):
        layers[-1 - block % files]["runs"].append([block * PER_BLOCK, PER_BLOCK, "zero"])
    return chain(folder, layers)


def scattered(folder, parents, size, runs_per_block=2):
    """A chain in which every layer owns some 4-32 KiB of every block."""
    rng = random.Random(size)
    layers = []
    for _ in range(parents + 1):
        runs = []
        for start in range(0, size // SECTOR, PER_BLOCK):
            # One run in each part of the block, so that none overlaps another.
            part = PER_BLOCK // runs_per_block
            for at in range(start, start + PER_BLOCK, part):
                count = 8 * rng.randint(1, 8)
                runs.append([at + 8 * rng.randrange((part - count) // 8), count, "zero"])
        layers.append({"size": size, "block": BLOCK, "runs": runs})
    return chain(folder, layers)


def allocate_all(path):
    """Give every block of an empty dynamic image a place, in a sparse file."""
    with open(path, "r+b") as file:
        head = os.pread(file.fileno(), 1024, 0)
        table, = struct.unpack_from(">Q", head, 512 + 16)
        count, block = struct.unpack_from(">II", head, 512 + 28)
        footer = head[:512]
        bitmap = bitmap_bytes(block)
        first = -(-(table + 4 * count + bitmap) // 4096) * 4096 - bitmap
        stride = -(-(bitmap + block) // 4096) * 4096
        entries = range(first // SECTOR, (first + count * stride) // SECTOR, stride // SECTOR)
        os.pwrite(file.fileno(), struct.pack(f">{count}I", *entries), table)
        end = -(-(first + count * stride) // 4096) * 4096
        os.ftruncate(file.fileno(), end - SECTOR)
        os.pwrite(file.fileno(), footer, end - SECTOR)
        os.fsync(file.fileno())
