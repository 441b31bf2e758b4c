"""Mean, standard deviation and percentiles of one channel, frame by frame.

Integers of up to 16 bits are counted value by value, so that all of them are exact, in 8 bytes for each value
between the least and the largest. For wider integers and floats mean and std are exact (merged moments), and
percentiles are those of an evenly spaced sample of at most ``SAMPLE`` pixels of each frame, as a histogram
would need bins that depend on the data. Pixels that are not finite are left out.

Statistics of frames are merged into those of a field of view, and those of fields into those of an
experiment: every pixel is counted once. A field hands on at most ``SAMPLE`` of its sampled pixels.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.tables.normalizations import PERCENTILES

FloatArray = NDArray[np.float64]

SAMPLE: Final = 65536
"""Pixels of a frame that represent it in the percentiles of floats and wide integers."""

_BLOCK: Final = 1 << 20
_QUARTILES: Final = (25.0, 50.0, 75.0)


def percentile_column(percentile: float) -> str:
    """Return the name of a percentile's column.

    Examples
    --------
    >>> percentile_column(99.0), percentile_column(0.5)
    ('p99', 'p0.5')
    """
    return f"p{percentile:g}"


def finite_pixels(pixels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which pixels are finite as 32-bit floats, of the same shape; None: all, by their type.

    Examples
    --------
    >>> finite_pixels(np.array([1.0, np.nan, np.inf, 1e300])).tolist()
    [True, False, False, False]
    >>> finite_pixels(np.array([1, 2])) is None
    True
    """
    if pixels.dtype.kind != "f":
        return None
    if pixels.dtype.itemsize <= 4:
        return np.isfinite(pixels)
    return np.abs(pixels) <= np.finfo(np.float32).max


@dataclass(frozen=True)
class _Counts:
    """How often each value from ``lowest`` on occurs."""

    lowest: int
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> "_Counts":
        lowest = int(pixels.min())
        return cls(lowest, np.bincount(pixels.astype(np.int64) - lowest))

    def plus(self, other: "_Counts") -> "_Counts":
        lowest = min(self.lowest, other.lowest)
        highest = max(one.lowest + len(one.counts) for one in (self, other))
        counts = np.zeros(highest - lowest, dtype=np.int64)
        for one in (self, other):
            counts[one.lowest - lowest :][: len(one.counts)] += one.counts
        return _Counts(lowest, counts)

    def statistics(self) -> dict[str, float]:
        values = np.arange(self.lowest, self.lowest + len(self.counts), dtype=np.float64)
        total = int(self.counts.sum())
        mean = self.counts @ values / total
        std = np.sqrt(self.counts @ (values - mean) ** 2 / total)
        cumulative = np.cumsum(self.counts)
        place = np.array(_QUARTILES + PERCENTILES) / 100 * (total - 1)
        below = values[np.searchsorted(cumulative, np.floor(place), side="right")]
        above = values[np.searchsorted(cumulative, np.ceil(place), side="right")]
        return _named(float(mean), float(std), below + (above - below) * (place - np.floor(place)))


@dataclass
class ChannelStatistics:
    """Statistics of the pixels of one channel, added frame by frame.

    Examples
    --------
    >>> s = ChannelStatistics()
    >>> s.add(np.array([1, 2, 3, 4], dtype=np.uint16))
    >>> s.add(np.array([5, 6, 7, 8], dtype=np.uint16))
    >>> {name: s.result()[name] for name in ("mean", "median", "iqr", "p100")}
    {'mean': 4.5, 'median': 4.5, 'iqr': 3.5, 'p100': 8.0}
    """

    _count: int = 0
    _mean: float = 0.0
    _squares: float = 0.0
    _counts: _Counts | None = None
    _samples: list[FloatArray] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether no finite pixel was added."""
        return self._counts is None and self._count == 0

    def add(self, pixels: NDArray[Any]) -> None:
        """Take in the pixels of one frame, of any shape; every frame has the same dtype."""
        flat = pixels.reshape(-1)
        blocks = (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))
        if pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2:
            for block in blocks:
                self._add_counts(_Counts.of(block))
        else:
            for block in blocks:
                values = _finite(block)
                if values.size:
                    mean = float(values.mean())
                    self._add_moments(values.size, mean, float(values.var()) * values.size)
            self._samples.append(_finite(flat[:: max(1, -(-flat.size // SAMPLE))]))

    def merge(self, other: "ChannelStatistics") -> None:
        """Take in all that ``other`` did, which is of other pixels of the same dtype."""
        if other._counts is not None:
            self._add_counts(other._counts)
        if other._count:
            self._add_moments(other._count, other._mean, other._squares)
        self._samples += other._samples

    def thin(self) -> None:
        """Keep an evenly spaced part of the sampled pixels, at most ``SAMPLE``."""
        sample = np.concatenate([np.empty(0), *self._samples])
        self._samples = [sample[:: max(1, -(-sample.size // SAMPLE))]]

    def _add_counts(self, counts: _Counts) -> None:
        self._counts = counts if self._counts is None else self._counts.plus(counts)

    def _add_moments(self, count: int, mean: float, squares: float) -> None:
        """Merge counts, means and squared deviations (Chan, Golub and LeVeque 1983)."""
        total = self._count + count
        step = mean - self._mean
        self._squares += squares + step**2 * self._count * count / total
        self._mean += step * count / total
        self._count = total

    def result(self) -> dict[str, float]:
        """Return mean, std (of the population), median, iqr and ``PERCENTILES``.

        Percentiles are linear between order statistics. All are NaN where no pixel was finite.
        """
        if self._counts is not None:
            return self._counts.statistics()
        sample = np.concatenate([np.empty(0), *self._samples])
        if sample.size == 0:
            return _named(np.nan, np.nan, np.full(len(_QUARTILES + PERCENTILES), np.nan))
        std = float(np.sqrt(self._squares / self._count))
        return _named(self._mean, std, np.percentile(sample, _QUARTILES + PERCENTILES))


def _finite(pixels: NDArray[Any]) -> FloatArray:
    """Return the pixels that are finite."""
    finite = finite_pixels(pixels)
    return (pixels if finite is None else pixels[finite]).astype(np.float64)


def _named(mean: float, std: float, percentiles: FloatArray) -> dict[str, float]:
    low, median, high, *others = percentiles.tolist()
    named = {"mean": mean, "std": std, "median": median, "iqr": high - low}
    return named | dict(zip(map(percentile_column, PERCENTILES), others, strict=True))
