import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.errors import ExperimentsFileError, InvalidInputError, StoreError, TracksError
from viscy_data.images.statistics import read_statistics
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.positives import Positives
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]

CHANNELS = ("Phase", "RFP")
FOVS = ("A/1/0", "B/2/0", "B/2/1")


def write_experiment(folder: Path, name: str, write_store: WriteStore, **changes: Any) -> dict[str, Any]:
    """Write a small plate; in each fov a cell that divides and one that leaves the image."""
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 500, (4, 2, 1, 32, 32)).astype(np.uint16)
    write_store(folder / f"{name}.zarr", dict.fromkeys(FOVS, pixels), CHANNELS)
    track, parent, t, y = np.array(
        [(1, -1, 0, 9), (1, -1, 1, 9), (2, 1, 2, 5), (3, 1, 3, 30), (4, -1, 0, 31), (4, -1, 1, 33)]
    ).T
    table = pd.DataFrame({"track_id": track, "parent_track_id": parent, "t": t, "y": y, "x": 12.0})
    for fov in FOVS[:2]:
        (folder / name / fov).mkdir(parents=True)
        table.to_csv(folder / name / fov / "tracks.csv", index=False)
    return {
        "name": name,
        "data_path": f"{name}.zarr",
        "tracks_path": name,
        "channels": list(CHANNELS),
        "condition_wells": {"mock": ["A/1"], "infected": ["B/2"]},
        "interval_minutes": 30,
        "start_hpi": 1,
    } | changes


def write_file(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": list(entries)}))
    return path


def index(path: Path, out: Path, **options: Any) -> IndexSummary:
    defaults: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(hours=(0.5, 1.0)), "progress": False}
    return build_index(path, out, **(defaults | options))


def test_the_whole_way(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(
        tmp_path,
        write_experiment(tmp_path, "b", write_store),
        write_experiment(tmp_path, "a", write_store, condition_wells=None, pixel_size_um=0.5),
    )
    out = tmp_path / "anchors.parquet"
    summary = index(path, out)
    anchors, metadata = read_anchors(out), read_metadata(out)
    assert anchors["experiment"].value_counts().to_dict() == {"a": 10, "b": 10}
    assert metadata.dropped == {name: {"centre outside the image": 2} for name in "ab"}
    assert metadata.patch_size == (8, 8)
    assert metadata.experiments.experiments[0].data_path == tmp_path / "b.zarr"
    found = [(one.experiment, one.condition, one.cells, one.anchors) for one in summary.counts]
    assert found == [("a", None, 8, 10), ("b", "infected", 4, 5), ("b", "mock", 4, 5)]
    assert [dict(one.dropped) for one in summary.counts] == [
        {"centre outside the image": count} for count in (2, 1, 1)
    ]
    frames = {e.name: metadata.tau.in_frames(e) for e in metadata.experiments.experiments}
    assert frames == {"a": (1, 2), "b": (1, 2)}
    valid = Positives(anchors, frames).has_positive
    assert sum(one.valid_anchors for one in summary.counts) == valid.sum() == 2 * 2 * 2
    assert summary.without_tracks == {"a": ("B/2/1",), "b": ("B/2/1",)}
    statistics = read_statistics(summary.statistics_path)
    assert statistics["level"].value_counts()[["field", "experiment"]].tolist() == [2 * 3 * 2, 2 * 2]


def test_processes_change_nothing(tmp_path: Path, write_store: WriteStore) -> None:
    entries = [write_experiment(tmp_path, name, write_store) for name in "ba"]
    path = write_file(tmp_path, *entries)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    summaries = [index(path, out, processes=n) for out, n in ((one, 1), (two, 2))]
    assert one.read_bytes() == two.read_bytes()
    assert summaries[0].counts == summaries[1].counts


def test_chunks_left_out_stop_the_index_unless_they_are_empty(
    tmp_path: Path, write_store: WriteStore
) -> None:
    path = write_file(tmp_path, write_experiment(tmp_path, "a", write_store))
    chunk = next(file for file in sorted((tmp_path / "a.zarr" / FOVS[0]).rglob("0")) if file.is_file())
    chunk.unlink()
    out = tmp_path / "anchors.parquet"
    with pytest.raises(StoreError, match=f"fov='{FOVS[0]}'.*missing_chunks"):
        index(path, out)
    assert not out.exists()
    index(path, out, missing_chunks="fill")
    assert len(read_anchors(out)) == 10


def test_problems_of_file_and_stores_come_together(tmp_path: Path, write_store: WriteStore) -> None:
    (tmp_path / "broken").mkdir()
    path = write_file(
        tmp_path,
        write_experiment(tmp_path, "a", write_store, channels=["Phase", "GFP"]),
        write_experiment(tmp_path, "b", write_store, interval_minutes=-1),
        write_experiment(tmp_path, "c", write_store, data_path="broken"),
    )
    with pytest.raises(ExperimentsFileError) as caught:
        index(path, tmp_path / "anchors.parquet")
    for part in ("channel 'GFP' is not in the store", "interval_minutes=-1", "experiment='c'"):
        assert part in str(caught.value)
    assert not list(tmp_path.glob("*.parquet"))


def test_an_existing_table_is_kept_unless_asked(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(tmp_path, write_experiment(tmp_path, "a", write_store))
    out = tmp_path / "anchors.parquet"
    index(path, out)
    before = out.read_bytes()
    with pytest.raises(InvalidInputError, match=r"anchors\.parquet.* exists; say --overwrite"):
        index(path, out, patch_size=(10, 10))
    assert out.read_bytes() == before
    index(path, out, patch_size=(10, 10), overwrite=True)
    assert read_metadata(out).patch_size == (10, 10)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tau": TauRange(hours=(0.1, 0.2))}, "interval_minutes=30"),
        ({"tau": TauRange(frames=(1, 9))}, r"all movies are shorter; the longest.*has 4 frames"),
        ({"patch_size": (33, 8), "border": "shift"}, "patch_size does not fit"),
        ({"border": "mirror"}, "border='mirror': 'reflect', 'shift', 'drop' are allowed"),
        (
            {"patch_size": (33, 8), "border": "drop"},
            r"the table would have no anchor: a: 0 anchors, \d+ dropped \(.*border\); take border='reflect'",
        ),
        ({"patch_size": (0, 8)}, "patch_size"),
    ],
)
def test_bad_options_leave_nothing_behind(
    tmp_path: Path, write_store: WriteStore, options: dict[str, Any], match: str
) -> None:
    path = write_file(tmp_path, write_experiment(tmp_path, "a", write_store))
    with pytest.raises(InvalidInputError, match=match):
        index(path, tmp_path / "anchors.parquet", **options)
    assert not list(tmp_path.glob("*.parquet"))


