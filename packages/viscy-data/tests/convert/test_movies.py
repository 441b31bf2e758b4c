import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from viscy_data.convert.movies import find_movies
from viscy_data.errors import InvalidInputError


def write_movie(path: Path, meta: object = None, frames: int = 2, shape: tuple[int, ...] = (2, 8, 9)) -> Path:
    (path / "frames").mkdir(parents=True)
    for t in range(frames):
        tifffile.imwrite(
            path / "frames" / f"t{t:03d}.tif", np.full(shape, t, np.uint16), photometric="minisblack"
        )
    (path / "tracks.csv").write_text("track_id,t,y,x\n1,0,2,3\n")
    if meta is not None:
        (path / "meta.json").write_text(json.dumps(meta))
    return path


def write_sequence(dataset: Path, name: str, tracks: str = "GT/TRA", shape: tuple[int, ...] = (8, 9)) -> Path:
    (dataset / name).mkdir(parents=True)
    for t in range(2):
        tifffile.imwrite(
            dataset / name / f"t{t:03d}.tif", np.full(shape, t, np.uint8), photometric="minisblack"
        )
    (dataset / f"{name}_{tracks}").mkdir(parents=True)
    return dataset / name


def test_a_movie_folder_states_what_its_meta_says(tmp_path: Path) -> None:
    meta = {"channel_names": ["a", "b"], "interval_min": 5, "pixel_size_um": None, "other": 1}
    (movie,) = find_movies([write_movie(tmp_path / "one", meta)])
    assert (movie.name, movie.channels, movie.interval_minutes) == ("one", ("a", "b"), 5.0)
    assert movie.pixel_size_um is None
    assert [path.name for path in movie.frames] == ["t000.tif", "t001.tif"]


def test_without_meta_nothing_is_known(tmp_path: Path) -> None:
    (movie,) = find_movies([write_movie(tmp_path / "one")])
    assert (movie.channels, movie.interval_minutes, movie.pixel_size_um) == (None, None, None)


def test_a_data_set_stands_for_its_sequences_and_truth_goes_before_results(tmp_path: Path) -> None:
    dataset = tmp_path / "Fluo-N2DL-HeLa"
    write_sequence(dataset, "01")
    (dataset / "01_RES").mkdir()
    write_sequence(dataset, "02", tracks="RES")
    movies = find_movies([dataset])
    assert [movie.name for movie in movies] == ["Fluo-N2DL-HeLa_01", "Fluo-N2DL-HeLa_02"]
    assert [movie.tracks.name for movie in movies] == ["TRA", "02_RES"]
    assert find_movies([dataset / "02"]) == movies[1:]


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((8, 9), None, (1, 1, 8, 9)),
        ((3, 8, 9), None, (3, 1, 8, 9)),
        ((3, 8, 9), "ZYX", (1, 3, 8, 9)),
        ((8, 9, 3), "YXC", (3, 1, 8, 9)),
        ((3, 2, 8, 9), "CZYX", (3, 2, 8, 9)),
        ((3, 2, 8, 9), "ZCYX", (2, 3, 8, 9)),
    ],
)
def test_frames_are_read_as_channel_depth_row_column(
    tmp_path: Path, shape: tuple[int, ...], axes: str | None, expected: tuple[int, ...]
) -> None:
    path = write_movie(tmp_path / "one", {"frame_axes": axes}, shape=shape)
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(path / "frames" / "t000.tif", pixels, photometric="minisblack")
    frame = find_movies([path])[0].read(0)
    assert frame.shape == expected
    known = axes or {2: "YX", 3: "CYX"}[len(shape)]
    for place in np.ndindex(*expected):
        at = dict(zip("CZYX", place, strict=True))
        assert frame[place] == pixels[tuple(at[axis] for axis in known)]


def test_three_dimensions_of_a_sequence_are_depth_first(tmp_path: Path) -> None:
    movie = find_movies([write_sequence(tmp_path / "set", "01", shape=(4, 8, 9))])[0]
    assert movie.read(1).shape == (1, 4, 8, 9)
    assert (movie.read(1) == 1).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interval_min", 0),
        ("interval_min", "5"),
        ("pixel_size_um", -1.0),
        ("pixel_size_um", True),
        ("channel_names", []),
        ("channel_names", ["a", "a"]),
        ("channel_names", "a"),
        ("frame_axes", "AYX"),
        ("frame_axes", "CY"),
    ],
)
def test_bad_values_name_file_and_key(tmp_path: Path, key: str, value: Any) -> None:
    path = write_movie(tmp_path / "one", {key: value})
    with pytest.raises(InvalidInputError, match=rf"one/meta\.json: {key}="):
        find_movies([path])


