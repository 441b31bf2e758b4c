"""Exact shares in whole numbers, turn after turn.

A batch holds whole anchors, and two fifths of 32 are not whole. Rounding each batch by itself would favour
the same stratum every time, or break a sum: the parts of a batch (own and leaked, near and far) have to add
up to the batch, and so do the strata of each part.

The idea: write the exact table of (part, stratum) counts as a mixture of whole-number tables, each of which
is right in every sum, and let these take turns in proportion to their weights. A *leaf* is a part, a *node* a
union of leaves (own anchors, leaked anchors, the whole batch); nodes form a tree. In every table each count,
of leaf or node, is the floor or the ceiling of the exact one and each leaf is full. Turn v takes the table in
whose interval the point u(v) of a fixed low-discrepancy sequence falls: a rotation with the period of the
weights where that is short, exact after each period, else van der Corput's (1935), for which k turns stay
within 1 + log2(k). What all turns before v took together follows from v alone.

How the mixture is found: such tables are the corners of a flow polytope. The table is a flow from a root
through each stratum's tree of nodes to its leaves, and from there into one sink per leaf. Sums at inner
points are kept and ends are whole, so fractional edges always close cycles, and moving flow around a cycle
keeps every sum. Peeling: round the flow to a corner, give it the largest weight that leaves the rest between
its bounds, turn the edges that became tight around by cycles, and repeat; each turn ties at least one edge
for good. All numbers are integers over one denominator: nothing is rounded.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from math import floor, gcd, lcm
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]
Table = list[list[int]]
Edge = tuple[int, int]

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
        if self._period is not None:
            return self._tables[index % len(self._tables)]
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
    def _tables(self) -> Counts:
        """(turns, leaves, strata) the tables of one period."""
        return np.diff(self._period, axis=0) if self._period is not None else np.zeros(0, dtype=np.int64)

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
        held = np.minimum(np.maximum(-((first - limit) >> gap), 0), 1 << bit)  # np.clip is four times slower
        total += held * (index >> bit & 1)[..., None]
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


def corners(
    table: Sequence[Sequence[Fraction]], nodes: Sequence[Sequence[int]] = ()
) -> list[tuple[Fraction, Table]]:
    """Return (weight, 0/1 table) pairs whose weights sum to 1 and whose mean is ``table``.

    Parameters
    ----------
    table
        (leaves, strata) fractions in [0, 1); every row sums to a whole number.
    nodes
        Unions of leaves, smaller ones first; any two are disjoint or nested.
    """
    whole = lcm(*(entry.denominator for row in table for entry in row))
    edges, mass, leaf_edge = _network(table, nodes, whole)
    graph = _Graph(edges)
    flow = _rounded(graph, mass, whole)
    found = []
    rest = whole
    while rest:
        weight = min(
            [m if f else rest - m for m, f in zip(mass, flow, strict=True) if 0 < m < rest], default=rest
        )
        found.append((Fraction(weight, whole), [[flow[edge] for edge in row] for row in leaf_edge]))
        rest -= weight
        mass = [m - weight * f for m, f in zip(mass, flow, strict=True)]
        if rest:
            _turn_tight(graph, mass, rest, flow)
    return found


class _Graph:
    """Directed edges and, for each point, the ways out of it along and against them."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        self.edges = edges
        self.ways: dict[int, list[tuple[int, int, bool]]] = {}
        for number, (tail, head) in enumerate(edges):
            self.ways.setdefault(tail, []).append((number, head, True))
            self.ways.setdefault(head, []).append((number, tail, False))

    def cycle(self, edge: int, along: bool, free: Callable[[int, bool], bool]) -> list[tuple[int, bool]]:
        """Return a shortest cycle through ``edge`` over free ways, as (edge, along it) pairs."""
        tail, head = self.edges[edge]
        start, goal = (head, tail) if along else (tail, head)
        came: dict[int, tuple[int, int, bool] | None] = {start: None}
        queue = deque([start])
        while queue and goal not in came:
            point = queue.popleft()
            for number, other, forward in self.ways[point]:
                if other not in came and number != edge and free(number, forward):
                    came[other] = (point, number, forward)
                    queue.append(other)
        path = [(edge, along)]
        step = came[goal]
        while step is not None:
            path.append(step[1:])
            step = came[step[0]]
        return path


def _network(
    table: Sequence[Sequence[Fraction]], nodes: Sequence[Sequence[int]], whole: int
) -> tuple[list[Edge], list[int], list[list[int]]]:
    """Return edges, their fractional flow in units of 1/whole, and the edge of each table entry."""
    leaves, strata = len(table), len(table[0])
    root, sinks = 0, [1 + leaf for leaf in range(leaves)]
    points = 1 + leaves
    edges: list[Edge] = []
    mass: list[int] = []
    leaf_edge = [[0] * strata for _ in range(leaves)]
    tree = [*nodes]
    parents = {number: _parent(set(node), tree[number + 1 :], number) for number, node in enumerate(tree)}
    for stratum in range(strata):
        point = {number: points + number for number in parents}
        points += len(tree)
        for number, node in enumerate(tree):
            above = parents[number]
            edges.append((root if above is None else point[above], point[number]))
            mass.append(int(sum(table[leaf][stratum] for leaf in node) * whole) % whole)
        for leaf in range(leaves):
            above = _parent({leaf}, tree, -1)
            leaf_edge[leaf][stratum] = len(edges)
            edges.append((root if above is None else point[above], sinks[leaf]))
            mass.append(int(table[leaf][stratum] * whole))
    return edges, mass, leaf_edge


def _parent(inner: set[int], outer: Sequence[Sequence[int]], before: int) -> int | None:
    """Return the number of the smallest node that holds ``inner``; nodes come smaller first."""
    for number, node in enumerate(outer):
        if inner <= set(node):
            return before + 1 + number
    return None


def _rounded(graph: _Graph, mass: Sequence[int], whole: int) -> list[int]:
    """Move flow around cycles of fractional edges until all are 0 or 1."""
    flow = list(mass)

    def free(edge: int, _: bool) -> bool:
        return 0 < flow[edge] < whole

    for edge in range(len(flow)):
        while free(edge, True):
            path = graph.cycle(edge, True, free)
            amount = min(whole - flow[number] if along else flow[number] for number, along in path)
            for number, along in path:
                flow[number] += amount if along else -amount
    return [int(value == whole) for value in flow]


def _turn_tight(graph: _Graph, mass: Sequence[int], rest: int, flow: list[int]) -> None:
    """Flip, around cycles, every edge whose remaining mass leaves it one value and that has the other."""

    def free(edge: int, along: bool) -> bool:
        wanted = mass[edge] > 0 if along else mass[edge] < rest
        return wanted and flow[edge] != along

    for edge, value in enumerate(mass):
        if (value == 0 and flow[edge]) or (value == rest and not flow[edge]):
            for number, along in graph.cycle(edge, not flow[edge], free):
                flow[number] = int(along)
