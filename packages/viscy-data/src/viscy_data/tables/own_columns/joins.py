"""From the rows of a user's table to the rows of the anchors table, and what the join did.

Problem: a join that matches nothing, or half, looks like one that matched: the column is there, and null. So
each join counts the rows that found a cell, those that did not, and the cells that no row speaks of; a table
that matches nothing is refused, and so are two rows that say different things of one well or one cell.

Which row belongs to which cell is found by keys that are whole numbers (:mod:`.matching`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from viscy_data.columns import FOV, GLOBAL_TRACK_ID, SOURCE_ID, SOURCE_NAME, TRACK_ID, WELL, T
from viscy_data.errors import InvalidInputError
from viscy_data.tables.own_columns.column import filled, one_chunk
from viscy_data.tables.own_columns.fields import CELL_KEYS, Level
from viscy_data.tables.own_columns.matching import packed, rows_of
from viscy_data.tables.own_columns.table import UserTable
from viscy_data.text import shown

type IntArray = NDArray[np.int64]
type Codes = NDArray[np.integer[Any]]

_WELL: Final = re.compile(r"\s*([A-Za-z]+)\s*[/_-]?\s*0*(\d+)\s*")
_NAMED: Final = 6


@dataclass(frozen=True)
class JoinReport:
    """What one table gave to one experiment.

    Attributes
    ----------
    experiment, file, level
        Which table, of which experiment, joined by what.
    columns
        Names of the columns taken.
    rows
        Rows of the table.
    matched
        Rows that belong to a cell.
    without_cell
        Rows that belong to none: of another field of view, or of a cell that is not in the anchors table.
    cells, cells_without_row
        Rows of the anchors table, and those that no row speaks of.
    """

    experiment: str
    file: str
    level: Level
    columns: tuple[str, ...]
    rows: int
    matched: int
    without_cell: int
    cells: int
    cells_without_row: int


@dataclass(frozen=True)
class Joined:
    """Columns of a table, as long as the anchors table, and what the join did."""

    columns: dict[str, Any]
    report: JoinReport


def join_wells(table: UserTable, anchors: pd.DataFrame, experiment: str) -> Joined:
    """Join a table by well; ``B03`` is the well ``B/3``.

    Raises
    ------
    InvalidInputError
        Where it has no column of wells, names none of the experiment's, or says two things of one.
    """
    if WELL not in table.keys:
        raise InvalidInputError(f"{table.path}: no column {WELL!r}, by which the table is joined; name it so")
    held = [str(name) for name in anchors[WELL].cat.categories]
    plain = [_plain_well(name) for name in held]
    place = {name: i for i, name in enumerate(plain) if plain.count(name) == 1}  # A/1 and A/01: of neither
    place |= {name: i for i, name in enumerate(held)}
    names = _texts(table.keys[WELL])
    _refuse_missing(table, WELL, [name is None for name in names])
    keys = np.array(
        [place.get(name or "", place.get(_plain_well(name or ""), -1)) for name in names], np.int64
    )
    rows, matched = rows_of(table, np.arange(len(held)), keys, WELL)
    if not matched and len(table):
        raise _nothing(table, WELL, [name or "" for name in names], held)
    codes = anchors[WELL].cat.codes.to_numpy()
    return _taken(table, rows[codes], matched, ("well", experiment))


def join_cells(
    table: UserTable, anchors: pd.DataFrame, experiment: str, fovs: Sequence[str], source: Any = None
) -> Joined:
    """Join a table by fov and track, or by what the tracks' file calls cells and tracks; and by frame.

    A table without ``fov`` is of the only field of view that the store has; one without ``t`` says the same
    of all frames.

    Parameters
    ----------
    table
        What is joined.
    anchors
        The anchors table's own columns.
    experiment, fovs
        The experiment, and the fields of view of its store.
    source
        Columns that came with the tracks, of the same rows, with some of ``SOURCE_COLUMNS``; None: none came.

    Raises
    ------
    InvalidInputError
        Where it lacks a key, belongs to no cell, or says two things of one cell.
    """
    by = _key_of(table, source)
    # ids too large for numbers are text in ours
    mine = SOURCE_NAME if by == SOURCE_ID and SOURCE_ID not in source.column_names else by
    if FOV not in table.keys and len(fovs) > 1:
        raise InvalidInputError(
            f"{table.path}: no column {FOV!r}, and the store of experiment {experiment!r} has {len(fovs)} "
            f"fields of view, such as {fovs[0]!r}; add the column"
        )
    held = [str(name) for name in anchors[FOV].cat.categories]
    framed = T in table.keys
    theirs = {FOV: _fov_codes(table, held)} | ({T: _whole(table, T)} if framed else {})
    if by == TRACK_ID:
        ours, codes = _cells(anchors, framed=framed)
        theirs[by] = _whole(table, by)
    else:
        ours, codes = {name: _codes_of(anchors[name]) for name in (FOV, T) if name in theirs}, None
        ours[by], theirs[by] = _alike(source[mine], table, by)
    names = [by, T] if framed else [by]
    what = ", ".join([FOV, *names])
    own_keys, keys = packed(ours, theirs)
    found, matched = rows_of(table, own_keys, keys, what, several=by != TRACK_ID)
    if not matched and len(table):
        raise _nothing(
            table, what, _some_rows(table, names), _some_cells(anchors, [mine, *names[1:]], source)
        )
    if by in (SOURCE_ID, SOURCE_NAME):
        _refuse_several(table, by, own_keys[found >= 0], found[found >= 0], framed=framed)
    return _taken(table, found if codes is None else found[codes], matched, ("cell", experiment))


def _key_of(table: UserTable, source: Any) -> str:
    """Return the column by which a table is joined, beside field of view and frame."""
    held = () if source is None else source.column_names
    given = [name for name in CELL_KEYS if name in table.keys]
    known = {*held, TRACK_ID, *([SOURCE_ID] if SOURCE_NAME in held else [])}
    usable = [name for name in given if name in known]
    if usable:
        return usable[0]
    if given:
        ids = ", ".join(name for name in held if name in CELL_KEYS) or "no ids of their own"
        raise InvalidInputError(
            f"{table.path}: column {given[0]!r}: the tracks of this experiment have {ids}, by which a "
            f"table can be joined; or join it by {TRACK_ID!r}"
        )
    others = ", ".join(name for name in CELL_KEYS if name != TRACK_ID)
    raise InvalidInputError(
        f"{table.path}: no column {TRACK_ID!r}, by which the table is joined; it has "
        f"{', '.join(map(shown, [*table.keys, *table.own]))}. Name one so, or {others}, where these are ids "
        "of the tracks' file"
    )


def _alike(ours: Any, table: UserTable, name: str) -> tuple[IntArray, IntArray]:
    """Return numbers of our ids (N,) and of the table's, equal where these are; -1: missing, or not ours."""
    ours = one_chunk(ours)
    if pa.types.is_dictionary(ours.type):
        number: dict[str | None, int] = {text: i for i, text in enumerate(ours.dictionary.to_pylist())}
        texts = _texts(table.keys[name])
        _refuse_missing(table, name, [text is None for text in texts])
        codes = ours.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, np.array([number.get(text, -1) for text in texts], dtype=np.int64)
    missing = ours.is_null().to_numpy(zero_copy_only=False)
    values = ours.fill_null(0).to_numpy(zero_copy_only=False)
    known = np.unique(values[~missing])
    if not len(known):
        return np.full(len(ours), -1, dtype=np.int64), np.full(len(table), -1, dtype=np.int64)
    theirs = _whole(table, name)
    place = np.minimum(np.searchsorted(known, theirs), len(known) - 1)
    found = np.where(known[place] == theirs, place, -1)
    return np.where(missing, -1, np.searchsorted(known, values)), found


