"""What is asked of an embedding: how much of the cells' state it tells, and how much of the microscope.

*state*: infected or not, among cells of at least `LATE` hours after infection, when the phenotype shows;
the probe has seen other experiments only. *microscope*: the share of the variance of a cell's five
embeddings, seen through five microscopes, in the variance of all; and how often the nearest cell under
another microscope is the cell itself, its twin. *leakage*: how well the experiment is read from uninfected
cells, by a linear probe and by nearest neighbours; cell lines differ between experiments, so that not all of
it is the microscope.

All of it is measured as the encoder gives it and corrected by the uninfected cells of each experiment.
"""

import warnings
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from viscy_data.columns import CONDITION, EXPERIMENT, FOV, HOURS, TRACK_ID, WELL, T
from viscy_train.evaluation import Controls, correct_by_controls

HEADINGS: Final = {
    "state": "state, AUC",
    "phenotype": "phenotype, r",
    "microscope": "microscope's share",
    "leakage": "experiment read",
    "leakage_near": "by neighbours",
}
"""What is compared, and how the columns of the page's tables call it."""

LATE: Final = 6.0
HOURS_BINS: Final = ((0.0, 3.0), (3.0, 6.0), (6.0, 9.0), (9.0, 20.0))
_FOLDS: Final = 5
_NEIGHBOURS: Final = 15
_CONTROLS: Final = Controls(CONDITION, "uninfected")

type FloatArray = NDArray[np.float64]


def measure(
    embedding: NDArray[Any],
    obs: pd.DataFrame,
    twins: NDArray[Any],
    twins_obs: pd.DataFrame,
    held_out: str = "",
) -> dict[str, Any]:
    """Return all figures of an embedding, uncorrected and corrected.

    ``state`` and ``phenotype`` are of ``held_out`` alone where an encoder never saw it, else of all, one left
    out at a time; ``state_by_experiment`` holds each.
    """
    pairs = {
        "": (np.asarray(embedding, np.float64), np.asarray(twins, np.float64)),
        "corrected/": tuple(
            correct_by_controls(one, table, _CONTROLS)
            for one, table in ((embedding, obs), (twins, twins_obs))
        ),
    }
    found: dict[str, Any] = {}
    for name, (cells, seen) in pairs.items():
        asked = [held_out] if held_out else sorted(obs[EXPERIMENT].unique())
        figures = state_of(cells, obs, asked) | leakage_of(cells, obs) | microscope_of(seen, twins_obs)
        found |= {f"{name}{key}": value for key, value in figures.items()}
    return found


def state_of(embedding: FloatArray, obs: pd.DataFrame, asked: list[str]) -> dict[str, Any]:
    """Return how well the state is told in experiments that the probe has not seen."""
    infected = (obs[CONDITION] == "infected").to_numpy()
    hours, experiment = obs[HOURS].to_numpy(), obs[EXPERIMENT].to_numpy()
    late = hours >= LATE
    by_experiment, by_hours = {}, {}
    for name in asked:
        train, test = late & (experiment != name), experiment == name
        scale = StandardScaler().fit(embedding[train])
        probe = LogisticRegression(class_weight="balanced", max_iter=1000)
        probe.fit(scale.transform(embedding[train]), infected[train])
        scores = probe.decision_function(scale.transform(embedding[test]))
        at, truth = hours[test], infected[test]
        by_experiment[name] = float(roc_auc_score(truth[at >= LATE], scores[at >= LATE]))
        for low, high in HOURS_BINS:
            some = (at >= low) & (at < high)
            if np.unique(truth[some]).size == 2:
                by_hours.setdefault(f"{low:g}", []).append(roc_auc_score(truth[some], scores[some]))
    ill = obs["phenotype"].to_numpy()[late]
    return {
        "state": float(np.mean(list(by_experiment.values()))),
        "state_by_experiment": by_experiment,
        "state_by_hours": {low: float(np.mean(values)) for low, values in by_hours.items()},
        "phenotype": _told(embedding[late], experiment[late], ill, asked),
    }


