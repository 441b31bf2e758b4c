"""Write a table of fractions as a mixture of whole-number tables, exactly.

Rows are leaves, columns are strata, entries lie in [0, 1), rows sum to whole numbers, and unions of
leaves (*nodes*) form a tree. Wanted: 0/1 tables with the same row sums, in which every node's sum
is the floor or ceiling of its fractional one, and weights under which their mean is the given table.

The table is a flow: from a root through each stratum's tree of nodes to its leaves, and from there
into one sink per row. Sums at all inner points are kept and ends are whole, so fractional edges
always close cycles, and moving flow around a cycle keeps every sum. Peeling: round the flow to a
corner, give it the largest weight that leaves the rest between its bounds, turn the edges that
became tight around by cycles, and repeat; each turn ties at least one edge for good, so there are at
most as many corners as edges. All numbers are integers over one denominator: no rounding.
"""

from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import lcm

Table = list[list[int]]
Edge = tuple[int, int]


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

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> corners([[half, half], [half, half]], nodes=[[0, 1]])
    [(Fraction(1, 2), [[1, 0], [0, 1]]), (Fraction(1, 2), [[0, 1], [1, 0]])]
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
