"""Readers of files that people and disks have broken: no exception but ours, whatever the bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated

from viscy_data.anchors_file import AnchorsMetadata, read_anchors, read_metadata
from viscy_data.anchors_writing import write_anchors
from viscy_data.audit.plan_file import read_plan
from viscy_data.columns import ANCHOR_COLUMNS
from viscy_data.composition import BatchPlan
from viscy_data.errors import ViscyDataError
from viscy_data.experiments import Experiment, Experiments, FovInfo
from viscy_data.normalization import STATISTICS_COLUMNS, read_statistics
from viscy_data.tau import TauRange
from viscy_data.tracks import read_tracks

FUZZ = settings(
    max_examples=100,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
FOVS = [
    FovInfo("A/1/0", "A/1", (6, 1, 2, 16, 16), ("Phase",)),
    FovInfo("ü x/2/0", "ü x/2", (6, 1, 2, 16, 16), ("Phase",)),
]
TRACKS = pd.DataFrame(
    {
        "fov": ["A/1/0"] * 6 + ["ü x/2/0"] * 3,
        "track_id": [1, 1, 1, 2, 2, 3, 1, 1, 1],
        "parent_track_id": [-1, -1, -1, 1, 1, 1, -1, -1, -1],
        "t": [0, 1, 2, 3, 4, 3, 0, 2, 5],
        "y": np.linspace(0, 15, 9),
        "x": np.linspace(15, 0, 9),
        "z": [0.0, 1.0] * 4 + [0.5],
    }
)
ENTRY = {
    "name": "a b",
    "data_path": "a.zarr",
    "tracks_path": "tracks.csv",
    "channels": ["Phase"],
    "condition_wells": {"mock": ["A/1"]},
    "interval_minutes": 30,
    "start_hpi": 1.5,
    "pixel_size_um": None,
    "exclude_fovs": ["B/1/0"],
}


def experiment(tracks: Path) -> Experiment:
    return Experiment(name="a", data_path=tracks, tracks_path=tracks, channels=("Phase",))


def anchors() -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for column in ANCHOR_COLUMNS:
        text = column.dtype == "dictionary"
        columns[column.name] = ["a", "ü", "a"] if text else np.arange(3).astype(column.dtype)
    return pd.DataFrame(columns)


def statistics() -> pd.DataFrame:
    return pd.DataFrame([["a", "A/1/0", -1, "Phase", 1.0, 2.0, 3.0, 4.0]], columns=list(STATISTICS_COLUMNS))


def write_index(path: Path) -> None:
    (path.parent / "a.zarr").mkdir(exist_ok=True)
    entry = ENTRY | {"data_path": path.parent / "a.zarr", "tracks_path": path.parent, "exclude_fovs": []}
    metadata = AnchorsMetadata(
        Experiments.model_validate({"experiments": [entry]}), (8, 8), TauRange(hours=(0.5, 1.0))
    )
    write_anchors(path, anchors(), metadata)


def write_experiments(path: Path) -> None:
    (path.parent / "a.zarr").mkdir()
    (path.parent / "tracks.csv").touch()
    path.write_text(yaml.safe_dump({"experiments": [ENTRY]}, allow_unicode=True))


def write_challenge(path: Path) -> None:
    for t in range(3):
        mask = np.zeros((16, 16), dtype=np.uint16)
        mask[2:5, 2:5], mask[8:12, 8:9] = 1, 2
        tifffile.imwrite(path.parent / f"man_track{t:03}.tif", mask)
    path.write_text("1 0 2 0\n2 0 2 0\n")


def read_index(path: Path) -> None:
    """Read what training reads: metadata, all rows, and a part."""
    read_metadata(path)
    read_anchors(path)
    read_anchors(path, columns=["t", "fov"], filters=[("t", "<", 2)])


READERS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any], tuple[bytes, ...]]] = {
    "tracks as CSV": (
        "tracks.csv",
        lambda path: TRACKS.to_csv(path, index=False),
        lambda path: read_tracks(experiment(path), FOVS),
        (b"track_id", b"9" * 25, b"-2", b"True", b"2.5", b"\r", b"A/1/0"),
    ),
    "tracks as gzipped CSV": (
        "tracks.csv.gz",
        lambda path: TRACKS.to_csv(path, index=False),
        lambda path: read_tracks(experiment(path), FOVS),
        (),
    ),
    "tracks as Parquet": (
        "tracks.parquet",
        TRACKS.to_parquet,
        lambda path: read_tracks(experiment(path), FOVS),
        (b"PAR1",),
    ),
    "a challenge's track list": (
        "man_track.txt",
        write_challenge,
        lambda path: read_tracks(experiment(path.parent), FOVS[:1]),
        (b" ", b"9" * 25, b"999999999", b"-5", b"\x1c"),
    ),
    "a challenge's mask": (
        "man_track000.tif",
        lambda path: write_challenge(path.parent / "man_track.txt"),
        lambda path: read_tracks(experiment(path.parent), FOVS[:1]),
        (b"II*\x00", b"\xff" * 4),
    ),
    "experiments": (
        "experiments.yaml",
        write_experiments,
        Experiments.load,
        (
            b"null",
            b"{}",
            b"- ",
            b"!!python/object:os.system ",
            b"<<: ",
            b"? ",
            b"2024-02-30",
            b"\t",
            b"\x00.zarr",
            b"0x_",
            b"!!binary ",
            b"!!timestamp ",
            b"!!int ",
        ),
    ),
    "a plan": (
        "plan.yaml",
        lambda path: path.write_text(
            "batch_size: 8\ngrouping: {leak: {schedule: {points: {0: 0.1, 5: 0.3}, unit: epochs}}}\n"
            "balance: {by: [a, b], ratio: {x: 1, y: 2}}\nfocus: {window_hours: 2.0, kernel: box}\n"
        ),
        lambda path: read_plan(path, BatchPlan(4)),
        (b"null", b"{}", b"natural", b".inf", b"[1, 2]", b"!!timestamp ", b"!!int "),
    ),
    "an index": (
        "anchors.parquet",
        write_index,
        read_index,
        (b"PAR1", b'"schema_version": 2', b"null", b"[]"),
    ),
    "statistics": (
        "anchors.statistics.parquet",
        lambda path: statistics().to_parquet(path),
        read_statistics,
        (b"PAR1",),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_whole_is_read(name: str, tmp_path: Path) -> None:
    file, write, read, _ = READERS[name]
    write(tmp_path / file)
    read(tmp_path / file)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", READERS)
@FUZZ
@given(data=st.data())
def test_no_exception_but_ours(name: str, tmp_path: Path, data: st.DataObject) -> None:
    file, write, read, scraps = READERS[name]
    path = tmp_path / file
    valid = path.with_name("valid")
    if not valid.exists():
        write(path)
        valid.write_bytes(path.read_bytes())
    path.write_bytes(data.draw(mutated(valid.read_bytes(), scraps)))
    said = ""
    try:
        read(path)
    except ViscyDataError as error:
        said = str(error)
    assert not said or tmp_path.name in said  # the file is named
