"""From columns to codes: dtypes do not matter, and bad tables are refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.composition import Balance, BatchPlan, Focus, Grouping
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.labels import MOST_STRATA, layout_of
from viscy_data.sampling.sampler import FlexibleBatchSampler

AXES = {"grouping": "experiment_aware", "balance": "condition_balanced", "focus": "temporal_enrichment"}
PLAN = BatchPlan(2, grouping=Grouping("experiment"), balance=Balance("condition"), focus=Focus("hours"))


def table_of(**columns: Any) -> pd.DataFrame:
    plain = {"experiment": ["a", "b", "a", "b"], "condition": ["x", "x", "y", "y"], "hours": [0.0, 1, 2, 3]}
    return pd.DataFrame(plain | columns)


@given(names=st.lists(st.sampled_from(["b", "a", "c", "B", "10", "9"]), min_size=1, max_size=30))
def test_codes_are_of_sorted_values_whatever_the_dtype(names: list[str]) -> None:
    plan = BatchPlan(1, grouping=Grouping("name"))
    series = pd.Series(names, name="name")
    values = sorted(set(names))
    dtypes: list[Any] = [
        object,
        "str",
        "string",
        "string[pyarrow]",
        pd.CategoricalDtype([*reversed(values), "z"]),
    ]
    layouts = [layout_of(series.astype(dtype).to_frame(), plan, AXES) for dtype in dtypes]
    for layout in layouts:
        assert layout.groups.values == tuple(values)
        assert all(type(value) is str for value in layout.groups.values)
        assert layout.rows.tolist() == sorted(range(len(names)), key=lambda row: (names[row], row))


def test_several_columns_are_the_combinations_that_occur() -> None:
    table = pd.DataFrame({"p": [2, 1, 2, 1, 2], "q": ["y", "x", "x", "x", "y"]})
    layout = layout_of(table, BatchPlan(1, grouping=Grouping(["p", "q"])), AXES)
    assert layout.groups.values == ((1, "x"), (2, "x"), (2, "y"))
    assert layout.size.tolist() == [[2, 1, 2]]


def test_a_balance_of_ids_is_refused_with_what_to_do_instead() -> None:
    plan = BatchPlan(2, balance=Balance("condition"))
    most = pd.DataFrame({"condition": np.arange(MOST_STRATA)})
    assert len(layout_of(most, plan, AXES).strata.values) == MOST_STRATA
    more = pd.DataFrame({"condition": np.arange(MOST_STRATA + 1)})
    with pytest.raises(InvalidInputError, match=r"=condition: 4,097 values .* at most 4,096; .*weights"):
        layout_of(more, plan, AXES)


def test_combinations_are_not_joined_texts() -> None:
    table = pd.DataFrame({"p": ["a_b", "a"], "q": ["c", "b_c"]})
    assert len(layout_of(table, BatchPlan(1, grouping=Grouping(["p", "q"])), AXES).groups.values) == 2


@pytest.mark.parametrize("table", [None, [1, 2], {"experiment": ["a"]}, np.zeros(3), pd.Series([1])])
def test_what_is_no_table_is_refused(table: Any) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"valid_anchors is a {type(table).__name__}, not a table; give"
    ):
        layout_of(table, PLAN, AXES)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="valid_anchors holds no rows"):
        layout_of(table_of().iloc[:0], PLAN, AXES)


def test_missing_columns_name_their_axes_and_the_columns_there_are() -> None:
    table = table_of().rename(columns={"experiment": "experimnt", "hours": "t"})
    with pytest.raises(InvalidInputError) as caught:
        layout_of(table, PLAN, AXES)
    text = str(caught.value)
    for part in (
        "experiment_aware needs the column 'experiment'",
        "the table has ['experimnt', 'condition', 't']. Did you mean 'experimnt'?",
        "temporal_enrichment needs the column 'hours'",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("experiment", ["a", None, "b", None]),
        ("experiment", pd.array(["a", None, "b", None], dtype="string")),
        ("experiment", pd.array(["a", None, "b", None], dtype="string[pyarrow]")),
        ("experiment", pd.Categorical(["a", None, "b", None])),
        ("condition", ["x", np.nan, "x", np.nan]),
        ("hours", [0.0, np.nan, 1.0, np.nan]),
        ("hours", pd.array([0.0, None, 1.0, None], dtype="Float32")),
        ("hours", pd.array([0.0, None, 1.0, None], dtype="double[pyarrow]")),
    ],
)
def test_missing_values_are_counted_and_placed(column: str, values: Any) -> None:
    with pytest.raises(
        InvalidInputError,
        match=rf"needs the column '{column}', but 2 of its values are missing \(first rows: \[1, 3\]\)",
    ):
        layout_of(table_of(**{column: values}), PLAN, AXES)


def test_columns_of_axes_that_are_off_may_hold_anything() -> None:
    table = table_of(condition=[None] * 4, hours=[None] * 4)
    assert len(layout_of(table, BatchPlan(2, grouping=Grouping("experiment")), AXES)) == 4


@pytest.mark.parametrize(
    "values", [["0", "1", "2", "3"], [True, False, True, True], pd.to_datetime(["2024"] * 4)]
)
def test_hours_are_numbers(values: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"'hours' holds .*, not times as numbers"):
        layout_of(table_of(hours=values), PLAN, AXES)


def test_hours_are_finite() -> None:
    with pytest.raises(
        InvalidInputError, match=r"'hours' holds 1 values that are not finite \(first rows: \[2\]\)"
    ):
        layout_of(table_of(hours=[0.0, 1.0, np.inf, 2.0]), PLAN, AXES)


@pytest.mark.parametrize(
    "dtype", ["int16", "float32", "float64", "Int32", "Float64", "int64[pyarrow]", "float[pyarrow]"]
)
def test_hours_of_any_numeric_dtype_are_the_same(dtype: str) -> None:
    hours = pd.Series([3.0, 1.0, 2.0, 1.0]).astype(dtype)  # type: ignore[call-overload]  # names of dtypes
    layout = layout_of(table_of(hours=hours), PLAN, AXES)
    assert layout.clock is not None
    times = layout.clock.time_of(np.arange(4))
    assert times[np.argsort(layout.rows)].tolist() == [3.0, 1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("column", "key"),
    [("hours_post_infection", "interval_minutes and start_hpi"), ("condition", "condition_wells")],
)
def test_a_missing_hour_or_condition_names_the_experiment_and_the_key_to_set(column: str, key: str) -> None:
    table = pd.DataFrame(
        {
            "experiment": ["a", "b\n", "b\n", "c"],
            "condition": ["x", "y", "x", "y"],
            "hours_post_infection": [0.0, 1.0, 2.0, 3.0],
        }
    )
    table.loc[[1, 2], column] = np.nan
    with pytest.raises(InvalidInputError) as caught:
        FlexibleBatchSampler(table, 2, temporal_enrichment=True)
    said = str(caught.value)
    assert f"set {key} of experiment 'b\\n' in the experiments file and index again" in said
    with pytest.raises(InvalidInputError, match=f"set {key} of each experiment that lacks it"):
        FlexibleBatchSampler(
            table.drop(columns="experiment"), 2, experiment_aware=False, temporal_enrichment=True
        )


@pytest.mark.parametrize("plan", [BatchPlan(1, grouping=Grouping("x")), BatchPlan(1, focus=Focus("x"))])
def test_a_column_that_is_there_twice_is_refused(plan: BatchPlan) -> None:
    twice = pd.DataFrame(np.ones((4, 2)), columns=["x", "x"])
    levels = pd.DataFrame({("x", "a"): [1, 2], ("x", "b"): [1, 2]})
    for table in (twice, levels):
        with pytest.raises(InvalidInputError, match="needs one column 'x', but the table has 2; keep one"):
            layout_of(table, plan, AXES)


@pytest.mark.parametrize("values", [[[1], [2]], [{}, {}], [np.ones(2), np.ones(2)]])
def test_values_that_cannot_be_told_apart_are_refused(values: Any) -> None:
    table = pd.DataFrame({"x": pd.Series(values, dtype=object), "y": [1, 2]})
    for by in ("x", ["y", "x"]):
        with pytest.raises(InvalidInputError, match="column 'x' holds values that cannot be told apart"):
            layout_of(table, BatchPlan(1, grouping=Grouping(by)), AXES)


def test_hours_are_real() -> None:
    with pytest.raises(InvalidInputError, match="'hours' holds complex128, not times as numbers"):
        layout_of(table_of(hours=[1j, 2, 3, 4]), PLAN, AXES)
