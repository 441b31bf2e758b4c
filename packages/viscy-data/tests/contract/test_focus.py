"""Most anchors of a batch sit around one time of its group; the balance stays what it is."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from contract_reference import broken_promises
from contract_tables import batches_of, epoch_of, sampler_of, table_of, warnings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import Balance, BatchPlan, Focus, Grouping, InvalidInputError

CLOCK = "hours_post_infection"
INSIDE = Focus(CLOCK, window_hours=0.5, global_fraction=0.0)


def timed(hours: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Make a table of groups, strata and the hours of their anchors."""
    rows = [(*cell, hour) for cell, all_hours in hours.items() for hour in all_hours]
    return pd.DataFrame(rows, columns=["experiment", "condition", CLOCK])


@pytest.mark.parametrize(
    ("window", "reached"), [(2.0, 2.0), (2.0 - 5e-5, 2.0), (1.9999 - 2e-4, 1.9), (2.0 + 5e-5, 2.0)]
)
def test_the_window_includes_its_edges_within_a_tenth_of_a_millihour(window: float, reached: float) -> None:
    """The clock has steps of 0.1 h in float32, so that 2 h from the focal time is never exactly 2 h."""
    hours = np.round(np.arange(0, 6, 0.1), 1)
    table = pd.DataFrame({CLOCK: hours.astype(np.float32)})
    plan = BatchPlan(12, focus=Focus(CLOCK, window_hours=window, global_fraction=0.0))
    batches = [batch for epoch in range(60) for batch in epoch_of(sampler_of(table, plan), epoch)]
    assert round(max(np.ptp(hours[batch]) for batch in batches), 1) == 2 * reached


@settings(derandomize=True, max_examples=40)
@given(
    cells=st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy")),
        st.lists(st.integers(0, 5), min_size=1, max_size=14),
        min_size=1,
    ),
    fraction=st.sampled_from([0.0, 0.25, 0.5, 0.9]),
    leak=st.sampled_from([0.0, 0.3]),
    batch_size=st.integers(2, 9),
    span=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_short_windows_and_small_cells_keep_every_promise(
    cells: dict[tuple[str, str], list[int]],
    fraction: float,
    leak: float,
    batch_size: int,
    span: int,
    seed: int,
) -> None:
    """Every group holds both strata at one time, so that none is refused."""
    full = {(g, s): [2, 3] for g in "ab" for s in "xy"}
    table = timed({cell: [0.5 * hour for hour in full[cell] + cells.get(cell, [])] for cell in full})
    plan = BatchPlan(
        min(batch_size, len(table)),
        grouping=Grouping("experiment", leak=leak),
        balance=Balance("condition"),
        focus=replace(INSIDE, global_fraction=fraction),
        span=span,
    )
    sampler = sampler_of(table, plan, seed=seed, drop_last=False)
    assert broken_promises(table, plan, batches_of(sampler, (0, 1, 2)), drop_last=False) == []


