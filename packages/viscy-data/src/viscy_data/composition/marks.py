"""What a report may know of anchors beyond the columns that the plan uses: lineage, frame and hour."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """Columns of a table by row; None where the table does not say.

    Attributes
    ----------
    lineage, frame
        (N,) codes >= 0 of any integer dtype; two anchors of one lineage, or of one (fov, t), share a code.
    fov, track, time
        (N,) codes of fields of view, tracks and time points, whose variety in a batch is counted.
    hours
        (N,) times, NaN where not known; used where the plan itself has no clock.
    """

    lineage: NDArray[Any] | None = None
    frame: NDArray[Any] | None = None
    hours: NDArray[Any] | None = None
    fov: NDArray[Any] | None = None
    track: NDArray[Any] | None = None
    time: NDArray[Any] | None = None


@dataclass(frozen=True)
class Sharing:
    """How often the anchors of batches share a mark; arrays are (batches,).

    Attributes
    ----------
    distinct
        Different marks in the batch.
    pairs
        Pairs of anchors that share theirs, n (n - 1) / 2 for each mark that comes n times.
    entropy
        Entropy of the marks, in bits.

    Examples
    --------
    >>> shared = Sharing.of(np.array([0, 0, 0, 1]), np.array([7, 7, 3, 7]), batches=2)
    >>> shared.distinct.tolist(), shared.pairs.tolist()
    ([2, 1], [1, 0])
    """

    distinct: Integers
    pairs: Integers
    entropy: NDArray[np.float64]

    @classmethod
    def of(cls, batch: Integers, code: NDArray[Any], *, batches: int) -> "Sharing":
        """Count over anchors of batch ``batch`` (anchors,) and mark ``code`` (anchors,)."""
        span = int(code.max(initial=0)) + 1
        key = np.sort(batch * span + code)
        first = np.flatnonzero(np.diff(key, prepend=-1))
        times = np.diff(first, append=key.size)
        of = key[first] // span
        pairs = np.bincount(of, weights=times * (times - 1) // 2, minlength=batches)
        size = np.maximum(np.bincount(batch, minlength=batches), 1)
        share = times / size[of]
        entropy = np.bincount(of, weights=-share * np.log2(share), minlength=batches)
        return cls(np.bincount(of, minlength=batches), pairs.astype(np.int64), entropy)
