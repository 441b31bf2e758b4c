"""Exact shares of a plan on a table, and everything refused between the two."""

import warnings
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition import AnchorLayout, Balance, BatchPlan, Grouping, Labels
from viscy_data.composition.shares import TableShares, group_weights
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.feasible import make_composer
from viscy_data.sampling.sampler import FlexibleBatchSampler

Cells = dict[tuple[str, str], int]
CELLS: Cells = {("a", "x"): 6, ("a", "y"): 2, ("b", "x"): 4, ("c", "y"): 3, ("c", "z"): 1}


def layout_of(cells: Cells) -> AnchorLayout:
    groups, strata = (tuple(sorted({cell[i] for cell in cells})) for i in (0, 1))
    count = list(cells.values())
    codes = [
        np.repeat([values.index(cell[i]) for cell in cells], count)
        for i, values in enumerate((groups, strata))
    ]
    return AnchorLayout.build(
        sum(count), Labels(("experiment",), codes[0], groups), Labels(("condition",), codes[1], strata), None
    )


def shares_of(cells: Cells = CELLS, **more: Any) -> tuple[TableShares, list[str]]:
    grouping = Grouping("experiment", weights=more.get("weights"), leak=more.get("leak", 0.0))
    plan = BatchPlan(8, grouping=grouping, balance=Balance("condition", ratio=more.get("ratio")))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        composer = make_composer(plan, layout_of(cells), seed=0, drop_last=False)
    said = [str(one.message) for one in caught if "repeat" not in str(one.message)]
    return composer.stages[0].shares, said


def thirds(*parts: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(part, sum(parts)) for part in parts)


def test_groups_have_batches_in_proportion_to_their_anchors() -> None:
    assert shares_of()[0].groups == thirds(8, 4, 4)


def test_weights_replace_sizes() -> None:
    assert shares_of(weights={"a": 0, "b": 1, "c": 3})[0].groups == thirds(0, 1, 3)


def test_strata_that_a_group_lacks_are_renormalised_away_with_one_warning() -> None:
    shares, texts = shares_of(ratio={"x": 1, "y": 2, "z": 3})
    assert shares.own == (thirds(1, 2, 0), thirds(1, 0, 0), thirds(0, 2, 3))
    assert len(texts) == 1
    assert texts[0].endswith("'a' has no 'z'; 'b' has no 'y', 'z'; 'c' has no 'x'.")


def test_many_lacking_groups_are_listed_shortly() -> None:
    _, texts = shares_of({(f"g{i:02}", "x" if i % 2 else "y"): 3 for i in range(20)})
    assert texts[0].count("has no") == 12
    assert texts[0].endswith("; and 8 more.")


def test_a_stratum_left_out_is_not_missed() -> None:
    shares, texts = shares_of(ratio={"x": 1, "y": 1, "z": 0})
    assert shares.own == (thirds(1, 1, 0), thirds(1, 0, 0), thirds(0, 1, 0))
    assert "'z'" not in texts[0]


def test_a_group_with_nothing_to_draw_gets_no_batch_and_one_warning() -> None:
    shares, texts = shares_of(ratio={"x": 1, "y": 0, "z": 0})
    assert shares.own[2] is None
    assert shares.groups == thirds(8, 4, 0)
    assert [text for text in texts if "is 0 for every stratum of 'c'" in text]


def test_a_leaked_stratum_that_no_other_group_holds_passes_its_share_on() -> None:
    shares, _ = shares_of(leak=0.2, ratio={"x": 1, "y": 2, "z": 4})
    assert shares.leaked is not None
    # a asks for x and y of others; b for x, which only a holds; nobody else holds c's z
    assert shares.leaked == (thirds(1, 2, 0), thirds(1, 0, 0), thirds(0, 1, 0))


def test_a_leak_with_none_of_its_own_strata_elsewhere_takes_what_the_ratio_lets_through() -> None:
    shares, _ = shares_of(
        {("a", "x"): 4, ("b", "y"): 4, ("b", "z"): 4}, leak=0.2, ratio={"x": 1, "y": 1, "z": 3}
    )
    assert shares.leaked is not None
    assert shares.leaked[0] == thirds(0, 1, 3)


