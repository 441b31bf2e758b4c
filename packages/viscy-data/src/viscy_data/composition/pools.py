"""Anchors from whole cells: what batches draw where no focal window narrows the choice.

A *pool* is what one group's batches draw of one stratum: the group's own cell, or for a leak the
anchors of that stratum in all other groups. Pools are numbered by (own | leaked, stratum, group), so
that the first ones are the cells. Where batches must not hold a value twice, cells are drawn in
`rounds`, where anchors have weights by them (`systematic`); all other pools are endless.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.endless import Draws, EndlessPools
from viscy_data.composition.epochs import EpochSchedule, Visits
from viscy_data.composition.history import DrawHistory
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.parts import PartCounts
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.requests import slots
from viscy_data.composition.rounds import Rounds
from viscy_data.composition.stages import Stages
from viscy_data.composition.systematic import WeightedLines
from viscy_data.composition.value_classes import ValueClasses

Integers = NDArray[np.int64]


class CellPools:
    """The pools of a plan and a table.

    Parameters
    ----------
    plan, layout, parts, schedule
        What batches hold, the table, how much batches take, and when groups are visited.
    seed
        First word of the keys.
    stages
        What draws where quotas change over training.

    Attributes
    ----------
    is_distinct
        Whether no batch can hold a value twice.
    """

    def __init__(
        self,
        plan: BatchPlan,
        layout: AnchorLayout,
        parts: PartCounts,
        schedule: EpochSchedule,
        seed: int,
        stages: Stages | None = None,
    ) -> None:
        self._parts, self._schedule, self._seed, self._stages = parts, schedule, seed, stages
        self._lay(layout)
        means = parts.own_means() if plan.in_rounds else []
        self._rounds = [Rounds(ValueClasses.of(layout, by_cell), seed) for by_cell in means]
        self._lines = self._weighted(layout) if layout.weight_sum is not None else None
        self.is_distinct = plan.in_rounds and plan.leak == 0 and self._cells_suffice(layout, means)

    @property
    def size(self) -> Integers:
        """(pools,) members."""
        size: Integers = self._endless.size
        return size

    @property
    def visit(self) -> Integers:
        """(pools,) most that a step takes."""
        visit: Integers = self._endless.visit
        return visit if self._stages is None else self._stages.most()

    def _cells_suffice(self, layout: AnchorLayout, means: list[list[Fraction]]) -> bool:
        """Whether all cells can be drawn in rounds, and no two of them share a value."""
        drawn = np.array([[mean > 0 for mean in by_cell] for by_cell in means])
        able = np.array([rounds.classes.visits > 0 for rounds in self._rounds])
        code = layout.need_values().code
        is_first = np.append(True, code[1:] != code[:-1])
        is_first[layout.start[:-1][np.diff(layout.start) > 0]] = True
        return bool((able | ~drawn).all()) and int(is_first.sum()) == int(code.max()) + 1

    def _lay(self, layout: AnchorLayout) -> None:
        """Say where the members of pools stand.

        A leaked pool is a stratum without one group's cell: its members from ``gap_at`` on stand
        ``gap`` places further.
        """
        size = layout.size
        start = layout.start[:-1].reshape(size.shape)
        self._base = np.stack([start, np.broadcast_to(start[:, :1], size.shape)]).ravel()
        self._gap_at = np.stack([size, start - start[:, :1]]).ravel()
        self._gap = np.stack([np.zeros_like(size), size]).ravel()
        of_batch = self._parts.bounds().reshape(2, 2, -1)
        of_step = self._schedule.per_step(of_batch)
        self._endless = EndlessPools(layout.pool_size.ravel(), of_batch, of_step, self._seed)

    @property
    def lines(self) -> WeightedLines | None:
        """The cells that are drawn by weight."""
        return self._lines

    def _weighted(self, layout: AnchorLayout) -> WeightedLines:
        """Cut the cells in as many blocks as a step takes anchors: one more where that varies."""
        per_step = self._schedule.per_step(self._parts.bounds().reshape(2, 2, -1))
        cells = layout.start.size - 1
        most = per_step[1, 0, :cells]
        steady = (per_step[0, 0, :cells] == most) & (per_step[1, 1, :cells] == 0)
        return WeightedLines.of(layout.need_weights(), layout.start, most, steady, self._seed)

    def draw(self, epoch: int, visits: Visits, counts: Integers, halves: Integers) -> Integers:
        """Draw ``counts`` (batches, leaves, strata) from the pools; ``halves``: own or leaked, by leaf."""
        _, strata, groups = self._parts.shape
        pool = (halves[:, None] * strata + np.arange(strata)) * groups + visits.group[:, None, None]
        first = self._merged(self._parts.drawn(visits), halves)
        wanted = counts > 0
        visit = np.nonzero(wanted)[0]
        pool, visits = pool[wanted], visits[visit]
        draws = Draws(pool, first[wanted], counts[wanted], visits, self._apart(epoch, visits, pool))
        if self._lines is not None:
            return self._by_weight(self._lines, epoch, draws)
        if not self._rounds:
            return self._places(epoch, draws)
        place = np.empty(int(draws.count.sum()), dtype=np.int64)
        rest = np.ones(pool.size, dtype=np.bool_)
        for is_partial, rounds in enumerate(self._rounds):
            own = (pool < rounds.classes.visits.size) & (visits.is_partial == bool(is_partial))
            own[own] = rounds.classes.visits[pool[own]] > 0
            if not own.any():
                continue
            rest &= ~own
            place[np.repeat(own, draws.count)] = self._in_rounds(rounds, draws[own], bool(is_partial))
        place[np.repeat(rest, draws.count)] = self._places(epoch, draws[rest])
        return place

    def _by_weight(self, lines: WeightedLines, epoch: int, draws: Draws) -> Integers:
        cells = lines.blocks.size
        by_weight = (draws.pool < cells) & (lines.blocks[draws.pool % cells] > 0)
        place = np.empty(int(draws.count.sum()), dtype=np.int64)
        place[np.repeat(~by_weight, draws.count)] = self._places(epoch, draws[~by_weight])
        cut = draws[by_weight]
        request, number = slots(cut.count)
        place[np.repeat(by_weight, draws.count)] = lines.places(
            cut.pool[request], cut.first[request] + number
        )
        return place

    def _apart(self, epoch: int, visits: Visits, pool: Integers) -> keyed.Words:
        """Return keys of the steps beyond the end of an epoch, 0 for all others."""
        apart = np.zeros(pool.size, dtype=np.uint64)
        if visits.cycle.any():
            words = keyed.words(self._seed, Purpose.BEYOND, epoch, visits.cycle, visits.rank, pool)
            apart[:] = np.where(visits.cycle, words, apart)
        return apart

    def _places(self, epoch: int, draws: Draws) -> Integers:
        member = self._members(epoch, draws)
        slot = np.repeat(draws.pool, draws.count)
        place: Integers = (
            self._base[slot] + member + np.where(member >= self._gap_at[slot], self._gap[slot], 0)
        )
        return place

    def _members(self, epoch: int, draws: Draws) -> Integers:
        if self._stages is not None:
            return self._stages.members(epoch, draws.visits, draws.pool, draws.count)
        of_step, of_batch = (
            DrawHistory(self._schedule, self._parts, epoch, by_step) for by_step in (True, False)
        )
        return self._endless.members(draws, of_step, of_batch)

    def _in_rounds(self, rounds: Rounds, draws: Draws, is_partial: bool) -> Integers:
        cell = draws.pool
        stratum, group = np.divmod(cell, self._parts.shape[2])
        none = np.zeros_like(cell)

        def drawn(visit: Integers) -> Integers:
            visits = (none, visit) if is_partial else (visit, none)
            return self._parts.drawn_of(group, none, stratum, *visits)

        return rounds.places(cell, draws.visits.partial if is_partial else draws.visits.full, drawn)

    def _merged(self, drawn: Integers, halves: Integers) -> Integers:
        """Sum the leaves of each half that ``halves`` names."""
        by_half = drawn.reshape(
            len(drawn), 2 if drawn.shape[1] > self._parts.leaves_of_half else 1, -1, drawn.shape[2]
        )
        merged: Integers = by_half.sum(axis=2)[:, halves]
        return merged
