"""A plan on the command line is the plan of a file with those lines."""

import pytest

from viscy_data.composition import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    Focus,
    Grouping,
    Locality,
    Weighting,
)
from viscy_data.errors import InvalidInputError
from viscy_data.sampling.plan_options import changes_of, set_fields

BASE = BatchPlan(8, grouping=Grouping("experiment"), balance=Balance("condition", ratio={"a": 1, "b": 3}))


def test_every_axis_takes_any_column() -> None:
    settings = [
        "batch_size=6",
        "grouping.by=[plate, day]",
        "grouping.leak=0.25",
        "balance={by: drug, ratio: null}",
        "focus.by=age",
        "focus.window_hours=3",
        "weighting.by=weight",
        "at_most=[{by: clone}, {by: well, count: 4}]",
        "locality.frames=2",
        "span=2",
    ]
    assert set_fields(BASE, settings) == BatchPlan(
        6,
        grouping=Grouping(["plate", "day"], leak=0.25),
        balance=Balance("drug"),
        focus=Focus("age", window_hours=3),
        weighting=Weighting("weight"),
        at_most=[AtMost("clone"), AtMost("well", count=4)],
        locality=Locality(frames=2),
        span=2,
    )


def test_a_field_keeps_what_else_its_section_holds() -> None:
    assert set_fields(BASE, ["grouping.leak=0.5"]).columns == BASE.columns
    assert set_fields(BASE, ["balance=null"]) == BatchPlan(8, grouping=Grouping("experiment"))
    assert set_fields(BASE, []) is BASE


def test_each_plan_of_a_curriculum_is_changed() -> None:
    found = set_fields(Curriculum({0: BASE, 9: BASE}), ["balance.by=drug", "balance.ratio=null"])
    assert isinstance(found, Curriculum)
    assert [plan.balance for plan in found.plans.values()] == [Balance("drug")] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["balance"], r"set='balance': SECTION.FIELD=VALUE is needed"),
        (["=3"], "SECTION.FIELD=VALUE is needed"),
        (["balance..by=x"], "SECTION.FIELD=VALUE is needed"),
        (["balance.by=x", "balance.by=y"], "set='balance.by=y': the field is set twice"),
        (["balance=null", "balance.by=y"], "set='balance.by=y': the field is set twice"),
        (["balance.by=y", "balance=null"], "set='balance=null': the field is set twice"),
        (["at_most=[{by: x"], "the value is not valid YAML"),
        (["balence.by=x"], r"set: The plan has no 'balence'.*Did you mean 'balance'"),
        (["weighting.by=3"], "set: .*by"),
    ],
)
def test_what_is_not_a_field_of_a_plan_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        set_fields(BASE, settings)


def test_values_are_yaml() -> None:
    assert changes_of(["a.b.c=[1, x]", "a.d=1=2"]) == {"a": {"b": {"c": [1, "x"]}, "d": "1=2"}}
