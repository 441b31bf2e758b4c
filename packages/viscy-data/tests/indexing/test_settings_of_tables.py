"""How gaps and odd pixels are read is chosen once, when a table is indexed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.cli.bench import _case
from viscy_data.dataset.anchor_dataset import AnchorDataset, Reading
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.statistics import (
    compute_statistics,
    read_statistics,
    statistics_path,
    write_statistics,
)
from viscy_data.indexing.run import build_index
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]
FOV = "A/1/0"


def write_project(folder: Path, write_store: WriteStore, pixels: Any) -> Path:
    """Write one field of view, in which a cell stays at the same place, and its experiments file."""
    folder.mkdir(exist_ok=True)
    channels = ("Phase", "RFP", "DAPI")[: pixels.shape[1]]
    write_store(folder / "a.zarr", {FOV: pixels}, channels)
    table = pd.DataFrame({"track_id": 1, "t": range(len(pixels)), "y": 8.0, "x": 8.0})
    (folder / "a" / FOV).mkdir(parents=True)
    table.to_csv(folder / "a" / FOV / "tracks.csv", index=False)
    entry = {"name": "a", "data_path": "a.zarr", "tracks_path": "a", "channels": list(channels[:2])}
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": [entry]}))
    return path


def index(path: Path, **options: Any) -> Path:
    out = path.with_name("anchors.parquet")
    given: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 1)), "progress": False}
    build_index(path, out, **(given | options))
    return out


def noise(dtype: str = "uint16") -> Any:
    return np.random.default_rng(0).integers(1, 500, (6, 1, 1, 16, 16)).astype(dtype)


@pytest.fixture
def gappy(tmp_path: Path, write_store: WriteStore) -> Path:
    path = write_project(tmp_path, write_store, noise())
    (tmp_path / "a.zarr" / FOV / "0" / "c" / "2" / "0" / "0" / "0" / "0").unlink()
    return path


def test_missing_chunks_filled_at_index_are_filled_ever_after(gappy: Path) -> None:
    table = index(gappy, missing_chunks="fill", blank_frames="keep")
    assert read_metadata(table).missing_chunks == "fill"
    dataset = AnchorDataset(table, positive="self", normalization="none")
    (row,) = np.flatnonzero(dataset.anchors["t"] == 2)
    assert not dataset[int(row)]["anchor"].any()
    with pytest.raises(StoreError, match=r"t=2 .*index --missing-chunks fill"):
        AnchorDataset(table, positive="self", reading=Reading(missing_chunks="error"))[int(row)]


def test_bench_reads_as_the_table_was_indexed(gappy: Path) -> None:
    table = index(gappy, missing_chunks="fill")
    assert _case(gappy, table, 1, None, (None, 2, ())).missing_chunks == "fill"
    assert _case(gappy, table, 1, "error", (None, 2, ())).missing_chunks == "error"


def test_missing_chunks_are_damage_unless_the_table_says_otherwise(gappy: Path) -> None:
    table = index(gappy, statistics=False)
    assert read_metadata(table).missing_chunks == "error"
    with pytest.raises(StoreError, match="t=2"):
        AnchorDataset(table, normalization="none")[1]
    assert not AnchorDataset(table, normalization="none", reading=Reading(missing_chunks="fill"))[2][
        "anchor"
    ].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_never_leaves_the_reader(
    tmp_path: Path, write_store: WriteStore, dtype: str, value: float
) -> None:
    pixels = noise(dtype)
    pixels[2, 0, 0, 8, 8:10] = value
    table = index(write_project(tmp_path, write_store, pixels), statistics=False)
    with pytest.raises(
        StoreError, match=r"fov='A/1/0' t=2 channel='Phase'.*2 pixels .* not finite.*--non-finite"
    ):
        AnchorDataset(table, positive="self", normalization="none")[2]
    filled = AnchorDataset(table, positive="self", normalization="none", reading=Reading(non_finite="fill"))
    patch = filled[2]["anchor"].numpy()
    assert np.array_equal(np.argwhere(patch == 0)[:, 2:], [[4, 4], [4, 5]])
    assert np.array_equal(patch[patch != 0], pixels[2, 0, 0, 4:12, 4:12][patch[0, 0] != 0])


def test_a_number_too_large_for_32_bits_is_not_finite(tmp_path: Path, write_store: WriteStore) -> None:
    pixels = noise("float64")
    pixels[2, 0, 0, 8, 8] = 1e300
    table = index(write_project(tmp_path, write_store, pixels), statistics=False)
    with pytest.raises(StoreError, match="1 pixels of the crop are not finite"):
        AnchorDataset(table, positive="self", normalization="none")[2]


def dropped(table: Path) -> dict[str, int]:
    return read_metadata(table).dropped["a"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "bool"])
def test_blank_frames_are_counted_and_left_out(tmp_path: Path, write_store: WriteStore, dtype: str) -> None:
    pixels = noise("uint16") % 2 == 0 if dtype == "bool" else noise(dtype)
    whole = write_project(tmp_path / "whole", write_store, pixels)
    pixels[3:5] = 1 if dtype != "int16" else -7
    path = write_project(tmp_path / "blank", write_store, pixels)
    table = index(path)
    assert read_metadata(table).frames == {"a": {"frames": 6, "blank": 2, "non_finite": 0}}
    assert dropped(table) == {"blank frame": 2}
    assert set(read_anchors(table)["t"]) == {0, 1, 2, 5}
    kept = pixels[[0, 1, 2, 5]].astype(float)
    (row,) = read_statistics(statistics_path(table)).query("level == 'field'").to_dict("records")
    assert row["mean"] == pytest.approx(kept.mean())
    assert row["iqr"] == pytest.approx(np.subtract(*np.quantile(kept, (0.75, 0.25))))
    assert read_metadata(index(whole)).frames == {"a": {"frames": 6, "blank": 0, "non_finite": 0}}


def test_blank_frames_stay_where_asked_and_are_said(tmp_path: Path, write_store: WriteStore) -> None:
    pixels = noise()
    pixels[3:5] = 5
    path = write_project(tmp_path, write_store, pixels)
    out = tmp_path / "anchors.parquet"
    options: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 1)), "progress": False}
    summary = build_index(path, out, blank_frames="keep", **options)
    assert (len(read_anchors(out)), dropped(out)) == (6, {})
    assert summary.notes == ("a: 2 blank frames (statistics leave them out): A/1/0 t=3-4",)
    summary = build_index(path, out, statistics=False, overwrite=True, **options)
    assert read_metadata(out).frames is None
    assert summary.notes == (
        "no image was read: blank frames, and pixels that are not finite, are not known",
    )


def test_blank_slices_of_frames_that_are_kept_are_said(tmp_path: Path, write_store: WriteStore) -> None:
    pixels = np.concatenate([noise(), noise(), noise()], axis=2)
    pixels[2, 0, 0] = pixels[4, 0, 1:] = 7
    path = write_project(tmp_path, write_store, pixels)
    out = tmp_path / "anchors.parquet"
    summary = build_index(path, out, patch_size=(8, 8), tau=TauRange(frames=(1, 1)), progress=False)
    assert (len(read_anchors(out)), dropped(out)) == (6, {})
    assert summary.notes == ("a: 3 blank slices in frames that are kept (first A/1/0 t=2 Phase)",)


def test_a_frame_is_blank_where_any_channel_of_the_model_is(tmp_path: Path, write_store: WriteStore) -> None:
    pixels = np.concatenate([noise(), noise(), noise()], axis=1)
    pixels[1, 0] = pixels[2, 1] = pixels[3, 2] = 9
    path = write_project(tmp_path, write_store, pixels)
    table = index(path)
    assert set(read_anchors(table)["t"]) == {0, 3, 4, 5}
    statistics = read_statistics(statistics_path(table)).query("level == 'field'").set_index("channel")
    for channel, place in (("Phase", 0), ("RFP", 1)):
        kept = np.delete(pixels[:, place], place + 1, axis=0)
        assert statistics["mean"][channel] == pytest.approx(kept.mean())


def test_a_channel_that_is_always_constant_keeps_its_value(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_project(tmp_path, write_store, np.full((6, 1, 1, 16, 16), 7, np.uint16))
    with pytest.raises(
        InvalidInputError,
        match=r"the table would have no anchor.* 6 dropped \(blank frame\); .*leave it out of channels",
    ):
        index(path)
    table = index(path, blank_frames="keep")
    assert not AnchorDataset(table)[0]["anchor"].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_pixels_that_are_not_finite_are_named_or_filled(
    tmp_path: Path, write_store: WriteStore, dtype: str
) -> None:
    pixels = noise(dtype)
    pixels[2, 0, 0, 8, 8:11] = (np.nan, np.inf, -np.inf)
    pixels[4] = np.nan
    path = write_project(tmp_path, write_store, pixels)
    said = r"259 pixels of 2 frames.*fov='A/1/0' t=2 channel='Phase': 3; .*t=4 .*: 256.*--non-finite fill"
    with pytest.raises(StoreError, match=said):
        index(path)
    assert not (tmp_path / "anchors.parquet").exists()
    table = index(path, non_finite="fill")
    metadata = read_metadata(table)
    assert (metadata.non_finite, metadata.frames) == (
        "fill",
        {"a": {"frames": 6, "blank": 1, "non_finite": 2}},
    )
    dataset = AnchorDataset(table, positive="self")
    (row,) = np.flatnonzero(dataset.anchors["t"] == 2)
    patch = dataset[int(row)]["anchor"].numpy()
    assert np.isfinite(patch).all()
    assert not patch[0, 0, 4, 4:7].any()
    (statistics,) = read_statistics(statistics_path(table)).query("level == 'field'").to_dict("records")
    assert statistics["mean"] == pytest.approx(pixels[np.isfinite(pixels)].astype(float).mean(), rel=1e-6)


def test_statistics_of_another_index_are_refused(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_project(tmp_path / "one", write_store, noise())
    table = index(path)
    kept = statistics_path(table).read_bytes()
    index(path, statistics=False, overwrite=True)
    with pytest.raises(InvalidInputError, match=r"anchors\.statistics\.parquet' does not exist"):
        AnchorDataset(table)
    statistics_path(table).write_bytes(kept)
    assert len(AnchorDataset(table)) == 5  # those of the same images are still true
    other = write_project(tmp_path / "two", write_store, 2 * noise()[:4])
    options: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 1)), "progress": False}
    build_index(other, table, overwrite=True, statistics=False, **options)
    statistics_path(table).write_bytes(kept)
    with pytest.raises(InvalidInputError, match=r"anchors\.statistics\.parquet.*earlier index.*again"):
        AnchorDataset(table)
    write_statistics(
        statistics_path(table), compute_statistics(read_metadata(table).experiments, progress=False)
    )
    assert len(AnchorDataset(table)) == 3
