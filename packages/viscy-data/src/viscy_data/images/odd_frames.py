"""Frames that show nothing, and pixels that are not finite: found while statistics are read.

An acquisition that was interrupted leaves frames of nothing, which pass for cells and pull the median of
their field of view to zero. A deconvolution leaves NaN, which ends a training or, worse, does not. Both are
seen where every frame is read once anyway.

The frame of a channel is *blank* where all its pixels have one value (those that are finite; or none is).
A frame is blank where that of **any** of the model's channels is: its patches would lack what the model is
to see. A channel's statistics leave out the frames in which this channel is blank, unless all are.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from viscy_data.errors import StoreError
from viscy_data.images.channel_statistics import ChannelStatistics, finite_pixels

_SAMPLE = 4096


class OddFrame(NamedTuple):
    """The frame of one channel that is blank, or has pixels that are not finite.

    Attributes
    ----------
    experiment, fov, t, channel
        Which it is.
    blank
        Whether it has one value throughout.
    non_finite
        How many pixels are NaN, infinite, or too large for 32 bits.
    blank_slices
        How many slices of a frame that is not blank have one value throughout each; they count as they are.
    """

    experiment: str
    fov: str
    t: int
    channel: str
    blank: bool
    non_finite: int
    blank_slices: int = 0


class WatchedStatistics:
    """Statistics of one channel without its blank frames, of which it keeps those of their own."""

    def __init__(self) -> None:
        self._seen = ChannelStatistics()
        self._blank = ChannelStatistics()

    def add(self, pixels: NDArray[Any]) -> tuple[bool, int]:
        """Take in the pixels of one frame; return whether it is blank, and how many are not finite."""
        finite = finite_pixels(pixels)
        non_finite = 0 if finite is None else pixels.size - int(np.count_nonzero(finite))
        blank = _is_blank(pixels[finite] if non_finite else pixels)
        (self._blank if blank else self._seen).add(pixels)
        return blank, non_finite

    def merge(self, other: "WatchedStatistics") -> None:
        """Take in the frames of ``other``, blank ones and others."""
        self._seen.merge(other._seen)
        self._blank.merge(other._blank)

    def thin(self) -> None:
        """Hold less of what percentiles are sampled from (``ChannelStatistics.thin``)."""
        self._seen.thin()
        self._blank.thin()

    def result(self) -> dict[str, float]:
        """Return what ``ChannelStatistics.result`` would of the frames that count."""
        return (self._blank if self._seen.empty else self._seen).result()


def count_blank_slices(pixels: NDArray[Any]) -> int:
    """Return how many slices of the frame (Z, Y, X) of one channel have one value throughout."""
    return sum(map(_is_blank, pixels))


def _is_blank(pixels: NDArray[Any]) -> bool:
    """Return whether all pixels are equal; of most frames a few thousand tell that they are not."""
    flat = pixels.reshape(-1)
    if flat.size == 0:
        return True
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    return bool((sample == sample[0]).all() and (flat == flat[0]).all())


def refuse_non_finite(frames: Iterable[OddFrame], most: int = 12) -> None:
    """Refuse frames that have pixels that are not finite.

    Raises
    ------
    StoreError
        Naming experiment, field of view, frame and channel of the first ones, and how many pixels.
    """
    found = [one for one in frames if one.non_finite]
    if found:
        named = [
            f"experiment={one.experiment!r} fov={one.fov!r} t={one.t} channel={one.channel!r}: "
            f"{one.non_finite:,}"
            for one in found[:most]
        ]
        more = [f"and {len(found) - most:,} frames more"] if len(found) > most else []
        total = sum(one.non_finite for one in found)
        raise StoreError(
            f"{total:,} pixels of {len(found):,} frames are not finite (NaN, infinite, or too large for 32 "
            f"bits): {'; '.join(named + more)}. Mend the images, leave the fields of view out "
            "(exclude_fovs), or fill such pixels by the centre of the normalisation: index --non-finite fill."
        )


def blank_frames(frames: Iterable[OddFrame]) -> tuple[tuple[str, int], ...]:
    """Return (fov, t) of the blank frames of one experiment, sorted."""
    return tuple(sorted({(one.fov, one.t) for one in frames if one.blank}))


def say_blank(frames: Sequence[tuple[str, int]], most: int = 8) -> str:
    """Return which frames are blank, in words.

    Examples
    --------
    >>> say_blank([("A/1/0", 1), ("A/1/0", 2), ("A/1/0", 3), ("A/1/1", 5)])
    'A/1/0 t=1-3; A/1/1 t=5'
    """
    said = []
    for fov, group in groupby(frames, key=lambda one: one[0]):
        times = [t for _, t in group]
        cuts = [0, *(i for i, (a, b) in enumerate(pairwise(times), start=1) if b > a + 1), len(times)]
        runs = [(times[a], times[b - 1]) for a, b in pairwise(cuts)]
        spans = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs]
        said.append(f"{fov} t={', '.join(spans[:most])}{', ...' if len(spans) > most else ''}")
    return "; ".join(said[:most]) + ("; ..." if len(said) > most else "")
