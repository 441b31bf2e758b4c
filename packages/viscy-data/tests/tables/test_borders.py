"""Patches at borders against a slow reference: an image padded by NumPy, and sliced."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.images.patches import PatchShape, PatchTable
from viscy_data.tables.borders import Border, lengths_outside, reflected, share_outside, spans
from viscy_data.tables.experiment import Experiment, FovInfo

EXPERIMENT = Experiment(name="a", data_path=Path("a"), tracks_path=Path("a"), channels=("c",))

type Place = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Draw image, patch and centre (rows, columns), images of one pixel and larger patches included."""
    extent = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    centre = draw(st.integers(0, extent[0] - 1)), draw(st.integers(0, extent[1] - 1))
    return extent, size, centre


def table_of(
    extent: tuple[int, int], size: tuple[int, int], centres: list[tuple[int, int]], border: Border
) -> PatchTable:
    fov = FovInfo(fov="A/1/0", well="A/1", shape=(1, 1, 1, *extent), channels=("c",))
    y, x = np.array(centres).T
    rows = pd.DataFrame({"experiment": "a", "fov": "A/1/0", "t": 0, "z": 0, "y_crop": y, "x_crop": x})
    return PatchTable.build(rows, [(EXPERIMENT, [fov])], PatchShape(size, border=border))


def read(table: PatchTable, image: NDArray[Any]) -> list[NDArray[Any]]:
    """Read the patches of a table from the image (Y, X) of its field of view."""
    crops, folds = table.crops(np.arange(len(table.fov)))
    assert all(0 <= crop.y[0] < crop.y[1] <= image.shape[0] for crop in crops)
    assert all(0 <= crop.x[0] < crop.x[1] <= image.shape[1] for crop in crops)
    pixels = [image[None, None, slice(*crop.y), slice(*crop.x)] for crop in crops]
    folded = [folds[i].apply(one) if i in folds else one for i, one in enumerate(pixels)]
    return [one[0, 0] for one in folded]


def padded(image: NDArray[Any], centre: tuple[int, int], size: tuple[int, int]) -> NDArray[Any]:
    """Return what NumPy's padding shows around a centre."""
    (top, left), (height, width) = (np.subtract(centre, np.floor_divide(size, 2)).tolist(), size)
    larger = np.pad(image, ((height, height), (width, width)), mode="reflect")
    return larger[top + height : top + 2 * height, left + width : left + 2 * width]


@given(places())
def test_a_patch_is_a_slice_of_the_padded_image(place: Place) -> None:
    extent, size, centre = place
    image = np.arange(np.prod(extent)).reshape(extent)
    (patch,) = read(table_of(extent, size, [centre], "reflect"), image)
    np.testing.assert_array_equal(patch, padded(image, centre, size))
    assert patch[size[0] // 2, size[1] // 2] == image[centre], "the cell is in the middle"


@given(st.integers(1, 9), st.integers(1, 30), st.data())
def test_no_more_is_read_than_a_patch_is_made_of(extent: int, size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, extent - 1)) - size // 2
    box = np.arange(start, start + size)
    first, stop = spans(*(np.array([n]) for n in (start, start + size, extent)))
    used = reflected(box, extent)
    assert (first.item(), stop.item()) == (int(used.min()), int(used.max()) + 1)


@given(places())
def test_the_share_outside_is_that_of_the_pixels(place: Place) -> None:
    extent, size, centre = place
    lengths = [tuple(np.array([n], np.int32) for n in one) for one in zip(centre, size, extent, strict=True)]
    lost = lengths_outside(*lengths[0]), lengths_outside(*lengths[1])
    share = share_outside(lost, (lengths[0][1], lengths[1][1])).item()
    there = np.pad(np.ones(extent), ((size[0],) * 2, (size[1],) * 2))
    top, left = (c - n // 2 + n for c, n in zip(centre, size, strict=True))
    inside = there[top : top + size[0], left : left + size[1]].sum()
    assert share == pytest.approx(1 - inside / (size[0] * size[1]), abs=1e-6)
    assert (share == 0) == (inside == size[0] * size[1])


@given(places())
def test_distinct_centres_have_distinct_patches(place: Place) -> None:
    """Every pixel of an image has a value of its own: so then has every patch that is centred on one."""
    extent, size, _ = place
    image = np.arange(np.prod(extent)).reshape(extent)
    centres = [(y, x) for y in range(extent[0]) for x in range(extent[1])]
    patches = read(table_of(extent, size, centres, "reflect"), image)
    assert len({patch.tobytes() for patch in patches}) == len(centres)


@given(places(), st.data())
def test_a_shifted_box_is_the_nearest_inside(place: Place, data: st.DataObject) -> None:
    extent, _, centre = place
    size = data.draw(st.integers(1, extent[0])), data.draw(st.integers(1, extent[1]))
    ((crop,), folds) = table_of(extent, size, [centre], "shift").crops(np.array([0]))
    assert folds == {}
    for (start, stop), length, n, c in zip((crop.y, crop.x), extent, size, centre, strict=True):
        assert stop - start == n
        allowed = range(length - n + 1)
        assert start == min(allowed, key=lambda one: abs(one - (c - n // 2)))
        assert start <= c < stop


@given(places())
def test_where_a_patch_fits_all_rules_agree(place: Place) -> None:
    extent, size, _ = place
    fitting = [
        (y, x)
        for y in range(size[0] // 2, extent[0] - size[0] + size[0] // 2 + 1)
        for x in range(size[1] // 2, extent[1] - size[1] + size[1] // 2 + 1)
    ]
    if fitting:
        rules: tuple[Border, ...] = ("reflect", "shift", "drop")
        found = [table_of(extent, size, fitting, rule).crops(np.arange(len(fitting))) for rule in rules]
        assert found[0] == found[1] == found[2]
        assert found[0][1] == {}, "nothing is folded"


def test_slices_are_moved_and_not_reflected() -> None:
    fov = FovInfo(fov="A/1/0", well="A/1", shape=(1, 1, 5, 9, 9), channels=("c",))
    rows = pd.DataFrame({"experiment": "a", "fov": "A/1/0", "t": 0, "z": [0, 4, 2], "y_crop": 0, "x_crop": 8})
    table = PatchTable.build(rows, [(EXPERIMENT, [fov])], PatchShape((5, 5), 3))
    crops, folds = table.crops(np.arange(3))
    assert [crop.z for crop in crops] == [(0, 3), (2, 5), (1, 4)]
    assert [crop.y for crop in crops] == [(0, 3)] * 3
    assert sorted(folds) == [0, 1, 2]
