"""Draws from ranges: every pass holds every anchor once, and weights decide how often one comes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition import keyed
from viscy_data.composition.demands import Demands, two_sides
from viscy_data.composition.passes import draw, repeats_itself
from viscy_data.composition.ranges import Ranges, Slots


def demands_of(ranges: Ranges, count: list[int], before: list[int], visit: int, key: int = 7) -> Demands:
    lines = np.arange(len(count))
    keys = np.broadcast_to(keyed.words(key), lines.shape)
    visits = np.full(lines.size, visit)
    return Demands(lines, lines * 0, np.array(count), ranges, keys, np.array(before), visits)


def repeated(start: int, end: int, gap: int, after: int, times: int) -> Ranges:
    return Ranges(*(np.full(times, edge) for edge in (start, end, gap, after)))


@settings(max_examples=60)
@given(
    size=st.integers(1, 60),
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    hole=st.integers(0, 5),
    at=st.integers(0, 60),
)
def test_a_range_is_gone_through_in_passes(size: int, counts: list[int], hole: int, at: int) -> None:
    """Visits of two anchors differ by at most one, at any time; a large range repeats nothing in a visit."""
    gap = 100 + min(at, size)
    before = [0, *np.cumsum(counts).tolist()]
    most = max(counts)
    visit = most if size >= most else 0
    ranges = repeated(100, 100 + size + hole, gap, gap + hole, len(counts))
    demands = demands_of(ranges, counts, before[:-1], visit)
    place, line, _ = draw(demands, None)
    assert set(place.tolist()) <= {*range(100, gap), *range(gap + hole, 100 + size + hole)}
    visits = np.zeros(100 + size + hole, dtype=np.int64)
    members = np.setdiff1d(np.arange(100, 100 + size + hole), np.arange(gap, gap + hole))
    for number, (low, high) in enumerate(pairwise(before)):
        drawn = place[low:high]
        assert (line[low:high] == number).all()
        np.add.at(visits, drawn, 1)
        assert np.ptp(visits[members]) <= 1
        if size >= 3 * most:
            assert np.unique(drawn).size == drawn.size
        elif np.unique(drawn).size < drawn.size and size >= most:
            assert repeats_itself(demands, None)[number]


@given(
    near=st.integers(0, 40), far=st.integers(0, 40), sizes=st.tuples(st.integers(0, 40), st.integers(0, 40))
)
def test_a_side_that_lacks_anchors_leaves_them_to_the_other(
    near: int, far: int, sizes: tuple[int, int]
) -> None:
    arrays = [np.array([number]) for number in (near, far, *sizes)]
    came_near, came_far = (int(side[0]) for side in two_sides(*arrays, only_near=False))
    assert came_near + came_far == near + far
    total = sum(sizes)
    if total and near + far <= total:
        assert came_near <= sizes[0]
        assert came_far <= sizes[1]
        assert came_near == min(max(near, near + far - sizes[1]), sizes[0])
    elif total:
        whole = (near + far) // total
        for came, size in zip((came_near, came_far), sizes, strict=True):
            assert whole * size <= came <= (whole + 1) * size


@pytest.mark.parametrize(("heavy", "count"), [(5, 16), (5, 64), (40, 8)])
def test_anchors_come_by_their_weights(heavy: int, count: int) -> None:
    rng = np.random.default_rng(0)
    weight = np.where(rng.random(600) < 0.1, float(heavy), 1.0)
    slots = Slots.of(weight, np.array([0, weight.size]))
    times = 4000
    keys = keyed.words(3, np.arange(times))
    lines = np.arange(times)
    demands = Demands(
        lines, lines * 0, np.full(times, count), repeated(0, 600, 600, 600, times), keys, lines * 0, lines * 0
    )
    place, *_ = draw(demands, slots)
    visits = np.bincount(place, minlength=600)
    for kind in (1.0, float(heavy)):
        expected = times * count * kind / weight.sum()
        assert visits[weight == kind].mean() == pytest.approx(expected, rel=0.03)
    alone = sum(np.unique(place[lines * count + 0 : lines * count + count]).size for lines in range(200))
    assert alone > 0.97 * 200 * min(count, 600)


def test_a_range_smaller_than_its_demand_uses_every_anchor_whatever_it_weighs() -> None:
    slots = Slots.of(np.array([1.0, 100.0, 1.0]), np.array([0, 3]))
    demands = demands_of(repeated(0, 3, 3, 3, 1), [7], [0], 0)
    place, *_ = draw(demands, slots)
    assert np.bincount(place, minlength=3).min() == 2


@given(weight=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50))
def test_every_anchor_owns_slots_and_every_slot_has_an_owner(weight: list[float]) -> None:
    slots = Slots.of(np.array(weight), np.array([0, 0, len(weight)]))
    owned = np.diff(slots.first.astype(np.int64))
    assert owned.min() >= 1
    assert slots.most == owned.max()
    edges = np.concatenate([slots.first[:-1], slots.first[1:] - 1]).astype(np.int64)
    assert slots.place(edges).tolist() == [*range(len(weight)), *range(len(weight))]
