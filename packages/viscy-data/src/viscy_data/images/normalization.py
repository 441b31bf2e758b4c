"""What statistics make of a patch: ``(x - centre) / spread``, by channel, field of view and frame.

Each channel has its own method and level (:mod:`viscy_data.tables.normalizations`); all are affine, so that a
patch needs two numbers for each channel, which may also travel beside it and be applied on the device.

Rule for a spread of zero: an iqr of 0 (more than half of the pixels are equal, as in a sparse fluorescence
image), and two percentiles that are one, are replaced by the std; a std of 0 (a constant image) by 1, so that
it becomes 0. Zero is what 32 bits, in which patches are, make zero, and percentiles in the wrong order, which
rounding in a store's attributes makes, are one. A frame without a
finite pixel takes the statistics of its field of view.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.errors import InvalidInputError
from viscy_data.images.channel_statistics import percentile_column
from viscy_data.images.statistics import with_columns
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
)
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.normalizations import Level, Normalization

FloatArray = NDArray[np.float64]
type Key = tuple[Level, str, str, int, str]
"""Level, experiment, fov, frame and channel of a row of statistics."""


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
        choices: Mapping[str, Sequence[Normalization]],
        fovs: Sequence[tuple[str, FovInfo]],
        channels: Mapping[str, tuple[str, ...]],
    ) -> "Normalizer":
        """Look up the statistics of numbered fovs.

        Parameters
        ----------
        statistics
            As ``compute_statistics`` returns them.
        choices
            How each channel of each experiment is normalised.
        fovs
            Experiment and description of fov number 0, 1, ...
        channels
            What the model sees of each experiment, in order.

        Raises
        ------
        InvalidInputError
            Where statistics lack a fov, frame, channel or value.
        """
        by_time = any(one.level == "frame" for chosen in choices.values() for one in chosen)
        lengths = [info.shape[0] if by_time else 1 for _, info in fovs]
        count = max((len(channels[name]) for name, _ in fovs), default=0)
        centre = np.zeros((sum(lengths), count), dtype=np.float32)
        spread = np.ones((sum(lengths), count), dtype=np.float32)
        held = _Held(with_columns(statistics))
        first = np.cumsum([0, *lengths])[:-1]
        for place in range(count):
            for choice in sorted({one[place] for one in choices.values() if len(one) > place}, key=repr):
                if choice.method == "none":
                    continue
                keys: list[Key] = []
                rows: list[int] = []
                for start, length, (name, info) in zip(first.tolist(), lengths, fovs, strict=True):
                    if tuple(choices[name][place : place + 1]) == (choice,):
                        keys += list(_keys(choice.level, name, info, length, channels[name][place]))
                        rows += range(start, start + length)
                centre[rows, place], spread[rows, place] = held.scale(keys, choice)
        return cls(first, by_time, centre, spread)

    def _row(self, fov: int, t: int) -> int:
        return int(self.first[fov]) + (t if self.by_time else 0)

    def centre_of(self, fov: int, t: int, channel: int | None = None) -> NDArray[np.float32]:
        """Return the centre of each channel (C,), or of one (1,)."""
        centre: NDArray[np.float32] = self.centre[self._row(fov, t), _columns(channel)]
        return centre

    def scale_of(
        self, fov: NDArray[np.int64], t: NDArray[np.int64], channel: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Return centre and spread of frames (B,): (B, 2, C), or (B, 2, 1) of one channel each."""
        rows = self.first[fov] + (t if self.by_time else 0)
        scale = np.stack([self.centre[rows], self.spread[rows]], axis=1)
        return scale if channel is None else np.take_along_axis(scale, channel[:, None, None], axis=2)

    def apply(self, patch: NDArray[np.float32], fov: int, t: int, channel: int | None = None) -> None:
        """Normalise a patch (C, Z, Y, X) of all channels, or (1, Z, Y, X) of one, in place."""
        row, columns = self._row(fov, t), _columns(channel)
        patch -= self.centre[row, columns, None, None, None]
        patch /= self.spread[row, columns, None, None, None]


def _columns(channel: int | None) -> slice:
    return slice(None) if channel is None else slice(channel, channel + 1)


def _keys(level: Level, experiment: str, info: FovInfo, rows: int, channel: str) -> Iterator[Key]:
    """Yield the statistics of each row of a fov: of frame after frame, or one for all."""
    for t in range(rows):
        fov = ALL_FOVS if level == "experiment" else info.fov
        yield level, experiment, fov, t if level == "frame" else ALL_FRAMES, channel


class _Held:
    """Rows of statistics by what they are of."""

    def __init__(self, statistics: pd.DataFrame) -> None:
        columns = (statistics[name].to_list() for name in (LEVEL, EXPERIMENT, FOV, T, CHANNEL))
        self._rows = {key: row for row, key in enumerate(zip(*columns, strict=True))}
        self._statistics = statistics
        self._empty = statistics[list(NUMBERS)].isna().all(axis=1).to_numpy()

    def scale(
        self, keys: Sequence[Key], choice: Normalization
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return centre and spread for each key."""
        lacking = [key for key in keys if key not in self._rows]
        if lacking:
            level, experiment, fov, t, channel = lacking[0]
            raise InvalidInputError(
                f"statistics lack {len(lacking)} of {len(keys)} rows, the first for experiment="
                f"{experiment!r} fov={fov!r} t={t} channel={channel!r} (level {level}). Index again, or "
                "compute them anew with compute_statistics."
            )
        rows = [self._filled(key) for key in keys]
        with np.errstate(over="ignore"):
            centre, spread = (one.astype(np.float32) for one in scales(self._statistics.iloc[rows], choice))
        unknown = np.flatnonzero(~(np.isfinite(centre) & np.isfinite(spread)))
        if len(unknown):
            _, experiment, fov, t, channel = keys[unknown[0]]
            raise InvalidInputError(
                f"statistics do not say what normalization={choice.method!r} takes, in numbers of 32 bits, "
                f"for {len(unknown)} of {len(keys)} rows, the first for experiment={experiment!r} "
                f"fov={fov!r} t={t} channel={channel!r}. Take another method, or index "
                "with statistics of the images."
            )
        return centre, spread

    def _filled(self, key: Key) -> int:
        """Return the row of a key, or that of its field of view where a frame's is empty."""
        row = self._rows[key]
        level, experiment, fov, _, channel = key
        if level != "frame" or not self._empty[row]:
            return row
        return self._rows.get(("field", experiment, fov, ALL_FRAMES, channel), row)


def scales(statistics: pd.DataFrame, choice: Normalization) -> tuple[FloatArray, FloatArray]:
    """Return centre and spread of each row; no spread is zero (the rule is in the module docstring)."""
    if choice.method == "mean_std":
        centre, spread = (_column(statistics, name) for name in (MEAN, STD))
    elif choice.method == "median_iqr":
        centre, spread = (_column(statistics, name) for name in (MEDIAN, IQR))
    else:
        low, high = (_column(statistics, percentile_column(one)) for one in choice.percentiles or ())
        centre, spread = low, high - low
    spread = np.where(_is_zero(spread), _column(statistics, STD), spread)
    return centre, np.where(_is_zero(spread), 1.0, spread)


def _is_zero(spread: FloatArray) -> NDArray[np.bool_]:
    return spread < np.finfo(np.float32).tiny


def _column(statistics: pd.DataFrame, name: str) -> FloatArray:
    return statistics[name].to_numpy(dtype=np.float64)
