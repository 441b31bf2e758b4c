"""Plates as they come: both versions of NGFF, one row, other pixel sizes, frames and wells without cells."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.errors import TracksError
from viscy_data.images.statistics import read_statistics
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.tau import TauRange

VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def index(folder: Path, *names: str, **options: Any) -> tuple[IndexSummary, pd.DataFrame]:
    entries = [
        {"name": n, "data_path": f"{n}.zarr", "tracks_path": f"{n}.csv", "channels": ["c"]} for n in names
    ]
    (folder / "experiments.yaml").write_text(yaml.safe_dump({"experiments": entries}))
    out = folder / "anchors.parquet"
    given: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 2)), "progress": False}
    summary = build_index(folder / "experiments.yaml", out, **(given | options))
    return summary, read_anchors(out)


def tracks(path: Path, rows: list[tuple[str, int, int, float, float]]) -> None:
    pd.DataFrame(rows, columns=["fov", "track_id", "t", "y", "x"]).to_csv(path, index=False)


@VERSIONS
@pytest.mark.parametrize("plate", [True, False])
def test_both_versions_as_plates_of_one_row_and_as_single_positions(
    tmp_path: Path, write_store: Any, make_pixels: Any, version: Literal["0.4", "0.5"], plate: bool
) -> None:
    """Frames 1 and 3 hold no cell, and neither does the plate's third well."""
    pixels = make_pixels((5, 1, 1, 32, 48))
    fovs = ["A/1/0", "A/2/0", "A/12/0"] if plate else ["a"]
    images = dict.fromkeys(fovs, pixels) if plate else pixels
    write_store(tmp_path / "a.zarr", images, ["c"], version=version)
    tracks(tmp_path / "a.csv", [(fov, 1, t, 2.0, 46.0) for fov in fovs[:2] for t in (0, 2, 4)])
    summary, anchors = index(tmp_path, "a")
    assert anchors["t"].tolist() == [0, 2, 4] * len(fovs[:2])
    assert list(anchors["fov"].unique()) == fovs[:2]
    assert set(anchors["well"]) == ({"A/1", "A/2"} if plate else {""})
    assert set(zip(anchors["y_crop"], anchors["x_crop"], strict=True)) == {(2, 46)}
    assert anchors["outside"].unique().tolist() == [0.4375], "a quarter in each direction, of 8"
    assert [one.valid_anchors for one in summary.counts] == [2 * len(fovs[:2])]
    assert summary.without_tracks == ({"a": ("A/12/0",)} if plate else {})
    assert (read_statistics(summary.statistics_path)["level"] == "field").sum() == len(fovs)


def test_stores_of_other_pixel_sizes_share_the_coarsest(
    tmp_path: Path, write_store: Any, make_pixels: Any
) -> None:
    for name, um in (("fine", 0.25), ("coarse", 0.5)):
        pixels = make_pixels((2, 1, 1, 64, 64))
        write_store(tmp_path / f"{name}.zarr", {"A/1/0": pixels}, ["c"], pixel_size_um=(um, um))
        tracks(tmp_path / f"{name}.csv", [("A/1/0", 1, t, 1.0, 63.0) for t in (0, 1)])
    summary, anchors = index(tmp_path, "fine", "coarse")
    assert summary.common_pixel_size_um == read_metadata(summary.anchors_path).common_pixel_size_um == 0.5
    crops = {name: (y, x) for name, y, x in anchors[["experiment", "y_crop", "x_crop"]].to_numpy().tolist()}
    assert crops == {"coarse": (1, 63), "fine": (1, 63)}
    outside = dict(anchors[["experiment", "outside"]].to_numpy().tolist())
    assert outside == {
        "coarse": pytest.approx(1 - 5 / 8 * 5 / 8),
        "fine": pytest.approx(1 - 9 / 16 * 9 / 16),
    }, "8 pixels, and 16 of half the size"
    _, moved = index(tmp_path, "fine", "coarse", border="shift", overwrite=True)
    crops = {name: (y, x) for name, y, x in moved[["experiment", "y_crop", "x_crop"]].to_numpy().tolist()}
    assert crops == {"coarse": (4, 60), "fine": (8, 56)}
    np.testing.assert_array_equal(moved["outside"], anchors["outside"])


def test_slices_stay(tmp_path: Path, write_store: Any, make_pixels: Any) -> None:
    write_store(tmp_path / "a.zarr", {"A/1/0": make_pixels((2, 1, 5, 32, 32))}, ["c"])
    pd.DataFrame({"track_id": 1, "t": [0, 1], "y": 9.0, "x": 9.0, "z": [3.4, 4.4]}).to_csv(
        tmp_path / "a.csv", index=False
    )
    _, anchors = index(tmp_path, "a", statistics=False)
    np.testing.assert_array_equal(anchors["z"], [3, 4])


def test_an_index_without_statistics_reads_no_pixel(
    tmp_path: Path, write_store: Any, make_pixels: Any
) -> None:
    store = write_store(tmp_path / "a.zarr", {"A/1/0": make_pixels((2, 1, 1, 32, 32))}, ["c"])
    for chunk in (store / "A/1/0/0/c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    tracks(tmp_path / "a.csv", [("A/1/0", 1, t, 9.0, 9.0) for t in (0, 1)])
    summary, anchors = index(tmp_path, "a", statistics=False)
    assert len(anchors) == 2
    assert not summary.statistics_path.exists()


def test_no_cell_anywhere_is_an_error(tmp_path: Path, write_store: Any, make_pixels: Any) -> None:
    write_store(tmp_path / "a.zarr", {"A/1/0": make_pixels((2, 1, 1, 32, 32))}, ["c"])
    tracks(tmp_path / "a.csv", [])
    with pytest.raises(TracksError, match="experiment 'a': no tracks for any fov"):
        index(tmp_path, "a")
    assert not [one.name for one in tmp_path.iterdir() if "anchors" in one.name]
