from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.tau import TauRange


def experiment(minutes: float | None) -> Experiment:
    return Experiment(
        name="exp_7", data_path=Path("a"), tracks_path=Path("a"), channels=("c",), interval_minutes=minutes
    )


@given(low=st.integers(0, 600), more=st.integers(0, 600), minutes=st.integers(1, 120))
def test_bounds_are_rounded_inwards(low: int, more: int, minutes: int) -> None:
    """Minutes are exact fractions here: frames are those k >= 1 with low <= k * interval <= high."""
    high = low + more
    inside = [k for k in range(1, high // minutes + 1) if Fraction(k * minutes) >= low]
    assume(high > 0)
    tau = TauRange(hours=(low / 60, high / 60))
    if inside:
        assert tau.in_frames(experiment(minutes)) == (inside[0], inside[-1])
    else:
        with pytest.raises(InvalidInputError):
            tau.in_frames(experiment(minutes))


def test_an_empty_range_says_interval_and_range() -> None:
    with pytest.raises(InvalidInputError, match=r"exp_7.*interval_minutes=60.*0\.5"):
        TauRange(hours=(0.5, 0.5)).in_frames(experiment(60))


def test_hours_need_an_interval_and_frames_do_not() -> None:
    with pytest.raises(InvalidInputError, match=r"exp_7.*interval is not known"):
        TauRange(hours=(0.5, 1)).in_frames(experiment(None))
    assert TauRange(frames=(2, 5)).in_frames(experiment(None)) == (2, 5)


@pytest.mark.parametrize(
    "given_range",
    [
        {},
        {"hours": (0.5, 1.0), "frames": (1, 2)},
        {"hours": (1.0, 0.5)},
        {"hours": (-1.0, 0.5)},
        {"hours": (0.0, float("inf"))},
        {"hours": (float("nan"), 1.0)},
        {"frames": (0, 3)},
        {"frames": (3, 1)},
        {"frames": (1.5, 2)},
        {"frames": (True, 2)},
        {"frames": (1,)},
        {"frames": 3},
    ],
)
def test_bad_ranges_are_refused(given_range: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"hours=|frames="):
        TauRange(**given_range)


@pytest.mark.parametrize("tau", [TauRange(hours=(0.25, 2.0)), TauRange(frames=(1, 3))])
def test_ranges_survive_plain_values(tau: TauRange) -> None:
    assert TauRange.from_dict(tau.as_dict()) == tau
