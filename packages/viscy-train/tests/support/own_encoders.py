"""Encoders as users bring their own, by the path of their class."""

from typing import Any

from torch import Tensor, nn


class Own(nn.Module):
    """An encoder of somebody's own: a linear map of each patch's means."""

    def __init__(self, in_channels: int, depth: int, width: int = 5) -> None:
        super().__init__()
        self.width = width
        self.layer = nn.Linear(in_channels * depth, width)

    def forward(self, patches: Tensor) -> Tensor:
        result: Tensor = self.layer(patches.mean(dim=(3, 4)).flatten(1))
        return result


class Widthless(nn.Module):
    def __init__(self, **_: Any) -> None:
        super().__init__()


class Liar(Own):
    """Says another width than it gives."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.width = 7


class NotAModule:
    pass
