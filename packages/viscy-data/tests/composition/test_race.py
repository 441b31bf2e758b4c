"""Draws by weight without repeats: one after the other, in proportion among those left."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition import keyed
from viscy_data.composition.race import FEW, Sides, winners


def side_of(start: int, end: int, gap: int, after: int, keys: keyed.Words) -> Sides:
    low, high, first, last = (np.full(keys.size, edge) for edge in (start, end, gap, after))
    return Sides(low, high, first, last, keys)


def chance_of(order: tuple[int, ...], weight: dict[int, int]) -> float:
    """Return how likely anchors are drawn in this order."""
    left, chance = sum(weight.values()), 1.0
    for one in order:
        chance *= weight[one] / left
        left -= weight[one]
    return chance


@pytest.mark.parametrize("few", [0, FEW], ids=["by points", "by clocks"])
def test_orders_come_as_often_as_successive_sampling_says(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viscy_data.composition.race.FEW", few)
    weights = [4, 9, 1, 5, 5, 2, 7]
    sums = np.concatenate([[0], np.cumsum(weights)]) << 40
    held = {place: weights[place] for place in (1, 2, 5, 6)}  # from 1 on, without 3 and 4
    draws = 30_000
    sides = side_of(1, 7, 3, 5, keyed.words(11, np.arange(draws)))
    found = winners(sums, sides, np.full(draws, 2)).reshape(draws, 2)
    counts = Counter(map(tuple, found.tolist()))
    assert sum(counts.values()) == draws
    for order in permutations(held, 2):
        expected = draws * chance_of(order, held)
        assert abs(counts[order] - expected) < 5 * np.sqrt(expected)


@settings(max_examples=100)
@given(data=st.data())
def test_winners_are_of_their_side_and_differ(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    size = data.draw(st.integers(1, 300))
    sums = np.concatenate([[0], np.cumsum(np.ceil(rng.pareto(0.5, size) + 1).clip(1, 1e9).astype(np.int64))])
    many = data.draw(st.integers(1, 8))
    edges = np.sort(rng.integers(0, size + 1, (many, 4)), axis=1)
    sides = Sides(edges[:, 0], edges[:, 3], edges[:, 1], edges[:, 2], keyed.words(3, np.arange(many)))
    wanted = rng.integers(0, sides.size + 1)
    place = winners(sums, sides, wanted)
    for nth, part in enumerate(np.split(place, np.cumsum(wanted)[:-1])):
        low, gap, after, high = edges[nth].tolist()
        assert len(set(part.tolist())) == wanted[nth]
        assert set(part.tolist()) <= set(range(low, high)) - set(range(gap, after))


def test_more_wanted_goes_on_where_less_stopped() -> None:
    sums = np.cumsum(np.arange(1, 2001))
    sides = side_of(0, 1999, 500, 600, keyed.words(5))
    assert winners(sums, sides, np.array([40]))[:12].tolist() == winners(sums, sides, np.array([12])).tolist()


def test_one_anchor_with_nearly_all_of_the_weight_ends() -> None:
    sums = np.cumsum(np.concatenate([[0, 1 << 50], np.ones(5000, dtype=np.int64)]))
    found = winners(sums, side_of(0, 5001, 0, 0, keyed.words(5)), np.array([30]))
    assert found[0] == 0
    assert np.unique(found).size == 30
