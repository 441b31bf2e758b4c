"""A small residual network, the default of the demo and of tests."""

from typing import Final

from torch import Tensor, nn


class SmallBackbone(nn.Module):
    """A residual network of 0.5 million weights for patches of some 32 to 96 pixels.

    Group normalisation instead of batch normalisation: batches that hold one experiment each would
    otherwise be seen with their own statistics in training, and with a mixture's afterwards.
    """

    width: Final = 128

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Module()
        self.stages = nn.Sequential(_Stage(24, 32), _Stage(32, 64), _Stage(64, self.width))
        self.norm = nn.LayerNorm(self.width)

    def forward(self, patches: Tensor) -> Tensor:
        """Give embeddings (B, 128)."""
        features: Tensor = self.stages(self.stem(patches))
        embedding: Tensor = self.norm(features.mean(dim=(2, 3)))
        return embedding


class _Stage(nn.Module):
    """Halve the resolution, then one residual block."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(width, out, 3, stride=2, padding=1, bias=False), nn.GroupNorm(8, out), nn.ReLU()
        )
        self.block = nn.Sequential(
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.GroupNorm(8, out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.GroupNorm(8, out),
        )
        self.activation = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        down: Tensor = self.down(features)
        result: Tensor = self.activation(down + self.block(down))
        return result
