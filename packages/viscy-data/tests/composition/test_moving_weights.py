"""Weights of groups that change over training: floors and ceilings of each epoch's mean share."""

import json
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import epoch_of, make_table, quiet_sampler_of

from viscy_data.composition import Balance, BatchPlan, Distinct, Focus, Grouping, Schedule
from viscy_data.composition.deviations import deviations
from viscy_data.composition.epochs import EpochSchedule
from viscy_data.composition.mix import Mix
from viscy_data.composition.moving_weights import MovingWeights
from viscy_data.composition.schedule import Shape, Unit
from viscy_data.errors import InvalidInputError

WEIGHT = st.integers(0, 20)


@st.composite
def moving(draw: st.DrawFn) -> tuple[Schedule, MovingWeights, int]:
    names = "abcde"[: draw(st.integers(1, 5))]
    points = {
        float(position): dict.fromkeys(names, 0)
        | {name: draw(WEIGHT) for name in names}
        | {draw(st.sampled_from(names)): 1}
        for position in draw(st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True))
    }
    unit, shape = draw(st.sampled_from(get_args(Unit))), draw(st.sampled_from(get_args(Shape)))
    schedule = Schedule(points, unit=unit, shape=shape)
    shares = [
        tuple(Fraction(n, sum(numbers.values())) for n in numbers.values()) for _, numbers in schedule.pairs
    ]
    batches = draw(st.integers(1, 40))
    return schedule, MovingWeights(schedule, shares, batches), batches


@settings(max_examples=60)
@given(case=moving(), epoch=st.integers(0, 35), partial=st.integers(0, 1))
def test_an_epoch_holds_the_floor_or_ceiling_of_its_mean_share(
    case: tuple[Schedule, MovingWeights, int], epoch: int, partial: int
) -> None:
    schedule, weights, batches = case
    found = weights.shares(epoch)
    assert sum(found) == 1
    step = np.arange(epoch * batches, (epoch + 1) * batches)
    slow = [list(schedule.at(float(at)).values()) for at in schedule.position(step, batches)]
    np.testing.assert_allclose(
        np.array(found, dtype=float), np.array(slow, dtype=float).mean(axis=0), atol=1e-9
    )
    partial = min(partial, batches - 1)
    laid_out = EpochSchedule(found, batches - partial, partial, seed=3, moving=weights)
    visits = laid_out.visits(epoch, np.arange(batches))
    counts = np.bincount(visits.group, minlength=len(found)).tolist()
    assert all(floor(batches * s) <= n <= ceil(batches * s) for n, s in zip(counts, found, strict=True))
    for group in range(len(found)):
        mine = visits[visits.group == group]
        np.testing.assert_array_equal(np.diff(mine.full + mine.partial), 1)


@settings(max_examples=30)
@given(case=moving())
def test_what_came_before_grows_as_the_true_number_does(case: tuple[Schedule, MovingWeights, int]) -> None:
    """Where shares stay it is the true number but for the part of a batch."""
    schedule, weights, batches = case
    last = int(max(schedule.positions)) // (1 if schedule.unit == "epochs" else batches) + 1
    found = [weights.before(epoch, batches) for epoch in range(last + 6)]
    for before, after in pairwise(found):
        assert all(low <= high for low, high in zip(before, after, strict=True))
        assert sum(after) - sum(before) <= batches + len(after)
    steady = [float(batches * share) for share in weights.shares(last)]
    for epoch in range(last + 1, last + 6):
        grown = np.array(found[epoch]) - found[last]
        assert np.abs(grown - np.array(steady) * (epoch - last)).max() <= 1
    assert found[0] == [0] * len(steady)


TABLE = make_table({(g, s): 120 for g in "abc" for s in "xyz"})
FADING = Schedule({0: {"a": 2, "b": 1, "c": 0}, 4: {"a": 0, "b": 1, "c": 1}})
PLAN = BatchPlan(10, grouping=Grouping("experiment", weights=FADING), balance=Balance("condition"))


def groups_of(epoch: int) -> Counter[str]:
    sampler = quiet_sampler_of(TABLE, PLAN)
    return Counter(TABLE["experiment"].iloc[batch[0]] for batch in epoch_of(sampler, epoch))


