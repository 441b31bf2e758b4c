"""Single batches against a plan: composed ones fit, others are told apart."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sampling_cases import Case, all_axes, cases, make_table, quiet_sampler

from viscy_data.composition.gauge import BatchGauge


def axes_left(gauge: BatchGauge, rows: Any) -> set[str]:
    return {one.axis for one in gauge.measure(rows).deviations}


@settings(max_examples=40)
@given(case=cases())
def test_composed_batches_fit(case: Case) -> None:
    sampler = case.sampler()
    gauge = sampler.gauge(case.table)
    for number in range(min(sampler.batches_per_epoch, 12)):
        batch = sampler.batch(number, epoch=1)
        found = gauge.measure(batch)
        assert found.deviations == ()
        assert (found.size, found.repeats) == (len(batch), len(batch) - len(set(batch)))
        experiments = Counter(case.table["experiment"].iloc[batch]) if case.asked.aware else {"": len(batch)}
        assert found.groups == len(experiments)
        conditions = case.table["condition"].iloc[batch]
        held = [(conditions == one).mean() if case.asked.balanced else 1 for one in gauge.strata]
        np.testing.assert_allclose(found.strata, held)
        hours = case.table["hours_post_infection"].iloc[batch].to_numpy(dtype=float)
        assert found.spread_hours == pytest.approx(hours.std(), abs=1e-5)


def test_lineages_and_the_best_window_are_counted() -> None:
    table, arguments = all_axes()
    table["lineage_id"] = np.arange(len(table)) % 5
    gauge = quiet_sampler(table, **arguments).gauge(table)
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(0, len(table), 16)
        found = gauge.measure(rows)
        counts = np.unique(table["lineage_id"].to_numpy()[rows], return_counts=True)[1]
        assert found.lineage_pairs == (counts * (counts - 1) // 2).sum()
        hours = table["hours_post_infection"].to_numpy(dtype=float)
        focal = np.unique(hours[table["experiment"] == found.group])
        best = max((np.abs(hours[rows] - one) <= 1.0 + 1e-4).mean() for one in focal)
        assert found.focal_share == pytest.approx(best)


def spoiled(axis: str, table: pd.DataFrame, own: list[int], group: Any) -> list[int]:
    """Return a batch of experiment "a" that leaves one axis."""
    match axis:
        case "leak":
            return own[:8] + [int(row) for row in np.flatnonzero(table["experiment"] == "b")[:8]]
        case "balance":
            return [int(row) for row in group[table["condition"].iloc[group] == "x"][:16]]
        case "focus":
            return _spread_out(table, group)
        case "batch size":
            return own[:9]
    return own[:15] + own[:1]


@pytest.mark.parametrize("axis", ["leak", "balance", "focus", "batch size", "repeats"])
def test_a_batch_that_leaves_an_axis_is_told(axis: str) -> None:
    table = make_table({(g, s): 200 for g in "ab" for s in "xy"})
    sampler = quiet_sampler(table, batch_size=16, temporal_enrichment=True, temporal_window_hours=0.5)
    batch = next(one for one in sampler if table["experiment"].iloc[one[0]] == "a")
    group = np.flatnonzero(table["experiment"] == "a")
    gauge = sampler.gauge()
    assert axes_left(gauge, batch) == set()
    assert axis in axes_left(gauge, spoiled(axis, table, list(batch), group))


def _spread_out(table: pd.DataFrame, group: Any) -> list[int]:
    """Take half of each condition, one anchor per time and condition."""
    some = table.iloc[group].reset_index(names="row")
    some = some.drop_duplicates(["condition", "hours_post_infection"])
    return [int(row) for one in "xy" for row in some["row"][some["condition"] == one][:8]]


def test_a_group_that_gets_no_batch_is_told() -> None:
    table = make_table({("a", "x"): 40, ("b", "x"): 40})
    sampler = quiet_sampler(table, batch_size=8, experiment_weights={"a": 1, "b": 0})
    rows = np.flatnonzero(table["experiment"] == "b")[:8]
    found = sampler.gauge().measure(rows)
    assert [str(one) for one in found.deviations] == ["group of b: asked no batch of it, held one"]
    assert found.lineage_pairs is None
    assert found.focal_share is None
