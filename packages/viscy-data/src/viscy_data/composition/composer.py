"""From batch numbers to row indices: `BatchComposer.rows` is the whole of it, one call per step.

Every batch is a function of (table, plan, seed, epoch, number): any batch can be asked for at any time, in any
order, on any rank, and a run goes on from two integers. `BatchComposer` holds what a plan means on a table and
draws many batches at a time by array operations; the cost is O(log N) per anchor, whatever the number of groups.
`CurriculumComposer` holds one of these per plan over the same sorted table, and asks the one whose stage a batch
belongs to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

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

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """What batches are asked to hold; all arrays are (batches, ...).

    Attributes
    ----------
    group
        Their groups.
    least, most
        (batches, strata) the floor and the ceiling of the exact counts.
    exact
        (batches, strata) the exact counts.
    leaked, near
        Anchors from other groups, and inside the window.
    time, reach
        Focal time, and how far from it an anchor is inside the window; below 0 without a window.
    step
        Number of the step of each batch.
    """

    group: Integers
    least: Integers
    most: Integers
    exact: Floats
    leaked: Integers
    near: Integers
    time: Floats
    reach: Floats
    step: Integers

    @staticmethod
    def filled(parts: "Sequence[tuple[Integers, Asked]]", count: int) -> "Asked":
        """Return one value for ``count`` batches of parts, each with the places of its batches."""
        arrays = {}
        for name in Asked.__dataclass_fields__:
            first = getattr(parts[0][1], name)
            arrays[name] = np.zeros((count, *first.shape[1:]), dtype=first.dtype)
            for which, part in parts:
                arrays[name][which] = getattr(part, name)
        return Asked(**arrays)


class BatchComposer:
    """Composes any batch of any epoch by one plan.

    Parameters
    ----------
    plan
        What a batch holds.
    layout
        The table, sorted.
    seed
        First word of all keys.
    drop_last
        Leave out the last, smaller batch of an epoch.
    names
        What messages call the fields of the plan.
    begin, end
        Global batches, since training began, for which the plan holds.

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
        begin: int = 0,
        end: int | None = None,
    ) -> None:
        self.plan, self.layout, self.seed, self.drop_last, self.names = plan, layout, seed, drop_last, names
        if len(layout) < plan.batch_size and drop_last:
            raise InvalidInputError(
                f"{names['batch_size']}={plan.batch_size} is more than the table's {len(layout)} anchors, so "
                "that drop_last=True leaves no batch; lower it or set drop_last=False."
            )
        self.shares = TableShares.of(plan, layout, names)
        size = min(plan.batch_size, len(layout))  # a smaller table is one batch
        full, remainder = divmod(len(layout), size)
        self.sizes = [size] if drop_last or not remainder else [size, remainder]
        self.counts = Counts(plan, self.sizes, self.shares)
        hold = 1 if plan.locality is None else plan.locality.hold
        self.order = Order(
            self.shares.groups, full, len(self.sizes) - 1, seed, span=plan.span, run=hold, begin=begin, end=end
        )
        self.focal = None
        if plan._window is not None and layout.clock is not None:
            self.focal = FocalTimes(plan, layout, layout.clock, self.shares, seed)
        self._demands = self._demanding(hold)
        self._rules = _rules(layout)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.order.batches

    def rows(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[NDArray[np.uint32], Integers]:
        """Return the rows of batches, one after the other, and each batch's size."""
        places, sizes = self.places(epoch, numbers)
        return self.layout.rows[places], sizes

    def places(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[Integers, Integers]:
        """Return places in the layout instead of rows: an anchor's cell and time are near at hand."""
        number = np.asarray(numbers, dtype=np.int64)
        steps = self.order.of(epoch, number)  # which groups, and how often they came before
        counts = self.counts.of(steps)  # (batches, parts, strata)
        wanted = Wanted.of(steps, steps.summed(counts), self.counts.sides)
        demands = self._demands(epoch, steps, wanted)  # so many of which range
        place, line = draw(demands, self.layout.slots)
        assert place.size == counts.sum(), "what is drawn is what is counted"
        place = self._put_apart(epoch, steps, demands, place, line)
        if self.plan.span == 1:  # a step is a batch
            return place, counts.sum(axis=(1, 2))
        by_side = counts.reshape(len(counts), -1, self.counts.sides, counts.shape[2])
        return deal(place, steps.step, by_side, np.searchsorted(steps.batch, number))

    def asked(self, epoch: int, numbers: Integers) -> Asked:
        """Return what batches are asked to hold."""
        steps = self.order.of(epoch, numbers)
        at = np.searchsorted(steps.batch, numbers) if self.plan.span > 1 else np.arange(numbers.size)
        step = steps.step[at]
        group, kind = steps.group[step], steps.is_partial[at].astype(np.int64)
        least, most = self.counts.bounds
        times = np.zeros(steps.number.size) if self.focal is None else self.focal.of(epoch, steps)
        parts = self.counts.parts
        return Asked(
            group=group,
            least=least[kind, group],
            most=most[kind, group],
            exact=self.counts.means[kind, group],
            leaked=np.array([sum(part.leaked) for part in parts])[kind],
            near=np.array([part.own[0] + part.leaked[0] for part in parts])[kind],
            time=times[step],
            reach=np.full(numbers.size, self.plan._reach),
            step=steps.number[step],
        )

    def plan_of(self, epoch: int, number: int) -> BatchPlan:
        """Return the plan of a batch."""
        del epoch, number
        return self.plan

    def group_shares(self, epoch: int) -> NDArray[np.object_]:
        """Return (groups,) the exact numbers of batches in an epoch, as fractions."""
        del epoch
        return np.array(self.shares.groups, dtype=object) * self.batches

    def stages_in(self, epoch: int) -> int:
        """Return how many plans an epoch follows."""
        del epoch
        return 1

    def most_per_step(self) -> Integers:
        """Return (halves, sides, strata, groups) the most anchors that a step takes of each."""
        most = self.order.per_step(self.counts.most)
        drawn = np.array([share > 0 for share in self.shares.groups])
        return (most * drawn).reshape(-1, self.counts.sides, *most.shape[1:])

    def _demanding(self, hold: int) -> "_Demanding":
        """Return what turns wishes into demands: cells, or frames where batches come from few."""
        locality, units = self.plan.locality, self.layout.units
        most = self.most_per_step()
        if locality is None or units is None:
            return _FromCells(self.counts, CellDemands(self.layout, self.focal, most[0].sum(axis=0), self.seed))
        asked = most.sum(axis=1, keepdims=True) if units.are_fovs else most
        name = f"Locality.{locality._most_name}"
        budget = frame_budget(self.layout, units, asked, locality._most, name)
        return FrameDemands(self.layout, units, self.focal, budget, hold, self.seed).of

    def _put_apart(
        self, epoch: int, steps: Steps, demands: Demands, place: Integers, line: Integers
    ) -> Integers:
        """Redraw what may not come together in a step."""
        rules = self._rules
        unit = demands.step[line]
        some = slice(None)
        if not rules:  # only a range that repeats itself can hold a conflict
            risky = repeats_itself(demands, self.layout.slots)
            if not risky.any():
                return place
            at_risk = np.zeros(steps.number.size, dtype=np.bool_)
            at_risk[demands.step[risky]] = True
            rules, some = (_SAME_ANCHOR,), np.flatnonzero(at_risk[unit])
        number = np.arange(place.size)[some]

        def origins(which: Integers) -> Origins:
            of = line[number[which]]
            step = demands.step[of]
            in_step = number[which] - np.searchsorted(unit, step)
            key = keyed.words(self.seed, Purpose.REDRAW, epoch, steps.number[step], in_step)
            return Origins(demands.ranges[of], key)

        place[some] = put_apart(rules, unit[some], place[some], origins, self.layout.slots)
        return place


@dataclass(frozen=True)
class _FromCells:
    """Demands on cells, which need to know what cells gave before."""

    counts: Counts
    demands: CellDemands

    def __call__(self, epoch: int, steps: Steps, wanted: Wanted) -> Demands:
        before = self.counts.own_before(steps) if self.demands.has_passes else None
        return self.demands.of(epoch, steps, wanted, before)


_Demanding = Callable[[int, Steps, Wanted], Demands]

_SAME_ANCHOR: Final = Rule(lambda place: place)


def _rules(layout: AnchorLayout) -> tuple[Rule, ...]:
    """Return what caps forbid; one that lets anchors of a value come together still forbids the same anchor."""
    rules = cap_rules(layout)
    return (_SAME_ANCHOR, *rules) if rules and all(rule.count > 1 for rule in rules) else rules


def cap_rules(layout: AnchorLayout) -> tuple[Rule, ...]:
    """Return one rule for each cap."""
    return tuple(_rule(cap, layout.clock) for cap in layout.caps)


def _rule(cap: Values, clock: Clock | None) -> Rule:
    if cap.min_hours is None or clock is None:
        return Rule(lambda place: cap.code[place], cap.count)
    return Rule(lambda place: cap.code[place], cap.count, clock.time_of, cap.min_hours)


class CurriculumComposer:
    """Composes any batch of any epoch by the plan of its stage.

    Parameters are those of `BatchComposer`, with a curriculum in place of the plan.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        layout: AnchorLayout,
        *,
        seed: int,
        drop_last: bool,
        names: Mapping[str, str] = PLAN_NAMES,
    ) -> None:
        self.plan, self.layout, self.seed, self.drop_last = curriculum, layout, seed, drop_last
        edges = [*curriculum.plans, None]
        self.stages = [
            BatchComposer(
                curriculum.plans[begin], layout, seed=seed, drop_last=drop_last, names=names, begin=begin, end=end
            )
            for begin, end in pairwise(edges)
            if begin is not None
        ]
        self._begins = np.array(list(curriculum.plans))

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.stages[0].batches

    def rows(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[NDArray[np.uint32], Integers]:
        """Return the rows of batches, one after the other, and each batch's size."""
        places, sizes = self.places(epoch, numbers)
        return self.layout.rows[places], sizes

    def places(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[Integers, Integers]:
        """Return places in the layout instead of rows."""
        number = np.asarray(numbers, dtype=np.int64)
        parts = [(which, *stage.places(epoch, number[which])) for stage, which in self._by_stage(epoch, number)]
        if len(parts) == 1:
            return parts[0][1:]
        batch = np.concatenate([np.repeat(which, sizes) for which, _, sizes in parts])
        places = np.concatenate([place for _, place, _ in parts])[np.argsort(batch, kind="stable")]
        return places, np.bincount(batch, minlength=number.size)

    def asked(self, epoch: int, numbers: Integers) -> Asked:
        """Return what batches are asked to hold."""
        parts = [(which, stage.asked(epoch, numbers[which])) for stage, which in self._by_stage(epoch, numbers)]
        return Asked.filled(parts, numbers.size)

    def plan_of(self, epoch: int, number: int) -> BatchPlan:
        """Return the plan of a batch."""
        return self.stages[int(self._stage(epoch, np.array([number]))[0])].plan

    def group_shares(self, epoch: int) -> NDArray[np.object_]:
        """Return (groups,) the exact numbers of batches in an epoch, as fractions."""
        stages = self._stage(epoch, np.arange(self.batches))
        found = np.zeros(len(self.layout.groups.values), dtype=object)
        for stage, count in zip(*np.unique(stages, return_counts=True), strict=True):
            found += np.array(self.stages[stage].shares.groups, dtype=object) * int(count)
        return found

    def stages_in(self, epoch: int) -> int:
        """Return how many plans an epoch follows."""
        return int(np.unique(self._stage(epoch, np.arange(self.batches))).size)

    def _stage(self, epoch: int, number: Integers) -> Integers:
        """Return the stage of each batch: that of the first batch of its step."""
        place = number % self.batches
        since = epoch * self.batches + place - place % self.plan.span
        return np.searchsorted(self._begins, since, side="right") - 1

    def _by_stage(self, epoch: int, number: Integers) -> list[tuple[BatchComposer, Integers]]:
        stage = self._stage(epoch, number)
        return [(self.stages[one], np.flatnonzero(stage == one)) for one in np.unique(stage).tolist()]


Composer = BatchComposer | CurriculumComposer
