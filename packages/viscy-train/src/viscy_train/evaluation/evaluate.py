"""All metrics of one embedding: from arrays, or from an embeddings file.

What the labels allow is measured; what they do not is a `NotAvailable` with its reason: no condition, a
single experiment, no two successive frames. Large tables are thinned to `max_cells` by whole lineages, evenly
over experiments, and the result says so.
"""

import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from viscy_data import InvalidInputError, columns, marked, suggest, write_text
from viscy_train.evaluation.arrays import BoolArray, EmbeddingArray, IntArray, as_embedding
from viscy_train.evaluation.bootstrap import Resampling
from viscy_train.evaluation.groups import MEASURES, NO_CONDITION, Cells, codes_of
from viscy_train.evaluation.metric import NotAvailable, Outcome
from viscy_train.evaluation.reading import read_embeddings

MOST_LABELS = 50
"""Different fractions that a column of labels may hold."""
_WORD = re.compile(r"\bcondition\b")
_NEEDED = (columns.EXPERIMENT, columns.FOV, columns.GLOBAL_TRACK_ID, columns.LINEAGE_ID, columns.T)


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one embedding.

    Attributes
    ----------
    outcomes : tuple of Metric or NotAvailable
    cells : int
        Rows evaluated.
    of_cells : int
        Rows of the embedding; more than `cells` where it was thinned.
    resampling : Resampling
    labels : str
        Column whose values the embedding is asked for.
    model_digest : str
        Of the weights that the embedding is of; empty: not known.
    """

    outcomes: tuple[Outcome, ...]
    cells: int
    of_cells: int
    resampling: Resampling
    labels: str = columns.CONDITION
    model_digest: str = ""

    def __getitem__(self, name: str) -> Outcome:
        """Return the outcome of one metric by its key."""
        return {outcome.name: outcome for outcome in self.outcomes}[name]

    def table(self) -> pd.DataFrame:
        """Return one row for each metric; what is not available has a reason in place of numbers."""
        return pd.DataFrame([_row(outcome) for outcome in self.outcomes])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "labels": self.labels,
            "cells": self.cells,
            "of_cells": self.of_cells,
            "replicates": self.resampling.replicates,
            "level": self.resampling.level,
            "shuffles": self.resampling.shuffles,
            "seed": self.resampling.seed,
            **({"model_digest": self.model_digest} if self.model_digest else {}),
            "metrics": [outcome.to_dict() for outcome in self.outcomes],
        }

    def write(self, path: str | Path) -> None:
        """Write the metrics as JSON."""
        write_text(path, json.dumps(marked(self.to_dict(), "viscy-train"), indent=1))


def evaluate(
    path: str | Path,
    *,
    labels: str = columns.CONDITION,
    max_cells: int = 20_000,
    resampling: Resampling | None = None,
) -> Evaluation:
    """Measure an embeddings file written by `viscy_train.embed`.

    Parameters
    ----------
    path : str or Path
        AnnData in Zarr.
    labels : str
        Column of obs whose values take the place of the condition: a drug, a cell type.
    max_cells : int
        More cells are thinned by whole lineages, evenly over experiments.
    resampling : Resampling, optional

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        If a column that every evaluation needs is missing, or the file is not one of embeddings.
    """
    file = read_embeddings(path)
    finite = np.isfinite(file.embedding).all(axis=1)
    if not finite.any():
        raise InvalidInputError(f"path={str(path)!r}: none of {len(finite)} rows is finite; embed them anew.")
    if not finite.all():
        warnings.warn(
            f"{(~finite).sum()} of {len(finite)} rows are not finite and are left out: cells that could not "
            "be read when they were embedded.",
            stacklevel=2,
        )
    evaluation = evaluate_arrays(
        file.embedding[finite],
        file.obs[finite],
        labels=labels,
        max_cells=max_cells,
        resampling=resampling,
    )
    made_by = file.provenance.get("viscy_train")
    digest = made_by.get("model_digest", "") if isinstance(made_by, Mapping) else ""
    return replace(evaluation, model_digest=str(digest))


def evaluate_arrays(
    embedding: EmbeddingArray,
    obs: pd.DataFrame,
    *,
    labels: str = columns.CONDITION,
    max_cells: int = 20_000,
    resampling: Resampling | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure an embedding (N, D) with the anchors' columns of its N rows.

    Parameters
    ----------
    embedding : ndarray (N, D)
    obs : DataFrame
        At least experiment, fov, global_track_id, lineage_id and t; condition where it is known.
    labels : str
        Column whose values take the place of the condition; cells without one are left out of what needs it.
    max_cells : int
        More cells are thinned by whole lineages, evenly over experiments.
    resampling : Resampling, optional
    progress : callable, optional
        Told the name of each group of metrics before it is computed.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        If a needed column is missing, lengths disagree, or `labels` holds no labels.
    """
    resampling = resampling or Resampling()
    array = as_embedding(embedding)
    _check(array.shape[0], obs)
    obs = _labelled(obs, labels)
    kept = thin(obs, max_cells, resampling)
    cells = Cells.of(array[kept], obs[kept])
    outcomes: list[Outcome] = []
    for name, measure in MEASURES:
        if progress is not None:
            progress(name)
        outcomes.extend(measure(cells, resampling))
    named = tuple(_named(outcome, labels) for outcome in outcomes)
    return Evaluation(named, int(kept.sum()), array.shape[0], resampling, labels)


