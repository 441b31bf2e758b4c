"""Statistics of images: computed once, stored beside the anchors table, never in the user's store.

A row is of one channel: of one frame of a field of view, of all its frames, or of all fields of an experiment
(the column ``level``), with mean, standard deviation, median, interquartile range and percentiles of all
pixels and slices. Every frame is read once, in memory bounded by one frame, and gives all three levels. How
exact they are: ``viscy_data.images.channel_statistics``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.files.whole import whole_file
from viscy_data.images.focus import FocusCurve, FocusFinder
from viscy_data.images.odd_frames import OddFrame, WatchedStatistics, count_blank_slices, refuse_non_finite
from viscy_data.images.patches import Crop
from viscy_data.images.reading import NonFinite
from viscy_data.images.statistics_columns import (
    ALL_FOVS,
    ALL_FRAMES,
    CHANNEL,
    LEVEL,
    NUMBERS,
    STATISTICS_COLUMNS,
    StatisticsRow,
)
from viscy_data.images.store import MissingChunks, StoreReader
from viscy_data.images.stored_statistics import one_for_all, stored_rows
from viscy_data.progress import progress_bar
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.normalizations import Level

_NOTE: Final = b"viscy_data"


@dataclass(frozen=True)
class FovStatistics:
    """What reading one field of view gave.

    Attributes
    ----------
    rows
        Of all its frames, and of each.
    odd
        Frames that are blank, or hold pixels that are not finite.
    channels
        What the experiment's statistics are merged from, by place of the channel.
    focus
        Where channels are in focus whose focus is asked for.
    whole
        Of the experiment, where the store's attributes say them.
    """

    rows: list[StatisticsRow]
    odd: list[OddFrame]
    channels: list[WatchedStatistics]
    focus: list[FocusCurve] = field(default_factory=list)
    whole: list[StatisticsRow] = field(default_factory=list)


def compute_statistics(
    experiments: Experiments,
    *,
    progress: bool = True,
    missing_chunks: MissingChunks = "error",
    non_finite: NonFinite = "error",
) -> pd.DataFrame:
    """Compute the statistics of every channel of every fov that is not excluded, at every level.

    Parameters
    ----------
    experiments
        Their stores are read whole, one frame at a time.
    progress
        Show a progress bar with the rate in frames.
    missing_chunks
        As in ``StoreReader``.
    non_finite
        ``"error"``, or ``"fill"``: pixels that are NaN or infinite are left out.

    Returns
    -------
    DataFrame
        One row for each level's frame, field of view or experiment and channel: ``STATISTICS_COLUMNS``.

    Raises
    ------
    StoreError
        Where a frame cannot be read, or pixels are not finite, all of which are named.

    Notes
    -----
    Blank frames are left out (``viscy_data.images.odd_frames``).
    Where ``store_attributes`` of an experiment holds ``normalization``, its store's attributes are taken.
    Percentiles are exact for integers of up to 16 bits and a sample's otherwise (``channel_statistics``).
    """
    reader = StoreReader(experiments, missing_chunks=missing_chunks)
    rows: list[StatisticsRow] = []
    kept = [
        (one, [fov for fov in reader.fovs(one.name) if fov.fov not in one.exclude_fovs])
        for one in experiments.experiments
    ]
    frames = sum(fov.shape[0] for _, fovs in kept for fov in fovs)
    odd: list[OddFrame] = []
    with progress_bar("statistics", frames, unit="frames", shown=progress) as advance:
        for experiment, fovs in kept:
            found = [fov_statistics(reader, experiment, fov, advance=advance) for fov in fovs]
            rows += experiment_rows(experiment, found)
            odd += [one for of_fov in found for one in of_fov.odd]
    if non_finite == "error":
        refuse_non_finite(odd)
    for row in rows:
        check_finite(row)
    return statistics_table(rows)


def fov_statistics(
    reader: StoreReader, experiment: Experiment, fov: FovInfo, *, advance: Callable[[int], None]
) -> FovStatistics:
    """Return the statistics of one field of view; ``advance`` is told of each frame.

    Where the store's attributes say all that is asked for, no frame is read.
    """
    stored = stored_rows(experiment, fov) if "normalization" in experiment.store_attributes else None
    finders = {name: FocusFinder() for name in experiment.slices.estimated}
    if stored is not None and not finders:
        advance(fov.shape[0])
        return FovStatistics(stored[0], [], [], [], stored[1])
    frames, _, depth, height, width = fov.shape
    channels = [WatchedStatistics() for _ in experiment.channels]
    odd: list[OddFrame] = []
    rows: list[StatisticsRow] = []
    for t in range(frames):
        reader.refuse_bombs(experiment.name, fov.fov, t)
        (pixels,) = reader.read([Crop(experiment.name, fov.fov, t, (0, depth), (0, height), (0, width))])
        for name, all_frames, channel in zip(experiment.channels, channels, pixels, strict=True):
            one = WatchedStatistics()
            blank, non_finite = one.add(channel)
            slices = 0 if blank or depth == 1 else count_blank_slices(channel)
            if blank or non_finite or slices:
                odd.append(OddFrame(experiment.name, fov.fov, t, name, blank, non_finite, slices))
            rows.append(_row("frame", experiment, fov.fov, t, name, one))
            all_frames.merge(one)
            if name in finders:
                finders[name].add(channel)
        advance(1)
    named = zip(experiment.channels, channels, strict=True)
    own = [_row("field", experiment, fov.fov, ALL_FRAMES, name, one) for name, one in named if frames]
    for one in channels:
        one.thin()
    focus = [finder.result(name) for name, finder in finders.items()]
    if stored is not None:
        return FovStatistics(stored[0], odd, [], focus, stored[1])
    return FovStatistics(own + rows, odd, channels, focus)


def experiment_rows(experiment: Experiment, fovs: Sequence[FovStatistics]) -> list[StatisticsRow]:
    """Return the rows of an experiment's fields of view, in their order, and after them its own."""
    rows = [row for one in fovs for row in one.rows]
    if "normalization" in experiment.store_attributes:
        return rows + one_for_all(experiment, [row for one in fovs for row in one.whole])
    for place, name in enumerate(experiment.channels):
        whole = WatchedStatistics()
        for one in fovs:
            whole.merge(one.channels[place])
        rows.append(_row("experiment", experiment, ALL_FOVS, ALL_FRAMES, name, whole))
    return rows


