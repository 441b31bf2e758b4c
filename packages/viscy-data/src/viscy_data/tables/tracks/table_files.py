"""Tracking tables: CSV and Parquet files with ``track_id, t, y, x`` and what else they hold.

Optional columns are ``z``, ``parent_track_id`` (-1 or empty: none), ``id``, which is kept as ``source_id``,
and, in a table over several fields of view, ``fov``; in a file that lies at the place of one field, it may
name no other. Other columns are left unread. The experiments file may say that a table calls them otherwise
(``track_names``), or gives places in a unit of length (``track_unit``).
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.parquet as pa_parquet

from viscy_data.columns import (
    FOV,
    MISSING_WORDS,
    NO_PARENT,
    PARENT_TRACK_ID,
    SOURCE_ID,
    SOURCE_NAME,
    TRACK_ID,
    T,
    X,
    Y,
    Z,
)
from viscy_data.errors import TracksError, suggest
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.tracks.csv_text import check_unpacked, read_csv, read_dialect
from viscy_data.tables.tracks.detections import Detections, FloatArray
from viscy_data.tables.tracks.lengths import PixelSizes
from viscy_data.tables.tracks.likely_names import likely_name
from viscy_data.tables.tracks.source_ids import id_column, one_array
from viscy_data.text import shown
from viscy_data.units import micrometres

REQUIRED = (TRACK_ID, T, Y, X)
OPTIONAL = (Z, PARENT_TRACK_ID, FOV)
ID_COLUMN: Final = "id"
"""What a table calls the id of a row, unless ``track_names`` says otherwise."""
CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")

_LONGEST_TEXT: Final = 100
_PLAIN: Final = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_null,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)


def is_table(path: Path) -> bool:
    """Say whether a path's name is that of a tracking table."""
    return path.name.lower().endswith(CSV_SUFFIXES + PARQUET_SUFFIXES)


def read_table(path: Path, experiment: Experiment, fovs: Sequence[FovInfo], *, fov: int | None) -> Detections:
    """Read one tracking table.

    Parameters
    ----------
    path
        A CSV (may be gzipped) or Parquet file.
    experiment, fovs
        What its columns and its unit are, and the fields of view of its store.
    fov
        Index of the field of view that the file belongs to; None: its ``fov`` column says, which it may lack
        where there is but one.

    Raises
    ------
    TracksError
        Where the file cannot be read, a column is missing or there twice, or a value is not a number.
    """
    names = {info.fov: i for i, info in enumerate(fovs)}
    needs_fov = fov is None and len(names) != 1
    file_names = {name: name for name in (*REQUIRED, *OPTIONAL, *experiment.track_columns)}
    file_names |= {str(ours): name for ours, name in experiment.track_names.items()}
    if ID_COLUMN not in file_names.values():
        file_names.setdefault(SOURCE_ID, ID_COLUMN)
    needed = [*experiment.track_names, *experiment.track_columns, *([FOV] if needs_fov else [])]
    required = (*REQUIRED, *needed)
    table, unit, start = _load(path, file_names, dict.fromkeys(required))
    text = path.name.lower().endswith(CSV_SUFFIXES)
    reader = _Reader(path, table, start, "line" if text else "row")
    count = table.num_rows
    if fov is None and FOV not in table.column_names:
        fov = 0
    if fov is not None and FOV in table.column_names:
        reader.refuse_other_fovs(fovs[fov].fov, names)
    own = reader.fovs(names) if fov is None else np.full(count, fov, dtype=np.int64)
    takes_z = experiment.slices.takes_tracks
    sizes = PixelSizes(path, experiment, fovs, own, experiment.track_unit or unit)
    return Detections(
        file=path,
        rows=np.arange(start, start + count),
        unit=reader.unit,
        fov=own,
        track_id=reader.whole(TRACK_ID),
        parent_track_id=reader.whole(PARENT_TRACK_ID, empty=NO_PARENT)
        if PARENT_TRACK_ID in table.column_names
        else np.full(count, NO_PARENT, dtype=np.int64),
        t=reader.whole(T),
        y=sizes.pixels(Y, reader.real(Y)),
        x=sizes.pixels(X, reader.real(X)),
        z=sizes.pixels(Z, reader.real(Z)) if takes_z and reader.holds(Z) else None,
        unit_stated=bool(experiment.track_unit or unit),
        source=reader.source(),
        own=table.select(list(experiment.track_columns)) if experiment.track_columns else None,
    )


