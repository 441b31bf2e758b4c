"""Curves over hours, and numbers with their intervals beside each other, as SVG.

Each embedding has a colour throughout; a band or a bar is the interval, a dashed line is what guessing
gives, and where it is known a dotted line is the best that is possible.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite

from viscy_data import shown
from viscy_data.pages.colours import ACCENT, GREY, INK, LINE, PALETTE
from viscy_data.pages.markup import Markup, tag
from viscy_data.pages.svg import box, line, picture, text, ticks
from viscy_train.evaluation import Bin, Metric, Series

type Place = Callable[[float, float], tuple[float, float]]

COLOURS = (ACCENT, PALETTE[6], GREY, PALETTE[2], PALETTE[5], PALETTE[1], PALETTE[8])
"""Of embeddings, in their order."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 480.0, 230.0, 34.0, 10.0, 22.0, 38.0


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Return the colour of each embedding by its place among all, whether or not a metric has its number."""
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def hours_curve(series: Mapping[str, Series], fills: Mapping[str, str]) -> Markup:
    """Draw a metric by hours: a line and band for each embedding, in its colour."""
    found = {name: one.metrics for name, one in series.items()}
    bins = [one for metrics in found.values() for one, _ in metrics]
    metrics = [metric for each in found.values() for _, metric in each]
    first, last = min(one.start for one in bins), max(one.end for one in bins)
    known = [one for metric in metrics for one in (metric.floor, metric.ceiling) if one is not None]
    lows = [*(one.low for one in metrics), *(one.shuffled for one in metrics), *known]
    low = max(0.0, int(min(lows) * 10) / 10)
    high = 1.0

    def place(hour: float, value: float) -> tuple[float, float]:
        across = (hour - first) / ((last - first) or 1)
        up = (value - low) / ((high - low) or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), TOP + (1 - up) * (HEIGHT - TOP - FLOOR)

    parts = [text(LEFT, 12, next(iter(series.values())).definition.title)]
    for value in ticks(low, high, 5):
        ends = [place(first, value), place(last, value)]
        parts += [line(ends, LINE, width=1), text(LEFT - 6, ends[0][1] + 4, f"{value:g}", anchor="end")]
    for hour in ticks(first, last, 8):
        x, y = place(hour, low)
        parts.append(text(x, y + 16, f"{hour:g}", anchor="middle"))
    parts.append(text(WIDTH - RIGHT, HEIGHT - 6, "hours post infection", anchor="end"))
    for name, each in found.items():
        parts += _bands(each, fills[name], place)
    chance = [(one, metric.shuffled) for one, metric in next(each for each in found.values() if each)]
    parts.append(dashed([place((one.start + one.end) / 2, value) for one, value in chance], INK, "5 4"))
    for name, each in found.items():
        middles = [(one, metric, (one.start + one.end) / 2) for one, metric in each]
        best = [place(at, metric.ceiling) for _, metric, at in middles if metric.ceiling is not None]
        points = [place(at, metric.value) for _, metric, at in middles]
        parts += [dashed(best, fills[name], "1 4")] if best else []
        parts.append(line(points, fills[name], width=2.2))
        parts += [_dot(x, y, fills[name]) for x, y in points]
    names = ", ".join(shown(name, 40) for name in series)
    return picture(WIDTH, HEIGHT, parts, f"Numbers by hours of {names}, intervals, and guessing")


def _bands(metrics: Sequence[tuple[Bin, Metric]], fill: str, place: Place) -> list[Markup]:
    """Draw the interval of each bin, joined to the next."""
    corners = []
    for one, metric in metrics:
        at = (one.start + one.end) / 2
        corners.append((place(at, metric.low), place(at, metric.high)))
    return [
        polygon([low, high, other_high, other_low], fill)
        for (low, high), (other_low, other_high) in pairwise(corners)
    ]


def dots_chart(rows: Mapping[str, Mapping[str, Metric]], fills: Mapping[str, str]) -> Markup:
    """Draw metrics of several embeddings on one axis: by title, a dot with its interval for each.

    The axis is all that the metrics can be, where that is bounded, so that drawings of them compare.
    """
    every = [one for metrics in rows.values() for one in metrics.values()]
    row, left = 20.0, 118.0
    first = every[0].definition
    low, high = _axis(every)
    height = sum(24 + row * len(metrics) for metrics in rows.values()) + 40

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - RIGHT)

    floor = height - 34
    parts = []
    for value in ticks(low, high, 5):
        parts += [
            line([(x(value), 20), (x(value), floor)], LINE, width=1),
            text(x(value), floor + 14, f"{value:g}", anchor="middle"),
        ]
    told = {
        "higher": "better \u2192",
        "lower": "\u2190 better",
        "down to guess": "\u2190 better, down to guess",
        "near 1": "1: perfectly mixed",
    }.get(first.better, "")
    parts.append(text(WIDTH - RIGHT, floor + 28, told, anchor="end"))
    top = 0.0
    for title, metrics in rows.items():
        parts.append(text(0, top + 13, title, fill=INK))
        for number, (name, metric) in enumerate(metrics.items()):
            y = top + 22 + row * (number + 0.5)
            parts.append(text(left - 8, y + 4, shown(name, 18), anchor="end", fill=INK))
            parts += _interval(metric, x, y, fills[name])
        top += 24 + row * len(metrics)
    names = dict.fromkeys(name for metrics in rows.values() for name in metrics)
    return picture(
        WIDTH,
        height,
        parts,
        f"{'; '.join(rows)}: values and intervals of {', '.join(names)}; dashed: guessing",
    )


def _axis(metrics: Sequence[Metric]) -> tuple[float, float]:
    """Return the ends of an axis: what the metrics can be, or what they are where that has no end."""
    values = [x for one in metrics for x in (one.low, one.high, one.shuffled, one.floor, one.ceiling)]
    known = [x for x in values if x is not None]
    least, most = metrics[0].definition.bounds
    pad = 0.04 * ((max(known) - min(known)) or 1.0)
    low = least if isfinite(least) else min(0.0, min(known) - pad)
    return low, most if isfinite(most) else max(known) + pad


def _interval(metric: Metric, x: Callable[[float], float], y: float, fill: str) -> list[Markup]:
    """Draw a dot on its interval, what guessing gives, and limits where they are known."""
    parts = [
        box(x(metric.low), y - 3, max(1.0, x(metric.high) - x(metric.low)), 6, fill, opacity=0.35),
        dashed([(x(metric.shuffled), y - 9), (x(metric.shuffled), y + 9)], INK, "3 2"),
        _dot(x(metric.value), y, fill),
    ]
    if metric.ceiling is not None:
        parts.append(dashed([(x(metric.ceiling), y - 9), (x(metric.ceiling), y + 9)], fill, "1 3"))
    return parts


def dashed(points: Sequence[tuple[float, float]], stroke: str, dashes: str) -> Markup:
    """Return a line of dashes."""
    path = Markup(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    return tag(
        "polyline", points=path, fill="none", stroke=stroke, stroke_width="1.4", stroke_dasharray=dashes
    )


def polygon(points: Sequence[tuple[float, float]], fill: str) -> Markup:
    """Return a faint area."""
    path = Markup(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    return tag("polygon", points=path, fill=fill, fill_opacity="0.18")


def _dot(x: float, y: float, fill: str) -> Markup:
    return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.6", fill=fill)
