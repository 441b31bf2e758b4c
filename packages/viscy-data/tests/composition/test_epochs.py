"""Which group each batch takes: shares per epoch and over epochs, visit numbers."""

from collections import Counter
from fractions import Fraction
from math import ceil, floor, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition.epochs import EpochSchedule, Visits


@st.composite
def shares(draw: st.DrawFn) -> list[Fraction]:
    raw = draw(st.lists(st.one_of(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=9))
    values = [Fraction(value) for value in raw]
    values[0] += not any(values)
    return [value / sum(values) for value in values]


def walk(schedule: EpochSchedule, epochs: int) -> list[Visits]:
    return [schedule.visits(epoch, np.arange(schedule.batches)) for epoch in range(epochs)]


@settings(max_examples=80)
@given(share=shares(), full=st.integers(0, 40), partial=st.integers(0, 1), seed=st.integers(0, 9))
def test_groups_get_their_shares_and_visits_are_counted(
    share: list[Fraction], full: int, partial: int, seed: int
) -> None:
    if full + partial == 0:
        return
    schedule = EpochSchedule(share, full, partial, seed)
    seen: Counter[tuple[int, bool]] = Counter()
    epochs = 12
    for epoch, visits in enumerate(walk(schedule, epochs)):
        groups = Counter(visits.group.tolist())
        rank: Counter[int] = Counter()
        for i, group in enumerate(visits.group.tolist()):
            is_partial = i >= full
            assert visits.is_partial[i] == is_partial
            assert (visits.full[i], visits.partial[i]) == (seen[group, False], seen[group, True])
            assert (visits.rank[i], visits.cycle[i]) == (rank[group], 0)
            seen[group, is_partial] += 1
            rank[group] += 1
        for group, part in enumerate(share):
            exact = part * (full + partial)
            assert floor(exact) <= groups[group] <= ceil(exact)
            total = seen[group, False] + seen[group, True]
            assert abs(total - (epoch + 1) * exact) <= 1 + log2(epoch + 1)


@pytest.mark.parametrize("partial", [0, 1])
def test_over_a_thousand_epochs_groups_stay_within_one_and_a_logarithm(partial: int) -> None:
    parts = [0.31, 0.07, 0.5, 0.0, 0.11, 0.019]
    share = [Fraction(part) / sum(map(Fraction, parts)) for part in parts]
    schedule = EpochSchedule(share, 7, partial, 0)
    total = np.zeros(len(share))
    for epoch in range(1000):
        total += np.bincount(schedule.visits(epoch, np.arange(schedule.batches)).group, minlength=len(share))
        exact = (epoch + 1) * np.array([float(part * schedule.batches) for part in share])
        assert np.abs(total - exact).max() <= 1 + np.log2(epoch + 1) + 1e-9


def test_far_epochs_are_known_without_walking() -> None:
    schedule = EpochSchedule([Fraction(1, 3), Fraction(2, 3)], 10, 0, 0)
    visits = schedule.visits(3 * 10**11, np.arange(10))
    first = {group: int(visits.full[visits.group == group][0]) for group in (0, 1)}
    assert first == {0: 10**12, 1: 2 * 10**12}


def test_the_order_of_groups_is_shuffled_anew_by_seed_and_epoch() -> None:
    share = [Fraction(1, 4)] * 4
    orders = {
        tuple(EpochSchedule(share, 40, 0, seed).visits(epoch, np.arange(40)).group.tolist())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25
    first = Counter(
        int(EpochSchedule(share, 40, 0, 0).visits(epoch, np.arange(1)).group[0]) for epoch in range(800)
    )
    assert max(abs(first[group] - 200) for group in range(4)) < 55  # 4.5 standard deviations


def test_numbers_beyond_an_epoch_take_its_groups_with_further_visits() -> None:
    schedule = EpochSchedule([Fraction(1, 3), Fraction(2, 3)], 7, 1, 3)
    own, beyond = (schedule.visits(2, np.arange(8) + 8 * cycle) for cycle in (0, 1))
    np.testing.assert_array_equal(own.group, beyond.group)
    assert (beyond.cycle == 1).all()
    for group in (0, 1):
        last = max(int(n) for n in (own.full + own.partial)[own.group == group])
        numbers = sorted(int(n) for n in (beyond.full + beyond.partial)[beyond.group == group])
        assert numbers == list(range(last + 1, last + 1 + len(numbers)))


def test_visits_before_epochs_are_those_of_the_epochs_before() -> None:
    schedule = EpochSchedule([Fraction(1, 5), Fraction(4, 5)], 7, 1, 0)
    total = np.zeros((2, 2), dtype=np.int64)
    for epoch in range(40):
        before = schedule.before(np.full(2, epoch), np.arange(2))
        np.testing.assert_array_equal(before, total)
        visits = schedule.visits(epoch, np.arange(8))
        np.add.at(total, (visits.is_partial.astype(int), visits.group), 1)
