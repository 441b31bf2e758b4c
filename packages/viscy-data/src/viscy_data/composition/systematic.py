"""Endless draws from cells by weight: an anchor comes as often as its share says, at any time.

The weights of a cell, one after the other, are a *line*, cut into B *blocks* of the same length. Draw
number k falls into block k % B, at *time* k // B; so B successive draws fall into B blocks, and every
block gets its exact share. Where in the block it falls is a keyed van der Corput sequence of the time:

- A *node* of depth d is one of the 2**d equal parts of a block. In the 2**d times from any multiple of
  2**d on, every node of depth d is met once; at which of these times, is drawn anew every time.
- This holds for any sequence of bits, the first of which is bit 0 of the time xor a function of the
  bits above it, the second is bit 1 xor a function of the bits above that, and so on: given the upper
  bits, what the lower ones decide is a permutation. (Owen 1995 scrambles nets so, by functions of the
  bits before; for hashes each bit of which depends on lower ones only, see Laine and Karras 2011.)

After k draws an anchor's visits are off its share by less than the nodes that make up its part of the
line: two per depth between its own size and the finest met so far. What was ever seen is about half of
2 + log2(k) (`test_systematic`).

*No anchor twice* in B successive draws that begin with block 0, or in any B - 1. No weight may be larger
than a block, so only an anchor that lies across an edge could come twice, from either side of it at one
time. Around edges blocks therefore follow one *common* sequence: its least node that holds the part of such
an anchor is the edge's *zone* in the block. Times at which the common sequence is in neither zone of a block
are numbered, and what lies between its zones follows a sequence of its own.

Two anchors of one block never stand in one batch; others meet as if drawn apart, but for those in zones.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.purpose import Purpose

Integers = NDArray[np.int64]
Words = keyed.Words

_DEPTH: Final = 32
_ROUNDING: Final = 2.0**-40
"""By how much an anchor may be longer than a block: far less than one of the places of a block."""
_UNIT: Final = 1 << _DEPTH
"""Places of a block."""
_REVERSED: Final = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], dtype=np.uint8)
_FACTOR: Final = np.uint32(0x9E3779B1)
_INVERSE: Final = np.uint32(pow(0x9E3779B1, -1, 1 << 32))
_SHIFTS: Final = (3, 7, 2)


@dataclass(frozen=True)
class WeightedLines:
    """Draws anchors of cells by weight.

    Attributes
    ----------
    weight_sum
        (N + 1,) weights summed up along the layout.
    start
        (cells + 1,) first place of each cell.
    blocks
        (cells,) blocks of each cell; 0 where the cell is not drawn by weight.
    seed
        First word of the keys.
    """

    weight_sum: Integers
    start: Integers
    blocks: Integers
    seed: int

    @classmethod
    def of(
        cls, weight_sum: Integers, start: Integers, most: Integers, steady: NDArray[np.bool_], seed: int
    ) -> "WeightedLines":
        """Lay the cells out.

        Parameters
        ----------
        most
            (cells,) most that a visit takes; cells of which nothing is taken are not drawn.
        steady
            (cells,) whether every visit takes that many.
        """
        least, heaviest = (np.zeros(most.size, dtype=np.int64) for _ in range(2))
        held = np.flatnonzero(np.diff(start))
        weight = np.diff(weight_sum)
        for extreme, found in ((np.minimum, least), (np.maximum, heaviest)):
            found[held] = extreme.reduceat(weight, start[held])
        blocks = np.where((least < heaviest) & (most > 0), most + ~steady, 0)
        return cls(weight_sum, start, blocks, seed)

    def too_heavy(self) -> list[tuple[int, int]]:
        """Return (cell, place) of the heaviest anchor of each cell in which it is longer than a block."""
        found = []
        for cell in np.flatnonzero(self.blocks).tolist():
            weight = np.diff(self.weight_sum[self.start[cell] : self.start[cell + 1] + 1])
            if int(weight.max()) * int(self.blocks[cell]) > int(weight.sum()) * (1 + _ROUNDING):
                found.append((cell, int(self.start[cell] + weight.argmax())))
        return found

    def places(self, cell: Integers, number: Integers) -> Integers:
        """Return the places in the layout of draws ``number`` (draws,) of cells (draws,)."""
        return _Draws(self, cell, number).places()


@dataclass(frozen=True)
class _Draws:
    """Some draws; all arrays are (draws,)."""

    lines: WeightedLines
    cell: Integers
    number: Integers

    @cached_property
    def block(self) -> Integers:
        return self.number % self.lines.blocks[self.cell]

    @cached_property
    def time(self) -> Integers:
        return self.number // self.lines.blocks[self.cell]

    @cached_property
    def begin(self) -> Integers:
        return self.lines.weight_sum[self.lines.start[self.cell]]

    @cached_property
    def length(self) -> NDArray[np.float64]:
        """Length of a block."""
        end = self.lines.weight_sum[self.lines.start[self.cell + 1]]
        return (end - self.begin) / self.lines.blocks[self.cell]

    def places(self) -> Integers:
        """Follow the common sequence in the zones of a block, the block's own between them."""
        common = _Sequence(keyed.words(self.lines.seed, Purpose.LINE, self.cell))
        own = _Sequence(keyed.words(common.key, self.block))
        place = common.at(self.time)
        first, last = self._across(self.block)[1], self._across(self.block + 1)[0]
        low, high = _depth(first), _depth(_UNIT - last)
        head, tail = (np.where(depth < 0, 0, _UNIT >> np.maximum(depth, 0)) for depth in (low, high))
        between = _UNIT - head - tail
        met = np.where(head > 0, common.met(self.time, np.maximum(low, 0), 0), 0)
        met += np.where(tail > 0, common.met(self.time, np.maximum(high, 0), -1), 0)
        inner = head + own.at(self.time - met) * (between / _UNIT)
        is_inner = (between > 0) & (place >= head) & (place < _UNIT - tail)
        return self._at(np.where(is_inner, inner, place))

    def _across(self, edge: Integers) -> tuple[Integers, Integers]:
        """Return where the anchor across an edge begins in the block before it, and ends in the one after."""
        at = edge * self.length
        place = self._find(at)
        low, high = (
            (self.lines.weight_sum[place + i] - self.begin - at) / self.length * _UNIT for i in (0, 1)
        )
        inner = (edge > 0) & (edge < self.lines.blocks[self.cell]) & (low < 0)
        last = np.where(inner, np.maximum(np.floor(_UNIT + low), 0), _UNIT)
        first = np.where(inner, np.minimum(np.ceil(high), _UNIT), 0)
        return last.astype(np.int64), first.astype(np.int64)

    def _at(self, place: NDArray[np.float64]) -> Integers:
        return self._find((self.block + (place + 0.5) / _UNIT) * self.length)

    def _find(self, at: NDArray[np.float64]) -> Integers:
        """Return the place of the anchor at a distance from the line's beginning."""
        sums, start = self.lines.weight_sum, self.lines.start
        place = np.searchsorted(sums, self.begin + at.astype(np.int64), side="right") - 1
        return np.minimum(place, start[self.cell + 1] - 1)


