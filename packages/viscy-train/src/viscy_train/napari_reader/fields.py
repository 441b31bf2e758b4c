"""The cells of one field of view, one row each, from an index or from embeddings.

A row of a table is a cell in a frame, or one channel of it; a point on an image is a cell. So what is the
same in all channels of a cell is kept once, and what differs becomes a column for each channel:
``PC1 [Phase3D]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from viscy_data import InvalidInputError, read_anchors, suggest
from viscy_data.columns import CHANNEL, EXPERIMENT, FOV, MARKER, TRACK_ID, T
from viscy_train.evaluation.reading import read_embeddings, table_of
from viscy_train.napari_reader.ours import NEEDED

type Field = tuple[str, str]
"""Names of an experiment and of a field of view."""

_COMPONENTS: Final = 3
_FITTED: Final = 20_000


@dataclass(frozen=True)
class CellTable:
    """Cells of many fields of view.

    Attributes
    ----------
    path
        The file.
    fields
        Those with cells, in the order of the table.
    anchors
        The index, which knows the images; None: not known.
    rows
        Of embeddings, all of them; of an index, which is read by field, None.
    """

    path: Path
    fields: tuple[Field, ...]
    anchors: Path | None
    rows: pd.DataFrame | None = None

    def cells(self, field: Field) -> pd.DataFrame:
        """Return the cells of a field of view: a row for each and frame, with all columns.

        Raises
        ------
        InvalidInputError
            For a field that the table lacks.
        """
        if field not in self.fields:
            known = [f"{experiment}/{fov}" for experiment, fov in self.fields]
            asked = "/".join(field)
            raise InvalidInputError(
                f"field={asked!r}: {self.path.name} has no cell there; it has {', '.join(known[:8])}"
                f"{' and others' if len(known) > 8 else ''}.{suggest(asked, known)}"
            )
        experiment, fov = field
        if self.rows is None:
            rows = read_anchors(self.path, filters=[(FOV, "==", fov)], experiments=[experiment])
        else:
            rows = self.rows[(self.rows[EXPERIMENT] == experiment) & (self.rows[FOV] == fov)]
        return one_row_per_cell(rows.reset_index(drop=True))


def open_table(path: str | Path) -> CellTable:
    """Open an index, or embeddings (a folder).

    Raises
    ------
    InvalidInputError
        If it cannot be read, or has no cells.
    """
    path = Path(path)
    if not path.is_dir():
        return CellTable(path, _fields(path, read_anchors(path, columns=[EXPERIMENT, FOV])), path)
    file = read_embeddings(path)
    missing = [name for name in NEEDED if name not in file.obs]
    if missing:
        raise InvalidInputError(
            f"path={str(path)!r}: obs has no {', '.join(missing)}, by which cells are found in images; give "
            "what viscy-train embed wrote."
        )
    own = {name: one for name, one in components(file.embedding).items() if name not in file.obs}
    rows = file.obs.assign(**own)
    return CellTable(path, _fields(path, rows), table_of(path, file.provenance), rows)


def _fields(path: Path, rows: pd.DataFrame) -> tuple[Field, ...]:
    if len(rows) == 0:
        raise InvalidInputError(f"path={str(path)!r}: it has no cells; index experiments that have tracks.")
    found = rows[[EXPERIMENT, FOV]].drop_duplicates().astype(str)
    return tuple(found.itertuples(index=False, name=None))


def components(embedding: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return the first principal components of embeddings (N, D), each (N,); NaN where a row is not finite.

    They are fitted to at most 20,000 rows, evenly spaced.
    """
    finite = np.flatnonzero(np.isfinite(embedding).all(axis=1))
    count = min(_COMPONENTS, embedding.shape[1], len(finite) - 1)
    if count < 1:
        return {}
    fitted = finite[np.linspace(0, len(finite) - 1, min(len(finite), _FITTED)).astype(np.int64)]
    found = PCA(count, svd_solver="full").fit(embedding[fitted])
    values = np.full((len(embedding), count), np.nan, dtype=np.float32)
    values[finite] = found.transform(embedding[finite])
    return {f"PC{place + 1}": values[:, place] for place in range(count)}


def one_row_per_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each cell and frame, of rows that may be channels of it.

    Examples
    --------
    >>> rows = pd.DataFrame({"track_id": [1, 1], "t": [0, 0], "channel": ["a", "b"], "PC1": [0.5, 2.0]})
    >>> one_row_per_cell(rows).to_dict("records")
    [{'track_id': 1, 't': 0, 'PC1 [a]': 0.5, 'PC1 [b]': 2.0}]
    """
    if CHANNEL not in rows:
        return rows
    cell = [TRACK_ID, T]
    differing = _differing(rows, cell)
    alike = [name for name in rows if name not in {*differing, CHANNEL, MARKER}]
    found = rows[alike].drop_duplicates(cell).set_index(cell)
    for name in differing:
        for channel, own in rows.groupby(CHANNEL, sort=False, observed=True):
            found[f"{name} [{channel}]"] = own.set_index(cell)[name].reindex(found.index)
    return found.reset_index()


def _differing(rows: pd.DataFrame, cell: Sequence[str]) -> list[str]:
    """Return the columns that are not the same in all channels of some cell."""
    groups = rows.groupby(list(cell), sort=False, observed=True)
    others = [name for name in map(str, rows) if name not in {*cell, CHANNEL, MARKER}]
    return [name for name in others if (groups[name].nunique(dropna=False) > 1).any()]
