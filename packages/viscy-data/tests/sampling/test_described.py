"""What a plan says in a line: counts as they are rounded, and nothing of an axis that is off."""

import pytest

from viscy_data.composition import (
    AtMost,
    Balance,
    BatchPlan,
    Distinct,
    Focus,
    Grouping,
    Locality,
    Weighting,
)
from viscy_data.sampling.described import describe_plan


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (BatchPlan(8), "8 anchors of the whole table"),
        (
            BatchPlan(
                64, grouping=Grouping(["experiment", "well"], leak=0.125), balance=Balance("condition")
            ),
            "64 anchors of one experiment x well, 8 of them from others, equal shares of condition",
        ),
        (
            BatchPlan(
                16,
                balance=Balance("condition", ratio={"a": 1, "b": 3}),
                focus=Focus("hours", window_hours=1.5, global_fraction=0.25),
                at_most=(AtMost("well", 4), Distinct("lineage", min_hours=3)),
                weighting=Weighting("weight"),
                locality=Locality(fovs=2, hold=8),
                span=4,
            ),
            (
                "16 anchors of the whole table, stated shares of condition, 12 within 1.5 of one time of "
                "hours, at most 4 of one well, at most 1 of one lineage closer than 3 in hours, in "
                "proportion to weight, from at most 2 fields of view, each for 8 steps, in steps of 4 "
                "batches that share caps and frames"
            ),
        ),
        (BatchPlan(16, focus=Focus("hours", global_fraction=1)), "16 anchors of the whole table"),
        (BatchPlan(1, grouping=Grouping("e", leak=1 / 3)), "1 anchor of one e"),
        (
            BatchPlan(8, grouping=Grouping("e", leak=0.01, weights={"a": 1})),
            "8 anchors of one e, groups weighted",
        ),
    ],
)
def test_a_plan_says_in_a_line_what_a_batch_holds(plan: BatchPlan, said: str) -> None:
    assert describe_plan(plan) == said
