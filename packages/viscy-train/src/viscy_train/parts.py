"""Parts of the anchors - training, validation - and the batches of each.

*Positions* number the dataset's valid anchors. A *part* is a selection of them; its sampler composes places
in the part, which become positions before the dataset sees them. No lineage is in both parts.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import Sampler

from viscy_data import (
    BatchPlan,
    CompositionWarning,
    Curriculum,
    FlatArguments,
    FlexibleBatchSampler,
    IndexBatch,
    InvalidInputError,
    Pairing,
    change_plan,
    flat_plan,
    read_anchors,
    split_lineages,
    suggest,
)
from viscy_data.columns import EXPERIMENT, LINEAGE_ID

type IntArray = NDArray[np.int64]
type BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class BatchOptions(FlatArguments):
    """What a batch is made of: flat arguments of `viscy_data.FlexibleBatchSampler`, which see.

    Weights and ratios name every value in the whole table; a part uses those of the experiments that it
    holds. A part of one experiment has nothing to leak in.

    ``plan`` holds what the flat arguments have no name for, or changes what they say, as a plan file
    does: ``{"at_most": {"by": "lineage_id"}, "locality": {"frames": 8}, "span": 4}``. With ``stages``,
    changes by the number of global batches since training began, it is a curriculum:
    ``{"stages": {0: {}, 20_000: {"grouping": {"leak": 0.2}}}}``.
    """

    experiment_weights: dict[str, float] | None = None  # as the command line can give them
    condition_ratio: dict[str, float] | None = None
    plan: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitOptions:
    """Which anchors validate.

    Parameters
    ----------
    fraction : float
        How likely a lineage is to validate, in [0, 1); 0 switches validation off. Not used with `held_out`.
    held_out : tuple of str
        Experiments that validate, whole; the others train.
    seed : int
        Of the choice of lineages.
    """

    fraction: float = 0.1
    held_out: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise InvalidInputError(f"fraction={self.fraction}: allowed is [0, 1); 0 means no validation")


class PartSampler(Sampler[list[int]]):
    """Compose batches of a part of the anchors, as positions of the whole.

    Parameters
    ----------
    sampler : FlexibleBatchSampler
        Of the part.
    positions : IntArray
        (K,) position, among all valid anchors, of each place in the part.

    Attributes
    ----------
    sampler : FlexibleBatchSampler
        Where trainers look for `set_epoch`.
    """

    def __init__(self, sampler: FlexibleBatchSampler, positions: IntArray) -> None:
        self.sampler = sampler
        self.positions = positions

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.sampler:
            yield self._mapped(cast("IndexBatch", batch))

    def __len__(self) -> int:
        return len(self.sampler)

    def batch(self, number: int, *, epoch: int) -> IndexBatch:
        """Return global batch `number` of an epoch, without iterating."""
        return self._mapped(self.sampler.batch(number, epoch=epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of `sampler`."""
        return dict(self.sampler.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `sampler`."""
        self.sampler.load_state_dict(state)

    def go_to(self, epoch: int, position: int) -> None:
        """Let the next iterator begin at a global batch."""
        self.sampler.load_state_dict(self.sampler.state_dict() | {"epoch": epoch, "position": position})

    def _mapped(self, batch: IndexBatch) -> IndexBatch:
        positions: list[int] = self.positions[np.asarray(batch)].tolist()
        return IndexBatch(positions, epoch=batch.epoch, number=batch.number)


class FixedEpoch(Sampler[list[int]]):
    """Yield epoch 0 of a part's batches each time; it has no `sampler` whose epoch could be set."""

    def __init__(self, part: PartSampler) -> None:
        self._part = part

    def __iter__(self) -> Iterator[list[int]]:
        self._part.sampler.set_epoch(0)
        return iter(self._part)

    def __len__(self) -> int:
        return len(self._part)


def choose_training(valid: pd.DataFrame, split: SplitOptions) -> BoolArray:
    """Return which of the valid anchors (K rows) train, (K,); the others validate.

    Raises
    ------
    InvalidInputError
        `held_out` names an experiment that the table lacks, or all that it has.
    """
    if split.held_out:
        return ~_is_of(valid, split.held_out)
    if split.fraction == 0:
        return np.ones(len(valid), dtype=np.bool_)
    return split_lineages(valid, split.fraction, split.seed)[0]


def parts_of(anchors: str | Path, split: SplitOptions, pairing: Pairing) -> NDArray[np.int8] | None:
    """Return 1 for rows of a table (M,) that train, 0 for others, where pairs might be of both; else None.

    Pairs of one lineage are in one part. Another cell of the same values could be anywhere: cells that
    validate would be seen in training.
    """
    if pairing.by is None:
        return None
    return choose_training(read_anchors(anchors, columns=[EXPERIMENT, LINEAGE_ID]), split).astype(np.int8)


def sample_part(
    name: str, valid: pd.DataFrame, selected: BoolArray, options: BatchOptions, seed: int, *, ranks: int = 1
) -> PartSampler:
    """Return the sampler of the selected (K,) valid anchors; errors and warnings say the part's `name`.

    Where `ranks` gather their negatives, their batches of one step share a group, unless the plan says
    otherwise by a ``span`` of its own: negatives of another group would be masked out, and gathering them
    would have been for nothing.

    Raises
    ------
    InvalidInputError
        The part is smaller than a batch, or the options do not fit it.
    """
    positions = np.flatnonzero(selected)
    if len(positions) < options.batch_size:
        raise InvalidInputError(
            f"batch_size={options.batch_size}: {name} holds {len(positions)} of {len(valid)} anchors, less "
            "than a batch; lower batch_size, or change the split's fraction or held_out"
        )
    part = valid.iloc[positions]
    options = _fitted(options, valid, part)
    with _warnings_of(name):
        if options.plan or ranks > 1:
            plan = _fitted_plan(_plan_of(options, ranks), valid, part)
            sampler = FlexibleBatchSampler.from_plan(part, plan, seed=seed, drop_last=True)
        else:
            flat = {name: value for name, value in asdict(options).items() if name != "plan"}
            sampler = FlexibleBatchSampler(part, **flat, seed=seed, drop_last=True)
    return PartSampler(sampler, positions)


def _plan_of(options: BatchOptions, ranks: int) -> BatchPlan | Curriculum:
    """Return the plan that the options say, its batches of one step from one group where ranks gather."""
    flat = asdict(options)
    changes = flat.pop("plan")
    plan = change_plan(flat_plan(**flat), changes)
    first = plan if isinstance(plan, BatchPlan) else plan.plans[0]
    if ranks == 1 or first.grouping is None or "span" in changes:
        return plan
    return change_plan(flat_plan(**flat), {"span": ranks, **changes})


@contextmanager
def _warnings_of(name: str) -> Iterator[None]:
    """Let warnings begin with the part that they are of: its cells are smaller than the table's."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        said = f"{name}: {one.message}" if issubclass(one.category, CompositionWarning) else str(one.message)
        warnings.warn(said, one.category, stacklevel=4)


def _fitted(options: BatchOptions, whole: pd.DataFrame, part: pd.DataFrame) -> BatchOptions:
    """Leave out what concerns experiments that the part lacks; unknown names stay, to be refused."""
    if not options.experiment_aware:
        return options
    held = set(part[EXPERIMENT].unique())
    elsewhere = set(whole[EXPERIMENT].unique()) - held
    if elsewhere and len(held) == 1:
        options = replace(options, leaky=0.0)
    if options.experiment_weights is None:
        return options
    weights = {name: weight for name, weight in options.experiment_weights.items() if name not in elsewhere}
    return replace(options, experiment_weights=weights)


def _fitted_plan(plan: BatchPlan | Curriculum, whole: pd.DataFrame, part: pd.DataFrame) -> Any:
    """Leave out numbers for values that the part lacks, such as markers; unknown ones stay, to be refused."""
    if isinstance(plan, Curriculum):
        return Curriculum({at: _fitted_plan(one, whole, part) for at, one in plan.plans.items()})
    grouping, balance = plan.grouping, plan.balance
    if grouping is not None and isinstance(grouping.weights, Mapping):
        given: Mapping[Any, Any] = grouping.weights
        kept = (
            {level: _held(of, level, whole, part) for level, of in given.items()}
            if any(isinstance(one, Mapping) for one in given.values())
            else _held(given, grouping.by, whole, part)
        )
        grouping = replace(grouping, weights=kept)
    if balance is not None and isinstance(balance.ratio, Mapping):
        balance = replace(balance, ratio=_held(balance.ratio, balance.by, whole, part))
    return replace(plan, grouping=grouping, balance=balance)


def _held(given: Any, by: Any, whole: pd.DataFrame, part: pd.DataFrame) -> dict[Any, float]:
    """Return the numbers given, without those of values that the whole has and the part lacks."""
    columns = [by] if isinstance(by, str) else list(by)
    if not set(columns) <= set(whole):
        return dict(given)  # refused by name when the sampler is made
    elsewhere = _values(whole, columns) - _values(part, columns)
    return {value: number for value, number in given.items() if value not in elsewhere}


def _values(table: pd.DataFrame, columns: list[str]) -> set[Any]:
    found = set(table[columns].drop_duplicates().itertuples(index=False, name=None))
    return {one for (one,) in found} if len(columns) == 1 else found


def _is_of(valid: pd.DataFrame, held_out: tuple[str, ...]) -> BoolArray:
    names = sorted(map(str, valid[EXPERIMENT].unique()))
    unknown = [name for name in held_out if name not in names]
    if unknown:
        raise InvalidInputError(
            f"held_out={held_out!r}: no anchors of {', '.join(unknown)}; there are "
            f"{', '.join(names)}.{suggest(unknown[0], names)}"
        )
    if len(set(held_out)) == len(names):
        raise InvalidInputError(f"held_out={held_out!r}: these are all experiments; leave one for training")
    return np.asarray(valid[EXPERIMENT].isin(held_out), dtype=np.bool_)
