"""What focal windows give, in closed form: by cell and focal time, before anything is drawn.

A batch asks a cell for so many anchors inside the window of its focal time and so many outside
(`PartCounts`); a side that holds fewer gives what it has (`FocalDraws`). Whole-number tables take
turns with known weights and focal times are even over the distinct times of the batch's group, or over
its anchors, so the mean over both is a finite sum. How leaked anchors fall on the cells of other
groups: `falls`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.falls import fallen_inside, held_inside
from viscy_data.composition.parts import mixture_of

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_TIMES = 4096
"""Focal times of a group up to which the sum is exact; of more, so many stand evenly for all."""


@dataclass(frozen=True)
class FocalFlow:
    """Where the anchors of an epoch come from, on average.

    Attributes
    ----------
    inside
        Anchors of an epoch inside their batch's window.
    rate
        (runs,) visits of an anchor in an epoch, for each run of the layout.
    window_least
        (strata, groups) fewest anchors that a window of a cell's own group holds of it.
    scarce
        (strata, groups) fraction of the focal times at which a window cannot give a full batch's share
        of own anchors.
    """

    inside: float
    rate: Floats
    window_least: Integers
    scarce: Floats


def focal_flow(composer: BatchComposer) -> FocalFlow:
    """Work out the means of one epoch.

    Cost: O(focal times x cells x log N), of at most `MOST_TIMES` focal times a group, and no draw at all.
    """
    sums = _Sums(composer)
    for group, share in enumerate(composer.shares.groups):
        if share:
            for kind, batches in enumerate(_batches_by_size(composer)):
                sums.add(group, kind, float(share * batches))
    return FocalFlow(sums.inside, sums.rate(), sums.window_least, sums.scarce)


def _batches_by_size(composer: BatchComposer) -> list[int]:
    schedule = composer.schedule
    return [schedule.full, schedule.partial][: len(composer.sizes)]


class _Sums:
    """Running sums over groups and batch sizes."""

    def __init__(self, composer: BatchComposer) -> None:
        layout = composer.layout
        if layout.run_time is None or layout.run_start is None or composer.plan.window is None:
            raise ValueError("a plan without a focal window has no focal flow")
        self.composer, self.layout = composer, layout
        self.run_start = layout.run_start.astype(np.int64)
        self.reach = composer.plan.reach
        self.inside = 0.0
        self.step = np.zeros(self.run_start.size)  # differences of the rate from run to run
        self.window_least: Integers = layout.size.copy()
        self.scarce = np.zeros(layout.size.shape)
        self._tables: dict[Any, tuple[Floats, Integers]] = {}

    def rate(self) -> Floats:
        return np.cumsum(self.step[:-1])

    def add(self, group: int, kind: int, batches: float) -> None:
        """Add the batches of a group and a size that an epoch has."""
        first = self.layout.group_start
        count = int(first[group + 1] - first[group]) if first is not None else 0
        number = np.arange(count) if count <= MOST_TIMES else np.arange(MOST_TIMES) * count // MOST_TIMES
        time = self.layout.focal_times(np.full(number.size, group), lambda _: number)
        chance = self._chances(group, time)
        self._add_times(group, kind, batches, chance, time)

    def _chances(self, group: int, time: Floats) -> Floats:
        """Return (times,) how likely each focal time is."""
        window = self.composer.plan.window
        anchors = np.ones(time.size)
        if window is not None and window.times == "anchors":
            strata, groups = self.layout.size.shape
            each, cell = np.tile(time, strata), np.repeat(np.arange(strata) * groups + group, time.size)
            low, high = self.layout.window(cell, each, each)
            anchors = (high - low).reshape(strata, -1).sum(axis=0).astype(np.float64)
        return anchors / anchors.sum()

    def _add_times(self, group: int, kind: int, batches: float, chance: Floats, time: Floats) -> None:
        weight = batches * chance
        for stratum, own, leaked in self._asked(group, kind):
            cell = stratum * self.layout.size.shape[1] + group
            size, low, high = self._window(np.array([cell]), time)
            window = high - low
            held, wanted = np.zeros(window.shape), 0.0
            for probability, inside, outside in own:
                asked = np.array(inside), np.array(outside)
                held = held + probability * held_inside(*asked, size, window)
                wanted += probability * (inside + outside)
                if kind == 0:
                    self.scarce[stratum, group] += probability * float((chance * (window < inside)).sum())
            self._count(np.array([cell]), (low, high), weight, held, np.array(wanted))
            self.window_least[stratum, group] = min(self.window_least[stratum, group], window.min())
            if leaked:
                self._add_leaked(group, stratum, weight, time, leaked)

    def _add_leaked(
        self,
        group: int,
        stratum: int,
        weight: Floats,
        time: Floats,
        leaked: list[tuple[float, float, float]],
    ) -> None:
        sizes = self.layout.size[stratum]
        others = np.flatnonzero((sizes > 0) & (np.arange(sizes.size) != group))
        cell = stratum * sizes.size + others
        size, low, high = self._window(cell, time)
        held, wanted = np.zeros(low.shape), np.zeros(size.shape)
        for probability, inside, outside in leaked:
            held += probability * fallen_inside(inside, outside, size, high - low)
            wanted += probability * (inside + outside) * size / size.sum()
        self._count(cell, (low, high), weight, held, wanted)

    def _asked(
        self, group: int, kind: int
    ) -> Iterator[tuple[int, list[tuple[float, float, float]], list[tuple[float, float, float]]]]:
        """Yield stratum and, of own and of leaked anchors, (weight, inside, outside) asked of it."""
        shares = self.composer.shares
        leaked = None if shares.leaked is None else shares.leaked[group]
        key = (kind, shares.own[group] or (), leaked)
        if key not in self._tables:
            mixture = mixture_of(self.composer.parts.parts[kind], *key[1:], focal=True)
            weights = np.diff(np.array([float(edge) for edge in mixture.edges]))
            self._tables[key] = weights, mixture.base + mixture.extras
        weights, tables = self._tables[key]
        for stratum in range(tables.shape[2]):
            halves = [_merged(weights, tables[:, leaf : leaf + 2, stratum]) for leaf in (0, 2)]
            if halves[0] or halves[1]:
                yield stratum, halves[0], halves[1]

    def _window(self, cell: Integers, time: Floats) -> tuple[Integers, Integers, Integers]:
        """Return size (cells, 1) of each cell, and first place of and after each window (cells, times)."""
        each, at = np.repeat(cell, time.size), np.tile(time, cell.size)
        low, high = self.layout.window(each, at - self.reach, at + self.reach)
        size = np.diff(self.layout.start)[cell][:, None]
        return size, low.reshape(cell.size, -1), high.reshape(cell.size, -1)

    def _count(
        self, cell: Integers, window: tuple[Integers, Integers], weight: Floats, held: Floats, wanted: Floats
    ) -> None:
        """Add draws from cells (cells,) at focal times; ``held`` (cells, times) of them are inside."""
        low, high = window
        start, end = (self.layout.start[at][:, None] for at in (cell, cell + 1))
        self.inside += float((weight * held).sum())
        inside = weight * held / np.maximum(high - low, 1)
        outside = weight * (wanted - held) / np.maximum(end - start - (high - low), 1)
        for place, change in (
            (start, outside),
            (low, inside - outside),
            (high, outside - inside),
            (end, -outside),
        ):
            run = np.searchsorted(self.run_start, np.broadcast_to(place, held.shape).ravel())
            np.add.at(self.step, run, change.ravel())


def _merged(weights: Floats, tables: Integers) -> list[tuple[float, float, float]]:
    """Return (weight, inside, outside) of the different rows of (corners, 2) that ask for anything."""
    if not tables.size:
        return []
    pairs, back = np.unique(tables, axis=0, return_inverse=True)
    summed = np.bincount(back.ravel(), weights=weights)
    return [(float(w), float(i), float(o)) for w, (i, o) in zip(summed, pairs, strict=True) if i + o]
