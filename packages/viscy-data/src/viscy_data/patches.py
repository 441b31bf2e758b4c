"""Index arithmetic of patches: which box of the image belongs to which anchor.

A *patch* is what the model sees, ``patch_size`` pixels at the *common* pixel size. Its *crop* is the
box read from the store: the patch where the pixel sizes agree, otherwise the same physical size in
the store's own pixels, resampled to the patch afterwards. A crop of size ``n`` centred on ``c``
covers ``[c - n // 2, c - n // 2 + n)``, moved (never shrunk) to lie inside the image.

Invariant: every box lies inside its image and holds its centre, so reading needs no padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.checks import is_whole
from viscy_data.columns import EXPERIMENT, FOV, X_CROP, Y_CROP, T, Z
from viscy_data.crops import crop_size, pixel_size
from viscy_data.errors import InvalidInputError
from viscy_data.experiments import Experiment, FovInfo

type IntArray = NDArray[np.int64]


class Crop(NamedTuple):
    """A box of one field of view at one frame; bounds are [start, stop) in slices and pixels."""

    experiment: str
    fov: str
    t: int
    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]


def box_starts(centres: IntArray, size: IntArray | int, extent: IntArray | int) -> IntArray:
    """Return where boxes of ``size`` centred on ``centres`` start, moved to fit in ``[0, extent)``.

    Parameters
    ----------
    centres
        (N,) or (N, axes) centres, in pixels or slices.
    size
        Length of the box, for all or for each; at most ``extent``.
    extent
        Length of the image's axis, for all or for each.

    Returns
    -------
    NDArray[np.int64]
        First index of each box, of the shape of ``centres``.

    Raises
    ------
    InvalidInputError
        Where a box is larger than its image.

    Examples
    --------
    >>> box_starts(np.array([0, 5, 9]), 4, 10)
    array([0, 3, 6])
    """
    if np.any(np.less(extent, size)):
        raise InvalidInputError(
            f"size={np.max(size)} is larger than the image: extent={np.min(extent)}. Take a smaller patch."
        )
    starts = np.asarray(centres, dtype=np.int64) - np.asarray(size) // 2
    fitting: IntArray = np.clip(starts, 0, np.asarray(extent) - size)
    return fitting


@dataclass(frozen=True)
class PatchShape:
    """What a patch shows.

    Attributes
    ----------
    size
        Rows and columns.
    z_window
        Slices.
    common_pixel_size_um
        Micrometres per pixel; None: the store's own pixels.

    Raises
    ------
    InvalidInputError
        Where a length is not a positive integer.
    """

    size: tuple[int, int]
    z_window: int = 1
    common_pixel_size_um: float | None = None

    def __post_init__(self) -> None:
        lengths: tuple[object, ...] = (*self.size, self.z_window)
        if len(lengths) != 3 or not all(is_whole(length, least=1) for length in lengths):
            raise InvalidInputError(
                f"patch_size={self.size!r}, z_window={self.z_window!r} must be two positive integers "
                "(rows, columns) and one (slices)."
            )

    def crop_of(self, experiment: Experiment, fov: FovInfo) -> tuple[int, int, int]:
        """Return slices, rows and columns of the store's pixels that show what a patch shows."""
        own = pixel_size(experiment, fov)
        return (self.z_window, *crop_size(self.size, own, self.common_pixel_size_um))


type Described = Sequence[tuple[Experiment, Sequence[FovInfo]]]
"""Experiments with the fields of view of their stores."""


