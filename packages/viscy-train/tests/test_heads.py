"""The projection head's layers and shapes."""

import pytest
import torch
from torch import nn

from viscy_train.heads import ProjectionHead


def test_layers_in_order() -> None:
    layers = [type(layer) for layer in ProjectionHead(768).layers]
    assert layers == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]


@pytest.mark.parametrize(("width", "hidden", "out"), [(768, 768, 128), (5, 3, 2)])
def test_shapes(width: int, hidden: int, out: int) -> None:
    head = ProjectionHead(width, hidden, out)
    assert head.layers[0].weight.shape == (hidden, width)
    assert head(torch.randn(4, width)).shape == (4, out)


def test_projections_of_a_batch_are_centred() -> None:
    projection = ProjectionHead(6, 8, 3)(torch.randn(32, 6) + 4)
    torch.testing.assert_close(projection.mean(0), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["width", "hidden", "out"])
def test_widths_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0"):
        ProjectionHead(**{"width": 4, name: 0})