def _refuse_several(table: UserTable, name: str, keys: IntArray, rows: Codes, *, framed: bool) -> None:
    """Refuse a row that would be of several cells of a field of view, or of a frame of it."""
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(again):
        raise table.refuse(
            int(rows[order[again[0]]]),
            name,
            f"several cells of a field of view {'and frame ' if framed else ''}have it; "
            + (f"join by {TRACK_ID!r}" if framed else f"add the column {T!r}, or join by {TRACK_ID!r}"),
        )


def _codes_of(column: "pd.Series[Any]") -> Codes:
    return (column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column).to_numpy()


def _cells(anchors: pd.DataFrame, *, framed: bool) -> tuple[dict[str, Codes], Codes | None]:
    """Return the keys of all cells, or of all tracks and, for each row, the number of its track."""
    # by frame before track: as the anchors table is sorted
    keys = {name: _codes_of(anchors[name]) for name in ((FOV, T, TRACK_ID) if framed else (FOV, TRACK_ID))}
    if framed:
        return keys, None
    codes = anchors[GLOBAL_TRACK_ID].cat.codes.to_numpy()
    first = np.zeros(len(anchors[GLOBAL_TRACK_ID].cat.categories), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return {name: column[first] for name, column in keys.items()}, codes


def _taken(table: UserTable, rows: Codes, matched: int, of: tuple[Level, str]) -> Joined:
    level, experiment = of
    without = rows < 0
    lacking = int(np.count_nonzero(without))
    chosen = pa.array(rows, mask=without if lacking else None)
    columns = {name: column.take(chosen) for name, column in table.own.items()}
    for name, value in table.fill.items():
        if value is not None:
            columns[name] = filled(columns[name], value, f"{table.path}: column {name!r}")
    report = JoinReport(
        experiment,
        str(table.path),
        level,
        tuple(table.own),
        len(table),
        matched,
        len(table) - matched,
        len(rows),
        lacking,
    )
    return Joined(columns, report)


def _fov_codes(table: UserTable, held: Sequence[str]) -> Codes:
    """Return the number of each row's field of view, -1 for one without cells."""
    if FOV not in table.keys:
        return np.zeros(len(table), dtype=np.int32)
    column = table.keys[FOV]
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    place = {name: i for i, name in enumerate(held)}
    names = [place.get(str(name).strip().strip("/"), -1) for name in column.dictionary.to_pylist()]
    codes: Codes = column.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    return np.array([*names, -1], dtype=np.int32)[codes]


def _whole(table: UserTable, name: str) -> IntArray:
    column = table.keys[name]
    if not len(table):
        return np.zeros(0, dtype=np.int64)
    if pa.types.is_null(column.type) or column.null_count:
        _refuse_missing(table, name, column.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), dtype=np.int64)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values = column.cast(pa.float64()).to_numpy()
        wrong = np.flatnonzero(~(np.abs(values) < 2**53) | (values != np.floor(values)))
        if len(wrong):
            raise table.refuse(int(wrong[0]), name, f"{values[wrong[0]]} is not a whole number")
        return np.asarray(values, dtype=np.int64)
    kind = column.type if not pa.types.is_dictionary(column.type) else "text"
    raise table.refuse(
        0, name, f"{shown(column[0].as_py())!r} is {kind}, and whole numbers are needed; convert the column"
    )