@dataclass(frozen=True)
class PatchTable:
    """The crop of every row of an anchors table, computed a batch at a time.

    Attributes
    ----------
    fovs
        Experiment and description of fov number 0, 1, ...
    fov
        (M,) fov number of each row.
    centre
        (M, 4) frame, slice, row and column of each row's centre.
    crop
        (F, 3) slices, rows and columns of a crop of each fov.
    """

    fovs: tuple[tuple[str, FovInfo], ...]
    fov: NDArray[np.int32]
    centre: NDArray[np.int32]
    crop: IntArray

    @classmethod
    def build(cls, anchors: pd.DataFrame, described: Described, shape: PatchShape) -> "PatchTable":
        """Take the places from an anchors table, and check them against the images.

        Parameters
        ----------
        anchors
            With the columns experiment, fov, t, z, y_crop, x_crop.
        described
            At least the experiments that occur in ``anchors``.
        shape
            Of a patch.

        Raises
        ------
        InvalidInputError
            Where a row names a fov that its store lacks or lies outside its image, or a crop is
            larger than its image.
        """
        known = {
            (experiment.name, fov.fov): (experiment, fov) for experiment, fovs in described for fov in fovs
        }
        used, number = _number_fovs(anchors, known)
        crop = np.array([shape.crop_of(*known[key]) for key in used], dtype=np.int64).reshape(-1, 3)
        columns = (anchors[name].to_numpy(dtype=np.int32) for name in (T, Z, Y_CROP, X_CROP))
        table = cls(
            tuple((key[0], known[key][1]) for key in used), number, np.stack(list(columns), axis=1), crop
        )
        table._check()
        return table

    def _extents(self) -> IntArray:
        shapes = [(info.shape[0], *info.shape[2:]) for _, info in self.fovs]
        return np.array(shapes, dtype=np.int64).reshape(-1, 4)

    def _check(self) -> None:
        extents = self._extents()
        for (experiment, info), crop, extent in zip(self.fovs, self.crop, extents[:, 1:], strict=True):
            if (crop > extent).any():
                raise InvalidInputError(
                    f"z_window and patch_size need {tuple(crop.tolist())} slices, rows and columns, but "
                    f"experiment={experiment!r} fov={info.fov!r} has {tuple(extent.tolist())}. "
                    "Take fewer or smaller ones."
                )
        outside = np.flatnonzero(((self.centre < 0) | (self.centre >= extents[self.fov])).any(axis=1))
        if len(outside):
            row = outside[0]
            experiment, info = self.fovs[self.fov[row]]
            raise InvalidInputError(
                f"{len(outside)} rows of the anchors table lie outside their image, the first is row {row}: "
                f"experiment={experiment!r} fov={info.fov!r} t, z, y_crop, x_crop="
                f"{tuple(self.centre[row].tolist())}, image {tuple(extents[self.fov[row]].tolist())}. "
                "Build the table anew from this store."
            )

    def crops(self, rows: IntArray) -> list[Crop]:
        """Return the crop of each row (B,)."""
        number, centre = self.fov[rows], self.centre[rows].astype(np.int64)
        extent, size = self._extents()[number, 1:], self.crop[number]
        start = box_starts(centre[:, 1:], size, extent)
        bounds = np.stack([start, start + size], axis=-1).tolist()
        return [
            Crop(self.fovs[fov][0], self.fovs[fov][1].fov, t, tuple(z), tuple(y), tuple(x))
            for fov, t, (z, y, x) in zip(number.tolist(), centre[:, 0].tolist(), bounds, strict=True)
        ]


def _number_fovs(
    anchors: pd.DataFrame, known: Mapping[tuple[str, str], object]
) -> tuple[list[tuple[str, str]], NDArray[np.int32]]:
    """Return the (experiment, fov) that occur, and for each row which of them it is."""
    experiment, fov = (anchors[name].astype("category").cat for name in (EXPERIMENT, FOV))
    # A table over pairs of codes instead of sorting rows, of which there may be 100 million.
    names = [(str(e), str(f)) for e in experiment.categories for f in fov.categories]
    codes = [column.codes.to_numpy(dtype=np.int64) for column in (experiment, fov)]
    if any((code < 0).any() for code in codes):
        raise InvalidInputError("the anchors table has rows without experiment or fov. Build it anew.")
    pair = codes[0] * len(fov.categories) + codes[1]
    used = np.flatnonzero(np.bincount(pair, minlength=len(names)))
    lacking = [names[i] for i in used if names[i] not in known]
    if lacking:
        raise InvalidInputError(
            f"the anchors table names {len(lacking)} fields of view that the stores lack, the first "
            f"experiment={lacking[0][0]!r} fov={lacking[0][1]!r}. Build the table anew from these stores."
        )
    number = np.zeros(len(names), dtype=np.int32)
    number[used] = np.arange(len(used))
    return [names[i] for i in used], number[pair]
