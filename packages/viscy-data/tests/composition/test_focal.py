"""Draws inside and outside a window: counts, the rule of swaps, repeats."""

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.composition import keyed
from viscy_data.composition.focal import FocalDraws

Request = tuple[int, int, int, int, int, int]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """start, end, low, high, inside, outside."""
    start, size = draw(st.integers(0, 50)), draw(st.integers(1, 30))
    low = draw(st.integers(0, size))
    high = draw(st.integers(low, size))
    wanted = draw(st.integers(0, 40))
    inside = draw(st.integers(0, wanted))
    return start, start + size, start + low, start + high, inside, wanted - inside


def draws_of(asked: list[Request], seed: int = 0) -> FocalDraws:
    start, end, low, high, inside, outside = np.array(asked).T
    keys = [keyed.words(seed, purpose, np.arange(len(asked))) for purpose in (1, 2)]
    count = np.stack([inside, outside])
    return FocalDraws(start, end, low, high, inside, outside, np.zeros_like(count), count, keys[0], keys[1])


@given(asked=st.lists(requests(), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_sides_give_what_is_asked_or_swap(asked: list[Request], seed: int) -> None:
    places = draws_of(asked, seed).places().tolist()
    for start, end, low, high, inside, outside in asked:
        count, size, window = inside + outside, end - start, high - low
        mine, places = places[:count], places[count:]
        used = Counter(mine)
        assert all(start <= place < end for place in mine)
        assert all(count // size <= used[place] <= -(-count // size) for place in range(start, end))
        if count <= size:
            held = sum(low <= place < high for place in mine)
            # a side that is short gives what it has
            assert held == (
                window if inside > window else count - (size - window) if outside > size - window else inside
            )
    assert not places


def test_a_request_does_not_depend_on_its_neighbours() -> None:
    asked: list[Request] = [(0, 30, 5, 15, 4, 3), (30, 32, 30, 31, 3, 2), (40, 50, 40, 50, 5, 0)]
    together = draws_of(asked).places().tolist()
    for number, request in enumerate(asked):
        keys = [keyed.words(0, purpose, np.array([number])) for purpose in (1, 2)]
        alone = replace(draws_of([request]), inside_key=keys[0], outside_key=keys[1])
        count = request[4] + request[5]
        assert alone.places().tolist() == together[:count]
        together = together[count:]


@given(asked=requests(), cuts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4))
def test_batches_that_share_a_request_draw_its_slots(asked: Request, cuts: list[tuple[int, int]]) -> None:
    start, end, low, high, inside, outside = asked
    edges = np.sort(np.minimum([(0, 0), *cuts, (inside, outside)], (inside, outside)), axis=0).T
    first, count = edges[:, :-1], np.diff(edges)
    alone = draws_of([asked])
    keys = {name: getattr(alone, name).repeat(count.shape[1]) for name in ("inside_key", "outside_key")}
    many = replace(draws_of([asked] * count.shape[1]), first=first, count=count, **keys)
    shared = many.places().tolist()
    assert sorted(shared) == sorted(alone.places().tolist())
    if (
        inside <= high - low and inside + outside < end - start
    ):  # no side gives to the other: the first slots of each batch are inside
        assert all(low <= place < high for place in shared[: count[0, 0]])


def test_every_anchor_of_a_side_comes_equally_often() -> None:
    asked: list[Request] = [(0, 20, 6, 14, 3, 2)] * 8000
    counts = np.bincount(draws_of(asked).places(), minlength=20)
    inside, outside = counts[6:14], np.delete(counts, np.arange(6, 14))
    for side, expected in ((inside, 3000), (outside, 8000 * 2 / 12)):
        assert (np.abs(side - expected) < 4.5 * np.sqrt(expected)).all()
