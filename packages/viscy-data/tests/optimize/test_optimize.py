"""A store rewritten: the same pixels and metadata, whole or not at all, and the original untouched."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.ngff import read_attributes
from viscy_data.optimize import job, writing
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.layout import SHARD_BYTES, Layout
from viscy_data.optimize.metadata import to_ngff_05
from viscy_data.optimize.run import rewrite

Pixels = NDArray[Any]
WriteStore = Callable[..., Path]
MakePixels = Callable[..., Pixels]

SHAPE = (3, 2, 4, 40, 48)
CHANNELS = ("Phase", "GFP")
PATCH = (2, 16, 16)
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def images(make_pixels: MakePixels) -> dict[str, Pixels]:
    return {"A/1/0": make_pixels(SHAPE), "A/1/1": make_pixels(SHAPE, 1), "B/12/0": make_pixels(SHAPE, 2)}


@pytest.fixture
def plate(tmp_path: Path, write_store: WriteStore, images: dict[str, Pixels]) -> Path:
    return write_store(tmp_path / "plate.zarr", images, CHANNELS, pixel_size_um=(0.5, 0.25))


@given(
    shape=st.tuples(
        st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 5000), st.integers(1, 5000)
    ),
    patch=st.tuples(st.integers(1, 40), st.integers(1, 600), st.integers(1, 600)),
    itemsize=st.sampled_from([1, 2, 4, 8]),
)
def test_shards_cover_a_frame_once_and_are_small(
    shape: tuple[int, ...], patch: tuple[int, int, int], itemsize: int
) -> None:
    layout = Layout.fit(shape, itemsize, patch)
    assert all(
        0 < chunk <= length and shard % chunk == 0
        for chunk, shard, length in zip(layout.chunk, layout.shard, shape, strict=True)
    )
    boxes = list(layout.boxes(0))
    volumes = [np.prod([stop - start for start, stop in (box.z, box.y, box.x)]) for box in boxes]
    assert sum(volumes) == np.prod(shape[2:])
    assert len({(box.z, box.y, box.x) for box in boxes}) == len(boxes)
    within = (
        np.subtract(*bounds[::-1]) <= size
        for box in boxes
        for bounds, size in zip(box[1:], layout.shard[2:], strict=True)
    )
    assert all(within)
    small = np.prod(layout.shard) * itemsize <= SHARD_BYTES
    assert small or layout.shard == layout.chunk


@pytest.mark.parametrize("patch", [32, 64, 160])
def test_chunks_are_about_half_a_patch(patch: int) -> None:
    rows = Layout.fit((1, 1, 1, 1024, 2000), 2, (1, patch, patch)).chunk[-2:]
    assert all(0.4 * patch < size < 0.6 * patch for size in rows)


@VERSIONS
@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_plate_keeps_pixels_and_metadata(
    tmp_path: Path,
    write_store: WriteStore,
    images: dict[str, Pixels],
    version: str,
    compression: Literal["zstd", "none"],
) -> None:
    from iohub.ngff import open_ome_zarr

    store = write_store(tmp_path / "p.zarr", images, CHANNELS, version=version, pixel_size_um=(0.5, 0.25))
    before, out = digests(store), tmp_path / "fast.zarr"
    summary = rewrite(plan_job(store, out, patch=PATCH, compression=compression), progress=False)
    assert digests(store) == before
    assert {path.name for path in tmp_path.iterdir()} == {"p.zarr", "fast.zarr"}
    assert (summary.shards, summary.found) == (3 * SHAPE[0], 0)
    with open_ome_zarr(store, mode="r") as old, open_ome_zarr(out, mode="r") as new:
        assert new.version == "0.5"
        assert [name for name, _ in new.wells()] == [name for name, _ in old.wells()]
        assert new.metadata.rows == old.metadata.rows
        for (name, position), (_, was) in zip(new.positions(), old.positions(), strict=True):
            assert np.array_equal(position["0"][:], images[name])
            assert position.channel_names == was.channel_names
            assert position.scale == was.scale
            assert position.axes == was.axes
            assert position.metadata.omero.channels == was.metadata.omero.channels
            assert position["0"].shards is not None
            assert position["0"].chunks[:3] == (1, 2, 2)
    assert read_attributes(out)["viscy_data_optimize"]["pixels"] == summary.digest


@VERSIONS
def test_a_single_position_is_rewritten(
    tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels, version: str
) -> None:
    from iohub.ngff import open_ome_zarr

    pixels = make_pixels(SHAPE, dtype=np.float32)
    store = write_store(tmp_path / "p.zarr", pixels, CHANNELS, version=version)
    rewrite(plan_job(store, tmp_path / "out.zarr", patch=PATCH), progress=False)
    with open_ome_zarr(tmp_path / "out.zarr", mode="r") as position:
        assert np.array_equal(position["0"][:], pixels)
        assert position["0"].dtype == np.float32


def test_large_frames_become_several_shards(
    tmp_path: Path, plate: Path, images: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viscy_data.optimize.layout.SHARD_BYTES", 4000)
    summary = rewrite(plan_job(plate, tmp_path / "out.zarr", patch=PATCH), progress=False)
    assert summary.shards > 3 * SHAPE[0]
    for name, pixels in images.items():
        assert np.array_equal(zarr.open_array(tmp_path / "out.zarr" / name / "0", mode="r")[:], pixels)


def test_chunks_that_span_frames_are_read(tmp_path: Path, make_pixels: MakePixels) -> None:
    from iohub.ngff import open_ome_zarr

    pixels = make_pixels((5, 2, 1, 40, 48))
    options: dict[str, Any] = {"layout": "fov", "mode": "w-", "channel_names": ["a", "b"], "version": "0.5"}
    with open_ome_zarr(tmp_path / "p.zarr", **options) as position:
        position.create_image("0", pixels, chunks=(3, 2, 1, 20, 20))
    rewrite(plan_job(tmp_path / "p.zarr", tmp_path / "out.zarr", patch=(1, 16, 16)), progress=False)
    copy = zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")
    assert copy.shards is not None
    assert copy.shards[0] == 1
    assert np.array_equal(copy[:], pixels)


def test_chunks_of_zeros_are_written(tmp_path: Path, write_store: WriteStore) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": np.zeros(SHAPE, np.uint8)}, CHANNELS)
    refused = plan_job(store, tmp_path / "out.zarr", patch=PATCH)
    with pytest.raises(StoreError, match=r"fov='A/1/0' t=\d.*--missing-chunks fill"):
        rewrite(refused, progress=False)
    filled = plan_job(store, tmp_path / "other.zarr", patch=PATCH, missing_chunks="fill")
    rewrite(filled, progress=False)
    files = [path for path in (tmp_path / "other.zarr" / "A/1/0/0/c").rglob("*") if path.is_file()]
    assert len(files) == SHAPE[0]


@pytest.mark.parametrize("damage", ["deleted", "cut", "noise"])
def test_a_damaged_original_is_an_error_and_leaves_no_output(
    tmp_path: Path, plate: Path, damage: str
) -> None:
    chunk = plate / "A/1/1/0/c/1/0/0/0/0"
    if damage == "deleted":
        chunk.unlink()
    else:
        whole = chunk.read_bytes()
        chunk.write_bytes(whole[:20] if damage == "cut" else bytes(reversed(whole)))
    with pytest.raises(StoreError, match=r"cannot read store=.*fov='A/1/1' t=1"):
        rewrite(plan_job(plate, tmp_path / "out.zarr", patch=PATCH), progress=False)
    assert not (tmp_path / "out.zarr").exists()


def test_pixels_that_come_back_otherwise_are_an_error(
    tmp_path: Path, plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = job.open_array

    def flip(folder: Path, **options: Any) -> Any:
        array = original(folder, **options)
        return array if "partial" not in str(folder) else original(plate / "B/12/0/0")

    monkeypatch.setattr(writing, "open_array", flip)
    with pytest.raises(StoreError, match=r"what was read back differs"):
        rewrite(plan_job(plate, tmp_path / "out.zarr", patch=PATCH), progress=False)
    assert not (tmp_path / "out.zarr").exists()


def test_of_a_pyramid_the_first_level_and_all_other_attributes_are_kept() -> None:
    levels = [{"path": "s0", "coordinateTransformations": [1]}, {"path": "s1"}]
    old = {"multiscales": [{"version": "0.4", "datasets": levels, "name": "x"}], "omero": {"id": 1}, "lab": 7}
    new = to_ngff_05({**old, "version": "0.4"})
    assert new == {
        "lab": 7,
        "ome": {"version": "0.5", "multiscales": [{"datasets": levels[:1], "name": "x"}], "omero": {"id": 1}},
    }
    assert to_ngff_05(json.loads(json.dumps(new))) == new


def test_what_cannot_be_done_is_said_before_anything_is_written(tmp_path: Path, plate: Path) -> None:
    out = tmp_path / "out.zarr"
    for options, error, message in (
        ({"patch": (1, 0, 8)}, InvalidInputError, "patch=.* must be three positive integers"),
        ({"patch": (1, 41, 8)}, InvalidInputError, "does not fit into fov='A/1/0'"),
        ({"compression": "gzip"}, InvalidInputError, "compression='gzip'"),
        ({"out": plate}, InvalidInputError, "exists; name another"),
        ({"out": plate / "in.zarr"}, InvalidInputError, "lies inside the Zarr store"),
        ({"out": tmp_path / "no" / "out.zarr"}, InvalidInputError, "does not exist; make it"),
        ({"store": tmp_path / "absent.zarr"}, StoreError, "does not exist"),
        ({"store": plate / "A/1/0/0"}, StoreError, "cannot be read as OME-Zarr"),
    ):
        arguments: dict[str, Any] = {"store": plate, "out": out, "patch": PATCH} | options
        with pytest.raises(error, match=message):
            plan_job(arguments.pop("store"), arguments.pop("out"), **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["plate.zarr"]
