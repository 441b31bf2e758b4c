"""GEFFs that the format's own library wrote (`data/make_geff.py.txt`), and what may be wrong with one."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.read import Tracks, load_tracks, read_tracks

DATA = Path(__file__).parents[2] / "data"
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
    with pytest.raises(TracksError, match=r"no property for the axes y;.* track_names: \{y: \?\}"):
        read(path)
    (path / "nodes" / "props" / "row").rename(path / "nodes" / "props" / "centroid_y")
    with pytest.raises(TracksError, match=r"track_names: \{y: centroid_y\}"):
        read(path)
    (path / "nodes" / "props" / "centroid_y").rename(path / "nodes" / "props" / "row")
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


def test_names_that_a_graph_has_no_use_for_are_refused(unpack: Callable[..., Path]) -> None:
    names: Any = {"source_id": "area", "y": "y"}
    experiment = Experiment(
        name="a", data_path=Path("a"), tracks_path=unpack(), channels=("c",), track_names=names
    )
    with pytest.raises(TracksError, match="a GEFF says itself what source_id would say"):
        read_tracks(experiment, [FovInfo("a", "", (6, 1, 5, 64, 64), ("c",))])


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


def write(path: Path, props: dict[str, Any], axes: list[dict[str, Any]] | None = None, **geff: Any) -> Path:
    """Write a GEFF of three nodes in a line, with properties of nodes; ``edges.NAME`` are those of links."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    arrays = {"nodes/ids": np.array([5, 6, 7]), "edges/ids": np.array([[5, 6], [6, 7]])}
    given = {"t": np.arange(3), "y": np.array([10.0, 20.0, 30.0]), "x": np.array([1.0, 2.0, 3.0])} | props
    for name, values in given.items():
        side, _, own = name.rpartition(".")
        arrays[f"{side or 'nodes'}/props/{own}/values"] = np.asarray(values)
    for name, values in arrays.items():
        group.create_array(name, data=values)
    content: dict[str, Any] = {"geff_version": "1.3", "directed": True, "axes": axes or [], **geff}
    group.attrs["geff"] = content
    return path


def load(path: Path, *, um: float | None = 0.5, depth: int = 1, **options: Any) -> Tracks:
    values = {"name": "a", "data_path": "a", "tracks_path": str(path), "channels": ["c"]} | options
    size = None if um is None else (um, um)
    info = FovInfo("a", "", (6, 1, depth, 64, 64), ("c",), size, slice_um=None if depth == 1 else 2.0)
    return load_tracks(Experiment.model_validate(values), [info])


TIMES = [
    ({}, [0, 1, 2]),
    ({"unit": "frame"}, [0, 1, 2]),
    ({"unit": "frame", "scale": 30, "scaled_unit": "minute"}, [0, 1, 2]),
    ({"unit": "frame", "offset": 2}, [2, 3, 4]),
    ({"unit": "second", "t": [0, 1800, 3600]}, [0, 1, 2]),
    ({"unit": "s", "t": [0, 1801, 3599.5]}, [0, 1, 2]),
    ({"unit": "hours", "t": [0.5, 1, 1.5]}, [1, 2, 3]),
    ({"unit": "min", "t": [0.0, 60, 90]}, [0, 2, 3]),
    ({"unit": "milliseconds", "t": [0, 1.8e6, 3.6e6]}, [0, 1, 2]),
    ({"unit": "minute", "offset": 30, "t": [0, 30, 60]}, [1, 2, 3]),
    ({"scale": 0.5, "scaled_unit": "hour"}, [0, 1, 2]),
]


@pytest.mark.parametrize(("axis", "frames"), TIMES)
def test_times_become_frames(axis: dict[str, Any], frames: list[int], tmp_path: Path) -> None:
    said = {"name": "t", "type": "time"} | {key: value for key, value in axis.items() if key != "t"}
    path = write(tmp_path / "t.geff", {"t": axis.get("t", [0, 1, 2])}, [said])
    assert load(path, interval_minutes=30.0).frame["t"].tolist() == frames


