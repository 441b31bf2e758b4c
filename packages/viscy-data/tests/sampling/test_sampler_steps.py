"""Steps: batches that share group and focal time and have no anchor in common."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, epoch_of, make_table, quiet_sampler_of

from viscy_data import Balance, BatchPlan, CompositionWarning, Focus, Grouping, InvalidInputError
from viscy_data.sampling.sampler import FlexibleBatchSampler


def steps_of(sampler: FlexibleBatchSampler, epoch: int, span: int) -> list[list[list[int]]]:
    batches = epoch_of(sampler, epoch)
    return [batches[first : first + span] for first in range(0, len(batches), span)]


@settings(max_examples=60)
@given(case=cases(), span=st.integers(2, 5))
def test_batches_of_a_step_keep_all_that_batches_promise(case: Case, span: int) -> None:
    """But for the window: where a step takes all that it holds, some batches get less of it."""
    case = replace(case, asked=replace(case.asked, focused=False))
    reference, alone = case.reference(), case.sampler()
    plan = replace(alone.plan, span=span)
    sampler = quiet_sampler_of(case.table, plan, seed=case.seed, drop_last=case.asked.drop_last)
    assert sampler.batches_per_epoch == alone.batches_per_epoch
    for epoch in range(max(2, min(4, 60 // len(sampler)))):
        for step in steps_of(sampler, epoch, span):
            groups = {reference.check_batch(batch) for batch in step}
            assert len(groups) == 1 or case.asked.leaky > 0


def big_table() -> pd.DataFrame:
    return make_table({(g, s): 400 + 150 * i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xy")})


PLANS = {
    "plain": BatchPlan(10, span=4),
    "grouped": BatchPlan(10, grouping=Grouping("experiment"), balance=Balance("condition"), span=4),
    "leaky": BatchPlan(10, grouping=Grouping("experiment", leak=0.3), balance=Balance("condition"), span=4),
    "all": BatchPlan(
        10,
        grouping=Grouping("experiment", leak=0.3),
        balance=Balance("condition"),
        focus=Focus("hours_post_infection", window_hours=1, global_fraction=0.3),
        span=4,
    ),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("drop_last", [True, False])
def test_a_step_holds_each_anchor_once_also_beyond_the_epoch(name: str, drop_last: bool) -> None:
    sampler = FlexibleBatchSampler.from_plan(big_table(), PLANS[name], drop_last=drop_last)
    n = sampler.batches_per_epoch
    for epoch in (0, 7):
        for first in (start + cycle * n for cycle in (0, 1) for start in range(0, n, 4)):
            step = range(first, min(first + 4, (first // n + 1) * n))
            rows = [row for number in step for row in sampler.batch(number, epoch=epoch)]
            assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", ["grouped", "leaky", "all"])
def test_a_step_has_one_group_and_one_focal_time(name: str) -> None:
    table = big_table()
    sampler = FlexibleBatchSampler.from_plan(table, PLANS[name])
    hours = table["hours_post_infection"].to_numpy()
    groups = []
    for step in steps_of(sampler, 3, 4):
        found = [table["experiment"].iloc[batch].mode()[0] for batch in step]
        assert len(set(found)) == 1
        groups.append(found[0])
        if name == "all":  # 7 of 10 anchors lie within an hour of one time
            held = np.array([hours[batch] for batch in step])
            near = np.abs(held[:, :, None] - np.unique(hours)) <= 1
            assert (near.sum(axis=1) >= 7).all(axis=0).any()
    share = np.array([table["experiment"].eq(group).mean() for group in "abc"]) * len(groups)
    assert all(abs(groups.count(g) - exact) < 1 for g, exact in zip("abc", share, strict=True))


def test_coverage_holds_over_steps() -> None:
    table = make_table({("a", "x"): 37, ("a", "y"): 100, ("b", "x"): 21, ("b", "y"): 55})
    plan = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition"), span=3)
    for drop_last in (True, False):
        sampler = FlexibleBatchSampler.from_plan(table, plan, drop_last=drop_last)
        seen: Counter[int] = Counter(dict.fromkeys(range(len(table)), 0))
        for epoch in range(15):
            for step in steps_of(sampler, epoch, 3):
                seen.update(row for batch in step for row in batch)
                for _, cell in table.groupby(["experiment", "condition"]):
                    visits = [seen[row] for row in cell.index]
                    assert max(visits) - min(visits) <= 1


def test_cells_smaller_than_a_step_still_serve_batches_without_repeats() -> None:
    table = make_table({("a", "x"): 9, ("a", "y"): 60})
    for focus in (None, Focus("hours_post_infection", window_hours=1, global_fraction=0.3)):
        plan = BatchPlan(10, balance=Balance("condition"), focus=focus, span=4)
        sampler = quiet_sampler_of(table, plan)
        for step in steps_of(sampler, 1, 4):
            assert all(len(set(batch)) == 10 for batch in step)


def test_batches_are_the_same_in_any_order_and_by_any_rank() -> None:
    table = big_table()
    for plan in PLANS.values():
        whole = list(FlexibleBatchSampler.from_plan(table, plan))
        for ranks in (1, 2, 4):
            parts = [
                list(FlexibleBatchSampler.from_plan(table, plan, num_replicas=ranks, rank=rank))
                for rank in range(ranks)
            ]
            assert all(parts[n % ranks][n // ranks] == batch for n, batch in enumerate(whole))


@pytest.mark.parametrize("ranks", [3, 8])
def test_ranks_that_do_not_divide_a_step_are_warned_of(ranks: int) -> None:
    for fits in (1, 2, 4):
        FlexibleBatchSampler.from_plan(big_table(), PLANS["plain"], num_replicas=fits, rank=0)
    with pytest.warns(CompositionWarning, match=rf"{ranks} ranks do not divide BatchPlan\.span=4"):
        FlexibleBatchSampler.from_plan(big_table(), PLANS["plain"], num_replicas=ranks, rank=0)


@pytest.mark.parametrize("span", [0, -1, 1.5, True])
def test_a_span_that_is_no_positive_integer_is_refused(span: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"BatchPlan\.span="):
        BatchPlan(4, span=span)
