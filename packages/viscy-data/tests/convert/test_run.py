import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorstore as ts
import tifffile
import yaml

from viscy_data.convert.movies import find_movies
from viscy_data.convert.run import ConvertSummary, MovieSummary, convert_movies
from viscy_data.errors import InvalidInputError, TracksError
from viscy_data.images.store import Array, describe
from viscy_data.tables.crops import pixel_size
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tracks.read import read_tracks

MOVIES = Path(__file__).resolve().parents[5] / "shared" / "data" / "movies"
TWO_CHANNELS = ("ktr_celltk", "ktr_covertrack_a", "ktr_covertrack_b", "fucci_hacat")
ONE_CHANNEL = ("phase_t98g", "qpi_mda231", "epi_013")

needs_movies = pytest.mark.skipif(not MOVIES.is_dir(), reason=f"no real movies at {MOVIES}")


def read_store(experiments_path: Path, name: str) -> Array:
    folder = experiments_path.parent / name / "plate.zarr" / "A/1/0/0"
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
    return np.asarray(ts.open(spec).result().read().result())


def write_movie(
    path: Path, channels: int = 1, frames: int = 3, meta: object = None, dtype: str = "uint16"
) -> Path:
    rng = np.random.default_rng(len(path.name))
    (path / "frames").mkdir(parents=True)
    for t in range(frames):
        pixels = rng.integers(0, 255, (channels, 30, 300)).astype(dtype)
        tifffile.imwrite(path / "frames" / f"t{t:03d}.tif", pixels, photometric="minisblack")
    rows = ["7,0,10.25,20.5,-1", "8,1,9,19,7", "9,1,11,22,7", "8,2,9,18,7"]
    (path / "tracks.csv").write_text("track_id,t,y,x,parent_track_id\n" + "\n".join(rows) + "\n")
    if meta is not None:
        (path / "meta.json").write_text(json.dumps(meta))
    return path


