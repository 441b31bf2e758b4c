"""One table of a user, CSV or Parquet: its keys and the columns that are taken, and where each row is.

Text tables are read as tracking tables are (:mod:`viscy_data.tables.tracks.csv_text`): within the same
bounds, with the same separators.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, WELL, X, Y
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.tables.own_columns.column import one_chunk, tidied, trimmed
from viscy_data.tables.own_columns.fields import KEYS, ColumnsFile, Level
from viscy_data.tables.tracks.csv_text import read_csv, read_dialect
from viscy_data.text import shown

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

_DECIMAL_COMMA = r"^\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*$"
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # row numbers, which pandas writes beside columns


@dataclass(frozen=True)
class UserTable:
    """A user's table.

    Attributes
    ----------
    path
        Where it comes from.
    keys
        Columns by which it is joined, those that it has.
    own
        Columns that are taken.
    rows
        (n,) number of each row in the file.
    unit
        What those numbers count: ``line`` or ``row``.
    fill
        By column, what cells have of which the table says nothing.
    """

    path: Path
    keys: dict[str, Any]
    own: dict[str, Any]
    rows: NDArray[np.int64]
    unit: str
    fill: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def take(self, kept: NDArray[np.int64]) -> "UserTable":
        """Return some of its rows."""
        chosen = pa.array(kept)
        keys, own = ({name: one.take(chosen) for name, one in of.items()} for of in (self.keys, self.own))
        return replace(self, keys=keys, own=own, rows=self.rows[kept])

    def refuse(self, row: int, column: str, why: str) -> InvalidInputError:
        """Return an error that names file, row and column."""
        return InvalidInputError(f"{self.path}: {self.unit} {self.rows[row]}, column {column!r}: {why}")


def header_of(file: ColumnsFile, level: Level) -> list[str]:
    """Return the columns that would be taken of a table.

    Raises
    ------
    InvalidInputError
        Where it cannot be read, or lacks a column that is asked for.
    """
    held = [name for name in _names(file.path)[0] if name]  # row numbers, or what follows a last comma
    twice = [name for name in dict.fromkeys(held) if held.count(name) > 1]
    if twice:
        raise InvalidInputError(f"{file.path}: column {twice[0]!r} is there twice; keep one")
    if file.columns is None:
        return [name for name in held if name not in KEYS[level] and not _PANDAS_INDEX.fullmatch(name)]
    for name in file.columns:
        if name not in held:
            raise InvalidInputError(
                f"{file.path}: no column {name!r}; it has {', '.join(map(shown, held[:40]))}."
                f"{suggest(name, held)}"
            )
    return list(file.columns)


def read_user_table(file: ColumnsFile, level: Level, experiment: str) -> UserTable:
    """Read a table; where it has a column ``experiment``, the rows of this one.

    Raises
    ------
    InvalidInputError
        Naming file, row and column.
    """
    found = read_whole_table(file, level)
    return of_experiment(found, experiment) if EXPERIMENT in found.keys else found


def read_whole_table(file: ColumnsFile, level: Level) -> UserTable:
    """Read a table, with the rows of all experiments.

    Raises
    ------
    InvalidInputError
        Naming file, row and column.
    """
    own = header_of(file, level)
    for name in file.fill:
        if name not in own:
            raise InvalidInputError(
                f"{file.path}: fill={name!r} is not a column that is taken, which are {', '.join(own)}."
                f"{suggest(name, own)}"
            )
    held, _ = _names(file.path)
    keys = [name for name in KEYS[level] if name in held and name not in own]
    try:
        table, start, unit = _load(file.path, [*keys, *own])
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{file.path}: the table cannot be read: {shown(error, 300)}") from error
    found = UserTable(
        file.path,
        {name: _key(one_chunk(table[name]), f"{file.path}: column {name!r}") for name in keys},
        {name: trimmed(tidied(table[name], f"{file.path}: column {name!r}")) for name in own},
        np.arange(start, start + table.num_rows),
        unit,
        file.fill,
    )
    if EXPERIMENT in found.keys and found.keys[EXPERIMENT].null_count:
        row = int(np.flatnonzero(found.keys[EXPERIMENT].is_null().to_numpy(zero_copy_only=False))[0])
        raise found.refuse(
            row, EXPERIMENT, "empty, or a word such as NA that tables write for it; name the experiment"
        )
    return found


def _key(column: Any, where: str) -> Any:
    types = pa.types
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        raise InvalidInputError(f"{where} holds {kind}: text or whole numbers are needed; convert it")
    return column


def of_experiment(table: UserTable, experiment: str) -> UserTable:
    """Return the rows of one experiment; a table that has none of it is refused."""
    names = table.keys[EXPERIMENT].cast(pa.string())
    same = pa_compute.fill_null(pa_compute.equal(names, experiment), False)
    kept = np.flatnonzero(same.to_numpy(zero_copy_only=False))
    if not len(kept):
        there = sorted({str(name) for name in pa_compute.unique(names).to_pylist()})
        raise InvalidInputError(
            f"{table.path}: column {EXPERIMENT!r}: no row is of experiment {experiment!r}; there are "
            f"{', '.join(map(shown, there[:12]))}.{suggest(experiment, there)} Leave the table out of this "
            "experiment, or the column out of the table"
        )
    return table.take(kept)


def _names(path: Path) -> tuple[list[str], Any]:
    """Return the names of a table's columns and, of a text table, how it is written."""
    try:
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            return [str(name) for name in pa_parquet.read_schema(path).names], None
        if path.name.lower().endswith(CSV_SUFFIXES):
            dialect = read_dialect(path, {Y: Y, X: X})
            return list(dialect.names), dialect
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{path}: the table cannot be read: {shown(error, 300)}") from error
    known = ", ".join((*CSV_SUFFIXES, *PARQUET_SUFFIXES))
    raise InvalidInputError(f"{path}: a table in CSV or Parquet is needed, whose name ends in {known}")


def _load(path: Path, names: Sequence[str]) -> tuple[Any, int, str]:
    """Return columns of a table, the number of its first row, and what that counts."""
    _, dialect = _names(path)
    if dialect is None:
        # texts become dictionaries anyway, of which the file has them already
        texts = [one.name for one in pa_parquet.read_schema(path) if pa.types.is_string(one.type)]
        chosen = [name for name in texts if name in names]
        return pa_parquet.read_table(path, columns=list(names), read_dictionary=chosen), 0, "row"
    wanted = {name: name for name in names}
    texts = [name for name in (EXPERIMENT, WELL) if name in wanted]
    table = read_csv(path, dialect, wanted, texts)
    if _has_decimal_commas(table, dialect):
        table = read_csv(path, replace(dialect, decimal=","), wanted, texts)
    for one in table.schema:
        if pa.types.is_binary(one.type):
            raise InvalidInputError(f"{path}: column {one.name!r} is not UTF-8; save the table as UTF-8")
    return table, dialect.skipped + 1, "line"


def _has_decimal_commas(table: Any, dialect: Any) -> bool:
    """Return whether a text table writes 0,5 where others write 0.5, in all that a column holds."""
    if dialect.separator == "," or dialect.decimal == ",":
        return False
    if any(pa.types.is_floating(one.type) for one in table.schema):
        return False
    texts = (table[one.name].drop_null() for one in table.schema if pa.types.is_string(one.type))
    return any(
        len(one) and pa_compute.all(pa_compute.match_substring_regex(one, _DECIMAL_COMMA)).as_py()
        for one in texts
    )
