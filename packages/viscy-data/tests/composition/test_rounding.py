"""Whole-number tables that take turns: rounding, exactness, and totals without walking."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition.rounding import Mixture, corners, van_der_corput_below

Shares = list[Fraction]


@st.composite
def shares(draw: st.DrawFn, strata: int, *, fine: bool | None = None) -> Shares:
    """Shares that sum to 1, of a short period or of floats with none."""
    if draw(st.booleans()) if fine is None else fine:
        raw = draw(st.lists(st.floats(0, 1), min_size=strata, max_size=strata))
    else:
        raw = draw(st.lists(st.integers(0, 6), min_size=strata, max_size=strata))
    values = [Fraction(value) for value in raw]
    values[0] += not any(values)
    return [value / sum(values) for value in values]


@given(size=st.integers(0, 40), share=st.integers(1, 12).flatmap(shares), start=st.integers(0, 10**6))
def test_turns_of_one_leaf_round_and_stay_near_exact(size: int, share: Shares, start: int) -> None:
    mixture = Mixture.of([size], [share])
    turns = mixture.turn(np.arange(start, start + 200))[:, 0]
    assert (turns.sum(axis=1) == size).all()
    exact = [size * part for part in share]
    assert (turns >= [floor(count) for count in exact]).all()
    assert (turns <= [ceil(count) for count in exact]).all()
    before = mixture.before(np.arange(201))[:, 0]
    for k in range(1, 201):
        for stratum, count in enumerate(exact):
            assert abs(int(before[k, stratum]) - k * count) <= 1 + log2(k)


@given(share=st.integers(1, 6).flatmap(shares), size=st.integers(0, 20))
def test_totals_are_the_sums_of_turns(share: Shares, size: int) -> None:
    mixture = Mixture.of([size], [share])
    walked = np.concatenate([[[[0] * len(share)]], np.cumsum(mixture.turn(np.arange(50)), axis=0)])
    np.testing.assert_array_equal(mixture.before(np.arange(51)), walked)
    one = [mixture.before(turn) for turn in range(51)]
    np.testing.assert_array_equal(one, walked)


@settings(max_examples=60)
@given(data=st.data(), strata=st.integers(1, 8), sizes=st.lists(st.integers(0, 12), min_size=4, max_size=4))
def test_four_parts_round_in_every_node_of_their_tree(
    data: st.DataObject, strata: int, sizes: list[int]
) -> None:
    own, leaked = data.draw(shares(strata)), data.draw(shares(strata))
    nodes = [[0, 1], [2, 3], [0, 1, 2, 3]]
    table = [own, own, leaked, leaked]
    mixture = Mixture.of(sizes, table, nodes)
    turns = mixture.turn(np.arange(64))
    assert (turns.sum(axis=2) == sizes).all()
    for node in [[0], [1], [2], [3], *nodes]:
        for stratum in range(strata):
            exact = sum(sizes[leaf] * table[leaf][stratum] for leaf in node)
            held = turns[:, node, stratum].sum(axis=1)
            assert floor(exact) <= held.min()
            assert held.max() <= ceil(exact)


@settings(max_examples=60)
@given(data=st.data(), strata=st.integers(1, 6), sizes=st.lists(st.integers(0, 12), min_size=2, max_size=2))
def test_mixtures_are_exact(data: st.DataObject, strata: int, sizes: list[int]) -> None:
    """The weights of the corners sum to 1 and their mean is the exact table."""
    table = [data.draw(shares(strata)) for _ in sizes]
    mixture = Mixture.of(sizes, table, [[0, 1]])
    weights = [high - low for low, high in zip(mixture.edges[:-1], mixture.edges[1:], strict=True)]
    assert min(weights) > 0
    assert sum(weights) == 1
    for leaf, size in enumerate(sizes):
        for stratum in range(strata):
            extras = [int(extra) for extra in mixture.extras[:, leaf, stratum]]
            mean = sum((w * e for w, e in zip(weights, extras, strict=True)), Fraction(0))
            assert int(mixture.base[leaf, stratum]) + mean == size * table[leaf][stratum]


@pytest.mark.parametrize("parts", [[1, 1, 1], [1, 2], [1] * 7, [5, 6, 7]])
def test_short_periods_are_exact_after_each(parts: Sequence[int]) -> None:
    period = sum(parts)
    mixture = Mixture.of([10], [[Fraction(part, period) for part in parts]])
    assert mixture.before(period * 5).tolist() == [[50 * part for part in parts]]


def test_every_period_up_to_the_longest_stays_near_exact() -> None:
    """k turns of a rotation stay within 1 + log2(k), whatever the period and the share."""
    for period in range(2, 1025, 1):
        for part in {1, period // 3, period // 2, period - 1} - {0}:
            mixture = Mixture.of([1], [[Fraction(part, period), Fraction(period - part, period)]])
            k = np.arange(1, min(period, 300) + 1)
            drift = np.abs(mixture.before(k)[:, 0, 0] - k * (part / period))
            assert (drift <= 1 + np.log2(k) + 1e-9).all(), (period, part)


def test_turns_far_away_cost_nothing() -> None:
    mixture = Mixture.of([7], [[Fraction(0.3), Fraction(0.7)]])
    far = 2**40
    assert abs(int(mixture.before(far)[0, 0]) - far * 7 * 0.3) < 41
    assert int(mixture.turn(far).sum()) == 7


@given(turns=st.integers(0, 3000), bound=st.integers(0, 2**62))
def test_counting_points_below_a_bound_is_counting_them(turns: int, bound: int) -> None:
    points = [int(f"{i:062b}"[::-1], 2) for i in range(turns)]
    expected = sum(point < bound for point in points)
    assert van_der_corput_below(turns, [bound]).tolist() == [expected]


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
