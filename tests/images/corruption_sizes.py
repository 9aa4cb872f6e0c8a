# SPDX-License-Identifier: GPL-2.0
"""Rows of the corruption table that cut or lengthen the file."""

from corruption_kit import (BLOCK, ENTRIES, Row, bad_block, by_copy, cut_block, either, fatal,
                            forged, leak, legal, repairable, short_footer, unsupported)
from vhdspec import DIFFERENCING, SECTOR, UNUSED, Footer, Header


def cut_rows(bases):
    """A dynamic file that ends early."""
    base = bases["dyn"]
    bat = base.header.table_offset
    tiny = fatal("too-small", "no-footer")
    headless = fatal("footer-data-offset", "header-cookie", "header-checksum",
                     "metadata-overlap", "bat-truncated", "too-small")
    cases = [(size, tiny) for size in (0, 1, 510)]
    cases += [(511, either(headless, tiny, unsupported("short-footer")))]
    cases += [(size, headless) for size in (512, 513, 1023, 1024, 1535)]
    tableless = fatal("bat-truncated", "header-table-offset")
    cases += [(size, tableless) for size in (1536, bat, bat + 4, bat + 256)]
    return [Row(f"dyn-cut-{size}", "dyn", outcome).truncate(size) for size, outcome in cases]


def blocks_cut(bases):
    """A dynamic file that ends behind its metadata."""
    base = bases["dyn"]
    used = {block: base.entry(block) * SECTOR for block in range(ENTRIES)
            if base.entry(block) != UNUSED}
    last = max(used, key=used.get)
    start = used[last]
    rows = []
    out = bad_block("bat-range", "footer-end-missing").failing(sorted(used))
    rows.append(Row("dyn-cut-behind-bat", "dyn", out).truncate(8192))
    out = bad_block("bat-range", "footer-end-missing").failing([last])
    rows.append(Row("dyn-cut-before-last-block", "dyn", out).truncate(start))
    for tag, size in (("bitmap", start + SECTOR), ("half", start + SECTOR + BLOCK // 2),
                      ("odd", start + SECTOR + BLOCK // 2 + 100),
                      ("last-byte", start + SECTOR + BLOCK - 1)):
        out = cut_block().failing(unsure=[last])
        out.faults.append("footer-end-missing")
        rows.append(Row(f"dyn-cut-in-last-block-{tag}", "dyn", out).truncate(size))
    for tag, size in (("exactly", start + SECTOR + BLOCK), ("footer", base.end),
                      ("footer+1", base.end + 1), ("footer+64", base.end + 64),
                      ("footer+510", base.end + 510)):
        rows.append(Row(f"dyn-cut-behind-blocks-{tag}", "dyn",
                        repairable("footer-end-missing")).truncate(size))
    return rows


def longer(bases):
    """A dynamic file with more behind it, or more inside."""
    base = bases["dyn"]
    footer = base.raw[base.end:]
    rows = []
    for tag, data in (("byte", b"\0"), ("511", b"x" * 511), ("sector", bytes(512)),
                      ("page", b"\xa5" * 4096), ("header", Header().sealed())):
        rows.append(Row(f"dyn-append-{tag}", "dyn", repairable("footer-end-missing")).append(data))
    rows.append(Row("dyn-append-footer", "dyn", legal(), "the old footer is only a gap now")
                .append(footer))
    rows.append(Row("dyn-append-half-and-footer", "dyn", either(
        legal(), repairable("footer-end-missing")), "the file ends off a sector")
                .append(bytes(100) + footer))
    for count in (SECTOR, 4096, 8192):
        rows.append(Row(f"dyn-grow-{count}", "dyn", legal(), "a gap before the footer").grow(count))
    rows.append(Row("dyn-grow-4-blocks", "dyn", leak()).grow(4 * BLOCK, 0xa5))
    return rows


def short_footers(bases):
    """The last byte of the footer is missing."""
    rows = []
    for name in ("dyn", "fixed", "diff"):
        base = bases[name]
        size = len(base.raw) - 1
        rows.append(Row(f"{name}-short-footer", name, short_footer()).truncate(size))
    row = Row("dyn-short-footer-bad-copy", "dyn", short_footer())
    row.outcome.faults.append("footer-copy")
    rows.append(row.put(0, bytes(512)).truncate(len(bases["dyn"].raw) - 1))
    row = Row("fixed-short-footer-bad-sum", "fixed", fatal("footer-checksum"))
    base = bases["fixed"]
    rows.append(row.put(base.end + 24, b"\xff").truncate(len(base.raw) - 1))
    return rows


def fixed_sizes(bases):
    """Fixed and raw files."""
    base = bases["fixed"]
    footer = base.raw[base.end:]
    rows = [Row(f"fixed-cut-{size}", "fixed", fatal("no-footer", "too-small")).truncate(size)
            for size in (0, 1, 511, 512, base.end, base.end + 256)]
    for tag, data in (("byte", b"\0"), ("sector", bytes(512))):
        rows.append(Row(f"fixed-append-{tag}", "fixed", fatal("no-footer")).append(data))
    rows.append(Row("fixed-sector-lost", "fixed", fatal("footer-size"))
                .truncate(base.end - 512).append(footer))
    rows.append(Row("fixed-byte-lost", "fixed", fatal("footer-size", "no-footer"))
                .truncate(base.end - 1).append(footer))
    for count in (100, 512, 1 << 20):
        rows.append(Row(f"fixed-grow-{count}", "fixed", legal()).grow(count))
    rows.append(Row("raw-file", "raw", fatal("no-footer"), "no VHD at all"))
    return rows + forgeries(base)


def forgeries(base):
    """A guest writes headers into its own fixed disk; they must stay data."""
    fake = Footer(data_offset=512, type=DIFFERENCING, current_size=1 << 20,
                  original_size=1 << 20, uuid=b"\x66" * 16).sealed()
    header = Header(table_offset=4096, max_entries=1, block_size=2 << 20,
                    parent_name="/etc/passwd".encode("utf-16-be").ljust(512, b"\0")).sealed()
    row = Row("fixed-forged-child", "fixed", legal(), "sector 0 looks like a child's footer")
    rows = [row.put(0, fake + header)]
    row = Row("fixed-forged-child-no-end", "fixed", forged(), "and the real footer is lost")
    rows.append(row.put(0, fake + header).put(base.end + 24, b"\xff"))
    row = Row("fixed-forged-child-cut", "fixed", forged(), "and the real footer is cut off")
    rows.append(row.put(0, fake + header).truncate(base.end))
    return rows


def child_sizes(bases):
    """A child that ends early is opened by its copy."""
    base = bases["diff"]
    rows = [Row(f"diff-cut-{tag}", "diff", by_copy("footer-end-missing")).truncate(size)
            for tag, size in (("footer", base.end), ("footer+300", base.end + 300))]
    rows.append(Row("diff-append-sector", "diff", by_copy("footer-end-missing"))
                .append(bytes(512)))
    rows.append(Row("diff-cut-header", "diff", fatal(
        "footer-data-offset", "header-cookie", "header-checksum")).truncate(1200))
    return rows


def sizes(bases):
    """All rows about the size of the file."""
    return (cut_rows(bases) + blocks_cut(bases) + longer(bases) + short_footers(bases) +
            fixed_sizes(bases) + child_sizes(bases))
