"""`ramp`: a curriculum whose numbers move from one plan to another in small stages.

A run may want its window to narrow slowly. Nothing inside a batch plan moves, so that each batch keeps the
promises of an ordinary plan; a ramp names many plans instead, each a little nearer to the last.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from viscy_data.checks import brief, check_integer
from viscy_data.composition.curriculum import LATEST, MOST_STAGES, Curriculum, refuse_unlike
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError


def ramp(first: BatchPlan, last: BatchPlan, *, batches: int, stages: int) -> Curriculum:
    """Return a curriculum that goes from one plan to another in equal stages.

    Leak, weights, ratio, window and global fraction move in a straight line; everything else is the same in
    both plans. Shares given by value are normalised to sum 1 before they are mixed.

    Parameters
    ----------
    first, last
        The plans at the beginning and from batch ``batches`` on.
    batches
        Global batches until ``last`` is reached.
    stages
        Stages before ``last``, of equal length.

    Raises
    ------
    InvalidInputError
        The plans differ in something that does not move, or shares do not name the same values in both.

    Examples
    --------
    >>> from viscy_data.composition import Focus
    >>> wide, narrow = (BatchPlan(8, focus=Focus("hours", window_hours=hours)) for hours in (8, 2))
    >>> curriculum = ramp(wide, narrow, batches=300, stages=3)
    >>> {number: plan.focus.window_hours for number, plan in curriculum.plans.items()}
    {0: 8.0, 100: 6.0, 200: 4.0, 300: 2.0}
    """
    stages = check_integer("stages", stages, 1, MOST_STAGES - 1)
    batches = check_integer("batches", batches, stages, LATEST)
    for name, plan in (("first", first), ("last", last)):
        if not isinstance(plan, BatchPlan):
            raise InvalidInputError(f"{name}={brief(plan)} is not a BatchPlan.")
    refuse_unlike({0: first, batches: last})
    for name in ("at_most", "weighting", "locality"):
        if getattr(first, name) != getattr(last, name):
            raise InvalidInputError(
                f"BatchPlan.{name} differs between the ends of the ramp and cannot move; give both plans the "
                "same, or name the plans in a Curriculum."
            )
    if first.focus is not None and last.focus is not None and first.focus.times != last.focus.times:
        raise InvalidInputError("Focus.times differs between the ends of the ramp; give both the same.")
    between = {batches * stage // stages: _between(first, last, stage / stages) for stage in range(1, stages)}
    return Curriculum({0: first, **between, batches: last})


_MOVING: Final = {
    "grouping": ("weights", "leak"),
    "balance": ("ratio",),
    "focus": ("window_hours", "global_fraction"),
}
"""The fields of axes that a ramp moves."""


def _between(first: BatchPlan, last: BatchPlan, part: float) -> BatchPlan:
    axes = {}
    for axis, names in _MOVING.items():
        begin, end = getattr(first, axis), getattr(last, axis)
        if begin is not None:
            moved = {
                name: _mixed(f"{type(begin).__name__}.{name}", getattr(begin, name), getattr(end, name), part)
                for name in names
            }
            axes[axis] = replace(begin, **moved)
    return replace(first, **axes)


def _mixed(name: str, begin: Any, end: Any, part: float) -> Any:
    if begin == end:
        return begin
    if isinstance(begin, float) and isinstance(end, float):
        return begin + (end - begin) * part
    both = (begin, end)
    flat = all(
        isinstance(one, Mapping) and not any(isinstance(v, Mapping) for v in one.values()) for one in both
    )
    if not flat or set(begin) != set(end):
        raise InvalidInputError(
            f"{name} moves from {begin!r} to {end!r}: only shares that name the same values at both ends "
            "can be mixed; name each value's share in both plans (0 leaves one out)."
        )
    totals = [float(sum(one.values())) for one in both]
    return {
        value: float(begin[value]) / totals[0] * (1 - part) + float(end[value]) / totals[1] * part
        for value in begin
    }
