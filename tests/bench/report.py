# SPDX-License-Identifier: GPL-2.0
"""Results as a table for the terminal, as reStructuredText and as JSON."""

import json

from chart import draw


def number(value):
    """Three digits that people can compare."""
    if value is None:
        return ""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}" if value < 999.5 * size else f"{value / size:.0f}{unit}"
    return f"{value:.3g}"


def ratio(value):
    """Two decimals, or one where nobody needs the second."""
    if value is None:
        return ""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def interval(row):
    """The 90 % interval of a row."""
    if row.get("low") is None:
        return ""
    return f"{ratio(row['low'])} - {ratio(row['high'])}"


def bound(row):
    """Gate and target of a row."""
    words = []
    if row["gate"]:
        words.append(f"{row['sense']} {row['gate']:g}")
    if row["target"]:
        words.append(f"target {row['target']:g}")
    return ", ".join(words)


def verdict(row):
    """What the row says about its gate, or else about its target."""
    if row["verdict"] or not row["target"]:
        return row["verdict"]
    return f"target {row['target_verdict']}"


def table(head, rows):
    """A simple table of reStructuredText, which reads well as it is."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    # A first cell that is empty would continue the row above; none here is.
    body = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in [head, *rows]]
    return "\n".join([rule, body[0], rule, *body[1:], rule])


def sides(row, key):
    """A figure of the subject, and of its rival."""
    return " / ".join(number(row[side + key]) for side in ("subject", "rival")
                      if row.get(side + key) is not None)


def gates(result):
    """The ratios, with processor time beside them."""
    head = ("of", "load", "ratio", "90 % interval", "gate", "verdict", "CPU us/IO", "IO/s")
    rows = []
    for row in result["rows"]:
        rows.append((row["group"], row["title"], ratio(row.get("median")), interval(row),
                     bound(row), verdict(row), sides(row, "_cpu_us"), sides(row, "_rate")))
    return table(head, rows)


def rates(result):
    """Every contestant under every load."""
    head = ("load", "contestant", "IO/s", "90 % interval", "CPU us/IO", "runs")
    rows = []
    for load in result["loads"]:
        for side in load["contestants"].values():
            rate = side["rate"]
            span = f"{number(rate['low'])} - {number(rate['high'])}" if rate["low"] else ""
            rows.append((load["title"], side["title"], number(rate["median"]), span,
                         number(side["cpu_us"]), rate["n"]))
    return table(head, rows)


def kib(value):
    """Bytes as KiB."""
    return f"{value / 1024:.0f} KiB"


def memory(result):
    """What attached disks keep in memory."""
    head = ("disk", "size", "map and caches", "per TiB", "less free memory")
    return table(head, [(row["title"], f"{row['gib']} GiB", kib(row["map_bytes"]),
                         kib(row["bytes_per_tib"]), kib(row["machine_bytes"]))
                        for row in result["memory"]])


def attach(result):
    """How long vhdctl attach takes."""
    head = ("size", "files", "blocks allocated", "seconds", "90 % interval", "gate", "verdict")
    return table(head, [(f"{row['gib']} GiB", row["depth"], row["blocks"], ratio(row["median"]),
                         interval(row), f"<= {row['gate']:g} s" if row["gate"] else "",
                         row.get("verdict", "")) for row in result["attach"]])


def unavailable(result):
    """Why some rows have no figures."""
    return [f"{row['group']}: {row['title']}: {row['why']}" for row in result["rows"]
            if row["verdict"] == "not available"]


def text(result):
    """For the terminal; a smoke run has nothing to say about rates."""
    parts = [f"Linux {result['kernel']}, {result['accelerator']}, {result['pairs']} rounds of "
             f"{result['seconds']:g} s, {result['minutes']} minutes", gates(result)]
    parts += [f"not available: {line}" for line in unavailable(result)]
    if not result.get("smoke"):
        parts.append(rates(result))
    if "memory" in result:
        parts += [memory(result), attach(result)]
    if result.get("others", 0) > 0.02:
        parts.append(f"note: other programs took {100 * result['others']:.0f} % of the "
                     "processors meanwhile")
    return "\n\n".join(parts)


def release(result):
    """6.1 for 6.1.0-56-amd64."""
    return ".".join(result["kernel"].split("-")[0].split(".")[:2])


def facts(result):
    """Where the figures come from."""
    pairs = (("Kernel", result["kernel"]), ("Processor", f"{result['cpus']} x {result['cpu']} on "
             f"{result['host_cpu']}"), ("Accelerator", result["accelerator"]),
             ("Memory", f"{result['memory_mib']} MiB"), ("Storage", result["storage"]),
             ("Rivals", f"{result['qemu_nbd']} (aio={result['aio']}), loop of the same kernel"),
             ("Load from", result["fio"]), ("Date", result["date"]),
             ("Commit", result["commit"]), ("Command", f"``{result['command']}``"),
             ("Rounds", f"{result['pairs']} of {result['seconds']:g} s for each contestant"),
             ("Other programs", f"{100 * result['others']:.0f} % of the processors meanwhile"))
    return "\n".join(f":{name}: {value}" for name, value in pairs)


def heading(title, mark):
    """A section title."""
    return f"{title}\n{mark * len(title)}"


def rst(result):
    """A page of documentation."""
    name = release(result)
    title = f"Benchmarks on Linux {name}"
    parts = [".. SPDX-License-Identifier: GPL-2.0\n.. Written by the command below; not by hand.",
             f"{'=' * len(title)}\n{heading(title, '=')}", facts(result),
             f".. image:: {name}.svg\n   :alt: the ratios below as a chart",
             heading("Ratios and gates", "-"), gates(result)]
    parts += [f"Not available: {line}." for line in unavailable(result)]
    parts += [heading("Rates", "-"), rates(result)]
    if "memory" in result:
        parts += [heading("Memory", "-"), memory(result),
                  heading("Time to attach", "-"), attach(result)]
    return "\n\n".join(parts) + "\n"


def json_text(result):
    """One line for each row, so that a new run makes a readable difference."""
    lines = []
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            inner = ",\n  ".join(json.dumps(item) for item in value)
            lines.append(f' {json.dumps(key)}: [\n  {inner}\n ]')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def files(result):
    """Name -> content of what is kept of a run."""
    name = release(result)
    return {f"{name}.json": json_text(result), f"{name}.rst": rst(result),
            f"{name}.svg": draw(result)}
