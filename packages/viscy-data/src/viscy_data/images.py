"""Rows to normalised patches: read together, folded at borders, resampled where sizes differ, normalised."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from viscy_data.errors import StoreError
from viscy_data.normalization import Normalizer
from viscy_data.patches import PatchTable
from viscy_data.store import StoreReader

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
        (C, Z, Y, X) of a patch.
    normalizer
        None: raw values.
    """

    reader: StoreReader
    patches: PatchTable
    shape: tuple[int, int, int, int]
    normalizer: Normalizer | None

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
            if isinstance(read, StoreError):
                failed[place] = read
                return
            pixels = folds[place].apply(read) if place in folds else read
            patches[place] = resample(pixels, self.shape[-2:])
            if self.normalizer is not None:
                self.normalizer.apply(patches[place], int(self.patches.fov[rows[place]]), crops[place].t)

        self.reader.read_each(crops, take)
        return patches, failed


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
