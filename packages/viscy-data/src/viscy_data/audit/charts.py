"""The pictures of an audit: what batches hold, from a report, as SVG.

A group has a colour, its strata have shades of it. A thin dark mark is what was asked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.pages.svg import INK, LINE, box, colour, lighter, line, picture, text, ticks
from viscy_data.sampling.report import CompositionReport
from viscy_data.text import shown

type Numbers = NDArray[Any]

WIDTH = 480.0
LEFT, BOTTOM = 44.0, 30.0
PANELS = 12
"""Groups drawn at most."""


def shade(group: int, stratum: int, strata: int) -> str:
    """Return the colour of a cell."""
    return lighter(colour(group), 0.6 * stratum / max(1, strata - 1))


def batches_chart(report: CompositionReport) -> str:
    """Draw the first batches as columns: above of which group and stratum, below at which hours."""
    cells, times = report.first.cells, report.first.times
    count, groups, strata = cells.shape
    timed = report.times is not None
    above, below = 150.0, 110.0 if timed else 0.0
    step = (WIDTH - LEFT) / max(1, count)
    most = max(1, int(cells.sum(axis=(1, 2)).max()))
    parts = [text(LEFT, 10, "anchors, by group and stratum")]
    for b in range(count):
        y = 18 + above
        own = int(cells[b].sum(axis=1).argmax())
        held = np.argwhere(cells[b] > 0)
        held = held[np.argsort(held[:, 0] != own, kind="stable")]  # own ones first
        for g, s in held.tolist():
            height = above * cells[b, g, s] / most
            y -= height
            parts.append(box(LEFT + b * step, y, step * 0.86, height, shade(g, s, strata)))
    parts += [text(LEFT - 6, 26, str(most), anchor="end"), text(LEFT - 6, 18 + above, "0", anchor="end")]
    if timed and report.times is not None:
        parts += _time_strip(times, report.times, (18 + above + 26, below), step)
    height = 18 + above + (26 + below if timed else 0) + 18
    parts.append(text(WIDTH, height - 4, f"first {count} batches", anchor="end"))
    return picture(WIDTH, height, parts, f"First batches, {groups} groups: colour is the group of an anchor")


def _time_strip(times: Numbers, edges: Numbers, where: tuple[float, float], step: float) -> list[str]:
    """Draw each batch's anchors by time as squares, darker where there are more."""
    top, height = where
    bins = times.shape[1]
    tall = height / bins
    parts = [text(LEFT, top - 6, "hours")]
    for b, t in np.argwhere(times > 0).tolist():
        y = top + height - (t + 1) * tall
        dark = 0.15 + 0.85 * times[b, t] / times[b].max()
        parts.append(box(LEFT + b * step, y, step * 0.86, tall, INK, opacity=dark))
    for value in ticks(edges[0], edges[-1], 4):
        y = top + height * (1 - (value - edges[0]) / (edges[-1] - edges[0]))
        parts.append(text(LEFT - 6, y + 4, f"{value:g}", anchor="end"))
    return parts


def groups_chart(report: CompositionReport) -> str:
    """Draw the batches of each group as bars, what was asked as a mark."""
    held, asked = report.batches_held[: 2 * PANELS], report.batches_asked[: 2 * PANELS]
    names = [_name(one, "all") for one in report.groups[: 2 * PANELS]]
    left, tall = 150.0, 20.0
    scale = (WIDTH - left - 50) / max(1.0, float(held.max(initial=0)), float(asked.max(initial=0)))
    parts = []
    for g, name in enumerate(names):
        y = 4 + g * tall
        parts += [
            text(left - 8, y + 12, shown(name, 22), anchor="end", fill=INK),
            box(left, y + 2, held[g] * scale, tall - 7, colour(g)),
            box(left + asked[g] * scale - 1, y - 1, 2, tall - 1, INK),
            text(left + max(held[g], asked[g]) * scale + 6, y + 12, f"{held[g]:,}"),
        ]
    return picture(WIDTH, 8 + tall * len(names), parts, "Batches of each group, held and asked")


def times_chart(report: CompositionReport) -> str:
    """Draw anchors by time, a panel per group and a line per stratum."""
    if report.times is None:
        return ""
    columns = 2 if len(report.groups) > 1 else 1
    shown = min(len(report.groups), PANELS)
    width, height = WIDTH / columns, 120.0
    rows = -(-shown // columns)
    parts = [
        part
        for g in range(shown)
        for part in _time_panel(report, g, (g % columns * width, g // columns * height), (width, height))
    ]
    return picture(WIDTH, rows * height, parts, "Anchors drawn by time, group and stratum")


def _time_panel(
    report: CompositionReport, g: int, at: tuple[float, float], size: tuple[float, float]
) -> list[str]:
    edges, held = report.times, report.by_time[g]
    if edges is None:
        return []
    top = max(1.0, float(held.max()))
    x0, y0, wide, tall = at[0] + 34, at[1] + size[1] - 22, size[0] - 44, size[1] - 44
    middle = (edges[:-1] + edges[1:]) / 2
    x = x0 + wide * (middle - edges[0]) / (edges[-1] - edges[0])
    parts = [
        text(x0, at[1] + 14, shown(_name(report.groups[g], "all"), 24), fill=INK),
        line([(x0, y0), (x0 + wide, y0)], LINE, width=1),
        text(x0 - 5, y0 - tall + 4, _amount(top), anchor="end"),
        text(x0 - 5, y0 + 1, "0", anchor="end"),
    ]
    for value in ticks(edges[0], edges[-1], 3):
        place = x0 + wide * (value - edges[0]) / (edges[-1] - edges[0])
        parts.append(text(place, y0 + 13, f"{value:g} h", anchor="middle"))
    for s, counts in enumerate(held):
        if counts.any():
            points = list(zip(x.tolist(), (y0 - tall * counts / top).tolist(), strict=True))
            parts.append(line(points, shade(g, s, len(held))))
    return parts


def visits_chart(report: CompositionReport) -> str:
    """Draw how many anchors came how often."""
    counts = np.zeros(int(report.visits.times.max()) + 1, dtype=np.int64)
    counts[report.visits.times] = report.visits.anchors
    return histogram(counts, "visits of an anchor", "anchors", colour(0))


def frames_chart(report: CompositionReport) -> str:
    """Draw how many batches hold how many distinct frames."""
    if report.frames is None:
        return ""
    return histogram(report.frames.batches, "distinct frames in a batch", "batches", colour(2))


def histogram(counts: Numbers, across: str, up: str, fill: str) -> str:
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


def legend(groups: Sequence[Any], strata: Sequence[Any]) -> list[tuple[str, str]]:
    """Return (colour, name) of the groups, or of the strata where there is one group."""
    if len(groups) > 1 or len(strata) == 1:
        return [(colour(g), _name(one, "all")) for g, one in enumerate(groups[:PANELS])]
    return [(shade(0, s, len(strata)), _name(one, "all")) for s, one in enumerate(strata[:PANELS])]


def shades(strata: Sequence[Any]) -> str:
    """Say which shade is which stratum."""
    if len(strata) < 2:
        return ""
    names = [_name(one, "all") for one in strata]
    return f"Dark to light: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}."


def _name(value: Any, none: str) -> str:
    return (
        none if value is None else ", ".join(map(shown, value)) if isinstance(value, tuple) else shown(value)
    )


def _amount(value: float) -> str:
    """Return a count in few characters."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{value:.0f}"
