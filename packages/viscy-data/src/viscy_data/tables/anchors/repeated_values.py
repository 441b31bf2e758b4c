"""Columns of values that many rows share: those of their field of view, and the names of their track.

Each row of the anchors table has names: of its experiment, condition, well and field of view, its track and
its lineage. Made row by row, they would take most of the time and memory that a table of 100 million rows
needs. But there are few of them: the rows of a field of view share its condition, and the rows of a track its
name. So each name is made once, for a field of view or a track, and a row has the number of its name; such
columns are categorical from the start.

Therefore no string is made for a row, only for a track. Numbers of fields of view, such as the sizes of their
images, are not repeated either where all agree: there is one then, which NumPy broadcasts.

Cost: names that no kept row has must be left out of the categories, and names of a field of view are sorted,
so that the same rows always give the same columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
from numpy.typing import NDArray

from viscy_data.columns import GLOBAL_TRACK_ID, LINEAGE_ID, PARENT_TRACK_ID, TRACK_ID
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import BoolArray, IntArray, build_forest, root_tracks


def each_row[N: np.integer](values: NDArray[N], fov: IntArray) -> NDArray[N]:
    """Return the value of each row (N,), given that of each fov; one for all rows, (1,), where fovs agree."""
    return values[:1] if (values == values[0]).all() else values[fov]


def labels_by_row(fov: IntArray, occurs: BoolArray, values: Sequence[str | None]) -> pd.Categorical:
    """Return one value for each row, given one for each fov, as a categorical of those of fovs that occur.

    Examples
    --------
    >>> occurs = np.array([True, False, True])
    >>> labels_by_row(np.array([0, 2, 2]), occurs, ["mock", "none", "infected"])
    ['mock', 'infected', 'infected']
    Categories (2, str): ['infected', 'mock']
    """
    used = sorted({value for value, there in zip(values, occurs, strict=True) if there and value is not None})
    place = {value: i for i, value in enumerate(used)}
    code = np.array([-1 if value is None else place.get(value, -1) for value in values], dtype=np.int32)
    return pd.Categorical.from_codes(code[fov], categories=pd.Index(used, dtype="str"))


def identities(
    experiment: Experiment, fovs: Sequence[FovInfo], tracks: pd.DataFrame, fov: IntArray, kept: IntArray
) -> dict[str, pd.Categorical]:
    """Return track and lineage ids; lineages are traced through rows that are not kept, too."""
    ids, parents = (tracks[name].to_numpy() for name in (TRACK_ID, PARENT_TRACK_ID))
    forest = build_forest(fov, ids, parents)
    root = root_tracks(forest.parent)
    prefixes = pa.array([f"{experiment.name}/{info.well}/{info.fov}/" for info in fovs])

    def names_of(tracks: IntArray) -> "pd.Index[Any]":
        places = prefixes.take(pa.array(forest.group[tracks]))
        numbers = pa.array(forest.track_id[tracks]).cast(pa.string())
        labels = pa_compute.binary_join_element_wise(places, numbers, "")
        names: pd.Index[Any] = pd.Index(labels.to_pandas(), dtype="str")
        return names

    own = forest.rows[kept]
    used, code = _compress(own, len(forest.track_id))
    names = names_of(used)
    track: pd.Categorical = pd.Categorical.from_codes(code[own], categories=names)
    roots = root[own]
    if (code[roots] < 0).any():  # no row of a root is kept
        used, code = _compress(roots, len(forest.track_id))
        names = names_of(used)
    # else one list for both: pandas makes a hash table of each
    lineage: pd.Categorical = pd.Categorical.from_codes(code[roots], categories=names)
    return {GLOBAL_TRACK_ID: track, LINEAGE_ID: lineage}


def _compress(values: IntArray, limit: int) -> tuple[IntArray, NDArray[np.int32]]:
    """Return the values that occur, ascending, and of each number below the limit its place there, or -1."""
    occurs = np.zeros(limit, dtype=np.bool_)
    occurs[values] = True
    return np.flatnonzero(occurs), np.where(occurs, np.cumsum(occurs, dtype=np.int32) - 1, np.int32(-1))
