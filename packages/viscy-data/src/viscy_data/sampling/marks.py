"""Lineage, frame and hour of the anchors of a table, as codes that a report counts with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, HOURS, LINEAGE_ID, TRACK_ID, T
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.tally import Marks


def marks_of(anchors: pd.DataFrame) -> Marks:
    """Return what the table says of lineages, frames, tracks and hours; columns that it lacks are None.

    A missing lineage is one of its own. A frame is (experiment, fov, t): names of fields of view
    recur from store to store.

    Examples
    --------
    >>> marks_of(pd.DataFrame({"fov": ["A/1/0", "A/1/0", "A/1/1"], "t": [3, 3, 3]})).frame.tolist()
    [0, 0, 1]
    """
    there = set(anchors.columns)
    fov = [name for name in (EXPERIMENT, FOV) if name in there]
    return Marks(
        lineage=_codes(anchors, [LINEAGE_ID]) if LINEAGE_ID in there else None,
        frame=_codes(anchors, [*fov, T]) if {FOV, T} <= there else None,
        fov=_codes(anchors, fov) if FOV in there else None,
        track=_codes(anchors, [*fov, TRACK_ID]) if {FOV, TRACK_ID} <= there else None,
        time=_codes(anchors, [T]) if T in there else None,
        hours=anchors[HOURS].to_numpy(dtype=np.float32, na_value=np.nan) if HOURS in there else None,
    )


def check_rows(anchors: object, count: int) -> None:
    """Refuse a table that is not the one of ``count`` anchors that a sampler was built on."""
    if not isinstance(anchors, pd.DataFrame) or len(anchors) != count:
        got = f"{len(anchors)} rows" if isinstance(anchors, pd.DataFrame) else type(anchors).__name__
        raise InvalidInputError(
            f"table={got}: the sampler was built on {count} anchors; give the same table, row for row."
        )


def _codes(anchors: pd.DataFrame, names: Sequence[str]) -> NDArray[Any]:
    """Return a code per combination of values, in the smallest dtype that holds them."""
    codes = np.zeros(len(anchors), dtype=np.int64)
    span = 1
    for name in names:
        more, count = _codes_of(anchors[name])
        codes = codes * count + more
        span *= count
    return codes.astype(np.min_scalar_type(span))


def _codes_of(column: "pd.Series[Any]") -> tuple[NDArray[Any], int]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, count = column.cat.codes.to_numpy(), len(column.cat.categories)
    else:
        codes, values = pd.factorize(column)
        count = len(values)
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        codes = codes.astype(np.int64)
        codes[missing] = count + np.arange(missing.size)
    return codes, count + missing.size
