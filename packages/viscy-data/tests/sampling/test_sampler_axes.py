"""Each axis on tables made for it: shares over many batches, windows, leaks, turns."""

import warnings
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from sampling_cases import all_axes, epoch_of, make_table, quiet_sampler, reference_of
from sampling_reference import Asked

from viscy_data.errors import CompositionWarning
from viscy_data.sampling.sampler import FlexibleBatchSampler

LONG = [
    Asked(7, ratio={"x": 1, "y": 2, "z": 4}),
    Asked(2),
    Asked(9, leaky=0.3),
    Asked(8, focused=True, outside=0.4, window=1.0),
    Asked(13, leaky=0.25, focused=True, outside=0.3, window=1.0, ratio={"x": 0.3, "y": 0.1, "z": 0.9}),
    Asked(10, leaky=0.4, drop_last=False, focused=True, outside=0.5, window=1.0),
]


@pytest.mark.parametrize("asked", LONG)
def test_over_many_batches_every_stratum_has_its_exact_share(asked: Asked) -> None:
    """Counts of own and leaked anchors stray from exact by a few, however many batches there are."""
    cells = {(g, s): 150 + 50 * i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xyz")}
    del cells["b", "z"]
    table = make_table(cells)
    reference, sampler = reference_of(table, asked), quiet_sampler(table, **asked.arguments())
    held: Counter[tuple[str, str, str]] = Counter()
    exact: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for epoch in range(6):
        for batch in epoch_of(sampler, epoch):
            group = reference.check_batch(batch, covers=False)
            leaked = reference.leaked_count(len(batch))
            for row in batch:
                part = "own" if reference.group_of[row] == group else "leaked"
                held[group, part, reference.stratum_of[row]] += 1
            for stratum in reference.strata:
                exact[group, "own", stratum] += (len(batch) - leaked) * float(
                    (reference.own_shares(group) or {})[stratum]
                )
                exact[group, "leaked", stratum] += leaked * float(reference.leaked_shares(group)[stratum])
    assert sum(held.values()) > 9_000
    for key, count in exact.items():
        assert abs(held[key] - count) < 6, (key, held[key], count)


@pytest.mark.parametrize("outside", [0.0, 0.25, 0.5])
def test_the_four_parts_have_their_sizes_and_shares(outside: float) -> None:
    """With cells so large that no side runs short, inside and outside are exactly as asked."""
    cells = {(g, s): 600 for g in "ab" for s in "xyz"}
    asked = Asked(24, leaky=0.25, focused=True, outside=outside, window=1.0)
    table = make_table(cells, frames=20)
    sampler = quiet_sampler(table, **asked.arguments())
    composer = sampler._composer
    hours = table["hours_post_infection"].to_numpy().astype(float)
    strata: Counter[tuple[str, bool, str]] = Counter()
    reference = reference_of(table, asked)
    for epoch in range(4):
        for number in range(sampler.batches_per_epoch):
            batch = sampler.batch(number, epoch=epoch)
            group = reference.check_batch(batch)
            visits = composer.schedule.visits(epoch, np.array([number]))
            focal = composer.clock.times(epoch, visits.step, visits.group).item()
            assert (np.abs(hours[batch] - focal) > asked.window).sum() == reference.outside_count(24)
            for row in batch:
                part = "own" if reference.group_of[row] == group else "leaked"
                strata[part, abs(hours[row] - focal) <= 1.0, reference.stratum_of[row]] += 1
    batches = 4 * sampler.batches_per_epoch
    for part, size in (("own", 18), ("leaked", 6)):
        out = round(size * outside)
        for stratum in "xyz":
            assert abs(strata[part, False, stratum] - batches * out / 3) < 8
            assert abs(strata[part, True, stratum] - batches * (size - out) / 3) < 8


def test_the_window_includes_its_edges_within_a_tenth_of_a_millihour() -> None:
    """The clock has steps of 0.1 h in float32, so that 2 h from the focal time is never exactly 2 h."""
    hours = np.round(np.arange(0, 6, 0.1), 1)
    table = pd.DataFrame({"experiment": "a", "condition": "x", "hours_post_infection": hours}).astype(
        {"hours_post_infection": "float32"}
    )
    for window, reached in [(2.0, 2.0), (2.0 - 5e-5, 2.0), (1.9999 - 2e-4, 1.9), (2.0 + 5e-5, 2.0)]:
        asked = Asked(12, focused=True, window=window, outside=0.0)
        sampler = quiet_sampler(table, **asked.arguments())
        widest = max(np.ptp(hours[sampler.batch(b, epoch=e)]) for e in range(60) for b in range(5))
        assert round(widest, 1) == 2 * reached


def test_a_window_with_one_anchor_takes_the_rest_from_outside_without_copies() -> None:
    table = pd.DataFrame(
        {"experiment": "a", "condition": ["x", "y"] * 20, "hours_post_infection": np.arange(40.0)}
    )
    sampler = quiet_sampler(table, batch_size=8, temporal_enrichment=True, temporal_window_hours=0.1)
    for number in range(5):
        batch = sampler.batch(number)
        assert len(set(batch)) == 8
        assert Counter(table["condition"].iloc[batch]) == {"x": 4, "y": 4}


def test_enrichment_keeps_the_balance() -> None:
    """Infected cells are late and uninfected ones early, so every window holds one condition only."""
    table = pd.DataFrame(
        {"experiment": "a", "condition": ["x"] * 30 + ["y"] * 30, "hours_post_infection": np.arange(60.0)}
    )
    sampler = quiet_sampler(table, batch_size=10, temporal_enrichment=True)
    for number in range(6):
        assert Counter(table["condition"].iloc[sampler.batch(number)]) == {"x": 5, "y": 5}


@pytest.mark.parametrize("focused", [False, True])
def test_a_leak_pool_of_two_rows_gives_whole_batches(focused: bool) -> None:
    table = make_table({("a", "x"): 40, ("b", "x"): 2})
    sampler = quiet_sampler(
        table, batch_size=8, leaky=0.5, temporal_enrichment=focused, experiment_weights={"a": 1, "b": 0}
    )
    for number in range(5):
        batch = sampler.batch(number)
        leaked = Counter(row for row in batch if table["experiment"].iloc[row] == "b")
        assert len(batch) == 8
        assert sorted(leaked.values()) == [2, 2]


def test_a_leak_pool_that_repeats_is_warned_of() -> None:
    table = make_table({("a", "x"): 40, ("b", "x"): 2})
    with pytest.warns(CompositionWarning, match="fewer anchors than a batch takes"):
        FlexibleBatchSampler(table, 8, leaky=0.5, experiment_weights={"a": 1, "b": 0})


@pytest.mark.parametrize("focused", [False, True])
def test_leaks_come_in_proportion_to_whole_cells_whatever_the_weights(focused: bool) -> None:
    table = make_table({("a", "x"): 500, ("b", "x"): 300, ("c", "x"): 150, ("d", "x"): 50})
    weights = {"a": 1.0, "b": 0.0, "c": 5.0, "d": 0.0}
    sampler = quiet_sampler(
        table, batch_size=20, leaky=0.25, experiment_weights=weights, temporal_enrichment=focused
    )
    experiment = table["experiment"].to_numpy()
    found: dict[str, Counter[str]] = {"a": Counter(), "c": Counter()}
    for epoch in range(40):
        for batch in epoch_of(sampler, epoch):
            names = Counter(experiment[batch])
            group = next(name for name, count in names.items() if count == 15)
            found[group].update({name: count for name, count in names.items() if name != group})
    for group, sizes in (("a", {"b": 300, "c": 150, "d": 50}), ("c", {"a": 500, "b": 300, "d": 50})):
        total = found[group].total()
        for other, size in sizes.items():
            expected = total * size / sum(sizes.values())
            # In passes through the pool the counts stray less than independent draws would.
            assert abs(found[group][other] - expected) < 4 * np.sqrt(expected)


def test_focal_times_are_even_over_distinct_times_however_many_anchors_each_holds() -> None:
    hours = np.concatenate([np.zeros(500), np.arange(10.0) * 10])
    table = pd.DataFrame({"experiment": "a", "condition": "x", "hours_post_infection": hours})
    sampler = quiet_sampler(
        table, batch_size=2, temporal_enrichment=True, temporal_global_fraction=0.5, temporal_window_hours=0.0
    )
    found: Counter[float] = Counter()
    for epoch in range(12):
        for batch in epoch_of(sampler, epoch):
            # One anchor is inside and one outside; a time other than 0 is inside half as often as seen.
            found.update(hours[batch])
    # The focal time is 0 in one batch of 10; then the other anchor is one of nine other times.
    batches = 12 * sampler.batches_per_epoch
    late = np.array([found[time] for time in np.arange(1, 10) * 10.0])
    # P(seen) = 1/10 as focal time + as the other one: of 509 others when 0 is focal 1/9, else 1/509.
    expected = batches * (0.1 + 0.1 / 9 + 0.8 * 1 / 508)
    assert np.abs(late - expected).max() < 4.5 * np.sqrt(expected)


def test_more_strata_than_places_take_turns() -> None:
    table = make_table({("a", f"c{i}"): 10 for i in range(12)})
    sampler = quiet_sampler(table, batch_size=5)
    held: Counter[str] = Counter()
    for epoch in range(6):
        for batch in epoch_of(sampler, epoch):
            conditions = Counter(table["condition"].iloc[batch])
            assert max(conditions.values()) == 1
            held.update(conditions)
            assert max(held.values()) - min(held[f"c{i}"] for i in range(12)) <= 3
    assert set(held.values()) == {60}


def test_what_rounding_leaves_over_goes_round_over_epochs() -> None:
    """One batch an epoch: were the visits counted anew, the first stratum would win every time."""
    table = make_table({("a", s): 2 for s in "xyz"})
    sampler = quiet_sampler(table, batch_size=4)
    held: Counter[str] = Counter()
    for epoch in range(30):
        held.update(table["condition"].iloc[sampler.batch(0, epoch=epoch)])
    assert held == {"x": 40, "y": 40, "z": 40}


def test_a_group_whose_strata_are_all_left_out_gets_no_batch() -> None:
    table = make_table({("a", "x"): 50, ("a", "y"): 50, ("b", "y"): 50})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler = FlexibleBatchSampler(table, 5, condition_ratio={"x": 1, "y": 0})
    texts = [str(warning.message) for warning in caught]
    assert sum("condition_ratio is 0 for every stratum of 'b'" in text for text in texts) == 1
    rows = {row for epoch in range(3) for batch in epoch_of(sampler, epoch) for row in batch}
    assert set(table["experiment"].iloc[sorted(rows)]) == {"a"}


def test_global_fraction_one_is_no_window_and_covers() -> None:
    table, arguments = all_axes(temporal_global_fraction=1.0, leaky=0.0)
    sampler = quiet_sampler(table, **arguments)
    assert epoch_of(sampler, 0) == epoch_of(
        quiet_sampler(table, **arguments | {"temporal_enrichment": False}), 0
    )
