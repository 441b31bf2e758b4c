"""A number by hours: from when on a label can be told, and how well at last.

One probe reads the label in cells of all hours; its predictions are scored in bins of hours, each with its
n, interval and chance. So a bin differs from the next by its cells and not by its probe: what cannot be told
early is told from the same features that tell it late.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Final

import numpy as np

from viscy_train.evaluation.arrays import FloatArray
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome

WIDTHS: Final = (0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 24, 48, 96, 168, 336, 720)
"""Hours of a bin: the smallest that gives at most `MOST_BINS`."""

MOST_BINS: Final = 8


@dataclass(frozen=True)
class Bin:
    """Hours from `start` to before `end`, and what was found there."""

    start: float
    end: float
    outcome: Outcome

    @property
    def at(self) -> tuple[float, float]:
        """Its hours."""
        return self.start, self.end

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"start": self.start, "end": self.end, **self.outcome.to_dict()}


@dataclass(frozen=True)
class Series:
    """A metric by hours post infection.

    Attributes
    ----------
    label : str
        Column that is asked for.
    definition : Definition
    bins : tuple of Bin
        In order of their hours.
    """

    label: str
    definition: Definition
    bins: tuple[Bin, ...]

    @property
    def metrics(self) -> tuple[tuple[Bin, Metric], ...]:
        """The bins that have a number."""
        return tuple((one, one.outcome) for one in self.bins if isinstance(one.outcome, Metric))

    @property
    def told(self) -> tuple[tuple[Bin, Metric], ...]:
        """The longest run of bins in each of which the number is beyond chance, the latest of equal ones.

        The last hours of a movie often have few wells, so that nothing is shown there of what hours before
        them show well.
        """
        best: list[tuple[Bin, Metric]] = []
        for tells, run in groupby(self.metrics, key=lambda one: bool(one[1].tells)):
            found = list(run)
            if tells and len(found) >= len(best):
                best = found
        return tuple(best)

    def with_limits(self, floor: "Series | None" = None, ceiling: "Series | None" = None) -> "Series":
        """Return the series with the numbers of others, in bins of the same hours, beside its own."""
        low, high = (
            {} if other is None else {one.at: one.outcome for one in other.bins} for other in (floor, ceiling)
        )
        bins = tuple(
            replace(one, outcome=one.outcome.with_limits(low.get(one.at), high.get(one.at)))
            if isinstance(one.outcome, Metric)
            else one
            for one in self.bins
        )
        return replace(self, bins=bins)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "label": self.label,
            "definition": self.definition.to_dict(),
            "told_from": self.told[0][0].start if self.told else None,
            "told_to": self.told[-1][0].end if self.told else None,
            "bins": [one.to_dict() for one in self.bins],
        }


def hour_bins(hours: FloatArray) -> list[tuple[float, float]]:
    """Return at most nine bins (start, end) of even width that hold all hours; none where none is known.

    Examples
    --------
    >>> hour_bins(np.array([0.0, 2.5, 7.9, np.nan]))
    [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 6.0), (6.0, 7.0), (7.0, 8.0)]
    >>> hour_bins(np.array([3.0, 3.0]))
    []
    """
    known = hours[np.isfinite(hours)]
    if not known.size or known.min() == known.max():
        return []
    low, high = float(known.min()), float(known.max())
    width = next((one for one in WIDTHS if (high - low) / one <= MOST_BINS), (high - low) / MOST_BINS)
    edges = np.arange(np.floor(low / width), np.floor(high / width) + 2) * width
    return [(float(start), float(end)) for start, end in pairwise(edges)]


def by_name(series: Iterable[Series], label: str) -> Series | None:
    """Return the series of a label; None where there is none."""
    return next((one for one in series if one.label == label), None)


def known_bins(bins: Iterable[Bin]) -> tuple[Bin, ...]:
    """Leave out bins at both ends that no cell lies in."""
    found = list(bins)
    while found and isinstance(found[-1].outcome, NotAvailable):
        found.pop()
    while found and isinstance(found[0].outcome, NotAvailable):
        found.pop(0)
    return tuple(found)
