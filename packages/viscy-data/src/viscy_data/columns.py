"""Every column of the anchors table: name, dtype and unit, in one place.

One row of the anchors table is one cell in one frame, or one channel of it. ``y`` and ``x`` are pixels of
the store, ``z`` is a slice, ``t`` a frame, hours are hours post infection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

EXPERIMENT: Final = "experiment"
CONDITION: Final = "condition"
WELL: Final = "well"
FOV: Final = "fov"
TRACK_ID: Final = "track_id"
PARENT_TRACK_ID: Final = "parent_track_id"
T: Final = "t"
GLOBAL_TRACK_ID: Final = "global_track_id"
LINEAGE_ID: Final = "lineage_id"
HOURS: Final = "hours_post_infection"
Y: Final = "y"
X: Final = "x"
Z: Final = "z"
Y_CROP: Final = "y_crop"
X_CROP: Final = "x_crop"
OUTSIDE: Final = "outside"
CHANNEL: Final = "channel"
MARKER: Final = "marker"
CELL_ID: Final = "cell_id"
SOURCE_ID: Final = "source_id"
SOURCE_NAME: Final = "source_name"
SOURCE_TRACK_ID: Final = "source_track_id"
SOURCE_TRACK_NAME: Final = "source_track_name"

HAS_POSITIVE: Final = "has_positive"
"""Column that an index has beside those of ``ANCHOR_COLUMNS``: whether the anchor has a positive."""

SOURCE_KEYS: Final[Mapping[str, str]] = {
    HOURS: "interval_minutes and start_hpi",
    CONDITION: "condition_wells",
}
"""Keys of the experiments file without which a column is null."""

MISSING_WORDS: Final = (
    *("", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL", "null", "None", "none", "NaT"),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""What programs write into a text table where a value is missing; so no name and no class is called that."""

NO_PARENT: Final = -1
"""Value of ``parent_track_id`` for a track that has no parent."""


@dataclass(frozen=True)
class Column:
    """One column of the anchors table."""

    name: str
    dtype: Literal["dictionary", "int16", "int32", "int64", "float32"]
    unit: str
    meaning: str


ANCHOR_COLUMNS: Final = (
    Column(EXPERIMENT, "dictionary", "", "name in the experiments file"),
    Column(CONDITION, "dictionary", "", "condition of the well; null where not known"),
    Column(WELL, "dictionary", "", "row/column of the plate"),
    Column(FOV, "dictionary", "", "row/column/position: a field of view inside its store"),
    Column(TRACK_ID, "int32", "", "label of the track inside its fov"),
    Column(PARENT_TRACK_ID, "int32", "", "track that divided into this one; -1 for none"),
    Column(T, "int32", "frame", "frame of the movie"),
    Column(GLOBAL_TRACK_ID, "dictionary", "", "experiment/well/fov/track_id"),
    Column(LINEAGE_ID, "dictionary", "", "global_track_id of the root ancestor"),
    Column(HOURS, "float32", "hour", "hours post infection; null where the interval is not known"),
    Column(Y, "float32", "pixel", "row of the cell's centre"),
    Column(X, "float32", "pixel", "column of the cell's centre"),
    Column(Z, "int16", "slice", "slice of the cell's centre"),
    Column(Y_CROP, "int32", "pixel", "row of the patch centre; with border='shift' moved to fit"),
    Column(X_CROP, "int32", "pixel", "column of the patch centre; with border='shift' moved to fit"),
    Column(OUTSIDE, "float32", "", "share of the patch that lies outside the image, before it is moved"),
)
"""The anchors table's columns, in order."""

CHANNEL_COLUMNS: Final = (
    Column(CHANNEL, "dictionary", "", "channel that the row's patch shows, by its name in the store"),
    Column(MARKER, "dictionary", "", "what that channel shows, as the experiments file says"),
    Column(CELL_ID, "int32", "", "number of the cell in this frame, the same in all its channels"),
)
"""Columns that follow where a row is one channel of a cell in a frame (``samples: channels``)."""

SOURCE_COLUMNS: Final = (
    Column(SOURCE_ID, "int64", "", "id that the tracking file gives the cell in this frame: node, spot, row"),
    Column(SOURCE_NAME, "dictionary", "", "the same where it is text: a renamed spot, an id with letters"),
    Column(SOURCE_TRACK_ID, "int64", "", "track in the tracking file; null where it is track_id"),
    Column(SOURCE_TRACK_NAME, "dictionary", "", "name that somebody gave that track"),
)
"""What tracking programs call cells and tracks: columns that a table has where a file of it has them.

Numbers are 64 bits wide, as ids of nodes are, and null where a file gives none.
"""
