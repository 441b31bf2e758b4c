"""The slice in focus: where a stack is sharpest, frame by frame.

In focus, neighbouring pixels differ as much as the object does; out of focus, what is seen is an average over
many. Vollath's measure is the autocorrelation of a slice at a lag of one pixel less that at a lag of two: it
falls as an image is blurred, and noise, which no two pixels share, leaves its expectation alone. In a
comparison of such measures on fluorescence images it was among the best (Santos et al. 1997).

It goes by contrast. A transparent cell in bright field has the least contrast in focus, so that the measure
finds a slice beside it there: measure in a channel of fluorescence, or of reconstructed phase.

References
----------
Vollath, D. (1987). Automatic focusing by correlative methods. Journal of Microscopy 147, 279-288.
Vollath, D. (1988). The influence of the scene parameters and of noise on the behaviour of automatic focusing
algorithms. Journal of Microscopy 151, 133-146.
Santos, A. et al. (1997). Evaluation of autofocus functions in molecular cytogenetic analysis. Journal of
Microscopy 188, 264-272.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from viscy_data.images.channel_statistics import finite_pixels

type FloatArray = NDArray[np.float64]

_ROWS: Final = 256
"""Rows of a slice that represent it."""


class FocusCurve(NamedTuple):
    """Where one channel of a field of view is in focus.

    Attributes
    ----------
    channel
        Whose pixels were measured.
    planes
        The sharpest slice of each frame.
    lowest, mean, highest
        Sharpness by slice over all frames, each frame's largest being 1; empty where no frame has any.
    """

    channel: str
    planes: list[int]
    lowest: list[float]
    mean: list[float]
    highest: list[float]


def sharpness(stack: NDArray[Any]) -> FloatArray:
    """Return Vollath's F4 of each slice (Z,) of a stack (Z, Y, X), in the square of its unit for each pixel.

    Lags are along x. Pixels that are not finite count as the mean of their slice.

    Examples
    --------
    >>> sharp, flat = [[0, 0, 4, 4, 0, 0]], [[1, 1, 2, 2, 1, 1]]
    >>> sharpness(np.array([flat, sharp])).tolist()
    [0.25, 4.0]
    """
    step = max(1, -(-stack.shape[1] // _ROWS))
    found = np.zeros(len(stack))
    for z, pixels in enumerate(stack[:, ::step]):
        values = pixels.astype(np.float64)
        finite = finite_pixels(pixels)
        mean = values.mean() if finite is None else values[finite].mean() if finite.any() else 0.0
        values -= mean
        if finite is not None:
            values[~finite] = 0.0
        if values.shape[1] > 2:
            lags = values[:, 1:-1] - values[:, 2:]
            found[z] = np.einsum("yx,yx->", values[:, :-2], lags) / lags.size
    return found


@dataclass
class FocusFinder:
    """The slices in focus of one channel, added frame by frame.

    A frame without contrast, such as a blank one, takes the median of the others.
    """

    _curves: list[FloatArray] = field(default_factory=list)

    def add(self, stack: NDArray[Any]) -> None:
        """Take in the stack (Z, Y, X) of the next frame."""
        self._curves.append(np.zeros(1) if len(stack) == 1 else sharpness(stack))

    def result(self, channel: str) -> FocusCurve:
        """Return where the channel, which is called so, is in focus."""
        if not self._curves:
            return FocusCurve(channel, [], [], [], [])
        curves = np.array(self._curves)  # (T, Z)
        most = curves.max(axis=1, initial=0.0)
        seen = most > 0
        planes = curves.argmax(axis=1)
        usual = int(np.median(planes[seen])) if seen.any() else curves.shape[-1] // 2
        planes[~seen] = usual
        known = np.clip(curves[seen] / most[seen, None], 0.0, 1.0)
        if not len(known):
            return FocusCurve(channel, planes.tolist(), [], [], [])
        lowest, mean, highest = (of(known, axis=0).round(4).tolist() for of in (np.min, np.mean, np.max))
        return FocusCurve(channel, planes.tolist(), lowest, mean, highest)
