"""The detections of one tracking file, and what must hold of them.

A *detection* is one cell in one frame. Every reader turns its file into :class:`Detections`; the
rules are written here once, whatever the file's format: places are finite, frames lie in the movie, a
track is in one place at a time, and parents exist, come first and form no cycle. Gaps are fine. A track
without parent leaves its parent empty, or names -1, itself, or 0 where no track has that id: trackers do all
of these.

Messages name file, line or row, and column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from viscy_data.columns import NO_PARENT, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.errors import TracksError
from viscy_data.packing import pack
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.lineage import BoolArray, Forest, IntArray, build_forest, cyclic_tracks

type FloatArray = NDArray[np.float64]

MISSING_PARENTS: Final = "parents that are not a track"
"""Why a link is left out, in the counts of what is."""

_LARGEST_ID = np.iinfo(np.int32).max
_LARGEST_PLACE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Detections:
    """The detections of one file; every array is (N,).

    Attributes
    ----------
    file
        Where they come from.
    rows
        Number of each detection in the file.
    unit
        What those numbers count: ``line`` of a text file, ``row`` of a Parquet file.
    fov
        Index into the experiment's fields of view.
    track_id, parent_track_id, t, y, x
        As in the anchors table.
    z
        Slice; None where the file does not say.
    unit_stated
        Whether it is known that places are, or were made, pixels.
    left_out
        What of the file is not among them, counted.
    source
        What the file calls cells and tracks: an Arrow table of N rows with some of ``SOURCE_COLUMNS``; None:
        it calls them nothing.
    own
        The columns asked for by ``track_columns``, as an Arrow table of N rows; None: there are none.
    known
        Tracks that the file knows though they have no detection, as parents may be; None: there are none.
    """

    file: Path
    rows: IntArray
    unit: str
    fov: IntArray
    track_id: IntArray
    parent_track_id: IntArray
    t: IntArray
    y: FloatArray
    x: FloatArray
    z: FloatArray | None
    unit_stated: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    known: IntArray | None = None
    source: Any = None
    own: Any = None

    def take(self, mask: BoolArray) -> Self:
        """Return the detections where ``mask`` (N,) holds."""
        if mask.all():
            return self
        return replace(
            self,
            rows=self.rows[mask],
            fov=self.fov[mask],
            track_id=self.track_id[mask],
            parent_track_id=self.parent_track_id[mask],
            t=self.t[mask],
            y=self.y[mask],
            x=self.x[mask],
            z=None if self.z is None else self.z[mask],
            source=None if self.source is None else self.source.filter(pa.array(mask)),
            own=None if self.own is None else self.own.filter(pa.array(mask)),
        )

    def refuse(self, bad: BoolArray, column: str, why: str) -> None:
        """Raise a ``TracksError`` that names the first bad row; return where there is none."""
        found = np.flatnonzero(bad)
        if len(found):
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise TracksError(
                f"{self.file}: {self.unit} {self.rows[found[0]]}{more}, column {column!r}: {why}"
            )


def check_detections(
    found: Detections, fovs: Sequence[FovInfo], *, cut_missing_parents: bool = False
) -> Detections:
    """Check the detections of a file and give every row of a track the track's parent.

    Parameters
    ----------
    found, fovs
        The detections, and the fields of view that their ``fov`` counts.
    cut_missing_parents
        A track whose parent is not there has none, and is counted; otherwise that is an error.

    Raises
    ------
    TracksError
        Naming file, line or row, and column.
    """
    _check_places(found)
    _check_ids(found)
    frames = np.array([info.shape[0] for info in fovs], dtype=np.int64)
    outside = (found.t < 0) | (found.t >= frames[found.fov])
    first = int(np.argmax(outside)) if len(outside) else 0
    length = int(frames[found.fov[first]]) if len(outside) else 0
    from_one = bool(len(outside) and found.t.min() >= 1 and (found.t <= frames[found.fov]).all())
    remedy = (
        ". No row has t=0: are frames counted from 1? They count from 0: subtract 1 from all"
        if from_one
        else ""
    )
    movie = f"the movie of {length} frames, 0 .. {length - 1}"
    found.refuse(outside, T, f"t={_at(found.t, first)} lies outside {movie}{remedy}")
    _check_duplicates(found)
    return _check_parents(_without_parent(found), cut_missing=cut_missing_parents)


def _check_places(found: Detections) -> None:
    for name, values in ((Y, found.y), (X, found.x), (Z, found.z)):
        if values is not None:
            lost = ~(np.abs(values) <= _LARGEST_PLACE)  # NaN too
            found.refuse(lost, name, "the place is missing or not finite")


def _check_ids(found: Detections) -> None:
    for name, values, least in (
        (TRACK_ID, found.track_id, 0),
        (PARENT_TRACK_ID, found.parent_track_id, NO_PARENT),
    ):
        found.refuse((values < least) | (values > _LARGEST_ID), name, f"ids lie in {least} .. {_LARGEST_ID}")


def _check_duplicates(found: Detections) -> None:
    keys = pack([found.fov, found.track_id, found.t])
    if (keys[1:] > keys[:-1]).all():  # as trackers write them
        return
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        order = np.argsort(keys, kind="stable")
        later = np.zeros(len(keys), dtype=np.bool_)
        later[order[1:]] = keys[order[1:]] == keys[order[:-1]]
        row = int(np.argmax(later))
        names = f"track_id={found.track_id[row]}, t={found.t[row]}"
        found.refuse(later, f"{TRACK_ID}, {T}", f"{names} is there a second time")


def _without_parent(found: Detections) -> Detections:
    """Say that a track has no parent where it names itself, or 0 and no track of its fov is called that."""
    parent = found.parent_track_id
    named = parent >= 0
    if not named.any():
        return found
    none = named & (parent == found.track_id)
    zero = parent == 0
    if zero.any():
        with_zero = np.zeros(int(found.fov.max()) + 1, dtype=np.bool_)
        with_zero[found.fov[found.track_id == 0]] = True
        none |= zero & ~with_zero[found.fov]
    return replace(found, parent_track_id=np.where(none, NO_PARENT, parent)) if none.any() else found


def _check_parents(found: Detections, *, cut_missing: bool) -> Detections:
    if not (found.parent_track_id >= 0).any():
        return found
    forest = build_forest(found.fov, found.track_id, found.parent_track_id)
    child = forest.parent[forest.rows] >= 0
    parent = np.where(child, forest.parent[forest.rows], forest.rows)
    named = np.where(child, forest.track_id[parent], NO_PARENT)
    disagrees = (found.parent_track_id >= 0) & (found.parent_track_id != named)
    found.refuse(disagrees, PARENT_TRACK_ID, "the rows of one track name different parents")
    starts = np.full(len(forest.track_id), np.iinfo(np.int64).max)
    np.minimum.at(starts, forest.rows, found.t)
    if found.known is not None:
        starts[np.isin(forest.track_id, found.known) & (starts == np.iinfo(np.int64).max)] = -1
    unknown = starts[parent] == np.iinfo(np.int64).max
    if cut_missing and unknown.any():
        count = len(np.unique(forest.rows[unknown]))
        kept = np.where(unknown, NO_PARENT, found.parent_track_id)
        left_out = {**found.left_out, MISSING_PARENTS: count}
        return _check_parents(replace(found, parent_track_id=kept, left_out=left_out), cut_missing=False)
    _refuse_parents(found, forest, starts, parent, unknown)
    return replace(found, parent_track_id=named)


def _refuse_parents(
    found: Detections, forest: Forest, starts: IntArray, parent: IntArray, unknown: BoolArray
) -> None:
    row = int(np.argmax(unknown))
    found.refuse(
        unknown,
        PARENT_TRACK_ID,
        f"parent_track_id={found.parent_track_id[row]} is not a track of this fov; where parents were left "
        "out on "
        "purpose, set missing_parents to 'cut' in the experiments file",
    )
    cyclic = np.isin(forest.rows, cyclic_tracks(forest.parent))
    row = int(np.argmax(cyclic))
    found.refuse(
        cyclic,
        PARENT_TRACK_ID,
        f"a cycle: track_id={found.track_id[row]} descends from itself or from a cycle",
    )
    late = starts[parent] > starts[forest.rows]
    row = int(np.argmax(late))
    parent_id, own_id = forest.track_id[parent[row]], found.track_id[row]
    begins = f"starts at t={starts[parent[row]]}, after its child {own_id} at t={starts[forest.rows[row]]}"
    why = f"parent {parent_id} {begins}"
    found.refuse(late, PARENT_TRACK_ID, why)


def _at(values: IntArray, i: int) -> int:
    return int(values[i]) if len(values) else 0
