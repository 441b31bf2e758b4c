"""Running counts of what composed batches hold, block by block, beside what they are asked to hold.

Counting batches one by one would cost more than composing them. So blocks of some hundred batches are
composed and counted by array operations; nothing is kept per batch but what a picture of the first ones
shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.apart import over_cap
from viscy_data.composition.composer import BatchComposer, cap_rules
from viscy_data.sampling.asked import Asked, asked_of

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

FIRST: Final = 40
"""Batches whose composition is kept one by one, for a picture."""
TIME_BINS: Final = 24


@dataclass(frozen=True)
class Marks:
    """Columns of a table by row, which a plan may not use; None where the table does not say.

    Attributes
    ----------
    lineage, frame
        (N,) codes >= 0 of any integer dtype; two anchors of one lineage, or of one (fov, t), share a code.
    fov, track, time
        (N,) codes of fields of view, tracks and time points, whose variety in a batch is counted.
    hours
        (N,) times, NaN where not known; used where the plan itself has no clock.
    """

    lineage: NDArray[Any] | None = None
    frame: NDArray[Any] | None = None
    hours: NDArray[Any] | None = None
    fov: NDArray[Any] | None = None
    track: NDArray[Any] | None = None
    time: NDArray[Any] | None = None


@dataclass(frozen=True)
class Sharing:
    """How often the anchors of batches share a mark; arrays are (batches,).

    Attributes
    ----------
    distinct
        Different marks in the batch.
    pairs
        Pairs of anchors that share theirs, n (n - 1) / 2 for each mark that comes n times.
    entropy
        Entropy of the marks, in bits.

    Examples
    --------
    >>> shared = Sharing.of(np.array([0, 0, 0, 1]), np.array([7, 7, 3, 7]), batches=2)
    >>> shared.distinct.tolist(), shared.pairs.tolist()
    ([2, 1], [1, 0])
    """

    distinct: Integers
    pairs: Integers
    entropy: Floats

    @classmethod
    def of(cls, batch: Integers, code: NDArray[Any], *, batches: int) -> "Sharing":
        """Count over anchors of batch ``batch`` (anchors,) and mark ``code`` (anchors,)."""
        span = int(code.max(initial=0)) + 1
        key = np.sort(batch * span + code)
        first = np.flatnonzero(np.diff(key, prepend=-1))
        times = np.diff(first, append=key.size)
        of = key[first] // span
        pairs = np.bincount(of, weights=times * (times - 1) // 2, minlength=batches)
        size = np.maximum(np.bincount(batch, minlength=batches), 1)
        share = times / size[of]
        entropy = np.bincount(of, weights=-share * np.log2(share), minlength=batches)
        return cls(np.bincount(of, minlength=batches), pairs.astype(np.int64), entropy)


@dataclass(frozen=True)
class Block:
    """Composed batches, anchor by anchor.

    Attributes
    ----------
    sizes
        (batches,) anchors.
    batch, places, cell
        (anchors,) batch inside the block, place in the layout, and cell.
    """

    sizes: Integers
    batch: Integers
    places: Integers
    cell: Integers

    @classmethod
    def of(cls, composer: BatchComposer, epoch: int, numbers: Integers) -> "Block":
        """Compose global batches ``numbers`` of an epoch."""
        places, sizes = composer.places(epoch, numbers)
        batch = np.repeat(np.arange(numbers.size), sizes)
        return cls(sizes, batch, places, composer.layout.cell_of(places))


class MarkTally:
    """How anchors of a batch share a mark."""

    def __init__(self, codes: NDArray[Any]) -> None:
        self.codes = codes
        self.pairs = self.with_pairs = self.distinct = self.ordered = 0
        self.entropy = 0.0
        self.by_distinct = np.zeros(1, dtype=np.int64)

    def add(self, block: Block, rows: NDArray[np.uint32]) -> None:
        """Count a block, whose anchors are of ``rows`` (anchors,) of the table."""
        shared = Sharing.of(block.batch, self.codes[rows], batches=block.sizes.size)
        self.pairs += int(shared.pairs.sum())
        self.with_pairs += int((shared.pairs > 0).sum())
        self.distinct += int(shared.distinct.sum())
        self.entropy += float(shared.entropy.sum())
        self.ordered += int((block.sizes * (block.sizes - 1)).sum())
        more = np.bincount(shared.distinct, minlength=self.by_distinct.size)
        more[: self.by_distinct.size] += self.by_distinct
        self.by_distinct = more


class Tally:
    """Running counts; what was asked is summed up beside what was held."""

    def __init__(self, composer: BatchComposer, marks: Marks) -> None:
        layout = composer.layout
        self.composer, self.layout = composer, layout
        self.groups, self.strata = len(layout.groups.values), len(layout.strata.values)
        self.cells = layout.start.size - 1
        self.visits = np.zeros(len(layout), dtype=np.uint32)
        self.epoch_batches: list[Integers] = []
        self.held = np.zeros((self.groups, self.strata), dtype=np.int64)
        self.asked = np.zeros((self.groups, self.strata))
        self.stratum_off = np.zeros_like(self.held)
        self.leaked = self.leak_asked = self.leak_off = 0
        self.inside = self.inside_asked = self.drawn = self.repeats = self.repeats_in_steps = 0
        self._rules = cap_rules(layout)
        self.over = [0] * len(self._rules)
        self.most_units = 0
        self.lineages = None if marks.lineage is None else MarkTally(marks.lineage)
        self.frames = None if marks.frame is None else MarkTally(marks.frame)
        marked = {"fov": marks.fov, "track": marks.track, "time": marks.time}
        self.variety = {name: MarkTally(codes) for name, codes in marked.items() if codes is not None}
        self.hours, self.edges = _clock(composer, marks)
        self.by_time = np.zeros((self.cells, 1 if self.edges is None else self.edges.size - 1), np.int64)
        self.first_cells = np.zeros((0, self.groups, self.strata), dtype=np.int64)
        self.first_times = np.zeros((0, self.by_time.shape[1]), dtype=np.int64)

    def start_epoch(self) -> None:
        """Count the batches of groups anew."""
        self.epoch_batches.append(np.zeros(self.groups, dtype=np.int64))

    def add(self, epoch: int, numbers: Integers) -> None:
        """Compose and count batches of an epoch; whole steps."""
        block, asked = Block.of(self.composer, epoch, numbers), asked_of(self.composer, epoch, numbers)
        self.drawn += block.places.size
        self.epoch_batches[-1] += np.bincount(asked.group, minlength=self.groups)
        self._add_strata(block, asked)
        self._add_leak(block, asked)
        self._add_visits(block)
        self._add_steps(block, asked)
        rows = self.layout.rows[block.places]
        for tally in (self.lineages, self.frames, *self.variety.values()):
            if tally is not None:
                tally.add(block, rows)
        self._add_times(block, asked, rows)

    def _add_strata(self, block: Block, asked: Asked) -> None:
        key = block.batch * self.strata + block.cell // self.groups
        counts = np.bincount(key, minlength=block.sizes.size * self.strata).reshape(-1, self.strata)
        np.add.at(self.held, asked.group, counts)
        np.add.at(self.asked, asked.group, asked.exact)
        np.add.at(self.stratum_off, asked.group, (counts < asked.least) | (counts > asked.most))

    def _add_leak(self, block: Block, asked: Asked) -> None:
        away = block.cell % self.groups != asked.group[block.batch]
        counts = np.bincount(block.batch[away], minlength=block.sizes.size)
        self.leaked += int(counts.sum())
        self.leak_asked += int(asked.leaked.sum())
        self.leak_off += int((counts != asked.leaked).sum())

    def _add_visits(self, block: Block) -> None:
        if self.visits.size < 4 * block.places.size:
            self.visits += np.bincount(block.places, minlength=self.visits.size).astype(np.uint32)
        else:
            np.add.at(self.visits, block.places, np.uint32(1))
        distinct = Sharing.of(block.batch, block.places, batches=block.sizes.size).distinct
        self.repeats += int((block.sizes - distinct).sum())

    def _add_steps(self, block: Block, asked: Asked) -> None:
        """Count what holds for steps: repeats, caps, and frames."""
        step = np.unique(asked.step, return_inverse=True)[1][block.batch]
        steps = int(step.max()) + 1
        size = np.bincount(step, minlength=steps)
        distinct = Sharing.of(step, block.places, batches=steps).distinct
        self.repeats_in_steps += int((size - distinct).sum())
        for number, rule in enumerate(self._rules):
            self.over[number] += over_cap(rule, step, block.places)
        units = self.layout.units
        if units is not None:
            unit = np.searchsorted(units.start, block.places, side="right") - 1
            self.most_units = max(self.most_units, int(Sharing.of(step, unit, batches=steps).distinct.max()))

    def _add_times(self, block: Block, asked: Asked, rows: NDArray[np.uint32]) -> None:
        if self.edges is None:
            self.by_time[:, 0] += np.bincount(block.cell, minlength=self.cells)
            self._keep_first(block, np.zeros(block.cell.size, dtype=np.int64))
            return
        if self.hours is None and self.layout.clock is not None:
            time = self.layout.clock.time_of(block.places)
            has_window = asked.reach >= 0
            self.inside_asked += int(asked.near[has_window].sum())
            self.inside += int((np.abs(time - asked.time[block.batch]) <= asked.reach[block.batch]).sum())
        else:
            time = self.hours[rows] if self.hours is not None else np.zeros(rows.size)
        known = np.isfinite(time)
        bin_ = np.searchsorted(self.edges, time, side="right") - 1
        bins = self.by_time.shape[1]
        key = (block.cell * bins + bin_)[known]
        self.by_time += np.bincount(key, minlength=self.by_time.size).reshape(-1, bins)
        self._keep_first(block, np.where(known, bin_, -1))

    def _keep_first(self, block: Block, bin_: Integers) -> None:
        count = min(FIRST - len(self.first_cells), block.sizes.size)
        if count <= 0:
            return
        is_shown = block.batch < count
        batch, cell = block.batch[is_shown], block.cell[is_shown]
        cells = np.bincount(batch * self.cells + cell, minlength=count * self.cells)
        by_group = cells.reshape(count, self.strata, self.groups).transpose(0, 2, 1)
        self.first_cells = np.concatenate([self.first_cells, by_group])
        bins, at = self.by_time.shape[1], bin_[is_shown]
        timed = at >= 0
        times = np.bincount((batch * bins + at)[timed], minlength=count * bins).reshape(count, bins)
        self.first_times = np.concatenate([self.first_times, times])


def edges_of(times: Sequence[NDArray[Any]]) -> Floats:
    """Return (bins + 1,) edges for the distinct, ascending times of each group.

    A bin is as wide as the slowest group's interval, so that each holds a frame of each group while it
    lasts; there are at most `TIME_BINS`.
    """
    held = [one for one in times if one.size]
    low, high = (float(f(f(one) for one in held)) for f in (min, max))
    interval = max((float(np.median(np.diff(one))) for one in held if one.size > 1), default=1.0)
    width = max(interval, (high - low) / (TIME_BINS - 1))
    bins = floor((high - low) / width + 0.5 + 1e-9) + 1  # the last edge lies beyond high
    return np.asarray(low + width * (np.arange(bins + 1) - 0.5), dtype=np.float64)


def _clock(composer: BatchComposer, marks: Marks) -> tuple[NDArray[Any] | None, Floats | None]:
    """Return the times by row where the plan has no clock, and the edges of the bins."""
    layout = composer.layout
    groups = len(layout.groups.values)
    if layout.clock is not None:
        return None, edges_of([layout.clock.times_of_group(group) for group in range(groups)])
    if marks.hours is None:
        return None, None
    hours = marks.hours[layout.rows]
    found = []
    for group in range(groups):
        cells = range(group, layout.start.size - 1, groups)
        parts = [hours[layout.start[cell] : layout.start[cell + 1]] for cell in cells]
        times = np.unique(np.concatenate(parts).astype(np.float64))
        found.append(times[np.isfinite(times)])
    return (marks.hours, edges_of(found)) if any(one.size for one in found) else (None, None)
