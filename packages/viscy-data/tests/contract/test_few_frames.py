"""A step's anchors come from few frames or fields of view; frames that are held stay."""

from collections import Counter
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
import pytest
from contract_reference import broken_promises
from contract_tables import (
    batches_of,
    epoch_of,
    least_frames,
    movies,
    sampler_of,
    steps_of,
    variation_within,
    visits_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import AtMost, Balance, BatchPlan, Focus, Grouping, InvalidInputError, Locality

FRAME = ["experiment", "fov", "t"]
BOTH = BatchPlan(12, grouping=Grouping("experiment"), balance=Balance("condition"))
FOCUS = Focus("hours_post_infection", window_hours=1.0, global_fraction=0.25)


def frames_of(table: pd.DataFrame, rows: list[int]) -> set[tuple[object, ...]]:
    return set(table[FRAME].iloc[rows].itertuples(index=False, name=None))


@settings(derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 99),
    more=st.integers(0, 4),
    batch_size=st.integers(2, 16),
    leak=st.sampled_from([0.0, 0.25]),
    focus=st.sampled_from([None, FOCUS, replace(FOCUS, global_fraction=0.0)]),
    apart=st.booleans(),
    whole=st.booleans(),
    span=st.integers(1, 2),
)
def test_steps_keep_every_promise_with_the_least_number_of_frames_and_more(
    seed: int,
    more: int,
    batch_size: int,
    leak: float,
    focus: Focus | None,
    apart: bool,
    whole: bool,
    span: int,
) -> None:
    table = movies(seed)
    plan = replace(
        BOTH,
        batch_size=batch_size,
        grouping=Grouping("experiment", leak=leak),
        focus=focus,
        at_most=AtMost("track", 2) if apart else (),
        locality=Locality(fovs=1) if whole else Locality(frames=1),
        span=span,
    )
    most = least_frames(table, plan) + more
    plan = replace(plan, locality=Locality(fovs=most) if whole else Locality(frames=most))
    assert broken_promises(table, plan, batches_of(sampler_of(table, plan, seed=seed), (0, 1))) == []


@pytest.mark.parametrize("name", ["frames", "fovs"])
def test_too_few_frames_are_refused_with_the_least_number_that_would_do(name: str) -> None:
    table = movies(5, tracks={"a": 40, "b": 30}, fovs=6)
    one = {"frames": Locality(frames=1), "fovs": Locality(fovs=1)}[name]
    least = least_frames(table, replace(BOTH, batch_size=40, locality=one))
    assert least > 2
    short, enough = (replace(one, **{name: most}) for most in (least - 1, least))  # type: ignore[arg-type]  # numbers
    with pytest.raises(InvalidInputError, match=rf"Locality\.{name}={least - 1}\b.*\b{least}\b"):
        sampler_of(table, replace(BOTH, batch_size=40, locality=short))
    for batch in epoch_of(sampler_of(table, replace(BOTH, batch_size=40, locality=enough)), 0):
        assert len(set(batch)) == 40


def test_counts_are_spread_evenly_over_frames_none_above_its_size() -> None:
    sizes = [1, 2, 3, 30, 30, 30, 30, 30]
    table = pd.DataFrame({"experiment": "a", "fov": np.repeat(np.arange(8), sizes), "t": 0})
    sampler = sampler_of(table, BatchPlan(16, locality=Locality(frames=4)))
    met = set()
    for batch in (batch for epoch in range(20) for batch in epoch_of(sampler, epoch)):
        held = Counter(table["fov"].iloc[batch])
        met |= set(held)
        full = [fov for fov, count in held.items() if count == sizes[fov]]
        rest = [count for fov, count in held.items() if fov not in full]
        assert max(rest) - min(rest) <= 1
        assert all(held[fov] <= min(rest) for fov in full)
        assert len(held) == 4
    assert met == set(range(8))


