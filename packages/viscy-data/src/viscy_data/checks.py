"""Questions asked of arguments, in one place."""

from collections.abc import Sequence
from fractions import Fraction
from math import isfinite
from numbers import Integral, Real
from typing import Final, SupportsInt, cast

from viscy_data.errors import InvalidInputError, suggest

LARGEST: Final = 2**63 - 1
"""Largest integer that any argument takes: one more does not fit into a word."""
_LONGEST: Final = 200


def is_whole(value: object, *, least: int) -> bool:
    """Return whether ``value`` is an integer of at least ``least``; NumPy's are integers, a bool is not.

    Examples
    --------
    >>> import numpy as np
    >>> [is_whole(one, least=1) for one in (3, np.int64(3), 0, True, np.True_, 3.0, "3")]
    [True, True, False, False, False, False, False]
    """
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def check_integer(name: str, value: object, least: int, most: int | None = LARGEST) -> int:
    """Return ``value`` as an int from ``least`` to ``most``; None: of any length.

    Raises
    ------
    InvalidInputError
        Where it is not such an integer; ``name`` is what the message calls it.

    Examples
    --------
    >>> import numpy as np
    >>> check_integer("seed", np.int64(7), 0)
    7
    """
    if not is_whole(value, least=least):
        raise InvalidInputError(f"{name}={brief(value)} is not an integer >= {least}.")
    number = int(cast("SupportsInt", value))
    if most is not None and number > most:
        raise InvalidInputError(
            f"{name}={brief(value)} is too large; give an integer from {least} to {most:,}."
        )
    return number


def check_number(name: str, value: object) -> float:
    """Return ``value`` as a float; infinities and NaN pass."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InvalidInputError(f"{name}={brief(value)} is not a number.")
    try:
        return float(value)
    except OverflowError:
        raise InvalidInputError(f"{name}={brief(value)} is too large for a number.") from None


def check_fraction(name: str, value: object, *, below_one: bool = False) -> float:
    """Return ``value`` as a float in [0, 1], or in [0, 1) with ``below_one``."""
    number = check_number(name, value)
    if not (0 <= number < 1 if below_one else 0 <= number <= 1):
        allowed = "[0, 1)" if below_one else "[0, 1]"
        raise InvalidInputError(f"{name}={value!r} is outside {allowed}; give a fraction of the batch.")
    return number


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


def brief(value: object) -> str:
    """Return what a message shows of a value: integers of thousands of digits have no decimal form in Python.

    Examples
    --------
    >>> brief("7"), brief((1, 10**5000)), brief(10**5000)
    ("'7'", 'a value too long to show', 'an integer of 16610 bits')
    """
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:  # more digits than Python turns into text
        return "a value too long to show"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def is_finite_number(value: object) -> bool:
    """Return whether ``value`` is a number, and no bool, that a float holds.

    Examples
    --------
    >>> [is_finite_number(one) for one in (1, 0.5, True, "1", float("inf"), 10**400)]
    [True, True, False, False, False, False]
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)
    except OverflowError:
        return False


def plain_number(value: Real) -> float | Fraction:
    """Return a number as an int, a float or a fraction: NumPy's integers wrap in exact arithmetic.

    Examples
    --------
    >>> import numpy as np
    >>> plain_number(np.uint8(200)) + 100, plain_number(np.float32(0.5)), plain_number(Fraction(1, 3))
    (300, 0.5, Fraction(1, 3))
    """
    if isinstance(value, Fraction):
        return value
    return int(value) if isinstance(value, Integral) else float(value)
