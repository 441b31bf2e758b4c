"""Experiments of any size for `benchmarks/index.py`: tables of tracks beside plates that hold metadata alone.

A field of view holds families: a mother, and two daughters that start where she ends. Lengths, starts and
places are drawn; rows are sorted by track, as trackers write them. A plate is a real OME-Zarr of iohub, of
which no chunk is written: an index without statistics reads no pixel.
"""

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import yaml

FRAMES = 96
SIDE = 2048
WELLS = ("A/1", "A/2", "B/1", "B/2")
LONGEST = FRAMES // 3
"""Frames of a track: 2 to this many, so that mother and daughters fit the movie."""

FILES = {"experiments": 0, "with_columns": 4}
"""Names of the experiments files, and how many columns of one's own each has."""

Form = Literal["parquet", "csv"]


def families_for(cells: int) -> int:
    """Return how many families hold about so many rows."""
    return max(1, round(cells / (3 * (LONGEST + 2) / 2)))


def make_tracks(rng: np.random.Generator, cells: int) -> pd.DataFrame:
    """Make the tracks of one field of view: about `cells` rows, sorted by track and frame."""
    families = families_for(cells)
    lengths = rng.integers(2, LONGEST + 1, (families, 3))
    start = rng.integers(0, FRAMES - 2 * LONGEST + 1, families)
    starts = np.stack([start, start + lengths[:, 0], start + lengths[:, 0]], axis=1)
    mothers = 3 * np.arange(families, dtype=np.int64) + 1
    parents = np.stack([np.full(families, -1), mothers, mothers], axis=1)
    length = lengths.ravel()
    track = np.repeat(np.arange(length.size, dtype=np.int64), length)
    step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    place = rng.uniform(0, SIDE, (length.size, 2))[track] + rng.normal(0, 2, (len(track), 2))
    y, x = np.round(np.clip(place, 0, SIDE - 1), 2).T
    return pd.DataFrame(
        {
            "track_id": track + 1,
            "t": starts.ravel()[track] + step,
            "y": y,
            "x": x,
            "id": np.arange(len(track)),
            "parent_track_id": parents.ravel()[track],
            "area": rng.gamma(9, 20, len(track)).astype(np.float32),
        }
    )


def make_table(seed: int, cells: int) -> pa.Table:
    """Make the tracks of one experiment: a field of view in each well."""
    rng = np.random.default_rng(seed)
    parts = []
    for well in WELLS:
        part = pa.Table.from_pandas(make_tracks(rng, cells // len(WELLS)), preserve_index=False)
        parts.append(
            part.add_column(0, "fov", pa.array([f"{well}/0"]).take(pa.array(np.zeros(len(part), int))))
        )
    return pa.concat_tables(parts)


def make_plate(path: Path) -> None:
    from iohub.ngff import open_ome_zarr

    with open_ome_zarr(path, layout="hcs", mode="w-", channel_names=["Phase"], version="0.5") as plate:
        for well in WELLS:
            plate.create_position(*well.split("/"), "0").create_zeros(
                "0", (FRAMES, 1, 1, SIDE, SIDE), np.uint16, chunks=(1, 1, 1, SIDE, SIDE)
            )


def make_scores(seed: int, table: pa.Table) -> pa.Table:
    """Make a score of each cell and frame, sorted by track: an order other than that of the anchors."""
    rng = np.random.default_rng([seed, 1])
    score = pa.array(rng.uniform(0.5, 2, len(table)).astype(np.float32))
    return table.select(["fov", "track_id", "t"]).append_column("score", score)


def own_columns(name: str, number: int, form: Form) -> dict[str, Any]:
    """Return the keys that name four columns of one's own, one of each level."""
    return {
        "columns": {"microscope": f"microscope {number % 3}"},
        "well_columns": {"path": "plate_map.csv", "columns": ["drug"]},
        "cell_columns": f"{name}/scores.{form}",
        "track_columns": ["area"],
    }


def entry_of(name: str, form: Form) -> dict[str, Any]:
    return {
        "name": name,
        "data_path": f"{name}/plate.zarr",
        "tracks_path": f"{name}/tracks.{form}",
        "channels": ["Phase"],
        "condition_wells": {"mock": ["A/1", "A/2"], "infected": ["B/1", "B/2"]},
        "interval_minutes": 30,
        "start_hpi": 2.0,
    }


def write_experiments(folder: Path, *, cells: int, experiments: int, form: Form) -> Path:
    """Write about `cells` rows over so many experiments, and the file that lists them.

    Folders that are there already are taken as they are.
    """
    done = folder / "experiments.yaml"
    if done.exists():
        return done
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.zarr"
    shutil.rmtree(model, ignore_errors=True)
    make_plate(model)
    names = [f"exp_{i:04d}" for i in range(experiments)]
    for seed, name in enumerate(names):
        shutil.copytree(model, folder / name / "plate.zarr", dirs_exist_ok=True)
        table = make_table(seed, cells // experiments)
        write = pa_parquet.write_table if form == "parquet" else pa_csv.write_csv
        write(table, folder / name / f"tracks.{form}")
        write(make_scores(seed, table), folder / name / f"scores.{form}")
    drugs = [f"{well},{drug}" for well, drug in zip(WELLS, ("DMSO", "taxol") * 2, strict=True)]
    (folder / "plate_map.csv").write_text("\n".join(["well,drug", *drugs]))
    entries = [entry_of(name, form) for name in names]
    with_own = [one | own_columns(names[i], i, form) for i, one in enumerate(entries)]
    (folder / "with_columns.yaml").write_text(yaml.safe_dump({"experiments": with_own}))
    done.write_text(yaml.safe_dump({"experiments": entries}))
    return done
