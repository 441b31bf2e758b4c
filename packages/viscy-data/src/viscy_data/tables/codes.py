"""From a column of labels to whole numbers: rows that hold one label have one code."""

from typing import Any

import numpy as np
import pandas as pd

from viscy_data.errors import InvalidInputError
from viscy_data.tables.lineage import IntArray


def codes_of(column: "pd.Series[Any]") -> tuple[IntArray, "pd.Index[Any]"]:
    """Return the code of each row (N,), and the labels that the codes are places in.

    A categorical column keeps its codes, and with them categories that no row has; any other column is
    sorted.

    Raises
    ------
    InvalidInputError
        Where a label is missing.

    Examples
    --------
    >>> codes, labels = codes_of(pd.Series(["b", "a", "b"], name="experiment"))
    >>> codes.tolist(), labels.tolist()
    ([1, 0, 1], ['a', 'b'])
    """
    coded = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")
    codes = coded.cat.codes.to_numpy().astype(np.int64)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise InvalidInputError(
            f"{column.name}: {len(missing)} missing values, the first in row {missing[0]}"
        )
    return codes, coded.cat.categories
