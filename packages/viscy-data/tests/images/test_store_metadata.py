"""Statistics and focus in a store's attributes: read as written, and nothing impossible believed."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from viscy_data.errors import StoreError
from viscy_data.images.store_metadata import (
    STATISTICS,
    StoredFocus,
    StoredStatistics,
    read_stored_focus,
    read_stored_statistics,
)
from viscy_data.tables.experiment import Experiment, FovInfo

VALUES = (10.0, 2.0, 9.5, 3.0, 1.0, 30.0, 2.0, 4.0, 20.0, 25.0)
STATS = dict(zip(STATISTICS, VALUES, strict=True))
INFO = FovInfo("A/1/0", "A/1", (3, 2, 5, 16, 16), ("Phase", "GFP"))
POSITION: dict[str, Any] = {
    "normalization": {
        "Phase": {
            "fov_statistics": STATS,
            "timepoint_statistics": {"0": STATS, "2": {"mean": 11.0, "std": 0.0}},
        }
    },
    "focus_slice": {"Phase": {"fov_statistics": {"z_focus_mean": 2.5}, "per_timepoint": {"0": 2, "1": 3}}},
}
PLATE: dict[str, Any] = {
    "normalization": {"Phase": {"dataset_statistics": STATS}, "GFP": {"dataset_statistics": {"mean": 1.0}}},
    "focus_slice": {"GFP": {"dataset_statistics": {"z_focus_mean": 2.0}}},
}


def store(
    folder: Path, position: object = POSITION, plate: object = PLATE, *, zarr_format: int = 2
) -> Experiment:
    for group, attributes in ((folder / "A/1/0", position), (folder, plate)):
        group.mkdir(parents=True, exist_ok=True)
        if zarr_format == 2:
            (group / ".zattrs").write_text(json.dumps(attributes))
        else:
            content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            (group / "zarr.json").write_text(json.dumps(content))
    return Experiment(name="e", data_path=folder, tracks_path=folder, channels=("Phase", "GFP"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_position_and_plate_say_is_read(tmp_path: Path, zarr_format: int) -> None:
    experiment = store(tmp_path, zarr_format=zarr_format)
    assert read_stored_statistics(experiment, INFO) == {
        "Phase": StoredStatistics(STATS, STATS, {0: STATS, 2: {"mean": 11.0, "std": 0.0}}),
        "GFP": StoredStatistics({"mean": 1.0}, {}, {}),
    }
    assert read_stored_focus(experiment, INFO) == {
        "Phase": StoredFocus(None, 2.5, {0: 2.0, 1: 3.0}),
        "GFP": StoredFocus(2.0, None, {}),
    }


def test_a_single_position_is_its_own_plate(tmp_path: Path) -> None:
    (tmp_path / ".zattrs").write_text(json.dumps(POSITION | {"other": 1}))
    experiment = Experiment(name="e", data_path=tmp_path, tracks_path=tmp_path, channels=("Phase",))
    info = FovInfo(tmp_path.stem, "", (3, 2, 5, 16, 16), ("Phase", "GFP"))
    assert read_stored_statistics(experiment, info)["Phase"].fov == STATS
    assert read_stored_focus(experiment, info)["Phase"].at(2) == 2.5


def test_a_store_that_says_nothing_gives_nothing(tmp_path: Path) -> None:
    experiment = store(tmp_path, {}, {"normalization": None, "focus_slice": {"Other": {"x": 1}}})
    assert read_stored_statistics(experiment, INFO) == {}
    assert read_stored_focus(experiment, INFO) == {}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("normalization",), [1], "normalization is not a mapping of channels"),
        (("normalization", "Phase"), 3, r"normalization\.Phase=3: "),
        (("normalization", "Phase", "fov_statistics", "std"), -1.0, r"fov_statistics\.std=-1\.0"),
        (("normalization", "Phase", "fov_statistics", "mean"), "5", r"fov_statistics\.mean='5'"),
        (("normalization", "Phase", "fov_statistics", "mean"), True, r"fov_statistics\.mean=True"),
        (("normalization", "Phase", "fov_statistics", "mean"), float("nan"), r"fov_statistics\.mean=nan"),
        (("normalization", "Phase", "fov_statistics", "min"), 40.0, r"min=40 is above p1=2"),
        (("normalization", "Phase", "fov_statistics", "mean"), 4e4, r"mean=40000 is not between min="),
        (("normalization", "Phase", "fov_statistics", "std"), 4e4, r"std=40000 is wider than from min="),
        (("normalization", "Phase", "fov_statistics", "iqr"), 4e4, r"iqr=40000 is wider than from min="),
        (("normalization", "Phase", "timepoint_statistics", "3"), STATS, r"t='3' is not a frame .* 0 \.\. 2"),
        (("normalization", "Phase", "timepoint_statistics", "-1"), STATS, "t='-1' is not a frame"),
        (("normalization", "Phase", "timepoint_statistics", "00"), STATS, "t='00' is not a frame"),
        (
            ("normalization", "Phase", "timepoint_statistics", "1"),
            {"iqr": -2},
            r"timepoint_statistics\.1\.iqr",
        ),
        (("focus_slice", "Phase", "per_timepoint", "1"), 5, r"per_timepoint\.1=5: a slice .* 0 \.\. 4"),
        (("focus_slice", "Phase", "per_timepoint", "1"), None, r"per_timepoint\.1=None"),
        (("focus_slice", "Phase", "fov_statistics", "z_focus_mean"), -0.5, r"fov_statistics=-0\.5: a slice"),
    ],
)
def test_a_value_that_is_not_possible_is_refused_with_its_place(
    tmp_path: Path, path: tuple[str, ...], value: object, said: str
) -> None:
    attributes = deepcopy(POSITION)
    inner = attributes
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    experiment = store(tmp_path, attributes)
    with pytest.raises(StoreError, match=rf"experiment='e' fov='A/1/0'.*{said}"):
        _ = read_stored_statistics(experiment, INFO), read_stored_focus(experiment, INFO)


def test_attributes_that_are_no_json_are_refused(tmp_path: Path) -> None:
    experiment = store(tmp_path)
    (tmp_path / "A/1/0/.zattrs").write_text("{")
    with pytest.raises(StoreError, match=r"attributes of .* cannot be read"):
        read_stored_focus(experiment, INFO)
