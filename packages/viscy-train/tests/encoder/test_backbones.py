"""Backbones of all kinds: networks of timm by name, classes by their path, and what is refused."""

from typing import Any

import pytest
import torch
from torch import nn

from viscy_train.encoder import ContrastiveEncoder, EncoderOptions, FoldedStem
from viscy_train.encoder.backbones import check_backbone

HERE = "own_encoders"


@pytest.mark.parametrize(
    ("name", "width", "stem"),
    [
        ("convnext_atto", 320, 40),
        ("resnet10t", 512, 24),
        ("vit_tiny_patch16_224", 192, 192),
        # what it gives is wider than its features
        ("mobilenetv3_small_050", 1024, 16),
    ],
)
@pytest.mark.parametrize("depth", [1, 4])
def test_networks_of_timm_take_stacks(name: str, width: int, stem: int, depth: int) -> None:
    options = EncoderOptions(name, in_channels=2, depth=depth, projection=8)
    encoder = ContrastiveEncoder(options).eval()
    embedding, projection = encoder(torch.randn(2, 2, depth, 48, 48))
    assert embedding.shape == (2, width) == (2, encoder.width)
    assert projection.shape == (2, 8)
    (folded,) = (module for module in encoder.modules() if isinstance(module, FoldedStem))
    assert folded.convolution.out_channels * depth == stem
    first = next(module for module in encoder.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d)))
    assert first is folded.convolution
    check_backbone(options)


def test_every_slice_and_channel_matters() -> None:
    encoder = ContrastiveEncoder(EncoderOptions("resnet10t", in_channels=2, depth=3)).eval()
    patches = torch.randn(1, 2, 3, 32, 32, requires_grad=True)
    encoder(patches).embedding.square().sum().backward()
    assert patches.grad is not None
    assert (patches.grad.abs().amax(dim=(0, 3, 4)) > 0).all()


def test_a_class_of_ones_own_is_built_by_its_path() -> None:
    encoder = ContrastiveEncoder(
        EncoderOptions(f"{HERE}.Own", in_channels=2, depth=3, projection=4, arguments={"width": 6})
    )
    assert isinstance(encoder.backbone, nn.Module)
    patches = torch.randn(3, 2, 3, 8, 8)
    embedding, projection = encoder(patches)
    torch.testing.assert_close(embedding, encoder.backbone(patches))
    assert (embedding.shape, projection.shape) == ((3, 6), (3, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "convnext_tyni"}, "backbone='convnext_tyni': neither 'small'.*did you mean.*convne"),
        ({"backbone": "my_package.nets"}, "neither 'small', nor a network of timm, nor the path of a class"),
        ({"backbone": "resnet10t.no_such_tag"}, "backbone='resnet10t.no_such_tag': Invalid pretrained tag"),
        ({"backbone": "convnext_atto", "depth": 7}, "depth=7: folded.*depths that work: 1, 2, 4, 5"),
        ({"backbone": "no_such_package.Encoder"}, "cannot be imported: No module named 'no_such_package'"),
        ({"backbone": f"{HERE}.Absent"}, "cannot be imported: .*no attribute 'Absent'"),
        ({"backbone": f"{HERE}.NotAModule"}, "is not a class of torch.nn.Module"),
        ({"backbone": f"{HERE}.Widthless"}, "width=None: the width of its embeddings is needed"),
        (
            {"backbone": f"{HERE}.Own", "arguments": {"speed": 1}},
            "built with in_channels, depth and argu",
        ),
    ],
)
def test_what_does_not_work_is_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ContrastiveEncoder(EncoderOptions(**options))
    assert "\n" not in str(caught.value)


def test_a_network_that_gives_something_else_is_refused() -> None:
    encoder = ContrastiveEncoder(EncoderOptions(f"{HERE}.Liar"))
    with pytest.raises(ValueError, match=r"gives \(2, 5\) and not \(B, 7\)"):
        encoder(torch.zeros(2, 1, 1, 8, 8))
