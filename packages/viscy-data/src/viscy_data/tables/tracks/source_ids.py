"""What tracking programs call cells and tracks, kept so that what was annotated there finds its cells here.

Problem: somebody classifies spots in TrackMate, or nodes of a graph, and those ids are all that the labels
know. Idea: every detection keeps them, as columns beside ours (``SOURCE_COLUMNS``), and tracks keep their
numbers as far as a number can mean the same. A track here is one cell between two divisions. A file's track
may go on through divisions, as TrackMate's do, or may break where ours does not. So a track of ours takes the
file's number where all its detections have it; of several with one number the earliest keeps it, which is the
mother, and the others get numbers that the file does not use. ``source_track_id`` is then the file's own, for
all of them.

Cost: 8 bytes for each detection of a file that has ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from viscy_data.columns import (
    NO_PARENT,
    SOURCE_COLUMNS,
    SOURCE_ID,
    SOURCE_NAME,
    SOURCE_TRACK_ID,
    SOURCE_TRACK_NAME,
)
from viscy_data.tables.lineage import BoolArray, IntArray
from viscy_data.tables.own_columns.column import is_exact

NOT_NUMBERED: Final = -1
"""In an array of ids: the file has none."""

_LARGEST_TRACK: Final = np.iinfo(np.int32).max
_TYPES: Final = {
    column.name: pa.dictionary(pa.int32(), pa.string()) if column.dtype == "dictionary" else pa.int64()
    for column in SOURCE_COLUMNS
}


def with_file_numbers(
    track: IntArray, parent: IntArray, theirs: IntArray, *, largest: int | None = None
) -> tuple[IntArray, IntArray]:
    """Give tracks the numbers that their file has for them, where one number can mean one track.

    Parameters
    ----------
    track, parent
        (n,) our number, from 1 in the order of first frames, and that of the parent, of each detection.
    theirs
        (n,) the file's number; below 0: none.
    largest
        Largest number that the file uses, if not among ``theirs``: new ones come after it.

    Returns
    -------
    track, parent
        (n,) as given, with other numbers; all are as they were where the file's leave no room for new ones.

    Examples
    --------
    A mother, which keeps 7, and two daughters that the file calls 7, too:

    >>> with_file_numbers(np.array([1, 1, 2, 3]), np.array([-1, -1, 1, 1]), np.array([7, 7, 7, 7]))
    (array([7, 7, 8, 9]), array([-1, -1,  7,  7]))
    """
    if not len(track):
        return track, parent
    count = int(track.max())
    least = np.full(count, np.iinfo(np.int64).max)
    most = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(least, track - 1, theirs)
    np.maximum.at(most, track - 1, theirs)
    alike = np.flatnonzero((least == most) & (least >= 0) & (least <= _LARGEST_TRACK))
    kept = alike[np.unique(least[alike], return_index=True)[1]]  # the first of several
    number = np.full(count, NOT_NUMBERED)
    number[kept] = least[kept]
    others = np.flatnonzero(number < 0)
    after = max(int(theirs.max()), NOT_NUMBERED if largest is None else largest) + 1
    if after + len(others) > _LARGEST_TRACK:
        return track, parent
    number[others] = after + np.arange(len(others))
    mother = number[np.maximum(parent, 1) - 1]
    return number[track - 1], np.where(parent < 0, NO_PARENT, mother)


def source_table(
    ids: IntArray | None = None,
    *,
    names: Mapping[int, str] | None = None,
    track_id: IntArray | None = None,
    track_ids: IntArray | None = None,
    track_names: Mapping[int, str] | None = None,
) -> Any:
    """Return what a file calls its n detections as an Arrow table; columns that say nothing are left out.

    Parameters
    ----------
    ids
        (n,) ids of cells.
    names
        Of those that were given one, by id.
    track_id, track_ids
        (n,) the track here, and in the file.
    track_names
        Of those that were given one, by id in the file.
    """
    found: dict[str, Any] = {}
    if ids is not None:
        found |= id_column(_numbers(ids))
    if SOURCE_ID in found and ids is not None and names:
        found[SOURCE_NAME] = _names(ids, names)
    if track_ids is not None and not np.array_equal(track_ids, track_id if track_id is not None else ()):
        found[SOURCE_TRACK_ID] = _numbers(track_ids)
    if track_ids is not None and track_names:
        found[SOURCE_TRACK_NAME] = _names(track_ids, track_names)
    return pa.table({name: column for name, column in found.items() if column.null_count < len(column)})


def id_column(ids: Any) -> dict[str, Any]:
    """Return ids of cells (n,) as a column: of numbers, or of text where a float would round one of them.

    A reader that has to fill in nulls makes floats of whole numbers, and two ids would become one.
    """
    if is_exact(ids):
        return {SOURCE_ID: ids}
    return {SOURCE_NAME: one_array(ids.cast(pa.string()).dictionary_encode())}


def joined_sources(tables: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Put the tables of several files one below the other; None, of so many rows, is all null."""
    there = {name for table in tables if table is not None for name in table.column_names}
    columns = {
        name: pa.chunked_array(
            [
                chunk
                for table, length in zip(tables, lengths, strict=True)
                for chunk in _chunks(table, name, length)
            ],
            kind,
        )
        for name, kind in _TYPES.items()
        if name in there
    }
    return pa.table({name: one_array(column) for name, column in columns.items()}) if columns else None


def one_array(column: Any) -> Any:
    """Return a column in one piece, of one dictionary."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return column.combine_chunks()


def _chunks(table: Any, name: str, length: int) -> Sequence[Any]:
    if table is None or name not in table.column_names:
        return [pa.nulls(length, _TYPES[name])]
    return list(table[name].chunks)


def _numbers(ids: IntArray) -> Any:
    missing: BoolArray = ids == NOT_NUMBERED
    return pa.array(ids, pa.int64(), mask=missing if missing.any() else None)


def _names(ids: IntArray, names: Mapping[int, str]) -> Any:
    known = np.array(sorted(names), dtype=np.int64)
    texts = pa.array([names[int(one)] for one in known], pa.string()).dictionary_encode()
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    chosen = pa.array(place, mask=known[place] != ids)
    return texts.take(chosen).cast(_TYPES[SOURCE_NAME])
