"""From a row for each cell and frame to a row for each of its channels (``samples: channels``).

Experiments seldom have the same stains. A patch of all channels fits those alone that agree in number and
meaning of channels; with a patch of one channel, any do, and batches are grouped by what the channel shows,
its *marker*. So each row of the anchors becomes as many as the experiment has channels, neighbours in the
table, which hold the same except ``channel`` and ``marker``. ``cell_id`` numbers the rows that there were:
what has one number is one cell in one frame, seen through different channels.

A number is all that telling them apart takes. Names, of which there would be as many as cells and frames,
would cost a reader of 100 million rows some 10 GB; the numbers take 4 bytes a row in memory and, as they
ascend, next to nothing in the file.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import CELL_ID, CHANNEL, CONDITION, FOV, MARKER, T
from viscy_data.tables.experiment import Experiment

type BlankChannel = tuple[str, int, str]
"""Field of view, frame and channel of an image that shows nothing."""


def channel_rows(
    frame: pd.DataFrame, experiment: Experiment, blank: Sequence[BlankChannel]
) -> tuple[pd.DataFrame, dict[str | None, int]]:
    """Return the rows of each channel, by cell and then by the channel's name.

    Parameters
    ----------
    frame
        Anchors of one experiment, a row for each cell and frame.
    experiment
        Whose channels they are.
    blank
        Images of which no row is kept.

    Returns
    -------
    frame
        With ``channel``, ``marker`` and ``cell_id``.
    dropped
        Rows of blank images, by condition.

    Examples
    --------
    >>> experiment = Experiment(name="a", data_path="a", tracks_path="a", channels={"RFP": "ER", "BF": "BF"})
    >>> rows, _ = channel_rows(pd.DataFrame({"track_id": [4, 7]}), experiment, [])
    >>> rows.astype(str).to_numpy().tolist()
    [['4', 'BF', 'BF', '0'], ['4', 'RFP', 'ER', '0'], ['7', 'BF', 'BF', '1'], ['7', 'RFP', 'ER', '1']]
    """
    channels = sorted(experiment.channels)
    markers = [experiment.marker_of(channel) for channel in channels]
    shown = sorted(set(markers))
    cells, count = len(frame), len(channels)
    columns: dict[str, Any] = {str(name): _repeat(frame[name], count) for name in frame}
    columns[CHANNEL] = _tile(range(count), channels, cells)
    columns[MARKER] = _tile([shown.index(marker) for marker in markers], shown, cells)
    columns[CELL_ID] = np.repeat(np.arange(cells, dtype=np.int32), count)
    rows = pd.DataFrame(columns, copy=False)
    lost = _is_blank(rows, channels, blank)
    if not lost.any():
        return rows, {}
    names: list[str | None] = [*rows[CONDITION].cat.categories, None]  # -1 is null
    codes, counts = np.unique(rows[CONDITION].cat.codes.to_numpy()[lost], return_counts=True)
    dropped = {names[code]: many for code, many in zip(codes.tolist(), counts.tolist(), strict=True)}
    return rows[~lost].reset_index(drop=True), dropped


def _repeat(column: "pd.Series[Any]", times: int) -> Any:
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = np.repeat(column.cat.codes.to_numpy(), times)
        return pd.Categorical.from_codes(codes, dtype=column.dtype, validate=False)
    return np.repeat(column.to_numpy(), times)


def _tile(codes: Sequence[int], names: Sequence[str], times: int) -> pd.Categorical:
    every = np.tile(np.array(codes, dtype=np.min_scalar_type(-len(names))), times)
    return pd.Categorical.from_codes(every, categories=pd.Index(list(names), dtype="str"))


def _is_blank(
    rows: pd.DataFrame, channels: Sequence[str], blank: Sequence[BlankChannel]
) -> NDArray[np.bool_]:
    """Say of each row (N,) whether its channel's image is one of ``blank``."""
    if not blank:
        return np.zeros(len(rows), dtype=np.bool_)
    fovs = rows[FOV].cat.categories
    number = {str(name): i for i, name in enumerate(fovs)}
    known = [(number[fov], t, channels.index(channel)) for fov, t, channel in blank if fov in number]
    listed = np.array(known, dtype=np.int64).reshape(-1, 3)
    t = rows[T].to_numpy().astype(np.int64)
    frames = int(max(listed[:, 1].max(initial=0), t.max(initial=0))) + 1
    fov, channel = (rows[name].cat.codes.to_numpy().astype(np.int64) for name in (FOV, CHANNEL))
    keys = (fov * frames + t) * len(channels) + channel
    return np.isin(keys, (listed[:, 0] * frames + listed[:, 1]) * len(channels) + listed[:, 2])
