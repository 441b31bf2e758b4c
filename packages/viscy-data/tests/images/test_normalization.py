from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.normalization import Normalizer, scales
from viscy_data.images.statistics import (
    compute_statistics,
    read_statistics,
    statistics_path,
    write_statistics,
)
from viscy_data.images.statistics_columns import (
    ALL_FOVS,
    ALL_FRAMES,
    CHANNEL,
    IQR,
    LEVEL,
    MEAN,
    MEDIAN,
    STATISTICS_COLUMNS,
    STD,
)
from viscy_data.images.store import StoreReader
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.normalizations import Level, Method, Normalization

WriteStore = Callable[..., Path]
MakePixels = Callable[..., NDArray[Any]]
Pixels = NDArray[Any]

SHAPE = (3, 2, 2, 20, 24)


def described(*experiments: Experiment) -> list[tuple[str, Any]]:
    reader = StoreReader(Experiments(experiments=experiments))
    return [(one.name, fov) for one in experiments for fov in reader.fovs(one.name)]


def numpy_statistics(pixels: Pixels) -> dict[str, float]:
    low, median, high = np.quantile(pixels.astype(np.float64), [0.25, 0.5, 0.75])
    return {
        MEAN: pixels.mean(dtype=np.float64),
        STD: pixels.std(dtype=np.float64),
        MEDIAN: median,
        IQR: high - low,
        "p0": pixels.min(),
        "p0.5": np.percentile(pixels.astype(np.float64), 0.5),
        "p99.9": np.percentile(pixels.astype(np.float64), 99.9),
    }


def pixels_of(images: dict[str, Pixels], level: str, fov: str, t: int, channel: int) -> Pixels:
    """Return what a row of statistics is of."""
    if level == "experiment":
        return np.stack([image[:, channel] for image in images.values()])
    return images[fov][:, channel] if level == "field" else images[fov][t, channel]


@pytest.fixture
def images(make_pixels: MakePixels) -> dict[str, NDArray[Any]]:
    return {"A/1/0": make_pixels(SHAPE, 1), "A/2/0": make_pixels(SHAPE, 2)}


@pytest.fixture
def experiment(tmp_path: Path, write_store: WriteStore, images: dict[str, NDArray[Any]]) -> Experiment:
    store = write_store(tmp_path / "a.zarr", images, ["Phase", "RFP"])
    return Experiment(name="a", data_path=store, tracks_path=store, channels=("RFP", "Phase"))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_statistics_are_those_of_numpy(
    tmp_path: Path, write_store: WriteStore, images: dict[str, Pixels], dtype: type[np.generic]
) -> None:
    images = {fov: image.astype(dtype) for fov, image in images.items()}
    store = write_store(tmp_path / "b.zarr", images, ["Phase", "RFP"])
    experiment = Experiment(name="a", data_path=store, tracks_path=store, channels=("RFP", "Phase"))
    found = compute_statistics(Experiments(experiments=(experiment,)), progress=False)
    assert tuple(found.columns) == STATISTICS_COLUMNS
    assert found[LEVEL].value_counts().to_dict() == {"field": 4, "frame": 4 * SHAPE[0], "experiment": 2}
    for row in found.to_dict("records"):
        channel = ["Phase", "RFP"].index(row[CHANNEL])
        want = numpy_statistics(pixels_of(images, row[LEVEL], row[FOV], row[T], channel))
        assert {name: row[name] for name in want} == pytest.approx(want, rel=1e-9)
        assert row[EXPERIMENT] == "a"
        assert (row[T] == ALL_FRAMES) == (row[LEVEL] != "frame")
        assert (row[FOV] == ALL_FOVS) == (row[LEVEL] == "experiment")


def test_excluded_fovs_are_not_read(experiment: Experiment) -> None:
    excluding = experiment.model_copy(update={"exclude_fovs": ("A/1/0",)})
    found = compute_statistics(Experiments(experiments=(excluding,)), progress=False)
    assert set(found[FOV]) == {"A/2/0", ALL_FOVS}


def test_an_image_without_a_finite_pixel_is_an_error(tmp_path: Path, write_store: WriteStore) -> None:
    store = write_store(tmp_path / "n.zarr", np.full((1, 1, 1, 8, 8), np.nan, dtype=np.float32), ["Phase"])
    broken = Experiment(name="a", data_path=store, tracks_path=store, channels=("Phase",))
    with pytest.raises(
        StoreError, match="experiment='a' fov='n' channel='Phase': no pixel is finite; leave this channel"
    ):
        compute_statistics(Experiments(experiments=(broken,)), progress=False, non_finite="fill")
    with pytest.raises(StoreError, match=r"64 pixels .*not finite.*fov='n' t=0 channel='Phase': 64"):
        compute_statistics(Experiments(experiments=(broken,)), progress=False)


def test_unreadable_pixels_and_bad_options_are_errors(experiment: Experiment) -> None:
    experiments = Experiments(experiments=(experiment,))
    (experiment.data_path / "A/2/0/0/c/1/0/0/0/0").unlink()
    with pytest.raises(StoreError, match="fov='A/2/0' t=1 channel='Phase'"):
        compute_statistics(experiments, progress=False)
    assert (
        len(compute_statistics(experiments, progress=False, missing_chunks="fill")) == 4 * (1 + SHAPE[0]) + 2
    )


def test_statistics_are_stored_beside_the_anchors(tmp_path: Path, experiment: Experiment) -> None:
    found = compute_statistics(Experiments(experiments=(experiment,)), progress=False)
    path = statistics_path(tmp_path / "anchors.parquet")
    write_statistics(path, found)
    pd.testing.assert_frame_equal(read_statistics(path), found)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["anchors.statistics.parquet"]
    with pytest.raises(InvalidInputError, match=r"gone.parquet' does not exist. Run `viscy-data index`"):
        read_statistics(tmp_path / "gone.parquet")
    write_statistics(path, found.drop(columns=STD))
    with pytest.raises(InvalidInputError, match=r"lack the columns \['std'\]"):
        read_statistics(path)


