"""What an anchors table holds, place by place: few numbers that say what was lost, and where.

A *place* is one field of view of one well under one condition of one experiment. Whether a movie, a
condition or a whole experiment has any anchor left is a question to the sums over its places, and these
are small where the table is large: they are taken in one pass over blocks of rows, from codes, without a
string for a row.

Cost: a few nanoseconds a row where tracks come as codes, else the sort of a block, and 8 bytes for each
track of the table.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import (
    CHANNEL,
    CONDITION,
    EXPERIMENT,
    FOV,
    GLOBAL_TRACK_ID,
    OUTSIDE,
    TRACK_ID,
    WELL,
    X_CROP,
    Y_CROP,
    T,
    Z,
)
from viscy_data.packing import pack
from viscy_data.tables.lineage import BoolArray, IntArray

_KEYS: Final = (EXPERIMENT, CONDITION, WELL, FOV)


@dataclass(frozen=True)
class Place:
    """One field of view under one condition, and what it holds.

    Attributes
    ----------
    experiment, condition, well, fov
        Names; condition None: not known.
    rows, valid_rows
        Rows of the table, and those that have a positive.
    tracks, valid_tracks
        Tracks, and those with a row that has a positive; None: not counted.
    z
        Least and largest slice; None: not looked at.
    outside
        Rows whose patch lies partly outside the image; None: the table does not say.
    shared
        Rows whose patch, in one channel where a row is one, is that of another cell, too; None: not counted.
    """

    experiment: str
    condition: str | None
    well: str
    fov: str
    rows: int
    valid_rows: int
    tracks: int | None = None
    valid_tracks: int | None = None
    z: tuple[int, int] | None = None
    outside: int | None = None
    shared: int | None = None


class PlaceTally:
    """Counts of places, over blocks of rows of an anchors table in any order.

    Examples
    --------
    >>> names = ("experiment", "condition", "well", "fov")
    >>> named = {name: pd.Categorical(["a", "a", "a"]) for name in names}
    >>> tally = PlaceTally()
    >>> rows = pd.DataFrame({**named, "track_id": [1, 1, 2], "t": [0, 1, 0], "z": 0})
    >>> tally.add(rows, np.array([True, False, False]))
    >>> place, = tally.places()
    >>> place.rows, place.valid_rows, place.tracks, place.valid_tracks
    (3, 1, 2, 1)
    """

    def __init__(self) -> None:
        self._number: dict[tuple[str | None, ...], int] = {}
        self._sums: list[dict[str, IntArray]] = []
        self._tracks = np.empty(0, dtype=np.int64)
        self._new: list[IntArray] = []

    def add(self, frame: pd.DataFrame, valid: BoolArray) -> None:
        """Count a block of rows, ``valid`` (N,) of which have a positive; all blocks have the same columns.

        Tracks are counted where there is ``track_id``, slices where there is ``z``, and so on.
        A block with ``global_track_id`` holds all rows of its tracks, which are then not sorted. Patches that
        cells share are counted within a block, where it has ``y_crop`` and ``x_crop``.
        """
        if not len(frame):
            return
        start, place = self._runs(frame)
        rows = np.diff(start, append=len(frame))
        sums = {
            "place": place,
            "rows": rows,
            "valid_rows": np.add.reduceat(valid, start, dtype=np.int64),
        }
        if Z in frame:
            z = frame[Z].to_numpy()
            sums["z_least"] = np.minimum.reduceat(z, start).astype(np.int64)
            sums["z_most"] = np.maximum.reduceat(z, start).astype(np.int64)
        if OUTSIDE in frame:
            sums["outside"] = np.add.reduceat(frame[OUTSIDE].to_numpy() > 0, start, dtype=np.int64)
        if X_CROP in frame and Y_CROP in frame:
            sums["shared"] = np.add.reduceat(_shared(frame, np.repeat(place, rows)), start, dtype=np.int64)
        self._sums.append(sums)
        if TRACK_ID in frame:
            self._add_tracks(frame, np.repeat(place, rows), valid)

    def places(self) -> tuple[Place, ...]:
        """Return what was counted, sorted by experiment, well, fov and condition."""
        if not self._sums:
            return ()
        table = pd.concat([pd.DataFrame(one) for one in self._sums], ignore_index=True)
        how = {name: "sum" for name in table.columns if name != "place"}
        how |= {name: kind for name, kind in (("z_least", "min"), ("z_most", "max")) if name in table}
        summed = table.groupby("place").agg(how)
        tracked = bool(self._new) or bool(len(self._tracks))
        tracks, valid_tracks = self._count_tracks() if tracked else (None, None)
        found = [
            Place(
                str(experiment),
                None if condition is None else str(condition),
                str(well),
                str(fov),
                rows=int(row["rows"]),
                valid_rows=int(row["valid_rows"]),
                tracks=None if tracks is None else int(tracks[number]),
                valid_tracks=None if valid_tracks is None else int(valid_tracks[number]),
                z=(int(row["z_least"]), int(row["z_most"])) if "z_least" in row else None,
                outside=int(row["outside"]) if "outside" in row else None,
                shared=int(row["shared"]) if "shared" in row else None,
            )
            for (experiment, condition, well, fov), number, row in zip(
                self._number, summed.index.tolist(), summed.to_dict("records"), strict=True
            )
        ]
        return tuple(sorted(found, key=lambda one: (one.experiment, one.well, one.fov, one.condition or "")))

    def _runs(self, frame: pd.DataFrame) -> tuple[IntArray, IntArray]:
        """Return where runs of rows of one place begin (R,), and the number of each run's place."""
        columns = [frame[name].cat for name in _KEYS]
        codes = [column.codes.to_numpy() for column in columns]
        opens = np.zeros(len(frame), dtype=np.bool_)
        opens[0] = True
        for one in codes:
            opens[1:] |= one[1:] != one[:-1]
        start = np.flatnonzero(opens)
        of_run = np.stack([one[start].astype(np.int64) for one in codes], axis=1)
        different, back = np.unique(of_run, axis=0, return_inverse=True)
        names = [[*column.categories, None] for column in columns]  # -1 is null
        keys = [
            tuple(name[code] for name, code in zip(names, row, strict=True)) for row in different.tolist()
        ]
        numbers = [self._number.setdefault(key, len(self._number)) for key in keys]
        return start, np.array(numbers, dtype=np.int64)[back.ravel()]

    def _add_tracks(self, frame: pd.DataFrame, place: IntArray, valid: BoolArray) -> None:
        if GLOBAL_TRACK_ID in frame:
            track = frame[GLOBAL_TRACK_ID].cat.codes.to_numpy()
            of_track = np.full(int(track.max()) + 1, -1, dtype=np.int64)
            of_track[track] = place
            has_valid = np.zeros(len(of_track), dtype=np.int64)
            has_valid[track[valid]] = 1
            number = np.flatnonzero(of_track >= 0)
            self._new.append((of_track[number] << 33) | (number << 1) | has_valid[number])
            return
        self._new.append(_distinct(place, frame[TRACK_ID].to_numpy(), valid))
        if sum(map(len, self._new)) > len(self._tracks) + (1 << 22):
            self._unite()

    def _unite(self) -> None:
        """Keep each track once: with a valid row, where it has one."""
        keys = np.unique(np.concatenate([self._tracks, *self._new]))
        last = np.append(keys[1:] >> 1 != keys[:-1] >> 1, True) if len(keys) else np.zeros(0, dtype=np.bool_)
        self._tracks, self._new = keys[last], []

    def _count_tracks(self) -> tuple[IntArray, IntArray]:
        self._unite()
        place, count = self._tracks >> 33, len(self._number)
        return np.bincount(place, minlength=count), np.bincount(place[self._tracks & 1 > 0], minlength=count)


