"""One number of one label, in a second or two: for what is asked again and again while a model trains.

It is the AUROC of the probe of `evaluate`, experiments left out, or units of treatment where no experiment
can be; without the interval and the shuffled labels, which take twenty times as long. It shows a direction;
`evaluate` says what it is worth.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import config_context
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from viscy_data import columns
from viscy_train.evaluation.arrays import EmbeddingArray, as_embedding
from viscy_train.evaluation.cells import Cells, Label
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.probe import TOO_FEW, Predictions, Task, plain_scores, predict, probe_task
from viscy_train.evaluation.questions import Question


@dataclass(frozen=True)
class QuickProbe:
    """AUROC, or why there is none; of how many cells, and what was left out of learning."""

    value: float | None
    cells: int
    left_out: str
    reason: str = ""


def quick_probe(
    embedding: EmbeddingArray, obs: pd.DataFrame, label: str = columns.CONDITION, *, seed: int = 0
) -> QuickProbe:
    """Read a label from an embedding (N, D) with the anchors' columns of its rows.

    Raises
    ------
    InvalidInputError
        If the embedding is not finite.
    """
    cells = Cells.of(as_embedding(embedding), obs, (label,))
    reason = ""
    for leaving_out in (True, False):
        reading = quick_reading(cells, cells.labels[0], leaving_out=leaving_out, seed=seed)
        if isinstance(reading, str):
            reason = reading
            continue
        area = plain_scores(reading.task, reading.found)[1]
        if np.isfinite(area):
            left = "experiments" if leaving_out else reading.question.units.name
            return QuickProbe(float(area), reading.found.rows.size, left)
        reason = TOO_FEW
    return QuickProbe(None, 0, "", reason)


@dataclass(frozen=True)
class QuickReading:
    """What was asked, and what probes predicted of the cells that they had not seen."""

    question: Question
    task: Task
    found: Predictions


def quick_reading(cells: Cells, label: Label, *, leaving_out: bool, seed: int = 0) -> QuickReading | str:
    """Predict a label once, a column's values or units left out; else return why it cannot be."""
    question = Question.of(cells, label, leaving_out=leaving_out)
    if question.reason:
        return question.reason
    task = probe_task(
        cells.embed(question.rows, question.codes),
        question.codes,
        question.units,
        question.groups if leaving_out else None,
        Resampling(seed=seed),
    )
    every = np.arange(task.codes.size)
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        folds = task.folds(task.codes, every)
        found = predict(task.embedding(every), task.codes, int(task.codes.max()) + 1, folds)
    return TOO_FEW if found is None else QuickReading(question, task, found)
