from itertools import product

import numpy as np
import pytest

from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.demo.verdict import CONDITION, LEAKAGE, MIXING, ONE_TRAINING, judge
from viscy_train.evaluation import Definition, Evaluation, Metric, NotAvailable, Outcome, Resampling
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


@pytest.mark.parametrize("steps", list(product((-0.05, 0.0, 0.05), repeat=3)))
def test_the_claim_is_shown_if_and_only_if_all_three_paired_differences_are(
    steps: tuple[float, float, float],
) -> None:
    over_random, over_raw, less = steps
    given = evaluations((0.6, 0.6 - over_random, 0.6 - over_raw), (0.5, 0.5 + less, 0.9))
    verdict = judge(given, steps=450)
    expected = True if min(steps) > 0 else False if min(steps) < 0 else None
    assert verdict.holds is expected
    starts = {True: "is shown on", False: "does not hold on", None: "is not shown on"}
    assert verdict.text.startswith(f"The claim {starts[expected]} these data")
    assert verdict.tone == {True: "good", False: "bad", None: "plain"}[expected]
    assert ONE_TRAINING in verdict.notes


def test_higher_means_show_nothing_where_wells_disagree() -> None:
    verdict = judge(evaluations((0.65, 0.6, 0.6), (0.4, 0.5, 0.9), noise=0.3), steps=450)
    assert verdict.holds is None
    assert "not shown to be told better than with random batches: +0.050 [" in verdict.text


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
