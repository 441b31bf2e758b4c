"""Which metric gets which labels of the anchors' columns.

Each group of metrics is a function of the cells. A metric that needs a label the table lacks is a
`NotAvailable`. Metrics that compare experiments use the cells whose first label is known, and compare
within its values; where it is not known of any cell, all cells are compared.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from viscy_train.evaluation.arrays import BoolArray, FloatArray, unit_rows
from viscy_train.evaluation.cells import Cells, Label, paired
from viscy_train.evaluation.collapse import collapse
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.leakage import leakage, neighbour_leakage
from viscy_train.evaluation.metric import Definition, NotAvailable, Outcome
from viscy_train.evaluation.mixing import mixing
from viscy_train.evaluation.neighbours import NEIGHBOURS, nearest
from viscy_train.evaluation.probe import (
    TOO_FEW,
    Reading,
    outcomes_of,
    probe_definitions,
    probe_task,
    read,
    split_text,
)
from viscy_train.evaluation.questions import Question
from viscy_train.evaluation.retrieval import (
    across_definition,
    condition_retrieval,
    next_frame_retrieval,
    same_definition,
)
from viscy_train.evaluation.series import Bin, Series, hour_bins, known_bins
from viscy_train.evaluation.smoothness import smoothness
from viscy_train.evaluation.units import EXPERIMENTS

LEFT_OUT, BY_UNIT = "left_out", "by_unit"


@dataclass(frozen=True)
class Found:
    """What a group of metrics found."""

    outcomes: tuple[Outcome, ...]
    series: tuple[Series, ...] = ()


def left_out_name(label: str, score: str = "auroc") -> str:
    """Return the key of the metric that reads a label where a column's value was left out of learning."""
    return f"{label}_{LEFT_OUT}/{score}"


def by_unit_name(label: str, score: str = "auroc") -> str:
    """Return the key of the metric that reads a label in units (wells) left out of learning."""
    return f"{label}_{BY_UNIT}/{score}"


def _labels(cells: Cells, resampling: Resampling) -> Found:
    """Read labels by probes: an experiment left out, and units of treatment left out; by hours."""
    outcomes: list[Outcome] = []
    series: list[Series] = []
    for label in cells.labels:
        found = [_label(cells, label, resampling, leaving_out=one) for one in (True, False)]
        outcomes += [outcome for one in found for outcome in one.outcomes]
        # by hours where an experiment was left out; else where units were
        series += next((list(one.series) for one in found if one.series), [])
    return Found(tuple(outcomes), tuple(series))


def _label(cells: Cells, label: Label, resampling: Resampling, *, leaving_out: bool) -> Found:
    question = Question.of(cells, label, leaving_out=leaving_out)
    left = cells.left_out.name if leaving_out else question.units.name
    name = f"{label.name}_{LEFT_OUT if leaving_out else BY_UNIT}"
    split = split_text(question.units.name, left if leaving_out else None)
    definitions = probe_definitions(name, f"{label.name}, {left} left out", split, "higher", label.name)
    if question.reason:
        return Found(tuple(NotAvailable(one, question.reason) for one in definitions))
    # what experiments alone tell of the label stays told when labels are shuffled: that is chance, too
    within = paired(cells.experiment[question.rows]) if question.units.name != EXPERIMENTS else None
    task = probe_task(
        cells.embed(question.rows, question.codes),
        question.codes,
        question.units,
        question.groups if leaving_out else None,
        resampling,
        None if leaving_out else within,
    )
    reading = read(task, resampling)
    if reading is None:
        return Found(tuple(NotAvailable(one, TOO_FEW) for one in definitions))
    outcomes = outcomes_of(reading, definitions, resampling, note=question.note)
    series = _by_hours(label.name, reading, definitions, cells.hours[question.rows], resampling)
    return Found(outcomes, series)


def _by_hours(
    label: str,
    reading: Reading,
    definitions: tuple[Definition, ...],
    hours: FloatArray,
    resampling: Resampling,
) -> tuple[Series, ...]:
    """Score predictions in bins of hours, by the second of the scores, AUROC, which needs no threshold."""
    bins = []
    for start, end in hour_bins(hours):
        among: BoolArray = (hours >= start) & (hours < end)
        if not among.any():
            continue  # frames lie further apart than bins are wide
        outcome = outcomes_of(reading, definitions, resampling, among=among)[1]
        bins.append(Bin(start, end, outcome))
    bins = list(known_bins(bins))
    return (Series(label, definitions[1], tuple(bins)),) if len(bins) > 1 else ()


def _experiments(cells: Cells, resampling: Resampling) -> Found:
    """Tell experiments apart among cells of one label: by a probe, by neighbours."""
    rows, pool, within = cells.pool()
    array, experiment, lineage = cells.shown()[rows], cells.experiment[rows], paired(cells.lineage[rows])
    condition = pool if within else None
    linear = leakage(array, experiment, lineage, condition=condition, within=within, resampling=resampling)
    found = nearest(unit_rows(array), NEIGHBOURS, own=lineage, pool=pool)
    told = neighbour_leakage(
        array, experiment, lineage, condition=condition, within=within, found=found, resampling=resampling
    )
    mixed = mixing(
        array, experiment, lineage, condition=condition, within=within, found=found, resampling=resampling
    )
    return Found((*linear, told, mixed))


def _retrieval(cells: Cells, resampling: Resampling) -> Found:
    outcomes: list[Outcome] = []
    for label in cells.labels:
        question = Question.of(cells, label)
        if question.reason:
            what = (same_definition(label.name, question.units.single), across_definition(label.name))
            outcomes += [NotAvailable(definition, question.reason) for definition in what]
            continue
        embed = cells.embed(question.rows, question.codes)
        outcomes += condition_retrieval(
            embed(np.arange(question.rows.size)),
            question.codes,
            cells.experiment[question.rows],
            question.units,
            embed=None if cells.correction is None else embed,
            name=label.name,
            note=question.note,
            resampling=resampling,
        )
    return Found(tuple(outcomes))


def _motion(cells: Cells, resampling: Resampling) -> Found:
    array = cells.shown()
    following = next_frame_retrieval(array, cells.fov, cells.t, cells.lineage, resampling=resampling)
    steady = smoothness(
        array,
        cells.track,
        cells.t,
        cells.lineage,
        experiment=paired(cells.experiment, cells.marker),
        resampling=resampling,
    )
    return Found((following, *steady))


def _collapse(cells: Cells, resampling: Resampling) -> Found:
    return Found((collapse(cells.shown(), cells.lineage, resampling=resampling),))


MEASURES: tuple[tuple[str, Callable[[Cells, Resampling], Found]], ...] = (
    ("labels", _labels),
    ("experiments", _experiments),
    ("retrieval", _retrieval),
    ("motion", _motion),
    ("effective rank", _collapse),
)
"""Groups of metrics and how they are computed, in order."""
