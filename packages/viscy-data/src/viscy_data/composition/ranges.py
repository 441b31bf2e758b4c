"""A range of anchors with a hole, and the slots in it: what everything is drawn from.

Anchors are sorted so that each set one draws from is a run of neighbouring places, or two runs with a hole
between them: a cell, a focal window, the outside of a window, a stratum without one group's cell, a frame.
`Ranges` holds many of these at once, as four arrays of edges, so that all demands of a block of batches are
drawn by the same few array operations. A *slot* is what a draw picks: an anchor of weight w owns w slots in a
row; without weights a slot is a place.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

REDRAWS: Final = 8
"""Random redraws before all candidates are looked at."""


@dataclass(frozen=True)
class Ranges:
    """Places from ``start`` up to ``gap``, and from ``after`` up to ``end``; all arrays are (ranges,)."""

    start: Integers
    end: Integers
    gap: Integers
    after: Integers

    @classmethod
    def whole(cls, start: Integers, end: Integers) -> Self:
        """Return ranges without a hole."""
        return cls(start, end, end, end)

    @property
    def size(self) -> Integers:
        """(ranges,) places, or slots."""
        return self.end - self.start - (self.after - self.gap)

    def __getitem__(self, which: Integers | NDArray[np.bool_]) -> "Ranges":
        return Ranges(self.start[which], self.end[which], self.gap[which], self.after[which])

    def place(self, number: Integers, which: Integers) -> Integers:
        """Return place ``number`` (draws,), counted from 0, of range ``which`` (draws,)."""
        place = self.start[which] + number
        gap = self.gap[which]
        return np.where(place >= gap, place + (self.after[which] - gap), place)

    def in_slots(self, slots: "Slots | None") -> "Ranges":
        """Turn edges that are places into edges that are slots."""
        if slots is None:
            return self
        return Ranges(
            *(slots.first[edge].astype(np.int64) for edge in (self.start, self.end, self.gap, self.after))
        )

    @staticmethod
    def joined(parts: "list[Ranges]") -> "Ranges":
        """Return the ranges of several values, one after the other."""
        return Ranges(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in Ranges.__dataclass_fields__)
        )


@dataclass(frozen=True)
class Slots:
    """Which slots each anchor owns.

    Attributes
    ----------
    first
        (N + 1,) first slot of the anchor at each place.
    most
        Slots of the heaviest anchor.
    """

    first: NDArray[np.uint32]
    most: int

    @classmethod
    def of(cls, weight: NDArray[np.float64], start: Integers) -> Self:
        """Give anchors slots in proportion to ``weight`` (N,) inside their cell, at least one each.

        Cells, which begin at ``start`` (cells + 1,), share fewer than 2**32 slots by their anchors.
        """
        size = np.diff(start)
        total = np.add.reduceat(np.append(weight, 0.0), start[:-1]) if weight.size else np.zeros(size.size)
        each = (2**32 - 1 - weight.size) / weight.size  # slots of an anchor, on average
        scale = np.where(size > 0, each * size / np.where(size > 0, total, 1.0), 0.0)
        owned = np.maximum(np.floor(weight * np.repeat(scale, size)), 1.0)
        first = np.zeros(weight.size + 1, dtype=np.uint32)
        np.cumsum(owned, out=owned)
        first[1:] = owned
        return cls(first, int(np.diff(first).max()))

    def place(self, slot: Integers) -> Integers:
        """Return the place of the anchor that owns each slot."""
        return np.searchsorted(self.first, slot.astype(np.uint32), side="right") - 1


def expand(count: Integers) -> tuple[Integers, Integers]:
    """Return, for each of ``count`` (requests,) draws, its request and its number in it."""
    request = np.repeat(np.arange(count.size), count)
    return request, np.arange(request.size) - (np.cumsum(count) - count)[request]


def rank_in_run(value: NDArray[np.generic]) -> Integers:
    """Return how many entries before each one, in sorted ``value`` (n,), are equal to it."""
    number = np.arange(value.size)
    begins = np.append(True, value[1:] != value[:-1])[: value.size]
    return number - np.maximum.accumulate(np.where(begins, number, 0))
