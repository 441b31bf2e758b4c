"""`FlexibleBatchSampler`: the PyTorch face of `viscy_data.composition`.

The sampler reads the columns that its plan needs, once, and keeps no reference to the table. What it
yields is a pure function of (table, plan, seed, epoch, batch number); ranks share the same global
sequence of batches and take turns in it.
"""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from torch import distributed
from torch.utils.data import Sampler

from viscy_data.checks import check_flag, check_integer
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import AXES, BatchPlan
from viscy_data.composition.shares import PLAN_NAMES
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.sampling.batch import IndexBatch
from viscy_data.sampling.batch_iterator import BatchIterator, refuse_second_split
from viscy_data.sampling.feasible import make_composer
from viscy_data.sampling.fingerprint import plan_text, table_fingerprint
from viscy_data.sampling.flat import FLAT_AXES, FLAT_NAMES, flat_plan
from viscy_data.sampling.labels import layout_of
from viscy_data.sampling.marks import check_rows, marks_of
from viscy_data.sampling.ranks import RankCheck, check_of
from viscy_data.sampling.report import CompositionReport, report_composition
from viscy_data.sampling.shard import Shard
from viscy_data.sampling.state import MOST_EPOCHS, MOST_NUMBER, Place, place_of
from viscy_data.sampling.tally import Marks

MOST_REPORTED: Final = 10**9
"""Batches of a report at most."""
BLOCK = 256
"""Batches drawn at a time: enough that array operations, not Python, set the pace."""


