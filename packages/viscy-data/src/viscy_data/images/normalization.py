"""Statistics of images, and what they make of a patch.

Statistics are of one channel of one fov, over all its frames (``per="fov"``) or of each frame
(``per="time"``): mean, standard deviation, median and interquartile range of all pixels and slices.
A patch becomes ``(x - centre) / spread``, with mean and std, or median and iqr.

Statistics are computed once, in memory bounded by one frame, and stored beside the anchors table,
never in the user's store. How exact they are: ``viscy_data.images.channel_statistics``.

Rule for a spread of zero: an iqr of 0 (more than half of the pixels are equal, as in a sparse
fluorescence image) is replaced by the std; a std of 0 (a constant image) by 1, so that it becomes 0.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.files.whole import whole_file
from viscy_data.images.odd_frames import OddFrame, WatchedStatistics, count_blank_slices, refuse_non_finite
from viscy_data.images.patches import Crop
from viscy_data.images.reading import NonFinite
from viscy_data.images.store import MissingChunks, StoreReader
from viscy_data.progress import progress_bar
from viscy_data.tables.experiments import Experiment, Experiments, FovInfo

Per = Literal["fov", "time"]
Normalization = Literal["mean_std", "median_iqr"]
FloatArray = NDArray[np.float64]
type StatisticsRow = dict[str, object]

CHANNEL: Final = "channel"
MEAN: Final = "mean"
STD: Final = "std"
MEDIAN: Final = "median"
IQR: Final = "iqr"
STATISTICS_COLUMNS: Final = (EXPERIMENT, FOV, T, CHANNEL, MEAN, STD, MEDIAN, IQR)
"""Columns of the statistics table; ``t`` is -1 in a row that holds for all frames."""

ALL_FRAMES: Final = -1

_NOTE: Final = b"viscy_data"

_CENTRE_AND_SPREAD: Final = {"mean_std": (MEAN, STD), "median_iqr": (MEDIAN, IQR)}


def compute_statistics(
    experiments: Experiments,
    *,
    per: Per = "fov",
    progress: bool = True,
    missing_chunks: MissingChunks = "error",
    non_finite: NonFinite = "error",
) -> pd.DataFrame:
    """Compute the statistics of every channel of every fov that is not excluded.

    Parameters
    ----------
    experiments
        Their stores are read whole, one frame at a time.
    per
        ``"fov"``: over all frames; ``"time"``: of each frame.
    progress
        Show a progress bar with the rate in frames.
    missing_chunks
        As in ``StoreReader``.
    non_finite
        ``"error"``, or ``"fill"``: pixels that are NaN or infinite are left out.

    Returns
    -------
    DataFrame
        One row per fov (and frame) and channel, with ``STATISTICS_COLUMNS``.

    Raises
    ------
    InvalidInputError
        Where ``per`` is not allowed.
    StoreError
        Where a frame cannot be read, or pixels are not finite, all of which are named.

    Notes
    -----
    Blank frames are left out (``viscy_data.images.odd_frames``).
    Median and iqr are exact for integers of up to 16 bits and a sample's otherwise (``channel_statistics``).
    """
    if per not in ("fov", "time"):
        raise InvalidInputError(f"per={per!r} must be 'fov' or 'time'.")
    reader = StoreReader(experiments, missing_chunks=missing_chunks)
    work = [
        (experiment, fov)
        for experiment in experiments.experiments
        for fov in reader.fovs(experiment.name)
        if fov.fov not in experiment.exclude_fovs
    ]
    rows: list[StatisticsRow] = []
    odd: list[OddFrame] = []
    frames = sum(fov.shape[0] for _, fov in work)
    with progress_bar("statistics", frames, unit="frames", shown=progress) as advance:
        for experiment, fov in work:
            own, found = fov_statistics(reader, experiment, fov, per=per, advance=advance)
            rows += own
            odd += found
    if non_finite == "error":
        refuse_non_finite(odd)
    for row in rows:
        check_finite(row)
    return statistics_table(rows)


def fov_statistics(
    reader: StoreReader, experiment: Experiment, fov: FovInfo, *, per: Per, advance: Callable[[int], None]
) -> tuple[list[StatisticsRow], list[OddFrame]]:
    """Return the rows of :func:`compute_statistics` of one fov, and odd frames; ``advance`` is told each."""
    odd: list[OddFrame] = []
    rows: list[StatisticsRow] = [
        {EXPERIMENT: experiment.name, FOV: fov.fov, T: t, CHANNEL: channel} | one.result()
        for t, statistics in _of_fov(reader, experiment, fov, per, advance, odd)
        for channel, one in zip(experiment.channels, statistics, strict=True)
    ]
    return rows, odd


def statistics_table(rows: Sequence[StatisticsRow]) -> pd.DataFrame:
    """Return the table of rows of :func:`fov_statistics`."""
    return pd.DataFrame(rows, columns=list(STATISTICS_COLUMNS)).astype({T: np.int32})


def _of_fov(
    reader: StoreReader,
    experiment: Experiment,
    fov: FovInfo,
    per: Per,
    advance: Callable[[int], None],
    odd: list[OddFrame],
) -> Iterator[tuple[int, list[WatchedStatistics]]]:
    """Yield statistics of all frames, or of each; append to ``odd`` the frames that are."""
    frames, _, depth, height, width = fov.shape
    statistics: list[WatchedStatistics] = []
    for t in range(frames):
        reader.refuse_bombs(experiment.name, fov.fov, t)
        (pixels,) = reader.read([Crop(experiment.name, fov.fov, t, (0, depth), (0, height), (0, width))])
        if per == "time" or t == 0:
            statistics = [WatchedStatistics() for _ in pixels]
        for name, one, channel in zip(experiment.channels, statistics, pixels, strict=True):
            blank, non_finite = one.add(channel)
            slices = 0 if blank or depth == 1 else count_blank_slices(channel)
            if blank or non_finite or slices:
                odd.append(OddFrame(experiment.name, fov.fov, t, name, blank, non_finite, slices))
        advance(1)
        if per == "time":
            yield t, statistics
    if per == "fov" and frames:
        yield ALL_FRAMES, statistics


def check_finite(row: StatisticsRow) -> None:
    """Refuse a row of which no pixel was finite.

    Raises
    ------
    StoreError
        Naming it.
    """
    if np.isnan(cast("float", row[MEAN])):
        names = (EXPERIMENT, FOV, CHANNEL) if row[T] == ALL_FRAMES else (EXPERIMENT, FOV, T, CHANNEL)
        where = " ".join(f"{name}={row[name]!r}" for name in names)
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
        return _with_columns(statistics)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def _with_columns(statistics: pd.DataFrame) -> pd.DataFrame:
    lacking = [name for name in STATISTICS_COLUMNS if name not in statistics.columns]
    if lacking:
        raise InvalidInputError(
            f"statistics lack the columns {lacking}; they have {list(statistics.columns)}. "
            "Take what compute_statistics returns."
        )
    return statistics


@dataclass(frozen=True)
class Normalizer:
    """Centre and spread of every channel, by fov number and frame.

    Attributes
    ----------
    first
        (F,) row of each fov's first frame in the two tables.
    by_time
        Whether each frame has a row of its own.
    centre, spread
        (rows, C) float32, C the most channels that an experiment has; of others, the first ones count.
    """

    first: NDArray[np.int64]
    by_time: bool
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def build(
        cls,
        statistics: pd.DataFrame,
        method: Normalization,
        fovs: Sequence[tuple[str, FovInfo]],
        channels: Mapping[str, tuple[str, ...]],
    ) -> "Normalizer":
        """Look up the statistics of numbered fovs.

        Parameters
        ----------
        statistics
            As ``compute_statistics`` returns them.
        method
            Mean and std, or median and iqr.
        fovs
            Experiment and description of fov number 0, 1, ...
        channels
            What the model sees of each experiment, in order.

        Raises
        ------
        InvalidInputError
            Where ``method`` is not allowed, or statistics lack a fov, frame or channel.
        """
        if method not in _CENTRE_AND_SPREAD:
            raise InvalidInputError(f"normalize={method!r} must be one of {[*_CENTRE_AND_SPREAD]} or None.")
        by_time = bool((_with_columns(statistics)[T] != ALL_FRAMES).any())
        keys = [
            (experiment, info.fov, t, channel)
            for experiment, info in fovs
            for t in (range(info.shape[0]) if by_time else (ALL_FRAMES,))
            for channel in channels[experiment]
        ]
        lengths = [info.shape[0] if by_time else 1 for _, info in fovs]
        widths = np.repeat([len(channels[experiment]) for experiment, _ in fovs], lengths)
        held = np.arange(widths.max(initial=0)) < widths[:, None]
        centre, spread = (_filled(held, values) for values in _look_up(statistics, method, keys))
        return cls(np.cumsum([0, *lengths])[:-1], by_time, centre, spread)

    def centre_of(self, fov: int, t: int, channel: int | None = None) -> NDArray[np.float32]:
        """Return the centre of each channel (C,), or of one (1,)."""
        row = self.first[fov] + (t if self.by_time else 0)
        centre: NDArray[np.float32] = self.centre[row, _columns(channel)]
        return centre

    def apply(self, patch: NDArray[np.float32], fov: int, t: int, channel: int | None = None) -> None:
        """Normalise a patch (C, Z, Y, X) of all channels, or (1, Z, Y, X) of one, in place."""
        row, columns = self.first[fov] + (t if self.by_time else 0), _columns(channel)
        patch -= self.centre[row, columns, None, None, None]
        patch /= self.spread[row, columns, None, None, None]


def _columns(channel: int | None) -> slice:
    return slice(None) if channel is None else slice(channel, channel + 1)


def _filled(held: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values at the places of a table that are held, 1 elsewhere."""
    table = np.ones(held.shape, dtype=np.float32)
    table[held] = values
    return table