class _Reader:
    """The columns of one table as NumPy arrays, each checked to hold numbers."""

    def __init__(self, path: Path, table: Any, start: int, unit: str) -> None:
        self._path, self._table, self._start, self.unit = path, table, start, unit

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
        texts = texts.mask(texts.isin(MISSING_WORDS))
        values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero(np.isnan(values) & texts.notna().to_numpy())
        if len(wrong) or pa.types.is_boolean(column.type):
            row = int(wrong[0]) if len(wrong) else 0
            self._refuse(row, name, f"{_shown(texts.iloc[row])} is not a number")
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
            self._refuse(
                row, name, _missing(name) if np.isnan(values[row]) else f"{values[row]} is not a whole number"
            )
        return values.astype(np.int64)

    def source(self) -> Any:
        """Return the ids of rows, where there are: whole numbers, or text where one of them is not."""
        if not self.holds(SOURCE_ID):
            return None
        column = self._table[SOURCE_ID]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):  # some writers' null
            column = pa_compute.if_else(pa_compute.is_nan(column), None, column)
        try:
            return pa.table(id_column(column.cast(pa.int64())))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return pa.table({SOURCE_NAME: one_array(column.cast(pa.string()).dictionary_encode())})

    def fovs(self, names: Mapping[str, int]) -> IntArray:
        """Return the index of each row's field of view."""
        codes, found = self._fov_codes()
        index = np.array(
            [-1 if name is None else names.get(name, -1) for name in found] + [-1], dtype=np.int64
        )[codes]
        wrong = np.flatnonzero(index < 0)
        if len(wrong):
            row = int(wrong[0])
            name = str(found[codes[row]]) if codes[row] >= 0 else ""
            self._refuse(row, FOV, f"fov={name!r} is not in the store.{suggest(name, names)}")
        return np.asarray(index, dtype=np.int64)

    def refuse_other_fovs(self, own: str, names: Mapping[str, int]) -> None:
        """Refuse a row that names another field of view than the one whose place the file lies at."""
        codes, found = self._fov_codes()
        others = [code for code, name in enumerate(found) if name and not _is_same_fov(name, own, names)]
        # a table cut from a larger one may list names that no row has
        wrong = np.flatnonzero(np.isin(codes, others)) if others else np.array([], dtype=np.int64)
        if len(wrong):
            row = int(wrong[0])
            self._refuse(
                row,
                FOV,
                f"fov={_shown(str(found[codes[row]]))}, but the file lies at the place of fov={own!r}. "
                "Move it to its own field, leave the column out, or, where the file is of several fields, "
                "give it as tracks_path",
            )

    def _fov_codes(self) -> tuple[IntArray, list[str | None]]:
        """Return each row's number in the list of names (-1: empty), and the list."""
        column = self._table[FOV]
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        codes = pd.Series(column.indices.to_numpy(zero_copy_only=False)).fillna(-1).to_numpy(dtype=np.int64)
        try:
            return codes, column.dictionary.to_pylist()
        except UnicodeDecodeError as error:
            raise TracksError(f"{self._path}: column {FOV!r} is not text: {error}") from error

    def _refuse(self, row: int, name: str, why: str) -> None:
        raise TracksError(f"{self._path}: {self.unit} {self._start + row}, column {name!r}: {why}")


def _missing(name: str) -> str:
    why = "the value is missing"
    if name != TRACK_ID:
        return why
    return (
        f"{why}: a spot of no track? Leave such rows out, or export the spots of tracks alone, not all spots"
    )


