"""All metrics of one embedding: from arrays, or from an embeddings file.

What the labels allow is measured; what they do not is a `NotAvailable` with its reason: no condition, a
single experiment, no two successive frames. Large tables are thinned to `max_cells` by whole lineages, evenly
over experiments, and the result says so.

With control cells named, all is measured once more of the embedding relative to them: a difference that
correction gives for nothing is no merit of an embedding.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from viscy_data import InvalidInputError, columns, suggest
from viscy_train.evaluation.annotations import annotated
from viscy_train.evaluation.arrays import BoolArray, EmbeddingArray, IntArray, as_embedding
from viscy_train.evaluation.cells import Cells, Correction, codes_of
from viscy_train.evaluation.correction import Controls, parts_of, too_few_controls
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.metric import Outcome
from viscy_train.evaluation.reading import EmbeddingsFile, read_embeddings
from viscy_train.evaluation.result import Evaluation
from viscy_train.evaluation.series import Series
from viscy_train.evaluation.tasks import MEASURES

MOST_LABELS = 50
"""Different fractions that a column of labels may hold."""
MANY_LEFT_OUT = 100
"""Values of a column to leave out above which a warning says what that takes."""
_NEEDED = (columns.EXPERIMENT, columns.FOV, columns.GLOBAL_TRACK_ID, columns.LINEAGE_ID, columns.T)


def evaluate(
    path: str | Path,
    *,
    labels: str | Sequence[str] = columns.CONDITION,
    leave_out: str = columns.EXPERIMENT,
    controls: Controls | None = None,
    layer: str = "",
    annotations: str | Path | None = None,
    max_cells: int = 20_000,
    resampling: Resampling | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure an embeddings file written by `viscy_train.embed`.

    Parameters
    ----------
    path : str or Path
        AnnData in Zarr.
    labels : str or sequence of str
        Columns of obs that the embedding is asked for: condition, a drug, a cell type. Experiments are
        compared within the values of the first.
    leave_out : str
        Column of which one value at a time is left out of learning.
    controls : Controls, optional
        Control cells; all is measured once more of the embedding relative to those of each experiment.
    layer : str
        Of the file's layers, the one to measure, such as ``corrected``; empty: X itself.
    annotations : str or Path, optional
        A table whose columns become labels, joined as `viscy_data.join_annotations` does.
    max_cells : int
        More cells are thinned by whole lineages, evenly over experiments.
    resampling : Resampling, optional
    say : callable, optional
        Told how many rows of the annotations found a cell.
    progress : callable, optional
        Told "" once all that is asked for was checked, then the name of each group of metrics once it is
        computed.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        If a column that every evaluation needs is missing, or the file is not one of embeddings.
    """
    file = read_embeddings(path, layer=layer)
    obs = file.obs
    if annotations is not None:
        obs, said = annotated(obs, annotations)
        if say is not None:
            say(said)
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
        obs[finite],
        labels=labels,
        leave_out=leave_out,
        controls=controls,
        max_cells=max_cells,
        resampling=resampling,
        progress=progress,
    )
    return replace(evaluation, model_digest=model_digest_of(file))


def model_digest_of(file: EmbeddingsFile) -> str:
    """Return the digest of the weights that embeddings are of; empty where it is not known."""
    made_by = file.provenance.get("viscy_train")
    return str(made_by.get("model_digest", "")) if isinstance(made_by, Mapping) else ""


