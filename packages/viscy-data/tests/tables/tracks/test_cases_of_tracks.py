"""Tracks that other programs wrote, with the value that is right for each: does a patch show its cell?"""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from cases import unpack_case

from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import TracksError
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.tables.tau import TauRange

BRIGHT = 1000
"""Between the background, 100, and cells, of which the middle averages about 2,500."""


def index(path: Path, **changes: object) -> tuple[IndexSummary, Path]:
    """Index an experiments file of a case, with other options in every experiment."""
    content = yaml.safe_load(path.read_text())
    for experiment in content["experiments"]:
        experiment.update(changes)
    path.write_text(yaml.safe_dump(content))
    out = path.with_name(f"anchors_{path.stem}.parquet")
    summary = build_index(
        path, out, patch_size=(12, 12), tau=TauRange(frames=(1, 2)), statistics=False, progress=False
    )
    return summary, out


def middles(table: Path) -> np.ndarray:
    """Return the mean of the middle 4 x 4 pixels of each anchor's raw patch, in all its channels."""
    dataset = AnchorDataset(table, positive="self", normalization="none", patch_size=(12, 12), z_window=1)
    patches = dataset.__getitems__(range(len(dataset)))["anchor"].numpy()
    return np.asarray(patches[..., 4:8, 4:8].mean(axis=(1, 2, 3, 4)))


def show_their_cells(table: Path) -> bool:
    return bool((middles(table) > BRIGHT).all())


@pytest.mark.parametrize("name", ["apart", "merging"])
def test_candidates_are_left_out_and_counted(name: str, tmp_path: Path) -> None:
    folder = unpack_case("11", tmp_path)
    summary, table = index(folder / f"{name}.yaml")
    assert sum(one.anchors for one in summary.counts) == len(json.loads((folder / "rows.json").read_text()))
    assert show_their_cells(table)
    assert any("nodes not in the solution" in note for note in summary.notes)


@pytest.mark.parametrize("name", ["legacy", "newer", "pixels"])
def test_places_in_units_of_the_world_are_found_in_the_image(name: str, tmp_path: Path) -> None:
    folder = unpack_case("12", tmp_path)
    _, table = index(folder / f"{name}.yaml")
    assert show_their_cells(table)


READ = [
    *("bom", "btrack_self_parent", "categories", "comma_decimal", "comment", "crlf", "float16"),
    *("floats", "multiindex", "nan_parent", "none_text", "nullable", "polars_enum", "polars_large"),
    *("polars_view", "semicolon", "spaces", "text_ids", "trackmate_renamed", "utf16", "zero_parent"),
]
REFUSED = {
    "big_ids": "column 'track_id': ids lie in 0",
    "float_noise": "line 2, column 't': 1e-09 is not a whole number",
    "fov_int_category": "column 'fov': fov='0' is not in the store",
    "name_ids": "column 'track_id': 'cell_1' is not a number",
    "one_based": r"t=8 lies outside the movie of 8 frames, 0 \.\. 7",
    "orphans": "parent_track_id=99 is not a track of this fov; .* set missing_parents to 'cut'",
    "timedelta": r"column 't' holds duration\[us\]: numbers or text are needed",
    "timestamp": r"column 't' holds timestamp.*: numbers or text are needed",
    "trackmate_csv": "has LABEL, ID, .* track_names: "
    "{track_id: TRACK_ID, t: FRAME, y: POSITION_Y, x: POSITION_X, z: POSITION_Z, source_id: ID}",
    "twice": "column 't' is there 2 times; the file has track_id, t, z, y, x, t",
}


@pytest.mark.parametrize("name", READ)
def test_tables_of_trackers_are_read(name: str, tmp_path: Path) -> None:
    folder = unpack_case("16", tmp_path)
    summary, table = index(folder / f"{name}.yaml")
    assert sum(one.anchors for one in summary.counts) == len(json.loads((folder / "rows.json").read_text()))
    assert show_their_cells(table)


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_cannot_be_read_are_refused(name: str, tmp_path: Path) -> None:
    folder = unpack_case("16", tmp_path)
    with pytest.raises(TracksError, match=REFUSED[name]):
        index(folder / f"{name}.yaml")


def test_the_options_that_the_errors_propose_are_the_right_ones(tmp_path: Path) -> None:
    folder = unpack_case("16", tmp_path)
    names = {"track_id": "TRACK_ID", "t": "FRAME", "y": "POSITION_Y", "x": "POSITION_X"}
    _, table = index(folder / "trackmate_csv.yaml", track_names=names)
    assert show_their_cells(table)
    summary, table = index(folder / "orphans.yaml", missing_parents="cut")
    assert show_their_cells(table)
    assert any("2 parents that are not a track" in note for note in summary.notes)


@pytest.mark.parametrize("name", ["csv_z0", "geff_z0"])
def test_a_z_that_is_a_placeholder_is_refused(name: str, tmp_path: Path) -> None:
    folder = unpack_case("17", tmp_path)
    with pytest.raises(TracksError, match=r"0 in every row, while images have 11 slices: .* Set z"):
        index(folder / f"{name}.yaml")
    _, table = index(folder / f"{name}.yaml", z="middle")
    assert show_their_cells(table)
    table.unlink()
    _, table = index(folder / f"{name}.yaml", z=0)
    assert not (middles(table) > BRIGHT).any()


@pytest.mark.parametrize("name", ["csv", "clean"])
def test_names_that_begin_with_a_dot_are_no_data(name: str, tmp_path: Path) -> None:
    folder = unpack_case("19", tmp_path)
    summary, table = index(folder / f"{name}.yaml")
    assert sum(one.anchors for one in summary.counts) == 48
    assert show_their_cells(table)
    (note,) = summary.notes  # of what was not asked for, and none of the tracks
    assert note.startswith("no image was read")
