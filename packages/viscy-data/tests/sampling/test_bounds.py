"""Numbers of plans, samplers and tau that no table can need are refused at once, with what is allowed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sampling_cases import make_table

from viscy_data.composition import AtMost, Balance, BatchPlan, Focus, Grouping, Locality
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.flat import flat_plan
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.positives import Positives
from viscy_data.tables.tau import TauRange

NOT_NUMBERS = [math.nan, math.inf, -math.inf, 1e400, True, "1", None, [1], 10**400, 10**5000]
HUGE = [10**9, 10**12, 2**63, 10**30, 10**400, 10**5000]

WHOLE: dict[str, Callable[[Any], object]] = {
    "BatchPlan.batch_size": BatchPlan,
    "batch_size": flat_plan,
    "BatchPlan.span": lambda value: BatchPlan(8, span=value),
    "Locality.frames": lambda value: Locality(frames=value),
    "Locality.fovs": lambda value: Locality(fovs=value),
    "AtMost.count": lambda value: AtMost("a", value),
    "Locality.hold": lambda value: Locality(frames=4, hold=value),
}
REAL: dict[str, Callable[[Any], object]] = {
    "Grouping.leak": lambda value: Grouping("a", leak=value),
    "Grouping.weights": lambda value: Grouping("a", weights={"x": value}),
    "Balance.ratio": lambda value: Balance("a", ratio={"x": value}),
    "Focus.window_hours": lambda value: Focus("a", window_hours=value),
    "Focus.global_fraction": lambda value: Focus("a", global_fraction=value),
    "leaky": lambda value: flat_plan(leaky=value),
    "temporal_window_hours": lambda value: flat_plan(temporal_window_hours=value),
    "AtMost.min_hours": lambda value: AtMost("a", min_hours=value),
    "hours": lambda value: TauRange(hours=(0.5, value)),
    "frames": lambda value: TauRange(frames=(1, value)),
}
OPTIONAL = {"Locality.frames", "Locality.fovs", "AtMost.min_hours"}


NOT_ALLOWED = [
    (name, value)
    for name in [*WHOLE, *REAL]
    for value in NOT_NUMBERS
    if value is not None or name not in OPTIONAL
]


@pytest.mark.parametrize(("name", "value"), NOT_ALLOWED, ids=lambda one: str(type(one).__name__))
def test_what_is_no_finite_number_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name.replace(".", r"\.")):
        (WHOLE | REAL)[name](value)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", HUGE, ids=lambda value: f"{value.bit_length()} bits")
def test_huge_whole_numbers_are_refused_with_the_allowed_range(name: str, value: int) -> None:
    with pytest.raises(InvalidInputError, match=rf"{name}=.*too large; give an integer from 1 to [\d,]+"):
        WHOLE[name](value)


@pytest.mark.parametrize("give", [{"hours": (0.5, 1e6)}, {"frames": (1, 10**9)}, {"frames": (1, 10**300)}])
def test_a_tau_of_years_is_refused_with_the_allowed_range(give: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"a tau of at most [\d,]+ (hours|frames) is allowed"):
        TauRange(**give)


@pytest.mark.parametrize("minutes", [1e-300, 5e-324, 1e-9])
def test_an_interval_of_nothing_is_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match=r"interval_minutes\n.*0 \(a snapshot\) or 1e-6 and more minutes"):
        Experiment(name="a", data_path="a", tracks_path="a", channels=["c"], interval_minutes=minutes)  # type: ignore[arg-type]


@pytest.mark.parametrize("minutes", [1e-6, 1e-5])
def test_an_interval_of_next_to_nothing_makes_no_frames_without_end(minutes: float) -> None:
    one = Experiment(name="a", data_path="a", tracks_path="a", channels=["c"], interval_minutes=minutes)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"interval_minutes=.*at most 1,000,000 frames"):
        TauRange(hours=(0.5, 1.5)).in_frames(one)


def test_a_tau_beyond_all_movies_names_the_longest() -> None:
    lengths = {"a": 5, "b": 9}
    fovs = {name: [FovInfo("0", "", (t, 1, 1, 8, 8), ("c",))] for name, t in lengths.items()}
    entries = [
        Experiment(name=name, data_path="a", tracks_path="a", channels=["c"], interval_minutes=30)  # type: ignore[arg-type]
        for name in lengths
    ]
    assert TauRange(hours=(0.5, 4.5)).in_frames_of(entries, fovs) == {"a": (1, 9), "b": (1, 9)}
    with pytest.raises(InvalidInputError, match=r"the longest, of experiment 'b', has 9 frames"):
        TauRange(hours=(0.5, 1000)).in_frames_of(entries, fovs)
    with pytest.raises(InvalidInputError, match=r"(?s)'a'.*no whole number.*'b'.*no whole number"):
        TauRange(hours=(0.1, 0.2)).in_frames_of(entries, fovs)


def test_the_cost_of_positives_is_bounded_by_the_table_whatever_tau_is() -> None:
    rng = np.random.default_rng(0)
    rows = [(track, t) for track in range(20) for t in np.flatnonzero(rng.random(10) < 0.5)]
    table = pd.DataFrame(rows, columns=["track_id", "t"]).assign(experiment="a", fov="0", parent_track_id=-1)
    near, far = (Positives(table, {"a": (1, high)}, decay=0.0) for high in (9, 1_000_000_000))
    assert (near.has_positive == far.has_positive).all()
    able = np.flatnonzero(near.has_positive)
    assert (near.draw(able, epoch=0, number=0) == far.draw(able, epoch=0, number=0)).all()
    assert not Positives(table, {"a": (10**6, 10**9)}).has_positive.any()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("seed", lambda _: FlexibleBatchSampler(make_table({("a", "x"): 20}), 4, seed=2**63)),
        ("number", lambda sampler: sampler.batch(10**30)),
        ("epoch", lambda sampler: sampler.batch(0, epoch=10**30)),
        ("epoch", lambda sampler: sampler.set_epoch(10**30)),
        ("batches", lambda sampler: sampler.report(10**12)),
        (
            "num_replicas",
            lambda _: FlexibleBatchSampler(make_table({("a", "x"): 20}), 4, num_replicas=10**12, rank=0),
        ),
    ],
)
def test_a_sampler_is_asked_for_nothing_beyond_a_word(name: str, call: Callable[[Any], object]) -> None:
    sampler = FlexibleBatchSampler(make_table({("a", "x"): 20}), 4)
    with pytest.raises(InvalidInputError, match=rf"{name}=.*too large; give an integer from"):
        call(sampler)
