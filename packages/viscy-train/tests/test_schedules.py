"""The learning rate against its closed form."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from viscy_train.schedules import WarmupCosine


@given(warmup=st.integers(0, 50), rest=st.integers(1, 200), floor=st.floats(0, 1), step=st.integers(0, 400))
def test_closed_form(warmup: int, rest: int, floor: float, step: int) -> None:
    factor = WarmupCosine(warmup, warmup + rest, floor)(step)
    if step < warmup:
        assert factor == pytest.approx((step + 1) / warmup)
    elif step < warmup + rest:
        assert factor == pytest.approx(
            floor + (1 - floor) * (1 + math.cos(math.pi * (step - warmup) / rest)) / 2
        )
    else:
        assert factor == pytest.approx(floor)


@given(warmup=st.integers(0, 50), rest=st.integers(1, 200))
def test_rises_then_falls_within_range(warmup: int, rest: int) -> None:
    factors = [WarmupCosine(warmup, warmup + rest)(step) for step in range(warmup + rest + 1)]
    assert factors[:warmup] == sorted(factors[:warmup])
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    assert max(factors) == 1.0
    assert min(factors) >= 0.0
    assert factors[0] > 0


def test_drives_an_optimiser_and_survives_its_state() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    rate = WarmupCosine(3, 10)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for step in range(12):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * rate(step))
        optimizer.step()
        scheduler.step()
    restored = torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([parameter], lr=0.5), WarmupCosine(3, 10))
    restored.load_state_dict(scheduler.state_dict())
    assert restored.last_epoch == 12


@pytest.mark.parametrize(
    ("warmup", "total", "floor", "message"),
    [
        (-1, 10, 0.0, "warmup_steps=-1"),
        (10, 10, 0.0, "total_steps=10: allowed are 0 <= warmup_steps < total_steps"),
        (0, 0, 0.0, "total_steps=0"),
        (0, 10, 1.5, r"floor=1\.5"),
        (0, 10, math.nan, "floor=nan"),
    ],
)
def test_values_are_checked(warmup: int, total: int, floor: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WarmupCosine(warmup, total, floor)
