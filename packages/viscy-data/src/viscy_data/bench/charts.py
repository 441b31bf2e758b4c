"""The picture of a bench: a bar for every setting."""

from viscy_data.audit.svg import INK, LINE, box, colour, lighter, line, picture, text, ticks
from viscy_data.bench.result import OPTIMIZED, Bench
from viscy_data.bench.settings import PRESENT

WIDTH, LEFT, RIGHT, TALL = 760.0, 200.0, 130.0, 30.0


def rates_chart(result: Bench) -> str:
    """Draw patches/s as bars; the band is where the present way's rates lie, lighter is expected."""
    present = [one.per_second for one in result.present]
    bars = [(PRESENT, result.per_second, "", INK)]
    bars += [
        (one.setting.name, one.rate.per_second, f"x {one.gain:.2f}", _fill(one.gain, result))
        for one in result.tried
    ]
    if result.copied is not None:
        copied = result.copied
        shade = lighter(_fill(copied.gain, result), 0.45)
        bars.append((OPTIMIZED, result.expected, f"x {copied.gain:.2f} expected", shade))
    scale = (WIDTH - LEFT - RIGHT) / max(value for _, value, _, _ in bars)
    floor = TALL * len(bars) + 6
    low, high = LEFT + min(present) * scale, LEFT + max(present) * scale
    parts = [box(low, 0, max(2.0, high - low), floor, LINE)]
    for place, (name, value, gain, fill) in enumerate(bars):
        y = 4 + place * TALL
        parts += [
            text(LEFT - 10, y + 16, name, anchor="end", fill=INK),
            box(LEFT, y + 3, value * scale, TALL - 11, fill),
            text(LEFT + value * scale + 7, y + 16, f"{value:,.0f}  {gain}", fill=INK),
        ]
    parts.append(line([(LEFT, 0), (LEFT, floor)], LINE, width=1))
    for value in ticks(0, (WIDTH - LEFT - RIGHT) / scale, 5):
        parts.append(text(LEFT + value * scale, floor + 14, f"{value:,.0f}", anchor="middle"))
    parts.append(text(WIDTH, floor + 14, "patches/s", anchor="end"))
    return picture(WIDTH, floor + 20, parts, "Patches per second under each setting")


def _fill(gain: float, result: Bench) -> str:
    """Return a strong colour for what helps, a grey one for what does not."""
    return colour(2) if gain > 1 + result.noise else colour(9)
