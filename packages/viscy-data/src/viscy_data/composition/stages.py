"""Quotas that change over training: the leak, the global fraction and the ratio of strata.

A *quota* decides how many anchors a batch holds of what. Where one follows a schedule, each batch has
the counts of the plan at its step, rounded by the turns that its group has had (`quota`), so that
what rounding leaves over still goes round. Counts before a batch then cannot be known from its
number; they are summed up once per epoch, in O(batches x strata), and every epoch starts its cells at
fresh passes: visits of two anchors of a cell differ by at most one inside an epoch.

A step is one batch here, and a value that no two anchors may share is kept apart by redraws alone.

Groups get the batches that they get by the *envelope*: the largest leak, the least global fraction
and the mean ratio of all points. Batches beyond the end of an epoch draw apart from its passes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.endless import Draws, EndlessPools
from viscy_data.composition.epochs import EpochSchedule, Visits
from viscy_data.composition.history import DrawHistory
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.mix import Mix
from viscy_data.composition.parts import PartCounts
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.requests import slots
from viscy_data.composition.schedule import Schedule, numbers_at
from viscy_data.composition.shares import TableShares
from viscy_data.composition.walked import walk
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]
Key = tuple[int, int, int, int]

_BELOW_ONE = float(np.nextafter(1.0, 0.0))
_ROUNDING = 1e-9
_KEPT = 512
"""Tables of counts that are kept: each stands for one stage of the plan."""


def envelope(plan: BatchPlan) -> BatchPlan:
    """Return the plan with one number for every quota; a plan without schedules of quotas is its own."""
    grouping, balance, focus = plan.grouping, plan.balance, plan.focus
    if grouping is not None and isinstance(grouping.leak, Schedule):
        grouping = replace(grouping, leak=max(grouping.leak.values))
    if grouping is not None and isinstance(grouping.weights, Schedule):
        grouping = replace(grouping, weights=_mean(grouping.weights))
    if focus is not None and isinstance(focus.global_fraction, Schedule):
        focus = replace(focus, global_fraction=min(_BELOW_ONE, *focus.global_fraction.values))
    if balance is not None and isinstance(balance.ratio, Schedule):
        balance = replace(balance, ratio=_mean(balance.ratio))
    return replace(plan, grouping=grouping, balance=balance, focus=focus)


def _mean(shares: Schedule) -> Mix:
    """Return the mean of the shares at all points."""
    return Mix(tuple((value, 1) for value in shares.values[:-1]))


@dataclass(frozen=True)
class Asked:
    """What batches are asked to hold.

    Attributes
    ----------
    strata
        (batches, strata) exact number of anchors.
    leaked, inside
        (batches,) anchors of other groups, and of the focal part.
    """

    strata: NDArray[np.float64]
    leaked: Integers
    inside: Integers

    @property
    def bounds(self) -> tuple[Integers, Integers]:
        """(batches, strata) floor and ceiling of the exact numbers, which float64 may miss by a hair."""
        return (
            np.floor(self.strata + _ROUNDING).astype(np.int64),
            np.ceil(self.strata - _ROUNDING).astype(np.int64),
        )


class Stages:
    """Counts and draws of a plan whose quotas change.

    Parameters
    ----------
    plan
        With schedules.
    layout
        The table, sorted.
    parts, shares
        Counts and exact shares of the envelope.
    schedule
        When groups are visited.
    names
        What messages call the fields of the plan.

    Raises
    ------
    InvalidInputError
        A group that gets batches has nothing to draw at some point.
    """

    def __init__(
        self,
        plan: BatchPlan,
        layout: AnchorLayout,
        parts: PartCounts,
        shares: TableShares,
        schedule: EpochSchedule,
        names: Mapping[str, str],
    ) -> None:
        self._plan, self._layout, self._steady = plan, layout, parts
        self._sizes = [sum(part.own) + sum(part.leaked) for part in parts.parts]
        self._schedule, self._shares, self._names = schedule, shares, names
        self._pool_size = np.maximum(layout.pool_size.ravel(), 1)
        self._envelope = envelope(plan)
        self._counts_at: dict[Key, PartCounts] = {}
        self._shares_at: dict[int, TableShares] = {}
        self._laid_out: tuple[int, _Epoch] | None = None
        self._refuse_idle_points()

    def taken(self, epoch: int, number: Integers, visits: Visits) -> Integers:
        """Return (batches, leaves, strata) what batches take."""
        found = np.zeros((number.size, self._steady.leaves, self._steady.shape[1]), dtype=np.int64)
        for counts, which in self._parts(epoch, number, visits):
            found[which] = counts.taken(visits[which])
        return found

    def asked(self, epoch: int, number: Integers) -> Asked:
        """Return what batches of an epoch are asked to hold."""
        visits = self._schedule.visits(epoch, number)
        strata = np.zeros((number.size, len(self._layout.strata.values)))
        leaked, inside = np.zeros((2, number.size), dtype=np.int64)
        for counts, which in self._parts(epoch, number, visits):
            part = counts.parts[-1]
            strata[which] = counts.means()[visits.group[which]]
            leaked[which] = sum(part.leaked)
            inside[which] = part.own[0] + part.leaked[0]
        return Asked(strata, leaked, inside)

    def most(self) -> Integers:
        """Return (pools,) about the most that any batch takes from each pool, over all of training."""
        n = self._schedule.batches
        schedules = [quota for quota in _quotas(self._plan) if isinstance(quota, Schedule)]
        steps = sorted({int(p * (n if s.unit == "epochs" else 1)) for s in schedules for p in s.positions})
        steps = [*steps, *((low + high) // 2 for low, high in pairwise(steps))]
        found = np.zeros(self._pool_size.size, dtype=np.int64)
        for step in steps:
            key = self._keys(np.array([step]), np.array([self._sizes[0]]), np.array([False]))[0]
            found = np.maximum(found, self._counts(key, step).bounds()[1][0].ravel())
        return found

    def members(self, epoch: int, visits: Visits, pool: Integers, count: Integers) -> Integers:
        """Return the members of pools drawn, (sum of counts,), request after request.

        ``visits`` are those of the requests; all arrays are (requests,).
        """
        laid_out = self._epoch(epoch)
        request, number = slots(count)
        beyond = visits.cycle > 0
        is_tight = laid_out.pools.is_tight[pool] & ~beyond
        members = np.empty(request.size, dtype=np.int64)
        alone = beyond[request]
        if alone.any():
            words = (epoch, visits.cycle, visits.rank, pool)
            key = keyed.words(self._schedule.seed, Purpose.BEYOND, *words)[request[alone]]
            size = self._pool_size[pool[request[alone]]]
            members[alone] = keyed.permute(number[alone] % size, size, key)
        for one in np.flatnonzero(is_tight):
            drawn = laid_out.walked(int(pool[one]), int(self._pool_size[pool[one]]))
            members[request == one] = drawn[int(visits.rank[one])]
        rest = ~(beyond | is_tight)
        half, stratum, group = np.unravel_index(pool[rest], laid_out.shape)
        first = laid_out.before[laid_out.start[group] + visits.rank[rest], half, stratum]
        apart = np.zeros(int(rest.sum()), dtype=np.uint64)
        draws = Draws(pool[rest], first, count[rest], visits[rest], apart)
        history = DrawHistory(self._schedule, self._steady, epoch, True)  # large pools do not look at it
        members[rest[request]] = laid_out.pools.members(draws, history, history)
        return members

    def _parts(self, epoch: int, number: Integers, visits: Visits) -> Iterator[tuple[PartCounts, Integers]]:
        """Give the counts of each stage and which batches are of it."""
        step = self._schedule.progress(epoch, number)
        size = np.where(visits.is_partial, self._sizes[-1], self._sizes[0])
        keys = self._keys(step, size, visits.is_partial)
        found, first, back, times = np.unique(
            np.array(keys).reshape(-1, 4), axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        batches = np.split(np.argsort(back.ravel(), kind="stable"), np.cumsum(times)[:-1])
        for key, at, which in zip(found.tolist(), first.tolist(), batches, strict=True):
            yield self._counts((key[0], key[1], key[2], key[3]), int(step[at])), which

    def _keys(self, step: Integers, size: Integers, is_partial: NDArray[np.bool_]) -> list[Key]:
        """Return what decides the counts at steps: leaked and global anchors, stage of the ratio, size."""
        n = self._schedule.batches
        leak, outside, ratio = _quotas(self._plan)
        leaked = np.minimum(np.rint(size * numbers_at(leak, step, n)), size - 1)
        far = np.rint(size * numbers_at(outside, step, n))
        stage = ratio.stages(ratio.position(step, n)) if isinstance(ratio, Schedule) else 0 * step
        parts = (leaked, far, stage, is_partial)
        return list(zip(*(np.asarray(part, dtype=np.int64).tolist() for part in parts), strict=True))

    def _counts(self, key: Key, step: int) -> PartCounts:
        if key not in self._counts_at:
            if len(self._counts_at) >= _KEPT:
                self._counts_at.clear()
            size = self._sizes[-1] if key[3] else self._sizes[0]
            plan = self._plan_at(step)
            self._counts_at[key] = PartCounts(plan, [size] * (1 + key[3]), self._shares_of(key[2], plan))
        return self._counts_at[key]

    def _plan_at(self, step: int) -> BatchPlan:
        """Return the plan at a step, with the leaves of the envelope."""
        plan = self._plan.at(step, self._schedule.batches)
        if plan.focus is not None and self._plan.window is not None and plan.window is None:
            plan = replace(plan, focus=replace(plan.focus, global_fraction=_BELOW_ONE))
        return plan

    def _shares_of(self, stage: int, plan: BatchPlan) -> TableShares:
        """Return the shares of strata at a stage of the ratio, leaked ones wherever there is ever a leak."""
        if stage not in self._shares_at:
            grouping = self._envelope.grouping
            always = replace(plan, grouping=grouping)
            self._shares_at[stage] = TableShares.of(always, self._layout, self._names, quiet=True)
        return self._shares_at[stage]

    def _refuse_idle_points(self) -> None:
        ratio = None if self._plan.balance is None else self._plan.balance.ratio
        if not isinstance(ratio, Schedule):
            return
        for position, value in zip(ratio.positions, ratio.values, strict=False):
            plan = self._envelope
            at = replace(plan, balance=plan.balance and replace(plan.balance, ratio=value))
            own = TableShares.of(at, self._layout, self._names, quiet=True).own
            idle = [g for g, share in enumerate(self._shares.groups) if share and own[g] is None]
            if idle:
                raise InvalidInputError(
                    f"{self._names['ratio']} at {position:g} {ratio.unit} is 0 for every stratum of "
                    f"{', '.join(repr(self._layout.groups.values[g]) for g in idle)}, which get batches; "
                    "give one of their strata a share above 0 at every point."
                )

    def _epoch(self, epoch: int) -> "_Epoch":
        if self._laid_out is None or self._laid_out[0] != epoch:
            self._laid_out = (epoch, self._lay_out(epoch))
        return self._laid_out[1]

    def _lay_out(self, epoch: int) -> "_Epoch":
        n = self._schedule.batches
        visits = self._schedule.visits(epoch, np.arange(n))
        counts = self.taken(epoch, np.arange(n), visits)
        shape = self._steady.shape
        halves = counts.reshape(n, -1, self._steady.leaves_of_half, counts.shape[2]).sum(axis=2)
        order = np.argsort(visits.group, kind="stable")
        group, halves = visits.group[order], halves[order]
        start = np.searchsorted(group, np.arange(shape[2] + 1))
        total = np.cumsum(halves, axis=0) - halves
        most = np.zeros(shape, dtype=np.int64)
        for half in range(halves.shape[1]):
            np.maximum.at(most[half].T, group, halves[:, half])
        seed = int(keyed.words(self._schedule.seed, Purpose.EPOCH, epoch)[0])
        bounds = np.zeros((2, 2, most.size), dtype=np.int64)  # least | most, full | partial
        bounds[1, 0] = most.ravel()
        pools = EndlessPools(self._pool_size, bounds, bounds, seed)
        return _Epoch(start, total - total[start[group]], halves, pools, shape, seed, {})


@dataclass(frozen=True)
class _Epoch:
    """What groups draw in an epoch, visit after visit.

    ``start`` (groups + 1,) is where each group's visits begin in ``before`` and ``taken``
    (visits, halves, strata), what its visits took earlier in the epoch and what they take.
    """

    start: Integers
    before: Integers
    taken: Integers
    pools: EndlessPools
    shape: tuple[int, int, int]
    seed: int
    kept: dict[int, list[Integers]]

    def walked(self, pool: int, size: int) -> list[Integers]:
        """Return the members that each visit takes from a small pool."""
        if pool not in self.kept:
            half, stratum, group = (int(part) for part in np.unravel_index(pool, self.shape))
            counts = self.taken[self.start[group] : self.start[group + 1], half, stratum]
            self.kept[pool] = walk(size, counts.tolist(), (self.seed, pool))
        return self.kept[pool]


def _quotas(plan: BatchPlan) -> tuple[float | Schedule, float | Schedule, object]:
    """Return leak, global fraction and ratio."""
    leak = 0.0 if plan.grouping is None else plan.grouping.leak
    outside = 1.0 if plan.window is None else plan.window.global_fraction
    return leak, outside, None if plan.balance is None else plan.balance.ratio
