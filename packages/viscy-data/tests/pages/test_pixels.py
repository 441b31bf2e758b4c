import imagecodecs
import numpy as np

from viscy_data.pages.pixels import eight_bits, jpeg_of, png_of, tinted


def test_contrast_is_of_each_channel_and_outliers_are_clipped() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 2, 8, 8)).astype(np.float32)
    values[:, 1] = values[:, 0] * 1000 + 7
    values[0, :, 0, 0] = 1e9
    values[1, :, 0, 0] = np.nan
    made = eight_bits(values)
    assert np.array_equal(made[2:, 0], made[2:, 1])
    assert made[0, 0, 0, 0] == 255
    assert made[1, 0, 0, 0] == 0
    assert 60 < made.mean() < 190


def test_pictures_without_contrast_are_black() -> None:
    assert not eight_bits(np.full((3, 1, 8, 8), 5, dtype=np.float32)).any()
    assert not eight_bits(np.full((3, 1, 8, 8), np.nan, dtype=np.float32)).any()


def test_channels_become_colours_and_a_picture_is_what_it_was() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    coloured = tinted(picture)
    assert coloured.shape == (8, 8, 3)
    assert (coloured >= (picture[0, ..., None] * (168 / 255)).astype(np.uint8)).all()
    assert np.array_equal(imagecodecs.png_decode(png_of(coloured)), coloured)
    assert np.array_equal(tinted(picture[:1]), picture[0])
    flat = np.full((16, 16), 90, dtype=np.uint8)
    assert np.abs(imagecodecs.jpeg_decode(jpeg_of(flat, 80)).astype(int) - 90).max() <= 1
