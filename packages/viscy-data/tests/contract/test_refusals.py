"""Bad input is refused at construction: by name and value, with what is allowed and what to do."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from contract_tables import movies, sampler_of, table_of

from viscy_data import (
    AtMost,
    Balance,
    BatchPlan,
    CompositionWarning,
    FlexibleBatchSampler,
    Focus,
    Grouping,
    InvalidInputError,
    Locality,
    Weighting,
)

TABLE = table_of({("a", "x"): 20, ("a", "y"): 20, ("b", "x"): 20, ("b", "y"): 20})
NAN, INF = float("nan"), float("inf")

ARGUMENTS: list[tuple[str, Any, str]] = [
    ("batch_size", 0, r"batch_size=0\b.*integer"),
    ("batch_size", True, "batch_size=True.*integer"),
    ("batch_size", 2.5, r"batch_size=2\.5.*integer"),
    ("batch_size", 81, "batch_size=81 .*80 anchors.*drop_last"),
    ("leaky", 1.0, r"leaky=1\.0.*\[0, 1\)"),
    ("leaky", -0.1, r"leaky=-0\.1.*\[0, 1\)"),
    ("leaky", NAN, r"leaky=nan.*\[0, 1\)"),
    ("temporal_global_fraction", 1.1, r"temporal_global_fraction=1\.1.*\[0, 1\]"),
    ("temporal_global_fraction", NAN, r"temporal_global_fraction=nan.*\[0, 1\]"),
    ("temporal_window_hours", -1, r"temporal_window_hours=-1\b.*finite"),
    ("temporal_window_hours", INF, "temporal_window_hours=inf.*finite"),
    ("experiment_weights", {"a": 1, "b": -1}, r"experiment_weights\['b'\]=-1.*finite number"),
    ("experiment_weights", {"a": 1, "b": INF}, r"experiment_weights\['b'\]=inf.*finite number"),
    ("experiment_weights", {"a": 0, "b": 0}, "experiment_weights=.*zero.*above 0"),
    ("experiment_weights", {"a": 1, "bb": 1}, "experiment_weights.*'bb'.*not in the table.*'b'.*missing"),
    ("experiment_weights", [1, 2], r"experiment_weights=\[1, 2\].*mapping"),
    ("condition_ratio", {"x": NAN, "y": 1}, r"condition_ratio\['x'\]=nan.*finite number"),
    ("condition_ratio", {"x": 0, "y": 0}, "condition_ratio=.*zero.*above 0"),
    ("condition_ratio", {"x": 1, "yy": 1, "q": 2}, "condition_ratio(?=.*'yy')(?=.*'q')(?=.*'y').*missing"),
    ("condition_ratio", 3, "condition_ratio=3 .*mapping"),
    ("experiment_aware", 1, "experiment_aware=1.*True"),
    ("drop_last", "no", "drop_last='no'.*True"),
    ("even_batches", None, "even_batches=None.*True"),
    ("seed", -1, "seed=-1.*integer"),
    ("seed", True, "seed=True.*integer"),
    ("rank", 2, r"rank=2 .*\[0, num_replicas=2\)"),
    ("rank", -1, r"rank=-1"),
    ("num_replicas", 0, "num_replicas=0.*integer"),
]


@pytest.mark.parametrize(("argument", "value", "said"), ARGUMENTS)
def test_a_bad_argument_is_refused_by_its_name_and_value(argument: str, value: Any, said: str) -> None:
    arguments: dict[str, Any] = {"batch_size": 8, "temporal_enrichment": True, argument: value}
    if argument in ("rank", "num_replicas"):
        arguments = {"num_replicas": 2, "rank": 0} | arguments
    with pytest.raises(ValueError, match=said) as caught:
        FlexibleBatchSampler(TABLE, **arguments)
    assert isinstance(caught.value, InvalidInputError)


PLANS: list[tuple[Callable[[], Any], str]] = [
    (lambda: BatchPlan(0), r"BatchPlan\.batch_size=0.*integer"),
    (lambda: BatchPlan(8, span=0), r"BatchPlan\.span=0.*integer"),
    (lambda: BatchPlan(8, span=True), r"BatchPlan\.span=True.*integer"),
    (lambda: BatchPlan(8, grouping="experiment"), r"BatchPlan\.grouping='experiment'.*Grouping"),  # type: ignore[arg-type]
    (lambda: BatchPlan(8, at_most=["lineage_id"]), r"BatchPlan\.at_most.*'lineage_id'.*AtMost"),  # type: ignore[list-item]
    (lambda: BatchPlan(8, at_most=AtMost("x", min_hours=2.0)), r"min_hours=2\.0.*(focus|Focus)"),
    (lambda: Grouping(3), r"Grouping\.by=3.*column"),  # type: ignore[arg-type]
    (lambda: Grouping([]), r"Grouping\.by=\[\].*column"),
    (lambda: Grouping(["a", "a"]), r"Grouping\.by=.*column"),
    (lambda: Grouping("a", leak=1), r"Grouping\.leak=1\b.*\[0, 1\)"),
    (lambda: Grouping("a", weights={"b": {"x": 1}}), r"Grouping\.weights.*'b'.*'a'"),
    (lambda: Balance("a", ratio={"x": -1}), r"Balance\.ratio\['x'\]=-1.*finite"),
    (lambda: Balance("a", ratio="naturel"), r"Balance\.ratio='naturel'.*'natural'"),  # type: ignore[arg-type]
    (lambda: Focus(3), r"Focus\.by=3.*column"),  # type: ignore[arg-type]
    (lambda: Focus("h", times="distinct"), r"Focus\.times='distinct'.*'uniform'.*'by_anchor'"),  # type: ignore[arg-type]
    (lambda: Focus("h", window_hours=-1), r"Focus\.window_hours=-1.*finite"),
    (lambda: Focus("h", global_fraction=2), r"Focus\.global_fraction=2.*\[0, 1\]"),
    (lambda: AtMost("x", 0), r"AtMost\.count=0.*integer"),
    (lambda: AtMost("x", True), r"AtMost\.count=True.*integer"),
    (lambda: AtMost("x", min_hours=-2), r"AtMost\.min_hours=-2.*finite"),
    (lambda: AtMost(None), r"AtMost\.by=None.*column"),  # type: ignore[arg-type]
    (lambda: Weighting(3), r"Weighting\.by=3.*column"),  # type: ignore[arg-type]
    (Locality, r"Locality\.frames=None, Locality\.fovs=None.*one of the two"),
    (lambda: Locality(frames=3, fovs=3), "one of the two"),
    (lambda: Locality(frames=0), r"Locality\.frames=0.*integer"),
    (lambda: Locality(fovs=2, hold=0), r"Locality\.hold=0.*integer"),
]


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_what_is_wrong_with_a_plan_alone_is_refused_where_it_is_made(number: int) -> None:
    make, said = PLANS[number]
    with pytest.raises(InvalidInputError, match=said):
        make()


def test_a_first_argument_that_is_no_table_and_a_plan_that_is_none_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"valid_anchors.*int.*table"):
        FlexibleBatchSampler(128)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InvalidInputError, match=r"plan=8\b.*BatchPlan"):
        FlexibleBatchSampler.from_plan(TABLE, 8)  # type: ignore[arg-type]  # what is refused


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"empty|no anchors|no rows"):
        FlexibleBatchSampler(TABLE.iloc[:0], 8, drop_last=False)


def test_a_leak_with_one_group_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"leaky=0\.2 .*two groups.*'a'"):
        FlexibleBatchSampler(TABLE[TABLE["experiment"] == "a"], 8, leaky=0.2)


MISSING = [
    (BatchPlan(8, balance=Balance("well")), "balance", "well"),
    (BatchPlan(8, grouping=Grouping(["experiment", "plate"])), "grouping", "plate"),
    (BatchPlan(8, focus=Focus("hours_post_infektion")), "focus", "hours_post_infection"),
    (BatchPlan(8, at_most=AtMost("lineage")), "at_most", "lineage"),
    (BatchPlan(8, weighting=Weighting("wieght")), "weighting", "wieght"),
    (BatchPlan(8, locality=Locality(frames=3)), "locality", "fov"),
]


@pytest.mark.parametrize("number", range(len(MISSING)))
def test_a_missing_column_names_the_axis_that_needs_it_and_the_columns_there_are(number: int) -> None:
    plan, axis, column = MISSING[number]
    with pytest.raises(InvalidInputError, match=rf"(?s){axis}.*{column}") as caught:
        sampler_of(TABLE, plan)
    assert "'condition'" in str(caught.value)


@pytest.mark.parametrize(
    "column", ["experiment", "condition", "hours_post_infection", "weight", "track", "fov"]
)
def test_missing_values_are_counted_and_their_first_rows_named(column: str) -> None:
    table = movies(0)
    table[column] = table[column].astype(object if table[column].dtype != "float32" else "float32")
    table.loc[[3, 17], column] = None
    plan = BatchPlan(
        8,
        grouping=Grouping("experiment"),
        balance=Balance("condition"),
        focus=Focus("hours_post_infection"),
        weighting=Weighting("weight"),
        at_most=AtMost("track"),
        locality=Locality(frames=30),
    )
    with pytest.raises(InvalidInputError, match=rf"(?s)'{column}'.*\b2\b.*\[3, 17\]"):
        sampler_of(table, plan)


@pytest.mark.parametrize("weight", [0.0, -1.0, INF])
def test_weights_of_anchors_are_finite_numbers_above_zero(weight: float) -> None:
    table = TABLE.assign(weight=1.0)
    table.loc[7, "weight"] = weight
    with pytest.raises(InvalidInputError, match=r"(?s)'weight'.*\b7\b"):
        sampler_of(table, BatchPlan(8, weighting=Weighting("weight")))


def test_a_clock_is_a_column_of_numbers_and_messages_name_it_without_hours() -> None:
    table = pd.DataFrame({"age": ["young", "old"] * 10, "dpi": [1.0, np.inf] * 10})
    for clock in ("age", "dpi"):
        with pytest.raises(InvalidInputError, match=f"'{clock}'") as caught:
            sampler_of(table, BatchPlan(4, focus=Focus(clock)))
        assert "hour" not in str(caught.value).replace("window_hours", "")


def test_plans_that_ask_for_nothing_of_any_group_are_refused() -> None:
    table = table_of({("a", "x"): 20, ("b", "y"): 20})
    plan = BatchPlan(
        4,
        grouping=Grouping("experiment", weights={"a": 1, "b": 0}),
        balance=Balance("condition", ratio={"x": 0, "y": 1}),
    )
    with pytest.raises(
        InvalidInputError, match=r"Grouping\.weights.*Balance\.ratio|Balance\.ratio.*Grouping"
    ):
        sampler_of(table, plan)


@pytest.mark.parametrize("number", [-1, 1.5, True, "2"])
def test_epochs_and_numbers_are_whole(number: Any) -> None:
    sampler = FlexibleBatchSampler(TABLE, 8)
    with pytest.raises(InvalidInputError, match=r"epoch=.*integer"):
        sampler.set_epoch(number)
    with pytest.raises(InvalidInputError, match=r"number=.*integer"):
        sampler.batch(number)


@pytest.mark.parametrize("kind", ["category", "object", "string", "string[pyarrow]"])
def test_columns_of_any_kind_will_do_and_warn_of_nothing(kind: str) -> None:
    table = TABLE.astype({"experiment": kind, "condition": kind})
    if kind == "category":
        table["condition"] = table["condition"].cat.add_categories("never")
    with warnings.catch_warnings():
        warnings.simplefilter("error", CompositionWarning)
        sampler = FlexibleBatchSampler(table, 8, condition_ratio={"x": 1, "y": 3})
    held = table["condition"].iloc[sampler.batch(0)].value_counts()
    assert held[["x", "y"]].tolist() == [2, 6]


def test_a_cell_smaller_than_its_share_is_said_once_with_its_size() -> None:
    table = table_of({("a", "x"): 3, ("a", "y"): 40, ("b", "x"): 40, ("b", "y"): 40})
    with pytest.warns(CompositionWarning, match=r"a / x.*\b3\b") as caught:
        FlexibleBatchSampler(table, 8)
    assert len(caught) == 1