@dataclass(frozen=True)
class _Sequence:
    """Keyed van der Corput sequences of `_UNIT` places; ``key`` has 64 random bits for each."""

    key: Words

    def at(self, time: Integers) -> Integers:
        """Return the place of each time."""
        return self._mix(_reverse(time.astype(np.uint32))).astype(np.int64)

    def met(self, time: Integers, depth: Integers, node: int) -> Integers:
        """Return how often nodes of given depths were met before each time; node 0 or -1, the last."""
        free = (np.uint64(1) << (np.uint64(_DEPTH) - depth.astype(np.uint64))) - np.uint64(1)
        free = free.astype(np.uint32)  # the lower bits, which the upper bits of the time decide
        place = self._mix(_reverse(time.astype(np.uint32)) & free) & free
        place |= ~free if node else np.uint32(0)
        when = _reverse(self._unmix(place)).astype(np.int64)
        return (time >> depth) + (when < time)

    def _mix(self, bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Permute numbers so that each bit depends on itself and lower ones only."""
        for word, shift in zip(self._words(), _SHIFTS, strict=True):
            bits = (bits + word) * _FACTOR
            bits ^= bits << np.uint32(shift)
        return bits

    def _unmix(self, bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
        for word, shift in zip(self._words()[::-1], _SHIFTS[::-1], strict=True):
            for step in range(6):
                if shift << step < _DEPTH:
                    bits = bits ^ (bits << np.uint32(shift << step))
            bits = bits * _INVERSE - word
        return bits

    def _words(self) -> tuple[NDArray[np.uint32], ...]:
        low, high = self.key.astype(np.uint32), (self.key >> np.uint64(32)).astype(np.uint32)
        return low, high, low ^ high


def _reverse(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return 32 bits in reversed order."""
    return _REVERSED[np.ascontiguousarray(bits).view(np.uint8)].view(np.uint32).byteswap()


def _depth(part: Integers) -> Integers:
    """Return the depth of the least node at an end of the block that holds a part of it; -1 for no part."""
    length = np.frexp((part - 1).astype(np.float64))[1].astype(np.int64)
    return np.where(part > 0, _DEPTH - np.where(part == 1, 0, length), -1)
