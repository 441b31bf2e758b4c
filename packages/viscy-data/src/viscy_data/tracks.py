"""Tracks of one experiment, from whichever layout they come in, as one checked table.

Layouts of ``tracks_path``, with ``fov`` a name such as ``B/3/0``:

- a file: one table with a ``fov`` column (not needed for a store with one field of view);
- a folder with ``fov/*.csv`` or ``fov/*.parquet`` (one table each), or ``fov.csv``, ``fov.parquet``;
- a Cell Tracking Challenge folder, or one at ``fov`` for each field of view.

A field of view without tracks gives no rows; an experiment without any is an error. The result is
sorted by fov, t and track, and every row of a track names the track's parent.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from viscy_data.columns import FOV, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.detections import Detections, check_detections
from viscy_data.errors import TracksError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.packing import pack
from viscy_data.tracks_ctc import find_track_list, read_ctc
from viscy_data.tracks_tables import is_table, read_table

TRACK_COLUMNS = (FOV, TRACK_ID, PARENT_TRACK_ID, T, Y, X, Z)


def read_tracks(experiment: Experiment, fovs: Sequence[FovInfo]) -> pd.DataFrame:
    """Read and check the tracks of one experiment.

    Parameters
    ----------
    experiment
        Where the tracks are; rows of its ``exclude_fovs`` are left out.
    fovs
        The fields of view of its store.

    Returns
    -------
    DataFrame
        ``fov`` (categorical), ``track_id``, ``parent_track_id``, ``t`` (int32), ``y``, ``x``, ``z``
        (float32; ``z`` is NaN where it is not known), sorted by fov, t, track.

    Raises
    ------
    TracksError
        Naming file, line or row, and column.
    """
    fovs = sorted(fovs, key=lambda info: info.fov)
    kept = np.array([info.fov not in experiment.exclude_fovs for info in fovs], dtype=np.bool_)
    found = [check_detections(one.take(kept[one.fov]), fovs) for one in _read_files(experiment, fovs)]
    if not sum(len(one.t) for one in found):
        raise TracksError(
            f"experiment {experiment.name!r}: no tracks for any fov under {experiment.tracks_path}; expected "
            "a table with a 'fov' column, fov/*.csv, fov/*.parquet, fov.csv, or a Cell Tracking Challenge "
            "folder"
        )
    return _assemble(found, [info.fov for info in fovs])


def _read_files(experiment: Experiment, fovs: Sequence[FovInfo]) -> Iterator[Detections]:
    path = experiment.tracks_path
    names = {info.fov: i for i, info in enumerate(fovs)}
    if path.is_file() and path.name in {"man_track.txt", "res_track.txt"}:
        path = path.parent
    if path.is_file():
        yield _read_single(path, names)
    elif track_list := find_track_list(path):
        if len(fovs) != 1:
            raise TracksError(
                f"{track_list}: a Cell Tracking Challenge folder is one fov; the store has {len(fovs)}"
            )
        yield read_ctc(track_list, fovs[0], 0)
    else:
        for i, info in enumerate(fovs):
            if info.fov not in experiment.exclude_fovs:
                yield from _read_fov(path, i, info)


def _read_single(path: Path, names: dict[str, int]) -> Detections:
    if not is_table(path):
        raise TracksError(f"{path}: not a tracking table; known are .csv, .csv.gz, .parquet and .pq")
    return read_table(path, fov=None, names=names)


def _read_fov(folder: Path, i: int, info: FovInfo) -> Iterator[Detections]:
    inside = folder / info.fov
    if track_list := find_track_list(inside):
        yield read_ctc(track_list, info, i)
        return
    tables = sorted(p for p in inside.iterdir() if is_table(p)) if inside.is_dir() else []
    beside = inside.parent
    if beside.is_dir():
        stem = inside.name + "."
        tables += sorted(p for p in beside.iterdir() if p.name.startswith(stem) and is_table(p))
    if len(tables) > 1:
        listed = ", ".join(str(p.relative_to(folder)) for p in tables)
        raise TracksError(f"{folder}: several tracking tables for fov={info.fov!r}: {listed}; keep one")
    for path in tables:
        yield read_table(path, fov=i, names={})


def _assemble(found: Sequence[Detections], names: Sequence[str]) -> pd.DataFrame:
    fov = np.concatenate([one.fov for one in found])
    z = [np.full(len(one.t), np.nan) if one.z is None else one.z for one in found]
    ids, t = (np.concatenate([getattr(one, name) for one in found]) for name in (TRACK_ID, T))
    columns = {
        TRACK_ID: ids.astype(np.int32),
        PARENT_TRACK_ID: np.concatenate([one.parent_track_id for one in found]).astype(np.int32),
        T: t.astype(np.int32),
        Y: np.concatenate([one.y for one in found]).astype(np.float32),
        X: np.concatenate([one.x for one in found]).astype(np.float32),
        Z: np.concatenate(z).astype(np.float32),
    }
    keys = pack([fov, t, ids])
    if (keys[1:] < keys[:-1]).any():
        order = np.argsort(keys)
        fov = fov[order]
        columns = {name: values[order] for name, values in columns.items()}
    fovs = pd.Categorical.from_codes(fov.astype(np.int32), categories=pd.Index(list(names), dtype="str"))
    return pd.DataFrame({FOV: fovs, **columns}, copy=False)
