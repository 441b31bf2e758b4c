"""Which encoder to build, as plain values that a checkpoint and a model's file can hold."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

SMALL: Final = "small"

# names of timm are lower-case throughout; classes begin with a capital
_CLASS_PATH: Final = re.compile(r"([A-Za-z_]\w*\.)+[A-Z]\w*", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class EncoderOptions:
    """Which encoder to build.

    Parameters
    ----------
    backbone : str
        An image network of timm by its name (``convnext_tiny``, ``resnet50``, ``vit_tiny_patch16_224``, ...);
        ``small``, one that trains on a CPU in a minute; or a class of one's own by its path,
        ``my_package.nets.Encoder``: an ``nn.Module`` that is built with ``in_channels``, ``depth`` and
        `arguments`, takes patches (B, C, Z, Y, X), gives embeddings (B, D) and says D as ``width``.
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
    arguments : dict
        Further arguments of a class of one's own; plain values.
    """

    backbone: str = "convnext_tiny"
    in_channels: int | None = None
    depth: int | None = None
    stem_depth: int = 1
    projection: int = 128
    hidden: int | None = None
    pretrained: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(str(self.backbone)):
            raise ValueError(
                f"backbone={self.backbone!r}: the name of a network of timm, 'small' or the path of a class, "
                "'my_package.nets.Encoder', is allowed; give one"
            )
        for name in ("in_channels", "depth", "stem_depth", "projection", "hidden"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: at least 1")
        own = is_class_path(self.backbone)
        if self.pretrained and (own or self.backbone == SMALL):
            raise ValueError(
                f"pretrained=True, backbone={self.backbone!r}: only networks of timm have weights to fetch; "
                "leave pretrained out"
            )
        if self.arguments and not own:
            raise ValueError(
                f"arguments={self.arguments!r}, backbone={self.backbone!r}: arguments are for a class of "
                "one's own; leave them out"
            )


def is_class_path(backbone: str) -> bool:
    """Return whether a backbone is a class of the user's, whose code runs when it is built.

    Examples
    --------
    >>> is_class_path("my_package.nets.Encoder"), is_class_path("convnext_tiny.fb_in22k")
    (True, False)
    """
    return _CLASS_PATH.fullmatch(backbone) is not None
