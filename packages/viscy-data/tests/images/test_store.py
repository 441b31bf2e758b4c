import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.patches import Crop
from viscy_data.images.store import StoreReader, describe
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments

Pixels = NDArray[Any]
WriteStore = Callable[..., Path]
MakePixels = Callable[..., Pixels]

SHAPE = (3, 3, 4, 40, 48)
CHANNELS = ("Phase", "RFP", "GFP")
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def experiment(path: Path, name: str = "a", channels: tuple[str, ...] = CHANNELS) -> Experiment:
    return Experiment(name=name, data_path=path, tracks_path=path, channels=channels)


def reader_of(*experiments: Experiment, **options: Any) -> StoreReader:
    return StoreReader(Experiments(experiments=experiments), **options)


def chunk_file(store: Path, fov: str, index: tuple[int, ...]) -> Path:
    array = store / fov / "0"
    inner = array / "c" if (array / "zarr.json").exists() else array
    return inner.joinpath(*map(str, index))


@pytest.fixture
def pixels(make_pixels: MakePixels) -> Pixels:
    return make_pixels(SHAPE)


@VERSIONS
def test_a_plate_is_described(tmp_path: Path, write_store: WriteStore, pixels: Pixels, version: str) -> None:
    images = {"A/1/0": pixels, "B/12/3": pixels[:1, :, :2]}
    store = write_store(tmp_path / "p.zarr", images, CHANNELS, version=version, pixel_size_um=(0.5, 0.25))
    first, second = describe(experiment(store))
    assert (first.fov, first.well, first.shape, first.channels) == ("A/1/0", "A/1", SHAPE, CHANNELS)
    assert (second.fov, second.well, second.shape) == ("B/12/3", "B/12", (1, 3, 2, 40, 48))
    assert first.pixel_size_um == (0.5, 0.25)


@VERSIONS
def test_a_single_position_is_described_and_read(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels, version: str
) -> None:
    store = write_store(tmp_path / "one.zarr", pixels, CHANNELS, version=version)
    (fov,) = describe(experiment(store))
    assert (fov.fov, fov.well, fov.shape) == ("one", "", SHAPE)
    (read,) = reader_of(experiment(store)).read([Crop("a", "one", 2, (1, 3), (0, 40), (5, 9))])
    np.testing.assert_array_equal(read, pixels[2, :, 1:3, :, 5:9])


def test_a_scale_of_one_means_not_known(tmp_path: Path, write_store: WriteStore, pixels: Pixels) -> None:
    store = write_store(tmp_path / "one.zarr", pixels, CHANNELS)
    assert describe(experiment(store))[0].pixel_size_um is None


def test_units_become_micrometres(tmp_path: Path, write_store: WriteStore, pixels: Pixels) -> None:
    store = write_store(tmp_path / "one.zarr", pixels, CHANNELS, pixel_size_um=(325.0, 325.0))
    metadata = store / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"micrometer"', '"nanometer"'))
    assert describe(experiment(store))[0].pixel_size_um == pytest.approx((0.325, 0.325))


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"experiment='a'.*gone.zarr.*does not exist"):
        describe(experiment(tmp_path / "gone.zarr"))
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(StoreError, match=r"empty.zarr.*cannot be read as OME-Zarr"):
        describe(experiment(tmp_path / "empty.zarr"))


