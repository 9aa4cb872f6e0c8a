#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests the benchmark's own arithmetic, files and pictures; needs no machine."""

import json
import os
import random
import sys
import tempfile
import traceback
import xml.etree.ElementTree

sys.dont_write_bytecode = True

import bench
import images
import measure
import report
import stats
from chart import Axis
from measure import Sample
from rows import CONTESTANTS, LOADS, ROWS
from vhdvalidate import validate

MIB = 1 << 20
SVG = "{http://www.w3.org/2000/svg}"


def equal(got, wanted, what):
    """Fail with both values."""
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def test_ranks_are_those_of_the_printed_tables():
    """Ranks and coverages for the median, as tables of the sign test print them."""
    ninety = {5: (1, .9375), 8: (2, .9297), 10: (2, .9785), 11: (3, .9346), 15: (4, .9648),
              16: (5, .9232), 18: (6, .9037), 20: (6, .9586), 25: (8, .9567), 30: (11, .9013)}
    for count, (k, coverage) in ninety.items():
        got = stats.rank(count)
        equal((got[0], round(got[1], 4)), (k, coverage), f"90 % of {count}")
    for count, k in {6: 1, 9: 2, 12: 3, 15: 4, 17: 5, 20: 6, 30: 10, 40: 14}.items():
        equal(stats.rank(count, 0.95)[0], k, f"95 % of {count}")
    for count in range(5):
        equal(stats.rank(count), (0, 0.0), f"no interval from {count}")


def test_interval_takes_the_ranked_values():
    """The kth from below and the kth from above, whatever their order."""
    values = list(range(1, 16))
    random.Random(1).shuffle(values)
    equal(stats.interval(values)[:2], (4, 12), "of 1 to 15")
    equal(stats.interval([3, 1, 2]), None, "of three values")


def test_interval_holds_the_median_as_often_as_it_says():
    """For a lopsided distribution, of which it assumes nothing."""
    rng = random.Random(7)
    for count in (8, 15):
        promised = stats.rank(count)[1]
        inside = 0
        for _ in range(4000):
            low, high, _ = stats.interval([rng.lognormvariate(0, 1) for _ in range(count)])
            inside += low <= 1 <= high
        if abs(inside / 4000 - promised) > 0.02:
            raise AssertionError(f"{inside / 4000} of {count}, promised {promised}")


def test_median():
    """Odd and even counts."""
    equal(stats.median([5, 1, 3]), 3, "odd")
    equal(stats.median([4, 1, 3, 2]), 2.5, "even")


def test_verdicts():
    """Known ratios, known verdicts, on both sides of a bound."""
    near = [1.0 + step / 100 for step in range(-7, 8)]
    for values, bound, sense, wanted in (
            (near, 1.0, ">=", "held"), (near, 1.005, ">=", "undecided"),
            (near, 1.04, ">=", "undecided"), (near, 1.041, ">=", "missed"),
            (near, 1.0, "<=", "held"), (near, 0.97, "<=", "undecided"),
            (near, 0.95, "<=", "missed"), ([1, 1, 1], 2, ">=", "undecided"),
            ([2, 2, 2], 2, ">=", "held")):
        equal(stats.verdict(values, bound, sense), wanted, f"{bound} {sense}")


def test_half_a_gate():
    """What a smoke run lets pass."""
    for values, bound, sense, wanted in (
            ([0.6, 0.5, 0.9], 1.1, ">=", True), ([0.5, 0.54, 2], 1.1, ">=", False),
            ([2.4, 2, 3], 1.2, "<=", True), ([2.5, 2, 3], 1.2, "<=", False)):
        equal(stats.passes_half(values, bound, sense), wanted, f"{values} against {bound}")


def test_rows_name_what_is_measured():
    """Each row's load runs both of its sides, and every gate in every round."""
    loads = {load.name: load for load in LOADS}
    for row in ROWS:
        load = loads[row.load]
        for name in filter(None, (row.subject, row.rival)):
            known = load.contestants if row.gate else load.contestants + load.seldom
            equal(name in known and name in CONTESTANTS, True, f"{row.title} of {name}")
        if row.gate:
            equal(load.every, 1, f"rounds of {row.title}")


def test_rounds_alternate():
    """A B, then B A; what no gate needs is there in every third round."""
    load = next(load for load in LOADS if load.name == "read")
    even, odd = load.present(0, True), load.present(1, True)
    equal(even, odd[::-1], "order")
    equal([set(load.seldom) <= set(load.present(turn, False)) for turn in range(4)],
          [True, False, False, True], "rounds of the rest")
    uring = next(load for load in LOADS if load.name == "uring")
    equal([bool(uring.present(turn, False)) for turn in range(4)],
          [True, False, False, True], "rounds of a load without gates")
    equal(uring.present(0, True), [], "gates only")


