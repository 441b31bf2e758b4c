"""Batches from few frames: which frames, and how many anchors of each.

A *request* is what a batch wants of one stratum, own or leaked: so many anchors from inside the focal
window and so many from outside. Each *side* of it has a fixed number of frames (`budget`):

- Without a window a group's own frames come by size (`systematic`): a frame's visits follow its share of
  the cell at any time. A held frame stays for some visits of its group; the places of a batch take turns.
- Inside and outside a window they are drawn by size without repeats, from the frames of that side (`race`).
- Leaked frames are drawn by size from the stratum in all other groups; with a window the frame drawn says
  which cell, and one of that cell's frames on the wanted side is drawn by size.

Frames with fewer anchors than their even share give all, the others the rest; then the frames of the other
side do. Where all of them together hold too few, the request takes the largest frames of its sides instead.
Which anchors of a frame come is drawn anew for every batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.epochs import Visits
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.race import Sides, throw, winners
from viscy_data.composition.requests import slots
from viscy_data.composition.systematic import WeightedLines

Integers = NDArray[np.int64]
Windows = Callable[[Integers, Integers], tuple[Integers, Integers]]


@dataclass(frozen=True)
class Wanted:
    """Sides of requests that want anchors; all arrays are (sides,).

    Attributes
    ----------
    batch, group, stratum
        Place of the batch in what was asked for, its group, and the stratum wanted.
    is_leaked, is_outside
        Which half, and which side of the window.
    count
        Anchors wanted.
    frames
        Frames to take.
    """

    batch: Integers
    group: Integers
    stratum: Integers
    is_leaked: NDArray[np.bool_]
    is_outside: NDArray[np.bool_]
    count: Integers
    frames: Integers

    def __getitem__(self, which: NDArray[np.bool_] | Integers) -> "Wanted":
        return Wanted(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Entries:
    """Frames chosen for sides; arrays are (entries,)."""

    side: Integers
    frame: Integers


class LocalDraws:
    """Draws batches from few frames.

    Parameters
    ----------
    layout
        The table, sorted by frames.
    frames
        (leaves, strata, groups) frames of each part of a batch, from `budget`.
    leaves_of_half
        1 or 2: whether batches have sides of a window.
    hold
        Visits of a group in which a frame stays.
    seed
        First word of the keys.
    """

    def __init__(
        self, layout: AnchorLayout, frames: Integers, leaves_of_half: int, hold: int, seed: int
    ) -> None:
        self.layout, self.hold, self.seed = layout, hold, seed
        self._frames, self._budget, self._leaves = layout.need_frames(), frames, leaves_of_half
        self._size = self._frames.size
        self._sum = np.concatenate([[0], np.cumsum(self._size)])
        blocks = frames[0].ravel()
        self._lines = WeightedLines(self._sum << 20, self._frames.cell, blocks, seed)

    def draw(
        self, epoch: int, number: Integers, visits: Visits, counts: Integers, windows: Windows
    ) -> Integers:
        """Return the places of batches, one batch after the other.

        Parameters
        ----------
        epoch, number, visits
            The global batches asked for, and where they stand in the histories of their groups.
        counts
            (batches, leaves, strata) anchors wanted.
        windows
            Turns batches (places in ``number``) and cells into the first place inside the batch's window of
            the cell and the first one after it.
        """
        wanted = self._wanted(visits, counts)
        chosen = _without_repeats(wanted, self._chosen(epoch, number, visits, wanted, windows))
        chosen, given = self._given(wanted, chosen, windows)
        entry, nth = slots(given)
        frame, batch = chosen.frame[entry], wanted.batch[chosen.side[entry]]
        key = keyed.words(self.seed, Purpose.FRAME, epoch, number[batch], frame)
        place = self._frames.start[frame] + keyed.permute(nth % self._size[frame], self._size[frame], key)
        drawn: Integers = place[np.argsort(batch, kind="stable")]
        return drawn

    def _wanted(self, visits: Visits, counts: Integers) -> Wanted:
        batch, leaf, stratum = np.nonzero(counts)
        group = visits.group[batch]
        half, side = np.divmod(leaf, self._leaves)
        frames = self._budget[leaf, stratum, group]
        return Wanted(batch, group, stratum, half > 0, side > 0, counts[batch, leaf, stratum], frames)

    def _chosen(
        self, epoch: int, number: Integers, visits: Visits, wanted: Wanted, windows: Windows
    ) -> _Entries:
        own = np.flatnonzero(~wanted.is_leaked)
        leaked = np.flatnonzero(wanted.is_leaked)
        if self._leaves == 1:
            parts = [self._in_turn(visits, wanted, own)]
        else:
            parts = [self._around(epoch, number, wanted, own, windows)]
        if leaked.size:
            parts.append(self._elsewhere(epoch, number, visits, wanted, leaked, windows))
        return _Entries(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("side", "frame"))
        )

    def _in_turn(self, visits: Visits, wanted: Wanted, which: Integers) -> _Entries:
        """Take own frames of whole cells: each place of a batch draws, every ``hold`` visits."""
        mine, place = slots(wanted.frames[which])
        side = which[mine]
        turn = self._turn(visits, wanted.batch[side], place, wanted.frames[side])
        cell = self._cell(wanted.stratum[side], wanted.group[side])
        return _Entries(side, self._lines.places(cell, turn * wanted.frames[side] + place))

    def _turn(self, visits: Visits, batch: Integers, place: Integers, frames: Integers) -> Integers:
        """Return how often a place of a batch has drawn before; places take turns to draw."""
        visit = visits.full[batch] + visits.partial[batch]
        turn: Integers = (visit + place * self.hold // frames) // self.hold
        return turn

    def _around(
        self, epoch: int, number: Integers, wanted: Wanted, which: Integers, windows: Windows
    ) -> _Entries:
        """Draw own frames inside or outside of windows, by size and without repeats."""
        mine = wanted[which]
        cell = self._cell(mine.stratum, mine.group)
        low, high = (np.searchsorted(self._frames.start, edge) for edge in windows(mine.batch, cell))
        key = keyed.words(self.seed, Purpose.FRAME, epoch, number[mine.batch], cell, mine.is_outside)
        sides = self._sides(cell, low, high, mine.is_outside, key)
        count = np.minimum(mine.frames, sides.size)
        return _Entries(np.repeat(which, count), winners(self._sum, sides, count))

    def _elsewhere(
        self, epoch: int, number: Integers, visits: Visits, wanted: Wanted, which: Integers, windows: Windows
    ) -> _Entries:
        """Draw frames of other groups, each by size."""
        mine, place = slots(wanted.frames[which])
        side = which[mine]
        batch, stratum, group = wanted.batch[side], wanted.stratum[side], wanted.group[side]
        turn = number[batch]
        if self.hold > 1:
            turn = self._turn(visits, batch, place, wanted.frames[side])
        key = keyed.words(
            self.seed, Purpose.FRAME, epoch if self.hold == 1 else 0, turn, place, group, stratum
        )
        key = keyed.words(key, 1 + wanted.is_outside[side])
        frame = throw(self._sum, self._other_groups(stratum, group, key), key)
        if self._leaves == 1:
            return _Entries(side, frame)
        cell = np.searchsorted(self._frames.cell, frame, side="right") - 1
        low, high = (np.searchsorted(self._frames.start, edge) for edge in windows(batch, cell))
        sides = self._sides(cell, low, high, wanted.is_outside[side], key)
        return _Entries(side, throw(self._sum, sides, keyed.words(key)))

    def _cell(self, stratum: Integers, group: Integers) -> Integers:
        return stratum * len(self.layout.groups.values) + group

    def _sides(
        self, cell: Integers, low: Integers, high: Integers, is_outside: NDArray[np.bool_], key: keyed.Words
    ) -> Sides:
        """Return a side of each cell; the whole cell where the side is empty."""
        start, end = self._frames.cell[cell], self._frames.cell[cell + 1]
        is_empty = np.where(is_outside, high - low == end - start, high == low)
        inside, outside = ~is_outside & ~is_empty, is_outside & ~is_empty
        low, high = (np.where(is_empty, start, edge) for edge in (low, high))
        first, last = np.where(inside, low, start), np.where(inside, high, end)
        return Sides(first, last, low, np.where(outside, high, low), key)

    def _other_groups(self, stratum: Integers, group: Integers, key: keyed.Words) -> Sides:
        cell = self._cell(stratum, group)
        first, last = (self._cell(stratum + i, np.zeros_like(group)) for i in (0, 1))
        at = self._frames.cell
        return Sides(at[first], at[last], at[cell], at[cell + 1], key)

    def _given(self, wanted: Wanted, chosen: _Entries, windows: Windows) -> tuple[_Entries, Integers]:
        """Return the frames taken, and how many anchors of each."""
        count, short = _over_sides(wanted, self._capacity(wanted, chosen))
        if short.any():
            chosen = self._with_largest(wanted, chosen, short > 0, windows)
            count, short = _over_sides(wanted, self._capacity(wanted, chosen))
            count += short  # what all of these frames lack comes twice
        return chosen, _evenly(chosen.side, self._size[chosen.frame], count)

    def _capacity(self, wanted: Wanted, chosen: _Entries) -> Integers:
        found = np.zeros(wanted.count.size, dtype=np.int64)
        np.add.at(found, chosen.side, self._size[chosen.frame])
        return found

    def _with_largest(
        self, wanted: Wanted, chosen: _Entries, which: NDArray[np.bool_], windows: Windows
    ) -> _Entries:
        """Give some sides the largest frames that they may have."""
        side, frame = [chosen.side[~which[chosen.side]]], [chosen.frame[~which[chosen.side]]]
        for one in np.flatnonzero(which).tolist():
            mine = wanted[np.array([one])]
            cell, key = self._cell(mine.stratum, mine.group), np.zeros(1, dtype=np.uint64)
            if mine.is_leaked[0]:
                sides = self._other_groups(mine.stratum, mine.group, key)
            else:
                low, high = (
                    windows(mine.batch, cell) if self._leaves > 1 else self.layout.start[[cell, cell + 1]]
                )
                low, high = (np.searchsorted(self._frames.start, edge) for edge in (low, high))
                sides = self._sides(cell, low, high, mine.is_outside, key)
            edges = (edge.item() for edge in (sides.start, sides.gap, sides.after, sides.end))
            start, gap, after, end = edges
            held = np.concatenate([np.arange(start, max(gap, start)), np.arange(max(after, start), end)])
            largest = held[np.argsort(-self._size[held], kind="stable")[: mine.frames.item()]]
            side.append(np.full(largest.size, one))
            frame.append(largest)
        return _without_repeats(wanted, _Entries(np.concatenate(side), np.concatenate(frame)))


def _requests(wanted: Wanted) -> Integers:
    """Return the number of each side's request."""
    strata = int(wanted.stratum.max(initial=0)) + 1
    key = (wanted.batch * 2 + wanted.is_leaked) * strata + wanted.stratum
    found: Integers = np.unique(key, return_inverse=True)[1]
    return found


