"""Plan files: plans and curricula are written and read again; what is wrong is named with its file."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.composition import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    Focus,
    Grouping,
    Locality,
)
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.plan_file import change_plan, read_plan

BASE = BatchPlan(8)


def written(value: Any) -> Any:
    """Write a part of a plan as a plan file holds it."""
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: written(getattr(value, one.name)) for one in fields(value)}
    return [written(one) for one in value] if isinstance(value, tuple) else value


SHARES = st.fixed_dictionaries({"x": st.floats(0.1, 9), "stages": st.integers(0, 4)})
LEVELS = st.just({"experiment": {"a": 1, "b": 2}})
CAPS = st.builds(AtMost, st.sampled_from(["lineage_id", "well"]), st.integers(1, 5))
PLANS = st.builds(
    BatchPlan,
    st.integers(1, 99),
    grouping=st.none()
    | st.builds(
        Grouping,
        st.just(("experiment", "marker")),
        weights=st.none() | LEVELS,
        leak=st.floats(0, 0.9),
    ),
    balance=st.none()
    | st.builds(Balance, st.just("condition"), ratio=st.none() | st.just("natural") | SHARES),
    focus=st.none()
    | st.builds(Focus, st.just("t"), window_hours=st.floats(0, 9), global_fraction=st.just(0.5)),
    at_most=st.lists(CAPS, max_size=2),
    locality=st.none() | st.builds(lambda hold: Locality(frames=8, hold=hold), st.integers(1, 4)),
    span=st.integers(1, 4),
)


@given(plan=PLANS)
def test_a_plan_that_is_written_is_read_again(plan: BatchPlan) -> None:
    content = written(plan)
    if plan.locality is not None:
        content["locality"].pop("fovs")
    assert change_plan(BASE, yaml.safe_load(yaml.safe_dump(content))) == plan


def test_a_file_with_stages_is_a_curriculum(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "balance: {ratio: natural}\n"
        "grouping: {leak: 0.1}\n"
        "stages:\n"
        "  0: {focus: {window_hours: 8}}\n"
        "  500: {focus: {window_hours: 2}, grouping: {leak: 0.3}}\n"
    )
    found = read_plan(path, BASE)
    balance = Balance("condition", ratio="natural")
    wide, narrow = (Focus("hours_post_infection", window_hours=hours) for hours in (8, 2))
    first = BatchPlan(8, grouping=Grouping("experiment", leak=0.1), balance=balance, focus=wide)
    later = BatchPlan(8, grouping=Grouping("experiment", leak=0.3), balance=balance, focus=narrow)
    assert found == Curriculum({0: first, 500: later})


def test_changes_of_a_curriculum_change_each_stage_unless_they_name_stages() -> None:
    base = change_plan(BASE, {"grouping": {}, "stages": {0: None, 9: {"grouping": {"leak": 0.5}}}})
    assert isinstance(base, Curriculum)
    changed = change_plan(base, {"batch_size": 4})
    assert isinstance(changed, Curriculum)
    assert [(n, p.batch_size, p.grouping) for n, p in changed.plans.items()] == [
        (0, 4, Grouping("experiment")),
        (9, 4, Grouping("experiment", leak=0.5)),
    ]
    again = change_plan(base, {"stages": {0: {"batch_size": 4}}})
    assert again == Curriculum({0: BatchPlan(4, grouping=Grouping("experiment"))})


def test_a_condition_may_be_called_stages() -> None:
    found = change_plan(BASE, {"balance": {"ratio": {"stages": 2}}})
    assert found == BatchPlan(8, balance=Balance("condition", ratio={"stages": 2}))


@pytest.mark.parametrize("caps", [{"by": "well", "count": 4}, [{"by": "well", "count": 4}]])
def test_one_cap_needs_no_list(caps: Any) -> None:
    assert change_plan(BASE, {"at_most": caps}) == BatchPlan(8, at_most=AtMost("well", 4))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("grouping: {leek: 0.2}", r"'grouping' has no 'leek'.*Did you mean 'leak'"),
        ("grouping: {leak: 1.5}", r"Grouping\.leak=1\.5"),
        ("at_most: {count: 3}", r"'at_most' of the plan lacks a field.*'by'"),
        ("at_most: 3", r"BatchPlan\.at_most=3: an AtMost or several"),
        ("stages: 3", r"stages=3: a mapping from numbers of batches"),
        ("stages: {5: {batch_size: 4}}", r"begins at 5.*give a plan for 0"),
        (
            "stages: {0: {batch_size: 4}, 5: {}}",
            r"begins at batch 5 differs from the first in BatchPlan\.batch_size",
        ),
        ("stages: {0: {leak: 0.2}}", r"The plan has no 'leak'"),
        ("stages: {0: {}, soon: {}}", r"a number of batches in Curriculum\.plans='soon'"),
        ("stages: {0: {stages: {0: {}}}}", r"The plan has no 'stages'"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "later.yaml"
    path.write_text(f"{text}\n")
    with pytest.raises(InvalidInputError, match=f"later\\.yaml: .*{match}"):
        read_plan(path, BASE)
