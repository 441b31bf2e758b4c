"""From batch numbers to row indices: every batch is a function of (table, plan, seed, epoch, number).

`BatchComposer` ties the pieces: the schedule says which group a batch takes and how often the group
came before; mixtures of whole-number tables say how many anchors of each stratum each part of the
batch gets; pools or focal draws say which. A batch has up to four parts: own anchors and leaked ones,
inside and outside the focal window. Many batches are drawn at a time, by array operations; the cost
is O(log N) per anchor, whatever the number of groups.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.budget import frame_budget
from viscy_data.composition.distinct import AnchorValues, Origins, make_distinct
from viscy_data.composition.epochs import EpochSchedule, Visits
from viscy_data.composition.feasibility import Feasibility
from viscy_data.composition.focal import FocalDraws
from viscy_data.composition.focal_clock import FocalClock
from viscy_data.composition.kernel import GaussianDraws
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.local import LocalDraws, Windows
from viscy_data.composition.moving_weights import MovingWeights
from viscy_data.composition.parts import PartCounts
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.pools import CellPools
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.requests import Requests
from viscy_data.composition.shares import PLAN_NAMES, TableShares
from viscy_data.composition.stages import Stages, envelope
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]


class BatchComposer:
    """Composes any batch of any epoch.

    Parameters
    ----------
    plan
        What a batch shall hold.
    layout
        The table, sorted.
    seed
        First word of all keys.
    drop_last
        Leave out the last, smaller batch of an epoch.
    names
        What messages call the fields of the plan.

    Raises
    ------
    InvalidInputError
        The plan cannot be followed on this table.
    """

    def __init__(
        self,
        plan: BatchPlan,
        layout: AnchorLayout,
        *,
        seed: int,
        drop_last: bool,
        names: Mapping[str, str] = PLAN_NAMES,
    ) -> None:
        self.plan, self.layout, self.seed, self.drop_last = plan, layout, seed, drop_last
        if len(layout) < plan.batch_size and drop_last:
            raise InvalidInputError(
                f"{names['batch_size']}={plan.batch_size} is more than the table's {len(layout)} anchors, so "
                "that drop_last=True leaves no batch; lower it or set drop_last=False."
            )
        steady = envelope(plan)
        self.shares = TableShares.of(steady, layout, names)
        size = min(plan.batch_size, len(layout))  # a smaller table is one batch
        full, remainder = divmod(len(layout), size)
        self.sizes = [size] if drop_last or not remainder else [size, remainder]
        self.parts = PartCounts(steady, self.sizes, self.shares)
        able = [own is not None for own in self.shares.own]
        moving = MovingWeights.of(plan, layout, able, full + len(self.sizes) - 1, names)
        hold = 1 if plan.locality is None else plan.locality.hold
        counts = full, len(self.sizes) - 1
        self.schedule = EpochSchedule(
            self.shares.groups, *counts, seed, span=plan.span, run=hold, moving=moving
        )
        self.clock = FocalClock(plan, layout, self.schedule, seed)
        laid_out = (plan, layout, self.parts, self.shares, self.schedule, names)
        self.stages = Stages(*laid_out) if plan.moving_quotas else None
        self._pools = CellPools(plan, layout, self.parts, self.schedule, seed, self.stages)
        self._local = self._localised(plan)
        self._feasible = Feasibility(steady, layout, self.shares, self.parts, self.schedule)
        self._feasible.warn_rounded_away(names)
        if self._pools.lines is not None and plan.window is None and self.stages is None:
            self._feasible.refuse_heavy(self._pools.lines)
        self._feasible.warn_small_cells(self._pools.size, self._pools.visit)
        if plan.distinct is not None and plan.distinct.strict:
            self._feasible.refuse_few_values(plan.distinct)

    def _localised(self, plan: BatchPlan) -> LocalDraws | None:
        locality = plan.locality
        if locality is None:
            return None
        name = "Locality.fovs" if locality.frames is None else "Locality.frames"
        frames = frame_budget(self.layout, self.parts, self.shares, locality.most, name)
        return LocalDraws(self.layout, frames, self.parts.leaves_of_half, locality.hold, self.seed)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.schedule.batches

    def rows(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[NDArray[np.uint32], Integers]:
        """Return the rows of batches, one after the other, and each batch's size."""
        places, sizes = self.places(epoch, numbers)
        return self.layout.rows[places], sizes

    def places(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[Integers, Integers]:
        """Return places in the layout instead of rows: an anchor's cell and time are near at hand."""
        number = np.asarray(numbers, dtype=np.int64)
        if self.layout.values is None or self._pools.is_distinct:
            return self._drawn(epoch, number)
        members = number if self.plan.span == 1 else self.schedule.members(number)
        place, sizes = self._drawn(epoch, members)
        place = self._made_distinct(self.layout.values, epoch, members, sizes, place)
        if self.plan.span == 1:
            return place, sizes
        asked = np.searchsorted(members, number)
        ends = np.cumsum(sizes)
        parts = [place[ends[batch] - sizes[batch] : ends[batch]] for batch in asked.tolist()]
        return np.concatenate(parts), sizes[asked]

    def _drawn(self, epoch: int, number: Integers) -> tuple[Integers, Integers]:
        visits = self.schedule.visits(epoch, number)
        counts = self._taken(epoch, number, visits)
        sizes = counts.sum(axis=(1, 2))
        if self._local is not None:
            return self._local.draw(
                epoch, number, visits, counts, self._windows(epoch, number, visits)
            ), sizes
        if self.plan.window is not None:
            return self._draw_focal(epoch, number, visits, counts), sizes
        if self.plan.weighting is not None and (self.stages is not None or counts.shape[1] > 1):
            return self._draw_weighted(epoch, number, visits, counts), sizes
        return self._pools.draw(epoch, visits, counts, np.arange(counts.shape[1])), sizes

    def _windows(self, epoch: int, number: Integers, visits: Visits) -> Windows:
        """Return what tells the window of a batch in a cell."""

        def windows(batch: Integers, cell: Integers) -> tuple[Integers, Integers]:
            time = self.clock.times(epoch, visits.step[batch], visits.group[batch])
            low, high = self.clock.window(cell, time, self.clock.reach(epoch, number[batch]))
            return low, high

        return windows

    def _taken(self, epoch: int, number: Integers, visits: Visits) -> Integers:
        """Return (batches, leaves, strata) what batches take."""
        if self.stages is None:
            return self.parts.taken(visits)
        return self.stages.taken(epoch, number, visits)

    def _made_distinct(
        self, values: AnchorValues, epoch: int, number: Integers, sizes: Integers, place: Integers
    ) -> Integers:
        """Redraw the anchors whose value their step holds already; ``number``: all batches of the steps."""
        visits = self.schedule.visits(epoch, number)
        batch = np.repeat(np.arange(number.size), sizes)
        step = (
            np.unique(visits.step, return_inverse=True)[1] if self.plan.span > 1 else np.arange(number.size)
        )

        def origins(slot: Integers) -> Origins:
            mine = batch[slot]
            cell = self.layout.cell_of(place[slot])
            nth = slot - (np.cumsum(sizes) - sizes)[mine]
            key = keyed.words(self.seed, Purpose.CONFLICT, epoch, number[mine], nth)
            start, end = self.layout.start[cell], self.layout.start[cell + 1]
            if self._local is not None:
                start, end = self.layout.need_frames().bounds(place[slot])
                return Origins(key, start, end, start, end)
            if self.plan.window is None:
                return Origins(key, start, end, start, end)
            time = self.clock.times(epoch, visits.step[mine], visits.group[mine])
            reach = self.clock.reach(epoch, number[mine])
            return Origins(key, start, end, *self.clock.window(cell, time, reach))

        def others(slot: int) -> Integers:
            mine = place[batch == batch[slot]]
            mine = mine[self.layout.cell_of(mine) == self.layout.cell_of(place[[slot]])]
            return self.layout.need_frames().members(mine)

        more = None if self._local is None else others
        return make_distinct(values, step[batch], place, origins, self.layout.weight_sum, more)

    def _draw_weighted(self, epoch: int, number: Integers, visits: Visits, counts: Integers) -> Integers:
        """Draw by weight from whole cells, where batches leak or quotas change."""
        if self.stages is not None:
            return self._draw_focal(epoch, number, visits, counts)
        own = self._pools.draw(epoch, visits, counts[:, :1], np.array([0]))
        leaked = self._leaked_requests(epoch, number, visits, counts).wanted()
        places = self._places_around(epoch, number, visits, leaked)
        batches = np.repeat(np.arange(number.size), counts[:, 0].sum(axis=1))
        order = np.concatenate([batches, np.repeat(leaked.batch, leaked.count.sum(axis=0))])
        return np.concatenate([own, places])[np.argsort(order, kind="stable")]

    def _draw_focal(self, epoch: int, number: Integers, visits: Visits, counts: Integers) -> Integers:
        half, strata = self.parts.leaves_of_half, counts.shape[2]
        before, total = np.zeros_like(counts), counts
        if self.plan.span > 1:
            begin, end = (self.parts.drawn(edge) for edge in self.schedule.step_of(visits))
            before, total = self.parts.drawn(visits) - begin, end - begin
        batch = np.repeat(np.arange(number.size), strata)
        cell = (np.arange(strata) * len(self.layout.groups.values) + visits.group[:, None]).ravel()
        own = Requests(batch, cell, *(_sides(part[:, :half]) for part in (counts, before, total)))
        if counts.shape[1] > half:
            own = own.merged(self._leaked_requests(epoch, number, visits, counts))
        return self._places_around(epoch, number, visits, own.wanted())

    def _places_around(self, epoch: int, number: Integers, visits: Visits, wanted: Requests) -> Integers:
        """Draw around the focal times of batches; steps that take more than a cell draw by batch."""
        batch, cell = wanted.batch, wanted.cell
        start, end = self.layout.start[cell], self.layout.start[cell + 1]
        split = wanted.total.sum(axis=0) > end - start
        total = np.where(split, wanted.count, wanted.total)
        before = np.where(split, 0, wanted.before)
        # a step's number, or a batch's from the other end of the integers
        turn = np.where(split, ~number[batch], visits.step[batch])
        inside = keyed.words(Purpose.FOCAL_DRAW, self.seed, epoch, turn, cell)
        keys = [inside, keyed.words(inside)]
        low, high = start, end
        if self.plan.window is not None:
            time = self.clock.times(epoch, visits.step, visits.group)[batch]
            reach = self.clock.reach(epoch, number)[batch]
            if self.plan.window.kernel == "gaussian":
                return GaussianDraws(self.layout, cell, time, np.abs(reach), *wanted.count, *keys).places()
            low, high = self.clock.window(cell, time, reach)
        sides = (total[0], total[1], before, wanted.count, keys[0], keys[1])
        return FocalDraws(start, end, low, high, *sides, self.layout.weight_sum).places()

    def _leaked_requests(self, epoch: int, number: Integers, visits: Visits, counts: Integers) -> Requests:
        """Draw the cells that leaked anchors come from, in proportion to whole cells; by (batch, cell).

        Which cells a step's other batches leak from must be known too: cost O(leaked anchors of a step).
        """
        half = self.parts.leaves_of_half
        if self.plan.span == 1:
            return self._leaked_cells(epoch, visits, counts[:, half:])
        members = self.schedule.members(number)
        visits = self.schedule.visits(epoch, members)
        found = self._leaked_cells(epoch, visits, self._taken(epoch, members, visits)[:, half:])
        return found.in_steps(visits.step[found.batch]).of_batches(np.searchsorted(members, number))

    def _leaked_cells(self, epoch: int, visits: Visits, counts: Integers) -> Requests:
        total = counts.sum(axis=1)
        place = self._pools.draw(epoch, visits, total[:, None], np.array([1]))
        batch, stratum = np.nonzero(total)
        request = np.repeat(np.arange(batch.size), total[batch, stratum])
        nth = np.arange(request.size) - (np.cumsum(total[batch, stratum]) - total[batch, stratum])[request]
        is_inside = nth < counts[:, 0][batch, stratum][request]
        cells = len(self.layout.start) - 1
        pair = batch[request] * cells + self.layout.cell_of(place)
        order = np.argsort(pair, kind="stable")
        pair = pair[order]
        first = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])[: pair.size])
        inside = np.add.reduceat(is_inside[order], first, dtype=np.int64)
        count = np.stack([inside, np.diff(np.append(first, pair.size)) - inside])
        found, cell = np.divmod(pair[first], cells)
        return Requests(found, cell, count, np.zeros_like(count), count)

    def cell_name(self, cell: int) -> str:
        """Return a cell's group and stratum for people."""
        return self._feasible.cell_name(cell)


def _sides(counts: Integers) -> Integers:
    """Turn (batches, leaves, strata) into (2, batches x strata); without a window all count as inside."""
    sides = counts.transpose(1, 0, 2).reshape(counts.shape[1], -1)
    return sides if len(sides) == 2 else np.concatenate([sides, np.zeros_like(sides)])
