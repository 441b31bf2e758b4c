"""A linear probe: what a logistic regression reads from an embedding.

The embedding is standardised (mean and scale of the training part only) and a logistic regression with
balanced classes and the library's default strength of regularisation is fitted. Each cell is predicted
once, by a probe that saw none of its fold. Folds are either whole units of the label (`units`: no two cells
of one well on both sides) or the values of another column, such as the experiment: then a probe has to work
in an experiment that it has never seen (Alain and Bengio 2016, arXiv 1610.01644, for probing by linear
classifiers).

Balanced accuracy and F1 come from one confusion matrix over all folds; AUROC is computed inside a fold,
where scores come from one probe, and averaged over folds by their numbers of cells (several classes: one
against the rest, averaged evenly).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from viscy_train.evaluation.arrays import (
    BoolArray,
    EmbeddingArray,
    FloatArray,
    IntArray,
    LabelArray,
    as_codes,
    as_embedding,
)
from viscy_train.evaluation.folds import FOLDS, Folds, left_out_folds, unit_folds
from viscy_train.evaluation.intervals import Deletions, Replicates, Resampling
from viscy_train.evaluation.metric import Better, Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.scores import auroc, balanced_accuracy, f1, unit_confusions
from viscy_train.evaluation.units import CELLS, Units, constant_within, deal, lone_unit, spread

SCORES = (
    ("balanced_accuracy", "balanced accuracy", "Mean over classes of the share predicted rightly."),
    ("auroc", "AUROC", "Area under the ROC curve inside a fold, averaged over folds."),
    ("f1", "F1", "Mean over classes of F1."),
)
TOO_FEW = "too few units: each class needs two, and each training part two classes"


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of the rows that a probe could be fitted for.

    Attributes
    ----------
    rows : ndarray (M,)
        Rows of the embedding.
    scores : ndarray (M, K)
        Probability of each class; 0 for a class that was not in the fold's training part.
    fold : ndarray (M,)
    """

    rows: IntArray
    scores: FloatArray
    fold: IntArray


@dataclass(frozen=True)
class Task:
    """What a probe reads, from what, and how rows are split.

    Attributes
    ----------
    embedding : callable
        Rows (N,) that each row takes its labels from, to the embedding (N, D). Where an embedding was
        corrected by control cells, these are labels, too, and shuffling them gives another one.
    codes : ndarray (N,)
        Classes as codes 0..K-1.
    units : Units
    within : ndarray (N,) or None
        Shuffled labels stay inside these groups.
    folds : callable
        Labels, and units, of some rows to (train, test) places among them.
    """

    embedding: Callable[[IntArray], FloatArray]
    codes: IntArray
    units: Units
    within: IntArray | None
    folds: Callable[[IntArray, IntArray], Folds]


@dataclass(frozen=True)
class Reading:
    """What the probes of a task predicted: of the labels, and of each shuffled copy of them."""

    task: Task
    found: Predictions
    shuffled: tuple[tuple[IntArray, Predictions], ...]


def fit_probe(embedding: EmbeddingArray, codes: IntArray) -> tuple[StandardScaler, LogisticRegression]:
    """Fit scaler and logistic regression to all rows."""
    scaler = StandardScaler()
    # 1000 iterations are ten times what standardised embeddings of a few hundred features take
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(scaler.fit_transform(embedding), codes)
    return scaler, model


def predict(embedding: EmbeddingArray, codes: IntArray, classes: int, folds: Folds) -> Predictions | None:
    """Fit a probe on each training part and predict its test part; None where no fold can be fitted."""
    rows, parts = [], []
    for train, test in folds:
        if np.unique(codes[train]).size < 2:
            continue
        scaler, model = fit_probe(embedding[train], codes[train])
        scores = np.zeros((test.size, classes))
        scores[:, model.classes_] = model.predict_proba(scaler.transform(embedding[test]))
        rows.append(test)
        parts.append(scores)
    if not parts:
        return None
    fold = np.repeat(np.arange(len(rows)), [test.size for test in rows])
    return Predictions(np.concatenate(rows), np.concatenate(parts), fold)