def test_bounds_by_kernel():
    """A gate on one kernel is a target on another."""
    row = next(row for row in ROWS if row.group == "against the file itself" and row.gate)
    equal(row.bounds((6, 1)), (0.95, None), "6.1")
    equal(row.bounds((7, 3)), (None, 0.95), "7.3")
    row = next(row for row in ROWS if row.load == "read" and row.rival == "loop")
    equal(row.bounds((6, 12)), (1.1, None), "6.12")
    equal(row.bounds((7, 3)), (1.1, 2), "7.3")


def samples(ours, theirs):
    """Samples of the load "read" as a run leaves them."""
    made = [{turn: Sample(rate, 10, 100) for turn, rate in enumerate(rates)}
            for rates in (ours, theirs)]
    return {"read": {"dynamic": made[0], "loop": made[1]}}


def test_ratio_of_each_round():
    """Pairs of one round only; a round without a rival has no ratio."""
    row = next(row for row in ROWS if row.load == "read" and row.rival == "loop" and row.gate)
    data = samples([100, 220, 300], [100, 110, 100])
    del data["read"]["loop"][0]
    equal(bench.ratios(row, data), [2.0, 3.0], "ratios")
    got = bench.judge(row, data, {}, (6, 1))
    equal((got["median"], got["verdict"], got["subject_rate"]), (2.5, "held", 220), "row")
    got = bench.judge(row, {}, {"loop": "gone"}, (6, 1))
    equal((got["verdict"], got["why"]), ("not available", "gone"), "row without samples")


def test_fsyncs_for_each_flush():
    """The one row without a rival."""
    row = next(row for row in ROWS if row.load == "fsync")
    data = {"fsync": {"dynamic": {0: Sample(9, 1, 9, 100, 110), 1: Sample(9, 1, 9, 200, 200)}}}
    equal(bench.ratios(row, data), [1.1, 1.0], "ratios")
    equal(bench.smoke_line(bench.judge(row, data, {}, (6, 1)))[:5], "ok - ", "smoke line")
    data["fsync"]["dynamic"] = {0: Sample(9, 1, 9, 100, 250)}
    equal(bench.smoke_line(bench.judge(row, data, {}, (6, 1)))[:6], "not ok", "smoke line")


def test_fio_command():
    """What every load has in common, and where some differ."""
    for load in LOADS:
        words = measure.fio(load, [("a", "/dev/x", MIB), ("b", "/dev/y", MIB)], 1.5)
        equal([words.count(word) for word in ("--direct=1", "--runtime=1500ms", "--stonewall")],
              [2, 2, 2], load.name)
        sized = [word for word in words if word.startswith(("--bs=", "--bssplit="))]
        equal(len(sized), 2, f"block sizes of {load.name}")


def test_collapse():
    """What gets more rounds before it counts as a failure."""
    row = next(row for row in ROWS if row.load == "read" and row.rival == "loop" and row.gate)
    equal([bench.collapsed(row, samples([rate] * 3, [100] * 3)) for rate in (54, 56)],
          [True, False], "half of 1.1")
    equal(bench.collapsed(row, {}), False, "without samples")


def check_image(path, folder):
    """By the oracle's rules, with all data in place."""
    equal(validate(path)["result"], "clean", path)
    holes = [name for name in os.listdir(folder)
             if os.stat(os.path.join(folder, name)).st_blocks * 512 <
             os.stat(os.path.join(folder, name)).st_size * 0.9]
    equal(holes, [], "files with holes")


def test_images():
    """Single files and chains are valid and without holes."""
    with tempfile.TemporaryDirectory() as top:
        for kind in ("fixed", "dynamic"):
            folder = os.path.join(top, kind)
            check_image(images.single(folder, kind, 8 * MIB), folder)
        folder = os.path.join(top, "striped")
        leaf = images.striped(folder, 3, 16 * MIB)
        for name in os.listdir(folder):
            equal(validate(os.path.join(folder, name))["result"], "clean", name)
        check_image(leaf, folder)
        leaf = images.scattered(os.path.join(top, "scattered"), 5, 4 * MIB)
        equal(validate(leaf)["result"], "clean", "scattered")


