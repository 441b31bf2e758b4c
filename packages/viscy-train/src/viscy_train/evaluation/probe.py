"""A linear probe: what a logistic regression reads from an embedding.

The embedding is standardised (mean and scale of the training part only) and a logistic regression with
balanced classes and the library's default strength of regularisation is fitted. Each cell is predicted
once, by a probe that saw none of its fold. Folds are either lineages (no two cells of one lineage on both
sides) or the values of another label, such as the experiment: then a probe has to work in an experiment
that it has never seen (Alain and Bengio 2016, arXiv 1610.01644, for probing by linear classifiers).

Balanced accuracy and F1 come from one confusion matrix over all folds; AUROC is computed inside a fold,
where scores come from one probe, and averaged over folds by their numbers of cells (several classes: one
against the rest, averaged evenly).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from viscy_train.evaluation.arrays import (
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
    shuffle_labels,
)
from viscy_train.evaluation.bootstrap import Resampling
from viscy_train.evaluation.metric import Better, Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.scores import auroc, balanced_accuracy, f1, lineage_confusions

FOLDS = 5
_SCORES = (
    ("balanced_accuracy", "balanced accuracy", "Mean over classes of the share predicted rightly."),
    ("auroc", "AUROC", "Area under the ROC curve inside a fold, averaged over folds."),
    ("f1", "F1", "Mean over classes of F1."),
)

type Folds = Iterator[tuple[IntArray, IntArray]]


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of the rows that a probe could be fitted for.

    Attributes
    ----------
    rows : ndarray (M,)
        Rows of the embedding.
    predicted : ndarray (M,)
        Class codes.
    scores : ndarray (M, K)
        Probability of each class; 0 for a class that was not in the fold's training part.
    fold : ndarray (M,)
    """

    rows: IntArray
    predicted: IntArray
    scores: FloatArray
    fold: IntArray


@dataclass(frozen=True)
class Task:
    """What a probe reads, from what, and how rows are split.

    Attributes
    ----------
    embedding : ndarray (N, D)
    codes, lineage : ndarray (N,)
        Classes and lineages as codes 0..K-1.
    within : ndarray (N,) or None
        Shuffled labels stay inside these groups.
    folds : callable
        Labels to (train, test) rows.
    """

    embedding: FloatArray
    codes: IntArray
    lineage: IntArray
    within: IntArray | None
    folds: Callable[[IntArray], Folds]


def lineage_folds(codes: IntArray, lineage: IntArray, seed: int) -> Folds:
    """Yield (train, test) rows: whole lineages, classes spread evenly over the folds."""
    per_class = [np.unique(lineage[codes == code]).size for code in np.unique(codes)]
    folds = min(FOLDS, *per_class) if len(per_class) > 1 else 0
    if folds >= 2:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        yield from splitter.split(codes, codes, lineage)


def left_out_folds(held_out: IntArray) -> Folds:
    """Yield (train, test) rows: each value of `held_out` is the test part once."""
    for value in np.unique(held_out):
        yield np.flatnonzero(held_out != value), np.flatnonzero(held_out == value)


def _fit_and_score(
    embedding: FloatArray, codes: IntArray, classes: int, train: IntArray, test: IntArray
) -> FloatArray:
    # 1000 iterations are ten times what standardised embeddings of a few hundred features take
    fitted = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    fitted.fit(embedding[train], codes[train])
    scores = np.zeros((test.size, classes))
    scores[:, fitted.classes_] = fitted.predict_proba(embedding[test])
    return scores


def predict(task: Task, codes: IntArray) -> Predictions | None:
    """Fit a probe on each training part and predict its test part; None where no fold can be fitted."""
    embedding = task.embedding
    classes = int(codes.max()) + 1
    parts: list[tuple[IntArray, FloatArray]] = []
    # products this small gain nothing from threads, and lose tenfold where cores are shared
    with threadpool_limits(1):
        for train, test in task.folds(codes):
            if np.unique(codes[train]).size > 1:
                parts.append((test, _fit_and_score(embedding, codes, classes, train, test)))
    if not parts:
        return None
    scores = np.concatenate([part for _, part in parts])
    fold = np.repeat(np.arange(len(parts)), [test.size for test, _ in parts])
    return Predictions(np.concatenate([test for test, _ in parts]), scores.argmax(axis=1), scores, fold)


