"""The anchors table's file, written one row group at a time, and whole or not at all.

A row group holds one experiment's rows, or a part of them, with dictionaries of its own: memory is
bounded by a row group, and a reader that wants one experiment skips the others. Tables of several
experiments come as *parts*, Arrow files with one experiment each, which cost a tenth of Parquet to
write and to read again.

Invariant: what a file holds is a function of the rows and the metadata alone, to the bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pa_parquet

from viscy_data.columns import (
    ANCHOR_COLUMNS,
    CELL_ID,
    CHANNEL,
    CHANNEL_COLUMNS,
    EXPERIMENT,
    FOV,
    GLOBAL_TRACK_ID,
    HAS_POSITIVE,
    HOURS,
    LINEAGE_ID,
    MARKER,
    TRACK_ID,
    WELL,
    X_CROP,
    Y_CROP,
    Column,
    T,
    X,
    Y,
)
from viscy_data.errors import InvalidInputError
from viscy_data.files.whole import whole_file
from viscy_data.tables.anchors.read import METADATA_KEY, AnchorsMetadata
from viscy_data.tables.lineage import BoolArray
from viscy_data.tables.own_columns.column import TEXT, OwnColumn, narrowed, occurring, with_columns

# What filters can skip: small against an experiment, large against its own overhead.
_ROW_GROUP: Final = 1 << 18

_STRINGS: Final = [c.name for c in (*ANCHOR_COLUMNS, *CHANNEL_COLUMNS) if c.dtype == "dictionary"]
_IDENTITIES: Final = (GLOBAL_TRACK_ID, LINEAGE_ID)
# Measured: a dictionary tried on places costs a quarter of the time that writing takes, and least and
# largest values of what nobody filters by a sixth. zstd makes the file a tenth smaller than lz4 does, and
# takes a quarter longer to write and half longer to read.
_OPTIONS: Final[dict[str, Any]] = {
    "compression": "lz4",
    "write_batch_size": _ROW_GROUP,
    "column_encoding": dict.fromkeys((Y, X), "BYTE_STREAM_SPLIT")
    | dict.fromkeys((TRACK_ID, Y_CROP, X_CROP, CELL_ID), "DELTA_BINARY_PACKED"),
    "write_statistics": [EXPERIMENT, WELL, FOV, T, TRACK_ID, HOURS, CHANNEL, MARKER, HAS_POSITIVE],
}


def write_anchors(path: str | Path, frame: pd.DataFrame, metadata: AnchorsMetadata) -> None:
    """Write an anchors table; an existing file is replaced when the new one is complete.

    Raises
    ------
    InvalidInputError
        Where the frame lacks a column of the anchors table.
    OutputError
        Where the file cannot be written; no part of it is left.
    """
    table, path = _to_table(frame), Path(path)
    for name, held in metadata.columns.items():
        kind = TEXT if held["type"] in ("text", "null") else pa.type_for_alias(held["type"])
        table = table.append_column(name, _own_to_arrow(frame[name], kind))
    with _writer(path, table.schema, metadata, path.parent) as writer:
        _write_slices(writer, table)


def write_part(path: Path, frame: pd.DataFrame, valid: BoolArray, note: bytes, own: Any = None) -> None:
    """Write the anchors of one experiment for :func:`merge_anchors`, with a note to find again.

    Parameters
    ----------
    path
        Its folder exists; the file is there when it is complete.
    frame, valid
        The anchors, and which of them have a positive.
    note
        What :func:`read_note` returns.
    own
        Columns of one's own, of the same rows; None: there are none.
    """
    table = _to_table(frame)
    for name in () if own is None else own.column_names:
        table = table.append_column(name, narrowed(own[name]))
    table = table.append_column(HAS_POSITIVE, pa.array(valid))
    table = table.replace_schema_metadata({METADATA_KEY: note})
    options = pa_ipc.IpcWriteOptions(compression="lz4")
    with (
        whole_file(path, durable=False) as beside,
        pa_ipc.new_file(beside, table.schema, options=options) as file,
    ):
        file.write_table(table, _ROW_GROUP)


def read_note(path: Path) -> bytes | None:
    """Return the note of a part; None where the part is not there or not whole."""
    try:
        with pa_ipc.open_file(path) as part:
            return bytes((part.schema.metadata or {})[METADATA_KEY])
    except (OSError, KeyError, pa.ArrowException):
        return None


def merge_anchors(
    parts: Sequence[Path],
    path: Path,
    metadata: AnchorsMetadata,
    advance: Callable[[int], None],
    *,
    folder: Path,
    own: Sequence[OwnColumn] = (),
) -> None:
    """Write one anchors table of parts, in their order, that will be put into ``folder``.

    ``advance`` is told the rows of each step; ``own`` are the columns of one's own as all parts have them
    together, each of which is null in a part that lacks it.
    """
    with pa_ipc.open_file(parts[0]) as file:
        place = len(ANCHOR_COLUMNS) + len(CHANNEL_COLUMNS) * (CELL_ID in file.schema.names)
        schema = with_columns(file.schema.empty_table(), own, place).schema
    with _writer(path, schema, metadata, folder) as writer:
        cells = 0
        for part in parts:
            first = cells
            with pa.memory_map(str(part)) as source, pa_ipc.open_file(source) as file:
                for i in range(file.num_record_batches):
                    table = pa.Table.from_batches([file.get_batch(i)])
                    if CELL_ID in table.column_names:  # numbered in each part from 0
                        table, cells = _renumber(table, first)
                    table = with_columns(table, own, place) if own else table
                    _write_slices(writer, table)
                    advance(table.num_rows)


def _renumber(table: pa.Table, first: int) -> tuple[pa.Table, int]:
    """Return rows whose cells are numbered from ``first`` instead of 0, and the number after the last."""
    place = table.schema.get_field_index(CELL_ID)
    # checked: numbers that do not fit 32 bits are an error
    ids = pa_compute.add_checked(table.column(place), pa.scalar(first, pa.int32()))
    table = table.set_column(place, table.schema.field(place), ids)
    return table, pa_compute.max(ids).as_py() + 1


def _write_slices(writer: Any, table: pa.Table) -> None:
    for start in range(0, table.num_rows, _ROW_GROUP):
        part = table.slice(start, _ROW_GROUP).combine_chunks()
        for i, field in enumerate(part.schema):
            if field.name not in _IDENTITIES and not (i >= len(ANCHOR_COLUMNS) and _is_text(field)):
                continue
            part = part.set_column(i, part.schema.field(i), _compact(part.column(i).chunk(0)))
        writer.write_table(part)


def _is_text(field: Any) -> bool:
    return bool(pa.types.is_dictionary(field.type))


def _compact(column: Any) -> Any:
    """Drop the dictionary's values that do not occur: Parquet would write all of them."""
    occurs = occurring(column)
    if occurs.all():
        return column
    new = pa.array((np.cumsum(occurs) - 1).astype(np.int32)).take(column.indices)
    return pa.DictionaryArray.from_arrays(new, column.dictionary.filter(pa.array(occurs)))


