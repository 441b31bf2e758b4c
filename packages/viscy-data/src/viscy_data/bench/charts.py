"""The picture of a bench: a bar for every setting."""

from viscy_data.bench.result import OPTIMIZED, Bench, rate_text
from viscy_data.bench.settings import PRESENT
from viscy_data.pages.charts import Bar, bars_chart
from viscy_data.pages.colours import GREY, INK, PALETTE, lighter
from viscy_data.pages.markup import Markup


def rates_chart(result: Bench) -> Markup:
    """Draw patches/s as bars; a mark is the present way beside each, a lighter bar is expected."""
    bars = [Bar(PRESENT, result.per_second, rate_text(result.per_second), INK)]
    bars += [
        Bar(
            one.setting.name,
            one.rate.per_second,
            _told(one.rate.per_second, one.gain),
            _fill(one.gain, result),
            one.beside,
        )
        for one in result.tried
    ]
    if result.copied is not None:
        gain = result.copied.gain
        told = f"{_told(result.expected, gain)} expected"
        shade = lighter(_fill(gain, result), 0.45)
        bars.append(Bar(OPTIMIZED, result.expected, told, shade, result.per_second))
    label = "Patches per second under each setting"
    return bars_chart(bars, label, size=(760.0, 200.0, 160.0, 30.0), unit="patches/s")


def _told(per_second: float, gain: float) -> str:
    return f"{rate_text(per_second)},  \u00d7 {gain:.2f}"


def _fill(gain: float, result: Bench) -> str:
    """Return a strong colour for what helps, a grey one for what does not."""
    return PALETTE[2] if gain > 1 + result.noise else GREY
