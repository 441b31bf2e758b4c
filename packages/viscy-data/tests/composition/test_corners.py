"""Tables of fractions as mixtures of 0/1 tables."""

from fractions import Fraction
from math import ceil, floor

from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition.corners import corners


@st.composite
def tables(draw: st.DrawFn) -> list[list[Fraction]]:
    """Entries in [0, 1), rows that sum to whole numbers."""
    strata, leaves = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    table = []
    for _ in range(leaves):
        whole = draw(st.integers(1, 30))
        row = [draw(st.integers(0, whole - 1)) for _ in range(strata - 1)]
        last = -sum(row) % whole
        table.append([Fraction(part, whole) for part in [*row, last]])
    return table


TREES: dict[int, list[list[list[int]]]] = {
    1: [[]],
    2: [[], [[0, 1]]],
    3: [[], [[0, 1]], [[0, 1], [0, 1, 2]]],
    4: [[[0, 1], [2, 3], [0, 1, 2, 3]]],
}


@settings(max_examples=150)
@given(table=tables(), data=st.data())
def test_corners_round_and_average_to_the_table(table: list[list[Fraction]], data: st.DataObject) -> None:
    nodes = data.draw(st.sampled_from(TREES[len(table)]))
    found = corners(table, nodes)
    assert sum(weight for weight, _ in found) == 1
    assert all(weight > 0 for weight, _ in found)
    assert len(found) <= len(table[0]) * (len(table) + len(nodes)) + 1
    unions = [*([leaf] for leaf in range(len(table))), *nodes]
    for _, corner in found:
        for leaf, row in enumerate(corner):
            assert set(row) <= {0, 1}
            assert sum(row) == sum(table[leaf])
        for union in unions:
            for stratum in range(len(table[0])):
                exact = sum((table[leaf][stratum] for leaf in union), Fraction(0))
                assert floor(exact) <= sum(corner[leaf][stratum] for leaf in union) <= ceil(exact)
    for leaf, entries in enumerate(table):
        for stratum, entry in enumerate(entries):
            assert sum(weight * corner[leaf][stratum] for weight, corner in found) == entry
