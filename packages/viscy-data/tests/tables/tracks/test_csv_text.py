"""Text tables as programs write them, and as nobody should: dialects, damage, and files made to hurt."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks import csv_text as tracks_csv
from viscy_data.tables.tracks.read import load_tracks, read_tracks

HEAD = "track_id,t,y,x\n"
INFO = FovInfo("a", "", (6, 1, 1, 64, 64), ("c",))


def read(path: Path, info: FovInfo = INFO, **options: object) -> pd.DataFrame:
    values = {"name": "a", "data_path": "a", "tracks_path": str(path), "channels": ["c"], **options}
    return read_tracks(Experiment.model_validate(values), [info])


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "track_id;t;y;x\n3;1;1.5;2.25\n",
        "track_id;t;y;x\n3;1;1,5;2,25\n",
        "track_id\tt\ty\tx\n3\t1\t1.5\t2.25\n",
        "track_id\tt\ty\tx\n3\t1\t1,5\t2,25\n",
        "track_id|t|y|x\n3|1|1.5|2.25\n",
        "sep=;\ntrack_id;t;y;x\n3;1;1,5;2,25\n",
        "# exported\n\n# by a program\ntrack_id,t,y,x\n3,1,1.5,2.25\n",
        "track_id, t , y,x \n 3, 1, 1.5, 2.25\n",
        'track_id,"t",y,x,"a,b"\n3,1,1.5,2.25,"c ""d"", e"\n',
        "track_id,t,y,x\r\n3,1,1.5,2.25\r\n",
        "track_id,t,y,x\r3,1,1.5,2.25\r",
        "track_id,t,y,x,area,area\n3,1,1.5,2.25,1,2\n",
        b"\xef\xbb\xbftrack_id,t,y,x\n3,1,1.5,2.25\n",
        "track_id;t;y;x\n3;1;1,5;2,25\n".encode("utf-16"),
        b"\xfe\xff" + "track_id,t,y,x\n3,1,1.5,2.25\n".encode("utf-16-be"),
        "track_id,t,y,x,gr\u00f6\u00dfe\n3,1,1.5,2.25,\u00e4\n".encode("latin-1"),
    ],
)
def test_a_dialect_is_found_from_the_beginning_of_a_file(content: str | bytes, tmp_path: Path) -> None:
    tracks = read(write(tmp_path, content))
    assert tracks[["track_id", "t", "y", "x"]].to_numpy().tolist() == [[3, 1, 1.5, 2.25]]


def test_rows_of_titles_are_passed_over_and_their_unit_counts(tmp_path: Path) -> None:
    titles = "Label,Track,Frame,Y,X\nLabel,Track,Frame,Y,X\n,,,(micron),(micron)\n"
    path = write(tmp_path, f"LABEL,TRACK_ID,FRAME,POSITION_Y,POSITION_X\n{titles}ID1,3,1,1.5,2.25\n")
    names = {"track_id": "TRACK_ID", "t": "FRAME", "y": "POSITION_Y", "x": "POSITION_X"}
    info = FovInfo("a", "", (6, 1, 1, 64, 64), ("c",), (0.5, 0.25))
    tracks = read(path, info, track_names=names)
    assert tracks[["track_id", "t", "y", "x"]].to_numpy().tolist() == [[3, 1, 3, 9]]
    with pytest.raises(TracksError, match="y is in 'micron': a pixel size is needed"):
        read(path, track_names=names)
    assert read(path, track_names=names, track_unit="pixel")["y"].tolist() == [1.5]
    wrong = write(tmp_path, f"{HEAD}one,0,left,right\n1,0,1,1\n")  # no titles: one row of words alone
    with pytest.raises(TracksError, match="line 2, column 'track_id': 'one' is not a number"):
        read(wrong)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('1,0,1,1,\n2,0,1,1,"b\n', r"line 3: a quote \(\"\) is opened and not closed"),
        ('1,0,1,1,\n2,0,1,1,"b\n' + "3,0,1,1,c\n" * 50_000 + '4,0,1,1,"d\n', r"line 3: a quote"),
        ('1,0,1,1,"' + "\n3,0,1,1,c" * 500_000 + '"\n', r"line 2: a quote"),
        ("1,0,1,1,\n2,0,1,1,\n" * 200_000 + '3,0,1,1,"', r"line 400002: a quote"),
        ("1,0,1," + "9" * (3 << 20), "line 2: longer than 1 MiB"),
        ("1,0,1,1,\n" + "\0" * (3 << 20), "line 3: longer than 1 MiB"),
        ("9" * 5000 + ",0,1,1,\n", "line 2, column 'track_id': inf is not a whole number"),
        ("1,0,1\0,1,\n", r"line 2, column 'y': '1\\x00' is not a number"),
        (
            "1,0,1,1,\n1,1,1,5,2,5\n",
            "line 3: 6 cells, and the header names 5; are decimals written with commas",
        ),
        ("1,0,1,1,\n1,1\n", "line 3: 2 cells, and the header names 5$"),
    ],
)
def test_damage_is_named_by_its_line(content: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=match) as caught:
        read(write(tmp_path, f"track_id,t,y,x,note\n{content}"))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("cells", [('5","a"', '5","a"'), ('"a', 'b"'), ('"a"",5', 'b""c"')])
def test_a_quote_may_not_swallow_rows_whatever_the_count_of_quotes(
    end: str, cells: tuple[str, str], tmp_path: Path
) -> None:
    lines = ["track_id,t,y,x,note,more", "", *(f"{i},0,1,1,5,a" for i in range(48))]
    lines[20], lines[30] = (f"{i},0,1,1,{cell}" for i, cell in zip((18, 28), cells, strict=True))
    with pytest.raises(TracksError, match=r"line 21: a quote \(\"\) is opened and not closed"):
        read(write(tmp_path, end.join(lines)))


def test_quotes_that_are_closed_and_empty_lines_swallow_nothing(tmp_path: Path) -> None:
    rows = [f'{i},0,1,1,"a, ""b""",5" and 6"{"\r\n" * (i % 3)}\r\n' for i in range(60_000)]
    found = read(write(tmp_path, "\r\ntrack_id,t,y,x,note,more\r\n\r\n" + "".join(rows)))
    assert len(found) == 60_000


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"# nothing\n"])
def test_a_file_without_header_says_so(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(TracksError, match="it has no header; is it empty"):
        read(write(tmp_path, content))


def test_a_header_that_does_not_end_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match="line 1: longer than 1 MiB"):
        read(write(tmp_path, b"a" * (3 << 20)))


