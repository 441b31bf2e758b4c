"""Rows to normalised patches: read together, folded at borders, resampled where sizes differ, normalised."""

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

type IntArray = NDArray[np.int64]
type Patches = NDArray[np.float32]


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
    """

    reader: StoreReader
    patches: PatchTable
    shape: tuple[int, int, int, int]
    normalizer: Normalizer | None
    non_finite: NonFinite = "error"

    def read(self, rows: IntArray) -> tuple[Patches, dict[int, StoreError]]:
        """Read the patches of ``rows`` (B,), anchors and positives in one call of the reader.

        Returns
        -------
        patches
            (B, C, Z, Y, X) float32; undefined at places that failed.
        failed
            The error of each place (0 .. B-1) that could not be read.
        """
        crops, folds = self.patches.crops(rows)
        patches = np.empty((len(rows), *self.shape), dtype=np.float32)
        failed: dict[int, StoreError] = {}

        def take(place: int, read: NDArray[Any] | StoreError) -> None:
            fov = int(self.patches.fov[rows[place]])
            whole = read if isinstance(read, StoreError) else self._finite(read, fov, crops[place])
            if isinstance(whole, StoreError):
                failed[place] = whole
                return
            pixels = folds[place].apply(whole) if place in folds else whole
            patches[place] = resample(pixels, self.shape[-2:])
            if self.normalizer is not None:
                self.normalizer.apply(patches[place], fov, crops[place].t, crops[place].channel)

        self.reader.read_each(crops, take)
        return patches, failed

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
