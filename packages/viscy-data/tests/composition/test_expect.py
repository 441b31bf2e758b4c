"""What is expected in closed form against what composed epochs hold."""

import json
from dataclasses import replace
from itertools import permutations
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, make_table, quiet_sampler

from viscy_data.composition import Balance, BatchPlan, Focus, Grouping
from viscy_data.composition.deviations import deviations
from viscy_data.composition.expect import Expectation
from viscy_data.composition.falls import fallen_inside, held_inside
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.expectation import expect
from viscy_data.sampling.sampler import FlexibleBatchSampler

if TYPE_CHECKING:
    from viscy_data.composition.axes import FocalTimes

BATCHES = 250


@settings(max_examples=25)
@given(case=cases())
def test_epochs_hold_what_was_expected(case: Case) -> None:
    sampler = case.sampler()
    expected = sampler.expect()
    epochs = -(-BATCHES // sampler.batches_per_epoch)
    report = sampler.report(epochs)
    drift = 1 + np.log2(report.batches)  # of counts that take turns, in anchors
    assert np.all(np.abs(report.batches_held / epochs - expected.batches) <= drift / epochs + 1e-9)
    had = report.batches_held > 0
    per_batch = np.abs(report.stratum_held - expected.stratum_means)[had]
    smaller = 0 if case.asked.drop_last else case.asked.batch_size  # a group's turn at the small batch
    assert np.all(per_batch <= 1 + drift * smaller / report.batches_held[had, None] + 1e-9)
    assert abs(report.leak_held - expected.leak) <= 1e-9
    assert bool(report.repeats) <= bool(expected.short)
    check_visits(expected, report.by_time.sum(axis=2), epochs, report.batches)
    if expected.window is not None and not any(one.leaked for one in expected.short):
        assert report.focal_held is not None
        chance = 5 * 0.5 / sqrt(report.batches)
        assert abs(report.focal_held - expected.window.held) <= chance
    json.dumps(expected.to_dict())


def check_visits(expected: Expectation, drawn: np.ndarray[Any, Any], epochs: int, batches: int) -> None:
    """Draws of cells are a sum over batches of whole numbers that take turns, and of a drawn leak."""
    mean = expected.visits * expected.sizes
    assert np.isclose(mean.sum(), drawn.sum() / epochs)
    chance = 6 * np.sqrt(mean * epochs) * (1 if expected.leak else 0)
    turns = 2 * (1 + np.log2(batches)) * expected.batch_size
    assert np.all(np.abs(drawn - mean * epochs) <= chance + turns)
    assert np.all(expected.visits_least <= expected.visits + 1e-6)
    assert np.all(expected.visits <= expected.visits_most + 1e-6)


@settings(max_examples=30)
@given(case=cases())
def test_sums_agree(case: Case) -> None:
    expected = case.sampler().expect()
    sizes = np.array(case.reference().epoch_sizes(), dtype=float)
    assert np.isclose(expected.batches.sum(), len(sizes))
    assert np.isclose((expected.batches[:, None] * expected.stratum_means).sum(), sizes.sum())
    if expected.by_time is not None:
        np.testing.assert_allclose(expected.by_time.sum(axis=2), expected.visits * expected.sizes, atol=1e-6)


@settings(max_examples=20)
@given(case=cases(leaks=None))
def test_what_was_composed_leaves_nothing_but_what_the_table_forbids(case: Case) -> None:
    report = case.sampler().report(3)
    axes = {one.axis for one in deviations(report)}
    assert report.expectation is not None
    starved = report.expectation.window is not None
    assert axes <= ({"repeats", "coverage"} if report.expectation.short else set()) | (
        {"focus"} if starved else set()
    )
    assert ("repeats" in axes) == bool(report.repeats)


@pytest.mark.parametrize("leak", [0.0, 0.3])
@pytest.mark.parametrize("window", [0.0, 0.6])
def test_scarce_windows_hold_what_was_worked_out(leak: float, window: float) -> None:
    cells = {("a", "x"): 60, ("a", "y"): 25, ("b", "x"): 30, ("b", "y"): 40, ("c", "x"): 35}
    table = make_table(cells, frames=9)
    sampler = quiet_sampler(
        table, batch_size=24, leaky=leak, temporal_enrichment=True, temporal_window_hours=window
    )
    report = sampler.report(100)
    expected = report.expectation
    assert expected is not None
    assert expected.window is not None
    assert report.focal_held is not None
    assert expected.window.held < expected.window.asked - 0.02  # else there is nothing to work out
    assert abs(report.focal_held - expected.window.held) < 0.008
    assert expected.by_time is not None
    drawn = report.by_time.sum(axis=(0, 1)) / report.epochs
    np.testing.assert_allclose(drawn, expected.by_time.sum(axis=(0, 1)), rtol=0.1, atol=0.5)


def test_focal_times_by_anchors_are_expected_by_anchors() -> None:
    table = pd.DataFrame({"hours_post_infection": np.repeat([0.0, 1.0, 2.0], [400, 100, 20])})
    focus = Focus("hours_post_infection", window_hours=0.0, global_fraction=0.0)
    asked: dict[FocalTimes, list[float]] = {"distinct": [1 / 3] * 3, "anchors": [10 / 13, 5 / 26, 1 / 26]}
    for times, shares in asked.items():
        plan = BatchPlan(4, focus=replace(focus, times=times))
        report = FlexibleBatchSampler.from_plan(table, plan).report(40)
        assert report.expectation is not None
        assert report.expectation.by_time is not None
        expected, drawn = report.expectation.by_time[0, 0], report.by_time[0, 0]
        np.testing.assert_allclose(expected[expected > 0] / 520, shares)
        chance = 5 * np.sqrt(0.25 / report.batches)
        np.testing.assert_allclose(drawn / drawn.sum(), expected / 520, atol=chance)


def test_held_inside_is_what_a_side_can_give() -> None:
    for size in range(1, 7):
        for window in range(size + 1):
            for inside in range(9):
                for outside in range(9):
                    held = held_inside(
                        np.array(float(inside)), np.array(float(outside)), np.array(size), np.array(window)
                    )
                    assert held == slow_inside(inside, outside, size, window)


def slow_inside(inside: int, outside: int, size: int, window: int) -> int:
    """Deal anchor after anchor: all of the cell as often as it fits, then sides that help each other."""
    whole, rest = divmod(inside + outside, size)
    held = whole * window
    left = max(0, inside - held)
    given_inside = min(left, window, rest)
    given_outside = min(rest - given_inside, size - window)
    return held + given_inside + (rest - given_inside - given_outside)


@settings(max_examples=40)
@given(
    cells=st.lists(
        st.integers(1, 3).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=3
    ),
    inside=st.integers(0, 4),
    outside=st.integers(0, 3),
)
def test_what_falls_on_cells_at_random_is_the_mean_over_all_ways(
    cells: list[tuple[int, int]], inside: int, outside: int
) -> None:
    owner = [cell for cell, (size, _) in enumerate(cells) for _ in range(size)]
    assume(0 < inside + outside <= len(owner))
    held = np.zeros(len(cells))
    ways = list(permutations(owner, inside + outside))
    for way in ways:
        for cell, (size, window) in enumerate(cells):
            asked = way[:inside].count(cell), way[inside:].count(cell)
            held[cell] += slow_inside(*asked, size, window) / len(ways)
    sizes, windows = (np.array([[pair[of]] for pair in cells]) for of in (0, 1))
    found = fallen_inside(inside, outside, sizes, windows)
    np.testing.assert_allclose(found[:, 0], held, atol=1e-6)


def test_a_plan_that_repeats_anchors_is_refused_with_what_would_do() -> None:
    table = make_table({("a", "x"): 6, ("a", "y"): 60, ("b", "x"): 50, ("b", "y"): 50})
    plan = BatchPlan(20, grouping=Grouping("experiment"), balance=Balance("condition"))
    with pytest.raises(InvalidInputError, match=r"a / x: 6 anchors, 10 asked.*batch_size=12 is the largest"):
        expect(plan, table)
    found = expect(plan, table, allow_repeats=True)
    assert [(one.name, one.size, one.most) for one in found.short] == [("a / x", 6, 10)]
    assert "hold fewer anchors" in found.notes[0]
    assert not expect(replace(plan, batch_size=12), table).short


@settings(max_examples=30)
@given(case=cases())
def test_the_batch_size_named_works_and_the_next_does_not(case: Case) -> None:
    sampler = case.sampler()
    short = sampler.expect().short
    assert bool(short) == ("small" in case.reference().warnings())
    largest = min((one.batch_size for one in short), default=0)
    if largest and case.asked.drop_last:
        plan = replace(sampler.plan, batch_size=largest)
        assert not quiet_expect(plan, case.table).short
        assert quiet_expect(replace(plan, batch_size=largest + 1), case.table).short


def quiet_expect(plan: BatchPlan, table: pd.DataFrame) -> Expectation:
    return expect(plan, table, allow_repeats=True)


def test_what_cannot_be_followed_is_refused() -> None:
    table = make_table({("a", "x"): 40})
    with pytest.raises(InvalidInputError, match="needs at least two groups"):
        expect(BatchPlan(4, grouping=Grouping("experiment", leak=0.5)), table)
    with pytest.raises(InvalidInputError, match=r"plan\.focus needs the column 'hours'"):
        expect(BatchPlan(4, focus=Focus("hours")), table)


def test_without_a_window_every_time_is_visited_alike() -> None:
    table = make_table({("a", "x"): 40, ("b", "x"): 80})
    found = expect(BatchPlan(10, grouping=Grouping("experiment")), table)
    assert found.window is None
    assert found.by_time is None
    np.testing.assert_allclose(found.visits, 1)
    assert FlexibleBatchSampler(table, 10, condition_balanced=False).expect().batches.tolist() == [4, 8]
