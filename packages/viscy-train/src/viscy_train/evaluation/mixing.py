"""Experiment mixing: whether cells of one condition lie among cells of other experiments.

For each cell, its k nearest neighbours of the same condition and of another lineage. Observed: the share
of these that come from another experiment. Expected: that share among all such cells. The metric is the
sum observed over the sum expected: 0 for experiments that lie apart, 1 for perfect mixing. (In the spirit
of kBET and LISI, Buettner et al. 2019 and Korsunsky et al. 2019, which test local composition too.)

More is not always better: where experiments hold other cell lines, their cells differ, and an embedding that
mixes them perfectly has lost that. What the cells themselves would give is the number of a probe on truth.
"""

import math

import numpy as np

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    divide,
    unit_rows,
)
from viscy_train.evaluation.intervals import Resampling, ratio_replicates
from viscy_train.evaluation.leakage import compared, obstacle
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.neighbours import NEIGHBOURS, NONE, nearest
from viscy_train.evaluation.units import Units, deal


def mixing(
    embedding: EmbeddingArray,
    experiment: LabelArray,
    lineage: LabelArray,
    *,
    condition: LabelArray | None = None,
    within: str = "condition",
    k: int = NEIGHBOURS,
    found: IntArray | None = None,
    resampling: Resampling | None = None,
) -> Outcome:
    """Measure experiment mixing among nearest neighbours; 1 is perfect.

    Parameters
    ----------
    embedding : ndarray (N, D)
    experiment, lineage : ndarray (N,)
    condition : ndarray (N,), optional
        Without it all cells count as one condition.
    within : str
        What texts call the condition.
    k : int
        Neighbours of each cell.
    found : ndarray (N, k), optional
        Neighbours, where they are known (`neighbours.nearest`).
    resampling : Resampling, optional

    Returns
    -------
    Metric or NotAvailable
        ``experiment_mixing``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> outcome = mixing(rng.normal(size=(200, 3)), np.arange(200) % 2, np.arange(200))
    >>> 0.9 < outcome.value < 1.1
    True
    """
    resampling = resampling or Resampling()
    array, experiments, units, pool = compared(embedding, experiment, lineage, condition)
    lineages = units.codes
    where = "all cells" if condition is None else f"cells of the same {within}"
    definition = _definition(k, where)
    if not _expected(experiments, lineages, pool).any():
        return NotAvailable(definition, obstacle(experiments, pool, within) or "all cells are of one lineage")
    if found is None:
        found = nearest(unit_rows(array), k, own=lineages, pool=pool)
    observed, expected = _shares(found, experiments, lineages, pool)
    replicates = ratio_replicates(observed, expected, units)
    value, low, high = replicates.interval(resampling.level, definition.bounds)
    chance = np.array(
        [_dealt(found, experiments, units, pool, resampling, i) for i in range(resampling.shuffles)]
    )
    counted = expected > 0
    return Metric(
        definition,
        value,
        low,
        high,
        shuffled=float(chance.mean()),
        n=int(counted.sum()),
        units=np.unique(lineages[counted]).size,
        unit=units.name,
        p=resampling.share_beyond(value, chance, low=True),
        replicates=replicates,
    )


def _dealt(
    found: IntArray, experiments: IntArray, units: Units, pool: IntArray, resampling: Resampling, i: int
) -> float:
    dealt = experiments[deal(units, resampling.generator(1 + i), within=pool)]
    observed, expected = _shares(found, dealt, units.codes, pool)
    return float(observed.sum() / expected.sum())


def _shares(
    found: IntArray, experiments: IntArray, lineages: IntArray, pool: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Observed and expected share of other experiments; both 0 where nothing can be expected."""
    expected = _expected(experiments, lineages, pool)
    exists = found != NONE
    other = exists & (experiments[found] != experiments[:, None])
    counts = exists.sum(axis=1)
    observed = divide(other.sum(axis=1), counts, fill=0.0)
    return np.where(expected > 0, observed, 0.0), expected


def _expected(experiments: IntArray, lineages: IntArray, pool: IntArray) -> FloatArray:
    """Share of other experiments among the rows that may be neighbours; 0 where there is none."""
    allowed = _size_of(pool) - _size_of(pool * (lineages.max() + 1) + lineages)
    others = _size_of(pool) - _size_of(pool * (experiments.max() + 1) + experiments)
    return divide(others, allowed, fill=0.0)


def _size_of(codes: IntArray) -> IntArray:
    _, member, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return counts[member].astype(np.int64)


def _definition(k: int, where: str) -> Definition:
    return Definition(
        "experiment_mixing",
        f"experiment mixing ({k} neighbours)",
        "near 1",
        f"Share of cells of other experiments among the {k} nearest neighbours (cosine distance) of another "
        f"lineage among {where}, over the share expected by chance: 0 = experiments lie apart, 1 = perfectly "
        "mixed, which cells that truly differ, such as other cell lines, should not be.",
        (0.0, math.inf),
    )
