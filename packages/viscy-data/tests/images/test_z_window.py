from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.images.z_window import Projection, ZWindow, project


@given(
    depth=st.integers(1, 9),
    slices=st.integers(1, 9),
    offset=st.integers(-10, 10),
    shift=st.integers(-3, 3),
    data=st.data(),
)
def test_windows_lie_inside_the_stack_and_as_near_as_possible(
    depth: int, slices: int, offset: int, shift: int, data: st.DataObject
) -> None:
    slices = min(slices, depth)
    window = ZWindow(slices, offset=offset)
    z = np.array(data.draw(st.lists(st.integers(0, depth - 1), min_size=1, max_size=5)))
    starts = window.starts(z, np.full(len(z), depth), shift)
    own = window.own(z, starts, shift)
    for row, start, place in zip(z.tolist(), starts.tolist(), own.tolist(), strict=True):
        wanted = row - slices // 2 + offset + shift
        assert start == min(range(depth - slices + 1), key=lambda first: abs(first - wanted))
        assert place == min(range(slices), key=lambda one: abs(start + one - row - shift))


@pytest.mark.parametrize("methods", [("max", "mean"), ("slice", "max"), ("slice", "slice")])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_projections_are_those_of_numpy(methods: tuple[Projection, ...], dtype: type[np.generic]) -> None:
    window = np.random.default_rng(0).integers(0, 65535, (2, 4, 5, 6)).astype(dtype)
    found = project(window, methods, own=2)
    of: dict[str, Any] = {
        "max": lambda one: one.max(axis=0),
        "mean": lambda one: one.astype(np.float64).mean(axis=0),
        "slice": lambda one: one[2],
    }
    wanted = np.stack([of[method](channel)[None] for method, channel in zip(methods, window, strict=True)])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == (np.float32 if "mean" in methods else dtype)


def test_projections_go_by_the_names_of_channels() -> None:
    channels = {"a": ("Phase", "RFP"), "b": ("BF", "GFP")}
    assert ZWindow(3).projections(channels) is None
    assert ZWindow(3, projection="max").projections(channels) == {"a": ("max", "max"), "b": ("max", "max")}
    both: dict[str, Projection] = {"RFP": "max", "GFP": "max"}
    assert ZWindow(3, projection=both).projections(channels) == dict.fromkeys("ab", ("slice", "max"))
    with pytest.raises(InvalidInputError, match=r"channels of 'b' \(BF, GFP\) otherwise than those of 'a'"):
        ZWindow(3, projection={"RFP": "max"}).projections(channels)
    alone = ZWindow(3, projection={"RFP": "max"}).projections(channels, together=False)
    assert alone == {"a": ("slice", "max"), "b": ("slice", "slice")}
    with pytest.raises(InvalidInputError, match=r"'GPF' is not one of the channels.* Did you mean 'GFP'"):
        ZWindow(3, projection={"GPF": "max"}).projections(channels)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"slices": 0}, "z_window.slices=0"),
        ({"offset": 0.5}, "z_window.offset=0.5"),
        ({"shift": -1}, "z_window.shift=-1"),
        ({"projection": "sum"}, "z_window.projection='sum': max, mean, slice or a mapping"),
        ({"projection": {"RFP": "min"}}, "z_window.projection={'RFP': 'min'}"),
    ],
)
def test_what_is_not_allowed_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        ZWindow(**given)