@VERSIONS
@pytest.mark.parametrize("wanted", [CHANNELS, ("GFP", "Phase"), ("RFP",), ("RFP", "GFP")])
def test_crops_are_slices(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels, version: str, wanted: tuple[str, ...]
) -> None:
    store = write_store(
        tmp_path / "p.zarr", {"A/1/0": pixels, "A/2/0": pixels[::-1]}, CHANNELS, version=version
    )
    crops = [
        Crop("a", "A/1/0", 0, (0, 4), (0, 40), (0, 48)),
        Crop("a", "A/2/0", 2, (1, 2), (7, 25), (31, 48)),
        Crop("a", "A/1/0", 1, (3, 4), (39, 40), (0, 1)),
        Crop("a", "A/1/0", 1, (3, 4), (39, 40), (0, 1)),
    ]
    places = [CHANNELS.index(name) for name in wanted]
    for crop, read in zip(crops, reader_of(experiment(store, channels=wanted)).read(crops), strict=True):
        image = pixels if crop.fov == "A/1/0" else pixels[::-1]
        box = (slice(*crop.z), slice(*crop.y), slice(*crop.x))
        np.testing.assert_array_equal(read, image[crop.t][(places, *box)])
        assert read.dtype == pixels.dtype


def test_channels_are_arrays_that_read_what_is_indexed(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    one = experiment(store, channels=("GFP", "Phase"))
    arrays = reader_of(one).channel_arrays("a", "A/1/0")
    assert list(arrays) == ["GFP", "Phase"]
    chunk_file(store, "A/1/0", (0, 0, 0, 0, 0)).write_bytes(b"damaged")
    assert np.array_equal(arrays["GFP"][1, 2], pixels[1, 2, 2])
    assert np.array_equal(arrays["Phase"][2], pixels[2, 0])
    with pytest.raises(StoreError, match=r"experiment='a' has no fov='A/1/1'.* Did you mean 'A/1/0'"):
        reader_of(one).channel_arrays("a", "A/1/1")
    shutil.rmtree(store / "A/1/0" / "0")
    with pytest.raises(StoreError, match=r"A/1/0"):
        reader_of(one).channel_arrays("a", "A/1/0")


def test_stores_of_two_experiments_share_fov_names(
    tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels
) -> None:
    images = [make_pixels(SHAPE, seed) for seed in (1, 2)]
    stores = [
        write_store(tmp_path / f"{i}.zarr", {"A/1/0": image}, CHANNELS) for i, image in enumerate(images)
    ]
    reader = reader_of(experiment(stores[0], "a"), experiment(stores[1], "b"), cache_bytes=1 << 20)
    box = ((0, 1), (0, 8), (0, 8))
    for _ in range(2):
        first, second = reader.read([Crop("a", "A/1/0", 0, *box), Crop("b", "A/1/0", 0, *box)])
        np.testing.assert_array_equal(first, images[0][0, :, :1, :8, :8])
        np.testing.assert_array_equal(second, images[1][0, :, :1, :8, :8])


Damage = Literal["deleted", "truncated", "emptied", "overwritten"]


def damage(file: Path, how: Damage) -> None:
    content = file.read_bytes()
    if how == "deleted":
        file.unlink()
    else:
        left = {
            "truncated": content[: len(content) // 2],
            "emptied": b"",
            "overwritten": b"\xff" * len(content),
        }
        file.write_bytes(left[how])


@VERSIONS
@pytest.mark.parametrize("how", ["deleted", "truncated", "emptied", "overwritten"])
def test_a_damaged_chunk_is_an_error_that_names_it(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels, version: str, how: Damage
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS, version=version)
    damage(chunk_file(store, "A/1/0", (1, 2, 0, 0, 0)), how)
    reader = reader_of(experiment(store))
    whole = Crop("a", "A/1/0", 1, (0, 4), (0, 40), (0, 48))
    with pytest.raises(StoreError, match=r"store='.*p.zarr' fov='A/1/0' t=1 channel='GFP' ") as caught:
        reader.read([whole])
    assert ("missing_chunks='fill'" in str(caught.value)) == (how == "deleted")
    good, bad = reader.try_read([whole._replace(t=0), whole])
    assert isinstance(bad, StoreError)
    np.testing.assert_array_equal(np.asarray(good), pixels[0])
    (beside,) = reader.read([whole._replace(y=(16, 40))])
    np.testing.assert_array_equal(beside, pixels[1, :, :, 16:])


def test_missing_chunks_are_filled_when_asked(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels
) -> None:
    pixels[0, 0, 0, :16, :16] = 0
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    assert not chunk_file(store, "A/1/0", (0, 0, 0, 0, 0)).exists()
    (read,) = reader_of(experiment(store), missing_chunks="fill").read(
        [Crop("a", "A/1/0", 0, (0, 4), (0, 40), (0, 48))]
    )
    np.testing.assert_array_equal(read, pixels[0])


@pytest.mark.parametrize("missing_chunks", ["error", "fill"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_vanished_store_is_an_error(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels, opened: bool, missing_chunks: str
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    reader = reader_of(experiment(store), missing_chunks=missing_chunks)
    reader.fovs("a")
    crop = Crop("a", "A/1/0", 0, (0, 1), (0, 8), (0, 8))
    if opened:
        reader.read([crop._replace(t=1)])
    shutil.move(store, tmp_path / "away")
    with pytest.raises(
        StoreError, match=r"store='.*p.zarr' fov='A/1/0' t=0 channel='Phase', 'RFP', 'GFP' .*gone"
    ):
        reader.read([crop])
    shutil.move(tmp_path / "away", store)
    np.testing.assert_array_equal(reader.read([crop])[0], pixels[0, :, :1, :8, :8])


def test_a_crop_outside_the_image_is_an_error(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    reader = reader_of(experiment(store))
    for crop in (
        Crop("a", "A/1/0", 3, (0, 1), (0, 8), (0, 8)),
        Crop("a", "A/1/0", 0, (0, 1), (36, 44), (0, 8)),
    ):
        with pytest.raises(StoreError, match=rf"fov='A/1/0' t={crop.t}"):
            reader.read([crop])


def test_unknown_names_are_refused(tmp_path: Path, write_store: WriteStore, pixels: Pixels) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    box = ((0, 1), (0, 8), (0, 8))
    with pytest.raises(InvalidInputError, match="experiment='b' is not in the experiments file"):
        reader_of(experiment(store)).read([Crop("b", "A/1/0", 0, *box)])
    with pytest.raises(StoreError, match=r"no fov='A/1/1'. Did you mean 'A/1/0'"):
        reader_of(experiment(store)).read([Crop("a", "A/1/1", 0, *box)])
    with pytest.raises(StoreError, match=r"no channel \['RFQ'\].* Did you mean 'RFP'"):
        reader_of(experiment(store, channels=("RFQ",))).read([Crop("a", "A/1/0", 0, *box)])
    with pytest.raises(InvalidInputError, match="cache_bytes=-1"):
        reader_of(experiment(store), cache_bytes=-1)
    with pytest.raises(InvalidInputError, match="missing_chunks='zero'"):
        reader_of(experiment(store), missing_chunks="zero")


def test_a_pickled_reader_opens_its_own_stores(
    tmp_path: Path, write_store: WriteStore, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    reader = reader_of(experiment(store))
    crop = Crop("a", "A/1/0", 0, (0, 1), (0, 8), (0, 8))
    reader.read([crop])
    copy = pickle.loads(pickle.dumps(reader))
    monkeypatch.setattr(os, "getpid", lambda: -2)
    np.testing.assert_array_equal(copy.read([crop])[0], pixels[0, :, :1, :8, :8])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_is_refused(tmp_path: Path, write_store: WriteStore, pixels: Pixels) -> None:
    store = write_store(tmp_path / "p.zarr", {"A/1/0": pixels}, CHANNELS)
    reader = reader_of(experiment(store))
    crop = Crop("a", "A/1/0", 0, (0, 1), (0, 8), (0, 8))
    reader.read([crop])
    with warnings.catch_warnings():
        # Python warns of forking with threads, which is the mistake under test.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            reader.read([crop])
        except StoreError as error:
            os._exit(7 if "multiprocessing_context='forkserver'" in str(error) else 8)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
