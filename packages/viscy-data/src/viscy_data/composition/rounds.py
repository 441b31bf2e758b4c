"""Draws from a cell whose anchors have values, so that no visit holds a value twice: in rounds.

A *round* is Q visits, which take D anchors. In a round each value of c anchors has min(c, Q) *slots*.
The slots are lined up, value after value, in an order that is new in every round, and visit q takes
every Q-th of them from the q-th on (the visits in an order that is new, too). As no value has more
than Q slots in a row, no two slots of a visit share one; that is systematic sampling with
probabilities proportional to size (Madow 1949).

A round has S >= D slots; the S - D that are *left out* go through one fixed order of the slots, round
after round. So after whole rounds the visits of two anchors differ by at most one, and at any time by
at most two. The anchors of a value that has more than Q take turns in its slots: they fall behind by as
much as is unavoidable. Q is the largest number of visits that the slots suffice for.

Nothing is laid out: values of one number of slots form a *class*, which is lined up by one keyed
permutation, so that the slot at any place of the line is computed. So that values of a class meet,
too, the line holds a class in a few *pieces*. Cost: O(log classes) per draw, and
O(classes + slots left out) per round that a block of batches meets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.requests import slots
from viscy_data.composition.value_classes import ValueClasses

Integers = NDArray[np.int64]

_FAR: Final = 1 << 33
"""More than any place in a line."""


@dataclass(frozen=True)
class Rounds:
    """Draws cells in rounds; ``seed`` is the first word of the keys."""

    classes: ValueClasses
    seed: int

    def places(self, cell: Integers, visit: Integers, drawn: Callable[[Integers], Integers]) -> Integers:
        """Return the places that visits of cells draw, visit after visit.

        Parameters
        ----------
        cell, visit
            (requests,) cells, and how often they were visited before.
        drawn
            Returns what was drawn of the cells before given visits.
        """
        visits, slots_ = self.classes.visits[cell], self.classes.slots[cell]
        least = self.classes.least[cell]
        turn, nth = np.divmod(visit, visits)
        before, start, end = drawn(visit), drawn(turn * visits), drawn((turn + 1) * visits)
        count = drawn(visit + 1) - before
        more = end - start - least * visits
        larger = before - start - least * nth
        is_larger = count > least
        words = keyed.words(self.seed, Purpose.ROUND, cell, turn)
        nth = np.where(is_larger, larger, nth - larger)
        many = np.where(is_larger, more, visits - more)
        column = keyed.permute(nth, many, keyed.words(words, is_larger)) + np.where(is_larger, 0, more)
        _, one, back = np.unique(
            turn * self.classes.visits.size + cell, return_index=True, return_inverse=True
        )
        lines = _Lines(self.classes, self.seed, cell[one], turn[one], words[one])
        gaps = lines.gaps((slots_ - end + start)[one], (turn * slots_ - start)[one])
        request, number = slots(count)
        line = back[request]
        return lines.places(line, gaps.skipped(line, column[request] + number * visits[request]))


class _Lines:
    """The slots of some rounds in the order in which visits take them; all arrays are (rounds,)."""

    def __init__(
        self, classes: ValueClasses, seed: int, cell: Integers, turn: Integers, words: keyed.Words
    ) -> None:
        self.classes, self.seed, self.cell, self.turn = classes, seed, cell, turn
        first = classes.first[cell]
        line, nth = slots(classes.first[cell + 1] - first)
        kind = first[line] + nth
        self.words = keyed.words(words[line], classes.name[kind])
        order = np.lexsort((keyed.words(self.words, classes.low[kind]), line))
        size = (classes.width * (classes.high - classes.low))[kind]
        self.kind, self.words = kind[order], self.words[order]
        running = np.cumsum(size[order]) - size[order]
        self.first = np.cumsum(np.bincount(line, minlength=cell.size)) - np.bincount(
            line, minlength=cell.size
        )
        self.begin = running - running[self.first][line]
        self._search = line * _FAR + self.begin
        self._at = np.empty_like(order)
        self._at[order] = np.arange(order.size)

    def places(self, line: Integers, place: Integers) -> Integers:
        """Return the anchors' places in the layout, for places in lines."""
        classes = self.classes
        at = np.searchsorted(self._search, line * _FAR + place, side="right") - 1
        kind, words = self.kind[at], self.words[at]
        width = classes.width[kind]
        value, nth = np.divmod(place - self.begin[at], width)
        value = keyed.permute(classes.low[kind] + value, classes.count[kind], words)
        drawn = classes.place[kind] + value * width + keyed.permute(nth, width, keyed.words(words, value))
        if classes.long_size.size:
            long = np.flatnonzero(classes.long[kind] >= 0)
            which = classes.long[kind[long]] + value[long]
            cycle, rest = np.divmod(self.turn[line[long]] * width[long] + nth[long], classes.long_size[which])
            key = keyed.words(self.seed, Purpose.ROUND, which, cycle)
            drawn[long] = classes.long_start[which] + keyed.permute(rest, classes.long_size[which], key)
        found: Integers = drawn
        return found

    def gaps(self, count: Integers, before: Integers) -> "_Gaps":
        """Return the places left out of each line: ``count`` slots, after ``before`` in former classes."""
        classes = self.classes
        line, nth = slots(np.maximum(count, 0))
        cell = self.cell[line]
        key = keyed.words(self.seed, Purpose.LEFT_OUT, cell)
        slot = keyed.permute((before[line] + nth) % classes.slots[cell], classes.slots[cell], key)
        kind = np.searchsorted(_far(classes), cell * _FAR + slot, side="right") - 1
        width = classes.width[kind]
        value, inner = np.divmod(slot - classes.slot[kind], width)
        words = self.words[self._at[self.first[line] + kind - classes.first[cell]]]
        inside = keyed.invert(inner, width, keyed.words(words, value))
        inner = np.where(classes.long[kind] >= 0, inner, inside)
        value = keyed.invert(value, classes.count[kind], words)
        kind = (
            np.searchsorted(classes.name * _FAR + classes.low, classes.name[kind] * _FAR + value, "right") - 1
        )
        at = self._at[self.first[line] + kind - classes.first[cell]]
        place = self.begin[at] + (value - classes.low[kind]) * width + inner
        order = np.lexsort((place, line))
        return _Gaps(line, place[order], count.size)


class _Gaps:
    """Places left out of lines, ascending in each."""

    def __init__(self, line: Integers, place: Integers, lines: int) -> None:
        count = np.bincount(line, minlength=lines)
        self._first = np.cumsum(count) - count
        nth = np.arange(line.size) - self._first[line]
        self._search = line * _FAR + place - nth

    def skipped(self, line: Integers, place: Integers) -> Integers:
        """Turn places among the slots that are not left out into places in the line."""
        before = np.searchsorted(self._search, line * _FAR + place, side="right") - self._first[line]
        found: Integers = place + before
        return found


def _far(classes: ValueClasses) -> Integers:
    """Return the first slots of classes, cells far apart."""
    cell = np.repeat(np.arange(classes.visits.size), np.diff(classes.first))
    return cell * _FAR + classes.slot
