"""Which row of a table has the key of each of our rows, found without a hash table.

A join of ten million rows should cost little beside the rest of an index. So the columns of a key become one
word (:func:`packed`), and where there are not many more possible words than rows, a list with a place for
each of them says which row has it. Otherwise the table's words are sorted and searched.

Cost: up to 64 bytes for each row of both sides.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.packing import pack
from viscy_data.tables.own_columns.table import UserTable
from viscy_data.text import shown

type IntArray = NDArray[np.int64]
type Codes = NDArray[np.integer[Any]]
"""Whole numbers as narrow as they came."""

# Places in the list of all possible words, for each row of both sides, up to which it is made: 4 bytes each.
_ROOM: Final = 16


def packed(ours: Mapping[str, Codes], theirs: Mapping[str, Codes]) -> tuple[IntArray, IntArray]:
    """Return both sides' keys as words that are equal where all columns are; below 0: of nothing."""
    sides = [[side[name] for name in ours] for side in (ours, theirs)]
    extents = [max(int(column.max(initial=0)) for column in pair) + 1 for pair in zip(*sides, strict=True)]
    if math.prod(extents) < 2**63:
        return _words(sides[0], extents), _words(sides[1], extents)
    columns = [np.concatenate(pair) for pair in zip(*sides, strict=True)]
    known = np.flatnonzero(np.all([column >= 0 for column in columns], axis=0))
    keys = np.full(len(columns[0]), -1, dtype=np.int64)
    keys[known] = pack([column[known] for column in columns])
    count = len(sides[0][0])
    return keys[:count], keys[count:]


def _words(columns: Sequence[Codes], extents: Sequence[int]) -> IntArray:
    """Return columns (N,) as words (N,), major first, each column below its extent; below 0: -1."""
    keys = columns[0].astype(np.int64)
    for column, extent in zip(columns[1:], extents[1:], strict=True):
        keys *= extent
        keys += column
    for column in columns:
        if column.min(initial=0) < 0:
            keys[column < 0] = -1
    return keys


def rows_of(
    table: UserTable, ours: IntArray, theirs: IntArray, what: str, *, several: bool = False
) -> tuple[Codes, int]:
    """Return the row of the table that each of our keys has, else -1, and how many rows have one of them.

    Keys below 0 are of nothing; ``several`` of ours may be equal.
    """
    largest = max(int(ours.max(initial=-1)), int(theirs.max(initial=-1)))
    if largest < _ROOM * (len(ours) + len(theirs)):
        found = _looked_up(ours, theirs, largest)
        if found is not None:
            hit = found >= 0
            return found, len(np.unique(found[hit])) if several else int(np.count_nonzero(hit))
    order = np.argsort(theirs, kind="stable")
    order = order[np.searchsorted(theirs[order], 0) :]
    ordered = theirs[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(again):
        _refuse_conflicts(table, np.unique(np.concatenate([order[again], order[again + 1]])), theirs, what)
    if not len(order):
        return np.full(len(ours), -1, dtype=np.int64), 0
    place = np.searchsorted(ordered, ours)
    place[place == len(ordered)] = 0
    hit = ordered[place] == ours
    # rows that say the same of one cell all count as matched
    known = np.isin(ordered, ours[hit]) if len(again) or several else None
    matched = int(hit.sum()) if known is None else int(known.sum())
    return np.where(hit, order[place], -1), matched


def _looked_up(ours: IntArray, theirs: IntArray, largest: int) -> Codes | None:
    """Return the row that each of our keys has, else -1; None where two rows have one key.

    A place for each key up to the largest costs a quarter of what sorting does.
    """
    place = np.zeros(largest + 2, dtype=np.int32)  # the last is that of keys below 0
    rows = np.arange(1, len(theirs) + 1, dtype=np.int32)  # 0: none
    place[theirs] = rows
    place[-1] = 0
    if np.count_nonzero(place) < np.count_nonzero(theirs >= 0):
        return None
    found = place[ours]
    found -= 1
    return found


def _refuse_conflicts(table: UserTable, rows: IntArray, keys: IntArray, what: str) -> None:
    """Refuse rows of one key that say different things of it."""
    for name, column in table.own.items():
        values = pd.Series(column.take(pa.array(rows)).to_pandas()).astype(object)
        frame = pd.DataFrame({"key": keys[rows], "value": values.where(values.notna(), None)})
        distinct = frame.drop_duplicates()
        twice = distinct[distinct["key"].duplicated()]
        if len(twice):
            key = twice["key"].iloc[0]
            first, second = distinct.index[distinct["key"] == key][:2]
            one, other = (table.rows[rows[i]] for i in (first, second))
            raise InvalidInputError(
                f"{table.path}: {table.unit}s {one} and {other}, column {name!r}: "
                f"{_said(frame['value'][first])} and {_said(frame['value'][second])} for one {what}; "
                "keep one"
            )


def _said(value: object) -> str:
    return "no value" if value is None else repr(shown(value))
