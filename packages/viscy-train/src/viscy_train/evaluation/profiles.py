"""Profiles of wells: one vector a well, and how well wells of one treatment find each other.

Problem: what was treated is a well, and a metric over cells counts a well with 5,000 cells ten times as often
as one with 500. Screens have long asked of wells instead: is a well nearer to others of its treatment than to
those of other treatments?

Idea: the profile of a well is the mean, or the median, of its cells' embeddings. From each well all wells of
*other experiments* are ranked by cosine similarity of profiles, after the mean of all profiles is taken away;
average precision is the mean, over the places where a well of the same treatment comes, of the share of such
wells up to there. Averaged over the wells of one treatment it is the mean average precision (mAP): 1 where
all of them come first. Positives and negatives are both of other experiments, so that an experiment which
lies apart neither helps nor hurts. With one experiment alone they are its other wells.

The library copairs computes it, with its p-value: the share of random rankings, of as many wells, with as
large a mean (Kalinin et al. 2025, Nature Communications 16:5181), and one corrected for the number of
treatments by Benjamini and Hochberg. Cost: the square of the number of wells; importing the library takes
seconds.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from viscy_data import InvalidInputError, columns
from viscy_train.evaluation.arrays import EmbeddingArray, FloatArray, as_embedding, texts_of

_NULL = 10_000
"""Random rankings behind a p-value."""


type _Numbers = tuple[float | None, float | None, float | None, float | None]


@dataclass(frozen=True)
class Profiles:
    """One vector for each well.

    Attributes
    ----------
    values : ndarray (W, D)
    table : DataFrame
        W rows: experiment, well, label and cells, how many the profile is of.
    """

    values: FloatArray
    table: pd.DataFrame


@dataclass(frozen=True)
class Precision:
    """How well wells of one label find each other, or why there is no number.

    Attributes
    ----------
    label : str
    value : float or None
        Mean average precision.
    above_chance : float or None
        The same, so scaled that random rankings have 0 and perfect ones 1.
    p, corrected_p : float or None
        Permutation p, and with all labels of the column considered.
    wells : int
        Of the label.
    reason : str
        Why there is no number.
    """

    label: str
    value: float | None
    above_chance: float | None
    p: float | None
    corrected_p: float | None
    wells: int
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "label": self.label,
            "mean_average_precision": self.value,
            "above_chance": self.above_chance,
            "p": self.p,
            "corrected_p": self.corrected_p,
            "wells": self.wells,
            **({"reason": self.reason} if self.reason else {}),
        }


def well_profiles(
    embedding: EmbeddingArray,
    obs: pd.DataFrame,
    *,
    label: str = columns.CONDITION,
    centre: Literal["mean", "median"] = "mean",
) -> Profiles:
    """Return the mean, or median, embedding of each well of each experiment.

    Cells without a label, or whose embedding is not finite, count nowhere.

    Parameters
    ----------
    embedding : ndarray (N, D)
    obs : DataFrame
        N rows with experiment, well and the label's column.
    label : str
        Column of what was done to a well.
    centre : {"mean", "median"}

    Returns
    -------
    Profiles
        In order of experiments and wells.

    Raises
    ------
    InvalidInputError
        If a column is missing, no cell has a label, or a well has two labels.

    Examples
    --------
    >>> obs = pd.DataFrame({"experiment": "a", "well": ["A/1", "A/1", "A/2"], "condition": ["x", "x", "y"]})
    >>> found = well_profiles(np.array([[0.0], [2.0], [5.0]]), obs)
    >>> found.values.ravel().tolist(), found.table["cells"].tolist()
    ([1.0, 5.0], [2, 1])
    """
    if centre not in ("mean", "median"):
        raise InvalidInputError(f"centre={centre!r}: allowed is mean or median.")
    wanted = [columns.EXPERIMENT, columns.WELL, label]
    missing = [name for name in wanted if name not in obs.columns]
    if missing:
        raise InvalidInputError(
            f"obs lacks the columns {missing}, by which a profile is of a well; it has "
            f"{', '.join(map(str, obs.columns))}"
        )
    array = np.asarray(embedding, dtype=np.float64)
    if array.ndim != 2 or len(array) != len(obs):
        raise InvalidInputError(
            f"embedding.shape={array.shape} and len(obs)={len(obs)}: one row of features for each row of obs."
        )
    kept = np.isfinite(array).all(axis=1) & obs[label].notna().to_numpy()
    if not kept.any():
        raise InvalidInputError(
            f"label={label!r}: no cell with a finite embedding has a value in this column."
        )
    keys = obs.loc[kept, wanted].astype(object).reset_index(drop=True)
    keys[label] = texts_of(obs.loc[kept, label]).to_numpy()
    by_well = keys.groupby(wanted[:2], sort=True)
    labels = by_well[label].nunique()
    if (labels > 1).any():
        experiment, well = labels.index[(labels > 1).to_numpy()][0]
        raise InvalidInputError(
            f"label={label!r}: cells of well {well!s} of experiment {experiment!s} have {labels.max()} "
            "values; profiles need a column with one value for each well, such as a drug."
        )
    cells = pd.DataFrame(as_embedding(array[kept])).groupby(by_well.ngroup())
    values = cells.median() if centre == "median" else cells.mean()
    table = by_well[label].first().reset_index().assign(cells=by_well.size().to_numpy())
    return Profiles(values.to_numpy(), table)


def profile_precision(
    profiles: Profiles, *, label: str = columns.CONDITION, seed: int = 0
) -> tuple[Precision, ...]:
    """Measure how well wells of each label find each other across experiments, or across wells of one.

    Parameters
    ----------
    profiles : Profiles
        Of `well_profiles`, with the same label.
    label : str
    seed : int
        Of the random rankings.

    Returns
    -------
    tuple of Precision
        One for each value of the label, in their order.

    Raises
    ------
    InvalidInputError
        If the library copairs is not installed.
    """
    table = profiles.table
    values = sorted(table[label].unique())
    apart = columns.EXPERIMENT if table[columns.EXPERIMENT].nunique() > 1 else columns.WELL
    counts = table[label].value_counts()
    found = table.groupby(label)[apart].nunique()
    alone = [one for one in values if found[one] < 2]
    reasons = dict.fromkeys(alone, f"all its wells are of one {apart}: it has no other to be found in")
    if len(values) < 2:
        reasons = dict.fromkeys(values, "all wells have one label")
    measured = {} if len(reasons) == len(values) else _measured(profiles, label, apart, seed)
    nothing: _Numbers = (None, None, None, None)
    found_in = {one: numbers for one, numbers in measured.items() if one not in reasons}
    return tuple(
        Precision(
            one,
            *found_in.get(one, nothing),
            wells=int(counts[one]),
            reason="" if one in found_in else reasons.get(one, "no other label to tell it from"),
        )
        for one in values
    )


def _measured(profiles: Profiles, label: str, apart: str, seed: int) -> dict[str, _Numbers]:
    """Return mAP, the same above chance, p and corrected p by label, where copairs can say them."""
    try:
        from copairs.map import average_precision, mean_average_precision  # noqa: PLC0415  seconds to import
        from copairs.matching import UnpairedException  # noqa: PLC0415
    except ImportError as error:
        raise InvalidInputError(
            "mean average precision of profiles needs the library copairs: "
            "pip install 'viscy-train[profiles]'."
        ) from error
    # names of our own: the library builds queries of names, and a user's may hold anything
    meta = pd.DataFrame({"label": profiles.table[label], "apart": profiles.table[apart].map(str)})
    features = profiles.values - profiles.values.mean(axis=0)
    try:
        scores = average_precision(
            meta,
            features,
            pos_sameby=["label"],
            pos_diffby=["apart"],
            neg_sameby=[],
            neg_diffby=["label", "apart"],
            progress_bar=False,
        )
    except UnpairedException:
        return {}
    scores = scores[(scores["n_pos_pairs"] > 0) & (scores["n_pos_pairs"] < scores["n_total_pairs"])]
    if not len(scores):
        return {}
    table = mean_average_precision(
        scores, ["label"], null_size=_NULL, threshold=0.05, seed=seed, progress_bar=False, max_workers=1
    )
    return {
        str(row["label"]): (
            float(row["mean_average_precision"]),
            float(row["mean_normalized_average_precision"]),
            float(row["p_value"]),
            float(row["corrected_p_value"]),
        )
        for _, row in table.iterrows()
    }
