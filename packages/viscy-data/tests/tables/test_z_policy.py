"""Which slice a channel shows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from viscy_data.tables.experiment import Experiment
from viscy_data.tables.z_policy import PlaneTable, ZPolicy

VALUES: dict[str, Any] = {
    "name": "a",
    "data_path": "a",
    "tracks_path": "a",
    "channels": ["Phase", "RFP"],
}
PLANES = {"f": {"Phase": [1, 2], "RFP": [3, 4]}}


def policy(**fields: Any) -> ZPolicy:
    return Experiment.model_validate(VALUES | fields).slices


@pytest.mark.parametrize(
    ("z", "planes"),
    [
        (None, [None, None]),
        ("tracks", [None, None]),
        ("middle", [[3], [3]]),
        (5, [[5], [5]]),
        ("focus", [[1, 2], [1, 2]]),
        ({"Phase": "focus", "RFP": "focus"}, [[1, 2], [3, 4]]),
        ({"Phase": 0, "RFP": "middle"}, [[0], [3]]),
        ({"RFP": "tracks", "Phase": "focus"}, [[1, 2], None]),
    ],
)
def test_planes_are_those_of_the_policy(z: Any, planes: Any) -> None:
    found = policy(z=z)
    assert found.planes_of("f", 7, PLANES) == planes
    assert found.differs == (planes[0] != planes[1])


@given(st.data())
def test_slices_are_looked_up_as_one_would_one_by_one(data: st.DataObject) -> None:
    frames = 3
    z = st.integers(0, 40)
    of_fov = st.one_of(st.none(), st.lists(z, min_size=1, max_size=1), st.lists(z, min_size=3, max_size=3))
    planes = data.draw(st.lists(of_fov, min_size=1, max_size=5))
    place = st.tuples(st.integers(0, len(planes) - 1), st.integers(0, frames - 1), z)
    rows = np.array(data.draw(st.lists(place, max_size=8)), dtype=np.int64).reshape(-1, 3)
    slow = []
    for fov, t, own in rows.tolist():
        said = planes[fov]
        slow.append(own if said is None else said[0] if len(said) == 1 else said[t])
    assert PlaneTable.build(planes).at(*rows.T).tolist() == slow


def test_one_channel_may_be_measured_for_all() -> None:
    found = policy(z="focus", focus_channel="RFP")
    assert found.planes_of("f", 7, PLANES) == [[3, 4], [3, 4]]
    assert found.estimated == ("RFP",)
    assert policy(z="focus").estimated == ("Phase",)
    assert policy(z="focus", store_attributes=["focus_slice"]).estimated == ()
    assert policy(z={"Phase": 3, "RFP": "focus"}).estimated == ("RFP",)


def test_rows_have_the_slice_of_the_tracks_or_of_the_first_channel() -> None:
    assert policy(z={"Phase": "focus", "RFP": "tracks"}).leading == "RFP"
    assert policy(z={"RFP": 2, "Phase": "focus"}).leading == "Phase"
    assert policy().leading == "Phase"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"z": "sharpest"}, "'tracks', 'focus', 'middle' or the number"),
        ({"z": {}}, "'tracks', 'focus', 'middle' or the number"),
        ({"z": {"Phase": "focus"}}, "channel 'RFP' is not named"),
        ({"z": {"Phase": 1, "RFP": 2, "GFP": 3}}, "'GFP' is none of channels"),
        ({"z": {"Phase": 1, "RFP": -2}}, "'tracks', 'focus', 'middle' or the number"),
        ({"z": {"Phase": {"a": 1}, "RFP": 2}}, "'tracks', 'focus', 'middle' or the number"),
        ({"focus_channel": "RFP"}, "only z: focus takes it"),
        ({"z": "focus", "focus_channel": "RPF"}, "none of channels.* Did you mean 'RFP'"),
        ({"store_attributes": ["focus_slice"]}, "of use with z: focus"),
        ({"store_attributes": ["normalization", "normalization"]}, "named twice"),
        ({"store_attributes": ["mean"]}, "normalization"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        policy(**fields)
