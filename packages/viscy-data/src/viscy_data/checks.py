"""Questions asked of arguments, in one place."""

from fractions import Fraction
from numbers import Integral, Real


def is_whole(value: object, *, least: int) -> bool:
    """Return whether ``value`` is an integer, and no bool, of at least ``least``.

    Examples
    --------
    >>> is_whole(3, least=1), is_whole(0, least=1), is_whole(True, least=0), is_whole(3.0, least=0)
    (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


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
