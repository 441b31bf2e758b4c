"""What `FlexibleBatchSampler` refuses at construction, in the names of its own arguments."""

from typing import Any

import pandas as pd
import pytest
from sampling_cases import make_table, quiet_sampler

from viscy_data.composition import Balance, BatchPlan
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.sampler import FlexibleBatchSampler

TABLE = make_table({("a", "x"): 20, ("a", "y"): 20, ("b", "x"): 20, ("b", "y"): 20})
NAN = float("nan")


@pytest.mark.parametrize(
    ("argument", "value", "match"),
    [
        ("batch_size", 0, "batch_size=0 is not an integer >= 1"),
        ("batch_size", True, "batch_size=True is not an integer"),
        ("batch_size", 2.5, r"batch_size=2\.5 is not an integer"),
        ("batch_size", 81, "batch_size=81 is more than the table's 80 anchors"),
        ("leaky", 1.0, r"leaky=1\.0 is outside \[0, 1\)"),
        ("leaky", -0.1, r"leaky=-0\.1 is outside"),
        ("leaky", NAN, "leaky=nan is outside"),
        ("temporal_global_fraction", 1.1, r"temporal_global_fraction=1\.1 is outside \[0, 1\]"),
        ("temporal_global_fraction", NAN, "temporal_global_fraction=nan is outside"),
        ("temporal_window_hours", -1, "temporal_window_hours=-1 is not a finite number of hours"),
        ("temporal_window_hours", float("inf"), "temporal_window_hours=inf is not a finite"),
        (
            "experiment_weights",
            {"a": 1, "b": -1},
            r"experiment_weights\['b'\]=-1\.0 is not a finite number >= 0",
        ),
        ("experiment_weights", {"a": 0, "b": 0}, "experiment_weights=.* is zero for every value"),
        (
            "experiment_weights",
            {"a": 1, "bb": 1},
            "experiment_weights=.*'bb' is not in the table.*'b' is missing",
        ),
        ("condition_ratio", {"x": NAN, "y": 1}, r"condition_ratio\['x'\]=nan"),
        ("condition_ratio", {"x": 0, "y": 0}, "condition_ratio=.* is zero for every value"),
        (
            "condition_ratio",
            {"x": 1, "why": 1},
            "condition_ratio=.*'why' is not in the table.*Did you mean 'y'|'y' is missing",
        ),
        ("experiment_aware", 1, "experiment_aware=1 is neither True nor False"),
        ("drop_last", "no", "drop_last='no' is neither"),
        ("even_batches", None, "even_batches=None is neither"),
        ("seed", -1, "seed=-1 is not an integer >= 0"),
        ("seed", True, "seed=True is not an integer"),
        ("rank", 2, r"rank=2 is outside \[0, num_replicas="),
        ("num_replicas", 0, "num_replicas=0 is not an integer"),
    ],
)
def test_bad_arguments_are_refused_by_name(argument: str, value: Any, match: str) -> None:
    arguments: dict[str, Any] = {"batch_size": 8, "temporal_enrichment": True, argument: value}
    if argument in ("rank", "num_replicas"):
        arguments = {"num_replicas": 2, "rank": 0} | arguments
    with pytest.raises(ValueError, match=match) as caught:
        FlexibleBatchSampler(TABLE, **arguments)
    assert isinstance(caught.value, InvalidInputError)


def test_a_leak_with_one_experiment_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"leaky=0\.2 needs at least two groups.*'a'"):
        FlexibleBatchSampler(TABLE[TABLE["experiment"] == "a"], 8, leaky=0.2)


def test_a_table_comes_first_and_a_plan_second() -> None:
    with pytest.raises(InvalidInputError, match="valid_anchors is a int, not a table"):
        FlexibleBatchSampler(128)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InvalidInputError, match="plan=8 is not a BatchPlan"):
        FlexibleBatchSampler.from_plan(TABLE, 8)  # type: ignore[arg-type]  # what is refused


def test_columns_are_asked_for_in_the_words_of_the_arguments() -> None:
    with pytest.raises(InvalidInputError, match="condition_balanced needs the column 'condition'"):
        FlexibleBatchSampler(TABLE.drop(columns="condition"), 8)
    with pytest.raises(InvalidInputError, match=r"plan\.balance needs the column 'well'"):
        FlexibleBatchSampler.from_plan(TABLE, BatchPlan(8, balance=Balance("well")))


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "another seed: seed=0 there, 1 here"),
    ({"drop_last": False}, "another drop_last"),
    ({"batch_size": 9}, "another plan"),
    ({"leaky": 0.5}, "another plan"),
    ({"condition_ratio": {"x": 1, "y": 2}}, "another plan"),
    ({"temporal_enrichment": True}, "another plan and table"),
    ({"seed": 3, "drop_last": False}, "another seed and drop_last"),
]


@pytest.mark.parametrize(("other", "match"), OTHERS)
def test_states_of_other_samplers_are_refused(other: dict[str, Any], match: str) -> None:
    state = quiet_sampler(TABLE, batch_size=8).state_dict()
    sampler = quiet_sampler(TABLE, **({"batch_size": 8} | other))
    with pytest.raises(
        InvalidInputError, match=rf"The state is of {match}.*Fingerprints: \w+ there, \w+ here"
    ):
        sampler.load_state_dict(state)


def test_states_of_other_tables_are_refused() -> None:
    state = quiet_sampler(TABLE, batch_size=8).state_dict()
    changed = TABLE.assign(condition=TABLE["condition"].replace("x", "z"))
    for table in (TABLE.iloc[:-1], TABLE.iloc[::-1], changed):
        with pytest.raises(InvalidInputError, match=r"The state is of another .*table"):
            quiet_sampler(table, batch_size=8).load_state_dict(state)


def test_a_state_that_is_none_is_refused() -> None:
    sampler = quiet_sampler(TABLE, batch_size=8)
    with pytest.raises(InvalidInputError, match=r"lacks \['epoch', 'position'"):
        sampler.load_state_dict({})


@pytest.mark.parametrize("number", [-1, 1.5, True])
def test_epochs_and_numbers_are_whole(number: Any) -> None:
    sampler = quiet_sampler(TABLE, batch_size=8)
    with pytest.raises(InvalidInputError, match=r"epoch=.* is not an integer >= 0"):
        sampler.set_epoch(number)
    with pytest.raises(InvalidInputError, match=r"number=.* is not an integer >= 0"):
        sampler.batch(number)


def test_categorical_columns_with_unused_categories_are_fine() -> None:
    table = TABLE.assign(condition=pd.Categorical(TABLE["condition"], categories=["x", "never", "y"]))
    sampler = FlexibleBatchSampler(table, 8, condition_ratio={"x": 1, "y": 3})
    assert table["condition"].iloc[sampler.batch(0)].value_counts()[["x", "y"]].tolist() == [2, 6]


@pytest.mark.parametrize("name", ["epoch", "position"])
@pytest.mark.parametrize("value", [-1, 1.5, "2", True])
def test_a_state_of_odd_numbers_is_refused(name: str, value: Any) -> None:
    sampler = quiet_sampler(TABLE, batch_size=8)
    with pytest.raises(ValueError, match=rf"state\['{name}'\]={value!r} is not an integer >= 0"):
        sampler.load_state_dict(sampler.state_dict() | {name: value})
    assert sampler.state_dict()["position"] == 0
