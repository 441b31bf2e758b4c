"""Tables that the commands print; each shows a value of the library and decides nothing."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from viscy_data.convert.run import MovieSummary
from viscy_data.indexing.parts import ConditionCounts
from viscy_data.rich_text import verbatim
from viscy_data.tables.own_columns.column import OwnColumn
from viscy_data.tables.own_columns.joins import JoinReport
from viscy_data.text import shown


def movies_table(movies: Sequence[MovieSummary]) -> Table:
    """Show what `viscy_data.convert.run.convert_movies` found, one row per movie."""
    table = Table(title="Movies")
    for heading in ("movie", "T x C x Z x Y x X", "channels", "cells x frames", "tracks", "divisions"):
        table.add_column(heading)
    table.add_column("not stated", style="yellow")
    for movie in movies:
        counts = (movie.detections, movie.tracks, movie.divisions)
        table.add_row(
            verbatim(shown(movie.name)),
            " x ".join(str(length) for length in movie.shape),
            verbatim(", ".join(map(shown, movie.channels))),
            *(f"{count:,}" for count in counts),
            ", ".join(movie.not_stated),
        )
    return table


def counts_table(counts: Sequence[ConditionCounts]) -> Table:
    """Show what `viscy_data.indexing.run.build_index` counted, one row per experiment and condition."""
    numbers = [(one.cells, one.anchors, one.valid_anchors) for one in counts]
    totals = [sum(column) for column in zip(*numbers, strict=True)]
    border = sum(one.border for one in counts)
    table = Table(title="Anchors", show_footer=True)
    table.add_column("experiment", "all", overflow="fold")
    table.add_column("condition", overflow="fold")
    for heading, total in zip(("cells", "anchors", "with a later relative"), totals, strict=True):
        table.add_column(heading, f"{total:,}", justify="right")
    table.add_column("at a border", _share(border, totals[1]), justify="right")
    table.add_column("dropped")
    for one, row in zip(counts, numbers, strict=True):
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in one.dropped.items() if count)
        names = (verbatim(shown(name)) for name in (one.experiment, one.condition or "not known"))
        cells = [f"{number:,}" for number in row] + [_share(one.border, one.anchors)]
        table.add_row(*names, *cells, verbatim(dropped or "none"))
    return table


def columns_table(columns: Sequence[OwnColumn]) -> Table:
    """Show the columns of one's own that an index carries, one row per column."""
    table = Table(title="Columns of your own")
    for heading in ("column", "level", "type", "values"):
        table.add_column(heading)
    table.add_column("null", justify="right")
    for one in columns:
        cells = (one.name, one.level, one.type, one.range)
        table.add_row(*(verbatim(shown(cell, 200)) for cell in cells), f"{one.nulls:,}")
    return table


def joins_table(joins: Sequence[JoinReport]) -> Table:
    """Show what each join of a table of one's own did, one row per experiment and table."""
    table = Table(title="Tables joined")
    table.add_column("experiment")
    table.add_column("table")
    for heading in ("rows matched", "rows without a cell", "cells without a row"):
        table.add_column(heading, justify="right")
    for one in joins:
        counts = (
            f"{one.matched:,} of {one.rows:,}",
            f"{one.without_cell:,}",
            f"{one.cells_without_row:,} of {one.cells:,}",
        )
        table.add_row(verbatim(shown(one.experiment)), verbatim(shown(Path(one.file).name)), *counts)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"
