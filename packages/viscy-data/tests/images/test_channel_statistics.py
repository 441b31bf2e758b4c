from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from viscy_data.images import channel_statistics
from viscy_data.images.channel_statistics import ChannelStatistics


def of(frames: list[NDArray[np.generic]]) -> dict[str, float]:
    statistics = ChannelStatistics()
    for frame in frames:
        statistics.add(frame)
    found = statistics.result()
    return {name: found[name] for name in ("mean", "std", "median", "iqr")}


def numpy_statistics(frames: list[NDArray[np.generic]]) -> dict[str, float]:
    pixels = np.concatenate([frame.reshape(-1) for frame in frames]).astype(np.float64)
    low, median, high = np.quantile(pixels, [0.25, 0.5, 0.75])
    return {"mean": pixels.mean(), "std": pixels.std(), "median": median, "iqr": high - low}


@given(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32]).flatmap(
        lambda dtype: st.lists(
            hnp.arrays(
                dtype,
                hnp.array_shapes(max_dims=3, max_side=5),
                elements=st.integers(-9, 9).filter(lambda v: v >= 0 or np.dtype(dtype).kind != "u"),
            ),
            min_size=1,
            max_size=4,
        )
    )
)
def test_statistics_are_those_of_numpy(frames: list[NDArray[np.generic]]) -> None:
    assert of(frames) == pytest.approx(numpy_statistics(frames), abs=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.float32, np.float64])
def test_the_whole_range_of_a_dtype(dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(0)
    kind: Any = np.dtype(dtype)
    low, high = (-1e6, 1e6) if kind.kind == "f" else (float(np.iinfo(kind).min), float(np.iinfo(kind).max))
    frames = [np.array([low, high, *rng.uniform(low, high, 500)]).astype(dtype) for _ in range(3)]
    assert of(frames) == pytest.approx(numpy_statistics(frames), rel=1e-9)


def test_large_frames_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_statistics, "_BLOCK", 7)
    for dtype in (np.uint16, np.float32):
        frames: list[NDArray[np.generic]] = [
            np.random.default_rng(i).integers(0, 999, (5, 9)).astype(dtype) for i in range(3)
        ]
        assert of(frames) == pytest.approx(numpy_statistics(frames))


def test_the_median_of_floats_comes_from_a_bounded_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_statistics, "SAMPLE", 1000)
    frame = np.random.default_rng(0).normal(5, 2, 10**5)
    statistics = ChannelStatistics()
    statistics.add(frame)
    assert sum(len(sample) for sample in statistics._samples) <= 1000
    found, want = statistics.result(), numpy_statistics([frame])
    assert found["mean"] == pytest.approx(want["mean"])
    assert found["std"] == pytest.approx(want["std"])
    # Three standard errors of a median and of an interquartile range of 1000 normal values.
    assert found["median"] == pytest.approx(want["median"], abs=3 * 1.25 * 2 / 1000**0.5)
    assert found["iqr"] == pytest.approx(want["iqr"], abs=3 * 1.57 * 2 / 1000**0.5)


def test_pixels_that_are_not_finite_are_left_out() -> None:
    frame = np.array([1.0, np.nan, 3.0, np.inf, 5.0], dtype=np.float32)
    assert of([frame]) == pytest.approx(numpy_statistics([np.array([1.0, 3.0, 5.0])]))
    assert all(np.isnan(value) for value in of([np.array([np.nan])]).values())
