"""What becomes of a patch that reaches over the border of its image: reflect, shift or drop.

A patch shows a cell and what is around it. Near a border there is nothing around it on one side, and what
is done about that must not tell a model where in its image a cell lies. A patch that is moved inside
(``shift``) does tell: its cell is out of the middle, and neighbours in a corner share one patch. Therefore
the cell stays in the middle and the image is continued by reflection (``reflect``, the default): the pixels
beyond the border are those before it in reverse order, the outermost one not repeated, as those of
``numpy.pad(mode="reflect")``; at the opposite border it turns round again, as often as a patch needs it.
Who wants neither leaves such cells out (``drop``).

A *box* is what a patch covers, ``[start, stop)`` along an axis, and may reach over the border. Its *span* is
the part of the image that the box's pixels come from: the only thing that is read. A *fold* says which row
and column of the span is at each place of the patch.

Cost: nothing for a box inside its image; two copies of the pixels for one that is folded.
"""

from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError

type Border = Literal["reflect", "shift", "drop"]
type IntArray = NDArray[np.int64]

BORDERS: Final[tuple[str, ...]] = get_args(Border.__value__)


def check_border(border: object) -> None:
    """Refuse what is not the name of a rule.

    Raises
    ------
    InvalidInputError
        Naming those that are.
    """
    if border not in BORDERS:
        raise InvalidInputError(
            f"border={border!r}: {', '.join(map(repr, BORDERS))} are allowed; 'reflect' keeps each cell in "
            "the middle of its patch."
        )


def lengths_outside(
    centres: NDArray[np.int32], crop: NDArray[np.int32], extent: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return how many pixels of crops lie outside the image, along one axis.

    Parameters
    ----------
    centres
        Pixels inside the image (N,).
    crop, extent
        Size of crop and image, (N,) or (1,) for all.

    Examples
    --------
    >>> lengths_outside(*(np.array(n, np.int32) for n in ([0, 4, 20, 37, 39], [8], [40]))).tolist()
    [4, 0, 0, 1, 3]
    """
    start = centres - crop // 2
    before = np.maximum(-start, 0)
    start += crop - extent  # now what reaches over the far end
    np.maximum(start, 0, out=start)
    start += before
    return start


def share_outside(
    lost: tuple[NDArray[np.int32], ...], crop: tuple[NDArray[np.int32], ...]
) -> NDArray[np.float32]:
    """Return the fraction (N,) of each crop's area that lies outside the image.

    Parameters
    ----------
    lost
        Rows (N,) and columns (N,) that do.
    crop
        Rows and columns of the crop, (N,) or (1,) for all.

    Examples
    --------
    >>> share_outside((np.array([0, 4, 4]), np.array([0, 0, 4])), (np.array([8]), np.array([8]))).tolist()
    [0.0, 0.5, 0.75]
    """
    share = np.zeros(len(lost[0]), dtype=np.float32)
    at_border = np.flatnonzero(lost[0] | lost[1])  # few: nothing is computed for the others
    inside = [
        1 - one[at_border] / (size if len(size) == 1 else size[at_border])
        for one, size in zip(lost, crop, strict=True)
    ]
    share[at_border] = 1 - inside[0] * inside[1]
    return share


def reflected(places: IntArray, extent: int) -> IntArray:
    """Return the pixel of the image at each place on the line that continues it.

    Examples
    --------
    >>> reflected(np.arange(-3, 7), 4).tolist()
    [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    >>> reflected(np.arange(-1, 2), 1).tolist()
    [0, 0, 0]
    """
    period = max(1, 2 * (extent - 1))  # there and back, each end once
    there = places % period
    return np.minimum(there, period - there) if extent > 1 else there


def spans(start: IntArray, stop: IntArray, extent: IntArray) -> tuple[IntArray, IntArray]:
    """Return first pixel, and the one after the last, that boxes are made of when they are folded.

    Parameters
    ----------
    start, stop
        Of boxes that hold a pixel of the image.
    extent
        Length of the image.

    Examples
    --------
    >>> [bound.tolist() for bound in spans(*(np.array(n) for n in ([-3, 2, 7], [2, 5, 12], [10, 10, 10])))]
    [[0, 2, 7], [4, 5, 10]]
    """
    before, after = start < 0, stop > extent
    # What lies p beyond an end is the pixel p before it.
    first = np.where(after, np.minimum(start, 2 * extent - 1 - stop), start)
    last = np.where(before, np.maximum(stop, 1 - start), stop)
    first = np.where(before, 0, np.maximum(first, 0))
    return first, np.where(after, extent, np.minimum(last, extent))


class Fold(NamedTuple):
    """Which pixels of a span make up a patch.

    Attributes
    ----------
    y, x
        Rows and columns of the span, one for each of the box; None: the span is the box.
    inside
        First of the box's columns that is in the image, and the one after the last.
    """

    y: IntArray | None
    x: IntArray | None
    inside: tuple[int, int]

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels (..., Y, X) of a patch, given those of its span."""
        if self.x is not None:
            # Single columns are slow to copy: only those outside are, and before there are more rows of them.
            start, stop = self.inside
            folded = np.empty((*pixels.shape[:-1], len(self.x)), dtype=pixels.dtype)
            folded[..., start:stop] = pixels[..., self.x[start] : self.x[start] + stop - start]
            for outside in (slice(start), slice(stop, None)):
                folded[..., outside] = pixels.take(self.x[outside], axis=-1)
            pixels = folded
        return pixels if self.y is None else pixels.take(self.y, axis=-2)


def fold_of(
    box: tuple[tuple[int, int], ...], span: tuple[tuple[int, int], ...], extent: tuple[int, ...]
) -> Fold:
    """Return the fold of a box (y, x) that is made of a span of an image.

    Examples
    --------
    >>> fold_of(((-2, 3), (4, 6)), ((0, 3), (4, 6)), (9, 9))
    Fold(y=array([2, 1, 0, 1, 2]), x=None, inside=(0, 2))
    """
    y, x = (
        reflected(np.arange(*wanted), length) - read[0] if wanted[0] < 0 or wanted[1] > length else None
        for wanted, read, length in zip(box, span, extent, strict=True)
    )
    start, stop = box[1]
    return Fold(y, x, (max(0, -start), min(stop, extent[1]) - start))
