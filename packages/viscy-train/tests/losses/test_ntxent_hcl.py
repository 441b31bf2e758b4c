"""The loss against a loop written straight from its formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from viscy_train.losses import NTXentHCL


def slow_loss(
    anchor: Tensor,
    positive: Tensor,
    temperature: float,
    beta: float,
    lineages: list[int] | None = None,
    groups: list[int] | None = None,
    values: list[int] | None = None,
) -> float:
    """The formula, row by row, in plain Python."""
    rows = [[float(value) for value in row] for row in torch.cat([anchor, positive])]
    n = len(anchor)

    def similarity(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(rows[i], rows[j], strict=True))
        return dot / math.sqrt(sum(a * a for a in rows[i])) / math.sqrt(sum(b * b for b in rows[j]))

    def allowed(i: int, j: int) -> bool:
        of = [one % len(lineages) if lineages else 0 for one in (i, j)]
        same_lineage = lineages is not None and lineages[of[0]] == lineages[of[1]]
        same_lineage |= values is not None and values[i % n] == values[j % n]
        other_group = groups is not None and groups[i % n] != groups[j % n]
        return j not in (i, (i + n) % (2 * n)) and not same_lineage and not other_group

    total = 0.0
    for i in range(2 * n):
        match = math.exp(similarity(i, (i + n) % (2 * n)) / temperature)
        negatives = [similarity(i, j) for j in range(2 * n) if allowed(i, j)]
        tilts = [math.exp(beta * s / temperature) for s in negatives]
        weights = [len(negatives) * tilt / sum(tilts) for tilt in tilts]
        against = sum(w * math.exp(s / temperature) for w, s in zip(weights, negatives, strict=True))
        total -= math.log(match / (match + against))
    return total / (2 * n)


def views(n: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    anchor, positive = torch.randn(2, n, width, dtype=torch.float64, generator=generator)
    return anchor, positive


@settings(max_examples=60)
@given(
    n=st.integers(1, 9),
    width=st.integers(1, 8),
    temperature=st.floats(0.05, 2.0),
    beta=st.floats(0.0, 3.0),
    data=st.data(),
)
def test_equals_the_loop(n: int, width: int, temperature: float, beta: float, data: st.DataObject) -> None:
    anchor, positive = views(n, width, seed=data.draw(st.integers(0, 1000)))
    ids = st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n)
    of_both = st.lists(st.integers(0, 5), min_size=2 * n, max_size=2 * n)
    lineages, groups, values = data.draw(ids | of_both), data.draw(ids), data.draw(ids)
    got = NTXentHCL(temperature, beta)(
        anchor,
        positive,
        lineage_ids=None if lineages is None else torch.tensor(lineages),
        group_ids=None if groups is None else torch.tensor(groups),
        value_ids=None if values is None else torch.tensor(values),
    )
    expected = slow_loss(anchor, positive, temperature, beta, lineages, groups, values)
    assert got.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n", [2, 33])
def test_beta_zero_is_nt_xent(n: int) -> None:
    anchor, positive = views(n, 16)
    both = torch.nn.functional.normalize(torch.cat([anchor, positive]).float(), dim=1)
    logits = (both @ both.T / 0.07).fill_diagonal_(-torch.inf)
    targets = torch.arange(2 * n).roll(n)
    expected = torch.nn.functional.cross_entropy(logits, targets)
    torch.testing.assert_close(NTXentHCL(0.07, 0.0)(anchor.float(), positive.float()), expected)


def test_agrees_with_pytorch_metric_learning() -> None:
    losses = pytest.importorskip(
        "pytorch_metric_learning.losses",
        reason="pytorch-metric-learning is in the bench dependency group only",
        exc_type=ImportError,
    )
    anchor, positive = views(12, 8)
    labels = torch.arange(12).repeat(2)
    expected = losses.NTXentLoss(temperature=0.1)(torch.cat([anchor, positive]), labels)
    torch.testing.assert_close(NTXentHCL(0.1, 0.0)(anchor, positive), expected)


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients(beta: float, masked: bool) -> None:
    anchor, positive = views(4, 3)
    # the lineage of the last two rows leaves row 0 and 1 with fewer negatives, none with zero
    ids = torch.tensor([0, 1, 2, 2]) if masked else None
    loss = NTXentHCL(0.3, beta)
    inputs = (anchor.requires_grad_(), positive.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, p: loss(a, p, lineage_ids=ids), inputs)


def test_gradients_flow_through_the_weights() -> None:
    anchor, positive = (view.requires_grad_() for view in views(5, 4))
    both = torch.nn.functional.normalize(torch.cat([anchor, positive]), dim=1)
    logits = both @ both.T / 0.5
    masked = torch.eye(10, dtype=torch.bool) | torch.eye(10, dtype=torch.bool).roll(5, 0)
    weights = 8 * logits.masked_fill(masked, -torch.inf).mul(0.7).softmax(1).detach()
    match = logits.diagonal(5).repeat(2).exp()
    frozen = -(match / (match + (weights * logits.exp()).sum(1))).log().mean()
    loss = NTXentHCL(0.5, 0.7)(anchor, positive)
    assert loss.item() == pytest.approx(frozen.item())
    flowing = torch.autograd.grad(loss, anchor)[0]
    assert not torch.allclose(flowing, torch.autograd.grad(frozen, anchor)[0], rtol=1e-3)


def test_hard_negatives_weigh_more() -> None:
    anchor, positive = views(16, 4)
    losses = [NTXentHCL(0.2, beta)(anchor, positive).item() for beta in (0.0, 0.5, 1.0, 2.0)]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]


@pytest.mark.parametrize("temperature", [0.01, 0.07])
@pytest.mark.parametrize("beta", [0.0, 0.5, 5.0])
def test_stable_at_low_temperature(temperature: float, beta: float) -> None:
    anchor, positive = views(16, 4)
    inputs = torch.cat([anchor, -anchor]).float().requires_grad_()
    loss = NTXentHCL(temperature, beta)(inputs, torch.cat([positive, anchor]).float())
    exact = NTXentHCL(temperature, beta)(inputs.double(), torch.cat([positive, anchor]))
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
    loss.backward()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()


def test_float32_under_autocast() -> None:
    anchor, positive = (view.float() for view in views(64, 32))
    loss = NTXentHCL(0.01, 0.5)
    expected = loss(anchor, positive)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(anchor, positive)
        rounded = loss(anchor.bfloat16(), positive.bfloat16())
    assert got.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_rows_without_negatives_add_zero(beta: float) -> None:
    anchor, positive = (view.requires_grad_() for view in views(4, 3))
    loss = NTXentHCL(0.1, beta)
    alone = loss(anchor, positive, lineage_ids=torch.zeros(4, dtype=torch.int64))
    assert alone.item() == 0.0
    alone.backward()
    assert anchor.grad is not None
    assert anchor.grad.eq(0).all()
    # rows 2 and 3 are of groups of their own: only the four rows of group 0 keep negatives.
    some = loss(anchor, positive, group_ids=torch.tensor([0, 0, 1, 2]))
    pair = loss(anchor[:2], positive[:2])
    torch.testing.assert_close(some, pair / 2)


def test_across_groups_lifts_the_group_mask_only() -> None:
    anchor, positive = views(6, 3)
    groups, lineages = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 2, 3, 4])
    lifted = NTXentHCL(across_groups=True)
    torch.testing.assert_close(
        lifted(anchor, positive, group_ids=groups, lineage_ids=lineages),
        NTXentHCL()(anchor, positive, lineage_ids=lineages),
    )
    assert lifted(anchor, positive) != NTXentHCL()(anchor, positive, group_ids=groups)


def test_order_of_rows_does_not_matter() -> None:
    anchor, positive = views(7, 4)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    loss = NTXentHCL()
    torch.testing.assert_close(loss(anchor[order], positive[order]), loss(anchor, positive))
    torch.testing.assert_close(loss(positive, anchor), loss(anchor, positive))


def test_scale_of_projections_does_not_matter() -> None:
    anchor, positive = views(7, 4)
    torch.testing.assert_close(NTXentHCL()(anchor * 1e3, positive * 1e-3), NTXentHCL()(anchor, positive))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, r"temperature=0\.0: allowed are finite values above 0"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"beta": -0.5}, r"beta=-0\.5: allowed are finite values from 0"),
        ({"beta": math.inf}, "beta=inf"),
    ],
)
def test_options_are_checked(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NTXentHCL(**arguments)  # type: ignore[arg-type]  # every value is a float


@pytest.mark.parametrize(
    ("anchor", "positive", "ids", "message"),
    [
        (torch.zeros(3), torch.zeros(3), None, r"anchor\.shape=\(3,\)"),
        (torch.zeros(3, 2), torch.zeros(2, 2), None, r"positive\.shape=\(2, 2\): both must be the same"),
        (torch.zeros(0, 2), torch.zeros(0, 2), None, "N and D at least 1"),
        (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 2), None, "give floating point"),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(5, dtype=torch.int64), "one id per row"),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3), "ids are integers"),
    ],
)
@pytest.mark.parametrize("name", ["lineage_ids", "group_ids", "value_ids"])
def test_input_is_checked(
    anchor: Tensor, positive: Tensor, ids: Tensor | None, message: str, name: str
) -> None:
    with pytest.raises(ValueError, match=message):
        NTXentHCL()(anchor, positive, **{name: ids})
