"""Small pictures as SVG: scaled by the page, no script, nothing to fetch."""

from collections.abc import Iterable, Sequence

from viscy_data.pages.colours import SOFT
from viscy_data.pages.markup import Markup, tag


def picture(width: float, height: float, parts: Iterable[Markup], label: str) -> Markup:
    """Return an SVG of ``parts``; ``label`` says what it shows to those who cannot see it."""
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        font_size="11",
        font_family="sans-serif",
        xmlns="http://www.w3.org/2000/svg",
    )


def box(x: float, y: float, width: float, height: float, fill: str, *, opacity: float = 1.0) -> Markup:
    """Return a filled rectangle, or nothing where it would be empty."""
    if width <= 0 or height <= 0:
        return Markup()
    place = {"x": x, "y": y, "width": width, "height": height}
    faint = f"{opacity:.2f}" if opacity < 1 else ""
    return tag("rect", **{key: f"{one:.1f}" for key, one in place.items()}, fill=fill, fill_opacity=faint)


def line(points: Sequence[tuple[float, float]], stroke: str, *, width: float = 1.5) -> Markup:
    """Return a line through points."""
    path = Markup(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))  # as text, a long one would be shortened
    return tag("polyline", points=path, fill="none", stroke=stroke, stroke_width=f"{width:g}")


def text(x: float, y: float, content: str, *, anchor: str = "start", fill: str = SOFT) -> Markup:
    """Return a text at its baseline; ``anchor`` is start, middle or end."""
    return tag("text", content, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, fill=fill)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers in [low, high], about ``count`` of them.

    Examples
    --------
    >>> ticks(0, 23)
    [0.0, 5.0, 10.0, 15.0, 20.0]
    """
    if high <= low:
        return [low]
    rough = (high - low) / count
    scale = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 0.1
    while rough < scale and scale > 1e-6:
        scale /= 10
    step = next(one * scale for one in (1, 2, 5, 10) if one * scale >= rough)
    first = -int(-low // step)
    return [round(first * step + n * step, 9) for n in range(int((high - first * step) / step + 1e-9) + 1)]
