"""What one batch may hold at least and at most, and the cells that hold less than it takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.parts import PartSizes

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ShortCell:
    """A cell that a batch asks for more anchors than it holds, so that anchors repeat.

    Attributes
    ----------
    name
        Group and stratum; of a leak, the cell whose batches ask all other groups for that stratum.
    leaked
        Whether the leak asks.
    size, most
        Anchors there, and the most that one batch takes.
    batch_size
        The largest batch that does not repeat anchors of this cell, 0 where none does.
    """

    name: str
    leaked: bool
    size: int
    most: int
    batch_size: int


def short_cells(composer: BatchComposer) -> Iterator[ShortCell]:
    """Yield the cells, or what other groups hold for a leak, that are less than a batch takes."""
    size = composer.layout.size
    groups = size.shape[1]
    holds = (size, size.sum(axis=1, keepdims=True) - size)
    most = composer.parts.bounds()[1].max(axis=0)
    drawn = np.array(composer.shares.groups, dtype=bool)
    for half, stratum, group in np.argwhere((most > np.stack(holds)) & drawn).tolist():
        shares = composer.shares.leaked if half else composer.shares.own
        share = (shares or ())[group] or ()
        held = int(holds[half][stratum, group])
        yield ShortCell(
            name=composer.cell_name(stratum * groups + group),
            leaked=bool(half),
            size=held,
            most=int(most[half, stratum, group]),
            batch_size=_largest_batch(composer, half, floor(held / share[stratum])),
        )


def _largest_batch(composer: BatchComposer, half: int, most: int) -> int:
    """Return the largest batch whose own (0) or leaked (1) anchors number at most ``most``."""
    for size in range(composer.plan.batch_size, 0, -1):
        if PartSizes.of(size, composer.plan).halves[half] <= most:
            return size
    return 0


def bounds_of(composer: BatchComposer) -> tuple[Integers, Integers]:
    """Return (kinds, groups, strata) least and most anchors of a stratum in one batch, by batch size."""
    shares = composer.shares
    none = (Fraction(0),) * len(composer.layout.strata.values)
    leaked = shares.leaked or (None,) * len(shares.own)
    exact = [
        [
            [part.halves[0] * a + part.halves[1] * b for a, b in zip(own or none, away or none, strict=True)]
            for own, away in zip(shares.own, leaked, strict=True)
        ]
        for part in composer.parts.parts
    ]
    table = np.array(exact, dtype=object)
    return np.vectorize(floor, otypes=[np.int64])(table), np.vectorize(ceil, otypes=[np.int64])(table)