def probe(
    embedding: EmbeddingArray,
    label: LabelArray,
    units: Units | LabelArray,
    *,
    held_out: LabelArray | None = None,
    blocks: LabelArray | None = None,
    name: str = "probe",
    title: str = "label",
    resampling: Resampling | None = None,
) -> tuple[Outcome, ...]:
    """Measure how well a label is read from the embedding: balanced accuracy, AUROC and F1.

    Parameters
    ----------
    embedding : ndarray (N, D)
    label : ndarray (N,)
    units : Units or ndarray (N,)
        What the label was given to, such as the well; folds and intervals leave out whole units, shuffles
        deal labels among them.
    held_out : ndarray (N,), optional
        Leave one value of this label out at a time; without it folds are whole units.
        Shuffled labels are dealt out inside these values.
    blocks : ndarray (N,), optional
        Without `held_out`: spread folds evenly over these values, such as experiments, and deal inside them.
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
    of = Units.of(codes, units)
    groups = None if held_out is None else as_codes("held_out", held_out, len(array))
    split = split_text(of.name, None if groups is None else "group")
    definitions = probe_definitions(name, title, split, "higher")
    reason = obstacle(codes, of, groups)
    if reason:
        return tuple(NotAvailable(definition, reason) for definition in definitions)
    within = None if blocks is None or groups is not None else as_codes("blocks", blocks, len(array))
    task = probe_task(lambda _: array, codes, of, groups, resampling, within)
    return measure(definitions, task, resampling)


def probe_task(
    embedding: Callable[[IntArray], FloatArray],
    codes: IntArray,
    units: Units,
    groups: IntArray | None,
    resampling: Resampling,
    shuffled_within: IntArray | None = None,
) -> Task:
    """Return the task of reading a label from units, or groups, not seen.

    Shuffled labels stay inside groups, or what else is named, such as experiments, so that what these tell
    stays told; folds of units are spread evenly over these, too.
    """

    def by_unit(of: IntArray, rows: IntArray) -> Folds:
        blocks = None if shuffled_within is None else shuffled_within[rows]
        return unit_folds(of, units.codes[rows], resampling.seed, blocks)

    def by_group(_: IntArray, rows: IntArray) -> Folds:
        return left_out_folds(rows if groups is None else groups[rows], units.codes[rows])

    within = groups if shuffled_within is None else shuffled_within
    if within is not None and constant_within(codes, within):
        within = None  # nothing could be dealt out anew
    return Task(embedding, codes, units, within, by_unit if groups is None else by_group)


def obstacle(codes: IntArray, units: Units, groups: IntArray | None) -> str:
    """Say why a label cannot be read; empty where it can."""
    if np.unique(codes).size < 2:
        return "all cells carry one label"
    if groups is not None and np.unique(groups).size < 2:
        return "all cells are of one group, so that none can be left out"
    return lone_unit(codes, units)


def measure(definitions: tuple[Definition, ...], task: Task, resampling: Resampling) -> tuple[Outcome, ...]:
    """Fit and score the probes of a task, with interval and shuffled labels."""
    reading = read(task, resampling)
    if reading is None:
        return tuple(NotAvailable(definition, TOO_FEW) for definition in definitions)
    return outcomes_of(reading, definitions, resampling)


def read(task: Task, resampling: Resampling) -> Reading | None:
    """Fit the probes of a task, and those of its shuffled labels; None where none can be fitted."""
    classes, every = int(task.codes.max()) + 1, np.arange(task.codes.size)
    # products this small gain nothing from threads, and lose tenfold where cores are shared; the library's
    # checks of its input take as long as fits of few cells
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        whole = task.embedding(every)
        found = predict(whole, task.codes, classes, task.folds(task.codes, every))
        if found is None:
            return None
        shuffled = []
        for shuffle in range(resampling.shuffles):
            rng = resampling.generator(1 + shuffle)
            source = deal(task.units, rng, within=task.within)
            codes = task.codes[source]
            again = _same_cut(found, task.codes, codes, renamed=task.embedding(source) is whole)
            if again is not None:
                shuffled.append((codes, again))
                continue
            rows = spread(task.units.codes, resampling.shuffled_cells, rng)
            # half the digits, half the time: nobody reads a single number of these
            embedding = task.embedding(source)[rows].astype(np.float32)
            dealt = predict(embedding, codes[rows], classes, task.folds(codes[rows], rows))
            if dealt is not None:
                shuffled.append((codes, Predictions(rows[dealt.rows], dealt.scores, dealt.fold)))
    return Reading(task, found, tuple(shuffled))


def _same_cut(found: Predictions, true: IntArray, dealt: IntArray, *, renamed: bool) -> Predictions | None:
    """Return what is predicted of dealt labels that part the cells as the true ones do; None for others.

    Of few wells many dealings give the true labels, or (`renamed`) these under other names. Probes of fewer
    cells would miss the true number by a hair, and the labels would seem rarer than they are.
    """
    pairs = np.unique(np.stack([true, dealt]), axis=1)
    classes = found.scores.shape[1]
    if pairs.shape[1] != classes or np.unique(pairs[1]).size != classes:
        return None
    if not renamed and (pairs[0] != pairs[1]).any():
        return None
    before = np.empty(classes, dtype=np.int64)
    before[pairs[1]] = pairs[0]  # (K,) the true class that a dealt one is
    return Predictions(found.rows, found.scores[:, before], found.fold)


def outcomes_of(
    reading: Reading,
    definitions: tuple[Definition, ...],
    resampling: Resampling,
    *,
    among: BoolArray | None = None,
    note: str = "",
) -> tuple[Outcome, ...]:
    """Score what probes predicted, of all rows or among some (N,)."""
    codes, units = reading.task.codes, reading.task.units
    found = _among(reading.found, among)
    reason = _too_few_among(codes, units, found)
    if reason:
        return tuple(NotAvailable(definition, reason) for definition in definitions)
    part = units.part(found.rows)
    deletions = Deletions.of(part.strata(codes[found.rows]), resampling.seed)
    scores = _scores(codes, units.codes, found, _of_all(units, found.rows, deletions.weights))
    ones = np.ones((1, units.count))
    dealt = [_scores(one, units.codes, _among(of, among), ones) for one, of in reading.shuffled]
    chance = np.array([[score[0] for score in one] for one in dealt]).reshape(-1, len(definitions))
    outcomes: list[Outcome] = []
    for definition, values, drawn in zip(definitions, scores, chance.T, strict=True):
        drawn = drawn[np.isfinite(drawn)]  # noqa: PLW2901  a shuffle may leave a fold with one class
        if not np.isfinite(values[0]) or not drawn.size:
            outcomes.append(NotAvailable(definition, "no fold holds two classes"))
            continue
        replicates = Replicates(values, deletions)
        value, low, high = replicates.interval(
            resampling.level, definition.bounds, chance=float(drawn.mean())
        )
        single = units.dealt.max() + 1 > units.count  # labels given to cells: rows are no random units
        p = None if single else resampling.share_beyond(value, drawn, low=definition.better == "lower")
        outcomes.append(
            Metric(
                definition,
                value,
                low,
                high,
                shuffled=float(drawn.mean()),
                n=found.rows.size,
                units=part.count,
                unit=units.name,
                p=p,
                note=note,
                replicates=replicates,
            )
        )
    return tuple(outcomes)


def _among(predictions: Predictions, among: BoolArray | None) -> Predictions:
    if among is None:
        return predictions
    kept = among[predictions.rows]
    return Predictions(predictions.rows[kept], predictions.scores[kept], predictions.fold[kept])


def _too_few_among(codes: IntArray, units: Units, found: Predictions) -> str:
    if np.unique(codes[found.rows]).size < 2:
        return "the cells that probes could predict carry one label"
    return lone_unit(codes[found.rows], units.part(found.rows))


def _of_all(units: Units, rows: IntArray, weights: FloatArray) -> FloatArray:
    """Widen weights (R, part of the units) to all units (R, U)."""
    wide = np.zeros((len(weights), units.count))
    wide[:, np.unique(units.codes[rows])] = weights
    return wide


def _scores(
    codes: IntArray, units: IntArray, predictions: Predictions, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Balanced accuracy, AUROC and F1 for each row of unit weights (R, U): three arrays (R,)."""
    if not predictions.rows.size:
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing, nothing
    truth, of = codes[predictions.rows], units[predictions.rows]
    classes = predictions.scores.shape[1]
    predicted = predictions.scores.argmax(axis=1)
    per_unit = unit_confusions(truth, predicted, of, classes, weights.shape[1])
    confusion = (weights @ per_unit).reshape(-1, classes, classes)
    area = auroc(truth, predictions.scores, predictions.fold, weights, of)
    return balanced_accuracy(confusion), area, f1(confusion)


def plain_scores(task: Task, found: Predictions) -> tuple[float, float, float]:
    """Return balanced accuracy, AUROC and F1 alone, without interval and shuffled labels."""
    ones = np.ones((1, task.units.count))
    accuracy, area, score = _scores(task.codes, task.units.codes, found, ones)
    return float(accuracy[0]), float(area[0]), float(score[0])


def split_text(unit: str, group: str | None = None) -> str:
    """Say how rows are split: by units, or a column's values left out."""
    if group is not None:
        return f"one {group} left out at a time"
    # frames of one lineage are never on both sides, also where a label was given to cells
    return f"{FOLDS} folds of whole {'lineages' if unit == CELLS else unit}"


def probe_definitions(
    name: str, title: str, split: str, better: Better, label: str | None = None
) -> tuple[Definition, ...]:
    """Return the definitions of a probe's three scores."""
    text = (
        f"Logistic regression (balanced classes) on the standardised embedding reads the {label or title}; "
        f"{split}; scaler and probe see the training part only. "
    )
    return tuple(
        Definition(f"{name}/{key}", f"{title}: {words}", better, text + how, (0.0, 1.0))
        for key, words, how in SCORES
    )
