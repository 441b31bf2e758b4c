"""Collapse: over how many directions the embedding spreads.

Effective rank = exp(entropy of the normalised singular values of the centred embedding) (Roy and Vetterli
2007): D for an isotropic embedding, 1 for a line, 0 by definition when all cells have one embedding.
"""

import math

import numpy as np

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_embedding,
    centre,
)
from viscy_train.evaluation.intervals import Deletions, Replicates, Resampling
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.units import LINEAGES, Units

EFFECTIVE_RANK = Definition(
    "effective_rank",
    "effective rank",
    "neither",
    "exp(entropy of the normalised singular values of the centred embedding): over how many directions cells "
    "spread. Near 1 it has collapsed; above that more is not better, as noise has the highest. Shuffled: "
    "each feature dealt out anew among cells, the rank of independent features of the same scale.",
    (0.0, math.inf),
)
_GROUPS = 20  # of lineages left out at a time: each costs the eigenvalues of a D x D matrix


def effective_rank(embedding: EmbeddingArray) -> float:
    """Return the effective rank of an embedding (N, D).

    Examples
    --------
    >>> round(effective_rank(np.eye(4)), 3)
    3.0
    >>> effective_rank(np.ones((4, 3)))
    0.0
    """
    centred = centre(as_embedding(embedding))
    return _rank_of(centred.T @ centred)


def _rank_of(scatter: FloatArray) -> float:
    """Effective rank from the (D, D) scatter matrix, whose eigenvalues are squared singular values."""
    values = np.linalg.eigvalsh(scatter)
    singular = np.sqrt(np.clip(values, 0, None))
    singular = singular[values > 1e-12 * max(values[-1], np.finfo(np.float64).tiny)]
    if not singular.size:
        return 0.0
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def collapse(
    embedding: EmbeddingArray, lineage: LabelArray, *, resampling: Resampling | None = None
) -> Outcome:
    """Measure the effective rank with an interval over lineages.

    Parameters
    ----------
    embedding : ndarray (N, D)
    lineage : ndarray (N,)
    resampling : Resampling, optional

    Returns
    -------
    Metric or NotAvailable
        ``effective_rank``; 0 for a fully collapsed embedding.

    Examples
    --------
    >>> collapse(np.ones((6, 3)), np.arange(6)).value
    0.0
    """
    resampling = resampling or Resampling()
    array = as_embedding(embedding)
    units = Units.of(np.zeros(len(array), dtype=np.int64), lineage, LINEAGES)
    if len(array) < 2:
        return NotAvailable(EFFECTIVE_RANK, "a single cell spans nothing")
    deletions = Deletions.of(np.zeros(units.count, dtype=np.int64), resampling.seed, _GROUPS)
    ranks = np.array([effective_rank(array), *_ranks_without(array, units.codes, deletions.weights[1:])])
    replicates = Replicates(ranks, deletions)
    value, low, high = replicates.interval(resampling.level, EFFECTIVE_RANK.bounds)
    shuffled = [
        effective_rank(resampling.generator(1 + i).permuted(array, axis=0))
        for i in range(resampling.shuffles)
    ]
    return Metric(
        EFFECTIVE_RANK,
        value,
        low,
        high,
        shuffled=float(np.mean(shuffled)),
        n=len(array),
        units=units.count,
        unit=units.name,
        replicates=replicates,
    )


def _ranks_without(array: FloatArray, units: IntArray, weights: FloatArray) -> list[float]:
    """Return the rank once for each row of weights (G, U), from sums that each group is taken from."""
    centred = centre(array)
    every, total, count = centred.T @ centred, centred.sum(axis=0), len(array)
    ranks = []
    for row in weights:
        out = centred[row[units] == 0]
        mean, left = total - out.sum(axis=0), count - len(out)
        # scatter about the mean of what is left
        ranks.append(_rank_of(every - out.T @ out - np.outer(mean, mean) / left) if left else np.nan)
    return ranks