def _refuse_missing(table: UserTable, name: str, missing: Sequence[bool] | NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(np.asarray(missing, dtype=np.bool_))
    if len(rows):
        raise table.refuse(int(rows[0]), name, "the value is missing; leave such rows out")


def _texts(column: Any) -> list[str | None]:
    kind = column.type
    return [
        None if one is None else str(one)
        for one in column.cast(pa.string() if kind != pa.null() else kind).to_pylist()
    ]


def _plain_well(name: str) -> str:
    """Return a well as plates write it: ``b_03`` is ``B3``, which no name of a store is."""
    found = _WELL.fullmatch(name)
    return f"{found[1].upper()}{found[2]}" if found else name


def _nothing(table: UserTable, what: str, given: Sequence[str], held: Sequence[str]) -> InvalidInputError:
    theirs = ", ".join(map(shown, list(dict.fromkeys(given))[:_NAMED]))
    return InvalidInputError(
        f"{table.path}: column {what!r}: none of its {len(table):,} rows belongs to a cell. It has {theirs}; "
        f"the experiment has {', '.join(map(shown, held[:_NAMED]))}. Write them as the experiment does"
    )


def _some_rows(table: UserTable, names: Sequence[str]) -> list[str]:
    few = [_texts(table.keys[name].slice(0, 2)) for name in (FOV, *names) if name in table.keys]
    return ["/".join(map(str, one)) for one in zip(*few, strict=True)]


def _some_cells(anchors: pd.DataFrame, names: Sequence[str], source: Any) -> list[str]:
    few = [
        anchors[name].iloc[:2].astype(str).tolist()
        if name in anchors
        else _texts(one_chunk(source[name]).slice(0, 2))
        for name in (FOV, *names)
    ]
    return ["/".join(map(str, one)) for one in zip(*few, strict=True)]
