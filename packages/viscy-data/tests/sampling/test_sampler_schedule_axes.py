"""Schedules beside steps and values kept apart, and what audits say of plans that change."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_cases import Moving, moving
from sampling_cases import Case, cases, make_table, quiet_sampler_of

from viscy_data.composition import Balance, BatchPlan, Distinct, Focus, Grouping, Schedule
from viscy_data.composition.deviations import deviations
from viscy_data.composition.schedule import Unit
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.expectation import expect
from viscy_data.sampling.sampler import FlexibleBatchSampler

HOURS = "hours_post_infection"


def with_lineages(table: pd.DataFrame, lineages: int = 20) -> pd.DataFrame:
    """Give each anchor a lineage, which lies in one cell."""
    cell = table.groupby(["experiment", "condition"]).ngroup()
    return table.assign(lineage_id=cell * lineages + np.arange(len(table)) % lineages)


@settings(max_examples=40)
@given(
    case=cases(),
    span=st.integers(1, 3),
    is_apart=st.booleans(),
    unit=st.sampled_from(["epochs", "batches"]),
    ends=st.sampled_from([(4.0, 0.2), (0.2, 4.0)]),
)
def test_a_batch_is_that_of_a_plan_with_its_steps_window(
    case: Case, span: int, is_apart: bool, unit: Unit, ends: tuple[float, float]
) -> None:
    """All batches of a step have the window of its first one, whatever else is asked."""
    window = Schedule({0: ends[0], 1.5 if unit == "epochs" else 20: ends[1]}, unit=unit)
    focus = Focus(HOURS, window_hours=window, global_fraction=case.asked.outside)
    distinct = Distinct("lineage_id") if is_apart else None
    plan = replace(case.sampler().plan, focus=focus, span=span, distinct=distinct)
    table, options = with_lineages(case.table), {"seed": case.seed, "drop_last": case.asked.drop_last}
    sampler = quiet_sampler_of(table, plan, **options)
    n = sampler.batches_per_epoch
    for epoch, number in [(e, b) for e in range(2) for b in range(n + 2)][:: max(1, n // 6)]:
        last = min(number, n - 1)
        first = epoch * n + last // span * span
        hours = window.at(first / n if unit == "epochs" else first)
        still = replace(plan, focus=replace(focus, window_hours=hours))
        found = sampler.plan_at(number, epoch=epoch).focus
        assert found is not None
        assert found.window_hours == pytest.approx(hours)
        alone = quiet_sampler_of(table, still, **options)
        assert sampler.batch(number, epoch=epoch) == alone.batch(number, epoch=epoch)


@settings(max_examples=40)
@given(asked=moving())
def test_values_stay_apart_while_quotas_move(asked: tuple[Moving, Unit]) -> None:
    """Counts of cells are those without `Distinct`; repeats remain where a cell has too few values."""
    case = asked[0].case
    table = with_lineages(case.table)
    plain = asked[0].sampler()
    plan = replace(plain.plan, distinct=Distinct("lineage_id"))
    sampler = quiet_sampler_of(table, plan, seed=case.seed, drop_last=case.asked.drop_last)
    axes = [axis.by for axis in (plan.grouping, plan.balance) if axis is not None]
    names = [name for by in axes for name in by]
    cell = table.groupby(names).ngroup().to_numpy() if names else np.zeros(len(table), dtype=np.int64)
    held = table.groupby(cell)["lineage_id"].nunique()
    for epoch, number in [(e, b) for e in range(2) for b in range(min(8, sampler.batches_per_epoch))]:
        batch = sampler.batch(number, epoch=epoch)
        assert Counter(cell[batch]) == Counter(cell[plain.batch(number, epoch=epoch)])
        values = pd.DataFrame({"cell": cell[batch], "value": table["lineage_id"].to_numpy()[batch]})
        for which, mine in values.groupby("cell"):
            assert mine["value"].nunique() == min(len(mine), held[which])


def test_shares_at_rest_are_those_of_a_ratio_that_does_not_move() -> None:
    """Shares of 1/17 of a batch of 17 are an anchor each, which floats miss by a hair."""
    numbers = {f"c{stratum}": 6 if stratum > 4 else 1 for stratum in range(7)}
    table = pd.DataFrame({"experiment": "a", "condition": [f"c{row % 7}" for row in range(70)]})
    moving = Balance("condition", ratio=Schedule({0: numbers, 2: numbers}))
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(17, balance=moving))
    for number in range(sampler.batches_per_epoch):
        assert Counter(table["condition"].iloc[sampler.batch(number, epoch=0)]) == numbers


@settings(max_examples=40)
@given(asked=moving(), epochs=st.integers(1, 3))
def test_a_report_holds_each_batch_to_its_own_step(asked: tuple[Moving, Unit], epochs: int) -> None:
    """Only a table too small for its window or its share is told of."""
    sampler = asked[0].sampler()
    report = sampler.report(epochs)
    assert (report.expectation is None) == bool(sampler.plan.scheduled)
    starved = {"repeats"} if report.repeats else set()
    if report.focal_asked is not None:
        starved |= {"focus"}
    if report.repeats:
        starved |= {"coverage"}  # what a batch takes twice is a visit more
    assert {one.axis for one in deviations(report)} <= starved


def test_passes_that_begin_anew_leave_anchors_apart_by_one_an_epoch() -> None:
    table = make_table({("a", "x"): 37, ("a", "y"): 37})
    ratio = Schedule({0: {"x": 1, "y": 1}, 9: {"x": 3, "y": 2}})
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(8, balance=Balance("condition", ratio=ratio)))
    report = sampler.report(8)
    assert report.apart == 8
    assert 1 < (report.visits_most - report.visits_least).max() <= 8
    assert deviations(report) == ()
    still = FlexibleBatchSampler.from_plan(table, BatchPlan(8, balance=Balance("condition"))).report(8)
    assert still.apart == 1
    assert deviations(still) == ()


TABLE = make_table({(g, s): 200 for g in "ab" for s in "xy"}, frames=20)
NARROWING = Focus(HOURS, window_hours=Schedule({0: 3.0, 4: 1.0}))
OPEN = {
    "window": (BatchPlan(10, focus=NARROWING), r"Focus\.window_hours follows a Schedule"),
    "leak": (
        BatchPlan(10, grouping=Grouping("experiment", leak=Schedule({0: 0.0, 4: 0.3}))),
        r"Grouping\.leak follows a Schedule.*plan_at",
    ),
    "gaussian": (BatchPlan(10, focus=Focus(HOURS, kernel="gaussian")), "'gaussian' has no closed form"),
    "step": (BatchPlan(10, focus=Focus(HOURS), span=2), r"shared by BatchPlan\.span=2 batches"),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_has_no_closed_form_is_not_expected(name: str) -> None:
    plan, match = OPEN[name]
    sampler = FlexibleBatchSampler.from_plan(TABLE, plan)
    with pytest.raises(InvalidInputError, match=match):
        expect(plan, TABLE)
    with pytest.raises(InvalidInputError, match=match):
        sampler.expect()
    report = sampler.report(2)
    assert report.expectation is None
    assert deviations(report) == ()
    if plan.scheduled:
        assert expect(sampler.plan_at(3, epoch=1), TABLE).batch_size == 10


@pytest.mark.parametrize("name", ["window", "leak"])
def test_a_gauge_is_for_one_time(name: str) -> None:
    sampler = FlexibleBatchSampler.from_plan(TABLE, OPEN[name][0])
    with pytest.raises(InvalidInputError, match=r"rows do not say when.*plan_at"):
        sampler.gauge()
    for number, epoch in ((0, 0), (30, 2)):
        now = FlexibleBatchSampler.from_plan(TABLE, sampler.plan_at(number, epoch=epoch)).gauge()
        assert now.measure(sampler.batch(number, epoch=epoch)).deviations == ()


@settings(max_examples=30)
@given(case=cases(), other=st.sampled_from(["gaussian", "step", "apart"]))
def test_a_gauge_does_not_hold_batches_to_windows_that_cannot_be_kept(case: Case, other: str) -> None:
    """A Gaussian has no edges; batches of a step share a window; values may be wanting in one."""
    focus = Focus(HOURS, window_hours=case.asked.window, global_fraction=case.asked.outside)
    plan = replace(case.sampler().plan, focus=focus)
    plan = {
        "gaussian": replace(plan, focus=replace(focus, kernel="gaussian")),
        "step": replace(plan, span=3),
        "apart": replace(plan, distinct=Distinct("lineage_id")),
    }[other]
    table = with_lineages(case.table, 4)
    sampler = quiet_sampler_of(table, plan, seed=case.seed, drop_last=case.asked.drop_last)
    gauge = sampler.gauge()
    for number in range(min(sampler.batches_per_epoch, 9)):
        found = gauge.measure(sampler.batch(number))
        assert {one.axis for one in found.deviations} <= {"repeats"}
        assert (found.focal_share is None) == (other == "gaussian" or plan.window is None)


def test_a_window_that_a_step_empties_is_asked_of_no_batch() -> None:
    """Six anchors of a time are enough for a batch of four, not for three of them."""
    table = pd.DataFrame({HOURS: np.repeat(np.arange(10.0), 6)})
    focus = Focus(HOURS, window_hours=0.0, global_fraction=0.0)
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(4, focus=focus, span=3))
    found = [sampler.gauge().measure(sampler.batch(number)) for number in range(6)]
    assert [one.focal_share for one in found[:2]] == [1.0, 0.5]
    assert all(one.deviations == () for one in found)
