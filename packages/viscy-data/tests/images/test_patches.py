from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from viscy_data.errors import InvalidInputError
from viscy_data.images.patches import Crop, PatchShape, PatchTable
from viscy_data.tables.experiment import Experiment, FovInfo


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


def test_crops_that_are_moved_inside() -> None:
    anchors = table(
        experiment=["a", "b", "a"],
        fov=["A/1/0", "A/1/0", "A/1/1"],
        t=[3, 0, 1],
        z=[0, 4, 2],
        y_crop=[5, 0, 39],
        x_crop=[45, 20, 0],
    )
    described = [(experiment("a"), [fov(), fov("A/1/1")]), (experiment("b"), [fov(), fov("B/1/0")])]
    found = PatchTable.build(anchors, described, PatchShape((10, 8), 3, border="shift"))
    crops, folds = found.crops(np.array([2, 0, 1]))
    assert folds == {}
    assert crops == [
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
    large = [PatchShape((17, 8), border="shift"), PatchShape((8, 51), border="shift")]
    for shape in (*large, PatchShape((1 << 14, 1 << 13)), PatchShape((8, 8), 3)):
        with pytest.raises(InvalidInputError, match=r"experiment='a' fov='A/1/0' has \(2, 16, 50\)"):
            PatchTable.build(table(), described, shape)
    for size, z_window in (((0, 8), 1), ((8, 8), 0), ((8, 8), True), ((8,), 1), ((8.0, 8), 1)):
        with pytest.raises(InvalidInputError, match=r"patch_size=.*positive integers|z_window.slices="):
            PatchShape(size, z_window)  # type: ignore[arg-type]  # mistakes under test
    with pytest.raises(InvalidInputError, match=r"border='mirror': 'reflect', 'shift', 'drop' are allowed"):
        PatchShape((8, 8), border="mirror")  # type: ignore[arg-type]  # a mistake under test


def test_a_dropping_table_is_not_read_with_larger_patches() -> None:
    anchors = pd.concat([table(y_crop=[y], x_crop=[20]) for y in (4, 5, 36)])
    described = [(experiment(), [fov()])]
    assert (
        PatchTable.build(anchors, described, PatchShape((8, 8), border="drop")).crops(np.arange(3))[1] == {}
    )
    message = r"2 of 3 patches reach over .* border='drop' .* Build it with the patch_size that is to be read"
    with pytest.raises(InvalidInputError, match=message):
        PatchTable.build(anchors, described, PatchShape((10, 8), border="drop"))
