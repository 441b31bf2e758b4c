"""The formats of tracks, in one tuple: a new format is a file beside this one and an entry here.

Everything else that depends on the format asks the tuple: which format a path has, what an error calls it,
which options of an experiment it leaves no room for, and how it is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.ctc import find_track_list, read_ctc
from viscy_data.tables.tracks.detections import Detections
from viscy_data.tables.tracks.geff import is_geff, read_geff
from viscy_data.tables.tracks.table_files import CSV_SUFFIXES, PARQUET_SUFFIXES, is_table, read_table
from viscy_data.tables.tracks.trackmate import is_trackmate, read_trackmate


@dataclass(frozen=True)
class Format:
    """How tracks of one format are recognised, named and read.

    Attributes
    ----------
    kind
        What messages call one.
    places
        Where messages say that they are looked for, with ``fov`` the name of a field of view.
    is_one
        Whether a path, as its name and what is there show, is one.
    read
        From a path, its experiment and the fields of view of the store: the detections of field number i;
        i is None for a file over several fields, which says itself of which each row is.
    suffixes
        Ends of the names of its files; a format of folders has none.
    several
        Whether one file may hold several fields of view.
    says
        Options of an experiment that the file itself answers, so that they are refused.
    has_columns
        Whether it may hold columns of a user's own, beside places and links.
    """

    kind: str
    places: str
    is_one: Callable[[Path], bool]
    read: Callable[[Path, Experiment, Sequence[FovInfo], int | None], Detections]
    suffixes: tuple[str, ...] = ()
    several: bool = False
    says: tuple[str, ...] = ()
    has_columns: bool = True


def _read_table(path: Path, experiment: Experiment, fovs: Sequence[FovInfo], i: int | None) -> Detections:
    return read_table(path, experiment, fovs, fov=i)


def _read_geff(path: Path, experiment: Experiment, fovs: Sequence[FovInfo], i: int | None) -> Detections:
    return read_geff(path, experiment, fovs[i or 0], i or 0)


def _read_trackmate(path: Path, experiment: Experiment, fovs: Sequence[FovInfo], i: int | None) -> Detections:
    return read_trackmate(path, experiment, fovs[i or 0], i or 0)


def _is_ctc(path: Path) -> bool:
    return find_track_list(path) is not None


def _read_ctc(path: Path, _: Experiment, fovs: Sequence[FovInfo], i: int | None) -> Detections:
    track_list = find_track_list(path)
    assert track_list is not None, "asked of folders that `_is_ctc` takes"
    return replace(read_ctc(track_list, fovs[i or 0], i or 0), unit_stated=True)


FORMATS: Final = (
    Format(
        "a Cell Tracking Challenge folder",
        "a Cell Tracking Challenge folder (fov)",
        _is_ctc,
        _read_ctc,
        says=("track_names", "track_unit", "track_filter"),
        has_columns=False,
    ),
    Format(
        "a table",
        "a table with a 'fov' column, fov/*.csv, fov/*.parquet, fov.csv",
        is_table,
        _read_table,
        suffixes=CSV_SUFFIXES + PARQUET_SUFFIXES,
        several=True,
        says=("track_filter",),
    ),
    Format("a GEFF", "a GEFF (fov.geff)", is_geff, _read_geff),
    Format(
        "a TrackMate file",
        "a TrackMate file (fov.xml)",
        is_trackmate,
        _read_trackmate,
        suffixes=(".xml",),
        says=("track_names", "track_unit", "track_filter"),
    ),
)
"""In the order in which a path is asked: the first that takes it is its format."""


def format_of(path: Path) -> Format | None:
    """Return the format of the tracks at a path, or None where there are no tracks of a known format.

    Examples
    --------
    >>> format_of(Path("tracks.csv")).kind, format_of(Path("tracks.txt"))
    ('a table', None)
    """
    return next((one for one in FORMATS if one.is_one(path)), None)
