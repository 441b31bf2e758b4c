"""Differences between embeddings of the same cells, with the interval of the difference itself.

Two embeddings are measured on the same wells. When a well is hard to read, it is hard for both, so their
intervals overlap even where one embedding is better in every single well; and two numbers whose intervals
do not overlap may come from different cells. Neither says which embedding is better.

The paired jackknife does: leave out one unit, take the difference of both numbers anew, and let these
differences make the interval (`intervals`). One embedding is said to be better only where this interval
excludes 0. It covers chance of wells, given the embeddings; another training of the same model would give
another embedding, and one training of each says nothing of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from viscy_train.evaluation.metric import Definition, Metric, Outcome
from viscy_train.evaluation.result import Evaluation


@dataclass(frozen=True)
class Difference:
    """What the first embedding has more than the second.

    Attributes
    ----------
    definition : Definition
        Of the metric.
    first, second : str
        Names of the embeddings.
    value, low, high : float
        First less second, and the interval of this difference.
    units : int
    unit : str
    guessed : bool
        Whether nothing says that either number is more than guessing gives, where less is better down to
        guessing: then neither embedding is better.
    """

    definition: Definition
    first: str
    second: str
    value: float
    low: float
    high: float
    units: int
    unit: str
    guessed: bool = False

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def better(self) -> str:
        """Name of the embedding that is shown to be better; empty where none is, or no side is better."""
        sign = {"higher": 1, "lower": -1, "down to guess": -1}.get(self.definition.better, 0)
        if not sign or not self.shown or self.guessed:
            return ""
        return self.first if sign * self.value > 0 else self.second

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "metric": self.definition.name,
            "first": self.first,
            "second": self.second,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "units": self.units,
            "unit": self.unit,
            "better": self.better,
        }


def difference(
    first: Outcome, second: Outcome, names: tuple[str, str], level: float = 0.95
) -> Difference | None:
    """Return the paired difference of one metric of two embeddings of the same cells.

    None where a number is not available, or where the two rest on other units, so that they have no pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from viscy_train.evaluation import probe
    >>> label, well = np.repeat([0, 1], 60), np.arange(120) // 5
    >>> noise = np.random.default_rng(0).normal(size=(120, 2))
    >>> good, poor = (probe(noise + far * label[:, None], label, well)[1] for far in (3.0, 0.5))
    >>> difference(good, poor, ("good", "poor")).better
    'good'
    """
    if not isinstance(first, Metric) or not isinstance(second, Metric):
        return None
    if first.replicates is None or second.replicates is None or first.n != second.n:
        return None
    less = first.replicates.less(second.replicates)
    if less is None:
        return None
    # few wells that all say the same are given one more that sees no difference, as for single numbers
    value, low, high = less.interval(level, chance=0.0)
    higher = max(first, second, key=lambda one: one.value)
    guessed = first.definition.better == "down to guess" and higher.low <= higher.shuffled
    return Difference(first.definition, *names, value, low, high, first.units, first.unit, guessed)


def differences(evaluations: Mapping[str, Evaluation], *, to: str = "") -> tuple[Difference, ...]:
    """Return the differences of one embedding, the first or `to`, to each other, metric by metric."""
    if not evaluations:
        return ()
    name = to or next(iter(evaluations))
    mine = evaluations[name]
    found = []
    for outcome in mine.outcomes:
        for other, evaluation in evaluations.items():
            theirs = {one.name: one for one in evaluation.outcomes}.get(outcome.name)
            if other == name or theirs is None:
                continue
            one = difference(outcome, theirs, (name, other), mine.resampling.level)
            found += [one] if one is not None else []
    return tuple(found)
