"""Schedules as numbers: what they are at and between points, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.composition import BatchPlan, Focus, Schedule
from viscy_data.composition.schedule import STAGES, Shape
from viscy_data.errors import InvalidInputError

POSITION = st.floats(0, 100).map(lambda value: round(value, 3))
POINTS = st.dictionaries(POSITION, st.floats(-50, 50), min_size=1, max_size=6)


def slow(points: dict[float, float], shape: str, position: float) -> float:
    before = [p for p in sorted(points) if p <= position]
    after = [p for p in sorted(points) if p > position]
    if not before:
        return points[after[0]]
    if not after:
        return points[before[-1]]
    part = (position - before[-1]) / (after[0] - before[-1])
    if shape == "cosine":
        part = (1 - math.cos(math.pi * part)) / 2
    return (1 - part) * points[before[-1]] + part * points[after[0]]


@given(points=POINTS, shape=st.sampled_from(["linear", "cosine"]), position=st.floats(0, 120))
def test_values_are_those_of_a_slow_reading(
    points: dict[float, float], shape: Shape, position: float
) -> None:
    schedule = Schedule(points, shape=shape)
    assert schedule.at(position) == pytest.approx(slow(points, shape, position), abs=1e-9)
    assert all(schedule.at(at) == pytest.approx(value) for at, value in points.items())
    assert schedule.numbers([position])[0] == schedule.at(position)


@given(points=POINTS, position=POSITION)
def test_the_order_of_points_and_their_kind_do_not_matter(
    points: dict[float, float], position: float
) -> None:
    pairs = list(points.items())[::-1]
    assert Schedule(points) == Schedule(pairs) == Schedule(dict(pairs))
    assert Schedule(pairs).at(position) == Schedule(points).at(position)


@given(position=st.floats(0, 12), shape=st.sampled_from(["linear", "cosine"]))
def test_shares_are_normalised_and_move_in_stages(position: float, shape: Shape) -> None:
    schedule = Schedule({0: {"x": 100, "y": 300}, 10: {"x": 1, "y": 1}}, shape=shape)
    shares = schedule.at(position)
    assert sum(shares.values()) == pytest.approx(1)
    stage = (shares["x"] - 0.25) / 0.25 * STAGES
    assert stage == pytest.approx(round(stage))
    assert abs(shares["x"] - slow({0.0: 0.25, 10.0: 0.5}, shape, position)) <= 0.25 / STAGES / 2 + 1e-12
    same = schedule.stages([position, position])
    assert same[0] == same[1]


def test_steps_are_epochs_or_batches() -> None:
    assert Schedule({0: 0, 2: 4}).position(15, 10) == 1.5
    assert Schedule({0: 0, 2: 4}, unit="batches").position(15, 10) == 15
    plan = BatchPlan(4, focus=Focus("t", window_hours=Schedule({0: 8, 2: 4})))
    assert plan.at(15, 10) == BatchPlan(4, focus=Focus("t", window_hours=5.0))
    assert BatchPlan(4).at(3, 10) == BatchPlan(4)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"points": {}}, r"Schedule\.points=\{\} is not a mapping from positions to values"),
    ({"points": 3}, r"Schedule\.points=3 is not a mapping"),
    ({"points": [1, 2]}, r"Schedule\.points=\[1, 2\] is not a mapping"),
    ({"points": {-1: 2}}, "holds the position -1; give numbers >= 0"),
    ({"points": {np.inf: 2}}, "holds the position inf"),
    ({"points": {"a": 2}}, "holds the position 'a'"),
    ({"points": {True: 2}}, "holds the position True"),
    ({"points": [(1, 2), (1.0, 3)]}, "holds a position twice"),
    ({"points": {0: 1, 1: float("nan")}}, r"at 1=nan is not of finite numbers"),
    ({"points": {0: "a"}}, r"at 0='a' is not of finite numbers"),
    ({"points": {0: "naturel"}}, r"at 0='naturel' is not of finite numbers"),
    ({"points": {0: 1, 2: "natural"}}, "mixes numbers and shares"),
    ({"points": {0: True}}, r"at 0=True is not of finite numbers"),
    ({"points": {0: {"x": "1"}}}, r"at 0=.* is not of finite numbers"),
    ({"points": {0: {"x": -1, "y": 2}}}, r"at 0=.* is not of shares >= 0"),
    ({"points": {0: {"x": 0}}}, r"at 0=.* is not of shares >= 0"),
    ({"points": {0: {}}}, r"at 0=.* is not of shares >= 0"),
    ({"points": {0: 1, 1: {"a": 2}}}, "mixes numbers and shares"),
    ({"points": {0: {"a": 1, "b": 1}, 1: {"a": 2}}}, r"\['b'\] are not named at every point"),
    ({"points": {0: 1}, "unit": "hours"}, r"Schedule\.unit='hours' is none of 'epochs', 'batches'"),
    ({"points": {0: 1}, "shape": "step"}, r"Schedule\.shape='step' is none of 'linear', 'cosine'"),
]


@pytest.mark.parametrize(("arguments", "match"), REFUSED)
def test_what_is_no_schedule_is_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        Schedule(**arguments)


def test_each_value_is_checked_like_the_number_it_stands_for() -> None:
    for value, match in (
        (-1, r"at 3 epochs=-1\.0 is not a finite"),
        ({"x": 1}, r"at 0 epochs=.* is not a number"),
    ):
        other = {"x": 2} if isinstance(value, dict) else 2.0
        with pytest.raises(InvalidInputError, match=rf"Focus\.window_hours {match}"):
            Focus("t", window_hours=Schedule({0: other, 3: value}))


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.uint8, np.int64])
def test_shares_of_numpys_numbers_are_those_of_plain_ones(kind: Any) -> None:
    asked = {"a": 100, "b": 200}
    numpys = Schedule({0: {name: kind(number) for name, number in asked.items()}, 5: {"a": 1, "b": 1}})
    plain = Schedule({0: asked, 5: {"a": 1, "b": 1}})
    assert [numpys.at(position) for position in (0, 2, 5)] == [plain.at(position) for position in (0, 2, 5)]


@pytest.mark.parametrize("towards", [-np.inf, np.inf])
def test_no_number_depends_on_the_last_bit_of_a_cosine(
    towards: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosine = np.cos
    leak = Schedule({0: 0.0, 24: 1.0}, shape="cosine")
    expected = leak.numbers(range(25))
    monkeypatch.setattr(np, "cos", lambda part: np.nextafter(cosine(part), towards))
    assert leak.numbers(range(25)).tolist() == expected.tolist()
    assert expected[[0, 8, 12, 16, 24]].tolist() == [0, 0.25, 0.5, 0.75, 1]