def probe(
    embedding: EmbeddingArray,
    label: LabelArray,
    lineage: LabelArray,
    *,
    held_out: LabelArray | None = None,
    name: str = "probe",
    title: str = "label",
    resampling: Resampling | None = None,
) -> tuple[Outcome, ...]:
    """Measure how well a label is read from the embedding: balanced accuracy, AUROC and F1.

    Parameters
    ----------
    embedding : ndarray (N, D)
    label, lineage : ndarray (N,)
    held_out : ndarray (N,), optional
        Leave one value of this label out at a time; without it folds are whole lineages.
        Shuffled labels are dealt out inside these values.
    name, title : str
        Prefix of the metrics' keys, and what their titles call the label.
    resampling : Resampling, optional

    Returns
    -------
    tuple of Metric or NotAvailable
        ``name/balanced_accuracy``, ``name/auroc``, ``name/f1``.

    Raises
    ------
    InvalidInputError
        If shapes disagree or the embedding is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> label = np.repeat([0, 1], 40)
    >>> embedding = rng.normal(size=(80, 4)) + 8 * label[:, None]
    >>> [round(metric.value, 2) for metric in probe(embedding, label, np.arange(80) // 2)]
    [1.0, 1.0, 1.0]
    """
    resampling = resampling or Resampling()
    array = as_embedding(embedding)
    codes = as_codes("label", label, len(array))
    lineages = as_codes("lineage", lineage, len(array))
    groups = None if held_out is None else as_codes("held_out", held_out, len(array))
    definitions = probe_definitions(name, title, split_text(by_lineage=groups is None), "higher")
    reason = _obstacle(codes, groups)
    if reason:
        return tuple(NotAvailable(definition, reason) for definition in definitions)

    def folds(of: IntArray) -> Folds:
        return lineage_folds(of, lineages, resampling.seed) if groups is None else left_out_folds(groups)

    return measure(definitions, Task(array, codes, lineages, groups, folds), resampling)


def _obstacle(codes: IntArray, groups: IntArray | None) -> str:
    if np.unique(codes).size < 2:
        return "all cells carry one label"
    if groups is not None and np.unique(groups).size < 2:
        return "nothing to leave out: all cells are of one experiment"
    return ""


def measure(definitions: tuple[Definition, ...], task: Task, resampling: Resampling) -> tuple[Outcome, ...]:
    """Fit and score the probes of a task, with interval and shuffled labels."""
    predictions = predict(task, task.codes)
    if predictions is None:
        reason = "too few lineages: each class needs two, and each training part two classes"
        return tuple(NotAvailable(definition, reason) for definition in definitions)
    ones = np.ones((1, int(task.lineage.max()) + 1))
    point = _scores(task.codes, task.lineage, predictions, ones)
    drawn = _scores(task.codes, task.lineage, predictions, resampling.weights(ones.size))
    outcomes: list[Outcome] = []
    for definition, value, replicates, chance in zip(
        definitions, point, drawn, _shuffled(task, resampling), strict=True
    ):
        if not np.isfinite(value[0] + chance):
            outcomes.append(NotAvailable(definition, "no fold holds two classes"))
            continue
        low, high = resampling.interval(replicates)
        n, units = predictions.rows.size, np.unique(task.lineage[predictions.rows]).size
        outcomes.append(Metric(definition, float(value[0]), low, high, chance, n, units))
    return tuple(outcomes)


def _scores(
    codes: IntArray, lineages: IntArray, predictions: Predictions, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Balanced accuracy, AUROC and F1 for each row of lineage weights (R, L): three arrays (R,)."""
    truth, units = codes[predictions.rows], lineages[predictions.rows]
    classes = predictions.scores.shape[1]
    per_lineage = lineage_confusions(truth, predictions.predicted, units, classes, weights.shape[1])
    confusion = (weights @ per_lineage).reshape(-1, classes, classes)
    area = auroc(truth, predictions.scores, predictions.fold, weights, units)
    return balanced_accuracy(confusion), area, f1(confusion)


def _shuffled(task: Task, resampling: Resampling) -> tuple[float, float, float]:
    ones = np.ones((1, int(task.lineage.max()) + 1))
    drawn = []
    for shuffle in range(resampling.shuffles):
        rng = resampling.generator(1 + shuffle)
        dealt = shuffle_labels(task.codes, task.lineage, rng, within=task.within)
        predictions = predict(task, dealt)
        if predictions is not None:
            drawn.append([float(score[0]) for score in _scores(dealt, task.lineage, predictions, ones)])
    accuracy, area, score = np.mean(drawn, axis=0) if drawn else (np.nan, np.nan, np.nan)
    return float(accuracy), float(area), float(score)


def split_text(*, by_lineage: bool) -> str:
    """Say how rows are split."""
    return f"{FOLDS} folds of whole lineages" if by_lineage else "one experiment left out at a time"


def probe_definitions(name: str, title: str, split: str, better: Better) -> tuple[Definition, ...]:
    """Return the definitions of a probe's three scores."""
    text = (
        f"Logistic regression (balanced classes) on the standardised embedding reads the {title}; {split}; "
        "scaler and probe see the training part only. "
    )
    return tuple(
        Definition(f"{name}/{key}", f"{title}: {words}", better, text + how) for key, words, how in _SCORES
    )