def _look_up(
    statistics: pd.DataFrame, method: Normalization, keys: list[tuple[str, str, int, str]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    columns = (statistics[name].to_list() for name in (EXPERIMENT, FOV, T, CHANNEL))
    rows = {key: row for row, key in enumerate(zip(*columns, strict=True))}
    lacking = [key for key in keys if key not in rows]
    if lacking:
        experiment, fov, t, channel = lacking[0]
        raise InvalidInputError(
            f"statistics lack {len(lacking)} of {len(keys)} rows, the first for experiment={experiment!r} "
            f"fov={fov!r} t={t} channel={channel!r}. Compute them anew with compute_statistics."
        )
    taken = statistics.iloc[[rows[key] for key in keys]]
    centre = taken[_CENTRE_AND_SPREAD[method][0]].to_numpy(dtype=np.float32)
    return centre, safe_spread(taken, method).astype(np.float32)


def safe_spread(statistics: pd.DataFrame, method: Normalization) -> FloatArray:
    """Return the spread of each row, never zero (the rule is in the module docstring)."""
    std = statistics[STD].to_numpy(dtype=np.float64)
    spread = statistics[_CENTRE_AND_SPREAD[method][1]].to_numpy(dtype=np.float64)
    spread = np.where(spread > 0, spread, std)
    return np.where(spread > 0, spread, 1.0)
