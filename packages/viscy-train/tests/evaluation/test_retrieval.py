import numpy as np
import pytest
from few_shuffles import Few
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_train.evaluation.arrays import unit_rows
from viscy_train.evaluation.metric import Metric, NotAvailable
from viscy_train.evaluation.retrieval import condition_retrieval, next_frame_retrieval

FEW = Few()


def value(outcome: object) -> float:
    assert isinstance(outcome, Metric)
    return outcome.value


@settings(max_examples=25)
@given(st.integers(0, 999))
def test_condition_retrieval_equals_a_loop_over_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lineage = np.arange(50) // 2
    experiment, condition = lineage % 2, (lineage // 2) % 3
    embedding = rng.normal(size=(50, 3)) + condition[:, None]
    unit = unit_rows(embedding)

    def share(own: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        right = []
        for row in range(50):
            near = max((i for i in range(50) if own[i] != own[row]), key=lambda i: float(unit[row] @ unit[i]))
            right.append(condition[near] == condition[row])
        return float(np.mean(right))

    anywhere, across = condition_retrieval(embedding, condition, experiment, lineage, resampling=FEW)
    assert value(anywhere) == pytest.approx(share(lineage))
    assert value(across) == pytest.approx(share(experiment))


def test_conditions_apart_are_retrieved_and_noise_is_chance() -> None:
    rng = np.random.default_rng(0)
    lineage = np.arange(400)
    experiment, condition = lineage % 2, (lineage // 2) % 2
    noise = rng.normal(size=(400, 4))
    for outcome in condition_retrieval(
        noise + 9 * np.eye(4)[condition], condition, experiment, lineage, resampling=FEW
    ):
        assert value(outcome) == 1
        assert isinstance(outcome, Metric)
        assert outcome.shuffled == pytest.approx(0.5, abs=0.1)
    for outcome in condition_retrieval(noise, condition, experiment, lineage, resampling=FEW):
        assert value(outcome) == pytest.approx(0.5, abs=0.1)


def test_one_condition_or_one_experiment_says_why() -> None:
    embedding, lineage = np.eye(6), np.arange(6)
    first, second = condition_retrieval(embedding, np.zeros(6), lineage % 2, lineage, resampling=FEW)
    for outcome in (first, second):
        assert isinstance(outcome, NotAvailable)
        assert "one condition" in outcome.reason
    anywhere, across = condition_retrieval(embedding, lineage % 2, np.zeros(6), lineage, resampling=FEW)
    assert isinstance(anywhere, Metric)
    assert isinstance(across, NotAvailable)
    assert "one experiment" in across.reason


@settings(max_examples=25)
@given(st.integers(0, 999))
def test_next_frame_retrieval_equals_a_loop_over_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fov, t, lineage = rng.integers(0, 2, 60), rng.integers(0, 5, 60), rng.integers(0, 6, 60)
    unit = unit_rows(rng.normal(size=(60, 3)))
    right, chance = [], []
    for row in range(60):
        then = [i for i in range(60) if fov[i] == fov[row] and t[i] == t[row] + 1]
        same = [i for i in then if lineage[i] == lineage[row]]
        if same and len(same) < len(then):
            right.append(max(then, key=lambda i: float(unit[row] @ unit[i])) in same)
            chance.append(len(same) / len(then))
    outcome = next_frame_retrieval(unit, fov, t, lineage, resampling=FEW)
    if not right:
        assert isinstance(outcome, NotAvailable)
        return
    assert isinstance(outcome, Metric)
    # the metric centres once more, which changes cosine distances: compare what does not depend on it
    assert outcome.n == len(right)
    assert outcome.shuffled == pytest.approx(np.mean(chance))
    centred = unit_rows(unit)
    again = []
    for row in range(60):
        then = [i for i in range(60) if fov[i] == fov[row] and t[i] == t[row] + 1]
        same = [i for i in then if lineage[i] == lineage[row]]
        if same and len(same) < len(then):
            again.append(max(then, key=lambda i: float(centred[row] @ centred[i])) in same)
    assert outcome.value == pytest.approx(np.mean(again))


def test_cells_alone_in_the_next_frame_do_not_count() -> None:
    outcome = next_frame_retrieval(np.eye(3), np.zeros(3), np.arange(3), np.zeros(3), resampling=FEW)
    assert isinstance(outcome, NotAvailable)
    assert "next frame" in outcome.reason
