"""FlexibleBatchSampler, one plan per job."""

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import ClassVar

from speed.contender import Batches, Contender
from speed.data import BATCH, Data
from viscy_data import (
    AtMost,
    Balance,
    BatchPlan,
    Distinct,
    FlexibleBatchSampler,
    Focus,
    Grouping,
    Locality,
    Weighting,
)


class Ours(Contender):
    """A job is a plan; here the one that asks for nothing but a shuffle."""

    grouping: ClassVar[Grouping | None] = None
    focus: ClassVar[Focus | None] = None
    caps: ClassVar[tuple[AtMost, ...]] = ()
    weighting: ClassVar[Weighting | None] = None
    locality: ClassVar[Locality | None] = None

    def __init__(self, data: Data) -> None:
        plan = BatchPlan(
            BATCH,
            grouping=self.grouping,
            balance=self.balance(data),
            focus=self.focus,
            at_most=self.caps,
            weighting=self.weighting,
            locality=self.locality,
        )
        table = data.full_table if self.caps or self.weighting or self.locality else data.table
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # small tables: cells smaller than their share of a batch
            self.sampler = FlexibleBatchSampler.from_plan(table, plan)

    def balance(self, data: Data) -> Balance | None:  # noqa: ARG002 - a plan may weigh by the table's values
        return None

    def whole(self) -> Batches:
        return Batches(lambda: iter(self.sampler), len(self.sampler))

    def own(self, ranks: int, rank: int) -> Batches:
        shard = copy.copy(self.sampler)  # ranks differ in nothing that building finds
        shard._share(ranks, rank, True)
        shard.set_epoch(shard.epoch + 1)  # a place of its own
        return Batches(lambda: iter(shard), len(shard))

    def state(self, number: int) -> Mapping[str, int | str]:
        # Of a copy: the sampler itself must not know its table's fingerprint before it takes the state up.
        return {**copy.copy(self.sampler).state_dict(), "position": number}

    def resume(self, state: Mapping[str, int | str]) -> Iterator[list[int]]:
        fresh = copy.copy(self.sampler)
        fresh.load_state_dict(state)
        return iter(fresh)


class WeightedClasses(Ours):
    def balance(self, data: Data) -> Balance:
        names = data.table["condition"].cat.categories
        return Balance("condition", ratio=dict(zip(names, data.class_weights, strict=True)))


class WeightedSources(Ours):
    def balance(self, data: Data) -> Balance:
        names = data.table["experiment"].cat.categories
        return Balance("experiment", ratio=dict(zip(names, data.group_weights, strict=True)))


class OneGroup(Ours):
    grouping = Grouping("experiment")


class BalancedClasses(Ours):
    def balance(self, data: Data) -> Balance:  # noqa: ARG002
        return Balance("condition")


class OneGroupBalanced(BalancedClasses):
    grouping = Grouping("experiment")


class OneGroupBalancedLeak(BalancedClasses):
    grouping = Grouping("experiment", leak=0.1)


class OneGroupBalancedFocus(OneGroupBalanced):
    focus = Focus("hours_post_infection")


class AllAxes(OneGroupBalancedLeak):
    focus = Focus("hours_post_infection")


class OneGroupBalancedWeighted(OneGroupBalanced):
    weighting = Weighting("weight")


class OneGroupBalancedFewFrames(OneGroupBalanced):
    locality = Locality(frames=24)


class AllAxesDistinct(AllAxes):
    caps = (Distinct("lineage_id"),)


class AllAxesDistinctWeighted(AllAxesDistinct):
    weighting = Weighting("weight")