@contextmanager
def _writer(path: Path, schema: Any, metadata: AnchorsMetadata, folder: Path) -> Iterator[Any]:
    schema = schema.with_metadata({METADATA_KEY: metadata.to_json(folder).encode()})
    ours = {column.name for column in (*ANCHOR_COLUMNS, *CHANNEL_COLUMNS)}
    whole = [one.name for one in schema if pa.types.is_integer(one.type) and one.name not in ours]
    options = _OPTIONS | {
        "use_dictionary": [one.name for one in schema if _is_text(one)],
        # ids, mostly: half the time of writing them as they are, and a quarter of the room
        "column_encoding": _OPTIONS["column_encoding"] | dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
    }
    with whole_file(path) as beside, pa_parquet.ParquetWriter(beside, schema, **options) as writer:
        yield writer


def _to_table(frame: pd.DataFrame) -> pa.Table:
    missing = [column.name for column in ANCHOR_COLUMNS if column.name not in frame]
    if missing:
        raise InvalidInputError(f"frame: missing columns of the anchors table: {', '.join(missing)}")
    by_channel = CHANNEL_COLUMNS if CHANNEL in frame else ()
    columns = (*ANCHOR_COLUMNS, *by_channel)
    return pa.table({column.name: _to_arrow(frame[column.name], column) for column in columns})


def _own_to_arrow(values: "pd.Series[Any]", kind: Any) -> Any:
    if kind == TEXT:
        return pa.array(values.astype(object), pa.string(), from_pandas=True).dictionary_encode()
    return pa.array(values, kind, from_pandas=True)


def _to_arrow(values: "pd.Series[Any]", column: Column) -> Any:
    if column.dtype != "dictionary":
        numbers = values.to_numpy()
        empty = np.isnan(numbers) if column.name == HOURS else None
        return pa.array(numbers, type=getattr(pa, column.dtype)(), mask=empty)
    coded = values if isinstance(values.dtype, pd.CategoricalDtype) else values.astype("category")
    codes = coded.cat.codes.to_numpy(np.int32)
    empty = codes < 0
    names = pa.array(coded.cat.categories, type=pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=empty if empty.any() else None), names)
