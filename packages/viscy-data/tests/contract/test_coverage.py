"""Anchors of a cell come equally often: to the visit in large cells, on average elsewhere."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from contract_tables import (
    epoch_of,
    even_cells,
    movies,
    sampler_of,
    steps_of,
    table_of,
    variation_within,
    visits_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import AtMost, Balance, BatchPlan, Focus, Grouping, Locality

BY = ("experiment", "condition")
BOTH = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition"))
TIGHT = {
    "no axis": BatchPlan(8),
    "groups": BatchPlan(8, grouping=Grouping("experiment")),
    "strata": BatchPlan(8, balance=Balance("condition")),
    "both": BOTH,
    "leak": replace(BOTH, grouping=Grouping("experiment", leak=0.25)),
    "steps": replace(BOTH, batch_size=4, span=3),
    "no window": replace(BOTH, focus=Focus("hours_post_infection", global_fraction=1.0)),
}
LOOSE = {
    "caps": replace(BOTH, at_most=AtMost("lineage_id")),
    "two caps": replace(BOTH, at_most=[AtMost("lineage_id", 2), AtMost("fov", 5)]),
    "frames": replace(BOTH, locality=Locality(frames=8)),
    "held frames": replace(BOTH, locality=Locality(frames=8, hold=3)),
}


def largest_gap(plan: BatchPlan, sizes: dict[tuple[str, str], int], epochs: int, *, drop_last: bool) -> int:
    """Return by how much visits within a cell, by its own group's batches, ever differ after any step."""
    table = table_of(sizes)
    by = [axis.by[0] for axis in (plan.grouping, plan.balance) if axis is not None]
    cell = table.groupby(by).ngroup().to_numpy() if by else np.zeros(len(table), dtype=np.int64)
    members = [np.flatnonzero(cell == one) for one in range(cell.max() + 1)]
    group = table["experiment"].to_numpy()
    visits = np.zeros(len(table), dtype=np.int64)
    gap = 0
    sampler = sampler_of(table, plan, drop_last=drop_last)
    for step in steps_of(sampler, epochs, span=plan.span):
        rows = np.array(step)
        if plan.grouping is not None and plan.grouping.leak:
            own = Counter(group[rows]).most_common(1)[0][0]
            rows = rows[group[rows] == own]
        np.add.at(visits, rows, 1)
        gap = max(gap, *(int(np.ptp(visits[members[one]])) for one in set(cell[rows])))
    assert visits.min() >= 20
    return gap


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("name", TIGHT)
def test_visits_within_a_cell_differ_by_at_most_two_at_any_time(name: str, drop_last: bool) -> None:
    """Over 20 passes and more; leaked anchors do not count for the cells that they come from."""
    assert 1 <= largest_gap(TIGHT[name], even_cells("ab", "xy", first=37), 45, drop_last=drop_last) <= 2


@settings(derandomize=True, max_examples=15)
@given(
    shares=st.lists(st.integers(3, 12), min_size=4, max_size=4),
    odd=st.integers(0, 4),
    batch_size=st.integers(2, 9),
)
def test_cells_of_any_size_from_three_shares_on_are_covered(
    shares: list[int], odd: int, batch_size: int
) -> None:
    cells = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    each = -(-batch_size // 2)
    sizes = {cell: each * share + odd for cell, share in zip(cells, shares, strict=True)}
    assert largest_gap(replace(BOTH, batch_size=batch_size), sizes, 80, drop_last=True) <= 2


def test_without_any_axis_an_epoch_holds_every_anchor_once() -> None:
    for count in (1, 7, 8, 9, 100):
        table = table_of({("a", "x"): count})
        sampler = sampler_of(table, BatchPlan(8), drop_last=False)
        for epoch in range(3):
            rows = [row for batch in epoch_of(sampler, epoch) for row in batch]
            assert sorted(rows) == list(range(count))


def test_one_pass_tells_nothing_of_the_next() -> None:
    """Two anchors that came together in one epoch come together in the next about as often as any two."""
    table = table_of({("a", "x"): 400})
    sampler = sampler_of(table, BatchPlan(20))
    batch_of = np.zeros((2, 400), dtype=np.int64)
    for epoch in (0, 1):
        for number, batch in enumerate(epoch_of(sampler, epoch)):
            batch_of[epoch, batch] = number
    first, second = (batch_of[epoch][:, None] == batch_of[epoch] for epoch in (0, 1))
    again = (first & second).sum() - 400
    expected = 400 * 19 * 19 / 399
    assert abs(again - expected) < 4.5 * np.sqrt(2 * expected)


@pytest.mark.parametrize("name", LOOSE)
def test_visits_vary_little_over_twenty_passes(name: str) -> None:
    table = movies(2, tracks={"a": 120, "b": 80}, fovs=4, times=12, longest=8)
    epochs = 40
    visits = visits_of(sampler_of(table, LOOSE[name]), len(table), epochs)
    passes = visits.sum() / len(table)
    assert passes > 20
    assert visits.min() > 0
    assert variation_within(visits, table, BY) <= 0.35


def test_windows_cover_cells_on_average() -> None:
    """Focal times are even over times, so that anchors of rare times come more often; here none is rare."""
    table = table_of(even_cells("ab", "xy", first=300, more=60), times=30)
    plan = replace(BOTH, focus=Focus("hours_post_infection", window_hours=1.0, global_fraction=0.3))
    visits = visits_of(sampler_of(table, plan), len(table), 25)
    assert visits.sum() > 20 * len(table)
    assert visits.min() > 0
    assert variation_within(visits, table, BY) <= 0.35


def test_small_cells_are_covered_on_average() -> None:
    """Cells of one to three shares of a step, in which passes end inside a step."""
    sizes = {("a", "x"): 4, ("a", "y"): 5, ("a", "z"): 7, ("b", "x"): 9, ("b", "y"): 40}
    table = table_of(sizes)
    visits = visits_of(sampler_of(table, BOTH), len(table), 60)
    assert variation_within(visits, table, BY) <= 0.1


def test_what_leaks_is_covered_on_average() -> None:
    table = table_of(even_cells("abc", "xy"))
    grouping = Grouping("experiment", weights={"a": 1, "b": 0, "c": 0}, leak=0.4)
    sampler = sampler_of(table, replace(BOTH, grouping=grouping))
    visits = visits_of(sampler, len(table), 150)
    leaked = table["experiment"].ne("a").to_numpy()
    assert visits[leaked].mean() > 20
    assert variation_within(visits[leaked], table[leaked].reset_index(drop=True), BY) <= 0.35
