"""Charts that several reports draw: the first batches of a plan, and bars beside what was asked or known."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from viscy_data.pages.colours import INK, LINE, colour, shade
from viscy_data.pages.markup import Markup
from viscy_data.pages.svg import box, line, picture, text, ticks

type Numbers = NDArray[Any]

WIDTH = 480.0
LEFT = 44.0
KEYS = 12
"""Groups named in a legend at most."""


class Times(NamedTuple):
    """When anchors of batches were seen: counts (batches, bins), edges (bins + 1,), and the clock's name."""

    counts: Numbers
    edges: Numbers
    clock: str = "hours"


def batches_chart(cells: Numbers, times: Times | None, *, by: str = "group and stratum") -> Markup:
    """Draw batches as columns: above, groups and strata of their anchors; below, when they were seen.

    Parameters
    ----------
    cells : ndarray (batches, groups, strata)
        Anchors of each batch.
    times : Times, optional
    by : str
        What groups and strata are called.
    """
    count, groups, strata = cells.shape
    above, below = 150.0, 110.0 if times else 0.0
    step = (WIDTH - LEFT) / max(1, count)
    most = max(1, int(cells.sum(axis=(1, 2)).max()))
    parts = [text(LEFT, 10, f"anchors, by {by}")]
    for b in range(count):
        y = 18 + above
        own = int(cells[b].sum(axis=1).argmax())
        held = np.argwhere(cells[b] > 0)
        held = held[
            np.argsort(held[:, 0] != own, kind="stable")
        ]  # (cells, 2) group and stratum, own ones first
        for g, s in held.tolist():
            height = above * cells[b, g, s] / most
            y -= height
            parts.append(box(LEFT + b * step, y, step * 0.86, height, shade(g, s, strata)))
    parts += [text(LEFT - 6, 26, str(most), anchor="end"), text(LEFT - 6, 18 + above, "0", anchor="end")]
    if times:
        parts += _time_strip(times, 18 + above + 26, below, step)
    height = 18 + above + (26 + below if times else 0) + 18
    parts.append(text(WIDTH, height - 4, f"first {count} batches", anchor="end"))
    return picture(WIDTH, height, parts, f"First batches, {groups} groups: colour is the group of an anchor")


def _time_strip(times: Times, top: float, height: float, step: float) -> list[Markup]:
    """Draw each batch's anchors by time as squares, darker where there are more."""
    counts, edges, clock = times
    tall = height / counts.shape[1]
    parts = [text(LEFT, top - 6, clock)]
    for b, t in np.argwhere(counts > 0).tolist():
        y = top + height - (t + 1) * tall
        dark = 0.15 + 0.85 * counts[b, t] / counts[b].max()
        parts.append(box(LEFT + b * step, y, step * 0.86, tall, INK, opacity=dark))
    for value in ticks(edges[0], edges[-1], 4):
        y = top + height * (1 - (value - edges[0]) / (edges[-1] - edges[0]))
        parts.append(text(LEFT - 6, y + 4, f"{value:g}", anchor="end"))
    return parts


def batches_keys(groups: Sequence[str], strata: Sequence[str]) -> list[tuple[str, str]]:
    """Return (colour, name) of the groups, or of the strata where there is one group."""
    if len(groups) > 1 or len(strata) < 2:
        return [(colour(g), name) for g, name in enumerate(groups[:KEYS])]
    return [(shade(0, s, len(strata)), name) for s, name in enumerate(strata[:KEYS])]


def shades_text(strata: Sequence[str]) -> str:
    """Say which shade is which stratum.

    Examples
    --------
    >>> shades_text(["infected", "uninfected"])
    'Dark to light: infected, uninfected.'
    """
    more = ", ..." if len(strata) > 6 else ""
    return f"Dark to light: {', '.join(strata[:6])}{more}." if len(strata) > 1 else ""


class Bar(NamedTuple):
    """A name, its value, what is written behind it, its colour, and what a dark mark sets beside it."""

    name: str
    value: float
    told: str
    fill: str
    beside: float | None = None


def bars_chart(
    bars: Sequence[Bar],
    label: str,
    *,
    size: tuple[float, float, float, float] = (WIDTH, 150.0, 50.0, 20.0),
    unit: str = "",
) -> Markup:
    """Draw a bar for each name; with a unit, above an axis.

    ``size`` is the width, the room left for names and right for what is written, and the height of a bar.
    """
    width, left, right, tall = size
    floor = tall * len(bars) + 8
    most = max((max(one.value, one.beside or 0.0) for one in bars), default=0.0)
    scale = (width - left - right) / (most or 1.0)
    parts = []
    for place, bar in enumerate(bars):
        y = 4 + place * tall
        middle = y + tall / 2 + 2
        end = left + max(bar.value, bar.beside or 0.0) * scale
        parts += [
            text(left - 8, middle, bar.name, anchor="end", fill=INK),
            box(left, y + 2, bar.value * scale, tall - 7, bar.fill),
            text(end + 6, middle, bar.told),
        ]
        if bar.beside is not None:
            parts.append(box(left + bar.beside * scale - 1, y - 1, 2, tall - 1, INK))
    if not unit:
        return picture(width, floor, parts, label)
    parts += [
        line([(left, 0), (left, floor)], LINE, width=1),
        *(
            text(left + value * scale, floor + 14, f"{value:,.0f}", anchor="middle")
            for value in ticks(0, most, 5)
        ),
        text(width, floor + 14, unit, anchor="end"),
    ]
    return picture(width, floor + 20, parts, label)
