from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.tables.crops import (
    clamp_centres,
    common_pixel_size,
    crop_size,
    is_inside,
    is_too_large,
    pixel_size,
    round_centres,
)
from viscy_data.tables.experiment import Experiment, FovInfo


def experiment(name: str, um: float | None = None, exclude: tuple[str, ...] = ()) -> Experiment:
    return Experiment(
        name=name,
        data_path=Path("a"),
        tracks_path=Path("a"),
        channels=("c",),
        pixel_size_um=um,
        exclude_fovs=exclude,
    )


def info(um: float | None) -> FovInfo:
    return FovInfo("A/1/0", "A/1", (1, 1, 1, 8, 8), ("c",), None if um is None else (um, um))


@given(st.data())
def test_the_whole_crop_lies_inside_and_moves_no_further_than_needed(data: st.DataObject) -> None:
    extent = data.draw(st.integers(1, 60))
    crop = data.draw(st.integers(1, extent))
    centre = data.draw(st.integers(0, extent - 1))
    (placed,) = clamp_centres(*(np.array([n], np.int32) for n in (centre, crop, extent)))
    start = placed - crop // 2
    assert 0 <= start <= extent - crop
    possible = [s + crop // 2 for s in range(extent - crop + 1)]
    assert placed == min(possible, key=lambda c: abs(c - centre))


@given(st.data())
def test_a_centre_on_the_image_is_a_pixel_of_it(data: st.DataObject) -> None:
    extent = data.draw(st.integers(1, 60))
    centre = data.draw(st.floats(-2, extent + 2, width=32))
    centres, length = np.array([centre], np.float32), np.array([extent])
    (pixel,) = round_centres(centres, length)
    assert 0 <= pixel < extent
    if is_inside(centres, length)[0]:
        assert abs(pixel - centre) <= (0.5 if centre < extent - 0.5 else 1)
    else:
        assert centre < -0.5 or centre >= extent


def test_only_what_makes_no_sense_is_too_large() -> None:
    assert not is_too_large((640, 640), (1, 1), "reflect")
    assert not is_too_large((640, 640), (1, 1), "drop")
    assert is_too_large((64, 2), (63, 9), "shift")
    assert not is_too_large((64, 2), (64, 2), "shift")
    assert is_too_large((1 << 20, 1 << 20), (9, 9), "drop")
    assert not is_too_large((1 << 20, 1 << 20), (1 << 20, 1 << 20), "reflect"), "a patch may be an image"


def test_crops_show_the_same_physical_size() -> None:
    assert crop_size((64, 32), (0.25, 0.5), 0.5) == (128, 32)
    assert crop_size((64, 32), (1.0, 1.0), 0.001) == (1, 1)


@pytest.mark.parametrize(
    ("sizes", "common"),
    [
        ([0.5, 0.5], None),
        ([0.5, 0.504], None),
        ([0.5, 0.25], 0.5),
        ([None, 0.25], None),
        ([None, None], None),
        ([None, 0.25, 0.65], 0.65),
    ],
)
def test_the_common_pixel_size_is_the_coarsest_known(sizes: list[float | None], common: float | None) -> None:
    experiments = [experiment(str(i)) for i in range(len(sizes))]
    fovs = {str(i): [info(um)] for i, um in enumerate(sizes)}
    assert common_pixel_size(experiments, fovs) == common


def test_the_experiments_file_overrides_the_store() -> None:
    assert pixel_size(experiment("a", 0.3), info(0.5)) == (0.3, 0.3)
    assert pixel_size(experiment("a"), info(0.5)) == (0.5, 0.5)
    assert pixel_size(experiment("a"), info(None)) is None


def test_excluded_fovs_do_not_decide() -> None:
    experiments = [experiment("a", exclude=("A/1/0",)), experiment("b")]
    assert common_pixel_size(experiments, {"a": [info(9.0)], "b": [info(0.5)]}) is None
