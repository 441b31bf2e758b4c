"""Plans that change over training: each batch keeps the contract of the plan at its step."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, make_table, quiet_sampler_of, reference_of

from viscy_data.composition import BatchPlan, Focus, Schedule
from viscy_data.composition.axes import Kernel
from viscy_data.composition.schedule import Shape, Unit
from viscy_data.sampling.sampler import FlexibleBatchSampler

HOURS = "hours_post_infection"


@settings(max_examples=40)
@given(
    case=cases(),
    unit=st.sampled_from(["epochs", "batches"]),
    shape=st.sampled_from(["linear", "cosine"]),
    last=st.integers(1, 40),
)
def test_every_batch_keeps_the_contract_of_its_window(
    case: Case, unit: Unit, shape: Shape, last: int
) -> None:
    plan = case.sampler().plan
    end = last / 10 if unit == "epochs" else last
    window = Schedule({0: 4.0, end: 0.5}, unit=unit, shape=shape)
    focus = Focus(HOURS, window_hours=window, global_fraction=case.asked.outside)
    sampler = quiet_sampler_of(
        case.table, replace(plan, focus=focus), seed=case.seed, drop_last=case.asked.drop_last
    )
    n = sampler.batches_per_epoch
    for epoch, number in [(e, b) for e in range(3) for b in range(n)][:: max(1, 3 * n // 25)]:
        hours = float(window.at(epoch + number / n if unit == "epochs" else epoch * n + number))
        asked = replace(case.asked, focused=True, window=hours)
        reference_of(case.table, asked).check_batch(sampler.batch(number, epoch=epoch), covers=False)


@pytest.mark.parametrize("kernel", ["box", "gaussian"])
def test_a_window_narrows_over_the_epochs_and_a_state_goes_on_with_it(kernel: Kernel) -> None:
    table = make_table({("a", "x"): 4000}, frames=400)
    window = Schedule({0: 40.0, 4: 1.0})
    plan = BatchPlan(20, focus=Focus(HOURS, window_hours=window, global_fraction=0.0, kernel=kernel))
    sampler = FlexibleBatchSampler.from_plan(table, plan)
    hours = table[HOURS].to_numpy()
    spread = [
        np.mean([np.std(hours[sampler.batch(b, epoch=epoch)]) for b in range(200)]) for epoch in range(6)
    ]
    assert all(later < 0.9 * earlier for earlier, later in pairwise(spread[:5]))
    assert spread[5] == pytest.approx(spread[4], rel=0.1)
    sampler.set_epoch(2)
    batches = iter(sampler)
    done = [next(batches) for _ in range(77)]
    state = json.loads(json.dumps(sampler.state_dict()))
    other = FlexibleBatchSampler.from_plan(table, plan)
    other.load_state_dict(state)
    assert done + list(other) == [sampler.batch(b, epoch=2) for b in range(200)]
    ranks = [FlexibleBatchSampler.from_plan(table, plan, num_replicas=3, rank=rank) for rank in range(3)]
    turns = [batch for turn in zip(*ranks, strict=True) for batch in turn]
    assert turns == [sampler.batch(b, epoch=0) for b in range(201)]


def test_a_schedule_of_one_value_is_that_value() -> None:
    table = make_table({("a", "x"): 300})
    one, two = (
        FlexibleBatchSampler.from_plan(table, BatchPlan(10, focus=Focus(HOURS, window_hours=hours)))
        for hours in (1.5, Schedule({0: 1.5}))
    )
    assert list(one) == list(two)


def test_an_audit_is_told_the_plan_of_a_batch() -> None:
    table = make_table({("a", "x"): 100}, frames=4)
    focus = Focus(HOURS, window_hours=Schedule({0: 0.8, 2: 0.4}), global_fraction=0.2)
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(10, focus=focus))
    hours = [sampler.plan_at(number, epoch=1).focus for number in (0, 5, 9, 10, 25)]
    found = [focus and focus.window_hours for focus in hours]
    assert found == pytest.approx([0.6, 0.5, 0.42, 0.42, 0.42])
    report = sampler.report(epochs=3)
    assert report.focal_held == report.focal_asked == 0.8
