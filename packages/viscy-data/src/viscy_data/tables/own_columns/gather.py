"""All columns of one's own of one experiment, from all levels, as long as its part of the anchors table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.own_columns.column import OwnColumn, constant, one_chunk, tidied, trimmed
from viscy_data.tables.own_columns.fields import CELL_KEYS, Level, name_problems
from viscy_data.tables.own_columns.joins import Joined, JoinReport, join_cells, join_wells
from viscy_data.tables.own_columns.table import header_of, read_user_table


@dataclass(frozen=True)
class OwnColumns:
    """Columns of one's own of one experiment.

    Attributes
    ----------
    table
        The columns, one row for each anchor.
    described
        What is known of each.
    joins
        What each join did.
    """

    table: Any
    described: tuple[OwnColumn, ...] = ()
    joins: tuple[JoinReport, ...] = ()

    def take(self, rows: NDArray[np.integer[Any]]) -> "OwnColumns":
        """Return the columns of anchors (M,), each of them any number of times."""
        if not self.described:
            return self
        table = self.table.take(pa.array(rows))
        described = (
            OwnColumn.of(one.name, one.level, one.source, one_chunk(table[one.name]))
            for one in self.described
        )
        return OwnColumns(table, tuple(described), self.joins)


def find_name_problems(experiments: Iterable[Experiment]) -> list[str]:
    """Return what is wrong with the names of columns and with tables' headers, one line each."""
    return [
        f"experiment {experiment.name!r}: {problem}"
        for experiment in experiments
        for problem in _problems_of(experiment)
    ]


def _problems_of(experiment: Experiment) -> Iterator[str]:
    named: list[tuple[str, Sequence[str]]] = [
        ("columns", list(experiment.columns)),
        ("track_columns", experiment.track_columns),
    ]
    levels: tuple[Level, Level] = ("well", "cell")
    for level in levels:
        key = f"{level}_columns"
        for file in getattr(experiment, key):
            try:
                named.append((f"{key}={file.path}", header_of(file, level)))
            except InvalidInputError as error:
                yield f"{key}: {error}"
    yield from name_problems(named)


def gather_own(
    experiment: Experiment, fovs: Sequence[FovInfo], anchors: pd.DataFrame, tracks: Any
) -> OwnColumns:
    """Return the columns of one's own of an experiment.

    Parameters
    ----------
    experiment, fovs
        What the experiments file says, and the fields of view of its store.
    anchors
        The anchors table's own columns.
    tracks
        Columns that came with the tracks, of the same rows, ids of their program first; None: there are none.

    Raises
    ------
    InvalidInputError
        Naming file, row and column.
    """
    count = len(anchors)
    found: list[tuple[str, Level, str, Any]] = [
        (name, "experiment", "columns", pa.nulls(count) if value is None else constant(value, count))
        for name, value in experiment.columns.items()
    ]
    joins = []
    for joined in _joined(experiment, fovs, anchors, tracks):
        report = joined.report
        found += [(name, report.level, report.file, one) for name, one in joined.columns.items()]
        joins.append(report)
    if tracks is not None:
        where = str(experiment.tracks_path)
        found += [
            (name, "track", where, column if name in CELL_KEYS else trimmed(column))
            for name in tracks.column_names
            for column in [tidied(tracks[name], f"{where}: column {name!r}")]
        ]
    table = pa.table({name: column for name, _, _, column in found})
    described = tuple(OwnColumn.of(*one) for one in found)
    return OwnColumns(table, described, tuple(joins))


def _joined(
    experiment: Experiment, fovs: Sequence[FovInfo], anchors: pd.DataFrame, tracks: Any
) -> Iterator[Joined]:
    for file in experiment.well_columns:
        yield join_wells(read_user_table(file, "well", experiment.name), anchors, experiment.name)
    names = [info.fov for info in fovs]
    for file in experiment.cell_columns:
        table = read_user_table(file, "cell", experiment.name)
        yield join_cells(table, anchors, experiment.name, names, tracks)
