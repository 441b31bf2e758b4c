"""Weights per anchor: within cells, beside all other axes."""

from collections import Counter
from dataclasses import replace
from math import log2

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sampling_cases import Case, cases, cells_of, make_table, quiet_sampler_of

from viscy_data import (
    Balance,
    BatchPlan,
    Distinct,
    Focus,
    Grouping,
    InvalidInputError,
    Schedule,
    Weighting,
    deviations,
)
from viscy_data.composition import keyed
from viscy_data.composition.distinct import AnchorValues, Origins, make_distinct
from viscy_data.sampling.sampler import FlexibleBatchSampler

CELLS = {("a", "x"): 90, ("a", "y"): 200, ("b", "x"): 400, ("b", "y"): 150}
PLAN = BatchPlan(
    16, grouping=Grouping("experiment"), balance=Balance("condition"), weighting=Weighting("weight")
)


def weighted_table(seed: int = 0) -> pd.DataFrame:
    """Make a table in which one anchor in ten counts six times as much."""
    rng = np.random.default_rng(seed)
    table = make_table(CELLS, seed=seed)
    weight = np.where(rng.random(len(table)) < 0.1, 6.0, 1.0)
    return table.assign(weight=weight, lineage_id=rng.integers(0, 150, len(table)))


@st.composite
def weighted_cases(draw: st.DrawFn) -> tuple[Case, pd.DataFrame]:
    case = draw(cases())
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    spread = draw(st.sampled_from([1.0, 1.2, 8.0]))
    return case, case.table.assign(weight=spread ** rng.random(len(case.table)))


@settings(max_examples=80)
@given(given_case=weighted_cases(), span=st.integers(1, 3), distinct=st.booleans())
def test_all_other_axes_hold_as_before(
    given_case: tuple[Case, pd.DataFrame], span: int, distinct: bool
) -> None:
    case, table = given_case
    table = table.assign(lineage_id=np.arange(len(table)) // 3)
    plain = replace(case.sampler().plan, span=span)
    if distinct:
        plain = replace(plain, distinct=Distinct("lineage_id"))
    arguments = {"seed": case.seed, "drop_last": case.asked.drop_last}
    try:
        sampler = quiet_sampler_of(table, replace(plain, weighting=Weighting("weight")), **arguments)
    except InvalidInputError:
        assert table["weight"].nunique() > 1
        assume(False)
    without = quiet_sampler_of(table, plain, **arguments)
    cell = cells_of(table, plain)
    for number in range(min(sampler.batches_per_epoch, 20)):
        batch, other = sampler.batch(number, epoch=1), without.batch(number, epoch=1)
        assert Counter(cell[batch]) == Counter(cell[other])
        if not distinct:
            assert len(set(batch)) >= len(set(other))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [16, 17])
def test_visits_follow_the_weights_of_cells_over_epochs(batch_size: int, drop_last: bool) -> None:
    table = weighted_table()
    plan = replace(PLAN, batch_size=batch_size)
    sampler = FlexibleBatchSampler.from_plan(table, plan, drop_last=drop_last)
    cell, weight = cells_of(table, plan), table["weight"].to_numpy()
    share = weight / np.bincount(cell, weights=weight)[cell]
    visits = np.zeros(len(table))
    for _ in range(12):
        for batch in sampler:
            assert len(set(batch)) == len(batch)
            np.add.at(visits, batch, 1)
            drawn = np.bincount(cell, weights=visits)[cell]
            assert (np.abs(visits - drawn * share) <= 2 + np.log2(np.maximum(drawn, 1))).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"focus": Focus("hours_post_infection", window_hours=1.0, global_fraction=0.25)},
        {"grouping": Grouping("experiment", leak=0.25)},
        {"balance": Balance("condition", ratio=Schedule([(0, {"x": 1, "y": 3}), (2, {"x": 1, "y": 1})]))},
    ],
    ids=["window", "leak", "schedule"],
)
def test_where_shares_do_not_bind_heavy_anchors_still_come_more_often(changes: dict[str, object]) -> None:
    table = weighted_table()
    table = pd.concat([table] * 8, ignore_index=True)  # few of many: hardly any is drawn twice at once
    sampler = FlexibleBatchSampler.from_plan(table, replace(PLAN, **changes))  # type: ignore[arg-type]
    cell, heavy = cells_of(table, PLAN), table["weight"].to_numpy() > 1
    drawn = np.concatenate([batch for _ in range(3) for batch in sampler])
    for one in range(cell.max() + 1):
        mine = cell == one
        held = np.isin(drawn, np.flatnonzero(mine & heavy)).sum() / np.isin(drawn, np.flatnonzero(mine)).sum()
        asked = 6 * heavy[mine].sum() / (6 * heavy[mine].sum() + (~heavy[mine]).sum())
        assert held == pytest.approx(asked, rel=0.12)


