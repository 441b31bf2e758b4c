"""Encoders: shapes, the folded stem, and what they refuse."""

import pytest
import torch
from torch import nn

from viscy_train.encoder import ContrastiveEncoder, EncoderOptions, FoldedStem


@pytest.mark.parametrize("depth", [1, 3, 8])
@pytest.mark.parametrize("size", [32, 48, 65])
def test_small_encoder_shapes(depth: int, size: int) -> None:
    encoder = ContrastiveEncoder(EncoderOptions("small", in_channels=2, depth=depth, projection=16))
    embedding, projection = encoder(torch.randn(3, 2, depth, size, size))
    assert embedding.shape == (3, encoder.width)
    assert projection.shape == (3, 16)


@pytest.mark.parametrize(("backbone", "width", "stem"), [("convnext_tiny", 768, 96), ("resnet50", 2048, 64)])
def test_image_backbones(backbone: str, width: int, stem: int) -> None:
    encoder = ContrastiveEncoder(EncoderOptions(backbone, in_channels=3, depth=4, stem_depth=2))
    assert encoder.width == width
    embedding, projection = encoder.eval()(torch.randn(2, 3, 4, 64, 64))
    assert embedding.shape == (2, width)
    assert projection.shape == (2, 128)
    stems = [module for module in encoder.modules() if isinstance(module, FoldedStem)]
    assert [module.convolution.out_channels for module in stems] == [stem // 2]
    first = next(module for module in encoder.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d)))
    assert first is stems[0].convolution


def test_every_weight_gets_a_gradient() -> None:
    encoder = ContrastiveEncoder(EncoderOptions("small", in_channels=2))
    _, projection = encoder(torch.randn(4, 2, 1, 32, 32))
    # a plain sum is blind to what comes before the last BatchNorm
    (projection * torch.randn_like(projection)).sum().backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is None] == []


def test_stem_folds_depth_in_order() -> None:
    stem = FoldedStem(1, 6, 4, (3, 2, 2))
    patches = torch.randn(2, 1, 6, 8, 8)
    folded = stem(patches)
    assert folded.shape == (2, 4, 4, 4)
    volume = stem.convolution(patches)
    for feature in range(2):
        for place in range(2):
            torch.testing.assert_close(folded[:, 2 * feature + place], volume[:, feature, place])


@pytest.mark.parametrize("width", [24, 64, 96])
@pytest.mark.parametrize("kernel", [1, 2, 5])
def test_depths_that_work_are_those_that_are_named(width: int, kernel: int) -> None:
    with pytest.raises(ValueError, match="depths that work: ") as caught:
        FoldedStem(1, 997 * kernel, width, (kernel, 2, 2))
    named = {int(depth) for depth in str(caught.value).rsplit(": ", 1)[1].split(", ")}
    works = set()
    for depth in range(1, width * kernel + 1):
        try:
            stem = FoldedStem(1, depth, width, (kernel, 2, 2))
        except ValueError:
            continue
        works.add(depth)
        assert stem(torch.zeros(1, 1, depth, 4, 4)).shape == (1, width, 2, 2)
    assert named == works


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"backbone": "hf-hub:a/b"},
            "backbone='hf-hub:a/b': the name of a network of timm, 'small'",
        ),
        ({"arguments": {"a": 1}}, "arguments={'a': 1}, backbone='convnext_tiny': arguments are for a class"),
        ({"hidden": 0}, "hidden=0"),
        ({"backbone": "my.Encoder", "pretrained": True}, "only networks of timm have weights"),
        ({"in_channels": 0}, "in_channels=0"),
        ({"projection": 0}, "projection=0"),
        ({"backbone": "small", "pretrained": True}, "pretrained=True, backbone='small'"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderOptions(**options)  # type: ignore[arg-type]  # wrong values on purpose


@pytest.mark.parametrize("shape", [(2, 2, 32, 32), (2, 3, 1, 32, 32), (2, 2, 2, 32, 32)])
def test_patches_are_checked(shape: tuple[int, ...]) -> None:
    encoder = ContrastiveEncoder(EncoderOptions("small", in_channels=2))
    with pytest.raises(ValueError, match="C=2, Z=1; set in_channels and depth"):
        encoder(torch.zeros(shape))


def test_weights_out_of_reach_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> nn.Module:
        raise ConnectionError("no route")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(OSError, match="pretrained=True: the weights of resnet50 cannot be fetched"):
        ContrastiveEncoder(EncoderOptions("resnet50", pretrained=True))


def test_a_patch_is_encoded_alike_alone_and_in_a_batch() -> None:
    encoder = ContrastiveEncoder(EncoderOptions("small")).train()
    patches = torch.randn(5, 1, 1, 32, 32)
    embedding = encoder(patches).embedding
    alone = torch.cat([encoder.backbone(patch[None]) for patch in patches])
    torch.testing.assert_close(embedding, alone, atol=1e-5, rtol=1e-4)