def test_all_unknown_and_missing_names_are_listed_together() -> None:
    with pytest.raises(InvalidInputError) as caught:
        shares_of(ratio={"xx": 1, "y": 1, "w": 2})
    text = str(caught.value)
    assert text.startswith("Balance.ratio={")
    for part in (
        "'xx' is not in the table. Did you mean 'x'?",
        "'w' is not in the table.",
        "'x' is missing",
        "'z' is missing (0 leaves it out)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (
            {"weights": {"a": 1, "b": 1}},
            r"Grouping\.weights=.* must name each value of 'experiment' once\. 'c' is missing",
        ),
        ({"weights": {"a": 1, "b": 1, "c": 1, "exp": 1}}, "'exp' is not in the table"),
        (
            {"weights": {"a": 0, "b": 0, "c": 1}, "ratio": {"x": 1, "y": 0, "z": 0}},
            "together leave no group with an anchor",
        ),
    ],
)
def test_names_and_numbers_that_cannot_be_followed_are_refused(more: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        shares_of(**more)


def test_a_leak_needs_another_group() -> None:
    with pytest.raises(
        InvalidInputError, match=r"Grouping\.leak=0\.2 needs at least two groups.*set Grouping\.leak=0"
    ):
        shares_of({("a", "x"): 4}, leak=0.2)


def test_a_leak_needs_something_to_draw_elsewhere() -> None:
    with pytest.raises(
        InvalidInputError, match=r"Grouping\.leak=0\.2: no other group than 'a' holds an anchor"
    ):
        shares_of({("a", "x"): 4, ("b", "y"): 4}, leak=0.2, ratio={"x": 1, "y": 0})


Path = tuple[str, ...]
BY = ["marker", "experiment", "well"]


def slow_shares(
    paths: Sequence[Path], levels: dict[str, dict[str, int]], able: Sequence[bool], anchors: Sequence[int]
) -> list[Fraction]:
    """Product over levels of a value's number over those of all values that occur after the same ones."""
    live = [
        path
        for path, is_able in zip(paths, able, strict=True)
        if is_able and all(levels.get(c, {v: 1})[v] for c, v in zip(BY, path, strict=False))
    ]
    size = dict(zip(paths, anchors, strict=True))

    def number(column: str, branch: Path) -> int:
        if column in levels:
            return levels[column][branch[-1]]
        return sum(size[path] for path in live if path[: len(branch)] == branch)

    found = []
    for path in paths:
        share = Fraction(int(path in live))
        for level, column in enumerate(BY[: len(path)]):
            if share:
                branches = {other[: level + 1] for other in live if other[:level] == path[:level]}
                whole = sum(number(column, branch) for branch in branches)
                share *= Fraction(number(column, path[: level + 1]), whole)
        found.append(share)
    return found


@st.composite
def levels(draw: st.DrawFn) -> tuple[list[Path], dict[str, dict[str, int]], list[bool], list[int]]:
    depth = draw(st.integers(1, 3))
    every = st.tuples(*[st.sampled_from("xyz")] * depth)
    paths = sorted(draw(st.sets(every, min_size=1, max_size=12)))
    named = draw(st.sets(st.sampled_from(BY[:depth]), min_size=1))
    numbers = {
        column: {v: draw(st.integers(0, 4)) for v in {path[BY.index(column)] for path in paths}}
        for column in sorted(named)
    }
    more = st.lists(st.booleans(), min_size=len(paths), max_size=len(paths))
    sizes = st.lists(st.integers(1, 50), min_size=len(paths), max_size=len(paths))
    return paths, numbers, draw(more), draw(sizes)


@settings(max_examples=200)
@given(case=levels())
def test_a_share_is_split_from_level_to_level(
    case: tuple[list[Path], dict[str, dict[str, int]], list[bool], list[int]],
) -> None:
    paths, numbers, able, anchors = case
    names = tuple(BY[: len(paths[0])])
    values: tuple[Any, ...] = tuple(paths) if len(names) > 1 else tuple(path[0] for path in paths)
    found = group_weights("weights", numbers, Labels(names, None, values), able, anchors)
    assert list(found) == slow_shares(paths, numbers, able, anchors)
    assert sum(found) in (0, 1)


TABLE = pd.DataFrame(
    {
        "marker": ["A"] * 600 + ["B"] * 200 + ["C"] * 200,
        "experiment": ["e1"] * 300 + ["e2"] * 300 + ["e1"] * 200 + ["e3"] * 200,
    }
)
PAIRS = TABLE.apply(tuple, axis=1)
BY_LEVEL: list[tuple[dict[str, Any], dict[tuple[str, str], float]]] = [
    (
        {"marker": {"A": 1, "B": 1, "C": 2}},
        {("A", "e1"): 1 / 8, ("A", "e2"): 1 / 8, ("B", "e1"): 1 / 4, ("C", "e3"): 1 / 2},
    ),
    (
        {"experiment": {"e1": 1, "e2": 3, "e3": 7}},
        {("A", "e1"): 0.15, ("A", "e2"): 0.45, ("B", "e1"): 0.2, ("C", "e3"): 0.2},
    ),
    (
        {"marker": {"A": 1, "B": 0, "C": 1}, "experiment": {"e1": 0, "e2": 1, "e3": 1}},
        {("A", "e2"): 0.5, ("C", "e3"): 0.5},
    ),
    (
        {"experiment": {"e1": 0, "e2": 1, "e3": 1}},
        {("A", "e2"): 0.6, ("C", "e3"): 0.4},
    ),
]


@pytest.mark.parametrize(("weights", "shares"), BY_LEVEL)
def test_batches_follow_weights_by_level(
    weights: dict[str, Any], shares: dict[tuple[str, str], float]
) -> None:
    plan = BatchPlan(10, grouping=Grouping(["marker", "experiment"], weights=weights))
    held = Counter(PAIRS[batch[0]] for batch in FlexibleBatchSampler.from_plan(TABLE, plan))
    assert sum(held.values()) == 100
    for pair in set(PAIRS):
        exact = 100 * shares.get(pair, 0.0)
        assert floor(exact - 1e-9) <= held[pair] <= ceil(exact + 1e-9)


REFUSED: list[tuple[dict[Any, Any], str]] = [
    ({"market": {"A": 1}}, r"Grouping\.weights names \['market'\].*levels are .*Did you mean 'marker'"),
    ({"marker": {"A": 1}, "experiment": 2}, r"Grouping\.weights\['experiment'\]=2 is not a mapping"),
    ({"marker": {"A": 1}, "experiment": None}, r"gives None for \['experiment'\]; leave a level out"),
    ({"marker": {"A": -1}}, r"Grouping\.weights\['marker'\]\['A'\]=-1\.0 is not a finite number"),
    ({"marker": {"A": 0}}, r"Grouping\.weights\['marker'\]=.* is zero for every value"),
    (
        {"marker": {"A": 1, "b": 1}, "experiment": {"e1": 1, "e4": 1}},
        (
            r"\['marker'\].*'b' is not in the table.*'B' is missing.*'C' is missing.*"
            r"\['experiment'\].*'e4' is not in the table.*'e2' is missing.*'e3' is missing"
        ),
    ),
    (
        {("A", "e1"): 1, ("A", "e3"): 1},
        r"'marker' x 'experiment' once\. \('A', 'e3'\) is not in the table.*\('A', 'e2'\) is missing",
    ),
    (
        {"marker": {"A": 0, "B": 1, "C": 0}, "experiment": {"e1": 0, "e2": 1, "e3": 1}},
        r"Grouping\.weights and Balance\.ratio together leave no group",
    ),
]


@pytest.mark.parametrize(("weights", "match"), REFUSED)
def test_what_is_wrong_with_weights_is_said_together(weights: dict[Any, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        FlexibleBatchSampler.from_plan(
            TABLE, BatchPlan(8, grouping=Grouping(["marker", "experiment"], weights=weights))
        )
