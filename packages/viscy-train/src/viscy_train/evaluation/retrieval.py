"""Retrieval: whether the nearest neighbour of a cell is the kind of cell it should be.

Three questions, each answered by the share of cells for which it is so. Is the nearest cell outside the own
unit of treatment, such as the well, of the same condition? Is the nearest cell of another experiment of the
same condition? And, needing no condition: of the cells of the same field of view one frame on, is the nearest
of the own lineage? Distances are cosine distances.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
    unit_rows,
)
from viscy_train.evaluation.intervals import Resampling, ratio_replicates
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.neighbours import NONE, nearest
from viscy_train.evaluation.units import LINEAGES, Units, constant_within, deal, lone_unit, spread

NEXT_FRAME = Definition(
    "retrieval/next_frame",
    "nearest cell one frame on is its own",
    "higher",
    "Share of cells whose nearest neighbour among the cells of the same field of view one frame later is of "
    "the own lineage; cells alone there are left out. Shuffled: one of those cells at random.",
    (0.0, 1.0),
)


def same_definition(name: str, unit: str) -> Definition:
    """Return what is asked of the nearest cell anywhere."""
    return Definition(
        f"retrieval/same_{name}",
        f"nearest cell has its {name}",
        "higher",
        f"Share of cells whose nearest neighbour of another {unit} has the same {name}.",
        (0.0, 1.0),
    )


def across_definition(name: str) -> Definition:
    """Return what is asked of the nearest cell of another experiment."""
    return Definition(
        f"retrieval/same_{name}_elsewhere",
        f"nearest cell elsewhere has its {name}",
        "higher",
        f"Share of cells whose nearest neighbour in another experiment has the same {name}.",
        (0.0, 1.0),
    )


def condition_retrieval(
    embedding: EmbeddingArray,
    condition: LabelArray,
    experiment: LabelArray,
    units: Units | LabelArray,
    *,
    embed: Callable[[IntArray], FloatArray] | None = None,
    name: str = "condition",
    note: str = "",
    resampling: Resampling | None = None,
) -> tuple[Outcome, Outcome]:
    """Measure how often the nearest neighbour is of the same condition, anywhere and across experiments.

    Parameters
    ----------
    embedding : ndarray (N, D)
    condition, experiment : ndarray (N,)
    units : Units or ndarray (N,)
        What the condition was given to; neighbours are of another unit, shuffles deal conditions among units.
    embed : callable, optional
        The embedding once rows take their condition from others; without it the embedding stays as it is.
    name : str
        What keys and titles call the condition.
    note : str
        What a reader must know.
    resampling : Resampling, optional
        Shuffled conditions are dealt out inside experiments.

    Returns
    -------
    tuple of Metric or NotAvailable
        ``retrieval/same_condition``, ``retrieval/same_condition_elsewhere``.

    Examples
    --------
    >>> condition = np.arange(40) % 2
    >>> embedding = np.stack([condition, 1 - condition], axis=1) + 0.01 * np.arange(40)[:, None]
    >>> outcomes = condition_retrieval(embedding, condition, np.arange(40) // 20, np.arange(40))
    >>> [outcome.value for outcome in outcomes]
    [1.0, 1.0]
    """
    resampling = resampling or Resampling()
    array = as_embedding(embedding)
    conditions = as_codes("condition", condition, len(array))
    experiments = as_codes("experiment", experiment, len(array))
    of = Units.of(conditions, units)
    same, across = same_definition(name, of.single), across_definition(name)
    reason = f"all cells have one {name}" if not conditions.any() else lone_unit(conditions, of)
    if reason:
        return NotAvailable(same, reason), NotAvailable(across, reason)
    # where every experiment has one condition, nothing can be dealt inside experiments
    within = None if constant_within(conditions, experiments) else experiments
    sources = [deal(of, resampling.generator(1 + i), within=within) for i in range(resampling.shuffles)]
    share = _Shares(array, conditions, of, sources, embed, resampling, note)
    anywhere = share.of(same, of.codes)
    if not experiments.any():
        return anywhere, NotAvailable(across, "all cells are of one experiment")
    if within is None:
        return anywhere, NotAvailable(across, f"every experiment has one {name}")
    return anywhere, share.of(across, experiments)


@dataclass(frozen=True)
class _Shares:
    """What both questions about a condition share."""

    array: FloatArray
    conditions: IntArray
    units: Units
    sources: list[IntArray]
    embed: Callable[[IntArray], FloatArray] | None
    resampling: Resampling
    note: str

    def of(self, definition: Definition, own: IntArray) -> Outcome:
        found = nearest(unit_rows(self.array), 1, own=own, pool=np.zeros_like(own))[:, 0]
        rows = np.flatnonzero(found != NONE)
        if not rows.size:
            return NotAvailable(definition, f"all cells are of one {self.units.single}")
        chance = np.array([self._dealt(source, found, rows, own) for source in self.sources])
        right = self.conditions[found[rows]] == self.conditions[rows]
        found_in = (self.units, rows, self.conditions)
        return _share(definition, right, chance, *found_in, self.resampling, self.note)

    def _dealt(self, source: IntArray, found: IntArray, rows: IntArray, own: IntArray) -> float:
        labels = self.conditions[source]
        if self.embed is not None and not np.array_equal(labels, self.conditions):
            # another embedding, other neighbours: among fewer cells, as chance depends little on their number
            cells = spread(self.units.codes, self.resampling.shuffled_cells, self.resampling.generator(0))
            unit, own, labels = unit_rows(self.embed(source)[cells]), own[cells], labels[cells]
            found = nearest(unit, 1, own=own, pool=np.zeros_like(own))[:, 0]
            rows = np.flatnonzero(found != NONE)
        return float((labels[found[rows]] == labels[rows]).mean())


def _share(
    definition: Definition,
    right: BoolArray,
    chance: FloatArray,
    units: Units,
    rows: IntArray,
    labels: IntArray | None,
    resampling: Resampling,
    note: str = "",
) -> Metric:
    part = units.part(rows)
    strata = None if labels is None else part.strata(labels[rows])
    replicates = ratio_replicates(right.astype(np.float64), np.ones(right.size), part, strata)
    value, low, high = replicates.interval(resampling.level, definition.bounds)
    return Metric(
        definition,
        value,
        low,
        high,
        shuffled=float(chance.mean()),
        n=right.size,
        units=part.count,
        unit=units.name,
        p=None if labels is None else resampling.share_beyond(value, chance),
        note=note,
        replicates=replicates,
    )


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
    units = Units.of(np.zeros(len(unit), dtype=np.int64), lineage, LINEAGES)
    fovs = as_codes("fov", fov, len(unit))
    parts = list(_frames(unit, fovs, np.asarray(t, dtype=np.int64), units.codes))
    if not parts:
        return NotAvailable(NEXT_FRAME, "no cell has its lineage and another one in its next frame")
    rows, right, chance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _share(NEXT_FRAME, right.astype(np.bool_), chance, units, rows, None, resampling)


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
