"""Plans by batch number: each batch obeys the plan of its stage, and `ramp` makes those in between."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from contract_reference import broken_promises
from contract_tables import batches_of, epoch_of, even_cells, movies, sampler_of, steps_of, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    Focus,
    Grouping,
    InvalidInputError,
    Locality,
    ramp,
)

FIRST = BatchPlan(
    8,
    grouping=Grouping("experiment", weights={"a": 1, "b": 1, "c": 2}, leak=0.0),
    balance=Balance("condition", ratio={"x": 3, "y": 1, "z": 1}),
    focus=Focus("hours_post_infection", window_hours=2.0, global_fraction=1.0),
)
LAST = BatchPlan(
    8,
    grouping=Grouping("experiment", weights={"a": 3, "b": 1, "c": 1}, leak=0.4),
    balance=Balance("condition", ratio={"x": 1, "y": 1, "z": 3}),
    focus=Focus("hours_post_infection", window_hours=1.0, global_fraction=0.2),
)


@settings(derandomize=True, max_examples=30)
@given(
    begins=st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True),
    span=st.integers(1, 3),
    drop_last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_each_batch_obeys_the_plan_of_its_stage_wherever_that_begins(
    begins: list[int], span: int, drop_last: bool, seed: int
) -> None:
    """Inside epochs and inside steps: the stage of a step is that of its first batch."""
    table = movies(seed)
    plans = [replace(plan, span=span) for plan in (FIRST, LAST, FIRST, LAST)]
    stages = dict(zip([0, *sorted(begins)], plans, strict=False))
    sampler = sampler_of(table, Curriculum(stages), seed=seed, drop_last=drop_last)
    assert broken_promises(table, stages, batches_of(sampler, (0, 1, 2)), drop_last=drop_last) == []
    n = sampler.batches_per_epoch
    for epoch, number in ((epoch, number) for epoch in range(3) for number in range(n)):
        position = epoch * n + number // span * span
        expected = stages[max(begin for begin in stages if begin <= position)]
        assert sampler.plan_at(number, epoch=epoch) == expected


def test_a_curriculum_of_one_plan_draws_like_the_plan() -> None:
    table = movies(1)
    assert epoch_of(sampler_of(table, Curriculum({0: LAST})), 2) == epoch_of(sampler_of(table, LAST), 2)


def test_one_plan_has_one_stage() -> None:
    sampler = sampler_of(movies(1), LAST)
    assert sampler.plan_at(0) == sampler.plan_at(7, epoch=9) == LAST


def test_cells_are_covered_within_a_stage() -> None:
    table = table_of(even_cells("ab", "xy"))
    plan = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition"))
    later = replace(plan, balance=Balance("condition", ratio={"x": 1, "y": 2}))
    n = sampler_of(table, plan).batches_per_epoch
    sampler = sampler_of(table, Curriculum({0: plan, 3 * n + 5: later}))
    cell = table.groupby(["experiment", "condition"]).ngroup().to_numpy()
    for stage in (slice(0, 3 * n + 5), slice(3 * n + 5, None)):
        steps = list(steps_of(sampler, 14))[stage]
        visits = np.bincount(np.concatenate(steps), minlength=len(table))
        assert max(np.ptp(visits[cell == one]) for one in range(4)) <= 2


def test_a_ramp_moves_every_number_in_equal_stages() -> None:
    """Six stages: the first plan and five in between; from batch 100 on the last plan."""
    table = table_of(even_cells(), times=20)
    sampler = sampler_of(table, ramp(FIRST, LAST, batches=100, stages=6))
    n = sampler.batches_per_epoch
    plans = [sampler.plan_at(position % n, epoch=position // n) for position in range(140)]
    assert plans[0] == FIRST
    assert set(map(repr, plans[100:])) == {repr(LAST)}
    begins = [0, *(at for at, (before, after) in enumerate(pairwise(plans), 1) if before != after)]
    assert begins == [100 * stage // 6 for stage in range(7)]
    numbers = [numbers_of(plans[begin]) for begin in begins]
    assert np.diff(numbers, axis=0) == pytest.approx(
        np.tile((np.array(numbers[-1]) - numbers[0]) / 6, (6, 1))
    )


def numbers_of(plan: BatchPlan) -> list[float]:
    """Return the numbers of a plan that move: leak, window, fraction and shares."""
    assert plan.grouping is not None
    assert plan.balance is not None
    assert plan.focus is not None
    found = [float(plan.grouping.leak), float(plan.focus.window_hours), float(plan.focus.global_fraction)]
    for shares in (plan.grouping.weights, plan.balance.ratio):
        assert isinstance(shares, dict)
        found += [float(number / sum(shares.values())) for _, number in sorted(shares.items())]
    return found


NATURAL = BatchPlan(8, balance=Balance("condition", ratio="natural"))
APART = [
    (NATURAL, replace(NATURAL, balance=Balance("condition")), "ratio"),
    (NATURAL, BatchPlan(8, balance=Balance("experiment")), "column"),
    (BatchPlan(8), BatchPlan(8, at_most=AtMost("track")), "at_most|column"),
    (
        replace(NATURAL, locality=Locality(frames=4)),
        replace(NATURAL, locality=Locality(frames=5)),
        "locality",
    ),
]


@pytest.mark.parametrize("number", range(len(APART)))
def test_a_ramp_between_plans_that_cannot_be_mixed_is_refused(number: int) -> None:
    first, last, said = APART[number]
    with pytest.raises(InvalidInputError, match=said):
        ramp(first, last, batches=60, stages=3)


@pytest.mark.parametrize(("batches", "stages"), [(0, 1), (10, 0), (3, 4), (10, 2.5), (True, 1)])
def test_a_ramp_has_at_least_a_batch_for_each_stage(batches: int, stages: int) -> None:
    with pytest.raises(InvalidInputError, match=r"(batches|stages)="):
        ramp(FIRST, LAST, batches=batches, stages=stages)


PLAIN = BatchPlan(8, grouping=Grouping("experiment"))
UNLIKE = [
    (replace(PLAIN, batch_size=9), "batch_size"),
    (replace(PLAIN, span=2), "span"),
    (replace(PLAIN, grouping=None), "grouping"),
    (replace(PLAIN, grouping=Grouping("fov")), "grouping"),
    (replace(PLAIN, balance=Balance("condition")), "balance"),
    (replace(PLAIN, locality=Locality(frames=4)), "locality"),
]


@pytest.mark.parametrize("number", range(len(UNLIKE)))
def test_plans_of_a_curriculum_that_differ_in_more_than_numbers_are_refused(number: int) -> None:
    other, said = UNLIKE[number]
    with pytest.raises(InvalidInputError, match=said):
        Curriculum({0: PLAIN, 10: other})


@pytest.mark.parametrize("stages", [{}, {5: PLAIN}, {0: PLAIN, -1: PLAIN}, {0: PLAIN, 2.5: PLAIN}, {0: 8}, 3])
def test_a_curriculum_begins_at_0_and_holds_plans_by_batch_numbers(stages: object) -> None:
    with pytest.raises(InvalidInputError, match="Curriculum"):
        Curriculum(stages)  # type: ignore[arg-type]  # what is refused


def test_stages_neither_repeat_nor_forget_what_others_drew() -> None:
    table = table_of({("a", "x"): 600, ("b", "x"): 600})
    first, last = (BatchPlan(20, grouping=Grouping("experiment", leak=leak)) for leak in (0.0, 0.2))
    sampler = sampler_of(table, ramp(first, last, batches=600, stages=50))
    visits = np.bincount(np.concatenate(list(steps_of(sampler, 10))), minlength=len(table))
    assert (visits == 0).mean() < 0.005
    assert visits.std() / visits.mean() <= 0.35
    names = table["experiment"].to_numpy()
    held = Counter(Counter(names[step]).most_common(1)[0][0] for step in steps_of(sampler, 10))
    assert abs(held["a"] - held["b"]) < 60  # stages of 12 batches, each rounded by itself
