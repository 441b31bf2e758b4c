"""GEFFs that the format's own library wrote (`data/make_geff.py.txt`), and what may be wrong with one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from viscy_data.errors import TracksError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.tracks import read_tracks

DATA = Path(__file__).parent / "data"
WRITTEN = sorted(path.stem for path in DATA.glob("geff_*.zip"))
ROWS = [  # track, parent, t, z, y, x
    (1, -1, 0, 1, 10.5, 20.0),
    (1, -1, 1, 1, 11.5, 21.0),
    (2, -1, 2, 0, 30.25, 4.5),
    (1, -1, 3, 2, 12.5, 22.0),
    (3, 1, 4, 3, 16.5, 23.0),
    (4, 1, 4, 2, 8.5, 22.0),
    (3, 1, 5, 3, 17.5, 24.0),
]


def read(path: Path, *fovs: str, depth: int = 5, um: float | None = None) -> pd.DataFrame:
    experiment = Experiment(name="a", data_path=Path("a"), tracks_path=path, channels=("c",))
    size = None if um is None else (um, um)
    shape = (6, 1, depth, 64, 64)
    return read_tracks(experiment, [FovInfo(fov, "", shape, ("c",), size) for fov in fovs or ("a",)])


def rows_of(tracks: pd.DataFrame) -> list[tuple[float, ...]]:
    columns = ["track_id", "parent_track_id", "t", "z", "y", "x"]
    return [tuple(row) for row in tracks[columns].to_numpy(dtype=float).tolist()]


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., Path]:
    def into(folder: Path = tmp_path, name: str = WRITTEN[-1]) -> Path:
        shutil.unpack_archive(DATA / f"{name}.zip", folder)
        return folder / "tracks.geff"

    return into


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the metadata of a GEFF in Zarr's version 3."""
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    edit(content["attributes"]["geff"])
    file.write_text(json.dumps(content))


