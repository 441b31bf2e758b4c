"""Patches to embeddings: a stem that folds depth into channels, an image backbone, a head.

A patch (C, Z, Y, X) is shallow: the *stem* is one strided Conv3d whose output, features x remaining
depth, becomes the channels that the backbone's own stem would give. Everything after it is a plain 2D
network. The *embedding* is the pooled output of the backbone; the *projection* is what the loss sees.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Final, Literal, NamedTuple

from torch import Tensor, nn

from viscy_train.heads import ProjectionHead

Backbone = Literal["convnext_tiny", "resnet50", "small"]


class Encoded(NamedTuple):
    """What an encoder gives for B patches."""

    embedding: Tensor
    projection: Tensor


@dataclass(frozen=True)
class EncoderOptions:
    """Which encoder to build.

    Parameters
    ----------
    backbone : {"convnext_tiny", "resnet50", "small"}
        Two image networks of timm, or a small one that trains on a CPU in a minute.
    in_channels, depth : int, optional
        Channels C and slices Z of a patch. None: 1, or in ``viscy-train fit`` those of the table.
    stem_depth : int
        Slices that one step of the stem takes in; divides `depth`.
    projection : int
        Width P of the projection.
    hidden : int, optional
        Width inside the head; None is the width of the embedding.
    pretrained : bool
        Start from timm's ImageNet weights, fetched over the network (the stem still starts anew). Off by
        default: they may be out of reach, and cells are not photographs.
    """

    backbone: Backbone = "convnext_tiny"
    in_channels: int | None = None
    depth: int | None = None
    stem_depth: int = 1
    projection: int = 128
    hidden: int | None = None
    pretrained: bool = False

    def __post_init__(self) -> None:
        stem_of(self.backbone)
        for name in ("in_channels", "depth", "stem_depth", "projection"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        if self.pretrained and self.backbone == "small":
            raise ValueError("pretrained=True, backbone='small': the small encoder has no weights to fetch")


class Stem(NamedTuple):
    """A backbone's first convolution: where it sits, the channels it gives and how far it strides."""

    path: str
    width: int
    stride: int


_STEMS: Final = {
    "convnext_tiny": Stem("stem.0", 96, 4),
    "resnet50": Stem("conv1", 64, 2),
    "small": Stem("stem", 24, 2),
}


def stem_of(backbone: str) -> Stem:
    """Return the stem of a backbone by its name.

    Raises
    ------
    ValueError
        There is no such backbone.
    """
    if backbone not in _STEMS:
        raise ValueError(f"backbone={backbone!r}: allowed are {', '.join(sorted(_STEMS))}")
    return _STEMS[backbone]


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
        `depth` does not fold into the stem (the message names depths that do).
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
        place = _STEMS[options.backbone]
        stem = FoldedStem(*self._expected, place.width, (options.stem_depth, place.stride, place.stride))
        self.backbone, self.width = _build(options)
        self.backbone.set_submodule(place.path, stem)
        self.head = ProjectionHead(self.width, options.hidden or self.width, options.projection)

    def forward(self, patches: Tensor) -> Encoded:
        """Encode patches (B, C, Z, Y, X).

        Raises
        ------
        ValueError
            A shape that does not fit the options.
        """
        expected = self._expected
        if patches.ndim != 5 or patches.shape[1:3] != expected:
            raise ValueError(
                f"patches.shape={tuple(patches.shape)}: this encoder takes (B, C, Z, Y, X) with "
                f"C={expected[0]}, Z={expected[1]}; set in_channels and depth to what the data has"
            )
        embedding: Tensor = self.backbone(patches)
        return Encoded(embedding, self.head(embedding))


class FoldedStem(nn.Module):
    """Conv3d with stride = kernel, then depth x features side by side as channels.

    Parameters
    ----------
    in_channels, depth : int
        C and Z of a patch.
    width : int
        Channels to give; divided by the depth that remains, the features of the convolution.
    kernel : (int, int, int)
        Z, Y, X.

    Raises
    ------
    ValueError
        `depth` is not a multiple of the kernel's, or what remains does not divide `width`.

    Examples
    --------
    >>> import torch
    >>> FoldedStem(2, 4, 96, (2, 4, 4))(torch.zeros(1, 2, 4, 64, 64)).shape
    torch.Size([1, 96, 16, 16])
    """

    def __init__(self, in_channels: int, depth: int, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        works = [kernel[0] * left for left in range(1, width + 1) if width % left == 0]
        if depth not in works:
            raise ValueError(
                f"depth={depth}: folded by a kernel of {kernel[0]} slices it must divide the stem's "
                f"{width} channels; depths that work: {', '.join(map(str, works))}"
            )
        features = width * kernel[0] // depth
        self.convolution = nn.Conv3d(in_channels, features, kernel_size=kernel, stride=kernel)

    def forward(self, patches: Tensor) -> Tensor:
        """Fold patches (B, C, Z, Y, X) to (B, width, Y // ky, X // kx)."""
        features: Tensor = self.convolution(patches)
        return features.flatten(1, 2)


def _build(options: EncoderOptions) -> tuple[nn.Module, int]:
    if options.backbone == "small":
        return SmallBackbone(), SmallBackbone.width
    timm = import_module("timm")  # it loads torchvision: seconds that the small encoder need not pay
    try:
        backbone = timm.create_model(options.backbone, pretrained=options.pretrained, num_classes=0)
    except OSError as error:
        raise OSError(
            f"pretrained=True: the weights of {options.backbone} cannot be fetched ({error}); "
            "check the network, or start from random weights with pretrained=False"
        ) from error
    return backbone, int(backbone.num_features)


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
