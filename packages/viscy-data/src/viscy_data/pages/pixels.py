"""Patches as pictures: 8 bits, channels as colours, PNG and JPEG.

Pixels are counts, phases, or numbers that were normalised; a picture has 256 steps and three colours. So each
channel is cut at two of its percentiles, over all the patches that are to be compared, and where there are
several channels, each has a tint of its own and they are added: the first is grey, as images of transmitted
light are.
"""

from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

type Bytes = NDArray[np.uint8]

TINTS: Final = ("#a8a8a8", "#ff3dbb", "#38e070", "#4a90ff", "#ffd23d")
"""Of the first channel, the second, and so on; they repeat."""

_LOW, _HIGH = 1.0, 99.7
_SAMPLE: Final = 2_000_000


def eight_bits(values: NDArray[np.floating[Any]]) -> Bytes:
    """Return patches (N, C, Y, X) from 0 to 255, each channel from its 1st to its 99.7th percentile.

    What is not finite is black.

    Examples
    --------
    >>> eight_bits(np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4)).ravel()[[0, -1]].tolist()
    [0, 255]
    """
    made = np.zeros(values.shape, dtype=np.uint8)
    for channel in range(values.shape[1]):
        own = values[:, channel]
        sample = own.ravel()[:: max(1, own.size // _SAMPLE)]
        sample = sample[np.isfinite(sample)]
        if not sample.size:
            continue
        low, high = np.percentile(sample, [_LOW, _HIGH])
        spread = max(float(high - low), float(np.finfo(np.float32).tiny))
        level = np.nan_to_num((own - low) / spread, nan=0.0, posinf=1.0, neginf=0.0)
        made[:, channel] = np.rint(np.clip(level, 0, 1) * 255)
    return made


def tinted(picture: Bytes) -> Bytes:
    """Return channels (C, Y, X) as one picture: (Y, X) of one channel, (Y, X, 3) of several.

    Examples
    --------
    >>> tinted(np.full((2, 1, 1), 255, dtype=np.uint8)).tolist()
    [[[255, 229, 255]]]
    """
    if len(picture) == 1:
        only: Bytes = picture[0]
        return only
    places = range(1, 7, 2)
    tints = [[int(TINTS[one % len(TINTS)][n : n + 2], 16) for n in places] for one in range(len(picture))]
    # (C, Y, X) and (C, 3): (Y, X, 3)
    added = np.einsum("cyx,cn->yxn", picture.astype(np.float64), np.array(tints) / 255)
    return np.asarray(np.rint(np.minimum(added, 255)), dtype=np.uint8)


def png_of(picture: Bytes) -> bytes:
    """Return a picture (Y, X) or (Y, X, 3) as PNG."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture)))


def jpeg_of(picture: Bytes, quality: int) -> bytes:
    """Return a picture (Y, X) as JPEG."""
    return bytes(imagecodecs.jpeg_encode(np.ascontiguousarray(picture), level=quality))
