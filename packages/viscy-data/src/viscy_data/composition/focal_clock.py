"""When batches focus and how far around: the focal time of each step, and the reach of its window."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.epochs import EpochSchedule
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.plan import CLOCK_TOLERANCE, BatchPlan
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.schedule import numbers_at

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FocalClock:
    """The focal times and windows of a plan on a table.

    Attributes
    ----------
    plan, layout, schedule
        What batches hold, the table, and which batches go together in steps.
    seed
        First word of the keys.
    """

    plan: BatchPlan
    layout: AnchorLayout
    schedule: EpochSchedule
    seed: int

    def times(self, epoch: int, step: Integers, group: Integers) -> Floats:
        """Return the focal time of each step: even over the distinct times of its group, or its anchors."""
        bits = keyed.words(self.seed, Purpose.FOCAL_TIME, epoch, step)
        by_anchors = self.plan.window is not None and self.plan.window.times == "anchors"
        draw = self.layout.anchor_times if by_anchors else self.layout.focal_times
        return draw(group, lambda count: keyed.below(bits, count))

    def reach(self, epoch: int, number: Integers) -> Floats:
        """Return the half width of each batch's window, or a Gaussian's standard deviation, in hours.

        All batches of a step have that of its first one. It is -1 in batches that have no window.
        """
        if self.plan.window is None or not self.plan.window.moves:
            return np.full(number.shape, -1.0 if self.plan.window is None else self.plan.reach)
        progress, batches = self.schedule.progress(epoch, number), self.schedule.batches
        hours = numbers_at(self.plan.window.window_hours, progress, batches) + CLOCK_TOLERANCE
        outside = numbers_at(self.plan.window.global_fraction, progress, batches)
        return np.where(outside == 1, -1.0, hours)

    def window(self, cell: Integers, time: Floats, reach: Floats) -> Integers:
        """Return (2, n): first place of each window in its cell and the first after; none where reach < 0."""
        low, high = self.layout.window(cell, time - reach, time + reach)
        return np.stack([low, np.maximum(low, high)])
