"""Intervals over units by the delete-a-group jackknife, and how labels are shuffled.

A number of an embedding varies with the wells (experiments, lineages) it happens to rest on. Bootstrap
percentiles are the usual answer, and a wrong one here: with three treated wells they never leave the range of
three values, and for a rank, which grows with the number of different cells, they miss the value itself. The
delete-a-group jackknife (Kott 2001) leaves out one unit at a time, computes the number anew from the others,
and adds the squared differences up, separately for the units of each label (a *stratum*). The interval is
Student's t around the value, its degrees of freedom those of the strata (Satterthwaite), so few units give
a wide one. More than `GROUPS` units of a stratum are left out in so many groups.

*weights* (R, U): a row says which units count: all of them first, then one group left out at a time. A
statistic that is a function of weighted sums takes one matrix product for all rows.

Neighbours and probes are not computed anew inside: the interval says how the number varies with the units
it is averaged over, given the embedding and the fitted probe.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from viscy_data import InvalidInputError
from viscy_train.evaluation.arrays import FloatArray, IntArray, divide
from viscy_train.evaluation.units import Units

GROUPS = 40
"""Groups of units left out of a stratum at most: as many degrees of freedom as an interval can use."""


@dataclass(frozen=True)
class Resampling:
    """How intervals and shuffled labels are drawn.

    Attributes
    ----------
    level : float
        Coverage of the interval.
    shuffles : int
        Shuffled copies of the labels, at least 20.
    shuffled_cells : int
        Probes of shuffled labels are fitted to at most about so many cells, spread evenly over units: chance
        depends on the number of units much more than on that of cells.
    seed : int
        Key of all of it, and of folds.

    Raises
    ------
    InvalidInputError
        If a value is outside its range.

    Examples
    --------
    >>> Resampling(shuffles=100).level
    0.95
    """

    level: float = 0.95
    shuffles: int = 20
    shuffled_cells: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shuffles < 20:
            raise InvalidInputError(
                f"shuffles={self.shuffles}: chance wants at least 20 shuffles; 20 are usual."
            )
        if self.shuffled_cells < 100:
            raise InvalidInputError(f"shuffled_cells={self.shuffled_cells} is below 100; 2000 is usual.")
        if not 0 < self.level < 1:
            raise InvalidInputError(f"level={self.level} is not between 0 and 1; 0.95 is usual.")
        if self.seed < 0:
            raise InvalidInputError(f"seed={self.seed} is below 0.")

    def generator(self, purpose: int) -> np.random.Generator:
        """Return the generator of one purpose; the same one each time."""
        return np.random.default_rng([self.seed, purpose])

    def share_beyond(self, value: float, shuffled: FloatArray, *, low: bool = False) -> float:
        """Return p: the share of shuffled numbers at least as high (low), the value's own among them."""
        rounding = 1e-9  # sums in another order
        beyond = shuffled <= value + rounding if low else shuffled >= value - rounding
        return float((1 + beyond.sum()) / (1 + shuffled.size))


@dataclass(frozen=True)
class Deletions:
    """Which units count, row by row.

    Attributes
    ----------
    weights : ndarray (1 + G, U)
        1 where a unit counts, 0 where it is left out; the first row leaves out none.
    stratum : ndarray (G,)
        Whose units the other rows leave out.
    """

    weights: FloatArray
    stratum: IntArray

    @classmethod
    def of(cls, strata: IntArray, seed: int = 0, groups: int = GROUPS) -> "Deletions":
        """Leave out units one at a time, or in groups; strata (U,) of a single unit are taken together."""
        counts = np.bincount(strata)
        if (counts == 1).any():
            strata = np.zeros_like(strata)
        rng = np.random.default_rng([seed, 0])
        rows, stratum = [np.ones(strata.size)], []
        for code in np.unique(strata):
            units = rng.permutation(np.flatnonzero(strata == code))
            for first in range(min(units.size, groups)):
                kept = np.ones(strata.size)
                kept[units[first::groups]] = 0
                rows.append(kept)
                stratum.append(code)
        return cls(np.array(rows), np.array(stratum, dtype=np.int64))

    def interval(
        self,
        values: FloatArray,
        level: float,
        bounds: tuple[float, float] = (-np.inf, np.inf),
        chance: float | None = None,
    ) -> tuple[float, float, float]:
        """Return value, low and high, from the values (1 + G,) of all rows; bounds end the interval.

        Three wells that all say the same vary by nothing, which three wells may do by chance. With `chance`
        one more unit that says nothing is thought among those of the smallest stratum: its square is added.

        Examples
        --------
        >>> Deletions.of(np.zeros(4, dtype=np.int64)).interval(np.array([2.0, 2, 2, 2, 2]), 0.95)
        (2.0, 2.0, 2.0)
        """
        value = float(values[0])
        variances, freedom = [], []
        for code in np.unique(self.stratum):
            left = values[1:][self.stratum == code]
            left = left[np.isfinite(left)]
            if left.size > 1:
                spread = ((left - left.mean()) ** 2).sum()
                variances.append(float(spread) * (left.size - 1) / left.size)
                freedom.append(left.size - 1)
        if chance is not None and freedom:
            fewest = min(freedom)
            variances.append(((value - chance) / (fewest + 2)) ** 2)
            freedom.append(fewest)
        half = _half_width(np.array(variances), np.array(freedom), level)
        low, high = max(bounds[0], value - half), min(bounds[1], value + half)
        return value, min(value, low), max(value, high)


