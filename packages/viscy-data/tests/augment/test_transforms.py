import math
from typing import Any

import pytest
import torch
from torch import Tensor

from viscy_data.augment.intensities import blur, drop_channels, gamma
from viscy_data.augment.transforms import Augment, Geometry, Intensity, center_crop
from viscy_data.errors import InvalidInputError

STILL = Geometry(flip=0.0, rotate_degrees=0.0, zoom=(1.0, 1.0))
PLAIN = Intensity.none()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(seed: int = 0, shape: tuple[int, ...] = (6, 2, 3, 24, 28)) -> Tensor:
    return torch.randn(shape, generator=rng(seed))


def intensity(**ranges: Any) -> Intensity:
    """Vary what is named, in every sample, and nothing else."""
    still = dict.fromkeys(("scale", "contrast", "gamma"), (1.0, 1.0))
    none = dict.fromkeys(("shift", "noise", "blur"), (0.0, 0.0))
    return Intensity(**{**still, **none, "probability": 1.0, **ranges})


@pytest.mark.parametrize("size", [(24, 28), (16, 16), (15, 17), (1, 1)])
def test_without_options_it_is_the_centre_crop(size: tuple[int, int]) -> None:
    x = batch()
    result = Augment(size, geometry=STILL, intensity=PLAIN)(x, rng())
    torch.testing.assert_close(result, center_crop(x, size), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(24, 28), (16, 16), (15, 17), (1, 1)])
def test_a_movement_by_nothing_is_the_centre_crop(size: tuple[int, int]) -> None:
    x = batch()
    barely = Geometry(flip=0.0, rotate_degrees=0.0, zoom=(1.0, 1.0), shift=1e-9)
    torch.testing.assert_close(
        Augment(size, geometry=barely, intensity=PLAIN)(x, rng()), center_crop(x, size)
    )


def test_a_certain_flip_flips_both_axes() -> None:
    x = batch()
    flip = Geometry(flip=1.0, rotate_degrees=0.0, zoom=(1.0, 1.0))
    torch.testing.assert_close(
        Augment((16, 20), geometry=flip, intensity=PLAIN)(x, rng()), center_crop(x, (16, 20)).flip(-1, -2)
    )


def test_flips_are_drawn_for_each_sample_and_axis() -> None:
    x = batch(shape=(64, 1, 1, 8, 8))
    flip = Geometry(flip=0.5, rotate_degrees=0.0, zoom=(1.0, 1.0))
    result = Augment(geometry=flip, intensity=PLAIN)(x, rng())
    seen = set()
    for before, after in zip(x, result, strict=True):
        match = [
            k
            for k, dims in enumerate([(), (-1,), (-2,), (-1, -2)])
            if torch.allclose(before.flip(dims), after, atol=1e-4)
        ]
        assert len(match) == 1
        seen.add(match[0])
    assert seen == {0, 1, 2, 3}


def test_rotation_keeps_a_disc_and_moves_a_spot_on_its_circle() -> None:
    y, x = torch.meshgrid(torch.arange(65.0) - 32, torch.arange(65.0) - 32, indexing="ij")
    spot = torch.exp(-((y - 8) ** 2 + x**2) / 8)
    images = spot.expand(32, 1, 1, 65, 65)
    turn = Geometry(flip=0.0, rotate_degrees=180.0, zoom=(1.0, 1.0))
    turned = Augment((41, 41), geometry=turn, intensity=PLAIN)(images, rng())[:, 0, 0]
    near = torch.arange(41.0) - 20
    mass = turned.sum(dim=(1, 2))
    ys, xs = (turned.sum(2) * near).sum(1) / mass, (turned.sum(1) * near).sum(1) / mass
    torch.testing.assert_close(torch.hypot(ys, xs), torch.full((32,), 8.0), rtol=0.01, atol=0.05)
    quadrants = set(zip((ys > 0).tolist(), (xs > 0).tolist(), strict=True))
    assert len(quadrants) == 4


def test_zoom_magnifies() -> None:
    ramp = torch.arange(-20.0, 21.0).expand(8, 1, 1, 41, 41)
    zoom = Geometry(flip=0.0, rotate_degrees=0.0, zoom=(2.0, 2.0))
    result = Augment((21, 21), geometry=zoom, intensity=PLAIN)(ramp, rng())
    torch.testing.assert_close(result[0, 0, 0, 0], torch.arange(-10.0, 11.0) / 2)


