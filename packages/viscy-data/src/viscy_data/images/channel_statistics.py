"""Mean, standard deviation, median and interquartile range of one channel, frame by frame.

Integers of up to 16 bits are counted value by value, so that all four are exact in 512 kB. For wider
integers and floats mean and std are exact (merged moments), and median and iqr are those of an evenly
spaced sample of at most ``SAMPLE`` pixels of each frame, as a histogram would need bins that depend on
the data. Pixels that are not finite are left out.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SAMPLE: Final = 65536
"""Pixels of a frame that represent it in the median of floats and wide integers."""

_BLOCK: Final = 1 << 20
_QUARTILES: Final = (0.25, 0.5, 0.75)


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


@dataclass
class ChannelStatistics:
    """Statistics of the pixels of one channel, added frame by frame.

    Examples
    --------
    >>> s = ChannelStatistics()
    >>> s.add(np.array([1, 2, 3, 4], dtype=np.uint16))
    >>> s.add(np.array([5, 6, 7, 8], dtype=np.uint16))
    >>> s.result()
    {'mean': 4.5, 'std': 2.29128784747792, 'median': 4.5, 'iqr': 3.5}
    """

    _count: int = 0
    _mean: float = 0.0
    _squares: float = 0.0
    _lowest: int = 0
    _counts: NDArray[np.int64] | None = None
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
                self._add_counts(block)
        else:
            for block in blocks:
                self._add_moments(_finite(block))
            self._samples.append(_finite(flat[:: max(1, -(-flat.size // SAMPLE))]))

    def _add_counts(self, pixels: NDArray[Any]) -> None:
        limits = np.iinfo(pixels.dtype)
        self._lowest = int(limits.min)
        counts = np.bincount(
            pixels.astype(np.int64) - limits.min, minlength=int(limits.max) - int(limits.min) + 1
        )
        self._counts = counts if self._counts is None else self._counts + counts

    def _add_moments(self, values: FloatArray) -> None:
        """Merge counts, means and squared deviations (Chan, Golub and LeVeque 1983)."""
        if values.size == 0:
            return
        total = self._count + values.size
        step = float(values.mean()) - self._mean
        self._squares += float(values.var()) * values.size + step**2 * self._count * values.size / total
        self._mean += step * values.size / total
        self._count = total

    def result(self) -> dict[str, float]:
        """Return mean, std (of the population), median and iqr (linear between order statistics).

        All four are NaN where no pixel was finite.
        """
        if self._counts is not None:
            return _of_counts(self._counts, self._lowest)
        sample = np.concatenate([np.empty(0), *self._samples])
        if sample.size == 0:
            return _named(np.nan, np.nan, (np.nan, np.nan, np.nan))
        return _named(self._mean, np.sqrt(self._squares / self._count), np.quantile(sample, _QUARTILES))


def _finite(pixels: NDArray[Any]) -> FloatArray:
    """Return the pixels that are finite."""
    finite = finite_pixels(pixels)
    return (pixels if finite is None else pixels[finite]).astype(np.float64)


def _of_counts(counts: NDArray[np.int64], lowest: int) -> dict[str, float]:
    values = np.arange(lowest, lowest + len(counts), dtype=np.float64)
    total = int(counts.sum())
    mean = counts @ values / total
    std = np.sqrt(counts @ (values - mean) ** 2 / total)
    cumulative = np.cumsum(counts)
    place = np.array(_QUARTILES) * (total - 1)
    below = values[np.searchsorted(cumulative, np.floor(place), side="right")]
    above = values[np.searchsorted(cumulative, np.ceil(place), side="right")]
    return _named(mean, std, below + (above - below) * (place - np.floor(place)))


def _named(mean: Any, std: Any, quartiles: Any) -> dict[str, float]:
    low, median, high = map(float, quartiles)
    return {"mean": float(mean), "std": float(std), "median": median, "iqr": high - low}
