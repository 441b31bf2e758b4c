"""The slice in focus is found in stacks whose focus is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from viscy_data.images.focus import FocusFinder, sharpness

type Pixels = NDArray[np.float64]

SIDE = 96


def blurred(image: Pixels, sigma: float) -> Pixels:
    """Blur with a Gaussian, around the edges."""
    y, x = (np.fft.fftfreq(length)[:, None] for length in image.shape)
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (y**2 + x.T**2))
    return np.fft.ifft2(np.fft.fft2(image) * transfer).real


def cells(rng: np.random.Generator) -> Pixels:
    """Draw disks with texture: what fluorescence shows in focus."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for _ in range(12):
        centre = rng.integers(8, SIDE - 8, 2)
        image += (np.hypot(y - centre[0], x - centre[1]) < rng.uniform(4, 9)) * rng.uniform(0.5, 1.5)
    return image * (1 + 0.3 * rng.normal(size=image.shape))


def stack_of(rng: np.random.Generator, focus: int, depth: int, light: float, step: float) -> Pixels:
    """Return photons counted in slices (Z, Y, X), blurred by ``step`` pixels for each slice from focus."""
    image = cells(rng)
    slices = [blurred(image, 0.7 + step * abs(z - focus)) for z in range(depth)]
    return rng.poisson(np.clip(20 + light * np.stack(slices), 0, None)).astype(np.float64)


@pytest.mark.parametrize("step", [0.3, 1.0])
@pytest.mark.parametrize("light", [20.0, 500.0])
@pytest.mark.parametrize("focus", [0, 3, 8])
def test_the_sharpest_slice_is_the_one_in_focus(focus: int, light: float, step: float) -> None:
    """Noise of half the signal moves it by one slice at most, where slices differ little."""
    for seed in range(8):
        found = sharpness(stack_of(np.random.default_rng(seed), focus, 9, light, step)).argmax()
        assert abs(int(found) - focus) <= (light < 100 and step < 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_neither_dtype_nor_brightness_nor_rows_that_are_left_out_matter(dtype: str) -> None:
    stack = stack_of(np.random.default_rng(1), 4, 9, 60.0, 0.6)
    curve = sharpness(stack)
    np.testing.assert_allclose(sharpness(stack.astype(dtype)), curve)
    np.testing.assert_allclose(sharpness(stack + 40), curve)
    assert sharpness(np.tile(stack, (1, 12, 1))).argmax() == 4


def test_it_is_the_autocorrelation_at_one_pixel_less_that_at_two() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(100, 5, (7, 11))
    values = image - image.mean()
    slow = [
        values[y, x] * values[y, x + 1] - values[y, x] * values[y, x + 2] for y in range(7) for x in range(9)
    ]
    assert sharpness(image[None])[0] == pytest.approx(np.mean(slow))


def test_noise_alone_has_no_sharpness_on_the_average() -> None:
    stack = np.random.default_rng(3).normal(0, 1, (4, 512, 512))
    assert np.abs(sharpness(stack)).max() < 0.02


def test_pixels_that_are_not_finite_are_left_out() -> None:
    stack = stack_of(np.random.default_rng(4), 2, 5, 200.0, 1.0).astype(np.float32)
    stack[4, ::2, ::3] = np.inf
    stack[0] = np.nan
    assert sharpness(stack)[[0, 2]].tolist() == [0.0, sharpness(stack[2:3])[0]]


def test_a_field_of_view_has_a_plane_for_each_frame() -> None:
    finder = FocusFinder()
    for focus in (2, 3, 3, 4):
        finder.add(stack_of(np.random.default_rng(focus), focus, 7, 300.0, 0.8))
    finder.add(np.full((7, SIDE, SIDE), 9, dtype=np.uint16))  # blank: as the others
    found = finder.result("RFP")
    assert (found.channel, found.planes) == ("RFP", [2, 3, 3, 4, 3])
    assert len(found.mean) == 7
    assert all(low <= mean <= high for low, mean, high in zip(*found[2:], strict=True))
    assert max(found.mean) <= 1.0 == max(found.highest)


def test_one_slice_is_in_focus() -> None:
    finder = FocusFinder()
    finder.add(np.zeros((1, 5, 5)))
    assert finder.result("RFP").planes == [0]
    assert FocusFinder().result("RFP").planes == []
