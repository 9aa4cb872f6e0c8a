# SPDX-License-Identifier: GPL-2.0
"""Describes chains: fills in what a specification leaves open, from a seed."""

import copy
import hashlib
import json
import os
import random

from vhdmodel import flat_sha256, views, write_raw
from vhdspec import EPOCH, SECTOR
from vhdwrite import WRITERS, Writer, uuid_text

SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MIXED_BLOCKS = (32 << 10, 512 << 10, 2 << 20)
MIN_MIXED = 1 << 20


def parse_size(text):
    """Bytes from a number with an optional K, M, G or T."""
    if isinstance(text, int):
        return text
    if text[-1:].upper() in SUFFIXES:
        return int(float(text[:-1]) * SUFFIXES[text[-1].upper()])
    return int(text)


def random_runs(rng, size, block, budget=6144):
    """Disjoint runs: short and long, inside blocks and across their edges.

    `budget` bounds the sectors written, so that large disks stay cheap.
    """
    sectors = size // SECTOR
    per_block = block // SECTOR
    runs = []
    # Far jumps spread the budget over the whole disk.
    far = max(2 * per_block, sectors // 30)
    at = rng.randrange(min(sectors, per_block))
    while at < sectors and budget > 0:
        longest = rng.choice((1, 8, 64, max(8, per_block // 2), per_block + 7))
        count = min(rng.randint(1, longest), sectors - at, budget)
        runs.append([at, count, "zero" if rng.random() < 0.2 else "name"])
        budget -= count
        at += count + rng.choice((0, 1, rng.randint(1, 64), rng.randint(1, far)))
    # The last sector is where off-by-one errors live.
    if runs and runs[-1][0] + runs[-1][1] < sectors and rng.random() < 0.7:
        runs.append([sectors - 1, 1, "name"])
    return runs


def default_locators(name, rng=None):
    """The three locators of a child whose parent is in the same directory."""
    slots = [0, 1, 2] if rng is None else rng.sample(range(8), 3)
    texts = (("W2ku", f"C:\\images\\{name}"), ("W2ru", f".\\{name}"), ("MacX", f"file://./{name}"))
    picked = texts[:2] if rng is None else rng.sample(texts, rng.randint(1, 3))
    return [{"slot": slot, "code": code, "text": text,
             "unit": "bytes" if rng is None else rng.choice(("bytes", "sectors"))}
            for slot, (code, text) in zip(slots, picked)]


def apply_writer(layer, writer):
    """Defaults of a foreign writer; what the layer says itself stays."""
    preset = copy.deepcopy(WRITERS[writer])
    layout = {**preset.pop("layout", {}), **layer.get("layout", {})}
    merged = {**preset, **layer, "layout": layout}
    if layer["type"] == "differencing":
        # A set bit hides the parent, so only written sectors may have one.
        merged["bitmap"] = "written"
    return merged


class Builder:
    """A chain from a specification {"layers": [base, ..., leaf]}."""

    def __init__(self, folder, seed, spec):
        self.folder = folder
        self.rng = random.Random(seed)
        self.seed = seed
        self.layers = []
        defaults = spec.get("defaults", {})
        for index, layer in enumerate(spec["layers"]):
            self.layers.append(self._complete({**defaults, **layer}, index))
        self.views = views(self.layers)

    def _complete(self, layer, index):
        below = self.layers[-1] if index else None
        layer = {"type": "differencing" if index else "dynamic", **layer, "index": index}
        layer = apply_writer(layer, layer.get("writer", "own"))
        layer["size"] = parse_size(layer.get("size") or (below["size"] if below else 16 << 20))
        layer["block"] = parse_size(layer.get("block", 2 << 20))
        suffix = "raw" if layer["type"] == "raw" else "vhd"
        layer.setdefault("name", f"layer{index}.{suffix}")
        if layer["type"] == "raw":
            layer["uuid"] = None
        elif "uuid" not in layer:
            layer["uuid"] = f"{self.rng.getrandbits(128):032x}"
        layer.setdefault("timestamp", 0x2C000000 + 60 * index)
        if "runs" not in layer:
            layer["runs"] = random_runs(self.rng, layer["size"], layer["block"])
        if layer["type"] == "differencing":
            self._link(layer, below)
        return layer

    def _link(self, layer, below):
        layer.setdefault("parent_uuid", below["uuid"])
        layer.setdefault("parent_timestamp", below["timestamp"])
        layer.setdefault("parent_name", below["name"])
        rng = self.rng if layer.get("writer", "own") != "own" else None
        layer.setdefault("locators", default_locators(below["name"], rng))

    def write(self):
        """All files; returns the manifest, leaf first as vhdctl counts layers."""
        os.makedirs(self.folder, exist_ok=True)
        files = []
        for layer, view in zip(self.layers, self.views):
            path = os.path.join(self.folder, layer["name"])
            entry = Writer(path, layer, self.rng).write()
            # Some programs compare the parent's time with what the child recorded.
            os.utime(path, (EPOCH + layer["timestamp"],) * 2)
            entry.update(sha256=file_sha256(path), flat_sha256=flat_sha256(view, layer["size"]))
            if layer["type"] == "differencing":
                entry["parent_id"] = uuid_text(layer["parent_uuid"])
            files.insert(0, entry)
        base = self.layers[0]
        return {"seed": self.seed, "leaf": files[0]["file"], "depth": len(files),
                "size": files[0]["size"], "block_size": files[0]["block_size"],
                "flat_sha256": files[0]["flat_sha256"],
                "raw_parent": base["name"] if base["type"] == "raw" else None, "files": files}

    def write_raw(self, path):
        """The flattened leaf as a raw file."""
        write_raw(self.views[-1], self.layers[-1]["size"], path)


def file_sha256(path):
    """Hash of the bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mixed_sizes(rng, leaf, depth, relation):
    """Sizes base first: all equal, or each child larger or smaller than its parent."""
    sizes = [leaf]
    while len(sizes) < depth:
        if relation == "larger":
            size = max(MIN_MIXED, int(sizes[0] * rng.uniform(0.6, 0.95)))
        elif relation == "smaller":
            size = min(leaf * 4, int(sizes[0] * rng.uniform(1.05, 1.5)))
        else:
            size = leaf
        sizes.insert(0, size // SECTOR * SECTOR)
    return sizes


def mixed_spec(seed, depth, base, block, relation, size, foreign=True):
    """A chain whose layers differ in writer, block size, layout and size."""
    rng = random.Random(f"{seed} {depth} {base} {block} {relation} {size}")
    if depth == 1 and base == "raw":
        raise ValueError("a raw base needs a child: --depth 2 or more")
    layers = []
    for index, bytes_ in enumerate(mixed_sizes(rng, size, depth, relation)):
        leaf = index == depth - 1
        layer = {"size": bytes_, "type": "differencing" if index else base,
                 "block": block if leaf or rng.random() < 0.4 else rng.choice(MIXED_BLOCKS)}
        if foreign and rng.random() < 0.6:
            layer["writer"] = rng.choice(sorted(WRITERS))
            layer["layout"] = {"order": rng.choice(("sequential", "reversed", "shuffled")),
                               "surplus": rng.choice((0, 0, 1, 100)),
                               "gap": rng.choice((0, 0, 1, 9))}
            layer["tail_bits"] = rng.randint(0, 1)
        blocks = -(-bytes_ // layer["block"])
        layer["empty_blocks"] = rng.sample(range(blocks), min(2, blocks))
        layers.append(layer)
    return {"layers": layers}


def save_manifest(folder, manifest):
    """manifest.json beside the files."""
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as out:
        json.dump(manifest, out, indent=1)
        out.write("\n")