def leakage_of(embedding: FloatArray, obs: pd.DataFrame) -> dict[str, float]:
    """Return how well the experiment is read from uninfected cells in wells that the probe has not seen."""
    rows = np.flatnonzero(obs[CONDITION] == "uninfected")[::2]
    cells, truth = embedding[rows], obs[EXPERIMENT].to_numpy()[rows]
    wells = (obs[EXPERIMENT].astype(str) + " " + obs[WELL].astype(str)).to_numpy()[rows]
    linear = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=300))
    near = make_pipeline(StandardScaler(), KNeighborsClassifier(_NEIGHBOURS))
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe that has not quite converged ranks arms as well
        for name, probe in (("leakage", linear), ("leakage_near", near)):
            told = cross_val_predict(probe, cells, truth, groups=wells, cv=GroupKFold(_FOLDS))
            found[name] = float(balanced_accuracy_score(truth, told))
    return found


def microscope_of(twins: FloatArray, obs: pd.DataFrame) -> dict[str, float]:
    """Return the microscope's share of the variance, and how often a cell's twin is found."""
    stacked = stack_twins(twins, obs)  # (cells, microscopes, D)
    middle = stacked.mean(axis=1, keepdims=True)
    total = ((stacked - stacked.mean(axis=(0, 1))) ** 2).sum()
    share = ((stacked - middle) ** 2).sum() / total
    unit = stacked - stacked.mean(axis=(0, 1))
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    count = stacked.shape[1]
    found = [
        ((unit[:, one] @ unit[:, other].T).argmax(axis=1) == np.arange(len(unit))).mean()
        for one in range(count)
        for other in range(count)
        if one != other
    ]
    return {"microscope": float(share), "twin": float(np.mean(found))}


def stack_twins(twins: FloatArray, obs: pd.DataFrame) -> FloatArray:
    """Return the embeddings of each cell under each microscope: (cells, microscopes, D)."""
    keys = [FOV, TRACK_ID, T]
    order = obs.reset_index(drop=True).sort_values([*keys, EXPERIMENT]).index.to_numpy()
    count = obs[EXPERIMENT].nunique()
    same = obs.iloc[order][keys].drop_duplicates()
    if len(same) * count != len(obs):
        raise ValueError(f"{len(obs)} rows are not {len(same)} cells under {count} microscopes each")
    return np.asarray(twins, np.float64)[order].reshape(len(same), count, -1)


def measure_real(
    embedding: NDArray[Any], obs: pd.DataFrame, twins: NDArray[Any], twins_obs: pd.DataFrame
) -> dict[str, Any]:
    """Return the figures of an embedding of real crops: what it tells of labels under a camera not seen."""
    cameras = obs[EXPERIMENT].to_numpy()
    every = Controls("kind", "cell")  # no cell is treated: all of a camera's are its controls
    found: dict[str, Any] = {}
    for name in ("", "corrected/"):
        cells, seen = (
            correct_by_controls(one, table.assign(kind="cell"), every)
            if name
            else np.asarray(one, np.float64)
            for one, table in ((embedding, obs), (twins, twins_obs))
        )
        figures = microscope_of(seen, twins_obs)
        for label in ("label", "area"):
            figures[label] = _told(cells, cameras, obs[label].to_numpy(), np.unique(cameras))
        found |= {f"{name}{key}": value for key, value in figures.items()}
    return found


def _told(embedding: FloatArray, experiment: NDArray[Any], truth: FloatArray, asked: Iterable[str]) -> float:
    """Return the correlation of a value with what ridge regression tells of it, one experiment left out."""
    found = []
    for name in asked:
        train, test = experiment != name, experiment == name
        scale = StandardScaler().fit(embedding[train])
        ridge = Ridge(10.0).fit(scale.transform(embedding[train]), truth[train])
        found.append(np.corrcoef(ridge.predict(scale.transform(embedding[test])), truth[test])[0, 1])
    return float(np.mean(found))


def ceiling_of(obs: pd.DataFrame) -> float:
    """Return how well the state is told by the cells' true phenotype: not all infected ones are ill yet."""
    late = obs[obs[HOURS] >= LATE]
    areas = [
        roc_auc_score(table[CONDITION] == "infected", table["phenotype"])
        for _, table in late.groupby(EXPERIMENT)
    ]
    return float(np.mean(areas))
