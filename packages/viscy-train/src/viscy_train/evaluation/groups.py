"""Which metric gets which labels of the anchors' columns.

A metric that needs a label the table lacks is a `NotAvailable`. Metrics within a condition use the cells
whose condition is known; where none is, all cells count as one condition.

Where a row is one channel of a cell, tracks are followed in one channel, and experiments are compared within
one marker: otherwise the step from one channel to the next would count as motion, and a stain that one
experiment alone has would count as a leak.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from viscy_data import columns
from viscy_train.evaluation.arrays import EmbeddingArray, IntArray
from viscy_train.evaluation.bootstrap import Resampling
from viscy_train.evaluation.collapse import collapse
from viscy_train.evaluation.leakage import leakage
from viscy_train.evaluation.metric import NotAvailable, Outcome
from viscy_train.evaluation.mixing import mixing
from viscy_train.evaluation.probe import probe, probe_definitions, split_text
from viscy_train.evaluation.retrieval import (
    ACROSS_EXPERIMENTS,
    SAME_CONDITION,
    condition_retrieval,
    next_frame_retrieval,
)
from viscy_train.evaluation.smoothness import smoothness

NO_CONDITION = "the experiments file names no condition"


@dataclass(frozen=True)
class Cells:
    """Embedding and labels, as codes, of the rows evaluated; `condition` is -1 where it is not known.

    `marker` is what a row shows, 0 where it shows all channels; `fov` and `track` are of one channel.
    """

    embedding: EmbeddingArray
    experiment: IntArray
    fov: IntArray
    track: IntArray
    lineage: IntArray
    t: IntArray
    condition: IntArray
    marker: IntArray

    @classmethod
    def of(cls, embedding: EmbeddingArray, obs: pd.DataFrame) -> "Cells":
        """Take the labels from the anchors' columns."""
        unknown = pd.Series(None, index=obs.index, dtype=object)
        channel = codes_of(obs[columns.CHANNEL]) if columns.CHANNEL in obs else None
        return cls(
            embedding=embedding,
            experiment=codes_of(obs[columns.EXPERIMENT]),
            fov=paired(codes_of(obs[columns.EXPERIMENT]), codes_of(obs[columns.FOV]), channel),
            track=paired(codes_of(obs[columns.GLOBAL_TRACK_ID]), channel),
            lineage=codes_of(obs[columns.LINEAGE_ID]),
            t=obs[columns.T].to_numpy(np.int64),
            condition=codes_of(obs.get(columns.CONDITION, unknown)),
            marker=codes_of(obs[columns.MARKER]) if columns.MARKER in obs else np.zeros(len(obs), np.int64),
        )

    def with_condition(self) -> "Cells":
        """Return the rows whose condition is known; all of them where none is."""
        known = self.condition >= 0
        if not known.any():
            return self
        parts = {field.name: getattr(self, field.name)[known] for field in fields(self)}
        return Cells(**parts)

    @property
    def has_conditions(self) -> bool:
        """Whether the condition of all cells is known."""
        return bool((self.condition >= 0).all())

    @property
    def pool(self) -> IntArray | None:
        """Conditions, where they are known, and markers to compare experiments within."""
        if self.has_conditions:
            return paired(self.condition, self.marker)
        return self.marker if self.marker.any() else None


def paired(*codes: IntArray | None) -> IntArray:
    """Return a code of each combination of codes that occurs, in their order; None is left out.

    Examples
    --------
    >>> paired(np.array([3, 1, 3]), None, np.array([0, 5, 2])).tolist()
    [1, 0, 2]
    """
    given = [one for one in codes if one is not None]
    found = np.unique(given[0], return_inverse=True)[1].astype(np.int64)
    for one in given[1:]:
        width = int(one.max(initial=0)) + 1
        found = np.unique(found * width + one, return_inverse=True)[1].astype(np.int64)
    return found


def codes_of(labels: "pd.Series[Any]") -> IntArray:
    """Return labels as codes in sorted order of their text, -1 where missing.

    A file may store categories in another order; what is drawn by code must not depend on that.
    """
    named = labels.astype("category").cat
    place = np.argsort(np.argsort(named.categories.astype(str).to_numpy(dtype=object)))
    codes = named.codes.to_numpy().astype(np.int64)
    return np.where(codes < 0, -1, place[codes]) if place.size else codes


def _condition(cells: Cells, resampling: Resampling) -> tuple[Outcome, ...]:
    """Condition read by probes: an experiment left out, and by lineage."""
    cells = cells.with_condition()
    outcomes: list[Outcome] = []
    for name, title, held_out in (
        ("condition_left_out", "condition, experiment left out", cells.experiment),
        ("condition_by_lineage", "condition, lineages left out", None),
    ):
        if not cells.has_conditions:
            what = probe_definitions(name, title, split_text(by_lineage=held_out is None), "higher")
            outcomes += [NotAvailable(definition, NO_CONDITION) for definition in what]
            continue
        label, lineage = cells.condition, cells.lineage
        outcomes += probe(
            cells.embedding, label, lineage, held_out=held_out, name=name, title=title, resampling=resampling
        )
    return tuple(outcomes)


def _leakage(cells: Cells, resampling: Resampling) -> tuple[Outcome, ...]:
    cells = cells.with_condition()
    return leakage(
        cells.embedding, cells.experiment, cells.lineage, condition=cells.pool, resampling=resampling
    )


def _mixing(cells: Cells, resampling: Resampling) -> tuple[Outcome, ...]:
    cells = cells.with_condition()
    one = mixing(
        cells.embedding, cells.experiment, cells.lineage, condition=cells.pool, resampling=resampling
    )
    return (one,)


def _retrieval(cells: Cells, resampling: Resampling) -> tuple[Outcome, ...]:
    following = next_frame_retrieval(
        cells.embedding, cells.fov, cells.t, cells.lineage, resampling=resampling
    )
    cells = cells.with_condition()
    if not cells.has_conditions:
        missing = (NotAvailable(what, NO_CONDITION) for what in (SAME_CONDITION, ACROSS_EXPERIMENTS))
        return (*missing, following)
    same = condition_retrieval(
        cells.embedding, cells.condition, cells.experiment, cells.lineage, resampling=resampling
    )
    return (*same, following)


def _motion(cells: Cells, resampling: Resampling) -> tuple[Outcome, ...]:
    return smoothness(
        cells.embedding,
        cells.track,
        cells.t,
        cells.lineage,
        experiment=paired(cells.experiment, cells.marker),
        resampling=resampling,
    )


def _collapse(cells: Cells, resampling: Resampling) -> tuple[Outcome, ...]:
    return (collapse(cells.embedding, cells.lineage, resampling=resampling),)


MEASURES: tuple[tuple[str, Callable[[Cells, Resampling], tuple[Outcome, ...]]], ...] = (
    ("condition", _condition),
    ("leakage", _leakage),
    ("mixing", _mixing),
    ("retrieval", _retrieval),
    ("smoothness", _motion),
    ("effective rank", _collapse),
)
"""Groups of metrics and how they are computed, in order."""