def _check(rows: int, obs: pd.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in obs.columns]
    if missing:
        raise InvalidInputError(f"obs lacks the columns {missing}; it has {list(obs.columns)}")
    if len(obs) != rows:
        raise InvalidInputError(f"len(obs)={len(obs)}, but the embedding has {rows} rows")


def _labelled(obs: pd.DataFrame, labels: str) -> pd.DataFrame:
    """Return the table with a column in the place of the condition."""
    if labels == columns.CONDITION:
        return obs
    if labels not in obs.columns:
        held = [str(name) for name in obs.columns]
        raise InvalidInputError(
            f"labels={labels!r} is not a column of obs, which has {', '.join(held)}.{suggest(labels, held)}"
        )
    found = obs[labels]
    count = found.nunique()
    if pd.api.types.is_float_dtype(found.dtype) and count > MOST_LABELS:
        raise InvalidInputError(
            f"labels={labels!r} holds numbers of {count:,} values: labels are text, whole numbers, or "
            f"numbers of at most {MOST_LABELS} values; write a column of classes."
        )
    return obs.assign(**{columns.CONDITION: found})


def _named(outcome: Outcome, labels: str) -> Outcome:
    """Return an outcome whose words name the column that took the place of the condition."""
    if labels == columns.CONDITION:
        return outcome
    title, text = (_WORD.sub(labels, one) for one in (outcome.definition.title, outcome.definition.text))
    definition = replace(outcome.definition, title=title, text=text)
    if isinstance(outcome, NotAvailable) and outcome.reason == NO_CONDITION:
        return replace(outcome, definition=definition, reason=f"no cell has a value of {labels}")
    return replace(outcome, definition=definition)


def thin(obs: pd.DataFrame, max_cells: int, resampling: Resampling) -> BoolArray:
    """Choose whole lineages, drawn evenly, that hold at most about `max_cells` rows; (N,).

    Experiments get even shares, so that a small one is not lost beside large ones.
    """
    if len(obs) <= max_cells:
        return np.ones(len(obs), dtype=np.bool_)
    experiment, lineage = codes_of(obs[columns.EXPERIMENT]), codes_of(obs[columns.LINEAGE_ID])
    sizes = np.bincount(experiment)
    rng = resampling.generator(99)
    kept = np.zeros(len(obs), dtype=np.bool_)
    left = max_cells
    for done, code in enumerate(np.argsort(sizes, kind="stable")):
        # what smaller experiments leave of their shares goes to larger ones
        share = left // (sizes.size - done)
        rows = np.flatnonzero(experiment == code)
        chosen = rows[_whole(lineage[rows], share, rng)]
        kept[chosen] = True
        left -= chosen.size
    return kept


def _whole(lineage: IntArray, rows: int, rng: np.random.Generator) -> BoolArray:
    """Choose lineages in random order while they fit into so many rows, one at least."""
    _, member, counts = np.unique(lineage, return_inverse=True, return_counts=True)
    order = rng.permutation(counts.size)
    fits = np.zeros(counts.size, dtype=np.bool_)
    fits[order[: max(1, np.searchsorted(np.cumsum(counts[order]), rows, side="right"))]] = True
    return fits[member]


def _row(outcome: Outcome) -> dict[str, Any]:
    what = outcome.definition
    if isinstance(outcome, NotAvailable):
        return {"metric": what.name, "better": what.better, "reason": outcome.reason}
    return {
        "metric": what.name,
        "value": outcome.value,
        "low": outcome.low,
        "high": outcome.high,
        "shuffled": outcome.shuffled,
        "n": outcome.n,
        "lineages": outcome.lineages,
        "better": what.better,
        "reason": outcome.note,
    }