def test_unreadable_meta_is_named(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "one")
    (path / "meta.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"meta\.json: not readable as JSON"):
        find_movies([path])
    (path / "meta.json").write_text("[]")
    with pytest.raises(InvalidInputError, match=r"meta\.json: expected an object"):
        find_movies([path])


def test_frames_must_be_numbered_without_gaps(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "one", frames=3)
    (path / "frames" / "t001.tif").rename(path / "frames" / "t002.tiff")
    with pytest.raises(InvalidInputError, match="same frame number"):
        find_movies([path])
    (path / "frames" / "t002.tiff").rename(path / "frames" / "t004.tiff")
    with pytest.raises(InvalidInputError, match=r"frames 1, 3 are missing \(2 of 5"):
        find_movies([path])
    (path / "frames" / "t004.tiff").rename(path / "frames" / "last.tiff")
    with pytest.raises(InvalidInputError, match=r"last\.tiff: the name does not end with a frame number"):
        find_movies([path])
    for file in (path / "frames").iterdir():
        file.unlink()
    with pytest.raises(InvalidInputError, match="no TIFF files"):
        find_movies([path])


@pytest.mark.parametrize("end", [".ome.tif", ".OME.TIFF"])
def test_frames_may_be_ome_tiffs(tmp_path: Path, end: str) -> None:
    path = write_movie(tmp_path / "one", frames=0)
    for t in range(11):
        tifffile.imwrite(path / "frames" / f"{t}{end}", np.full((8, 9), t, np.uint8), ome=True)
    (movie,) = find_movies([path])
    assert [file.name for file in movie.frames] == [f"{t}{end}" for t in range(11)]


def test_what_is_no_movie_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is not a folder"):
        find_movies([tmp_path / "absent"])
    with pytest.raises(InvalidInputError, match="holds no movie; expected frames"):
        find_movies([tmp_path])
    with pytest.raises(InvalidInputError, match="name at least one folder"):
        find_movies([])
    path = write_movie(tmp_path / "one")
    with pytest.raises(InvalidInputError, match="two folders are called one"):
        find_movies([path, write_movie(tmp_path / "other" / "one")])
    (path / "tracks.csv").unlink()
    with pytest.raises(InvalidInputError, match=r"tracks\.csv: there are frames, but no tracks"):
        find_movies([path])


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "one")
    (path / "frames" / "t001.tif").write_bytes(b"not a picture")
    with pytest.raises(InvalidInputError, match=r"t001\.tif: not a TIFF file that can be read"):
        find_movies([path])[0].read(1)
    tifffile.imwrite(path / "frames" / "t000.tif", np.zeros(7, np.uint8))
    with pytest.raises(InvalidInputError, match=r"t000\.tif: shape="):
        find_movies([path])[0].read(0)


def nameable(path: Path) -> Path:
    """Return a path; skip the test where files cannot be called so."""
    try:
        path.mkdir()
    except (OSError, UnicodeEncodeError) as error:
        pytest.skip(f"the system has no such names: {error}")
    return path


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31mred", "b\udcff", "experiments.yaml", "\u202eleft"])
def test_names_of_folders_are_names_of_experiments(tmp_path: Path, name: str) -> None:
    path = write_movie(nameable(tmp_path / name))
    with pytest.raises(InvalidInputError, match="becomes the experiment's name") as caught:
        find_movies([path])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["a [red] $x$ & <b>", "Zellen äöü 細胞", "-n", "#1: {a}", "null", "1e3"])
def test_odd_names_are_kept(tmp_path: Path, name: str) -> None:
    assert [movie.name for movie in find_movies([write_movie(nameable(tmp_path / name))])] == [name]


def test_names_that_begin_with_a_dot_are_no_frames(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "one")
    for name in ("._t000.tif", "._t002.tif", ".DS_Store", ".t003.tif"):
        (path / "frames" / name).write_bytes(b"Mac")
    assert [file.name for file in find_movies([path])[0].frames] == ["t000.tif", "t001.tif"]
