"""What the text in a TIFF file states: sizes, names and layout, from OME-XML or ImageJ's lines.

Units come under many names and are looked up in one table; a size in a unit that is not known, or that is
not a finite number above 0, counts as not known, and that is said. Entities of XML are not expanded: a file
that declares some is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isclose, isfinite
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from viscy_data.errors import InvalidInputError
from viscy_data.units import micrometres, minutes

_LONGEST: Final = 2**26
"""Characters of OME-XML."""
_LARGEST: Final = 2**31 - 1
_SQUARE: Final = 1e-3
"""Sides of a pixel may differ by this part."""


@dataclass(frozen=True)
class Stated:
    """What a file's text states; None where it does not.

    Attributes
    ----------
    pixel_size_um, z_step_um
        Micrometres per pixel in y and x, and per slice.
    interval_minutes
        Between time points.
    channels
        Names.
    lengths
        Of the axes T, C and Z.
    remarks
        What is stated in a way that could not be used.
    """

    pixel_size_um: float | None = None
    z_step_um: float | None = None
    interval_minutes: float | None = None
    channels: tuple[str, ...] | None = None
    lengths: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def ome_states(path: Path, xml: str, pages: int) -> tuple[Stated, str | None]:
    """Return what OME-XML states, and the axes of the pages where their layout is left to us.

    An OME-TIFF may be one of a set of files, each of which describes all of them. The axes of such a
    file's own pages follow where they are all channels and slices of one time point; otherwise they are
    ``QYX``. They are None where the file holds all planes.

    Raises
    ------
    InvalidInputError
        The XML is not well formed, declares entities, or states planes that are not there.
    """
    if "<!" in xml.replace("<!--", ""):
        raise InvalidInputError(
            f"{path}: its OME-XML declares entities, which are not expanded; remove them."
        )
    if len(xml) > _LONGEST:
        raise InvalidInputError(f"{path}: its OME-XML has {len(xml):,} characters; at most {_LONGEST:,}.")
    try:
        root = ET.fromstring(xml)  # noqa: S314  # it declares no entities
    except ET.ParseError as error:
        raise InvalidInputError(f"{path}: its OME-XML is not well formed ({error}); save it anew.") from error
    found = [one for one in root.iter() if _tag(one) == "Pixels"]
    lengths = [_lengths(path, one) for one in found]
    planes = sum(
        own["T"] * own["Z"] * own["C"] // _samples(one) for own, one in zip(lengths, found, strict=True)
    )
    if not found:
        raise InvalidInputError(f"{path}: its OME-XML describes no image; save it anew.")
    stated = _of_pixels(found[0], lengths[0])
    if planes <= pages:
        return stated, None
    named = {one.get("FileName") for one in root.iter() if _tag(one) == "UUID"} - {None}
    if len(named) < 2:
        raise InvalidInputError(
            f"{path}: its OME-XML states {planes} planes, the file holds {pages}; damaged."
        )
    of_one = lengths[0]["Z"] * lengths[0]["C"]
    order = [
        axis for axis in found[0].get("DimensionOrder", "")[::-1] if axis in "CZ" and lengths[0][axis] > 1
    ]
    return stated, "".join([*(order if of_one == pages else "Q" * (pages > 1)), "Y", "X"])


def _lengths(path: Path, pixels: ET.Element) -> dict[str, int]:
    found = {axis: pixels.get(f"Size{axis}", "1") for axis in "TCZ"}
    for axis, text in found.items():
        if not re.fullmatch(r"0*[0-9]{1,10}", text) or not 0 < int(text) <= _LARGEST:
            raise InvalidInputError(f"{path}: its OME-XML states Size{axis}={text[:40]!r}: 1 .. {_LARGEST}.")
    return {axis: int(text) for axis, text in found.items()}


def _samples(pixels: ET.Element) -> int:
    counts = [one.get("SamplesPerPixel", "1") for one in pixels if _tag(one) == "Channel"]
    return int(counts[0]) if counts and counts[0] in ("3", "4") else 1


def _of_pixels(pixels: ET.Element, lengths: dict[str, int]) -> Stated:
    notes: list[str] = []

    def size(name: str, unit: str, known: Callable[[str], float | None]) -> float | None:
        return _size(name, pixels.get(name), pixels.get(f"{name}Unit", unit), known, notes)

    names = [one.get("Name") for one in pixels if _tag(one) == "Channel"]
    sides = size("PhysicalSizeY", "µm", micrometres), size("PhysicalSizeX", "µm", micrometres)
    return Stated(
        pixel_size_um=_square(sides, notes),
        z_step_um=size("PhysicalSizeZ", "µm", micrometres),
        interval_minutes=size("TimeIncrement", "s", minutes),
        channels=_names(names),
        lengths=lengths,
        remarks=tuple(notes),
    )


def imagej_states(description: str, tags: Any) -> Stated:
    """Return what ImageJ's lines ``key=value`` state, with the resolution of the TIFF's tags."""
    lines = (line.partition("=") for line in description.splitlines())
    text = {key.strip(): value.strip() for key, _, value in lines}
    notes: list[str] = []
    unit = text.get("unit", "pixel")
    if unit in ("pixel", "pixels"):
        return Stated(interval_minutes=_interval(text, notes), remarks=tuple(notes))
    sides = [
        _size(f"{name}Resolution", _side(tags, name), text.get(key, unit), micrometres, notes)
        for name, key in (("Y", "yunit"), ("X", "unit"))
    ]
    return Stated(
        pixel_size_um=_square((sides[0], sides[1]), notes),
        z_step_um=_size("spacing", text.get("spacing"), text.get("zunit", unit), micrometres, notes),
        interval_minutes=_interval(text, notes),
        remarks=tuple(notes),
    )


def _interval(text: Mapping[str, str], notes: list[str]) -> float | None:
    value = text.get("finterval")
    if value is None or re.fullmatch(r"0*(\.0*)?", value):  # what ImageJ writes where it does not know
        return None
    return _size("finterval", value, text.get("tunit", "sec"), minutes, notes)


def _side(tags: Any, name: str) -> str | None:
    """Return units per pixel, from a resolution of pixels per unit."""
    tag = tags.get(f"{name}Resolution")
    if tag is None or not tag.value[0] or not tag.value[1]:
        return None
    return repr(tag.value[1] / tag.value[0])


def _size(
    name: str, value: str | None, unit: str, known: Callable[[str], float | None], notes: list[str]
) -> float | None:
    if value is None:
        return None
    factor = known(unit)
    if factor is None:
        notes.append(f"{name}={value[:40]} in {unit[:40]!r}: the unit is not known")
        return None
    try:
        found = float(value) * factor
    except ValueError:
        found = 0.0
    if not isfinite(found) or found <= 0:
        notes.append(f"{name}={value[:40]}: not a finite number above 0")
        return None
    return found


def _square(sides: tuple[float | None, float | None], notes: list[str]) -> float | None:
    y, x = sides
    if y is None or x is None:
        return None
    if not isclose(y, x, rel_tol=_SQUARE):
        notes.append(f"pixels are not square, {y:g} x {x:g} micrometres")
        return None
    return y


def _names(found: list[str | None]) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in found if name and name.strip())
    return names if names and len(names) == len(found) == len(set(names)) else None


def _tag(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]
