"""Slices in focus: measured while an index reads images, or as the store says, and kept with the table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.statistics import read_statistics, statistics_path
from viscy_data.images.z_window import ZWindow
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]

FOVS = ("A/1/0", "A/1/1")
CHANNELS = ("Phase", "RFP")
DEPTH = 7
SHARP = {
    "A/1/0": {"Phase": [1, 2, 3, 4], "RFP": [5, 5, 5, 2]},
    "A/1/1": {"Phase": [6] * 4, "RFP": [0, 1, 1, 0]},
}


def pixels_of(fov: str) -> Any:
    """Return (T, C, Z, Y, X): texture in the slice in focus, fainter and smooth with distance from it."""
    rng = np.random.default_rng(len(fov))
    shape = (4, 2, DEPTH, 16, 24)
    texture = np.repeat(rng.normal(0, 1, (*shape[:4], shape[4] // 2)), 2, axis=-1)
    planes = np.array([SHARP[fov][channel] for channel in CHANNELS])  # (C, T)
    away = np.abs(np.arange(DEPTH)[None, None, :] - planes.T[:, :, None])
    bright = 300 * 0.5 ** away[..., None, None]
    return np.clip(1000 + texture * bright + rng.normal(0, 2, shape), 0, None).astype(np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("focus")


@pytest.fixture
def project(tmp_path: Path, write_store: WriteStore) -> Callable[..., Path]:
    def write(**entry: Any) -> Path:
        write_store(tmp_path / "a.zarr", {fov: pixels_of(fov) for fov in FOVS}, CHANNELS)
        for fov in FOVS:
            table = pd.DataFrame({"track_id": np.repeat([1, 2], 4), "t": [*range(4)] * 2, "y": 8.0})
            (tmp_path / "a" / fov).mkdir(parents=True)
            table.assign(x=table["track_id"] * 8.0, z=0.0).to_csv(
                tmp_path / "a" / fov / "tracks.csv", index=False
            )
        samples = entry.pop("samples", "cells")
        given = {"name": "a", "data_path": "a.zarr", "tracks_path": "a", "channels": list(CHANNELS)}
        path = tmp_path / "experiments.yaml"
        path.write_text(yaml.safe_dump({"samples": samples, "experiments": [given | entry]}))
        return path

    return write


def index(path: Path, **options: Any) -> IndexSummary:
    given: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 1)), "progress": False}
    return build_index(path, path.with_name("anchors.parquet"), **(given | options))


def wanted(table: pd.DataFrame, channel: str) -> list[int]:
    return [SHARP[fov][channel][t] for fov, t in zip(table["fov"], table["t"], strict=True)]


def write_attributes(path: Path, fov: str, attributes: dict[str, Any]) -> None:
    file = path.parent / "a.zarr" / fov / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"] |= attributes
    file.write_text(json.dumps(content))


def test_rows_are_in_the_slice_that_is_sharpest_in_their_frame(project: Callable[..., Path]) -> None:
    path = project(z="focus", focus_channel="RFP")
    summary = index(path)
    table = read_anchors(summary.anchors_path)
    assert table["z"].tolist() == wanted(table, "RFP")
    assert any("RFP is in focus in slices 0 to 5" in note for note in summary.notes)
    assert any("first or last slice of 2 of 8 frames" in note for note in summary.notes)
    assert summary.focus_path is not None
    page = summary.focus_path.read_text(encoding="utf-8")
    assert page.count("<polygon") == 2
    assert "A/1/1, RFP" in page
    assert index(path, overwrite=True, processes=2).anchors_path.read_bytes()
    assert read_anchors(summary.anchors_path)["z"].tolist() == wanted(table, "RFP")
    plain = project_without_focus(path)
    assert index(plain, overwrite=True).focus_path is None
    assert not summary.focus_path.exists()


def project_without_focus(path: Path) -> Path:
    content = yaml.safe_load(path.read_text())
    content["experiments"][0] |= {"z": "middle"}
    del content["experiments"][0]["focus_channel"]
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_focus_is_not_guessed_where_no_image_is_read(project: Callable[..., Path]) -> None:
    with pytest.raises(InvalidInputError, match=r"statistics=False: the focus of a is measured"):
        index(project(z="focus"), statistics=False)


def test_what_the_store_says_is_taken_where_it_is_asked_for(project: Callable[..., Path]) -> None:
    path = project(z="focus", store_attributes=["focus_slice"])
    with pytest.raises(StoreError, match=r"fov='A/1/0' channel='Phase': .* do not say the focus of frame 0"):
        index(path, statistics=False)
    said = {"per_timepoint": {"0": 2, "1": 3.4, "2": 3.6}, "fov_statistics": {"z_focus_mean": 5.5}}
    for fov in FOVS:
        write_attributes(path, fov, {"focus_slice": {"RFP": said}})
    table = read_anchors(index(path, statistics=False).anchors_path)
    assert table["z"].tolist() == [(2, 3, 4, 6)[t] for t in table["t"]]


def test_statistics_of_the_store_are_taken_where_they_are_asked_for(project: Callable[..., Path]) -> None:
    path = project(z="middle", store_attributes=["normalization"])
    with pytest.raises(StoreError, match="hold no normalization of it; leave 'normalization' out"):
        index(path)
    whole = {"mean": 5.0, "std": 2.0}
    for number, fov in enumerate(FOVS):
        of_fov = {"mean": 100.0 + number, "std": 4.0}
        frames = {str(t): {"median": 7.0 + t, "iqr": 2.0} for t in range(4)}
        said = {"fov_statistics": of_fov, "timepoint_statistics": frames, "dataset_statistics": whole}
        write_attributes(path, fov, {"normalization": dict.fromkeys(CHANNELS, said)})
    table = index(path).anchors_path
    held = read_statistics(statistics_path(table))
    assert held.groupby("level").size().to_dict() == {"experiment": 2, "field": 4, "frame": 16}
    raw = AnchorDataset(table, normalization="none", positive="self")
    rows = np.arange(len(raw))
    codes, t = (
        column.to_numpy()[:, None, None, None, None]
        for column in (raw.anchors["fov"].cat.codes, raw.anchors["t"])
    )
    patches = raw.read(rows).numpy()
    for normalization, expected in (
        (None, (patches - 100 - codes) / 4),
        ({"method": "mean_std", "level": "experiment"}, (patches - 5) / 2),
        ({"method": "median_iqr", "level": "frame"}, (patches - 7 - t) / 2),
    ):
        own = AnchorDataset(table, normalization=normalization, positive="self").read(rows)
        np.testing.assert_allclose(own.numpy(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(InvalidInputError, match="statistics do not say what normalization='percentiles'"):
        AnchorDataset(table, normalization="percentiles", positive="self")
    write_attributes(
        path, FOVS[1], {"normalization": {"Phase": said | {"dataset_statistics": {"mean": 6.0}}}}
    )
    with pytest.raises(StoreError, match=r"channel='RFP': the store's attributes hold no normalization"):
        index(path, overwrite=True)


def test_what_the_experiments_file_needs_must_be_in_the_store(project: Callable[..., Path]) -> None:
    path = project(z="middle", store_attributes=["normalization"], normalization="median_iqr")
    for fov in FOVS:
        said = {"fov_statistics": {"mean": 100.0, "std": 4.0}}
        write_attributes(path, fov, {"normalization": dict.fromkeys(CHANNELS, said)})
    with pytest.raises(InvalidInputError, match="statistics do not say what normalization='median_iqr'"):
        index(path)


def test_a_row_of_one_channel_is_in_the_focus_of_that_channel(project: Callable[..., Path]) -> None:
    path = project(samples="channels", z={"Phase": "focus", "RFP": "focus"})
    table = read_anchors(index(path).anchors_path)
    for channel in CHANNELS:
        own = table[table["channel"] == channel]
        assert own["z"].tolist() == wanted(own, channel)


@pytest.mark.parametrize("projection", [None, "max"])
def test_channels_of_a_row_show_slices_of_their_own(project: Callable[..., Path], projection: Any) -> None:
    path = project(z={"Phase": "focus", "RFP": 2})
    table = index(path).anchors_path
    assert read_metadata(table).planes["a"]["A/1/0"] == [SHARP["A/1/0"]["Phase"], [2]]
    window = ZWindow(3, projection=projection)
    dataset = AnchorDataset(table, normalization="none", positive="self", z_window=window)
    rows = dataset.anchors
    patches = dataset.read(np.arange(len(rows))).numpy()
    for patch, (_, row) in zip(patches, rows.iterrows(), strict=True):
        y, x = row["y_crop"] - 4, row["x_crop"] - 4
        image = pixels_of(row["fov"])[row["t"]][:, :, y : y + 8, x : x + 8]
        for shown, channel, z in zip(patch, image, (SHARP[row["fov"]]["Phase"][row["t"]], 2), strict=True):
            first = min(max(z - 1, 0), DEPTH - 3)
            expected = channel[first : first + 3]
            if projection:
                expected = expected.max(axis=0, keepdims=True)
            np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(
    ("z", "window", "chunks"),
    [
        ("focus", ZWindow(1), 2),
        ("middle", ZWindow(3, offset=1), 6),
        (2, ZWindow(3, projection="max"), 6),
        ({"Phase": "focus", "RFP": 2}, ZWindow(2), 4),
    ],
)
def test_only_the_slices_that_are_shown_are_read(
    project: Callable[..., Path], z: Any, window: ZWindow, chunks: int
) -> None:
    """Each slice of a channel is a chunk here."""
    dataset = AnchorDataset(index(project(z=z)).anchors_path, positive="self", z_window=window)
    dataset.read([0])
    assert dataset.read_counts.loaded == chunks
