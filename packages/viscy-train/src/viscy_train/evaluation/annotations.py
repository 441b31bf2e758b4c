"""Labels from a table of a user's own, joined to the cells of an embedding, and how well they fitted."""

from pathlib import Path

import pandas as pd

from viscy_data import join_annotations, shown


def annotated(obs: pd.DataFrame, path: str | Path) -> tuple[pd.DataFrame, str]:
    """Return obs with the columns of a table of annotations, and a sentence that says what matched.

    Raises
    ------
    InvalidInputError
        As `viscy_data.join_annotations`: it names file, row and column.
    """
    columns, report = join_annotations(path, obs)
    said = (
        f"{shown(report.file, 300)}: {report.matched:,} of {report.rows:,} rows belong to a cell; "
        f"{report.without_cell:,} rows without a cell, {report.cells_without_row:,} of "
        f"{report.cells:,} cells without a row. Columns: {', '.join(map(shown, report.columns))}."
    )
    return obs.join(columns), said
