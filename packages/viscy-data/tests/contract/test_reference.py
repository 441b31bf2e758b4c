"""The slow reader finds what is wrong: hand-made batches, right ones and one wrong one for every promise."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from contract_reference import broken_promises

from viscy_data import AtMost, Balance, BatchPlan, Focus, Grouping, Locality, Weighting

# Anchors 0-7 are of a and x, 8-15 of a and y, 16-23 of b and x, 24-31 of b and y; each cell has the hours
# 0 to 7, one field of view until hour 3 and one from then on, and lineages that x and y have in common.
TABLE = pd.DataFrame(
    [
        {"experiment": g, "condition": s, "hours": float(i), "t": i, "fov": i // 4, "lineage": f"{g}{i}"}
        for g in "ab"
        for s in "xy"
        for i in range(8)
    ]
).assign(weight=1.0)
GROUPED: dict[str, Any] = {"grouping": Grouping("experiment"), "balance": Balance("condition")}
LEAKY = GROUPED | {"grouping": Grouping("experiment", leak=0.25)}
FOCUSED = GROUPED | {"focus": Focus("hours", window_hours=1, global_fraction=0.25)}
INSIDE = GROUPED | {"focus": Focus("hours", window_hours=1, global_fraction=0)}
APART = GROUPED | {"at_most": AtMost("lineage")}
THRICE = GROUPED | {"at_most": AtMost("fov", 3, min_hours=2), "focus": Focus("hours", global_fraction=1)}
FRAMES = GROUPED | {"locality": Locality(frames=4)}
PLAIN = [0, 1, 2, 3, 8, 9, 10, 11]

RIGHT: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 8, 16, 24, 1, 2, 3, 4]),
    (GROUPED, PLAIN),
    (GROUPED | {"weighting": Weighting("weight")}, PLAIN),
    (LEAKY, [0, 1, 2, 8, 9, 10, 16, 24]),
    (FOCUSED, [2, 3, 4, 7, 10, 11, 12, 15]),
    (FOCUSED, [0, 1, 2, 3, 8, 9, 14, 15]),  # around hour 0 there are two of each, not three
    (INSIDE, [2, 3, 4, 2, 10, 11, 12, 11]),
    (APART, [0, 1, 2, 3, 12, 13, 14, 15]),
    (GROUPED | {"at_most": AtMost("fov")}, [0, 1, 2, 3, 12, 13, 14, 15]),  # two values for eight places
    (GROUPED | {"at_most": [AtMost("fov", 4), AtMost("lineage")]}, [0, 1, 4, 5, 10, 11, 14, 15]),
    (THRICE, [0, 3, 4, 7, 8, 11, 12, 15]),
    (FRAMES, PLAIN),
    (FOCUSED | FRAMES, [2, 3, 6, 7, 10, 11, 14, 15]),  # near hour 3 two frames of one x and one y, all used
    (GROUPED | {"locality": Locality(fovs=1)}, PLAIN),
]
WRONG: list[tuple[dict[str, Any], list[Any], str]] = [
    ({}, PLAIN[:-1], r"its batches hold \[7\] anchors, not \[8\]"),
    ({}, [*PLAIN[:-1], 32], r"\[32\] are not positions"),
    ({}, [*PLAIN[:-1], "a"], r"\['a'\] are not positions"),
    ({}, [*PLAIN[:-1], 0], "anchor 0 comes 2 times, with 8 from 32"),
    (GROUPED, [16, *PLAIN[1:]], r"no group gives \[8\] anchors"),
    (GROUPED, [0, 1, 2, 3, 4, 5, 8, 9], r"6 own anchors of \('x',\) .* exact is 4"),
    (GROUPED, [0, 0, *PLAIN[2:]], "anchor 0 comes 2 times"),
    (GROUPED | {"weighting": Weighting("weight")}, [0, 0, *PLAIN[2:]], "anchor 0 comes 2 times"),
    (LEAKY, PLAIN, r"no group gives \[6\] anchors"),
    (LEAKY, [0, 1, 2, 8, 9, 10, 16, 17], r"2 leaked anchors of \('x',\)"),
    # Of 5 own and 3 leaked anchors either may hold one x more, but not both.
    (
        GROUPED | {"grouping": Grouping("experiment", leak=0.375)},
        [0, 1, 2, 8, 9, 16, 17, 24],
        r"5 all anchors of \('x',\) in batch 0; exact is 4",
    ),
    (FOCUSED, [2, 3, 6, 7, 10, 11, 12, 15], "in the window"),
    (FOCUSED, [2, 3, 4, 3, 10, 11, 12, 15], "in the window|anchor 3 comes 2 times"),
    (INSIDE, [2, 3, 4, 7, 10, 11, 12, 11], "1 anchors from outside the window"),
    (INSIDE, [2, 3, 2, 2, 10, 11, 12, 11], "anchor 2 comes 3 times, with 4 from 3"),
    (APART, [0, 1, 2, 3, 8, 13, 14, 15], r"2 anchors of \('lineage',\) \('a0',\), at most 1"),
    (APART, [0, 0, 1, 2, 12, 13, 14, 15], "anchor 0 comes twice while 3 is free"),
    (GROUPED | {"at_most": AtMost("fov", 4)}, [0, 1, 4, 5, 8, 9, 10, 15], r"5 anchors of \('fov',\)"),
    (THRICE, [0, 1, 4, 7, 8, 9, 12, 15], r"4 anchors of \('fov',\) \(0,\), at most 3"),
    (FRAMES, [0, 1, 2, 3, 9, 10, 11, 12], "5 frames, at most 4"),
    (FOCUSED | {"locality": Locality(fovs=2)}, [0, 3, 5, 7, 8, 11, 13, 15], "in the window"),
    (
        GROUPED | {"locality": Locality(fovs=1)},
        [0, 0, 1, 2, 8, 9, 10, 11],
        "anchor 0 comes 2 times, with 4 from 4",
    ),
    (GROUPED | {"locality": Locality(fovs=1)}, [0, 1, 2, 3, 9, 10, 11, 12], "2 frames, at most 1"),
]


def broken(plan: BatchPlan, batches: Sequence[list[Any]], first: int = 0) -> list[str]:
    """Read batches from number ``first`` on, of one epoch of four."""
    return broken_promises(TABLE, plan, [(0, first + n, rows) for n, rows in enumerate(batches)])


@pytest.mark.parametrize(("axes", "rows"), RIGHT)
def test_a_batch_that_holds_what_was_asked_breaks_nothing(axes: dict[str, Any], rows: list[int]) -> None:
    assert broken(BatchPlan(8, **axes), [rows]) == []


@pytest.mark.parametrize(("axes", "rows", "said"), WRONG)
def test_a_batch_that_breaks_a_promise_is_found(axes: dict[str, Any], rows: list[Any], said: str) -> None:
    found = "\n".join(broken(BatchPlan(8, **axes), [rows]))
    assert re.search(said, found), found


def test_a_small_cell_repeats_evenly() -> None:
    table = TABLE.drop(index=range(3, 8)).reset_index(drop=True)
    plan = BatchPlan(8, **GROUPED)
    assert broken_promises(table, plan, [(0, 0, [0, 1, 2, 1, 3, 4, 5, 6])]) == []
    assert (
        "anchor 0 comes 3 times, with 4 from 3"
        in broken_promises(table, plan, [(0, 0, [0, 0, 0, 1, 3, 4, 5, 6])])[0]
    )


def test_a_leak_of_a_small_pool_repeats_evenly() -> None:
    table = pd.concat([TABLE.iloc[:16], TABLE.iloc[[16, 24]]], ignore_index=True)
    plan = BatchPlan(8, grouping=Grouping("experiment", leak=0.5))
    assert broken_promises(table, plan, [(0, 0, [0, 1, 8, 9, 16, 16, 17, 17])]) == []
    found = broken_promises(table, plan, [(0, 0, [0, 1, 8, 9, 16, 16, 16, 17])])
    assert "anchor 16 comes 3 times, with 4 from 2" in found[0]


def test_frames_repeat_anchors_only_where_others_hold_too_few() -> None:
    table = TABLE.assign(fov=TABLE["t"] // 6)
    plan = BatchPlan(8, **(GROUPED | {"locality": Locality(fovs=2)}))
    assert broken_promises(table, plan, [(0, 0, [0, 1, 6, 7, 8, 9, 14, 15])]) == []
    found = broken_promises(table, plan, [(0, 0, [6, 7, 6, 7, 8, 9, 10, 11])])
    assert "repeat, but frames with 6 were there for 4" in found[0]


def test_batches_of_a_step_share_group_focal_time_and_no_anchor() -> None:
    plan = BatchPlan(4, span=2, **GROUPED)
    assert broken(plan, [[0, 1, 8, 9], [2, 3, 10, 11]]) == []
    assert "no group gives" in broken(plan, [[0, 1, 8, 9], [16, 17, 24, 25]])[0]
    assert "anchor 1 comes 2 times" in broken(plan, [[0, 1, 8, 9], [2, 1, 10, 11]])[0]
    near = BatchPlan(4, span=2, **(GROUPED | {"focus": Focus("hours", window_hours=1, global_fraction=0.5)}))
    assert broken(near, [[0, 6, 8, 14], [1, 5, 9, 13]]) == []
    assert "in the window" in broken(near, [[1, 2, 9, 10], [5, 6, 13, 14]])[0]


def test_groups_of_an_epoch_have_their_shares() -> None:
    plan = BatchPlan(8, **GROUPED)
    batch = {"a": PLAIN, "b": [row + 16 for row in PLAIN]}
    assert broken(plan, [batch[group] for group in "abab"]) == []
    assert "group ('b',) has 1 steps, but its share is 2" in broken(plan, [batch[g] for g in "aaba"])[1]
    weighted = BatchPlan(8, **(GROUPED | {"grouping": Grouping("experiment", weights={"a": 3, "b": 1})}))
    assert broken(weighted, [batch[group] for group in "aaba"]) == []


def test_weights_by_level_split_among_what_occurs_together() -> None:
    """Half of all batches for each experiment, and in it twice as many for y as for x."""
    weights = {"experiment": {"a": 1, "b": 1}, "condition": {"x": 1, "y": 2}}
    plan = BatchPlan(2, grouping=Grouping(["experiment", "condition"], weights=weights))
    first = {"ax": [0, 1], "ay": [8, 9], "bx": [16, 17], "by": [24, 25]}
    turns = ["ax", "ax", "ax", *["ay"] * 5, "bx", "bx", *["by"] * 6]
    assert broken(plan, [first[group] for group in turns]) == []
    assert len(broken(plan, [first[group] for group in ["ax", *turns[1:-3], "ax", "ax", "ax"]])) == 2


def test_each_stage_of_a_curriculum_is_read_by_its_own_plan() -> None:
    stages = {0: BatchPlan(8, **GROUPED), 2: BatchPlan(8, **LEAKY)}
    leaky = [0, 1, 2, 8, 9, 10, 16, 24]
    drawn = [(0, number, rows) for number, rows in enumerate([PLAIN, PLAIN, leaky, leaky])]
    assert broken_promises(TABLE, stages, drawn) == []
    assert "no group gives" in broken_promises(TABLE, stages, [(0, 1, leaky)])[0]
    assert "no group gives" in broken_promises(TABLE, stages, [(1, 0, PLAIN)])[0]


def test_batches_that_round_an_epoch_up_are_read_like_those_they_repeat() -> None:
    plan = BatchPlan(12, **GROUPED)
    large, small = [*range(6), *range(8, 14)], [*range(4), *range(8, 12)]
    for number, rows in ((2, small), (3, large), (5, small)):
        assert broken_promises(TABLE, plan, [(0, number, rows)], drop_last=False) == []
    assert "hold [8] anchors, not [12]" in broken_promises(TABLE, plan, [(0, 3, small)], drop_last=False)[0]
