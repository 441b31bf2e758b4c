"""What a colour means, in SVG, in matplotlib's figures and in the style of pages."""

from typing import Final

INK, SOFT, LINE = "#1b1f24", "#59636e", "#d9dee3"
"""What is read first; what explains it; axes and borders."""
GREY, UNKNOWN = "#7a828c", "#b8bec5"
"""What does not stand out; what is not known."""
ACCENT: Final = "#0a6aa8"

PALETTE: Final = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#e08214",
    "#5e4fa2",
    "#8c6d31",
    GREY,
)
"""Groups, such as experiments."""
CONDITIONS: Final = ("#b2182b", "#2a9d8f", "#7b3294", "#e9a000", "#555555")

STYLE: Final = {
    "ink": INK,
    "soft": SOFT,
    "line": LINE,
    "accent": ACCENT,
    "paper": "#ffffff",
    "wash": "#f5f7f9",
    "good": "#1a7f4b",
    "bad": "#c2410c",
}
"""Variables of ``style.css``."""


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


def shade(group: int, stratum: int, strata: int) -> str:
    """Return the colour of a stratum: a group has a colour, its strata are shades of it, dark to light."""
    return lighter(colour(group), 0.6 * stratum / max(1, strata - 1))
