"""Curves over hours, and numbers with their intervals beside each other, as SVG.

Each embedding has a colour throughout; a band or a bar is the interval, a dashed line is what guessing
gives, and where it is known a dotted line is the best that is possible.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

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


def dots_chart(metrics: Mapping[str, Metric], title: str, fills: Mapping[str, str]) -> Markup:
    """Draw one metric of several embeddings: a dot with its interval each, and what guessing gives."""
    names = list(metrics)
    width, row, left = 340.0, 22.0, 118.0
    values = [x for one in metrics.values() for x in (one.low, one.high, one.shuffled, one.ceiling)]
    known = [x for x in values if x is not None]
    low, high = min(known), max(known)
    pad = 0.06 * ((high - low) or 1.0)
    low, high = low - pad, high + pad
    height = 30 + row * len(names) + 34

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - 10)

    better = next(iter(metrics.values())).definition.better
    told = {
        "higher": "better \u2192",
        "lower": "\u2190 better",
        "down to guess": "\u2190 better",
        "near 1": "1: perfectly mixed",
    }.get(better, "")
    parts = [text(0, 12, title, fill=INK)]
    floor = 24 + row * len(names)
    for value in ticks(low, high, 4):
        parts += [
            line([(x(value), 22), (x(value), floor)], LINE, width=1),
            text(x(value), floor + 14, f"{value:g}", anchor="middle"),
        ]
    parts.append(text(width, floor + 28, told, anchor="end"))
    for number, (name, metric) in enumerate(metrics.items()):
        y = 24 + row * (number + 0.5)
        fill = fills[name]
        parts += [
            text(left - 8, y + 4, shown(name, 18), anchor="end", fill=INK),
            box(x(metric.low), y - 3, max(1.0, x(metric.high) - x(metric.low)), 6, fill, opacity=0.35),
            dashed([(x(metric.shuffled), y - 9), (x(metric.shuffled), y + 9)], INK, "3 2"),
            _dot(x(metric.value), y, fill),
        ]
        if metric.ceiling is not None:
            parts.append(dashed([(x(metric.ceiling), y - 9), (x(metric.ceiling), y + 9)], fill, "1 3"))
    return picture(width, height, parts, f"{title}: values and intervals of {', '.join(names)}")


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
