import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from viscy_train.view.thumbnails import TILES, eight_bits, sheets, side_of


@pytest.mark.parametrize("count", [1, TILES, TILES**2, TILES**2 + 1])
def test_every_picture_is_on_the_tile_of_its_number(count: int) -> None:
    side = 16
    levels = (np.arange(count) * 37 % 251).astype(np.uint8)
    pictures = np.broadcast_to(levels[:, None, None], (count, side, side))
    made = [np.asarray(Image.open(BytesIO(base64.b64decode(sheet)))) for sheet in sheets(pictures)]
    assert len(made) == -(-count // TILES**2)
    for cell in range(count):
        number, tile = divmod(cell, TILES**2)
        row, column = divmod(tile, TILES)
        cut = made[number][row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert np.abs(cut.astype(int) - levels[cell]).max() <= 2  # a JPEG, whose blocks end where tiles do


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


def test_sides_are_whole_blocks() -> None:
    assert [side_of((40, 64), asked) for asked in (16, 48, 50, 128)] == [16, 40, 40, 40]
