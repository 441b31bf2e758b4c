"""Small experiments to index, and an index in a process of its own that is killed at a given moment.

    python index_cases.py FOLDER MOMENT COUNT PROCESSES

kills itself by SIGKILL when `MOMENT` comes for the COUNT-th time.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.ipc as pa_ipc
import yaml

from viscy_data.errors import TracksError
from viscy_data.indexing import image_statistics as index_statistics
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.tables.anchors import write as anchors_writing
from viscy_data.tables.tau import TauRange

FOVS = ("A/1/0", "B/2/0", "B/2/1")
CHANNELS = ("Phase", "RFP")
NAMES = ("c", "a", "b")

MOMENTS: dict[str, tuple[Any, str]] = {
    "a part is half written": (pa_ipc.RecordBatchFileWriter, "write_table"),
    "statistics are written": (index_statistics, "write_statistics"),
    "the table is half written": (anchors_writing, "_compact"),
}


def write_tracks(path: Path, shift: float = 0.0) -> None:
    """Write a cell that divides, one that leaves the image, and none in frame 2 of it."""
    track, parent, t, y = np.array(
        [(1, -1, 0, 9), (1, -1, 1, 9), (2, 1, 2, 5), (3, 1, 3, 30), (4, -1, 0, 31), (4, -1, 1, 33)]
    ).T
    table = pd.DataFrame({"track_id": track, "parent_track_id": parent, "t": t, "y": y, "x": 12.0 + shift})
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def write_experiments(folder: Path, write_store: Callable[..., Path]) -> Path:
    """Write three experiments of one frame shape, and their file."""
    pixels = np.random.default_rng(0).integers(1, 500, (4, 2, 1, 32, 32)).astype(np.uint16)
    for shift, name in enumerate(NAMES):
        write_store(folder / f"{name}.zarr", dict.fromkeys(FOVS[:2], pixels), CHANNELS)
        for fov in FOVS[:2]:
            write_tracks(folder / name / fov / "tracks.csv", shift)
    entries = [
        {"name": name, "data_path": f"{name}.zarr", "tracks_path": name, "channels": list(CHANNELS)}
        for name in NAMES
    ]
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": entries}))
    return path


def build(folder: Path, **options: Any) -> IndexSummary:
    """Index the experiments of a folder into its `anchors.parquet`."""
    given: dict[str, Any] = {"patch_size": (8, 8), "tau": TauRange(frames=(1, 2)), "progress": False}
    return build_index(folder / "experiments.yaml", folder / "anchors.parquet", **(given | options))


def die_at(moment: str, count: int) -> None:
    """Let the process be killed when the moment comes for the count-th time."""
    place, name = MOMENTS[moment]
    work = getattr(place, name)
    left = [count]

    def mortal(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*args, **options)

    setattr(place, name, mortal)


def refuse(job: int) -> int:
    """Refuse any job."""
    raise TracksError(f"the file {job}")


def die(job: int) -> int:
    """Die at any job."""
    os.kill(os.getpid(), signal.SIGKILL)
    return job


if __name__ == "__main__":
    die_at(sys.argv[2], int(sys.argv[3]))
    build(Path(sys.argv[1]), processes=int(sys.argv[4]))
