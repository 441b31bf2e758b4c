"""Leaked anchors come from other groups, each cell in proportion to its size, and relax the group only."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from contract_tables import epoch_of, sampler_of, table_of, warnings_of

from viscy_data import Balance, BatchPlan, FlexibleBatchSampler, Focus, Grouping, Weighting

CLOCK = "hours_post_infection"
SIZES = {"a": 500, "b": 300, "c": 150, "d": 50}
WEIGHTS = {"a": 1.0, "b": 0.0, "c": 5.0, "d": 0.0}
PLAN = BatchPlan(20, grouping=Grouping("experiment", weights=WEIGHTS, leak=0.25))


def leaks_of(
    sampler: FlexibleBatchSampler, table: pd.DataFrame, epochs: int
) -> defaultdict[str, Counter[str]]:
    """Return, for the group of a batch (the majority), how many anchors came from each other group."""
    name = table["experiment"].to_numpy()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for batch in (batch for epoch in range(epochs) for batch in epoch_of(sampler, epoch)):
        names = Counter(name[batch])
        own = max(names, key=lambda one: names[one])
        found[own].update({other: count for other, count in names.items() if other != own})
    return found


@pytest.mark.parametrize("strata", ["x", "xy"])
@pytest.mark.parametrize("focus", [None, Focus(CLOCK, window_hours=1.0, global_fraction=0.3)])
@pytest.mark.parametrize("span", [1, 3])
def test_cells_leak_in_proportion_to_their_sizes_whatever_the_weights_of_groups(
    strata: str, focus: Focus | None, span: int
) -> None:
    table = table_of({(g, s): size // len(strata) for g, size in SIZES.items() for s in strata}, times=6)
    plan = replace(PLAN, balance=Balance("condition"), focus=focus, span=span)
    found = leaks_of(sampler_of(table, plan), table, 40)
    assert set(found) == {"a", "c"}
    for group, counts in found.items():
        others = {other: size for other, size in SIZES.items() if other != group}
        expected = {other: counts.total() * size / sum(others.values()) for other, size in others.items()}
        square = sum((counts[other] - expected[other]) ** 2 / expected[other] for other in others)
        assert square < 13.8  # two degrees of freedom: one in a thousand for independent draws
        assert counts.total() > 1_500


def test_a_cell_leaks_as_often_where_the_window_holds_none_of_it() -> None:
    """All of c is late; what leaks from it into early batches comes from outside the window."""
    table = table_of({("a", "x"): 400, ("b", "x"): 200, ("c", "x"): 200}, times=12)
    table.loc[table["experiment"] == "c", CLOCK] = 40.0
    plan = BatchPlan(
        20,
        grouping=Grouping("experiment", weights={"a": 1, "b": 0, "c": 0}, leak=0.25),
        focus=Focus(CLOCK, window_hours=1.0, global_fraction=0.3),
    )
    counts = leaks_of(sampler_of(table, plan), table, 20)["a"]
    assert counts.total() == 20 * 40 * 5
    assert abs(counts["b"] - 2000) < 3.3 * np.sqrt(1000)


def test_with_nothing_from_outside_other_cells_take_the_place_of_one_that_the_window_lacks() -> None:
    table = table_of({("a", "x"): 400, ("b", "x"): 200, ("c", "x"): 200}, times=12)
    early = table["experiment"].eq("c") & table[CLOCK].gt(1.0)
    table.loc[early, CLOCK] = 0.0
    grouping = Grouping("experiment", weights={"a": 1, "b": 0, "c": 0}, leak=0.25)
    focus = Focus(CLOCK, window_hours=0.0, global_fraction=0.0)
    sampler = sampler_of(table, BatchPlan(20, grouping=grouping, focus=focus))
    name, hours = table["experiment"].to_numpy(), table[CLOCK].to_numpy()
    found: defaultdict[bool, Counter[str]] = defaultdict(Counter)
    for batch in (batch for epoch in range(20) for batch in epoch_of(sampler, epoch)):
        assert np.unique(hours[batch]).size == 1
        found[hours[batch[0]] <= 1.0].update(name[batch])
    assert found[False]["c"] == 0
    early_leaks = found[True]["b"] + found[True]["c"]
    assert found[True]["c"] == pytest.approx(early_leaks / 2, rel=0.2)


@pytest.mark.parametrize("focus", [None, Focus(CLOCK)])
def test_a_pool_of_two_anchors_gives_whole_batches(focus: Focus | None) -> None:
    table = table_of({("a", "x"): 40, ("b", "x"): 2})
    plan = BatchPlan(
        8, grouping=Grouping("experiment", weights={"a": 1, "b": 0}, leak=0.5), balance=None, focus=focus
    )
    assert any("repeat" in text for text in warnings_of(table, plan))
    for batch in epoch_of(sampler_of(table, plan), 0):
        uses = Counter(row for row in batch if table["experiment"].iloc[row] == "b")
        assert len(batch) == 8
        assert sorted(uses.values()) == [2, 2]


def test_one_anchor_of_a_batch_is_always_its_own() -> None:
    table = table_of({("a", "x"): 100, ("b", "x"): 100})
    plan = BatchPlan(4, grouping=Grouping("experiment", weights={"a": 1, "b": 0}, leak=0.99))
    for batch in epoch_of(sampler_of(table, plan), 0):
        assert Counter(table["experiment"].iloc[batch]) == {"a": 1, "b": 3}


def test_a_stratum_that_no_other_group_holds_leaves_its_share_to_the_others() -> None:
    table = table_of({("a", "x"): 90, ("a", "z"): 90, ("b", "x"): 90, ("b", "y"): 90})
    weights = {"a": 1, "b": 0}
    plan = BatchPlan(
        12, grouping=Grouping("experiment", weights=weights, leak=1 / 3), balance=Balance("condition")
    )
    for batch in epoch_of(sampler_of(table, plan), 0):
        rows = table.iloc[batch]
        held = Counter(zip(rows["experiment"], rows["condition"], strict=True))
        assert held == {("a", "x"): 4, ("a", "z"): 4, ("b", "x"): 4}


def test_leaked_anchors_come_by_weight_inside_their_cell() -> None:
    table = table_of({("a", "x"): 200, ("b", "x"): 200, ("c", "x"): 400})
    table["weight"] = np.where(np.arange(len(table)) % 2, 1.0, 3.0)
    plan = replace(PLAN, grouping=Grouping("experiment", leak=0.25), weighting=Weighting("weight"))
    heavy, name = table["weight"].to_numpy() == 3.0, table["experiment"].to_numpy()
    drawn: Counter[bool] = Counter()
    for batch in (batch for epoch in range(20) for batch in epoch_of(sampler_of(table, plan), epoch)):
        names = Counter(name[batch])
        drawn.update(bool(heavy[row]) for row in batch if names[name[row]] < 15)
    share = 3 * heavy.sum() / (3 * heavy.sum() + (~heavy).sum())
    assert drawn[True] / drawn.total() == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize(
    "plan",
    [
        BatchPlan(8, grouping=Grouping("experiment", leak=0.01)),
        BatchPlan(8, focus=Focus(CLOCK, window_hours=9.0, global_fraction=0.05)),
    ],
)
def test_a_fraction_that_rounds_to_no_anchor_is_said(plan: BatchPlan) -> None:
    table = table_of({("a", "x"): 100, ("b", "x"): 100})
    assert ["rounds to no anchor" in text for text in warnings_of(table, plan)] == [True]
