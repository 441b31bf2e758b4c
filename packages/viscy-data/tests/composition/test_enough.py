"""How many different values cells and windows hold, counted again one by one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data import BatchPlan, Distinct, Focus, Grouping, InvalidInputError
from viscy_data.composition.enough import values_by_cell, values_by_window
from viscy_data.sampling.labels import layout_of
from viscy_data.sampling.sampler import FlexibleBatchSampler

AXES = {name: name for name in ("grouping", "focus", "distinct")}


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=40
    ),
    reach=st.sampled_from([0.0, 0.5, 1.0, 2.5]),
)
def test_values_are_counted_by_cell_and_by_window(rows: list[tuple[str, int, int]], reach: float) -> None:
    table = pd.DataFrame(rows, columns=["experiment", "lineage_id", "frame"])
    table["hours_post_infection"] = table.pop("frame") * 0.5
    plan = BatchPlan(
        1,
        grouping=Grouping("experiment"),
        focus=Focus("hours_post_infection", window_hours=reach, global_fraction=0.0),
        distinct=Distinct("lineage_id"),
    )
    layout = layout_of(table, plan, AXES)
    times = np.arange(-2, 16, dtype=np.float64) / 2
    for number, name in enumerate(layout.groups.values):
        mine = table[table["experiment"] == name]
        assert values_by_cell(layout)[number] == mine["lineage_id"].nunique()
        near = [
            mine[(mine["hours_post_infection"] - time).abs() <= reach]["lineage_id"].nunique()
            for time in times
        ]
        assert values_by_window(layout, number, times, reach).tolist() == near


def movie(**more: Any) -> pd.DataFrame:
    """Six lineages in frames 0 to 9, and one of them alone in frame 10."""
    frame, lineage = np.divmod(np.arange(61), 6)
    return pd.DataFrame({"lineage_id": lineage, "hours_post_infection": frame * 1.0, **more})


def test_strict_names_the_cell_and_what_it_holds() -> None:
    plan = BatchPlan(8, distinct=Distinct("lineage_id", strict=True))
    with pytest.raises(
        InvalidInputError, match=r"different lineage_id in: the table: 6 values for 8 anchors\."
    ):
        FlexibleBatchSampler.from_plan(movie(), plan)
    FlexibleBatchSampler.from_plan(movie(), BatchPlan(6, distinct=Distinct("lineage_id", strict=True)))


def test_strict_counts_a_whole_step() -> None:
    plan = BatchPlan(4, distinct=Distinct("lineage_id", strict=True), span=2)
    with pytest.raises(InvalidInputError, match="6 values for 8 anchors"):
        FlexibleBatchSampler.from_plan(movie(), plan)


def test_strict_names_the_focal_time() -> None:
    focus = Focus("hours_post_infection", window_hours=0, global_fraction=0.5)
    table = pd.concat([movie(), movie().iloc[-1:]], ignore_index=True)  # two anchors of one value at 10 h
    plan = BatchPlan(4, focus=focus, distinct=Distinct("lineage_id", strict=True))
    with pytest.raises(InvalidInputError, match=r"the table around 10 h: 1 values for 2 anchors"):
        FlexibleBatchSampler.from_plan(table, plan)
    FlexibleBatchSampler.from_plan(movie(), plan)  # one anchor at 10 h: the outside gives the other


def test_strict_and_min_hours_are_refused_together() -> None:
    with pytest.raises(InvalidInputError, match="Leave one of the two out"):
        Distinct("lineage_id", min_hours=2, strict=True)
