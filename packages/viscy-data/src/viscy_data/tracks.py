"""Tracks of one experiment, from whichever layout they come in, as one checked table.

Layouts of ``tracks_path``, with ``fov`` a name such as ``B/3/0``:

- a file: one table with a ``fov`` column (not needed for a store with one field of view);
- a folder with one table for each field of view: ``fov/*.csv``, ``fov/*.parquet``, ``fov.csv``, ...;
- a Cell Tracking Challenge folder, a GEFF or a TrackMate file, or one for each field of view: at
  ``fov`` for the first, and ``fov/*`` or ``fov.geff``, ``fov.xml`` for the others.

A field of view without tracks gives no rows; an experiment without any is an error. The result is
sorted by fov, t and track, and every row of a track names the track's parent.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from viscy_data.columns import FOV, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.crops import pixel_size
from viscy_data.detections import Detections, check_detections
from viscy_data.errors import TracksError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.lineage import IntArray
from viscy_data.packing import pack, stable_order
from viscy_data.tracks_ctc import TRACK_LISTS, find_track_list, read_ctc
from viscy_data.tracks_geff import is_geff, read_geff
from viscy_data.tracks_tables import is_table, read_table
from viscy_data.tracks_trackmate import is_trackmate, read_trackmate

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
            "a table with a 'fov' column, fov/*.csv, fov/*.parquet, fov.csv, a GEFF (fov.geff), a TrackMate "
            "file (fov.xml), or a Cell Tracking Challenge folder"
        )
    return _assemble(found, [info.fov for info in fovs])


def _read_files(experiment: Experiment, fovs: Sequence[FovInfo]) -> Iterator[Detections]:
    path = experiment.tracks_path
    if path.is_file() and path.name in TRACK_LISTS:
        path = path.parent
    if is_table(path) and path.is_file():
        yield read_table(path, fov=None, names={info.fov: i for i, info in enumerate(fovs)})
    elif _is_tracks(path):
        if len(fovs) != 1:
            raise TracksError(f"{path}: {_kind(path)} is one fov; the store has {len(fovs)}")
        yield _read(path, experiment, 0, fovs[0])
    elif path.is_file():
        raise TracksError(
            f"{path}: not a tracking table; known are .csv, .csv.gz, .parquet and .pq, and a TrackMate .xml"
        )
    else:
        for i, info in enumerate(fovs):
            if info.fov not in experiment.exclude_fovs:
                yield from _read_fov(experiment, i, info)


def _is_tracks(path: Path) -> bool:
    return bool(find_track_list(path)) or is_geff(path) or is_trackmate(path) or is_table(path)


def _kind(path: Path) -> str:
    if is_geff(path):
        return "a GEFF"
    return "a TrackMate file" if path.is_file() else "a Cell Tracking Challenge folder"


def _read(path: Path, experiment: Experiment, i: int, info: FovInfo) -> Detections:
    """Read the tracks of one field of view, number i."""
    if track_list := find_track_list(path):
        return read_ctc(track_list, info, i)
    if is_geff(path):
        return read_geff(path, info, i, pixel_size(experiment, info))
    if is_trackmate(path):
        return read_trackmate(path, info, i)
    return read_table(path, fov=i, names={})


def _read_fov(experiment: Experiment, i: int, info: FovInfo) -> Iterator[Detections]:
    folder = experiment.tracks_path
    inside = folder / info.fov
    if find_track_list(inside) or is_geff(inside):
        yield _read(inside, experiment, i, info)
        return
    found = sorted(filter(_is_tracks, inside.iterdir())) if inside.is_dir() else []
    beside = inside.parent
    if beside.is_dir():
        named = (p for p in beside.iterdir() if p.name.startswith(inside.name + "."))
        found += sorted(filter(_is_tracks, named))
    if len(found) > 1:
        listed = ", ".join(str(p.relative_to(folder)) for p in found)
        raise TracksError(f"{folder}: several tracking tables for fov={info.fov!r}: {listed}; keep one")
    for path in found:
        yield _read(path, experiment, i, info)


def _assemble(found: Sequence[Detections], names: Sequence[str]) -> pd.DataFrame:
    fov = np.concatenate([one.fov for one in found])
    z = [np.full(len(one.t), np.nan, np.float32) if one.z is None else one.z for one in found]
    ids, t = (np.concatenate([getattr(one, name) for one in found]) for name in (TRACK_ID, T))
    columns = {
        TRACK_ID: ids.astype(np.int32),
        PARENT_TRACK_ID: np.concatenate([one.parent_track_id for one in found]).astype(np.int32),
        T: t.astype(np.int32),
        Y: np.concatenate([one.y for one in found]).astype(np.float32),
        X: np.concatenate([one.x for one in found]).astype(np.float32),
        Z: np.concatenate(z).astype(np.float32, copy=False),
    }
    if not _ascending(pack([fov, t, ids])):
        order = _order(fov, t, ids)
        fov = fov[order]
        columns = {name: values[order] for name, values in columns.items()}
    fovs = pd.Categorical.from_codes(fov.astype(np.int32), categories=pd.Index(list(names), dtype="str"))
    return pd.DataFrame({FOV: fovs, **columns}, copy=False)


def _order(fov: IntArray, t: IntArray, ids: IntArray) -> IntArray:
    """Return the order of rows by fov, t and track; as trackers write them, by fov and track, it is quick."""
    written = _ascending(pack([fov, ids]))
    return stable_order(pack([fov, t])) if written else np.argsort(pack([fov, t, ids]))


def _ascending(keys: IntArray) -> bool:
    return bool((keys[1:] >= keys[:-1]).all())
