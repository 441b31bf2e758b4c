"""Which group each step takes: shares of epochs and over epochs, and how often a group came before."""

from collections import Counter
from fractions import Fraction
from math import ceil, floor, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition.order import Order

Shares = list[Fraction]


@st.composite
def shares(draw: st.DrawFn) -> Shares:
    raw = draw(st.lists(st.one_of(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=9))
    values = [Fraction(value) for value in raw]
    values[0] += not any(values)
    return [value / sum(values) for value in values]


@settings(max_examples=80)
@given(
    share=shares(),
    full=st.integers(1, 40),
    partial=st.integers(0, 1),
    span=st.integers(1, 5),
    begin=st.integers(0, 90),
    seed=st.integers(0, 9),
)
def test_steps_are_counted_as_a_loop_over_all_of_training_counts_them(
    share: Shares, full: int, partial: int, span: int, begin: int, seed: int
) -> None:
    """The order begins inside training; every count is compared with one that walks."""
    order = Order(share, full, partial, seed, span=span, begin=begin)
    n = full + partial
    steps_before: Counter[int] = Counter()
    full_before: Counter[int] = Counter()
    partial_before: Counter[int] = Counter()
    for epoch in range(begin // n, begin // n + 5):
        batches = np.arange(n)
        mine = batches[epoch * n + batches - batches % span >= begin]
        if not mine.size:
            continue
        steps = order.of(epoch, mine)
        assert np.array_equal(steps.batch, mine)
        group_of = steps.group[steps.step]
        assert np.array_equal(steps.number[steps.step], mine // span)
        first = {int(batch) // span: int(batch) for batch in reversed(mine)}
        for at, batch in enumerate(mine.tolist()):
            group, step = int(group_of[at]), steps.step[at]
            if first[batch // span] == batch:
                assert steps.visit[step] == steps_before[group]
                assert (steps.full[step], steps.partial[step]) == (full_before[group], partial_before[group])
                steps_before[group] += 1
            assert steps.batch_full[at] == full_before[group]
            assert steps.batch_partial[at] == partial_before[group]
            assert steps.is_partial[at] == (batch >= full)
            (partial_before if batch >= full else full_before)[group] += 1
        if mine.size == n:
            held = Counter(steps.group.tolist())
            for group, part in enumerate(share):
                assert floor(part * order.steps) <= held[group] <= ceil(part * order.steps)


@pytest.mark.parametrize("partial", [0, 1])
def test_over_a_thousand_epochs_groups_stay_within_one_and_a_logarithm(partial: int) -> None:
    parts = [0.31, 0.07, 0.5, 0.0, 0.11, 0.019]
    share = [Fraction(part) / sum(map(Fraction, parts)) for part in parts]
    order = Order(share, 7, partial, 0)
    total = np.zeros(len(share))
    for epoch in range(1000):
        total += np.bincount(order.of(epoch, np.arange(order.batches)).group, minlength=len(share))
        exact = (epoch + 1) * np.array([float(part * order.batches) for part in share])
        assert np.abs(total - exact).max() <= 1 + log2(epoch + 1) + 1e-9


def test_far_epochs_are_known_without_walking() -> None:
    steps = Order([Fraction(1, 3), Fraction(2, 3)], 10, 0, 0).of(3 * 10**11, np.arange(10))
    assert {group: int(steps.full[steps.group == group][0]) for group in (0, 1)} == {0: 10**12, 1: 2 * 10**12}


def test_the_order_of_groups_is_shuffled_anew_by_seed_and_epoch() -> None:
    orders = [
        Order([Fraction(1, 4)] * 4, 40, 0, seed).of(epoch, np.arange(40))
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({tuple(steps.group.tolist()) for steps in orders}) == 4


@given(share=shares(), full=st.integers(1, 60), run=st.integers(1, 7), seed=st.integers(0, 9))
def test_steps_of_a_group_come_in_runs(share: Shares, full: int, run: int, seed: int) -> None:
    """At least as many runs as a group's steps fill; all but one of each group are whole."""
    group = Order(share, full, 0, seed, run=run).of(0, np.arange(full)).group
    held = Counter(group.tolist())
    begins = np.flatnonzero(np.append(True, np.diff(group) != 0))
    lengths = np.diff(np.append(begins, full))
    for one, count in held.items():
        mine = lengths[group[begins] == one]
        assert mine.sum() == count
        assert (mine % run != 0).sum() <= 1


def test_numbers_beyond_an_epoch_take_its_groups_with_further_visits() -> None:
    order = Order([Fraction(1, 3), Fraction(2, 3)], 7, 1, 3)
    own, beyond = (order.of(2, np.arange(8) + 8 * cycle) for cycle in (0, 1))
    np.testing.assert_array_equal(own.group, beyond.group)
    assert beyond.is_beyond.all()
    assert not own.is_beyond.any()
    assert not set(own.number.tolist()) & set(beyond.number.tolist())
    for group in (0, 1):
        last = int(own.visit[own.group == group].max())
        visits = sorted(beyond.visit[beyond.group == group].tolist())
        assert visits == list(range(last + 1, last + 1 + len(visits)))
