"""Backbones: 2D networks whose first convolution gives way to a folded stem, or modules of one's own.

timm has a thousand networks, and says of each which convolution comes first. That one is replaced by a
`FoldedStem` that gives as many channels and strides as far; everything after it stays as it is. What comes
out of a network may be of another width than its features, which timm says, too.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import nn

from viscy_train.encoder.options import SMALL, EncoderOptions, is_class_path
from viscy_train.encoder.small import SmallBackbone
from viscy_train.encoder.stem import FoldedStem


def build_backbone(options: EncoderOptions) -> tuple[nn.Module, int]:
    """Return a backbone for patches of `in_channels` and `depth`, and the width of its embedding.

    Raises
    ------
    ValueError
        There is no such backbone, it cannot take stacks, or its depth does not fold.
    OSError
        ``pretrained=True`` and the weights cannot be fetched.
    """
    if is_class_path(options.backbone):
        return _own(options)
    if options.backbone == SMALL:
        return _folded(SmallBackbone(), "stem", (24, 2), options), SmallBackbone.width
    backbone = _of_timm(options)
    path, first = _first_convolution(backbone, options.backbone)
    _folded(backbone, path, (first.out_channels, _stride(first, options.backbone)), options)
    return backbone, int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)


def check_backbone(options: EncoderOptions) -> None:
    """Refuse what `build_backbone` would, without memory for weights; a class of one's own is not built.

    Raises
    ------
    ValueError
        As `build_backbone`.
    """
    if is_class_path(options.backbone):
        return
    with torch.device("meta"):
        build_backbone(replace(options, pretrained=False))


def _folded(backbone: nn.Module, path: str, place: tuple[int, int], options: EncoderOptions) -> nn.Module:
    """Put the stem in the place of a convolution of so many channels and that stride."""
    width, stride = place
    kernel = (options.stem_depth, stride, stride)
    backbone.set_submodule(path, FoldedStem(options.in_channels or 1, options.depth or 1, width, kernel))
    return backbone


def _of_timm(options: EncoderOptions) -> Any:
    timm = import_module("timm")  # it loads torchvision: seconds that the small encoder need not pay
    name = options.backbone
    if not timm.is_model(name):
        near = timm.list_models(f"{name[:6]}*")[:5]
        hint = f"; did you mean one of {', '.join(near)}" if near else ""
        raise ValueError(
            f"backbone={name!r}: neither 'small', nor a network of timm, nor the path of a class "
            f"('my_package.nets.Encoder'){hint}"
        )
    how = {"pretrained": options.pretrained, "num_classes": 0}
    try:
        try:
            # transformers place their patches on a grid, which is not that of 224 pixels here
            return timm.create_model(name, dynamic_img_size=True, **how)
        except TypeError:
            return timm.create_model(name, **how)
    except OSError as error:
        raise OSError(
            f"pretrained=True: the weights of {name} cannot be fetched ({error}); "
            "check the network, or start from random weights with pretrained=False"
        ) from error
    except RuntimeError as error:  # timm's for a name with a tag that it lacks, or without weights
        raise ValueError(f"backbone={name!r}: {str(error).splitlines()[0]}") from error


def _first_convolution(backbone: Any, name: str) -> tuple[str, nn.Conv2d]:
    """Return where a network takes its input in; refuse one that has several such places, or none."""
    stated = getattr(backbone, "pretrained_cfg", None) or {}
    path = stated.get("first_conv") if isinstance(stated, Mapping) else None
    modules = dict(backbone.named_modules())
    first = modules.get(path) if isinstance(path, str) else None
    if isinstance(first, nn.Conv2d) and isinstance(path, str):
        return path, first
    raise ValueError(
        f"backbone={name!r} does not begin with one convolution, which a stem for stacks could replace; "
        "take another, such as convnext_tiny, resnet50 or vit_tiny_patch16_224"
    )


def _stride(first: nn.Conv2d, name: str) -> int:
    along_y, along_x = first.stride
    if along_y != along_x:
        raise ValueError(f"backbone={name!r}: its stem strides {first.stride}, and one number is needed")
    return int(along_y)


def _own(options: EncoderOptions) -> tuple[nn.Module, int]:
    """Build a class of the user's."""
    named = f"backbone={options.backbone!r}"
    module, _, name = options.backbone.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{named} cannot be imported: {error}; is its package installed here?") from error
    is_module = isinstance(kind, type) and issubclass(kind, nn.Module)
    if not is_module:
        raise ValueError(f"{named} is not a class of torch.nn.Module; name one")
    shape = {"in_channels": options.in_channels or 1, "depth": options.depth or 1}
    try:
        own = kind(**shape, **options.arguments)
    except TypeError as error:
        raise ValueError(f"{named} is built with in_channels, depth and arguments: {error}") from error
    width = getattr(own, "width", None)
    if isinstance(width, int) and width >= 1:
        return own, width
    raise ValueError(f"{named}: width={width!r}: the width of its embeddings is needed as a whole number")
