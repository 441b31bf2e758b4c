"""Every pair and triple of axes goes together, on small uneven tables, against the slow reader."""

from dataclasses import replace
from itertools import combinations
from typing import Any
from zlib import crc32

import pytest
from contract_reference import broken_promises
from contract_tables import batches_of, least_frames, movies, sampler_of

from viscy_data import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    Focus,
    Grouping,
    Locality,
    Weighting,
)

AXES = [
    "leak", "balance", "focus", "inside", "apart", "two a while", "weights", "frames", "fovs", "hold", "span",
    "curriculum", "smaller",
]  # fmt: skip
"""`inside`: a focus with nothing from outside; `apart`: a cap of one; `two a while`: of two in an hour."""
EPOCHS = (0, 1)


def is_said_in_words(axes: frozenset[str]) -> bool:
    """Whether a plan can be written down: one focus, one kind of frame, and something to hold."""
    twice = [{"focus", "inside"}, {"frames", "fovs"}]
    return not any(pair <= axes for pair in twice) and ("hold" not in axes or bool(axes & {"frames", "fovs"}))


TOGETHER = sorted(
    {
        frozenset(axes)
        for axes in [*combinations(AXES, 2), *combinations(AXES, 3)]
        if is_said_in_words(frozenset(axes))
    }
    | {frozenset(AXES) - {one, other} for one in ("focus", "inside") for other in ("frames", "fovs")},
    key=lambda axes: (len(axes), sorted(axes)),
)


def plan_of(axes: frozenset[str], *, grouped: bool) -> BatchPlan:
    clock = "hours_post_infection"
    focus = None
    if axes & {"focus", "inside"}:
        focus = Focus(clock, window_hours=1.0, global_fraction=0.0 if "inside" in axes else 0.3)
    elif "two a while" in axes:
        focus = Focus(clock, global_fraction=1.0)
    caps = {"apart": AtMost("track"), "two a while": AtMost("lineage_id", 2, min_hours=1.0)}
    hold = 3 if "hold" in axes else 1
    locality = Locality(frames=1, hold=hold) if "frames" in axes else None
    return BatchPlan(
        11,
        grouping=Grouping("experiment", leak=0.25 if "leak" in axes else 0.0) if grouped else None,
        balance=Balance("condition", ratio={"x": 2, "y": 1, "z": 1}) if "balance" in axes else None,
        focus=focus,
        at_most=[cap for name, cap in caps.items() if name in axes],
        weighting=Weighting("weight") if "weights" in axes else None,
        locality=Locality(fovs=1, hold=hold) if "fovs" in axes else locality,
        span=2 if "span" in axes else 1,
    )


def later(plan: BatchPlan) -> BatchPlan:
    """Return a plan with other numbers on the same columns."""
    changes: dict[str, Any] = {}
    if plan.grouping is not None:
        weights = {"a": 1, "b": 2, "c": 3}
        changes["grouping"] = replace(plan.grouping, weights=weights, leak=0.6 * plan.grouping.leak)
    if plan.balance is not None:
        changes["balance"] = replace(plan.balance, ratio={"x": 1, "y": 3, "z": 2})
    if plan.focus is not None:
        changes["focus"] = replace(plan.focus, window_hours=1.5)
    return replace(plan, **changes)


@pytest.mark.parametrize("axes", TOGETHER, ids=lambda axes: "+".join(name for name in AXES if name in axes))
def test_axes_hold_what_they_promise_whatever_else_is_on(axes: frozenset[str]) -> None:
    seed = crc32("+".join(sorted(axes)).encode())
    table = movies(seed)
    plan = plan_of(axes, grouped="leak" in axes or seed % 3 > 0)
    drop_last = "smaller" not in axes
    stages = {0: plan}
    if "curriculum" in axes:
        stages = {0: plan, (len(table) // 11) * 3 // 2: later(plan)}
    if plan.locality is not None:
        name = "fovs" if plan.locality.frames is None else "frames"
        enough = seed % 2 + max(least_frames(table, stage, drop_last=drop_last) for stage in stages.values())
        locality: dict[str, Any] = {name: enough}
        stages = {
            begin: replace(stage, locality=replace(plan.locality, **locality))
            for begin, stage in stages.items()
        }
    asked = Curriculum(stages) if len(stages) > 1 else stages[0]
    sampler = sampler_of(table, asked, seed=seed, drop_last=drop_last)
    drawn = batches_of(sampler, EPOCHS, beyond=2 * plan.span)
    assert broken_promises(table, stages, drawn, drop_last=drop_last) == []
