import numpy as np
import pytest

from viscy_data.images.normalized_patches import resample


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float64])
def test_a_crop_of_the_right_size_stays(dtype: type[np.generic]) -> None:
    crop = np.arange(24).reshape(1, 2, 3, 4).astype(dtype)
    assert resample(crop, (3, 4)) is crop


def test_halving_averages_neighbours_and_keeps_planes() -> None:
    plane = np.add.outer(2.0 * np.arange(12), 3.0 * np.arange(16))
    crop = np.stack([plane, plane + 100])[None].astype(np.uint16)
    resampled = resample(crop, (6, 8))
    assert resampled.shape == (1, 2, 6, 8)
    want = plane.reshape(6, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(resampled[0, 0, 1:-1, 1:-1], want[1:-1, 1:-1], atol=1e-4)
    np.testing.assert_allclose(resampled[0, 1] - resampled[0, 0], 100, atol=1e-3)


def test_resampling_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 100], dtype=np.uint16), 30)[None, None, None, :].repeat(8, axis=2)
    resampled = resample(stripes, (8, 20))
    np.testing.assert_allclose(resampled[..., 1:-1], 50, atol=17)
