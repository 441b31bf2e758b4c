"""Stores as other programs write them: the archives of small cases that went wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cases import unpack_case

from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import ExperimentsFileError, StoreError
from viscy_data.images.statistics import read_statistics
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.run import rewrite
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.tau import TauRange


def index(experiments: Path, **options: Any) -> IndexSummary:
    out = experiments.with_suffix(".parquet")
    given: dict[str, Any] = {"patch_size": (12, 12), "tau": TauRange(frames=(1, 2)), "progress": False}
    return build_index(experiments, out, **(given | options))


def bright_centres(anchors: Path, **options: Any) -> list[bool]:
    """Return for each patch whether its middle 4 x 4 pixels show a cell."""
    given: dict[str, Any] = {"positive": "self", "normalization": "none", "patch_size": (16, 16)}
    dataset = AnchorDataset(anchors, **(given | options))
    patches = dataset.__getitems__(range(len(dataset)))["anchor"].numpy()
    middle = patches.shape[-1] // 2
    cut = slice(middle - 2, middle + 2)
    return list(patches[..., cut, cut].mean(axis=(1, 2, 3, 4)) > 1500)


def test_a_plate_whose_rows_have_no_metadata(tmp_path: Path) -> None:
    summary = index(unpack_case("01", tmp_path) / "experiments.yaml")
    assert set(read_anchors(summary.anchors_path)["fov"]) == {"A/1/0", "B/2/0"}
    shown = bright_centres(summary.anchors_path)
    assert shown
    assert all(shown)


@pytest.mark.parametrize("name", ["v4_image", "v5_image", "few_named", "few_number"])
def test_an_image_of_bioformats2raw_and_few_names(tmp_path: Path, name: str) -> None:
    folder = unpack_case("08", tmp_path)
    if name.startswith("few"):  # the first channel alone has a name, and its file asks for it
        path = folder / f"{name}.yaml"
        content = yaml.safe_load(path.read_text())
        content["experiments"][0]["channels"] = ["DIA"] if name == "few_named" else ["1"]
        path.write_text(yaml.safe_dump(content))
    shown = bright_centres(index(folder / f"{name}.yaml").anchors_path)
    assert shown
    assert name == "few_named" or all(shown)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("v4_root", r"point data_path to .*v4\.zarr/0"),
        ("v5_root", r"point data_path to .*v5\.zarr/0"),
        ("few_named", r"'GFP' is not in the store, which holds '1', '2', 'DIA'"),
        ("many", "names 4 channels .*Cy5.*has 3"),
        ("twice", "'GFP' is the name of channels 0, 1"),
    ],
)
def test_a_root_of_bioformats2raw_and_names_that_cannot_be_told(
    tmp_path: Path, name: str, match: str
) -> None:
    with pytest.raises(ExperimentsFileError, match=match):
        index(unpack_case("08", tmp_path) / f"{name}.yaml")


def test_missing_chunks_are_one_setting(tmp_path: Path) -> None:
    folder = unpack_case("03", tmp_path)
    with pytest.raises(StoreError, match="index --missing-chunks fill"):
        index(folder / "experiments.yaml")
    table = index(folder / "experiments.yaml", missing_chunks="fill").anchors_path
    assert len(bright_centres(table)) > 0


def test_blank_frames_are_left_out(tmp_path: Path) -> None:
    summary = index(unpack_case("04", tmp_path) / "experiments.yaml")
    metadata = read_metadata(summary.anchors_path)
    assert metadata.frames == {
        "whole": {"frames": 12, "blank": 0, "non_finite": 0},
        "dropped": {"frames": 12, "blank": 7, "non_finite": 0},
    }
    assert metadata.dropped["dropped"] == {"blank frame": 42}
    statistics = read_statistics(summary.statistics_path).query("level == 'field'")
    assert abs(statistics["median"] - 501).max() < 2
    assert abs(statistics["iqr"] - 9).max() < 2


def test_pixels_that_are_nan_are_named_or_filled(tmp_path: Path) -> None:
    folder = unpack_case("05", tmp_path)
    with pytest.raises(StoreError, match=r"not finite.*experiment='p\d' fov=.* t=\d+ channel='Phase3D': \d+"):
        index(folder / "experiments.yaml")
    table = index(folder / "experiments.yaml", non_finite="fill").anchors_path
    dataset = AnchorDataset(table, positive="self")
    assert len(dataset) >= 288
    assert np.isfinite(dataset.__getitems__(range(len(dataset)))["anchor"].numpy()).all()


@pytest.mark.parametrize("name", ["bigendian", "dot", "filters_empty", "fortran", "gzip"])
def test_codecs_that_are_read(tmp_path: Path, name: str) -> None:
    shown = bright_centres(index(unpack_case("06", tmp_path) / f"{name}.yaml").anchors_path)
    assert shown
    assert all(shown)


@pytest.mark.parametrize("name", ["delta", "lz4", "zstd"])
def test_codecs_that_are_rescued(tmp_path: Path, name: str) -> None:
    folder = unpack_case("06", tmp_path)
    path = folder / f"{name}.yaml"
    with pytest.raises(ExperimentsFileError, match=rf"the array cannot be read.*optimize .*{name}\.zarr"):
        index(path, statistics=False)
    job = plan_job(folder / f"{name}.zarr", folder / "copy.zarr", patch=(1, 16, 16))
    rewrite(job, progress=False)
    path.write_text(path.read_text().replace(f"data_path: {name}.zarr", "data_path: copy.zarr"))
    shown = bright_centres(index(path).anchors_path)
    assert shown
    assert all(shown)


@pytest.mark.parametrize("name", ["micrometer", "micron", "um", "mu"])
def test_a_micron_is_a_micrometre(tmp_path: Path, name: str) -> None:
    folder = unpack_case("10", tmp_path)
    anchors = index(folder / f"{name}.yaml").anchors_path
    common = read_metadata(anchors).common_pixel_size_um
    assert (
        common
        == read_metadata(index(folder / "micrometer.yaml", overwrite=True).anchors_path).common_pixel_size_um
    )
    assert common is not None
    dataset = AnchorDataset(anchors, positive="self", normalization="none")
    fine = np.flatnonzero(dataset.anchors["experiment"] == "fine")
    bright = [(dataset[int(row)]["anchor"].numpy() > 1000).sum() for row in fine]
    assert np.median(bright) < 100
