"""Inside each cell, window, leak and frame an anchor comes as often as its weight says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contract_tables import sampler_of, steps_of, variation_within, visits_of

from viscy_data import AtMost, Balance, BatchPlan, Focus, Grouping, Locality, Weighting

PLAN = BatchPlan(
    8, grouping=Grouping("experiment"), balance=Balance("condition"), weighting=Weighting("weight")
)
ONE_TO_FIVE: dict[str, dict[str, Any]] = {
    "cells": {},
    "windows": {"focus": Focus("hours_post_infection", window_hours=1.0, global_fraction=0.25)},
    "inside windows": {"focus": Focus("hours_post_infection", window_hours=1.0, global_fraction=0.0)},
    "leaks": {"grouping": Grouping("experiment", leak=0.25)},
    "frames": {"locality": Locality(frames=4)},
    "fovs": {"locality": Locality(fovs=4)},
    "steps": {"batch_size": 4, "span": 2},
    "caps": {"at_most": AtMost("lineage_id")},
}


def weighted_table() -> pd.DataFrame:
    """Make a table in which one anchor in five, of each cell, time and field of view alike, weighs five."""
    sizes = {("a", "x"): 40, ("a", "y"): 60, ("b", "x"): 60, ("b", "y"): 40}
    rows = [
        (*cell, 0.5 * t, t, place // 10 % 2, 5.0 if place % 5 == 0 else 1.0)
        for cell, size in sizes.items()
        for t in range(4)
        for place in range(size)
    ]
    table = pd.DataFrame(
        rows, columns=["experiment", "condition", "hours_post_infection", "t", "fov", "weight"]
    )
    table["lineage_id"] = np.arange(len(table)) // 2
    return table.sample(frac=1, random_state=0, ignore_index=True)


@pytest.mark.parametrize("name", ONE_TO_FIVE)
def test_a_weight_of_five_comes_five_times_as_often(name: str) -> None:
    table = weighted_table()
    sampler = sampler_of(table, replace(PLAN, **ONE_TO_FIVE[name]))
    visits = pd.Series(visits_of(sampler, len(table), 40))
    by_weight = visits.groupby([table["experiment"], table["condition"], table["weight"]]).mean().unstack()
    assert visits.sum() > 30_000
    assert (by_weight[5.0] / by_weight[1.0]).to_numpy() == pytest.approx(np.full(4, 5.0), rel=0.1)
    assert by_weight[5.0].sum() / by_weight[1.0].sum() == pytest.approx(5.0, rel=0.05)


HALF: dict[str, dict[str, Any]] = {
    "cells": {},
    "windows": {"focus": Focus("hours", window_hours=1.0, global_fraction=0.0)},
    "leaks": {"batch_size": 8, "grouping": Grouping("group", weights={"a": 0, "b": 1}, leak=0.5)},
    "frames": {"locality": Locality(frames=1, by="group", time="hours")},
}


@pytest.mark.parametrize("name", HALF)
def test_an_anchor_whose_share_of_a_step_is_a_half_is_in_every_second(name: str) -> None:
    """Four places go to the eleven anchors of a, of which one has an eighth of all weight."""
    small = pd.DataFrame({"group": "a", "hours": 0.0, "weight": [10.0, *[7.0] * 10]})
    large = pd.DataFrame({"group": "b", "hours": np.arange(600.0), "weight": 1.0})
    table = pd.concat([small, large], ignore_index=True)
    plan = BatchPlan(4, grouping=Grouping("group", weights={"a": 1, "b": 0}), weighting=Weighting("weight"))
    sampler = sampler_of(table, replace(plan, **HALF[name]))
    steps = list(steps_of(sampler, 8_000 // sampler.batches_per_epoch))
    assert all(len(set(step)) == len(step) for step in steps)
    visits = np.bincount(np.concatenate(steps), minlength=len(table))
    assert visits[:11].sum() == 4 * len(steps)
    assert visits[0] == pytest.approx(len(steps) * 0.5, rel=0.05)
    assert visits[1:11] == pytest.approx(np.full(10, len(steps) * 0.35), rel=0.08)


@pytest.mark.parametrize("name", ONE_TO_FIVE)
def test_no_weight_is_so_large_that_an_anchor_comes_twice_in_a_step(name: str) -> None:
    table = weighted_table()
    heavy = table.groupby(["experiment", "condition", "hours_post_infection", "fov"]).head(1).index
    table.loc[heavy, "weight"] = 1000.0
    plan = replace(PLAN, **ONE_TO_FIVE[name])
    for step in steps_of(sampler_of(table, plan), 2, span=plan.span):
        assert len(set(step)) == len(step)


def test_neither_kind_nor_scale_of_weights_matters() -> None:
    table = weighted_table()
    batches = list(sampler_of(table, PLAN))
    for weight in (table["weight"].astype("float32"), table["weight"].astype("int8"), table["weight"] * 1024):
        assert list(sampler_of(table.assign(weight=weight), PLAN)) == batches


def test_equal_weights_cover_evenly_on_average() -> None:
    table = weighted_table().assign(weight=3.0)
    visits = visits_of(sampler_of(table, PLAN), len(table), 25)
    assert visits.mean() > 20
    assert variation_within(visits, table, ["experiment", "condition"]) <= 0.35


def test_any_two_anchors_meet() -> None:
    """One anchor in fifty is five times as heavy; no order of the table keeps others apart."""
    weight = np.where(np.arange(160) % 50 == 0, 5.0, 1.0)
    sampler = sampler_of(pd.DataFrame({"weight": weight}), BatchPlan(20, weighting=Weighting("weight")))
    met = np.zeros((160, 160), dtype=np.int64)
    for step in steps_of(sampler, 400):
        met[np.ix_(step, step)] += 1
    assert (met == 0).mean() < 0.01


def test_weights_of_one_cell_do_not_blunt_those_of_another() -> None:
    weight = np.where(np.arange(2000) < 1000, 1e9, np.where(np.arange(2000) % 2, 4.0, 1.0))
    table = pd.DataFrame({"experiment": np.repeat(["a", "b"], 1000), "weight": weight})
    plan = BatchPlan(50, grouping=Grouping("experiment"), weighting=Weighting("weight"))
    visits = visits_of(sampler_of(table, plan), 2000, 20)
    assert visits[weight == 4].mean() / visits[weight == 1].mean() == pytest.approx(4, rel=0.05)
