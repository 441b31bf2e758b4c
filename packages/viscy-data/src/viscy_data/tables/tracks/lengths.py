"""Places of cells in lengths, turned into pixels and slices of the store.

A file of tracks states places in pixels, or in micrometres and the like. Which of the two cannot be told from
the numbers: read the wrong way, every patch shows another place and nothing fails. So a unit is what the
experiments file says, or else what the file says, and places without either are looked at by
:func:`refuse_lengths`: where all of them lie in the corner of the image that has the size of the whole in
micrometres, they are taken for micrometres, and refused. So are places of pixels larger than a micrometre
where many lie outside the image, and none outside its size in micrometres.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from viscy_data.columns import Y, Z
from viscy_data.errors import TracksError
from viscy_data.packing import pack
from viscy_data.tables.crops import pixel_size
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.tracks.detections import Detections, FloatArray
from viscy_data.units import counts_pixels, micrometres

UNLIKELY: Final = 0.01
"""How likely it may be that tracks spread over the image lie in that corner, for places to be refused."""

_MANY: Final = 3
"""Places outside the image from which on, and from half of those expected on, they are refused."""


class PixelSizes:
    """What turns the places of one file into pixels: its unit, and its fields' sizes of pixels.

    Parameters
    ----------
    path
        The file, for messages.
    experiment, fovs
        Whose pixel sizes they are.
    fov
        (N,) field of view of each place, an index into ``fovs``.
    unit
        Of the places; empty: pixels and slices.
    """

    def __init__(
        self, path: Path, experiment: Experiment, fovs: Sequence[FovInfo], fov: IntArray, unit: str
    ) -> None:
        self._path, self._experiment, self._fovs, self._fov, self._unit = path, experiment, fovs, fov, unit

    def pixels(self, axis: str, places: FloatArray) -> FloatArray:
        """Return places (N,) along ``z``, ``y`` or ``x`` in slices or pixels.

        Raises
        ------
        TracksError
            Where places are lengths and the size of a pixel is not known.
        """
        if not self._unit or counts_pixels(self._unit):
            return places
        length = micrometres(self._unit)
        if length is None:
            raise TracksError(
                f"{self._path}: places in {self._unit!r}: no unit of length that is known; set track_unit to "
                "'pixel' or to a length such as 'micrometer'"
            )
        sizes = [pixel_length(self._experiment, info, axis) for info in self._fovs]
        used = np.unique(self._fov)
        unknown = [self._fovs[i].fov for i in used if sizes[i] is None]
        if unknown:
            raise TracksError(
                f"{self._path}: {axis} is in {self._unit!r}: {size_needed(axis)}; that of fov "
                f"{unknown[0]!r} is not known"
            )
        known = np.array([np.nan if size is None else size for size in sizes])
        return np.asarray(places * length / known[self._fov], dtype=np.float64)


def pixel_length(experiment: Experiment, info: FovInfo, axis: str) -> float | None:
    """Return micrometres per pixel, or per slice, along ``z``, ``y`` or ``x``; None: not known.

    A store of one slice needs no distance of slices: it is 1.
    """
    if axis == Z:
        # What z says of one slice is not used.
        return 1.0 if info.shape[2] == 1 else info.slice_um
    sizes = pixel_size(experiment, info)
    return None if sizes is None else sizes[0 if axis == Y else 1]


def size_needed(axis: str) -> str:
    """Say what must be known for lengths along an axis to become pixels, and where to set it."""
    if axis == Z:
        return "the distance of slices is needed, in the store; or set z to 'middle' or to a slice"
    return "a pixel size is needed, in the store or as pixel_size_um in the experiments file"


def refuse_lengths(found: Sequence[Detections], experiment: Experiment, fovs: Sequence[FovInfo]) -> None:
    """Refuse places that no unit is known of and that look like micrometres.

    Tracks that were spread over the image would lie in the corner of the size that it has in micrometres
    with the probability that this is of its area, to the power of the number of tracks. Tracks of all
    fields of view are taken together: a program writes all its files in one unit.

    Raises
    ------
    TracksError
        Naming a file, and the option to set.
    """
    sizes = [pixel_size(experiment, info) for info in fovs]
    um = np.array([size or (np.inf, np.inf) for size in sizes])  # (fovs, 2); not known: nothing is beyond
    extents = um * np.array([info.shape[-2:] for info in fovs])
    unstated = [one for one in found if not one.unit_stated and len(one.t)]
    chance, outside, expected = 1.0, 0, 0.0
    for one in unstated:
        used = np.flatnonzero(np.bincount(one.fov, minlength=len(fovs)))
        if any(sizes[i] is None for i in used) or _any_beyond(one, extents, used):
            return
        tracks = pd.unique(pack([one.fov, one.track_id]))
        shares = np.minimum(um[used], 1).prod(axis=1)  # of the image that the corner is, in each fov
        chance *= float(shares.max() ** len(tracks))
        if (um[used] > 1).any():
            images = np.array([info.shape[-2:] for info in fovs])[one.fov]
            outside += int(((one.y > images[:, 0]) | (one.x > images[:, 1])).sum())
            expected += float((1 - 1 / np.maximum(um, 1).prod(axis=1))[one.fov].sum())
    if outside >= _MANY and outside > expected / 2:
        first = next(one for one in unstated if (um[one.fov] > 1).any())
        raise TracksError(
            f"{first.file}: {outside} places lie outside the image, and all within its size in micrometres: "
            "they look like micrometres, not like pixels. Set track_unit in the experiments file to "
            "'micrometer', or to 'pixel' if cells were tracked outside the image."
        )
    if chance < UNLIKELY:
        first = unstated[0]
        height, width = extents[first.fov[0]]
        raise TracksError(
            f"{first.file}: every y and x lies within {height:.6g} and {width:.6g}, which is the size of "
            "the image "
            "in micrometres, and none beyond: they look like micrometres, not like pixels. Set track_unit "
            "in the "
            "experiments file to 'micrometer', or to 'pixel' if all cells are in that corner of the image."
        )


def _any_beyond(found: Detections, extents: FloatArray, used: IntArray) -> bool:
    """Say whether a place lies outside the box (2,) of its field of view, which begins at 0."""
    largest = extents[used].max(axis=0)
    if found.y.max() > largest[0] or found.x.max() > largest[1] or min(found.y.min(), found.x.min()) < 0:
        return True
    each = extents[found.fov]
    return bool((found.y > each[:, 0]).any() or (found.x > each[:, 1]).any())