@pytest.mark.parametrize(
    ("axis", "interval", "match"),
    [
        (
            {"unit": "second"},
            30.0,
            r"different times are of one frame at interval_minutes=30.0.*write 'frame'",
        ),
        ({"unit": "min"}, 5.0, "node 6, 't': 1.0 is not a frame at interval_minutes=5.0: .* write 'frame'"),
        ({"unit": "second"}, None, "interval_minutes is not known, or 0: set it"),
        ({"unit": "fortnight"}, 30.0, "no unit of time that is known"),
        ({"unit": "frame", "scale": 5, "scaled_unit": "minute"}, 30.0, "a frame is 5 minutes, but interval_"),
        ({"scale": 5}, 30.0, "a scale of frames without a unit"),
        ({"unit": "minute", "scale": 5, "scaled_unit": "hour"}, 30.0, "contradict each other"),
    ],
)
def test_times_that_cannot_be_reconciled_are_refused(
    axis: dict[str, Any], interval: float | None, match: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.geff", {}, [{"name": "t", "type": "time", **axis}])
    with pytest.raises(TracksError, match=match):
        load(path, interval_minutes=interval)


def test_of_several_axes_of_time_viewers_are_told_which(tmp_path: Path) -> None:
    axes = [{"name": name, "type": "time", "unit": unit} for name, unit in (("s", "second"), ("f", "frame"))]
    props = {"s": [0.0, 1800.0, 3600.0], "f": [1, 2, 3]}
    assert load(write(tmp_path / "t.geff", props, axes)).frame["t"].tolist() == [1, 2, 3]
    path = write(tmp_path / "u.geff", props, axes, display_hints={"display_time": "s"})
    assert load(path, interval_minutes=30.0).frame["t"].tolist() == [0, 1, 2]
    assert load(path, track_names={"t": "f"}).frame["t"].tolist() == [1, 2, 3]


PLACES = [  # of y, stored as 10, 20, 30; a pixel is 0.5 micrometres
    ({"unit": "pixel"}, 1),
    ({"unit": "pixels", "scale": 0.5, "scaled_unit": "\u00b5m"}, 1),
    ({"unit": "um"}, 2),
    ({"unit": "micron"}, 2),
    ({"unit": "\u03bcm"}, 2),
    ({"unit": "Micrometres"}, 2),
    ({"unit": "nm"}, 2e-3),
    ({"unit": "nanometer", "scale": 1e-3, "scaled_unit": "micrometer"}, 2e-3),
    ({"scale": 0.25, "scaled_unit": "um"}, 0.5),
    ({"scale": 2, "scaled_unit": "pixel"}, 2),
]


@pytest.mark.parametrize(("said", "factor"), PLACES)
def test_places_become_pixels(said: dict[str, Any], factor: float, tmp_path: Path) -> None:
    path = write(tmp_path / "t.geff", {}, [{"name": "y", "type": "space", **said}])
    np.testing.assert_allclose(load(path).frame["y"], np.array([10, 20, 30]) * factor, rtol=1e-6)


@pytest.mark.parametrize(
    ("said", "shift"),
    [
        ({"unit": "pixel", "offset": 3}, 3),
        ({"unit": "pixel", "scale": 0.5, "scaled_unit": "um", "offset": 3}, 6),
        ({"scale": 0.5, "scaled_unit": "um", "offset": 3}, 6),
        ({"offset": 3}, 3),
    ],
)
def test_an_offset_is_added_after_the_scale(said: dict[str, Any], shift: float, tmp_path: Path) -> None:
    path = write(tmp_path / "t.geff", {}, [{"name": "y", "type": "space", **said}])
    np.testing.assert_allclose(load(path).frame["y"], np.array([10, 20, 30]) + shift, rtol=1e-6)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"scale": 0.5}, "a scale without a unit .* Set track_unit"),
        ({"unit": "bananas"}, "pixels are needed, .* set track_unit"),
        (
            {"unit": "pixel", "scale": 0.25, "scaled_unit": "um"},
            "a pixel has 0.25 micrometres, one of fov 'a' 0.5",
        ),
        ({"unit": "um", "scale": 0.5, "scaled_unit": "um"}, "contradict each other"),
        ({"scale": float("inf")}, r"geff\.axes\.0\.scale"),
    ],
)
def test_places_that_have_two_meanings_are_refused(said: dict[str, Any], match: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.geff", {}, [{"name": "y", "type": "space", **said}])
    with pytest.raises(TracksError, match=match):
        load(path)
    if "inf" not in str(said):
        assert load(path, track_unit="pixel").frame["y"].tolist() == [10, 20, 30]


def test_slices_are_lengths_too(tmp_path: Path) -> None:
    axes = [{"name": "z", "type": "space", "unit": "um"}]
    path = write(tmp_path / "t.geff", {"z": [2.0, 4.0, 6.0]}, axes)
    assert load(path, depth=5).frame["z"].tolist() == [1, 2, 3]


def test_places_in_the_world_are_divided_by_the_scale_that_their_program_records(tmp_path: Path) -> None:
    axes = [{"name": name, "type": kind} for name, kind in (("t", "time"), ("y", "space"), ("x", "space"))]
    scaled = [axis | {"scale": 0.5} for axis in axes[1:]]
    for name, path in {
        "older": write(tmp_path / "a", {}, [axes[0], *scaled], extra={"funtracks": {}}),
        "newer": write(tmp_path / "b", {}, axes, extra={"tracksdata": {"scale": [1.0, 0.5, 0.25]}}),
    }.items():
        frame = load(path).frame
        assert frame["y"].tolist() == [20, 40, 60]
        assert frame["x"].tolist() == ([2, 4, 6] if name == "older" else [4, 8, 12])
    both = write(tmp_path / "c", {}, [axes[0], *scaled], extra={"tracksdata": {"scale": [1, 0.25, 0.25]}})
    with pytest.raises(TracksError, match="another scale is recorded beside it"):
        load(both)


def test_what_is_not_in_the_solution_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.geff", {"solution": [True, True, False], "edges.solution": [True, True]})
    found = load(path)
    assert found.frame["t"].tolist() == [0, 1]
    assert found.left_out == {"nodes not in the solution": 1, "links not in the solution": 1}
    assert load(path, track_filter=[]).left_out == {}
    links = write(tmp_path / "l.geff", {"edges.solution": [1, 0]})
    assert load(links).frame["track_id"].tolist() == [1, 1, 2]
    assert load(links).left_out == {"links not in the solution": 1}


def test_any_boolean_property_can_be_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "t.geff", {"checked": [True, False, True], "score": [0.5, 1, 2]})
    assert load(path, track_filter=["checked"]).frame["t"].tolist() == [0, 2]
    with pytest.raises(TracksError, match=r"track_filter='cheked' is not a property .* mean 'checked'"):
        load(path, track_filter=["cheked"])
    with pytest.raises(TracksError, match="'nodes/props/score' holds float64, not true and false"):
        load(path, track_filter=["score"])


