"""What is finite, of one tensor or many."""

import pytest
import torch

from viscy_train.finite import all_finite


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_one_bad_element_among_many_is_found(bad: float, dtype: torch.dtype) -> None:
    tensors = [torch.zeros(3, 4, dtype=dtype), torch.ones(5, dtype=dtype)]
    assert all_finite(tensors)
    tensors[1][3] = bad
    assert not all_finite(tensors)


def test_large_values_do_not_overflow_and_whole_numbers_are_left_out() -> None:
    most = torch.finfo(torch.float32).max
    assert all_finite([torch.full((1000,), most), torch.tensor([2**62]), torch.empty(0)])
    assert all_finite([])
