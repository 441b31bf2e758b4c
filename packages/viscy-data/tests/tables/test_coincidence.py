"""Cells that share a patch, against a loop over all pairs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.tables.anchors.build import build_experiment
from viscy_data.tables.coincidence import coincidences, shared_patches
from viscy_data.tables.experiment import Experiment, FovInfo

FOVS = [FovInfo(fov, fov[:3], (3, 1, 3, 12, 12), ("c",)) for fov in ("A/1/0", "A/1/1")]


def build(folder: Path, rows: list[tuple[Any, ...]], **options: Any) -> Any:
    table = pd.DataFrame(rows, columns=["fov", "t", "z", "y", "x"])
    table["track_id"] = range(len(table))
    table.to_csv(folder / "tracks.csv", index=False)
    # cells may all lie in slice 0 here, which is meant
    one = Experiment(
        name="a", data_path=folder, tracks_path=folder / "tracks.csv", channels=("c",), z="tracks"
    )
    return build_experiment(one, FOVS, patch_size=(4, 4), **options)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([info.fov for info in FOVS]),
            st.integers(0, 1),
            st.integers(0, 1),
            *[st.sampled_from([0.0, 0.4, 0.6, 5.4, 5.4, 11.4])] * 2,
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["reflect", "shift"]),
)
def test_those_that_share_a_patch_are_found(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], border: str
) -> None:
    frame = build(tmp_path_factory.mktemp("t"), rows, border=border).frame
    places = list(frame[["fov", "t", "z", "y_crop", "x_crop"]].itertuples(index=False, name=None))
    shared = [place for place in places if places.count(place) > 1]
    found, patch = shared_patches(frame)
    assert [places[row] for row in found] == shared
    assert len(set(patch.tolist())) == len(set(shared))


def test_each_reason_is_told_with_its_count(tmp_path: Path) -> None:
    rows = [
        ("A/1/0", 0, 1, 6.0, 6.0),
        ("A/1/0", 0, 1, 6.0, 6.0),
        ("A/1/0", 0, 1, 6.3, 6.0),
        ("A/1/0", 1, 1, 6.0, 6.0),
        ("A/1/1", 1, 1, 5.2, 6.0),
        ("A/1/1", 1, 1, 5.0, 6.0),
        ("A/1/1", 1, 2, 5.0, 6.0),
        ("A/1/1", 2, 1, 0.0, 0.0),
        ("A/1/1", 2, 1, 1.0, 0.0),
    ]
    same = "2 of 9 cells are at exactly the place of another cell .* the first: fov A/1/0, t 0, track 0"
    near = "3 of 9 cells share their patch .* less than a pixel away; the first: fov A/1/0, t 0, track 2"
    moved = "2 of 9 cells share their patch .* as border='shift' moved them together; .* fov A/1/1, t 2"
    for border, expected in (("reflect", [same, near]), ("shift", [same, moved, near])):
        notes = build(tmp_path, rows, border=border).notes
        assert len(notes) == len(expected)
        for note, pattern in zip(notes, expected, strict=True):
            assert re.search(pattern, note)


def test_nothing_is_said_of_nothing(tmp_path: Path) -> None:
    frame = build(tmp_path, [("A/1/0", 0, 0, 1.0, y) for y in np.arange(5.0)]).frame
    assert list(coincidences(frame, shifted=False)) == []
    assert list(coincidences(frame.iloc[:0], shifted=True)) == []
