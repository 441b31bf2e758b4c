"""Exact shares of a plan on a table, and everything refused between the two."""

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from viscy_data.composition import AnchorLayout, Balance, BatchPlan, Grouping, Labels
from viscy_data.composition.shares import TableShares
from viscy_data.errors import CompositionWarning, InvalidInputError

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
        shares = TableShares.of(plan, layout_of(cells))
    assert {warning.category for warning in caught} <= {CompositionWarning}
    return shares, [str(warning.message) for warning in caught]


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
