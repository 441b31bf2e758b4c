"""Correction by control cells: the first thing to try against differences of microscopes.

Two plates differ in illumination, staining and medium, so their cells lie apart in an embedding though they
may be alike. Untreated cells are on every plate and should look the same, so what sets the control cells of
two plates apart is the plate. Correction moves and scales the embedding of each plate, feature by feature, so
that its control cells have mean 0 and standard deviation 1 (``scale``); or turns it, too, so that features of
control cells are uncorrelated (``whiten``, as in typical variation normalisation, Ando et al. 2017, bioRxiv
161422).

The cost: what is particular to the controls of one plate, their wells and their number, moves all of its
cells. A plate without enough controls cannot be corrected, and a difference that follows the neighbours
of a cell rather than its coordinates stays.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from sklearn.covariance import ledoit_wolf

from viscy_data import InvalidInputError, columns, shown, suggest
from viscy_train.evaluation.arrays import BoolArray, EmbeddingArray, FloatArray, IntArray, texts_of

FEWEST: Final = 10
"""Control cells of an experiment (and time bin) below which neither mean nor scale is worth the name."""

type Method = Literal["scale", "whiten"]
type Parts = list[tuple[str, IntArray]]


@dataclass(frozen=True)
class Controls:
    """Which cells are controls: those with a value in a column.

    Attributes
    ----------
    column : str
    value : str
        Compared as text; as a number where the column holds numbers.

    Examples
    --------
    >>> Controls.parse("condition=uninfected")
    Controls(column='condition', value='uninfected')
    >>> Controls("dose", "0").rows(pd.DataFrame({"dose": [0.0, 10.0]}))
    array([ True, False])
    """

    column: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Controls":
        """Read ``column=value``.

        Raises
        ------
        InvalidInputError
            If the text has no column or no value.
        """
        column, equals, value = text.partition("=")
        if not (equals and column.strip() and value.strip()):
            raise InvalidInputError(
                f"controls={text!r}: a column and its value in control cells; write condition=uninfected."
            )
        return cls(column.strip(), value.strip())

    def rows(self, obs: pd.DataFrame) -> BoolArray:
        """Tell which rows of a table are controls (N,).

        Raises
        ------
        InvalidInputError
            If the table lacks the column, or no row has the value.
        """
        if self.column not in obs.columns:
            names = [str(name) for name in obs.columns]
            raise InvalidInputError(
                f"controls={str(self)!r}: {self.column!r} is not a column of obs, which has "
                f"{', '.join(names)}.{suggest(self.column, names)}"
            )
        held = obs[self.column]
        found = _equal(held, self.value)
        if not found.any():
            values = sorted(texts_of(held).dropna().unique())
            named = ", ".join(shown(value) for value in values[:8]) or "no values"
            more = f" and {len(values) - 8} more" if len(values) > 8 else ""
            raise InvalidInputError(
                f"controls={str(self)!r}: no cell has this value; {self.column} holds {named}{more}."
                f"{suggest(self.value, values)}"
            )
        return found

    def __str__(self) -> str:
        """Return ``column=value``."""
        return f"{self.column}={self.value}"


def _equal(held: "pd.Series[Any]", value: str) -> BoolArray:
    """Tell which rows hold a value that is given as text (N,).

    Numbers are compared in their own type: 0.1 is what a column of 32-bit floats holds as 0.1, and large
    whole numbers, such as plates named by date, are not rounded.
    """
    if not pd.api.types.is_numeric_dtype(held.dtype) or pd.api.types.is_bool_dtype(held.dtype):
        return (texts_of(held) == value).to_numpy(np.bool_)
    try:
        number = int(value) if value.lstrip("+-").isdecimal() else float(value)
    except ValueError:
        return np.zeros(len(held), dtype=np.bool_)
    if pd.api.types.is_float_dtype(held.dtype):
        numbers = held.to_numpy(na_value=np.nan)
        return np.asarray(numbers == numbers.dtype.type(number), dtype=np.bool_)
    return held.eq(number).fillna(False).to_numpy(np.bool_)


def correct_by_controls(
    embedding: EmbeddingArray,
    obs: pd.DataFrame,
    controls: Controls,
    *,
    method: Method = "scale",
    hours: float | None = None,
) -> FloatArray:
    """Centre and scale an embedding by the control cells of each experiment.

    Where a row is one channel of a cell, each marker of an experiment is corrected on its own.

    Parameters
    ----------
    embedding : ndarray (N, D)
        Rows that are not finite, cells that could not be read, stay as they are and count nowhere.
    obs : DataFrame
        The anchors' columns of the N rows: experiment, the controls' column, marker where there is one.
    controls : Controls
    method : {"scale", "whiten"}
        ``scale``: mean 0 and standard deviation 1 of each feature. ``whiten``: then uncorrelated features,
        by the inverse square root of the covariance of the scaled controls, which leaves directions as near
        to the features as can be (ZCA). The covariance is shrunk towards equal variances (Ledoit and Wolf
        2004), so that fewer cells than features will do.
    hours : float, optional
        Correct bins of so many hours post infection each on their own: controls change with time, too.

    Returns
    -------
    ndarray (N, D) float64

    Raises
    ------
    InvalidInputError
        If no column or cell is as named, an experiment (marker, time bin) has fewer than ten controls, or
        hours are asked for and not known.

    Examples
    --------
    >>> obs = pd.DataFrame({"experiment": ["a"] * 20 + ["b"] * 20, "condition": ["mock", "drug"] * 20})
    >>> plate = np.repeat([0.0, 50.0], 20)[:, None]
    >>> embedding = np.random.default_rng(0).normal(size=(40, 3)) + plate
    >>> corrected = correct_by_controls(embedding, obs, Controls("condition", "mock"))
    >>> bool(np.abs(corrected).max() < 5)
    True
    """
    array = np.asarray(embedding, dtype=np.float64)
    if array.ndim != 2 or len(obs) != len(array):
        raise InvalidInputError(
            f"embedding.shape={array.shape} and len(obs)={len(obs)}: one row of features for each row of obs."
        )
    if method not in ("scale", "whiten"):
        raise InvalidInputError(f"method={method!r}: allowed is scale or whiten.")
    finite = np.isfinite(array).all(axis=1)
    parts = parts_of(obs, hours)
    are_controls = controls.rows(obs) & finite
    lacking = too_few_controls(parts, are_controls, finite)
    if lacking:
        todo = "name other controls, or leave this part out." if hours is None else "take wider bins."
        raise InvalidInputError(f"controls={str(controls)!r}: {lacking}: {todo}")
    return relative(array, [(name, rows[finite[rows]]) for name, rows in parts], are_controls, method)


def too_few_controls(parts: Parts, are_controls: BoolArray, counted: BoolArray | None = None) -> str:
    """Say which part has too few controls; empty where all have enough."""
    for name, rows in parts:
        found = int(are_controls[rows].sum())
        if found < FEWEST and (counted is None or counted[rows].any()):
            return f"{name} has {found} such cells; correction needs {FEWEST}"
    return ""


def relative(
    array: FloatArray, parts: Parts, are_controls: BoolArray, method: Method = "scale"
) -> FloatArray:
    """Return an embedding (N, D) with each part relative to its controls; a part without any to all of it."""
    found = array.copy()
    for _, rows in parts:
        by = rows[are_controls[rows]]
        if rows.size:
            found[rows] = _corrected(array[rows], array[by if by.size else rows], method)
    return found


def parts_of(obs: pd.DataFrame, hours: float | None = None) -> Parts:
    """Return what is corrected on its own: name and rows."""
    if columns.EXPERIMENT not in obs.columns:
        raise InvalidInputError(f"obs lacks the column {columns.EXPERIMENT!r}: each is corrected on its own.")
    unknown = int(obs[columns.EXPERIMENT].isna().sum())
    if unknown:
        raise InvalidInputError(
            f"obs[{columns.EXPERIMENT!r}]: {unknown} of {len(obs)} rows have no value, and each experiment "
            "is corrected on its own; leave such rows out, or embed again."
        )
    by: list[object] = [obs[columns.EXPERIMENT].astype(object)]
    words = ["experiment {}"]
    if columns.MARKER in obs.columns:
        by.append(obs[columns.MARKER].astype(object))
        words.append("marker {}")
    if hours is not None:
        if not hours > 0:
            raise InvalidInputError(f"hours={hours}: width of a time bin, above 0; 4 is usual.")
        if columns.HOURS not in obs.columns or obs[columns.HOURS].isna().any():
            raise InvalidInputError(
                f"hours={hours}: not all cells have {columns.HOURS}; state interval_minutes and start_hpi in "
                "the experiments file, or correct without bins."
            )
        by.append(np.floor(obs[columns.HOURS].to_numpy(np.float64) / hours) * hours)
        words.append(f"from {{:g}} h, bins of {hours:g} h,")
    found = []
    for key, rows in obs.groupby(by, observed=True, dropna=False, sort=True).indices.items():
        parts = key if isinstance(key, tuple) else (key,)
        texts = [one if isinstance(one, float) else shown(one) for one in parts]
        name = ", ".join(word.format(text) for word, text in zip(words, texts, strict=True))
        found.append((name, np.asarray(rows, dtype=np.int64)))
    return found


def _corrected(array: FloatArray, controls: FloatArray, method: Method) -> FloatArray:
    """Return rows (M, D) relative to control rows (K, D)."""
    mean, scale = controls.mean(axis=0), controls.std(axis=0)
    # a feature that is constant in controls alone, such as a unit that only treated cells switch on
    every = array.std(axis=0)
    scale = np.where(scale > 1e-6 * every, scale, every)
    scale = np.where(scale > 1e-9 * np.abs(mean), scale, 1.0)  # constant: nothing but rounding varies
    scale[scale == 0] = 1.0
    scaled: FloatArray = (array - mean) / scale
    if method == "scale":
        return scaled
    covariance, _ = ledoit_wolf((controls - mean) / scale, assume_centered=True)
    variances, directions = np.linalg.eigh(covariance)
    # what is left unshrunk of directions that controls hardly take must not be blown up
    variances = np.maximum(variances, 1e-3 * variances.mean())
    whitened: FloatArray = scaled @ (directions / np.sqrt(variances)) @ directions.T
    return whitened
