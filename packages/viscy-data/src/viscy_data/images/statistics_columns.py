"""The columns of the statistics table: of what a row is, and what is known of it."""

from typing import Final

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.images.channel_statistics import percentile_column
from viscy_data.tables.normalizations import PERCENTILES

type StatisticsRow = dict[str, object]

LEVEL: Final = "level"
CHANNEL: Final = "channel"
MEAN: Final = "mean"
STD: Final = "std"
MEDIAN: Final = "median"
IQR: Final = "iqr"
NUMBERS: Final = (MEAN, STD, MEDIAN, IQR, *map(percentile_column, PERCENTILES))
"""Columns that are statistics; the others say of what."""
STATISTICS_COLUMNS: Final = (LEVEL, EXPERIMENT, FOV, T, CHANNEL, *NUMBERS)
"""Columns of the statistics table."""

ALL_FRAMES: Final = -1
"""``t`` of a row that is not of a single frame."""

ALL_FOVS: Final = ""
"""``fov`` of a row that is of a whole experiment."""
