"""Patches as small pictures of 8 bits, on sheets.

A page with 10,000 pictures of its own would be slow to open. So many share one *sheet*, a square of tiles
saved as a grey JPEG for each channel, and the browser cuts tiles from it; channels stay apart, so that they
can be shown alone or as colours. Sheets are small, because a browser decodes whole ones.

Contrast is that of each experiment and channel, from its 1st to its 99.7th percentile: microscopes differ,
and what is dark under one may be bright under another. Within an experiment brightness can be compared.

Cost: about 0.9 kB for a picture of 48 pixels in one channel; memory for the pixels of the largest experiment.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from viscy_data import AnchorDataset
from viscy_data.pages.pixels import Bytes, eight_bits, jpeg_of
from viscy_train.evaluation.arrays import IntArray

TILES: Final = 16
"""Tiles in a row, and rows, of a sheet."""

_BLOCK: Final = 8  # pixels of a JPEG that are compressed together: tiles that end within one would blur
_AT_ONCE: Final = 256
_QUALITY: Final = 82


@dataclass(frozen=True)
class Thumbnails:
    """Pictures of cells.

    Attributes
    ----------
    pictures : ndarray (N, C, S, S) uint8
        Black where a patch could not be read.
    channels : tuple of str
        What the C channels are called.
    lacking : ndarray (N,) bool
        Whether a patch could not be read.
    """

    pictures: Bytes
    channels: tuple[str, ...]
    lacking: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return int(self.pictures.shape[-1])


def side_of(patch: tuple[int, int], asked: int) -> int:
    """Return the side of pictures: as asked, or as the patch has pixels, a multiple of 8 either way.

    Examples
    --------
    >>> side_of((160, 160), 48), side_of((36, 40), 48), side_of((5, 5), 48)
    (48, 32, 8)
    """
    return max(_BLOCK, min(asked, *patch) // _BLOCK * _BLOCK)


def read_thumbnails(
    dataset: AnchorDataset,
    rows: IntArray,
    groups: IntArray,
    *,
    side: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Thumbnails:
    """Read the central square of the middle slice of patches, and scale it.

    Parameters
    ----------
    dataset : AnchorDataset
    rows : ndarray (N,)
        Of the table.
    groups : ndarray (N,)
        Codes: pictures of one group have one contrast.
    side : int
        Pixels of a picture, as `side_of` gives it.
    advance : callable
        Told how many more have been read.
    """
    pictures = np.zeros((len(rows), dataset.channels, side, side), dtype=np.uint8)
    lacking = np.zeros(len(rows), dtype=np.bool_)
    for code in np.unique(groups):
        members = np.flatnonzero(groups == code)
        members = members[np.argsort(rows[members], kind="stable")]  # neighbours in a store, read together
        values = np.empty((len(members), *pictures.shape[1:]), dtype=np.float32)
        for start in range(0, len(members), _AT_ONCE):
            block = members[start : start + _AT_ONCE]
            patches, failed = dataset.try_read(rows[block])
            values[start : start + len(block)] = _scaled(patches, side)
            lacking[block[list(failed)]] = True
            advance(len(block))
        pictures[members] = eight_bits(values)
    shown = dataset.shown
    names = ("",) if shown.samples == "channels" else tuple(" / ".join(one) for one in shown.channels)
    return Thumbnails(pictures, names, lacking)


def _scaled(patches: Tensor, side: int) -> NDArray[np.float32]:
    middle = patches[:, :, patches.shape[2] // 2]
    height, width = middle.shape[-2:]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    cut = middle[..., top : top + square, left : left + square]
    scaled: NDArray[np.float32] = interpolate(cut.float(), size=(side, side), mode="area").numpy()
    return scaled


def sheets(pictures: Bytes) -> Iterator[str]:
    """Yield sheets of one channel's pictures (N, S, S), each a JPEG in base64.

    Tile i of sheet s, row by row, is picture ``TILES ** 2 * s + i``.
    """
    side = pictures.shape[-1]
    for start in range(0, len(pictures), TILES**2):
        some = pictures[start : start + TILES**2]
        rows = -(-len(some) // TILES)
        padded = np.zeros((rows * TILES, side, side), dtype=np.uint8)
        padded[: len(some)] = some
        sheet = padded.reshape(rows, TILES, side, side).swapaxes(1, 2).reshape(rows * side, TILES * side)
        yield base64.b64encode(jpeg_of(sheet, _QUALITY)).decode("ascii")
