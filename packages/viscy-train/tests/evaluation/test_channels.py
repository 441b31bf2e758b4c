"""An embedding of which a row is one channel of a cell is measured channel by channel."""

import numpy as np
import pandas as pd
from few_shuffles import Few
from numpy.typing import NDArray

from viscy_train.evaluation import evaluate_arrays

FEW = Few()
LINEAGES, FRAMES = 48, 5
MARKERS = {"a": ("ER", "phase"), "b": ("phase",), "c": ("nucleus", "phase")}


def rows_of_channels() -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Return lineages that stay in their place, far from it in each other marker; and their rows."""
    rng = np.random.default_rng(0)
    rows = []
    for lineage in range(LINEAGES):
        experiment = "abc"[lineage % 3]
        name, condition = f"{experiment}/A/1/0/{lineage}", ("infected", "mock")[(lineage // 3) % 2]
        rows += [
            (experiment, condition, "A/1/0", t, name, name, marker, marker, lineage * FRAMES + t)
            for t in range(FRAMES)
            for marker in MARKERS[experiment]
        ]
    names = ["experiment", "condition", "fov", "t", "global_track_id", "lineage_id"]
    obs = pd.DataFrame(rows, columns=[*names, "channel", "marker", "cell_id"])
    place = rng.normal(size=(LINEAGES, 6))[pd.factorize(obs["lineage_id"])[0]]
    far = 8 * np.eye(6)[pd.factorize(obs["marker"])[0]]
    return place + far + 0.05 * rng.normal(size=place.shape), obs


def values(embedding: NDArray[np.float64], obs: pd.DataFrame) -> dict[str, float]:
    table = evaluate_arrays(embedding, obs, resampling=FEW).table()
    return dict(zip(table["metric"], table["value"], strict=True))


def test_a_step_to_another_channel_is_no_motion() -> None:
    embedding, obs = rows_of_channels()
    own = values(embedding, obs)
    assert own["smoothness"] < 0.1
    assert own["retrieval/next_frame"] > 0.95
    mixed = values(embedding, obs.drop(columns=["channel", "marker", "cell_id"]))
    assert mixed["smoothness"] > 2 * own["smoothness"]


def test_a_marker_of_one_experiment_does_not_leak_it() -> None:
    embedding, obs = rows_of_channels()
    own = values(embedding, obs)
    mixed = values(embedding, obs.drop(columns=["channel", "marker", "cell_id"]))
    name = "experiment_leakage/balanced_accuracy"
    assert own[name] < mixed[name] - 0.05
    assert own["experiment_mixing"] > mixed["experiment_mixing"] + 0.1


def test_one_channel_alone_is_measured_like_cells() -> None:
    embedding, obs = rows_of_channels()
    phase = (obs["marker"] == "phase").to_numpy()
    alone = obs[phase].reset_index(drop=True)
    plain = values(embedding[phase], alone.drop(columns=["channel", "marker", "cell_id"]))
    assert values(embedding[phase], alone) == plain
