"""Units of length and of time, under all the names that microscopes and trackers give them.

NGFF asks for UDUNITS names (``micrometer``), and files hold what their program calls it: ``micron``, ``um``,
``µm`` with either of Unicode's two letters mu, or ImageJ's escaped as well. A name that is not
known leaves a pixel's size unknown and patches of another scale, so there is one table, for stores and
for tracks; whoever meets a name that it lacks says so.
"""

import unicodedata
from typing import Final

_LENGTHS: Final = {
    1e-4: ("angstrom", "ångström", "ångstrom", "å"),
    1e-6: ("picometer", "pm"),
    1e-3: ("nanometer", "nanometre", "nm"),
    1.0: ("micrometer", "micrometre", "micron", "um", "μm", "\\u00b5m", "\\u03bcm"),
    1e3: ("millimeter", "millimetre", "mm"),
    1e4: ("centimeter", "centimetre", "cm"),
    1e5: ("decimeter", "decimetre", "dm"),
    1e6: ("meter", "metre", "m"),
    1e9: ("kilometer", "kilometre", "km"),
    25400.0: ("inch", "inches", "in"),
}
_TIMES: Final = {
    1e-9 / 60: ("nanosecond", "ns"),
    1e-6 / 60: ("microsecond", "us", "μs"),
    1e-3 / 60: ("millisecond", "ms", "msec"),
    1 / 60: ("second", "sec", "s"),
    1.0: ("minute", "min"),
    60.0: ("hour", "hr", "hrs", "h"),
    1440.0: ("day", "d"),
}
_PIXELS: Final = ("pixel", "px", "pix", "voxel", "slice", "plane")
_FRAMES: Final = ("frame", "timepoint", "time point")


def _named(table: dict[float, tuple[str, ...]]) -> dict[str, float]:
    names = {unicodedata.normalize("NFKC", name): size for size, own in table.items() for name in own}
    plurals = {f"{name}s": size for name, size in names.items() if len(name) > 2}
    return plurals | names


_MICROMETRES: Final = _named(_LENGTHS)
_MINUTES: Final = _named(_TIMES)


def micrometres(unit: str) -> float | None:
    """Return how many micrometres a unit of length is, by any of its names; None: not known.

    Examples
    --------
    >>> micrometres("micron"), micrometres("µm"), micrometres("Nanometers"), micrometres("pixel")
    (1.0, 1.0, 0.001, None)
    """
    return _MICROMETRES.get(_plain(unit))


def minutes(unit: str) -> float | None:
    """Return how many minutes a unit of time is, by any of its names; None: not known.

    Examples
    --------
    >>> minutes("hour"), minutes("min"), minutes("frame")
    (60.0, 1.0, None)
    """
    return _MINUTES.get(_plain(unit))


def counts_pixels(unit: str) -> bool:
    """Say whether a unit counts pixels or slices, and is not a length."""
    return _plain(unit).removesuffix("s") in _PIXELS


def counts_frames(unit: str) -> bool:
    """Say whether a unit counts frames, and is not a time."""
    return _plain(unit).removesuffix("s") in _FRAMES


def _plain(unit: str) -> str:
    """Return a name without case, spaces, and which of the letters mu it was written with."""
    return unicodedata.normalize("NFKC", unit).strip().lower()
