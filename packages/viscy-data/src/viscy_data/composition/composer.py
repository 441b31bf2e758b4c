"""From batch numbers to row indices: `Stage.places` is the whole of it, one call for each of the seven steps.

Every batch is a function of (table, plan, seed, epoch, number): any batch can be asked for at any time, in
any order, on any rank, and a run goes on from two integers. A `Stage` holds what one plan means on a table
and draws many batches at a time by array operations; the cost is O(log N) per anchor, whatever the number of
groups. `BatchComposer` holds one stage for a plan, or one for each plan of a curriculum, over the same sorted
table, and asks the one that a batch belongs to.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.apart import Origins, Rule, put_apart
from viscy_data.composition.counts import Counts
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.deal import deal
from viscy_data.composition.demands import CellDemands, Demands, Wanted
from viscy_data.composition.focal import FocalTimes
from viscy_data.composition.frames import FrameDemands, frame_budget
from viscy_data.composition.keyed import Purpose
from viscy_data.composition.layout import AnchorLayout, Clock, Values
from viscy_data.composition.order import Order, Steps
from viscy_data.composition.passes import draw, repeats_itself
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.shares import PLAN_NAMES, TableShares
from viscy_data.errors import InvalidInputError

_SHIFTS: Final = 1 << 16
"""Turns of whole-number tables that later stages may begin with."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Stage:
    """Composes batches by one plan, from one global batch of training to another.

    Parameters
    ----------
    begin, end
        Global batches, since training began, for which the plan holds; the others are those of
        `BatchComposer`.
    """

    def __init__(
        self,
        plan: BatchPlan,
        layout: AnchorLayout,
        *,
        seed: int,
        drop_last: bool,
        names: Mapping[str, str],
        begin: int,
        end: int | None,
    ) -> None:
        # a later stage draws and rounds as if it had another seed: it must not repeat what was drawn before
        seed = int(keyed.words(seed, Purpose.STAGE, begin)[0] >> np.uint64(1)) if begin else seed
        shift = seed % _SHIFTS if begin else 0
        self.plan, self.layout, self.seed, self.names = plan, layout, seed, names
        if len(layout) < plan.batch_size and drop_last:
            raise InvalidInputError(
                f"{names['batch_size']}={plan.batch_size} is more than the table's {len(layout)} anchors, so "
                "that drop_last=True leaves no batch; lower it or set drop_last=False."
            )
        self.shares = TableShares.of(plan, layout, names)
        size = min(plan.batch_size, len(layout))  # a smaller table is one batch
        full, remainder = divmod(len(layout), size)
        self.sizes = [size] if drop_last or not remainder else [size, remainder]
        self.counts = Counts(plan, self.sizes, self.shares, shift)
        hold = 1 if plan.locality is None else plan.locality.hold
        self.order = Order(
            self.shares.groups,
            full,
            len(self.sizes) - 1,
            seed,
            span=plan.span,
            run=hold,
            begin=begin,
            end=end,
            shift=shift,
        )
        self.focal = None
        if plan._window is not None and layout.clock is not None:
            self.focal = FocalTimes(plan, layout, layout.clock, self.shares, seed)
        self._demands = self._demanding(hold)

    def places(self, epoch: int, number: Integers) -> tuple[Integers, Integers]:
        """Return the places in the layout of batches, one after the other, and each batch's size."""
        steps = self.order.of(epoch, number)  # which groups, and how often they came before
        counts = self.counts.of(steps)  # (batches, parts, strata)
        wanted = Wanted.of(steps, steps.summed(counts), self.counts.sides)
        demands = self._demands(epoch, steps, wanted)  # so many of which range
        place, line, settled = draw(demands, self.layout.slots)
        assert place.size == counts.sum(), "what is drawn is what is counted"
        place = self._put_apart(epoch, steps, demands, place, line, ~settled)
        if self.plan.span == 1:  # a step is a batch
            return place, counts.sum(axis=(1, 2))
        by_side = counts.reshape(len(counts), -1, self.counts.sides, counts.shape[2])
        return deal(place, steps.step, by_side, np.searchsorted(steps.batch, number))

    def most_per_step(self) -> Integers:
        """Return (halves, sides, strata, groups) the most anchors that a step takes of each."""
        most = self.order.per_step(self.counts.most)
        drawn = np.array([share > 0 for share in self.shares.groups])
        found: Integers = (most * drawn).reshape(-1, self.counts.sides, *most.shape[1:])
        return found

    def _demanding(self, hold: int) -> "_Demanding":
        """Return what turns wishes into demands: cells, or frames where batches come from few."""
        locality, units = self.plan.locality, self.layout.units
        most = self.most_per_step()
        if locality is None or units is None:
            of_cell = most[0].sum(axis=0)
            return CellDemands(self.layout, self.focal, of_cell, self.counts.own_before, self.seed).of
        asked = most.sum(axis=1, keepdims=True) if units.are_fovs else most
        name = f"Locality.{'fovs' if units.are_fovs else 'frames'}"
        budget = frame_budget(self.layout, units, asked, locality._most, name)
        return FrameDemands(self.layout, units, self.focal, budget, hold, self.seed).of

    def _put_apart(
        self,
        epoch: int,
        steps: Steps,
        demands: Demands,
        place: Integers,
        line: Integers,
        may_move: NDArray[np.bool_],
    ) -> Integers:
        """Redraw what may not come together in a step."""
        rules, unit = _rules(self.layout), demands.step[line]
        if not rules:  # only a range that repeats itself can hold a conflict
            risky = repeats_itself(demands, self.layout.slots)
            if not risky.any():
                return place
            at_risk = np.zeros(steps.number.size, dtype=np.bool_)
            at_risk[demands.step[risky]] = True
            rules, may_move = (_SAME_ANCHOR,), may_move & at_risk[unit]
        number = np.flatnonzero(may_move)

        def origins(which: Integers) -> Origins:
            of = line[number[which]]
            step = demands.step[of]
            in_step = number[which] - np.searchsorted(unit, step)
            key = keyed.words(self.seed, Purpose.REDRAW, epoch, steps.number[step], in_step)
            return Origins(demands.ranges[of], key)

        place[number] = put_apart(rules, unit[number], place[number], origins, self.layout.slots)
        return place


