from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats

from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.demo.verdict import (
    CONDITION,
    LEAKAGE,
    MIXING,
    ONE_TRAINING,
    TRAINING_NOISE,
    judge,
    widened,
)
from viscy_train.evaluation import (
    Definition,
    Difference,
    Evaluation,
    Metric,
    NotAvailable,
    Outcome,
    Resampling,
)
from viscy_train.evaluation.intervals import Deletions, Replicates

WELLS = np.linspace(-0.3, 0.3, 12)
"""What wells have in common in all embeddings: intervals overlap, paired differences are sharp."""


def outcome(name: str, value: float | None, noise: float = 0.0) -> Outcome:
    """Return a number that varies much over wells, and by `noise` beyond what all embeddings share."""
    definition = Definition(name, name, "higher", "how")
    if value is None:
        return NotAvailable(definition, "not there")
    deletions = Deletions.of(np.zeros(12, dtype=np.int64))
    own = value + WELLS + noise * np.resize([1, -1], 12)
    replicates = Replicates(deletions.weights @ own / deletions.weights.sum(axis=1), deletions)
    middle, low, high = replicates.interval(0.95)
    return Metric(definition, middle, low, high, 0.5, 60, 12, "wells", replicates=replicates)


def evaluations(
    condition: tuple[float | None, ...], leakage: tuple[float | None, ...], noise: float = 0.0
) -> dict[str, Evaluation]:
    return {
        name: Evaluation(
            (
                outcome(CONDITION, one, noise * (name == COMPOSED)),
                outcome(LEAKAGE, other, noise * (name == COMPOSED)),
                outcome(MIXING, other),
            ),
            60,
            60,
            Resampling(),
        )
        for name, one, other in zip((COMPOSED, RANDOM, RAW), condition, leakage, strict=True)
    }


SIDES = (-0.2, 0.0, 0.2)
"""Worse by more than chance of wells and of training, the same, better."""


@pytest.mark.parametrize(("told", "less"), list(product(SIDES, repeat=2)))
def test_the_claim_is_less_of_the_experiment_at_no_cost_to_the_condition(told: float, less: float) -> None:
    verdict = judge(evaluations((0.6, 0.6 - told, 0.9), (0.5, 0.5 + less, 0.1)), steps=450)
    expected = False if min(told, less) < 0 else True if less > 0 else None
    assert verdict.holds is expected
    starts = {True: "is shown on", False: "does not hold on", None: "is not shown on"}
    assert verdict.text.startswith(f"The claim {starts[expected]} these data")
    assert verdict.tone == {True: "good", False: "bad", None: "plain"}[expected]
    assert ONE_TRAINING in verdict.notes


def test_higher_means_show_nothing_where_wells_disagree() -> None:
    verdict = judge(evaluations((0.65, 0.6, 0.6), (0.4, 0.5, 0.9), noise=0.5), steps=450)
    assert verdict.holds is None
    assert "not shown to be told better or worse (+0.050 [" in verdict.text


def test_less_than_trainings_differ_shows_nothing_however_sharp_the_wells() -> None:
    small = TRAINING_NOISE[LEAKAGE]  # two trainings of one setting differ by so much, and more
    verdict = judge(evaluations((0.6, 0.6, 0.6), (0.5, 0.5 + small, 0.9)), steps=450)
    assert verdict.holds is None


@given(
    value=floats(-1, 1), below=floats(0, 1), above=floats(0, 1), deviation=floats(0, 0.5), more=floats(0, 0.5)
)
def test_noise_of_training_widens_an_interval_and_leaves_the_difference(
    value: float, below: float, above: float, deviation: float, more: float
) -> None:
    definition = Definition("n", "n", "higher", "how")
    found = Difference(definition, "a", "b", value, value - below, value + above, 12, "wells")
    same, wide, wider = (widened(found, one) for one in (0.0, deviation, deviation + more))
    assert (same.low, same.high) == pytest.approx((found.low, found.high))
    assert wide.value == value
    assert wider.low <= wide.low <= same.low + 1e-12
    assert wider.high >= wide.high >= same.high - 1e-12


def test_the_widened_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    definition, deviation, well = Definition("n", "n", "higher", "how"), 0.03, 0.02
    covered = 0
    for _ in range(2000):
        one, other = 0.1 + rng.normal(0, deviation), rng.normal(0, deviation)
        seen = one - other + rng.normal(0, well)
        half = 1.96 * well
        found = Difference(definition, "a", "b", seen, seen - half, seen + half, 12, "wells")
        wide = widened(found, deviation)
        covered += wide.low <= 0.1 <= wide.high
    assert 0.935 <= covered / 2000 <= 0.965


def test_without_conditions_nothing_is_claimed_and_leakage_is_told() -> None:
    verdict = judge(evaluations((None, None, None), (0.61, 0.72, 0.83)), steps=450)
    assert verdict.holds is None
    assert verdict.tone == "plain"
    assert "nothing is claimed" in verdict.text
    assert "0.610 [" in verdict.text


def test_with_one_experiment_nothing_is_judged() -> None:
    verdict = judge(evaluations((None, None, None), (None, None, None)), steps=450)
    assert verdict.holds is None
    assert "cannot" in verdict.text or "not judged" in verdict.text


def test_a_handful_of_steps_is_not_judged() -> None:
    verdict = judge(evaluations((0.9, 0.5, 0.5), (0.2, 0.9, 0.9)), steps=6)
    assert verdict.holds is None
    assert verdict.text.startswith("Trained for 6 steps only")
    assert "0.900 [" in verdict.text