@pytest.mark.parametrize("row", [b"\n", b"1,1,1,1\n"])
def test_a_gzipped_file_of_nothing_is_refused_long_before_its_end(row: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(HEAD.encode())
        for _ in range(160):
            file.write(row * ((1 << 20) // len(row)))
    with pytest.raises(TracksError, match=r"unpack to 6.......: beyond 64 MiB at most 100 for each byte"):
        read(path)


def test_a_gzipped_file_is_read_whatever_its_size_where_it_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracks_csv, "UNPACKED_FREE", 1 << 14)
    monkeypatch.setattr(tracks_csv, "_BLOCK", 1 << 12)
    places = np.random.default_rng(0).uniform(0, 64, 20_000)
    text = HEAD + "".join(f"{i},0,{place},{place}\n" for i, place in enumerate(places.tolist()))
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    np.testing.assert_allclose(read(path)["y"], places, rtol=1e-6)


NESTED = {
    "list": pa.array([[1.0]]),
    "struct": pa.array([{"a": 1.0}]),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "binary": pa.array([b"1"]),
    "duration": pa.array([1], pa.duration("us")),
    "timestamp": pa.array([1], pa.timestamp("us", tz="UTC")),
    "date": pa.array([1], pa.date32()),
}


@pytest.mark.parametrize("column", ["track_id", "t", "y", "z", "parent_track_id", "fov"])
@pytest.mark.parametrize("kind", NESTED)
def test_columns_of_a_parquet_file_that_hold_neither_numbers_nor_text(
    kind: str, column: str, tmp_path: Path
) -> None:
    columns = {"track_id": [1], "t": [0], "y": [1.0], "x": [1.0], column: NESTED[kind]}
    pa_parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(TracksError, match=rf"column '{column}' holds .*: numbers or text are needed"):
        read(tmp_path / "t.parquet")


def test_a_parquet_file_of_one_row_many_times_is_refused_before_it_is_read(tmp_path: Path) -> None:
    rows = pa.table({name: np.ones(1 << 22) for name in ("track_id", "t", "y", "x")})
    pa_parquet.write_table(rows, tmp_path / "t.parquet")
    with pytest.raises(TracksError, match=r"unpack to 134217728: beyond 64 MiB"):
        read(tmp_path / "t.parquet")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_that_is_there_twice_is_refused_where_it_is_needed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        path.write_text("track_id,t,y,x,t\n1,0,1,1,2\n")
    else:
        columns = [pa.array([1.0])] * 5
        pa_parquet.write_table(pa.Table.from_arrays(columns, names=["track_id", "t", "y", "x", "t"]), path)
    with pytest.raises(TracksError, match="column 't' is there 2 times; the file has track_id, t, y, x, t"):
        read(path)


def test_the_error_about_missing_columns_lists_those_there_and_the_mapping_to_write(tmp_path: Path) -> None:
    path = write(tmp_path, "Particle,Frame,y_px,X_PX,extra\n3,1,1.5,2.25,0\n")
    mapping = r"track_names: \{track_id: Particle, t: Frame, y: y_px, x: X_PX\}"
    with pytest.raises(TracksError, match=f"the file has Particle, Frame, y_px, X_PX, extra.* {mapping}"):
        read(path)
    names = {"track_id": "Particle", "t": "Frame", "y": "y_px", "x": "X_PX"}
    assert read(path, track_names=names)["y"].tolist() == [1.5]
    with pytest.raises(TracksError, match="missing columns: depth; the file has Particle"):
        read(path, track_names={**names, "z": "depth"})


def test_names_of_a_file_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    path = write(tmp_path, "track_id,t,y\x1b[31m,x\n1,0,1,1\n")
    with pytest.raises(TracksError, match="missing columns: y") as caught:
        read(path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("none", ["0", "-1", "", "nan", "NaN", "None", "<NA>", "null", "own"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_track_has_no_parent_in_all_ways_that_trackers_write(
    none: str, suffix: str, tmp_path: Path
) -> None:
    text = "track_id,t,y,x,parent_track_id\n" + "".join(
        f"{track},{t},1,1,{1 if track == 3 else track if none == 'own' else none}\n"
        for track, t in ((1, 0), (1, 1), (2, 0), (3, 2))
    )
    path = write(tmp_path, text)
    if suffix == "parquet":
        table = pd.read_csv(path, dtype={"parent_track_id": str}, keep_default_na=False)
        path = path.with_suffix(".parquet")
        table.to_parquet(path)
    assert read(path)["parent_track_id"].tolist() == [-1, -1, -1, 1]


def test_0_is_a_parent_where_a_track_is_called_so(tmp_path: Path) -> None:
    text = "fov,track_id,t,y,x,parent_track_id\na,0,0,1,1,0\na,1,1,1,1,0\nb,1,1,1,1,0\n"
    path = write(tmp_path, text)
    values = {"name": "a", "data_path": "a", "tracks_path": str(path), "channels": ["c"]}
    fovs = [FovInfo(name, "", (6, 1, 1, 64, 64), ("c",)) for name in "ab"]
    assert read_tracks(Experiment.model_validate(values), fovs)["parent_track_id"].tolist() == [-1, 0, -1]


def test_parents_that_are_no_track_are_cut_and_counted_where_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "track_id,t,y,x,parent_track_id\n1,0,1,1,-1\n2,1,1,1,99\n2,2,1,1,99\n3,1,1,1,1\n")
    with pytest.raises(TracksError, match=r"parent_track_id=99 is not a track .* missing_parents to 'cut'"):
        read(path)
    values = {"name": "a", "data_path": "a", "tracks_path": str(path), "channels": ["c"]}
    cut = load_tracks(Experiment.model_validate(values | {"missing_parents": "cut"}), [INFO])
    assert cut.frame["parent_track_id"].tolist() == [-1, -1, 1, -1]
    assert cut.notes == ("left out of the tracks: 1 parents that are not a track",)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "tracks/a.csv"])
def test_a_pipe_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(TracksError, match="no regular file"):
        read(path if path.parent == tmp_path else path.parent)


@pytest.mark.parametrize("parent", ["parent", "parentTrackId", "ParentTrackID", "parent_id", "PARENT"])
def test_the_mapping_to_write_names_parents_and_z_too(parent: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"ID,t,x,y,POSITION_Z,{parent}\n1,0,1,1,0,\n2,1,1,1,0,1\n")
    mapping = rf"track_names: \{{track_id: ID, z: POSITION_Z, parent_track_id: {parent}\}}"
    with pytest.raises(TracksError, match=mapping):
        read(path)
    names = {"track_id": "ID", "z": "POSITION_Z", "parent_track_id": parent}
    assert read(path, track_names=names)["parent_track_id"].tolist() == [-1, 1]


def test_spots_of_no_track_and_frames_counted_from_1_are_told_from_slips(tmp_path: Path) -> None:
    with pytest.raises(
        TracksError, match="line 3, column 'track_id': the value is missing: a spot of no track"
    ):
        read(write(tmp_path, f"{HEAD}1,0,1,1\nNone,0,1,1\n"))
    with pytest.raises(TracksError, match=r"t=6 lies outside .*, 0 \.\. 5\. No row has t=0: .* subtract 1"):
        read(write(tmp_path, HEAD + "".join(f"1,{t},1,1\n" for t in range(1, 7))))
    with pytest.raises(TracksError, match=r"t=6 lies outside .*, 0 \.\. 5$"):
        read(write(tmp_path, HEAD + "".join(f"1,{t},1,1\n" for t in range(7))))
