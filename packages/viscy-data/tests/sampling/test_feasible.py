"""What a table cannot give a plan is said once, at the line that builds the sampler."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from viscy_data import Balance, BatchPlan, CompositionWarning, FlexibleBatchSampler, Focus, Grouping, ramp
from viscy_data.errors import InvalidInputError

TABLE = pd.DataFrame(
    {
        "experiment": ["a"] * 40 + ["b"] * 4,
        "condition": ["x", "y"] * 22,
        "hours_post_infection": np.tile(np.arange(4.0), 11),
    }
)
PLAN = BatchPlan(
    16,
    grouping=Grouping("experiment"),
    balance=Balance("condition"),
    focus=Focus("hours_post_infection", window_hours=0),
)


def test_a_warning_points_at_the_line_that_builds_the_sampler() -> None:
    with pytest.warns(CompositionWarning) as caught:
        FlexibleBatchSampler.from_plan(TABLE, PLAN)
    assert {Path(one.filename).name for one in caught} == {Path(__file__).name}


def test_small_cells_and_short_windows_are_named_with_their_sizes() -> None:
    with pytest.warns(CompositionWarning) as caught:
        FlexibleBatchSampler.from_plan(TABLE, PLAN)
    said = " ".join(str(one.message) for one in caught)
    assert "b / x: 2, b / y: 2." in said
    assert "give all they have, and the outside gives the rest: a / x: 50% of its times" in said


def test_stages_of_a_curriculum_do_not_repeat_themselves() -> None:
    first, last = (BatchPlan(8, grouping=Grouping("experiment", leak=leak)) for leak in (0.0, 0.06))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FlexibleBatchSampler.from_plan(TABLE, ramp(first, last, batches=400, stages=40))
    said = [str(one.message) for one in caught]
    assert len(said) == 5
    assert said[-1].endswith("more like these, of other stages of the curriculum.")


def test_columns_of_many_values_are_not_listed_whole() -> None:
    """A column of barcodes has as many values as rows: of these some are named and the others counted."""
    table = pd.DataFrame({"experiment": np.tile(["a", "b"], 200), "barcode": [f"bc{i}" for i in range(400)]})
    grouping = Grouping("experiment")
    with pytest.warns(CompositionWarning, match=r"'a' has no 'bc1', .* and \d+ more; 'b' has") as caught:
        FlexibleBatchSampler.from_plan(table, BatchPlan(8, grouping=grouping, balance=Balance("barcode")))
    assert max(len(str(one.message)) for one in caught) < 1000
    for plan in (
        BatchPlan(8, grouping=grouping, balance=Balance("barcode", ratio={"none": 1})),
        BatchPlan(8, grouping=Grouping("barcode", weights={"none": 1})),
    ):
        with pytest.raises(InvalidInputError, match="392 more are missing") as error:
            FlexibleBatchSampler.from_plan(table, plan)
        assert len(str(error.value)) < 1000
