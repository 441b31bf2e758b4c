"""The anchors of a file that have a positive under a rule: what a run composes its batches of.

An index says of every row whether its cell has a later relative within the range that it was built with.
Another rule needs other columns, and all rows of them: a positive may be a row that has none itself. So the
columns that decide are read whole, then those that were asked for, of the rows that are left.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import HAS_POSITIVE
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.tables.anchors.read import column_names, read_anchors, read_metadata, row_count
from viscy_data.tables.lineage import BoolArray
from viscy_data.tables.pairing import Pairing, check_positive, columns_of, positives_of, say_none


def read_valid_anchors(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    positive: str | None = None,
    pairing: Pairing = Pairing(),  # noqa: B008  frozen
    parts: NDArray[np.integer[Any]] | None = None,
) -> pd.DataFrame:
    """Read the anchors that have a positive under a rule.

    Rows, their order and their index are those of ``valid_anchors`` of an `AnchorDataset` of the same rule.

    Parameters
    ----------
    path
        The anchors table.
    columns
        Names of the columns; None: all.
    positive, pairing, parts
        The rule, as `AnchorDataset` takes it.

    Raises
    ------
    InvalidInputError
        Where the file is not an anchors table, a name is not in it, or the rule contradicts itself;
        or where no anchor has a positive.
    """
    metadata, held = read_metadata(path), column_names(path)
    rule = check_positive(positive, pairing)
    indexed = pairing.tau in (None, metadata.tau) and not pairing.sisters and HAS_POSITIVE in held
    if rule == "lineage" and indexed:
        valid = read_anchors(path, columns=columns, filters=[(HAS_POSITIVE, "==", True)])
    else:
        has_positive = positives_in(path, positive=positive, pairing=pairing, parts=parts)
        valid = read_anchors(path, columns=columns)
        valid = valid if has_positive is None else valid[has_positive].reset_index(drop=True)
    if not len(valid) and row_count(path):
        raise InvalidInputError(say_none(row_count(path), positive, pairing))
    return valid


def positives_in(
    path: str | Path,
    *,
    positive: str | None = None,
    pairing: Pairing = Pairing(),  # noqa: B008  frozen
    parts: NDArray[np.integer[Any]] | None = None,
) -> BoolArray | None:
    """Return which rows (M,) of a file have a positive under a rule; None: each is its own."""
    if check_positive(positive, pairing) == "self":
        return None
    metadata, held = read_metadata(path), column_names(path)
    for name in pairing.columns:
        if name not in held or name == HAS_POSITIVE:
            raise InvalidInputError(
                f"pairing: by={name!r} is not a column of {str(path)!r}, which has {', '.join(held)}."
                f"{suggest(name, held)}"
            )
    table = read_anchors(path, columns=[name for name in columns_of(positive, pairing) if name in held])
    draws = positives_of(
        table, metadata.experiments, positive=positive, pairing=pairing, tau=metadata.tau, parts=parts
    )
    return None if draws is None else draws.has_positive
