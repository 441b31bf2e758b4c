"""Shares that only a table can tell: its own, and means of several kinds."""

from dataclasses import dataclass
from typing import Any, Final

NATURAL: Final = "natural"
"""Strata in proportion to their anchors in the batch's group."""


@dataclass(frozen=True)
class Mix:
    """A weighted mean of shares, each of which is worked out on the table before they are mixed.

    What a `Schedule` of shares is between two points, as `FlexibleBatchSampler.plan_at` gives it.

    Attributes
    ----------
    parts
        Pairs of what stands for shares (None, "natural" or a mapping, as in the field of the plan) and
        its weight; weights are relative.

    Examples
    --------
    >>> Mix((("natural", 1), (None, 3))).parts[1]
    (None, 3)
    """

    parts: tuple[tuple[Any, float], ...]
