"""Tracks of one experiment, from whichever layout they come in, as one checked table.

Layouts of ``tracks_path``, with ``fov`` a name such as ``B/3/0``:

- a file: one table with a ``fov`` column (not needed for a store with one field of view);
- a folder with one table for each field of view: ``fov/*.csv``, ``fov/*.parquet``, ``fov.csv``, ...;
- a Cell Tracking Challenge folder, a GEFF or a TrackMate file, or one for each field of view: at
  ``fov`` for the first, and ``fov/*`` or ``fov.geff``, ``fov.xml`` for the others.

A field of view without tracks gives no rows; an experiment without any is an error. The result is
sorted by fov, t and track, and every row of a track names the track's parent.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from viscy_data.columns import FOV, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.errors import TracksError
from viscy_data.packing import pack, stable_order
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.own_columns.column import joined_tables
from viscy_data.tables.tracks.ctc import TRACK_LISTS
from viscy_data.tables.tracks.detections import Detections, check_detections
from viscy_data.tables.tracks.formats import FORMATS, format_of
from viscy_data.tables.tracks.lengths import refuse_lengths
from viscy_data.tables.tracks.slices import with_slices
from viscy_data.tables.tracks.source_ids import joined_sources

_NAMED = 5

TRACK_COLUMNS = (FOV, TRACK_ID, PARENT_TRACK_ID, T, Y, X, Z)


@dataclass(frozen=True)
class Tracks:
    """The tracks of one experiment, and what of its files is not among them.

    Attributes
    ----------
    frame
        As :func:`read_tracks` returns it.
    left_out
        Nodes, links and parents that were left out, by reason.
    without_fov
        Files of tracks for which the store has no field of view, relative to ``tracks_path``.
    source
        What the files call cells and tracks: an Arrow table of the same rows with some of ``SOURCE_COLUMNS``;
        None: they call them nothing.
    own
        The columns asked for by ``track_columns``, as an Arrow table of the same rows; None: there are none.
    """

    frame: pd.DataFrame
    left_out: Mapping[str, int]
    without_fov: tuple[str, ...]
    source: Any = None
    own: Any = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What their user should know, one sentence each."""
        counted = ", ".join(f"{count} {what}" for what, count in self.left_out.items())
        more = f" and {len(self.without_fov) - _NAMED} more" if len(self.without_fov) > _NAMED else ""
        files = f"{', '.join(self.without_fov[:_NAMED])}{more}"
        return (
            *([f"left out of the tracks: {counted}"] if counted else []),
            *([f"tracks of no field of view of the store are not read: {files}"] if files else []),
        )

    def columns(self) -> Any:
        """Return ``source`` and ``own`` as one Arrow table; None: there is neither."""
        held = [one for one in (self.source, self.own) if one is not None]
        columns = {name: one[name] for one in held for name in one.column_names}
        return pa.table(columns) if columns else None