def _without_repeats(wanted: Wanted, chosen: _Entries) -> _Entries:
    """Leave out frames that a request has already, of those of its inside first."""
    request = _requests(wanted)[chosen.side]
    order = np.lexsort((chosen.side, wanted.is_outside[chosen.side], chosen.frame, request))
    pair = np.stack([request, chosen.frame])[:, order]
    first = np.append(True, (pair[:, 1:] != pair[:, :-1]).any(axis=0))[: order.size]
    kept = np.sort(order[first])
    return _Entries(chosen.side[kept], chosen.frame[kept])


def _over_sides(wanted: Wanted, capacity: Integers) -> tuple[Integers, Integers]:
    """Return what each side gives: what it is asked for, what the other side lacks, and what no side has.

    What no side has is said of the side with more anchors.
    """
    request = _requests(wanted)
    asked, held = (np.zeros((2, int(request.max(initial=0)) + 1), dtype=np.int64) for _ in range(2))
    side = wanted.is_outside.astype(np.int64)
    asked[side, request], held[side, request] = wanted.count, capacity
    total = asked.sum(axis=0)
    inside = np.minimum(asked[0], held[0])
    outside = np.minimum(total - inside, held[1])
    inside = np.minimum(total - outside, held[0])
    short = total - inside - outside
    is_larger = side == (held[1] > held[0])[request]
    alone = np.bincount(request)[request] == 1
    return np.stack([inside, outside])[side, request], np.where(is_larger | alone, short[request], 0)


def _evenly(side: Integers, size: Integers, count: Integers) -> Integers:
    """Share what sides give among their frames, as evenly as sizes let; the largest gives the rest."""
    order = np.lexsort((size, side))
    frames = np.bincount(side, minlength=count.size)
    first = np.cumsum(frames) - frames
    given = np.zeros(side.size, dtype=np.int64)
    left = count.copy()
    for nth in range(int(frames.max(initial=0))):
        some = np.flatnonzero(frames > nth)
        at = order[first[some] + nth]
        is_last = frames[some] == nth + 1
        given[at] = np.where(is_last, left[some], np.minimum(size[at], left[some] // (frames[some] - nth)))
        left[some] -= given[at]
    return given
