from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.crops import clamp_centres
from viscy_data.errors import InvalidInputError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.patches import Crop, PatchShape, PatchTable, box_starts


def experiment(name: str = "a", pixel_size_um: float | None = None) -> Experiment:
    return Experiment(
        name=name,
        data_path=Path("a.zarr"),
        tracks_path=Path("a"),
        channels=("Phase",),
        pixel_size_um=pixel_size_um,
    )


def fov(
    name: str = "A/1/0",
    shape: tuple[int, int, int, int, int] = (4, 1, 5, 40, 50),
    pixel_size_um: tuple[float, float] | None = None,
) -> FovInfo:
    return FovInfo(fov=name, well="A/1", shape=shape, channels=("Phase",), pixel_size_um=pixel_size_um)


def table(**columns: object) -> pd.DataFrame:
    defaults = {"experiment": ["a"], "fov": ["A/1/0"], "t": [0], "z": [0], "y_crop": [0], "x_crop": [0]}
    return pd.DataFrame(defaults | columns)


@given(st.data())
def test_a_box_is_the_one_nearest_to_its_centre(data: st.DataObject) -> None:
    extent = data.draw(st.integers(1, 12))
    size = data.draw(st.integers(1, extent))
    centre = data.draw(st.integers(-3, extent + 3))
    (start,) = box_starts(np.array([centre]), size, extent)
    allowed = range(extent - size + 1)
    assert start in allowed
    assert abs(start - (centre - size // 2)) == min(abs(one - (centre - size // 2)) for one in allowed)
    if 0 <= centre < extent:
        assert start <= centre < start + size


@given(st.data())
def test_a_centre_clamped_when_indexing_is_not_moved_again(data: st.DataObject) -> None:
    extent = data.draw(st.integers(1, 40))
    size = data.draw(st.integers(1, extent))
    place = data.draw(st.floats(0, extent, exclude_max=True))
    centre = clamp_centres(np.array([place]), np.array([size]), np.array([extent]))
    np.testing.assert_array_equal(box_starts(centre, size, extent), centre - size // 2)


def test_a_box_larger_than_its_image_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"size=5 is larger than the image: extent=4"):
        box_starts(np.array([2]), 5, 4)


def test_crops_of_rows() -> None:
    anchors = table(
        experiment=["a", "b", "a"],
        fov=["A/1/0", "A/1/0", "A/1/1"],
        t=[3, 0, 1],
        z=[0, 4, 2],
        y_crop=[5, 0, 39],
        x_crop=[45, 20, 0],
    )
    described = [(experiment("a"), [fov(), fov("A/1/1")]), (experiment("b"), [fov(), fov("B/1/0")])]
    found = PatchTable.build(anchors, described, PatchShape((10, 8), 3))
    assert found.crops(np.array([2, 0, 1])) == [
        Crop("a", "A/1/1", 1, (1, 4), (30, 40), (0, 8)),
        Crop("a", "A/1/0", 3, (0, 3), (0, 10), (41, 49)),
        Crop("b", "A/1/0", 0, (2, 5), (0, 10), (16, 24)),
    ]


def test_finer_pixels_give_larger_crops() -> None:
    anchors = table(
        experiment=["a", "b", "c"], fov=["A/1/0"] * 3, t=[0] * 3, z=[0] * 3, y_crop=[20] * 3, x_crop=[20] * 3
    )
    described = [
        (experiment("a", 0.25), [fov(pixel_size_um=(9.0, 9.0))]),
        (experiment("b"), [fov(pixel_size_um=(0.502, 0.5))]),
        (experiment("c"), [fov()]),
    ]
    found = PatchTable.build(anchors, described, PatchShape((10, 8), 1, 0.5))
    assert found.crop.tolist() == [[1, 20, 16], [1, 10, 8], [1, 10, 8]]


def test_rows_that_do_not_fit_the_store_are_refused() -> None:
    described, shape = [(experiment(), [fov()])], PatchShape((8, 8))
    two = pd.concat([table(y_crop=[39]), table(y_crop=[40])])
    message = r"1 rows .* row 1: experiment='a' fov='A/1/0' .*\(0, 0, 40, 0\), image \(4, 5, 40, 50\)"
    with pytest.raises(InvalidInputError, match=message):
        PatchTable.build(two, described, shape)
    for column, value in (("t", 4), ("z", 5), ("z", -1), ("x_crop", -1)):
        with pytest.raises(InvalidInputError, match="lie outside their image"):
            PatchTable.build(table(**{column: [value]}), described, shape)
    with pytest.raises(
        InvalidInputError, match=r"1 fields of view that the stores lack, the first .* fov='A/9/0'"
    ):
        PatchTable.build(table(fov=["A/9/0"]), described, shape)
    with pytest.raises(InvalidInputError, match="without experiment or fov"):
        PatchTable.build(table(fov=pd.Categorical([None], categories=["A/1/0"])), described, shape)


def test_patches_that_do_not_fit_are_refused() -> None:
    described = [(experiment(), [fov(shape=(4, 1, 2, 16, 50))])]
    for shape in (PatchShape((17, 8)), PatchShape((8, 51)), PatchShape((8, 8), 3)):
        with pytest.raises(InvalidInputError, match=r"experiment='a' fov='A/1/0' has \(2, 16, 50\)"):
            PatchTable.build(table(), described, shape)
    for size, z_window in (((0, 8), 1), ((8, 8), 0), ((8, 8), True), ((8,), 1), ((8.0, 8), 1)):
        with pytest.raises(InvalidInputError, match=r"patch_size=.*positive integers"):
            PatchShape(size, z_window)  # type: ignore[arg-type]  # mistakes under test
