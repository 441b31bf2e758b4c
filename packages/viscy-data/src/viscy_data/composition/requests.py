"""What batches want of cells, on either side of a focal window, and what their steps want together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Requests:
    """Anchors that batches want of cells; sides are inside and outside of the focal window.

    Attributes
    ----------
    batch, cell
        (requests,) place of the batch in what was asked for, and cell.
    count, before, total
        (2, requests) anchors wanted from either side by this batch, by earlier batches of its step,
        and by the whole step.
    """

    batch: Integers
    cell: Integers
    count: Integers
    before: Integers
    total: Integers

    def __getitem__(self, which: Integers | NDArray[np.bool_]) -> "Requests":
        return Requests(*(getattr(self, name)[..., which] for name in self.__dataclass_fields__))

    def merged(self, other: "Requests") -> "Requests":
        """Return both, those of ``other`` last."""
        return Requests(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)], axis=-1)
                for name in self.__dataclass_fields__
            )
        )

    def wanted(self) -> "Requests":
        """Return the requests that want anything, by batch."""
        some = np.flatnonzero(self.count.any(axis=0))
        return self[some[np.argsort(self.batch[some], kind="stable")]]

    def in_steps(self, step: Integers) -> "Requests":
        """Return the requests with what their steps want together; they hold all of the steps' batches.

        ``step`` is the step of each request.
        """
        cells = int(self.cell.max(initial=0)) + 1
        order = np.lexsort((self.batch, step * cells + self.cell))
        pair = (step * cells + self.cell)[order]
        first = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])[: pair.size])
        length = np.diff(np.append(first, pair.size))
        count = self.count[:, order]
        running = np.cumsum(count, axis=1)
        start = np.repeat((running - count)[:, first], length, axis=1)
        last = np.repeat(first + length - 1, length)
        before, total = np.empty_like(count), np.empty_like(count)
        before[:, order] = running - count - start
        total[:, order] = running[:, last] - start
        return Requests(self.batch, self.cell, self.count, before, total)

    def of_batches(self, asked: Integers) -> "Requests":
        """Return the requests of the batches ``asked`` for, which may repeat, by their places in it."""
        order = np.argsort(self.batch, kind="stable")
        low, high = (np.searchsorted(self.batch[order], asked, side=side) for side in ("left", "right"))
        place = np.repeat(np.arange(asked.size), high - low)
        nth = np.arange(place.size) - (np.cumsum(high - low) - (high - low))[place]
        found = self[order[low[place] + nth]]
        return Requests(place, found.cell, found.count, found.before, found.total)


def slots(count: Integers) -> tuple[Integers, Integers]:
    """Return, for each of ``count`` slots of each request, the request and the slot's number in it."""
    request = np.repeat(np.arange(count.size), count)
    return request, np.arange(request.size) - (np.cumsum(count) - count)[request]


def are_first(value: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the values, (values,), equal none before them."""
    order = np.argsort(value, kind="stable")
    sorted_value = value[order]
    found = np.ones(value.size, dtype=np.bool_)
    found[order[1:][sorted_value[1:] == sorted_value[:-1]]] = False
    return found
