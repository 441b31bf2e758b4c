"""Patches to embeddings: a stem that folds depth into channels, an image backbone, a head.

A patch (C, Z, Y, X) is shallow: the *stem* is one strided Conv3d whose output, features x remaining
depth, becomes the channels that the backbone's own stem would give. Everything after it is a plain 2D
network. The *embedding* is the pooled output of the backbone; the *projection* is what the loss sees.
"""

from dataclasses import replace
from typing import NamedTuple

from torch import Tensor, nn

from viscy_train.encoder.backbones import build_backbone
from viscy_train.encoder.options import EncoderOptions, is_class_path
from viscy_train.heads import ProjectionHead


class Encoded(NamedTuple):
    """What an encoder gives for B patches."""

    embedding: Tensor
    projection: Tensor


class ContrastiveEncoder(nn.Module):
    """Patches (B, C, Z, Y, X) to embeddings (B, D) and projections (B, P).

    Parameters
    ----------
    options : EncoderOptions
        What to build.

    Attributes
    ----------
    width : int
        D: 768 for ConvNeXt-tiny, 2048 for ResNet-50, 128 for the small one.

    Raises
    ------
    ValueError
        There is no such backbone, or `depth` does not fold into the stem (the message names depths that do).
    OSError
        ``pretrained=True`` and the weights cannot be fetched.

    Examples
    --------
    >>> import torch
    >>> encoder = ContrastiveEncoder(EncoderOptions("small", in_channels=2))
    >>> embedding, projection = encoder(torch.zeros(4, 2, 1, 48, 48))
    >>> embedding.shape, projection.shape
    (torch.Size([4, 128]), torch.Size([4, 128]))
    """

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__()
        options = replace(options, in_channels=options.in_channels or 1, depth=options.depth or 1)
        self.options = options
        self._expected = (options.in_channels or 1, options.depth or 1)
        self._takes_stacks = is_class_path(options.backbone)
        self.backbone, self.width = build_backbone(options)
        self.head = ProjectionHead(self.width, options.hidden or self.width, options.projection)

    def forward(self, patches: Tensor) -> Encoded:
        """Encode patches (B, C, Z, Y, X).

        Raises
        ------
        ValueError
            A shape that does not fit the options, or a backbone that gives something else than (B, D).
        """
        expected = self._expected
        if patches.ndim != 5 or patches.shape[1:3] != expected:
            raise ValueError(
                f"patches.shape={tuple(patches.shape)}: this encoder takes (B, C, Z, Y, X) with "
                f"C={expected[0]}, Z={expected[1]}; set in_channels and depth to what the data has"
            )
        embedding: Tensor = self.backbone(patches if self._takes_stacks else patches.flatten(1, 2))
        if embedding.ndim != 2 or embedding.shape[1] != self.width:
            raise ValueError(
                f"backbone={self.options.backbone!r} gives {tuple(embedding.shape)} and not "
                f"(B, {self.width}); take another"
            )
        return Encoded(embedding, self.head(embedding))
