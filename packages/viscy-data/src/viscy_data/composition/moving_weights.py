"""Groups whose shares of batches change over training.

A group's share of an epoch is the mean of its shares at the epoch's batches, as an exact fraction:
shares are worked out at the points of the schedule and mixed in its stages.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.schedule import STAGES, Schedule
from viscy_data.composition.weights import Parts, group_shares
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]


class MovingWeights:
    """Shares of groups, epoch by epoch.

    Parameters
    ----------
    schedule
        Of the weights.
    points
        Shares of the groups at each point of the schedule, each of sum 1.
    batches
        Batches of an epoch.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> schedule = Schedule({0: {"a": 1, "b": 0}, 2: {"a": 1, "b": 1}})
    >>> moving = MovingWeights(schedule, [(1, 0), (half, half)], batches=64)
    >>> [float(share) for share in moving.shares(2)]
    [0.5, 0.5]
    >>> [round(float(share), 2) for share in moving.shares(0)]
    [0.88, 0.12]
    """

    def __init__(self, schedule: Schedule, points: Sequence[Sequence[Fraction]], batches: int) -> None:
        self._schedule, self._points, self._batches = schedule, points, batches

    @classmethod
    def of(
        cls,
        plan: BatchPlan,
        layout: AnchorLayout,
        able: Sequence[bool],
        batches: int,
        names: Mapping[str, str],
    ) -> Self | None:
        """Work out the shares of a plan on a table; None where its weights do not move.

        Parameters
        ----------
        plan, layout
            The plan and the table.
        able
            Whether a group holds something to draw.
        batches
            Batches of an epoch.
        names
            What messages call the fields of the plan.

        Raises
        ------
        InvalidInputError
            At some point no group that holds something to draw has a weight.
        """
        weights = None if plan.grouping is None else plan.grouping.weights
        if not isinstance(weights, Schedule):
            return None
        points: list[Parts] = []
        anchors = layout.size.sum(axis=0).tolist()
        for position, value in weights.pairs:
            shares = group_shares(names["weights"], value, layout.groups, able, anchors)
            if shares is None:
                raise InvalidInputError(
                    f"{names['weights']} at {position:g} {weights.unit} leaves no group with an anchor to "
                    "draw; give at least one such group a number above 0 at every point."
                )
            points.append(shares)
        return cls(weights, points, batches)

    def shares(self, epoch: int) -> Parts:
        """Return each group's share of the batches of an epoch."""
        steps = np.arange(epoch * self._batches, (epoch + 1) * self._batches)
        return tuple(share / steps.size for share in self._sum(steps))

    def before(self, epoch: int, batches: int) -> list[int]:
        """Return about how many batches each group had in all epochs before, with ``batches`` in each.

        Shares in the middle of epochs stand for them: what follows turns (see `quota`) needs a number
        that grows as the true one does, and not the true one.
        """
        middle = np.arange(epoch) * self._batches + self._batches // 2
        return [int(share * batches) for share in self._sum(middle)]

    def _sum(self, steps: Integers) -> list[Fraction]:
        """Return the sum of each group's shares at steps."""
        stages = self._schedule.stages(self._schedule.position(steps, self._batches))
        point, nth = np.divmod(stages, STAGES)
        times = np.zeros(len(self._points) + 1, dtype=np.int64)
        np.add.at(times, point, STAGES - nth)
        np.add.at(times, point + 1, nth)
        held = [(int(n), shares) for n, shares in zip(times, self._points, strict=False) if n]
        groups = len(self._points[0])
        return [sum((n * shares[g] for n, shares in held), Fraction(0)) / STAGES for g in range(groups)]
