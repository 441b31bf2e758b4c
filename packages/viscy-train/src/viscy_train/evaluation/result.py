"""What `evaluate` answers: the headline of each label, numbers by hours, all metrics, corrected beside them.

A page or a table is made from these values alone: `Evaluation.headlines` come first, each a sentence with its
metric, its series by hours and its counterpart corrected by control cells; then the outcomes in order.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from viscy_data import columns, marked, shown, write_text
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.metric import Metric, NotAvailable, Outcome
from viscy_train.evaluation.questions import named
from viscy_train.evaluation.series import Series, by_name
from viscy_train.evaluation.tasks import by_unit_name, left_out_name


@dataclass(frozen=True)
class Headline:
    """Whether a label can be told, in a sentence with its evidence.

    Attributes
    ----------
    label : str
        Column that was asked for.
    question : str
        "Can infected be told from uninfected?"
    outcome : Metric or NotAvailable
        AUROC, or balanced accuracy where there is no AUROC: in experiments left out where that can be
        asked, else in units of treatment left out.
    series : Series or None
        By hours, where there is a clock.
    corrected : Metric, NotAvailable or None
        The same of the embedding corrected by control cells; None where no controls were named.
    """

    label: str
    question: str
    outcome: Outcome
    series: Series | None = None
    corrected: Outcome | None = None

    @property
    def answer(self) -> str:
        """The answer, in words with its numbers."""
        if isinstance(self.outcome, NotAvailable):
            return f"Nothing can be concluded: {self.outcome.reason}."
        found = self.outcome
        best = "" if found.ceiling is None else f", best possible {found.ceiling:.2f}"
        least = "" if found.floor is None else f", to beat {found.floor:.2f}"
        value = (
            f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] (guess {found.shuffled:.2f}{least}{best})"
        )
        parts = [value if found.tells else f"Not shown: {value}, {_as_guessed(found)}", *self._hours()]
        if isinstance(self.corrected, Metric):
            parts.append(
                f"{self.corrected.value:.2f} once corrected by control cells (guess "
                f"{self.corrected.shuffled:.2f})"
            )
        parts += [found.note] if found.note else []
        return "; ".join(parts) + "."

    def _hours(self) -> list[str]:
        if self.series is None or not self.series.metrics:
            return []
        told = self.series.told
        if not told:
            return ["at no hour told from guessing"]
        if len(told) == 1 < len(self.series.metrics):
            (only, metric) = told[0]
            return [f"by hours told from {only.start:g} to {only.end:g} h only, {metric.value:.2f}"]
        start, (last, metric) = told[0][0].start, told[-1]
        first = self.series.metrics[0][0].start
        when = "from the first hours on" if start == first else f"not before {start:g} h"
        if last != self.series.metrics[-1][0]:
            return [when, f"{metric.value:.2f} before {last.end:g} h, and not shown after"]
        return [when, f"{metric.value:.2f} after {last.start:g} h"] if start != last.start else [when]

    @property
    def text(self) -> str:
        """Question and answer."""
        return f"{self.question} {self.answer}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"label": self.label, "question": self.question, "answer": self.answer}


def _as_guessed(metric: Metric) -> str:
    """Say why a number is not told from guessing."""
    if metric.p is None or not metric.low > metric.shuffled:
        return "which could be guessing"
    return f"and {100 * metric.p:.0f} % of shuffled labels give as much"


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
    labels : tuple of str
        Columns that the embedding is asked for.
    values : mapping of str to tuple of str
        Values of each label.
    leave_out : str
        Column of which one value at a time is left out of learning.
    series : tuple of Series
        Labels by hours, where there is a clock.
    controls : str
        ``column=value`` of the control cells that `corrected` rests on; empty: none were named.
    corrected : Evaluation or None
        The same of the embedding corrected by control cells.
    uncorrected : str
        Why there is none, though controls were named.
    model_digest : str
        Of the weights that the embedding is of; empty: not known.
    floor, ceiling : str
        Names of the embeddings that numbers are put beside; empty: none, or none that has a name.
    """

    outcomes: tuple[Outcome, ...]
    cells: int
    of_cells: int
    resampling: Resampling
    labels: tuple[str, ...] = (columns.CONDITION,)
    values: Mapping[str, tuple[str, ...]] | None = None
    leave_out: str = columns.EXPERIMENT
    series: tuple[Series, ...] = ()
    controls: str = ""
    corrected: "Evaluation | None" = None
    uncorrected: str = ""
    model_digest: str = ""
    floor: str = ""
    ceiling: str = ""

    def __getitem__(self, name: str) -> Outcome:
        """Return the outcome of one metric by its key."""
        return {outcome.name: outcome for outcome in self.outcomes}[name]

    @property
    def headlines(self) -> tuple[Headline, ...]:
        """Return for each label whether it can be told."""
        return tuple(self._headline(label) for label in self.labels)

    def _headline(self, label: str) -> Headline:
        keys = [
            key
            for score in ("auroc", "balanced_accuracy")
            for key in (left_out_name(label, score), by_unit_name(label, score))
        ]
        found = [one for one in self.outcomes if one.name in keys]
        # an experiment left out before wells left out, AUROC before balanced accuracy
        found.sort(key=lambda one: (one.name not in keys[:2], keys.index(one.name)))
        outcome = next((one for one in found if isinstance(one, Metric)), found[0])
        corrected = None if self.corrected is None else self.corrected[outcome.name]
        return Headline(
            label, question_of(label, self._values(label)), outcome, by_name(self.series, label), corrected
        )

    def _values(self, label: str) -> tuple[str, ...]:
        values = (self.values or {}).get(label, ())
        column, _, control = self.controls.partition("=")
        if column == label and control in values:
            values = (*(one for one in values if one != control), control)
        return values

    def with_limits(
        self, floor: "Evaluation | None" = None, ceiling: "Evaluation | None" = None
    ) -> "Evaluation":
        """Return the evaluation with the numbers of others beside its own.

        Parameters
        ----------
        floor : Evaluation, optional
            Of what should be beaten, such as principal components of raw pixels of the same cells.
        ceiling : Evaluation, optional
            Of what cannot be beaten, such as an encoder trained with the labels, or known truth.
        """
        low = {} if floor is None else {one.name: one for one in floor.outcomes}
        high = {} if ceiling is None else {one.name: one for one in ceiling.outcomes}
        outcomes = tuple(
            one.with_limits(low.get(one.name), high.get(one.name)) if isinstance(one, Metric) else one
            for one in self.outcomes
        )
        series = tuple(one.with_limits(_same(one, floor), _same(one, ceiling)) for one in self.series)
        corrected = self.corrected and self.corrected.with_limits(
            None if floor is None else floor.corrected, None if ceiling is None else ceiling.corrected
        )
        return replace(self, outcomes=outcomes, series=series, corrected=corrected)

    def table(self) -> pd.DataFrame:
        """Return one row for each metric; what is not available has a reason in place of numbers."""
        return pd.DataFrame([_row(outcome) for outcome in self.outcomes])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "labels": list(self.labels),
            "leave_out": self.leave_out,
            "cells": self.cells,
            "of_cells": self.of_cells,
            "level": self.resampling.level,
            "shuffles": self.resampling.shuffles,
            "seed": self.resampling.seed,
            **({"model_digest": self.model_digest} if self.model_digest else {}),
            **({"floor": self.floor} if self.floor else {}),
            **({"ceiling": self.ceiling} if self.ceiling else {}),
            "headlines": [one.to_dict() for one in self.headlines],
            "metrics": [outcome.to_dict() for outcome in self.outcomes],
            "by_hours": [one.to_dict() for one in self.series],
            **({"controls": self.controls} if self.controls else {}),
            **({"uncorrected": self.uncorrected} if self.uncorrected else {}),
            **({"corrected": self.corrected.to_dict()} if self.corrected is not None else {}),
        }

    def write(self, path: str | Path) -> None:
        """Write the metrics as JSON."""
        write_text(path, json.dumps(marked(self.to_dict(), "viscy-train"), indent=1))


def question_of(label: str, values: tuple[str, ...]) -> str:
    """Return what is asked of a label.

    Examples
    --------
    >>> question_of("condition", ("infected", "uninfected"))
    'Can infected be told from uninfected?'
    """
    if len(values) == 2:
        return f"Can {shown(values[0])} be told from {shown(values[1])}?"
    if len(values) < 2:
        return f"Can {shown(label)} be told?"
    return (
        f"Can the {len(values)} values of {shown(label)} be told apart ({named([shown(v) for v in values])})?"
    )


def _same(series: Series, other: Evaluation | None) -> Series | None:
    return None if other is None else by_name(other.series, series.label)


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
        "p": outcome.p,
        "floor": outcome.floor,
        "ceiling": outcome.ceiling,
        "n": outcome.n,
        "units": outcome.units,
        "unit": outcome.unit,
        "better": what.better,
        "reason": outcome.note,
    }
