"""Strata as they occur in each group, alone and on the way to other shares."""

import warnings
from collections import Counter
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, make_table, quiet_sampler_of

from viscy_data.composition import Balance, BatchPlan, Grouping, Schedule
from viscy_data.composition.mix import Mix
from viscy_data.composition.schedule import STAGES
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.expectation import expect
from viscy_data.sampling.sampler import FlexibleBatchSampler

NATURAL = Balance("condition", ratio="natural")
UNEVEN = {("a", "x"): 300, ("a", "y"): 100, ("b", "x"): 60, ("b", "y"): 300, ("b", "z"): 40}


def shares_of(table: pd.DataFrame) -> dict[str, dict[str, Fraction]]:
    """Return each experiment's shares of conditions as they occur."""
    counts = table.groupby("experiment")["condition"].value_counts()
    return {
        group: {s: Fraction(int(n), int(counts[group].sum())) for s, n in counts[group].items()}
        for group in table["experiment"].unique()
    }


@settings(max_examples=40)
@given(case=cases())
def test_natural_shares_of_one_group_are_a_ratio_of_counts(case: Case) -> None:
    counts = case.table["condition"].value_counts().to_dict()
    options = {"seed": case.seed, "drop_last": case.asked.drop_last}
    natural, counted = (
        quiet_sampler_of(
            case.table, BatchPlan(case.asked.batch_size, balance=Balance("condition", ratio=ratio)), **options
        )
        for ratio in ("natural", counts)
    )
    assert list(natural) == list(counted)


@settings(max_examples=40)
@given(case=cases(), at=st.floats(0, 3))
def test_counts_are_those_of_each_group_on_the_way(case: Case, at: float) -> None:
    """Between natural and equal shares, each group's own are mixed."""
    way = Schedule({0: "natural", 2: None})
    size = min(case.asked.batch_size, len(case.table))
    plan = BatchPlan(size, grouping=Grouping("experiment"), balance=Balance("condition", ratio=way))
    sampler = quiet_sampler_of(case.table, plan, seed=case.seed)
    epoch, number = int(at), int(at % 1 * sampler.batches_per_epoch)
    batch = case.table.iloc[sampler.batch(number, epoch=epoch)]
    group = batch["experiment"].iloc[0]
    natural = shares_of(case.table)[group]
    part = Fraction(round(min(epoch + number / sampler.batches_per_epoch, 2) / 2 * STAGES), STAGES)
    held = Counter(batch["condition"])
    for stratum, share in natural.items():
        exact = size * (share + (Fraction(1, len(natural)) - share) * part)
        assert floor(exact) <= held[stratum] <= ceil(exact)


def test_leaked_anchors_keep_the_natural_shares_of_the_batchs_group() -> None:
    table = make_table(UNEVEN)
    plan = BatchPlan(40, grouping=Grouping("experiment", leak=0.5), balance=NATURAL)
    sampler = quiet_sampler_of(table, plan)
    for number, batch in enumerate(sampler):
        mine = table.iloc[batch]
        own = mine["experiment"].value_counts().to_dict()
        assert own == {"a": 20, "b": 20}
        natural = next(
            {s: share * 40 for s, share in shares.items()}
            for group, shares in shares_of(table).items()
            if sampler._composer.schedule.visits(0, np.array([number])).group == "ab".index(group)
        )
        strata = Counter(mine["condition"])
        if "z" in natural:  # what a lacks is passed on among the leaked
            assert strata["z"] == 2
        else:
            assert strata == {"x": 30, "y": 10}


def test_what_a_group_lacks_is_natural() -> None:
    table = make_table(UNEVEN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FlexibleBatchSampler.from_plan(table, BatchPlan(20, grouping=Grouping("experiment"), balance=NATURAL))
    with pytest.warns(UserWarning, match="'a' has no 'z'"):
        FlexibleBatchSampler.from_plan(
            table,
            BatchPlan(
                20,
                grouping=Grouping("experiment"),
                balance=Balance("condition", ratio=Mix((("natural", 1), (None, 1)))),
            ),
        )


def test_an_audit_and_a_closed_form_know_natural_shares() -> None:
    table = make_table(UNEVEN)
    plan = BatchPlan(20, grouping=Grouping("experiment"), balance=NATURAL)
    sampler = quiet_sampler_of(table, plan)
    assert expect(plan, table).stratum_means.tolist() == [[15, 5, 0], [3, 15, 2]]
    assert sampler.report(2).stratum_held.tolist() == [[15, 5, 0], [3, 15, 2]]
    gauge = sampler.gauge()
    assert all(gauge.measure(batch).deviations == () for batch in sampler)
    way = BatchPlan(
        20,
        grouping=Grouping("experiment"),
        balance=Balance("condition", ratio=Schedule({0: "natural", 2: None})),
    )
    now = quiet_sampler_of(table, way).plan_at(0, epoch=1)
    assert now.balance is not None
    assert now.balance.ratio == Mix((("natural", 0.5), (None, 0.5)))
    assert expect(now, table).stratum_means[0].tolist() == [12.5, 7.5, 0]


REFUSED: list[tuple[Any, str]] = [
    ("naturel", r"Balance\.ratio='naturel' is none of 'natural'\. Did you mean 'natural'"),
    (Schedule, r"Balance\.ratio=.* is not a mapping"),
    (Mix((("natural", -1), (None, 2))), r"Balance\.ratio\.parts\[0\]=-1\.0 is not a finite number >= 0"),
    (Mix((({"x": "y"}, 1),)), r"Balance\.ratio\.parts\[0\]\['x'\]='y' is not a number"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_other_words_are_refused(number: int) -> None:
    with pytest.raises(InvalidInputError, match=REFUSED[number][1]):
        Balance("condition", ratio=REFUSED[number][0])


@pytest.mark.parametrize("ratio", ["natural", Schedule({0: "natural", 3: {"x": 1, "natural": 2}})])
def test_a_value_of_that_name_is_refused(ratio: Any) -> None:
    table = make_table({("a", "x"): 20, ("a", "natural"): 20})
    match = (
        r"Balance\.ratio='natural' means shares as they occur, but 'natural' is also a value of 'condition'"
    )
    with pytest.raises(InvalidInputError, match=match):
        quiet_sampler_of(table, BatchPlan(4, balance=Balance("condition", ratio=ratio)))
    given_by_name = Balance("condition", ratio={"x": 1, "natural": 3})
    batch = quiet_sampler_of(table, BatchPlan(4, balance=given_by_name)).batch(0)
    assert Counter(table["condition"].iloc[batch]) == {"x": 1, "natural": 3}
