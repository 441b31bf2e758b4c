"""Arrays in every codec, byte order and data type: read rightly, or refused when the file is checked."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pandas as pd
import pytest
import yaml
import zarr
from typer.testing import CliRunner

from viscy_data.cli.app import app
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import ExperimentsFileError, StoreError
from viscy_data.indexing.run import build_index
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.run import rewrite
from viscy_data.tables.anchors.read import read_metadata
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]
FOVS = ("A/1/0", "A/1/1")
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(1, 1000, (4, 1, 1, 32, 32)).astype(np.uint16)


def write_project(folder: Path, write_store: WriteStore, change: Callable[[Path], object]) -> Path:
    """Write a plate of NGFF 0.4 and its experiments file, and do something to its arrays."""
    write_store(folder / "a.zarr", dict.fromkeys(FOVS, PIXELS), ("Phase",), version="0.4")
    for fov in FOVS:
        change(folder / "a.zarr" / fov / "0")
        (folder / "a" / fov).mkdir(parents=True)
        table = pd.DataFrame({"track_id": 1, "t": range(len(PIXELS)), "y": 16.0, "x": 16.0})
        table.to_csv(folder / "a" / fov / "tracks.csv", index=False)
    entry = {"name": "a", "data_path": "a.zarr", "tracks_path": "a", "channels": ["Phase"]}
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": [entry]}))
    return path


def rewritten(pixels: Any = PIXELS, **options: Any) -> Callable[[Path], object]:
    """Return what writes an array anew with zarr-python, in format 2."""

    def change(array: Path) -> None:
        given: dict[str, Any] = {"chunks": (1, 1, 1, 16, 16), "overwrite": True, "zarr_format": 2}
        separator: Any = {"name": "v2", "separator": "/"}
        own = {"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"}
        with zarr.config.set(own):  # iohub, which knows fewer codecs, replaces it
            zarr.create_array(array, data=pixels, chunk_key_encoding=separator, **(given | options))

    return change


def index(path: Path, **options: Any) -> Path:
    out = path.with_name("anchors.parquet")
    given: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 1)), "progress": False}
    build_index(path, out, **(given | options))
    return out


def patches(table: Path) -> Any:
    dataset = AnchorDataset(table, positive="self", normalization="none")
    return dataset.__getitems__(range(len(dataset)))["anchor"].numpy()[:4, 0, 0]


ODD: dict[str, Any] = {
    "lz4": {"compressors": numcodecs.LZ4()},
    "delta": {"filters": numcodecs.Delta("<u2")},
    "zstd with a checksum": {"compressors": numcodecs.Zstd(level=3, checksum=True)},
}


@pytest.mark.parametrize("codec", ODD)
@pytest.mark.parametrize("statistics", [True, False])
def test_a_codec_that_cannot_be_read_is_said_with_the_other_problems(
    tmp_path: Path, write_store: WriteStore, codec: str, statistics: bool
) -> None:
    path = write_project(tmp_path, write_store, rewritten(**ODD[codec]))
    content = yaml.safe_load(path.read_text())
    content["experiments"].append(content["experiments"][0] | {"name": "b", "channels": ["GFP"]})
    content["experiments"][1]["data_path"] = str(
        write_store(tmp_path / "b.zarr", {FOVS[0]: PIXELS}, ("RFP",))
    )
    path.write_text(yaml.safe_dump(content))
    both = f"fov={FOVS[0]}, {FOVS[1]}: the array cannot be read"
    said = rf"(?s)2 problems.*{both}.*viscy-data optimize .*a\.zarr.*'GFP'"
    with pytest.raises(ExperimentsFileError, match=said):
        index(path, statistics=statistics)


@pytest.mark.parametrize("codec", ODD)
def test_optimize_rescues_what_zarr_python_reads(tmp_path: Path, write_store: WriteStore, codec: str) -> None:
    path = write_project(tmp_path, write_store, rewritten(**ODD[codec]))
    command = [
        "optimize",
        str(tmp_path / "a.zarr"),
        "-o",
        str(tmp_path / "b.zarr"),
        "--patch",
        "1,8,8",
        "--yes",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "the original cannot be read by training" in result.output
    path.write_text(path.read_text().replace("a.zarr", "b.zarr"))
    assert np.array_equal(patches(index(path)), PIXELS[:, 0, 0, 12:20, 12:20])


def test_a_rescue_does_not_take_damage_for_zeros(tmp_path: Path, write_store: WriteStore) -> None:
    write_project(tmp_path, write_store, rewritten(**ODD["lz4"]))
    (tmp_path / "a.zarr" / FOVS[0] / "0/1/0/0/0/0").unlink()
    job = plan_job(tmp_path / "a.zarr", tmp_path / "b.zarr", patch=(1, 8, 8))
    with pytest.raises(StoreError, match="fov='A/1/0' t=1"):
        rewrite(job, progress=False)
    filled = plan_job(tmp_path / "a.zarr", tmp_path / "c.zarr", patch=(1, 8, 8), missing_chunks="fill")
    rewrite(filled, progress=False)
    copy: Any = zarr.open_array(tmp_path / "c.zarr" / FOVS[0] / "0", mode="r")
    assert not copy[1, 0, 0, :16, :16].any()
    assert np.array_equal(copy[2:], PIXELS[2:])


def test_a_codec_that_nobody_reads_has_another_remedy(tmp_path: Path, write_store: WriteStore) -> None:
    def change(array: Path) -> None:
        file = array / ".zarray"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"compressor": {"id": "secret"}}))

    with pytest.raises(ExperimentsFileError, match="Nor can zarr-python; write the store anew"):
        index(write_project(tmp_path, write_store, change))


def test_what_is_excluded_is_not_opened(tmp_path: Path, write_store: WriteStore) -> None:
    odd = rewritten(**ODD["lz4"])
    path = write_project(tmp_path, write_store, lambda array: odd(array) if FOVS[1] in str(array) else None)
    content = yaml.safe_load(path.read_text())
    content["experiments"][0]["exclude_fovs"] = [FOVS[1]]
    path.write_text(yaml.safe_dump(content))
    assert len(read_metadata(index(path)).experiments.experiments) == 1


@pytest.mark.parametrize(
    "dtype",
    ["|b1", "|u1", "|i1", ">u2", ">i2", "<i4", ">u4", "<i8", ">u8", "<f2", ">f2", ">f4", "<f8", ">f8"],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_is_read_in_its_byte_order(
    tmp_path: Path, write_store: WriteStore, dtype: str, order: Any
) -> None:
    pixels = (PIXELS % 2 if dtype == "|b1" else PIXELS % 100).astype(dtype)
    path = write_project(tmp_path, write_store, rewritten(pixels, order=order))
    table = index(path)
    assert np.array_equal(patches(table), pixels[:, 0, 0, 12:20, 12:20].astype(np.float32))
    normalised = AnchorDataset(table, positive="self")[0]["anchor"].numpy()[0]
    centre, spread = pixels.astype(float).mean(), pixels.astype(float).std()
    assert normalised == pytest.approx(
        (pixels[0, 0, :, 12:20, 12:20].astype(float) - centre) / spread, abs=1e-4
    )


@pytest.mark.parametrize("dtype", ["<c8", "<c16", [("a", "<u2"), ("b", "<u2")]])
def test_what_is_no_number_is_refused(tmp_path: Path, write_store: WriteStore, dtype: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_project(tmp_path, write_store, rewritten(PIXELS.astype(dtype)))
    with pytest.raises(ExperimentsFileError, match=r"dtype=.*pixels must be whole numbers or floats"):
        index(path, statistics=False)
