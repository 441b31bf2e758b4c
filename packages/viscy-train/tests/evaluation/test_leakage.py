import numpy as np
import pytest

from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.leakage import leakage
from viscy_train.evaluation.metric import Metric, NotAvailable

FEW = Resampling(shuffled_cells=100)
LINEAGE = np.arange(240) // 4
EXPERIMENT = np.array(["a", "b", "c"])[LINEAGE % 3]
CONDITION = (LINEAGE // 3) % 2
NOISE = np.random.default_rng(0).normal(size=(240, 4))


def test_experiments_apart_are_read_and_lower_is_better() -> None:
    shift = 20.0 * (EXPERIMENT == "a")[:, None] - 20.0 * (EXPERIMENT == "b")[:, None]
    for outcome in leakage(NOISE + shift, EXPERIMENT, LINEAGE, condition=CONDITION, resampling=FEW):
        assert isinstance(outcome, Metric)
        assert outcome.value == 1
        assert outcome.definition.better == "lower"


def test_noise_leaks_nothing() -> None:
    outcome = leakage(NOISE, EXPERIMENT, LINEAGE, condition=CONDITION, resampling=FEW)[0]
    assert isinstance(outcome, Metric)
    assert outcome.value == pytest.approx(1 / 3, abs=0.12)
    assert outcome.shuffled == pytest.approx(1 / 3, abs=0.12)


def test_a_condition_that_experiments_share_unevenly_tells_nothing() -> None:
    experiment = LINEAGE % 2
    condition = np.where((LINEAGE // 2) % 5 == 0, 1 - experiment, experiment)
    embedding = NOISE + 20.0 * condition[:, None]
    within = leakage(embedding, experiment, LINEAGE, condition=condition, resampling=FEW)[0]
    overall = leakage(embedding, experiment, LINEAGE, resampling=FEW)[0]
    assert isinstance(within, Metric)
    assert isinstance(overall, Metric)
    assert within.value < 0.65
    assert overall.value > 0.75


@pytest.mark.parametrize(
    ("experiment", "reason"), [(np.zeros(240), "one experiment"), (CONDITION, "no condition is held by two")]
)
def test_what_cannot_be_measured_says_why(experiment: np.ndarray, reason: str) -> None:
    for outcome in leakage(NOISE, experiment, LINEAGE, condition=CONDITION, resampling=FEW):
        assert isinstance(outcome, NotAvailable)
        assert reason in outcome.reason