def test_inside_a_window_proportions_follow_the_weights_there() -> None:
    """All heavy anchors are early: what comes early and what comes late stay apart."""
    table = weighted_table()
    table["weight"] = np.where(table["hours_post_infection"] < 3, 5.0, 1.0)
    early = table["hours_post_infection"].to_numpy() < 3
    focus = Focus("hours_post_infection", window_hours=0.0, global_fraction=0.0)
    sampler = FlexibleBatchSampler.from_plan(table, replace(PLAN, batch_size=4, focus=focus))
    batches = [set(early[batch].tolist()) for batch in sampler]
    assert all(len(one) == 1 for one in batches)
    assert 0.4 < np.mean([one == {True} for one in batches]) < 0.6  # focal times are not drawn by weight


def test_steps_hold_no_anchor_twice() -> None:
    sampler = FlexibleBatchSampler.from_plan(weighted_table(), replace(PLAN, batch_size=10, span=3))
    for first in range(0, sampler.batches_per_epoch - 2, 3):
        step = [row for number in range(first, first + 3) for row in sampler.batch(number)]
        assert len(set(step)) == len(step)


def test_distinct_values_hold_and_redraws_go_by_weight() -> None:
    table = pd.concat([weighted_table()] * 6, ignore_index=True)
    sampler = FlexibleBatchSampler.from_plan(table, replace(PLAN, distinct=Distinct("lineage_id")))
    heavy = table["weight"].to_numpy() > 1
    lineage = table["lineage_id"].to_numpy()
    drawn = [batch for _ in range(4) for batch in sampler]
    assert all(np.unique(lineage[batch]).size == len(batch) for batch in drawn)
    assert np.mean(heavy[np.concatenate(drawn)]) > 2.5 * np.mean(heavy)


def test_what_is_redrawn_is_redrawn_by_weight() -> None:
    """Two hundred batches hold anchor 0 twice; among the nine others one has nearly all of the weight."""
    units = np.repeat(np.arange(200), 2)
    values = AnchorValues(np.arange(10, dtype=np.uint32), None, 0.0)
    weight_sum = np.concatenate([[0], np.cumsum([1, 1, 1, 1, 1, 1000, 1, 1, 1, 1])])

    def origins(slot: NDArray[np.int64]) -> Origins:
        none, all_ = np.zeros_like(slot), np.full_like(slot, 10)
        return Origins(keyed.words(1, slot), none, all_, none, all_)

    place = make_distinct(values, units, np.zeros(400, dtype=np.int64), origins, weight_sum)
    assert (place[::2] == 0).all()
    assert (place[1::2] == 5).mean() > 0.95


def test_equal_weights_change_nothing() -> None:
    table = weighted_table().assign(weight=2)
    sampler = FlexibleBatchSampler.from_plan(table, PLAN)
    visits = np.bincount(np.concatenate(list(sampler)), minlength=len(table))
    by_cell = pd.Series(visits).groupby(cells_of(table, PLAN))
    assert (by_cell.max() - by_cell.min() <= 1).all()


