"""The flat arguments of `FlexibleBatchSampler`: a face over the plan, for what most people ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from viscy_data import columns
from viscy_data.checks import check_flag, check_fraction, check_integer
from viscy_data.composition.axes import Balance, Focus, Grouping
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.plan_checks import MOST_ANCHORS, check_ratios, check_window

FLAT_NAMES: Final[Mapping[str, str]] = {
    "batch_size": "batch_size",
    "weights": "experiment_weights",
    "leak": "leaky",
    "ratio": "condition_ratio",
    "global_fraction": "temporal_global_fraction",
}
"""What messages call the fields of a plan that was made of flat arguments."""

FLAT_AXES: Final[Mapping[str, str]] = {
    "grouping": "experiment_aware",
    "balance": "condition_balanced",
    "focus": "temporal_enrichment",
}
"""And its axes."""


@dataclass(frozen=True)
class FlatArguments:
    """The arguments of `FlexibleBatchSampler` that say what a batch holds, by their names and defaults there.

    This is where they are defined; the sampler's signature, the options of ``viscy-data audit`` and those of
    ``viscy-train fit`` are faces of it. They are checked when a plan is made of them, those of axes that are
    off, too.
    """

    batch_size: int = 128
    experiment_aware: bool = True
    leaky: float = 0.0
    experiment_weights: Mapping[Any, float] | None = None
    condition_balanced: bool = True
    condition_ratio: Mapping[Any, float] | None = None
    temporal_enrichment: bool = False
    temporal_window_hours: float = 2.0
    temporal_global_fraction: float = 0.3

    def to_plan(self) -> BatchPlan:
        """Return the plan that they describe.

        Raises
        ------
        InvalidInputError
            A bad argument, of an axis that is off, too.
        """
        leak = check_fraction("leaky", self.leaky, below_one=True)
        weights = check_ratios("experiment_weights", self.experiment_weights)
        ratio = check_ratios("condition_ratio", self.condition_ratio)
        window = check_window("temporal_window_hours", self.temporal_window_hours)
        outside = check_fraction("temporal_global_fraction", self.temporal_global_fraction)
        aware = check_flag("experiment_aware", self.experiment_aware)
        balanced = check_flag("condition_balanced", self.condition_balanced)
        focused = check_flag("temporal_enrichment", self.temporal_enrichment)
        return BatchPlan(
            check_integer("batch_size", self.batch_size, 1, MOST_ANCHORS),
            grouping=Grouping(columns.EXPERIMENT, weights=weights, leak=leak) if aware else None,
            balance=Balance(columns.CONDITION, ratio=ratio) if balanced else None,
            focus=Focus(columns.HOURS, window_hours=window, global_fraction=outside) if focused else None,
        )


def flat_plan(batch_size: int = 128, **arguments: Any) -> BatchPlan:
    """Return the plan that the flat arguments of `FlexibleBatchSampler` describe.

    Parameters
    ----------
    batch_size
        Anchors in a batch.
    **arguments
        The other fields of `FlatArguments`.

    Raises
    ------
    InvalidInputError
        A bad argument, of an axis that is off, too.

    Examples
    --------
    >>> flat_plan(64, leaky=0.1, condition_balanced=False)  # doctest: +ELLIPSIS
    BatchPlan(batch_size=64, grouping=Grouping(by=('experiment',), weights=None, leak=0.1), balance=None, ...
    """
    return FlatArguments(batch_size, **arguments).to_plan()
