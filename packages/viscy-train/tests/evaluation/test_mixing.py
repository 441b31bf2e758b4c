import numpy as np
import pytest
from few_shuffles import Few
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_train.evaluation.arrays import unit_rows
from viscy_train.evaluation.metric import Metric, NotAvailable
from viscy_train.evaluation.mixing import mixing

FEW = Few()


def value(outcome: object) -> float:
    assert isinstance(outcome, Metric)
    return outcome.value


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(2, 4), st.integers(1, 5))
def test_mixing_equals_a_loop_over_cells(seed: int, experiments: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    lineage = np.arange(60) // 2
    experiment, condition = lineage % experiments, (lineage // experiments) % 2
    embedding = rng.normal(size=(60, 3)) + experiment[:, None]
    unit = unit_rows(embedding)
    observed, expected = 0.0, 0.0
    for row in range(60):
        allowed = [i for i in range(60) if condition[i] == condition[row] and lineage[i] != lineage[row]]
        near = sorted(allowed, key=lambda i: -float(unit[row] @ unit[i]))[:k]
        observed += np.mean([experiment[i] != experiment[row] for i in near])
        expected += np.mean([experiment[i] != experiment[row] for i in allowed])
    outcome = mixing(embedding, experiment, lineage, condition=condition, k=k, resampling=FEW)
    assert value(outcome) == pytest.approx(observed / expected)


def test_experiments_apart_do_not_mix_and_noise_mixes_perfectly() -> None:
    rng = np.random.default_rng(0)
    lineage = np.arange(600)
    experiment = lineage % 3
    embedding = rng.normal(size=(600, 3))
    apart = mixing(embedding + 50 * np.eye(3)[experiment], experiment, lineage, resampling=FEW)
    assert value(apart) == 0
    mixed = mixing(embedding, experiment, lineage, resampling=FEW)
    assert isinstance(mixed, Metric)
    assert mixed.value == pytest.approx(1, abs=0.05)
    assert mixed.shuffled == pytest.approx(1, abs=0.05)
    assert mixed.low <= mixed.value <= mixed.high


@settings(max_examples=10)
@given(st.integers(0, 999))
def test_rotation_scale_and_order_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    embedding, lineage = rng.normal(size=(80, 4)), np.arange(80) // 2
    experiment = lineage % 2
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    order = rng.permutation(80)
    moved = (7 * embedding @ rotation + 3)[order]
    before = mixing(embedding, experiment, lineage, resampling=FEW)
    after = mixing(moved, experiment[order], lineage[order], resampling=FEW)
    assert value(after) == pytest.approx(value(before))


@pytest.mark.parametrize("condition", [None, np.arange(20) % 2])
def test_what_cannot_be_measured_says_why(condition: np.ndarray | None) -> None:
    experiment = np.zeros(20) if condition is None else condition
    outcome = mixing(np.eye(20), experiment, np.arange(20), condition=condition, resampling=FEW)
    assert isinstance(outcome, NotAvailable)
    assert ("one experiment" if condition is None else "no condition is held by two") in outcome.reason
