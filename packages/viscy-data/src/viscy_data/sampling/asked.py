"""What each batch is asked to hold: its plan's exact counts, rounded as whole anchors can be."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.composer import BatchComposer, Stage

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


def asked_of(composer: BatchComposer, epoch: int, number: Integers) -> Asked:
    """Return what batches are asked to hold, each by the plan of its stage."""
    parts = [
        (which, _asked(composer.stages[stage], epoch, number[which]))
        for stage, which in composer.by_stage(epoch, number)
    ]
    arrays = {}
    for name in Asked.__dataclass_fields__:
        first = getattr(parts[0][1], name)
        arrays[name] = np.zeros((number.size, *first.shape[1:]), dtype=first.dtype)
        for which, part in parts:
            arrays[name][which] = getattr(part, name)
    return Asked(**arrays)


def group_shares(composer: BatchComposer, epoch: int) -> list[Fraction]:
    """Return (groups,) the exact numbers of batches in an epoch."""
    found = [Fraction(0)] * len(composer.layout.groups.values)
    for stage, which in composer.by_stage(epoch, np.arange(composer.batches)):
        shares = composer.stages[stage].shares.groups
        found = [total + share * which.size for total, share in zip(found, shares, strict=True)]
    return found


def _asked(stage: Stage, epoch: int, number: Integers) -> Asked:
    steps = stage.order.of(epoch, number)
    at = np.searchsorted(steps.batch, number) if stage.plan.span > 1 else np.arange(number.size)
    step = steps.step[at]
    group, kind = steps.group[step], steps.is_partial[at].astype(np.int64)
    least, most = stage.counts.bounds
    times = np.zeros(steps.number.size) if stage.focal is None else stage.focal.of(epoch, steps)
    parts = stage.counts.parts
    return Asked(
        group=group,
        least=least[kind, group],
        most=most[kind, group],
        exact=stage.counts.means[kind, group],
        leaked=np.array([sum(part.leaked) for part in parts])[kind],
        near=np.array([part.own[0] + part.leaked[0] for part in parts])[kind],
        time=times[step],
        reach=np.full(number.size, stage.plan._reach),
        step=steps.number[step],
    )