def test_bad_tracks_and_a_missing_folder_are_named(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(tmp_path, write_experiment(tmp_path, "a", write_store))
    with pytest.raises(InvalidInputError, match=r"the folder .* does not exist"):
        index(path, tmp_path / "nowhere" / "anchors.parquet")
    (tmp_path / "a" / FOVS[0] / "tracks.csv").write_text("track_id,t,y,x\n1,99,1,1\n")
    with pytest.raises(TracksError, match=r"A/1/0/tracks\.csv: line 2, column 't'"):
        index(path, tmp_path / "anchors.parquet")


def test_an_unknown_unit_is_said(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(tmp_path, write_experiment(tmp_path, "a", write_store, pixel_size_um=None))
    for fov in FOVS[:2]:
        file = tmp_path / "a.zarr" / fov / "zarr.json"
        content = json.loads(file.read_text())
        image = content["attributes"]["ome"]["multiscales"][0]
        image["axes"][4]["unit"] = "furlong"
        image["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1, 1, 2, 2]}]
        file.write_text(json.dumps(content))
    summary = index(path, tmp_path / "anchors.parquet")
    said = "pixel size not known: 'furlong' is not a unit of length; set pixel_size_um"
    assert summary.notes == (f"a ({', '.join(FOVS[:2])}): {said}",)


def test_links_that_lead_to_each_other_are_named(tmp_path: Path, write_store: WriteStore) -> None:
    path = write_file(tmp_path, write_experiment(tmp_path, "a", write_store, data_path="loop.zarr"))
    (tmp_path / "loop.zarr").symlink_to(tmp_path / "loop.zarr")
    with pytest.raises(ExperimentsFileError, match=r"data_path='.*loop\.zarr' cannot be opened"):
        index(path, tmp_path / "anchors.parquet")
