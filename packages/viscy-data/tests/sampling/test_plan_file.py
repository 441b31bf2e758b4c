"""Plan files: schedules are written and read again; what is wrong is named with its file and key."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.composition import Balance, BatchPlan, Distinct, Focus, Grouping, Schedule
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.plan_file import change_plan, read_plan

BASE = BatchPlan(8)


def written(value: Any) -> Any:
    """Write a part of a plan as a plan file holds it."""
    if isinstance(value, Schedule):
        return {"schedule": {"points": dict(value.pairs), "unit": value.unit, "shape": value.shape}}
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: written(getattr(value, one.name)) for one in fields(value)}
    return list(value) if isinstance(value, tuple) else value


def scheduled[T](values: st.SearchStrategy[T]) -> st.SearchStrategy[T | Schedule]:
    position = st.floats(0, 1000)
    points = st.dictionaries(position, values, min_size=1, max_size=4)
    units, shapes = st.sampled_from(["epochs", "batches"]), st.sampled_from(["linear", "cosine"])
    return values | st.builds(lambda p, u, s: Schedule(p, unit=u, shape=s), points, units, shapes)


SHARES = st.fixed_dictionaries({"x": st.floats(0.1, 9), "schedule": st.integers(0, 4)})
LEVELS = st.just({"experiment": {"a": 1, "b": 2}})
PLANS = st.builds(
    BatchPlan,
    st.integers(1, 99),
    grouping=st.none()
    | st.builds(
        Grouping,
        st.just(("experiment", "marker")),
        weights=scheduled(st.none() | LEVELS),
        leak=scheduled(st.floats(0, 0.9)),
    ),
    balance=st.none()
    | st.builds(Balance, st.just("condition"), ratio=scheduled(st.none() | st.just("natural") | SHARES)),
    focus=st.none()
    | st.builds(Focus, st.just("t"), window_hours=scheduled(st.floats(0, 9)), global_fraction=st.just(0.5)),
    distinct=st.none() | st.builds(Distinct, st.just("lineage_id")),
)


@given(plan=PLANS)
def test_a_plan_that_is_written_is_read_again(plan: BatchPlan) -> None:
    assert change_plan(BASE, yaml.safe_load(yaml.safe_dump(written(plan)))) == plan


def test_a_file_holds_schedules(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "grouping: {leak: {schedule: {points: {0: 0.0, 20: 0.3}, shape: cosine}}}\n"
        "balance: {ratio: {schedule: {points: {0: natural, 10: null}}}}\n"
        "focus: {window_hours: {schedule: {points: [[0, 8], [500, 2]], unit: batches}}}\n"
    )
    plan = read_plan(path, BASE)
    assert plan.grouping == Grouping("experiment", leak=Schedule({0: 0.0, 20: 0.3}, shape="cosine"))
    assert plan.balance == Balance("condition", ratio=Schedule({0: "natural", 10: None}))
    assert plan.focus == Focus("hours_post_infection", window_hours=Schedule({0: 8, 500: 2}, unit="batches"))


def test_a_condition_may_be_called_schedule() -> None:
    found = change_plan(BASE, {"balance": {"ratio": {"schedule": 2}}}).balance
    assert found == Balance("condition", ratio={"schedule": 2})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{leek: 0.2}", r"'grouping' has no 'leek'.*Did you mean 'leak'"),
        ("{leak: {schedule: {point: {0: 1}}}}", r"The schedule of 'grouping\.leak' has no 'point'.*'points'"),
        ("{leak: {schedule: {unit: epochs}}}", r"The schedule of 'grouping\.leak' lacks 'points'"),
        (
            "{leak: {schedule: {points: {a: 0.1}}}}",
            r"grouping\.leak: Schedule\.points holds the position 'a'",
        ),
        ("{leak: {schedule: {points: {0: 0.1}, unit: hours}}}", r"grouping\.leak: Schedule\.unit='hours'"),
        (
            "{leak: {schedule: {points: {0: 0.1, 5: 1.5}}}}",
            r"Grouping\.leak at 5 epochs=1\.5 is outside \[0, 1\)",
        ),
        ("{leak: {schedule: 0.3}}", r"Grouping\.leak=\{'schedule': 0\.3\} is not a number"),
        ("{weights: {schedule: {points: {0: {a: -1}}}}}", r"Schedule\.points at 0=\{'a': -1\}"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "later.yaml"
    path.write_text(f"grouping: {text}\n")
    with pytest.raises(InvalidInputError, match=f"later\\.yaml: .*{match}"):
        read_plan(path, BASE)
