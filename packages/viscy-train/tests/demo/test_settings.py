import pytest

from viscy_data.errors import InvalidInputError
from viscy_train.demo.settings import FULL_MINUTES, DemoSettings


def test_steps_follow_the_minutes_and_nothing_else_does() -> None:
    usual = DemoSettings.of(seed=3, minutes=FULL_MINUTES, smallest=False)
    double = DemoSettings.of(seed=3, minutes=2 * FULL_MINUTES, smallest=False)
    assert double.steps == 2 * usual.steps
    assert {**vars(double), "steps": 0} == {**vars(usual), "steps": 0}
    assert usual == DemoSettings(seed=3)


def test_the_smallest_is_smaller_in_every_way_that_costs_time() -> None:
    smallest = DemoSettings.of(seed=0, minutes=FULL_MINUTES, smallest=True)
    for name in ("steps", "batch_size", "crop", "max_cells"):
        assert getattr(smallest, name) < getattr(DemoSettings(), name), name


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("inf"), float("nan")])
def test_minutes_that_cannot_be_are_refused(minutes: float) -> None:
    with pytest.raises(InvalidInputError, match="minutes="):
        DemoSettings.of(seed=0, minutes=minutes, smallest=False)


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="seed=-1"):
        DemoSettings.of(seed=-1, minutes=1, smallest=False)


def test_the_margin_is_what_the_crop_leaves() -> None:
    assert 2 * DemoSettings().margin == DemoSettings().patch - DemoSettings().crop
