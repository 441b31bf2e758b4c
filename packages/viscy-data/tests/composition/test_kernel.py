"""Draws under a Gaussian: counts, no repeats, and the exact distribution against plain Python."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition import AnchorLayout, Labels, keyed
from viscy_data.composition.kernel import REACH, GaussianDraws

NONE = Labels((), None, (None,))


def layout_of_times(cells: Sequence[Sequence[float]]) -> AnchorLayout:
    """One group a cell; places are in order of cell and time."""
    codes = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    times = np.array([time for cell in cells for time in sorted(cell)])
    groups = Labels(("g",), codes, tuple(range(len(cells))))
    return AnchorLayout.build(times.size, groups, NONE, times)


def draws_of(
    layout: AnchorLayout, asked: Sequence[tuple[int, float, float, int, int]], *, seed: int = 0, few: int = 4
) -> GaussianDraws:
    """``asked``: (cell, focal, deviation, inside, outside)."""
    cell, focal, deviation, inside, outside = (np.array(part) for part in zip(*asked, strict=True))
    keys = [keyed.words(seed, purpose, np.arange(len(asked))) for purpose in (1, 2)]
    focal, deviation = focal.astype(float), deviation.astype(float)
    return GaussianDraws(layout, cell, focal, deviation, inside, outside, keys[0], keys[1], few)


def weight(time: float, focal: float, deviation: float) -> float:
    far = abs(time - focal) / deviation
    return math.exp(-far * far / 2) if far < REACH else 0.0


def exact_sets(weights: Sequence[float], inside: int) -> dict[frozenset[int], float]:
    """Probability of each set that successive draws without replacement may give."""
    found: defaultdict[frozenset[int], float] = defaultdict(float)
    for order in permutations(range(len(weights)), inside):
        chance, left = 1.0, sum(weights)
        for one in order:
            chance *= weights[one] / left
            left -= weights[one]
        found[frozenset(order)] += chance
    return found


def deviates(counts: Mapping[Any, int], exact: Mapping[Any, float]) -> float:
    """Return chi-square as standard normal deviates (Wilson and Hilferty 1931); rare ones count as one."""
    total = sum(counts.values())
    rare = [one for one, chance in exact.items() if chance * total < 5]
    bins = [(counts[one], chance * total) for one, chance in exact.items() if chance * total >= 5]
    bins += [(sum(counts[one] for one in rare), sum(exact[one] for one in rare) * total)] * bool(rare)
    free = len(bins) - 1
    if free < 1:
        return 0.0
    value: float = sum((seen - wanted) ** 2 / max(wanted, 1) for seen, wanted in bins)
    cube_root: float = (value / free) ** (1 / 3)
    return (cube_root - 1 + 2 / (9 * free)) / math.sqrt(2 / (9 * free))


TIMES = [
    [0.0, 0.5, 0.5, 1.0, 2.0, 3.5],
    [0.0, 0.0, 0.0, 7.0, 7.5, 8.0],
    [-1.2, 0.3, 0.9, 2.2, 2.3, 5.0, 40.0],
]


@pytest.mark.parametrize("few", [0, 1, 4])
@pytest.mark.parametrize("inside", [1, 2, 3])
@pytest.mark.parametrize("cell", range(3))
def test_focal_anchors_are_successive_draws_by_weight(cell: int, inside: int, few: int) -> None:
    """``few`` decides between both ways to draw; the distribution is the same."""
    layout, requests = layout_of_times(TIMES), 6000
    weights = [weight(time, 0.5, 2.0) for time in TIMES[cell]]
    draws = draws_of(layout, [(cell, 0.5, 2.0, inside, 0)] * requests, seed=7 + few, few=few)
    places = (draws.places() - layout.start[cell]).reshape(requests, inside)
    counts = Counter(map(frozenset, places.tolist()))
    exact = exact_sets(weights, inside)
    assert all(exact[one] > 0 for one in counts)
    assert deviates(counts, exact) < 4


def test_the_distribution_holds_where_some_ranges_are_large_and_some_small() -> None:
    """Marginals of many anchors at few times: which time each of two draws has."""
    times = [0.0] * 2 + [1.5] * 60 + [4.0] * 500 + [9.0] * 40
    layout, requests = layout_of_times([times]), 8000
    places = draws_of(layout, [(0, 0.0, 1.5, 2, 0)] * requests, seed=3).places().reshape(requests, 2)
    drawn = np.sort(layout.time_of(places.ravel()).reshape(requests, 2), axis=1)
    counts = Counter(map(tuple, drawn.tolist()))
    sizes = {0.0: 2, 1.5: 60, 4.0: 500}
    mass = {time: count * weight(time, 0.0, 1.5) for time, count in sizes.items()}
    total, exact = sum(mass.values()), defaultdict[tuple[float, ...], float](float)
    for one in sizes:
        for other in sizes:
            left = mass[other] - (weight(one, 0.0, 1.5) if one == other else 0)
            chance = mass[one] / total * left / (total - weight(one, 0.0, 1.5))
            exact[tuple(sorted((one, other)))] += chance
    assert set(counts) <= set(exact)
    assert deviates(counts, exact) < 4


@pytest.mark.parametrize("few", [0, 1, 4])
@pytest.mark.parametrize("aside", [1.9, 3.5])
def test_the_distribution_holds_where_a_large_range_runs_dry(aside: float, few: int) -> None:
    """Twenty draws from 21 anchors in the middle and 12 of weight w aside: how many come from aside."""
    requests, wanted = 4000, 20
    layout = layout_of_times([[0.0] * 21 + [aside] * 12])
    draws = draws_of(layout, [(0, 0.0, 1.0, wanted, 0)] * requests, seed=11, few=few)
    seen = Counter((draws.places().reshape(requests, wanted) >= 21).sum(axis=1).tolist())
    exact = {0: 1.0}
    for drawn in range(wanted):
        after: defaultdict[int, float] = defaultdict(float)
        for far, chance in exact.items():
            middle, mass = 21 - (drawn - far), (12 - far) * weight(aside, 0.0, 1.0)
            after[far] += chance * middle / (middle + mass)
            after[far + 1] += chance * mass / (middle + mass)
        exact = {far: chance for far, chance in after.items() if chance > 0}
    assert deviates(seen, exact) < 4


def test_the_even_part_is_even_over_what_is_left() -> None:
    """P(even) = sum over focal draws of 1 / (n - 1) for each other anchor, far or near."""
    times, requests = TIMES[2], 12000
    layout = layout_of_times([times])
    places = draws_of(layout, [(0, 0.5, 2.0, 1, 1)] * requests, seed=5).places().reshape(requests, 2)
    weights = [weight(time, 0.5, 2.0) for time in times]
    counts = Counter(places[:, 1].tolist())
    exact = {place: (1 - w / sum(weights)) / (len(times) - 1) for place, w in enumerate(weights)}
    assert deviates(counts, exact) < 4


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[list[float]], list[tuple[int, float, float, int, int]]]:
    time = st.sampled_from([0.0, 0.5, 1.0, 1.5, 4.0, 9.0, 30.0])
    cells = draw(st.lists(st.lists(time, min_size=1, max_size=40), min_size=1, max_size=4))
    one = st.tuples(
        st.integers(0, len(cells) - 1),
        st.sampled_from([0.0, 0.7, 5.0, 100.0]),
        st.sampled_from([1e-4, 0.3, 2.0, 50.0]),
        st.integers(0, 30),
        st.integers(0, 30),
    )
    return cells, draw(st.lists(one, min_size=1, max_size=6))


@settings(max_examples=80)
@given(case=requests(), seed=st.integers(0, 99), few=st.sampled_from([1, 4, 100]))
def test_a_request_holds_what_it_asks_and_no_anchor_twice(
    case: tuple[list[list[float]], list[tuple[int, float, float, int, int]]], seed: int, few: int
) -> None:
    cells, asked = case
    layout = layout_of_times(cells)
    places = draws_of(layout, asked, seed=seed, few=few).places().tolist()
    for cell, focal, deviation, inside, outside in asked:
        count, size = inside + outside, len(cells[cell])
        mine, places = places[:count], places[count:]
        start = int(layout.start[cell])
        used = Counter(mine)
        assert all(count // size <= used[start + i] <= -(-count // size) for i in range(size))
        assert sum(used.values()) == count == sum(used[start + i] for i in range(size))
        times = sorted(cells[cell])
        near = [i for i, time in enumerate(times) if abs(time - focal) <= REACH * deviation * 0.999]
        if count <= size:
            assert sum(used[start + i] for i in near) >= min(inside, len(near))
    assert not places


def test_a_request_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    layout = layout_of_times([rng.uniform(0, 20, 900).tolist(), [3.0] * 30, rng.uniform(0, 5, 60).tolist()])
    asked = [(0, 7.0, 2.0, 40, 9), (1, 3.0, 0.1, 5, 0), (2, 1.0, 0.5, 12, 3), (0, 19.0, 0.2, 3, 3)]
    together = draws_of(layout, asked)
    places = together.places().tolist()
    for number, request in enumerate(asked):
        alone = draws_of(layout, [request])
        object.__setattr__(alone, "inside_key", together.inside_key[[number]])
        object.__setattr__(alone, "outside_key", together.outside_key[[number]])
        count = request[3] + request[4]
        assert alone.places().tolist() == places[:count]
        places = places[count:]


def test_how_a_range_is_looked_at_does_not_decide_how_many_rings_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cost of a request does not grow with the table: as many rings at a thousand times the anchors."""
    heard: list[int] = []
    uniform = keyed.words

    def counted(*key: object) -> keyed.Words:
        bits = uniform(*key)  # type: ignore[arg-type]  # whatever it is given
        heard.append(bits.size)
        return bits

    totals = []
    for size in (2_000, 200_000):
        layout = layout_of_times([np.linspace(0, 40, size).tolist()])
        draws = draws_of(layout, [(0, 20.0, 2.0, 30, 10)])
        with monkeypatch.context() as patch:
            patch.setattr(keyed, "words", counted)
            heard.clear()
            draws.places()
        totals.append(sum(heard))
    assert totals[1] <= totals[0]
