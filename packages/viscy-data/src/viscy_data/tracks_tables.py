"""Tracking tables: CSV and Parquet files with ``track_id, t, y, x`` and what else they hold.

Optional columns are ``z``, ``parent_track_id`` (-1 or empty: none) and, in a table over several
fields of view, ``fov``. Other columns are left unread.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from viscy_data.columns import FOV, NO_PARENT, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.detections import Detections, FloatArray
from viscy_data.errors import TracksError, suggest
from viscy_data.lineage import IntArray

REQUIRED = (TRACK_ID, T, Y, X)
OPTIONAL = (Z, PARENT_TRACK_ID, FOV)
CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")

_FOV_TYPE = pa.dictionary(pa.int32(), pa.string())


def is_table(path: Path) -> bool:
    """Say whether a path's name is that of a tracking table."""
    return path.name.lower().endswith(CSV_SUFFIXES + PARQUET_SUFFIXES)


def read_table(path: Path, *, fov: int | None, names: Mapping[str, int]) -> Detections:
    """Read one tracking table.

    Parameters
    ----------
    path
        A CSV (may be gzipped) or Parquet file.
    fov
        The field of view that the file belongs to; None: its ``fov`` column says, which it may lack
        where there is but one.
    names
        Index of each field of view, by name.

    Raises
    ------
    TracksError
        Where the file cannot be read, a column is missing, or a value is no number.
    """
    table = _load(path)
    required = REQUIRED if fov is not None or len(names) == 1 else (*REQUIRED, FOV)
    missing = [name for name in required if name not in table.column_names]
    if missing:
        hints = "".join(suggest(name, table.column_names) for name in missing)
        held = ", ".join(table.column_names)
        raise TracksError(f"{path}: missing columns: {', '.join(missing)}; the file has {held}.{hints}")
    text = path.name.lower().endswith(CSV_SUFFIXES)
    start, unit = (2, "line") if text else (0, "row")  # a text file's first line is its header
    reader = _Reader(path, table, start, unit)
    count = table.num_rows
    if fov is None and FOV not in table.column_names and len(names) == 1:
        fov = 0
    own = reader.fovs(names) if fov is None else np.full(count, fov, dtype=np.int64)
    return Detections(
        file=path,
        rows=np.arange(start, start + count),
        unit=unit,
        fov=own,
        track_id=reader.whole(TRACK_ID),
        parent_track_id=reader.whole(PARENT_TRACK_ID, empty=NO_PARENT)
        if PARENT_TRACK_ID in table.column_names
        else np.full(count, NO_PARENT, dtype=np.int64),
        t=reader.whole(T),
        y=reader.real(Y),
        x=reader.real(X),
        z=reader.real(Z) if reader.holds(Z) else None,
    )


class _Reader:
    """The columns of one table as NumPy arrays, each checked to hold numbers."""

    def __init__(self, path: Path, table: Any, start: int, unit: str) -> None:
        self._path, self._table, self._start, self._unit = path, table, start, unit

    def holds(self, name: str) -> bool:
        """Say whether the column is there and not wholly empty."""
        if name not in self._table.column_names:
            return False
        column = self._table[name]
        return bool(column.null_count < len(column) or len(column) == 0)

    def real(self, name: str) -> FloatArray:
        """Return a column as float64; empty is NaN."""
        column = self._table[name]
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            return np.asarray(column.to_numpy(), dtype=np.float64)
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan)
        texts = column.to_pandas()
        values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero(np.isnan(values) & texts.notna().to_numpy())
        if len(wrong) or pa.types.is_boolean(column.type):
            row = int(wrong[0]) if len(wrong) else 0
            self._refuse(row, name, f"{texts.iloc[row]!r} is not a number")
        return np.asarray(values, dtype=np.float64)

    def whole(self, name: str, *, empty: int | None = None) -> IntArray:
        """Return a column as int64; an empty value becomes ``empty`` or is refused."""
        column = self._table[name]
        if pa.types.is_integer(column.type) and not column.null_count:
            return np.asarray(column.to_numpy(), dtype=np.int64)
        values = self.real(name)
        if empty is not None:
            values = np.where(np.isnan(values), empty, values)
        wrong = np.flatnonzero(~(np.abs(values) < 2**63) | (values != np.floor(values)))
        if len(wrong):
            row = int(wrong[0])
            self._refuse(row, name, f"{values[row]} is not a whole number")
        return values.astype(np.int64)

    def fovs(self, names: Mapping[str, int]) -> IntArray:
        """Return the index of each row's field of view."""
        column = self._table[FOV]
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        codes = pd.Series(column.indices.to_numpy(zero_copy_only=False)).fillna(-1).to_numpy(dtype=np.int64)
        try:
            found = column.dictionary.to_pylist()
        except UnicodeDecodeError as error:
            raise TracksError(f"{self._path}: column {FOV!r} is no text: {error}") from error
        index = np.array([names.get(name, -1) for name in found] + [-1], dtype=np.int64)[codes]
        wrong = np.flatnonzero(index < 0)
        if len(wrong):
            row = int(wrong[0])
            name = str(found[codes[row]]) if codes[row] >= 0 else ""
            self._refuse(row, FOV, f"fov={name!r} is not in the store.{suggest(name, names)}")
        return np.asarray(index, dtype=np.int64)

    def _refuse(self, row: int, name: str, why: str) -> None:
        raise TracksError(f"{self._path}: {self._unit} {self._start + row}, column {name!r}: {why}")


def _load(path: Path) -> Any:
    """Return the table's known columns as Arrow holds them."""
    wanted = (*REQUIRED, *OPTIONAL)
    try:
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            held = pa_parquet.read_schema(path).names
            columns = [name for name in wanted if name in held]
            return pa_parquet.read_table(path, columns=columns, read_dictionary=[FOV])
        held = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        options = pa_csv.ConvertOptions(
            include_columns=[name for name in held if name in wanted],
            column_types={FOV: _FOV_TYPE},
            strings_can_be_null=True,
        )
        if not options.include_columns:
            raise TracksError(
                f"{path}: missing columns: {', '.join(REQUIRED)}; the file has {', '.join(held)}"
            )
        return pa_csv.read_csv(path, convert_options=options)
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        if isinstance(error, TracksError):
            raise
        raise TracksError(f"{path}: the tracking table cannot be read: {error}") from error
