"""Focal times by anchors, the Gaussian kernel and other clocks, as batches show them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, epoch_of, make_table, quiet_sampler_of
from sampling_reference import Asked, Reference, Stratum

from viscy_data.composition import Balance, BatchPlan, Focus, Grouping
from viscy_data.composition.axes import FocalTimes, Kernel
from viscy_data.composition.kernel import REACH
from viscy_data.sampling.sampler import FlexibleBatchSampler

HOURS = "hours_post_infection"


class GaussianReference(Reference):
    """The contract with a Gaussian: within its reach come at least as many as were asked, or are there."""

    def _part_fits(
        self, rows: Sequence[int], outside: int, shares: Mapping[Stratum, Fraction], focal: float
    ) -> bool:
        reach, inside = REACH * self.asked.window * (1 - 1e-9), len(rows) - outside
        for (group, stratum), members in self.cells.items():
            mine = [r for r in rows if (self.group_of[r], self.stratum_of[r]) == (group, stratum)]
            near = {r for r in members if abs(self.hours[r] - focal) <= reach}
            asked = floor(inside * shares.get(stratum, Fraction(0))) if len(shares) > 0 else 0
            others = sum(self.stratum_of[r] == stratum for r in rows) - len(mine)
            if len(mine) <= len(members) and sum(r in near for r in mine) < min(asked - others, len(near)):
                return False
        return True


def gaussian(case: Case, times: FocalTimes) -> tuple[GaussianReference, FlexibleBatchSampler]:
    focus = Focus(HOURS, window_hours=case.asked.window, global_fraction=case.asked.outside)
    plan = replace(case.sampler().plan, focus=replace(focus, kernel="gaussian", times=times))
    asked: Asked = replace(case.asked, focused=True)
    table = case.table
    reference = GaussianReference(
        table["experiment"].tolist(), table["condition"].tolist(), table[HOURS].astype(float).tolist(), asked
    )
    sampler = quiet_sampler_of(table, plan, seed=case.seed, drop_last=asked.drop_last)
    return reference, sampler


@settings(max_examples=60)
@given(case=cases(), times=st.sampled_from(["distinct", "anchors"]))
def test_with_a_gaussian_every_batch_keeps_the_contract(case: Case, times: FocalTimes) -> None:
    """Groups, counts of strata, leaks and repeats are what they are without one."""
    reference, sampler = gaussian(case, times)
    if not reference.epoch_sizes():
        return
    for epoch in range(2):
        reference.check_epoch(epoch, list(sampler))


@settings(max_examples=30)
@given(case=cases(), data=st.data())
def test_with_a_gaussian_a_block_holds_the_batches_one_by_one(case: Case, data: st.DataObject) -> None:
    composer = gaussian(case, "anchors")[1]._composer
    numbers = data.draw(st.lists(st.integers(0, 2 * composer.batches), min_size=1, max_size=12))
    rows, sizes = composer.rows(3, numbers)
    for one, part in zip(numbers, np.split(rows, np.cumsum(sizes)[:-1]), strict=True):
        np.testing.assert_array_equal(composer.rows(3, [one])[0], part)


def focal_counts(times: FocalTimes) -> tuple[Counter[tuple[str, float]], Counter[tuple[str, float]]]:
    """Return the focal times of batches of one anchor each, by group, and how many anchors each has."""
    sizes = {("a", 0.0): 400, ("a", 1.0): 100, ("a", 9.0): 20, ("b", 0.5): 60, ("b", 3.0): 240}
    hours = np.repeat([time for _, time in sizes], list(sizes.values()))
    group = np.repeat([name for name, _ in sizes], list(sizes.values()))
    stratum = np.where(np.arange(hours.size) % 3 > 0, "x", "y")
    table = pd.DataFrame({"experiment": group, "condition": stratum, HOURS: hours})
    focus = Focus(HOURS, window_hours=0.0, global_fraction=0.0, times=times)
    plan = BatchPlan(1, grouping=Grouping("experiment"), balance=Balance("condition"), focus=focus)
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    rows = [row for epoch in range(8) for batch in epoch_of(sampler, epoch) for row in batch]
    return Counter(zip(group[rows].tolist(), hours[rows].tolist(), strict=True)), Counter(sizes)


@pytest.mark.parametrize("times", ["distinct", "anchors"])
def test_focal_times_are_even_over_distinct_times_or_over_anchors(times: FocalTimes) -> None:
    seen, sizes = focal_counts(times)
    for group, batches in (("a", 8 * 520), ("b", 8 * 300)):
        mine = [key for key in sizes if key[0] == group]
        assert sum(seen[key] for key in mine) == batches
        for key in mine:
            share = sizes[key] / sum(sizes[k] for k in mine) if times == "anchors" else 1 / len(mine)
            assert abs(seen[key] - batches * share) < 4.5 * np.sqrt(batches * share * (1 - share))


def test_a_gaussian_has_its_standard_deviation() -> None:
    """In a dense and even table the focal anchors' distances from the middle are normal."""
    table = pd.DataFrame({HOURS: np.arange(0, 60, 0.001)})
    plan = BatchPlan(64, focus=Focus(HOURS, window_hours=1.5, global_fraction=0.0, kernel="gaussian"))
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    hours = table[HOURS].to_numpy()
    found = [hours[sampler.batch(number)] for number in range(400)]
    inner = np.concatenate([time - time.mean() for time in found if 8 < time.mean() < 52])
    assert inner.size > 15_000
    assert abs(inner.std() / (1.5 * np.sqrt(63 / 64)) - 1) < 0.03
    within = [(np.abs(inner) < deviations * 1.5).mean() for deviations in (1, 2)]
    np.testing.assert_allclose(within, [0.6871, 0.9565], atol=0.012)


def test_any_numeric_column_is_a_clock() -> None:
    """Hours since a division: whole numbers, before it negative; another clock gives other batches."""
    table = make_table({("a", "x"): 300, ("b", "x"): 200}).assign(
        since_division=np.arange(500, dtype=np.int16) % 40 - 20
    )
    plan = BatchPlan(10, grouping=Grouping("experiment"), focus=Focus("since_division", global_fraction=0.2))
    sampler = FlexibleBatchSampler.from_plan(table.drop(columns=HOURS), plan)
    clock = table["since_division"].to_numpy()
    for batch in sampler:
        assert max((np.abs(clock[batch] - focal) <= 2).sum() for focal in range(-20, 20)) >= 8
    other = FlexibleBatchSampler.from_plan(table, replace(plan, focus=Focus(HOURS, global_fraction=0.2)))
    assert list(other) != list(sampler)


@pytest.mark.parametrize(("kernel", "asked"), [("box", 0.75), ("gaussian", None)])
def test_a_report_speaks_of_windows_with_edges_only(kernel: Kernel, asked: float | None) -> None:
    table = make_table({("a", "x"): 300})
    focus = Focus(HOURS, global_fraction=0.25, kernel=kernel)
    report = FlexibleBatchSampler.from_plan(table, BatchPlan(16, focus=focus)).report()
    assert (report.focal_asked, report.focal_held) == (asked, asked)
    assert report.repeats == 0
