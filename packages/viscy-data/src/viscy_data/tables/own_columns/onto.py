"""Annotations joined to a table of cells after it was indexed: to the columns of embeddings.

Problem: labels come late. Somebody looks at embeddings, draws a lasso, names what is inside, and wants to ask
the embedding of it; to index and embed everything again for that is absurd, and a join of one's own is where
mistakes hide. Idea: a table is joined to the columns of cells by the very rules of ``cell_columns`` in the
experiments file, experiment by experiment, and the same is counted and refused. What works here is joined by
the next index, too.

Where a row is one channel of a cell, all channels of a cell get its annotation.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, GLOBAL_TRACK_ID, TRACK_ID, T
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.tables.own_columns.column import one_chunk
from viscy_data.tables.own_columns.fields import CELL_KEYS, ColumnsFile
from viscy_data.tables.own_columns.joins import Joined, JoinReport, join_cells
from viscy_data.tables.own_columns.table import UserTable, of_experiment, read_whole_table
from viscy_data.text import shown

type IntArray = NDArray[np.int64]

_CELL = [FOV, TRACK_ID, T]
_NEEDED = (EXPERIMENT, FOV, TRACK_ID, T, GLOBAL_TRACK_ID)


def join_annotations(path: str | Path, cells: pd.DataFrame) -> tuple[pd.DataFrame, JoinReport]:
    r"""Join a table of annotations to cells.

    Parameters
    ----------
    path : str or Path
        CSV or Parquet, of columns as ``cell_columns`` takes them: ``source_id`` or another id of the
        tracking file, or ``track_id``; with ``fov``, ``t`` and ``experiment`` where there are several.
        All others are annotations.
    cells : DataFrame
        Columns of an anchors table (N rows), such as obs of embeddings: experiment, fov, track_id, t,
        global_track_id, and ids of the tracking file where it has them.

    Returns
    -------
    columns : DataFrame
        The annotations, one row for each of `cells`, with its index; missing where no row speaks of it.
    report : JoinReport
        How many rows found a cell, and how many cells have no row; all channels of a cell count once.

    Raises
    ------
    InvalidInputError
        Naming file, row and column: two rows that say different things of one cell, a table without a key,
        a column that cells have already, or rows that belong to no cell at all.

    Examples
    --------
    >>> import tempfile
    >>> cells = pd.DataFrame({"experiment": "a", "fov": "A/1/0", "track_id": [1, 2], "t": 0})
    >>> cells["global_track_id"] = ["a/A/1/0/1", "a/A/1/0/2"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "labels.csv")
    ...     _ = file.write_text("fov,track_id,label\nA/1/0,2,round\n")
    ...     columns, report = join_annotations(file, cells)
    >>> columns["label"].tolist(), report.matched, report.cells_without_row
    ([nan, 'round'], 1, 1)
    """
    missing = [name for name in _NEEDED if name not in cells.columns]
    if missing:
        raise InvalidInputError(
            f"cells lacks the columns {', '.join(missing)}, by which annotations are joined; it has "
            f"{', '.join(map(str, cells.columns))}"
        )
    table = read_whole_table(ColumnsFile(path=Path(path)), "cell")
    _check(table, cells)
    names = cells[EXPERIMENT].astype(str)
    experiments = sorted(names.unique())
    if EXPERIMENT not in table.keys and len(experiments) > 1:
        raise InvalidInputError(
            f"{table.path}: no column {EXPERIMENT!r}, and the cells are of {len(experiments)} experiments, "
            f"such as {shown(experiments[0])!r}; add the column"
        )
    found: dict[str, list[Any]] = {name: [] for name in table.own}
    places: list[IntArray] = []
    matched = of_cells = lacking = 0
    for name in experiments:
        own = np.flatnonzero((names == name).to_numpy())
        part = _part(table, name, experiments)
        if not len(part):
            none = int((~cells.iloc[own].duplicated(_CELL)).sum())
            of_cells, lacking = of_cells + none, lacking + none
            continue
        joined, member = _join(part, cells.iloc[own], name)
        places.append(own)
        for column, values in joined.columns.items():
            found[column].append(values.take(pa.array(member)))
        matched += joined.report.matched
        of_cells += joined.report.cells
        lacking += joined.report.cells_without_row
    annotations = pd.DataFrame(
        {name: _assembled(parts, places, table.own[name].type, len(cells)) for name, parts in found.items()},
        index=cells.index,
    )
    counts = (len(table), matched, len(table) - matched, of_cells, lacking)
    return annotations, JoinReport("", str(table.path), "cell", tuple(table.own), *counts)


def _check(table: UserTable, cells: pd.DataFrame) -> None:
    if not table.own:
        raise InvalidInputError(
            f"{table.path}: no column beside its keys, {', '.join(table.keys)}; add labels"
        )
    twice = [name for name in table.own if name in cells.columns]
    if twice:
        raise InvalidInputError(
            f"{table.path}: column {twice[0]!r} is one that the cells have already; give it another name, or "
            "leave it out"
        )


def _part(table: UserTable, experiment: str, experiments: list[str]) -> UserTable:
    """Return the rows of one experiment, of which there may be none where others have some."""
    if EXPERIMENT not in table.keys:
        return table
    named = {str(one) for one in pa_compute.unique(table.keys[EXPERIMENT].cast(pa.string())).to_pylist()}
    if experiment in named:
        return of_experiment(table, experiment)
    if not named & set(experiments):
        given = ", ".join(map(shown, sorted(named)[:6]))
        raise InvalidInputError(
            f"{table.path}: column {EXPERIMENT!r}: no row is of an experiment that the cells have. It has "
            f"{given}; the cells have {', '.join(map(shown, experiments[:6]))}.{suggest(experiment, named)}"
        )
    return table.take(np.zeros(0, dtype=np.int64))


def _join(part: UserTable, cells: pd.DataFrame, experiment: str) -> tuple[Joined, NDArray[np.integer[Any]]]:
    """Return the annotations of the cells of an experiment, and of which of these each row is a channel."""
    first = np.flatnonzero(~cells.duplicated(_CELL).to_numpy())
    member = cells.groupby(_CELL, observed=True, sort=False).ngroup().to_numpy()
    anchors = cells.iloc[first].reset_index(drop=True)
    for name in (FOV, GLOBAL_TRACK_ID):
        anchors[name] = anchors[name].astype(str).astype("category")
    ids = {name: _ids(anchors[name]) for name in CELL_KEYS if name != TRACK_ID and name in anchors.columns}
    ids = {name: column for name, column in ids.items() if column.null_count < len(column)}
    source = pa.table(ids) if ids else None
    return join_cells(part, anchors, experiment, list(anchors[FOV].cat.categories), source), member


def _ids(column: "pd.Series[Any]") -> Any:
    """Return ids as the tracks give them: whole numbers, or text; null where there are none."""
    found = one_chunk(pa.array(column.astype(object).where(column.notna(), None).to_list(), from_pandas=True))
    if pa.types.is_floating(found.type):
        return found.cast(pa.int64())
    return found.dictionary_encode() if pa.types.is_string(found.type) else found


def _assembled(parts: Sequence[Any], places: Sequence[IntArray], kind: Any, count: int) -> NDArray[Any]:
    """Return a column of all cells of the parts of experiments: numbers, or text; missing elsewhere."""
    numbers = not pa.types.is_dictionary(kind) and not pa.types.is_null(kind)
    values = np.full(count, np.nan) if numbers else np.full(count, None, dtype=object)
    for part, place in zip(parts, places, strict=True):
        values[place] = part.to_pandas().astype(np.float64 if numbers else object)
    whole = numbers and pa.types.is_integer(kind) and not np.isnan(values).any()
    return values.astype(np.int64) if whole else values
