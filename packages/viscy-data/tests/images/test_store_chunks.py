"""Layouts of stores: what is read equals zarr-python's slices, and every chunk is loaded once."""

import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iohub.ngff import open_ome_zarr
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.images.patches import Crop
from viscy_data.images.reading import ReadLimits
from viscy_data.images.store import StoreReader
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments

FOVS = ("A/1/0", "B/2/1")
CHANNELS = ("Phase", "RFP", "GFP")
WriteStore = Callable[..., Path]
MakePixels = Callable[..., NDArray[Any]]


class Layout(NamedTuple):
    version: Literal["0.4", "0.5"]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    ratio: tuple[int, ...] | None
    dtype: str


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    versions: list[Literal["0.4", "0.5"]] = ["0.4", "0.5"]
    version = draw(st.sampled_from(versions))
    shape = (3, 3, draw(st.integers(1, 4)), draw(st.integers(9, 30)), draw(st.integers(9, 30)))
    chunk = tuple(draw(st.integers(1, extent)) for extent in shape)
    ratio = None
    if version == "0.5" and draw(st.booleans()):
        ratio = tuple(draw(st.integers(1, 3)) for _ in shape)
    return Layout(version, shape, chunk, ratio, draw(st.sampled_from(["uint8", "uint16", "float32"])))


def write(path: Path, layout: Layout) -> None:
    rng = np.random.default_rng(0)
    with open_ome_zarr(
        path, layout="hcs", mode="w-", channel_names=list(CHANNELS), version=layout.version
    ) as plate:
        for fov in FOVS:
            array = plate.create_position(*fov.split("/")).create_zeros(
                "0", layout.shape, np.dtype(layout.dtype), chunks=layout.chunk, shards_ratio=layout.ratio
            )
            array[:] = rng.integers(1, 250, layout.shape).astype(layout.dtype)


def draw_crops(rng: np.random.Generator, layout: Layout, count: int) -> list[Crop]:
    def span(extent: int) -> tuple[int, int]:
        start, stop = sorted(rng.choice(extent + 1, 2, replace=False).tolist())
        return start, stop

    def crop() -> Crop:
        fov, t = str(rng.choice(FOVS)), int(rng.integers(layout.shape[0]))
        z, y, x = map(span, layout.shape[2:])
        return Crop("a", fov, t, z, y, x)

    return [crop() for _ in range(count)]


def chunks_of(crop: Crop, chunk: tuple[int, ...], channels: list[int]) -> set[tuple[str | int, ...]]:
    """Chunks of a crop, pixel by pixel."""
    pixels = product([crop.t], channels, range(*crop.z), range(*crop.y), range(*crop.x))
    return {(crop.fov, *(i // n for i, n in zip(one, chunk, strict=True))) for one in pixels}


def reader_of(path: Path, channels: tuple[str, ...] = CHANNELS, **options: Any) -> StoreReader:
    experiment = Experiment(name="a", data_path=path, tracks_path=path, channels=channels)
    return StoreReader(Experiments(experiments=(experiment,)), **options)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(layout=layouts(), seed=st.integers(0, 99), wanted=st.permutations(CHANNELS), used=st.integers(1, 3))
def test_every_layout_reads_as_zarr_python_does_and_loads_each_chunk_once(
    layout: Layout, seed: int, wanted: list[str], used: int
) -> None:
    channels = tuple(wanted[:used])
    places = [CHANNELS.index(name) for name in channels]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.zarr"
        write(path, layout)
        arrays = {fov: zarr.open_array(path / fov / "0", mode="r") for fov in FOVS}
        crops = draw_crops(np.random.default_rng(seed), layout, 12)
        slow = [
            np.asarray(arrays[crop.fov])[crop.t, places, slice(*crop.z), slice(*crop.y), slice(*crop.x)]
            for crop in crops
        ]
        reader = reader_of(path, channels)
        chunks = len(set[object]().union(*(chunks_of(crop, layout.chunk, places) for crop in crops)))
        # Twice: the second call finds all chunks in what the first could hold in flight.
        for again in (False, True):
            for read, expected in zip(reader.read(crops), slow, strict=True):
                np.testing.assert_array_equal(read, expected)
                assert read.dtype == expected.dtype
            counts = reader.drain_counts()
            assert counts.wanted == chunks if layout.ratio is None else counts.wanted >= chunks
            # The index of a shard that is wanted whole comes with the shard.
            assert counts.loaded == 0 if again else chunks <= counts.loaded <= counts.wanted
        # As little as there can be: crop after crop.
        reader.limit(ReadLimits(in_flight_bytes=1))
        for read, expected in zip(reader.read(crops), slow, strict=True):
            np.testing.assert_array_equal(read, expected)


def test_kept_chunks_need_no_file(tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels) -> None:
    pixels = make_pixels((4, 1, 1, 32, 32))
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, ["Phase"], chunk=32)
    reader = reader_of(store, ("Phase",))
    reader.limit(ReadLimits(in_flight_bytes=4 * 32 * 32 * 2, cache_bytes=5 * 32 * 32 * 2))
    crops = [Crop("a", "A/1/0", t, (0, 1), (5, 9), (20, 32)) for t in range(4)]
    before = reader.read(crops)
    for file in (store / "A/1/0/0/c").rglob("0"):
        if file.is_file():
            file.unlink()
    for one, other in zip(reader.read(crops), before, strict=True):
        np.testing.assert_array_equal(one, other)
    counts = reader.drain_counts()
    assert (counts.wanted, counts.loaded, counts.hits) == (8, 4, 4)


def test_what_no_limit_has_room_for_is_loaded_again(
    tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels
) -> None:
    pixels = make_pixels((4, 1, 1, 32, 32))
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, ["Phase"], chunk=32)
    reader = reader_of(store, ("Phase",))
    reader.limit(ReadLimits(in_flight_bytes=1))
    crops = [Crop("a", "A/1/0", t, (0, 1), (5, 9), (20, 32)) for t in range(4)]
    for _ in range(2):
        reader.read(crops)
    assert reader.drain_counts() == (8, 8)


def test_firm_limits_refuse_a_crop_that_needs_more(
    tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": make_pixels((1, 1, 1, 32, 32))}, ["Phase"], chunk=32)
    reader = reader_of(store, ("Phase",))
    crop = Crop("a", "A/1/0", 0, (0, 1), (0, 8), (0, 8))
    need = 2 * 32 * 32 * 2 + 8 * 8 * 2
    reader.limit(ReadLimits(in_flight_bytes=need, spare_bytes=0))
    assert reader.read([crop])[0].shape == (1, 1, 8, 8)
    reader.limit(ReadLimits(in_flight_bytes=need - 1, spare_bytes=0))
    with pytest.raises(InvalidInputError, match=rf"fov='A/1/0' takes {need} to read"):
        reader.read([crop])


def test_freed_memory_is_handed_back_where_limits_are_firm(
    tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": make_pixels((4, 1, 1, 32, 32))}, ["Phase"], chunk=32)
    reader = reader_of(store, ("Phase",))
    crops = [Crop("a", "A/1/0", t, (0, 1), (0, 8), (0, 8)) for t in range(4)]
    cost = 2 * 32 * 32 * 2 + 8 * 8 * 2
    beyond: list[int] = []
    monkeypatch.setattr("viscy_data.images.store.hand_back", beyond.append)
    reader.read(crops)
    assert beyond == []
    reader.limit(ReadLimits(in_flight_bytes=10 * cost, spare_bytes=4 * cost - 2))
    reader.read(crops)
    assert beyond == [2 * cost - 1] * 2
