"""Plans that change over training: which plan a batch follows, by its number since training began.

A run may want a wide window at first and a narrow one later, or a leak that grows. A `Curriculum` names
plans and the global batch at which each begins; between two beginnings nothing moves, so each *stage* is an
ordinary plan with the promises of an ordinary plan. A slow change is a `ramp`, a curriculum of many small
stages. The price: where a stage begins inside an epoch, that epoch may miss a group's share by one batch.

All plans of a curriculum sort the table alike: they use the same columns, batch size and span.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from viscy_data.checks import brief, check_integer
from viscy_data.composition.axes import set_field
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError

MOST_STAGES: Final = 1000
"""Stages of a curriculum at the most: each keeps its own shares."""
LATEST: Final = 2**62
"""Latest batch at which a stage may begin."""


@dataclass(frozen=True)
class Curriculum:
    """Plans by the global batch at which each begins.

    Parameters
    ----------
    plans
        Mapping from a number of global batches since training began (epoch * batches of an epoch + number
        in the epoch) to the plan from there on; 0 is among them. With ``span`` a stage begins with the first
        step that begins at its number or later.

    Raises
    ------
    InvalidInputError
        No plan at 0, numbers that are not whole or not below one another, or plans that differ in batch
        size, span or in the columns of an axis.

    Examples
    --------
    >>> from viscy_data.composition import Focus
    >>> wide, narrow = (BatchPlan(8, focus=Focus("hours", window_hours=hours)) for hours in (8, 2))
    >>> Curriculum({0: wide, 20_000: narrow}).at(19_999) == wide
    True
    """

    plans: Mapping[int, BatchPlan]

    def __post_init__(self) -> None:
        plans: Any = self.plans
        if not isinstance(plans, Mapping) or not plans:
            raise InvalidInputError(
                f"Curriculum.plans={brief(plans)}: a mapping from numbers of batches to plans is allowed."
            )
        if len(plans) > MOST_STAGES:
            raise InvalidInputError(
                f"Curriculum.plans holds {len(plans):,} plans: at most {MOST_STAGES:,} are allowed; "
                "let each last longer."
            )
        for number, plan in plans.items():
            check_integer("a number of batches in Curriculum.plans", number, 0, LATEST)
            if not isinstance(plan, BatchPlan):
                raise InvalidInputError(f"Curriculum.plans[{number}]={brief(plan)} is not a BatchPlan.")
        ordered = {int(number): plans[number] for number in sorted(plans)}
        if 0 not in ordered:
            raise InvalidInputError(
                f"Curriculum.plans begins at {min(ordered)}: training begins at 0; give a plan for 0."
            )
        refuse_unlike(ordered)
        set_field(self, "plans", ordered)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the enabled axes use, without repeats."""
        return self.plans[0].columns

    @property
    def _columns_of(self) -> dict[str, tuple[str, ...]]:
        """The columns that each enabled axis uses, by the axis."""
        return self.plans[0]._columns_of

    @property
    def batch_size(self) -> int:
        """Anchors in a batch."""
        return self.plans[0].batch_size

    @property
    def span(self) -> int:
        """Batches of a step."""
        return self.plans[0].span

    def at(self, number: int) -> BatchPlan:
        """Return the plan of the step that begins at this global batch since training began."""
        return self.plans[max(begin for begin in self.plans if begin <= number)]


def refuse_unlike(plans: Mapping[int, BatchPlan]) -> None:
    """Refuse plans, by the batch at which each begins, that sort the table differently."""
    first = plans[0]
    for number, plan in plans.items():
        for name in ("batch_size", "span", "_columns_of"):
            mine, theirs = getattr(plan, name), getattr(first, name)
            if mine != theirs:
                what = "the columns of its axes" if name == "_columns_of" else f"BatchPlan.{name}"
                raise InvalidInputError(
                    f"The plan that begins at batch {number} differs from the first in {what}: {mine!r}, and "
                    f"{theirs!r} there; the plans of a curriculum share batch size, span and columns. An "
                    "axis that rests has a neutral value: leak=0, ratio='natural', global_fraction=1."
                )
