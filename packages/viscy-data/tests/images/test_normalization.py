from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.normalization import (
    ALL_FRAMES,
    CHANNEL,
    IQR,
    MEAN,
    MEDIAN,
    STATISTICS_COLUMNS,
    STD,
    Normalization,
    Normalizer,
    compute_statistics,
    read_statistics,
    safe_spread,
    statistics_path,
    write_statistics,
)
from viscy_data.images.store import StoreReader
from viscy_data.tables.experiments import Experiment, Experiments

WriteStore = Callable[..., Path]
MakePixels = Callable[..., NDArray[Any]]
Per = Literal["fov", "time"]

SHAPE = (3, 2, 2, 20, 24)


def described(*experiments: Experiment) -> list[tuple[str, Any]]:
    reader = StoreReader(Experiments(experiments=experiments))
    return [(one.name, fov) for one in experiments for fov in reader.fovs(one.name)]


def numpy_statistics(pixels: NDArray[Any]) -> dict[str, float]:
    low, median, high = np.quantile(pixels.astype(np.float64), [0.25, 0.5, 0.75])
    return {
        MEAN: pixels.mean(dtype=np.float64),
        STD: pixels.std(dtype=np.float64),
        MEDIAN: median,
        IQR: high - low,
    }


@pytest.fixture
def images(make_pixels: MakePixels) -> dict[str, NDArray[Any]]:
    return {"A/1/0": make_pixels(SHAPE, 1), "A/2/0": make_pixels(SHAPE, 2)}


@pytest.fixture
def experiment(tmp_path: Path, write_store: WriteStore, images: dict[str, NDArray[Any]]) -> Experiment:
    store = write_store(tmp_path / "a.zarr", images, ["Phase", "RFP"])
    return Experiment(name="a", data_path=store, tracks_path=store, channels=("RFP", "Phase"))


@pytest.mark.parametrize("per", ["fov", "time"])
def test_statistics_are_those_of_numpy(
    experiment: Experiment, images: dict[str, NDArray[Any]], per: Per
) -> None:
    found = compute_statistics(Experiments(experiments=(experiment,)), per=per, progress=False)
    assert tuple(found.columns) == STATISTICS_COLUMNS
    assert len(found) == 2 * 2 * (1 if per == "fov" else SHAPE[0])
    for row in found.to_dict("records"):
        image = images[row[FOV]][:, ["Phase", "RFP"].index(row[CHANNEL])]
        want = numpy_statistics(image if row[T] == ALL_FRAMES else image[row[T]])
        assert {name: row[name] for name in want} == pytest.approx(want)
        assert row[EXPERIMENT] == "a"
        assert (row[T] == ALL_FRAMES) == (per == "fov")


def test_excluded_fovs_are_not_read(experiment: Experiment) -> None:
    excluding = experiment.model_copy(update={"exclude_fovs": ("A/1/0",)})
    found = compute_statistics(Experiments(experiments=(excluding,)), progress=False)
    assert set(found[FOV]) == {"A/2/0"}


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
    with pytest.raises(InvalidInputError, match="per='frame'"):
        compute_statistics(experiments, per="frame", progress=False)  # type: ignore[arg-type]  # the mistake under test
    (experiment.data_path / "A/2/0/0/c/1/0/0/0/0").unlink()
    with pytest.raises(StoreError, match="fov='A/2/0' t=1 channel='Phase'"):
        compute_statistics(experiments, progress=False)
    assert len(compute_statistics(experiments, progress=False, missing_chunks="fill")) == 4


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


@pytest.mark.parametrize("per", ["fov", "time"])
@pytest.mark.parametrize("method", ["mean_std", "median_iqr"])
def test_patches_are_normalised_by_their_own_statistics(
    experiment: Experiment, images: dict[str, NDArray[Any]], per: Per, method: Normalization
) -> None:
    experiments = Experiments(experiments=(experiment,))
    statistics = compute_statistics(experiments, per=per, progress=False).sample(frac=1, random_state=0)
    fovs = described(experiment)[::-1]
    normalizer = Normalizer.build(statistics, method, fovs, {"a": experiment.channels})
    for number, (_, info) in enumerate(fovs):
        for t in range(SHAPE[0]):
            image = images[info.fov][:, ::-1].astype(np.float64)
            patch = image[t].astype(np.float32)
            normalizer.apply(patch, number, t)
            own = image if per == "fov" else image[t : t + 1]
            want = [numpy_statistics(own[:, c]) for c in range(2)]
            centre, spread = (MEAN, STD) if method == "mean_std" else (MEDIAN, IQR)
            expected = np.stack([(image[t, c] - want[c][centre]) / want[c][spread] for c in range(2)])
            np.testing.assert_allclose(patch, expected, rtol=1e-4, atol=1e-4)


def test_a_spread_of_zero_follows_the_rule() -> None:
    statistics = pd.DataFrame({STD: [2.0, 3.0, 0.0], IQR: [4.0, 0.0, 0.0]})
    assert safe_spread(statistics, "median_iqr").tolist() == [4.0, 3.0, 1.0]
    assert safe_spread(statistics, "mean_std").tolist() == [2.0, 3.0, 1.0]


def test_lacking_statistics_are_named(experiment: Experiment) -> None:
    fovs, channels = described(experiment), {"a": experiment.channels}
    found = compute_statistics(Experiments(experiments=(experiment,)), progress=False)
    with pytest.raises(
        InvalidInputError, match=r"lack 1 of 4 rows, the first for .* fov='A/2/0' t=-1 channel='Phase'"
    ):
        Normalizer.build(found.iloc[:3], "mean_std", fovs, channels)
    with pytest.raises(InvalidInputError, match="normalize='minmax'"):
        Normalizer.build(found, "minmax", fovs, channels)  # type: ignore[arg-type]  # the mistake under test
