"""What the values of a plan may be: each check returns a plain copy of its value, or refuses it by name."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any, Final, Literal

from viscy_data.checks import check_choice, check_number, plain_number
from viscy_data.errors import InvalidInputError, suggest

MOST_ANCHORS: Final = 10_000_000
"""Largest batch: a batch costs a few words for each of its anchors."""
MOST_FRAMES: Final = 100_000
"""Most frames of a batch, and most batches in which a frame stays."""
MOST_BATCHES: Final = 1_000_000
"""Most batches of a step."""
NATURAL: Final = "natural"
"""Strata in proportion to their anchors in the batch's group."""

Ratios = Mapping[Any, float | Fraction]
Shares = Ratios | Literal["natural"]
Weights = Ratios | Mapping[str, Ratios]


def check_window(name: str, value: object) -> float:
    """Return ``value`` as a finite number that is not negative, in the unit of the clock."""
    number = check_number(name, value)
    if not isfinite(number) or number < 0:
        raise InvalidInputError(
            f"{name}={value!r}: a finite number >= 0 is allowed; give it in the unit of the clock."
        )
    return number


def check_ratios(name: str, value: object) -> Ratios | None:
    """Return a copy of ``value``: finite numbers >= 0, not all of them zero."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name}={value!r} is not a mapping from a value of the column to a number.")
    for key in value:
        number = check_number(f"{name}[{key!r}]", value[key])
        if not isfinite(number) or number < 0:
            raise InvalidInputError(f"{name}[{key!r}]={number!r} is not a finite number >= 0.")
    if not any(value.values()):
        raise InvalidInputError(f"{name}={dict(value)!r} is zero for every value; give at least one above 0.")
    return {key: plain_number(value[key]) for key in value}


def check_shares(name: str, value: object) -> Shares | None:
    """Return shares of strata: a copy of a mapping, None, or "natural"."""
    if isinstance(value, str):
        check_choice(name, value, [NATURAL])
        return NATURAL
    return check_ratios(name, value)


def check_weights(name: str, value: object, columns: Sequence[str]) -> Weights | None:
    """Return a copy of weights by group, or of a mapping from some of ``columns`` to weights by value."""
    if not isinstance(value, Mapping) or not any(isinstance(part, Mapping) for part in value.values()):
        return check_ratios(name, value)
    unknown = [level for level in value if level not in columns]
    if unknown:
        hints = "".join(suggest(str(level), columns) for level in unknown)
        raise InvalidInputError(f"{name} names {unknown}, but the levels are {list(columns)}.{hints}")
    found = {level: check_ratios(f"{name}[{level!r}]", part) for level, part in value.items()}
    absent = [level for level, part in found.items() if part is None]
    if absent:
        raise InvalidInputError(f"{name} gives None for {absent}; leave a level out to split it by anchors.")
    return {level: part for level, part in found.items() if part is not None}
