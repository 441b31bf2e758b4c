"""Rows to patches: read together, projected, folded at borders, resampled where sizes differ, normalised.

The last step may be left to the device, :mod:`viscy_data.dataset.on_device`: then patches keep the dtype of
their store as long as nothing was computed with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from viscy_data.errors import StoreError
from viscy_data.images.channel_statistics import finite_pixels
from viscy_data.images.normalization import Normalizer
from viscy_data.images.patches import Crop, PatchTable
from viscy_data.images.reading import NonFinite
from viscy_data.images.store import StoreReader
from viscy_data.images.z_window import Projection, project
from viscy_data.tables.borders import Fold

type IntArray = NDArray[np.int64]
type Patches = NDArray[Any]
"""float32, or a dtype of at most two bytes."""


@dataclass(frozen=True)
class Images:
    """The patch of every row of an anchors table.

    Attributes
    ----------
    reader
        Of the stores.
    patches
        The crop of each row.
    shape
        (C, Z, Y, X) of a patch; C is 1 where rows are channels.
    normalizer
        None: raw values.
    non_finite
        Pixels that are NaN or infinite, or too large for 32 bits: ``"error"``, or ``"fill"`` by the centre of
        the normalisation (0 for raw values).
    projections
        One for each channel, by experiment; None: patches show all slices of their window.
    """

    reader: StoreReader
    patches: PatchTable
    shape: tuple[int, int, int, int]
    normalizer: Normalizer | None
    non_finite: NonFinite = "error"
    projections: Mapping[str, tuple[Projection, ...]] | None = None

    def read(
        self, rows: IntArray, *, shift: IntArray | int = 0, raw: bool = False
    ) -> tuple[Patches, dict[int, StoreError]]:
        """Read the patches of ``rows`` (B,), anchors and positives in one call of the reader.

        Parameters
        ----------
        rows
            Of the table.
        shift
            Slices by which the window of each is moved, (B,).
        raw
            Leave the normalisation out, and keep the store's dtype where it has at most two bytes.

        Returns
        -------
        patches
            (B, C, Z, Y, X) float32, or of the widest of the dtypes; undefined at places that failed.
        failed
            The error of each place (0 .. B-1) that could not be read.
        """
        asked = self._asked(rows, shift)
        held = _Held((len(rows), *self.shape), None if raw else np.dtype(np.float32))
        failed: dict[int, StoreError] = {}

        def take(number: int, read: NDArray[Any] | StoreError) -> None:
            crop, place = asked.crops[number], number % len(rows)
            fov = int(self.patches.fov[rows[place]])
            whole = read if isinstance(read, StoreError) else self._finite(read, fov, crop)
            if isinstance(whole, StoreError):
                failed[place] = whole
                return
            if asked.own is not None and self.projections is not None:
                methods = self.projections[crop.experiment]
                shown = methods if crop.channel is None else (methods[crop.channel],)
                whole = project(whole, shown, int(asked.own[number]))
            pixels = asked.folds[number].apply(whole) if number in asked.folds else whole
            # one channel of the patch, or all that it has
            part = slice(number // len(rows), number // len(rows) + 1) if asked.apart else slice(None)
            patch = held.put((place, part), resample(pixels, self.shape[-2:]))
            if self.normalizer is not None and not raw:
                self.normalizer.apply(patch, fov, crop.t, crop.channel)

        self.reader.read_each(asked.crops, take)
        return held.patches(), failed

    def _asked(self, rows: IntArray, shift: IntArray | int) -> "_Asked":
        """Return the crops that patches of ``rows`` (B,) are made of."""
        apart = self.patches.planes is not None
        channels = range(self.shape[0]) if apart else (None,)
        crops: list[Crop] = []
        folds: dict[int, Fold] = {}
        own: list[IntArray] = []
        for channel in channels:
            first = len(crops)
            more, folded = self.patches.crops(rows, shift, channel)
            if self.projections is not None:
                own.append(self.patches.own_slices(rows, more, shift, channel))
            crops += more
            folds |= {first + place: fold for place, fold in folded.items()}
        return _Asked(crops, folds, np.concatenate(own) if own else None, apart)

    def scale_of(self, rows: IntArray) -> NDArray[np.float32]:
        """Return centre and spread (B, 2, C) that finish raw patches of ``rows`` (B,)."""
        if self.normalizer is None:
            scale = np.zeros((len(rows), 2, self.shape[0]), dtype=np.float32)
            scale[:, 1] = 1
            return scale
        fovs = self.patches.fov[rows].astype(np.int64)
        channel = self.patches.channel
        return self.normalizer.scale_of(
            fovs,
            self.patches.centre[rows, 0].astype(np.int64),
            None if channel is None else channel[rows].astype(np.int64),
        )

    def _finite(self, read: NDArray[Any], fov: int, crop: Crop) -> NDArray[Any] | StoreError:
        """Return a crop (C, Z, y, x) without pixels that are not finite, or the error that names them."""
        finite = finite_pixels(read)
        if finite is None or finite.all():
            return read
        if self.non_finite == "error":
            counts = np.count_nonzero(~finite, axis=(1, 2, 3))
            return self.reader.error_of(
                crop,
                f"{counts.sum()} pixels of the crop are not finite; index with --non-finite fill, which the "
                "table keeps, or leave the field of view out (exclude_fovs)",
                counts > 0,
            )
        centre: NDArray[Any] = np.zeros(len(read))
        if self.normalizer is not None:
            centre = self.normalizer.centre_of(fov, crop.t, crop.channel)
        return np.where(finite, read, centre[:, None, None, None]).astype(np.float32)


@dataclass(frozen=True)
class _Asked:
    """What is read for a batch of B patches.

    Attributes
    ----------
    crops
        Of each patch; where channels are read ``apart``, of each channel's B patches, one channel after the
        other.
    folds
        By number of the crop.
    own
        Place of each crop's own slice in it; None: no projection needs it.
    """

    crops: list[Crop]
    folds: dict[int, Fold]
    own: IntArray | None
    apart: bool


class _Held:
    """Patches of one batch, in a dtype that holds all of them."""

    def __init__(self, shape: tuple[int, ...], dtype: "np.dtype[Any] | None") -> None:
        self._shape = shape
        self._patches = None if dtype is None else np.empty(shape, dtype=dtype)

    def put(self, place: tuple[int, slice], pixels: NDArray[Any]) -> NDArray[Any]:
        """Copy a patch, or one channel of it, to its place, and return it there."""
        if self._patches is None:
            self._patches = np.empty(self._shape, dtype=narrow(pixels.dtype))
        elif self._patches.dtype != np.float32:
            self._patches = self._patches.astype(narrow(self._patches.dtype, pixels.dtype), copy=False)
        self._patches[place] = pixels
        patch: NDArray[Any] = self._patches[place]
        return patch

    def patches(self) -> Patches:
        return np.empty(self._shape, dtype=np.float32) if self._patches is None else self._patches


def narrow(*dtypes: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return a dtype of at most two bytes that holds the values of all, or float32.

    Examples
    --------
    >>> [narrow(np.dtype(one)).name for one in (">u2", "u1", "i4", "f8", "?")]
    ['uint16', 'uint8', 'float32', 'float32', 'float32']
    >>> narrow(np.dtype("u2"), np.dtype("i2")).name
    'float32'
    """
    common = np.result_type(*dtypes).newbyteorder("=")
    return common if common.itemsize <= 2 and common.kind in "uif" else np.dtype(np.float32)


def resample(crop: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return a crop (C, Z, y, x) at ``size`` rows and columns, bilinear, without aliasing.

    Examples
    --------
    >>> resample(np.array([[[[0, 2, 4, 6]]]]), (1, 2)).shape
    (1, 1, 1, 2)
    """
    if crop.shape[-2:] == size:
        return crop
    resampled = functional.interpolate(
        torch.from_numpy(crop.astype(np.float32)),
        size=size,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    return resampled.numpy()
