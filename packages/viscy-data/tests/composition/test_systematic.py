"""Endless draws by weight: visits follow shares at any time, none comes twice, and blocks are independent."""

from collections import Counter
from math import log2

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.composition.systematic import WeightedLines

Integers = NDArray[np.int64]


def lines_of(weight: Integers, most: int, *, steady: bool = True, seed: int = 0) -> WeightedLines:
    """Lay out one cell of whole-number weights."""
    sums = np.concatenate([[0], np.cumsum(weight)])
    start = np.array([0, weight.size])
    return WeightedLines.of(sums, start, np.array([most]), np.array([steady]), seed)


def draws_of(lines: WeightedLines, count: int) -> Integers:
    return lines.places(np.zeros(count, dtype=np.int64), np.arange(count))


@st.composite
def weights(draw: st.DrawFn) -> tuple[Integers, int]:
    """Draw weights of very different sizes, none longer than a block, and the number of blocks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(2, 200))
    blocks = draw(st.integers(1, min(size - 1, 30)))
    spread = draw(st.sampled_from(["two", "even", "long"]))
    weight = {
        "two": np.where(rng.random(size) < 0.1, 10.0, 1.0),
        "even": rng.uniform(0.01, 1, size),
        "long": rng.pareto(1.0, size) + 0.05,
    }[spread]
    for _ in range(300):  # cut what is too long, again and again: many anchors of a whole block remain
        weight = np.minimum(weight, weight.sum() / blocks)
    whole = np.ceil(weight * 2.0**40).astype(np.int64)
    assume(whole.min() < whole.max() and whole.max() * blocks <= whole.sum())
    return whole, blocks


@settings(max_examples=150)
@given(case=weights(), seed=st.integers(0, 2**40))
def test_visits_follow_shares_at_any_time(case: tuple[Integers, int], seed: int) -> None:
    weight, blocks = case
    drawn = draws_of(lines_of(weight, blocks, seed=seed), 600 * blocks)
    share = weight / weight.sum()
    visits = np.zeros(weight.size)
    for number, anchor in enumerate(drawn.tolist(), 1):
        visits[anchor] += 1
        if number % 7 == 0:
            assert np.abs(visits - number * share).max() <= 2 + log2(number)


@settings(max_examples=150)
@given(case=weights(), seed=st.integers(0, 2**40))
def test_no_anchor_comes_twice_in_a_visit(case: tuple[Integers, int], seed: int) -> None:
    weight, blocks = case
    drawn = draws_of(lines_of(weight, blocks, seed=seed), 300 * blocks)
    for visit in drawn.reshape(-1, blocks):
        assert len(set(visit.tolist())) == blocks
    for first in range(0, drawn.size - blocks, 3):
        visit = drawn[first : first + blocks - 1]
        assert len(set(visit.tolist())) == blocks - 1


def test_visits_that_vary_get_one_block_more() -> None:
    weight = np.array([3, 1, 1, 1, 2, 1, 1, 2]) << 30
    assert lines_of(weight, 3, steady=True).blocks.tolist() == [3]
    assert lines_of(weight, 3, steady=False).blocks.tolist() == [4]


def test_equal_weights_are_drawn_as_if_there_were_none() -> None:
    assert lines_of(np.full(9, 7), 3).blocks.tolist() == [0]


def test_an_anchor_longer_than_a_block_is_found() -> None:
    weight = np.array([1, 5, 1, 2]) << 30
    assert lines_of(weight, 1).too_heavy() == []
    assert lines_of(weight, 2).too_heavy() == [(0, 1)]


@pytest.mark.parametrize("blocks", [2, 5])
def test_anchors_of_different_blocks_meet_as_if_drawn_apart(blocks: int) -> None:
    """No edge cuts an anchor here; visits of a pair are then binomial with the product of their chances."""
    weight = np.tile([1, 3, 2, 1, 1], blocks) << 40
    visits = 40_000
    drawn = draws_of(lines_of(weight, blocks), visits * blocks).reshape(visits, blocks)
    met = Counter((one, other) for one, other in drawn[:, :2].tolist())
    worst = 0.0
    for one in range(5):
        for other in range(5, 10):
            chance = weight[one] / weight[:5].sum() * weight[other] / weight[:5].sum()
            worst = max(
                worst, abs(met[one, other] - visits * chance) / np.sqrt(visits * chance * (1 - chance))
            )
    assert worst < 5


def test_an_anchor_across_an_edge_meets_others_of_both_its_blocks() -> None:
    weight = np.array([2, 4, 3, 3, 2, 2]) << 40  # two blocks of 8; the third anchor reaches across
    drawn = draws_of(lines_of(weight, 2), 20_000).reshape(-1, 2)
    met = Counter(tuple(sorted(pair)) for pair in drawn.tolist())
    assert set(met) >= {(0, 2), (2, 4), (2, 5), (0, 4), (1, 5)}
    assert (2, 2) not in met


@pytest.mark.parametrize("blocks", [2, 8])
def test_hardly_any_two_anchors_of_different_blocks_never_meet(blocks: int) -> None:
    weight = np.random.default_rng(0).integers(2, 6, 40 * blocks) << 40
    drawn = draws_of(lines_of(weight, blocks), 30_000 * blocks).reshape(-1, blocks)
    met = np.zeros((weight.size, weight.size), dtype=bool)
    for one in range(blocks):
        for other in range(blocks):
            met[drawn[:, one], drawn[:, other]] = True
    block = (np.cumsum(weight) - 1) * blocks // weight.sum()
    apart = block[:, None] != block
    assert (met & apart).sum() > 0.95 * apart.sum()


def test_time_after_time_the_order_is_another_one() -> None:
    weight = np.array([1] * 14 + [2]) << 40
    drawn = draws_of(lines_of(weight, 1), 16 * 400).reshape(-1, 16)
    assert all(sorted(part) == [*range(14), 14, 14] for part in drawn.tolist())
    assert len({tuple(part) for part in drawn.tolist()}) > 250  # of 2**15 there can be
