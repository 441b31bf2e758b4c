"""Which columns of a table of cells say something of the experiment, of a cell in a frame, or of a channel.

VisCy's table has a row for each cell, frame and channel. Ours is made of tracks, which have one for each cell
and frame, and of the experiments file, which has one value for all. So the rows of one cell are put side by
side, and a column is looked at: one value throughout belongs to the experiment; values that all channels of a
cell share belong to the tracks; what differs between the channels of a cell has no place.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import FOV, NO_PARENT, TRACK_ID, T
from viscy_data.text import shown

_CHANNEL = "channel_name"


@dataclass(frozen=True)
class Cells:
    """Rows of a table, ordered by fov, frame and track, with the channels of a cell side by side.

    Attributes
    ----------
    frame
        (n * channels,) the rows.
    channels
        How many rows a cell has in a frame.
    """

    frame: pd.DataFrame
    channels: int

    @classmethod
    def of(cls, frame: pd.DataFrame, channels: int) -> "Cells":
        """Order the rows of a table.

        Raises
        ------
        ValueError
            Where a cell is there twice in one channel, or lacks one that others have.
        """
        keys = [FOV, T, TRACK_ID, _CHANNEL]
        frame = frame.sort_values(keys, kind="stable", ignore_index=True)
        twice = frame.duplicated(keys)
        if twice.any():
            raise ValueError(f"two rows for {_named(frame, int(np.argmax(twice)))}; keep one")
        counts = frame.groupby(keys[:3], observed=True, sort=False)[_CHANNEL].transform("size")
        lacking = counts != channels
        if lacking.any():
            place = int(np.argmax(lacking))
            raise ValueError(
                f"the cell of {_named(frame, place)} has rows of {counts.iloc[place]} of the {channels} "
                "channels of its field of view; add the others, or leave this cell out"
            )
        return cls(frame, channels)

    def first(self) -> pd.DataFrame:
        """Return the first row of each cell (n,)."""
        return self.frame.iloc[:: self.channels].reset_index(drop=True)

    def differs(self, column: str) -> int | None:
        """Return a row in which a column differs from another channel of the cell; None: there is none."""
        codes = codes_of(self.frame[column]).reshape(-1, self.channels)
        rows = np.flatnonzero((codes != codes[:, :1]).any(axis=1))
        return None if not len(rows) else int(rows[0]) * self.channels

    def named(self, row: int) -> str:
        """Return field of view, frame and track of a row, for a message."""
        return _named(self.frame, row)


def codes_of(column: "pd.Series[Any]") -> NDArray[np.int64]:
    """Return a number for each value of a column; one for all that are missing."""
    codes, _ = pd.factorize(column, use_na_sentinel=True)
    return np.asarray(codes, dtype=np.int64)


def values_of(column: "pd.Series[Any]") -> list[Any]:
    """Return the values of a column that are not missing, as plain ones, in the order in which they come."""
    found = pd.Series(column.dropna().unique())
    if pd.api.types.is_float_dtype(found.dtype):
        return [float(str(one)) for one in found.to_numpy()]  # 0.1 as 32 bits is 0.1, not 0.10000000149
    return [one.item() if isinstance(one, np.generic) else one for one in found.tolist()]


def only_value(frame: pd.DataFrame, column: str) -> Any:
    """Return the one value of a column; None: it is missing in all rows, or there is no such column.

    Raises
    ------
    ValueError
        Where there are several.
    """
    found = values_of(frame[column]) if column in frame else []
    if len(found) > 1:
        listed = ", ".join(shown(one) for one in found[:3])
        raise ValueError(
            f"column {column!r} has {len(found)} values ({listed}) where an experiment has one; give these "
            "rows names of their own in 'experiment'"
        )
    return found[0] if found else None


def whole(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return whole numbers as integers; of mothers some are missing: there is none.

    Raises
    ------
    ValueError
        Where a number is not whole.
    """
    if pd.api.types.is_integer_dtype(column.dtype) and not pd.api.types.is_unsigned_integer_dtype(
        column.dtype
    ):
        return column
    values = column.fillna(NO_PARENT).to_numpy(np.float64)
    wrong = np.flatnonzero(~(np.abs(values) < 2**53) | (values != np.floor(values)))
    if len(wrong):
        raise ValueError(
            f"column {column.name!r}: row {wrong[0]} of the experiment: {values[wrong[0]]:g} is not a whole "
            "number below 2**53; correct it"
        )
    return pd.Series(values.astype(np.int64), index=column.index, name=column.name)


def _named(frame: pd.DataFrame, row: int) -> str:
    names = (FOV, T, TRACK_ID, _CHANNEL)
    return " ".join(f"{name}={shown(frame[name].iloc[row])}" for name in names)
