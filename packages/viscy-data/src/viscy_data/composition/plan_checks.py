"""What the values of a plan may be: each check returns a plain copy of its value, or refuses it by name."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isfinite
from numbers import Integral, Real
from typing import Any, Final, Literal

from viscy_data.checks import brief, plain_number
from viscy_data.errors import InvalidInputError, suggest

LARGEST: Final = 2**63 - 1
"""Largest integer that any argument takes: one more does not fit into a word."""
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


def check_fraction(name: str, value: object, *, below_one: bool = False) -> float:
    """Return ``value`` as a float in [0, 1], or in [0, 1) with ``below_one``."""
    number = _number(name, value)
    if not (0 <= number < 1 if below_one else 0 <= number <= 1):
        allowed = "[0, 1)" if below_one else "[0, 1]"
        raise InvalidInputError(f"{name}={value!r} is outside {allowed}; give a fraction of the batch.")
    return number


def check_window(name: str, value: object) -> float:
    """Return ``value`` as a finite number that is not negative, in the unit of the clock."""
    number = _number(name, value)
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
        number = _number(f"{name}[{key!r}]", value[key])
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


def check_integer(name: str, value: object, least: int, most: int = LARGEST) -> int:
    """Return ``value`` as an int from ``least`` to ``most``; a bool is refused, NumPy's integers are not."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InvalidInputError(f"{name}={brief(value)} is not an integer >= {least}.")
    if int(value) > most:
        raise InvalidInputError(
            f"{name}={brief(value)} is too large; give an integer from {least} to {most:,}."
        )
    return int(value)


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` where it is True or False."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name}={value!r} is neither True nor False.")
    return value


def check_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return ``value`` where it is one of the texts ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(map(repr, allowed))
        raise InvalidInputError(f"{name}={value!r}: allowed is {choices}.{suggest(str(value), allowed)}")
    return value


def check_column(name: str, value: object) -> str:
    """Return ``value`` where it is a text, the name of one column."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name}={value!r} is not a column name.")
    return value


def check_columns(name: str, value: object) -> tuple[str, ...]:
    """Return one or several column names as a tuple."""
    columns = (value,) if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
    names = tuple(dict.fromkeys(column for column in columns if isinstance(column, str)))
    if not names or len(names) < len(columns):
        raise InvalidInputError(f"{name}={value!r} is not a column name or several different ones.")
    return names


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InvalidInputError(f"{name}={brief(value)} is not a number.")
    try:
        return float(value)
    except OverflowError:
        raise InvalidInputError(f"{name}={brief(value)} is too large for a number.") from None
