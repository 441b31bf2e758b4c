"""Leakage: how well the experiment can be read from the embedding of cells of one condition.

Linear: the probe of `probe`, with experiments as classes, folds of whole lineages, one condition at a time
so that conditions which experiments share unevenly tell it nothing. Neighbours: the k nearest cells of the
same condition outside the own lineage vote on the experiment, each with the weight of one over the cells of
its experiment, so that a large experiment does not win by its size. Correction by control cells takes away
what is read linearly; neighbours may still tell.

Lower is better, down to guessing: a number below it comes from folds that correction has balanced against
each other, and says no more. Experiments with other cell lines should be told apart, and a probe on known
truth would say how well.
"""

from collections.abc import Iterator

import numpy as np

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
    unit_rows,
)
from viscy_train.evaluation.folds import FOLDS, Folds, unit_folds
from viscy_train.evaluation.intervals import Deletions, Replicates, Resampling
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.neighbours import NEIGHBOURS, NONE, nearest
from viscy_train.evaluation.probe import Task, measure, probe_definitions
from viscy_train.evaluation.scores import balanced_accuracy, unit_confusions
from viscy_train.evaluation.units import LINEAGES, Units, deal


def leakage(
    embedding: EmbeddingArray,
    experiment: LabelArray,
    lineage: LabelArray,
    *,
    condition: LabelArray | None = None,
    within: str = "condition",
    name: str = "experiment_leakage",
    resampling: Resampling | None = None,
) -> tuple[Outcome, ...]:
    """Measure how well a probe reads the experiment within a condition.

    Parameters
    ----------
    embedding : ndarray (N, D)
    experiment, lineage : ndarray (N,)
    condition : ndarray (N,), optional
        Without it all cells count as one condition.
    within, name : str
        What texts call the condition, and prefix of the metrics' keys.
    resampling : Resampling, optional

    Returns
    -------
    tuple of Metric or NotAvailable
        ``name/balanced_accuracy``, ``name/auroc``, ``name/f1``; lower is better.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> experiment = np.repeat(["a", "b"], 40)
    >>> shift = 8.0 * (experiment == "b")[:, None]
    >>> outcomes = leakage(rng.normal(size=(80, 4)) + shift, experiment, np.arange(80) // 2)
    >>> round(outcomes[0].value, 2)
    1.0
    """
    resampling = resampling or Resampling()
    array, codes, units, conditions = compared(embedding, experiment, lineage, condition)
    where = "all cells at once" if condition is None else f"cells of one {within} at a time"
    definitions = probe_definitions(
        name, "experiment", f"{where}; {FOLDS} folds of whole lineages", "down to guess"
    )
    reason = obstacle(codes, conditions, within)
    if reason:
        return tuple(NotAvailable(definition, reason) for definition in definitions)

    def folds(of: IntArray, rows: IntArray) -> Folds:
        return _folds_within(of, units.codes[rows], conditions[rows], resampling.seed)

    return measure(definitions, Task(lambda _: array, codes, units, conditions, folds), resampling)