def test_every_block_allocated():
    """A table full of places in a file that stays sparse."""
    with tempfile.TemporaryDirectory() as folder:
        path = images.chain(folder, [{"type": "dynamic", "size": 64 << 30, "runs": []}])
        images.allocate_all(path)
        equal(validate(path)["result"], "clean", "result")
        equal(os.stat(path).st_size > 64 << 30, True, "size")
        equal(os.stat(path).st_blocks * 512 < MIB, True, "is sparse")


def result():
    """A made-up run with each kind of row."""
    rows = []
    for index, row in enumerate(ROWS):
        data = {row.load: {row.subject: {t: Sample(100 + index, 10, 9, 100, 105)
                                         for t in range(15)},
                           row.rival: {t: Sample(100 + t, 20, 9) for t in range(15)}}}
        if row.subject == "inline":
            data = {}
        rows.append(bench.judge(row, data, {"inline": "none"}, (6, 1)))
    side = {"title": "x", "rate": stats.summary([1e4, 2e4]), "cpu_us": 3.0, "runs": {}}
    return {"kernel": "6.1.0-56-amd64", "cpu": "c", "cpus": 2, "accelerator": "TCG (emulated)",
            "memory_mib": 1, "storage": "brd & <ext4>", "fio": "fio-3", "qemu_nbd": "q", "aio": "native",
            "host_cpu": "h", "date": "2026-01-01", "commit": "abc", "command": "make bench",
            "pairs": 15, "seconds": 5, "minutes": 1, "others": 0.5, "rows": rows,
            "loads": [{"name": "read", "title": "t", "contestants": {"loop": side}}],
            "memory": [{"title": "m", "gib": 2040, "map_bytes": 8 * MIB, "bytes_per_tib": 4 * MIB,
                        "machine_bytes": 9 * MIB}],
            "attach": [{"gib": 1, "depth": 2, "blocks": "all", "gate": None, **stats.summary([1, 2, 3])}]}


def check_table(text):
    """Each column of a simple table stays within its rule."""
    lines = text.split("\n")
    rule = lines[0]
    equal((lines[2], lines[-1]), (rule, rule), "rules")
    gaps = [i for i, char in enumerate(rule) if char == " "]
    for line in lines[1:2] + lines[3:-1]:
        equal([line[i] for i in gaps if i < len(line) and line[i] != " "], [], line)
        equal(len(line) <= len(rule) and line[0] != " ", True, line)


def test_tables():
    """Their columns, and the words in them."""
    run = result()
    for make in (report.gates, report.rates, report.memory, report.attach):
        check_table(make(run))
    page = report.rst(run)
    for word in ("not available", "held", "6.1.svg", "``make bench``", "4096 KiB"):
        equal(word in page, True, word)
    equal("other programs took 50 %" in report.text(run), True, "note about a busy machine")


def test_json():
    """What is written is what was measured."""
    run = result()
    equal(json.loads(report.json_text(run)), json.loads(json.dumps(run)), "JSON")
    equal(sorted(report.files(run)), ["6.1.json", "6.1.rst", "6.1.svg"], "names")


def test_chart():
    """Well-formed; bars end where their ratios are."""
    run = result()
    root = xml.etree.ElementTree.fromstring(report.draw(run))
    axis = Axis([1.0] + [row[key] for row in run["rows"]
                         for key in ("median", "low", "high", "gate", "target") if row.get(key)])
    ends = set()
    for bar in root.iter(SVG + "rect"):
        left, width = float(bar.get("x")), float(bar.get("width"))
        ends |= {round(left, 1), round(left + width, 1)}
    marks = {float(line.get("x1")) for line in root.iter(SVG + "line")}
    for row in run["rows"]:
        if row["gate"]:
            equal(axis.x(row["gate"]) in marks, True, f"gate of {row['title']}")
        if row["n"] and abs(axis.x(row["median"]) - axis.x(1)) > 1:
            near = min(abs(axis.x(row["median"]) - end) for end in ends)
            equal(near < 0.2, True, f"bar of {row['title']}")
    words = [text.text for text in root.iter(SVG + "text")]
    for row in run["rows"]:
        equal(row["title"] in words, True, row["title"])


def main():
    """Run all tests, or those whose names contain an argument."""
    passed = failed = 0
    for name, test in sorted(globals().items()):
        if name.startswith("test_") and (not sys.argv[1:] or any(x in name for x in sys.argv[1:])):
            try:
                test()
            except Exception:       # noqa: BLE001, said in full and counted
                traceback.print_exc(file=sys.stdout)
                print(f"not ok {name[5:]}")
                failed += 1
            else:
                print(f"ok {name[5:]}")
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
