"""Statistics that a store's attributes hold, as rows of the statistics table.

Reading every frame of a plate takes hours, and a pipeline that prepared the store may have done it. Where the
experiments file asks for them (``store_attributes: [normalization]``), its numbers are taken as they are and
no frame is read, so that blank frames and pixels that are not finite are not found beforehand. What the store
does not say is not known, and a normalisation that needs it is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.errors import StoreError
from viscy_data.images.channel_statistics import percentile_column
from viscy_data.images.statistics_columns import (
    ALL_FOVS,
    ALL_FRAMES,
    CHANNEL,
    IQR,
    LEVEL,
    MEAN,
    MEDIAN,
    NUMBERS,
    STD,
    StatisticsRow,
)
from viscy_data.images.store_metadata import STATISTICS, read_stored_statistics
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.normalizations import Level

_PERCENTILES: Final = {"min": 0.0, "p1": 1.0, "p5": 5.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
_OURS: Final = {"mean": MEAN, "std": STD, "median": MEDIAN, "iqr": IQR} | {
    name: percentile_column(one) for name, one in _PERCENTILES.items()
}


def stored_rows(experiment: Experiment, fov: FovInfo) -> tuple[list[StatisticsRow], list[StatisticsRow]]:
    """Return the rows that a store says of a field of view and its frames, and of the whole experiment.

    Raises
    ------
    StoreError
        Where its attributes hold none of a channel, or hold a value that is not possible.
    """
    found = read_stored_statistics(experiment, fov)
    own: list[StatisticsRow] = []
    whole: list[StatisticsRow] = []
    for channel in experiment.channels:
        if channel not in found:
            raise StoreError(
                f"experiment={experiment.name!r} fov={fov.fov!r} channel={channel!r}: the store's attributes "
                "hold no normalization of it; leave 'normalization' out of store_attributes, so that pixels "
                "are read."
            )
        said = found[channel]
        if said.fov:
            own.append(_row("field", experiment, fov.fov, ALL_FRAMES, channel, said.fov))
        own += [_row("frame", experiment, fov.fov, t, channel, one) for t, one in sorted(said.frames.items())]
        if said.dataset:
            whole.append(_row("experiment", experiment, ALL_FOVS, ALL_FRAMES, channel, said.dataset))
    return own, whole


def one_for_all(experiment: Experiment, rows: Sequence[StatisticsRow]) -> list[StatisticsRow]:
    """Return one row for each channel of what all fields of view say of the whole experiment.

    Raises
    ------
    StoreError
        Where they contradict each other.
    """
    first: dict[object, StatisticsRow] = {}
    for row in rows:
        known = first.setdefault(row[CHANNEL], row)
        if repr(known) != repr(row):  # NaN is not equal to itself
            raise StoreError(
                f"experiment={experiment.name!r} channel={row[CHANNEL]!r}: the attributes of its fields of "
                "view give unlike dataset_statistics of normalization; write them anew, or leave "
                "'normalization' out of store_attributes."
            )
    return list(first.values())


def _row(
    level: Level, experiment: Experiment, fov: str, t: int, channel: str, said: Mapping[str, float]
) -> StatisticsRow:
    row: StatisticsRow = {LEVEL: level, EXPERIMENT: experiment.name, FOV: fov, T: t, CHANNEL: channel}
    row |= dict.fromkeys(NUMBERS, np.nan)
    return row | {_OURS[name]: said[name] for name in STATISTICS if name in said}
