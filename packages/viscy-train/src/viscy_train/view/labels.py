"""The columns by which a table of labels finds its cells again.

A label that is given on the page has to reach the cell it was given to, through an index that may be built
anew. So the page writes, beside the label, the experiment, the field of view, the frame and the first of
these that is known of every cell: the id that the tracking program gave it, its name there, its track.
`cell_columns` of an experiments file reads such a table.
"""

from collections.abc import Mapping

import pandas as pd

from viscy_data import columns

TAKEN = frozenset(
    [
        *(one.name for one in (*columns.ANCHOR_COLUMNS, *columns.CHANNEL_COLUMNS, *columns.SOURCE_COLUMNS)),
        columns.HAS_POSITIVE,
        "row",
    ]
)
"""Names that an index does not take for a column of labels."""


def label_keys(obs: pd.DataFrame) -> Mapping[str, list[str]]:
    """Return the columns that say which cell each row is, as text.

    Examples
    --------
    >>> one = pd.DataFrame({"experiment": ["a"], "fov": ["A/1/0"], "track_id": [3], "t": [7]})
    >>> label_keys(one)
    {'experiment': ['a'], 'fov': ['A/1/0'], 'track_id': ['3'], 't': ['7']}
    """
    names = (columns.EXPERIMENT, columns.FOV, _own_key(obs), columns.T)
    return {name: obs[name].astype(object).map(str).tolist() for name in names}


def _own_key(obs: pd.DataFrame) -> str:
    """Return the first column that is known of all cells, and tells the cells of a frame apart."""
    rows = obs[~obs.duplicated([columns.GLOBAL_TRACK_ID, columns.T])] if columns.CHANNEL in obs else obs
    for name in (columns.SOURCE_ID, columns.SOURCE_NAME):
        where = [columns.EXPERIMENT, columns.FOV, columns.T, name]
        if name in obs and obs[name].notna().all() and not rows.duplicated(where).any():
            return name
    return columns.TRACK_ID
