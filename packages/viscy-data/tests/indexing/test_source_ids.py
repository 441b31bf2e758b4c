"""Annotations made in the program that tracked find their cells in the anchors table."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
import yaml
import zarr
from index_cases import build

from viscy_data.errors import ExperimentsFileError, InvalidInputError, TracksError
from viscy_data.tables.anchors.read import read_anchors

type WriteStore = Callable[..., Path]

DATA = Path(__file__).parents[1] / "data"
FOVS = ("A/1/0", "A/1/1")
SHAPE = (6, 1, 5, 64, 64)
# TrackMate's spots: id, name, frame, row, column; and its tracks, which go on through divisions
SPOTS = [
    (2004, "ID2004", 0, 10, 20),
    (2009, "mother", 1, 11, 21),
    (2020, "ID2020", 2, 8, 22),
    (2013, "left", 2, 16, 23),
    (2015, "ID2015", 3, 17, 24),
    (2100, "ID2100", 0, 40, 40),
    (2101, "ID2101", 1, 41, 40),
]
EDGES = {4: [(2004, 2009), (2009, 2020), (2009, 2013), (2013, 2015)], 7: [(2100, 2101)]}
TRACK_NAMES = {4: "Track_4", 7: "outlier"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, write_store: WriteStore) -> Path:
    pixels = np.random.default_rng(0).integers(1, 500, SHAPE).astype(np.uint16)
    folder = tmp_path_factory.mktemp("stores")
    return write_store(folder / "plate.zarr", dict.fromkeys(FOVS, pixels), ["Phase"])


@pytest.fixture
def index(tmp_path: Path, store: Path) -> Callable[..., pd.DataFrame]:
    """Index the tracks of `tmp_path/tracks`, and return the table."""

    def indexed(**keys: Any) -> pd.DataFrame:
        entry = {"name": "e", "data_path": str(store), "tracks_path": "tracks", "channels": ["Phase"]}
        (tmp_path / "experiments.yaml").write_text(yaml.safe_dump({"experiments": [entry | keys]}))
        return read_anchors(build(tmp_path, statistics=False, overwrite=True).anchors_path)

    return indexed


def write_geff(path: Path) -> dict[int, tuple[int, int]]:
    """Write a GEFF whose nodes have tracklets; return the tracklet and frame of each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.unpack_archive(DATA / "geff_1.3_zarr3.zip", path.parent)
    (path.parent / "tracks.geff").rename(path)
    group = zarr.open_group(path, mode="r+")
    nodes: Any = group["nodes"]
    ids, t = nodes["ids"][:].tolist(), nodes["props/t/values"][:].tolist()
    tracklet = {40: 31, 7: 31, 3: 31, 90: 8, 12: 25, 5: 25, 61: 17}
    values = np.array([tracklet[one] for one in ids], dtype=np.uint64)
    nodes.create_array("props/tracklet_id/values", data=values)
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["geff"]["track_node_props"] = {"tracklet": "tracklet_id"}
    file.write_text(json.dumps(content))
    return {node: (tracklet[node], int(frame)) for node, frame in zip(ids, t, strict=True)}


def write_trackmate(path: Path) -> None:
    spots = "".join(
        f'<Spot ID="{i}" name="{name}" FRAME="{t}" POSITION_X="{x}" POSITION_Y="{y}" POSITION_Z="2" />'
        for i, name, t, y, x in SPOTS
    )
    tracks = "".join(
        f'<Track name="{TRACK_NAMES[track]}" TRACK_ID="{track}">'
        + "".join(f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" />' for a, b in edges)
        + "</Track>"
        for track, edges in EDGES.items()
    )
    image = 'width="64" height="64" nslices="5" nframes="6" pixelwidth="1" pixelheight="1" voxeldepth="1"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<TrackMate version="7"><Model spatialunits="pixel"><AllSpots>'
        f"{spots}</AllSpots><AllTracks>{tracks}</AllTracks></Model>"
        f"<Settings><ImageData {image} /></Settings></TrackMate>"
    )