def test_an_affine_transformation_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=r"geff\.affine"):
        load(write(tmp_path / "t.geff", {}, affine={"matrix": [[2.0]]}))


@pytest.mark.parametrize(
    ("array", "change", "match"),
    [
        (
            "nodes/ids",
            {"shape": [10**12]},
            r"'nodes/ids' has an array of \(1000000000000,\) x 8 bytes; at most",
        ),
        ("nodes/props/y/values", {"shape": [10**12]}, r"has the shape \(1000000000000,\), not \(3,\)"),
        (
            "nodes/props/y/values",
            {"chunks": [10**12]},
            r"has a chunk of \(1000000000000,\) x 8 bytes; at most",
        ),
        ("edges/ids", {"shape": [10**12, 2]}, "'edges/ids' has an array of"),
        ("edges/ids", {"shape": [2, 3]}, r"'edges/ids' has the shape \(2, 3\)"),
        ("nodes/props/y/values", {"filters": [{"id": "pickle", "protocol": 5}]}, "pickle"),
        ("nodes/props/y/values", {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}]}, "pickle"),
        ("nodes/ids", {"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "fill_value": ""}, "not numbers"),
        ("nodes/props/y/values", {"compressor": {"id": "base64"}}, "base64"),
    ],
)
def test_arrays_that_could_hurt_are_refused_before_they_are_read(
    array: str, change: dict[str, Any], match: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.geff", {})
    file = path / array / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(TracksError, match=match):
        load(path)


def test_a_pickled_chunk_runs_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "t.geff", {})
    file = path / "nodes/props/y/values/.zarray"
    change = {
        "dtype": "|O",
        "filters": [{"id": "pickle", "protocol": 5}],
        "compressor": None,
        "fill_value": None,
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (path / "nodes/props/y/values/0").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(TracksError):
        load(path)
    assert not (tmp_path / "ran").exists()