def test_groups_fade_in_and_out() -> None:
    n = quiet_sampler_of(TABLE, PLAN).batches_per_epoch
    found = [groups_of(epoch) for epoch in range(6)]
    assert all(counts.total() == n for counts in found)
    assert found[0]["a"] > found[1]["a"] > found[2]["a"] > found[3]["a"] > 0 == found[4]["a"]
    assert found[5] == {"b": n // 2, "c": n // 2}
    assert found[0]["c"] < found[3]["c"]


def test_by_anchors_and_by_level_are_points_too() -> None:
    table = pd.DataFrame({"kind": ["p"] * 300 + ["q"] * 100, "plate": ([1, 2, 2] * 100) + [1] * 100})
    weights = Schedule({0: None, 2: {"kind": {"p": 1, "q": 1}}})
    sampler = quiet_sampler_of(table, BatchPlan(4, grouping=Grouping(["kind", "plate"], weights=weights)))
    late = Counter(table["kind"].iloc[batch[0]] for batch in epoch_of(sampler, 2))
    assert late == {"p": 50, "q": 50}
    now = sampler.plan_at(0, epoch=1).grouping
    assert now is not None
    assert now.weights == Mix(((None, 0.5), ({"kind": {"p": 1, "q": 1}}, 0.5)))
    report = sampler.report(3)
    assert report.batches_asked.sum() == 300
    assert deviations(report) == ()


def test_ranks_and_restored_states_share_one_sequence() -> None:
    sampler = quiet_sampler_of(TABLE, PLAN)
    n = sampler.batches_per_epoch
    whole = [sampler.batch(number, epoch=2) for number in range(n + 1)]
    ranks = [quiet_sampler_of(TABLE, PLAN, num_replicas=2, rank=rank) for rank in range(2)]
    for one in ranks:
        one.set_epoch(2)
    turns = [batch for turn in zip(*ranks, strict=True) for batch in turn]
    assert turns == whole[: len(turns)]
    sampler.set_epoch(2)
    batches = iter(sampler)
    done = [next(batches) for _ in range(30)]
    other = quiet_sampler_of(TABLE, PLAN)
    other.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert done + list(other) == whole[:n]
    still = quiet_sampler_of(TABLE, BatchPlan(10, grouping=Grouping("experiment"), balance=PLAN.balance))
    with pytest.raises(InvalidInputError, match="another plan"):
        still.load_state_dict(sampler.state_dict())


def test_inside_an_epoch_visits_of_a_cell_differ_by_at_most_one() -> None:
    sampler = quiet_sampler_of(TABLE, PLAN)
    visits: Counter[int] = Counter()
    cell = TABLE.groupby(["experiment", "condition"]).ngroup().to_numpy()
    for batch in epoch_of(sampler, 3):
        visits.update(batch)
        seen = [visits[int(row)] for row in np.flatnonzero(cell == cell[batch[0]])]
        assert max(seen) - min(seen) <= 1


def test_over_epochs_groups_and_strata_keep_to_the_sum_of_their_shares() -> None:
    """What rounding leaves over goes round: 10 places for 3 strata, and broken shares of batches."""
    sampler = quiet_sampler_of(TABLE, PLAN)
    report = sampler.report(40)
    assert deviations(report) == ()
    assert np.abs(report.batches_held - report.batches_asked).max() <= 4
    strata = report.stratum_held * report.batches_held[:, None]
    assert np.abs(strata - report.batches_held[:, None] * 10 / 3).max() < 5


def test_values_stay_apart_and_windows_hold_while_weights_move() -> None:
    table = TABLE.assign(lineage_id=np.arange(len(TABLE)))
    focus = Focus("hours_post_infection", window_hours=1.0, global_fraction=0.2)
    plan = BatchPlan(10, grouping=PLAN.grouping, focus=focus, distinct=Distinct("lineage_id"))
    report = quiet_sampler_of(table, plan).report(3)
    assert report.repeats == 0
    assert deviations(report) == ()


REFUSED: list[tuple[Any, str]] = [
    (
        lambda: BatchPlan(4, grouping=PLAN.grouping, span=2),
        r"Grouping\.weights follows a Schedule and .*span=2",
    ),
    (
        lambda: BatchPlan(4, grouping=PLAN.grouping, distinct=Distinct("lineage_id", strict=True)),
        r"strict=True and a Schedule in Grouping\.weights",
    ),
    (
        lambda: quiet_sampler_of(
            TABLE, BatchPlan(4, grouping=Grouping("experiment", weights=Schedule({0: {"a": 1, "d": 1}})))
        ),
        r"Grouping\.weights=.*'d' is not in the table.*'b' is missing",
    ),
    (
        lambda: quiet_sampler_of(
            TABLE[TABLE["condition"].eq("x") | TABLE["experiment"].ne("c")],
            BatchPlan(
                4,
                grouping=Grouping(
                    "experiment",
                    weights=Schedule({0: {"a": 1, "b": 1, "c": 1}, 3: {"a": 0, "b": 0, "c": 1}}),
                ),
                balance=Balance("condition", ratio={"x": 0, "y": 1, "z": 1}),
            ),
        ),
        r"Grouping\.weights at 3 epochs leaves no group with an anchor to draw",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_weights_cannot_be_is_refused(number: int) -> None:
    make, match = REFUSED[number]
    with pytest.raises(InvalidInputError, match=match):
        make()