@dataclass(frozen=True)
class Replicates:
    """A number of all units, then of all but some: what its interval, and that of a difference, comes from.

    Attributes
    ----------
    values : ndarray (1 + G,)
    deletions : Deletions
    """

    values: FloatArray
    deletions: Deletions

    def interval(
        self, level: float, bounds: tuple[float, float] = (-np.inf, np.inf), chance: float | None = None
    ) -> tuple[float, float, float]:
        """Return value, low and high."""
        return self.deletions.interval(self.values, level, bounds, chance)

    def less(self, other: "Replicates") -> "Replicates | None":
        """Return the difference, unit by unit; None where the two leave out other units."""
        mine, theirs = self.deletions, other.deletions
        same = np.array_equal(mine.weights, theirs.weights) and np.array_equal(mine.stratum, theirs.stratum)
        return Replicates(self.values - other.values, mine) if same else None


def _half_width(variances: FloatArray, freedom: IntArray, level: float) -> float:
    total = variances.sum()
    if not variances.size or total <= 1e-24:  # what rounding leaves of equal values
        return 0.0
    of_freedom = total**2 / (variances**2 / freedom).sum()
    return float(student.ppf((1 + level) / 2, of_freedom) * np.sqrt(total))


def unit_sums(values: FloatArray, units: IntArray, count: int | None = None) -> FloatArray:
    """Sum values (N, ...) over each unit: (units, ...).

    Examples
    --------
    >>> unit_sums(np.array([1.0, 2.0, 5.0]), np.array([0, 1, 0]))
    array([6., 2.])
    """
    sums = np.zeros((int(units.max()) + 1 if count is None else count, *values.shape[1:]))
    np.add.at(sums, units, values)
    return sums


def ratio(
    numerator: FloatArray,
    denominator: FloatArray,
    units: Units,
    resampling: Resampling,
    *,
    strata: IntArray | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float, float]:
    """Return sum(numerator) / sum(denominator) and its interval.

    Parameters
    ----------
    numerator, denominator : ndarray (N,)
        The denominator's sum must not be zero.
    units : Units
    resampling : Resampling
    strata : ndarray (U,), optional
        Stratum of each unit.
    bounds : tuple of float
        What the ratio can be.

    Returns
    -------
    tuple of float
        Value, low, high.

    Examples
    --------
    >>> units = Units.of(np.zeros(4, dtype=np.int64), np.arange(4))
    >>> ratio(np.ones(4), np.full(4, 2.0), units, Resampling())
    (0.5, 0.5, 0.5)
    """
    return ratio_replicates(numerator, denominator, units, strata).interval(resampling.level, bounds)


def ratio_replicates(
    numerator: FloatArray, denominator: FloatArray, units: Units, strata: IntArray | None = None
) -> Replicates:
    """Return sum(numerator) / sum(denominator) of all units, then with some left out."""
    above = unit_sums(numerator, units.codes)
    below = unit_sums(denominator, units.codes)
    deletions = Deletions.of(np.zeros(above.size, dtype=np.int64) if strata is None else strata)
    return Replicates(divide(deletions.weights @ above, deletions.weights @ below, fill=np.nan), deletions)
