"""Readers of files, a valid file for each, and pieces that its format gives a meaning.

For Hypothesis (``tests/test_fuzzed_files.py``) and for a fuzzer that follows the code's branches
(``scripts/fuzz_readers.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
import yaml
import zarr

from viscy_data.columns import ANCHOR_COLUMNS
from viscy_data.composition import BatchPlan
from viscy_data.images.statistics import read_statistics
from viscy_data.images.statistics_columns import STATISTICS_COLUMNS
from viscy_data.importing.cell_index import read_cell_index
from viscy_data.importing.entries import check_entries_of
from viscy_data.importing.yaml_files import read_yaml_file
from viscy_data.sampling.plan_file import read_plan
from viscy_data.tables.anchors.read import AnchorsMetadata, read_anchors, read_metadata
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange
from viscy_data.tables.tracks.read import read_tracks

FOVS = [
    FovInfo("A/1/0", "A/1", (6, 1, 2, 16, 16), ("Phase",)),
    FovInfo("ü x/2/0", "ü x/2", (6, 1, 2, 16, 16), ("Phase",)),
]
TRACKS = pd.DataFrame(
    {
        "fov": ["A/1/0"] * 6 + ["ü x/2/0"] * 3,
        "track_id": [1, 1, 1, 2, 2, 3, 1, 1, 1],
        "parent_track_id": [-1, -1, -1, 1, 1, 1, -1, -1, -1],
        "t": [0, 1, 2, 3, 4, 3, 0, 2, 5],
        "y": np.linspace(0, 15, 9),
        "x": np.linspace(15, 0, 9),
        "z": [0.0, 1.0] * 4 + [0.5],
    }
)
ENTRY = {
    "name": "a b",
    "data_path": "a.zarr",
    "tracks_path": "tracks.csv",
    "channels": ["Phase"],
    "condition_wells": {"mock": ["A/1"]},
    "interval_minutes": 30,
    "start_hpi": 1.5,
    "pixel_size_um": None,
    "exclude_fovs": ["B/1/0"],
}


def experiment(tracks: Path) -> Experiment:
    return Experiment(name="a", data_path=tracks, tracks_path=tracks, channels=("Phase",))


def anchors() -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for column in ANCHOR_COLUMNS:
        text = column.dtype == "dictionary"
        columns[column.name] = ["a", "ü", "a"] if text else np.arange(3).astype(column.dtype)
    return pd.DataFrame(columns)


def statistics() -> pd.DataFrame:
    numbers = [float(i) for i in range(len(STATISTICS_COLUMNS) - 5)]
    return pd.DataFrame([["field", "a", "A/1/0", -1, "Phase", *numbers]], columns=list(STATISTICS_COLUMNS))


def write_index(path: Path) -> None:
    (path.parent / "a.zarr").mkdir(exist_ok=True)
    entry = ENTRY | {"data_path": path.parent / "a.zarr", "tracks_path": path.parent, "exclude_fovs": []}
    metadata = AnchorsMetadata(
        Experiments.model_validate({"experiments": [entry]}), (8, 8), TauRange(hours=(0.5, 1.0))
    )
    write_anchors(path, anchors(), metadata)


def write_experiments(path: Path) -> None:
    (path.parent / "a.zarr").mkdir()
    (path.parent / "tracks.csv").touch()
    path.write_text(yaml.safe_dump({"experiments": [ENTRY]}, allow_unicode=True))


def write_challenge(path: Path) -> None:
    for t in range(3):
        mask = np.zeros((16, 16), dtype=np.uint16)
        mask[2:5, 2:5], mask[8:12, 8:9] = 1, 2
        tifffile.imwrite(path.parent / f"man_track{t:03}.tif", mask)
    path.write_text("1 0 2 0\n2 0 2 0\n")


def read_index(path: Path) -> None:
    """Read what training reads: metadata, all rows, and a part."""
    read_metadata(path)
    read_anchors(path)
    read_anchors(path, columns=["t", "fov"], filters=[("t", "<", 2)])


def write_trackmate(path: Path) -> None:
    spots = "".join(
        f'<SpotsInFrame frame="{t}"><Spot ID="{7 + t}" FRAME="{t}" POSITION_Z="0" POSITION_Y="{t}" '
        f'POSITION_X="2.5" /></SpotsInFrame>'
        for t in range(3)
    )
    edges = "".join(f'<Edge SPOT_SOURCE_ID="{7 + t}" SPOT_TARGET_ID="{8 + t}" />' for t in range(2))
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="7.11.1"><Model spatialunits="µm">'
        f'<AllSpots>{spots}</AllSpots><AllTracks><Track TRACK_ID="0">{edges}</Track></AllTracks>'
        '<FilteredTracks><TrackID TRACK_ID="0" /></FilteredTracks></Model><Settings><ImageData nslices="1" '
        'pixelwidth="0.5" pixelheight="0.5" voxeldepth="1.0" /></Settings></TrackMate>',
        encoding="utf-8",
    )


def write_geff(path: Path) -> None:
    """Write a GEFF; ``path`` is its metadata."""
    group = zarr.open_group(path.parent, mode="w", zarr_format=2)
    held = {"nodes/ids": np.arange(3), "edges/ids": np.array([[0, 1], [1, 2]])}
    held |= {f"nodes/props/{name}/values": np.arange(3.0) for name in ("t", "z", "y", "x")}
    for name, values in held.items():
        group.create_array(name, data=values)
    axes = [{"name": "t", "type": "time", "unit": "frame"}]
    axes += [{"name": name, "type": "space", "unit": "pixel"} for name in "zyx"]
    hints = {"display_horizontal": "x", "display_vertical": "y", "display_depth": "z", "display_time": "t"}
    geff: dict[str, Any] = {"geff_version": "1.1.0", "directed": True, "axes": axes, "display_hints": hints}
    group.attrs["geff"] = geff


COLLECTION: dict[str, Any] = {
    "name": "c",
    "datasets_root": "/data",
    "experiments": [
        {
            "name": "a",
            "data_path": "${datasets_root}/a.zarr",
            "tracks_path": "tracks",
            "channels": [{"name": "Phase", "marker": "phase"}],
            "perturbation_wells": {"mock": ["A/1"]},
            "interval_minutes": 30,
            "marker": None,
        }
    ],
}


def read_collection(path: Path) -> None:
    imported, samples = read_yaml_file(path, path.parent / "out", None, None, [])
    check_entries_of(imported, path, samples)


def write_cells(path: Path) -> None:
    cells = TRACKS.assign(
        experiment="a", store_path="a.zarr", channel_name="Phase", well=TRACKS["fov"].str[:-2]
    )
    cells.assign(interval_minutes=30.0, hours_post_perturbation=TRACKS["t"] / 2).to_parquet(path, index=False)


def read_cells(path: Path) -> None:
    folder = path.parent / "imported"
    folder.mkdir(exist_ok=True)
    imported = read_cell_index(path, path.parent / "out", folder, "channels", [])
    check_entries_of(imported, path, "channels")


@dataclass(frozen=True)
class Readable:
    """What is needed to fuzz a reader.

    Attributes
    ----------
    file
        Name of the file that is broken.
    write, read
        Write a valid one, with what it needs beside it, to a path; read that path.
    scraps
        Pieces that the format gives a meaning.
    text
        Whether the format is text.
    """

    file: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    scraps: tuple[bytes, ...] = ()
    text: bool = True


READERS: dict[str, Readable] = {
    "tracks as CSV": Readable(
        "tracks.csv",
        lambda path: TRACKS.to_csv(path, index=False),
        lambda path: read_tracks(experiment(path), FOVS),
        (b"track_id", b"9" * 25, b"-2", b"True", b"2.5", b"\r", b"A/1/0"),
    ),
    "tracks as gzipped CSV": Readable(
        "tracks.csv.gz",
        lambda path: TRACKS.to_csv(path, index=False),
        lambda path: read_tracks(experiment(path), FOVS),
        (),
        text=False,
    ),
    "tracks as Parquet": Readable(
        "tracks.parquet",
        TRACKS.to_parquet,
        lambda path: read_tracks(experiment(path), FOVS),
        (b"PAR1",),
        text=False,
    ),
    "a challenge's track list": Readable(
        "man_track.txt",
        write_challenge,
        lambda path: read_tracks(experiment(path.parent), FOVS[:1]),
        (b" ", b"9" * 25, b"999999999", b"-5", b"\x1c"),
    ),
    "a challenge's mask": Readable(
        "man_track000.tif",
        lambda path: write_challenge(path.parent / "man_track.txt"),
        lambda path: read_tracks(experiment(path.parent), FOVS[:1]),
        (b"II*\x00", b"\xff" * 4),
        text=False,
    ),
    "experiments": Readable(
        "experiments.yaml",
        write_experiments,
        Experiments.load,
        (
            b"null",
            b"{}",
            b"- ",
            b"!!python/object:os.system ",
            b"<<: ",
            b"? ",
            b"2024-02-30",
            b"\t",
            b"\x00.zarr",
            b"0x_",
            b"!!binary ",
            b"!!timestamp ",
            b"!!int ",
        ),
    ),
    "a plan": Readable(
        "plan.yaml",
        lambda path: path.write_text(
            "batch_size: 8\nstages: {0: {grouping: {leak: 0.1}}, 5: {grouping: {leak: 0.3}}}\n"
            "balance: {by: [a, b], ratio: {x: 1, y: 2}}\nfocus: {window_hours: 2.0, times: uniform}\n"
        ),
        lambda path: read_plan(path, BatchPlan(4)),
        (b"null", b"{}", b"natural", b".inf", b"[1, 2]", b"!!timestamp ", b"!!int "),
    ),
    "an index": Readable(
        "anchors.parquet",
        write_index,
        read_index,
        (b"PAR1", b'"schema_version": 3', b"null", b"[]"),
        text=False,
    ),
    "statistics": Readable(
        "anchors.statistics.parquet",
        lambda path: statistics().to_parquet(path),
        read_statistics,
        (b"PAR1",),
        text=False,
    ),
    "a collection": Readable(
        "collection.yaml",
        lambda path: path.write_text(yaml.safe_dump(COLLECTION)),
        read_collection,
        (b"null", b"{}", b"- ", b"source_channel: [a]", b"${x}", b"2024-02-04", b".inf", b"!!int "),
    ),
    "a cell index": Readable("cells.parquet", write_cells, read_cells, (b"PAR1",), text=False),
    "a TrackMate file": Readable(
        "tracks.xml",
        write_trackmate,
        lambda path: read_tracks(experiment(path), FOVS[:1]),
        (b"<Spot", b"/>", b"<!DOCTYPE a>", b"<!ENTITY", b'"', b"9" * 25, b"<TrackID", b"&#x0;", b"UTF-16"),
    ),
    "a GEFF's metadata": Readable(
        "tracks.geff/.zattrs",
        write_geff,
        lambda path: read_tracks(experiment(path.parent), FOVS[:1]),
        (b"null", b"{}", b"[]", b'"name": ', b'"unit": "um"', b"1e400", b'"t"', b'"\\ud800"'),
    ),
}
