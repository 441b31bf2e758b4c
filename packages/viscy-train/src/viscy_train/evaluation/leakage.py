"""Leakage: how well the experiment can be read from the embedding of cells of one condition.

The probe of `probe`, with experiments as classes, folds of whole lineages, one condition at a time so
that conditions which experiments share unevenly tell it nothing. Lower is better: what reads the
experiment is illumination, staining and microscope.
"""

from collections.abc import Iterator

import numpy as np

from viscy_train.evaluation.arrays import EmbeddingArray, IntArray, LabelArray, as_codes, as_embedding
from viscy_train.evaluation.bootstrap import Resampling
from viscy_train.evaluation.metric import NotAvailable, Outcome
from viscy_train.evaluation.probe import FOLDS, Folds, Task, lineage_folds, measure, probe_definitions


def leakage(
    embedding: EmbeddingArray,
    experiment: LabelArray,
    lineage: LabelArray,
    *,
    condition: LabelArray | None = None,
    name: str = "experiment_leakage",
    resampling: Resampling | None = None,
) -> tuple[Outcome, ...]:
    """Measure how well the experiment is read within a condition.

    Parameters
    ----------
    embedding : ndarray (N, D)
    experiment, lineage : ndarray (N,)
    condition : ndarray (N,), optional
        Without it all cells count as one condition.
    name : str
        Prefix of the metrics' keys.
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
    array = as_embedding(embedding)
    codes = as_codes("experiment", experiment, len(array))
    lineages = as_codes("lineage", lineage, len(array))
    given = np.zeros(len(array), dtype=np.int64) if condition is None else condition
    conditions = as_codes("condition", given, len(array))
    where = "all cells at once" if condition is None else "one condition at a time"
    definitions = probe_definitions(name, "experiment", f"{where}; {FOLDS} folds of whole lineages", "lower")
    if not _shared(codes, conditions):
        reason = (
            "no condition is held by two experiments" if codes.any() else "all cells are of one experiment"
        )
        return tuple(NotAvailable(definition, reason) for definition in definitions)

    def folds(of: IntArray) -> Folds:
        return _folds_within(of, lineages, conditions, resampling.seed)

    return measure(definitions, Task(array, codes, lineages, conditions, folds), resampling)


def _shared(codes: IntArray, conditions: IntArray) -> bool:
    return any(np.unique(codes[conditions == value]).size > 1 for value in np.unique(conditions))


def _folds_within(
    codes: IntArray, lineages: IntArray, conditions: IntArray, seed: int
) -> Iterator[tuple[IntArray, IntArray]]:
    for value in np.unique(conditions):
        rows = np.flatnonzero(conditions == value)
        for train, test in lineage_folds(codes[rows], lineages[rows], seed):
            yield rows[train], rows[test]
