"""Columns of an anchors table, taken in a row group at a time, in little more memory than they end up with.

Reading a table whole takes its columns twice for a moment: as the file gives them, and as they are kept. So
memory for all rows is taken once, and row groups are written into it one after the other. Each row group has
dictionaries of its own, whose names are numbered after those of the row groups before, in words as narrow as
the numbers allow. Lineages have millions of names; where each row group has experiments of its own, their
numbers are their alphabetical order in the whole table, so that none has to be hashed to find equal ones.
"""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
from numpy.typing import NDArray

type Codes = NDArray[np.signedinteger[Any]]

# Names up to which comparing every code with each is faster than counting those that occur.
_FEW: Final = 4


class Categories:
    """A column of strings, of at most so many rows.

    Examples
    --------
    >>> column = Categories(5)
    >>> column.add(pa.array(["b", None, "a"]).dictionary_encode())
    >>> column.add(pa.array(["a", "c"]).dictionary_encode())
    >>> column.result().tolist(), column.result().cat.codes.tolist()
    (['b', nan, 'a', 'a', 'c'], [1, -1, 0, 0, 2])
    """

    def __init__(self, most: int) -> None:
        self._codes: Codes = np.empty(most, dtype=np.int8)  # pages that no row fills are never there
        self._rows = 0
        self._names: list[Any] = []
        self._count = 0
        self._last: str | None = ""  # of all names, as long as each row group's follow it

    def add(self, column: Any) -> None:
        """Take in the next rows, an array of dictionaries."""
        if not pa.types.is_dictionary(column.type):  # where all rows are null, Arrow may say so by the type
            column = column.cast(pa.string()).dictionary_encode()
        codes = column.indices.fill_null(-1) if column.null_count else column.indices
        codes = codes.to_numpy(zero_copy_only=False)
        used = _occurring(codes, len(column.dictionary), nulls=bool(column.null_count))
        names = column.dictionary.take(pa.array(used))
        if self._follow(names):
            order = pa_compute.array_sort_indices(names)
            used, names = used[order.to_numpy()], names.take(order)
        number = np.full(len(column.dictionary) + 1, -1)  # the last is that of null
        number[used] = np.arange(len(used)) + self._number(names)
        out = self._codes[self._rows : self._rows + len(codes)]
        np.take(number.astype(out.dtype), codes, out=out, mode="wrap")
        self._rows += len(codes)

    def result(self) -> "pd.Series[Any]":
        """Return all rows; categories are those that occur, sorted."""
        names = pa.chunked_array(self._names, pa.string()).combine_chunks()
        codes = self._codes[: self._rows]
        if not pa_compute.all(pa_compute.less(names[:-1], names[1:])).as_py():
            names, number = _united(names)
            codes = number.astype(np.min_scalar_type(-len(names) - 1))[codes]
        categories = pd.Index(names.to_pandas(), dtype="str")
        # pandas, asked this first, need not hash each name to know that no two are the same.
        _ = categories.is_monotonic_increasing
        kinds = pd.CategoricalDtype(categories)
        return pd.Series(pd.Categorical.from_codes(codes, dtype=kinds, validate=False), copy=False)

    def _follow(self, names: Any) -> bool:
        """Say whether names come after all before, and those did: else sorting them would gain nothing."""
        if self._last is not None and len(names):
            ends = pa_compute.min_max(names)
            self._last = ends["max"].as_py() if ends["min"].as_py() > self._last else None
        return self._last is not None

    def _number(self, names: Any) -> int:
        """Return the number of the first of a row group's names; the others follow."""
        if self._names and names.equals(self._names[-1]):  # as for row groups of one experiment
            return self._count - len(names)
        first = self._count
        self._names.append(names)
        self._count += len(names)
        narrow = np.min_scalar_type(-self._count - 1)
        if narrow != self._codes.dtype:
            wider = np.empty(len(self._codes), dtype=narrow)
            wider[: self._rows] = self._codes[: self._rows]
            self._codes = wider
        return first


def _occurring(codes: Codes, count: int, *, nulls: bool) -> NDArray[np.intp]:
    """Return which of ``count`` codes occur; -1, which is there where ``nulls``, does not count."""
    if count <= _FEW:  # experiments and conditions, of which a row group has one or two
        return np.flatnonzero([(codes == code).any() for code in range(count)])
    if nulls:
        codes = codes[codes >= 0]
    return np.flatnonzero(np.bincount(codes, minlength=count))


def _united(names: Any) -> tuple[Any, Codes]:
    """Return names sorted and without repetitions, and the place among them of each, then of null, -1."""
    found = names.dictionary_encode()
    order = pa_compute.array_sort_indices(found.dictionary)
    place = np.argsort(order.to_numpy())
    return found.dictionary.take(order), np.append(place[found.indices.to_numpy()], -1)


class Numbers:
    """A column of numbers; null is NaN."""

    def __init__(self, most: int) -> None:
        self._most, self._rows = most, 0
        self._values: NDArray[Any] | None = None

    def add(self, column: Any) -> None:
        """Take in the next rows."""
        values = column.to_numpy(zero_copy_only=False)
        if self._values is None:
            self._values = np.empty(self._most, dtype=values.dtype)
        elif values.dtype.kind == "f" and self._values.dtype.kind != "f":  # whole numbers, the first null
            self._values = self._values.astype(values.dtype)
        elif values.dtype.kind != "f" and self._values.dtype.kind == "f":
            values = values.astype(self._values.dtype)
        self._values[self._rows : self._rows + len(values)] = values
        self._rows += len(values)

    def result(self) -> "pd.Series[Any]":
        """Return all rows."""
        return pd.Series(np.empty(0) if self._values is None else self._values[: self._rows], copy=False)