def neighbour_leakage(
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
    """Measure how well the nearest neighbours tell the experiment within a condition.

    Parameters
    ----------
    embedding : ndarray (N, D)
    experiment, lineage : ndarray (N,)
    condition : ndarray (N,), optional
        Without it all cells count as one condition.
    within : str
        What texts call the condition.
    k : int
        Neighbours that vote.
    found : ndarray (N, k), optional
        Neighbours, where they are known (`neighbours.nearest`).
    resampling : Resampling, optional

    Returns
    -------
    Metric or NotAvailable
        ``experiment_leakage/neighbours``: balanced accuracy; lower is better.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> experiment = np.repeat(["a", "b"], 40)
    >>> shift = 8.0 * np.eye(4)[(experiment == "b").astype(int)]
    >>> neighbour_leakage(rng.normal(size=(80, 4)) + shift, experiment, np.arange(80) // 2).value
    1.0
    """
    resampling = resampling or Resampling()
    array, codes, units, pool = compared(embedding, experiment, lineage, condition)
    definition = _neighbours_definition(k, "" if condition is None else f" of the same {within}")
    reason = obstacle(codes, pool, within)
    if reason:
        return NotAvailable(definition, reason)
    if found is None:
        found = nearest(unit_rows(array), k, own=units.codes, pool=pool)
    counted = (found != NONE).any(axis=1)
    if not counted.any():
        return NotAvailable(definition, "all cells are of one lineage")
    rows = np.flatnonzero(counted)
    part = units.part(rows)
    deletions = Deletions.of(part.strata(codes[rows]), resampling.seed)
    values = _voted(codes, pool, found, rows, part.codes, deletions.weights)
    replicates = Replicates(values, deletions)
    value, low, high = replicates.interval(resampling.level, (0.0, 1.0))
    ones = np.ones((1, part.count))
    chance = [
        _voted(codes[deal(units, rng, within=pool)], pool, found, rows, part.codes, ones)[0]
        for rng in map(resampling.generator, range(1, 1 + resampling.shuffles))
    ]
    return Metric(
        definition,
        value,
        low,
        high,
        shuffled=float(np.mean(chance)),
        n=rows.size,
        units=part.count,
        unit=units.name,
        p=resampling.share_beyond(value, np.array(chance)),
        replicates=replicates,
    )


def _voted(
    codes: IntArray, pool: IntArray, found: IntArray, rows: IntArray, units: IntArray, weights: FloatArray
) -> FloatArray:
    """Balanced accuracy of the neighbours' votes under each row of unit weights (R,)."""
    classes = int(codes.max()) + 1
    held = np.bincount(pool * classes + codes, minlength=(int(pool.max()) + 1) * classes)
    worth = 1 / np.maximum(held, 1)[pool[rows][:, None] * classes + codes[found[rows]]]  # (M, k)
    # of experiments with equal votes the one that lies nearer wins
    worth = np.where(found[rows] == NONE, 0.0, worth * (1 - 1e-9 * np.arange(found.shape[1])))
    votes = np.zeros((rows.size, classes))
    np.add.at(votes, (np.arange(rows.size)[:, None], codes[found[rows]]), worth)
    confusion = unit_confusions(codes[rows], votes.argmax(axis=1), units, classes, weights.shape[1])
    return balanced_accuracy((weights @ confusion).reshape(-1, classes, classes))


def compared(
    embedding: EmbeddingArray, experiment: LabelArray, lineage: LabelArray, condition: LabelArray | None
) -> tuple[FloatArray, IntArray, Units, IntArray]:
    """Check what comparing experiments takes: embedding, their codes (N,), units, conditions' codes (N,)."""
    array = as_embedding(embedding)
    codes = as_codes("experiment", experiment, len(array))
    given = np.zeros(len(array), dtype=np.int64) if condition is None else condition
    return array, codes, Units.of(codes, lineage, LINEAGES), as_codes("condition", given, len(array))


def obstacle(codes: IntArray, pool: IntArray, within: str) -> str:
    """Say why experiments cannot be compared; empty where they can."""
    if not codes.any():
        return "all cells are of one experiment"
    shared = any(np.unique(codes[pool == value]).size > 1 for value in np.unique(pool))
    return "" if shared else f"no {within} is held by two experiments, so that these cannot be compared"


def _folds_within(
    codes: IntArray, lineages: IntArray, conditions: IntArray, seed: int
) -> Iterator[tuple[IntArray, IntArray]]:
    for value in np.unique(conditions):
        rows = np.flatnonzero(conditions == value)
        for train, test in unit_folds(codes[rows], lineages[rows], seed):
            yield rows[train], rows[test]


def _neighbours_definition(k: int, where: str) -> Definition:
    return Definition(
        "experiment_leakage/neighbours",
        "experiment told by neighbours",
        "down to guess",
        f"The {k} nearest cells (cosine distance) of other lineages{where} vote on the experiment, each "
        "experiment with equal weight; mean over experiments of the share told rightly.",
        (0.0, 1.0),
    )
