"""Endless draws from pools: balance at any time, no repeats in a draw, and how even they are."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_history import ListedHistory
from numpy.typing import NDArray

from viscy_data.composition.endless import Draws, EndlessPools
from viscy_data.composition.epochs import Visits

Integers = NDArray[np.int64]


def pools_of(size: list[int], least: int, most: int, seed: int) -> EndlessPools:
    bounds = np.array([[[count] * len(size), [0] * len(size)] for count in (least, most)])
    return EndlessPools(np.array(size), bounds, bounds, seed)


def draws_of(history: ListedHistory, pool: Integers, visit: Integers, count: Integers) -> Draws:
    now, zeros = history.moments(visit), np.zeros_like(visit)
    visits = Visits(
        *(zeros, now.whole, now.short, now.is_short, visit, zeros, visit, now.whole, now.short, now.is_short)
    )
    return Draws(pool, history.total[visit], count, visits, zeros.astype(np.uint64))


def visits_of(size: int, counts: list[int], seed: int = 0) -> list[list[int]]:
    """Draw visits of the given counts, one after the other, from one pool."""
    history = ListedHistory(counts)
    visit = np.arange(len(counts))
    draws = draws_of(history, np.zeros_like(visit), visit, np.array(counts))
    members = pools_of([size], min(counts), max(counts), seed).members(draws, history, history)
    return [part.tolist() for part in np.split(members, history.total[1:-1])]


@settings(max_examples=150)
@given(data=st.data(), size=st.integers(1, 80), most=st.integers(1, 30), seed=st.integers(0, 2**40))
def test_visits_hold_no_member_twice_and_stay_balanced(
    data: st.DataObject, size: int, most: int, seed: int
) -> None:
    counts = data.draw(st.lists(st.integers(max(most - 1, 1), most), min_size=1, max_size=60))
    seen: Counter[int] = Counter(dict.fromkeys(range(size), 0))
    for visit, count in zip(visits_of(size, counts, seed), counts, strict=True):
        used = Counter(visit)
        assert set(used) <= set(range(size))
        assert max(used.values()) <= -(-count // size)
        assert len(used) == min(count, size)
        seen.update(visit)
        assert max(seen.values()) - min(seen.values()) <= 1


@pytest.mark.parametrize(
    ("size", "most"), [(33, 11), (101, 8), (15, 5), (40, 5), (100, 8), (9, 5), (12, 5), (14, 5)]
)
def test_every_member_comes_at_every_place_of_a_pass_equally_often(size: int, most: int) -> None:
    passes = 3000
    visits = visits_of(size, [most] * (size * passes // most))
    drawn = np.concatenate([np.array(visit) for visit in visits])
    drawn = drawn[: drawn.size // size * size].reshape(-1, size)
    for place in (0, 1, most - 1, most, size // 2, size - most, size - 1):
        counts = np.bincount(drawn[:, place], minlength=size)
        expected = len(drawn) / size
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def pair_counts(visits: list[list[int]], size: int) -> NDArray[np.int64]:
    held = np.zeros((len(visits), size))
    for number, visit in enumerate(visits):
        held[number, visit] = 1
    return (held.T @ held)[np.triu_indices(size, 1)].astype(np.int64)


@pytest.mark.parametrize(
    ("size", "most"),
    [(1000, 10), (30, 10), (100, 10), (300, 10), (25, 10), (19, 10), (18, 10), (17, 12), (40, 37), (11, 7)],
)
def test_two_members_share_a_visit_as_often_as_in_draws_without_replacement(size: int, most: int) -> None:
    """A pair shares a draw of m out of n with probability m (m - 1) / n (n - 1)."""
    passes = 400_000 // size // most
    visits = visits_of(size, [most] * (size * passes // most))
    counts = pair_counts(visits, size)
    expected = len(visits) * most * (most - 1) / (size * (size - 1))
    assert abs(counts.mean() / expected - 1) < 1e-9
    # Binned by 1, so that pairs that are expected less than once count too: variance over mean.
    assert counts.var() / expected < 1.3


def test_every_pass_is_a_new_order_and_no_shifted_one() -> None:
    drawn = np.concatenate([np.array(visit) for visit in visits_of(400, [4] * 500)]).reshape(5, 400)
    steps = np.diff(drawn, axis=1) % 400
    for one in range(5):
        for other in range(one):
            assert (steps[one] == steps[other]).mean() < 0.1


def test_seeds_give_other_orders() -> None:
    assert visits_of(50, [5] * 10, seed=0) != visits_of(50, [5] * 10, seed=1)


def test_pools_are_drawn_from_apart() -> None:
    pools, history = pools_of([40, 40, 7], 3, 4, seed=3), ListedHistory([4] * 8)
    pool, visit, count = np.array([0, 1, 2, 0]), np.array([2, 2, 3, 5]), np.array([4, 4, 4, 4])
    together = pools.members(draws_of(history, pool, visit, count), history, history).tolist()
    for i in range(4):
        one = slice(i, i + 1)
        draws = draws_of(history, pool[one], visit[one], count[one])
        assert pools.members(draws, history, history).tolist() == together[: count[i]]
        together = together[count[i] :]