def test_neither_dtype_nor_scale_of_weights_matters() -> None:
    table = weighted_table()
    batches = list(FlexibleBatchSampler.from_plan(table, PLAN))
    for weight in (table["weight"].astype("float32"), table["weight"].astype("int8"), table["weight"] * 1024):
        assert list(FlexibleBatchSampler.from_plan(table.assign(weight=weight), PLAN)) == batches


def test_a_state_knows_the_weights() -> None:
    table = weighted_table()
    state = FlexibleBatchSampler.from_plan(table, PLAN).state_dict()
    table["weight"] = table["weight"].where(table.index > 0, 3.5)
    with pytest.raises(InvalidInputError, match="table"):
        FlexibleBatchSampler.from_plan(table, PLAN).load_state_dict(state)


def test_too_large_a_weight_names_the_row_and_the_largest_allowed() -> None:
    table = make_table({("a", "x"): 20, ("a", "y"): 20}).assign(weight=1.0)
    row = int(np.flatnonzero(table["condition"] == "y")[3])
    table.loc[row, "weight"] = 4.0
    plan = replace(PLAN, batch_size=14)
    with pytest.raises(InvalidInputError, match=rf"row {row} of a / y weighs 4, .* is 3\.16667"):
        FlexibleBatchSampler.from_plan(table, plan)
    table.loc[row, "weight"] = 19 / 6  # seven blocks: a seventh of the whole
    visits = np.bincount(np.concatenate(list(FlexibleBatchSampler.from_plan(table, plan))), minlength=40)
    assert visits[row] == len(FlexibleBatchSampler.from_plan(table, plan))


def test_a_cell_smaller_than_a_batch_s_share_is_named() -> None:
    table = make_table({("a", "x"): 3, ("a", "y"): 20}).assign(weight=np.arange(23) + 1.0)
    with pytest.raises(InvalidInputError, match="a cell of 3 anchors of which a batch takes 7"):
        FlexibleBatchSampler.from_plan(table, replace(PLAN, batch_size=14))


@pytest.mark.parametrize("weight", [0.0, -1.0, np.inf, np.nan])
def test_weights_that_are_none_are_refused(weight: float) -> None:
    table = weighted_table()
    table.loc[7, "weight"] = weight
    with pytest.raises(InvalidInputError, match=r"'weight'.*\[7"):
        FlexibleBatchSampler.from_plan(table, PLAN)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"gaussian.*BatchPlan\.weighting"):
        replace(PLAN, focus=Focus("hours_post_infection", kernel="gaussian"))
    with pytest.raises(InvalidInputError, match=r"Weighting\.by=3"):
        Weighting(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"plan\.weighting needs the column 'wieght'.*'weight'"):
        FlexibleBatchSampler.from_plan(weighted_table(), replace(PLAN, weighting=Weighting("wieght")))


def test_a_report_tells_how_far_visits_are_from_shares() -> None:
    sampler = FlexibleBatchSampler.from_plan(weighted_table(), PLAN)
    report = sampler.report(epochs=5)
    assert report.off_weight is not None
    assert 0 < report.off_weight[0] < report.off_weight[1] < 2 + log2(5 * len(weighted_table()))
    assert deviations(report) == ()
    off = replace(report, off_weight=(20.0, 9.0))
    assert [one.axis for one in deviations(off)] == ["weights"]


def test_expected_visits_follow_weights() -> None:
    table = weighted_table()
    sampler = FlexibleBatchSampler.from_plan(table, PLAN)
    expected, report = sampler.expect(), sampler.report(epochs=40)
    assert np.allclose(report.visits_most, 40 * expected.visits_most, rtol=0.15)
    assert np.allclose(report.visits_least, 40 * expected.visits_least, rtol=0.25)
    leaky = replace(PLAN, grouping=Grouping("experiment", leak=0.2))
    sampler = FlexibleBatchSampler.from_plan(table, leaky)
    with pytest.raises(InvalidInputError, match="by weight"):
        sampler.expect()
