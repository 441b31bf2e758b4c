import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.read import TRACK_COLUMNS, load_tracks, read_tracks

SHARED = Path(__file__).resolve().parents[6] / "shared" / "data"
TABLE = SHARED / "tables" / "celegans_live_tools.csv.gz"
MOVIE = SHARED / "movies" / "fucci_hacat"

GOOD = """track_id,t,y,x,z,id,parent_track_id
1,0,10.5,11,0,100,-1
1,1,10.6,12,1,101,
3,2,10.7,13,0,102,1
2,2,10.8,14,0,103,1
2,4,10.9,15,0,104,1
"""


def experiment(tracks: Path, exclude: tuple[str, ...] = ()) -> Experiment:
    return Experiment(
        name="a", data_path=Path("a.zarr"), tracks_path=tracks, channels=("c",), exclude_fovs=exclude
    )


def info(fov: str, frames: int = 6, depth: int = 2) -> FovInfo:
    return FovInfo(fov, fov.rpartition("/")[0], (frames, 1, depth, 64, 64), ("c",))


type Mask = NDArray[np.integer[Any] | np.floating[Any]]


def place(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(text: str, folder: Path) -> pd.DataFrame:
    return read_tracks(experiment(place(folder / "tracks.csv", text)), [info("A/1/0")])


def test_rows_are_sorted_and_every_row_names_the_parent(tmp_path: Path) -> None:
    tracks = read(GOOD, tmp_path)
    assert tuple(tracks.columns) == TRACK_COLUMNS
    assert tracks["track_id"].tolist() == [1, 1, 2, 3, 2]
    assert tracks["parent_track_id"].tolist() == [-1, -1, 1, 1, 1]
    assert tracks["t"].tolist() == [0, 1, 2, 2, 4]
    assert tracks["z"].tolist() == [0, 1, 0, 0, 0]
    kinds = {"track_id": "int32", "parent_track_id": "int32", "t": "int32", "y": "float32", "x": "float32"}
    assert {name: str(tracks[name].dtype) for name in kinds} == kinds
    assert str(tracks["fov"].dtype) == "category"


def as_parquet(path: Path, text: str) -> None:
    pd.read_csv(place(path.with_suffix(".tmp"), text)).to_parquet(path)


def as_gzip(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("A/1/{}/tracks.csv", place),
        ("A/1/{}/cells.csv.gz", as_gzip),
        ("A/1/{}/tracks.parquet", as_parquet),
        ("A/1/{}.csv", place),
        ("A/1/{}.parquet", as_parquet),
    ],
)
def test_one_file_per_fov(tmp_path: Path, name: str, write: Callable[[Path, str], Any]) -> None:
    """Fovs 0 and 10 have tracks, 1 has none; a file of an excluded fov may be anything."""
    expected = read(GOOD, tmp_path / "single").drop(columns="fov")
    for fov in ("10", "0"):
        write(tmp_path / "tracks" / name.format(fov), GOOD)
    place(tmp_path / "tracks" / "A/1/2/tracks.csv", "nonsense")
    fovs = [info(f"A/1/{fov}") for fov in ("10", "0", "1", "2")]
    tracks = read_tracks(experiment(tmp_path / "tracks", exclude=("A/1/2",)), fovs)
    assert tracks["fov"].astype(str).tolist() == ["A/1/0"] * 5 + ["A/1/10"] * 5
    for _, group in tracks.groupby("fov", observed=True):
        pd.testing.assert_frame_equal(group.drop(columns="fov").reset_index(drop=True), expected)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("names", [("B/2/1", "A/1/0"), ("1", "0")])
def test_one_table_over_fovs(tmp_path: Path, suffix: str, names: tuple[str, str]) -> None:
    lines = GOOD.splitlines()
    both = [f"fov,{lines[0]}", *(f"{fov},{line}" for line in lines[1:] for fov in names)]
    path = place(tmp_path / "tracks.csv", "\n".join(both))
    if suffix == "parquet":
        pd.read_csv(path).to_parquet(path.with_suffix(".parquet"))
    fovs = [info(name) for name in names]
    tracks = read_tracks(experiment(path.with_suffix(f".{suffix}")), fovs)
    expected = read(GOOD, tmp_path / "single")
    for name in names:
        own = tracks[tracks["fov"] == name].drop(columns="fov").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, expected.drop(columns="fov"))
    left = read_tracks(experiment(path, exclude=names[:1]), fovs)
    assert left["fov"].astype(str).unique().tolist() == [names[1]]


