"""How many anchors come from inside a window: of one cell, and of cells on which a draw falls at random.

Leaked anchors fall on the cells of other groups as a random subset of them does: a hypergeometric law,
exact unless a batch takes more than these cells hold.
"""

from math import ceil, log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_UNLIKELY = 1e-8
"""Chances that are left out."""


def held_inside(inside: Floats, outside: Floats, size: Integers, window: Integers) -> Floats:
    """Return how many anchors come from inside; the arguments broadcast.

    Parameters
    ----------
    inside, outside
        Anchors asked of either side.
    size, window
        Anchors in the cell and inside the window.

    Examples
    --------
    Of a cell of ten, three stand in the window; seven are asked of it.

    >>> held_inside(np.array(7.0), np.array(1.0), np.array(10), np.array(3))
    np.float64(3.0)
    """
    wanted = inside + outside
    whole = np.floor(wanted / np.maximum(size, 1))
    rest = wanted - whole * size
    left: Floats = np.maximum(inside - whole * window, 0)
    left = np.clip(left, rest - (size - window), np.minimum(rest, window))
    held: Floats = whole * window + left
    return held


def fallen_inside(inside: float, outside: float, size: Integers, window: Integers) -> Floats:
    """Return (cells, times) mean anchors from inside, when so many fall on the cells at random.

    Parameters
    ----------
    inside, outside
        Anchors asked of either side, of all cells together.
    size, window
        (cells, 1) anchors in the cells and (cells, times) in their windows.

    Examples
    --------
    One of two anchors, each a cell, is asked from inside; only the first stands in its window.

    >>> fallen_inside(1, 0, np.array([[1], [1]]), np.array([[1], [0]])).round(6).tolist()
    [[0.5], [0.0]]
    """
    total = int(size.sum())
    mean = inside * size / total, outside * size / total
    likely = [_likely(of, asked) for of, asked in zip(mean, (inside, outside), strict=True)]
    most = [np.minimum(of.stop - 1, size) for of in likely]
    found = held_inside(*mean, size, window)
    scarce = ((most[0] > window) | (most[1] > size - window)).any(axis=1)
    if size.size == 1 or inside + outside > total:  # of more than all hold, the mean must do
        return found
    found[scarce] = 0
    if scarce.any():
        i, o = (np.array(of) for of in likely)
        chance = _chances(i, o, (inside, outside, total), size[scarce].ravel())
        for at, to in np.argwhere(chance.max(axis=0) > _UNLIKELY).tolist():
            held = held_inside(i[at] * 1.0, o[to] * 1.0, size[scarce], window[scarce])
            found[scarce] += chance[:, at, to, None] * held
    return found


def _likely(mean: Floats, asked: float) -> range:
    """Return the counts of one cell that are not out of the question.

    Chernoff's bound for a Poisson count, which a hypergeometric one of the same mean keeps to: beyond m
    lie at most exp(m - mean - m log(m / mean)).
    """
    low, high = max(float(mean.min()), 1e-9), max(float(mean.max()), 1e-9)
    counts = np.arange(1, int(asked) + 2)
    beyond = [counts - of - counts * np.log(counts / of) for of in (low, high)]
    likely_low, likely_high = (np.flatnonzero(one > log(_UNLIKELY)) for one in beyond)
    first = int(counts[likely_low[0]]) if likely_low.size and low > 30 else 0
    last = int(counts[likely_high[-1]]) if likely_high.size else 0
    return range(first, min(max(last, ceil(high)), int(asked)) + 1)


def _chances(i: Integers, o: Integers, asked: tuple[float, float, int], size: Integers) -> Floats:
    """Return (cells, i, o): how likely i of the inside asked and o of the outside fall on each cell.

    All of ``total`` anchors are drawn, those asked or not; a cell takes so many of them as it holds.
    """
    inside, outside, total = asked
    beyond = int(total - inside - outside)
    both = np.arange(int(i[0] + o[0]), int(i[-1] + o[-1]) + 1)
    rest = size[:, None] - both
    ways = _log_ways(np.array([beyond]), np.clip(rest, 0, beyond))
    ways = np.where((rest >= 0) & (rest <= beyond), ways, -np.inf)
    ways -= _log_ways(np.array([total]), size)[:, None]
    split = np.add.outer(_log_ways(np.array([inside]), i), _log_ways(np.array([outside]), o))
    chances: Floats = np.exp(ways[:, np.add.outer(i, o) - both[0]] + split)
    return chances / chances.sum(axis=(1, 2), keepdims=True)  # what was left out, and rounding


def _log_ways(of: NDArray[Any], chosen: NDArray[Any]) -> Floats:
    """Return the logarithm of the number of ways to choose."""
    return _log_factorial(of) - _log_factorial(chosen) - _log_factorial(of - chosen)


def _log_factorial(n: NDArray[Any]) -> Floats:
    """Return log n! to 1e-8: Stirling's series at n + 10, and back down to n.

    Examples
    --------
    >>> np.exp(_log_factorial(np.array([0, 1, 5]))).round(5).tolist()
    [1.0, 1.0, 120.0]
    """
    z = n + 10.0
    series = (z - 0.5) * np.log(z) - z + 0.5 * log(2 * pi) + 1 / (12 * z) - 1 / (360 * z**3)
    down = np.log(np.add.outer(np.arange(1.0, 10.0), n)).sum(axis=0)
    return np.asarray(series - down, dtype=np.float64)
