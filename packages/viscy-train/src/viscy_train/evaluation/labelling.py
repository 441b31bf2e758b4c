"""Give each cell of an embeddings file the class that a saved probe reads from it.

The result is a table of cells, ``experiment,fov,track_id,t,LABEL_predicted,LABEL_probability``, which
``cell_columns`` of an experiments file reads as it is, and so does ``evaluate --annotations``: what one
embedding says of cells may weight the batches of the next. Where a row is one channel of a cell, the
probabilities of its channels are averaged.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data import InvalidInputError, claimed, columns, shown, suggest, whole_file
from viscy_train.evaluation.annotations import annotated
from viscy_train.evaluation.cells import Cells
from viscy_train.evaluation.evaluate import check_columns, thin
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.layers import correction_of
from viscy_train.evaluation.questions import Question
from viscy_train.evaluation.reading import EmbeddingsFile, read_embeddings
from viscy_train.evaluation.result import Evaluation
from viscy_train.evaluation.saved_probe import Origin, SavedProbe, check_classes, read_probe

_CELL = (columns.EXPERIMENT, columns.FOV, columns.TRACK_ID, columns.T)


@dataclass(frozen=True)
class Labelled:
    """How many cells got each class, how many rows were not finite and got none, and how good the probe was.

    `answer` is what the evaluation said that the probe came from; empty where none was kept.
    """

    counts: dict[str, int]
    not_finite: int
    answer: str = ""


def origin_of(file: EmbeddingsFile, layer: str = "") -> Origin:
    """Return which model, and which layer, an embedding is of."""
    made_by = file.provenance.get("viscy_train")
    digest = made_by.get("model_digest", "") if isinstance(made_by, Mapping) else ""
    return Origin(model_digest=str(digest), layer=layer, correction=correction_of(file.provenance, layer))


def label_cells(path: str | Path, probe: str | Path, out: str | Path) -> Labelled:
    """Write the class and its probability of each cell of an embeddings file.

    Parameters
    ----------
    path : str or Path
        AnnData in Zarr, of the model that the probe was fitted on.
    probe : str or Path
        What `SavedProbe.write` wrote.
    out : str or Path
        CSV; a file that is there is not replaced.

    Raises
    ------
    InvalidInputError
        If the probe does not fit the embedding, `out` exists, or a file is not what it has to be.
    """
    if not str(out).lower().endswith(".csv"):
        raise InvalidInputError(
            f"out={str(out)!r}: a name that ends in .csv is needed, as a table is written."
        )
    if Path(out).exists():
        raise InvalidInputError(
            f"out={str(out)!r} exists, and somebody may have edited it; choose another name, or remove "
            "it yourself."
        )
    with claimed(out, overwrite=False, inputs=[path, probe]) as target:
        found = read_probe(probe)
        file = read_embeddings(path, layer=found.origin.layer)
        found.check_fits(
            origin_of(file, found.origin.layer), file.embedding.shape[1], f"probe={str(probe)!r}"
        )
        table, left = _table(file, found)
        with whole_file(target) as beside:
            table.to_csv(beside, index=False, float_format="%.4f")
    counts = table[f"{found.label}_predicted"].value_counts()
    return Labelled({name: int(counts.get(name, 0)) for name in found.classes}, left, found.answer)


def _table(file: EmbeddingsFile, probe: SavedProbe) -> tuple[pd.DataFrame, int]:
    """Return keys, class and probability of each cell, and how many rows have none."""
    missing = [name for name in _CELL if name not in file.obs.columns]
    if missing:
        raise InvalidInputError(
            f"obs lacks the columns {', '.join(missing)}, by which cells are named; embed anew."
        )
    probability = probe.probabilities(file.embedding)
    finite = np.isfinite(probability).all(axis=1)
    keys = file.obs.loc[finite, list(_CELL)]
    by_cell = keys.groupby(list(_CELL), observed=True, sort=False).ngroup().to_numpy()
    means = pd.DataFrame(probability[finite]).groupby(by_cell).mean().to_numpy()
    table = keys.drop_duplicates().reset_index(drop=True)
    best = means.argmax(axis=1) if means.size else np.zeros(0, dtype=np.int64)
    table[f"{probe.label}_predicted"] = np.array(probe.classes, dtype=object)[best]
    table[f"{probe.label}_probability"] = means[np.arange(len(best)), best]
    return table, int((~finite).sum())


def fit_and_save(
    path: str | Path,
    out: str | Path,
    label: str,
    *,
    layer: str = "",
    annotations: str | Path | None = None,
    max_cells: int = 20_000,
    evaluation: Evaluation | None = None,
) -> SavedProbe:
    """Fit a probe to the cells that an evaluation of the same settings takes, and write it.

    Parameters
    ----------
    path, out : str or Path
        Embeddings, and the file to write.
    label : str
        Column of obs, or of the annotations.
    layer : str
    annotations : str or Path, optional
        As for `evaluate`.
    max_cells : int
        More cells are thinned as in `evaluate`.
    evaluation : Evaluation, optional
        Of this label; what it found is kept with the probe.
    """
    file, obs, rows = rows_evaluated(path, layer, annotations, max_cells)
    _check_label(label, obs)
    metrics = [] if evaluation is None else [one.to_dict() for one in evaluation.outcomes]
    answer = "" if evaluation is None else evaluation.headlines[0].text
    probe = SavedProbe.fit(
        file.embedding[rows], obs[label].iloc[rows], origin_of(file, layer), metrics, answer
    )
    probe.write(out)
    return probe


def check_probe(
    path: str | Path,
    label: str,
    *,
    layer: str = "",
    annotations: str | Path | None = None,
    max_cells: int = 20_000,
) -> None:
    """Refuse a label that no probe can be fitted to; warn of one that no evaluation can measure.

    Parameters as of `fit_and_save`; an evaluation takes a while, and this is known before it.

    Raises
    ------
    InvalidInputError
        If the cells evaluated have one class, or none.
    """
    file, obs, rows = rows_evaluated(path, layer, annotations, max_cells)
    _check_label(label, obs)
    check_classes(obs[label].iloc[rows])
    cells = Cells.of(file.embedding[rows].astype(np.float64), obs.iloc[rows], (label,))
    reason = Question.of(cells, cells.labels[0]).reason
    if reason:
        warnings.warn(
            f"The probe of {shown(label)!r} is fitted and kept, but nothing can say how good it is: "
            f"{reason}.",
            stacklevel=2,
        )


def rows_evaluated(
    path: str | Path, layer: str, annotations: str | Path | None, max_cells: int
) -> tuple[EmbeddingsFile, pd.DataFrame, NDArray[np.intp]]:
    """Return a file, its columns, and the rows that an evaluation takes."""
    file = read_embeddings(path, layer=layer)
    obs = file.obs if annotations is None else annotated(file.obs, annotations)[0]
    check_columns(len(obs), obs)
    rows = np.flatnonzero(np.isfinite(file.embedding).all(axis=1))
    return file, obs, rows[thin(obs.iloc[rows], max_cells, Resampling())]


def _check_label(label: str, obs: pd.DataFrame) -> None:
    if label not in obs.columns:
        held = [str(column) for column in obs.columns]
        raise InvalidInputError(
            f"label={label!r} is not a column of obs, which has {', '.join(held)}.{suggest(label, held)}"
        )
