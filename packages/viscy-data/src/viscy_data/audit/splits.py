"""What batches hold of the values of any column, whether the plan uses it or not.

A plan that balances drugs says nothing of doses, days or labels, and batches may hold one label almost alone.
So the batches are composed once more, and the anchors of each value are counted: in the table, in the
batches, and in the batches of each group. Numbers of many values are counted in ranges that hold about as
many anchors each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.pages.table import Table
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.text import shown

Integers = NDArray[np.int64]

SHOWN: Final = 40
"""Values in a table at most; the JSON holds all."""
RANGES: Final = 8
"""Ranges that numbers of more values are sorted into."""
UNKNOWN: Final = "not known"
"""What rows are called that have no value."""
_GROUPS: Final = 6


@dataclass(frozen=True)
class Split:
    """Anchors by the values of a column.

    Attributes
    ----------
    column
        Its name.
    values
        Texts, numbers as text, or ranges; the last is `UNKNOWN` where rows have no value.
    anchors
        (values,) anchors in the table.
    drawn
        (values,) anchors in the batches.
    least, most
        (values,) fewest and most of any batch.
    batches_with
        (values,) batches that hold any.
    groups, by_group
        Values of the plan's groups, and (groups, values) anchors drawn from each.
    batches
        Batches counted.
    """

    column: str
    values: tuple[str, ...]
    anchors: Integers
    drawn: Integers
    least: Integers
    most: Integers
    batches_with: Integers
    groups: tuple[str, ...]
    by_group: Integers
    batches: int

    def table(self, name: str = "") -> Table:
        """Return the table that people read; ``name`` is that of the plan, where there are several."""
        few = len(self.groups) if 1 < len(self.groups) <= _GROUPS else 0
        headings = ("in the table", "in batches", "per batch", "least to most", "batches with any")
        of_group = np.maximum(self.by_group.sum(axis=1), 1)
        rows = [
            (
                shown(value),
                f"{self.anchors[i] / max(self.anchors.sum(), 1):.1%}",
                f"{self.drawn[i] / max(self.drawn.sum(), 1):.1%}",
                f"{self.drawn[i] / self.batches:.2f}",
                f"{self.least[i]} to {self.most[i]}",
                f"{self.batches_with[i] / self.batches:.1%}",
                *(f"{self.by_group[g, i] / of_group[g]:.1%}" for g in range(few)),
            )
            for i, value in enumerate(self.values[:SHOWN])
        ]
        more = f" (and {len(self.values) - SHOWN} more)" if len(self.values) > SHOWN else ""
        title = f"{name and f'{name}: '}anchors by {shown(self.column)}{more}"
        return Table(title, (shown(self.column), *headings, *map(shown, self.groups[:few])), tuple(rows))


def split_batches(
    sampler: FlexibleBatchSampler,
    anchors: pd.DataFrame,
    columns: Sequence[str],
    batches: int,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Split, ...]:
    """Compose the first batches of a sampler and count the values of columns of its table."""
    if not columns:
        return ()
    grouping = sampler.plan_at(0, epoch=0).grouping
    group, groups = _groups(anchors, () if grouping is None else tuple(grouping.by))
    counters = [_Counter(column, anchors[column], group, len(groups)) for column in columns]
    for place in range(batches):
        epoch, number = divmod(place, sampler.batches_per_epoch)
        rows = np.asarray(sampler.batch(number, epoch=epoch), dtype=np.int64)
        for counter in counters:
            counter.add(rows)
        advance(1)
    return tuple(counter.split(groups, batches) for counter in counters)


class _Counter:
    """Running counts of one column."""

    def __init__(self, name: str, column: "pd.Series[Any]", group: Integers, groups: int) -> None:
        self._name, self._group = name, group
        self._code, self._values = values_of(column)
        count = len(self._values)
        self._by_group = np.zeros((groups, count), dtype=np.int64)
        self._least = np.full(count, np.iinfo(np.int64).max)
        self._most, self._with = np.zeros((2, count), dtype=np.int64)

    def add(self, rows: Integers) -> None:
        """Count a batch of rows (B,)."""
        code = self._code[rows]
        counts = np.bincount(code, minlength=len(self._values))
        np.add.at(self._by_group, (self._group[rows], code), 1)
        np.minimum(self._least, counts, out=self._least)
        np.maximum(self._most, counts, out=self._most)
        self._with += counts > 0

    def split(self, groups: tuple[str, ...], batches: int) -> Split:
        """Return what was counted."""
        anchors, drawn = np.bincount(self._code, minlength=len(self._values)), self._by_group.sum(axis=0)
        ends = (self._least, self._most, self._with)
        return Split(self._name, self._values, anchors, drawn, *ends, groups, self._by_group, batches)


def values_of(column: "pd.Series[Any]") -> tuple[Integers, tuple[str, ...]]:
    """Return a code (N,) for the value of each row, and what the codes mean.

    Examples
    --------
    >>> code, values = values_of(pd.Series(["taxol", None, "DMSO"]))
    >>> code.tolist(), values
    ([1, 2, 0], ('DMSO', 'taxol', 'not known'))
    """
    codes, found = pd.factorize(column, sort=True)
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    if is_number and len(found) > RANGES:
        ends = np.unique(np.quantile(column.dropna().to_numpy(np.float64), np.linspace(0, 1, RANGES + 1)))
        inside = np.searchsorted(ends[1:-1], np.asarray(found, dtype=np.float64), side="right")
        codes = np.append(inside, -1)[codes]
        values = [f"{low:g} to {high:g}" for low, high in pairwise(ends.tolist())]
    else:
        values = [f"{value:g}" if is_number else str(value) for value in found]
    if (codes < 0).any():
        codes, values = np.where(codes < 0, len(values), codes), [*values, UNKNOWN]
    return codes.astype(np.int64), tuple(values)


def _groups(anchors: pd.DataFrame, by: tuple[str, ...]) -> tuple[Integers, tuple[str, ...]]:
    """Return a code (N,) for the group of each row, and the groups' names."""
    if not by:
        return np.zeros(len(anchors), dtype=np.int64), ("all",)
    grouped = anchors.groupby(list(by), observed=True)
    names = grouped.size().index.to_frame().astype(str).agg(", ".join, axis=1)
    return np.asarray(grouped.ngroup(), dtype=np.int64), tuple(names)
