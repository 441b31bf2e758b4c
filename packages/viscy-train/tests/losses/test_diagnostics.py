"""The figures of a batch against loops over its pairs, and at the ends of their ranges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from viscy_train.losses import alignment, effective_rank, pair_similarities, uniformity


def unit(n: int, width: int, seed: int) -> Tensor:
    points = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=1)


@settings(max_examples=30)
@given(n=st.integers(2, 12), width=st.integers(1, 6), seed=st.integers(0, 99))
def test_equal_loops_over_pairs(n: int, width: int, seed: int) -> None:
    first, second = unit(n, width, seed), unit(n, width, seed + 100)
    matched = [float(first[i] @ second[i]) for i in range(n)]
    others = [float(first[i] @ second[j]) for i in range(n) for j in range(n) if i != j]
    spread = [math.exp(-2 * float((first[i] - first[j]).square().sum())) for i in range(n) for j in range(i)]
    # lengths must not matter
    similarity = pair_similarities(3 * first, 0.1 * second)
    assert similarity.positive.item() == pytest.approx(sum(matched) / n, abs=1e-5)
    assert similarity.negative.item() == pytest.approx(sum(others) / len(others), abs=1e-5)
    assert alignment(3 * first, second).item() == pytest.approx(2 - 2 * sum(matched) / n, abs=1e-5)
    assert uniformity(5 * first).item() == pytest.approx(math.log(sum(spread) / len(spread)), abs=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_effective_rank_counts_equal_directions(rank: int) -> None:
    basis = torch.cat([torch.eye(rank, 8), -torch.eye(rank, 8)])
    assert effective_rank(100 + 7 * basis).item() == pytest.approx(rank, rel=1e-3)


def test_effective_rank_of_a_collapsed_embedding_is_zero() -> None:
    assert effective_rank(torch.ones(6, 4)).item() == 0.0


def test_one_row_has_no_pairs() -> None:
    one = torch.ones(1, 4)
    assert pair_similarities(one, one).positive.item() == pytest.approx(1.0)
    assert pair_similarities(one, one).negative.isnan()
    assert uniformity(one).isnan()


def test_no_gradient_is_kept() -> None:
    points = torch.randn(4, 3, requires_grad=True)
    for figure in (*pair_similarities(points, points), alignment(points, points), uniformity(points)):
        assert not figure.requires_grad
    assert not effective_rank(points).requires_grad


def test_what_cannot_be_decomposed_is_not_a_number_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert effective_rank(torch.full((4, 3), torch.nan)).isnan()

    def fail(*_: object) -> None:
        raise RuntimeError("did not converge")

    monkeypatch.setattr(torch.linalg, "svdvals", fail)
    assert effective_rank(torch.eye(3)).isnan()
