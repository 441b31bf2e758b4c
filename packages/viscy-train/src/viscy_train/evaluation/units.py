"""Units of treatment: what a label was given to, and so what counts as one observation of it.

A drug is given to a well. A thousand cells of that well say a thousand times what one well did, and whatever
else is particular to the well, its position or its medium, they say too. Intervals and probes that treat
cells, or lineages, as independent observations find an effect where nobody was treated.

So the unit of a label is told from the table: the coarsest level (experiment, well, lineage) inside which the
label never changes; a label that changes inside lineages was given to cells. Probes leave out whole units,
intervals leave out units, shuffles deal labels among units. A level of the label that a single unit holds
cannot be told from that unit: then there is a reason in place of a number.

The cost: few wells give wide intervals, and a screen with one well per treatment gives none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from viscy_train.evaluation.arrays import IntArray, LabelArray, as_codes

EXPERIMENTS: Final = "experiments"
WELLS: Final = "wells"
LINEAGES: Final = "lineages"
CELLS: Final = "cells"


@dataclass(frozen=True)
class Units:
    """Units of the rows of an embedding.

    Attributes
    ----------
    name : str
        What a unit is, in the plural: "wells".
    codes : ndarray (N,)
        Unit of each row, 0..U-1: what probes and intervals leave out.
    dealt : ndarray (N,)
        What shuffled labels are dealt among: the units, or single rows where labels change inside units.
    """

    name: str
    codes: IntArray
    dealt: IntArray

    @classmethod
    def of(cls, labels: IntArray, units: "Units | LabelArray", name: str = "units") -> "Units":
        """Return units of a label; where it changes inside them, its shuffles deal rows."""
        if isinstance(units, Units):
            return units
        codes = as_codes(name, units, labels.size)
        dealt = codes if constant_within(labels, codes) else np.arange(labels.size)
        return cls(name, codes, dealt)

    @property
    def single(self) -> str:
        """What one unit is called."""
        return self.name.removesuffix("s")

    @property
    def count(self) -> int:
        """Number of units."""
        return int(self.codes.max()) + 1

    def part(self, rows: Any) -> "Units":
        """Return the units of some rows, their codes without gaps."""
        codes, dealt = (
            np.unique(one[rows], return_inverse=True)[1].astype(np.int64) for one in (self.codes, self.dealt)
        )
        return Units(self.name, codes, dealt)

    def strata(self, labels: IntArray) -> IntArray:
        """Return the label of each unit (U,), or zeros where labels change inside units."""
        if not constant_within(labels, self.codes):
            return np.zeros(self.count, dtype=np.int64)
        return labels[np.unique(self.codes, return_index=True)[1]]


def units_of(labels: IntArray, levels: Mapping[str, IntArray]) -> Units:
    """Tell the unit of a label: the coarsest of the levels inside which it never changes.

    Parameters
    ----------
    labels : ndarray (N,)
    levels : mapping
        Name of a level to codes (N,), coarsest first; the last one's units are left out whole where a label
        was given to single cells, since frames of one lineage resemble each other.

    Examples
    --------
    >>> well, lineage = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    >>> units_of(np.array([0, 0, 1, 1]), {"wells": well, "lineages": lineage}).name
    'wells'
    >>> units_of(np.array([0, 1, 1, 1]), {"wells": well, "lineages": lineage}).name
    'lineages'
    """
    for name, codes in levels.items():
        if constant_within(labels, codes):
            return Units(name, codes, codes)
    name, codes = list(levels.items())[-1]
    return Units(name, codes, np.arange(labels.size))


def constant_within(labels: IntArray, codes: IntArray) -> bool:
    """Tell whether no group holds two labels.

    Examples
    --------
    >>> constant_within(np.array([0, 0, 1]), np.array([5, 5, 6]))
    True
    """
    _, first, member = np.unique(codes, return_index=True, return_inverse=True)
    return bool((labels[first][member] == labels).all())


def lone_labels(labels: IntArray, codes: IntArray) -> IntArray:
    """Return the labels that a single group holds.

    Examples
    --------
    >>> lone_labels(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]))
    array([1])
    """
    pairs = np.unique(np.stack([labels, codes]), axis=1)
    found, counts = np.unique(pairs[0], return_counts=True)
    lone: IntArray = found[counts < 2]
    return lone


def lone_unit(labels: IntArray, units: Units) -> str:
    """Say why labels and units cannot be told apart; empty where each label is held by two units."""
    lone = lone_labels(labels, units.codes).size
    if not lone:
        return ""
    held = "each label is held" if lone == np.unique(labels).size else "a label is held"
    return f"{held} by one {units.single} only, so that label and {units.single} cannot be told apart"


def deal(units: Units, rng: np.random.Generator, *, within: IntArray | None = None) -> IntArray:
    """Deal units out anew: for each row, a row (N,) of the unit whose label it takes.

    With `within` labels stay inside its groups, so that whatever the groups alone tell stays told. Groups
    that cut through units are ignored, since a unit has one label.

    Examples
    --------
    >>> units = Units.of(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    >>> np.array([0, 0, 1, 1])[deal(units, np.random.default_rng(0))].tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    True
    """
    _, first, member = np.unique(units.dealt, return_index=True, return_inverse=True)
    source = first.copy()
    groups = np.zeros(first.size, dtype=np.int64)
    if within is not None and constant_within(within, units.dealt):
        groups = within[first]
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        source[places] = first[rng.permutation(places)]
    dealt: IntArray = source[member]
    return dealt


def spread(codes: IntArray, rows: int, rng: np.random.Generator) -> IntArray:
    """Choose at most about so many rows, as evenly over groups as their sizes allow; sorted.

    Examples
    --------
    >>> spread(np.array([0, 0, 0, 0, 1]), 3, np.random.default_rng(0)).size
    3
    """
    if codes.size <= rows:
        return np.arange(codes.size)
    order = rng.permutation(codes.size)
    order = order[np.argsort(codes[order], kind="stable")]
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    place = np.arange(codes.size) - np.repeat(starts, counts)  # (N,) place of a row inside its group
    most = np.searchsorted(np.cumsum(np.bincount(place)), rows, side="right")
    return np.sort(order[place < max(1, int(most))])
