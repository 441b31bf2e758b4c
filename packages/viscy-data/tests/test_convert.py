import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorstore as ts
import tifffile
import yaml

from viscy_data.convert import ConvertSummary, convert_movies
from viscy_data.errors import InvalidInputError, TracksError
from viscy_data.experiments import Experiments
from viscy_data.movies import find_movies
from viscy_data.store import Array, describe
from viscy_data.tracks import read_tracks

MOVIES = Path(__file__).resolve().parents[4] / "shared" / "data" / "movies"
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
        assert fovs[0].pixel_size_um == (None if movie.pixel_size_um is None else (movie.pixel_size_um,) * 2)
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