_Demanding = Callable[[int, Steps, Wanted], Demands]

_SAME_ANCHOR: Final = Rule(lambda place: place)


def _rules(layout: AnchorLayout) -> tuple[Rule, ...]:
    """Return what caps forbid; where none of them keeps the same anchor from coming twice, that, too."""
    rules = cap_rules(layout)
    keeps_apart = any(rule.count == 1 and (rule.hours is None or rule.min_hours > 0) for rule in rules)
    return rules if keeps_apart or not rules else (_SAME_ANCHOR, *rules)


def cap_rules(layout: AnchorLayout) -> tuple[Rule, ...]:
    """Return one rule for each cap."""
    return tuple(_rule(cap, layout.clock) for cap in layout.caps)


def _rule(cap: Values, clock: Clock | None) -> Rule:
    if cap.min_hours is None or clock is None:
        return Rule(lambda place: cap.code[place], cap.count)
    return Rule(lambda place: cap.code[place], cap.count, clock.time_of, cap.min_hours)


class BatchComposer:
    """Composes any batch of any epoch.

    Parameters
    ----------
    plan
        What a batch holds, or a curriculum of that.
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
        plan: BatchPlan | Curriculum,
        layout: AnchorLayout,
        *,
        seed: int,
        drop_last: bool,
        names: Mapping[str, str] = PLAN_NAMES,
    ) -> None:
        self.plan, self.layout = plan, layout
        plans = {0: plan} if isinstance(plan, BatchPlan) else plan.plans
        ends = [*list(plans)[1:], None]
        how: dict[str, Any] = {"seed": seed, "drop_last": drop_last, "names": names}
        self.stages = [
            Stage(plans[begin], layout, begin=begin, end=end, **how)
            for begin, end in zip(plans, ends, strict=True)
        ]
        self._begins = np.array(list(plans))

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.stages[0].order.batches

    def rows(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[NDArray[np.uint32], Integers]:
        """Return the rows of batches, one after the other, and each batch's size."""
        places, sizes = self.places(epoch, np.asarray(numbers, dtype=np.int64))
        return self.layout.rows[places], sizes

    def places(self, epoch: int, number: Integers) -> tuple[Integers, Integers]:
        """Return places in the layout instead of rows: an anchor's cell and time are near at hand."""
        if len(self.stages) == 1:
            return self.stages[0].places(epoch, number)
        parts = [
            (which, *self.stages[stage].places(epoch, number[which]))
            for stage, which in self.by_stage(epoch, number)
        ]
        batch = np.concatenate([np.repeat(which, sizes) for which, _, sizes in parts])
        places = np.concatenate([place for _, place, _ in parts])[np.argsort(batch, kind="stable")]
        return places, np.bincount(batch, minlength=number.size)

    def by_stage(self, epoch: int, number: Integers) -> list[tuple[int, Integers]]:
        """Return the stages that batches belong to, each with the batches' places in ``number``.

        The stage of a batch is that of the first batch of its step.
        """
        place = number % self.batches
        since = epoch * self.batches + place - place % self.plan.span
        stage = np.searchsorted(self._begins, since, side="right") - 1
        return [(one, np.flatnonzero(stage == one)) for one in np.unique(stage).tolist()]
