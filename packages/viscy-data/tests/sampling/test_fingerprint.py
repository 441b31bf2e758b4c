"""Texts that tell plans and tables apart, and nothing else."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sampling_cases import make_table, quiet_sampler

from viscy_data.composition import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    Focus,
    Grouping,
    Locality,
    Weighting,
)
from viscy_data.sampling.fingerprint import plan_text

AXES: dict[str, Any] = {"temporal_enrichment": True, "batch_size": 4}


def fingerprint(table: pd.DataFrame, **arguments: Any) -> Any:
    return quiet_sampler(table, **(AXES | arguments)).state_dict()["table"]


def test_every_value_that_an_axis_uses_counts() -> None:
    table = make_table({("a", "x"): 9, ("a", "y"): 7, ("b", "x"): 5})
    base = fingerprint(table)
    changes: dict[str, Any] = {"experiment": "b", "condition": "y", "hours_post_infection": 77.0}
    for column, value in changes.items():
        for row in (0, 10, 20):
            changed = table.copy()
            changed.loc[row, column] = value
            assert changed.equals(table) or fingerprint(changed) != base
    assert fingerprint(table.iloc[::-1]) != base
    assert fingerprint(table.iloc[:-1]) != base
    renamed = table.assign(experiment=table["experiment"].replace("a", "c"))
    assert fingerprint(renamed) != base


def test_columns_of_axes_that_are_off_do_not_count() -> None:
    table = make_table({("a", "x"): 9, ("a", "y"): 7})
    for column, switch in [
        ("experiment", "experiment_aware"),
        ("condition", "condition_balanced"),
        ("hours_post_infection", "temporal_enrichment"),
    ]:
        changed = table.copy()
        other: Any = {"experiment": "b", "condition": "x", "hours_post_infection": 55.0}[column]
        changed.loc[3, column] = other
        changed["else"] = 1
        off: dict[str, Any] = {switch: False}
        assert fingerprint(changed, **off) == fingerprint(table, **off)


def test_a_plan_is_told_apart_by_every_field() -> None:
    plans: list[BatchPlan | Curriculum] = [
        BatchPlan(4),
        BatchPlan(5),
        BatchPlan(4, grouping=Grouping("a")),
        BatchPlan(4, grouping=Grouping("b")),
        BatchPlan(4, grouping=Grouping(["a", "b"])),
        BatchPlan(4, grouping=Grouping("a", leak=0.1)),
        BatchPlan(4, grouping=Grouping("a", weights={"x": 1, "y": 2})),
        BatchPlan(4, grouping=Grouping("a", weights={"x": 1, "y": 3})),
        BatchPlan(4, grouping=Grouping("a", weights={"a": {"x": 1, "y": 3}})),
        BatchPlan(4, balance=Balance("a")),
        BatchPlan(4, balance=Balance("a", ratio={"x": 0.5})),
        BatchPlan(4, focus=Focus("a")),
        BatchPlan(4, focus=Focus("a", window_hours=3)),
        BatchPlan(4, focus=Focus("a", global_fraction=0.4)),
        BatchPlan(4, focus=Focus("a", times="by_anchor")),
        BatchPlan(4, at_most=AtMost("a")),
        BatchPlan(4, at_most=AtMost("a", 2)),
        BatchPlan(4, at_most=[AtMost("a", 2), AtMost("b")]),
        BatchPlan(4, locality=Locality(frames=3)),
        BatchPlan(4, locality=Locality(fovs=3)),
        BatchPlan(4, weighting=Weighting("a")),
        BatchPlan(4, span=2),
        Curriculum(
            {0: BatchPlan(4, grouping=Grouping("a")), 7: BatchPlan(4, grouping=Grouping("a", leak=0.1))}
        ),
        Curriculum(
            {0: BatchPlan(4, grouping=Grouping("a")), 8: BatchPlan(4, grouping=Grouping("a", leak=0.1))}
        ),
    ]
    texts = [plan_text(plan) for plan in plans]
    assert len(set(texts)) == len(texts)
    for text in texts:
        json.loads(text)


@pytest.mark.parametrize("number", [2, 2.0, np.int64(2), np.float32(2)])
def test_equal_plans_have_equal_texts(number: Any) -> None:
    one = BatchPlan(4, grouping=Grouping("a", weights={"x": 2, "y": 1}), focus=Focus("t", window_hours=2))
    other = BatchPlan(
        np.int64(4),  # type: ignore[arg-type]  # any integer is taken
        grouping=Grouping(["a"], weights={"y": 1.0, "x": number}),
        focus=Focus("t", window_hours=number),
    )
    assert plan_text(one) == plan_text(other)
