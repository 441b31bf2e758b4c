"""Columns that tell where to look first, made of a cell's neighbours.

Every page could be coloured by hand until something strange is found. Three numbers find it sooner: how far a
cell is from anything in other experiments, whether its neighbours are of its own experiment, and whether its
neighbours elsewhere share its condition. A cell that stands out in one of them is worth a look, no more: a
rare phenotype does, too.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from viscy_data import columns
from viscy_train.evaluation.arrays import FloatArray
from viscy_train.evaluation.cells import codes_of
from viscy_train.view.cells import Viewed
from viscy_train.view.neighbours import COUNT, Neighbours, similarity

if TYPE_CHECKING:
    import pandas as pd

DISTANCE = "distance to the nearest cell of another experiment"
OWN_SHARE = "share of its nearest cells that are of its own experiment"


def alike(name: str) -> str:
    """Return the name of the share of neighbours elsewhere that have the cell's value of a column."""
    return f"share of its nearest cells elsewhere with its {name}"


def looks(cells: Viewed, found: Neighbours) -> dict[str, FloatArray]:
    """Return the columns (N,), NaN where they are not known; none of them where there is one experiment."""
    if not (found.elsewhere >= 0).any():
        return {}
    elsewhere, own = similarity(cells.unit, found.elsewhere), similarity(cells.unit, found.own)
    nearest = elsewhere[:, 0]
    made = {
        DISTANCE: np.where(np.isfinite(nearest), 1 - nearest, np.nan),
        OWN_SHARE: _share_of_own(elsewhere, own),
    }
    if columns.CONDITION in cells.obs and cells.obs[columns.CONDITION].nunique() > 1:
        made[alike(columns.CONDITION)] = _share_alike(cells.obs[columns.CONDITION], found)
    return made


def _share_of_own(elsewhere: FloatArray, own: FloatArray) -> FloatArray:
    both = np.concatenate([own, elsewhere], axis=1)
    order = np.argsort(-both, axis=1, kind="stable")[:, :COUNT]
    known = np.isfinite(np.take_along_axis(both, order, axis=1))
    mine = (order < own.shape[1]) & known
    with np.errstate(invalid="ignore"):
        share: FloatArray = mine.sum(axis=1) / known.sum(axis=1)
    return share


def _share_alike(labels: "pd.Series[Any]", found: Neighbours) -> FloatArray:
    codes = codes_of(labels)
    theirs = np.where(found.elsewhere >= 0, codes[found.elsewhere], -1)
    known = theirs >= 0
    same = (theirs == codes[:, None]) & known
    with np.errstate(invalid="ignore"):
        share = same.sum(axis=1) / known.sum(axis=1)
    return np.where(codes >= 0, share, np.nan)