class FlexibleBatchSampler(Sampler[list[int]]):
    """Batches that come from one experiment, balance conditions and sit around a focal time.

    Use it as ``DataLoader(dataset, batch_sampler=FlexibleBatchSampler(...))``. Each batch is an
    `IndexBatch` of positions (0 to N - 1) in ``valid_anchors``, whatever that table's index is.

    An argument of an axis that is off has no effect.

    Parameters
    ----------
    valid_anchors
        Anchors table, one row per anchor. Only columns that enabled axes use are read:
        ``experiment``, ``condition``, ``hours_post_infection``.
    batch_size
        Anchors in a batch.
    experiment_aware
        All anchors of a batch come from one experiment, except those that leak in.
    leaky
        Fraction of a batch that comes from other experiments, in [0, 1).
    experiment_weights
        Relative number of batches by experiment; None: in proportion to its anchors.
    condition_balanced
        Conditions stand in a fixed ratio in every batch.
    condition_ratio
        Relative share by condition; None: all the same. 0 leaves one out.
    temporal_enrichment
        Most anchors of a batch sit around one focal time, drawn per batch.
    temporal_window_hours
        Half width of the focal window, in hours.
    temporal_global_fraction
        Fraction of a batch that comes from outside the window.
    num_replicas, rank
        Ranks that share the batches, and this one's number; None: from ``torch.distributed`` where
        it is initialised when iteration starts, else 1 and 0. Ranks of a process group that were given
        different tables, plans or seeds are an error with their first batches
        (``viscy_data.sampling.ranks``).
    seed
        Another seed gives another sequence.
    drop_last
        Leave out the last batch of an epoch where it is smaller.
    even_batches
        Round the epoch up so that every rank yields equally many batches.

    Raises
    ------
    InvalidInputError
        A bad argument, or a table that the plan cannot be followed on (a ValueError).

    Examples
    --------
    >>> table = pd.DataFrame({"experiment": ["a"] * 6 + ["b"] * 6, "condition": ["x", "y"] * 6})
    >>> sampler = FlexibleBatchSampler(table, batch_size=4)
    >>> batch = sampler.batch(0)
    >>> table.iloc[batch]["experiment"].nunique(), table.iloc[batch]["condition"].value_counts().tolist()
    (1, [2, 2])
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the flat face of the plan; new axes go into BatchPlan
        self,
        valid_anchors: pd.DataFrame,
        batch_size: int = 128,
        experiment_aware: bool = True,
        leaky: float = 0.0,
        experiment_weights: Mapping[Any, float] | None = None,
        condition_balanced: bool = True,
        condition_ratio: Mapping[Any, float] | None = None,
        temporal_enrichment: bool = False,
        temporal_window_hours: float = 2.0,
        temporal_global_fraction: float = 0.3,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
        drop_last: bool = True,
        *,
        even_batches: bool = True,
    ) -> None:
        plan = flat_plan(
            batch_size,
            experiment_aware=experiment_aware,
            leaky=leaky,
            experiment_weights=experiment_weights,
            condition_balanced=condition_balanced,
            condition_ratio=condition_ratio,
            temporal_enrichment=temporal_enrichment,
            temporal_window_hours=temporal_window_hours,
            temporal_global_fraction=temporal_global_fraction,
        )
        self._set_up(valid_anchors, plan, FLAT_AXES, FLAT_NAMES, seed, drop_last)
        self._share(num_replicas, rank, even_batches)

    @classmethod
    def from_plan(
        cls,
        anchors: pd.DataFrame,
        plan: BatchPlan | Curriculum,
        *,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = True,
        even_batches: bool = True,
    ) -> Self:
        """Build a sampler from a plan or a curriculum; the other arguments are those of the class.

        Examples
        --------
        >>> from viscy_data import Grouping
        >>> table = pd.DataFrame({"plate": [1, 1, 2, 2]})
        >>> sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(2, grouping=Grouping("plate")))
        >>> len(sampler)
        2
        """
        if not isinstance(plan, BatchPlan | Curriculum):
            raise InvalidInputError(f"plan={plan!r}: a BatchPlan or a Curriculum is allowed; give one.")
        sampler = cls.__new__(cls)
        axes = {name: f"plan.{name}" for name in AXES}
        sampler._set_up(anchors, plan, axes, PLAN_NAMES, seed, drop_last)
        sampler._share(num_replicas, rank, even_batches)
        return sampler

    def _set_up(
        self,
        anchors: pd.DataFrame,
        plan: BatchPlan | Curriculum,
        axes: Mapping[str, str],
        names: Mapping[str, str],
        seed: int,
        drop_last: bool,
    ) -> None:
        if isinstance(anchors, Sampler):
            raise InvalidInputError(
                f"valid_anchors is a {type(anchors).__name__}: a trainer tried to build this sampler anew "
                "around its own, but it deals out batches to ranks itself. With Lightning, pass "
                "Trainer(use_distributed_sampler=False)."
            )
        layout = layout_of(anchors, plan, axes)
        self.plan = plan
        self.seed = check_integer("seed", seed, 0)
        self.drop_last = check_flag("drop_last", drop_last)
        self._composer = make_composer(plan, layout, seed=self.seed, drop_last=self.drop_last, names=names)
        self._next = Place(0, 0)
        self._live: Place | None = None
        self._ranks: RankCheck | None = None

    def _share(self, num_replicas: int | None, rank: int | None, even_batches: bool) -> None:
        self._replicas, self._rank = num_replicas, rank
        self._even = check_flag("even_batches", even_batches)
        if num_replicas is not None or rank is not None:
            self._warn_of_split_steps(self._shard(num_replicas, rank))

    def _warn_of_split_steps(self, shard: Shard) -> None:
        if self.plan.span > 1 and self.plan.span % shard.replicas:
            warnings.warn(
                f"{shard.replicas} ranks do not divide BatchPlan.span={self.plan.span}: what the ranks draw "
                "at one time belongs to two steps. Set span to a multiple of the number of ranks, or to 1.",
                CompositionWarning,
                stacklevel=3,
            )

    @property
    def batch_size(self) -> int:
        """Anchors in a batch."""
        return self.plan.batch_size

    @property
    def sampler(self) -> Self:
        """The sampler itself: trainers that look for an inner sampler call its `set_epoch`."""
        return self

    @property
    def epoch(self) -> int:
        """The epoch that the next iterator yields."""
        return self._next.epoch

    @property
    def num_replicas(self) -> int:
        """Ranks that share the batches: as given, else those of ``torch.distributed`` now, else 1."""
        return self._shard(self._replicas, self._rank).replicas

    @property
    def rank(self) -> int:
        """Number of this rank: as given, else that of ``torch.distributed`` now, else 0."""
        return self._shard(self._replicas, self._rank).rank

    @property
    def batches_per_epoch(self) -> int:
        """Global batches of an epoch, whatever the number of ranks."""
        return self._composer.batches

    def __len__(self) -> int:
        """Return how many batches this rank yields in a whole epoch."""
        return len(self._shard(self._replicas, self._rank).numbers(0, self.batches_per_epoch))

    def __iter__(self) -> Iterator[list[int]]:
        refuse_second_split(self._shard(self._replicas, self._rank).replicas, sys._getframe(1))
        return BatchIterator(self._begin)

    def _begin(self, place: Place | None) -> tuple[Place, Iterator[list[int]]]:
        place = self._next if place is None else place
        place = self._live = replace(place, begun=place.number)
        self._next = Place(place.epoch + 1, 0)
        return place, self._walk(place)

    def _walk(self, place: Place) -> Iterator[list[int]]:
        shard = self._shard(self._replicas, self._rank)
        if self._replicas is None:
            self._warn_of_split_steps(shard)
        if self._ranks is None and shard.replicas > 1:
            self._ranks = check_of(lambda: self._identity, shard.replicas)
        numbers = shard.numbers(place.number, self.batches_per_epoch)
        for block in range(0, len(numbers), BLOCK):
            for batch in self._batches(place.epoch, numbers[block : block + BLOCK]):
                place.number += shard.replicas
                if self._ranks is not None:
                    self._ranks.look()
                yield batch
        place.number = max(place.number, self.batches_per_epoch)

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch of the next iterator; the one selected already keeps a restored position."""
        epoch = check_integer("epoch", epoch, 0, MOST_EPOCHS)
        if epoch != self._next.epoch:
            self._next = Place(epoch, 0)
        if self._live is not None and (
            epoch != self._live.epoch or self._live.number >= self.batches_per_epoch
        ):
            self._live = None

    def batch(self, number: int, *, epoch: int | None = None) -> IndexBatch:
        """Return global batch ``number`` of ``epoch`` (by default the next one), in any order.

        Numbers from `batches_per_epoch` on are the batches that round an epoch up for many ranks.
        """
        number = check_integer("number", number, 0, MOST_NUMBER)
        epoch = check_integer("epoch", self.epoch if epoch is None else epoch, 0, MOST_EPOCHS)
        return self._batches(epoch, range(number, number + 1))[0]

    def plan_at(self, number: int, *, epoch: int | None = None) -> BatchPlan:
        """Return the plan of global batch ``number`` of ``epoch``: in a curriculum, of its stage."""
        number = check_integer("number", number, 0, MOST_NUMBER)
        epoch = check_integer("epoch", self.epoch if epoch is None else epoch, 0, MOST_EPOCHS)
        ((stage, _),) = self._composer.by_stage(epoch, np.array([number]))
        return self._composer.stages[stage].plan

    def report(
        self,
        batches: int = 2000,
        *,
        table: pd.DataFrame | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> CompositionReport:
        """Compose the first batches of training without reading a pixel, and count what they hold.

        Parameters
        ----------
        batches
            How many global batches to compose, over as many epochs as they fill.
        table
            The anchors again, which the sampler does not keep: with them lineages, frames and, where the
            plan has no clock, hours are counted too.
        advance
            Called with the number of batches done since the last call, for a progress bar.

        Raises
        ------
        InvalidInputError
            ``table`` has another number of rows than the sampler's.
        """
        batches = check_integer("batches", batches, 1, MOST_REPORTED)
        return report_composition(self._composer, batches, advance, marks=self._marks(table))

    def _marks(self, table: pd.DataFrame | None) -> Marks:
        if table is None:
            return Marks()
        check_rows(table, len(self._composer.layout))
        return marks_of(table)

    def state_dict(self, consumed: int | None = None) -> dict[str, int | str]:
        """Return what is needed to go on: integers and texts.

        It is the same on every rank and names neither rank nor number of ranks.

        Parameters
        ----------
        consumed
            How many batches of the latest iterator this rank has done with: loaders with workers draw
            ahead, so that only the loop around them knows. None: all that were yielded.

        Raises
        ------
        InvalidInputError
            More batches than were yielded.
        """
        place = self._next if self._live is None else self._live
        number = place.number
        if consumed is not None:
            number = place.after(consumed, self._shard(self._replicas, self._rank), self.batches_per_epoch)
        return {"epoch": place.epoch, "position": number, **self._identity}

    def load_state_dict(self, state: Mapping[str, int | str]) -> None:
        """Go on where the state was taken; the number of ranks may be another.

        Raises
        ------
        InvalidInputError
            The state is of another seed, ``drop_last``, plan or table.
        """
        place = place_of(state, self._identity)
        self._live = None
        self._next = place if place.number < self.batches_per_epoch else Place(place.epoch + 1, 0)

    @cached_property
    def _identity(self) -> dict[str, int | str]:
        """What a state must share with the sampler that takes it up."""
        return {
            "seed": self.seed,
            "drop_last": int(self.drop_last),
            "plan": plan_text(self.plan),
            "anchors": len(self._composer.layout),
            "table": table_fingerprint(self._composer.layout),
        }

    @staticmethod
    def _shard_of(num_replicas: int | None, rank: int | None, even: bool) -> Shard:
        joined = distributed.is_available() and distributed.is_initialized()
        if num_replicas is None:
            num_replicas = distributed.get_world_size() if joined else 1
        elif rank is None and not joined and num_replicas != 1:
            raise InvalidInputError(f"num_replicas={num_replicas} is given without rank; give both.")
        if rank is None:
            rank = distributed.get_rank() if joined else 0
        return Shard(num_replicas, rank, even)

    def _shard(self, num_replicas: int | None, rank: int | None) -> Shard:
        return self._shard_of(num_replicas, rank, self._even)

    def _batches(self, epoch: int, numbers: range) -> list[IndexBatch]:
        rows, sizes = self._composer.rows(epoch, numbers)
        ends = np.cumsum(sizes).tolist()
        flat = rows.tolist()
        starts = [0, *ends[:-1]]
        return [
            IndexBatch(flat[start:end], epoch=epoch, number=number)
            for number, start, end in zip(numbers, starts, ends, strict=True)
        ]
