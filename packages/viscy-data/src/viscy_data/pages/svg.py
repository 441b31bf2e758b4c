"""Small pictures as SVG text: scaled by the page, no script, nothing to fetch."""

from collections.abc import Sequence

from viscy_data.text import html_text

INK, SOFT, LINE = "#1b1f24", "#59636e", "#d9dee3"
PALETTE = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#e08214",
    "#5e4fa2",
    "#8c6d31",
    "#7a828c",
)


def picture(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """Return an SVG of ``parts``; ``label`` says what it shows to those who cannot see it."""
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html_text(label)}" '
        f'font-size="11" font-family="sans-serif" xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, *, opacity: float = 1.0) -> str:
    """Return a filled rectangle, or nothing where it would be empty."""
    if width <= 0 or height <= 0:
        return ""
    faint = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{faint}/>'


def line(points: Sequence[tuple[float, float]], stroke: str, *, width: float = 1.5, dash: str = "") -> str:
    """Return a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{dashed}/>'


def text(x: float, y: float, content: str, *, anchor: str = "start", fill: str = SOFT) -> str:
    """Return a text at its baseline; ``anchor`` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{html_text(content)}</text>'


def colour(place: int) -> str:
    """Return a colour of the palette, which repeats."""
    return PALETTE[place % len(PALETTE)]


def lighter(fill: str, by: float) -> str:
    """Return a colour moved towards white, 0 <= by <= 1.

    Examples
    --------
    >>> lighter("#000000", 0.5)
    '#7f7f7f'
    """
    parts = [int(fill[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{int(part + (255 - part) * by):02x}" for part in parts)


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
    return [round(first * step + n * step, 9) for n in range(int((high - first * step) // step) + 1)]
