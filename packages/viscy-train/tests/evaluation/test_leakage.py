import numpy as np
import pytest
from few_shuffles import Few
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from viscy_train.evaluation.arrays import unit_rows
from viscy_train.evaluation.leakage import leakage, neighbour_leakage
from viscy_train.evaluation.metric import Metric, NotAvailable

FEW = Few()
LINEAGE = np.arange(240) // 4
EXPERIMENT = np.array(["a", "b", "c"])[LINEAGE % 3]
CONDITION = (LINEAGE // 3) % 2
NOISE = np.random.default_rng(0).normal(size=(240, 4))


def test_experiments_apart_are_read_and_lower_is_better() -> None:
    shift = 20.0 * (EXPERIMENT == "a")[:, None] - 20.0 * (EXPERIMENT == "b")[:, None]
    for outcome in leakage(NOISE + shift, EXPERIMENT, LINEAGE, condition=CONDITION, resampling=FEW):
        assert isinstance(outcome, Metric)
        assert outcome.value == 1
        assert outcome.definition.better == "down to guess"


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


def test_votes_of_neighbours_equal_the_library_on_experiments_of_one_size() -> None:
    unit = unit_rows(NOISE + 1.5 * np.eye(4)[LINEAGE % 3])
    predicted = np.empty(240, dtype=object)
    for row in range(240):
        among = (CONDITION[row] == CONDITION) & (LINEAGE[row] != LINEAGE)
        voters = KNeighborsClassifier(5, metric="cosine").fit(unit[among], EXPERIMENT[among])
        shares = voters.predict_proba(unit[[row]])[0]
        nearest = [voters.classes_[voters._y[one]] for one in voters.kneighbors(unit[[row]])[1][0]]
        most = voters.classes_[shares == shares.max()]
        predicted[row] = max(most, key=lambda name: -nearest.index(name))
    outcome = neighbour_leakage(
        NOISE + 1.5 * np.eye(4)[LINEAGE % 3],
        EXPERIMENT,
        LINEAGE,
        condition=CONDITION,
        k=5,
        resampling=FEW,
    )
    assert isinstance(outcome, Metric)
    assert outcome.low <= outcome.value <= outcome.high
    expected = balanced_accuracy_score(EXPERIMENT, predicted.astype(str))
    assert outcome.value == pytest.approx(expected, abs=0.02)


def test_neighbours_of_noise_tell_nothing_whatever_the_sizes_of_experiments() -> None:
    rng = np.random.default_rng(0)
    experiment = (np.arange(900) % 10 == 0).astype(int)
    outcome = neighbour_leakage(rng.normal(size=(900, 3)), experiment, np.arange(900), resampling=FEW)
    assert isinstance(outcome, Metric)
    assert outcome.value == pytest.approx(0.5, abs=0.08)
    assert outcome.shuffled == pytest.approx(0.5, abs=0.08)
    assert outcome.definition.better == "down to guess"


def test_neighbours_say_why_experiments_cannot_be_compared() -> None:
    outcome = neighbour_leakage(NOISE, CONDITION, LINEAGE, condition=CONDITION, within="drug", resampling=FEW)
    assert isinstance(outcome, NotAvailable)
    assert "no drug is held by two experiments" in outcome.reason
