"""A small project on disk, whose names hold spaces and letters beyond ASCII."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from viscy_data.indexing.run import build_index
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]

SHAPE = (6, 2, 1, 32, 32)
FOVS = ("A/1/0", "A/1/1", "B/2/0")
CHANNELS = ("Phase 3D", "GFP-ß")
NAME = "Züchtung 1"


def write_project(folder: Path, write_store: WriteStore) -> Path:
    """Write one experiment: a plate of three fields of view, in each eight cells over six frames."""
    rng = np.random.default_rng(0)
    images = {fov: rng.integers(1, 60000, SHAPE).astype(np.uint16) for fov in FOVS}
    data = folder / "Daten ü"
    data.mkdir(parents=True)
    write_store(data / "Platte 1.zarr", images, CHANNELS)
    for fov in FOVS:
        rows = [(track, t, *rng.uniform(0, 31, 2)) for track in range(8) for t in range(SHAPE[0])]
        path = data / "Spuren 1" / fov / "tracks.csv"
        path.parent.mkdir(parents=True)
        pd.DataFrame(rows, columns=["track_id", "t", "y", "x"]).to_csv(path, index=False)
    entry = {
        "name": NAME,
        "data_path": "Daten ü/Platte 1.zarr",
        "tracks_path": "Daten ü/Spuren 1",
        "channels": list(CHANNELS),
        "condition_wells": {"Kontrolle, naïve": ["A/1"], "感染": ["B/2"]},
        "interval_minutes": 30,
        "start_hpi": 1,
    }
    path = folder / "experiments é.yaml"
    path.write_text(yaml.safe_dump({"experiments": [entry]}, allow_unicode=True), encoding="utf-8")
    return path


def index_project(experiments: Path, out: Path, **options: Any) -> Path:
    """Build the anchors table of a project."""
    tau = TauRange(frames=(1, 2))
    build_index(experiments, out, patch_size=(8, 8), tau=tau, progress=False, **options)
    return out


def store_of(experiments: Path) -> Path:
    """Return the store of a project."""
    return experiments.parent / "Daten ü" / "Platte 1.zarr"


def chunks_of(store: Path, fov: str, t: int) -> list[Path]:
    """Return the chunk files of a frame."""
    return sorted(file for file in (store / fov / "0" / "c" / str(t)).rglob("*") if file.is_file())
