"""How much trainings of one setting on the same data differ, in the numbers that the demo's verdict uses.

A demo trains each encoder once, so it cannot know this itself. Here several trainings of each arm were made
on the same data; only first weights, batches and augmentation differ. Their variances are averaged over arms
and seeds, and since trainings are few, the demo takes the upper limit of the standard deviation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from study.data import cells_of
from viscy_data.columns import EXPERIMENT, FOV, GLOBAL_TRACK_ID, TRACK_ID
from viscy_train.evaluation import Metric, evaluate_arrays

_LEVEL = 0.95


@dataclass(frozen=True)
class Noise:
    """Spread of one metric over trainings: standard deviation, its upper limit, degrees of freedom."""

    metric: str
    deviation: float
    limit: float
    freedom: int


def noise_of(folder: Path, metrics: tuple[str, ...]) -> list[Noise]:
    """Return the spread of metrics over the trainings under a folder."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for key, values in _measured(folder, metrics):
        for name, value in values.items():
            found.setdefault(key, {}).setdefault(name, []).append(value)
    return [pooled(name, [values[name] for values in found.values()]) for name in metrics]


def pooled(metric: str, settings: list[list[float]]) -> Noise:
    """Return the spread within settings, each with the numbers of its trainings.

    Examples
    --------
    >>> found = pooled("auc", [[0.5, 0.7], [0.2, 0.4], [0.3]])
    >>> round(found.deviation, 3), found.freedom
    (0.141, 2)
    """
    squares = sum(float(np.var(values)) * len(values) for values in settings)
    freedom = sum(len(values) - 1 for values in settings)
    if not freedom:
        raise SystemExit("no setting was trained twice: train with --trainings 3")
    limit = (squares / float(stats.chi2.ppf(1 - _LEVEL, freedom))) ** 0.5
    return Noise(metric, (squares / freedom) ** 0.5, limit, freedom)


def _measured(folder: Path, metrics: tuple[str, ...]) -> Iterator[tuple[tuple[str, str], dict[str, float]]]:
    """Give (seed, setting) and metrics of each training."""
    for path in sorted(folder.glob("seed_*/runs/*.npz")):
        obs = cells_of(path.parents[1], "data").obs
        tracks = obs[EXPERIMENT].astype(str) + "/" + obs[FOV].astype(str) + "/" + obs[TRACK_ID].astype(str)
        with np.load(path) as run:
            evaluation = evaluate_arrays(
                run["data"].astype(np.float32), obs.assign(**{GLOBAL_TRACK_ID: tracks})
            )
        values = {name: one.value for name in metrics if isinstance(one := evaluation[name], Metric)}
        yield (path.parents[1].name, path.stem.rsplit("_", 1)[0]), values
