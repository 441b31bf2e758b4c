"""Smoothness and dynamic range: whether a cell moves steadily through the embedding.

*successive pair*: rows of one track at frames t and t + 1, whatever the order of the rows; a gap gives no
pair. *random pair*: two rows of different lineages of one experiment, so that an embedding gains nothing
by keeping experiments apart. Distances are cosine distances.

Smoothness is the mean successive over the mean random distance, dynamic range their difference: a
collapsed embedding can be smooth, but has no range. (Both as in studies of dynamic cell embeddings,
arXiv 2410.11281.)
"""

import math

import numpy as np

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
    divide,
    unit_rows,
)
from viscy_train.evaluation.intervals import Deletions, Replicates, Resampling
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.units import LINEAGES

SMOOTHNESS = Definition(
    "smoothness",
    "smoothness",
    "lower",
    "Mean cosine distance between successive frames of a track over that of random pairs of cells (two "
    "lineages of one experiment); 1 = a cell's next frame is as far as any other cell.",
    (0.0, math.inf),
)
RANGE = Definition(
    "dynamic_range",
    "dynamic range",
    "higher",
    "Mean cosine distance of random pairs of cells (two lineages of one experiment) less that between "
    "successive frames of a track.",
)


def smoothness(
    embedding: EmbeddingArray,
    track: LabelArray,
    t: IntArray,
    lineage: LabelArray,
    *,
    experiment: LabelArray | None = None,
    resampling: Resampling | None = None,
) -> tuple[Outcome, Outcome]:
    """Measure smoothness and dynamic range.

    Parameters
    ----------
    embedding : ndarray (N, D)
    track : ndarray (N,)
        Unique over all experiments (`global_track_id`).
    t : ndarray (N,)
        Frames; rows may come in any order.
    lineage : ndarray (N,)
    experiment : ndarray (N,), optional
        Random pairs stay inside one experiment.
    resampling : Resampling, optional

    Returns
    -------
    tuple of Metric or NotAvailable
        ``smoothness`` (lower is better), ``dynamic_range`` (higher is better).

    Examples
    --------
    >>> angle = np.repeat([0.0, 2.0, 4.0], 10) + np.tile(np.linspace(0, 0.1, 10), 3)
    >>> circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> smooth, _ = smoothness(circle, np.arange(30) // 10, np.arange(30) % 10, np.arange(30) // 10)
    >>> smooth.value < 0.01
    True
    """
    resampling = resampling or Resampling()
    unit = unit_rows(as_embedding(embedding))
    lineages = as_codes("lineage", lineage, len(unit))
    given = np.zeros(len(unit), dtype=np.int64) if experiment is None else experiment
    experiments = as_codes("experiment", given, len(unit))
    successive = successive_pairs(as_codes("track", track, len(unit)), np.asarray(t))
    # the first set of random pairs is the yardstick, the others are what shuffled tracks would give
    random = [
        random_pairs(lineages, experiments, successive[:, 0], resampling.generator(1 + i))
        for i in range(1 + resampling.shuffles)
    ]
    reason = _obstacle(unit, successive, random[0])
    if reason:
        return NotAvailable(SMOOTHNESS, reason), NotAvailable(RANGE, reason)
    return _measure(unit, lineages, successive, random, resampling)


def successive_pairs(track: IntArray, t: IntArray) -> IntArray:
    """Return rows (P, 2) of one track at frames t and t + 1.

    Examples
    --------
    >>> successive_pairs(np.array([0, 0, 0, 1]), np.array([1, 0, 3, 1])).tolist()
    [[1, 0]]
    """
    order = np.lexsort((t, track))
    first, second = order[:-1], order[1:]
    joined = (track[first] == track[second]) & (t[second] - t[first] == 1)
    return np.stack([first[joined], second[joined]], axis=1)


def random_pairs(
    lineage: IntArray, experiment: IntArray, rows: IntArray, rng: np.random.Generator
) -> IntArray:
    """Pair each given row with one of its experiment and of another lineage; (P, 2).

    Rows whose partner falls into their own lineage are drawn again a few times, then left out.
    """
    partner = np.full(rows.size, -1, dtype=np.int64)
    for value in np.unique(experiment[rows]):
        members = np.flatnonzero(experiment == value)
        open_ = np.flatnonzero(experiment[rows] == value)
        for _ in range(8):
            drawn = rng.choice(members, open_.size)
            partner[open_] = np.where(lineage[drawn] != lineage[rows[open_]], drawn, -1)
            open_ = open_[partner[open_] < 0]
    found = partner >= 0
    return np.stack([rows[found], partner[found]], axis=1)


def _obstacle(unit: FloatArray, successive: IntArray, random: IntArray) -> str:
    if not successive.size:
        return "no track has two successive frames"
    if not random.size:
        return "no experiment has two lineages to draw random pairs from"
    if not unit.any():
        return "all cells have the same embedding"
    return ""


def _measure(
    unit: FloatArray, lineages: IntArray, successive: IntArray, random: list[IntArray], resampling: Resampling
) -> tuple[Outcome, Outcome]:
    near, far = _distances(unit, successive), _distances(unit, random[0])
    shuffled = np.array([_distances(unit, pairs).mean() for pairs in random[1:]])
    deletions = Deletions.of(np.zeros(int(lineages.max()) + 1, dtype=np.int64), resampling.seed)
    weights = deletions.weights
    left_near = _weighted_mean(near, weights[:, lineages[successive[:, 0]]])
    # a random pair is left out with either of its lineages
    left_far = _weighted_mean(
        far, weights[:, lineages[random[0][:, 0]]] * weights[:, lineages[random[0][:, 1]]]
    )
    n, units = len(near), np.unique(lineages[successive[:, 0]]).size
    found = (
        (SMOOTHNESS, divide(left_near, left_far, fill=np.nan), shuffled / far.mean()),
        (RANGE, left_far - left_near, far.mean() - shuffled),
    )
    smooth, reach = (
        Metric(
            definition,
            *Replicates(values, deletions).interval(resampling.level, definition.bounds),
            shuffled=float(chance.mean()),
            n=n,
            units=units,
            unit=LINEAGES,
            p=resampling.share_beyond(float(values[0]), chance, low=definition.better == "lower"),
            replicates=Replicates(values, deletions),
        )
        for definition, values, chance in found
    )
    return smooth, reach


def _distances(unit: FloatArray, pairs: IntArray) -> FloatArray:
    dot: FloatArray = np.einsum("pd,pd->p", unit[pairs[:, 0]], unit[pairs[:, 1]])
    return 1 - dot


def _weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean under each row of weights (R, P), NaN where all are zero: (R,)."""
    total = weights.sum(axis=1)
    return divide(weights @ values, total, fill=np.nan)
