"""How gaps and odd pixels are read is chosen once, when a table is indexed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.anchors import read_metadata
from viscy_data.bench.cli import _case
from viscy_data.dataset import AnchorDataset, Reading
from viscy_data.errors import StoreError
from viscy_data.index import build_index
from viscy_data.tau import TauRange

type WriteStore = Callable[..., Path]
FOV = "A/1/0"


def write_project(folder: Path, write_store: WriteStore, pixels: Any) -> Path:
    """Write one field of view, in which a cell stays at the same place, and its experiments file."""
    write_store(folder / "a.zarr", {FOV: pixels}, ("Phase",))
    table = pd.DataFrame({"track_id": 1, "t": range(len(pixels)), "y": 8.0, "x": 8.0})
    (folder / "a" / FOV).mkdir(parents=True)
    table.to_csv(folder / "a" / FOV / "tracks.csv", index=False)
    entry = {"name": "a", "data_path": "a.zarr", "tracks_path": "a", "channels": ["Phase"]}
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": [entry]}))
    return path


def index(path: Path, **options: Any) -> Path:
    out = path.with_name("anchors.parquet")
    build_index(path, out, patch_size=(8, 8), tau=TauRange(frames=(1, 1)), progress=False, **options)
    return out


def noise(dtype: str = "uint16") -> Any:
    return np.random.default_rng(0).integers(1, 500, (6, 1, 1, 16, 16)).astype(dtype)


@pytest.fixture
def gappy(tmp_path: Path, write_store: WriteStore) -> Path:
    path = write_project(tmp_path, write_store, noise())
    (tmp_path / "a.zarr" / FOV / "0" / "c" / "2" / "0" / "0" / "0" / "0").unlink()
    return path


def test_missing_chunks_filled_at_index_are_filled_ever_after(gappy: Path) -> None:
    table = index(gappy, missing_chunks="fill")
    assert read_metadata(table).missing_chunks == "fill"
    dataset = AnchorDataset(table, positive="self", normalize=None)
    (row,) = np.flatnonzero(dataset.anchors["t"] == 2)
    assert not dataset[int(row)]["anchor"].any()
    with pytest.raises(StoreError, match=r"t=2 .*index --missing-chunks fill"):
        AnchorDataset(table, positive="self", reading=Reading(missing_chunks="error"))[int(row)]


def test_bench_reads_as_the_table_was_indexed(gappy: Path) -> None:
    table = index(gappy, missing_chunks="fill")
    assert _case(gappy, table, 1, None, (None, 2)).missing_chunks == "fill"
    assert _case(gappy, table, 1, "error", (None, 2)).missing_chunks == "error"


def test_missing_chunks_are_damage_unless_the_table_says_otherwise(gappy: Path) -> None:
    table = index(gappy, statistics=False)
    assert read_metadata(table).missing_chunks == "error"
    with pytest.raises(StoreError, match="t=2"):
        AnchorDataset(table, normalize=None)[1]
    assert not AnchorDataset(table, normalize=None, reading=Reading(missing_chunks="fill"))[2]["anchor"].any()


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
        AnchorDataset(table, positive="self", normalize=None)[2]
    filled = AnchorDataset(table, positive="self", normalize=None, reading=Reading(non_finite="fill"))
    patch = filled[2]["anchor"].numpy()
    assert np.array_equal(np.argwhere(patch == 0)[:, 2:], [[4, 4], [4, 5]])
    assert np.array_equal(patch[patch != 0], pixels[2, 0, 0, 4:12, 4:12][patch[0, 0] != 0])


def test_a_number_too_large_for_32_bits_is_not_finite(tmp_path: Path, write_store: WriteStore) -> None:
    pixels = noise("float64")
    pixels[2, 0, 0, 8, 8] = 1e300
    table = index(write_project(tmp_path, write_store, pixels), statistics=False)
    with pytest.raises(StoreError, match="1 pixels of the crop are not finite"):
        AnchorDataset(table, positive="self", normalize=None)[2]
