"""Questions asked of arguments, in one place."""

from fractions import Fraction
from math import isfinite
from numbers import Integral, Real
from typing import Final

_LONGEST: Final = 200


def is_whole(value: object, *, least: int) -> bool:
    """Return whether ``value`` is an integer, and no bool, of at least ``least``.

    Examples
    --------
    >>> is_whole(3, least=1), is_whole(0, least=1), is_whole(True, least=0), is_whole(3.0, least=0)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


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