def change(line: int, column: str, value: str) -> str:
    table = [row.split(",") for row in GOOD.splitlines()]
    table[line - 1][table[0].index(column)] = value
    return "\n".join(",".join(row) for row in table) + "\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (change(4, "track_id", "2"), r"line 5, column 'track_id, t': track_id=2, t=2 is there a second time"),
        (change(3, "t", "6"), "line 3, column 't': t=6 lies outside the movie of 6 frames"),
        (change(3, "t", "-1"), "line 3, column 't': t=-1 lies outside"),
        (change(3, "t", "1.5"), "line 3, column 't': 1.5 is not a whole number"),
        (change(3, "t", ""), "line 3, column 't'"),
        (change(6, "y", ""), "line 6, column 'y': the place is missing or not finite"),
        (change(6, "x", "inf"), "line 6, column 'x': the place is missing or not finite"),
        (change(2, "z", "nan"), "line 2, column 'z': the place is missing or not finite"),
        (change(2, "x", "left"), "line 2, column 'x': 'left' is not a number"),
        (change(2, "track_id", "a7"), "line 2, column 'track_id': 'a7' is not a number"),
        (change(2, "track_id", "-7"), "line 2, column 'track_id': ids lie in 0"),
        (change(2, "track_id", str(2**31)), "line 2, column 'track_id': ids lie in 0"),
        (
            change(4, "parent_track_id", "9"),
            "line 4, column 'parent_track_id': parent_track_id=9 is not a track",
        ),
        (change(6, "parent_track_id", "3"), r"line 5.*the rows of one track name different parents"),
        (
            change(2, "parent_track_id", "3"),
            r"line 2 \(and 4 more\), .*: a cycle: track_id=1",
        ),
        (change(2, "t", "5").replace("1,1,10.6", "1,4,10.6"), "parent 1 starts at t=4, after its child"),
        (GOOD.replace("track_id,t,y", "track,t,y"), "missing columns: track_id; the file has"),
        (GOOD.replace("y,x,z", "Y,x,z"), "missing columns: y"),
        (GOOD + "1,2\n", "line 7: 2 cells, and the header names 7"),
        ("", "cannot be read"),
        ("a,b\n1,2\n", "missing columns: track_id, t, y, x"),
        ("track_id,t,y,x\n", "no tracks for any fov"),
    ],
)
def test_bad_tables_name_file_line_and_column(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(TracksError, match=match) as caught:
        read(text, tmp_path)
    assert str(tmp_path / "tracks.csv") in str(caught.value)


def test_rows_of_parquet_count_from_zero(tmp_path: Path) -> None:
    as_parquet(tmp_path / "tracks.parquet", change(3, "t", "6"))
    with pytest.raises(TracksError, match="row 1, column 't'"):
        read_tracks(experiment(tmp_path / "tracks.parquet"), [info("A/1/0")])


def test_lines_count_in_the_file_whatever_is_excluded(tmp_path: Path) -> None:
    path = place(tmp_path / "t.csv", "fov,track_id,t,y,x\nb,1,99,1,1\na,1,0,1,1\na,1,7,1,1\n")
    with pytest.raises(TracksError, match="line 4, column 't': t=7"):
        read_tracks(experiment(path, exclude=("b",)), [info("a"), info("b")])


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("A/1/O", "line 3, column 'fov': fov='A/1/O' is not in the store. Did you mean"),
        ("", "column 'fov': fov=''"),
    ],
)
def test_fovs_that_the_store_lacks_are_refused(tmp_path: Path, value: str, match: str) -> None:
    path = place(tmp_path / "t.csv", f"fov,track_id,t,y,x\nA/1/1,1,0,1,1\n{value},1,0,1,1\n")
    with pytest.raises(TracksError, match=match):
        read_tracks(experiment(path), [info("A/1/0"), info("A/1/1")])


