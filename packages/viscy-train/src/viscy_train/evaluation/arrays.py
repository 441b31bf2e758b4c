"""Checks and small transforms shared by the metrics.

*embedding*: (N, D), one row per cell and frame. *labels*: (N,), any dtype. *codes*: labels as integers
0..K-1. *unit rows*: the embedding centred on its mean and scaled to length one, so that half the
squared distance of two rows is their cosine distance: the one distance that all metrics use (the same
for any rotation and any scale of the embedding).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viscy_data import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

type FloatArray = NDArray[np.float64]
type IntArray = NDArray[np.int64]
type BoolArray = NDArray[np.bool_]
type LabelArray = NDArray[Any]
type EmbeddingArray = NDArray[np.floating[Any]]


def as_embedding(embedding: EmbeddingArray) -> FloatArray:
    """Return a finite (N, D) float64 array.

    Raises
    ------
    InvalidInputError
        If the array has another number of axes, no rows, or values that are not finite.

    Examples
    --------
    >>> as_embedding(np.ones((2, 3), dtype=np.float32)).dtype
    dtype('float64')
    """
    array = np.asarray(embedding, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidInputError(
            f"embedding.shape={array.shape} is not (cells, features) with at least one of each; "
            "flatten other axes into features first"
        )
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InvalidInputError(
            f"embedding holds values that are not finite in {int(bad.sum())} rows, the first "
            f"{np.flatnonzero(bad)[:3].tolist()}; embed these cells again or leave them out"
        )
    return array


def as_codes(name: str, labels: LabelArray, length: int) -> IntArray:
    """Return labels as codes 0..K-1 in sorted order of their values.

    Raises
    ------
    InvalidInputError
        If there is not one label for each of the `length` rows.

    Examples
    --------
    >>> as_codes("condition", np.array(["b", "a", "b"]), 3)
    array([1, 0, 1])
    """
    array = np.asarray(labels)
    if array.shape != (length,):
        raise InvalidInputError(
            f"{name}.shape={array.shape}, but the embedding has {length} rows; give one label per row"
        )
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def unit_rows(embedding: FloatArray) -> FloatArray:
    """Centre rows on their mean and scale each to length one; a row at the mean stays zero.

    Examples
    --------
    >>> unit_rows(np.array([[0.0, 0.0], [2.0, 0.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    centred = centre(embedding)
    largest = np.abs(centred).max(axis=1, keepdims=True, initial=0.0)
    centred = divide(centred, largest, fill=0.0)  # else squares of tiny numbers vanish from the length
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return divide(centred, length, fill=0.0)


def divide(above: FloatArray | IntArray, below: FloatArray | IntArray, *, fill: float) -> FloatArray:
    """Divide where `below` is above zero, else `fill`.

    Examples
    --------
    >>> divide(np.array([1.0, 1.0]), np.array([2.0, 0.0]), fill=0.0)
    array([0.5, 0. ])
    """
    above, below = np.broadcast_arrays(above, below)
    quotient: FloatArray = np.divide(above, below, out=np.full(above.shape, fill), where=below > 0)
    return quotient


def centre(embedding: FloatArray, mean: FloatArray | None = None) -> FloatArray:
    """Subtract the mean row, or another; what is left of rounding counts as zero."""
    centred = embedding - (embedding.mean(axis=0) if mean is None else mean)
    rounding = 1e-9 * np.abs(embedding).max()
    return np.where(np.abs(centred) <= rounding, 0.0, centred)


def texts_of(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return values as text, missing ones as they are; a number of 32 bits as it is written.

    Examples
    --------
    >>> import pandas as pd
    >>> texts_of(pd.Series([0.1, 2.0], dtype="float32")).tolist()
    ['0.1', '2.0']
    """
    if values.dtype == np.float32:
        return values.astype(str).where(values.notna())
    return values.astype(object).map(str, na_action="ignore")
