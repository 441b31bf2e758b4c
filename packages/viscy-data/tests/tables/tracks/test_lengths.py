"""Units of places: what is stated counts, and what looks like micrometres is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from viscy_data.errors import ExperimentsFileError, TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import parse_experiments
from viscy_data.tables.tracks.read import read_tracks

UM = 0.25
SIZE = 200


def info(um: float | None = UM, depth: int = 1, fov: str = "a") -> FovInfo:
    size = None if um is None else (um, um)
    return FovInfo(fov, "", (6, 1, depth, SIZE, SIZE), ("c",), size, slice_um=2.0 if depth > 1 else None)


def read(table: pd.DataFrame, folder: Path, *infos: FovInfo, **options: object) -> pd.DataFrame:
    table.to_csv(folder / "t.csv", index=False)
    values = {"name": "a", "data_path": "a", "tracks_path": str(folder / "t.csv"), "channels": ["c"]}
    return read_tracks(Experiment.model_validate(values | options), infos or [info()])


def spread(tracks: int = 12, scale: float = 1.0) -> pd.DataFrame:
    """Cells all over the image, in pixels times a scale."""
    places = np.random.default_rng(0).uniform(0, SIZE, (2, tracks)) * scale
    return pd.DataFrame({"track_id": range(1, tracks + 1), "t": 0, "y": places[0], "x": places[1]})


def test_micrometres_that_nobody_calls_so_are_refused_with_the_option_to_set(tmp_path: Path) -> None:
    table = spread(scale=UM)
    with pytest.raises(TracksError, match=r"look like micrometres, .* track_unit .* 'micrometer', or to"):
        read(table, tmp_path)
    np.testing.assert_allclose(
        read(table, tmp_path, track_unit="micron")["y"], spread()["y"], rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(read(table, tmp_path, track_unit="px")["y"], table["y"], rtol=1e-5)
    np.testing.assert_allclose(read(table, tmp_path, track_unit="mm")["y"], spread()["y"] * 1e3, rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(y=table["y"].where(table["track_id"] > 1, SIZE * UM + 1)),  # one beyond
        lambda table: table.assign(x=table["x"].where(table["track_id"] > 1, -0.4)),
        lambda table: table[:1],  # one cell may well be in a corner
    ],
)
def test_pixels_are_pixels(change: object, tmp_path: Path) -> None:
    table = change(spread(scale=UM))  # type: ignore[operator]  # a function of a table
    assert len(read(table, tmp_path)) == len(table)


def test_micrometres_of_pixels_larger_than_one_are_refused_too(tmp_path: Path) -> None:
    table = spread(40, scale=1.3)
    with pytest.raises(
        TracksError, match=r"places lie outside the image, .* track_unit .* 'micrometer', or to"
    ):
        read(table, tmp_path, info(1.3))
    np.testing.assert_allclose(
        read(table, tmp_path, info(1.3), track_unit="um")["y"], spread(40)["y"], rtol=1e-5
    )
    assert len(read(table, tmp_path, info(1.3), track_unit="pixel")) == 40
    few = spread(40).assign(y=lambda table: table["y"].where(table["track_id"] > 3, SIZE + 5))
    assert len(read(few, tmp_path, info(1.3))) == 40


@pytest.mark.parametrize("um", [None, 1.0, 1.5, 0.95])
def test_a_size_that_tells_nothing_refuses_nothing(um: float | None, tmp_path: Path) -> None:
    assert len(read(spread(scale=0.9), tmp_path, info(um))) == 12


def test_cells_in_the_corner_of_one_field_are_no_micrometres_where_others_are_beyond(tmp_path: Path) -> None:
    corner, rest = spread(scale=UM).assign(fov="a"), spread().assign(fov="b")
    tracks = read(pd.concat([corner, rest]), tmp_path, info(), info(fov="b"))
    assert len(tracks) == 24


def test_lengths_along_z_need_the_distance_of_slices(tmp_path: Path) -> None:
    table = spread(scale=UM).assign(z=np.arange(12.0))
    tracks = read(table, tmp_path, info(depth=8), track_unit="micrometer").sort_values("track_id")
    np.testing.assert_allclose(tracks["z"], np.arange(12) / 2)
    without = FovInfo("a", "", (6, 1, 8, SIZE, SIZE), ("c",), (UM, UM))
    with pytest.raises(TracksError, match="z is in 'micrometer': the distance of slices is needed"):
        read(table, tmp_path, without, track_unit="micrometer")
    assert read(table, tmp_path, without, track_unit="micrometer", z="middle")["z"].isna().all()


def test_lengths_need_the_size_of_a_pixel(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=r"y is in 'micrometer': a pixel size is needed, .* pixel_size_um"):
        read(spread(), tmp_path, info(None), track_unit="micrometer")
    tracks = read(spread(scale=0.5), tmp_path, info(None), track_unit="micrometer", pixel_size_um=0.5)
    np.testing.assert_allclose(tracks["y"], spread()["y"], rtol=1e-5)


@pytest.mark.parametrize(
    ("option", "match"),
    [
        ("track_unit: bananas", "track_unit='bananas': 'pixel' or a unit of length"),
        ("z: top", "z='top': 'tracks', 'focus', 'middle' or the number of a slice"),
        ("z: -1", "z=-1: 'tracks', 'focus', 'middle' or the number"),
        ("z: true", "z=True: 'tracks', 'focus', 'middle' or the number"),
        ("track_names: {time: FRAME}", "track_names.time"),
        ("track_names: {y: x}", "track_names: y and x would be read from one column, 'x'"),
        ("track_names: {y: p, x: p}", "track_names: y and x would be read from one column, 'p'"),
        ("missing_parents: keep", "missing_parents='keep'"),
    ],
)
def test_options_that_are_not_allowed_are_problems_of_the_file(
    option: str, match: str, tmp_path: Path
) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        f"experiments: [{{name: a, data_path: {tmp_path}, tracks_path: {tmp_path}, channels: [c], {option}}}]"
    )
    (problem,) = parse_experiments(path)[1]
    assert match in problem
    assert issubclass(ExperimentsFileError, ValueError)