def own_fov(folder: Path, name: str, values: list[str]) -> Path:
    """Write a table at the place of one field of view, with a column that says which each row is of."""
    lines = ["fov,track_id,t,y,x", *(f"{value},1,{t},1,1" for t, value in enumerate(values))]
    path = place(folder / name, "\n".join(lines))
    if path.suffix == ".parquet":
        frame = pd.DataFrame(
            {"fov": pd.Categorical([*values, "A/1/7"])[:-1], "track_id": 1, "y": 1.0, "x": 1.0}
        )
        frame.assign(t=range(len(frame))).to_parquet(path)
    return folder


@pytest.mark.parametrize("name", ["A/1/0.csv", "A/1/0/tracks.csv", "A/1/0/t.parquet"])
@pytest.mark.parametrize("other", ["A/1/1", "B/3/0", "1", "0/1", "A/1", "A/1/00", "A"])
def test_a_table_at_the_place_of_a_fov_names_no_other(tmp_path: Path, name: str, other: str) -> None:
    """Every row, or one of them; a field of the store, or not."""
    fovs = [info("A/1/0"), info("A/1/1")]
    row = "row 1" if name.endswith("parquet") else "line 3"
    for values in ([other, other], ["A/1/0", other, other]):
        first = row if len(values) > 2 else {"row 1": "row 0", "line 3": "line 2"}[row]
        said = rf"{name}: {first}, column 'fov': fov='{other}', but .* place of fov='A/1/0'\. Move"
        with pytest.raises(TracksError, match=said):
            read_tracks(experiment(own_fov(tmp_path / "tracks", name, values)), fovs)


@pytest.mark.parametrize("name", ["A/1/0.csv", "A/1/0/tracks.csv", "A/1/0/t.parquet"])
@pytest.mark.parametrize("same", ["A/1/0", "0", "1/0", "/A/1/0/", "plate/A/1/0", ""])
def test_a_table_may_abbreviate_the_fov_at_whose_place_it_lies(tmp_path: Path, name: str, same: str) -> None:
    """A cut of a larger table lists, in Parquet, fields that none of its rows is of."""
    folder = own_fov(tmp_path / "tracks", name, [same, same])
    tracks = read_tracks(experiment(folder), [info("A/1/0"), info("A/1/1")])
    assert tracks["fov"].astype(str).tolist() == ["A/1/0"] * 2


def test_what_abbreviates_one_fov_and_names_another_is_the_other(tmp_path: Path) -> None:
    folder = own_fov(tmp_path / "tracks", "A/0.csv", ["0"])
    with pytest.raises(TracksError, match=r"fov='0', but .* place of fov='A/0'"):
        read_tracks(experiment(folder), [info("A/0"), info("0")])


def test_a_table_over_several_fovs_needs_their_names(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match="missing columns: fov"):
        read_tracks(experiment(place(tmp_path / "t.csv", GOOD)), [info("a"), info("b")])


def test_two_tables_for_one_fov_are_refused(tmp_path: Path) -> None:
    for name in ("a/x.csv", "a/y.csv"):
        place(tmp_path / name, GOOD)
    with pytest.raises(TracksError, match=r"several tracking tables for fov='a': a/x\.csv, a/y\.csv"):
        read_tracks(experiment(tmp_path), [info("a")])


def test_an_experiment_without_tracks_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=r"no tracks for any fov under .*expected"):
        read_tracks(experiment(tmp_path), [info("a")])
    with pytest.raises(TracksError, match="not a tracking table"):
        read_tracks(experiment(place(tmp_path / "tracks.xlsx", "")), [info("a")])


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_duplicates_are_found_wherever_they_are(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=12))
    text = "track_id,t,y,x\n" + "".join(f"{track},{t},1,1\n" for track, t in rows)
    folder = tmp_path_factory.mktemp("tracks")
    again = next((i for i, row in enumerate(rows) if row in rows[:i]), None)
    if again is None:
        tracks = read(text, folder)
        assert list(zip(tracks["t"], tracks["track_id"], strict=True)) == sorted((t, k) for k, t in rows)
    else:
        with pytest.raises(TracksError, match=f"line {again + 2}[ ,]"):
            read(text, folder)


