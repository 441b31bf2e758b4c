"""Columns of an anchors table, taken in a row group at a time, in little more memory than they end up with.

A row group has dictionaries of its own. Its codes are kept as narrow as that dictionary allows, and are
renumbered once all row groups are there and it is known which values occur.
"""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

type Codes = NDArray[np.signedinteger[Any]]

# Names up to which comparing every code with each is faster than marking those that occur.
_FEW: Final = 4


class Categories:
    """A column of strings.

    Examples
    --------
    >>> column = Categories()
    >>> column.add(pa.array(["b", None, "a"]).dictionary_encode())
    >>> column.add(pa.array(["a", "c"]).dictionary_encode())
    >>> column.result().tolist(), column.result().cat.codes.tolist()
    (['b', nan, 'a', 'a', 'c'], [0, -1, 1, 1, 2])
    """

    def __init__(self) -> None:
        self._codes: list[Codes] = []
        self._names: list[Any] = []

    def add(self, column: Any) -> None:
        """Take in the next rows, an array of dictionaries."""
        if not pa.types.is_dictionary(column.type):  # where all rows are null, Arrow may say so by the type
            column = column.cast(pa.string()).dictionary_encode()
        codes = column.indices.fill_null(-1) if column.null_count else column.indices
        codes = codes.to_numpy(zero_copy_only=False)
        occurs = _occurring(codes, len(column.dictionary))
        narrow = np.min_scalar_type(-len(occurs) - 1)
        if occurs.all():
            self._codes.append(codes.astype(narrow))
            self._names.append(column.dictionary)
            return
        new = np.append(np.where(occurs, np.cumsum(occurs) - 1, -1), -1).astype(narrow)
        self._codes.append(new[codes])
        self._names.append(column.dictionary.filter(pa.array(occurs)))

    def result(self) -> "pd.Series[Any]":
        """Return all rows; categories are those that occur, in the order in which they do."""
        joined = pa.chunked_array(self._names, pa.string()).combine_chunks().dictionary_encode()
        number = joined.indices.to_numpy()
        kind = np.min_scalar_type(-len(joined.dictionary) - 1)
        codes, rows, names = np.empty(sum(map(len, self._codes)), dtype=kind), 0, 0
        for own, values in zip(self._codes, self._names, strict=True):
            _renumber(own, number[names : names + len(values)], codes[rows : rows + len(own)])
            rows, names = rows + len(own), names + len(values)
        kinds = pd.CategoricalDtype(pd.Index(joined.dictionary.to_pandas(), dtype="str"))
        return pd.Series(pd.Categorical.from_codes(codes, dtype=kinds, validate=False), copy=False)


def _occurring(codes: Codes, count: int) -> NDArray[np.bool_]:
    """Say of each of ``count`` codes whether it occurs; -1 is none of them."""
    if count <= _FEW:  # experiments and conditions, of which a row group has one or two
        return np.array([(codes == code).any() for code in range(count)], dtype=np.bool_)
    occurs = np.zeros(count + 1, dtype=np.bool_)
    occurs[codes] = True
    return occurs[:-1]


def _renumber(codes: Codes, number: Codes, out: Codes) -> None:
    """Write into ``out`` the new number of each code; -1 stays."""
    # Names that are new, or come as they came before, need no lookup for each row.
    if (np.diff(number) == 1).all():
        np.add(codes, out.dtype.type(number[0] if len(number) else 0), out=out)
        out[codes < 0] = -1
    else:
        out[:] = np.append(number, -1).astype(out.dtype)[codes]


class Numbers:
    """A column of numbers; null is NaN."""

    def __init__(self, most: int) -> None:
        self._most, self._rows = most, 0
        self._values: NDArray[Any] | None = None

    def add(self, column: Any) -> None:
        """Take in the next rows."""
        values = column.to_numpy(zero_copy_only=False)
        if self._values is None:
            # Pages that no row fills are never there.
            self._values = np.empty(self._most, dtype=values.dtype)
        self._values[self._rows : self._rows + len(values)] = values
        self._rows += len(values)

    def result(self) -> "pd.Series[Any]":
        """Return all rows."""
        return pd.Series(np.empty(0) if self._values is None else self._values[: self._rows], copy=False)
