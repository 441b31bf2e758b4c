"""What the fields of the experiments file may hold: names, paths, numbers in ranges, units and slices.

pydantic takes whatever can be made into a type, and a file that people write by hand then goes wrong late:
a number of 1e400 is infinite, a name with a control character moves a terminal's cursor. So each field has a
type from here, which says what is allowed where it is refused.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, AllowInfNan, BeforeValidator, Field, Strict

from viscy_data.checks import is_whole
from viscy_data.columns import MISSING_WORDS
from viscy_data.text import unreadable
from viscy_data.units import counts_pixels, micrometres


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return values, or refuse those that are named twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    return values


def _printable(value: str) -> str:
    odd = unreadable(value)
    if odd:
        raise ValueError(
            f"a name holds {odd}, a control character or a mark that turns the direction of writing; write "
            "it without"
        )
    return value


def _possible(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("no path holds the character \\x00; write it without")
    return path


def _length_or_pixel(unit: str) -> str:
    if not counts_pixels(unit) and micrometres(unit) is None:
        raise ValueError("'pixel' or a unit of length such as 'micrometer' is needed")
    return unit


def _no_missing_word(name: str) -> str:
    if name in MISSING_WORDS:
        raise ValueError("tables write this word where a value is missing; another name is needed")
    return name


def _no_moment(minutes: float) -> float:
    if 0 < minutes < 1e-6:
        raise ValueError("0 (a snapshot) or 1e-6 and more minutes are allowed")
    return minutes


def _slice(value: object) -> object:
    """Check one choice of a slice, or one for each channel."""
    if isinstance(value, dict) and value and not any(isinstance(one, dict) for one in value.values()):
        return {key: _slice(one) for key, one in value.items()}
    if value is not None and value not in SLICES and not is_whole(value, least=0):
        raise ValueError(
            "'tracks', 'focus', 'middle' or the number of a slice, counted from 0, is needed, or one of them "
            "for each channel"
        )
    return value


SLICES: Final = ("tracks", "focus", "middle")
"""What the slice of a cell may be, beside a number."""


type Samples = Literal["cells", "channels"]
"""What a row of the anchors table is: a cell in a frame, or one channel of it."""

SAMPLES: Final[tuple[str, ...]] = get_args(Samples.__value__)

type TrackColumn = Literal["track_id", "t", "y", "x", "z", "parent_track_id", "fov", "source_id"]

Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
Name = Annotated[Text, Field(pattern="^[^/]+$"), AfterValidator(_no_missing_word)]
PossiblePath = Annotated[Path, AfterValidator(_possible)]
Texts = Annotated[tuple[Text, ...], AfterValidator(unique)]
# Ranges that hold whatever a microscope does; a value outside of them is another unit, or a slip.
Hours = Annotated[float, Strict(), AllowInfNan(False), Field(ge=-1e6, le=1e6)]
Minutes = Annotated[float, Strict(), AllowInfNan(False), Field(ge=0, le=1e6), AfterValidator(_no_moment)]
Micrometres = Annotated[float, Strict(), AllowInfNan(False), Field(gt=0), Field(ge=1e-5, le=1e5)]
LengthUnit = Annotated[str, AfterValidator(_length_or_pixel)]
Slices = Annotated[int | str | dict[str, int | str], BeforeValidator(_slice)]
StoreAttribute = Literal["normalization", "focus_slice"]