def test_with_nothing_from_outside_a_short_window_repeats_evenly() -> None:
    table = timed({("a", "x"): [0.0, 0.0, 0.0, 9.0, 9.0], ("a", "y"): [0.0, 9.0]})
    plan = BatchPlan(7, balance=Balance("condition"), focus=INSIDE)
    for epoch in range(30):
        batch = sampler_of(table, plan, seed=1).batch(0, epoch=epoch)
        hours = table[CLOCK].iloc[batch]
        assert hours.nunique() == 1
        uses = Counter(batch)
        for cell in ([0, 1, 2], [5]) if hours.iloc[0] == 0 else ([3, 4], [6]):
            asked = sum(uses[row] for row in cell)
            assert asked in (3, 4)
            assert {uses[row] for row in cell} <= {asked // len(cell), -(-asked // len(cell))}


def test_with_nothing_from_outside_focal_times_are_those_that_serve_every_stratum() -> None:
    """Around hours 0 and 1 there is no y, and a says so; b has both at each of its times."""
    table = timed(
        {
            ("a", "x"): [0.0, 1.0, 2.0, 3.0, 4.0] * 4,
            ("a", "y"): [2.0, 3.0, 4.0] * 4,
            ("b", "x"): [0.0, 1.0] * 8,
            ("b", "y"): [0.0, 1.0] * 8,
        }
    )
    plan = BatchPlan(4, grouping=Grouping("experiment"), balance=Balance("condition"), focus=INSIDE)
    said = " ".join(warnings_of(table, plan))
    assert re.search(r"\ba\b.*\b2\b", said)
    sampler = sampler_of(table, plan)
    focal = Counter(
        (table["experiment"].iloc[batch[0]], float(table[CLOCK].iloc[batch[0]]))
        for epoch in range(60)
        for batch in epoch_of(sampler, epoch)
    )
    assert {time for group, time in focal if group == "a"} == {2.0, 3.0, 4.0}
    assert {time for group, time in focal if group == "b"} == {0.0, 1.0}
    late = np.array([focal["a", time] for time in (2.0, 3.0, 4.0)])
    assert np.abs(late - late.mean()).max() < 4.5 * np.sqrt(late.mean())


def test_with_nothing_from_outside_a_group_without_such_a_time_is_refused() -> None:
    table = timed({("a", "x"): [0.0, 1.0], ("a", "y"): [5.0, 6.0], ("b", "x"): [0.0], ("b", "y"): [0.0]})
    plan = BatchPlan(2, grouping=Grouping("experiment"), balance=Balance("condition"), focus=INSIDE)
    with pytest.raises(InvalidInputError, match=r"global_fraction=0.*\ba\b"):
        sampler_of(table, plan)
    assert len(list(sampler_of(table, replace(plan, focus=replace(INSIDE, window_hours=6.0))))) == 3


def test_a_window_with_one_anchor_takes_the_rest_from_outside_without_copies() -> None:
    table = timed({("a", s): [2.0 * i for i in range(20)] for s in "xy"})
    plan = BatchPlan(8, balance=Balance("condition"), focus=Focus(CLOCK, window_hours=0.1))
    assert len(warnings_of(table, plan)) == 1
    for batch in epoch_of(sampler_of(table, plan), 0):
        assert len(set(batch)) == 8
        assert Counter(table["condition"].iloc[batch]) == {"x": 4, "y": 4}


def test_enrichment_keeps_the_balance() -> None:
    """Infected cells are late and uninfected ones early, so that every window holds one condition only."""
    table = timed({("a", "x"): list(np.arange(30.0)), ("a", "y"): list(np.arange(30.0, 60.0))})
    plan = BatchPlan(10, balance=Balance("condition"), focus=Focus(CLOCK))
    for batch in epoch_of(sampler_of(table, plan), 0):
        assert Counter(table["condition"].iloc[batch]) == {"x": 5, "y": 5}


@pytest.mark.parametrize(("times", "asked"), [("uniform", [1, 1, 1, 1]), ("by_anchor", [1, 2, 3, 10])])
def test_focal_times_are_even_over_times_or_over_anchors(times: str, asked: list[int]) -> None:
    sizes = [10 * part for part in (1, 2, 3, 10)]
    table = pd.DataFrame({CLOCK: np.repeat([0.0, 5.0, 10.0, 15.0], sizes)})
    focus = Focus(CLOCK, window_hours=0.0, global_fraction=0.0, times=times)  # type: ignore[arg-type]  # both
    sampler = sampler_of(table, BatchPlan(4, focus=focus))
    focal = Counter(table[CLOCK].iloc[batch[0]] for epoch in range(30) for batch in epoch_of(sampler, epoch))
    expected = np.array(asked) / sum(asked) * focal.total()
    found = np.array([focal[time] for time in (0.0, 5.0, 10.0, 15.0)])
    assert (np.abs(found - expected) < 4.5 * np.sqrt(expected)).all()


def test_any_column_of_numbers_is_a_clock() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"minutes": rng.integers(-300, 300, 400) // 10 * 10})
    plan = BatchPlan(8, focus=Focus("minutes", window_hours=30, global_fraction=0.25))
    assert broken_promises(table, plan, batches_of(sampler_of(table, plan), (0,))) == []


def test_a_fraction_of_one_has_no_window() -> None:
    table = table_of({("a", "x"): 200}, times=40)
    sampler = sampler_of(table, BatchPlan(8, focus=Focus(CLOCK, window_hours=0.1, global_fraction=1.0)))
    hours = table[CLOCK].to_numpy()
    assert np.mean([np.ptp(hours[batch]) for batch in epoch_of(sampler, 0)]) > 10
    assert sorted(row for batch in epoch_of(sampler, 0) for row in batch) == list(range(200))
