"""No value comes more often in a step than its cap says, as long as the table has others."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
from contract_reference import broken_promises
from contract_tables import batches_of, epoch_of, movies, sampler_of, steps_of, warnings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import AtMost, Balance, BatchPlan, Distinct, Focus, Grouping

BOTH = BatchPlan(12, grouping=Grouping("experiment"), balance=Balance("condition"))
TABLE = movies(8, tracks={"a": 60, "b": 50}, fovs=6, times=10)


@settings(derandomize=True, max_examples=40)
@given(
    values=st.integers(1, 12),
    count=st.integers(1, 4),
    batch_size=st.integers(1, 12),
    hours=st.none() | st.sampled_from([0.5, 1.0, 2.0]),
    fraction=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_a_value_over_its_cap_is_left_only_where_nothing_else_was_free(
    values: int, count: int, batch_size: int, hours: float | None, fraction: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"value": rng.integers(0, values, 40), "hours": 0.5 * rng.integers(0, 6, 40)})
    plan = BatchPlan(
        batch_size,
        focus=Focus("hours", window_hours=1.0, global_fraction=fraction),
        at_most=AtMost("value", count, min_hours=hours),
    )
    sampler = sampler_of(table, plan, seed=seed)
    assert broken_promises(table, plan, batches_of(sampler, (0, 1, 2))) == []


def test_several_caps_hold_together_over_all_batches_of_a_step() -> None:
    plan = replace(BOTH, batch_size=6, span=2, at_most=[AtMost("lineage_id"), AtMost("fov", 4)])
    for step in steps_of(sampler_of(TABLE, plan), 3, span=2):
        rows = TABLE.iloc[step]
        assert rows["lineage_id"].value_counts().max() == 1
        assert rows["fov"].value_counts().max() <= 4


def test_distinct_is_a_cap_of_one() -> None:
    assert Distinct("lineage_id") == AtMost("lineage_id", 1)
    assert Distinct(["fov", "t"], min_hours=2.0) == AtMost(["fov", "t"], 1, min_hours=2.0)


def test_values_that_are_hours_apart_may_come_together() -> None:
    """Eight tracks for twelve places: each comes more than once, at least four hours apart."""
    tracks = [f"{track}" for track in range(8) for _ in range(20)]
    table = pd.DataFrame({"track": tracks, "hours": np.tile(np.arange(20.0), 8)})
    clock = Focus("hours", global_fraction=1.0)
    plan = BatchPlan(12, focus=clock, at_most=AtMost("track", min_hours=4.0))
    for step in steps_of(sampler_of(table, plan), 5):
        for _, hours in table.iloc[step].groupby("track")["hours"]:
            assert (np.diff(np.sort(hours)) >= 4.0).all()


def test_too_few_values_repeat_with_one_warning_and_are_counted() -> None:
    table = pd.DataFrame({"well": np.repeat(["A1", "A2", "A3"], 40)})
    plan = BatchPlan(8, at_most=AtMost("well", 2))
    assert ["'well'" in text or "well" in text for text in warnings_of(table, plan)] == [True]
    sampler = sampler_of(table, plan)
    for batch in epoch_of(sampler, 0):
        held = Counter(table["well"].iloc[batch])
        assert len(batch) == len(set(batch)) == 8
        assert set(held) == {"A1", "A2", "A3"}
    assert warnings_of(table, replace(plan, at_most=AtMost("well", 3))) == []


def test_what_is_redrawn_comes_from_the_same_cell_and_side_of_the_window() -> None:
    """Two lineages fill most of the table, so that most of what is drawn first must be redrawn."""
    rng = np.random.default_rng(0)
    rows = [(s, 0.5 * int(rng.integers(0, 8)), "big") for s in "xy" for _ in range(150)]
    rows += [(s, 0.5 * t, f"{s}{t}{i}") for s in "xy" for t in range(8) for i in range(6)]
    table = pd.DataFrame(rows, columns=["condition", "hours", "lineage_id"])
    plan = BatchPlan(
        10,
        balance=Balance("condition"),
        focus=Focus("hours", window_hours=0.5, global_fraction=0.2),
        at_most=AtMost("lineage_id"),
    )
    sampler = sampler_of(table, plan)
    assert broken_promises(table, plan, batches_of(sampler, (0, 1))) == []
    for batch in epoch_of(sampler, 0):
        assert table["lineage_id"].iloc[batch].nunique() == 10


def test_a_value_that_alone_fits_is_found_however_rare() -> None:
    lineage = np.zeros(30_000, dtype=np.int64)
    lineage[::300] = np.arange(100)
    sampler = sampler_of(pd.DataFrame({"lineage_id": lineage}), BatchPlan(40, at_most=Distinct("lineage_id")))
    assert [len(set(lineage[sampler.batch(number)])) for number in range(5)] == [40] * 5


def test_an_anchor_gives_way_where_only_its_value_fits_elsewhere() -> None:
    """Condition y holds four of the eight wells of x: x leaves them to y, whichever is drawn first."""
    for first, second in ("xy", "yx"):
        rows = [(first, well) for well in range(8) for _ in range(6)]
        rows += [(second, well) for well in range(4) for _ in range(6)]
        table = pd.DataFrame(rows, columns=["condition", "well"])
        sampler = sampler_of(table, BatchPlan(8, balance=Balance("condition"), at_most=Distinct("well")))
        assert all(table["well"].iloc[batch].is_unique for batch in epoch_of(sampler, 0))