def reference(pixels: Pixels, choice: Normalization) -> tuple[float, float]:
    """Return centre and spread, as the method's definition reads."""
    match choice.method:
        case "mean_std":
            return pixels.mean(dtype=np.float64), pixels.std(dtype=np.float64)
        case "median_iqr":
            low, high = np.percentile(pixels.astype(np.float64), [25, 75])
            return float(np.median(pixels)), high - low
        case "percentiles":
            low, high = np.percentile(pixels.astype(np.float64), list(choice.percentiles or ()))
            return low, high - low
        case "none":
            return 0.0, 1.0


@pytest.mark.parametrize("level", ["field", "frame", "experiment"])
@pytest.mark.parametrize("method", ["mean_std", "median_iqr", "percentiles", "none"])
def test_each_channel_is_normalised_by_its_own_method_and_level(
    experiment: Experiment, images: dict[str, Pixels], level: Level, method: Method
) -> None:
    statistics = compute_statistics(Experiments(experiments=(experiment,)), progress=False)
    fovs = described(experiment)[::-1]
    choices = [Normalization(method, level), Normalization("percentiles", "frame", (0.5, 99.9))]
    shuffled = statistics.sample(frac=1, random_state=0)
    normalizer = Normalizer.build(shuffled, {"a": choices}, fovs, {"a": experiment.channels})
    for number, (_, info) in enumerate(fovs):
        for t in range(SHAPE[0]):
            image = images[info.fov][t, ::-1].astype(np.float64)
            patch = image.astype(np.float32)
            normalizer.apply(patch, number, t)
            scale = normalizer.scale_of(np.array([number]), np.array([t]))[0]
            for place, choice in enumerate(choices):
                own = pixels_of(images, choice.level, info.fov, t, 1 - place)
                centre, spread = reference(own, choice)
                np.testing.assert_allclose(patch[place], (image[place] - centre) / spread, 1e-4, 1e-4)
                np.testing.assert_allclose(scale[:, place], [centre, spread], 1e-6)


def test_a_spread_of_zero_follows_the_rule() -> None:
    statistics = pd.DataFrame(
        {
            MEAN: [1.0, 1.0, 1.0],
            MEDIAN: [0.0, 0.0, 0.0],
            STD: [2.0, 3.0, 0.0],
            IQR: [4.0, 0.0, 0.0],
            "p1": [1.0, 5.0, 2.0],
            "p99": [6.0, 5.0, 2.0],
        }
    )
    assert scales(statistics, Normalization("median_iqr"))[1].tolist() == [4.0, 3.0, 1.0]
    assert scales(statistics, Normalization("mean_std"))[1].tolist() == [2.0, 3.0, 1.0]
    centre, spread = scales(statistics, Normalization("percentiles"))
    assert (centre.tolist(), spread.tolist()) == ([1.0, 5.0, 2.0], [5.0, 3.0, 1.0])
    small = statistics.assign(std=[1e-60, 2.0, 1e-44], p99=1.0 - 1e-7, p1=1.0)
    assert scales(small, Normalization("mean_std"))[1].tolist() == [1.0, 2.0, 1.0]
    assert scales(small, Normalization("percentiles"))[1].tolist() == [1.0, 2.0, 1.0]


def test_numbers_that_patches_cannot_hold_are_refused(experiment: Experiment) -> None:
    statistics = compute_statistics(Experiments(experiments=(experiment,)), progress=False)
    choices = {"a": [Normalization()] * 2}
    with pytest.raises(InvalidInputError, match="in numbers of 32 bits"):
        Normalizer.build(
            statistics.assign(mean=1e300), choices, described(experiment), {"a": experiment.channels}
        )


def test_a_frame_without_a_finite_pixel_takes_the_statistics_of_its_field(
    tmp_path: Path, write_store: WriteStore
) -> None:
    pixels = np.arange(2 * 64, dtype=np.float32).reshape(2, 1, 1, 8, 8)
    pixels[1] = np.nan
    store = write_store(tmp_path / "n.zarr", pixels, ["Phase"])
    experiment = Experiment(name="a", data_path=store, tracks_path=store, channels=("Phase",))
    found = compute_statistics(Experiments(experiments=(experiment,)), progress=False, non_finite="fill")
    choices = {"a": [Normalization(level="frame")]}
    normalizer = Normalizer.build(found, choices, described(experiment), {"a": experiment.channels})
    assert normalizer.centre[:, 0].tolist() == [31.5, 31.5]


def test_lacking_statistics_are_named(experiment: Experiment) -> None:
    fovs, channels = described(experiment), {"a": experiment.channels}
    found = compute_statistics(Experiments(experiments=(experiment,)), progress=False)
    gone = (found[LEVEL] == "field") & (found[FOV] == "A/2/0") & (found[CHANNEL] == "Phase")
    choices = {"a": [Normalization("mean_std")] * 2}
    with pytest.raises(
        InvalidInputError, match=r"lack 1 of 2 rows, the first for .* fov='A/2/0' t=-1 channel='Phase'"
    ):
        Normalizer.build(found[~gone], choices, fovs, channels)
    with pytest.raises(
        InvalidInputError,
        match="do not say what normalization='percentiles' takes, in numbers of 32 bits, for 2",
    ):
        Normalizer.build(found.assign(p1=np.nan), {"a": [Normalization("percentiles")] * 2}, fovs, channels)
