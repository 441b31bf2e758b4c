"""Experiment mixing: whether cells of one condition lie among cells of other experiments.

For each cell, its k nearest neighbours of the same condition and of another lineage. Observed: the share
of these that come from another experiment. Expected: that share among all such cells. The metric is the
sum observed over the sum expected: 0 for experiments that lie apart, 1 for perfect mixing. (In the spirit
of kBET and LISI, Buettner et al. 2019 and Korsunsky et al. 2019, which test local composition too.)
"""

import numpy as np

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
    divide,
    shuffle_labels,
    unit_rows,
)
from viscy_train.evaluation.bootstrap import Resampling, ratio
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.neighbours import NONE, nearest

NEIGHBOURS = 15


def mixing(
    embedding: EmbeddingArray,
    experiment: LabelArray,
    lineage: LabelArray,
    *,
    condition: LabelArray | None = None,
    k: int = NEIGHBOURS,
    resampling: Resampling | None = None,
) -> Outcome:
    """Measure experiment mixing among nearest neighbours; 1 is perfect.

    Parameters
    ----------
    embedding : ndarray (N, D)
    experiment, lineage : ndarray (N,)
    condition : ndarray (N,), optional
        Without it all cells count as one condition.
    k : int
        Neighbours of each cell.
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
    unit = unit_rows(as_embedding(embedding))
    experiments = as_codes("experiment", experiment, len(unit))
    lineages = as_codes("lineage", lineage, len(unit))
    given = np.zeros(len(unit), dtype=np.int64) if condition is None else condition
    pool = as_codes("condition", given, len(unit))
    where = "all cells" if condition is None else "the same condition"
    definition = _definition(k, where)
    if not _expected(experiments, lineages, pool).any():
        return NotAvailable(definition, f"no cell has a cell of another experiment among {where}")
    found = nearest(unit, k, own=lineages, pool=pool)
    observed, expected = _shares(found, experiments, lineages, pool)
    value, low, high = ratio(observed, expected, lineages, resampling)
    chance = np.mean(
        [_dealt(found, experiments, lineages, pool, resampling, i) for i in range(resampling.shuffles)]
    )
    counted = expected > 0
    units = np.unique(lineages[counted]).size
    return Metric(definition, value, low, high, float(chance), int(counted.sum()), units)


def _dealt(
    found: IntArray, experiments: IntArray, lineages: IntArray, pool: IntArray, resampling: Resampling, i: int
) -> float:
    dealt = shuffle_labels(experiments, lineages, resampling.generator(1 + i), within=pool)
    observed, expected = _shares(found, dealt, lineages, pool)
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
        "higher",
        f"Share of cells of other experiments among the {k} nearest neighbours (cosine distance) of another "
        f"lineage among {where}, over the share expected by chance; 1 = perfectly mixed, 0 = apart.",
    )