def places_of(frame: pd.DataFrame, valid: BoolArray) -> tuple[Place, ...]:
    """Return the places of a table that is in memory."""
    tally = PlaceTally()
    tally.add(frame, valid)
    return tally.places()


def _distinct(place: IntArray, track: NDArray[Any], valid: BoolArray) -> IntArray:
    """Return each pair of place and track once, in a word, with whether a row of it is valid."""
    low, width = int(place.min()), int(track.max()) + 1
    count = int(place.max()) + 1 - low
    if count * width > 8 * len(track) + 65536:
        return np.unique((place << 33) | (track.astype(np.int64) << 1) | valid)
    # Small enough for a table of all pairs: several times faster than to sort or to hash them.
    key = (place - low) * width + track
    held = np.zeros((2, count * width), dtype=np.bool_)
    held[0, key] = True
    held[1, key[valid]] = True
    pair = np.flatnonzero(held[0])
    found: IntArray = ((pair // width + low) << 33) | (pair % width << 1) | held[1, pair]
    return found


def _shared(frame: pd.DataFrame, place: IntArray) -> NDArray[np.bool_]:
    """Say of each row (N,) whether another row of its frame has the same patch."""
    columns: list[NDArray[Any]] = [frame[name].to_numpy().astype(np.int64) for name in (T, Y_CROP, X_CROP)]
    if CHANNEL in frame:
        columns.append(frame[CHANNEL].cat.codes.to_numpy().astype(np.int64))
    _, key = np.unique(pack([place, *(one - one.min() for one in columns)]), return_inverse=True)
    shared: NDArray[np.bool_] = (np.bincount(key) > 1)[key]
    return shared
