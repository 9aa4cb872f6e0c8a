# SPDX-License-Identifier: GPL-2.0
"""The rows of the corruption table."""

from corruption_blocks import batmaps, bats, bitmaps
from corruption_footers import chs_footers, child_footers, dynamic_footers, fixed_footers
from corruption_headers import headers
from corruption_links import locators
from corruption_sizes import sizes


def all_rows(bases):
    """The whole table; a child is handed to the kernel together with its parent."""
    rows = []
    for area in (dynamic_footers, child_footers, fixed_footers, chs_footers, headers, bats,
                 bitmaps, batmaps, locators, sizes):
        rows += area(bases)
    for row in rows:
        if row.layers is None and row.base == "diff":
            row.layers = ["leaf", "parent.vhd"]
    names = [row.name for row in rows]
    for name in set(names):
        if names.count(name) > 1:
            raise ValueError(f"two rows are called {name}")
    return rows