def write_ctc(
    folder: Path,
    masks: list[np.ndarray[Any, Any]],
    lines: str,
    names: tuple[str, str] = ("man_track", "man_track"),
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{names[0]}.txt").write_text(lines)
    for t, mask in enumerate(masks):
        tifffile.imwrite(folder / f"{names[1]}{t:03d}.tif", mask, photometric="minisblack")
    return folder


def masks(depth: int | None = None) -> list[Mask]:
    """A cell that moves right for two frames, then divides; its track 1, theirs 2 and 5."""
    frames = np.zeros((3, 64, 64), dtype=np.uint16)
    frames[0, 10:13, 20:25] = 1
    frames[1, 10:13, 21:26] = 1
    frames[2, 5:8, 20:25] = 2
    frames[2, 15, 20:22] = 5
    if depth is None:
        return list(frames)
    volumes = np.zeros((3, depth, 64, 64), dtype=np.uint16)
    volumes[:, 1] = frames
    return list(volumes)


LINES = "1 0 1 0\n2 2 2 1\n5 2 2 1\n"


@pytest.mark.parametrize("names", [("man_track", "man_track"), ("res_track", "mask")])
@pytest.mark.parametrize("depth", [None, 3])
@pytest.mark.parametrize("per_fov", [False, True])
def test_challenge_folders(tmp_path: Path, names: tuple[str, str], depth: int | None, per_fov: bool) -> None:
    write_ctc(tmp_path / ("A/1/0" if per_fov else ""), masks(depth), LINES, names)
    tracks = read_tracks(experiment(tmp_path), [info("A/1/0", frames=3, depth=depth or 1)])
    assert tracks["track_id"].tolist() == [1, 1, 2, 5]
    assert tracks["parent_track_id"].tolist() == [-1, -1, 1, 1]
    assert tracks["t"].tolist() == [0, 1, 2, 2]
    assert tracks["y"].tolist() == [11, 11, 6, 15]
    assert tracks["x"].tolist() == [22, 23, 22, 20.5]
    if depth is None:
        assert tracks["z"].isna().all()
    else:
        assert tracks["z"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("lines", "frames", "match"),
    [
        ("1 0 1 0\n2 2 2 1\n", 3, "the mask of frame 2 holds label 5, the list does not"),
        (
            "1 0 0 0\n2 2 2 1\n5 2 2 1\n",
            3,
            "line 1, columns 'begin', 'end': label 1 is in the",
        ),
        ("1 0 1\n", 3, r"man_track\.txt: line 1: '1 0 1' is not 'label begin end parent'"),
        (LINES + "\n1 0 1 0\n", 3, "column 'label': 1 is there a second time"),
        ("1 0 1 0\n2 2 2 7\n5 2 2 1\n", 3, "line 2, column 'parent_track_id': parent_track_id=7 is not a"),
        (LINES, 2, r"man_track002\.tif: t lies outside the movie of 2 frames"),
    ],
)
def test_bad_challenge_folders(tmp_path: Path, lines: str, frames: int, match: str) -> None:
    write_ctc(tmp_path, masks(), lines)
    with pytest.raises(TracksError, match=match):
        read_tracks(experiment(tmp_path), [info("a", frames=frames, depth=1)])


def test_masks_must_be_readable_labels_of_the_image(tmp_path: Path) -> None:
    folder = write_ctc(tmp_path / "small", [np.ones((8, 8), dtype=np.uint16)], "1 0 0 0\n")
    with pytest.raises(TracksError, match=r"the mask is \(8, 8\), images of fov 'a' are \(64, 64\)"):
        read_tracks(experiment(folder), [info("a")])
    folder = write_ctc(tmp_path / "float", [np.ones((64, 64), dtype=np.float32)], "1 0 0 0\n")
    with pytest.raises(TracksError, match="integers; got float32"):
        read_tracks(experiment(folder), [info("a")])
    folder = write_ctc(tmp_path / "broken", [], "1 0 0 0\n")
    with pytest.raises(TracksError, match="no label masks"):
        read_tracks(experiment(folder), [info("a")])
    (folder / "mask000.tif").write_bytes(b"no image")
    with pytest.raises(TracksError, match=r"mask000\.tif: the label mask cannot be read"):
        read_tracks(experiment(folder), [info("a")])
    with pytest.raises(TracksError, match="is one fov; the store has 2"):
        read_tracks(experiment(folder), [info("a"), info("b")])


@pytest.mark.skipif(not MOVIE.exists(), reason=f"the real movies are not here: {MOVIE}")
def test_masks_and_table_of_a_real_movie_agree(tmp_path: Path) -> None:
    """The movie's masks, laid out as a challenge folder, give the places that its table states."""
    table = pd.read_csv(MOVIE / "tracks.csv")
    shape = tifffile.imread(MOVIE / "masks" / "t000.tif").shape
    last = int(table["t"].max())
    movie = FovInfo("m", "", (last + 1, 2, 1, shape[0], shape[1]), ("a", "b"))
    stated = read_tracks(experiment(MOVIE / "tracks.csv"), [movie])
    spans = table.groupby("track_id").agg({"t": ["min", "max"], "parent_track_id": "max"}).reset_index()
    spans.columns = pd.Index(["label", "begin", "end", "parent"])
    lines = "".join(f"{k} {b} {e} {max(p, 0)}\n" for k, b, e, p in spans.itertuples(index=False))
    (tmp_path / "res_track.txt").write_text(lines)
    for mask in (MOVIE / "masks").glob("t*.tif"):
        (tmp_path / f"mask{mask.stem[1:]}.tif").symlink_to(mask)
    found = read_tracks(experiment(tmp_path), [movie])
    columns = ["track_id", "parent_track_id", "t"]
    pd.testing.assert_frame_equal(found[columns], stated[columns])
    # The table's places were scaled down with the images, the masks were resampled: half a pixel apart.
    np.testing.assert_allclose(found[["y", "x"]], stated[["y", "x"]], atol=0.75)


@pytest.mark.skipif(not TABLE.exists(), reason=f"the real table is not here: {TABLE}")
def test_the_real_table_reads_the_same_from_csv_and_parquet(tmp_path: Path) -> None:
    table = pd.read_csv(TABLE)
    table = table[table["experiment"] == "20241009_JIM767_25_L1"].sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    shape = (int(table["t"].max()) + 1, 1, 80, 800, 800)
    tracks = [
        read_tracks(experiment(tmp_path / name), [FovInfo("e", "", shape, ("c",))])
        for name in ("t.csv", "t.parquet")
    ]
    pd.testing.assert_frame_equal(tracks[0], tracks[1])
    assert len(tracks[0]) == 22568
    assert (tracks[0].drop_duplicates("track_id")["parent_track_id"] >= 0).sum() == 2 * 410


@pytest.mark.parametrize(("start", "allowed"), [(1, True), (2, True), (3, False)])
def test_a_parent_starts_no_later_than_its_child(tmp_path: Path, start: int, allowed: bool) -> None:
    text = f"track_id,t,y,x,parent_track_id\n1,{start},1,1,-1\n2,2,1,1,1\n"
    if allowed:
        assert len(read(text, tmp_path)) == 2
    else:
        with pytest.raises(TracksError, match=r"line 3, .*parent 1 starts at t=3, after its child 2 at t=2"):
            read(text, tmp_path)


def test_names_that_begin_with_a_dot_are_no_data(tmp_path: Path) -> None:
    for name in ("A/1/0/tracks.csv", "A/1/1.csv"):
        path = place(tmp_path / name, GOOD)
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        path.with_name(".DS_Store").write_bytes(b"\0")
    (tmp_path / "A/1/.1.csv").write_text("")
    found = load_tracks(experiment(tmp_path), [info("A/1/0"), info("A/1/1")])
    assert found.frame["fov"].astype(str).unique().tolist() == ["A/1/0", "A/1/1"]
    assert found.notes == ()


def test_tracks_of_fields_that_the_store_lacks_are_named(tmp_path: Path) -> None:
    for name in ("A/1/0.csv", "A/1/7.csv", "B/2/0/tracks.csv", "notes.txt", "C/1/0.csv"):
        place(tmp_path / name, GOOD)
    excluding = experiment(tmp_path, exclude=("C/1/0",))
    found = load_tracks(excluding, [info("A/1/0"), info("C/1/0"), info("A/1/9")])
    assert found.without_fov == ("A/1/7.csv", "B/2/0/tracks.csv")
    (note,) = found.notes
    assert note.endswith("of no field of view of the store are not read: A/1/7.csv, B/2/0/tracks.csv")
    with pytest.raises(
        TracksError, match=r"There are A/1/0\.csv, .* of no fov of the store, which has Z/1/0"
    ):
        read_tracks(experiment(tmp_path), [info("Z/1/0")])
