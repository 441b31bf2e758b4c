"""The pictures of an audit: what batches hold, from a report, as SVG.

A group has a colour, its strata have shades of it. A thin dark mark is what was asked.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.audit.tables import clock_text, name_text
from viscy_data.pages.charts import WIDTH, Bar, Times, bars_chart
from viscy_data.pages.charts import batches_chart as chart_of_batches
from viscy_data.pages.colours import INK, LINE, colour, shade
from viscy_data.pages.markup import Markup
from viscy_data.pages.svg import box, line, picture, text, ticks
from viscy_data.sampling.report import CompositionReport
from viscy_data.text import shown

type Numbers = NDArray[Any]

PANELS = 12
"""Groups drawn at most."""


def batches_chart(report: CompositionReport) -> Markup:
    """Draw the first batches as columns: above of which group and stratum, below at which times."""
    first = report.first
    times = None if report.times is None else Times(first.times, report.times, clock_text(report))
    return chart_of_batches(first.cells, times)


def groups_chart(report: CompositionReport) -> Markup:
    """Draw the batches of each group as bars, what was asked as a mark."""
    counts = zip(report.groups, report.batches_held, report.batches_asked, strict=True)
    bars = [
        Bar(shown(name_text(one), 22), float(held), f"{held:,}", colour(g), float(asked))
        for g, (one, held, asked) in enumerate(counts)
    ]
    return bars_chart(bars[: 2 * PANELS], "Batches of each group, held and asked")


def times_chart(report: CompositionReport) -> Markup:
    """Draw anchors by time, a panel per group and a line per stratum."""
    if report.times is None:
        return Markup()
    columns = 2 if len(report.groups) > 1 else 1
    shown = min(len(report.groups), PANELS)
    width, height = WIDTH / columns, 120.0
    rows = -(-shown // columns)
    parts = [
        part
        for g in range(shown)
        for part in _time_panel(report, g, (g % columns * width, g // columns * height), (width, height))
    ]
    return picture(WIDTH, rows * height, parts, f"Anchors drawn by {clock_text(report)}, group and stratum")


def _time_panel(
    report: CompositionReport, g: int, at: tuple[float, float], size: tuple[float, float]
) -> list[Markup]:
    edges, held = report.times, report.by_time[g]
    if edges is None:
        return []
    top = max(1.0, float(held.max()))
    x0, y0, wide, tall = at[0] + 34, at[1] + size[1] - 22, size[0] - 44, size[1] - 44
    middle = (edges[:-1] + edges[1:]) / 2
    x = x0 + wide * (middle - edges[0]) / (edges[-1] - edges[0])
    parts = [
        text(x0, at[1] + 14, shown(name_text(report.groups[g]), 24), fill=INK),
        line([(x0, y0), (x0 + wide, y0)], LINE, width=1),
        text(x0 - 5, y0 - tall + 4, _amount(top), anchor="end"),
        text(x0 - 5, y0 + 1, "0", anchor="end"),
    ]
    unit = " h" if clock_text(report) == "hours" else ""
    for value in ticks(edges[0], edges[-1], 3):
        place = x0 + wide * (value - edges[0]) / (edges[-1] - edges[0])
        parts.append(text(place, y0 + 13, f"{value:g}{unit}", anchor="middle"))
    for s, counts in enumerate(held):
        if counts.any():
            points = list(zip(x.tolist(), (y0 - tall * counts / top).tolist(), strict=True))
            parts.append(line(points, shade(g, s, len(held))))
    return parts


def visits_chart(report: CompositionReport) -> Markup:
    """Draw how many anchors came how often."""
    counts = np.zeros(int(report.visits.times.max()) + 1, dtype=np.int64)
    counts[report.visits.times] = report.visits.anchors
    return histogram(counts, "visits of an anchor", "anchors", colour(0))


def frames_chart(report: CompositionReport) -> Markup:
    """Draw how many batches hold how many distinct frames."""
    if report.frames is None:
        return Markup()
    return histogram(report.frames.batches, "distinct frames in a batch", "batches", colour(2))


def histogram(counts: Numbers, across: str, up: str, fill: str) -> Markup:
    """Draw counts of 0, 1, 2, ... as bars; bars are joined where there are many, empty ends left out."""
    held = np.flatnonzero(counts)
    first, last = int(held.min()), int(held.max())
    wide = -(-(last - first + 1) // 40)
    values = np.add.reduceat(counts[first : last + 1], np.arange(0, last - first + 1, wide))
    height, left, top = 150.0, 60.0, max(1, int(values.max()))
    step = (WIDTH - left) / max(values.size, 6)
    floor, tall = height - 34, height - 50
    parts = [line([(left, floor), (WIDTH, floor)], LINE, width=1)]
    parts += [text(left - 6, floor - tall + 8, _amount(top), anchor="end")]
    parts += [text(left - 6, floor, "0", anchor="end"), text(left, 10, up)]
    parts += [text(WIDTH, height - 4, across, anchor="end")]
    skip = -(-values.size // 10)
    for place, value in enumerate(values.tolist()):
        x = left + place * step
        parts.append(box(x + step * 0.08, floor - tall * value / top, step * 0.84, tall * value / top, fill))
        if place % skip == 0:
            start = first + place * wide
            label = f"{start}" if wide == 1 else f"{start}-{min(start + wide - 1, last)}"
            parts.append(text(x + step / 2, floor + 14, label, anchor="middle"))
    return picture(WIDTH, height, parts, f"{up} by {across}")


def _amount(value: float) -> str:
    """Return a count in few characters."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{value:.0f}"