def test_a_margin_leaves_no_empty_corner() -> None:
    size = 32
    large = math.ceil(size * math.sqrt(2) / 0.9) + 3
    x = torch.ones(32, 1, 1, large, large)
    x[..., 0, :] = x[..., -1, :] = x[..., :, 0] = x[..., :, -1] = float("nan")
    result = Augment((size, size), geometry=Geometry(zoom=(0.9, 1.1)), intensity=PLAIN)(x, rng())
    torch.testing.assert_close(result, torch.ones(32, 1, 1, size, size))


def test_slices_and_channels_share_the_geometry() -> None:
    x = batch(shape=(4, 1, 1, 24, 24)).expand(4, 3, 2, 24, 24)
    result = Augment((12, 12), intensity=PLAIN)(x, rng())
    torch.testing.assert_close(result, result[:, :1, :1].expand_as(result))
    assert not torch.allclose(result[0], result[1])


def test_the_generator_is_the_only_randomness() -> None:
    x, augment = batch(), Augment((16, 16), intensity=Intensity(channel_dropout=0.3))
    before = torch.get_rng_state()
    generator = rng(3)
    first, second = augment(x, generator), augment(x, generator)
    torch.manual_seed(99)
    torch.testing.assert_close(augment(x, rng(3)), first, rtol=0, atol=0)
    assert not torch.equal(first, second)
    torch.set_rng_state(before)
    augment(x, rng(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_input_is_not_edited() -> None:
    x = batch()
    kept = x.clone()
    Augment((16, 16), intensity=Intensity(channel_dropout=0.5))(x, rng())
    Augment(geometry=STILL, intensity=Intensity(channel_dropout=0.5))(x, rng())
    assert torch.equal(x, kept)


def test_scale_and_shift_are_drawn_per_channel() -> None:
    x = batch(shape=(16, 2, 2, 8, 8))
    result = Augment(geometry=STILL, intensity=intensity(scale=(0.5, 2.0), shift=(-1.0, 1.0)))(x, rng())
    flat, changed = x.flatten(2), result.flatten(2)
    scale = (changed[..., 1] - changed[..., 0]) / (flat[..., 1] - flat[..., 0])
    shift = changed[..., 0] - flat[..., 0] * scale
    torch.testing.assert_close(changed, flat * scale[..., None] + shift[..., None], rtol=1e-3, atol=1e-3)
    assert scale.min() >= 0.49
    assert scale.max() <= 2.01
    assert shift.abs().max() <= 1.01
    assert len(scale.round(decimals=3).unique()) > 24


def test_contrast_keeps_the_mean_of_a_channel() -> None:
    x = batch()
    result = Augment(geometry=STILL, intensity=intensity(contrast=(0.5, 0.5)))(x, rng())
    torch.testing.assert_close(result.mean(dim=(2, 3, 4)), x.mean(dim=(2, 3, 4)))
    torch.testing.assert_close(result.std(dim=(2, 3, 4)), x.std(dim=(2, 3, 4)) / 2)


def test_gamma_keeps_extremes_and_order() -> None:
    x = batch()
    result = gamma(x, torch.full((6, 2, 1, 1, 1), 2.0))
    torch.testing.assert_close(result.amin(dim=(2, 3, 4)), x.amin(dim=(2, 3, 4)))
    torch.testing.assert_close(result.amax(dim=(2, 3, 4)), x.amax(dim=(2, 3, 4)))
    flat = x[0, 0].flatten().argsort()
    assert (result[0, 0].flatten()[flat].diff() >= 0).all()
    assert (result <= x + 1e-5).all()
    constant = torch.full((1, 1, 1, 4, 4), 3.0)
    torch.testing.assert_close(gamma(constant, torch.full((1, 1, 1, 1, 1), 2.0)), constant)


def test_noise_has_the_size_asked_for() -> None:
    x = torch.zeros(4, 2, 4, 64, 64)
    result = Augment(geometry=STILL, intensity=intensity(noise=(0.5, 0.5)))(x, rng())
    torch.testing.assert_close(result.flatten(1).std(1), torch.full((4,), 0.5), rtol=0.03, atol=0)


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_blur_is_the_gaussian_of_each_sample(sigma: float) -> None:
    x = torch.zeros(2, 1, 2, 31, 31)
    x[:, :, :, 15, 15] = 1
    result = blur(x, torch.tensor([sigma, 0.0]).view(2, 1, 1, 1, 1), sigma)
    offsets = torch.arange(31.0) - 15
    line = torch.exp(-0.5 * (offsets / sigma) ** 2)
    line[offsets.abs() > int(3 * sigma + 0.5)] = 0
    line /= line.sum()
    torch.testing.assert_close(result[0, 0, 1], line[:, None] * line[None, :])
    torch.testing.assert_close(result[1], x[1])


def test_blur_keeps_a_constant_and_tiny_images() -> None:
    x = torch.full((1, 1, 1, 3, 2), 2.0)
    torch.testing.assert_close(blur(x, torch.full((1, 1, 1, 1, 1), 5.0), 5.0), x)


def test_dropout_leaves_one_channel() -> None:
    x = torch.ones(200, 3, 1, 2, 2)
    result = Augment(geometry=STILL, intensity=Intensity(probability=0, channel_dropout=1.0))(x, rng())
    assert (result[:, :, 0, 0, 0].sum(1) == 1).all()
    assert (result[:, :, 0, 0, 0].sum(0) > 30).all()
    none = torch.zeros(200, 3, 1, 1, 1, dtype=torch.bool)
    assert torch.equal(drop_channels(x, none, torch.rand(200, 3, 1, 1, 1, generator=rng())), x)


def test_probability_is_per_sample() -> None:
    x = batch(shape=(200, 1, 1, 4, 4))
    some = Augment(geometry=STILL, intensity=intensity(shift=(1.0, 1.0), probability=0.3))(x, rng())
    changed = (some - x).flatten(1).abs().amax(1) > 0.5
    assert 35 <= int(changed.sum()) <= 85


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    result = Augment((16, 16), intensity=Intensity(channel_dropout=0.1))(batch().to(dtype), rng())
    assert result.dtype == dtype
    assert result.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Geometry(flip=1.5), r"flip=1.5 must be a finite number in \[0, 1\]"),
        (lambda: Geometry(rotate_degrees=-1), "rotate_degrees=-1"),
        (lambda: Geometry(shear_degrees=80), "shear_degrees=80"),
        (lambda: Geometry(zoom=(0.0, 1.0)), "zoom=0.0"),
        (lambda: Geometry(zoom=(2.0, 1.0)), r"zoom=\(2.0, 1.0\) must be \(lowest, highest\)"),
        (lambda: Geometry(shift=float("nan")), "shift=nan"),
        (lambda: Intensity(noise=(-0.1, 0.1)), "noise=-0.1"),
        (lambda: Intensity(blur=(0.0, float("inf"))), "blur=inf"),
        (lambda: Intensity(probability=True), "probability=True"),
        (lambda: Intensity(channel_dropout=2), "channel_dropout=2"),
        (lambda: Augment((0, 4)), r"size=\(0, 4\)"),
        (lambda: Augment((25, 24))(batch(), rng()), r"size=\(25, 24\) is larger than the patches, 24 x 28"),
        (lambda: Augment()(batch()[0], rng()), r"shape \(2, 3, 24, 28\)"),
        (lambda: Augment()(torch.zeros(1, 1, 1, 4, 4, dtype=torch.int16), rng()), "torch.int16"),
        (lambda: center_crop(torch.zeros(4, 4), (5, 4)), r"size=\(5, 4\) is larger"),
    ],
)
def test_bad_options_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 1, 1, 8, 8, dtype=torch.int32),
        torch.zeros(2, 1, 1, 8, 8, dtype=torch.bool),
        torch.zeros(2, 1, 1, 8, 8, dtype=torch.complex64),
        torch.zeros(2, 1, 1, 8, 8).to(torch.float8_e4m3fn),
        torch.zeros(2, 0, 1, 8, 8),
        torch.zeros(()),
        torch.zeros(2, 1, 1, 8, 8).numpy(),
        None,
    ],
)
def test_what_is_no_batch_is_refused(x: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"must be .*B, C, Z, Y, X"):
        Augment()(x, torch.Generator())


def test_options_of_other_kinds_are_refused() -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"size": 8}, "size=8 must be two positive"),
        ({"size": "ab"}, "size='ab' must be two positive"),
        ({"size": (8, 8.0)}, "size=.* must be two positive"),
        ({"geometry": None}, "geometry=None must be a Geometry"),
        ({"intensity": {}}, "intensity=.* must be a Intensity"),
    ]
    for options, match in refused:
        with pytest.raises(InvalidInputError, match=match):
            Augment(**options)
    for zoom in (None, 1.0, "ab", (1, 2, 3), (2, 1), ("a", "b"), (float("nan"), 1)):
        with pytest.raises(InvalidInputError, match="zoom="):
            Geometry(zoom=zoom)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"generator=None must be a torch\.Generator"):
        Augment()(torch.zeros(1, 1, 1, 8, 8), None)


@pytest.mark.parametrize("size", [(-1, 3), (0, 3), (2.5, 3), 3, None, (3, 3, 3)])
def test_a_crop_has_a_size(size: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"size=.* must be two positive integers"):
        center_crop(torch.zeros(4, 4), size)
    with pytest.raises(InvalidInputError, match="it must be"):
        center_crop(torch.zeros(4), (1, 1))
