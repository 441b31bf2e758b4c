"""Draws in rounds: no value twice in a visit, every anchor as often as every other."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.composition.distinct import AnchorValues
from viscy_data.composition.layout import AnchorLayout, Labels
from viscy_data.composition.quota import Mixture
from viscy_data.composition.rounds import Rounds
from viscy_data.composition.value_classes import ValueClasses, sort_by_values

Integers = NDArray[np.int64]


def layout_of(sizes: list[int], seed: int = 0) -> AnchorLayout:
    """One cell with a value for each size, shuffled."""
    whole = Labels((), None, (None,))
    code = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.uint32)
    layout = AnchorLayout.build(code.size, whole, whole, None)
    return sort_by_values(replace(layout, values=AnchorValues(code, None, 0.0)))


def draws_before(mean: Fraction, visits: int) -> Integers:
    """What visits of a stratum take before each visit: whole numbers around the mean."""
    size = -(-mean.numerator // mean.denominator)
    mixture = Mixture.of([size], [[mean / size, 1 - mean / size]])
    return mixture.before(np.arange(visits))[:, 0, 0]


def visits_of(rounds: Rounds, before: Integers, asked: Integers) -> list[list[int]]:
    cell = np.zeros_like(asked)
    places = rounds.places(cell, asked, lambda visit: before[visit])
    ends = np.cumsum(before[asked + 1] - before[asked])
    return [part.tolist() for part in np.split(places, ends[:-1])]


@st.composite
def cells(draw: st.DrawFn) -> tuple[list[int], Fraction]:
    """Draw the sizes of values and the mean of a visit: at most as many draws as there are values."""
    sizes = draw(st.lists(st.integers(1, draw(st.sampled_from([1, 4, 30]))), min_size=1, max_size=25))
    parts = draw(st.integers(1, 7))
    return sizes, Fraction(draw(st.integers(1, len(sizes) * parts)), parts)


@settings(max_examples=150)
@given(cell=cells(), seed=st.integers(0, 99))
def test_visits_hold_no_value_twice_and_anchors_come_equally_often(
    cell: tuple[list[int], Fraction], seed: int
) -> None:
    sizes, mean = cell
    layout = layout_of(sizes, seed)
    rounds = Rounds(ValueClasses.of(layout, [mean]), seed)
    length = int(rounds.classes.visits[0])
    assert length > 0
    visits = min(max(40, 3 * length), 400)
    found = visits_of(rounds, draws_before(mean, visits + length + 2), np.arange(visits))
    code = layout.need_values().code
    seen = np.zeros(code.size, dtype=np.int64)
    heavy = np.bincount(code)[code] > length
    for number, visit in enumerate(found, start=1):
        assert len(set(code[visit].tolist())) == len(visit)
        seen[visit] += 1
        light = seen[~heavy]
        assert not light.size or light.max() - light.min() <= (1 if number % length == 0 else 2)
        for value in np.unique(code[heavy]):  # anchors of a long value take turns among themselves
            mine = seen[code == value]
            assert mine.max() - mine.min() <= 2 + number // length
            assert mine.sum() <= number


@given(cell=cells(), data=st.data())
def test_a_visit_does_not_depend_on_what_else_is_asked_for(
    cell: tuple[list[int], Fraction], data: st.DataObject
) -> None:
    sizes, mean = cell
    rounds = Rounds(ValueClasses.of(layout_of(sizes), [mean]), 3)
    before = draws_before(mean, 40 + 3 * int(rounds.classes.visits[0]))
    together = visits_of(rounds, before, np.arange(30))
    asked = data.draw(st.lists(st.integers(0, 29), min_size=1, max_size=6))
    assert visits_of(rounds, before, np.array(asked)) == [together[number] for number in asked]


def test_a_round_is_as_long_as_the_values_allow() -> None:
    exact = Rounds(ValueClasses.of(layout_of([10] * 8), [Fraction(8)]), 0)
    assert (exact.classes.visits[0], exact.classes.slots[0]) == (10, 80)
    # 25 anchors of one value: with 9 visits of 3 there are 9 slots for it, and 18 for the others
    long = Rounds(ValueClasses.of(layout_of([6, 6, 6, 25]), [Fraction(3)]), 0)
    assert (long.classes.visits[0], long.classes.slots[0]) == (9, 27)
    assert Rounds(ValueClasses.of(layout_of([5, 5]), [Fraction(3)]), 0).classes.visits[0] == 0


def test_cells_are_drawn_apart() -> None:
    code = np.repeat([0, 1, 2, 3, 4], [6, 6, 6, 4, 8]).astype(np.uint32)
    groups = Labels(("g",), np.repeat([0, 1], [18, 12]), ("a", "b"))
    layout = AnchorLayout.build(30, groups, Labels((), None, (None,)), None)
    layout = sort_by_values(replace(layout, values=AnchorValues(code, None, 0.0)))
    rounds = Rounds(ValueClasses.of(layout, [Fraction(3), Fraction(2)]), 7)
    cell, visit = np.array([0, 1, 1, 0]), np.array([0, 0, 3, 9])
    sizes = np.array([3, 2])
    places = rounds.places(cell, visit, lambda number: sizes[cell] * number)
    parts = np.split(places, np.cumsum(sizes[cell])[:-1])
    for number, part in enumerate(parts):
        assert (layout.cell_of(part) == cell[number]).all()
        one = slice(number, number + 1)
        alone = rounds.places(cell[one], visit[one], lambda n, i=cell[number]: sizes[i] * n)  # type: ignore[misc]
        np.testing.assert_array_equal(alone, part)


@pytest.mark.parametrize("sizes", [[4] * 30, [2, 3, 5, 7] * 8])
def test_any_two_values_meet_about_as_often_as_in_other_draws(sizes: list[int]) -> None:
    """Over rounds a pair meets in proportion to the product of its numbers of anchors."""
    layout, mean = layout_of(sizes), Fraction(6)
    rounds = Rounds(ValueClasses.of(layout, [mean]), 1)
    length = int(rounds.classes.visits[0])
    visits = 1500 * length
    found = visits_of(rounds, draws_before(mean, visits + length + 1), np.arange(visits))
    code = layout.need_values().code
    held = np.zeros((visits, len(sizes)))
    for number, visit in enumerate(found):
        held[number, code[visit]] = 1
    meet = (held.T @ held)[np.triu_indices(len(sizes), 1)]
    count = np.bincount(code)
    weight = np.outer(count, count)[np.triu_indices(len(sizes), 1)]
    expected = weight / weight.sum() * visits * 15
    # A pair meets several times in a round or not at all: so many fewer independent meetings.
    together = np.sqrt(expected * max(sizes))
    assert (np.abs(meet - expected) < 5 * together + 0.15 * expected).all()


def test_layouts_are_sorted_by_size_of_value_and_value() -> None:
    layout = layout_of([3, 1, 2, 3])
    assert layout.need_values().code.tolist() == [1, 2, 2, 0, 0, 0, 3, 3, 3]
    for low, high in pairwise(np.flatnonzero(np.diff(layout.need_values().code, prepend=-1, append=-1))):
        assert np.all(np.diff(layout.rows[low:high].astype(int)) > 0)
