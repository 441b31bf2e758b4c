"""Collapse: over how many directions the embedding spreads.

Effective rank = exp(entropy of the normalised singular values of the centred embedding) (Roy and Vetterli
2007): D for an isotropic embedding, 1 for a line, 0 by definition when all cells have one embedding.
"""

import numpy as np

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    LabelArray,
    as_codes,
    as_embedding,
    centre,
)
from viscy_train.evaluation.bootstrap import Resampling
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome

EFFECTIVE_RANK = Definition(
    "effective_rank",
    "effective rank",
    "higher",
    "exp(entropy of the normalised singular values of the centred embedding). Shuffled: each feature dealt "
    "out anew among cells, the rank of independent features of the same scale.",
)
_REPLICATES = 60  # a replicate costs an N x D x D product; a rank needs no finer tail


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
    lineages = as_codes("lineage", lineage, len(array))
    if len(array) < 2:
        return NotAvailable(EFFECTIVE_RANK, "a single cell spans nothing")
    value = effective_rank(array)
    units = int(lineages.max()) + 1
    weights = resampling.weights(units)[:_REPLICATES, lineages]
    replicates = np.array([_weighted_rank(array, row) for row in weights])
    shuffled = effective_rank(resampling.generator(1).permuted(array, axis=0))
    return Metric(EFFECTIVE_RANK, value, *resampling.interval(replicates), shuffled, len(array), units)


def _weighted_rank(array: FloatArray, weights: FloatArray) -> float:
    mean = weights @ array / weights.sum()
    drawn = centre(array, mean) * np.sqrt(weights)[:, None]
    return _rank_of(drawn.T @ drawn)