def test_nodes_and_tracklets_of_a_geff(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    nodes = write_geff(tmp_path / "tracks" / "A/1/0.geff")
    write_geff(tmp_path / "tracks" / "A/1/1.geff")
    table = index()
    for fov in FOVS:
        own = table[table["fov"] == fov]
        found = {row.source_id: (row.track_id, row.t) for row in own.itertuples()}
        assert found == nodes
    assert "source_track_id" not in table  # it would repeat track_id
    mothers = set(table.loc[table["track_id"].isin([8, 25]), "parent_track_id"])
    assert mothers == {31}


def test_annotations_of_nodes_join_by_their_id(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    for fov in FOVS:
        write_geff(tmp_path / "tracks" / f"{fov}.geff")
    rows = [("A/1/0", 40, "round"), ("A/1/0", 5, "flat"), ("A/1/1", 5, "dead"), ("A/1/1", 1000, "gone")]
    pd.DataFrame(rows, columns=["fov", "source_id", "label"]).to_csv(tmp_path / "labels.csv", index=False)
    table = index(cell_columns="labels.csv")
    said = table[table["label"].notna()]
    assert list(zip(said["fov"], said["source_id"], said["label"], strict=True)) == rows[:3]


def test_spots_and_tracks_of_trackmate(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    write_trackmate(tmp_path / "tracks" / "A/1/0.xml")
    table = index().set_index("source_id")
    assert set(table.index) == {spot[0] for spot in SPOTS}
    for spot, name, t, y, x in SPOTS:
        row = table.loc[spot]
        assert (row["t"], row["y"], row["x"]) == (t, y, x)
        assert pd.isna(row["source_name"]) if name.startswith("ID") else row["source_name"] == name
    assert table["source_track_id"].to_dict() == {spot: 7 if spot > 2050 else 4 for spot, *_ in SPOTS}
    # The mother keeps the number, and daughters, which TrackMate counts as the same track, come after all.
    assert table["track_id"].to_dict() == {2004: 4, 2009: 4, 2020: 9, 2013: 8, 2015: 8, 2100: 7, 2101: 7}
    assert set(table.loc[table["track_id"] == 7, "source_track_name"]) == {"outlier"}
    assert table.loc[table["track_id"] != 7, "source_track_name"].isna().all()


@pytest.mark.parametrize(
    ("text", "labelled"),
    [
        ("source_id,label\n2009,M\n2101,x\n", {2009: "M", 2101: "x"}),
        ("source_name,label\nmother,M\nleft,x\n", {2009: "M", 2013: "x"}),
        ("source_track_id,label\n4,M\n", dict.fromkeys((2004, 2009, 2020, 2013, 2015), "M")),
        ("source_track_id,t,label\n4,2,M\n7,0,x\n", {2020: "M", 2013: "M", 2100: "x"}),
        ("source_track_name,label\noutlier,M\n", {2100: "M", 2101: "M"}),
        ("track_id,label\n4,M\n", {2004: "M", 2009: "M"}),
        ("source_id,track_id,label\n2009,1234,M\n", {2009: "M"}),  # the spot says enough
    ],
)
def test_annotations_join_by_whatever_trackmate_calls_cells(
    text: str, labelled: dict[int, str], tmp_path: Path, index: Callable[..., pd.DataFrame]
) -> None:
    write_trackmate(tmp_path / "tracks" / "A/1/0.xml")
    header, rows = text.split("\n", 1)
    rows = "".join(f"A/1/0,{row}\n" for row in rows.splitlines())
    (tmp_path / "labels.csv").write_text(f"fov,{header}\n{rows}")
    table = index(cell_columns="labels.csv").set_index("source_id")
    assert table["label"].dropna().to_dict() == labelled


def test_ids_of_a_table_are_kept_and_join(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    """As ultrack writes them, large and in no order; a row of another field of view has none."""
    folder = tmp_path / "tracks" / "A/1"
    for place, ids in (("0", [1000004, 2000007, 3000001]), ("1", ["", 5, 9])):
        (folder / place).mkdir(parents=True)
        rows = "".join(f"1,{t},{20 + t},30,{one}\n" for t, one in enumerate(ids))
        (folder / place / "tracks.csv").write_text(f"track_id,t,y,x,id\n{rows}")
    (tmp_path / "labels.csv").write_text("fov,source_id,score\nA/1/0,2000007,0.5\nA/1/1,9,0.25\n")
    table = index(cell_columns="labels.csv")
    assert table["source_id"].fillna(-1).astype(int).tolist() == [1000004, 2000007, 3000001, -1, 5, 9]
    assert table["score"].fillna(-1).tolist() == [-1, 0.5, -1, -1, -1, 0.25]
    # text in one place of the column is text throughout
    (folder / "1/tracks.csv").write_text("track_id,t,y,x,cell\n1,0,20,30,a7\n1,1,20,30,a8\n")
    shutil.rmtree(folder / "0")
    table = index(track_names={"source_id": "cell"})
    assert table["source_name"].tolist() == ["a7", "a8"]


def test_ids_that_floats_would_round_are_text(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    """Where another file has none, a reader would make floats of them, and one of these two."""
    for fov, ids in (("A/1/0", [2**53 + 1, 2**53 + 2]), ("A/1/1", ["", ""])):
        (tmp_path / "tracks" / fov).mkdir(parents=True)
        rows = "".join(f"1,{t},20,30,{one}\n" for t, one in enumerate(ids))
        (tmp_path / "tracks" / fov / "tracks.csv").write_text(f"track_id,t,y,x,id\n{rows}")
    (tmp_path / "labels.csv").write_text(f"fov,source_id,label\nA/1/0,{2**53 + 2},M\n")
    table = index(cell_columns="labels.csv")
    assert table["source_name"].dropna().tolist() == [str(2**53 + 1), str(2**53 + 2)]
    assert table["label"].isna().tolist() == [True, False, True, True]


def test_ids_of_floats_are_whole_numbers(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    """As pandas makes of ids beside missing ones; a NaN is a missing one, whatever the file says."""
    (tmp_path / "tracks/A/1/0").mkdir(parents=True)
    columns = {"track_id": [1, 1], "t": [0, 1], "y": [20, 21], "x": [30, 30]}
    ids = pa.array([7.0, float("nan")])
    table = pa.table({**columns, "id": ids})
    pa_parquet.write_table(table, tmp_path / "tracks/A/1/0/tracks.parquet")
    assert index()["source_id"].fillna(-1).tolist() == [7, -1]


REFUSED = {
    "source_id,label\n77,M\n": "none of its 1 rows belongs to a cell. It has A/1/0/77; the experiment has A",
    "source_name,label\nmother,M\n": "the tracks of this experiment have source_id, by which a table",
    "spot,label\n1,M\n": "no column 'track_id', by which the table is joined; it has fov, spot, label",
    "source_id,label\n1,M\n": "line 2, column 'source_id': several cells of a field of view have it; add the",
    "source_id,t,label\n2,1,M\n": "several cells of a field of view and frame have it; join by 'track_id'",
    "source_id,label\n,M\n": "line 2, column 'source_id': the value is missing",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_table_that_cannot_be_joined_is_refused(
    text: str, tmp_path: Path, index: Callable[..., pd.DataFrame]
) -> None:
    """Ids that count masks of a frame are not unique in a field of view."""
    (tmp_path / "tracks/A/1/0").mkdir(parents=True)
    rows = "1,0,20,30,1\n1,1,20,30,1\n2,1,40,30,2\n3,1,44,30,2\n"
    (tmp_path / "tracks/A/1/0/tracks.csv").write_text(f"track_id,t,y,x,id\n{rows}")
    header, row = text.split("\n", 1)
    (tmp_path / "labels.csv").write_text(f"fov,{header}\nA/1/0,{row}")
    with pytest.raises((InvalidInputError, ExperimentsFileError), match=REFUSED[text].replace("/", "[/]")):
        index(cell_columns="labels.csv")


def test_ids_of_masks_join_by_frame(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    (tmp_path / "tracks/A/1/0").mkdir(parents=True)
    (tmp_path / "tracks/A/1/0/tracks.csv").write_text(
        "track_id,t,y,x,id\n1,0,20,30,1\n1,1,20,30,1\n2,1,40,30,2\n"
    )
    (tmp_path / "labels.csv").write_text("fov,t,source_id,label\nA/1/0,1,1,M\n")
    table = index(cell_columns="labels.csv")
    assert table["label"].isna().tolist() == [True, False, True]


def test_a_plate_with_tables_and_a_geff(tmp_path: Path, index: Callable[..., pd.DataFrame]) -> None:
    """Each field of view may have a format of its own; two in one place are refused, whatever they are."""
    write_geff(tmp_path / "tracks" / "A/1/0.geff")
    (tmp_path / "tracks/A/1/1").mkdir()
    (tmp_path / "tracks/A/1/1/tracks.csv").write_text("track_id,t,y,x\n1,0,20,30\n1,1,20,30\n")
    table = index()
    assert table.loc[table["fov"] == "A/1/1", "source_id"].isna().all()
    assert table.loc[table["fov"] == "A/1/0", "source_id"].notna().all()
    (tmp_path / "tracks/A/1/0").mkdir()
    shutil.copy(tmp_path / "tracks/A/1/1/tracks.csv", tmp_path / "tracks/A/1/0/tracks.csv")
    with pytest.raises(TracksError, match=r"several tracking tables for fov='A/1/0': .*keep one"):
        index()