def write_sequence(dataset: Path) -> Path:
    mask = np.zeros((2, 20, 24), np.uint16)
    mask[0, 4:7, 5:8] = 1
    mask[1, 4:7, 6:9] = 2
    mask[1, 10:13, 6:9] = 3
    (dataset / "01").mkdir(parents=True)
    (dataset / "01_GT" / "TRA").mkdir(parents=True)
    for t in range(2):
        tifffile.imwrite(dataset / "01" / f"t{t:03d}.tif", np.full((20, 24), 40 + t, np.uint8))
        tifffile.imwrite(dataset / "01_GT" / "TRA" / f"man_track{t:03d}.tif", mask[t])
    (dataset / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 0 0\n2 1 1 1\n3 1 1 1\n")
    return dataset


def check_round_trip(folders: list[Path], summary: ConvertSummary) -> None:
    experiments = Experiments.load(summary.experiments_path).experiments
    for movie, experiment, told in zip(find_movies(folders), experiments, summary.movies, strict=True):
        stored = read_store(summary.experiments_path, movie.name)
        assert experiment.name == told.name == movie.name
        assert stored.shape == told.shape
        for t in range(len(movie.frames)):
            original = tifffile.imread(movie.frames[t])
            assert stored[t].dtype == original.dtype
            np.testing.assert_array_equal(stored[t].reshape(original.shape), original)
        fovs = describe(experiment)
        tracks = read_tracks(experiment, fovs)
        assert len(tracks) == told.detections
        expected = None if movie.pixel_size_um is None else (movie.pixel_size_um,) * 2
        stated = [experiment, experiment.model_copy(update={"pixel_size_um": None})]
        assert [pixel_size(one, describe(one)[0]) for one in stated] == [expected, expected]
        assert (experiment.condition_wells, experiment.start_hpi) == (None, None)
        assert experiment.interval_minutes == movie.interval_minutes


@needs_movies
@pytest.mark.parametrize("names", [TWO_CHANNELS, ONE_CHANNEL])
def test_real_movies_survive_pixel_for_pixel(tmp_path: Path, names: tuple[str, ...]) -> None:
    folders = [MOVIES / name for name in names]
    summary = convert_movies(folders, tmp_path / "out", progress=False)
    check_round_trip(folders, summary)
    for folder, told in zip(folders, summary.movies, strict=True):
        meta = json.loads((folder / "meta.json").read_text())
        assert told.detections == meta["n_detections"]
        assert told.tracks == meta["n_tracks"]
        assert told.divisions == meta["n_divisions"]
        assert told.channels == tuple(meta["channel_names"])
        assert ("interval_minutes" in told.not_stated) == (meta["interval_min"] is None)
        assert ("pixel_size_um" in told.not_stated) == (meta["pixel_size_um"] is None)


@needs_movies
def test_tracks_of_a_real_movie_are_kept(tmp_path: Path) -> None:
    summary = convert_movies([MOVIES / "fucci_hacat"], tmp_path, progress=False)
    before = pd.read_csv(MOVIES / "fucci_hacat" / "tracks.csv").sort_values(["track_id", "t"])
    after = pd.read_csv(summary.experiments_path.parent / "fucci_hacat/tracks/A/1/0/tracks.csv")
    pd.testing.assert_frame_equal(after[before.columns.tolist()], before.reset_index(drop=True))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_pixels_and_dtype_survive(tmp_path: Path, dtype: str) -> None:
    folders = [write_movie(tmp_path / name, channels=2, dtype=dtype) for name in ("a", "bb")]
    check_round_trip(folders, convert_movies(folders, tmp_path / "out", progress=False))


def test_cell_tracking_challenge_sequence(tmp_path: Path) -> None:
    summary = convert_movies([write_sequence(tmp_path / "set")], tmp_path / "out", progress=False)
    (movie,) = summary.movies
    assert (movie.name, movie.shape, movie.tracks, movie.divisions) == ("set_01", (2, 1, 1, 20, 24), 3, 1)
    assert set(movie.not_stated) == {
        "channels",
        "interval_minutes",
        "pixel_size_um",
        "condition_wells",
        "start_hpi",
    }
    table = pd.read_csv(tmp_path / "out/set_01/tracks/A/1/0/tracks.csv")
    assert table.to_dict("list") == {
        "track_id": [1, 2, 3],
        "t": [0, 1, 1],
        "y": [5.0, 5.0, 11.0],
        "x": [6.0, 7.0, 7.0],
        "parent_track_id": [-1, 1, 1],
    }
    assert (read_store(summary.experiments_path, "set_01")[1] == 41).all()


def test_what_is_not_stated_is_null_and_named(tmp_path: Path) -> None:
    meta = {"channel_names": ["Phase"], "interval_min": 10, "pixel_size_um": None}
    summary = convert_movies([write_movie(tmp_path / "one", meta=meta)], tmp_path / "out", progress=False)
    assert summary.movies[0].not_stated == ("pixel_size_um", "condition_wells", "start_hpi")
    text = summary.experiments_path.read_text()
    assert "# one: pixel_size_um, condition_wells, start_hpi" in text
    (record,) = yaml.safe_load(text)["experiments"]
    assert record["interval_minutes"] == 10
    assert record["pixel_size_um"] is record["start_hpi"] is record["condition_wells"] is None


def test_different_numbers_of_channels_are_refused_unless_chosen(tmp_path: Path) -> None:
    folders = [write_movie(tmp_path / "one"), write_movie(tmp_path / "two", channels=2)]
    with pytest.raises(InvalidInputError, match=r"one: 1, two: 2"):
        convert_movies(folders, tmp_path / "out", progress=False)
    with pytest.raises(InvalidInputError, match=r"channels=\[1\] must be different positions from 0 to 0"):
        convert_movies(folders, tmp_path / "out", channels=[1], progress=False)
    assert not (tmp_path / "out").exists()
    summary = convert_movies(folders, tmp_path / "out", channels=[0], progress=False)
    experiments = Experiments.load(summary.experiments_path).experiments
    assert [experiment.channels for experiment in experiments] == [("channel_0",), ("channel_0",)]
    assert read_store(summary.experiments_path, "two").shape[1] == 2


def test_channels_are_listed_in_the_order_asked(tmp_path: Path) -> None:
    summary = convert_movies(
        [write_movie(tmp_path / "two", channels=2)], tmp_path / "out", channels=[1, 0], progress=False
    )
    (experiment,) = Experiments.load(summary.experiments_path).experiments
    assert experiment.channels == ("channel_1", "channel_0")


def test_existing_output_is_refused(tmp_path: Path) -> None:
    folder = write_movie(tmp_path / "one")
    convert_movies([folder], tmp_path / "out", progress=False)
    with pytest.raises(InvalidInputError, match=r"already holds one, experiments\.yaml"):
        convert_movies([folder], tmp_path / "out", progress=False)
    convert_movies([folder], tmp_path / "out", overwrite=True, progress=False)


def test_a_frame_unlike_the_first_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    folder = write_movie(tmp_path / "one")
    tifffile.imwrite(folder / "frames" / "t002.tif", np.zeros((1, 30, 299), np.uint16))
    with pytest.raises(InvalidInputError, match=r"t002\.tif: shape=\(1, 1, 30, 299\) .* differ"):
        convert_movies([folder], tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_bad_tracks_are_named(tmp_path: Path) -> None:
    folder = write_movie(tmp_path / "one")
    (folder / "tracks.csv").write_text("track_id,t,y,x\n1,9,2,3\n")
    with pytest.raises(TracksError, match=r"one/tracks\.csv: line 2, column 't'"):
        convert_movies([folder], tmp_path / "out", progress=False)


def test_channel_names_must_fit_the_frames(tmp_path: Path) -> None:
    folder = write_movie(tmp_path / "one", channels=2, meta={"channel_names": ["a"]})
    with pytest.raises(InvalidInputError, match=r"t000\.tif: .* has 2 channels, but channel_names=\['a'\]"):
        convert_movies([folder], tmp_path / "out", progress=False)


def write_frames(path: Path, images: list[np.ndarray[Any, Any]], **options: Any) -> Path:
    (path / "frames").mkdir(parents=True)
    for t, image in enumerate(images):
        tifffile.imwrite(path / "frames" / f"t{t:03d}.tif", image, **{"photometric": "minisblack"} | options)
    (path / "tracks.csv").write_text("track_id,t,y,x\n1,0,4,5\n1,1,4,5\n")
    return path


def stored_of(folder: Path, tmp_path: Path, **options: Any) -> tuple[Array, MovieSummary]:
    summary = convert_movies([folder], tmp_path / "out", progress=False, **options)
    return read_store(summary.experiments_path, folder.name), summary.movies[0]


BLOCK = np.random.default_rng(0).integers(0, 255, (4, 3, 2, 16, 20)).astype(np.uint16)
"""Time points, slices, channels, rows and columns."""


def test_frames_have_the_axes_that_they_state(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", list(BLOCK), imagej=True, metadata={"axes": "ZCYX"})
    stored, told = stored_of(folder, tmp_path)
    np.testing.assert_array_equal(stored, BLOCK.swapaxes(1, 2))
    assert told.remarks == ()


def test_axes_that_cannot_be_told_are_asked_for(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", list(BLOCK))
    with pytest.raises(InvalidInputError, match=r"t000\.tif: shape=\(3, 2, 16, 20\).*--axes ZCYX"):
        stored_of(folder, tmp_path)
    assert not (tmp_path / "out").exists()
    stored, _ = stored_of(folder, tmp_path, axes="ZCYX")
    np.testing.assert_array_equal(stored, BLOCK.swapaxes(1, 2))
    with pytest.raises(InvalidInputError, match=r"does not fit the axes CYX"):
        stored_of(folder, tmp_path, axes="CYX", overwrite=True)
    for axes in ("", "XX", "ZCY", "zcyx", "QYX", "TZCYXT"):
        with pytest.raises(InvalidInputError, match=f"axes='{axes}': one letter for each dimension"):
            stored_of(folder, tmp_path, axes=axes, overwrite=True)


def test_one_file_may_hold_all_frames(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "stated", [BLOCK], imagej=True, metadata={"axes": "TZCYX"})
    stored, _ = stored_of(folder, tmp_path)
    np.testing.assert_array_equal(stored, BLOCK.swapaxes(1, 2))
    for name, options in (("plain", {}), ("packed", {"compression": "lzw"})):
        folder = write_frames(tmp_path / name, [BLOCK[:, 0, 0]], **options)
        with pytest.raises(InvalidInputError, match="--axes"):
            convert_movies([folder], tmp_path / f"{name}_out", progress=False)
        summary = convert_movies([folder], tmp_path / f"{name}_out", axes="TYX", progress=False)
        stored = read_store(summary.experiments_path, name)
        np.testing.assert_array_equal(stored[:, 0, 0], BLOCK[:, 0, 0])


def test_time_points_within_one_of_several_files_are_refused(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "a", list(BLOCK[:, :, 0]), imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(InvalidInputError, match=r"t000\.tif: states 3 time points, but there are 4 files"):
        stored_of(folder, tmp_path)
    stored, _ = stored_of(folder, tmp_path, axes="ZYX")
    np.testing.assert_array_equal(stored[:, 0], BLOCK[:, :, 0])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_of_a_pixel_are_channels(tmp_path: Path, planar: str) -> None:
    colours = BLOCK[:, :, 0].astype(np.uint8)  # (4, 3, 16, 20)
    images = list(colours if planar == "separate" else np.moveaxis(colours, 1, -1))
    folder = write_frames(tmp_path / "a", images, photometric="rgb", planarconfig=planar)
    stored, told = stored_of(folder, tmp_path)
    np.testing.assert_array_equal(stored[:, :, 0], colours)
    assert told.channels == ("red", "green", "blue")


def test_places_in_a_table_of_colours_are_refused(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(0, 65535, (3, 256)).astype(np.uint16)
    images = list(BLOCK[:, 0, 0].astype(np.uint8))
    folder = write_frames(tmp_path / "a", images, photometric="palette", colormap=table)
    with pytest.raises(InvalidInputError, match=r"t000\.tif: its pixels are places in a table of colours"):
        stored_of(folder, tmp_path)


@pytest.mark.parametrize(
    ("odd", "options"),
    [
        (BLOCK[0, 0, 0].astype(np.uint8), {}),
        (BLOCK[0, 0, 0, :8], {}),
        (BLOCK[0, :, 0], {"imagej": True, "metadata": {"axes": "ZYX"}}),
    ],
    ids=["dtype", "shape", "axes"],
)
def test_a_frame_unlike_the_others_is_named_before_anything_is_written(
    tmp_path: Path, odd: Array, options: dict[str, Any]
) -> None:
    folder = write_frames(tmp_path / "a", list(BLOCK[:, 0, 0]))
    tifffile.imwrite(folder / "frames" / "t002.tif", odd, **{"photometric": "minisblack"} | options)
    with pytest.raises(InvalidInputError, match=r"t002\.tif: shape=.*differ from the first"):
        stored_of(folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_blank_frames_and_pixels_that_are_not_finite_are_said(tmp_path: Path) -> None:
    images = BLOCK[:, 0].astype(np.float32)
    images[1, 0] = 7
    images[2:, 1, 3, 4] = np.nan, np.inf
    summary = convert_movies([write_frames(tmp_path / "a", list(images))], tmp_path / "out", progress=False)
    assert [text for text in summary.movies[0].remarks if "axes" not in text] == [
        "blank frames (all pixels equal) in channel_0: 1 of 4, t=1",
        "pixels not finite in channel_1: 2 of 4, t=2, 3",
    ]
    assert "# a: pixels not finite in channel_1" in summary.experiments_path.read_text()
    np.testing.assert_array_equal(read_store(summary.experiments_path, "a")[:, :, 0], images)


@pytest.mark.parametrize("dtype", ["float16", "int32", "bool", ">u2"])
def test_any_number_is_kept(tmp_path: Path, dtype: str) -> None:
    images = (BLOCK[:, 0, 0] % 2).astype(dtype)
    stored, _ = stored_of(write_frames(tmp_path / "a", list(images)), tmp_path)
    np.testing.assert_array_equal(stored[:, 0, 0], images)


def test_sizes_that_files_state_are_kept(tmp_path: Path) -> None:
    lines = b"ImageJ=1.54\nimages=3\nslices=3\nunit=micron\nspacing=2.5\nfinterval=600\n"
    folder = write_frames(
        tmp_path / "a",
        list(BLOCK[:, :, 0]),
        description=lines,
        metadata=None,
        resolution=(4, 4),
        resolutionunit=1,
    )
    summary = convert_movies([folder], tmp_path / "out", progress=False)
    (experiment,) = Experiments.load(summary.experiments_path).experiments
    assert (experiment.pixel_size_um, experiment.interval_minutes) == (0.25, 10)
    (info,) = describe(experiment.model_copy(update={"pixel_size_um": None}))
    assert (info.shape, info.pixel_size_um, info.slice_um) == ((4, 1, 3, 16, 20), (0.25, 0.25), 2.5)
    assert summary.movies[0].not_stated == ("channels", "condition_wells", "start_hpi")


def test_tracks_of_a_challenge_are_those_of_a_list_and_no_other_folder(tmp_path: Path) -> None:
    dataset = write_sequence(tmp_path / "set")
    (dataset / "01_GT/TRA").rename(dataset / "01_RES")
    (dataset / "01_RES/man_track.txt").rename(dataset / "01_RES/res_track.txt")
    for name in ("01_GT/TRA", "01_ST/SEG", "01_SEG"):
        (dataset / name).mkdir(parents=True)
        for t in range(2):
            tifffile.imwrite(dataset / name / f"man_seg{t:03d}.tif", np.ones((20, 24), np.uint16))
    (dataset / "01/._t000.tif").write_bytes(b"Mac")
    summary = convert_movies([dataset], tmp_path / "out", progress=False)
    assert (summary.movies[0].detections, summary.movies[0].tracks) == (3, 3)


def test_a_parent_that_only_the_list_knows_is_said(tmp_path: Path) -> None:
    dataset = write_sequence(tmp_path / "set")
    tifffile.imwrite(dataset / "01_GT/TRA/man_track000.tif", np.zeros((20, 24), np.uint16))
    summary = convert_movies([dataset], tmp_path / "out", progress=False)
    (experiment,) = Experiments.load(summary.experiments_path).experiments
    assert len(read_tracks(experiment, describe(experiment))) == 2
    assert "2 tracks whose parent no mask shows are written without a parent" in summary.movies[0].remarks
    assert "cells of the track list that no mask shows: 1" in summary.movies[0].remarks


def test_more_than_the_disk_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_movie(tmp_path / "one")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(InvalidInputError, match=r"out='.*out': about .* would be written, 1\.0 kB are free"):
        convert_movies([folder], tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
