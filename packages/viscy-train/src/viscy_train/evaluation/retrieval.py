"""Retrieval: whether the nearest neighbour of a cell is the kind of cell it should be.

Three questions, each answered by the share of cells for which it is so. Is the nearest cell outside the own
lineage of the same condition? Is the nearest cell of another experiment of the same condition? And,
needing no condition: of the cells of the same field of view one frame on, is the nearest of the own
lineage? Distances are cosine distances.
"""

from itertools import pairwise

import numpy as np

from viscy_train.evaluation.arrays import (
    BoolArray,
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
    shuffle_labels,
    unit_rows,
)
from viscy_train.evaluation.bootstrap import Resampling, ratio
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.neighbours import NONE, nearest

SAME_CONDITION = Definition(
    "retrieval/same_condition",
    "nearest cell has its condition",
    "higher",
    "Share of cells whose nearest neighbour outside the own lineage is of the same condition.",
)
ACROSS_EXPERIMENTS = Definition(
    "retrieval/across_experiments",
    "nearest cell elsewhere has its condition",
    "higher",
    "Share of cells whose nearest neighbour in another experiment is of the same condition.",
)
NEXT_FRAME = Definition(
    "retrieval/next_frame",
    "nearest cell one frame on is its own",
    "higher",
    "Share of cells whose nearest neighbour among the cells of the same field of view one frame later is of "
    "the own lineage; cells alone there are left out. Shuffled: one of those cells at random.",
)


def condition_retrieval(
    embedding: EmbeddingArray,
    condition: LabelArray,
    experiment: LabelArray,
    lineage: LabelArray,
    *,
    resampling: Resampling | None = None,
) -> tuple[Outcome, Outcome]:
    """Measure how often the nearest neighbour is of the same condition, anywhere and across experiments.

    Parameters
    ----------
    embedding : ndarray (N, D)
    condition, experiment, lineage : ndarray (N,)
    resampling : Resampling, optional
        Shuffled conditions are dealt out inside experiments.

    Returns
    -------
    tuple of Metric or NotAvailable
        ``retrieval/same_condition``, ``retrieval/across_experiments``.

    Examples
    --------
    >>> condition = np.arange(40) % 2
    >>> embedding = np.stack([condition, 1 - condition], axis=1) + 0.01 * np.arange(40)[:, None]
    >>> outcomes = condition_retrieval(embedding, condition, np.arange(40) // 20, np.arange(40))
    >>> [outcome.value for outcome in outcomes]
    [1.0, 1.0]
    """
    resampling = resampling or Resampling()
    unit = unit_rows(as_embedding(embedding))
    conditions = as_codes("condition", condition, len(unit))
    experiments = as_codes("experiment", experiment, len(unit))
    lineages = as_codes("lineage", lineage, len(unit))
    if not conditions.any():
        reason = "all cells are of one condition"
        return NotAvailable(SAME_CONDITION, reason), NotAvailable(ACROSS_EXPERIMENTS, reason)
    dealt = [
        shuffle_labels(conditions, lineages, resampling.generator(1 + i), within=experiments)
        for i in range(resampling.shuffles)
    ]
    anywhere = _same_share(SAME_CONDITION, unit, lineages, conditions, dealt, lineages, resampling)
    if not experiments.any():
        return anywhere, NotAvailable(ACROSS_EXPERIMENTS, "all cells are of one experiment")
    across = _same_share(ACROSS_EXPERIMENTS, unit, experiments, conditions, dealt, lineages, resampling)
    return anywhere, across


def _same_share(
    definition: Definition,
    unit: FloatArray,
    own: IntArray,
    conditions: IntArray,
    dealt: list[IntArray],
    lineages: IntArray,
    resampling: Resampling,
) -> Outcome:
    found = nearest(unit, 1, own=own, pool=np.zeros_like(own))[:, 0]
    exists = found != NONE
    if not exists.any():
        return NotAvailable(definition, "all cells are of one lineage")
    rows, near = np.flatnonzero(exists), found[exists]
    chance = np.mean([(labels[near] == labels[rows]).mean() for labels in dealt])
    return _share(definition, conditions[near] == conditions[rows], float(chance), lineages[rows], resampling)


def _share(
    definition: Definition, right: BoolArray, chance: float, lineages: IntArray, resampling: Resampling
) -> Metric:
    units = np.unique(lineages, return_inverse=True)[1].astype(np.int64)
    value, low, high = ratio(right.astype(np.float64), np.ones(right.size), units, resampling)
    return Metric(definition, value, low, high, chance, right.size, int(units.max()) + 1)


def next_frame_retrieval(
    embedding: EmbeddingArray,
    fov: LabelArray,
    t: IntArray,
    lineage: LabelArray,
    *,
    resampling: Resampling | None = None,
) -> Outcome:
    """Measure how often the nearest cell one frame on, in the same field of view, is of the own lineage.

    Parameters
    ----------
    embedding : ndarray (N, D)
    fov : ndarray (N,)
        Unique over all experiments.
    t : ndarray (N,)
        Frames.
    lineage : ndarray (N,)
    resampling : Resampling, optional

    Returns
    -------
    Metric or NotAvailable
        ``retrieval/next_frame``; cells whose lineage or all others end before the next frame do not count.

    Examples
    --------
    >>> lineage, t = np.arange(20) % 5, np.arange(20) // 5
    >>> next_frame_retrieval(np.eye(5)[lineage], np.zeros(20), t, lineage).value
    1.0
    """
    resampling = resampling or Resampling()
    unit = unit_rows(as_embedding(embedding))
    lineages = as_codes("lineage", lineage, len(unit))
    fovs = as_codes("fov", fov, len(unit))
    parts = list(_frames(unit, fovs, np.asarray(t, dtype=np.int64), lineages))
    if not parts:
        return NotAvailable(NEXT_FRAME, "no cell has its lineage and another one in its next frame")
    rows, right, chance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _share(NEXT_FRAME, right.astype(np.bool_), float(chance.mean()), lineages[rows], resampling)


def _frames(
    unit: FloatArray, fovs: IntArray, t: IntArray, lineages: IntArray
) -> list[tuple[IntArray, BoolArray, FloatArray]]:
    """For each frame: the rows that count, whether their nearest is right, and its chance."""
    order = np.lexsort((t, fovs))
    starts = np.flatnonzero(np.r_[True, (np.diff(fovs[order]) != 0) | (np.diff(t[order]) != 0)])
    frames = np.split(order, starts[1:])
    parts = []
    for now, then in pairwise(frames):
        if fovs[now[0]] != fovs[then[0]] or t[then[0]] - t[now[0]] != 1:
            continue
        same = lineages[now][:, None] == lineages[then][None, :]
        counts = same.any(axis=1) & ~same.all(axis=1)
        near = (unit[now] @ unit[then].T).argmax(axis=1)
        right = same[np.arange(now.size), near]
        parts.append((now[counts], right[counts], same.mean(axis=1)[counts]))
    return [part for part in parts if part[0].size]
