"""Weights of groups of several columns: by combination and by level, against a slow reading."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, epoch_of, quiet_sampler_of

from viscy_data.composition import Balance, BatchPlan, Grouping, Labels
from viscy_data.composition.weights import group_weights
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.sampler import FlexibleBatchSampler

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


def two_columns(case: Case) -> pd.DataFrame:
    """Split the name of an experiment in two columns, so that their order is that of the names."""
    number = case.table["experiment"].str[1:].astype(int)
    return case.table.assign(
        marker="m" + (number // 3).astype(str), experiment="e" + (number % 3).astype(str), both=number
    )


@settings(max_examples=40)
@given(case=cases(), weigh=st.booleans())
def test_combinations_are_groups_like_any_other(case: Case, weigh: bool) -> None:
    """Grouping by two columns gives the batches of grouping by one that numbers their combinations."""
    table = two_columns(case)
    columns = [table[name].tolist() for name in ("both", "marker", "experiment")]
    pairs = {both: (marker, experiment) for both, marker, experiment in zip(*columns, strict=True)}
    numbers = {both: 1 + both % 4 for both in sorted(pairs)} if weigh else None
    by_pair = {pairs[both]: number for both, number in numbers.items()} if numbers else None
    balance = Balance("condition") if case.asked.balanced else None
    leak = case.asked.leaky if case.asked.ratio is None and len(pairs) > 1 else 0.0
    size = case.asked.batch_size
    ways: list[tuple[Any, Any]] = [("both", numbers), (["marker", "experiment"], by_pair)]
    plans = [
        BatchPlan(size, grouping=Grouping(by, weights=weights, leak=leak), balance=balance)
        for by, weights in ways
    ]
    one, two = (
        quiet_sampler_of(table, plan, seed=case.seed, drop_last=case.asked.drop_last) for plan in plans
    )
    assert epoch_of(one, 1) == epoch_of(two, 1)


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


def test_one_column_has_one_level() -> None:
    weights = {"A": 1.0, "B": 2.0, "C": 3.0}
    flat, level = (
        FlexibleBatchSampler.from_plan(TABLE, BatchPlan(10, grouping=Grouping("marker", weights=given)))
        for given in (weights, {"marker": weights})
    )
    assert list(flat) == list(level)