def read_tracks(experiment: Experiment, fovs: Sequence[FovInfo]) -> pd.DataFrame:
    """Read and check the tracks of one experiment.

    Parameters
    ----------
    experiment
        Where the tracks are, and how to take them; rows of its ``exclude_fovs`` are left out.
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
    return load_tracks(experiment, fovs).frame


def load_tracks(experiment: Experiment, fovs: Sequence[FovInfo]) -> Tracks:
    """Do as :func:`read_tracks`, and count what is left out."""
    fovs = sorted(fovs, key=lambda info: info.fov)
    kept = np.array([info.fov not in experiment.exclude_fovs for info in fovs], dtype=np.bool_)
    cut = experiment.missing_parents == "cut"
    found = [
        with_slices(
            check_detections(one.take(kept[one.fov]), fovs, cut_missing_parents=cut), experiment, fovs
        )
        for one in _read_files(experiment, fovs)
    ]
    others = _without_fov(experiment, fovs)
    if not sum(len(one.t) for one in found):
        raise TracksError(
            f"experiment {experiment.name!r}: no tracks for any fov under {experiment.tracks_path}; "
            "expected one of "
            f"{', '.join(one.places for one in FORMATS)}{_named(others, fovs)}"
        )
    refuse_lengths(found, experiment, fovs)
    left_out: Counter[str] = Counter()
    for one in found:
        left_out.update(one.left_out)
    frame, order = _assemble(found, [info.fov for info in fovs])
    source = joined_sources([one.source for one in found], [len(one.t) for one in found])
    own = joined_tables([one.own for one in found]) if experiment.track_columns else None
    if order is not None:
        source, own = (None if one is None else one.take(pa.array(order)) for one in (source, own))
    return Tracks(frame, dict(sorted(left_out.items())), others, source, own)


def _read_files(experiment: Experiment, fovs: Sequence[FovInfo]) -> Iterator[Detections]:
    path = experiment.tracks_path
    if path.is_file() and path.name in TRACK_LISTS:
        path = path.parent
    found = format_of(path)
    if found is not None and found.several and not path.is_dir():
        yield _read(path, experiment, fovs, None)
    elif found is not None:
        if len(fovs) != 1:
            raise TracksError(f"{path}: {found.kind} is one fov; the store has {len(fovs)}")
        yield _read(path, experiment, fovs, 0)
    elif path.is_file():
        known = "; ".join(f"{one.kind}: {', '.join(one.suffixes)}" for one in FORMATS if one.suffixes)
        raise TracksError(f"{path}: not a tracking table; known are {known}")
    else:
        for i, info in enumerate(fovs):
            if info.fov not in experiment.exclude_fovs:
                files = _files_of(experiment.tracks_path, info.fov)
                if len(files) > 1:
                    listed = ", ".join(str(p.relative_to(path)) for p in files)
                    raise TracksError(
                        f"{path}: several tracking tables for fov={info.fov!r}: {listed}; keep one"
                    )
                for file in files:
                    yield _read(file, experiment, fovs, i)


def _is_tracks(path: Path) -> bool:
    return format_of(path) is not None


def _read(path: Path, experiment: Experiment, fovs: Sequence[FovInfo], i: int | None) -> Detections:
    """Read the tracks of one field of view, number i; None: the file says itself of which."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for without end
        raise TracksError(
            f"{path}: no regular file; tracks are read from files and folders: write them to one"
        )
    found = format_of(path)
    assert found is not None, "asked of paths that have a format"
    if experiment.track_columns and not found.has_columns:
        raise TracksError(
            f"{path}: track_columns={list(experiment.track_columns)}: {found.kind} has no columns beside our "
            "own; leave it out of the experiments file, or join a table by cell_columns"
        )
    given = [name for name in found.says if getattr(experiment, name)]
    if given:
        raise TracksError(
            f"{path}: {found.kind} says itself what {', '.join(given)} would say: leave it out of the "
            "experiments file"
        )
    return found.read(path, experiment, fovs, i)


def _files_of(folder: Path, fov: str) -> list[Path]:
    """Return the tracks of one field of view that lie in a folder of tracks."""
    inside = folder / fov
    if inside.is_dir() and _is_tracks(inside):
        return [inside]
    found = sorted(filter(_is_tracks, _visible(inside)))
    beside = (p for p in _visible(inside.parent) if p.name.startswith(inside.name + "."))
    return found + sorted(filter(_is_tracks, beside))


def _visible(folder: Path) -> Iterator[Path]:
    """Yield what a folder holds; a name that begins with a dot, such as ``._tracks.csv``, is not data."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if not path.name.startswith("."))


def _without_fov(experiment: Experiment, fovs: Sequence[FovInfo]) -> tuple[str, ...]:
    """Return the tracks in a folder that are of no field of view of the store."""
    folder = experiment.tracks_path
    if _is_tracks(folder) or not folder.is_dir():
        return ()
    ours = {path for info in fovs for path in _files_of(folder, info.fov)}
    # A folder in between is one of no field of view, or has several: what is in it was looked at.
    return tuple(sorted(str(path.relative_to(folder)) for path in _walk(folder) if path not in ours))


def _walk(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if _is_tracks(path):
            yield path
        elif path.is_dir() and not any((path / name).exists() for name in (".zgroup", "zarr.json")):
            yield from _walk(path)


def _named(files: Sequence[str], fovs: Sequence[FovInfo]) -> str:
    if not files:
        return ""
    held = ", ".join(info.fov for info in fovs[:_NAMED])
    return f". There are {', '.join(files[:_NAMED])}, of no fov of the store, which has {held}"


def _assemble(found: Sequence[Detections], names: Sequence[str]) -> tuple[pd.DataFrame, IntArray | None]:
    """Return the detections of all files as one table, and the order that they were brought into, if any."""
    order = None
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
    return pd.DataFrame({FOV: fovs, **columns}, copy=False), order


def _order(fov: IntArray, t: IntArray, ids: IntArray) -> IntArray:
    """Return the order of rows by fov, t and track; as trackers write them, by fov and track, it is quick."""
    written = _ascending(pack([fov, ids]))
    return stable_order(pack([fov, t] if written else [fov, t, ids]))


def _ascending(keys: IntArray) -> bool:
    return bool((keys[1:] >= keys[:-1]).all())