def evaluate_arrays(
    embedding: EmbeddingArray,
    obs: pd.DataFrame,
    *,
    labels: str | Sequence[str] = columns.CONDITION,
    leave_out: str = columns.EXPERIMENT,
    controls: Controls | None = None,
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
    labels : str or sequence of str
        Columns that the embedding is asked for; cells without a value are left out of what needs it.
    leave_out : str
        Column of which one value at a time is left out of learning.
    controls : Controls, optional
        Control cells; all is measured once more of the embedding relative to those of each experiment.
    max_cells : int
        More cells are thinned by whole lineages, evenly over experiments.
    resampling : Resampling, optional
    progress : callable, optional
        Told "" once all that is asked for was checked, then the name of each group of metrics once it is
        computed.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        If a needed column is missing, lengths disagree, `labels` or `leave_out` hold no labels, or no cell is
        a control.
    """
    resampling = resampling or Resampling()
    array = as_embedding(embedding)
    check_columns(array.shape[0], obs)
    names = tuple(dict.fromkeys([labels] if isinstance(labels, str) else labels))
    if not names:
        raise InvalidInputError("labels=(): name at least one column of obs; condition is usual.")
    for option, name in [*(("labels", name) for name in names), ("leave_out", leave_out)]:
        _check_labels(option, name, obs)
    _warn_of_many(leave_out, obs)
    correction, uncorrected = _correction(obs, controls)
    kept = thin(obs, max_cells, resampling)
    cells = Cells.of(array[kept], obs[kept], names, leave_out)
    if progress is not None:
        progress("")
    plain, corrected = _measured(cells, correction and _thinned(correction, kept), resampling, progress)
    evaluation = Evaluation(
        plain[0],
        cells=int(kept.sum()),
        of_cells=array.shape[0],
        resampling=resampling,
        labels=names,
        values={one.name: one.held for one in cells.labels},
        leave_out=leave_out,
        series=plain[1],
        controls=str(controls or ""),
        uncorrected=uncorrected,
    )
    if corrected is None:
        return evaluation
    other = replace(evaluation, outcomes=corrected[0], series=corrected[1])
    return replace(evaluation, corrected=other)


type _Parts = tuple[tuple[Outcome, ...], tuple[Series, ...]]


def _measured(
    cells: Cells,
    correction: Correction | None,
    resampling: Resampling,
    progress: Callable[[str], None] | None,
) -> tuple[_Parts, _Parts | None]:
    """Compute all metrics, once more with a correction."""
    shown = [cells] if correction is None else [cells, replace(cells, correction=correction)]
    outcomes: list[list[Outcome]] = [[] for _ in shown]
    series: list[list[Series]] = [[] for _ in shown]
    for name, measure in MEASURES:
        for place, one in enumerate(shown):
            found = measure(one, resampling)
            outcomes[place] += found.outcomes
            series[place] += found.series
        if progress is not None:
            progress(name)
    parts = [(tuple(one), tuple(other)) for one, other in zip(outcomes, series, strict=True)]
    return parts[0], parts[1] if correction is not None else None


def _correction(obs: pd.DataFrame, controls: Controls | None) -> tuple[Correction | None, str]:
    """Return what correction needs, or why there can be none."""
    if controls is None:
        return None, ""
    parts, rows = parts_of(obs), controls.rows(obs)
    lacking = too_few_controls(parts, rows)
    return (None, lacking) if lacking else (Correction(parts, rows, str(controls)), "")


def _thinned(correction: Correction, kept: BoolArray) -> Correction:
    place = np.cumsum(kept) - 1
    parts = [(name, place[rows[kept[rows]]].astype(np.int64)) for name, rows in correction.parts]
    return Correction(parts, correction.controls[kept], correction.name)


def check_columns(rows: int, obs: pd.DataFrame) -> None:
    """Refuse a table that lacks what every evaluation needs, or is not of the embedding's rows."""
    missing = [name for name in _NEEDED if name not in obs.columns]
    if missing:
        raise InvalidInputError(f"obs lacks the columns {missing}; it has {list(obs.columns)}")
    if len(obs) != rows:
        raise InvalidInputError(f"len(obs)={len(obs)}, but the embedding has {rows} rows")


def _check_labels(option: str, name: str, obs: pd.DataFrame) -> None:
    """Refuse a column that holds no labels; a table without the usual ones is told so by the metrics."""
    if name not in obs.columns:
        if name == columns.CONDITION:
            return
        held = [str(column) for column in obs.columns]
        raise InvalidInputError(
            f"{option}={name!r} is not a column of obs, which has {', '.join(held)}."
            f"{_quoting(name, held) or suggest(name, held)}"
        )
    found = obs[name]
    count = found.nunique()
    if pd.api.types.is_float_dtype(found.dtype) and count > MOST_LABELS:
        raise InvalidInputError(
            f"{option}={name!r} holds numbers of {count:,} values: labels are text, whole numbers, or "
            f"numbers of at most {MOST_LABELS} values; write a column of classes."
        )


def _quoting(name: str, held: list[str]) -> str:
    """Say how a column is named whose name has commas, where one of its parts was taken for a column."""
    whole = next((one for one in held if "," in one and name in map(str.strip, one.split(","))), None)
    return "" if whole is None else f" A name with commas is put in double quotes: '\"{whole}\"'."


def _warn_of_many(leave_out: str, obs: pd.DataFrame) -> None:
    """Say that many probes take long: each value is left out of one, and each of those is shuffled."""
    count = obs[leave_out].nunique()
    if count > MANY_LEFT_OUT:
        warnings.warn(
            f"leave_out={leave_out!r} has {count:,} values, and a probe is fitted without each of them, "
            "which may take hours; leave out a column of fewer values.",
            stacklevel=3,
        )


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