def _row(
    level: Level, experiment: Experiment, fov: str, t: int, channel: str, of: WatchedStatistics
) -> StatisticsRow:
    return {LEVEL: level, EXPERIMENT: experiment.name, FOV: fov, T: t, CHANNEL: channel} | of.result()


def statistics_table(rows: Sequence[StatisticsRow]) -> pd.DataFrame:
    """Return the table of rows of :func:`experiment_rows`."""
    return pd.DataFrame(rows, columns=list(STATISTICS_COLUMNS)).astype({T: np.int32})


def check_finite(row: StatisticsRow) -> None:
    """Refuse a field of view or an experiment of which no pixel was finite.

    Raises
    ------
    StoreError
        Naming it.
    """
    if row[LEVEL] != "frame" and all(np.isnan(cast("float", row[name])) for name in NUMBERS):
        where = " ".join(f"{name}={row[name]!r}" for name in (EXPERIMENT, FOV, CHANNEL))
        raise StoreError(
            f"{where}: no pixel is finite; leave this channel out of channels, or the fov out (exclude_fovs)."
        )


def statistics_path(anchors_path: str | Path) -> Path:
    """Return where the statistics of an anchors table are stored.

    Examples
    --------
    >>> statistics_path("run/anchors.parquet").name
    'anchors.statistics.parquet'
    """
    path = Path(anchors_path)
    return path.with_name(f"{path.stem}.statistics.parquet")


def write_statistics(
    path: str | Path, statistics: pd.DataFrame, note: Mapping[str, object] | None = None
) -> None:
    """Write a table of ``compute_statistics`` as Parquet, whole or not at all, with plain values."""
    table = pa.Table.from_pandas(statistics, preserve_index=False)
    held = {**(table.schema.metadata or {}), _NOTE: json.dumps(dict(note or {})).encode()}
    with whole_file(Path(path)) as beside:
        pa_parquet.write_table(table.replace_schema_metadata(held), beside)


def read_note(path: str | Path) -> dict[str, Any]:
    """Return the note of a statistics file; empty where it has none."""
    metadata = pa_parquet.read_schema(path).metadata or {}
    note: dict[str, Any] = json.loads(metadata.get(_NOTE, b"{}"))
    return note


def statistics_of(anchors_path: str | Path, stores: str) -> pd.DataFrame:
    """Read the statistics beside an anchors table, which must be of the same images.

    Parameters
    ----------
    anchors_path
        The table.
    stores
        Digest of what the table was built from; empty: not known.

    Raises
    ------
    InvalidInputError
        As ``read_statistics``, or where they are of other experiments, fields of view or settings.
    """
    path = statistics_path(anchors_path)
    statistics = read_statistics(path)
    own = read_note(path).get("stores", "")
    if stores and own and own != stores:
        raise InvalidInputError(
            f"statistics path={str(path)!r} are not those of {str(anchors_path)!r}: they are of other "
            "experiments, fields of view or settings, by an earlier index. Index again with statistics."
        )
    return statistics


def read_statistics(path: str | Path) -> pd.DataFrame:
    """Read a table of ``write_statistics``.

    Raises
    ------
    InvalidInputError
        Where the file does not exist, cannot be read or lacks a column.
    """
    path = Path(path)
    if not path.exists():
        raise InvalidInputError(
            f"statistics path={str(path)!r} does not exist. Run `viscy-data index`, or write "
            "compute_statistics(experiments) there."
        )
    try:
        statistics = pa_parquet.read_table(path, partitioning=None).replace_schema_metadata(None).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(f"statistics path={str(path)!r} cannot be read: {error}") from error
    try:
        return with_columns(statistics)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def with_columns(statistics: pd.DataFrame) -> pd.DataFrame:
    """Return statistics, or refuse those that lack a column."""
    lacking = [name for name in STATISTICS_COLUMNS if name not in statistics.columns]
    if lacking:
        raise InvalidInputError(
            f"statistics lack the columns {lacking}; they have {list(statistics.columns)}. "
            "Take what compute_statistics returns."
        )
    return statistics
