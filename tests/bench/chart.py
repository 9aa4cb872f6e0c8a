# SPDX-License-Identifier: GPL-2.0
"""Draws ratios as horizontal bars on a logarithmic axis, as SVG."""

import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 960, 330, 730
ROW, GROUP, TOP, BOTTOM = 26, 34, 84, 76
BAR = 12
COLOURS = {"held": "#2f7d5d", "missed": "#b83a3a", "undecided": "#c08a1e", "": "#7f8ea3"}
INK, FAINT, GRID = "#1f2733", "#5b6675", "#dfe4ea"
STYLE = f"""
 text {{ font-family: "DejaVu Sans", "Helvetica", "Arial", sans-serif; font-size: 12px; fill: {INK} }}
 .title {{ font-size: 17px; font-weight: bold }}
 .group {{ font-weight: bold }}
 .faint {{ fill: {FAINT}; font-size: 11px }}
 .end {{ text-anchor: end }}
 .mid {{ text-anchor: middle }}
"""


class Axis:
    """Ratio -> x, the same distance for each doubling."""

    def __init__(self, values):
        self.low = min(-1, math.floor(math.log2(min(values))))
        self.high = max(1, math.ceil(math.log2(max(values))))

    def x(self, value):
        """Position of a ratio."""
        part = (math.log2(value) - self.low) / (self.high - self.low)
        return round(LEFT + part * (RIGHT - LEFT), 1)

    def ticks(self):
        """Powers of two."""
        return [2.0 ** power for power in range(self.low, self.high + 1)]


class Canvas:
    """Elements in the order they are painted."""

    def __init__(self):
        self.parts = []

    def text(self, x, y, words, kind=""):
        """One line of text."""
        mark = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{x}" y="{y}"{mark}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1, more=""):
        """A straight line."""
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" '
                          f'stroke-width="{width}"{more}/>')

    def rect(self, x, y, width, height, colour):
        """A filled box."""
        self.parts.append(f'<rect x="{x}" y="{y}" width="{round(width, 1)}" height="{height}" '
                          f'fill="{colour}"/>')


def numbers(row):
    """All ratios that a row wants on the axis."""
    return [row[key] for key in ("median", "low", "high", "gate", "target") if row.get(key)]


def shown(value):
    """A ratio in words."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def colour_of(row):
    """By the verdict, which stands beside it in words too."""
    return COLOURS[row["verdict"] or row.get("target_verdict", "")]


def draw_marks(canvas, axis, row, y):
    """The gate as a solid line across the bar, the target as a broken one."""
    for key, more in (("gate", ""), ("target", ' stroke-dasharray="3 2"')):
        if row[key]:
            x = axis.x(row[key])
            canvas.line(x, y - 9, x, y + 9, INK, 2, more)


def draw_row(canvas, axis, row, y):
    """Label, bar, whiskers, marks, and the figures in words."""
    canvas.text(LEFT - 12, y + 4, row["title"], "end")
    draw_marks(canvas, axis, row, y)
    if row["verdict"] == "not available":
        canvas.text(RIGHT + 14, y + 4, "not available", "faint")
        return
    one, value = axis.x(1), axis.x(row["median"])
    canvas.rect(min(one, value), y - BAR / 2, max(abs(value - one), 1), BAR, colour_of(row))
    if row["low"]:
        low, high = axis.x(row["low"]), axis.x(row["high"])
        canvas.line(low, y, high, y, INK, 1.2)
        for x in (low, high):
            canvas.line(x, y - 4, x, y + 4, INK, 1.2)
    # Again, so that no bar hides its gate.
    draw_marks(canvas, axis, row, y)
    words = row["verdict"]
    if not words and row["target"]:
        words = f"target {row['target_verdict']}"
    canvas.text(RIGHT + 14, y + 4, shown(row["median"]))
    canvas.text(RIGHT + 62, y + 4, words)
    if row["gate"]:
        sense = "≥" if row["sense"] == ">=" else "≤"
        canvas.text(RIGHT + 142, y + 4, f"gate {sense} {row['gate']:g}", "faint")


def draw_axis(canvas, axis, bottom):
    """Grid lines, the line of equal speed, and their labels."""
    for tick in axis.ticks():
        x = axis.x(tick)
        canvas.line(x, TOP - 6, x, bottom, FAINT if tick == 1 else GRID)
        canvas.text(x, TOP - 12, f"{tick:g}", "faint mid")


def draw_legend(canvas, y):
    """Colours and marks."""
    x = LEFT - 200
    for name in ("held", "missed", "undecided", ""):
        canvas.rect(x, y - 9, 12, 10, COLOURS[name])
        canvas.text(x + 18, y, name or "no gate", "faint")
        x += 92
    for name, more in (("gate", ""), ("target", ' stroke-dasharray="3 2"')):
        canvas.line(x + 4, y - 12, x + 4, y + 3, INK, 2, more)
        canvas.text(x + 14, y, name, "faint")
        x += 70
    canvas.line(x, y - 4, x + 24, y - 4, INK, 1.2)
    canvas.text(x + 32, y, "90 % interval of the median", "faint")


def draw(result):
    """The chart of one kernel."""
    rows = result["rows"]
    axis = Axis([1.0] + [value for row in rows for value in numbers(row)])
    groups = list(dict.fromkeys(row["group"] for row in rows))
    bottom = TOP + GROUP * len(groups) + ROW * len(rows)
    canvas = Canvas()
    canvas.rect(0, 0, WIDTH, bottom + BOTTOM, "#ffffff")
    canvas.text(24, 32, f"vhdblk on Linux {result['kernel']}", "title")
    canvas.text(24, 52, f"ratios of I/O rates on a logarithmic scale, medians of "
                f"{result['pairs']} interleaved pairs of {result['seconds']:g} s", "faint")
    draw_axis(canvas, axis, bottom)
    y = TOP
    for group in groups:
        y += GROUP
        canvas.text(24, y - 6, group, "group")
        for row in (row for row in rows if row["group"] == group):
            draw_row(canvas, axis, row, y + ROW / 2)
            y += ROW
    draw_legend(canvas, bottom + 28)
    canvas.text(24, bottom + 56, f"{result['storage']}, {result['accelerator']}, "
                f"{result['cpus']} processors, commit {result['commit']}, {result['date']}", "faint")
    height = bottom + BOTTOM
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img">\n'
            f'<!-- SPDX-License-Identifier: GPL-2.0 -->\n'
            f'<title>vhdblk beside its rivals on Linux {escape(result["kernel"])}</title>\n'
            f'<style>{STYLE}</style>\n' + "\n".join(canvas.parts) + "\n</svg>\n")