def axis(which: str, **values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: next(one for one in content["axes"] if one["name"] == which).update(values)


def test_there_are_files_of_two_versions_of_format_and_of_zarr() -> None:
    assert [f"geff_{v}_zarr{z}" for v in ("0.5", "1.3") for z in (2, 3)] == WRITTEN


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_library_wrote_is_read(name: str, unpack: Callable[..., Path]) -> None:
    """Gaps and places in three dimensions stay; a division ends the mother's track."""
    assert rows_of(read(unpack(name=name))) == ROWS


@pytest.mark.parametrize("place", ["{}/tracks.geff", "{}.geff", "{}"])
def test_one_for_each_field_of_view(place: str, tmp_path: Path, unpack: Callable[..., Path]) -> None:
    target = tmp_path / "tracks" / place.format("B/2/0")
    target.parent.mkdir(parents=True)
    unpack().rename(target)
    tracks = read(tmp_path / "tracks", "B/2/0", "B/2/1")
    assert set(tracks["fov"]) == {"B/2/0"}
    assert rows_of(tracks) == ROWS


def test_one_is_not_enough_for_two_fields_of_view(unpack: Callable[..., Path]) -> None:
    with pytest.raises(TracksError, match=r"tracks\.geff: a GEFF is one fov; the store has 2"):
        read(unpack(), "a", "b")


def test_slices_are_left_out_where_the_images_have_one(unpack: Callable[..., Path]) -> None:
    assert read(unpack(), depth=1)["z"].isna().all()


def test_lengths_become_pixels(unpack: Callable[..., Path]) -> None:
    path = unpack()
    for name in "yx":
        change(path, axis(name, unit="nanometer"))
    tracks = read(path, um=0.25)
    np.testing.assert_allclose(tracks["y"], np.array([row[4] for row in ROWS]) / 250, rtol=1e-6)
    with pytest.raises(
        TracksError, match=r"axis 'y' \(unit 'nanometer'\): pixels are needed, .* pixel_size_um"
    ):
        read(path)
    change(path, axis("z", unit="micrometer"))
    with pytest.raises(
        TracksError, match=r"axis 'z' \(unit 'micrometer'\): .* the distance of slices is needed"
    ):
        read(path, um=0.25)


def test_axes_have_any_names_that_viewers_are_told(unpack: Callable[..., Path]) -> None:
    path = unpack()
    (path / "nodes" / "props" / "y").rename(path / "nodes" / "props" / "row")
    with pytest.raises(TracksError, match="no property for the axes y;"):
        read(path)
    change(path, axis("y", name="row"))
    change(path, lambda content: content.update(display_hints={"display_vertical": "row"}))
    assert rows_of(read(path)) == ROWS


@pytest.mark.parametrize(
    ("array", "place", "value", "match"),
    [
        ("edges/ids", (0, 0), 999, "a link leads to node 999, which is not there"),
        ("nodes/props/t/values", 0, 9, "node 40, column 't': t=9 lies outside the movie of 6 frames"),
        ("nodes/props/x/values", 1, np.nan, "node 7, column 'x': the place is missing or not finite"),
    ],
)
def test_malformed_graphs_are_refused(
    array: str, place: Any, value: float, match: str, unpack: Callable[..., Path]
) -> None:
    path = unpack()
    zarr.open_array(path / array, mode="r+")[place] = value
    with pytest.raises(TracksError, match=match):
        read(path)


def test_merges_are_refused_with_their_ids(unpack: Callable[..., Path]) -> None:
    path = unpack()
    zarr.open_array(path / "edges" / "ids", mode="r+")[3] = (90, 5)  # a daughter joins her sister's track
    with pytest.raises(TracksError, match=r"tracks\.geff: nodes 12 and 90 merge into node 5; a cell has one"):
        read(path)


def test_missing_values_are_missing_places(unpack: Callable[..., Path]) -> None:
    path = unpack()
    missing = zarr.open_group(path, mode="r+").create_array("nodes/props/y/missing", shape=(7,), dtype=bool)
    assert rows_of(read(path)) == ROWS
    missing[2] = True
    with pytest.raises(TracksError, match="node 3, column 'y': the place is missing"):
        read(path)


def test_names_alone_are_enough(unpack: Callable[..., Path]) -> None:
    path = unpack()
    change(path, dict.clear)
    assert rows_of(read(path)) == ROWS


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ([], "metadata geff: .* not \\[\\]"),
        ({"axes": [{"type": "time"}]}, r"metadata geff\.axes\.0\.name: Field required"),
        ({"axes": "tyx"}, r"metadata geff\.axes: .* not 'tyx'"),
        ({"display_hints": {"display_time": 4}}, r"metadata geff\.display_hints\.display_time: .* not 4"),
    ],
)
def test_metadata_of_another_shape_are_refused(
    metadata: Any, match: str, unpack: Callable[..., Path]
) -> None:
    path = unpack()
    content = json.loads((path / "zarr.json").read_text())
    content["attributes"]["geff"] = metadata
    (path / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(TracksError, match=match):
        read(path)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda path: shutil.rmtree(path / "nodes/props/x"), "no property for the axes x"),
        (lambda path: shutil.rmtree(path / "edges/ids"), "no 'edges/ids' in the group"),
        (lambda path: (path / "nodes/ids/c/0").write_bytes(b"noise"), "the GEFF cannot be read"),
        (lambda path: (path / "zarr.json").write_text("{"), "the GEFF cannot be read"),
        (
            lambda path: (path / "zarr.json").write_text('{"zarr_format":3,"node_type":"group"}'),
            "no metadata",
        ),
    ],
)
def test_damage_is_an_error_of_ours(
    damage: Callable[[Path], Any], match: str, unpack: Callable[..., Path]
) -> None:
    path = unpack()
    damage(path)
    with pytest.raises(TracksError, match=match):
        read(path)