def _is_same_fov(name: str, own: str, names: Mapping[str, int]) -> bool:
    """Say whether a table's word means the field ``own``, as ``0`` or ``plate/A/1/0`` mean ``A/1/0``."""
    plain = name.strip().strip("/")
    if plain == own or plain in names:
        return plain == own
    return own.endswith(f"/{plain}") or ("/" in own and plain.endswith(f"/{own}"))


def _load(path: Path, file_names: Mapping[str, str], required: Iterable[str]) -> tuple[Any, str, int]:
    """Return our columns of the table as Arrow holds them, the unit that it states, and its first row."""
    try:
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            schema = pa_parquet.read_schema(path)
            columns = _find_columns(path, schema.names, file_names, required)
            return _read_parquet(path, schema, columns), "", 0
        dialect = read_dialect(path, file_names)
        columns = _find_columns(path, dialect.names, file_names, required)
        table = read_csv(path, dialect, columns)
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        if isinstance(error, TracksError):
            raise
        raise TracksError(f"{path}: the tracking table cannot be read: {_shown(error, text=True)}") from error
    unit = dialect.unit if micrometres(dialect.unit) else ""
    return table, unit, dialect.skipped + 1


def _find_columns(
    path: Path, held: Sequence[str], file_names: Mapping[str, str], required: Iterable[str]
) -> dict[str, str]:
    """Return what the file calls those of our columns that it has."""
    found = {ours: name for ours, name in file_names.items() if name in held}
    missing = [ours for ours in required if ours not in found]
    if missing:
        raise TracksError(
            f"{path}: missing columns: {', '.join(file_names[ours] for ours in missing)}; the file has "
            f"{_listed(held)}. If it calls them otherwise, write into the experiments file: "
            f"{_mapping(missing, file_names, held)}"
        )
    twice = [name for name in found.values() if list(held).count(name) > 1]
    if twice:
        raise TracksError(
            f"{path}: column {twice[0]!r} is there {list(held).count(twice[0])} times; the file has "
            f"{_listed(held)}. Keep one, or give them names of their own."
        )
    return found


def _mapping(missing: Sequence[str], file_names: Mapping[str, str], held: Sequence[str]) -> str:
    """Return the ``track_names`` to write, as far as the file's columns can be guessed."""
    usual = {name: name for name in file_names} | {SOURCE_ID: ID_COLUMN}
    written = {ours: name for ours, name in file_names.items() if name != usual[ours] and ours not in missing}
    written |= {ours: likely_name(ours, held) or "?" for ours in missing}
    for ours in (Z, PARENT_TRACK_ID, SOURCE_ID):  # without its parents a table would have no lineages
        other = likely_name(ours, held, alike=False)
        if file_names.get(ours) not in held and other and other != ours and other not in written.values():
            written.setdefault(ours, other)
    return "track_names: {" + ", ".join(f"{ours}: {shown(name)}" for ours, name in written.items()) + "}"


def _read_parquet(path: Path, schema: Any, columns: Mapping[str, str]) -> Any:
    for name in columns.values():
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not any(holds(kind) for holds in _PLAIN):
            raise TracksError(
                f"{path}: column {name!r} holds {kind}: numbers or text are needed; t counts frames from 0"
            )
    metadata = pa_parquet.read_metadata(path)
    check_unpacked(path, metadata.num_rows * len(columns) * 8, path.stat().st_size)
    fov = columns.get(FOV)
    table = pa_parquet.read_table(
        path, columns=list(columns.values()), read_dictionary=[fov] if fov else None
    )
    return table.rename_columns(
        [next(o for o, n in columns.items() if n == own) for own in table.column_names]
    )


def _listed(names: Sequence[str], most: int = 40) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_shown(name, text=True) for name in names[:most]) + more


def _shown(value: object, *, text: bool = False) -> str:
    """Return a value of the file for a message: not the whole of it, where it is long."""
    value = value.item() if isinstance(value, np.generic) else value
    return shown(value if text else repr(value), _LONGEST_TEXT)
