"""Bootstrap over lineages, vectorised.

Cells of one lineage resemble each other, so lineages, not cells, are drawn with replacement. A
replicate is a row of integer weights, one for each lineage: how often it was drawn. A statistic that is
a function of weighted sums is then computed for all replicates by one matrix product.

Neighbours and probes are not computed anew inside a replicate: the interval says how the number
varies with the lineages it is averaged over, given the embedding and the fitted probe.
"""

from dataclasses import dataclass

import numpy as np

from viscy_data import InvalidInputError
from viscy_train.evaluation.arrays import FloatArray, IntArray, divide


@dataclass(frozen=True)
class Resampling:
    """How intervals and shuffled labels are drawn.

    Attributes
    ----------
    replicates : int
        Bootstrap replicates.
    level : float
        Coverage of the interval.
    shuffles : int
        Shuffled copies of the labels whose mean is reported.
    seed : int
        Key of all of it, and of the splits by lineage.

    Raises
    ------
    InvalidInputError
        If a value is outside its range.

    Examples
    --------
    >>> Resampling(replicates=100).level
    0.95
    """

    replicates: int = 500
    level: float = 0.95
    shuffles: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 20 or self.shuffles < 1:
            raise InvalidInputError(
                f"replicates={self.replicates}, shuffles={self.shuffles}; "
                "give at least 20 replicates and 1 shuffle"
            )
        if not 0 < self.level < 1:
            raise InvalidInputError(f"level={self.level} is not between 0 and 1; 0.95 is usual")

    def generator(self, purpose: int) -> np.random.Generator:
        """Return the generator of one purpose; the same one each time."""
        return np.random.default_rng([self.seed, purpose])

    def weights(self, lineages: int) -> FloatArray:
        """Return (replicates, lineages) counts of draws with replacement."""
        draw = self.generator(0).multinomial
        even = np.full(lineages, 1 / lineages)
        return draw(lineages, even, size=self.replicates).astype(np.float64)

    def interval(self, replicates: FloatArray) -> tuple[float, float]:
        """Return the percentile interval; replicates without a value (0 / 0) are left out."""
        tail = (1 - self.level) / 2
        low, high = np.quantile(replicates[np.isfinite(replicates)], [tail, 1 - tail])
        return float(low), float(high)


def lineage_sums(values: FloatArray, lineage: IntArray) -> FloatArray:
    """Sum values (N, ...) over each lineage: (lineages, ...).

    Examples
    --------
    >>> lineage_sums(np.array([1.0, 2.0, 5.0]), np.array([0, 1, 0]))
    array([6., 2.])
    """
    sums = np.zeros((int(lineage.max()) + 1, *values.shape[1:]))
    np.add.at(sums, lineage, values)
    return sums


def ratio(
    numerator: FloatArray, denominator: FloatArray, lineage: IntArray, resampling: Resampling
) -> tuple[float, float, float]:
    """Return sum(numerator) / sum(denominator) and its interval.

    Parameters
    ----------
    numerator, denominator : ndarray (N,)
        The denominator's sum must not be zero.
    lineage : ndarray (N,)
        Codes 0..L-1.
    resampling : Resampling

    Returns
    -------
    tuple of float
        Value, low, high.

    Examples
    --------
    >>> ratio(np.ones(4), np.full(4, 2.0), np.arange(4), Resampling())
    (0.5, 0.5, 0.5)
    """
    above, below = lineage_sums(numerator, lineage), lineage_sums(denominator, lineage)
    weights = resampling.weights(above.size)
    replicates = divide(weights @ above, weights @ below, fill=np.nan)
    return float(above.sum() / below.sum()), *resampling.interval(replicates)
