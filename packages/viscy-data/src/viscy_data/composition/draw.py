"""From batch numbers to row indices: every batch is a function of (table, plan, seed, epoch, number).

`BatchComposer` ties the pieces: the schedule says which group a batch takes and how often the group
came before; mixtures of whole-number tables say how many anchors of each stratum each part of the
batch gets; pools or focal draws say which. A batch has up to four parts: own anchors and leaked ones,
inside and outside the focal window. Many batches are drawn at a time, by array operations; the cost
is O(log N) per anchor, whatever the number of groups.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.endless import Draws, EndlessPools
from viscy_data.composition.epochs import EpochSchedule, Visits
from viscy_data.composition.focal import FocalDraws
from viscy_data.composition.history import DrawHistory, Moments
from viscy_data.composition.kernel import GaussianDraws
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.parts import PartCounts, PartSizes
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.schedule import numbers_at
from viscy_data.composition.shares import PLAN_NAMES, TableShares
from viscy_data.composition.stages import Stages, envelope, has_moving_quotas
from viscy_data.errors import CompositionWarning, InvalidInputError

Integers = NDArray[np.int64]

CLOCK_TOLERANCE = 1e-4
"""Hours by which an anchor may miss the focal window: clock columns may be float32."""


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
        _warn_rounded_away(steady, self.parts.parts[0], names)
        self.schedule = EpochSchedule(self.shares.groups, full, len(self.sizes) - 1, seed)
        self._pools, self._base, self._gap_at, self._gap = self._lay_pools()
        self.stages: Stages | None = None
        if has_moving_quotas(plan):
            pool_size = self._pools.size
            self.stages = Stages(plan, layout, self.parts, self.shares, self.schedule, pool_size, names)
        self._warn_small_cells()

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
        visits = self.schedule.visits(epoch, number)
        moving = self.stages
        counts = self.parts.taken(visits) if moving is None else moving.taken(epoch, number, visits)
        sizes = counts.sum(axis=(1, 2))
        if self.plan.window is None:
            return self._draw_pools(epoch, visits, counts, np.arange(counts.shape[1])), sizes
        return self._draw_focal(epoch, number, visits, counts), sizes

    def _lay_pools(self) -> tuple[EndlessPools, Integers, Integers, Integers]:
        """Give the pools (own | leaked, stratum, group) numbers and say where their members stand.

        A leaked pool is a stratum without one group's cell: its members from ``gap_at`` on stand
        ``gap`` places further.
        """
        size = self.layout.size
        start = self.layout.start[:-1].reshape(size.shape)
        total = size.sum(axis=1, keepdims=True)
        members = np.stack([size, total - size])
        base = np.stack([start, np.broadcast_to(start[:, :1], size.shape)])
        gap_at = np.stack([size, start - start[:, :1]])
        gap = np.stack([np.zeros_like(size), size])
        least, most = (bound.reshape(2, -1) for bound in self.parts.bounds())
        pools = EndlessPools(members.ravel(), least, most, self.seed)
        return pools, base.ravel(), gap_at.ravel(), gap.ravel()

    def _draw_pools(self, epoch: int, visits: Visits, counts: Integers, halves: Integers) -> Integers:
        """Draw ``counts`` (batches, leaves, strata) from the pools; ``halves``: own or leaked, by leaf."""
        groups = len(self.layout.groups.values)
        strata = counts.shape[2]
        pool = (halves[:, None] * strata + np.arange(strata)) * groups + visits.group[:, None, None]
        wanted = counts > 0
        visit = np.broadcast_to(np.arange(visits.group.size)[:, None, None], pool.shape)[wanted]
        pool, count = pool[wanted], counts[wanted]
        if self.stages is None:
            first = self._merged(self.parts.drawn(visits), halves)
            member = self._steady_members(epoch, visits, visit, pool, first[wanted], count)
        else:
            member = self.stages.members(epoch, visits[visit], pool, count)
        slot = np.repeat(pool, count)
        place: Integers = (
            self._base[slot] + member + np.where(member >= self._gap_at[slot], self._gap[slot], 0)
        )
        return place

    def _steady_members(
        self, epoch: int, visits: Visits, visit: Integers, pool: Integers, first: Integers, count: Integers
    ) -> Integers:
        """Draw members of pools whose draws are known from visit numbers alone."""
        now = Moments(visits.full[visit], visits.partial[visit], visits.is_partial[visit])
        apart = np.zeros(pool.size, dtype=np.uint64)
        if visits.cycle.any():
            words = (epoch, visits.cycle[visit], visits.rank[visit], pool)
            apart[:] = np.where(visits.cycle[visit], keyed.words(self.seed, Purpose.BEYOND, *words), apart)
        history = DrawHistory(self.schedule, self.parts, epoch)
        return self._pools.members(Draws(pool, first, count, now, apart), history)

    def _merged(self, drawn: Integers, halves: Integers) -> Integers:
        """Sum the leaves of a focal plan to own and leaked where ``halves`` asks for it."""
        if drawn.shape[1] == halves.size:
            return drawn
        return drawn.reshape(len(drawn), -1, 2, drawn.shape[2]).sum(axis=2)[:, halves]

    def _draw_focal(self, epoch: int, number: Integers, visits: Visits, counts: Integers) -> Integers:
        groups = len(self.layout.groups.values)
        strata = counts.shape[2]
        time = self.focal_times(epoch, number, visits.group)
        batch = np.repeat(np.arange(number.size), strata)
        cell = (np.arange(strata) * groups + visits.group[:, None]).ravel()
        inside, outside = counts[:, 0].ravel(), counts[:, 1].ravel()
        if counts.shape[1] == 4:
            parts = [(batch, cell, inside, outside), self._leaked_cells(epoch, visits, counts[:, 2:])]
            batch, cell, inside, outside = (np.concatenate(part) for part in zip(*parts, strict=True))
            order = np.argsort(batch, kind="stable")
            batch, cell, inside, outside = (part[order] for part in (batch, cell, inside, outside))
        wanted = np.flatnonzero(inside + outside)
        batch, cell, inside, outside = (part[wanted] for part in (batch, cell, inside, outside))
        words = (self.seed, epoch, number[batch], cell)
        keys = [keyed.words(purpose, *words) for purpose in (Purpose.INSIDE, Purpose.OUTSIDE)]
        reach = self.reach(epoch, number)[batch]
        if self.plan.window is not None and self.plan.window.kernel == "gaussian":
            hours = np.abs(reach)
            around = GaussianDraws(self.layout, cell, time[batch], hours, inside, outside, keys[0], keys[1])
            return around.places()
        low, high = self.layout.window(cell, time[batch] - reach, time[batch] + reach)
        high = np.maximum(low, high)  # a negative reach is no window
        start, end = self.layout.start[cell], self.layout.start[cell + 1]
        return FocalDraws(start, end, low, high, inside, outside, *keys).places()

    def _leaked_cells(
        self, epoch: int, visits: Visits, counts: Integers
    ) -> tuple[Integers, Integers, Integers, Integers]:
        """Draw the cells that leaked anchors come from, in proportion to whole cells.

        Returns
        -------
        Batch, cell, and anchors wanted from inside and outside the window, by (batch, cell).
        """
        total = counts.sum(axis=1)
        place = self._draw_pools(epoch, visits, total[:, None], np.array([1]))
        batch, stratum = np.nonzero(total)
        request = np.repeat(np.arange(batch.size), total[batch, stratum])
        nth = np.arange(request.size) - (np.cumsum(total[batch, stratum]) - total[batch, stratum])[request]
        is_inside = nth < counts[:, 0][batch, stratum][request]
        cells = len(self.layout.start) - 1
        pair, back = np.unique(batch[request] * cells + self.layout.cell_of(place), return_inverse=True)
        inside = np.bincount(back, weights=is_inside, minlength=pair.size).astype(np.int64)
        outside = np.bincount(back, minlength=pair.size) - inside
        return pair // cells, pair % cells, inside, outside

    def focal_times(self, epoch: int, number: Integers, group: Integers) -> NDArray[np.float64]:
        """Return the focal time of each batch: even over the distinct times of its group, or its anchors."""
        bits = keyed.words(self.seed, Purpose.FOCAL_TIME, epoch, number)
        by_anchors = self.plan.window is not None and self.plan.window.times == "anchors"
        draw = self.layout.anchor_times if by_anchors else self.layout.focal_times
        return draw(group, lambda count: keyed.below(bits, count))

    def step(self, epoch: int, number: Integers) -> Integers:
        """Return the steps that schedules are asked at; batches beyond an epoch count as its last."""
        return epoch * self.batches + np.minimum(number, self.batches - 1)

    def reach(self, epoch: int, number: Integers) -> NDArray[np.float64]:
        """Return the half width of each batch's window, or a Gaussian's standard deviation, in hours.

        It is -1 in batches of a schedule that have no window.
        """
        if self.plan.window is None:
            return np.zeros(number.size)
        step = self.step(epoch, number)
        found = numbers_at(self.plan.window.window_hours, step, self.batches) + CLOCK_TOLERANCE
        outside = numbers_at(self.plan.window.global_fraction, step, self.batches)
        return np.where(outside == 1, -1.0, found)

    def _warn_small_cells(self) -> None:
        """List the cells, and what other groups hold for a leak, that are less than a batch takes."""
        strata, groups = self.layout.size.shape
        short = self._pools.size < (self._pools.visit if self.stages is None else self.stages.most())
        drawn = np.array(self.shares.groups, dtype=bool)[np.arange(short.size) % groups]
        texts = []
        for pool in np.flatnonzero(short & drawn):
            leaked, cell = divmod(int(pool), strata * groups)
            where = "leaked to " if leaked else ""
            texts.append(f"{where}{self.cell_name(cell)}: {self._pools.size[pool]}")
        if texts:
            more = f", and {len(texts) - 12} more" if len(texts) > 12 else ""
            warnings.warn(
                "These cells hold fewer anchors than a batch takes from them, so that anchors repeat in a "
                f"batch: {', '.join(texts[:12])}{more}.",
                CompositionWarning,
                stacklevel=2,
            )

    def cell_name(self, cell: int) -> str:
        """Return a cell's group and stratum for people."""
        stratum, group = divmod(cell, len(self.layout.groups.values))
        parts = []
        if self.plan.grouping is not None:
            parts.append(str(self.layout.groups.values[group]))
        if self.plan.balance is not None:
            parts.append(str(self.layout.strata.values[stratum]))
        return " / ".join(parts) or "the table"


def _warn_rounded_away(plan: BatchPlan, parts: PartSizes, names: Mapping[str, str]) -> None:
    outside = parts.own[1] + parts.leaked[1]
    asked = [("leak", plan.leak, sum(parts.leaked))]
    if plan.window is not None:
        asked.append(("global_fraction", plan.outside, outside))
    for name, fraction, count in asked:
        if fraction > 0 and count == 0:
            warnings.warn(
                f"{names[name]}={fraction} of a batch of {plan.batch_size} rounds to no anchor at all.",
                CompositionWarning,
                stacklevel=2,
            )
