"""Exact shares in whole numbers, turn after turn.

A *table* gives each stratum its count in each *leaf* (part of a batch); *nodes* are unions of
leaves (own anchors, leaked anchors, the whole batch) that form a tree. The exact counts,
leaf size times share, are seldom whole. Every turn takes one whole-number table in which each
count, of leaf or node, is the floor or the ceiling of the exact one and each leaf is full.

Such tables are the corners of a flow polytope, so the exact table is a mixture of them: `Mixture`
holds these corners with their exact weights. Turn v takes the corner in which the point u(v) of a
fixed low-discrepancy sequence falls, so that over turns every stratum gets its exact share of every
part. What all turns before v took is computed from v alone, without walking.

The sequence is a rotation with the period of the weights where that is short, which is exact after
each period, and else van der Corput's (1935), for which k turns stay within 1 + log2(k).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from math import floor, gcd, lcm
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from viscy_data.composition.corners import corners

Counts = NDArray[np.int64]

LONGEST_PERIOD: Final = 1024
_BITS: Final = 62


@dataclass(frozen=True)
class Mixture:
    """Whole-number tables of shape (leaves, strata) that take turns.

    Attributes
    ----------
    base
        (leaves, strata): what every turn gets.
    extras
        (corners, leaves, strata): 0 or 1 on top, by corner.
    edges
        Weights of the corners, summed: exact fractions from 0 to 1, one more than corners.

    Examples
    --------
    Five strata share three places: they take them in turns.

    >>> mixture = Mixture.of([3], [[Fraction(1, 5)] * 5])
    >>> mixture.before(5).tolist()
    [[3, 3, 3, 3, 3]]
    >>> mixture.turn(0).sum()
    np.int64(3)
    """

    base: Counts
    extras: Counts
    edges: tuple[Fraction, ...]

    @classmethod
    def of(
        cls,
        sizes: Sequence[int],
        shares: Sequence[Sequence[Fraction]],
        nodes: Sequence[Sequence[int]] = (),
    ) -> "Mixture":
        """Build the mixture for leaves of ``sizes``, the shares of each leaf and unions of leaves.

        Shares of a leaf sum to 1. Cost: linear in strata for one leaf, quadratic for several.
        """
        exact = [[size * share for share in leaf] for size, leaf in zip(sizes, shares, strict=True)]
        base = np.array([[floor(count) for count in leaf] for leaf in exact], dtype=np.int64)
        rest = [[count - floor(count) for count in leaf] for leaf in exact]
        found = _systematic(rest[0]) if len(sizes) == 1 else corners(rest, nodes)
        edges = [Fraction(0)]
        for weight, _ in found:
            edges.append(edges[-1] + weight)
        extras = np.array([table for _, table in found], dtype=np.int64)
        return cls(base, extras.reshape(-1, *base.shape), tuple(edges))

    def turn(self, turns: ArrayLike) -> Counts:
        """Return the tables (..., leaves, strata) of the given turns."""
        index = np.asarray(turns, dtype=np.int64)
        return self.before(index + 1) - self.before(index)

    def before(self, turns: ArrayLike) -> Counts:
        """Return what all turns before the given ones took together, (..., leaves, strata)."""
        index = np.asarray(turns, dtype=np.int64)
        if self._period is None:
            below = van_der_corput_below(index, self._bounds)
            return index[..., None, None] * self.base + np.tensordot(np.diff(below), self.extras, axes=1)
        table = self._period
        cycles, rest = np.divmod(index, len(table) - 1)
        total: Counts = cycles[..., None, None] * table[-1] + table[rest]
        return total

    @cached_property
    def _bounds(self) -> list[int]:
        return [-floor(-edge * (1 << _BITS)) for edge in self.edges]

    @cached_property
    def _period(self) -> Counts | None:
        """(turns + 1, leaves, strata) running totals over one period, where it is short."""
        period = lcm(*(edge.denominator for edge in self.edges))
        if period > LONGEST_PERIOD:
            return None
        places = np.arange(period) * _coprime(period) % period
        corner = np.searchsorted([int(edge * period) for edge in self.edges[1:]], places, side="right")
        tables = np.concatenate([np.zeros((1, *self.base.shape), np.int64), self.base + self.extras[corner]])
        return np.cumsum(tables, axis=0)


def van_der_corput(index: ArrayLike) -> NDArray[np.float64]:
    """Return the base-2 van der Corput points of non-negative ``index``, in [0, 1).

    Examples
    --------
    >>> van_der_corput([0, 1, 2, 3]).tolist()
    [0.0, 0.5, 0.25, 0.75]
    """
    return _reversed_bits(np.asarray(index, dtype=np.int64)) / float(1 << _BITS)


def van_der_corput_below(turns: ArrayLike, bounds: Sequence[int]) -> Counts:
    """Count the first ``turns`` points that lie below each bound, in units of 2**-62.

    The points before turn v split into aligned blocks, one per set bit of v; the points of a block
    of 2**i turns stand 2**-i apart, so that counting them takes one division.
    """
    index = np.asarray(turns, dtype=np.int64)
    limit = np.array(bounds, dtype=np.int64)
    total = np.zeros((*index.shape, limit.size), dtype=np.int64)
    for bit in range(int(index.max(initial=0)).bit_length()):
        gap = _BITS - bit
        first = _reversed_bits(index >> (bit + 1) << (bit + 1))[..., None]
        held = np.clip(-((first - limit) >> gap), 0, 1 << bit)
        total += np.where((index >> bit & 1)[..., None] == 1, held, 0)
    return total


def _coprime(period: int) -> int:
    """Return a step near the golden section of the period that visits every place."""
    step = max(1, round(period * 0.6180339887498949))
    while gcd(step, period) > 1:
        step += 1
    return step


def _systematic(rest: Sequence[Fraction]) -> list[tuple[Fraction, list[list[int]]]]:
    """Corners of one leaf: whole numbers of points on a line cut into the strata, over all shifts.

    A shift u gives stratum s the points in (sum before s + u, sum to s + u]; the table changes only
    where a cut meets a point (Madow 1949).
    """
    whole = lcm(*(share.denominator for share in rest))
    cuts = [0, *accumulate(int(share * whole) for share in rest)]
    shifts = sorted({0, *(-cut % whole for cut in cuts)})
    found = []
    for shift, after in pairwise([*shifts, whole]):
        points = [(cut + shift) // whole for cut in cuts]
        table = [[high - low for low, high in pairwise(points)]]
        found.append((Fraction(after - shift, whole), table))
    return found


def _reversed_bits(value: Counts) -> Counts:
    """Reverse the lowest 62 bits: bit 0 becomes the highest."""
    bits = value.astype(np.uint64)
    for shift, mask in _SWAPS:
        bits = ((bits >> shift) & mask) | ((bits & mask) << shift)
    return (bits >> np.uint64(64 - _BITS)).astype(np.int64)


_SWAPS: Final = tuple(
    (np.uint64(shift), np.uint64(mask))
    for shift, mask in (
        (1, 0x5555555555555555),
        (2, 0x3333333333333333),
        (4, 0x0F0F0F0F0F0F0F0F),
        (8, 0x00FF00FF00FF00FF),
        (16, 0x0000FFFF0000FFFF),
        (32, 0x00000000FFFFFFFF),
    )
)
