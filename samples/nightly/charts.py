# SPDX-License-Identifier: Apache-2.0
"""Line charts: inline SVG that stretches with the page, and its labels as text of the page, so that they do not."""
from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 600, 150  # of the view box; the picture is stretched
N_COLOURS = 6  # classes c0 .. c5 of the page's style


@dataclass(frozen=True)
class Line:
    label: str
    points: list[tuple[float, float | None]]  # x ascending; None: a gap
    colour: int = 0
    dashed: bool = False

    def css(self) -> str:
        return f"c{self.colour % N_COLOURS}" + (" dashed" if self.dashed else "")


@dataclass(frozen=True)
class Chart:
    title: str
    lines: list[Line]
    low: float
    high: float
    y_text: str  # format of a value on the y axis, for str.format
    x_first: str
    x_last: str
    marks: tuple[float, ...] = ()  # x of vertical lines
    scale: float = 1.0  # of values on the y axis


def place(chart: Chart, first: float, last: float):
    wide = (last - first) or 1
    tall = (chart.high - chart.low) or 1

    def at(x: float, y: float) -> tuple[float, float]:
        inside = min(max(y, chart.low), chart.high)
        return WIDTH * (x - first) / wide, HEIGHT * (1 - (inside - chart.low) / tall)

    return at


def path_of(line: Line, at) -> str:
    out, pen = [], "M"
    for i, (x, y) in enumerate(line.points):
        if y is None:
            pen = "M"
            continue
        out.append(f"{pen}{at(x, y)[0]:.1f} {at(x, y)[1]:.1f}")
        alone = pen == "M" and (i + 1 == len(line.points) or line.points[i + 1][1] is None)
        out.append("h0" if alone else "")  # a single value is drawn as a dot
        pen = "L"
    return "".join(out)


def svg(chart: Chart) -> str:
    xs = [x for line in chart.lines for x, _ in line.points] or [0]
    at = place(chart, min(xs), max(xs))
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
             f'aria-label="{escape(chart.title)}">']
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path class="grid" d="M0 {HEIGHT * share:g}H{WIDTH}"/>')
    for x in chart.marks:
        parts.append(f'<path class="mark" d="M{at(x, chart.low)[0]:.1f} 0V{HEIGHT}"/>')
    for line in chart.lines:
        parts.append(f'<path class="{line.css()}" d="{path_of(line, at)}"/>')
    return "".join(parts) + "</svg>"


def legend(chart: Chart) -> str:
    return "".join(f'<span><svg class="key" viewBox="0 0 28 8"><path class="{line.css()}" d="M0 4H28"/></svg>'
                   f"{escape(line.label)}</span>" for line in chart.lines)


def figure(chart: Chart) -> str:
    low, high = (chart.y_text.format(chart.scale * v) for v in (chart.low, chart.high))
    return (f'<figure><figcaption>{escape(chart.title)}</figcaption><div class="plot">'
            f'<div class="y"><span>{high}</span><span>{low}</span></div>{svg(chart)}'
            f'<div class="x"><span>{escape(chart.x_first)}</span><span>{escape(chart.x_last)}</span></div></div>'
            f'<div class="legend">{legend(chart)}</div></figure>')


def around(values: list[float], least: float) -> tuple[float, float]:
    """Limits of a y axis: the values with some room, at least `least` tall."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max((high - low) * 0.1, (least - (high - low)) / 2)
    return low - room, high + room
