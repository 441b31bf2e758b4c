"""The cells that are evaluated: an embedding, and what the anchors' columns say of its rows, as codes.

Metrics are functions of arrays; here the table's columns become these arrays, once for all of them. What was
not imaged, measured or stated is -1 among codes and NaN among hours, and a metric gets the rows whose labels
it needs.

Where a row is one channel of a cell, tracks are followed in one channel, and experiments are compared within
one marker: otherwise the step from one channel to the next would count as motion, and a stain that one
experiment alone has would count as a leak.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from viscy_data import columns
from viscy_train.evaluation.arrays import BoolArray, FloatArray, IntArray, texts_of
from viscy_train.evaluation.correction import Parts, relative
from viscy_train.evaluation.units import EXPERIMENTS, LINEAGES, WELLS, constant_within

type Embed = Callable[[IntArray], FloatArray]


@dataclass(frozen=True)
class Label:
    """A column that the embedding is asked for, or that is left out.

    Attributes
    ----------
    name : str
    codes : ndarray (N,)
        -1 where not known.
    values : tuple of str
        What the codes mean.
    """

    name: str
    codes: IntArray
    values: tuple[str, ...]

    @classmethod
    def of(cls, obs: pd.DataFrame, name: str) -> "Label":
        """Take a column; one that the table lacks is not known."""
        if name not in obs:
            return cls(name, np.full(len(obs), -1, dtype=np.int64), ())
        codes = codes_of(obs[name])
        values = texts_of(obs[name].astype("category").cat.categories.to_series())
        return cls(name, codes, tuple(sorted(values)))

    @property
    def held(self) -> tuple[str, ...]:
        """The values that some cell has."""
        return tuple(self.values[code] for code in np.unique(self.codes) if code >= 0)


@dataclass(frozen=True)
class Correction:
    """What correction by control cells needs.

    Attributes
    ----------
    parts : list of (str, ndarray)
        Rows that are corrected on their own.
    controls : ndarray (N,)
        Which rows are control cells.
    name : str
        ``column=value``.
    """

    parts: Parts
    controls: BoolArray
    name: str


@dataclass(frozen=True)
class Cells:
    """Embedding and labels of the rows evaluated.

    `marker` is what a row shows, 0 where it shows all channels; `fov` and `track` are of one channel. With
    a correction, metrics see the embedding relative to control cells.
    """

    embedding: FloatArray
    experiment: IntArray
    well: IntArray
    fov: IntArray
    track: IntArray
    lineage: IntArray
    t: IntArray
    hours: FloatArray
    marker: IntArray
    labels: tuple[Label, ...]
    left_out: Label
    correction: Correction | None = None

    @classmethod
    def of(
        cls,
        embedding: FloatArray,
        obs: pd.DataFrame,
        labels: tuple[str, ...] = (columns.CONDITION,),
        leave_out: str = columns.EXPERIMENT,
    ) -> "Cells":
        """Take the labels from the anchors' columns."""
        channel = codes_of(obs[columns.CHANNEL]) if columns.CHANNEL in obs else None
        experiment = codes_of(obs[columns.EXPERIMENT])
        hours = obs[columns.HOURS].to_numpy(np.float64) if columns.HOURS in obs else np.full(len(obs), np.nan)
        return cls(
            embedding=embedding,
            experiment=experiment,
            well=paired(experiment, codes_of(_wells(obs))),
            fov=paired(experiment, codes_of(obs[columns.FOV]), channel),
            track=paired(codes_of(obs[columns.GLOBAL_TRACK_ID]), channel),
            lineage=codes_of(obs[columns.LINEAGE_ID]),
            t=obs[columns.T].to_numpy(np.int64),
            hours=hours,
            marker=codes_of(obs[columns.MARKER]) if columns.MARKER in obs else np.zeros(len(obs), np.int64),
            labels=tuple(Label.of(obs, name) for name in labels),
            left_out=Label.of(obs, leave_out),
        )

    def levels(self, rows: IntArray) -> dict[str, IntArray]:
        """Return what a label may have been given to, coarsest first: codes of some rows, without gaps."""
        levels = {EXPERIMENTS: self.experiment, WELLS: self.well, LINEAGES: self.lineage}
        return {name: paired(codes[rows]) for name, codes in levels.items()}

    def embed(self, rows: IntArray, codes: IntArray) -> Embed:
        """Return the embedding of some rows (M, D), given the row (M,) that each takes its label from.

        Where the label says which cells are controls, shuffled labels make other cells controls, and so
        another embedding: what correction alone adds to a number is then part of its chance.
        """
        if self.correction is None:
            fixed = self.embedding[rows]
            return lambda _: fixed
        array, parts, controls = self.embedding, self.correction.parts, self.correction.controls
        if not constant_within(controls[rows].astype(np.int64), codes):
            corrected = relative(array, parts, controls)[rows]
            return lambda _: corrected

        def embed(source: IntArray) -> FloatArray:
            dealt = controls.copy()
            dealt[rows] = controls[rows[source]]
            return relative(array, parts, dealt)[rows]

        return embed

    def shown(self) -> FloatArray:
        """Return the embedding (N, D), corrected where it is to be."""
        if self.correction is None:
            return self.embedding
        return relative(self.embedding, self.correction.parts, self.correction.controls)

    def pool(self) -> tuple[IntArray, IntArray, str]:
        """Return rows, what experiments are compared within (M,), and what that is called.

        The first label where it is known of any cell, and the marker where a row shows one.
        """
        label = self.labels[0]
        known = label.codes >= 0
        rows = np.flatnonzero(known) if known.any() else np.arange(known.size)
        names, codes = [], []
        if known.any():
            names, codes = [label.name], [label.codes[rows]]
        if self.marker.any():
            names, codes = [*names, "marker"], [*codes, self.marker[rows]]
        return rows, paired(*codes) if codes else np.zeros(rows.size, np.int64), " and ".join(names)


def _wells(obs: pd.DataFrame) -> "pd.Series[Any]":
    if columns.WELL in obs:
        return obs[columns.WELL]
    return obs[columns.FOV].astype(str).str.rsplit("/", n=1).str[0]


def paired(*codes: IntArray | None) -> IntArray:
    """Return a code of each combination of codes that occurs, in their order; None is left out.

    Examples
    --------
    >>> paired(np.array([3, 1, 3]), None, np.array([0, 5, 2])).tolist()
    [1, 0, 2]
    >>> paired(np.array([0, 0, 1]), np.array([0, 3, -1])).tolist()
    [0, 1, 2]
    """
    given = [one for one in codes if one is not None]
    found = np.unique(given[0], return_inverse=True)[1].astype(np.int64)
    for one in given[1:]:
        width = int(one.max(initial=0)) + 2
        found = np.unique(found * width + one + 1, return_inverse=True)[1].astype(np.int64)  # -1: missing
    return found


def codes_of(labels: "pd.Series[Any]") -> IntArray:
    """Return labels as codes in sorted order of their text, -1 where missing.

    A file may store categories in another order; what is drawn by code must not depend on that.
    """
    named = labels.astype("category").cat
    place = np.argsort(np.argsort(texts_of(named.categories.to_series()).to_numpy(dtype=object)))
    codes = named.codes.to_numpy().astype(np.int64)
    return np.where(codes < 0, -1, place[codes]) if place.size else codes
