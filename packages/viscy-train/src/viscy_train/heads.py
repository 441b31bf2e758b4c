"""The projection head: what the loss sees, thrown away after training."""

from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """Linear - BatchNorm - ReLU - Linear - BatchNorm.

    Parameters
    ----------
    width : int
        Width of the embedding that goes in.
    hidden : int
        Width between the two linear layers.
    out : int
        Width of the projection.

    Examples
    --------
    >>> import torch
    >>> ProjectionHead(768)(torch.zeros(4, 768)).shape
    torch.Size([4, 128])
    """

    def __init__(self, width: int, hidden: int = 768, out: int = 128) -> None:
        super().__init__()
        for name, value in {"width": width, "hidden": hidden, "out": out}.items():
            if value < 1:
                raise ValueError(f"{name}={value}: a layer's width is at least 1")
        # a bias before a BatchNorm would be subtracted again.
        self.layers = nn.Sequential(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, out, bias=False),
            nn.BatchNorm1d(out),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Project embeddings (B, width) to (B, out)."""
        projection: Tensor = self.layers(embedding)
        return projection
