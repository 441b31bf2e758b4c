"""The picture of a bench: a bar for every setting."""

from typing import NamedTuple

from viscy_data.bench.result import OPTIMIZED, Bench, rate_text
from viscy_data.bench.settings import PRESENT
from viscy_data.pages.svg import INK, LINE, box, colour, lighter, line, picture, text, ticks


class Bar(NamedTuple):
    """A setting's name, patches/s, gain and colour, and the present way's patches/s beside it."""

    name: str
    value: float
    gain: str
    fill: str
    beside: float | None = None


WIDTH, LEFT, RIGHT, TALL = 760.0, 200.0, 160.0, 30.0


def rates_chart(result: Bench) -> str:
    """Draw patches/s as bars; a mark is the present way beside each, a lighter bar is expected."""
    bars = [Bar(PRESENT, result.per_second, "", INK)]
    bars += [
        Bar(one.setting.name, one.rate.per_second, _times(one.gain), _fill(one.gain, result), one.beside)
        for one in result.tried
    ]
    if result.copied is not None:
        gain = result.copied.gain
        shade = lighter(_fill(gain, result), 0.45)
        bars.append(Bar(OPTIMIZED, result.expected, f"{_times(gain)} expected", shade, result.per_second))
    scale = (WIDTH - LEFT - RIGHT) / max(one.value for one in bars)
    floor = TALL * len(bars) + 6
    parts = [line([(LEFT, 0), (LEFT, floor)], LINE, width=1)]
    for place, bar in enumerate(bars):
        parts += _drawn(bar, 4 + place * TALL, scale)
    for value in ticks(0, (WIDTH - LEFT - RIGHT) / scale, 5):
        parts.append(text(LEFT + value * scale, floor + 14, f"{value:,.0f}", anchor="middle"))
    parts.append(text(WIDTH, floor + 14, "patches/s", anchor="end"))
    return picture(WIDTH, floor + 20, parts, "Patches per second under each setting")


def _drawn(bar: Bar, y: float, scale: float) -> list[str]:
    mark = [] if bar.beside is None else [box(LEFT + bar.beside * scale - 1, y, 2, TALL - 5, INK)]
    end = LEFT + max(bar.value, bar.beside or 0.0) * scale
    return [
        text(LEFT - 10, y + 16, bar.name, anchor="end", fill=INK),
        box(LEFT, y + 3, bar.value * scale, TALL - 11, bar.fill),
        *mark,
        text(end + 7, y + 16, f"{rate_text(bar.value)}{bar.gain and ',  '}{bar.gain}", fill=INK),
    ]


def _times(gain: float) -> str:
    return f"\u00d7 {gain:.2f}"


def _fill(gain: float, result: Bench) -> str:
    """Return a strong colour for what helps, a grey one for what does not."""
    return colour(2) if gain > 1 + result.noise else colour(9)
