"""Running counts over blocks of composed batches; no loop over batches or anchors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.bounds import bounds_of
from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.expect import edges_of, time_edges
from viscy_data.composition.marks import Marks, Sharing
from viscy_data.composition.stages import Asked

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

FIRST = 40
"""Batches whose composition is kept one by one, for a picture."""


@dataclass(frozen=True)
class Block:
    """Composed batches, anchor by anchor.

    Attributes
    ----------
    sizes, group, is_partial
        (batches,) anchors, group, and whether the batch is the smaller one of its epoch.
    batch, places, cell
        (anchors,) batch inside the block, place in the layout, and cell.
    """

    sizes: Integers
    group: Integers
    is_partial: NDArray[np.bool_]
    batch: Integers
    places: Integers
    cell: Integers

    @classmethod
    def of(cls, composer: BatchComposer, epoch: int, numbers: Integers) -> "Block":
        """Compose global batches ``numbers`` of an epoch."""
        places, sizes = composer.places(epoch, numbers)
        visits = composer.schedule.visits(epoch, numbers)
        batch = np.repeat(np.arange(numbers.size), sizes)
        return cls(sizes, visits.group, visits.is_partial, batch, places, composer.layout.cell_of(places))


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


class AskedTally:
    """Sums of what batches of a plan whose quotas change are asked to hold."""

    def __init__(self, groups: int, strata: int) -> None:
        self.strata = np.zeros((groups, strata))
        self.leaked = self.inside = 0

    def add(self, asked: Asked, group: Integers) -> None:
        """Add what batches of groups (batches,) are asked to hold."""
        np.add.at(self.strata, group, asked.strata)
        self.leaked += int(asked.leaked.sum())
        self.inside += int(asked.inside.sum())


class Tally:
    """Running counts of what batches hold; ``asked`` counts only where quotas change over training."""

    def __init__(self, composer: BatchComposer, marks: Marks) -> None:
        layout = composer.layout
        self.composer, self.layout = composer, layout
        self.groups, self.strata = len(layout.groups.values), len(layout.strata.values)
        self.cells = layout.start.size - 1
        self.visits = np.zeros(len(layout), dtype=np.uint32)
        self.epoch_batches: list[Integers] = []
        self.held = np.zeros((self.groups, self.strata), dtype=np.int64)
        self.stratum_off = np.zeros_like(self.held)
        self.leaked = self.leak_off = self.inside = self.drawn = self.repeats = 0
        self.asked = AskedTally(self.groups, self.strata)
        self._bounds = bounds_of(composer)
        self._asked_leak = np.array([sum(part.leaked) for part in composer.parts.parts])
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
        """Compose and count batches of an epoch."""
        block = Block.of(self.composer, epoch, numbers)
        self.drawn += block.places.size
        self.epoch_batches[-1] += np.bincount(block.group, minlength=self.groups)
        stages = self.composer.stages
        asked = None if stages is None else stages.asked(epoch, numbers)
        if asked is not None:
            self.asked.add(asked, block.group)
        self._add_strata(block, asked)
        self._add_leak(block, asked)
        self._add_visits(block)
        rows = self.layout.rows[block.places]
        for tally in (self.lineages, self.frames, *self.variety.values()):
            if tally is not None:
                tally.add(block, rows)
        self._add_times(epoch, numbers, block, rows)

    def _add_strata(self, block: Block, asked: Asked | None) -> None:
        key = block.batch * self.strata + block.cell // self.groups
        counts = np.bincount(key, minlength=block.sizes.size * self.strata).reshape(-1, self.strata)
        np.add.at(self.held, block.group, counts)
        kind = block.is_partial.astype(np.int64)
        if asked is None:
            least, most = (bound[kind, block.group] for bound in self._bounds)
        else:
            least, most = asked.bounds
        np.add.at(self.stratum_off, block.group, (counts < least) | (counts > most))

    def _add_leak(self, block: Block, asked: Asked | None) -> None:
        away = block.cell % self.groups != block.group[block.batch]
        counts = np.bincount(block.batch[away], minlength=block.sizes.size)
        self.leaked += int(counts.sum())
        wanted = self._asked_leak[block.is_partial.astype(np.int64)] if asked is None else asked.leaked
        self.leak_off += int((counts != wanted).sum())

    def _add_visits(self, block: Block) -> None:
        if self.visits.size < 4 * block.places.size:
            self.visits += np.bincount(block.places, minlength=self.visits.size).astype(np.uint32)
        else:
            np.add.at(self.visits, block.places, np.uint32(1))
        distinct = Sharing.of(block.batch, block.places, batches=block.sizes.size).distinct
        self.repeats += int((block.sizes - distinct).sum())

    def _add_times(self, epoch: int, numbers: Integers, block: Block, rows: NDArray[np.uint32]) -> None:
        window = self.composer.plan.window
        if self.edges is None:
            self.by_time[:, 0] += np.bincount(block.cell, minlength=self.cells)
            self._keep_first(block, np.zeros(block.cell.size, dtype=np.int64))
            return
        time = self.layout.time_of(block.places) if self.hours is None else self.hours[rows]
        if window is not None:
            step = self.composer.schedule.visits(epoch, numbers).step
            focal = self.composer.clock.times(epoch, step, block.group)[block.batch]
            reach = self.composer.clock.reach(epoch, numbers)[block.batch]
            self.inside += int((np.abs(time - focal) <= reach).sum())
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
        shown = block.batch < count
        batch, cell = block.batch[shown], block.cell[shown]
        cells = np.bincount(batch * self.cells + cell, minlength=count * self.cells)
        by_group = cells.reshape(count, self.strata, self.groups).transpose(0, 2, 1)
        self.first_cells = np.concatenate([self.first_cells, by_group])
        bins, at = self.by_time.shape[1], bin_[shown]
        timed = at >= 0
        times = np.bincount((batch * bins + at)[timed], minlength=count * bins).reshape(count, bins)
        self.first_times = np.concatenate([self.first_times, times])


def _clock(composer: BatchComposer, marks: Marks) -> tuple[NDArray[Any] | None, Floats | None]:
    """Return the times by row where the plan has no clock, and the edges of the bins."""
    edges = time_edges(composer)
    if edges is not None or marks.hours is None:
        return None, edges
    layout = composer.layout
    groups = len(layout.groups.values)
    hours = marks.hours[layout.rows]
    found = []
    for group in range(groups):
        cells = range(group, layout.start.size - 1, groups)
        parts = [hours[layout.start[cell] : layout.start[cell + 1]] for cell in cells]
        times = np.unique(np.concatenate(parts).astype(np.float64))
        found.append(times[np.isfinite(times)])
    return (marks.hours, edges_of(found)) if any(one.size for one in found) else (None, None)
