"""Read arrays that TensorStore cannot, by zarr-python: slowly, once, to write a copy that it can.

A ``RescuedArray`` answers to the few names of a TensorStore that copying uses.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import tensorstore as ts

from viscy_data.errors import StoreError
from viscy_data.images.arrays import open_by_zarr_python


class RescuedArray:
    """An array that zarr-python reads.

    Parameters
    ----------
    folder
        Of the array.
    missing_chunks
        ``"error"``, or ``"fill"`` where the writer left out chunks of the fill value.

    Raises
    ------
    StoreError
        Where zarr-python cannot read it either.
    """

    def __init__(self, folder: Path, missing_chunks: Literal["error", "fill"]) -> None:
        try:
            self._array = open_by_zarr_python(folder, missing_chunks)
        except Exception as error:  # codecs raise whatever comes of what they do not know
            raise StoreError(
                f"cannot open array={str(folder)!r}: {type(error).__name__}: {error}."
            ) from error
        self.dtype = ts.dtype(self._array.dtype.newbyteorder("="))
        self.chunk_layout = SimpleNamespace(read_chunk=SimpleNamespace(shape=tuple(self._array.chunks)))

    def __getitem__(self, selection: Any) -> "_Selected":
        return _Selected(self._array, selection)


class _Selected:
    def __init__(self, array: Any, selection: Any) -> None:
        self._array, self._selection = array, selection

    def read(self) -> "_Selected":
        return self

    def result(self) -> Any:
        """Return the pixels, in this machine's byte order.

        Raises
        ------
        OSError
            Where a chunk is missing or damaged.
        """
        try:
            pixels = np.asarray(self._array[self._selection])
        except Exception as error:  # as above
            raise OSError(f"{type(error).__name__}: {error}") from error
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