@pytest.mark.parametrize("name", ["frames", "fovs"])
def test_frames_come_by_the_anchors_that_they_hold(name: str) -> None:
    """Large and small frames alike: an anchor is not met more often because its frame is small."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(4, 24, 120)
    table = pd.DataFrame({"experiment": "a", "fov": np.repeat(np.arange(120), sizes), "t": 0})
    locality = Locality(frames=4) if name == "frames" else Locality(fovs=4)
    visits = visits_of(sampler_of(table, BatchPlan(12, locality=locality)), len(table), 20)
    assert variation_within(visits, table, ["experiment"]) <= 0.35
    per_anchor = pd.Series(visits).groupby(table["fov"]).mean()
    large, small = per_anchor[sizes > 16].mean(), per_anchor[sizes < 12].mean()
    assert small / large == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("hold", [1, 2, 3, 6])
def test_a_frame_stays_for_as_many_visits_as_asked_and_frames_take_turns_to_go(hold: int) -> None:
    table = movies(3, tracks={"a": 600}, fovs=30, times=12)
    sampler = sampler_of(table, BatchPlan(24, locality=Locality(frames=6, hold=hold)))
    held = [frames_of(table, batch) for batch in epoch_of(sampler, 0)]
    new = [len(after - before) for before, after in pairwise(held)]
    assert max(new) <= -(-6 // hold)
    assert np.mean(new) == pytest.approx(6 / hold, rel=0.08)
    stays: Counter[int] = Counter()
    for frame in set.union(*held):
        present = "".join("1" if frame in one else "0" for one in held)
        stays.update(len(stay) for stay in present.split("0")[1:-1] if stay)  # those cut off tell nothing
    assert stays[hold] > 0.9 * stays.total()


def test_groups_of_held_frames_come_in_runs_and_keep_their_shares() -> None:
    table = movies(4, tracks={"a": 60, "b": 40}, fovs=10)
    plan = replace(BOTH, locality=Locality(frames=6, hold=4))
    sampler = sampler_of(table, plan)
    experiment = table["experiment"].to_numpy()
    groups = [experiment[batch[0]] for batch in epoch_of(sampler, 0)]
    runs = [len(list(run)) for _, run in groupby(groups)]
    assert len(groups) >= 20
    assert sum(run < 4 for run in runs) <= 2
    share = table["experiment"].value_counts(normalize=True) * len(groups)
    assert all(abs(groups.count(name) - share[name]) < 1 for name in "ab")


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_with_a_focus_held_frames_change_together_with_the_focal_time(fraction: float) -> None:
    table = movies(6, tracks={"a": 120}, fovs=10, times=24, longest=20)
    focus = replace(FOCUS, window_hours=0.0, global_fraction=fraction)
    plan = BatchPlan(12, focus=focus, locality=Locality(frames=6, hold=3))
    sampler = sampler_of(table, plan)
    hours = table["hours_post_infection"].to_numpy()
    batches = [batch for epoch in range(3) for batch in epoch_of(sampler, epoch)]
    focal = [Counter(hours[batch]).most_common(1)[0][0] for batch in batches]
    frames = [frames_of(table, batch) for batch in batches]
    for first in range(0, len(batches) - 2, 3):
        assert len(set(focal[first : first + 3])) == 1
        assert frames[first] == frames[first + 1] == frames[first + 2]
    assert len({focal[first] for first in range(0, len(batches), 3)}) > 10


def test_lineages_stay_apart_within_few_frames() -> None:
    """Tracks run through all frames, so that two frames of a field of view hold the same lineages."""
    rows = [
        (group, stratum, f"A/{fov}/0", t, f"{group}{stratum}{fov}{track}")
        for group in "ab"
        for stratum in "xyz"
        for fov in range(2)
        for t in range(6)
        for track in range(10)
    ]
    table = pd.DataFrame(rows, columns=["experiment", "condition", "fov", "t", "lineage_id"])
    plan = replace(BOTH, locality=Locality(frames=6), at_most=AtMost("lineage_id"))
    for step in steps_of(sampler_of(table, plan), 2):
        assert table["lineage_id"].iloc[step].nunique() == 12
        assert len(frames_of(table, step)) <= 6
