"""Splits that keep what belongs together on one side: lineages, or whole experiments.

Which side a lineage takes depends on its name, the seed and nothing else, so that a table that grows
keeps every lineage where it was.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from viscy_data.columns import EXPERIMENT, LINEAGE_ID
from viscy_data.composition import keyed
from viscy_data.composition.keyed import Purpose
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.tables.codes import codes_of
from viscy_data.tables.lineage import BoolArray


def split_lineages(anchors: pd.DataFrame, fraction: float, seed: int = 0) -> tuple[BoolArray, BoolArray]:
    """Split a table by lineage.

    Parameters
    ----------
    anchors
        Anchors table with ``lineage_id``, N rows.
    fraction
        How likely a lineage is to be held out, 0 < fraction < 1. Each side gets at least one.
    seed
        Another seed is another split.

    Returns
    -------
    train, validation
        (N,) each; every row is in one of them.

    Raises
    ------
    InvalidInputError
        Where the fraction is not allowed or the table has fewer than two lineages.

    Examples
    --------
    >>> table = pd.DataFrame({"lineage_id": ["a", "b", "a", "c"]})
    >>> train, validation = split_lineages(table, 0.5)
    >>> bool(train[0] == train[2]), bool((train ^ validation).all())
    (True, True)
    """
    if not 0 < fraction < 1:
        raise InvalidInputError(f"fraction={fraction!r}: a number between 0 and 1, both left out, is needed")
    codes, names = _values(anchors, LINEAGE_ID)
    if len(names) < 2:
        raise InvalidInputError(
            f"anchors: a split by lineage needs at least 2 lineages; the table has {len(names)}"
        )
    hashes = pd.util.hash_array(names.to_numpy(dtype=object), categorize=False)
    words = keyed.words(seed, Purpose.SPLIT, hashes)
    place = np.argsort(words, kind="stable")
    held = words < np.uint64(int(fraction * 2.0**64))
    held[place[0]], held[place[-1]] = True, False
    validation = held[codes]
    return ~validation, validation


def leave_one_out(anchors: pd.DataFrame, by: str = EXPERIMENT) -> Iterator[tuple[str, BoolArray, BoolArray]]:
    """Hold out the values of a column one after the other, in sorted order.

    Yields
    ------
    name
        The value held out.
    train, test
        (N,) each; every row is in one of them.

    Raises
    ------
    InvalidInputError
        Where the column is missing, holds missing values or fewer than two values.

    Examples
    --------
    >>> table = pd.DataFrame({"experiment": ["a", "b", "b"]})
    >>> [(name, test.tolist()) for name, _, test in leave_one_out(table)]
    [('a', [True, False, False]), ('b', [False, True, True])]
    """
    codes, names = _values(anchors, by)
    if len(names) < 2:
        raise InvalidInputError(
            f"by={by!r}: leaving one out needs at least 2 values; the table has {len(names)}"
        )
    for i in np.argsort(names.astype(str)):
        test = codes == i
        yield str(names[i]), ~test, test


def _values(anchors: pd.DataFrame, by: str) -> "tuple[Any, pd.Index[Any]]":
    """Return the code of each row (N,) and the values that occur."""
    if by not in anchors:
        held = [str(name) for name in anchors.columns]
        raise InvalidInputError(
            f"anchors: no column {by!r}; the table has {', '.join(held)}.{suggest(by, held)}"
        )
    column = anchors[by]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
    return codes_of(column)
