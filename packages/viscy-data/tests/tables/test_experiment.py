from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.tables.experiment import Experiment


def clocked(interval_minutes: float | None, start_hpi: float) -> Experiment:
    return Experiment(
        name="a",
        data_path=Path("a.zarr"),
        tracks_path=Path("a"),
        channels=("Phase",),
        interval_minutes=interval_minutes,
        start_hpi=start_hpi,
    )


@given(start=st.floats(-50, 50), minutes=st.floats(0.1, 240), t=st.lists(st.integers(0, 5000), min_size=1))
def test_hours_follow_the_clock(start: float, minutes: float, t: list[int]) -> None:
    hours = clocked(minutes, start).hours(np.array(t))
    np.testing.assert_allclose(hours, [start + i * minutes / 60 for i in t])


@pytest.mark.parametrize(
    ("minutes", "t", "hours"),
    [
        (0, [0, 0], [24.0, 24.0]),
        (0, [0, 2], [24.0, 24.0]),
        (None, [0, 0], [24.0, 24.0]),
        (None, [0, 1], [np.nan, np.nan]),
    ],
)
def test_hours_of_a_snapshot_are_its_start(minutes: float | None, t: list[int], hours: list[float]) -> None:
    experiment = clocked(minutes, 24.0)
    np.testing.assert_array_equal(experiment.hours(np.array(t)), hours)
    unknown = experiment.model_copy(update={"start_hpi": None})
    assert np.isnan(unknown.hours(np.array(t))).all()


def test_channels_say_what_they_show(tmp_path: Path) -> None:
    entry = {"name": "a", "data_path": tmp_path, "tracks_path": tmp_path}
    one = Experiment.model_validate(entry | {"channels": {"RFP": "SEC61", "BF": "phase"}})
    assert (one.channels, one.marker_of("RFP"), one.marker_of("BF")) == (("RFP", "BF"), "SEC61", "phase")
    assert Experiment.model_validate_json(one.model_dump_json()) == one
    assert Experiment.model_validate(entry | {"channels": ["RFP"]}).marker_of("RFP") == "RFP"
