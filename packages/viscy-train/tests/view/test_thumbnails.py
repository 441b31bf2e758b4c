import base64

import imagecodecs
import numpy as np
import pytest

from viscy_train.view.thumbnails import TILES, sheets, side_of


@pytest.mark.parametrize("count", [1, TILES, TILES**2, TILES**2 + 1])
def test_every_picture_is_on_the_tile_of_its_number(count: int) -> None:
    side = 16
    levels = (np.arange(count) * 37 % 251).astype(np.uint8)
    pictures = np.broadcast_to(levels[:, None, None], (count, side, side))
    made = [imagecodecs.jpeg_decode(base64.b64decode(sheet)) for sheet in sheets(pictures)]
    assert len(made) == -(-count // TILES**2)
    for cell in range(count):
        number, tile = divmod(cell, TILES**2)
        row, column = divmod(tile, TILES)
        cut = made[number][row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert np.abs(cut.astype(int) - levels[cell]).max() <= 2  # a JPEG, whose blocks end where tiles do


def test_sides_are_whole_blocks() -> None:
    assert [side_of((40, 64), asked) for asked in (16, 48, 50, 128)] == [16, 40, 40, 40]
