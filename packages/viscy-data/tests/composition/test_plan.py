"""Plans refuse what is wrong with them alone."""

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contract_tables import sampler_of

from viscy_data.composition import AtMost, Balance, BatchPlan, Distinct, Focus, Grouping
from viscy_data.errors import InvalidInputError

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("size", [0, -1, True, False, 2.0, "8", None, NAN])
def test_a_batch_size_is_a_positive_integer(size: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"BatchPlan\.batch_size=.* is not an integer >= 1"):
        BatchPlan(size)


def test_integers_of_numpy_are_integers() -> None:
    size: Any = np.int32(8)
    plan = BatchPlan(size)
    assert type(plan.batch_size) is int


@pytest.mark.parametrize("leak", [-0.1, 1.0, 1.5, NAN, INFINITE, "a", None, True])
def test_a_leak_is_a_fraction_below_one(leak: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"Grouping\.leak=.*(is outside \[0, 1\)|is not a number)"):
        Grouping("experiment", leak=leak)


@pytest.mark.parametrize("fraction", [-0.1, 1.01, NAN, "a", None, True])
def test_a_global_fraction_is_a_fraction(fraction: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"Focus\.global_fraction=.*(\[0, 1\]|not a number)"):
        Focus("hours", global_fraction=fraction)


@pytest.mark.parametrize("window", [-1, NAN, INFINITE, "a", None, False])
def test_a_window_is_finite_hours(window: Any) -> None:
    with pytest.raises(
        InvalidInputError, match=r"Focus\.window_hours=.*(finite number >= 0|is not a number)"
    ):
        Focus("hours", window_hours=window)


@pytest.mark.parametrize("value", ["distinct", "", None, 1, ["uniform"]])
def test_focal_times_are_drawn_in_one_of_two_ways(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"Focus\.times=.*: allowed is 'uniform', 'by_anchor'\."):
        Focus("hours", times=value)


RATIOS = [
    ({"a": -1.0}, r"\['a'\]=-1\.0 is not a finite number >= 0"),
    ({"a": NAN}, "is not a finite number"),
    ({"a": 1, "b": INFINITE}, r"\['b'\]=inf is not a finite"),
    ({"a": 0, "b": 0.0}, "is zero for every value; give at least one above 0"),
    ({}, "is zero for every value"),
    ({"a": "1"}, r"\['a'\]='1' is not a number"),
    ({"a": True}, r"\['a'\]=True is not a number"),
    ([1, 2], "is not a mapping"),
]


@pytest.mark.parametrize(("numbers", "match"), RATIOS)
def test_weights_and_ratios_are_finite_and_not_all_zero(numbers: Any, match: str) -> None:
    with pytest.raises(InvalidInputError, match=r"Grouping\.weights.*" + match):
        Grouping("experiment", weights=numbers)
    with pytest.raises(InvalidInputError, match=r"Balance\.ratio.*" + match):
        Balance("condition", ratio=numbers)


@pytest.mark.parametrize("by", [(), [], 3, None, ["a", 3], ["a", "a"], {"a": 1}])
def test_an_axis_is_by_one_column_or_several(by: Any) -> None:
    for axis in (Grouping, Balance, AtMost):
        with pytest.raises(InvalidInputError, match=r"\.by=.*column name"):
            axis(by)


def test_the_clock_is_one_column() -> None:
    with pytest.raises(InvalidInputError, match=r"Focus\.by=\('a',\) is not a column name"):
        Focus(("a",))  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize(
    ("name", "value"), [("grouping", "experiment"), ("balance", Grouping("a")), ("focus", 2.0)]
)
def test_axes_are_of_their_kinds(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"BatchPlan\.{name}=.* is neither None nor a"):
        BatchPlan(8, **{name: value})


@pytest.mark.parametrize("caps", ["lineage", [Grouping("a")], 3, {"by": "a"}])
def test_caps_are_caps(caps: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"BatchPlan\.at_most=.*an AtMost or several are allowed"):
        BatchPlan(8, at_most=caps)


def test_one_cap_is_a_tuple_of_one() -> None:
    assert BatchPlan(8, at_most=Distinct("lineage")) == BatchPlan(8, at_most=[AtMost("lineage", 1)])


def test_a_cap_in_hours_needs_a_clock_and_takes_one_without_a_window() -> None:
    cap = AtMost("lineage", min_hours=2)
    with pytest.raises(
        InvalidInputError, match=r"AtMost\.min_hours=2\.0 needs a clock; give BatchPlan\.focus"
    ):
        BatchPlan(8, at_most=cap)
    assert BatchPlan(8, at_most=cap, focus=Focus("age", global_fraction=1)).columns == ("age", "lineage")


def test_columns_are_named_once_and_only_by_axes_that_are_on() -> None:
    assert BatchPlan(2).columns == ()
    plan = BatchPlan(
        2, grouping=Grouping(["experiment", "well"]), balance=Balance("well"), focus=Focus("hours")
    )
    assert plan.columns == ("experiment", "well", "hours")


def test_a_plan_does_not_follow_changes_of_what_it_was_given() -> None:
    weights = {"a": 1.0}
    grouping = Grouping("experiment", weights=weights)
    weights["a"] = 5.0
    assert grouping.weights == {"a": 1.0}


@pytest.mark.parametrize("kind", [int, float, Fraction, np.int64, np.float32, np.float64, np.uint8])
def test_numbers_of_any_kind_are_numbers(kind: Any) -> None:
    table = pd.DataFrame({"plate": [1, 1, 1, 2, 2, 2, 2, 2, 2], "stain": ["x", "y", "y"] * 3})
    samplers = [
        sampler_of(
            table,
            BatchPlan(
                3,
                grouping=Grouping("plate", weights={1: one(3), 2: one(200)}),
                balance=Balance("stain", ratio={"x": one(1), "y": one(250)}),
            ),
        )
        for one in (kind, int)
    ]
    batches = [[sampler.batch(b, epoch=e) for b in range(3) for e in range(6)] for sampler in samplers]
    assert batches[0] == batches[1]
    assert samplers[0].state_dict() == samplers[1].state_dict()
